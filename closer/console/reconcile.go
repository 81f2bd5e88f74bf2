package console

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// Reconciler holds lists of HR against the ledger and Docusign, and changes nothing.
type Reconciler interface {
	Reconcile(ctx context.Context, asked Lists) (Reconciliation, error)
}

// Lists are HR's own: who left and, unless it is null, who is there.
type Lists struct {
	People []Left   `json:"people"`
	Roster []string `json:"roster"`
}

// Left is a person of the list of those who left.
type Left struct {
	Email  string    `json:"email"`
	LeftAt time.Time `json:"leftAt,omitzero"` // zero if the list does not say
}

// Reconciliation is what was found.
type Reconciliation struct {
	Made    time.Time    `json:"made"`
	Totals  []VerdictSum `json:"totals"` // they add up to the people
	People  []Reconciled `json:"people"`
	Users   *UserSums    `json:"users,omitempty"` // with a roster only
	NoList  []Stray      `json:"onNoList"`
	Rejects int          `json:"openRejects"` // events that could not be understood: one may be of whom no event was heard
}

// VerdictSum is how many people a verdict is of.
type VerdictSum struct {
	Verdict string `json:"verdict"`
	People  int    `json:"people"`
}

// UserSums count the open users of all accounts: Open is the sum of the others.
type UserSums struct {
	Open     int `json:"open"`
	OnRoster int `json:"onRoster"`
	Leavers  int `json:"leavers"`
	OnNoList int `json:"onNoList"`
}

// Reconciled is a person, and what was found of them.
type Reconciled struct {
	Left
	Verdict  string      `json:"verdict"`
	HeardAt  time.Time   `json:"heardAt,omitzero"` // when the newest event came; zero: none ever did
	Source   string      `json:"source"`
	Accounts []InAccount `json:"accounts"`
}

// InAccount is how a person stands in one account.
type InAccount struct {
	Account   string     `json:"account"`
	State     string     `json:"state"` // of the newest entry; "": the ledger has none
	Reason    string     `json:"reason"`
	Hold      int64      `json:"hold,omitempty"`
	DueAt     time.Time  `json:"dueAt,omitzero"`
	SettledAt time.Time  `json:"settledAt,omitzero"`
	Hours     float64    `json:"hours"`    // from due until settled or, if it is open, until now
	Docusign  string     `json:"docusign"` // open, closed, no_user, not_open (either of the two), unknown, not_asked
	Users     []UserSeen `json:"users"`
}

// UserSeen is a user, as Docusign has them now.
type UserSeen struct {
	UserID    string    `json:"userId"`
	Email     string    `json:"email"`
	LastLogin time.Time `json:"lastLogin,omitzero"` // zero: never, or not said
}

// Stray is an open user who is on no list.
type Stray struct {
	Account string `json:"account"`
	UserSeen
	Status string   `json:"status"`
	Marks  []string `json:"marks"` // self (whom signoff signs in as), protected, administrator
}

// Sum is how many people these verdicts are of.
func (r Reconciliation) Sum(verdicts ...string) (n int) {
	for _, t := range r.Totals {
		for _, v := range verdicts {
			if t.Verdict == v {
				n += t.People
			}
		}
	}
	return n
}

func (s *Server) reconcile(w http.ResponseWriter, r *http.Request, who principal) {
	if who.name == "" {
		problem(w, http.StatusForbidden, "this costs calls to Docusign, and names people: it needs a token, see admin.tokens_file")
		return
	}
	var asked Lists
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Minute))
	if !readBody(w, r, maxLeavers, &asked, `{"people": [{"email": "ana@example.com"}]}`) {
		return
	}
	lists, err := asked.folded()
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(planAtMost))
	found, err := s.daemon.Reconcile.Reconcile(r.Context(), lists)
	if err != nil {
		s.log.Warn("lists could not be reconciled", zap.String("by", who.said()), zap.Error(err))
		problem(w, http.StatusBadGateway, err.Error())
		return
	}
	s.log.Info("lists reconciled", zap.Int("people", len(lists.People)), zap.Int("roster", len(lists.Roster)), zap.String("by", who.said()))
	found.Totals, found.People, found.NoList = orNone(found.Totals), orNone(found.People), orNone(found.NoList)
	answer(w, found)
}

// folded are the lists with each address once, as the ledger has it. What is none
// is an error that says where, and does not quote it.
func (l Lists) folded() (Lists, error) {
	folded := Lists{}
	emails := make([]string, 0, len(l.People))
	at := make(map[string]time.Time)
	for i, p := range l.People {
		one, err := fold([]string{p.Email})
		if err != nil {
			return folded, fmt.Errorf("people[%d].email: not an address", i)
		}
		if _, known := at[one[0]]; !known {
			at[one[0]] = p.LeftAt
		}
		emails = append(emails, one[0])
	}
	emails, err := fold(emails)
	if err != nil {
		return folded, fmt.Errorf("people: %w", err)
	}
	for _, email := range emails {
		folded.People = append(folded.People, Left{Email: email, LeftAt: at[email]})
	}
	if l.Roster == nil {
		return folded, nil
	}
	if folded.Roster, err = fold(l.Roster); err != nil {
		return folded, fmt.Errorf("roster: %w", err)
	}
	return folded, nil
}
