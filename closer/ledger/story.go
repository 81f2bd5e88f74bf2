package ledger

import (
	"errors"
	"time"

	"signoff/consumer"
)

const (
	storyLeavers  = 10  // leavers of one address or event that are told of
	storyLeavings = 20  // leavings of one leaver, the newest ones
	storyFirst    = 100 // steps of one leaving: so many of the oldest
	storyLast     = 400 // and so many of the newest
)

// Question asks for the story of whoever goes, or has ever gone, by an address, or
// of an event.
type Question struct {
	Email  string // in lower case; "": it is about an event
	Event  string // CloudEvents id
	Source string // CloudEvents source of the event; "": of any
	Entry  int64  // number of an entry; 0: it is about neither
}

// Story is all that the ledger knows of one leaver or one event, as of one moment.
// Times are UTC, zero for none.
type Story struct {
	At       time.Time
	Events   []StoryEvent // that go by the id asked for, or take back the termination of nobody known
	Leavers  []StoryLeaver
	More     int // leavers that are left out
	Accounts map[string]Account
	Kept     []string // accounts that leavers are closed in; none: not known
	Reading  Reading
	Freezes  []Freeze // in force
}

// StoryEvent is an event of which the ledger knows: recorded, rejected, or both.
type StoryEvent struct {
	Key        consumer.Key
	Kind       consumer.Kind // "" of a reject
	ReceivedAt time.Time
	Entry      int64   // that it led to; 0: to none
	Reject     *Reject // without its payload; nil: it was understood
}

// StoryLeaver is one leaver.
type StoryLeaver struct {
	Emails   []string // all that the leaver goes by, the first one first; none once they were erased
	Name     string   // by the newest word; "" if none had it, or once it was erased
	Leavings []StoryLeaving

	EmployeeID, Department, LegalEntity string // of the newest entry; "" if it has none

	More int // older leavings that are left out
}

// StoryLeaving is one leaving with all that came of it: the entries of each account,
// and those who were closed and came back.
type StoryLeaving struct {
	Entries []StoryEntry // the oldest first
	Steps   []Step       // in the order of the chain
	More    int          // steps that are left out
	Gap     int64        // the row before which they are
	Rejects []Reject     // of its events: what was replayed
	Freezes []Freeze     // that were in force while it was due
	Holds   map[int64]Hold
	Cancels map[int64]StoryEvent // rescinds and rehires that it has heeded, by the id that steps name
}

// StoryEntry is an entry with what tells what happens next.
type StoryEntry struct {
	Entry
	Hold      int64     // that it waits in; 0: none
	Deferred  time.Time // by a person's word not due before
	TakenBack time.Time // the day of a rehire by which it is cancelled, if it is not settled by then
	WatchedAt time.Time // when it was last looked for after the close
	WatchOver bool      // before its time
	ErasedAt  time.Time
	GaveWay   bool // another entry has taken its place
	Importing bool // its close is in an import that is not ended
	Reopens   []Reopen
}

// Step is a row of the audit about an entry, or about a hold or an account of it.
type Step struct {
	Seq      int64
	At       time.Time
	Action   string
	Entry    int64 // 0: it is about a hold or an account
	Actor    string
	Facts    string            // JSON
	Personal map[string]string // as far as it was not erased: email, id, reason
}

var (
	// ErrNeverHeard says that nothing came under an event's id.
	ErrNeverHeard = errors.New("no event of this id was ever received, nor one that could not be understood (signoff rejects list): " +
		"check the id and where the sender sends to; it may have been pruned, too")

	// ErrNobodyBy says that nobody goes, or has ever gone, by an address.
	ErrNobodyBy = errors.New("nobody who leaves goes by this address: no termination with it was received, or who it was is erased by now. " +
		"Check how it is spelled, and what could not be understood (signoff rejects list)")

	// ErrNoEntry says that there is no entry of a number.
	ErrNoEntry = errors.New("no entry of this number: it was pruned, or there never was one")
)

// dueAt says whether the entry was to be closed at that time.
func (e StoryEntry) dueAt(at time.Time) bool {
	return !e.GaveWay && !at.Before(e.DueAt) && (e.SettledAt.IsZero() || !at.After(e.SettledAt))
}
