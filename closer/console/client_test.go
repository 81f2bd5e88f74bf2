package console_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

func TestNewClient(t *testing.T) {
	for name, c := range map[string]struct {
		url, token string
		want       string // "": it is made
	}{
		"https":                          {"https://signoff.example.com", "t", ""},
		"https with a path":              {"https://example.com/signoff/", "t", ""},
		"http to this machine":           {"http://127.0.0.1:9090", "t", ""},
		"http to this machine by name":   {"http://localhost:9090", "t", ""},
		"http to this machine, v6":       {"http://[::1]:9090", "t", ""},
		"http elsewhere without a token": {"http://signoff:9090", "", ""},
		"http elsewhere with a token":    {"http://signoff:9090", "t", "a token or a password goes over https"},
		"http to a name that looks like": {"http://127.0.0.1.example.com", "t", "a token or a password goes over https"},
		"another scheme":                 {"ftp://signoff", "", "not a URL such as"},
		"no scheme":                      {"127.0.0.1:9090", "", "not a URL such as"},
		"nothing":                        {"", "", "not a URL such as"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := console.NewClient(c.url, c.token)
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "--url: ")) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestClientErrors(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a problem": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"title": "Conflict", "status": 409, "detail": "somebody was quicker"}`))
		}, "somebody was quicker"},
		"a proxy's page": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte("<html>"))
		}, "/api/v1/holds: 502 Bad Gateway"},
		"a page of somebody else": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<html>"))
		}, "/api/v1/holds: not the answer of a signoff"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.example.com/", http.StatusFound)
		}, "/api/v1/holds: 302 Found"},
		"no token where one is needed": {refusing(http.StatusUnauthorized), "--token-file: the daemon does not know this token: because"},
		"a viewer who decides":         {refusing(http.StatusForbidden), "--token-file: this token may not do it: because"},
		"a daemon that waits":          {refusing(http.StatusServiceUnavailable), "because"},
		"a page that names its detail": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"detail": 7}`))
		}, "/api/v1/holds: 404 Not Found: not the answer of a signoff"},
		"a cut connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			defer server.Close()
			client, err := console.NewClient(server.URL, "s3cret")
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Holds(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%q shows the token", err)
			}
		})
	}
}

func refusing(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"detail": "because"}`))
	}
}

func TestRefusalsKeepTheirStatus(t *testing.T) {
	r := open(t, setup{})
	closed := r.hold(t, ledger.Limit, "ann")
	said := r.verdict(t, closed, "checked with HR")
	ask := func(token string, id int64) error {
		_, err := client(t, r, token).Approve(t.Context(), id, said)
		return err
	}
	if err := ask(operator, closed); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err    error
		status int
		want   string
	}{
		"no token":       {ask("", closed), 401, "--token-file: none is given: a token from admin.tokens_file is needed"},
		"a wrong one":    {ask("guessed", closed), 401, "--token-file: the daemon does not know this token: "},
		"a viewer's":     {ask(viewer, closed), 403, "--token-file: this token may not do it: this needs the role operator"},
		"no such hold":   {ask(operator, 999), 404, "no such hold"},
		"decided before": {ask(operator, closed), 409, "not open any more"},
	} {
		t.Run(name, func(t *testing.T) {
			var refused *console.AnswerError
			if !errors.As(c.err, &refused) || refused.Status != c.status || !strings.Contains(c.err.Error(), c.want) || strings.HasPrefix(refused.Detail, "--") {
				t.Errorf("%v (%+v), want %d: %q", c.err, refused, c.status, c.want)
			}
		})
	}
}

func TestWrongURLs(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	plain, tls := httptest.NewServer(page), httptest.NewUnstartedServer(page)
	tls.Config.ErrorLog = zap.NewStdLog(zap.NewNop()) // it tells of each caller that does not trust it
	tls.StartTLS()
	gone := httptest.NewServer(page)
	gone.Close()
	defer plain.Close()
	defer tls.Close()
	for name, c := range map[string]struct{ url, want string }{
		"http to TLS":           {strings.Replace(tls.URL, "https", "http", 1), "https is spoken there: use https://"},
		"https to plain":        {strings.Replace(plain.URL, "http", "https", 1), "https is not spoken there: use http://"},
		"https of a stranger":   {tls.URL, "certificate"},
		"somebody else's pages": {plain.URL, "/api/v1/holds: not the answer of a signoff"},
		"a password in it":      {strings.Replace(plain.URL, "//", "//ann:s3cret@", 1), "not the answer of a signoff"},
		"nobody":                {gone.URL, "connection refused: is the daemon running?"},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := console.NewClient(c.url, "s3cret")
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Holds(t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), "--url: ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v, want --url: and %q", err, c.want)
			}
		})
	}
}
