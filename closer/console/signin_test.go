package console_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
)

// staying follows no redirect.
func (r *room) staying() {
	stays := *r.http
	stays.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r.http = &stays
}

// send sends a form, as a page of ours does.
func (r *room) send(t *testing.T, path string, header http.Header, form url.Values) answer {
	t.Helper()
	header = maps.Clone(header)
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	header.Set("Sec-Fetch-Site", "same-origin")
	return r.askAs(t, "POST", path, header, form.Encode())
}

// given are the cookies that an answer sets; one that it takes away is empty.
func given(a answer) map[string]*http.Cookie {
	all := make(map[string]*http.Cookie)
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		all[c.Name] = c
	}
	return all
}

// with is a header with these cookies.
func with(cookies ...*http.Cookie) http.Header {
	r := http.Request{Header: http.Header{}}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r.Header
}

// enter signs in, and returns the session's cookie.
func (r *room) enter(t *testing.T, form url.Values) *http.Cookie {
	t.Helper()
	a := r.send(t, "/sign-in", nil, form)
	c := given(a)["signoff"]
	if a.status != 303 || a.header.Get("Location") != "/" || c == nil || c.Value == "" {
		t.Fatalf("%d to %q with %v", a.status, a.header.Get("Location"), c)
	}
	return c
}

func token(text string) url.Values          { return url.Values{"token": {text}} }
func password(name, text string) url.Values { return url.Values{"name": {name}, "password": {text}} }

func TestSigningIn(t *testing.T) {
	elsewhere := http.Header{"X-Forwarded-Proto": {"https"}}
	for name, c := range map[string]struct {
		setup  setup
		header http.Header
		form   url.Values
		to     string
		who    string // "": nobody
		cookie string
	}{
		"an operator's token":             {setup{}, nil, token(operator), "/", "alice operator", "signoff"},
		"with spaces around it":           {setup{}, nil, token(" " + viewer + "\n"), "/", "bob viewer", "signoff"},
		"a password":                      {setup{web: ann}, nil, password("ann", annsPassword), "/", "ann viewer", "signoff"},
		"a password, without tokens":      {setup{web: ann, noTokens: true}, nil, password("ann", annsPassword), "/", "ann viewer", "signoff"},
		"behind a proxy that ends TLS":    {setup{}, elsewhere, token(operator), "/", "alice operator", "__Host-signoff"},
		"a wrong token":                   {setup{}, nil, token("guessed"), "/sign-in?why=wrong", "", ""},
		"no token":                        {setup{}, nil, token(""), "/sign-in?why=wrong", "", ""},
		"a token's hash":                  {setup{}, nil, token(hashOf(operator)), "/sign-in?why=wrong", "", ""},
		"a token where there are none":    {setup{web: ann, noTokens: true}, nil, token(operator), "/sign-in?why=wrong", "", ""},
		"nothing":                         {setup{}, nil, url.Values{}, "/sign-in?why=wrong", "", ""},
		"a wrong password":                {setup{web: ann}, nil, password("ann", "guessed"), "/sign-in?why=wrong", "", ""},
		"the password of nobody":          {setup{web: ann}, nil, password("eve", annsPassword), "/sign-in?why=wrong", "", ""},
		"a password where there are none": {setup{}, nil, password("ann", annsPassword), "/sign-in?why=wrong", "", ""},
		"where nobody can be told":        {setup{noTokens: true}, nil, token(operator), "/", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, withPages(c.setup))
			r.staying()
			a := r.send(t, "/sign-in", c.header, c.form)
			if a.status != 303 || a.header.Get("Location") != c.to {
				t.Errorf("%d to %q, want %q", a.status, a.header.Get("Location"), c.to)
			}
			cookies := given(a)
			if (cookies[c.cookie] != nil) != (c.cookie != "") || len(cookies) > 1 {
				t.Fatalf("cookies %v, want %q", cookies, c.cookie)
			}
			if c.cookie != "" {
				at := cookies[c.cookie]
				if !at.HttpOnly || at.SameSite != http.SameSiteLaxMode || at.Path != "/" || at.Domain != "" || at.MaxAge != 0 || !at.Expires.IsZero() ||
					at.Secure != (c.cookie != "signoff") || len(at.Value) < 43 {
					t.Errorf("the cookie is %v", at)
				}
				header := with(at)
				maps.Copy(header, c.header)
				_, s := r.look(t, "GET", "/holds", header)
				if s.Name+" "+s.Role != c.who || s.Status != 200 || time.Until(s.Until) < 59*time.Minute || time.Until(s.Until) > time.Hour {
					t.Errorf("%+v, want %s", s, c.who)
				}
			}
			said := fmt.Sprint(r.logs.All())
			for _, secret := range []string{operator, annsPassword, "guessed", "eve"} {
				if strings.Contains(said, secret) {
					t.Errorf("the log has %s: %s", secret, said)
				}
			}
			if c.setup.noTokens && c.setup.web == "" {
				return
			}
			if want := map[bool]string{true: "somebody has signed in", false: "a sign-in was refused"}[c.cookie != ""]; !strings.Contains(said, want) {
				t.Errorf("the log does not say that %s: %s", want, said)
			}
		})
	}
}

func TestSigningInOverTLS(t *testing.T) {
	r := open(t, withPages(setup{web: withTLS}))
	r.staying()
	a := r.send(t, "/sign-in", nil, token(operator))
	c := given(a)["__Host-signoff"]
	if c == nil || !c.Secure || given(a)["signoff"] != nil {
		t.Fatalf("cookies %v", given(a))
	}
	if _, s := r.look(t, "GET", "/", with(c)); s.Name != "alice" {
		t.Errorf("%+v", s)
	}
	if a, _ := r.look(t, "GET", "/", with(&http.Cookie{Name: "signoff", Value: c.Value})); a.status != 303 {
		t.Errorf("a cookie that anybody beside us could have set lets in: %d", a.status)
	}
}

// What goes over the wire in the clear could be read by anybody on the way.
func TestNobodySignsInInTheClear(t *testing.T) {
	r := open(t, withPages(setup{}))
	r.staying()
	c := r.enter(t, token(operator))
	for host, fine := range map[string]bool{"localhost:9090": true, "signoff.localhost": true, "127.8.9.1": true, "[::1]:9090": true,
		"signoff.example.com": false, "10.0.0.1:9090": false, "localhost.example.com": false, "127.0.0.1.example.com": false, "[fd00::1]:9090": false} {
		ask := func(method, body string, header http.Header) *http.Response {
			req, err := http.NewRequestWithContext(t.Context(), method, r.url+"/sign-in", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Host, req.Header = host, header
			if method == "GET" {
				req.URL.Path = "/"
			}
			resp, err := r.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			return resp
		}
		form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		resp := ask("POST", token(operator).Encode()+"&next=/holds", form)
		if to := resp.Header.Get("Location"); (to == "/holds") != fine || !fine && to != "/sign-in?next=%2Fholds&why=needs_https" {
			t.Errorf("%s: on to %q", host, to)
		}
		if got := len(resp.Cookies()) > 0; got != fine {
			t.Errorf("%s: a cookie: %v", host, got)
		}
		if resp := ask("GET", "", with(c)); (resp.StatusCode == 200) != fine {
			t.Errorf("%s: with a cookie %d", host, resp.StatusCode)
		}
	}
}

func TestSigningInLeadsBackToThePage(t *testing.T) {
	r := open(t, withPages(setup{}))
	r.staying()
	for next, want := range map[string]string{"/leavers?state=held": "/leavers?state=held", "//evil.example.com": "/", "https://evil.example.com": "/"} {
		form := token(operator)
		form.Set("next", next)
		if a := r.send(t, "/sign-in", nil, form); a.header.Get("Location") != want {
			t.Errorf("%s: on to %q, want %q", next, a.header.Get("Location"), want)
		}
		form.Set("token", "guessed")
		to, err := url.Parse(r.send(t, "/sign-in", nil, form).header.Get("Location"))
		if err != nil || to.Host != "" || to.Path != "/sign-in" || to.Query().Get("why") != "wrong" || cmp.Or(to.Query().Get("next"), "/") != want {
			t.Errorf("%s: back to %v, %v", next, to, err)
		}
	}
}

func TestSessionsEndWithWhatTheyWereBegunBy(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string // of the tokens file from then on
		web   string
		token bool // the session was begun by one; else by a password
		want  string
	}{
		"nothing changes":         {[]string{"alice:operator:" + hashOf(operator)}, ann, true, "alice operator"},
		"another order":           {[]string{"eve:viewer:" + hashOf("eve"), "alice:operator:" + hashOf(operator)}, ann, true, "alice operator"},
		"another name":            {[]string{"alice b:operator:" + hashOf(operator)}, ann, true, "alice b operator"},
		"the token is gone":       {[]string{"bob:viewer:" + hashOf(viewer)}, ann, true, ""},
		"the role is another":     {[]string{"alice:viewer:" + hashOf(operator)}, ann, true, ""},
		"another token of theirs": {[]string{"alice:operator:" + hashOf("another")}, ann, true, ""},
		"all tokens are gone":     {nil, ann, true, ""},
		"a password, as it was":   {nil, ann, false, "ann viewer"},
		"the password is another": {nil, "basic_auth_users:\n  ann: " + hashed("another") + "\n", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, withPages(setup{web: ann}))
			r.staying()
			form := password("ann", annsPassword)
			if c.token {
				form = token(operator)
			}
			cookie := r.enter(t, form)
			r.setTokens(t, c.lines...)
			if c.web != ann {
				r.setWeb(t, c.web)
				r.awaitLog(t, "was read anew")
			}
			a, s := r.look(t, "GET", "/holds", with(cookie))
			if got := strings.TrimSpace(s.Name + " " + s.Role); got != c.want {
				t.Errorf("%d: %q, want %q", a.status, got, c.want)
			}
			if api := r.askAs(t, "GET", "/api/v1/holds", with(cookie), ""); (api.status == 200) != (c.want != "") {
				t.Errorf("the API: %d", api.status)
			}
			if c.want != "" {
				return
			}
			if a.header.Get("Location") != "/sign-in?next=%2Fholds&why=expired" || given(a)["signoff"] == nil || given(a)["signoff"].MaxAge >= 0 {
				t.Errorf("to %q with %v", a.header.Get("Location"), given(a))
			}
			r.setTokens(t, "alice:operator:"+hashOf(operator)) // what has ended stays so
			if a, _ := r.look(t, "GET", "/holds", with(cookie)); c.token && a.status != 303 {
				t.Errorf("it is back: %d", a.status)
			}
		})
	}
}

func (r *room) awaitLog(t *testing.T, text string) {
	t.Helper()
	for range 200 {
		if strings.Contains(fmt.Sprint(r.logs.All()), text) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the log does not say %q", text)
}

// A file that cannot be read for a moment ends no session.
func TestSessionsOutliveAFaultOfTheFile(t *testing.T) {
	r := open(t, withPages(setup{}))
	r.staying()
	c := r.enter(t, token(operator))
	r.setTokens(t, "no line of a tokens file")
	if a, s := r.look(t, "GET", "/holds", with(c)); a.status != 500 || s.Fault == nil {
		t.Errorf("%d %+v", a.status, s)
	}
	if a := r.send(t, "/sign-in", nil, token(operator)); a.status != 500 {
		t.Errorf("%d", a.status)
	}
	r.setTokens(t, "alice:operator:"+hashOf(operator))
	if _, s := r.look(t, "GET", "/holds", with(c)); s.Name != "alice" {
		t.Errorf("%+v", s)
	}
}

func TestSecretsOfSessionsAreNew(t *testing.T) {
	r := open(t, withPages(setup{}))
	r.staying()
	planted := &http.Cookie{Name: "signoff", Value: strings.Repeat("a", 43)}
	a := r.send(t, "/sign-in", with(planted), token(operator))
	if c := given(a)["signoff"]; c == nil || c.Value == planted.Value {
		t.Fatalf("the browser's own value is taken: %v", c)
	}
	if a, _ := r.look(t, "GET", "/", with(planted)); a.status != 303 {
		t.Errorf("what was planted lets in: %d", a.status)
	}
	first := given(a)["signoff"]
	second := given(r.send(t, "/sign-in", with(first), token(viewer)))["signoff"]
	if second == nil || second.Value == first.Value {
		t.Fatal("the secret stays the same")
	}
	if a, _ := r.look(t, "GET", "/", with(first)); a.status != 303 {
		t.Errorf("the session before goes on: %d", a.status)
	}
	if _, s := r.look(t, "GET", "/", with(second)); s.Name != "bob" {
		t.Errorf("%+v", s)
	}
}

func TestSigningOut(t *testing.T) {
	r := open(t, withPages(setup{}))
	r.staying()
	c := r.enter(t, token(operator))
	header := with(c)
	header.Set("Sec-Fetch-Site", "cross-site")
	if a, s := r.look(t, "POST", "/sign-out", header); a.status != 403 || s.Fault == nil {
		t.Errorf("another origin signs out: %d", a.status)
	}
	a := r.send(t, "/sign-out", with(c), nil)
	if gone := given(a)["signoff"]; a.status != 303 || a.header.Get("Location") != "/sign-in?why=signed_out" || gone == nil || gone.MaxAge >= 0 || gone.Value != "" {
		t.Errorf("%d to %q with %v", a.status, a.header.Get("Location"), gone)
	}
	if a, _ := r.look(t, "GET", "/", with(c)); a.status != 303 {
		t.Errorf("the session goes on: %d", a.status)
	}
	if a := r.send(t, "/sign-out", nil, nil); a.status != 303 {
		t.Errorf("nobody signs out: %d", a.status)
	}
	said := fmt.Sprint(r.logs.FilterMessage("somebody has signed out").All())
	if strings.Count(said, "alice") != 1 || strings.Contains(said, c.Value) {
		t.Errorf("the log says %s", said)
	}
}

func TestWhoIsSignedInIsSoWhereSomethingIsWrong(t *testing.T) {
	r := open(t, withPages(setup{}))
	r.staying()
	c := r.enter(t, token(operator))
	if a, s := r.look(t, "GET", "/panic", with(c)); a.status != 500 || s.Fault == nil || s.Name != "alice" {
		t.Errorf("%d %+v", a.status, s)
	}
	if a, s := r.look(t, "GET", "/panic", with(&http.Cookie{Name: "signoff", Value: "guessed"})); a.status != 303 || s.Name != "" {
		t.Errorf("%d %+v", a.status, s)
	}
}

// A session is a credential of the API, too, for what a page links to or listens to.
func TestTheAPIBySession(t *testing.T) {
	r := open(t, withPages(setup{web: ann}))
	r.staying()
	id := r.hold(t, ledger.Limit, "zoe")
	looks, decides := r.enter(t, password("ann", annsPassword)), r.enter(t, token(operator))
	json := func(c *http.Cookie, site string) http.Header {
		header := with(c)
		header.Set("Content-Type", "application/json")
		header.Set("Sec-Fetch-Site", site)
		return header
	}
	if a := r.askAs(t, "GET", "/api/v1/holds", with(looks), ""); a.status != 200 || !strings.Contains(a.body, "zoe@example.com") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := r.askAs(t, "POST", holdPath(id)+"/approve", json(looks, "same-origin"), r.word(t, id)); a.status != 403 || !strings.Contains(a.body, "only look") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := r.askAs(t, "POST", holdPath(id)+"/approve", json(decides, "cross-site"), r.word(t, id)); a.status != 403 || !strings.Contains(a.body, "another origin") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := r.askAs(t, "POST", holdPath(id)+"/approve", json(decides, "same-origin"), r.word(t, id)); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if h, err := r.ledger.Hold(t.Context(), id); err != nil || h.DecidedBy != "alice" {
		t.Errorf("decided by %q, %v", h.DecidedBy, err)
	}
	// A browser that was asked for a password once sends it with everything.
	header := with(decides)
	header.Set("Authorization", basic("ann", annsPassword).Get("Authorization"))
	if _, s := r.look(t, "GET", "/", header); s.Name != "alice" {
		t.Errorf("%+v", s)
	}
	script := http.Header{"Sec-Fetch-Site": {"same-origin"}}
	if a := r.askAs(t, "GET", "/api/v1/holds", script, ""); a.status != 401 || strings.Contains(fmt.Sprint(a.header.Values("WWW-Authenticate")), "Basic") {
		t.Errorf("%d: a browser is made to ask for a password: %v", a.status, a.header)
	}
}

func TestSigningInIsLimited(t *testing.T) {
	r := open(t, withPages(setup{web: ann}))
	r.staying()
	words := make(map[string]int)
	for i := range 30 {
		form := token(fmt.Sprint("guess", i))
		if i%2 == 0 {
			form = password("ann", fmt.Sprint("guess", i))
		}
		words[r.send(t, "/sign-in", nil, form).header.Get("Location")]++
	}
	wrong, many := words["/sign-in?why=wrong"], words["/sign-in?why=too_many"]
	if wrong < 10 || many == 0 || wrong+many != 30 {
		t.Errorf("%v, want some that are not looked at", words)
	}
	if n := r.logs.FilterMessage("a sign-in was refused").Len(); n == 0 || n == 30 {
		t.Errorf("%d lines in the log", n)
	}
}

func TestFormsThatAreNone(t *testing.T) {
	r := open(t, withPages(setup{}))
	r.staying()
	for name, c := range map[string]struct {
		body   string
		kind   string
		status int
	}{
		"too large":     {"token=" + strings.Repeat("x", 1<<15), "application/x-www-form-urlencoded", 413},
		"badly escaped": {"token=%zz", "application/x-www-form-urlencoded", 400},
		"JSON":          {`{"token": "` + operator + `"}`, "application/json", 303},
	} {
		a := r.askAs(t, "POST", "/sign-in", http.Header{"Content-Type": {c.kind}}, c.body)
		if a.status != c.status || len(given(a)) > 0 {
			t.Errorf("%s: %d %v, want %d", name, a.status, given(a), c.status)
		}
	}
	if a := r.askAs(t, "POST", "/sign-in?token="+operator, http.Header{}, ""); len(given(a)) > 0 {
		t.Error("a token in a URL, which ends up in logs, signs in")
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {"https://evil.example.com"}}
	if a := r.askAs(t, "POST", "/sign-in", header, token(operator).Encode()); a.status != 403 || len(given(a)) > 0 {
		t.Errorf("a page of another origin signs somebody in: %d", a.status)
	}
}
