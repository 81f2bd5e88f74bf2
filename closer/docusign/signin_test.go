package docusign

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const noUsers = `{"users":[],"totalSetSize":"0"}`

func TestAssertion(t *testing.T) {
	f := always(200, noUsers)
	var form map[string][]string
	var host, agent string
	f.signIn = func(_ int, req *http.Request) (*http.Response, error) {
		if err := req.ParseForm(); err != nil {
			t.Error(err)
		}
		form, host, agent = req.PostForm, req.URL.Host, req.Header.Get("User-Agent")
		return say(200, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`), nil
	}
	cfg := testConfig(t)
	cfg.UserAgent = "signoff/1.2.3"
	c, err := New(cfg, f, Observe{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.token(t.Context()); err != nil {
		t.Fatal(err)
	}
	if host != "account-d.docusign.com" || agent != "signoff/1.2.3" {
		t.Errorf("asked %s as %s", host, agent)
	}
	claims := jwt.MapClaims{}
	if _, err := jwt.ParseWithClaims(form["assertion"][0], claims, func(*jwt.Token) (any, error) { return &testKey().PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt()); err != nil {
		t.Fatalf("assertion: %v", err)
	}
	for claim, want := range map[string]string{
		"iss": cfg.IntegrationKey, "sub": testUser, "aud": "account-d.docusign.com", "scope": "signature impersonation",
	} {
		if claims[claim] != want {
			t.Errorf("claim %s is %v, want %s", claim, claims[claim], want)
		}
	}
	if life := claims["exp"].(float64) - claims["iat"].(float64); life > 3600 {
		t.Errorf("the assertion lasts %v s, and Docusign takes an hour at most", life)
	}
}

func TestSignInFailures(t *testing.T) {
	cases := map[string]struct {
		status int
		body   string
		skew   time.Duration // of Docusign's clock
		class  Class
		reason string
		advice string // part of it
	}{
		"consent is missing": {400, `{"error":"consent_required"}`, 0, Park, "consent",
			"https://account-d.docusign.com/oauth/auth?response_type=code&scope=signature%20impersonation&client_id=1a1a1a1a-0000-4000-8000-000000000000&redirect_uri=REGISTERED"},
		"the user is unknown":         {400, `{"error":"invalid_grant","error_description":"user_not_found"}`, 0, Park, "grant", "docusign.user_id"},
		"the key is unknown":          {400, `{"error":"invalid_grant","error_description":"issuer_not_found"}`, 0, Park, "grant", "docusign.integration_key"},
		"the signature is wrong":      {400, `{"error":"invalid_grant","error_description":"no_valid_keys_or_signatures"}`, 0, Park, "grant", "RSA Keypairs"},
		"something else is wrong":     {400, `{"error":"invalid_grant","error_description":"about ana@example.com"}`, 0, Park, "grant", "docusign.auth_server"},
		"the clock is wrong":          {400, `{"error":"invalid_grant","error_description":"expired"}`, time.Hour, Park, "clock", "clock"},
		"the server is out of order":  {503, `{"error":"server_error"}`, 0, SignIn, "sign_in", ""},
		"a proxy answers":             {502, `<html>`, 0, SignIn, "sign_in", ""},
		"too many sign-ins":           {429, `{"error":"slow_down"}`, 0, SignIn, "sign_in", ""},
		"a redirect to a login page":  {302, ``, 0, SignIn, "sign_in", ""},
		"a page instead of a token":   {200, `<html>`, 0, SignIn, "sign_in", ""},
		"a token that is not there":   {200, `{"expires_in":3600}`, 0, SignIn, "sign_in", ""},
		"the answer is of our making": {400, `{"error":"unsupported_grant_type"}`, 0, Park, "grant", "docusign.auth_server"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := always(200, noUsers)
			f.signIn = func(int, *http.Request) (*http.Response, error) {
				return say(tc.status, tc.body, "Date", time.Now().Add(tc.skew).UTC().Format(http.TimeFormat), "Location", "https://x/ana@example.com\x7f"), nil
			}
			err := perform(t, newTestAccount(t, f), OpCloseUsers)
			if ClassOf(err) != tc.class || Reason(err) != tc.reason {
				t.Errorf("%s, %s; want %s, %s (%v)", ClassOf(err), Reason(err), tc.class, tc.reason, err)
			}
			if got := Advice(err); !strings.Contains(got, tc.advice) || tc.advice == "" && got != "" || strings.Contains(got, "\n") {
				t.Errorf("advice %q, want one line with %q", got, tc.advice)
			}
			if strings.Contains(err.Error(), "@") || len(f.calls) != 0 {
				t.Errorf("error %q after %d calls", err, len(f.calls))
			}
		})
	}
}

func TestSignInServerIsAway(t *testing.T) {
	f := always(200, noUsers)
	f.signIn = func(int, *http.Request) (*http.Response, error) { return nil, errors.New("no route to host") }
	err := perform(t, newTestAccount(t, f), OpCloseUsers)
	if ClassOf(err) != SignIn || Reason(err) != "sign_in" || Advice(err) != "" {
		t.Errorf("%s, %s, %q (%v)", ClassOf(err), Reason(err), Advice(err), err)
	}
}

func TestKeyIsReadAtEachSignIn(t *testing.T) {
	f := always(200, noUsers)
	c := newTestClient(t, f)
	file := c.cfg.PrivateKeyFile
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err := c.token(t.Context())
	if ClassOf(err) != Park || Reason(err) != "private_key" || !strings.Contains(err.Error(), file) {
		t.Errorf("without the file: %s, %s (%v)", ClassOf(err), Reason(err), err)
	}
	back := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(testKey())})
	if err := os.WriteFile(file, back, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.token(t.Context()); err != nil {
		t.Errorf("with the file again: %v", err)
	}
}

func TestTokenIsKeptAndRenewedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := always(200, noUsers)
		a := newTestAccount(t, f)
		for _, step := range []struct {
			after time.Duration
			want  int // sign-ins so far
		}{{0, 1}, {54 * time.Minute, 1}, {2 * time.Minute, 2}, {54 * time.Minute, 2}} {
			time.Sleep(step.after)
			if _, err := a.CountUsers(t.Context(), Active); err != nil {
				t.Fatal(err)
			}
			if f.signIns != step.want {
				t.Errorf("after %v more: %d sign-ins, want %d", step.after, f.signIns, step.want)
			}
		}
	})
}

func TestOldTokenOutlastsAnOutageOfTheSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := always(200, noUsers)
		f.signIn = func(n int, _ *http.Request) (*http.Response, error) {
			if n > 1 {
				return say(503, ""), nil
			}
			return say(200, `{"access_token":"t","expires_in":3600}`), nil
		}
		a := newTestAccount(t, f)
		count := func() error { _, err := a.CountUsers(t.Context(), Active); return err }
		if err := count(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(57 * time.Minute)
		for range 5 {
			if err := count(); err != nil {
				t.Errorf("while the token lasts: %v", err)
			}
		}
		if f.signIns != 2 {
			t.Errorf("%d sign-ins, want one more than the first and then a pause", f.signIns)
		}
		time.Sleep(3 * time.Minute)
		if err := count(); ClassOf(err) != SignIn {
			t.Errorf("after its end: %v", err)
		}
	})
}

func TestOneSignInAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := always(200, noUsers)
		f.signIn = func(_ int, req *http.Request) (*http.Response, error) {
			select {
			case <-req.Context().Done():
				return nil, req.Context().Err()
			case <-time.After(time.Second):
				return say(200, `{"access_token":"t","expires_in":3600}`), nil
			}
		}
		a := newTestAccount(t, f)
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.CountUsers(first, Active); ClassOf(err) != Passing || Reason(err) != "interrupted" {
				t.Errorf("the first, who gave up: %s, %s (%v)", ClassOf(err), Reason(err), err)
			}
		})
		synctest.Wait()
		for range 20 {
			wg.Go(func() {
				if _, err := a.CountUsers(t.Context(), Active); err != nil {
					t.Errorf("one of those who waited: %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if _, err := a.client.renew(); err != nil { // one who saw no token before there was one
			t.Error(err)
		}
		if f.signIns != 1 {
			t.Errorf("%d sign-ins, want 1", f.signIns)
		}
	})
}

func TestUnauthorizedSignsInOnceMore(t *testing.T) {
	cases := map[string]struct {
		refused int // calls that are answered 401
		calls   int
		fails   bool
	}{
		"the token had ended":    {1, 2, false},
		"every token is refused": {9, 2, true},
		"the token is good":      {0, 1, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := &fake{api: func(n int, req *http.Request) (*http.Response, error) {
				if n <= tc.refused {
					return say(401, `{"errorCode":"AUTHORIZATION_INVALID_TOKEN"}`), nil
				}
				return say(200, `{"users":[{"userId":"u1"}]}`), nil
			}}
			_, err := newTestAccount(t, f).CloseUsers(t.Context(), Close{UserIDs: []string{"u1"}})
			if (err != nil) != tc.fails || len(f.calls) != tc.calls || f.signIns != tc.calls {
				t.Errorf("error %v after %d calls and %d sign-ins, want %d of each", err, len(f.calls), f.signIns, tc.calls)
			}
			if len(f.tokens) == 2 && (f.tokens[0] == f.tokens[1] || f.bodies[0] != f.bodies[1]) {
				t.Errorf("sent again with token %s, body %s after %s", f.tokens[1], f.bodies[1], f.bodies[0])
			}
		})
	}
}

func TestDropSparesANewerToken(t *testing.T) {
	c := newTestClient(t, always(200, noUsers))
	c.session = session{token: "newer"}
	if c.drop("older"); c.session.token != "newer" {
		t.Error("the newer token is gone")
	}
	if c.drop("newer"); c.session.token != "" {
		t.Error("the refused token is still there")
	}
}

func TestUserInfo(t *testing.T) {
	const account = `"account_id":"a1","account_name":"Acme","base_uri":"https://eu.docusign.net"`
	cases := map[string]struct {
		body string
		want []AccountInfo // nil: an error
	}{
		"default as a boolean": {`{"sub":"s","accounts":[{` + account + `,"is_default":true}]}`,
			[]AccountInfo{{ID: "a1", Name: "Acme", BaseURI: "https://eu.docusign.net", Default: true}}},
		"default as a string": {`{"sub":"s","accounts":[{` + account + `,"is_default":"true","organization":{"organization_id":"o1"}}]}`,
			[]AccountInfo{{ID: "a1", Name: "Acme", BaseURI: "https://eu.docusign.net", Default: true, OrganizationID: "o1"}}},
		"no account":         {`{"sub":"s","accounts":[]}`, []AccountInfo{}},
		"http elsewhere":     {`{"sub":"s","accounts":[{"account_id":"a1","base_uri":"http://eu.docusign.net"}]}`, nil},
		"no base_uri":        {`{"sub":"s","accounts":[{"account_id":"a1"}]}`, nil},
		"somebody's page":    {`<html>`, nil},
		"JSON of other kind": {`{}`, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := always(200, tc.body)
			info, err := newTestClient(t, f).UserInfo(t.Context())
			if tc.want == nil {
				if ClassOf(err) != Passing || Reason(err) != "unreadable" {
					t.Errorf("%s, %s (%v), want passing, unreadable", ClassOf(err), Reason(err), err)
				}
				return
			}
			if err != nil || info.UserID != "s" || len(info.Accounts) != len(tc.want) {
				t.Fatalf("%+v, %v", info, err)
			}
			for i, want := range tc.want {
				if info.Accounts[i] != want {
					t.Errorf("account %+v, want %+v", info.Accounts[i], want)
				}
			}
			if want := "GET https://account-d.docusign.com/oauth/userinfo"; f.calls[0] != want {
				t.Errorf("asked %s, want %s", f.calls[0], want)
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("followed") }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	cfg := testConfig(t)
	cfg.AuthServer = server.URL
	c, err := New(cfg, nil, Observe{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.UserInfo(t.Context()); ClassOf(err) != SignIn {
		t.Errorf("sign-in: %v", err)
	}
	c.session = session{token: "t", renewAt: time.Now().Add(time.Hour)}
	if err := perform(t, c.Account(AccountInfo{ID: "a", BaseURI: server.URL}), OpCloseUsers); ClassOf(err) != Unknown {
		t.Errorf("close: %v", err)
	}
}

func TestSkew(t *testing.T) {
	cases := map[string]struct {
		ahead time.Duration // Docusign's clock of ours
		want  time.Duration // give or take the way there and back
		park  bool
	}{
		"in step":             {0, 0, false},
		"ahead, within reach": {90 * time.Second, 90 * time.Second, false},
		"ahead, too far":      {3 * time.Minute, 3 * time.Minute, true},
		"behind, too far":     {-3 * time.Minute, -3 * time.Minute, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(300 * time.Millisecond) // off the full second
				date := func() string { return time.Now().Add(tc.ahead).UTC().Format(http.TimeFormat) }
				f := &fake{
					signIn: func(int, *http.Request) (*http.Response, error) {
						return say(200, `{"access_token":"t","expires_in":3600}`, "Date", date()), nil
					},
					api: func(int, *http.Request) (*http.Response, error) {
						time.Sleep(4 * time.Second)
						return say(200, `{"users":[{"userId":"u1"}],"totalSetSize":"1"}`, "Date", date()), nil
					},
				}
				a := newTestAccount(t, f)
				if _, err := a.CountUsers(t.Context(), Active); err != nil {
					t.Fatal(err)
				}
				if got := a.client.Skew(); (got - tc.want).Abs() > 3*time.Second {
					t.Errorf("skew %v, want %v", got, tc.want)
				}
				_, err := a.CloseUsers(t.Context(), Close{UserIDs: []string{"u1"}})
				if tc.park && (ClassOf(err) != Park || Reason(err) != "clock" || len(f.calls) != 1) {
					t.Errorf("close: %s, %s (%v) after %d calls", ClassOf(err), Reason(err), err, len(f.calls))
				}
				if !tc.park && err != nil {
					t.Errorf("close: %v", err)
				}
			})
		})
	}
}
