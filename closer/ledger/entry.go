package ledger

import (
	"slices"
	"time"

	"signoff/consumer"
)

// State is where an entry stands. The words are those of logs, labels and pages.
type State string

// The states of an entry. The last six are outcomes.
const (
	Waiting    State = "waiting"     // not yet due
	Due        State = "due"         // may be closed now
	Held       State = "held"        // waits for a person
	Submitted  State = "submitted"   // a close was sent, its answer is not in the ledger yet
	WouldClose State = "would_close" // dry run: would have been sent

	Closed        State = "closed"
	AlreadyClosed State = "already_closed"
	NotFound      State = "not_found"
	Cancelled     State = "cancelled"
	Skipped       State = "skipped"
	Failed        State = "failed" // Docusign refuses; tried again daily, open until a person settles it
)

// States lists every State.
func States() []State {
	return []State{Waiting, Due, Held, Submitted, WouldClose, Closed, AlreadyClosed, NotFound, Cancelled, Skipped, Failed}
}

// Outcomes lists the states that end an entry, Failed among them.
func Outcomes() []State {
	return []State{Closed, AlreadyClosed, NotFound, Cancelled, Skipped, Failed}
}

// Open says whether an entry in this state still waits for its outcome.
func (s State) Open() bool {
	return s == Failed || !slices.Contains(Outcomes(), s)
}

// Entry is one leaving of a leaver in one account. Times are UTC, zero for none.
type Entry struct {
	ID      int64
	Leaver  string // by the email first heard of; with a number, if somebody else had gone by that before
	Account string // "" until first due
	State   State
	Emails  []string // the addresses to look up: all that the leaver has gone by in this leaving

	Source      string // CloudEvents source that announced the termination
	TraceParent string // W3C trace context that the termination came with; "" for none
	Urgent      bool
	Stale       bool // the news was older than events.max_age when it came
	DryRun      bool // comes out of a dry run
	Returned    bool // was closed before, and is open again
	EffectiveAt time.Time
	DueAt       time.Time
	ReceivedAt  time.Time

	Attempts  int       // refusals by Docusign so far
	Tries     int       // closes that came to nothing for a passing reason
	Misses    int       // look-ups in a row that did
	NextAt    time.Time // not to be tried before
	Reason    string    // why it is held, has failed or is tried again
	SentAt    time.Time // of the last close that was sent for it
	SettledAt time.Time
	Approvals []Hold // approved holds that name this entry

	emails string // Emails as the row has them: tells whether the entry has changed since it was read
}

// TraceID is the id of the trace that the termination belongs to; "" for none.
func (e Entry) TraceID() string { return consumer.TraceID(e.TraceParent) }

// Approved says whether a person has approved, for this kind of hold, that all
// these users are closed.
func (e Entry) Approved(kind Kind, users []User) bool {
	return e.ApprovedSince(kind, users, time.Time{})
}

// ApprovedSince is Approved, by what was decided then or later.
func (e Entry) ApprovedSince(kind Kind, users []User, since time.Time) bool {
	return slices.ContainsFunc(e.Approvals, func(h Hold) bool {
		return !h.DecidedAt.Before(since) && slices.Contains(h.Kinds, kind) && !slices.ContainsFunc(users, func(u User) bool { return !h.names(u.ID) })
	})
}

// User is a user of the account that an entry names.
type User struct {
	ID    string
	Email string
	SCIM  bool // an identity provider manages the user, and may open them again

	LastLogin time.Time // as Docusign said when last looked; zero: never, or not said
}

// Resolved is an entry with the open users that a plan would close for it.
type Resolved struct {
	Entry Entry
	Users []User
}

// Settlement is the outcome of an entry that needs no close.
type Settlement struct {
	Entry   Entry
	Outcome State  // AlreadyClosed or NotFound
	Users   []User // the closed users that were found
}

// Settled tells what became of an entry, for those who count.
type Settled struct {
	Entry   Entry
	Outcome State
	Reason  string
	At      time.Time
}
