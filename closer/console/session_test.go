package console

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

func TestSessionsEnd(t *testing.T) {
	const byHand, byItself = true, false
	for name, c := range map[string]struct {
		every  time.Duration // something is asked for
		byHand bool
		last   time.Duration // when it was good for the last time
	}{
		"left alone":                      {2 * time.Hour, byHand, 0},
		"in use":                          {30 * time.Minute, byHand, 8*time.Hour - 30*time.Minute},
		"a page is left open":             {30 * time.Second, byItself, time.Hour - 30*time.Second},
		"now and then":                    {time.Hour, byHand, 0},
		"just often enough":               {time.Hour - time.Second, byHand, 8 * (time.Hour - time.Second)},
		"a page that is left open longer": {59 * time.Minute, byItself, 59 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSessions(8 * time.Hour)
				begun := time.Now()
				secret := s.begin(session{who: principal{name: "ann"}}, begun)
				var last time.Duration
				for {
					time.Sleep(c.every)
					if in, ok := s.find(secret, c.byHand, time.Now()); !ok || in.who.name != "ann" {
						break
					}
					last = time.Since(begun)
				}
				if last != c.last || len(s.all) != 0 {
					t.Errorf("good until %v, want %v; %d are left", last, c.last, len(s.all))
				}
			})
		})
	}
}

func TestSessionsDoNotFillTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(8 * time.Hour)
		first := s.begin(session{}, time.Now())
		second := s.begin(session{}, time.Now())
		for range 2 * mostSessions {
			time.Sleep(time.Second)
			s.begin(session{}, time.Now())
			s.find(first, true, time.Now())
		}
		if len(s.all) != mostSessions {
			t.Errorf("there are %d, want %d", len(s.all), mostSessions)
		}
		if _, ok := s.find(first, true, time.Now()); !ok {
			t.Error("one that is in use is gone")
		}
		if _, ok := s.find(second, true, time.Now()); ok {
			t.Error("the one that was not is still there")
		}
		time.Sleep(2 * time.Hour)
		if s.begin(session{}, time.Now()); len(s.all) != 1 {
			t.Errorf("%d are left after two hours, want 1", len(s.all))
		}
		for key := range s.all {
			if key == [sha256.Size]byte([]byte(first)[:sha256.Size]) {
				t.Error("the secret itself is kept")
			}
		}
	})
}

// withTokens is a listener without a socket, that takes a token, and has pages.
func withTokens(t *testing.T) http.Handler {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, fmt.Appendf(nil, "ann:operator:%x", sha256.Sum256([]byte("right"))), 0o600); err != nil {
		t.Fatal(err)
	}
	tries := newTries(zap.NewNop())
	s := &Server{cfg: Config{TokensFile: file}, log: zap.NewNop(), web: &keptWeb{inForce: &webFile{}}, tries: tries, passwords: newPasswords(tries),
		sessions: newSessions(8 * time.Hour), refusals: newRefusals()}
	s.daemon.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := FaultOf(r.Context()); f != nil {
			w.WriteHeader(f.Status)
		}
		fmt.Fprint(w, VisitorOf(r.Context()).Name, " ", time.Until(VisitorOf(r.Context()).Until))
	})
	return s.handler()
}

// asks asks a handler as a browser on this machine would.
func asks(t *testing.T, handler http.Handler) func(method, path, body string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	return func(method, path, body string, header http.Header) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost"+path, strings.NewReader(body))
		r.Header, r.RemoteAddr = header, "127.0.0.1:50000"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
}

func form() http.Header { return http.Header{"Content-Type": {"application/x-www-form-urlencoded"}} }

// Behind a proxy all come from one address: who guesses there keeps nobody out who has a
// token.
func TestTokensAreTriedAFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask := asks(t, withTokens(t))
		try := func(what, token, want string) {
			t.Helper()
			if to := ask("POST", "/sign-in", "token="+token, form()).Header().Get("Location"); to != want {
				t.Errorf("%s: to %s, want %s", what, to, want)
			}
		}
		const wrong, tooMany = "/sign-in?why=wrong", "/sign-in?why=too_many"
		for i := range triesAtOnce {
			try("the right one", "right", "/") // which is not counted
			try("a guess", fmt.Sprint("guess", i), wrong)
		}
		try("one guess more", "guess", tooMany)
		try("the right one after guesses", "right", "/")
		try("no token", "", tooMany)
		w := ask("GET", "/holds", "", http.Header{"Authorization": {"Bearer right"}})
		if w.Code != 200 {
			t.Errorf("a command is kept out by who guesses: %d", w.Code)
		}
		time.Sleep(tryAgainAfter)
		try("after a while", "guess", wrong)
		try("and at once again", "guess", tooMany)
		try("the right one at last", "right", "/")
	})
}

func TestPagesEndWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask := asks(t, withTokens(t))
		in := ask("POST", "/sign-in", "token=right", form())
		secret, _, _ := strings.Cut(in.Header().Get("Set-Cookie"), ";")
		byHand := http.Header{"Cookie": {secret}}
		live := http.Header{"Cookie": {secret}, "Signoff-Live": {"1"}}
		expect := func(header http.Header, status int, body string) {
			t.Helper()
			if w := ask("GET", "/holds", "", header); w.Code != status || body != "" && w.Body.String() != body {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, body)
			}
		}
		expect(byHand, 200, "ann 1h0m0s")
		time.Sleep(40 * time.Minute)
		expect(live, 200, "ann 20m0s")
		expect(byHand, 200, "ann 1h0m0s")
		for range 10 {
			time.Sleep(45 * time.Minute)
			ask("GET", "/holds", "", byHand)
		}
		expect(byHand, 303, "")
		in = ask("POST", "/sign-in", "token=right", form())
		secret, _, _ = strings.Cut(in.Header().Get("Set-Cookie"), ";")
		live.Set("Cookie", secret)
		for range 59 {
			time.Sleep(time.Minute)
			expect(live, 200, "")
			ask("GET", livePath, "", http.Header{"Cookie": {secret}})
		}
		time.Sleep(time.Minute)
		expect(live, 401, "")
	})
}

func TestASessionByPasswordIsGoodForItsHash(t *testing.T) {
	before := usersOf(t, map[string]string{"ann": "right", "ben": "right"})
	hash := before.config.Users["ann"]
	another := usersOf(t, map[string]string{"ben": "right"})
	another.config.Users["ben"] = hash
	in := session{who: principal{name: "ann", role: viewer, byPassword: true}, way: byPassword, hash: string(hash)}
	for name, c := range map[string]struct {
		users *webFile
		want  bool
	}{
		"as it was":            {before, true},
		"hashed anew":          {usersOf(t, map[string]string{"ann": "right"}), false},
		"the user is gone":     {usersOf(t, map[string]string{"ben": "right"}), false},
		"there are none":       {&webFile{}, false},
		"somebody else has it": {another, false},
	} {
		if _, ok, err := (&Server{}).stillIn(in, c.users); err != nil || ok != c.want {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	if _, ok, _ := (&Server{}).stillIn(session{way: byOIDC}, before); ok {
		t.Error("one by OIDC is good where that is not configured")
	}
	if _, ok, _ := (&Server{}).stillIn(session{}, before); ok {
		t.Error("one by nothing is good")
	}
}

// What goes on for as long as a page is open is asked for anew from time to time.
func TestTheStreamEndsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := newTries(zap.NewNop())
		users := usersOf(t, map[string]string{"ann": "right"})
		s := &Server{log: zap.NewNop(), web: &keptWeb{inForce: users}, tries: tries, passwords: newPasswords(tries), sessions: newSessions(8 * time.Hour)}
		secret := s.sessions.begin(session{who: principal{name: "ann", role: viewer}, way: byPassword, hash: string(users.config.Users["ann"])}, time.Now())
		begun := time.Now()
		serve := s.may(viewer, func(_ http.ResponseWriter, r *http.Request, _ principal) { <-r.Context().Done() })
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost"+livePath, nil)
		r.RemoteAddr = "127.0.0.1:50000"
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: secret})
		serve(httptest.NewRecorder(), r)
		if open := time.Since(begun); open != idleAtMost {
			t.Errorf("it was open for %v, want %v", open, idleAtMost)
		}
		w := httptest.NewRecorder()
		if serve(w, r); w.Code != 401 {
			t.Errorf("and then %d", w.Code)
		}
	})
}

// The name by which we are asked may be a proxy's word.
func TestWhoMayBeGivenACookie(t *testing.T) {
	const here, there = "127.0.0.1:50000", "10.0.0.7:50000"
	for name, c := range map[string]struct {
		host, from string
		header     http.Header
		want       bool
	}{
		"a browser here":                         {"localhost:9090", here, nil, true},
		"by address":                             {"127.0.0.1:9090", here, nil, true},
		"by IPv6":                                {"[::1]:9090", "[::1]:50000", nil, true},
		"by IPv4 in IPv6":                        {"localhost:9090", "[::ffff:127.0.0.1]:50000", nil, true},
		"kubectl port-forward to a pod":          {"localhost:18080", here, nil, true},
		"a name that is not this machine":        {"signoff.example.com", here, nil, false},
		"through a container's bridge":           {"localhost:9090", "172.17.0.1:50000", nil, true},
		"nginx, that says for whom":              {"127.0.0.1:9090", here, http.Header{"X-Forwarded-For": {"10.0.0.7"}}, false},
		"nginx, that says whose address":         {"127.0.0.1:9090", here, http.Header{"X-Real-Ip": {"10.0.0.7"}}, false},
		"nginx, that says by which name":         {"127.0.0.1:9090", here, http.Header{"X-Forwarded-Host": {"signoff.example.com"}}, false},
		"a proxy by RFC 7239":                    {"127.0.0.1:9090", here, http.Header{"Forwarded": {"for=10.0.0.7;proto=http"}}, false},
		"a proxy by RFC 9110":                    {"127.0.0.1:9090", here, http.Header{"Via": {"1.1 proxy"}}, false},
		"a proxy that says nothing of its trace": {"127.0.0.1:9090", here, http.Header{"X-Forwarded-For": {""}}, false},
		"a proxy that is spoken http to":         {"127.0.0.1:9090", here, http.Header{"X-Forwarded-Proto": {"http"}}, false},
		"a proxy that ends TLS":                  {"signoff.example.com", there, http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"10.0.0.8"}}, true},
		"a proxy here that ends TLS":             {"127.0.0.1:9090", here, http.Header{"X-Forwarded-Proto": {"https"}, "X-Real-Ip": {"10.0.0.8"}}, true},
	} {
		r := &http.Request{Host: c.host, RemoteAddr: c.from, Header: c.header}
		if got := keepsCookies(r); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

func TestWhereAFormMayLead(t *testing.T) {
	for next, want := range map[string]string{
		"/":                                  "/",
		"":                                   "/",
		"/leavers?state=held&state=due":      "/leavers?state=held&state=due",
		"/holds/17#plan":                     "/holds/17#plan",
		"/leavers?next=//evil.example.com":   "/leavers?next=//evil.example.com",
		"//evil.example.com":                 "/",
		"///evil.example.com":                "/",
		"/\\evil.example.com":                "/",
		"\\\\evil.example.com":               "/",
		"/holds\\..\\..":                     "/",
		"/\t/evil.example.com":               "/",
		"/\n/evil.example.com":               "/",
		"/holds\r\nSet-Cookie: signoff=x":    "/",
		"/\x00/evil.example.com":             "/",
		"/\u0085/evil.example.com":           "/",
		"\t//evil.example.com":               "/",
		" //evil.example.com":                "/",
		"https://evil.example.com":           "/",
		"https:evil.example.com":             "/",
		"HTTPS://evil.example.com":           "/",
		"http://127.0.0.1/":                  "/",
		"javascript:alert(1)":                "/",
		"data:text/html,x":                   "/",
		"evil.example.com":                   "/",
		"@evil.example.com":                  "/",
		":80":                                "/",
		"?x":                                 "/",
		"#x":                                 "/",
		".":                                  "/",
		"..//evil.example.com":               "/",
		"/%2Fevil.example.com":               "/",
		"/%2f%2fevil.example.com":            "/",
		"/%5Cevil.example.com":               "/%5Cevil.example.com",
		"/%":                                 "/",
		"/\xff":                              "/",
		"/sign-in":                           "/",
		"/sign-in?next=/sign-in":             "/",
		"/sign-in/oidc":                      "/",
		"/sign-out":                          "/",
		"/" + strings.Repeat("x", 1999):      "/" + strings.Repeat("x", 1999),
		"/" + strings.Repeat("x", 2000):      "/",
		"/holds?q=" + url.QueryEscape("a b"): "/holds?q=a+b",
	} {
		got := localPath(next)
		if got != want {
			t.Errorf("%.60q: to %q, want %q", next, got, want)
		}
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequestWithContext(t.Context(), "POST", "/sign-in", nil), got, http.StatusSeeOther)
		to, err := url.Parse("https://signoff.example.com/sign-in")
		if err == nil {
			to, err = to.Parse(w.Header().Get("Location"))
		}
		if err != nil || to.Scheme != "https" || to.Host != "signoff.example.com" {
			t.Errorf("%.60q: a browser goes to %v, %v", next, to, err)
		}
	}
}

func TestNamesThatTheLogHas(t *testing.T) {
	for name, want := range map[string]string{"ana": "ana", "ana@example.com": "ana", "": "nobody", "@": "nobody"} {
		if got := (principal{name: name}).said(); got != want {
			t.Errorf("%q is called %q, want %q", name, got, want)
		}
	}
}
