// Package directory turns the addresses of leavers into users of an account, at
// the least number of calls: it looks each address up, or reads the account's
// users once, whichever is cheaper.
//
// Nobody is found by guess: whatever Docusign's filter answers, only a user
// whose address is equal to the one asked for, ignoring case, is the leaver's.
// Nobody is lost: whom a reading of all users lacks is looked up by address
// before they count as not there. What it returns was read after it was called;
// between calls it remembers nothing but how large the account is.
package directory

import (
	"context"
	"errors"
	"strings"
	"sync"

	"signoff/closer/docusign"
)

// Account is what the directory asks of an account.
type Account interface {
	// UsersByEmail returns what Docusign answers for an email, users of any
	// status; none is no error.
	UsersByEmail(ctx context.Context, email string) ([]docusign.User, error)

	// UsersPage returns up to 100 users in these statuses, from the start-th on.
	UsersPage(ctx context.Context, start int, statuses ...docusign.Status) (docusign.Page, error)
}

// Via is how an address was resolved; a value of the metric label `via`.
type Via string

// The ways.
const (
	Lookup   Via = "lookup"
	Snapshot Via = "snapshot"
)

// Ask is what to resolve, and what that may cost.
type Ask struct {
	Account   Account
	AccountID string  // in lower case
	Shared    *Shared // asks the organization first; nil: the account is asked itself
	Addresses []string
	Room      int             // calls that may be spent now: a snapshot is read only if it fits
	HourRoom  int             // calls of a whole hour: a snapshot that fits only into one is waited for, by ErrRoom. 0: it is not
	OpenOnly  bool            // only open users matter: whom a snapshot lacks has none, and is not looked up
	Everybody bool            // all open users are wanted, whatever that costs: a snapshot is read, or nothing is done
	Before    func(Via) error // called before each call, one at a time; its error ends the resolution; may be nil
}

// ErrRoom says that to wait for the next hour is cheaper than to go on in this
// one.
var ErrRoom = errors.New("too little is left of the hour to read all users")

// Resolution is what was found. An address that is in neither Users nor Errs was
// not asked for.
type Resolution struct {
	Users  map[string][]docusign.User // by address; empty if nobody has it. Of any status, but of a snapshot only open ones
	Errs   map[string]error           // address -> why it could not be looked up
	Via    map[string]Via
	Census *Census // nil unless a snapshot was read

	Everybody []docusign.User // all open users, if those were wanted
}

// Census is what a snapshot shows of the account as a whole.
type Census struct {
	Active         int
	Administrators []string // userIds of the active ones
}

// Directory resolves addresses in one account. It may be asked by several at
// the same time.
type Directory struct {
	mu   sync.Mutex
	open int // users who are not closed, when last seen; -1: not known
}

// New makes a directory of an account of which nothing is known.
func New() *Directory { return &Directory{open: -1} }

func (d *Directory) size() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

func (d *Directory) setSize(open int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = open
}

// Cost is how many calls it takes to resolve so many addresses, as far as that
// can be told.
func (d *Directory) Cost(addresses int) int {
	if size := d.size(); size >= 0 {
		return min(addresses, pages(size))
	}
	return addresses
}

const pageSize = 100

func pages(users int) int { return (users + pageSize - 1) / pageSize }

// worthAsking is from how many addresses on it is worth a call to find out how
// large the account is.
const worthAsking = 3

// Resolve finds the users of every address. An error about one address is in
// Errs and leaves the others alone; the error returned says why it stopped
// before all were asked for: no quota, no permission, Docusign away.
func (d *Directory) Resolve(ctx context.Context, ask Ask) (Resolution, error) {
	w := &work{Ask: ask, before: make(chan struct{}, 1), found: Resolution{Users: make(map[string][]docusign.User, len(ask.Addresses)),
		Errs: make(map[string]error), Via: make(map[string]Via)}}
	snap, err := d.snapshot(ctx, w)
	if err != nil {
		return w.found, err
	}
	missing := ask.Addresses
	if snap != nil {
		missing = w.take(snap)
	}
	return w.found, w.lookUp(ctx, missing)
}

// snapshot reads all open users, if that is the cheaper way; else it returns
// nil.
func (d *Directory) snapshot(ctx context.Context, w *work) (*snapshot, error) {
	size := d.size()
	if size < 0 && len(w.Addresses) < worthAsking && !w.Everybody {
		return nil, nil
	}
	if size >= 0 {
		if worth, err := w.worthReading(size, pages(size)); !worth || err != nil {
			return nil, err
		}
	}
	s := newSnapshot(w)
	first, err := s.page(ctx, 0)
	if err != nil {
		return nil, w.stops(err)
	}
	total := first.Total
	if total < 0 { // Docusign does not say: then only reading to the end tells
		total = max(size, len(first.Users))
	}
	if worth, err := w.worthReading(total, pages(total)-1); !worth || err != nil { // the first page is spent already
		d.setSize(total)
		return nil, err
	}
	if err := s.read(ctx, first); err != nil {
		return nil, w.stops(err)
	}
	d.setSize(len(s.users))
	return s, nil
}

// work is one resolution under way.
type work struct {
	Ask
	before chan struct{} // has room for the one that calls Before, which may take as long as a run
	mu     sync.Mutex
	found  Resolution
}

// worthReading says whether to read these pages more is cheaper than to look
// every address up, and can be paid for.
func (w *work) worthReading(users, morePages int) (bool, error) {
	switch {
	case w.Everybody && morePages > w.Room:
		return false, ErrRoom
	case w.Everybody:
		return true, nil
	case users == 0 || morePages >= len(w.Addresses):
		return false, nil
	case morePages <= w.Room:
		return true, nil
	case morePages <= w.HourRoom:
		return false, ErrRoom
	}
	return false, nil
}

// stops is err if it is about more than the list of users: a list that Docusign
// does not give, or gives no sense in, is no reason not to look people up, unless
// it is the list that is wanted.
func (w *work) stops(err error) error {
	if docusign.ClassOf(err) == docusign.Permanent && !w.Everybody {
		return nil
	}
	return err
}

// ready is called before each call.
func (w *work) ready(ctx context.Context, via Via) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if w.Before == nil {
		return nil
	}
	select {
	case w.before <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-w.before }()
	return w.Before(via)
}

// take takes over what a snapshot shows, and returns the addresses that are to
// be looked up.
func (w *work) take(s *snapshot) (missing []string) {
	w.found.Census = s.census()
	if w.Everybody {
		w.found.Everybody = s.everybody()
	}
	byAddress := s.byAddress()
	for _, address := range w.Addresses {
		users := byAddress[fold(address)]
		if len(users) == 0 && !w.OpenOnly {
			missing = append(missing, address)
			continue
		}
		w.found.Users[address], w.found.Via[address] = users, Snapshot
	}
	return missing
}

// fold is an address as two spellings of it compare.
func fold(address string) string { return strings.ToLower(strings.TrimSpace(address)) }
