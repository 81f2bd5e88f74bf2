package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"signoff/closer"
	"signoff/closer/console"
	"signoff/closer/ledger"
)

func planCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("plan", flag.ContinueOnError)
	way := wayFlags(flags)
	at := flags.String("at", "", "`TIME` (RFC 3339) or length of time, such as 48h, of the plan; without it: now")
	account := flags.String("account", "", "`ID` of the account; without it: all of them")
	digest := flags.String("digest", "", "the whole `digest` of the plan that you have seen: approve needs it")
	good := flags.String("for", "", "how `long` from --at on an approval is good, at most 7d; without it: guard.approvals_expire")
	reason := flags.String("reason", "", "why, for the audit: approve needs it")
	words, err := parse(flags, out, args)
	if err != nil {
		return err
	}
	approves := slices.Equal(words, []string{"approve"})
	if len(words) > 0 && !approves {
		return usageError{errors.New("[--at TIME] [--account ID] | approve --at TIME --account ID --digest DIGEST --reason …")}
	}
	p := planCall{out: out}
	if p.json, err = way.json(); err != nil {
		return err
	}
	now := time.Now()
	a := console.PlanApproval{At: now.UTC(), Account: strings.ToLower(strings.TrimSpace(*account)),
		Digest: strings.ToLower(strings.TrimSpace(*digest)), Reason: strings.TrimSpace(*reason)}
	if *at != "" || approves {
		if a.At, err = parseUntil(*at, now); err != nil {
			return usageError{fmt.Errorf("--at: %w", err)}
		}
	}
	if approves {
		if a.For, err = checkApproval(a, *good); err != nil {
			return usageError{err}
		}
	}
	if *way.configFile != "" && *way.daemon.url == "" {
		if approves {
			return errOnlyLooks
		}
		plans, err := lookAt(ctx, *way.configFile, a)
		if err != nil {
			return err
		}
		return p.print(plans)
	}
	client, _, err := way.reach(ctx) // by --config it was looked above
	if err != nil {
		return err
	}
	if approves {
		h, err := client.ApprovePlan(ctx, a)
		if err != nil {
			return err
		}
		return p.printHold(h)
	}
	plans, err := client.PlanAt(ctx, a.At, a.Account)
	if err != nil {
		return err
	}
	return p.print(plans)
}

// checkApproval reads how long an approval is good, and refuses one that lacks
// something.
func checkApproval(a console.PlanApproval, good string) (d time.Duration, err error) {
	switch {
	case a.Account == "":
		return 0, errors.New("--account: is needed: a plan is that of one account")
	case a.Digest == "":
		return 0, errors.New("--digest: is needed: it says which plan you have seen; `signoff plan` shows it")
	case len(a.Digest) != hex.EncodedLen(sha256.Size):
		return 0, fmt.Errorf("--digest: the whole of it is needed, %d hex digits: `signoff plan` shows it", hex.EncodedLen(sha256.Size))
	case a.Reason == "":
		return 0, errors.New("--reason: is needed: it says why these people may go without being held")
	case good == "":
		return 0, nil
	}
	if d, err = parseDuration(good); err != nil || d <= 0 || d > console.MostGood {
		return 0, fmt.Errorf("--for: %q: not a length of time, such as 24h, of at most 7d", good)
	}
	return d, nil
}

// lookAt makes a plan in this process, by a ledger that is open for reading.
func lookAt(ctx context.Context, configFile string, a console.PlanApproval) ([]console.Plan, error) {
	cfg, client, err := openDocusign(ctx, configFile)
	if err != nil {
		return nil, err
	}
	l, err := ledger.OpenReadOnly(ctx, cfg.ledgerConfig())
	if err != nil {
		return nil, err
	}
	p := newPlans(leavers{cfg.itself, l, client, newLog(logConfig{Level: "error", Format: "console"})})
	plans, err := p.PlanAt(ctx, a.At, a.Account, true)
	return plans, errors.Join(err, l.Close())
}

// planCall is one call of `signoff plan`.
type planCall struct {
	out  io.Writer
	json bool
}

func (p planCall) print(plans []console.Plan) error {
	if p.json {
		return printJSON(p.out, plans)
	}
	for i, one := range plans {
		if i > 0 {
			fmt.Fprintln(p.out)
		}
		if err := p.printOne(one); err != nil {
			return err
		}
	}
	return nil
}

// printHold prints what an approval ahead has made.
func (p planCall) printHold(h console.Hold) error {
	return holdsCall{out: p.out, json: p.json}.print(h) //nolint:forbidigo // to out
}

func (p planCall) printOne(plan console.Plan) error {
	fmt.Fprintf(p.out, "account %s, the plan of %s\n", plan.Account, plan.At.Format(time.RFC3339))
	fmt.Fprintf(p.out, "due by then: %d leavers; besides, %d are due already and %d held\n", plan.Waiting, plan.Due, plan.Held)
	if !plan.FrozenUntil.IsZero() {
		fmt.Fprintf(p.out, "frozen until: %s\n", plan.FrozenUntil.Format(time.RFC3339))
	}
	if !plan.LookedUp {
		fmt.Fprintln(p.out, "nobody was looked up: that needs a token from admin.tokens_file")
		return nil
	}
	fmt.Fprintf(p.out, "would go: %d; would be held: %d; already closed: %d; without a user: %d; not looked up: %d\n",
		plan.Going, plan.WouldHold, plan.AlreadyClosed, plan.NotFound, plan.Unknown)
	if i := slices.IndexFunc(plan.People, func(one console.PlanPerson) bool { return one.Whole }); i >= 0 {
		fmt.Fprintf(p.out, "the whole plan would be held: %s\n", plan.People[i].Why)
	}
	for _, window := range slices.Sorted(maps.Keys(plan.Headroom)) {
		fmt.Fprintf(p.out, "headroom after that, %s: %d\n", window, plan.Headroom[window])
	}
	if plan.Digest != "" {
		fmt.Fprintf(p.out, "digest: %s\n", plan.Digest)
		if plan.At.After(time.Now()) {
			fmt.Fprintf(p.out, "to approve it ahead: signoff plan approve --at %s --account %s --digest %s --reason …\n",
				plan.At.Format(time.RFC3339Nano), plan.Account, plan.Digest)
		}
	}
	if len(plan.People) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tDUE\tEFFECTIVE\tURGENT\tUSER\tEMAIL\tWHY")
	for _, one := range plan.People {
		p.printPerson(w, one)
	}
	return w.Flush()
}

func (p planCall) printPerson(w io.Writer, one console.PlanPerson) {
	what, urgent := one.Outcome, ""
	switch {
	case what == "":
		what = "unknown"
	case what == string(ledger.Closed):
		what = "would go"
	case one.Whole:
		what = "held, with the plan"
	}
	if one.Urgent {
		urgent = "urgent"
	}
	users := one.Users
	if len(users) == 0 {
		users = []console.User{{UserID: "-", Email: strings.Join(one.Emails, " ")}}
	}
	why := one.Why
	if one.Whole { // it stands above
		why = strings.Join(one.Kinds, ",")
	}
	for _, u := range users {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", what, one.Due.Format(time.RFC3339), one.Effective.Format(time.RFC3339), urgent,
			oneLine(u.UserID), oneLine(u.Email), oneLine(why))
	}
}

// plans makes plans of a time to come, over a ledger that is open, one at a time.
type plans struct {
	leavers

	making sync.Mutex
	shown  []shownPlan // the last ones, the oldest first; of making
}

// shownPlan is a plan that somebody has seen.
type shownPlan struct {
	digest string
	users  map[string]bool
}

// maxShown is how many plans are remembered, to tell what changed since.
const maxShown = 16

var _ console.Planner = (*plans)(nil)

func newPlans(l leavers) *plans { return &plans{leavers: l} }

// PlanAt implements console.Planner.
func (p *plans) PlanAt(ctx context.Context, at time.Time, account string, look bool) ([]console.Plan, error) {
	if look {
		if !p.making.TryLock() {
			return nil, fmt.Errorf("another plan is being made: %w", console.ErrLater)
		}
		defer p.making.Unlock()
	}
	made, err := p.make(ctx, at, account, look)
	if err != nil {
		return nil, err
	}
	all := make([]console.Plan, 0, len(made))
	for _, one := range made {
		if look {
			p.remember(one)
		}
		all = append(all, showPlan(one, look))
	}
	return all, nil
}

func (p *plans) make(ctx context.Context, at time.Time, account string, look bool) ([]closer.PlanAt, error) {
	made, err := p.closer(nil).PlanAt(ctx, at, time.Now(), account, look)
	var unknown *closer.AccountError
	if errors.As(err, &unknown) && account != "" {
		return nil, fmt.Errorf("%w (%s)", console.ErrAccount, account)
	}
	if err != nil {
		return nil, advised(err)
	}
	return made, nil
}

func (p *plans) remember(plan closer.PlanAt) {
	if plan.Digest == "" {
		return
	}
	p.shown = slices.DeleteFunc(p.shown, func(s shownPlan) bool { return s.digest == plan.Digest })
	p.shown = append(p.shown, shownPlan{plan.Digest, usersOf(plan)})
	p.shown = p.shown[max(0, len(p.shown)-maxShown):]
}

func usersOf(plan closer.PlanAt) map[string]bool {
	users := make(map[string]bool)
	for _, r := range plan.Approvable() {
		for _, u := range r.Users {
			users[u.ID+" "+u.Email] = true
		}
	}
	return users
}

// ApprovePlan implements console.Planner.
func (p *plans) ApprovePlan(ctx context.Context, a console.PlanApproval, by ledger.Person) (ledger.Hold, error) {
	switch {
	case p.config().Mode != modeClose:
		return ledger.Hold{}, console.ErrMode
	case !a.At.After(time.Now()):
		return ledger.Hold{}, ledger.ErrNotAhead
	case !p.making.TryLock():
		return ledger.Hold{}, fmt.Errorf("another plan is being made: %w", console.ErrLater)
	}
	defer p.making.Unlock()
	made, err := p.make(ctx, a.At, a.Account, true)
	if err != nil {
		return ledger.Hold{}, err
	}
	plan := made[0]
	if plan.Digest != a.Digest {
		return ledger.Hold{}, p.changed(plan, a.Digest)
	}
	terms := p.config().terms()
	if a.For == 0 {
		a.For = min(terms.Expires, console.MostGood)
	}
	return p.ledger.ApproveAhead(ctx, ledger.PlanAhead{Account: plan.Account, From: a.At, Until: a.At.Add(a.For),
		People: plan.Approvable(), By: by, Reason: a.Reason}, terms)
}

// changed says how a plan differs from the one of that digest.
func (p *plans) changed(plan closer.PlanAt, digest string) error {
	now := usersOf(plan)
	changed := &console.PlanChangedError{Users: len(now)}
	for _, s := range p.shown {
		if s.digest != digest {
			continue
		}
		changed.Known = true
		for u := range now {
			if !s.users[u] {
				changed.More++
			}
		}
		for u := range s.users {
			if !now[u] {
				changed.Less++
			}
		}
	}
	return changed
}

// showPlan is a plan as the API shows it.
func showPlan(plan closer.PlanAt, looked bool) console.Plan {
	shown := console.Plan{Account: plan.Account, At: plan.At, Digest: plan.Digest, Waiting: plan.Waiting, Due: plan.Due, Held: plan.Held,
		LookedUp: looked, FrozenUntil: plan.Frozen, Headroom: plan.Headroom, People: []console.PlanPerson{}}
	for _, one := range plan.People {
		e := one.Entry
		shown.People = append(shown.People, console.PlanPerson{Entry: e.ID, Emails: e.Emails, Effective: e.EffectiveAt, Due: e.DueAt, Urgent: e.Urgent,
			Outcome: string(one.Outcome), Kinds: texts(one.Kinds...), Why: one.Why, Whole: one.Whole, Users: console.Users(one.Users)})
		switch one.Outcome {
		case ledger.Closed:
			shown.Going++
		case ledger.Held:
			shown.WouldHold++
		case ledger.AlreadyClosed:
			shown.AlreadyClosed++
		case ledger.NotFound:
			shown.NotFound++
		default:
			shown.Unknown++
		}
	}
	return shown
}
