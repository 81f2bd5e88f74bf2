package closer

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"signoff/closer/directory"
	"signoff/closer/docusign"
	"signoff/closer/guard"
	"signoff/closer/ledger"
)

// lookAhead looks for leavers who are due within a week, and judges what a plan of
// their day would do. It sends nothing, and settles nobody: who is not found today
// may be there on the day. It takes only what plans leave of the quota, and what it
// cannot do now it does in a later run.
func (a *account) lookAhead(ctx context.Context, now time.Time) error {
	if a.cfg.Only != nil { // a run for these people, not for those to come
		return nil
	}
	soon := time.Now().Add(a.cfg.Interval) // whom the next run looks up anyway
	entries, err := a.ledger.LookAhead(ctx, a.id, now, soon)
	if err != nil || len(entries) == 0 {
		return err
	}
	api := a.api.For(docusign.Watching)
	asked := addresses(entries)
	found, cut := a.directory.Resolve(ctx, directory.Ask{
		Account: api, AccountID: a.id, Shared: a.sharedFor(len(asked)), Addresses: asked, Room: api.Room(),
		Before: func(directory.Via) error {
			a.beat(time.Now())
			a.urgentFirst(ctx)
			return nil
		},
	})
	p := plan{census: found.Census}
	for _, e := range entries {
		a.sort(e, found, cut, &p)
	}
	if err := a.foresee(ctx, now, api, p); err != nil && !isDocusign(err) {
		return err
	} else if cut == nil {
		cut = err
	}
	if cut != nil && ctx.Err() == nil {
		a.metrics.Failure(a.id, docusign.Reason(cut))
		a.log.Info("the look ahead goes on in a later run", zap.Int("leavers", p.unresolved.Urgent+p.unresolved.Others), zap.Error(cut))
	}
	if cut != nil && !isDocusign(cut) {
		return cut
	}
	return nil
}

// foresee judges whom a look ahead has found, day by day with those of earlier
// looks, and writes what it comes to.
func (a *account) foresee(ctx context.Context, now time.Time, api *docusign.Account, p plan) error {
	fresh, err := a.judgeAhead(ctx, now, api, p)
	if err != nil || len(fresh) == 0 {
		return err
	}
	looked := make(map[int64]bool, len(fresh))
	for _, f := range fresh {
		looked[f.Entry.ID] = true
	}
	known, err := a.ledger.Findings(ctx)
	if err != nil {
		return err
	}
	waiting, err := a.ledger.Waiting(ctx, a.id)
	if err != nil {
		return err
	}
	findings, others := fresh, make([]ledger.Finding, 0, len(known))
	for _, f := range known {
		e, ok := waiting[f.Entry.ID]
		switch {
		case f.Account != a.id:
			others = append(others, f)
		case ok && !looked[e.ID]:
			f.Entry = e
			findings = append(findings, f)
		}
	}
	if err := a.judgeDays(ctx, now, api, findings, others); err != nil {
		return err
	}
	good := a.guard.ApprovalsExpire
	if a.cfg.DryRun { // in which there is nothing to decide
		good = 0
	}
	var changed []ledger.Finding
	err = a.policy.while(a.terms, func() (err error) {
		changed, err = a.ledger.Foresee(ctx, findings, looked, good)
		return err
	})
	a.tellAhead(changed, append(others, findings...))
	return err
}

// judgeAhead has the guard judge each person of a look ahead for what they are.
func (a *account) judgeAhead(ctx context.Context, now time.Time, api *docusign.Account, p plan) ([]ledger.Finding, error) {
	personal := a.guard
	personal.Limits, personal.UrgentLimits, personal.FirstRun = nil, nil, guard.Close
	f := guard.Facts{Now: now, Account: a.id, Self: a.self}
	if p.census != nil {
		f.Administrators, a.active = p.census.Administrators, p.census.Active
	} else if personal.NeedsAdministrators(p.open, f) {
		var err error
		if f.Administrators, err = a.administrators(ctx, api, p); err != nil {
			return nil, err
		}
	}
	var all []ledger.Finding
	for _, o := range p.fates(personal.Check(p.open, f)) {
		all = append(all, ledger.Finding{Entry: o.Entry, Account: a.id, Outcome: o.Outcome, Kinds: o.Kinds, Detail: o.Why, Users: o.Users})
	}
	return all, nil
}

// judgeDays has the guard judge the plan of each day (UTC) by what will have been
// sent before it. Those of a day count together, whenever they are due in it.
func (a *account) judgeDays(ctx context.Context, now time.Time, api *docusign.Account, findings, others []ledger.Finding) error {
	if a.guard.NeedsActiveUsers() && a.active == 0 {
		n, err := api.CountUsers(ctx, docusign.Active)
		if err != nil {
			return err
		}
		a.active = n
	}
	runBefore, err := a.ledger.RunBefore(ctx, a.id)
	if err != nil {
		return err
	}
	sent, err := a.ledger.Sent(ctx, now.Add(-a.guard.LongestWindow()))
	if err != nil {
		return err
	}
	for _, f := range others {
		if f.Outcome == ledger.Closed {
			sent = append(sent, sentThen(f))
		}
	}
	for _, day := range days(findings) {
		f := guard.Facts{Now: day[len(day)-1].Entry.DueAt, Account: a.id, Self: a.self, RunBefore: runBefore, ActiveUsers: a.active}
		for _, s := range sent {
			if !s.At.After(f.Now) {
				f.Sent = append(f.Sent, s)
			}
		}
		if f.FrozenSince, f.FrozenUntil, err = a.ledger.Frozen(ctx, a.id, f.Now); err != nil {
			return err
		}
		for _, gone := range judgeDay(a.guard, day, f) {
			sent = append(sent, sentThen(*gone))
		}
	}
	return nil
}

// days are the findings of whom a plan would close, but for what holds a whole
// plan, by the day on which they are due.
func days(findings []ledger.Finding) [][]*ledger.Finding {
	byDay := make(map[time.Time][]*ledger.Finding)
	for i := range findings {
		f := &findings[i]
		if f.Outcome == ledger.Closed || f.Outcome == ledger.Held && len(f.Personal()) == 0 {
			day := f.Entry.DueAt.UTC().Truncate(24 * time.Hour)
			byDay[day] = append(byDay[day], f)
		}
	}
	var all [][]*ledger.Finding
	for _, day := range slices.SortedFunc(maps.Keys(byDay), time.Time.Compare) {
		slices.SortStableFunc(byDay[day], func(a, b *ledger.Finding) int { return a.Entry.DueAt.Compare(b.Entry.DueAt) })
		all = append(all, byDay[day])
	}
	return all
}

// judgeDay notes what would become of each of a day's plan, and returns those whom
// it would close.
func judgeDay(g guard.Config, day []*ledger.Finding, f guard.Facts) (gone []*ledger.Finding) {
	var plan []guard.Candidate
	of := make(map[int64]*ledger.Finding, len(day))
	for _, one := range day {
		c := guard.Candidate{Entry: one.Entry}
		for _, u := range one.Users { // judged by themselves already: an address for each, as if it were nobody else's
			c.Users = append(c.Users, guard.User{ID: u.ID, Email: u.ID})
		}
		plan, of[one.Entry.ID] = append(plan, c), one
	}
	verdict := g.Check(plan, f)
	for _, c := range verdict.Go {
		one := of[c.Entry.ID]
		one.Outcome, one.Kinds, one.Detail = ledger.Closed, nil, ""
		gone = append(gone, one)
	}
	for _, h := range verdict.Holds {
		for _, c := range h.People {
			one := of[c.Entry.ID]
			one.Outcome, one.Kinds, one.Detail = ledger.Held, h.Kinds, h.Detail
		}
	}
	return gone
}

// sentThen is a finding as the limits count it, once it has come true.
func sentThen(f ledger.Finding) ledger.SentLeaver {
	return ledger.SentLeaver{Account: f.Account, Leaver: f.Entry.Leaver, Source: f.Entry.Source, Urgent: f.Entry.Urgent, At: f.Entry.DueAt}
}

// tellAhead logs what a person should look at before the day: a line for each
// finding that is news.
func (a *account) tellAhead(changed, all []ledger.Finding) {
	of := make(map[int64][]ledger.Finding)
	for _, f := range all {
		of[f.Entry.ID] = append(of[f.Entry.ID], f)
	}
	type news struct {
		entries []int64
		first   time.Time
	}
	by := make(map[string]news)
	for _, f := range changed {
		words := ledger.WordsOf([]ledger.Finding{f})
		if f.Outcome == ledger.NotFound && (len(of[f.Entry.ID]) < len(a.all) || len(ledger.WordsOf(of[f.Entry.ID])) != 1) {
			continue // another account may know them
		}
		for _, w := range words {
			n := by[w]
			if n.entries = append(n.entries, f.Entry.ID); n.first.IsZero() || f.Entry.DueAt.Before(n.first) {
				n.first = f.Entry.DueAt
			}
			by[w] = n
		}
	}
	for _, w := range slices.Sorted(maps.Keys(by)) {
		n := by[w]
		const named = 20
		a.log.Warn("look ahead: leavers of the next days need a person", zap.String("finding", w), zap.Int("leavers", len(n.entries)),
			zap.Time("first_due", n.first), zap.Int64s("entries", n.entries[:min(len(n.entries), named)]))
	}
}

// selfAgain is how often it is said that the user leaves that we sign in as.
const selfAgain = 24 * time.Hour

// lookForSelf has a person told as soon as it is known, however far ahead, that
// the user leaves that we sign in as: nothing is closed from then on.
func (a *account) lookForSelf(ctx context.Context, now time.Time) error {
	if err := a.ledger.SetSelf(ctx, ledger.User{ID: a.self, Email: a.selfEmail}); err != nil {
		return err
	}
	self, entries, err := a.ledger.SelfLeaving(ctx, a.id)
	if err != nil {
		return err
	}
	say := len(entries) > 0 && now.Sub(a.saidOfSelf) >= selfAgain
	if say {
		a.saidOfSelf = now
	}
	for _, e := range entries {
		const detail = "the user that signoff signs in as: the integration ends with that person"
		if say {
			a.log.Error("the integration ends with a person who leaves: give it another user", zap.Int64("entry", e.ID), traced(e), zap.Time("due", e.DueAt))
		}
		if e.State != ledger.Waiting || a.cfg.DryRun {
			continue
		}
		if _, err := a.ledger.HoldSelf(ctx, a.id, e, self, detail, a.guard.ApprovalsExpire); err != nil {
			return err
		}
	}
	return nil
}

// PlanAt is what the plan of a time would do in one account, as far as can be told
// now.
type PlanAt struct {
	Account string
	At      time.Time
	People  []PlannedAt // none where nobody was looked up
	Waiting int         // leavers who are due by then, and are not yet; those due now, if it is now
	Due     int         // due already, where that is another time: the next run judges them
	Held    int         // that wait for a person

	Frozen   time.Time      // the end of the freeze that is in force then; zero: none is
	Headroom map[string]int // window -> leavers that it would still let through after those
	Digest   string         // of Going and those whom only a whole plan's hold keeps from it; "" if there is nobody
}

// PlannedAt is what would become of one leaver.
type PlannedAt struct {
	Entry   ledger.Entry
	Users   []ledger.User // the open ones
	Outcome ledger.State  // Closed, Held, AlreadyClosed or NotFound; "": it could not be looked up
	Kinds   []ledger.Kind // why it would be held
	Why     string        // the same in words, or why it could not be looked up
	Whole   bool          // it is the whole plan that would be held
}

// Approvable are those whom a person approves who approves the plan.
func (p PlanAt) Approvable() []ledger.Resolved {
	var all []ledger.Resolved
	for _, one := range p.People {
		if one.Outcome == ledger.Closed || one.Whole {
			all = append(all, ledger.Resolved{Entry: one.Entry, Users: one.Users})
		}
	}
	return all
}

// PlanAt makes the plan of a time in each account, or in one, and changes nothing.
// With look, everybody is looked up; without, it only counts. An error ends it, also
// where not all could be looked up: half a plan is none.
func (c *Closer) PlanAt(ctx context.Context, at, now time.Time, account string, look bool) ([]PlanAt, error) {
	accounts, err := c.everyAccount(ctx)
	if err != nil {
		return nil, err
	}
	var all []PlanAt
	for _, a := range accounts {
		if account != "" && account != a.id {
			continue
		}
		p, err := a.planAt(ctx, at, now, look)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, &AccountError{"account: " + account + ": none that leavers are closed in"}
	}
	return all, nil
}

func (a *account) planAt(ctx context.Context, at, now time.Time, look bool) (PlanAt, error) {
	p := PlanAt{Account: a.id, At: at}
	ahead, err := a.ledger.Ahead(ctx, a.id, at, now)
	if err != nil {
		return p, err
	}
	p.Waiting, p.Due, p.Held = len(ahead.Entries), ahead.Due, ahead.Held
	if _, p.Frozen, err = a.ledger.Frozen(ctx, a.id, at); err != nil || !look {
		return p, err
	}
	if err := a.open(ctx); err != nil {
		return p, err
	}
	resolved, cut := a.resolve(ctx, ahead.Entries, false, nil)
	if cut != nil {
		return p, cut
	}
	f, err := a.facts(ctx, at, resolved, nil)
	if err != nil {
		return p, err
	}
	verdict, headroom, err := a.check(ctx, resolved, f, nil)
	if err != nil {
		return p, err
	}
	p.People, p.Headroom = peopleAt(resolved, verdict), headroom
	if going := p.Approvable(); len(going) > 0 {
		p.Digest = ledger.PlanDigest(a.id, going)
	}
	return p, nil
}

// peopleAt are the people of a plan, who is due first before others.
func peopleAt(p plan, verdict guard.Verdict) []PlannedAt {
	var all []PlannedAt
	for _, o := range p.fates(verdict) {
		all = append(all, PlannedAt{Entry: o.Entry, Users: o.Users, Outcome: o.Outcome, Kinds: o.Kinds, Why: o.Why, Whole: o.Whole})
	}
	slices.SortStableFunc(all, func(a, b PlannedAt) int {
		return cmp.Or(a.Entry.DueAt.Compare(b.Entry.DueAt), cmp.Compare(a.Entry.ID, b.Entry.ID))
	})
	return all
}
