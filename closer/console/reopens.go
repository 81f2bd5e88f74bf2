package console

import (
	"slices"
	"time"

	"signoff/closer/ledger"
)

// Reopen is what became of a user whom a hold of kind reopen names. Who they
// are is left out for those who have not signed in.
type Reopen struct {
	UserID     string    `json:"userId,omitempty"`
	Email      string    `json:"email,omitempty"`
	From       time.Time `json:"from"` // not before
	State      string    `json:"state"`
	Reason     string    `json:"reason,omitempty"`
	What       string    `json:"what"` // the same in words, and what a person must do
	TraceToken string    `json:"traceToken,omitempty"`
}

// noteReopen is what an approval of a hold of kind reopen leads to.
const noteReopen = "opens these users again: Docusign sends each of them an activation email, and the person must still click in it"

func showReopens(shown *Hold, h ledger.Hold, users bool) {
	if !slices.Contains(h.Kinds, ledger.Reopening) {
		return
	}
	shown.Note = noteReopen
	for _, r := range h.Reopens {
		s := Reopen{From: r.DueAt, State: string(r.State), Reason: r.Reason, What: becameOf(r), TraceToken: r.Trace}
		if users {
			s.UserID, s.Email = r.User.ID, r.User.Email
		} else if h.State == ledger.HoldRejected { // it is what the person said
			s.Reason, s.What = "", "not done"
		}
		shown.Reopens = append(shown.Reopens, s)
	}
}

// becameOf tells in words where a reopening stands.
func becameOf(r ledger.Reopen) string {
	from := "from " + r.DueAt.Format(time.RFC3339)
	switch r.State {
	case ledger.ReopenProposed:
		return "waits for a person, " + from
	case ledger.ReopenApproved:
		if r.Reason != "" {
			return "approved, tried again after: " + r.Reason
		}
		return "approved, done at the next run " + from
	case ledger.ReopenSubmitted:
		return "sent to Docusign, whose answer is not known yet: it is looked up"
	case ledger.ReopenSent:
		return "the activation email was sent, the person must still click in it"
	case ledger.ReopenFailed:
		return "Docusign does not do it (" + r.Reason + "): open the user on Docusign's own pages"
	case ledger.ReopenDropped:
		if why, ok := dropped[r.Reason]; ok {
			return "not done: " + why
		}
		if r.Reason != "" {
			return "not done: " + r.Reason
		}
	}
	return "not done"
}

// dropped are the reasons for which an approved reopening is not carried out.
var dropped = map[string]string{
	"terminated":     "the person leaves again, by a later word",
	"already_open":   "the user was open already",
	"address_in_use": "an open user of the account has an address of theirs",
}
