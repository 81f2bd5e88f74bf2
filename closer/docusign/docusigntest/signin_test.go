package docusigntest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	oauthjwt "golang.org/x/oauth2/jwt"

	"signoff/closer/docusign/docusigntest"
)

// writePublicKey puts the tests' public key into a file.
func writePublicKey(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(newKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSignInChecksTheAssertion(t *testing.T) {
	c := start(t, docusigntest.Config{IntegrationKey: integrationKey, UserID: serviceUser, PublicKeyFile: writePublicKey(t)})
	c.token = ""
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	tests := map[string]struct {
		change            jwt.MapClaims
		code, description string // "" where the assertion is good
	}{
		"all is well":                        {},
		"an hour's life":                     {change: jwt.MapClaims{"exp": in(time.Hour)}},
		"more scopes than needed":            {change: jwt.MapClaims{"scope": "user_read impersonation signature"}},
		"audience with port":                 {change: jwt.MapClaims{"aud": host + ":8443"}, code: "invalid_grant", description: "issuer_not_found"},
		"another environment's audience":     {change: jwt.MapClaims{"aud": "account.docusign.com"}, code: "invalid_grant", description: "issuer_not_found"},
		"audience as a URL":                  {change: jwt.MapClaims{"aud": "https://" + host}, code: "invalid_grant", description: "no_valid_keys_or_signatures"},
		"audience ending in a slash":         {change: jwt.MapClaims{"aud": host + "/"}, code: "invalid_grant", description: "no_valid_keys_or_signatures"},
		"no audience":                        {change: jwt.MapClaims{"aud": nil}, code: "invalid_grant", description: "no_valid_keys_or_signatures"},
		"unknown integration key":            {change: jwt.MapClaims{"iss": serviceUser}, code: "invalid_grant", description: "issuer_not_found"},
		"no issuer":                          {change: jwt.MapClaims{"iss": nil}, code: "invalid_grant", description: "issuer_not_found"},
		"another user":                       {change: jwt.MapClaims{"sub": integrationKey}, code: "invalid_grant", description: "user_not_found"},
		"an email for a user":                {change: jwt.MapClaims{"sub": "ana@example.com"}, code: "invalid_grant", description: "invalid_subject"},
		"no expiry":                          {change: jwt.MapClaims{"exp": nil}, code: "invalid_grant", description: "no_valid_keys_or_signatures"},
		"expired":                            {change: jwt.MapClaims{"exp": in(-time.Second)}, code: "invalid_grant", description: "expired_grant"},
		"two hours' life":                    {change: jwt.MapClaims{"exp": in(2 * time.Hour)}, code: "invalid_grant", description: "no_valid_keys_or_signatures"},
		"issued by a clock far ahead":        {change: jwt.MapClaims{"iat": in(5 * time.Minute)}, code: "invalid_grant", description: "no_valid_keys_or_signatures"},
		"never issued":                       {change: jwt.MapClaims{"iat": nil}, code: "invalid_grant", description: "no_valid_keys_or_signatures"},
		"not valid yet":                      {change: jwt.MapClaims{"nbf": in(5 * time.Minute)}, code: "invalid_grant", description: "no_valid_keys_or_signatures"},
		"no impersonation among the scopes":  {change: jwt.MapClaims{"scope": "signature"}, code: "consent_required"},
		"no signature among the scopes":      {change: jwt.MapClaims{"scope": "impersonation"}, code: "consent_required"},
		"a scope that only starts like ours": {change: jwt.MapClaims{"scope": "signature impersonations"}, code: "consent_required"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := &caller{t: t, server: c.server, rt: c.rt, base: c.base}
			a := c.grant(assertion(t, newKey(), claims(test.change)))
			if test.code == "" {
				wantToken(c, a)
				return
			}
			wantSignInError(c, a, http.StatusBadRequest, test.code, test.description)
		})
	}
}

func wantToken(c *caller, a answer) {
	c.t.Helper()
	var got struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}
	c.decode(a, http.StatusOK, &got)
	if got.AccessToken == "" || got.TokenType != "Bearer" || got.ExpiresIn != 3600 {
		c.t.Errorf("token %s", a.body)
	}
}

func wantSignInError(c *caller, a answer, status int, code, description string) {
	c.t.Helper()
	var got struct {
		Error       string
		Description string `json:"error_description"`
	}
	c.decode(a, status, &got)
	if got.Error != code || got.Description != description {
		c.t.Errorf("refused with %s, want %s %q", a.body, code, description)
	}
}

func TestSignInChecksTheSignature(t *testing.T) {
	c := start(t, docusigntest.Config{PublicKey: &newKey().PublicKey})
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	byPassword, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims(nil)).SignedString([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims(nil)).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, given := range map[string]string{
		"another key":   assertion(t, other, claims(nil)),
		"HS256":         byPassword,
		"no signature":  unsigned,
		"not a JWT":     "abc",
		"cut signature": assertion(t, newKey(), claims(nil))[:400],
	} {
		t.Run(name, func(t *testing.T) {
			c := &caller{t: t, server: c.server, rt: c.rt, base: c.base}
			wantSignInError(c, c.grant(given), http.StatusBadRequest, "invalid_grant", "no_valid_keys_or_signatures")
		})
	}
}

func TestSignInWithoutAKeyStillWantsRS256(t *testing.T) {
	c := start(t, docusigntest.Config{}) // signs in with a key that it was never told
	byPassword, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims(nil)).SignedString([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	wantSignInError(c, c.grant(byPassword), http.StatusBadRequest, "invalid_grant", "no_valid_keys_or_signatures")
}

func TestSignInReadsTheForm(t *testing.T) {
	c := start(t, docusigntest.Config{})
	good := assertion(t, newKey(), claims(nil))
	wantSignInError(c, c.postForm(url.Values{"grant_type": {"client_credentials"}, "assertion": {good}}), http.StatusBadRequest, "unsupported_grant_type", "")
	wantSignInError(c, c.postForm(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}}), http.StatusBadRequest, "invalid_request", "")
	wantSignInError(c, c.ask(http.MethodPost, "/oauth/token", `{"assertion":"x"}`), http.StatusBadRequest, "invalid_request", "")
}

func TestConsentCanBeTakenBack(t *testing.T) {
	refused := false
	server, err := docusigntest.New(docusigntest.Config{Consent: &refused})
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{t: t, server: server, rt: server.Transport(), base: "http://" + host}
	given := assertion(t, newKey(), claims(nil))
	wantSignInError(c, c.grant(given), http.StatusBadRequest, "consent_required", "")
	server.SetConsent(true)
	wantToken(c, c.grant(given))
	server.SetConsent(false)
	wantSignInError(c, c.grant(given), http.StatusBadRequest, "consent_required", "")
}

// The JWT package that our client signs in with is the one Go programs use for
// this grant; a simulation that refused it would be no use.
func TestSignInOfOAuth2Package(t *testing.T) {
	c := start(t, docusigntest.Config{PublicKey: &newKey().PublicKey, IntegrationKey: integrationKey, UserID: serviceUser})
	server := httptest.NewServer(c.server)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(newKey())})
	for _, audience := range []string{base.Host, base.Hostname()} {
		conf := oauthjwt.Config{
			Email: integrationKey, Subject: serviceUser, PrivateKey: key, Audience: audience,
			Scopes: []string{"signature", "impersonation"}, TokenURL: server.URL + "/oauth/token", Expires: time.Hour,
		}
		token, err := conf.TokenSource(t.Context()).Token()
		if err != nil {
			t.Fatal(err)
		}
		if !token.Valid() {
			t.Errorf("audience %s: token not valid", audience)
		}
	}
}

func TestTokensEnd(t *testing.T) {
	for name, end := range map[string]func(*caller){
		"none was sent":   func(c *caller) { c.token = "" },
		"made up":         func(c *caller) { c.token = "abc" },
		"past its life":   func(c *caller) { c.server.SetClockSkew(time.Hour) },
		"all are revoked": func(c *caller) { c.server.RevokeTokens() },
	} {
		t.Run(name, func(t *testing.T) {
			c := startWith(t, docusigntest.Quirks{}, docusigntest.User{Email: "ana@example.com"})
			if a := c.list(""); a.status != http.StatusOK {
				t.Fatalf("status %d with a good token", a.status)
			}
			end(c)
			c.wantRefusal(c.list(""), http.StatusUnauthorized, "AUTHORIZATION_INVALID_TOKEN")
			wantSignInError(c, c.ask(http.MethodGet, "/oauth/userinfo", ""), http.StatusUnauthorized, "internal_server_error", "")
		})
	}
}

func TestClosedServiceUserCannotSignIn(t *testing.T) {
	c := startWith(t, docusigntest.Quirks{}, docusigntest.User{ID: serviceUser, Administrator: true})
	given := assertion(t, newKey(), claims(nil))
	c.server.SetUser(account, docusigntest.User{ID: serviceUser, Status: "Closed", Administrator: true})
	wantSignInError(c, c.grant(given), http.StatusBadRequest, "invalid_grant", "user_not_found")
}

func TestUserInfoOfAMember(t *testing.T) {
	member := func(status string) []user {
		return []user{{ID: serviceUser, Email: "svc@example.com", Name: "Sy Service", Status: status, Administrator: true}}
	}
	c := start(t, docusigntest.Config{Accounts: []docusigntest.AccountConfig{
		{ID: "a-1", Users: member("Closed")}, {ID: "a-2", Users: member("Active")},
	}})
	c.base = "https://" + host
	var got struct {
		Email, Name string
		GivenName   string `json:"given_name"`
		FamilyName  string `json:"family_name"`
		Accounts    []struct {
			ID      string `json:"account_id"`
			BaseURI string `json:"base_uri"`
		}
	}
	c.decode(c.ask(http.MethodGet, "/oauth/userinfo", ""), http.StatusOK, &got)
	if got.Email != "svc@example.com" || got.Name != "Sy Service" || got.GivenName != "Sy" || got.FamilyName != "Service" {
		t.Errorf("the caller is %+v", got)
	}
	if len(got.Accounts) != 1 || got.Accounts[0].ID != "a-2" || got.Accounts[0].BaseURI != "https://"+host {
		t.Errorf("accounts %+v, want only the one where the caller is not closed", got.Accounts)
	}
}

func TestAccountsForMembersOnly(t *testing.T) {
	for code, quirk := range map[string]string{"USER_LACKS_PERMISSIONS": "", "USER_LACKS_MEMBERSHIP": "USER_LACKS_MEMBERSHIP"} {
		t.Run(code, func(t *testing.T) {
			c := start(t, docusigntest.Config{Quirks: quirks{NotAMember: quirk}, Accounts: []docusigntest.AccountConfig{
				{ID: "strangers", MembersOnly: true, Users: []user{{Email: "ana@example.com"}}},
				{ID: "anybody"},
				{ID: "members", MembersOnly: true, Users: []user{{ID: serviceUser, Administrator: true}}},
			}})
			var got struct {
				Accounts []struct {
					ID      string `json:"account_id"`
					Default bool   `json:"is_default"`
				}
			}
			c.decode(c.ask(http.MethodGet, "/oauth/userinfo", ""), http.StatusOK, &got)
			if len(got.Accounts) != 2 || got.Accounts[0].ID != "anybody" || !got.Accounts[0].Default || got.Accounts[1].ID != "members" || got.Accounts[1].Default {
				t.Errorf("accounts %+v", got.Accounts)
			}
			c.wantRefusal(c.ask(http.MethodGet, usersPath("strangers"), ""), http.StatusBadRequest, code)
			c.wantRefusal(c.ask(http.MethodGet, usersPath("nowhere"), ""), http.StatusBadRequest, code)
			for _, mine := range []string{"anybody", "members"} {
				if a := c.ask(http.MethodGet, usersPath(mine), ""); a.status != http.StatusOK {
					t.Errorf("%s: status %d", mine, a.status)
				}
			}
		})
	}
}

func TestUserInfo(t *testing.T) {
	accounts := []docusigntest.AccountConfig{{ID: "a-1", Name: "One", Organization: "org-1"}, {ID: "a-2", Name: "Two"}}
	tests := map[string]struct {
		cfg   docusigntest.Config
		first any
		base  string
	}{
		"as published":         {first: true, base: "http://" + host},
		"is_default as string": {cfg: docusigntest.Config{Quirks: docusigntest.Quirks{DefaultAsString: true}}, first: "true", base: "http://" + host},
		"base_uri of its own":  {cfg: docusigntest.Config{BaseURI: "https://eu.docusign.test"}, first: true, base: "https://eu.docusign.test"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.cfg.Accounts = accounts
			c := start(t, test.cfg)
			var got struct {
				Sub      string
				Accounts []map[string]any
			}
			c.decode(c.ask(http.MethodGet, "/oauth/userinfo", ""), http.StatusOK, &got)
			if got.Sub != serviceUser || len(got.Accounts) != 2 {
				t.Fatalf("got %+v", got)
			}
			one := got.Accounts[0]
			if one["account_id"] != "a-1" || one["account_name"] != "One" || one["is_default"] != test.first || one["base_uri"] != test.base {
				t.Errorf("first account %v", one)
			}
			var organization any
			if err := json.Unmarshal([]byte(`{"organization_id":"org-1","links":[{"rel":"self","href":"`+test.base+`/Management/v2/organizations/org-1"}]}`), &organization); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(one["organization"], organization) {
				t.Errorf("organization %v", one["organization"])
			}
			if _, has := got.Accounts[1]["organization"]; has || got.Accounts[1]["is_default"] == test.first {
				t.Errorf("second account %v", got.Accounts[1])
			}
		})
	}
}
