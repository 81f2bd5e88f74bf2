package closer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
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
	census     *directory.Census   // nil unless all users were read on the way
	open       []guard.Candidate   // leavers with open users
	settled    []ledger.Settlement // leavers without
	refused    []refusal           // leavers who cannot be looked up
	missed     []ledger.Entry      // leavers who could not be looked up now
	unresolved guard.Unresolved    // entries left for a later run
}

// nobodyFound says that no user was seen at all.
func (p plan) nobodyFound() bool {
	return len(p.settled) > 0 && len(p.open) == 0 && p.census == nil &&
		!slices.ContainsFunc(p.settled, func(s ledger.Settlement) bool { return s.Outcome != ledger.NotFound })
}

type refusal struct {
	entry ledger.Entry
	cause error
}

// resolve looks every address of every entry up. cut says why some were left
// for a later run, nil if none were: what was resolved can be sent all the same.
// between, if not nil, is called before each call to Docusign.
func (a *account) resolve(ctx context.Context, entries []ledger.Entry, urgent bool, between func(context.Context)) (p plan, cut error) {
	p = plan{resolvedAt: time.Now()}
	if len(entries) == 0 {
		return p, nil
	}
	closes := len(entries)/a.maxUsers() + 1
	api, hourRoom := a.api.For(docusign.LookUps), a.hourRoom(closes)
	if urgent { // waits for no hour
		api, hourRoom = a.api.For(docusign.Urgent), 0
	}
	asked := addresses(entries)
	found, cut := a.directory.Resolve(ctx, directory.Ask{
		Account: api, AccountID: a.id, Shared: a.sharedFor(len(asked)), Addresses: asked,
		Room: api.Room() - closes, HourRoom: hourRoom,
		Before: func(via directory.Via) error {
			a.beat(time.Now())
			if a.policy.get() != a.terms { // what is found would be judged by nobody
				return errOtherTerms
			}
			if between != nil {
				between(ctx)
			}
			if via == directory.Lookup && time.Since(p.resolvedAt) > a.fresh()/2 {
				return &notYetError{"the rest of the plan is looked up once this part is sent"}
			}
			return nil
		},
	})
	if !urgent {
		a.waitedForRoom = errors.Is(cut, directory.ErrRoom)
	}
	p.census = found.Census
	for _, e := range entries {
		a.sort(e, found, cut, &p)
	}
	a.log.Info("plan resolved", zap.Int("leavers", len(entries)), zap.Int("open", len(p.open)), zap.Int("without", len(p.settled)),
		zap.Int("later", p.unresolved.Urgent+p.unresolved.Others+len(p.missed)+len(p.refused)), zap.Bool("snapshot", found.Census != nil),
		zap.Duration("took", time.Since(p.resolvedAt)), zap.NamedError("cut", cut))
	return p, cut
}

// hourRoom is the room of a whole hour, or 0 if this plan has waited for one in
// vain: others may use up the hour as soon as it begins.
func (a *account) hourRoom(closes int) int {
	if a.waitedForRoom {
		return 0
	}
	return a.api.For(docusign.LookUps).HourRoom() - closes
}

// sharedFor is the organization's directory if to ask it is cheaper than to ask
// each account: it answers for all of them at once.
func (a *account) sharedFor(addresses int) *directory.Shared {
	if a.shared == nil || addresses >= a.directory.Cost(addresses)*len(a.all) {
		return nil
	}
	return a.shared
}

// fresh is for how long a resolution may be relied on.
func (t *tools) fresh() time.Duration { return max(t.cfg.Interval, leastFresh) }

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
func (a *account) sort(e ledger.Entry, found directory.Resolution, cut error, p *plan) {
	candidate := guard.Candidate{Entry: e}
	var closed []ledger.User
	var refused error
	seen := make(map[string]bool)
	for _, address := range e.Emails {
		users, known := found.Users[address]
		err := found.Errs[address]
		switch {
		case known:
		case err == nil: // the look-ups were cut off before it
			if e.Urgent {
				p.unresolved.Urgent++
			} else {
				p.unresolved.Others++
			}
			return
		case docusign.ClassOf(err) == docusign.Permanent && cut == nil:
			a.metrics.Failure(a.id, docusign.Reason(err))
			refused = err // the other addresses are no worse for it
			continue
		default: // nobody is settled by half of what there is to know
			a.metrics.Failure(a.id, docusign.Reason(err))
			p.missed = append(p.missed, e)
			return
		}
		for _, u := range users {
			if seen[u.ID] {
				continue
			}
			seen[u.ID] = true
			if u.Open() {
				candidate.Users = append(candidate.Users, candidateUser(u))
			} else {
				closed = append(closed, ledgerUser(u))
			}
		}
	}
	via := string(found.Via[e.Emails[0]])
	switch {
	case refused != nil && len(candidate.Users) == 0:
		a.metrics.Resolution(via, "error")
		p.refused = append(p.refused, refusal{e, refused})
	case len(candidate.Users) > 0:
		a.metrics.Resolution(via, "open")
		p.open = append(p.open, candidate)
	case len(closed) > 0:
		a.metrics.Resolution(via, "closed")
		p.settled = append(p.settled, ledger.Settlement{Entry: e, Outcome: ledger.AlreadyClosed, Users: closed})
	default:
		a.metrics.Resolution(via, "none")
		p.settled = append(p.settled, ledger.Settlement{Entry: e, Outcome: ledger.NotFound})
	}
}

// candidateUser is a user as the guard judges them. They may have come into the
// account long after they were made.
func candidateUser(u docusign.User) guard.User {
	came := u.Created
	if u.Added.After(came) {
		came = u.Added
	}
	return guard.User{ID: u.ID, Email: strings.TrimSpace(u.Email), Administrator: u.Administrator, SCIM: u.ManagedBySCIM, CreatedAt: came, LastLogin: u.LastLogin}
}

// ledgerUser is a user as the ledger has them.
func ledgerUser(u docusign.User) ledger.User {
	return ledger.User{ID: u.ID, Email: strings.TrimSpace(u.Email), SCIM: u.ManagedBySCIM, LastLogin: u.LastLogin}
}

// settleResolved settles who has no open user, and counts a refusal, or a
// fruitless try, for who could not be looked up.
func (a *account) settleResolved(ctx context.Context, p plan) error {
	if p.nobodyFound() { // Docusign may say the same of everybody, once we are no member ourselves
		if _, err := a.api.CountUsers(ctx, docusign.Active); err != nil {
			return err
		}
	}
	settled, err := a.ledger.Settle(ctx, p.settled)
	if err != nil {
		return err
	}
	a.count(a.id, settled)
	if len(p.missed) > 0 {
		if err := a.ledger.Missed(ctx, p.missed, "not_looked_up", retries); err != nil {
			return err
		}
	}
	for _, r := range p.refused {
		a.beat(time.Now())
		failed, err := a.ledger.Refuse(ctx, r.entry, codeOf(r.cause), retries)
		if err != nil {
			return err
		}
		if failed != nil {
			a.count(a.id, []ledger.Settled{*failed})
		}
	}
	return nil
}

// judge has the guard check the plan, holds what must wait for a person and
// returns what may go. That is promised: whoever is judged before it is sent counts
// in the same limits.
func (a *account) judge(ctx context.Context, now time.Time, p plan, cut error, urgentOnly bool) (passed []ledger.Resolved, err error) {
	f, err := a.facts(ctx, now, p, cut)
	if err != nil {
		return nil, err
	}
	a.frozen[urgentOnly] = f.FrozenSince
	err = a.policy.while(a.terms, func() (err error) {
		passed, err = a.hear(ctx, p, f, urgentOnly)
		return err
	})
	return passed, err
}

// hear is judge, by facts.
func (a *account) hear(ctx context.Context, p plan, f guard.Facts, urgentOnly bool) (passed []ledger.Resolved, err error) {
	err = a.promises.judging(promiser{a.id, urgentOnly}, func(promised []ledger.SentLeaver) ([]ledger.SentLeaver, error) {
		verdict, headroom, err := a.check(ctx, p, f, promised)
		if err != nil {
			return nil, err
		}
		for window, left := range headroom {
			a.metrics.Headroom(a.id, window, left)
		}
		going := verdict.Go
		for _, h := range verdict.Holds {
			if a.cfg.DryRun && h.WholePlan() { // nothing is sent that somebody would have to approve
				a.log.Info("dry run: the plan would be held", zap.String("detail", h.Detail), zap.Int("leavers", len(h.People)))
				going = append(going, h.People...)
				continue
			}
			if err := a.hold(ctx, h); err != nil {
				return nil, err
			}
		}
		for _, c := range going {
			passed = append(passed, c.Resolved())
		}
		return f.After(going).Sent[len(f.Sent):], nil
	})
	return passed, err
}

// promises are those whom the guard has let through and who are not sent yet, in
// all accounts.
type promises struct {
	mu sync.Mutex
	of map[promiser][]ledger.SentLeaver
}

// promiser is an account, or the urgent run that comes between a plan of it and its
// batches.
type promiser struct {
	account string
	urgent  bool
}

// set replaces what was promised by a plan; nobody: all of it is in the ledger, and
// counts by itself, or is judged anew.
func (p *promises) set(by promiser, plan []ledger.Resolved) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, by)
	for _, r := range plan {
		p.of[by] = append(p.of[by], ledger.SentLeaver{Account: by.account, Leaver: r.Entry.Leaver, Source: r.Entry.Source, Urgent: r.Entry.Urgent, At: time.Now()})
	}
}

// judging lets one plan be judged at a time, by what was promised before it, and
// adds those whom judge lets through.
func (p *promises) judging(by promiser, judge func(promised []ledger.SentLeaver) ([]ledger.SentLeaver, error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	promised, err := judge(slices.Concat(slices.Collect(maps.Values(p.of))...))
	if len(promised) > 0 {
		p.of[by] = append(p.of[by], promised...)
	}
	return err
}

// facts are what the guard must know besides the plan, but for what was sent.
func (a *account) facts(ctx context.Context, now time.Time, p plan, cut error) (guard.Facts, error) {
	a.beat(time.Now())
	f := guard.Facts{Now: now, Account: a.id, Self: a.self, ActiveUsers: a.active}
	if len(p.settled) == 0 && !isPassing(cut) {
		// All that was looked up has users, and there is more than one run can look
		// up: the next one would see no further.
		f.Unknowable = p.unresolved
	} else {
		f.Unresolved = p.unresolved
	}
	var err error
	if f.RunBefore, err = a.ledger.RunBefore(ctx, f.Account); err != nil {
		return f, err
	}
	if f.FrozenSince, f.FrozenUntil, err = a.ledger.Frozen(ctx, f.Account, now); err != nil {
		return f, err
	}
	err = a.countUsers(ctx, p, &f)
	return f, err
}

// check lets the guard judge the plan by what was sent so far, and promised. It says
// as well how many leavers each window would still let through.
func (a *account) check(ctx context.Context, p plan, f guard.Facts, promised []ledger.SentLeaver) (guard.Verdict, map[string]int, error) {
	sent, err := a.ledger.Sent(ctx, f.Now.Add(-a.guard.LongestWindow()))
	if err != nil {
		return guard.Verdict{}, nil, err
	}
	f.Sent = slices.Concat(sent, promised)
	verdict := a.guard.Check(p.open, f)
	return verdict, a.guard.Headroom(f, verdict.Go), nil
}

// countUsers asks Docusign for what only some plans make it necessary to know,
// unless it was read on the way.
func (a *account) countUsers(ctx context.Context, p plan, f *guard.Facts) error {
	if p.census != nil {
		a.active = p.census.Active
		f.ActiveUsers, f.Administrators = p.census.Active, p.census.Administrators
		return nil
	}
	if a.guard.NeedsActiveUsers() && (len(p.open) > 0 || a.active == 0) {
		n, err := a.api.CountUsers(ctx, docusign.Active)
		if err != nil {
			return err
		}
		a.active, f.ActiveUsers = n, n
	}
	if !a.guard.NeedsAdministrators(p.open, *f) {
		return nil
	}
	var err error
	f.Administrators, err = a.administrators(ctx, a.api.For(docusign.LookUps), p)
	return err
}

// administrators lists the active administrators, for which all users must be
// read: Docusign has no filter for them. Where the hour has no room for that
// beside the closes, or the list breaks off, none are known, and the guard holds
// the administrators of the plan.
func (a *account) administrators(ctx context.Context, api *docusign.Account, p plan) ([]string, error) {
	active, err := api.CountUsers(ctx, docusign.Active)
	if err != nil {
		return nil, err
	}
	if pages := active/pageUsers + 1; pages+len(p.open)/a.maxUsers() >= api.Room() {
		a.log.Warn("the quota has no room to count the administrators: those of the plan are held", zap.Int("pages", pages))
		return nil, nil
	}
	var ids []string
	for u, err := range api.Users(ctx, docusign.Active) {
		a.beat(time.Now())
		if err != nil {
			a.metrics.Failure(a.id, docusign.Reason(err))
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

func (a *account) hold(ctx context.Context, h guard.Held) error {
	people := make([]ledger.Resolved, 0, len(h.People))
	for _, p := range h.People {
		people = append(people, p.Resolved())
	}
	made, err := a.ledger.MakeHold(ctx, a.id, h.Kinds, h.Detail, a.cfg.DryRun, people)
	if err != nil || made.ID == 0 {
		return err
	}
	a.log.Warn("held: waits for a person", zap.Int64("hold", made.ID), zap.String("kind", string(h.Kinds[0])),
		zap.String("detail", h.Detail), zap.Int("users", len(made.Users)), zap.Bool("dry_run", a.cfg.DryRun))
	return nil
}
