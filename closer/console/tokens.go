package console

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/mail"
	"os"
	"strings"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

type role string

const (
	anybody  role = ""         // needs no token
	viewer   role = "viewer"   // may look
	operator role = "operator" // may decide, too
)

// principal is a person, or a program, with a token; without a name where no
// tokens are configured.
type principal struct {
	name  string
	role  role
	hash  []byte
	email string // by which they are known as a leaver, and never decide about themselves; may be ""
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

// may lets through who has a token of the role, or, where there are no tokens,
// whoever wants to look.
func (s *Server) may(needed role, next func(http.ResponseWriter, *http.Request, principal)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if needed == anybody {
			next(w, r, principal{})
			return
		}
		if s.cfg.TokensFile == "" {
			if needed == viewer {
				next(w, r, principal{})
				return
			}
			problem(w, http.StatusForbidden, "read-only: a decision needs a named person, see admin.tokens_file")
			return
		}
		tokens, err := readTokens(s.cfg.TokensFile)
		if err != nil {
			s.log.Error("the tokens file cannot be read", zap.Error(err))
			problem(w, http.StatusInternalServerError, "admin.tokens_file cannot be read, see the log")
			return
		}
		who, ok := find(tokens, r.Header.Get("Authorization"))
		switch {
		case !ok:
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(w, http.StatusUnauthorized, "a token from admin.tokens_file is needed")
		case needed == operator && who.role != operator:
			problem(w, http.StatusForbidden, "this needs the role operator")
		default:
			next(w, r, who)
		}
	}
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
