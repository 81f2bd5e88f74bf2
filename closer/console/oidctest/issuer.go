// Package oidctest is an issuer of OpenID Connect for tests: discovery, sign-in by
// authorization code with PKCE, ID tokens by RS256 and userinfo. It can be told to do
// wrong what an issuer, or somebody in its place, may do wrong.
package oidctest

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"math/big"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Person is somebody whom the issuer knows.
type Person struct {
	Subject string
	Email   string
	Name    string
	Groups  []string
}

// Issuer is an http.Handler. Its fields are set before it serves; Change may be called
// at any time.
type Issuer struct {
	URL          string // by which it is reached, and calls itself
	ClientID     string
	ClientSecret string
	People       []Person
	Asks         bool // which of them one is; else it is the first

	mu    sync.Mutex
	wrong Wrong
	key   *rsa.PrivateKey
	keyID int
	codes map[string]grant
	asked map[string]int // path -> requests
}

// Wrong is what it does wrong. The zero value does all as it should be.
type Wrong struct {
	Away      string // a path that answers 503; *: all do
	Slow      string // a path that never answers; *: none does
	Denies    string // an error in place of a code
	Nonce     string // in place of the right one
	Signature bool   // by a key that is not published
	Secret    bool   // signed by the client's secret, as HS256
	Unsigned  bool   // alg none
	NoIDToken bool
	By        string // iss beside the code

	Claims func(claims map[string]any) // changes those of the ID token
	Thin   bool                        // email and groups are only said by userinfo
	Other  bool                        // userinfo speaks of somebody else

	Described func(described map[string]any) // changes the discovery document
}

// grant is what a code is good for, once.
type grant struct {
	person    Person
	nonce     string
	challenge string
	redirect  string
}

// New makes an issuer that still needs its URL.
func New(clientID, secret string, people ...Person) *Issuer {
	return &Issuer{ClientID: clientID, ClientSecret: secret, People: people, key: firstKey(), codes: make(map[string]grant), asked: make(map[string]int)}
}

// All begin with the same key: to make one takes a while.
var firstKey, strangersKey = sync.OnceValue(newKey), sync.OnceValue(newKey)

// Change has it do this wrong from now on.
func (i *Issuer) Change(wrong Wrong) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.wrong = wrong
}

// Rotate has it sign by a new key, and know nothing of the old one any more.
func (i *Issuer) Rotate() {
	key := newKey()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key, i.keyID = key, i.keyID+1
}

// Asked is how many requests came for a path.
func (i *Issuer) Asked(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.asked[r.URL.Path]++
	wrong := i.wrong
	i.mu.Unlock()
	switch r.URL.Path {
	case wrong.Away:
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	case wrong.Slow:
		<-r.Context().Done()
		return
	}
	switch {
	case wrong.Away == "*":
		http.Error(w, "away", http.StatusServiceUnavailable)
	case wrong.Slow == "*":
		<-r.Context().Done()
	case r.URL.Path == "/.well-known/openid-configuration":
		i.describe(w, wrong)
	case r.URL.Path == "/keys":
		i.keys(w)
	case r.URL.Path == "/authorize":
		i.authorize(w, r, wrong)
	case r.URL.Path == "/token" && r.Method == http.MethodPost:
		i.token(w, r, wrong)
	case r.URL.Path == "/userinfo":
		i.userinfo(w, r, wrong)
	default:
		http.NotFound(w, r)
	}
}

func (i *Issuer) describe(w http.ResponseWriter, wrong Wrong) {
	described := map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
		"jwks_uri": i.URL + "/keys", "userinfo_endpoint": i.URL + "/userinfo",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"code_challenge_methods_supported":      []string{"S256"},
	}
	if wrong.Described != nil {
		wrong.Described(described)
	}
	say(w, http.StatusOK, described)
}

func (i *Issuer) keys(w http.ResponseWriter) {
	i.mu.Lock()
	defer i.mu.Unlock()
	say(w, http.StatusOK, map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": fmt.Sprint(i.keyID),
		"n": base64.RawURLEncoding.EncodeToString(i.key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(i.key.E)).Bytes()),
	}}})
}

var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Test issuer</title>
<h1>Who are you?</h1>
<form>{{range $name, $values := .Query}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">{{end}}{{end}}
{{range .People}}<p><button name="login" value="{{.Subject}}">{{.Name}}</button> of {{range .Groups}}{{.}} {{else}}no group{{end}}</p>{{end}}
</form></html>
`))

// authorize gives a code to whoever one says to be.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request, wrong Wrong) {
	q := r.URL.Query()
	to, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("client_id") != i.ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("state") == "" {
		http.Error(w, "not a request for a code, with PKCE and a state, of the client that is known", http.StatusBadRequest)
		return
	}
	person, ok := i.person(q.Get("login"))
	if !ok {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, map[string]any{"Query": q, "People": i.People})
		return
	}
	answer := url.Values{"state": {q.Get("state")}}
	if wrong.By != "" {
		answer.Set("iss", wrong.By)
	}
	if wrong.Denies != "" {
		answer.Set("error", wrong.Denies)
		answer.Set("error_description", "of "+person.Email)
	} else {
		code := rand.Text()
		answer.Set("code", code)
		i.mu.Lock()
		i.codes[code] = grant{person, q.Get("nonce"), q.Get("code_challenge"), to.String()}
		i.mu.Unlock()
	}
	to.RawQuery = answer.Encode()
	http.Redirect(w, r, to.String(), http.StatusFound) //nolint:gosec // a test says where
}

func (i *Issuer) person(subject string) (Person, bool) {
	for _, p := range i.People {
		if p.Subject == subject || !i.Asks {
			return p, true
		}
	}
	return Person{}, false
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request, wrong Wrong) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	if id != i.ClientID || subtle.ConstantTimeCompare([]byte(secret), []byte(i.ClientSecret)) != 1 {
		say(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "not " + secret})
		return
	}
	i.mu.Lock()
	g, ok := i.codes[r.FormValue("code")]
	delete(i.codes, r.FormValue("code"))
	i.mu.Unlock()
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || r.FormValue("grant_type") != "authorization_code" || r.FormValue("redirect_uri") != g.redirect || base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		say(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": "of " + g.person.Email})
		return
	}
	answer := map[string]any{"access_token": g.person.Subject, "token_type": "Bearer", "expires_in": 300}
	if !wrong.NoIDToken {
		answer["id_token"] = i.idToken(g, wrong)
	}
	say(w, http.StatusOK, answer)
}

func (i *Issuer) idToken(g grant, wrong Wrong) string {
	now := time.Now()
	claims := jwt.MapClaims{"iss": i.URL, "aud": i.ClientID, "sub": g.person.Subject, "nonce": cmp.Or(wrong.Nonce, g.nonce),
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	if !wrong.Thin {
		tell(claims, g.person)
	}
	if wrong.Claims != nil {
		wrong.Claims(claims)
	}
	i.mu.Lock()
	key, id := i.key, i.keyID
	i.mu.Unlock()
	var method jwt.SigningMethod = jwt.SigningMethodRS256
	var by any = crypto.PrivateKey(key)
	switch {
	case wrong.Signature:
		by = strangersKey()
	case wrong.Secret:
		method, by = jwt.SigningMethodHS256, []byte(i.ClientSecret)
	case wrong.Unsigned:
		method, by = jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType
	}
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = fmt.Sprint(id)
	text, err := token.SignedString(by)
	if err != nil {
		panic(err)
	}
	return text
}

func tell(claims map[string]any, p Person) {
	claims["email"], claims["email_verified"], claims["name"], claims["groups"] = p.Email, true, p.Name, p.Groups
}

func (i *Issuer) userinfo(w http.ResponseWriter, r *http.Request, wrong Wrong) {
	for _, p := range i.People {
		if r.Header.Get("Authorization") != "Bearer "+p.Subject {
			continue
		}
		claims := map[string]any{"sub": p.Subject}
		if wrong.Other {
			claims["sub"] = "another"
		}
		tell(claims, p)
		say(w, http.StatusOK, claims)
		return
	}
	w.WriteHeader(http.StatusUnauthorized)
}

func say(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
