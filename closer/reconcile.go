package closer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/closer/directory"
	"signoff/closer/docusign"
	"signoff/closer/guard"
	"signoff/closer/ledger"
)

// Left is a person of HR's own list of those who left.
type Left struct {
	Email string    // lower case
	At    time.Time // when they left; zero if the list does not say
}

// Verdict is what HR's list, the ledger and Docusign together say of a person.
type Verdict string

// The verdicts, those that somebody must see to first.
const (
	NoEventOpen    Verdict = "no_event_open"    // no event ever came, and a user is open
	OpenInDocusign Verdict = "open_in_docusign" // an event came, and a user is open still, or again
	NotKnown       Verdict = "not_known"        // could not be looked up
	NoEvent        Verdict = "no_event"         // no event ever came, and no user is open
	IsClosed       Verdict = "closed"           // by us
	WasClosed      Verdict = "already_closed"   // by others
	IsNotFound     Verdict = "not_found"        // had no user
)

// Verdicts lists every Verdict.
func Verdicts() []Verdict {
	return []Verdict{NoEventOpen, OpenInDocusign, NotKnown, NoEvent, IsClosed, WasClosed, IsNotFound}
}

// Standing is how Docusign has a person in an account now.
type Standing string

// The standings.
const (
	StandsOpen    Standing = "open"
	StandsClosed  Standing = "closed"
	StandsNowhere Standing = "no_user"
	StandsNotOpen Standing = "not_open"  // closed, or no user: all open users were read, and nobody was asked for
	StandsUnknown Standing = "unknown"   // Docusign refuses to look one of the addresses up
	NotAsked      Standing = "not_asked" // leavers are not closed in the account any more
)

// earlierLeaving is how long before somebody left, by HR's list, an event may take
// effect and still be about that leaving: an older one is of an earlier one.
const earlierLeaving = 30 * 24 * time.Hour

// Reconciliation is HR's list against the ledger against Docusign.
type Reconciliation struct {
	People []Person // in the order of the list
	Open   []OpenUser
	Roster bool // a roster was given: Open has all open users
}

// Person is one of the list.
type Person struct {
	Left
	Verdict  Verdict
	Accounts []InAccount
}

// Heard is when the newest event of the person came, and from which source; zero
// if none ever did.
func (p Person) Heard() (at time.Time, source string) {
	for _, a := range p.Accounts {
		if a.Known.ReceivedAt.After(at) {
			at, source = a.Known.ReceivedAt, a.Known.Source
		}
	}
	return at, source
}

// InAccount is how a person stands in one account.
type InAccount struct {
	Account  string
	Known    ledger.Known // zero if the ledger has none
	Standing Standing
	Users    []ledger.User // the open ones or, if there are none, the closed ones
}

// OpenUser is an open user of an account.
type OpenUser struct {
	Account string
	User    ledger.User
	Status  docusign.Status
	On      List
	Marks   []ledger.Kind // why the guard would not let them be closed unasked: self, protected, administrator
}

// List is which list has an open user.
type List string

// The lists. Who is on both is on the roster.
const (
	OnRoster  List = "roster"
	OnLeavers List = "leavers"
	OnNone    List = "none"
)

// Reconcile holds a list of people who left against the ledger and Docusign, and
// changes nothing. With a roster, which is not nil, it finds the open users who
// are on neither, for which all of them are read.
func (c *Closer) Reconcile(ctx context.Context, people []Left, roster []string) (Reconciliation, error) {
	r := Reconciliation{Roster: roster != nil}
	known, err := c.ledger.KnownBy(ctx, emailsOf(people))
	if err != nil {
		return r, err
	}
	for _, p := range people {
		person := Person{Left: p}
		var since time.Time
		if !p.At.IsZero() {
			since = p.At.Add(-earlierLeaving)
		}
		for _, k := range ledger.Latest(known[p.Email], since) {
			person.Accounts = append(person.Accounts, InAccount{Account: k.Account, Known: k, Standing: NotAsked})
		}
		r.People = append(r.People, person)
	}
	accounts, err := c.everyAccount(ctx)
	if err != nil {
		return r, err
	}
	lists := listsOf(people, roster)
	for _, a := range accounts {
		if err := a.reconcile(ctx, &r, lists); err != nil {
			return r, fmt.Errorf("account %s: %w", a.id, err)
		}
	}
	for i := range r.People {
		p := &r.People[i]
		p.Accounts = slices.DeleteFunc(p.Accounts, func(a InAccount) bool { return a.Account == "" }) // each account has taken it over
		p.Verdict = p.verdict()
	}
	slices.SortFunc(r.Open, func(a, b OpenUser) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.User.Email, b.User.Email), cmp.Compare(a.User.ID, b.User.ID))
	})
	return r, nil
}

func emailsOf(people []Left) []string {
	all := make([]string, 0, len(people))
	for _, p := range people {
		all = append(all, p.Email)
	}
	return all
}

// listsOf says on which list an address is.
func listsOf(people []Left, roster []string) map[string]List {
	lists := make(map[string]List, len(people)+len(roster))
	for _, p := range people {
		lists[p.Email] = OnLeavers
	}
	for _, address := range roster {
		lists[address] = OnRoster
	}
	return lists
}

// reconcile finds out how the people stand in the account.
func (a *account) reconcile(ctx context.Context, r *Reconciliation, lists map[string]List) error {
	if err := a.open(ctx); err != nil {
		return err
	}
	asked := r.addresses()
	api := a.api.For(docusign.Reopens) // leaves room for all that closes somebody
	found, err := a.directory.Resolve(ctx, directory.Ask{Account: api, AccountID: a.id, Addresses: asked, Room: api.Room(),
		OpenOnly: true, Everybody: r.Roster})
	if err != nil {
		return a.noRoom(err)
	}
	if err := a.makeSure(ctx, api, r, &found); err != nil {
		return a.noRoom(err)
	}
	for i := range r.People {
		r.People[i].stand(a.id, found)
	}
	for _, u := range found.Everybody {
		on, ok := lists[strings.ToLower(strings.TrimSpace(u.Email))]
		if !ok {
			on = OnNone
		}
		user := OpenUser{Account: a.id, User: ledgerUser(u), Status: u.Status, On: on}
		if on != OnRoster {
			user.Marks = a.marks(u)
		}
		r.Open = append(r.Open, user)
	}
	a.log.Info("reconciled", zap.Int("people", len(r.People)), zap.Int("open_users", len(found.Everybody)))
	return nil
}

// noRoom says of an hour that is used up when there will be another.
func (a *account) noRoom(err error) error {
	if errors.Is(err, directory.ErrRoom) {
		return fmt.Errorf("%w: again after %s", err, a.api.Resumes().UTC().Format(time.RFC3339))
	}
	return err
}

// addresses are those of the people, each once: the list's own, and what else the
// ledger has learned that they go by.
func (r *Reconciliation) addresses() []string {
	var all []string
	seen := make(map[string]bool)
	for _, p := range r.People {
		for _, address := range p.addresses() {
			if !seen[address] {
				seen[address] = true
				all = append(all, address)
			}
		}
	}
	return all
}

func (p Person) addresses() []string {
	all := []string{p.Email}
	for _, a := range p.Accounts {
		for _, address := range a.Known.Emails {
			if !slices.Contains(all, address) {
				all = append(all, address)
			}
		}
	}
	return all
}

// makeSure looks up by address who is not among the open users that were read, and
// whom the ledger does not have as settled either: nobody else would find out that
// the reading has missed them. Where the hour has no room for that, it is left be.
func (a *account) makeSure(ctx context.Context, api *docusign.Account, r *Reconciliation, found *directory.Resolution) error {
	var unsure []string
	seen := make(map[string]bool)
	for _, p := range r.People {
		if k := p.known(a.id); k.ID != 0 && !k.State.Open() {
			continue
		}
		for _, address := range p.addresses() {
			if found.Via[address] == directory.Snapshot && len(found.Users[address]) == 0 && !seen[address] {
				seen[address] = true
				unsure = append(unsure, address)
			}
		}
	}
	if len(unsure) == 0 || len(unsure) > api.Room() {
		return nil
	}
	sure, err := a.directory.Resolve(ctx, directory.Ask{Account: api, AccountID: a.id, Addresses: unsure}) // no Room: no reading again
	for address, users := range sure.Users {
		found.Users[address], found.Via[address] = users, directory.Lookup
	}
	if docusign.ClassOf(err) == docusign.Exhausted {
		return nil
	}
	return err
}

// known is what the ledger has last of the person in an account, or for all of them
// as long as it waits; zero if that is nothing.
func (p Person) known(account string) (last ledger.Known) {
	for _, a := range p.Accounts {
		if (a.Account == account || a.Account == "") && a.Known.ID > last.ID {
			last = a.Known
		}
	}
	return last
}

// stand adds how the person stands in an account, by what was found there.
func (p *Person) stand(account string, found directory.Resolution) {
	now := InAccount{Account: account, Known: p.known(account), Standing: StandsNowhere}
	var closed []ledger.User
	seen := make(map[string]bool)
	for _, address := range p.addresses() {
		users, looked := found.Users[address]
		switch {
		case !looked:
			now.Standing = StandsUnknown
		case len(users) == 0 && found.Via[address] == directory.Snapshot && now.Standing != StandsUnknown:
			now.Standing = StandsNotOpen
		}
		for _, u := range users {
			if seen[u.ID] {
				continue
			}
			seen[u.ID] = true
			if u.Open() {
				now.Users = append(now.Users, ledgerUser(u))
			} else {
				closed = append(closed, ledgerUser(u))
			}
		}
	}
	switch {
	case len(now.Users) > 0:
		now.Standing = StandsOpen
	case len(closed) > 0 && now.Standing != StandsUnknown:
		now.Standing, now.Users = StandsClosed, closed
	}
	p.Accounts = slices.DeleteFunc(p.Accounts, func(a InAccount) bool { return a.Account == account })
	p.Accounts = append(p.Accounts, now)
}

func (p Person) verdict() Verdict {
	heard := slices.ContainsFunc(p.Accounts, func(a InAccount) bool { return a.Known.ID != 0 })
	stands := func(s Standing) bool {
		return slices.ContainsFunc(p.Accounts, func(a InAccount) bool { return a.Standing == s })
	}
	is := func(s ledger.State) bool {
		return slices.ContainsFunc(p.Accounts, func(a InAccount) bool { return a.Known.ID != 0 && a.Known.State == s })
	}
	switch {
	case !heard && stands(StandsOpen):
		return NoEventOpen
	case stands(StandsOpen):
		return OpenInDocusign
	case stands(StandsUnknown):
		return NotKnown
	case !heard:
		return NoEvent
	case is(ledger.Closed):
		return IsClosed
	case is(ledger.AlreadyClosed), stands(StandsClosed):
		return WasClosed
	}
	return IsNotFound
}

// marks are why the guard would not let a user be closed unasked.
func (a *account) marks(u docusign.User) []ledger.Kind {
	user := candidateUser(u)
	plan := []guard.Candidate{{Entry: ledger.Entry{Emails: []string{strings.ToLower(user.Email)}, EffectiveAt: time.Now()}, Users: []guard.User{user}}}
	var marks []ledger.Kind
	for _, h := range a.guard.Check(plan, guard.Facts{Account: a.id, Self: a.self, RunBefore: true}).Holds {
		for _, k := range h.Kinds {
			if k == ledger.Self || k == ledger.Protected || k == ledger.Administrator {
				marks = append(marks, k)
			}
		}
	}
	return marks
}
