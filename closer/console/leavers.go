package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Taker is how people are closed by name, from a file of their addresses.
type Taker interface {
	// Preview says what would become of these people, and changes nothing.
	Preview(ctx context.Context, emails []string) ([]Planned, error)

	// Take records that these people left. It refuses with ErrMode where nobody is
	// closed.
	Take(ctx context.Context, t Take) error

	// Follow says how far the people of a file are.
	Follow(ctx context.Context, file string) (Progress, error)
}

// ErrMode refuses to take people who would not be closed.
var ErrMode = errors.New("mode: dry-run: nobody is closed until the config says mode: close")

// Planned is what a plan of now would do about one address in one account.
type Planned struct {
	Email   string   `json:"email"`
	Account string   `json:"account"`
	Users   []User   `json:"users"`
	Outcome string   `json:"outcome"` // closed, held, already_closed or not_found; "": not known
	Kinds   []string `json:"kinds"`   // of hold
	Why     string   `json:"why"`
}

// Take is a file of people who left.
type Take struct {
	File   string   `json:"file"` // its id: the same file again takes nobody twice
	Emails []string `json:"emails"`
	Urgent bool     `json:"urgent"`
	By     string   `json:"-"` // who brings it
}

// Progress is how far a file is.
type Progress struct {
	Rows    []Row    `json:"rows"`
	Waiting []string `json:"waiting"` // what keeps an account from being worked in, and what to do about it
}

// Row is how far one address of a file is in one account.
type Row struct {
	Email   string    `json:"email"`
	Account string    `json:"account"` // "" until it is due
	State   string    `json:"state"`
	Reason  string    `json:"reason"`
	Hold    int64     `json:"hold"` // that it waits in; 0: none
	Users   []RowUser `json:"users"`
}

// RowUser is what became of one user of a row.
type RowUser struct {
	User
	Outcome    string    `json:"outcome"` // "" while there is none
	Reason     string    `json:"reason"`
	At         time.Time `json:"at"`
	TraceToken string    `json:"traceToken"`
}

const (
	maxLeavers  = 64 << 20         // bytes of a request with addresses
	planAtMost  = 10 * time.Minute // a large plan waits for Docusign's limits
	followLimit = time.Minute
)

func (s *Server) planLeavers(w http.ResponseWriter, r *http.Request, who principal) {
	var asked struct {
		Emails []string `json:"emails"`
	}
	if !s.read(w, r, &asked) {
		return
	}
	emails, err := fold(asked.Emails)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(planAtMost))
	plan, err := s.daemon.Leavers.Preview(r.Context(), emails)
	if err != nil {
		s.log.Warn("people could not be planned", zap.String("by", who.said()), zap.Error(err))
		problem(w, http.StatusBadGateway, err.Error())
		return
	}
	for i := range plan {
		plan[i].Users, plan[i].Kinds = orNone(plan[i].Users), orNone(plan[i].Kinds)
	}
	answer(w, map[string]any{"plan": orNone(plan)})
}

var fileID = regexp.MustCompile(`^[0-9A-Za-z._:-]{8,200}$`)

func (s *Server) takeLeavers(w http.ResponseWriter, r *http.Request, who principal) {
	var t Take
	if !s.read(w, r, &t) {
		return
	}
	emails, err := fold(t.Emails)
	if err == nil && !fileID.MatchString(t.File) {
		err = errors.New("file: 8 to 200 letters, digits or . _ : - that tell the file from others")
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	t.By, t.Emails = who.name, emails
	err = s.daemon.Leavers.Take(r.Context(), t)
	switch {
	case errors.Is(err, ErrMode):
		problem(w, http.StatusConflict, err.Error())
		return
	case err != nil:
		s.fail(w, err)
		return
	}
	s.log.Info("people taken from a file", zap.String("file", t.File), zap.Int("people", len(t.Emails)), zap.Bool("urgent", t.Urgent), zap.String("by", who.said()))
	answer(w, map[string]any{"file": t.File, "people": len(t.Emails)})
}

func (s *Server) followLeavers(w http.ResponseWriter, r *http.Request, _ principal) {
	ctx, cancel := context.WithTimeout(r.Context(), followLimit)
	defer cancel()
	progress, err := s.daemon.Leavers.Follow(ctx, r.PathValue("file"))
	if err != nil {
		s.fail(w, err)
		return
	}
	for i := range progress.Rows {
		progress.Rows[i].Users = orNone(progress.Rows[i].Users)
	}
	progress.Rows, progress.Waiting = orNone(progress.Rows), orNone(progress.Waiting)
	answer(w, progress)
}

// orNone is a list that JSON shows as [] where it has nothing.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// read reads a request with addresses; false if it has answered already.
func (s *Server) read(w http.ResponseWriter, r *http.Request, into any) bool {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Minute))
	return readBody(w, r, maxLeavers, into, `{"emails": ["ana@example.com"]}`)
}

// fold makes the addresses what the ledger has, each once. What is none is an
// error that says where, and does not quote it.
func fold(emails []string) ([]string, error) {
	var all []string
	seen := make(map[string]bool)
	for i, e := range emails {
		e = strings.ToLower(strings.TrimSpace(e))
		if local, domain, ok := strings.Cut(e, "@"); !ok || local == "" || domain == "" {
			return nil, fmt.Errorf("emails[%d]: not an address", i)
		}
		if !seen[e] {
			seen[e] = true
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("emails: none")
	}
	return all, nil
}
