package closer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/closer/directory"
	"signoff/closer/docusign"
	"signoff/closer/ledger"
)

// account is the work in one account.
type account struct {
	tools
	id      string   // as the ledger has it
	all     []string // ids of every account that leavers are closed in
	deliver delivery

	api       *docusign.Account // nil until Docusign has told us of it
	self      string            // userId that we sign in as
	selfEmail string            // their address; "" if Docusign does not say
	directory *directory.Directory
	shared    *directory.Shared  // of this visit, where the organization can be asked; else nil
	active    int                // active users, as last counted
	frozen    map[bool]time.Time // by whether it was an urgent run: when the newest freeze began by which its last plan was judged

	next          time.Time // no full run before
	saidNext      time.Time // next, as the ledger has it
	ranAt         time.Time // when the last full run began
	saidOfSelf    time.Time // when it was last logged that the user leaves that we sign in as
	urgentAfter   time.Time // no urgent run before
	urgentAsked   time.Time // when it was last looked whether there is one
	probeAt       time.Time // while parked: no probe before
	probes        int       // in a row that found it parked still
	troubles      int       // runs in a row that Docusign did not let us finish
	waiting       string    // why no plan is made, as last logged
	waitedForRoom bool      // the last plan found too little left of the hour
	most          learned   // users that a request may hold
	keepsGroups   time.Time // until then the signing groups are not asked for, since that was refused
	beat          func(time.Time)
}

// delivery sends the part of a plan that may go.
type delivery func(ctx context.Context, a *account, plan []ledger.Resolved, resolvedAt time.Time, urgent bool) error

// findAccounts makes the loops, once the accounts are known. Where the config
// names them, nobody has to be asked.
func (c *Closer) findAccounts(ctx context.Context, now time.Time) error {
	if since := now.Sub(c.tried); len(c.loops) > 0 || since >= 0 && since < urgentRetry {
		return nil
	}
	ids := c.cfg.Accounts
	if len(ids) == 0 {
		found, err := c.ask(ctx)
		if err != nil {
			c.tried = now
			return c.park(ctx, unknownAccount, now, err)
		}
		ids = idsOf(found)
	}
	if err := c.ledger.ForgetAccount(ctx, unknownAccount); err != nil {
		return err
	}
	if err := c.keepAccounts(ctx, ids); err != nil {
		return err
	}
	c.makeLoops(ids)
	return nil
}

// keepAccounts keeps which accounts leavers are closed in, and says which are not
// any more though entries wait there.
func (c *Closer) keepAccounts(ctx context.Context, ids []string) error {
	if err := c.ledger.KeepAccounts(ctx, ids); err != nil {
		return err
	}
	outside, err := c.ledger.OutsideAccounts(ctx, ids)
	for _, o := range outside {
		c.log.Warn("entries wait in an account that leavers are not closed in any more: name it again, or skip its leavers",
			zap.String("account", o.Account), zap.Int("entries", o.Entries))
	}
	return err
}

func (c *Closer) ask(ctx context.Context) ([]docusign.AccountInfo, error) {
	info, err := c.client.UserInfo(ctx)
	if err != nil {
		return nil, err
	}
	return AccountsOf(info, nil, c.cfg.AllAccounts)
}

func (c *Closer) makeLoops(ids []string) {
	var accounts []*account
	for _, id := range ids {
		t := c.tools
		t.log = c.log.With(zap.String("account", id))
		c.metrics.Account(id)
		accounts = append(accounts, &account{tools: t, id: id, all: ids, deliver: sendBatches,
			directory: directory.New(), frozen: make(map[bool]time.Time), beat: func(time.Time) {}})
	}
	if c.cfg.Organization != "" {
		c.loops = []*loop{{tools: c.tools, accounts: accounts, importer: newImporter(c.tools, accounts)}}
		return
	}
	for _, a := range accounts {
		c.loops = append(c.loops, &loop{tools: c.tools, accounts: []*account{a}})
	}
}

func (c *Closer) accountIDs() []string {
	var ids []string
	for _, l := range c.loops {
		for _, a := range l.accounts {
			ids = append(ids, a.id)
		}
	}
	return ids
}

// idsOf are the ids as the ledger has them, sorted, each once.
func idsOf(accounts []docusign.AccountInfo) []string {
	var ids []string
	for _, a := range accounts {
		ids = append(ids, strings.ToLower(a.ID))
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// AccountError is a config that names no account that there is, or one too few.
type AccountError struct{ text string }

func (e *AccountError) Error() string { return e.text }

// AccountsOf returns those accounts of a user that leavers are closed in: the
// named ones, all, or the only one. Its error is an AccountError.
func AccountsOf(info docusign.UserInfo, names []string, all bool) ([]docusign.AccountInfo, error) {
	switch {
	case len(info.Accounts) == 0:
		return nil, &AccountError{"docusign.accounts: the user of docusign.user_id has no account"}
	case all:
		return info.Accounts, nil
	case len(names) == 0 && len(info.Accounts) > 1:
		return nil, &AccountError{fmt.Sprintf("docusign.accounts: the user has %d accounts (%s): name those to close leavers in, or say all",
			len(info.Accounts), strings.Join(idsOf(info.Accounts), ", "))}
	case len(names) == 0:
		return info.Accounts, nil
	}
	var found []docusign.AccountInfo
	for _, id := range names {
		i := slices.IndexFunc(info.Accounts, func(a docusign.AccountInfo) bool { return strings.EqualFold(a.ID, id) })
		if i < 0 {
			return nil, &AccountError{"docusign.accounts: " + id + ": the user of docusign.user_id is no member of this account"}
		}
		found = append(found, info.Accounts[i])
	}
	return found, nil
}

// open finds the account at Docusign, once.
func (a *account) open(ctx context.Context) error {
	if a.api != nil {
		return nil
	}
	info, err := a.client.UserInfo(ctx)
	if err != nil {
		return err
	}
	found, err := AccountsOf(info, []string{a.id}, false)
	if err != nil {
		return err
	}
	if org := a.cfg.Organization; org != "" && !strings.EqualFold(found[0].OrganizationID, org) {
		return &AccountError{"docusign.organization: account " + a.id + " does not belong to it"}
	}
	state, err := a.ledger.Account(ctx, a.id)
	if err != nil {
		return err
	}
	api := a.client.Account(found[0])
	api.Restore(docusign.Quota{Hour: docusign.Window{
		Limit: state.HourLimit, Remaining: state.HourRemaining, Reset: state.HourResetAt}})
	a.api, a.self, a.selfEmail = api, info.UserID, info.Email
	a.log.Info("account opened")
	return nil
}

// firstRun is an interval after the last run in the ledger.
func (a *account) firstRun(ctx context.Context) time.Time {
	state, err := a.ledger.Account(ctx, a.id)
	if err != nil || state.PassedAt.IsZero() {
		return time.Time{}
	}
	a.ranAt = state.PassedAt
	return state.PassedAt.Add(jitter(a.cfg.Interval))
}

// urgentTurn closes urgent leavers, if there are any, in a plan of their own. Where
// that was not to be done they are tried again after a while, not at every turn;
// those who came meanwhile are next.
func (a *account) urgentTurn(ctx context.Context, now time.Time) (done bool, err error) {
	if now.Before(a.urgentAfter) {
		return true, nil
	}
	if urgent, err := a.urgentDue(ctx, now); err != nil || !urgent {
		return true, err
	}
	a.urgentAfter = now.Add(urgentPace)
	done, err = a.closeDue(ctx, now, true)
	if err == nil && (!done || a.troubles > 0) {
		a.urgentAfter = now.Add(urgentRetry)
	}
	return done, err
}

func (a *account) urgentDue(ctx context.Context, now time.Time) (bool, error) {
	a.urgentAsked = now
	return a.ledger.UrgentDue(ctx, a.id, now, now.Add(-docusign.RequestTimeout))
}

// urgentFirst closes urgent leavers who came while a long run is under way. The
// run goes on whatever becomes of that.
func (a *account) urgentFirst(ctx context.Context) {
	now := time.Now()
	if now.Sub(a.urgentAsked) < turn || ctx.Err() != nil {
		return
	}
	if _, err := a.urgentTurn(ctx, now); err != nil {
		a.log.Error("urgent run ended early, the next one takes it up", zap.Error(err))
	}
}

// closeDue closes what is due now, or the urgent part of it. It returns false
// if it is not time for a plan yet.
func (a *account) closeDue(ctx context.Context, now time.Time, urgentOnly bool) (done bool, err error) {
	state, err := a.ledger.Account(ctx, a.id)
	if err != nil {
		return true, err
	}
	if ready, err := a.ready(ctx, state, now); !ready || err != nil {
		return false, err
	}
	if !urgentOnly && now.Before(state.ResumeAt) { // what is urgent may use what is left to others
		return false, nil
	}
	err = a.run(ctx, now, urgentOnly)
	var (
		notYet  *notYetError
		refused *docusign.Error
	)
	switch {
	case errors.As(err, &notYet):
		a.sayWaiting(notYet.why)
		return false, nil
	case ctx.Err() != nil:
		return true, nil
	case errors.Is(err, directory.ErrRoom):
		return false, a.pause(ctx, reasonHourQuota, a.api.Resumes())
	case errors.As(err, &refused) && !refused.RetryAt.IsZero():
		return false, a.pause(ctx, docusign.Reason(refused), refused.RetryAt)
	case isPassing(err) && a.troubles == 0: // once is nothing: the next run will do
		a.troubles++
		a.log.Warn("run ended early, the next one takes it up", zap.Error(err))
		return true, nil
	case isDocusign(err):
		return true, a.parkHere(ctx, now, err)
	case err != nil:
		return true, err
	}
	a.sayWaiting("")
	a.troubles = 0
	return true, a.passed(ctx, now, urgentOnly)
}

// run is one run, as the package comment tells it.
func (a *account) run(ctx context.Context, now time.Time, urgentOnly bool) error {
	if err := a.lookUpUnknown(ctx, now); err != nil {
		return err
	}
	if err := a.lookUpReopens(ctx, now); err != nil {
		return err
	}
	if err := a.backlogIsRead(ctx, now); err != nil {
		return err
	}
	if err := a.ledger.BecomeDue(ctx, a.all, now); err != nil {
		return err
	}
	for _, step := range []func(context.Context, string, time.Time) error{a.ledger.Thaw, a.ledger.TakeUpPlans} {
		if err := step(ctx, a.id, now); err != nil {
			return err
		}
	}
	if err := a.ledger.ExpireAhead(ctx, a.all, now); err != nil {
		return err
	}
	if !urgentOnly {
		if err := a.lookForSelf(ctx, now); err != nil {
			return err
		}
	}
	entries, err := a.ledger.Due(ctx, a.id, now, urgentOnly)
	if err != nil {
		return err
	}
	if a.cfg.Only != nil {
		entries = slices.DeleteFunc(entries, func(e ledger.Entry) bool { return !a.cfg.Only(e) })
	}
	between := a.urgentFirst
	if urgentOnly {
		between = nil
	}
	p, cut := a.resolve(ctx, entries, urgentOnly, between)
	if err := a.settleResolved(ctx, p); err != nil {
		return err
	}
	passed, err := a.judge(ctx, now, p, cut, urgentOnly)
	if err != nil {
		return errors.Join(cut, err)
	}
	if err := a.send(ctx, passed, p.resolvedAt, urgentOnly); err != nil {
		return err
	}
	if cut != nil || urgentOnly {
		return cut
	}
	if err := a.reopen(ctx, now); err != nil {
		return err
	}
	if err := a.watch(ctx, now); err != nil {
		return err
	}
	return a.lookAhead(ctx, now)
}

// notYetError says why no plan is made now.
type notYetError struct{ why string }

func (e *notYetError) Error() string { return "no plan yet: " + e.why }

// backlogIsRead returns a notYetError while Kafka holds news that was not read
// when this process got its partitions: the word that takes a termination back
// may be among it. A Kafka that cannot be read is waited for, but not for ever.
func (a *account) backlogIsRead(ctx context.Context, now time.Time) error {
	if a.cfg.Only != nil { // whoever names the people has the last word on them
		return nil
	}
	r, err := a.ledger.Reading(ctx)
	if err != nil || r.UpToDate() {
		return err
	}
	if !r.Away.IsZero() && now.Sub(r.Away) >= awayAtMost {
		a.log.Warn("plans go on although Kafka cannot be read", zap.String("kafka", string(r.State)), zap.Time("since", r.Away))
		return nil
	}
	return &notYetError{"Kafka is " + string(r.State)}
}

// sayWaiting logs why no plan is made, once for each reason.
func (a *account) sayWaiting(why string) {
	if why == a.waiting {
		return
	}
	a.waiting = why
	if why != "" {
		a.log.Info("no plan for now", zap.String("why", why))
	}
}

// isDocusign says whether err is Docusign's, or its absence's, as against the
// ledger's.
func isDocusign(err error) bool {
	var refused *docusign.Error
	var account *AccountError
	return errors.As(err, &refused) || errors.As(err, &account)
}

// isPassing says whether err may well be gone at the next try.
func isPassing(err error) bool {
	class := docusign.ClassOf(err)
	var refused *docusign.Error
	return errors.As(err, &refused) && (class == docusign.Passing || class == docusign.Unknown)
}
