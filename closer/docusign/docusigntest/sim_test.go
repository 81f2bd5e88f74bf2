package docusigntest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signoff/closer/docusign/docusigntest"
)

const (
	integrationKey = "1d2c3b4a-0000-4000-8000-00000000cafe"
	serviceUser    = "5e5e5e5e-0000-4000-8000-000000000001"
	account        = docusigntest.DefaultAccountID
	host           = "docusign.test" // what a Server is called when there is no socket
)

// newKey makes the pair that the tests sign with; once, since it is slow.
var newKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// caller asks a simulated Docusign, without a socket unless told otherwise.
type caller struct {
	t      *testing.T
	server *docusigntest.Server
	rt     http.RoundTripper
	base   string
	token  string
}

// start makes a Docusign and signs in.
func start(t *testing.T, cfg docusigntest.Config) *caller {
	t.Helper()
	server, err := docusigntest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{t: t, server: server, rt: server.Transport(), base: "http://" + host}
	c.signIn()
	return c
}

// startWith is start with these users in the one account.
func startWith(t *testing.T, q docusigntest.Quirks, users ...docusigntest.User) *caller {
	t.Helper()
	return start(t, docusigntest.Config{
		Quirks:   q,
		Accounts: []docusigntest.AccountConfig{{ID: account, Name: "Test", Users: users}},
	})
}

// overSocket makes c ask through a real connection from now on.
func (c *caller) overSocket() {
	server := httptest.NewServer(c.server)
	c.t.Cleanup(server.Close)
	transport := &http.Transport{DisableKeepAlives: true}
	c.rt, c.base = transport, server.URL
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of the connection, or of reading the body
}

func (c *caller) do(r *http.Request) answer {
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.rt.RoundTrip(r)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: body, err: err}
}

func (c *caller) ask(method, path, body string) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return c.do(r)
}

func usersPath(accountID string) string { return "/restapi/v2.1/accounts/" + accountID + "/users" }

func (c *caller) list(query string) answer {
	c.t.Helper()
	return c.ask(http.MethodGet, usersPath(account)+"?"+query, "")
}

func (c *caller) close(ids ...string) answer {
	c.t.Helper()
	var body struct {
		Users []map[string]string `json:"users"`
	}
	for _, id := range ids {
		body.Users = append(body.Users, map[string]string{"userId": id})
	}
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.ask(http.MethodDelete, usersPath(account), string(text))
}

// signIn takes a token.
func (c *caller) signIn() {
	c.t.Helper()
	a := c.grant(assertion(c.t, newKey(), claims(nil)))
	var got struct {
		AccessToken string `json:"access_token"`
	}
	c.decode(a, http.StatusOK, &got)
	c.token = got.AccessToken
}

func (c *caller) grant(assertion string) answer {
	c.t.Helper()
	return c.postForm(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}})
}

func (c *caller) postForm(form url.Values) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.base+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(r)
}

// claims are those of a good assertion, with some changed; nil takes one out.
func claims(changed jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": integrationKey, "sub": serviceUser, "aud": host, "scope": "signature impersonation",
		"iat": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix(),
	}
	for name, value := range changed {
		c[name] = value
		if value == nil {
			delete(c, name)
		}
	}
	return c
}

func assertion(t *testing.T, key *rsa.PrivateKey, claims jwt.MapClaims) string {
	t.Helper()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// decode reads the answer into v, which must have come with that status.
func (c *caller) decode(a answer, status int, v any) {
	c.t.Helper()
	if a.err != nil {
		c.t.Fatal(a.err)
	}
	if a.status != status {
		c.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		c.t.Fatalf("%v: %s", err, a.body)
	}
}

// wantRefusal checks that the call as a whole was refused with that errorCode.
func (c *caller) wantRefusal(a answer, status int, code string) {
	c.t.Helper()
	var got struct{ ErrorCode, Message string }
	c.decode(a, status, &got)
	if got.ErrorCode != code || got.Message == "" {
		c.t.Errorf("refused with %s, want errorCode %s and a message", a.body, code)
	}
}

// listed is the answer to a list.
type listed struct {
	Users []struct {
		UserID, UserName, Email, UserStatus, UserType, IsAdmin, URI, CreatedDateTime, LastLogin string
		UserAddedToAccountDateTime, IsManagedByScim                                             string
	}
	ResultSetSize, TotalSetSize, StartPosition, EndPosition string
	NextURI, PreviousURI                                    string
}

func (l listed) emails() []string {
	emails := []string{}
	for _, u := range l.Users {
		emails = append(emails, u.Email)
	}
	return emails
}

// closed is the answer to a close.
type closed struct {
	Users []struct {
		UserID, UserName, Email, UserStatus, URI string
		ErrorDetails                             *struct{ ErrorCode, Message string }
	}
	ResultSetSize string
}

// outcomes gives for each user of the answer the errorCode, or else the status.
func (c closed) outcomes() map[string]string {
	outcomes := make(map[string]string)
	for _, u := range c.Users {
		outcomes[u.UserID] = u.UserStatus
		if u.ErrorDetails != nil {
			outcomes[u.UserID] = u.ErrorDetails.ErrorCode
		}
	}
	return outcomes
}
