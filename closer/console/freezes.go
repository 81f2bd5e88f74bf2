package console

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

// Freeze is a freeze as the API shows it.
type Freeze struct {
	ID      int64     `json:"id"`
	Account string    `json:"account"` // "": all of them
	Until   time.Time `json:"until"`
	Since   time.Time `json:"since"`
	By      string    `json:"by"`
	Reason  string    `json:"reason"` // "" for those who have not signed in
}

// ShowFreeze is a freeze as the API shows it, to those who have signed in or to
// others.
func ShowFreeze(f ledger.Freeze, signedIn bool) Freeze {
	shown := Freeze{ID: f.ID, Account: f.Account, Until: f.Until, Since: f.At, By: f.By, Reason: f.Reason}
	if !signedIn {
		shown.By, shown.Reason = withoutAddress(shown.By), ""
	}
	return shown
}

// withoutAddress is a name as the log has it, and those who have not signed in are told it:
// whoever signs in by OIDC is called by their address.
func withoutAddress(by string) string {
	name, _, _ := strings.Cut(by, "@")
	return name
}

func (s *Server) listFreezes(w http.ResponseWriter, r *http.Request, who principal) {
	freezes, err := s.ledger.Freezes(r.Context(), time.Now())
	if err != nil {
		s.fail(w, err)
		return
	}
	list := struct {
		Freezes []Freeze `json:"freezes"`
	}{[]Freeze{}}
	for _, f := range freezes {
		list.Freezes = append(list.Freezes, ShowFreeze(f, who.name != ""))
	}
	answer(w, list)
}

// mostFrozen is how far ahead a freeze may end: years are mistyped.
const mostFrozen = 366 * 24 * time.Hour

// NewFreeze is what a request for a freeze says.
type NewFreeze struct {
	Account string    `json:"account"` // "": all of them
	Until   time.Time `json:"until"`
	Reason  string    `json:"reason"`
}

func (s *Server) freeze(w http.ResponseWriter, r *http.Request, who principal) {
	var asked NewFreeze
	if !readBody(w, r, maxBody, &asked, `{"until": "2026-12-27T08:00:00Z", "reason": "change freeze"}`) {
		return
	}
	reason, err := trimmed(asked.Reason)
	switch {
	case err == nil && reason == "":
		err = errors.New("a reason is needed: it says why nobody is closed")
	case err == nil && time.Until(asked.Until) > mostFrozen:
		err = errors.New("until: more than a year ahead")
	}
	if err == nil {
		err = s.knownAccount(r, asked.Account)
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	f, err := s.ledger.Freeze(r.Context(), ledger.Freeze{Account: asked.Account, Until: asked.Until, Reason: reason, By: who.name})
	if err != nil {
		s.fail(w, err)
		return
	}
	s.log.Warn("frozen: nothing is closed without a person's word", zap.Int64("freeze", f.ID), zap.String("account", f.Account),
		zap.Time("until", f.Until), zap.String("by", who.said()))
	answer(w, ShowFreeze(f, true))
}

// knownAccount refuses an account that the closer does not know: a freeze of a
// mistyped one would freeze nothing.
func (s *Server) knownAccount(r *http.Request, account string) error {
	if account == "" {
		return nil
	}
	accounts, err := s.ledger.Accounts(r.Context())
	for _, a := range accounts {
		if a.ID == account {
			return nil
		}
	}
	if err == nil {
		err = fmt.Errorf("account: %q: none that leavers are closed in", account)
	}
	return err
}

func (s *Server) endFreeze(w http.ResponseWriter, r *http.Request, who principal) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		problem(w, http.StatusNotFound, "no such freeze")
		return
	}
	reason, ok := reasonOf(w, r)
	if !ok {
		return
	}
	if err := s.ledger.EndFreeze(r.Context(), id, who.name, reason); err != nil {
		s.fail(w, err)
		return
	}
	s.log.Info("freeze ended", zap.Int64("freeze", id), zap.String("by", who.said()))
	answer(w, map[string]int64{"ended": id})
}
