package console

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"go.uber.org/zap"
	"golang.org/x/oauth2"
)

const (
	issuerAnswers = 10 * time.Second // within which an answer of the issuer is there
	issuerAnew    = time.Hour        // after which it is asked anew where its endpoints are
	issuerRests   = 2 * time.Second  // after it did not answer, before it is asked again
	mostOfIssuer  = 1 << 20          // bytes of an answer of its

	pendingAtMost = 10 * time.Minute // from the click to the issuer's word
	mostPending   = 10000            // of which the oldest goes for one more
)

// issuer is who tells us by OpenID Connect who signs in. It may be away when the daemon
// starts, and comes back by itself: whoever wants to sign in then has it asked.
type issuer struct {
	cfg    OIDC
	client *http.Client
	one    chan struct{} // is taken while it is asked where its endpoints are

	mu       sync.Mutex
	provider *provider // nil: it was not heard from yet
	failedAt time.Time // the last time that it was asked in vain
	failed   error
	pending  map[[sha256.Size]byte]pending // by the digest of the state
}

// provider is the issuer as it describes itself.
type provider struct {
	*oidc.Provider
	oauth2.Endpoint
	at time.Time
}

// pending is a sign-in that waits for the issuer's word.
type pending struct {
	browser  [sha256.Size]byte // digest of the cookie of the browser that has begun it
	verifier string            // of PKCE
	nonce    string
	next     string
	began    time.Time
}

// newIssuer is nil without a config. An error names the key below admin.oidc.
func newIssuer(cfg *OIDC) (*issuer, error) {
	if cfg == nil {
		return nil, nil
	}
	over := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.CAFile != "" {
		roots, err := readRoots(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		over.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	}
	return &issuer{cfg: cfg.withDefaults(), one: make(chan struct{}, 1), pending: make(map[[sha256.Size]byte]pending),
		client: &http.Client{Timeout: issuerAnswers, Transport: shortAnswers{over},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it may lead the secret elsewhere
		}}, nil
}

// shortAnswers cuts off what is too long to be an issuer's answer.
type shortAnswers struct{ http.RoundTripper }

func (t shortAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, mostOfIssuer), resp.Body}
	}
	return resp, err
}

// known is the issuer as it was last heard to describe itself.
func (i *issuer) known(now time.Time) (p *provider, fresh bool, _ error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	resting := i.failed != nil && now.Sub(i.failedAt) < issuerRests
	switch {
	case i.provider != nil:
		return i.provider, resting || now.Sub(i.provider.at) < issuerAnew, nil
	case resting:
		return nil, false, i.failed
	}
	return nil, false, nil
}

// discover returns the issuer as it describes itself, after asking it if need be. As long
// as it does not answer, what it said before holds.
func (i *issuer) discover(ctx context.Context) (*provider, error) {
	select {
	case i.one <- struct{}{}:
		defer func() { <-i.one }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	before, fresh, err := i.known(time.Now())
	if fresh || err != nil {
		return before, err
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), issuerAnswers) // for all who wait, and not for one who gives up
	defer cancel()
	next, err := i.ask(asking)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.failed = err; err != nil {
		i.failedAt = time.Now()
		if before != nil {
			return before, nil
		}
		return nil, err
	}
	i.provider = next
	return next, nil
}

func (i *issuer) ask(ctx context.Context) (*provider, error) {
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.cfg.Issuer)
	if err != nil {
		return nil, err
	}
	var said struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
		Keys    string   `json:"jwks_uri"`
	}
	if err := found.Claims(&said); err != nil {
		return nil, err
	}
	p := &provider{Provider: found, Endpoint: found.Endpoint(), at: time.Now()}
	for name, at := range map[string]string{"authorization_endpoint": p.AuthURL, "token_endpoint": p.TokenURL, "jwks_uri": said.Keys} {
		if u, err := url.Parse(at); err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !toLoopback(u.Host)) {
			return nil, fmt.Errorf("%s of the issuer is not an https URL", name)
		}
	}
	// Not found out by trying: a code is good for one try.
	p.AuthStyle = oauth2.AuthStyleInHeader // what an issuer that says nothing has
	if len(said.Methods) > 0 && !slices.Contains(said.Methods, "client_secret_basic") || i.cfg.ClientSecretFile == "" {
		p.AuthStyle = oauth2.AuthStyleInParams
	}
	return p, nil
}

func (i *issuer) oauth(p *provider, secret string) *oauth2.Config {
	return &oauth2.Config{ClientID: i.cfg.ClientID, ClientSecret: secret, Endpoint: p.Endpoint, RedirectURL: i.cfg.RedirectURL, Scopes: i.cfg.Scopes}
}

// keep remembers a sign-in until the issuer's word comes.
func (i *issuer) keep(state string, p pending) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.pending) >= mostPending {
		maps.DeleteFunc(i.pending, func(_ [sha256.Size]byte, one pending) bool { return p.began.Sub(one.began) >= pendingAtMost })
	}
	if len(i.pending) >= mostPending {
		delete(i.pending, slices.MinFunc(slices.Collect(maps.Keys(i.pending)), func(a, b [sha256.Size]byte) int {
			return i.pending[a].began.Compare(i.pending[b].began)
		}))
	}
	i.pending[sha256.Sum256([]byte(state))] = p
}

// take is the sign-in with this state, once, and only for the browser that has begun it.
func (i *issuer) take(state, browser string, now time.Time) (pending, bool) {
	key, from := sha256.Sum256([]byte(state)), sha256.Sum256([]byte(browser))
	i.mu.Lock()
	defer i.mu.Unlock()
	p, ok := i.pending[key]
	if !ok || subtle.ConstantTimeCompare(p.browser[:], from[:]) != 1 {
		return pending{}, false
	}
	delete(i.pending, key)
	return p, now.Sub(p.began) < pendingAtMost
}

// elsewhere is where to begin to sign in if it is not here: the issuer sends browsers back
// to the host of redirect_url, which must have given them their cookie. It is said once
// only: a proxy may have us see another host than browsers do.
func (i *issuer) elsewhere(r *http.Request, next string) string {
	const sent = "sent"
	to, err := url.Parse(i.cfg.RedirectURL)
	if err != nil || strings.EqualFold(to.Host, r.Host) || r.URL.Query().Has(sent) {
		return ""
	}
	to.Path, to.RawQuery = oidcPath, url.Values{"next": {next}, sent: {"1"}}.Encode()
	return to.String()
}

// oidcBegin sends a browser to the issuer.
func (s *Server) oidcBegin(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	if there := s.oidc.elsewhere(r, next); there != "" {
		http.Redirect(w, r, there, http.StatusSeeOther)
		return
	}
	if !keepsCookies(r) {
		s.back(w, r, whyNeedsHTTPS, next)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), issuerAnswers)
	defer cancel()
	p, err := s.oidc.discover(ctx)
	if err != nil {
		s.refused(byOIDC, whyAway, r, zap.String("detail", toldBy(err)))
		s.back(w, r, whyAway, next)
		return
	}
	state, nonce, browser, verifier := newSecret(), newSecret(), newSecret(), oauth2.GenerateVerifier()
	s.oidc.keep(state, pending{browser: sha256.Sum256([]byte(browser)), verifier: verifier, nonce: nonce, next: next, began: time.Now()})
	setCookie(w, r, pendingCookie, browser, pendingAtMost)
	http.Redirect(w, r, s.oidc.oauth(p, "").AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), oidc.Nonce(nonce)), http.StatusSeeOther)
}

// oidcEnd takes the issuer's word.
func (s *Server) oidcEnd(w http.ResponseWriter, r *http.Request) {
	began, ok := s.oidc.take(r.URL.Query().Get("state"), cookie(r, pendingCookie), time.Now())
	setCookie(w, r, pendingCookie, "", 0)
	if !ok {
		s.back(w, r, whyExpired, "")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*issuerAnswers)
	defer cancel()
	who, err := s.oidc.whoIs(ctx, r.URL.Query(), began)
	if err == nil {
		s.letIn(w, r, session{who: who, way: byOIDC}, began.next)
		return
	}
	no, ok := errors.AsType[*signInError](err)
	if !ok { // it is not about who signs in
		s.log.Error("nobody can sign in by OpenID Connect", zap.Error(err))
		s.refuse(w, r, http.StatusInternalServerError, "admin.oidc.client_secret_file cannot be read, see the log")
		return
	}
	about := []zap.Field{zap.String("detail", toldBy(no.err))}
	if who.name != "" {
		about = append(about, zap.String("by", who.said()))
	}
	s.refused(byOIDC, no.why, r, about...)
	s.back(w, r, no.why, began.next)
}

// signInError is why the issuer's word lets nobody in.
type signInError struct {
	why string
	err error
}

func (e *signInError) Error() string { return e.why + ": " + e.err.Error() }

func refusedBy(format string, args ...any) error {
	return &signInError{whyRefused, fmt.Errorf(format, args...)}
}

// whoIs is whom the issuer names. They may be known with an error, too: then they may
// not come in.
func (i *issuer) whoIs(ctx context.Context, said url.Values, began pending) (principal, error) {
	switch denied := said.Get("error"); {
	case said.Has("iss") && said.Get("iss") != i.cfg.Issuer: // RFC 9207
		return principal{}, refusedBy("another issuer has answered")
	case denied == "temporarily_unavailable" || denied == "server_error":
		return principal{}, &signInError{whyAway, errors.New(denied)}
	case denied != "":
		return principal{}, refusedBy("the issuer says %s", code(denied))
	case said.Get("code") == "":
		return principal{}, refusedBy("the issuer gave no code")
	}
	p, err := i.discover(ctx)
	if err != nil {
		return principal{}, &signInError{whyAway, err}
	}
	var secret string
	if i.cfg.ClientSecretFile != "" {
		if secret, err = readSecret(i.cfg.ClientSecretFile); err != nil {
			return principal{}, fmt.Errorf("admin.oidc.client_secret_file: %w", err)
		}
	}
	ctx = oidc.ClientContext(ctx, i.client)
	token, err := i.oauth(p, secret).Exchange(ctx, said.Get("code"), oauth2.VerifierOption(began.verifier))
	if err != nil {
		if answered, ok := errors.AsType[*oauth2.RetrieveError](err); ok && answered.Response.StatusCode < http.StatusInternalServerError {
			return principal{}, &signInError{whyRefused, err}
		}
		return principal{}, &signInError{whyAway, err}
	}
	claims, err := i.claims(ctx, p, token, began.nonce)
	if err != nil {
		return principal{}, err
	}
	return i.person(claims)
}

// claims are what the issuer says of who signs in: in the ID token, and what is missing
// there by its userinfo endpoint.
func (i *issuer) claims(ctx context.Context, p *provider, token *oauth2.Token, nonce string) (map[string]any, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, refusedBy("the issuer gave no ID token")
	}
	verified, err := p.Verifier(&oidc.Config{ClientID: i.cfg.ClientID}).Verify(ctx, raw)
	if err != nil {
		return nil, &signInError{whyRefused, err}
	}
	if subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(nonce)) != 1 {
		return nil, refusedBy("the ID token is of another sign-in")
	}
	claims := make(map[string]any)
	if err := verified.Claims(&claims); err != nil {
		return nil, refusedBy("the claims are not what they should be")
	}
	if azp, ok := claims["azp"]; len(verified.Audience) > 1 && (!ok || azp != i.cfg.ClientID) {
		return nil, refusedBy("the ID token is another client's")
	}
	if claim(claims, "email") != nil && claim(claims, i.cfg.RolesClaim) != nil || p.UserInfoEndpoint() == "" {
		return claims, nil
	}
	more, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil { // it may quote the answer, which is about a person
		return nil, &signInError{whyAway, errors.New("the userinfo endpoint does not answer as it should")}
	}
	besides := make(map[string]any)
	if err := more.Claims(&besides); err != nil || more.Subject != verified.Subject {
		return nil, refusedBy("the userinfo endpoint speaks of somebody else")
	}
	maps.Copy(besides, claims)
	return besides, nil
}

const longestName = 200 // bytes

// person is who the claims are of. They are told apart by their email, and so they must
// have one.
func (i *issuer) person(claims map[string]any) (principal, error) {
	email, _ := claim(claims, "email").(string)
	who := principal{name: email, email: email}
	if !isAddress(email) || strings.ContainsFunc(email, odd) {
		return principal{}, &signInError{whyNoEmail, errors.New("the claim email is no address")}
	}
	if name, ok := claim(claims, i.cfg.NameClaim).(string); ok && strings.TrimSpace(name) != "" && len(name) <= longestName && !strings.ContainsFunc(name, odd) {
		who.name = strings.TrimSpace(name)
	}
	if verified, said := claims["email_verified"]; said && verified != true && verified != "true" { // some say it as a text
		return who, &signInError{whyNoEmail, errors.New("the issuer has not verified the email")}
	}
	has := texts(claim(claims, i.cfg.RolesClaim))
	within := func(some []string) bool {
		return slices.ContainsFunc(has, func(one string) bool { return slices.Contains(some, one) })
	}
	switch {
	case within(i.cfg.Operators):
		who.role = operator
	case within(i.cfg.Viewers):
		who.role = viewer
	default:
		return who, &signInError{whyNoRole, fmt.Errorf("none of the %d values of the claim %s is of viewers or operators", len(has), i.cfg.RolesClaim)}
	}
	return who, nil
}

// claim is a claim of this name, or, where the name has dots, one within others; nil:
// there is none.
func claim(claims map[string]any, name string) any {
	if value, ok := claims[name]; ok {
		return value
	}
	for at, c := range name { // a name within may have dots of its own
		if within, ok := claims[name[:at]].(map[string]any); ok && c == '.' {
			if value := claim(within, name[at+1:]); value != nil {
				return value
			}
		}
	}
	return nil
}

// texts are the texts of a claim that is one or a list.
func texts(value any) (all []string) {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		for _, one := range value {
			if text, ok := one.(string); ok {
				all = append(all, text)
			}
		}
	}
	return all
}

var isCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// code is a word of OAuth's for an error. What is none may be anything, and is not for the
// log.
func code(text string) string {
	if isCode.MatchString(text) {
		return text
	}
	return "an error without a code"
}

const longestTold = 300 // bytes

// toldBy is what the log has of an error: no address, and of an answer at most its
// beginning.
func toldBy(err error) string {
	if answered, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return fmt.Sprintf("the token endpoint answers %d: %s", answered.Response.StatusCode, code(answered.ErrorCode))
	}
	if stranger, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return stranger.Error() + ": admin.oidc.ca_file must hold who vouches for the issuer"
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return address.ReplaceAllString(strings.ToValidUTF8(text[:min(longestTold, len(text))], ""), "an address")
}
