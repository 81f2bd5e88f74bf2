package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// seen is what a page that shows all that it is told writes.
type seen struct {
	Name, Role string
	Known      bool
	Until      time.Time
	Ways       console.Ways
	Fault      *console.Fault
	Status     int // of what the API answered; 200 with Holds
	Detail     string
	Holds      []console.Hold
}

// mirror is pages that show who looks, and what the API says to them.
func mirror(w http.ResponseWriter, r *http.Request) {
	v, f := console.VisitorOf(r.Context()), console.FaultOf(r.Context())
	if r.URL.Path == "/panic" && f == nil || r.URL.Path == "/panic/again" {
		panic("ann@example.com")
	}
	said := seen{Name: v.Name, Role: v.Role, Known: v.Known, Until: v.Until, Ways: v.Ways, Fault: f}
	status := http.StatusOK
	if f != nil {
		status = f.Status
	}
	if client := console.ClientOf(r.Context()); client != nil && !strings.HasPrefix(r.URL.Path, "/assets/") {
		said.tell(r.Context(), client, r.Method)
	}
	w.Header().Set("Content-Type", "text/x-mirror")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(said)
}

func (s *seen) tell(ctx context.Context, client *console.Client, method string) {
	var err error
	s.Status = http.StatusOK
	if method == http.MethodPost {
		_, err = client.Reject(ctx, 1, console.Verdict{Digest: "0", Reason: "x"})
	} else {
		s.Holds, err = client.Holds(ctx)
	}
	if refused, ok := errors.AsType[*console.AnswerError](err); ok {
		s.Status, s.Detail = refused.Status, refused.Error()
	} else if err != nil {
		s.Detail = err.Error()
	}
}

// look asks for a page, and follows no redirect.
func (r *room) look(t *testing.T, method, path string, header http.Header) (answer, seen) {
	t.Helper()
	a := r.askAs(t, method, path, header, "")
	var s seen
	if a.header.Get("Content-Type") == "text/x-mirror" {
		if err := json.Unmarshal([]byte(a.body), &s); err != nil {
			t.Fatalf("%s: %v", a.body, err)
		}
	}
	return a, s
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func withPages(s setup) setup {
	s.pages = http.HandlerFunc(mirror)
	return s
}

func TestPagesAreAskedInTheNameOfWhoLooks(t *testing.T) {
	for name, c := range map[string]struct {
		setup      setup
		method     string
		header     http.Header
		who, role  string
		status     int // of the API to the page
		detail     string
		showsEmail bool
	}{
		"a viewer's token":              {setup{}, "GET", bearer(viewer), "bob", "viewer", 200, "", true},
		"an operator's":                 {setup{}, "GET", bearer(operator), "alice", "operator", 200, "", true},
		"a password":                    {setup{web: ann}, "GET", basic("ann", annsPassword), "ann", "viewer", 200, "", true},
		"nobody, and nobody is known":   {setup{noTokens: true}, "GET", nil, "", "", 200, "", false},
		"a decision of a viewer":        {setup{}, "POST", bearer(viewer), "bob", "viewer", 403, "this needs the role operator", false},
		"a decision of a password":      {setup{web: ann}, "POST", basic("ann", annsPassword), "ann", "viewer", 403, "users of admin.web_config_file only look", false},
		"a decision of nobody":          {setup{noTokens: true}, "POST", nil, "", "", 403, "read-only", false},
		"a decision, of an old plan":    {setup{}, "POST", bearer(operator), "alice", "operator", 409, "", false},
		"by a certificate without name": {setup{noTokens: true, anywhere: true, web: mutualTLS}, "GET", nil, "", "", 200, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, withPages(c.setup))
			if c.setup.web == mutualTLS {
				r.http = r.client(t, "prometheus")
			}
			r.hold(t, ledger.Limit, "zoe")
			a, s := r.look(t, c.method, "/holds", c.header)
			if a.status != 200 || s.Name != c.who || s.Role != c.role || s.Known != (c.who != "") || !s.Until.IsZero() || s.Fault != nil {
				t.Errorf("%d %+v", a.status, s)
			}
			if s.Status != c.status || !strings.HasPrefix(s.Detail, c.detail) {
				t.Errorf("the API says %d %q to it, want %d %q", s.Status, s.Detail, c.status, c.detail)
			}
			if strings.Contains(a.body, "zoe@example.com") != c.showsEmail {
				t.Errorf("emails are shown or not: %s", a.body)
			}
			for header, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff"} {
				if got := a.header.Get(header); got != want {
					t.Errorf("%s: %q, want %q", header, got, want)
				}
			}
			if csp := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; script-src 'self';") {
				t.Errorf("scripts may come from %q", csp)
			}
		})
	}
}

const mutualTLS = withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"

func TestTooManyRequestsForPages(t *testing.T) {
	r := open(t, withPages(setup{web: "rate_limit: {interval: 1h, burst: 1}"}))
	r.look(t, "GET", "/holds", bearer(viewer))
	a, s := r.look(t, "GET", "/holds", bearer(viewer))
	if a.status != 429 || a.header.Get("Retry-After") == "" || s.Fault == nil || s.Fault.Status != 429 || !strings.Contains(s.Fault.Detail, "rate_limit") {
		t.Errorf("%d %v %+v", a.status, a.header, s.Fault)
	}
}

// What is a problem to a program is a page to who looks at pages.
func TestWhatPagesAreAskedToSay(t *testing.T) {
	crossSite := http.Header{"Authorization": {"Bearer " + operator}, "Sec-Fetch-Site": {"cross-site"}}
	for name, c := range map[string]struct {
		setup        setup
		method, path string
		header       http.Header
		status       int
		want         string // in the fault; "": it is a problem, or a redirect
	}{
		"a page of another origin":          {setup{}, "POST", "/holds/1/approve", crossSite, 403, "another origin"},
		"it asks the API":                   {setup{}, "POST", "/api/v1/holds/1/approve", crossSite, 403, ""},
		"a defect":                          {setup{}, "GET", "/panic", bearer(operator), 500, "see the log"},
		"a defect of the page that says so": {setup{}, "GET", "/panic/again", bearer(operator), 500, ""},
		"a certificate is missing":          {setup{web: mutualTLS}, "GET", "/holds", nil, 403, "a client certificate is needed"},
		"to the API":                        {setup{web: mutualTLS}, "GET", "/api/v1/holds", nil, 403, ""},
		"where nobody can be told":          {setup{noTokens: true, anywhere: true}, "GET", "/holds", nil, 404, "the API is not served here"},
		"the API there":                     {setup{noTokens: true, anywhere: true}, "GET", "/api/v1/holds", nil, 404, ""},
		"a script whose session has ended":  {setup{}, "GET", "/holds", http.Header{"Signoff-Live": {"1"}}, 401, "nobody is signed in any more"},
		"a tokens file that cannot be read": {setup{badTokens: true}, "GET", "/holds", bearer(operator), 500, "cannot be read"},
		"metrics are no page":               {setup{}, "GET", "/metrics", nil, 200, ""},
		"nor is what is below the API":      {setup{}, "GET", "/api/none", nil, 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, withPages(c.setup))
			if c.setup.badTokens {
				r.setTokens(t, "no line of a tokens file")
			}
			a, s := r.look(t, c.method, c.path, c.header)
			if a.status != c.status {
				t.Errorf("%d %s, want %d", a.status, a.body, c.status)
			}
			switch {
			case (s.Fault != nil) != (c.want != ""):
				t.Errorf("fault %+v, want one with %q", s.Fault, c.want)
			case c.want != "" && (s.Fault.Status != c.status || !strings.Contains(s.Fault.Detail, c.want)):
				t.Errorf("fault %+v, want %q", s.Fault, c.want)
			}
			if strings.Contains(a.body, "@") {
				t.Errorf("names somebody: %s", a.body)
			}
		})
	}
}

func TestNobodyIsSentToSignIn(t *testing.T) {
	r := open(t, withPages(setup{}))
	r.http = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for name, c := range map[string]struct {
		method, path string
		header       http.Header
		status       int
		to           string
	}{
		"to come back":            {"GET", "/leavers?state=held&state=due", nil, 303, "/sign-in?next=%2Fleavers%3Fstate%3Dheld%26state%3Ddue"},
		"by HEAD":                 {"HEAD", "/", nil, 303, "/sign-in"},
		"from a form":             {"POST", "/holds/1/approve", nil, 303, "/sign-in?why=not_done"},
		"from a form of a page":   {"POST", "/holds/1/approve", http.Header{"Referer": {r.url + "/holds/1?page=2"}}, 303, "/sign-in?next=%2Fholds%2F1%3Fpage%3D2&why=not_done"},
		"from somewhere else":     {"POST", "/holds/1/approve", http.Header{"Referer": {"https://evil.example.com/holds/1"}}, 303, "/sign-in?why=not_done"},
		"with a token that ain't": {"GET", "/holds", bearer("guessed"), 303, "/sign-in?next=%2Fholds"},
		"where one signs in":      {"GET", "/sign-in?next=/holds", nil, 200, ""},
		"what pages are made of":  {"GET", "/assets/pages.css", nil, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, s := r.look(t, c.method, c.path, c.header)
			if a.status != c.status || a.header.Get("Location") != c.to {
				t.Errorf("%d to %q, want %d to %q", a.status, a.header.Get("Location"), c.status, c.to)
			}
			if c.status == 200 && (s.Name != "" || !s.Known || !s.Ways.Token || s.Ways.Password || s.Status != 401 && c.path[1] != 'a') {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A browser that does not say where a page is from says its origin, which a proxy makes
// another one by another Host.
func TestWhatAProxyMustPassOnIsSaid(t *testing.T) {
	r := open(t, withPages(setup{}))
	const advice = "If this was signoff's own page, the proxy before it must pass on Host, and set X-Forwarded-Proto."
	for name, c := range map[string]struct {
		header http.Header
		want   bool
	}{
		"an origin that is not the host":    {http.Header{"Origin": {"https://signoff.example.com"}}, true},
		"a browser that knows it is so":     {http.Header{"Origin": {"https://evil.example.com"}, "Sec-Fetch-Site": {"cross-site"}}, false},
		"a page of the same organization's": {http.Header{"Origin": {"https://wiki.example.com"}, "Sec-Fetch-Site": {"same-site"}}, false},
	} {
		for _, path := range []string{"/sign-in", "/api/v1/holds/1/approve"} {
			a, s := r.look(t, "POST", path, c.header)
			said := a.body
			if s.Fault != nil {
				said = s.Fault.Detail
			}
			if a.status != 403 || !strings.Contains(said, "another origin") || strings.Contains(said, advice) != c.want {
				t.Errorf("%s, %s: %d %s", name, path, a.status, said)
			}
		}
	}
}

// A site anywhere may give its own name the address of this machine: what a browser here
// then asks for under that name is not shown where whoever comes may look.
func TestAnotherSitesNameForThisMachine(t *testing.T) {
	strangers, people := open(t, withPages(setup{noTokens: true})), open(t, withPages(setup{}))
	for _, c := range []struct {
		of     *room
		host   string
		path   string
		status int
	}{
		{strangers, "localhost:9090", "/", 200}, {strangers, "127.0.0.1", "/api/v1/overview", 200}, {strangers, "[::1]:9090", "/api/v1/holds", 200},
		{strangers, "evil.example.com", "/", 404}, {strangers, "evil.example.com:9090", "/api/v1/overview", 404}, {strangers, "127.0.0.1.evil.example.com", "/holds", 404},
		{strangers, "signoff:9090", "/livez", 200}, {strangers, "signoff:9090", "/metrics", 200},
		{people, "signoff.example.com", "/sign-in", 200}, {people, "signoff.example.com", "/api/v1/overview", 401},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.of.url+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		resp, err := c.of.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if _ = resp.Body.Close(); err != nil || resp.StatusCode != c.status || c.status == 404 && !strings.Contains(string(body), "a name of this machine, such as localhost") {
			t.Errorf("%s%s: %d, want %d: %s, %v", c.host, c.path, resp.StatusCode, c.status, body, err)
		}
	}
}
