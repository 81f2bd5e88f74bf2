package closer

import (
	"context"
	"slices"
	"time"

	"signoff/closer/docusign"
	"signoff/closer/guard"
	"signoff/closer/ledger"
)

// Preview is what a plan of now would do about one address in one account.
type Preview struct {
	Email   string
	Account string
	Users   []ledger.User // the open ones
	Outcome ledger.State  // Closed, Held, AlreadyClosed or NotFound; "": it could not be looked up
	Kinds   []ledger.Kind // why it is held
	Why     string        // the same in words, or why it could not be looked up; "" otherwise
}

// Preview finds out what would become of these people if they all left now, and
// changes nothing. An error ends it.
func (c *Closer) Preview(ctx context.Context, addresses []string, now time.Time) ([]Preview, error) {
	accounts, err := c.everyAccount(ctx)
	if err != nil {
		return nil, err
	}
	var all []Preview
	for _, a := range accounts {
		previews, err := a.preview(ctx, addresses, now)
		if err != nil {
			return nil, err
		}
		all = append(all, previews...)
	}
	order := make(map[string]int, len(addresses))
	for i, address := range addresses {
		order[address] = i
	}
	slices.SortStableFunc(all, func(a, b Preview) int { return order[a.Email] - order[b.Email] })
	return all, nil
}

// everyAccount is each account that leavers are closed in, found without a word in
// the ledger.
func (c *Closer) everyAccount(ctx context.Context) ([]*account, error) {
	if len(c.loops) == 0 {
		ids := c.cfg.Accounts
		if len(ids) == 0 {
			found, err := c.ask(ctx)
			if err != nil {
				return nil, err
			}
			ids = idsOf(found)
		}
		c.makeLoops(ids)
	}
	var all []*account
	for _, l := range c.loops {
		all = append(all, l.accounts...)
	}
	return all, nil
}

func (a *account) preview(ctx context.Context, addresses []string, now time.Time) ([]Preview, error) {
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	entries := make([]ledger.Entry, 0, len(addresses))
	for i, address := range addresses {
		entries = append(entries, ledger.Entry{ID: int64(i + 1), Leaver: address, Account: a.id, Emails: []string{address},
			State: ledger.Due, EffectiveAt: now, DueAt: now, ReceivedAt: now})
	}
	p, err := a.resolve(ctx, entries, false, nil)
	if err != nil {
		return nil, err
	}
	f, err := a.facts(ctx, now, p, nil)
	if err != nil {
		return nil, err
	}
	verdict, _, err := a.check(ctx, p, f, nil)
	if err != nil {
		return nil, err
	}
	return a.previews(p, verdict), nil
}

func (a *account) previews(p plan, verdict guard.Verdict) []Preview {
	var all []Preview
	for _, f := range p.fates(verdict) {
		all = append(all, Preview{Email: f.Entry.Leaver, Account: a.id, Outcome: f.Outcome, Users: f.Users, Kinds: f.Kinds, Why: f.Why})
	}
	return all
}

// fate is what a plan comes to for one leaver.
type fate struct {
	ledger.Resolved
	Outcome ledger.State  // Closed, Held, AlreadyClosed or NotFound; "": it could not be looked up
	Kinds   []ledger.Kind // why it would be held
	Why     string        // the same in words, or why it could not be looked up
	Whole   bool          // it is the whole plan that would be held
}

// fates are what the plan comes to, by the guard's verdict.
func (p plan) fates(verdict guard.Verdict) []fate {
	var all []fate
	for _, c := range verdict.Go {
		all = append(all, fate{Resolved: c.Resolved(), Outcome: ledger.Closed})
	}
	for _, h := range verdict.Holds {
		for _, c := range h.People {
			all = append(all, fate{Resolved: c.Resolved(), Outcome: ledger.Held, Kinds: h.Kinds, Why: h.Detail, Whole: h.WholePlan()})
		}
	}
	for _, s := range p.settled {
		all = append(all, fate{Resolved: ledger.Resolved{Entry: s.Entry}, Outcome: s.Outcome})
	}
	for _, r := range p.refused {
		all = append(all, fate{Resolved: ledger.Resolved{Entry: r.entry}, Why: docusign.Reason(r.cause)})
	}
	for _, e := range p.missed {
		all = append(all, fate{Resolved: ledger.Resolved{Entry: e}, Why: "could not be looked up for now"})
	}
	return all
}
