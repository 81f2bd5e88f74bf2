package docusigntest

import (
	"crypto/rand"
	"encoding/hex"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	jwtGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	scope    = "signature impersonation"

	longestAssertion = time.Hour
	// clockTolerance is by how much a caller's clock may be ahead of Docusign's.
	clockTolerance = time.Minute
)

// token is what an access token stands for.
type token struct {
	user    string
	scopes  []string
	expires time.Time
}

type assertionClaims struct {
	jwt.RegisteredClaims
	Scope string `json:"scope"`
}

// signIn answers the JWT grant.
func (s *Server) signIn(c *call) answer {
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return refusedSignIn(http.StatusBadRequest, oauthError{Error: "invalid_request"})
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil || form.Get("assertion") == "" {
		return refusedSignIn(http.StatusBadRequest, oauthError{Error: "invalid_request"})
	}
	if form.Get("grant_type") != jwtGrant {
		return refusedSignIn(http.StatusBadRequest, oauthError{Error: "unsupported_grant_type"})
	}
	claims, wrong := s.verify(form.Get("assertion"), c.r.Host)
	if wrong != "" {
		return refusedSignIn(http.StatusBadRequest, oauthError{Error: "invalid_grant", Description: wrong})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.consent || !hasScopes(claims.Scope) { // consent is given to a set of scopes, so a smaller one has none
		return refusedSignIn(http.StatusBadRequest, oauthError{Error: "consent_required"})
	}
	return jsonAnswer(http.StatusOK, tokenAnswer{
		AccessToken: s.issueToken(claims.Subject, strings.Fields(claims.Scope)),
		TokenType:   "Bearer",
		ExpiresIn:   int(s.cfg.TokenLife.Seconds()),
		Scope:       strings.Join(strings.Fields(claims.Scope), " "),
	})
}

// verify returns the claims of an assertion, or what is wrong with it in the
// words of Docusign's list of sign-in errors (Developer FAQs, Authentication).
func (s *Server) verify(assertion, host string) (claims assertionClaims, wrong string) {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	unverified, _, err := parser.ParseUnverified(assertion, &claims)
	if err != nil || unverified.Method.Alg() != "RS256" {
		return claims, "no_valid_keys_or_signatures"
	}
	// The key belongs to the issuer, so the issuer comes first.
	if claims.Issuer == "" || s.cfg.IntegrationKey != "" && !strings.EqualFold(claims.Issuer, s.cfg.IntegrationKey) {
		return claims, "issuer_not_found"
	}
	if s.key != nil {
		_, err := parser.Parse(assertion, func(*jwt.Token) (any, error) { return s.key, nil })
		if err != nil {
			return claims, "no_valid_keys_or_signatures"
		}
	}
	if wrong := checkAudience(claims.Audience, host); wrong != "" {
		return claims, wrong
	}
	if wrong := checkTimes(claims.RegisteredClaims, s.now()); wrong != "" {
		return claims, wrong
	}
	return claims, s.checkSubject(claims.Subject)
}

func checkAudience(audience jwt.ClaimStrings, host string) (wrong string) {
	if len(audience) != 1 || strings.ContainsAny(audience[0], "/ ") || audience[0] == "" {
		return "no_valid_keys_or_signatures" // not a bare host
	}
	bare := host
	if name, _, err := net.SplitHostPort(host); err == nil {
		bare = name
	}
	if audience[0] != host && audience[0] != bare {
		return "issuer_not_found" // an assertion for another environment, where the integration key may well exist
	}
	return ""
}

func checkTimes(c jwt.RegisteredClaims, now time.Time) (wrong string) {
	latest := now.Add(clockTolerance)
	switch {
	case c.ExpiresAt == nil,
		c.IssuedAt == nil || c.IssuedAt.After(latest),
		c.NotBefore != nil && c.NotBefore.After(latest),
		c.ExpiresAt.After(latest.Add(longestAssertion)):
		return "no_valid_keys_or_signatures"
	case !c.ExpiresAt.After(now):
		return "expired_grant"
	}
	return ""
}

func (s *Server) checkSubject(subject string) (wrong string) {
	if s.cfg.UserID == "" || !strings.EqualFold(subject, s.cfg.UserID) {
		if !isGUID(subject) {
			return "invalid_subject"
		}
		if s.cfg.UserID != "" {
			return "user_not_found"
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known, open := 0, 0
	for _, a := range s.accounts {
		if u := a.byID[strings.ToLower(subject)]; u != nil {
			known++
			if u.Status == "Active" {
				open++
			}
		}
	}
	if known > 0 && open == 0 {
		return "user_not_found"
	}
	return ""
}

func hasScopes(asked string) bool {
	given := strings.Fields(asked)
	for _, needed := range strings.Fields(scope) {
		if !slices.Contains(given, needed) {
			return false
		}
	}
	return true
}

func isGUID(s string) bool {
	_, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	return err == nil && len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-'
}

// issueToken returns a new access token; s.mu is held.
func (s *Server) issueToken(user string, scopes []string) string {
	now := s.now()
	for t, stands := range s.tokens {
		if !stands.expires.After(now) {
			delete(s.tokens, t)
		}
	}
	t := rand.Text()
	s.tokens[t] = token{user: user, scopes: scopes, expires: now.Add(s.cfg.TokenLife)}
	return t
}

// bearer returns the token that a call is made with; s.mu is held.
func (s *Server) bearer(r *http.Request) (t token, ok bool) {
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	t, known := s.tokens[strings.TrimSpace(credential)]
	if !strings.EqualFold(scheme, "Bearer") || !known || !t.expires.After(s.now()) {
		return token{}, false
	}
	return t, true
}

// userInfo tells the caller's accounts.
func (s *Server) userInfo(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.bearer(c.r)
	if !ok {
		// Not a slip: docusign/docusign-esign-java-client issue 84.
		return refusedSignIn(http.StatusUnauthorized, oauthError{Error: "internal_server_error", ReferenceID: newGUID()})
	}
	user := t.user
	info := userInfoAnswer{
		Sub: user, Name: "Service User", GivenName: "Service", FamilyName: "User",
		Created: wireTime(time.Time{}), Email: "service@example.com",
	}
	for _, a := range s.accounts {
		u := a.byID[strings.ToLower(user)]
		if u == nil && a.cfg.MembersOnly || u != nil && u.Status == "Closed" {
			continue
		}
		if u != nil {
			info.Name, info.Email = u.Name, u.Email
			info.GivenName, info.FamilyName, _ = strings.Cut(u.Name, " ")
		}
		info.Accounts = append(info.Accounts, s.describe(a, len(info.Accounts) == 0, c.r))
	}
	return jsonAnswer(http.StatusOK, info)
}

// describe is an account as userinfo shows it.
func (s *Server) describe(a *account, first bool, r *http.Request) userInfoAccount {
	w := userInfoAccount{AccountID: a.cfg.ID, IsDefault: first, AccountName: a.cfg.Name, BaseURI: s.cfg.BaseURI}
	if s.cfg.Quirks.DefaultAsString {
		w.IsDefault = strings.ToLower(wireBool(first))
	}
	if w.BaseURI == "" {
		w.BaseURI = baseOf(r)
	}
	if a.cfg.Organization != "" {
		w.Organization = &organization{ID: a.cfg.Organization, Links: []organizationLink{{
			Rel: "self", Href: w.BaseURI + "/Management/v2/organizations/" + a.cfg.Organization,
		}}}
	}
	return w
}
