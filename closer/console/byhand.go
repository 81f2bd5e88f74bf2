package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

// ByHand is a person's word about one leaver, by any address that the leaver
// goes by.
type ByHand struct {
	Email  string    `json:"email"`
	Until  time.Time `json:"until,omitzero"` // to defer: not due before
	Reason string    `json:"reason"`
}

// Moved is what a person's word did to each entry that it is about.
type Moved struct {
	Entries []MovedEntry `json:"entries"`
}

// MovedEntry is one of them.
type MovedEntry struct {
	Entry   int64     `json:"entry"`
	Account string    `json:"account"` // "" until first due
	Before  string    `json:"before"`  // state
	After   string    `json:"after"`
	DueAt   time.Time `json:"dueAt"`
	Why     string    `json:"why,omitempty"` // it stays as it was
}

func (s *Server) deferLeaver(w http.ResponseWriter, r *http.Request, who principal) {
	s.byHand(w, r, who, "defer", func(ctx context.Context, said ledger.ByHand, until time.Time) ([]ledger.Moved, error) {
		return s.ledger.Defer(ctx, said, until)
	})
}

func (s *Server) hastenLeaver(w http.ResponseWriter, r *http.Request, who principal) {
	s.byHand(w, r, who, "urgent", func(ctx context.Context, said ledger.ByHand, _ time.Time) ([]ledger.Moved, error) {
		return s.ledger.Urgent(ctx, said)
	})
}

func (s *Server) skipLeaver(w http.ResponseWriter, r *http.Request, who principal) {
	s.byHand(w, r, who, "skip", func(ctx context.Context, said ledger.ByHand, _ time.Time) ([]ledger.Moved, error) {
		moved, skipped, err := s.ledger.Skip(ctx, said)
		if err == nil {
			s.daemon.Skipped(skipped)
		}
		return moved, err
	})
}

func (s *Server) retryLeaver(w http.ResponseWriter, r *http.Request, who principal) {
	s.byHand(w, r, who, "retry", func(ctx context.Context, said ledger.ByHand, _ time.Time) ([]ledger.Moved, error) {
		return s.ledger.Retry(ctx, said)
	})
}

// byHand reads a person's word, has do carry it out and answers what it did.
func (s *Server) byHand(w http.ResponseWriter, r *http.Request, who principal, what string, do func(context.Context, ledger.ByHand, time.Time) ([]ledger.Moved, error)) {
	said, ok := readByHand(w, r, what == "defer")
	if !ok {
		return
	}
	moved, err := do(r.Context(), ledger.ByHand{Email: said.Email, By: who.person(), Reason: said.Reason}, said.Until)
	if status := refusal(err); status != 0 {
		problem(w, status, err.Error())
		return
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	shown := Moved{Entries: make([]MovedEntry, 0, len(moved))}
	var ids []int64
	for _, m := range moved {
		shown.Entries = append(shown.Entries, MovedEntry{m.Entry, m.Account, string(m.Before), string(m.After), m.DueAt, m.Why})
		if m.Why == "" {
			ids = append(ids, m.Entry)
		}
	}
	s.log.Info("a person has spoken of a leaver", zap.String("what", what), zap.Int64s("entries", ids), zap.String("by", who.said()))
	answer(w, shown)
}

// refusal is the status of an answer that refuses a person's word; 0: the error is
// none of these.
func refusal(err error) int {
	var stands *ledger.StandsError
	switch {
	case errors.Is(err, ledger.ErrNoLeaver):
		return http.StatusNotFound
	case errors.Is(err, ledger.ErrStandsIn):
		return http.StatusForbidden
	case errors.Is(err, ledger.ErrUntil):
		return http.StatusBadRequest
	case errors.As(err, &stands), errors.Is(err, ledger.ErrManyLeavers):
		return http.StatusConflict
	}
	return 0
}

// readByHand reads a person's word; dated, if it must have a time. Not ok if it has
// answered already.
func readByHand(w http.ResponseWriter, r *http.Request, dated bool) (said ByHand, ok bool) {
	example := `{"email": "ana@example.com", "reason": "checked with HR"}`
	if dated {
		example = `{"email": "ana@example.com", "until": "2026-12-24T09:00:00Z", "reason": "checked with HR"}`
	}
	if !readBody(w, r, maxBody, &said, example) {
		return said, false
	}
	if err := said.fold(dated); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return said, false
	}
	return said, true
}

// fold makes a person's word what the ledger takes, or says what is wrong with it.
func (said *ByHand) fold(dated bool) error {
	folded, err := fold([]string{said.Email})
	if err != nil {
		return errors.New("email: not an address")
	}
	said.Email, said.Reason = folded[0], strings.TrimSpace(said.Reason)
	switch {
	case said.Reason == "":
		return errors.New("a reason is needed: it says for the audit why this leaver is not treated as the others are")
	case utf8.RuneCountInString(said.Reason) > maxReason:
		return fmt.Errorf("the reason is longer than %d characters", maxReason)
	case dated && said.Until.IsZero():
		return errors.New("until: is needed, such as 2026-12-24T09:00:00Z")
	case !dated && !said.Until.IsZero():
		return errors.New("until: goes with defer alone")
	}
	return nil
}
