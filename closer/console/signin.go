package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// Why somebody is asked to sign in (again), as the page for it is told.
const (
	whyWrong      = "wrong"
	whyTooMany    = "too_many"
	whyExpired    = "expired"
	whyNotDone    = "not_done"
	whyRefused    = "oidc_refused"
	whyAway       = "oidc_away"
	whyNoRole     = "oidc_no_role"
	whyNoEmail    = "oidc_no_email"
	whyNeedsHTTPS = "needs_https"
	whySignedOut  = "signed_out"
)

const (
	signInPath   = "/sign-in"
	signOutPath  = "/sign-out"
	oidcPath     = "/sign-in/oidc"
	callbackPath = "/sign-in/callback"
)

// maxForm is of what is signed in with, in bytes.
const maxForm = 16 << 10

// refusalsAtOnce are logged, and then one in each refusalsEvery: strangers must not fill
// the log.
const (
	refusalsAtOnce = 20
	refusalsEvery  = 10 * time.Second
)

func newRefusals() *rate.Limiter { return rate.NewLimiter(rate.Every(refusalsEvery), refusalsAtOnce) }

// door is what lets in and out, in place of a page; nil: a page is asked for.
func (s *Server) door(r *http.Request) http.HandlerFunc {
	get := r.Method == http.MethodGet // not HEAD, which some ask for before they follow a link
	switch path := r.URL.Path; {
	case r.Method == http.MethodPost && path == signInPath:
		return s.signIn
	case r.Method == http.MethodPost && path == signOutPath:
		return s.signOut
	case get && path == oidcPath && s.oidc != nil:
		return s.oidcBegin
	case get && path == callbackPath && s.oidc != nil:
		return s.oidcEnd
	}
	return nil
}

// signIn takes a token, or a name and a password.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		status := http.StatusBadRequest
		if errors.As(err, new(*http.MaxBytesError)) {
			status = http.StatusRequestEntityTooLarge
		}
		s.refuse(w, r, status, "the form cannot be read")
		return
	}
	next := localPath(r.PostForm.Get("next"))
	if !s.knowsPeople(s.web.now()) { // there is nothing to sign in with, nor a need to
		http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // a path here, by localPath
		return
	}
	if !keepsCookies(r) {
		s.back(w, r, whyNeedsHTTPS, next)
		return
	}
	found, why, err := s.signedBy(r)
	switch {
	case err != nil:
		s.refuse(w, r, err.status, err.detail)
	case why != "":
		s.refused(found.way, why, r)
		s.back(w, r, why, next)
	default:
		s.letIn(w, r, found, next)
	}
}

// signedBy is who signs in by what the form says, or else why nobody does.
func (s *Server) signedBy(r *http.Request) (in session, why string, _ *stranger) {
	if token := strings.TrimSpace(r.PostForm.Get("token")); token != "" || !r.PostForm.Has("name") {
		return s.signedByToken(r, token)
	}
	now := s.web.now()
	name, password := r.PostForm.Get("name"), r.PostForm.Get("password")
	in = session{who: principal{name: name, role: viewer, byPassword: true}, way: byPassword, hash: string(now.config.Users[name])}
	if len(now.config.Users) == 0 {
		return in, whyWrong, nil
	}
	switch right, err := s.passwords.are(r.Context(), now, r.RemoteAddr, name, password); {
	case err != nil:
		return in, whyTooMany, nil
	case !right:
		return in, whyWrong, nil
	}
	return in, "", nil
}

// signedByToken lets the right token in whatever was tried before: behind a proxy all come
// from one address, and one stranger would keep everybody out. That gives a guesser
// nothing: a token is of 256 random bits as we tell people to make it, the API says of
// each at once whether it is one, and to look costs a SHA-256. Right or wrong, the same is
// done up to then, so that the time tells no more than the answer. What is counted are
// the wrong ones, to be told to stop.
func (s *Server) signedByToken(r *http.Request, token string) (in session, why string, _ *stranger) {
	in.way = byToken
	if s.cfg.TokensFile == "" {
		return in, whyWrong, nil
	}
	tokens, err := s.tokens()
	if err != nil {
		return in, "", cannotBeRead()
	}
	var ok bool
	if in.who, ok = find(tokens, "Bearer "+token); ok {
		return in, "", nil
	}
	if !s.tries.may(r.RemoteAddr, usualCost, time.Now()) {
		return in, whyTooMany, nil
	}
	return in, whyWrong, nil
}

// letIn begins a session, under a new secret whatever the browser brings: it may have it
// from somebody else.
func (s *Server) letIn(w http.ResponseWriter, r *http.Request, in session, next string) {
	if old := cookie(r, sessionCookie); old != "" {
		s.sessions.end(old)
	}
	setCookie(w, r, sessionCookie, s.sessions.begin(in, time.Now()), 0)
	s.log.Info("somebody has signed in", zap.String("by", in.who.said()), zap.String("role", string(in.who.role)), zap.String("way", string(in.way)))
	http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // a path here, by localPath
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	if in, ok := s.sessions.end(cookie(r, sessionCookie)); ok {
		s.log.Info("somebody has signed out", zap.String("by", in.who.said()), zap.String("role", string(in.who.role)), zap.String("way", string(in.way)))
	}
	setCookie(w, r, sessionCookie, "", 0)
	s.back(w, r, whySignedOut, "")
}

// back leads to the page to sign in at.
func (s *Server) back(w http.ResponseWriter, r *http.Request, why, next string) {
	query := url.Values{}
	if why != "" {
		query.Set("why", why)
	}
	if next != "" && next != "/" {
		query.Set("next", next)
	}
	to := signInPath
	if len(query) > 0 {
		to += "?" + query.Encode()
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// refused logs that somebody was not let in. What they say they are called is not
// logged: a password may be in its place.
func (s *Server) refused(by way, why string, r *http.Request, more ...zap.Field) {
	if s.refusals.Allow() {
		s.log.Warn("a sign-in was refused", append([]zap.Field{zap.String("way", string(by)), zap.String("why", why),
			zap.Stringer("from", network(r.RemoteAddr))}, more...)...)
	}
}

const longestNext = 2000 // bytes of a path to go on to

// localPath is where to go on to: a path here, or else the first page. Browsers take a
// backslash for a slash, and leave out some control characters.
func localPath(next string) string {
	if len(next) > longestNext || !utf8.ValidString(next) || strings.ContainsFunc(next, odd) || strings.Contains(next, `\`) ||
		!strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") {
		return "/"
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	if u.Path == signOutPath || u.Path == signInPath || strings.HasPrefix(u.Path, signInPath+"/") {
		return "/" // it would lead round and round
	}
	return next
}

// odd is what no name, address or path has.
func odd(c rune) bool { return unicode.IsControl(c) }
