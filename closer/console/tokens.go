package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"os"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

type role string

const (
	anybody  role = ""         // needs no token
	viewer   role = "viewer"   // may look
	operator role = "operator" // may decide, too
	scraper  role = "scraper"  // a viewer or anybody, by admin.open_metrics
)

// principal is a person, or a program, with a session, a token or a password; without a
// name where nobody can be told from others.
type principal struct {
	name string
	role role
	hash []byte // of the token; nil: they came by another way

	byPassword bool      // a user of the web config
	until      time.Time // when their session ends; zero: they bring a token or a password each time
	email      string    // by which they are known as a leaver, and never decide about themselves; may be ""
}

// person is who decides with this token.
func (p principal) person() ledger.Person { return ledger.Person{Name: p.name, Email: p.email} }

// readTokens reads lines of name:role:SHA-256 of the token in hex and, if it is
// known, :email of the person; # begins a comment.
func readTokens(file string) ([]principal, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []principal
	for i, line := range bytes.Split(text, []byte("\n")) {
		words := strings.TrimSpace(string(line))
		if words == "" || words[0] == '#' {
			continue
		}
		parts := strings.Split(words, ":")
		if len(parts) < 3 || len(parts) > 4 || parts[0] == "" {
			return nil, fmt.Errorf("%s:%d: not name:role:hash or name:role:hash:email", file, i+1)
		}
		p := principal{name: parts[0], role: role(parts[1])}
		if p.role != viewer && p.role != operator {
			return nil, fmt.Errorf("%s:%d: role: neither viewer nor operator", file, i+1) // not quoted: it may be the token
		}
		if p.hash, err = hex.DecodeString(parts[2]); err != nil || len(p.hash) != sha256.Size {
			return nil, fmt.Errorf("%s:%d: hash: not a SHA-256 in hex", file, i+1)
		}
		if len(parts) == 4 {
			if p.email = strings.TrimSpace(parts[3]); !isAddress(p.email) {
				return nil, fmt.Errorf("%s:%d: email: not an address", file, i+1)
			}
		}
		all = append(all, p)
	}
	return all, nil
}

// isAddress says whether text is an address and nothing besides.
func isAddress(text string) bool {
	parsed, err := mail.ParseAddress(text)
	return err == nil && parsed.Address == text
}

// may lets through who is known and has the role, or, where nobody is known, whoever
// wants to look.
func (s *Server) may(needed role, next func(http.ResponseWriter, *http.Request, principal)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in := s.web.now()
		if needed == scraper {
			needed := viewer
			if s.opensMetrics(in) {
				needed = anybody
			}
			s.may(needed, next)(w, r)
			return
		}
		switch {
		case needed == anybody, !s.knowsPeople(in) && needed == viewer:
			next(w, r, principal{})
		case !s.knowsPeople(in):
			problem(w, http.StatusForbidden, "read-only: a decision needs a named person, see admin.tokens_file and admin.oidc")
		default:
			if who, ok := s.known(w, r, in); ok && who.allowed(w, needed) {
				r, cancel := endingWith(r, who)
				defer cancel()
				next(w, r, who)
			}
		}
	}
}

// endingWith has the answer that goes on for as long as a page is open end with the
// session: the page then asks for it anew, and so it is asked again who they are.
func endingWith(r *http.Request, who principal) (*http.Request, context.CancelFunc) {
	if r.URL.Path != livePath || who.until.IsZero() {
		return r, func() {}
	}
	ctx, cancel := context.WithDeadline(r.Context(), who.until)
	return r.WithContext(ctx), cancel
}

// knowsPeople says whether people can be told from each other: then nobody else gets
// to see anything.
func (s *Server) knowsPeople(in *webFile) bool {
	return s.cfg.TokensFile != "" || len(in.config.Users) > 0 || s.oidc != nil
}

// opensMetrics says whether metrics are for anybody who comes in. Prometheus' own
// servers ask for a password everywhere once there are users, and so whoever sets some
// expects it here.
func (s *Server) opensMetrics(in *webFile) bool {
	if s.cfg.OpenMetrics != nil {
		return *s.cfg.OpenMetrics
	}
	return len(in.config.Users) == 0
}

// stranger is why it is not known who asks.
type stranger struct {
	status int
	detail string

	header http.Header // of the answer besides
}

func (f *stranger) setHeader(w http.ResponseWriter) {
	maps.Copy(w.Header(), f.header)
}

// known is who asks; false if it has answered already.
func (s *Server) known(w http.ResponseWriter, r *http.Request, in *webFile) (principal, bool) {
	who, refused := s.asking(r, in)
	if refused != nil {
		refused.setHeader(w)
		problem(w, refused.status, refused.detail)
	}
	return who, refused == nil
}

// asking is who asks, by a session, a token or a password, or in whose name a page does.
func (s *Server) asking(r *http.Request, in *webFile) (principal, *stranger) {
	if who, ok := r.Context().Value(inName{}).(principal); ok {
		if who.name == "" {
			return who, s.asks(r, in)
		}
		return who, nil
	}
	// Before what is sent along: a browser that was once asked for a password sends it always.
	if who, ok, err := s.signedIn(r, in); err != nil {
		return principal{}, cannotBeRead()
	} else if ok {
		return who, nil
	}
	if name, password, ok := r.BasicAuth(); ok && len(in.config.Users) > 0 {
		right, err := s.passwords.are(r.Context(), in, r.RemoteAddr, name, password)
		switch {
		case err != nil:
			return principal{}, &stranger{http.StatusTooManyRequests, err.Error(), http.Header{"Retry-After": {strconv.Itoa(int(tryAgainAfter.Seconds()))}}}
		case right:
			return principal{name: name, role: viewer, byPassword: true}, nil
		}
		return principal{}, s.asks(r, in)
	}
	if s.cfg.TokensFile == "" {
		return principal{}, s.asks(r, in)
	}
	tokens, err := s.tokens()
	if err != nil {
		return principal{}, cannotBeRead()
	}
	if who, ok := find(tokens, r.Header.Get("Authorization")); ok {
		return who, nil
	}
	return principal{}, s.asks(r, in)
}

// tokens are those of the file as it is now. That it cannot be read is logged here.
func (s *Server) tokens() ([]principal, error) {
	tokens, err := readTokens(s.cfg.TokensFile)
	if err != nil {
		s.log.Error("the tokens file cannot be read", zap.Error(err))
	}
	return tokens, err
}

func cannotBeRead() *stranger {
	return &stranger{status: http.StatusInternalServerError, detail: "admin.tokens_file cannot be read, see the log"}
}

// asks asks for what would do. A script of our pages is not told of passwords: a browser
// would ask for one by itself, beside the page to sign in at.
func (s *Server) asks(r *http.Request, in *webFile) *stranger {
	var needed, ways []string
	if s.cfg.TokensFile != "" {
		ways = append(ways, "Bearer")
		needed = append(needed, "a token from admin.tokens_file")
	}
	if len(in.config.Users) > 0 {
		if r.Header.Get("Sec-Fetch-Site") != "same-origin" {
			ways = append(ways, `Basic realm="signoff", charset="UTF-8"`)
		}
		needed = append(needed, "a user of admin.web_config_file with the password")
	}
	if s.daemon.Pages != nil {
		ways = append(ways, `Cookie realm="signoff", form-action="`+signInPath+`"`)
	}
	if s.oidc != nil {
		needed = append(needed, "a sign-in at "+signInPath)
	}
	return &stranger{http.StatusUnauthorized, strings.Join(needed, ", or ") + " is needed", http.Header{"Www-Authenticate": ways}}
}

// allowed says whether p has the role, and else answers.
func (p principal) allowed(w http.ResponseWriter, needed role) bool {
	switch {
	case needed != operator || p.role == operator:
		return true
	case p.byPassword:
		problem(w, http.StatusForbidden, "users of admin.web_config_file only look: a decision needs the token of an operator, from admin.tokens_file")
	default:
		problem(w, http.StatusForbidden, "this needs the role operator")
	}
	return false
}

func find(tokens []principal, authorization string) (principal, bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return principal{}, false
	}
	hash := sha256.Sum256([]byte(token))
	for _, p := range tokens {
		if subtle.ConstantTimeCompare(hash[:], p.hash) == 1 {
			return p, true
		}
	}
	return principal{}, false
}
