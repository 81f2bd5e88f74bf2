package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/console/oidctest"
	"signoff/closer/ledger"
)

// home is how browsers call the room where the issuer sends them back to it.
const home = "http://signoff.localhost"

func TestSigningInByOIDC(t *testing.T) {
	for name, c := range map[string]struct {
		person oidctest.Person
		change func(*console.OIDC)
		wrong  oidctest.Wrong
		who    string
	}{
		"an operator":       {ana(), nil, oidctest.Wrong{}, "ana@example.com operator"},
		"a viewer":          {oidctest.Person{Subject: "2", Email: "vera@example.com", Groups: []string{"all"}}, nil, oidctest.Wrong{}, "vera@example.com viewer"},
		"by another name":   {ana(), func(o *console.OIDC) { o.NameClaim = "name" }, oidctest.Wrong{}, "Ana Silva operator"},
		"a name of nothing": {ana(), func(o *console.OIDC) { o.NameClaim = "nick" }, oidctest.Wrong{Claims: set("nick", " \t")}, "ana@example.com operator"},
		"a name in which something is odd": {ana(), func(o *console.OIDC) { o.NameClaim = "nick" }, oidctest.Wrong{Claims: set("nick", "ana\nbob")},
			"ana@example.com operator"},
		"a role that is a text": {ana(), func(o *console.OIDC) { o.RolesClaim = "role" }, oidctest.Wrong{Claims: set("role", "leads")}, "ana@example.com operator"},
		"a role within": {ana(), func(o *console.OIDC) { o.RolesClaim = "resource_access.a.client.roles" },
			oidctest.Wrong{Claims: set("resource_access", map[string]any{"a.client": map[string]any{"roles": []any{7, "leads"}}})}, "ana@example.com operator"},
		"a claim whose name has dots": {ana(), func(o *console.OIDC) { o.RolesClaim = "https://example.com/roles" },
			oidctest.Wrong{Claims: set("https://example.com/roles", []string{"all"})}, "ana@example.com viewer"},
		"what userinfo alone says":       {ana(), nil, oidctest.Wrong{Thin: true}, "ana@example.com operator"},
		"verified, as a text":            {ana(), nil, oidctest.Wrong{Claims: set("email_verified", "true")}, "ana@example.com operator"},
		"nothing is said of that":        {ana(), nil, oidctest.Wrong{Claims: set("email_verified", nil)}, "ana@example.com operator"},
		"for several clients":            {ana(), nil, oidctest.Wrong{Claims: func(c map[string]any) { c["aud"], c["azp"] = []string{"b", "a-client"}, "a-client" }}, "ana@example.com operator"},
		"a secret in the body":           {ana(), nil, oidctest.Wrong{Described: set("token_endpoint_auth_methods_supported", []string{"client_secret_post"})}, "ana@example.com operator"},
		"the issuer says that it is it":  {ana(), nil, oidctest.Wrong{By: "itself"}, "ana@example.com operator"},
		"a page that is left out of all": {ana(), func(o *console.OIDC) { o.Viewers = nil }, oidctest.Wrong{}, "ana@example.com operator"},
	} {
		t.Run(name, func(t *testing.T) {
			r := issue(t, c.person, setup{}, c.change)
			if c.wrong.By != "" {
				c.wrong.By = r.issuer.URL
			}
			if claims := c.wrong.Claims; claims != nil && name == "nothing is said of that" {
				c.wrong.Claims = func(all map[string]any) { delete(all, "email_verified") }
			}
			r.issuer.Change(c.wrong)
			b := r.browser(t)
			at, s := b.visit(t, "/sign-in/oidc?next=/holds%3Fstate=open")
			if at.String() != home+"/holds?state=open" || s.Name+" "+s.Role != c.who || !s.Known || s.Ways.OIDC != "Single sign-on" {
				t.Fatalf("at %s: %+v, want %s; %s", at, s, c.who, r.said())
			}
			if left := time.Until(s.Until); left < 59*time.Minute || left > time.Hour {
				t.Errorf("until %v", s.Until)
			}
			here, _ := url.Parse(home)
			if cookies := b.jar.Cookies(here); len(cookies) != 1 || cookies[0].Name != "signoff" {
				t.Errorf("the browser is left with %v", cookies)
			}
			if log := r.said(); strings.Contains(log, "@") || strings.Contains(log, "s3cret") || !strings.Contains(log, "somebody has signed in") {
				t.Errorf("the log says %s", log)
			}
		})
	}
}

func set(name string, value any) func(map[string]any) {
	return func(all map[string]any) { all[name] = value }
}

func TestWhomOIDCDoesNotLetIn(t *testing.T) {
	for name, c := range map[string]struct {
		wrong oidctest.Wrong
		why   string
	}{
		"another nonce":              {oidctest.Wrong{Nonce: "another"}, "oidc_refused"},
		"no nonce":                   {oidctest.Wrong{Claims: set("nonce", "")}, "oidc_refused"},
		"another client's":           {oidctest.Wrong{Claims: set("aud", "b")}, "oidc_refused"},
		"made for another client":    {oidctest.Wrong{Claims: func(c map[string]any) { c["aud"], c["azp"] = []string{"a-client", "b"}, "b" }}, "oidc_refused"},
		"for several, made for none": {oidctest.Wrong{Claims: set("aud", []string{"a-client", "b"})}, "oidc_refused"},
		"of another issuer":          {oidctest.Wrong{Claims: set("iss", "https://evil.example.com")}, "oidc_refused"},
		"expired":                    {oidctest.Wrong{Claims: set("exp", time.Now().Add(-time.Minute).Unix())}, "oidc_refused"},
		"never expires":              {oidctest.Wrong{Claims: func(c map[string]any) { delete(c, "exp") }}, "oidc_refused"},
		"not yet":                    {oidctest.Wrong{Claims: set("nbf", time.Now().Add(time.Hour).Unix())}, "oidc_refused"},
		"a signature of nobody's":    {oidctest.Wrong{Signature: true}, "oidc_refused"},
		"signed by our own secret":   {oidctest.Wrong{Secret: true}, "oidc_refused"},
		"signed by our own secret, as the issuer says": {oidctest.Wrong{Secret: true, Described: set("id_token_signing_alg_values_supported", []string{"HS256", "RS256"})},
			"oidc_refused"},
		"not signed":                     {oidctest.Wrong{Unsigned: true}, "oidc_refused"},
		"not signed, as the issuer says": {oidctest.Wrong{Unsigned: true, Described: set("id_token_signing_alg_values_supported", []string{"none"})}, "oidc_refused"},
		"no ID token":                    {oidctest.Wrong{NoIDToken: true}, "oidc_refused"},
		"the person said no":             {oidctest.Wrong{Denies: "access_denied"}, "oidc_refused"},
		"an error of no form":            {oidctest.Wrong{Denies: "ana@example.com said no"}, "oidc_refused"},
		"another issuer answers":         {oidctest.Wrong{By: "https://evil.example.com"}, "oidc_refused"},
		"userinfo of somebody else":      {oidctest.Wrong{Thin: true, Other: true}, "oidc_refused"},
		"userinfo is away":               {oidctest.Wrong{Thin: true, Away: "/userinfo"}, "oidc_away"},
		"it cannot now":                  {oidctest.Wrong{Denies: "temporarily_unavailable"}, "oidc_away"},
		"it is away":                     {oidctest.Wrong{Away: "*"}, "oidc_away"},
		"where codes are changed it is":  {oidctest.Wrong{Away: "/token"}, "oidc_away"},
		"it is called otherwise":         {oidctest.Wrong{Described: set("issuer", "https://evil.example.com")}, "oidc_away"},
		"a secret would go in the clear": {oidctest.Wrong{Described: set("token_endpoint", "http://evil.example.com/token")}, "oidc_away"},
		"so would keys":                  {oidctest.Wrong{Described: set("jwks_uri", "http://evil.example.com/keys")}, "oidc_away"},
		"a script in place of a page":    {oidctest.Wrong{Described: set("authorization_endpoint", "javascript:alert(1)")}, "oidc_away"},
		"no keys":                        {oidctest.Wrong{Away: "/keys"}, "oidc_refused"},
		"no email":                       {oidctest.Wrong{Claims: set("email", "")}, "oidc_no_email"},
		"an email that is none":          {oidctest.Wrong{Claims: set("email", "ana")}, "oidc_no_email"},
		"one that is not a text":         {oidctest.Wrong{Claims: set("email", []string{"ana@example.com"})}, "oidc_no_email"},
		"one that nobody has verified":   {oidctest.Wrong{Claims: set("email_verified", false)}, "oidc_no_email"},
		"said as a text":                 {oidctest.Wrong{Claims: set("email_verified", "false")}, "oidc_no_email"},
		"neither viewer nor operator":    {oidctest.Wrong{Claims: set("groups", []string{"sales", "LEADS", "leads "})}, "oidc_no_role"},
		"no groups":                      {oidctest.Wrong{Claims: set("groups", []string{})}, "oidc_no_role"},
		"groups of no form":              {oidctest.Wrong{Claims: set("groups", map[string]any{"leads": true})}, "oidc_no_role"},
	} {
		t.Run(name, func(t *testing.T) {
			r := issue(t, ana(), setup{}, nil)
			r.issuer.Change(c.wrong)
			b := r.browser(t)
			at, s := b.visit(t, "/sign-in/oidc?next=/holds")
			if at.Path != "/sign-in" || at.Query().Get("why") != c.why || at.Query().Get("next") != "/holds" || s.Name != "" || s.Status != 401 {
				t.Errorf("at %s: %+v, want why=%s; %s", at, s, c.why, r.said())
			}
			here, _ := url.Parse(home)
			for _, c := range b.jar.Cookies(here) {
				if c.Name == "signoff" {
					t.Errorf("there is a session")
				}
			}
			if log := r.said(); strings.Contains(log, "@") || strings.Contains(log, "s3cret") || !strings.Contains(log, c.why) {
				t.Errorf("the log says %s", log)
			}
		})
	}
}

func TestASignInIsGoodOnceAndInItsBrowser(t *testing.T) {
	r := issue(t, ana(), setup{}, nil)
	mine, other := r.browser(t), r.browser(t)
	back := mine.until(t, "/sign-in/oidc?next=/holds", "/sign-in/callback")
	if !strings.Contains(back, "code=") {
		t.Fatalf("sent to %q", back)
	}
	// Whoever has begun to sign in must not have somebody else finish it.
	if at, s := other.visit(t, back); at.Query().Get("why") != "expired" || s.Name != "" {
		t.Errorf("another browser without a cookie: at %s: %+v", at, s)
	}
	other.until(t, "/sign-in/oidc", "/sign-in/callback")
	if at, s := other.visit(t, back); at.Query().Get("why") != "expired" || s.Name != "" {
		t.Errorf("another browser with its own: at %s: %+v", at, s)
	}
	mine.CheckRedirect = nil
	if at, s := mine.visit(t, back); at.Path != "/holds" || s.Name != "ana@example.com" {
		t.Fatalf("at %s: %+v; %s", at, s, r.said())
	}
	if at, _ := mine.visit(t, back); at.Query().Get("why") != "expired" {
		t.Errorf("the same again: at %s", at)
	}
	for _, path := range []string{"/sign-in/callback", "/sign-in/callback?state=&code=x", "/sign-in/callback?state=guessed&code=x", "/sign-in/callback?error=x"} {
		if at, _ := r.browser(t).visit(t, path); at.Query().Get("why") != "expired" {
			t.Errorf("%s: at %s", path, at)
		}
	}
	if n := r.issuer.Asked("/token"); n != 1 {
		t.Errorf("%d codes were tried", n)
	}
}

// The issuer sends browsers to the host of redirect_url, whatever they call us.
func TestSigningInBeginsWhereItEnds(t *testing.T) {
	r := issue(t, ana(), setup{}, nil)
	if at, s := r.browser(t).visit(t, r.url+"/sign-in/oidc?next=/holds"); at.String() != home+"/holds" || s.Name == "" {
		t.Errorf("at %s: %+v", at, s)
	}
	r.staying()
	a := r.askAs(t, "GET", "/sign-in/oidc?next=/holds", nil, "")
	if to := a.header.Get("Location"); to != home+"/sign-in/oidc?next=%2Fholds&sent=1" || len(given(a)) > 0 {
		t.Errorf("sent to %s with %v", to, given(a))
	}
	// A proxy that has us see another host than browsers do must not send them round and round.
	a = r.askAs(t, "GET", "/sign-in/oidc?next=/holds&sent=1", nil, "")
	if to := a.header.Get("Location"); !strings.HasPrefix(to, r.issuer.URL+"/authorize?") || given(a)["signoff-oidc"] == nil {
		t.Errorf("sent to %s with %v", to, given(a))
	}
	if c := given(a)["signoff-oidc"]; !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 600 || c.Path != "/" || len(c.Value) < 43 {
		t.Errorf("the cookie is %v", c)
	}
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || to.Query().Get("code_challenge_method") != "S256" || len(to.Query().Get("state")) < 43 || len(to.Query().Get("nonce")) < 43 || to.Query().Get("scope") != "openid profile email" {
		t.Errorf("asked for %v, %v", to, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/sign-in/oidc?sent=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "signoff.example.com"
	resp, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if to := resp.Header.Get("Location"); to != "/sign-in?why=needs_https" || len(resp.Cookies()) > 0 {
		t.Errorf("in the clear: sent to %s with %v", to, resp.Cookies())
	}
	a = r.askAs(t, "GET", "/sign-in/oidc?sent=1", http.Header{"X-Forwarded-Proto": {"https"}}, "")
	if c := given(a)["__Host-signoff-oidc"]; c == nil || !c.Secure {
		t.Errorf("over https the cookies are %v", given(a))
	}
}

// Somebody else's code, put in place of one's own, is of another sign-in.
func TestACodeIsGoodForItsSignIn(t *testing.T) {
	r := issue(t, ana(), setup{}, nil)
	mine, other := r.browser(t), r.browser(t)
	stolen, _ := url.Parse(mine.until(t, "/sign-in/oidc", "/sign-in/callback"))
	own, _ := url.Parse(other.until(t, "/sign-in/oidc", "/sign-in/callback"))
	q := own.Query()
	q.Set("code", stolen.Query().Get("code"))
	own.RawQuery = q.Encode()
	other.CheckRedirect = nil
	if at, s := other.visit(t, own.String()); at.Query().Get("why") != "oidc_refused" || s.Name != "" {
		t.Errorf("at %s: %+v", at, s)
	}
}

func TestEachComesInAsThemselves(t *testing.T) {
	r := issue(t, ana(), setup{}, nil)
	r.issuer.Asks = true
	r.issuer.People = append(r.issuer.People, oidctest.Person{Subject: "2", Email: "vera@example.com", Groups: []string{"all"}}, oidctest.Person{Subject: "3", Email: "nick@example.com"})
	for login, want := range map[string]string{"1": "ana@example.com operator", "2": "vera@example.com viewer", "3": " "} {
		b := r.browser(t)
		asked, _ := b.visit(t, "/sign-in/oidc")
		if !strings.HasPrefix(asked.String(), r.issuer.URL+"/authorize?") {
			t.Fatalf("at %s", asked)
		}
		at, s := b.visit(t, asked.String()+"&login="+login)
		if s.Name+" "+s.Role != want || want == " " && at.Query().Get("why") != "oidc_no_role" {
			t.Errorf("%s: at %s: %+v, want %s", login, at, s, want)
		}
	}
}

func TestTheIssuerComesBack(t *testing.T) {
	r := issue(t, ana(), setup{}, nil)
	r.issuer.Change(oidctest.Wrong{Away: "*"})
	for range 5 {
		if at, _ := r.browser(t).visit(t, "/sign-in/oidc"); at.Query().Get("why") != "oidc_away" {
			t.Fatalf("at %s", at)
		}
	}
	if n := r.issuer.Asked("/.well-known/openid-configuration"); n == 5 {
		t.Error("it is asked each time, while it is away")
	}
	r.staying()
	if c := r.enter(t, token(operator)); c.Value == "" { // others come in meanwhile
		t.Error("a token does not let in")
	}
	r.issuer.Change(oidctest.Wrong{})
	signsIn := func() bool {
		at, s := r.browser(t).visit(t, "/sign-in/oidc")
		return at.Path == "/" && s.Name == "ana@example.com"
	}
	for range 100 {
		if signsIn() {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !signsIn() {
		t.Fatalf("nobody signs in again: %s", r.said())
	}
	r.issuer.Rotate()
	if !signsIn() {
		t.Errorf("nobody does once it has other keys: %s", r.said())
	}
	if n := r.issuer.Asked("/.well-known/openid-configuration"); n > 10 {
		t.Errorf("it was asked %d times where its endpoints are", n)
	}
}

// The secret is read as it is by then.
func TestTheClientsSecret(t *testing.T) {
	r := issue(t, ana(), setup{}, nil)
	write := func(text string) {
		if err := os.WriteFile(r.cfg.ClientSecretFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("an-old-one")
	if at, _ := r.browser(t).visit(t, "/sign-in/oidc"); at.Query().Get("why") != "oidc_refused" {
		t.Errorf("at %s", at)
	}
	write("")
	if at, s := r.browser(t).visit(t, "/sign-in/oidc"); at.Path != "/sign-in/callback" || s.Fault == nil || s.Fault.Status != 500 || !strings.Contains(s.Fault.Detail, "client_secret_file") {
		t.Errorf("at %s: %+v", at, s.Fault)
	}
	write("s3cret-of-ours\n")
	if at, s := r.browser(t).visit(t, "/sign-in/oidc"); at.Path != "/" || s.Name == "" {
		t.Errorf("at %s", at)
	}
	if log := r.said(); strings.Contains(log, "s3cret") || strings.Contains(log, "an-old-one") || strings.Contains(log, "@") {
		t.Errorf("the log says %s", log)
	}
}

// With OIDC people can be told from each other, and so nobody else sees anything.
func TestOIDCAloneTellsPeopleApart(t *testing.T) {
	r := issue(t, ana(), setup{noTokens: true, anywhere: true}, nil)
	id := r.hold(t, ledger.Limit, "zoe")
	a := r.ask(t, "GET", "/api/v1/holds", "", "")
	if a.status != 401 || !strings.Contains(a.body, "a sign-in at /sign-in is needed") || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("the API: %d %v %s", a.status, a.header, a.body)
	}
	if a := r.ask(t, "GET", "/metrics", "", ""); a.status != 200 {
		t.Errorf("metrics: %d", a.status)
	}
	b := r.browser(t)
	if at, s := b.visit(t, "/holds"); at.Path != "/sign-in" || s.Ways != (console.Ways{OIDC: "Single sign-on"}) {
		t.Errorf("at %s: %+v", at, s)
	}
	if _, s := b.visit(t, "/sign-in/oidc?next=/holds"); !strings.Contains(fmt.Sprint(s.Holds), "zoe@example.com") {
		t.Errorf("%+v", s)
	}
	// A decision is in the name and with the email that the issuer tells.
	text, err := json.Marshal(r.verdict(t, id, "checked with HR"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", home+holdPath(id)+"/approve", strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if h, err := r.ledger.Hold(t.Context(), id); err != nil || resp.StatusCode != 200 || h.DecidedBy != "ana@example.com" {
		t.Errorf("%s: by %q, %v", resp.Status, h.DecidedBy, err)
	}
	if strings.Contains(r.said(), "@") {
		t.Errorf("the log has an address: %s", r.said())
	}
}

func TestNobodyDecidesAboutThemselvesByOIDC(t *testing.T) {
	r := issue(t, oidctest.Person{Subject: "3", Email: "Zoe@Example.com", Name: "Zoe", Groups: []string{"leads"}}, setup{}, func(o *console.OIDC) { o.NameClaim = "name" })
	id := r.hold(t, ledger.Limit, "zoe")
	b := r.browser(t)
	if _, s := b.visit(t, "/sign-in/oidc"); s.Name != "Zoe" {
		t.Fatalf("%+v", s)
	}
	here, _ := url.Parse(home)
	header := with(b.jar.Cookies(here)...)
	header.Set("Content-Type", "application/json")
	if a := r.askAs(t, "POST", holdPath(id)+"/approve", header, r.word(t, id)); a.status != 403 || !strings.Contains(a.body, "nobody decides about themselves") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
