package closer

import (
	"context"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/closer/directory"
	"signoff/closer/docusign"
	"signoff/closer/guard"
	"signoff/closer/ledger"
)

// plan is what one run would do.
type plan struct {
	resolvedAt time.Time           // before the first look-up
	open       []guard.Candidate   // leavers with open users
	settled    []ledger.Settlement // leavers without
	refused    []refusal           // leavers who cannot be looked up
	missed     []ledger.Entry      // leavers who could not be looked up now
	unresolved int                 // entries left for a later run
}

type refusal struct {
	entry ledger.Entry
	cause error
}

// lookUpsTogether is how many addresses are looked up before it is asked again
// whether the quota still has room for the closes.
const lookUpsTogether = 100

// resolve looks up every address of every entry. cut says why some were left
// for a later run, nil if none were: what was resolved can be sent all the same.
func (c *Closer) resolve(ctx context.Context, entries []ledger.Entry) (p plan, cut error) {
	p = plan{resolvedAt: time.Now()}
	for len(entries) > 0 && cut == nil {
		var n int
		if n, cut = c.next(p, entries); cut != nil {
			break
		}
		var found directory.Resolution
		found, cut = directory.Resolve(ctx, c.account, addresses(entries[:n]))
		for _, e := range entries[:n] {
			c.sort(e, found, cut, &p)
		}
		entries = entries[n:]
		c.beat(time.Now())
	}
	p.unresolved += len(entries)
	return p, cut
}

// closesShare is the part of the hour, 1 in so many, that look-ups leave to
// closes beyond those that are known to be needed. What was cut off on its way
// has cost calls that nobody told us of, and look-ups without closes are for
// nothing.
const closesShare = 20

// next is how many of the entries to look up next, or why none: the hour has
// just the calls left that the closes need, or what was read first grows old.
func (c *Closer) next(p plan, entries []ledger.Entry) (int, error) {
	if len(p.open) > 0 && time.Since(p.resolvedAt) > c.fresh()/2 {
		return 0, &notYetError{"the rest of the plan is looked up once this part is sent"}
	}
	room := lookUpsTogether
	hour := c.account.Quota().Hour
	if !hour.Reset.IsZero() {
		closes := (len(p.open)+lookUpsTogether)/c.cfg.MaxUsers + 1
		room = min(room, hour.Remaining-closes-hour.Limit/closesShare)
	}
	n := 0
	for n < len(entries) && room >= len(entries[n].Emails) {
		room -= len(entries[n].Emails)
		n++
	}
	switch {
	case n > 0:
		return n, nil
	case hour.Reset.IsZero() || hour.Remaining > 2*hour.Limit/closesShare+len(entries[0].Emails):
		return 1, nil // a leaver with very many addresses
	case len(p.open) > 0:
		return 0, &notYetError{"what the quota has left is for the closes"}
	}
	return 0, &usedUpError{hour.Reset.Add(quotaMargin)}
}

// quotaMargin is waited for beyond the reset of a window: clocks differ.
const quotaMargin = 2 * time.Second

// usedUpError says until when too little is left of the quota to find and close
// anybody.
type usedUpError struct{ until time.Time }

func (e *usedUpError) Error() string { return "quota used up until " + e.until.Format(time.RFC3339) }

// fresh is for how long a resolution may be relied on.
func (c *Closer) fresh() time.Duration { return max(c.cfg.Interval, leastFresh) }

func addresses(entries []ledger.Entry) []string {
	var all []string
	seen := make(map[string]bool)
	for _, e := range entries {
		for _, a := range e.Emails {
			if !seen[a] {
				seen[a] = true
				all = append(all, a)
			}
		}
	}
	return all
}

// sort puts an entry where it belongs by what was found for its addresses.
func (c *Closer) sort(e ledger.Entry, found directory.Resolution, cut error, p *plan) {
	candidate := guard.Candidate{Entry: e}
	var closed []string
	var refused error
	seen := make(map[string]bool)
	for _, address := range e.Emails {
		users, known := found.Users[address]
		err := found.Errs[address]
		switch {
		case known:
		case err == nil: // the look-ups were cut off before it
			p.unresolved++
			return
		case docusign.ClassOf(err) == docusign.Permanent && cut == nil:
			c.metrics.Failure(c.account.ID(), docusign.Reason(err))
			refused = err // the other addresses are no worse for it
			continue
		default: // nobody is settled by half of what there is to know
			c.metrics.Failure(c.account.ID(), docusign.Reason(err))
			p.missed = append(p.missed, e)
			return
		}
		for _, u := range users {
			if seen[u.ID] {
				continue
			}
			seen[u.ID] = true
			if u.Open() {
				candidate.Users = append(candidate.Users, guard.User{
					ID: u.ID, Email: strings.TrimSpace(u.Email), Administrator: u.Administrator, CreatedAt: cameInto(u)})
			} else {
				closed = append(closed, u.ID)
			}
		}
	}
	switch {
	case refused != nil && len(candidate.Users) == 0:
		c.metrics.Resolution("error")
		p.refused = append(p.refused, refusal{e, refused})
	case len(candidate.Users) > 0:
		c.metrics.Resolution("open")
		p.open = append(p.open, candidate)
	case len(closed) > 0:
		c.metrics.Resolution("closed")
		p.settled = append(p.settled, ledger.Settlement{Entry: e, Outcome: ledger.AlreadyClosed, Users: closed})
	default:
		c.metrics.Resolution("none")
		p.settled = append(p.settled, ledger.Settlement{Entry: e, Outcome: ledger.NotFound})
	}
}

// cameInto is when a user came into the account, which may be long after they
// were made.
func cameInto(u docusign.User) time.Time {
	if u.Added.After(u.Created) {
		return u.Added
	}
	return u.Created
}

// settleResolved settles who has no open user, and counts a refusal, or a
// fruitless try, for who could not be looked up.
func (c *Closer) settleResolved(ctx context.Context, p plan) error {
	settled, err := c.ledger.Settle(ctx, p.settled)
	if err != nil {
		return err
	}
	c.count(settled)
	if len(p.missed) > 0 {
		if err := c.ledger.Missed(ctx, p.missed, "not_looked_up", retries); err != nil {
			return err
		}
	}
	for _, r := range p.refused {
		failed, err := c.ledger.Refuse(ctx, r.entry, codeOf(r.cause), retries)
		if err != nil {
			return err
		}
		if failed != nil {
			c.count([]ledger.Settled{*failed})
		}
	}
	return nil
}

// check lets the guard judge the plan, with all that it must know.
func (c *Closer) check(ctx context.Context, now time.Time, p plan, cut error) (guard.Verdict, error) {
	f := guard.Facts{Now: now, Account: c.account.ID(), Self: c.self, ActiveUsers: c.active}
	if len(p.settled) == 0 && !isPassing(cut) {
		// All that was looked up has users, and there is more than one run can look
		// up: the next one would see no further.
		f.Unknowable = p.unresolved
	} else {
		f.Unresolved = p.unresolved
	}
	var err error
	if f.RunBefore, err = c.ledger.RunBefore(ctx, f.Account); err != nil {
		return guard.Verdict{}, err
	}
	if f.Sent, err = c.ledger.Sent(ctx, now.Add(-c.guard.LongestWindow())); err != nil {
		return guard.Verdict{}, err
	}
	if err := c.countUsers(ctx, p, &f); err != nil {
		return guard.Verdict{}, err
	}
	verdict := c.guard.Check(p.open, f)
	headroom := make(map[time.Duration]int)
	for _, l := range c.guard.Limits {
		left := max(0, l.Headroom(f)-len(verdict.Go))
		if least, ok := headroom[l.Window]; !ok || left < least {
			headroom[l.Window] = left
		}
	}
	for window, left := range headroom {
		c.metrics.Headroom(f.Account, window.String(), left)
	}
	return verdict, nil
}

// countUsers asks Docusign for what only some plans make it necessary to know.
func (c *Closer) countUsers(ctx context.Context, p plan, f *guard.Facts) error {
	if c.guard.NeedsActiveUsers() && (len(p.open) > 0 || c.active == 0) {
		n, err := c.account.CountUsers(ctx, docusign.Active)
		if err != nil {
			return err
		}
		c.active, f.ActiveUsers = n, n
	}
	if !c.guard.NeedsAdministrators(p.open, *f) {
		return nil
	}
	var err error
	f.Administrators, err = c.administrators(ctx, p)
	return err
}

// administrators lists the active administrators, for which all users must be
// read: Docusign has no filter for them. Where the hour has no room for that
// beside the closes, or the list breaks off, none are known, and the guard holds
// the administrators of the plan.
func (c *Closer) administrators(ctx context.Context, p plan) ([]string, error) {
	active, err := c.account.CountUsers(ctx, docusign.Active)
	if err != nil {
		return nil, err
	}
	hour := c.account.Quota().Hour
	if pages := active/pageUsers + 1; pages+len(p.open)/c.cfg.MaxUsers+hour.Limit/closesShare >= hour.Remaining {
		c.log.Warn("the quota has no room to count the administrators: those of the plan are held", zap.Int("pages", pages))
		return nil, nil
	}
	var ids []string
	for u, err := range c.account.Users(ctx, docusign.Active) {
		c.beat(time.Now())
		if err != nil {
			c.metrics.Failure(c.account.ID(), docusign.Reason(err))
			return nil, stopsRun(err)
		}
		if u.Administrator {
			ids = append(ids, u.ID)
		}
	}
	return ids, nil
}

// pageUsers is how many users a call lists at most.
const pageUsers = 100

func (c *Closer) hold(ctx context.Context, h guard.Held) error {
	people := make([]ledger.Resolved, 0, len(h.People))
	for _, p := range h.People {
		people = append(people, p.Resolved())
	}
	made, err := c.ledger.MakeHold(ctx, c.account.ID(), h.Kinds, h.Detail, c.cfg.DryRun, people)
	if err != nil || made.ID == 0 {
		return err
	}
	c.log.Warn("held: waits for a person", zap.Int64("hold", made.ID), zap.String("kind", string(h.Kinds[0])),
		zap.String("detail", h.Detail), zap.Int("users", len(made.Users)), zap.Bool("dry_run", c.cfg.DryRun))
	return nil
}
