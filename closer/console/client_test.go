package console_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"signoff/closer/console"
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
		"http elsewhere with a token":    {"http://signoff:9090", "t", "a token goes over https"},
		"http to a name that looks like": {"http://127.0.0.1.example.com", "t", "a token goes over https"},
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
