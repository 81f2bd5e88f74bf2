// Package closer closes in Docusign what is due in the ledger.
//
// A run takes all that is due as one plan, resolves every address of every
// leaver afresh, lets the guard judge the plan, and sends what may go in
// batches. What must not go is held; who has no open user is settled without a
// close. The intent is in the ledger before Docusign hears of it, so an outcome
// that nobody knows is looked up and never blindly sent again.
//
// An outage, a sign-in that does not work or a used-up quota costs no entry an
// attempt: the account waits, the ledger says why, and a later run goes on.
package closer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/closer/docusign"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/metrics"
)

// Config is the section `batch` of the config file.
type Config struct {
	Interval time.Duration `yaml:"interval"`  // between runs, with a tenth of jitter
	MaxUsers int           `yaml:"max_users"` // in a close request
	Grace    time.Duration `yaml:"grace"`     // from the effective time until an entry is due; the ledger's to apply
	Deadline time.Duration `yaml:"deadline"`  // from due; what met and missed mean

	DryRun  bool   `yaml:"-"` // close nobody
	Account string `yaml:"-"` // "": the only one that the user has
}

// Defaults is the batching of a config that says nothing of it.
func Defaults() Config {
	return Config{Interval: 5 * time.Minute, MaxUsers: 100, Deadline: 24 * time.Hour}
}

// Validate returns an error that names the first key with a value that cannot
// be meant.
func (c Config) Validate() error {
	switch {
	case c.Interval <= 0:
		return fmt.Errorf("batch.interval: %v: not a length of time", c.Interval)
	case c.MaxUsers < 1:
		return fmt.Errorf("batch.max_users: %d: at least 1", c.MaxUsers)
	case c.Grace < 0:
		return fmt.Errorf("batch.grace: %v: negative", c.Grace)
	case c.Deadline <= 0:
		return fmt.Errorf("batch.deadline: %v: not a length of time", c.Deadline)
	}
	return nil
}

const (
	turn = time.Second // how often the loop looks whether something is to be done

	// awayAtMost is how long plans wait for a Kafka that cannot be read: longer,
	// and those who left stay open for want of news that may never come.
	awayAtMost = 15 * time.Minute

	// urgentRetry is how long urgent leavers wait whom a run has left due.
	urgentRetry = 15 * time.Second

	// batchGrace is how long a batch under way may take after a shutdown began.
	batchGrace = 20 * time.Second

	// leastFresh is the shortest time for which a resolution may be relied on.
	leastFresh = 5 * time.Minute
)

// retries is how a refused close is tried again: soon, then later, then daily.
var retries = ledger.Retry{
	Attempts: 5,
	Wait:     func(attempts int) time.Duration { return 30 * time.Second << (attempts - 1) },
	Daily:    24 * time.Hour,
}

// Closer runs the plans of one account.
type Closer struct {
	cfg     Config
	guard   guard.Config
	ledger  *ledger.Ledger
	client  *docusign.Client
	metrics *metrics.Closer
	log     *zap.Logger

	account     *docusign.Account // nil until Docusign has told us of it
	self        string            // userId that we sign in as
	active      int               // active users of the account, as last counted
	waiting     string            // why no plan is made, as last logged
	troubles    int               // runs in a row that Docusign did not let us finish
	urgentAfter time.Time         // no urgent run before
	beat        func(time.Time)   // told of progress within a turn, which may be long
}

// New makes a closer.
func New(cfg Config, g guard.Config, l *ledger.Ledger, c *docusign.Client, m *metrics.Closer, log *zap.Logger) *Closer {
	return &Closer{cfg: cfg, guard: g, ledger: l, client: c, metrics: m, log: log, beat: func(time.Time) {}}
}

// Run closes what is due at every interval, and urgent leavers at once, until
// ctx ends. The interval counts from the last run that the ledger knows of: a
// process that keeps crashing postpones nothing. beat is called at every turn.
func (c *Closer) Run(ctx context.Context, beat func(time.Time)) error {
	if err := c.ledger.Renew(ctx, c.cfg.DryRun); err != nil {
		return fmt.Errorf("make holds anew: %w", err)
	}
	c.beat = beat
	next := c.firstRun(ctx)
	for {
		if err := c.turn(ctx, time.Now(), &next); err != nil && ctx.Err() == nil {
			c.log.Error("run ended early, the next one takes it up", zap.Error(err))
		}
		beat(time.Now())
		wait := turn
		if until := time.Until(next); until > 0 {
			wait = min(wait, until)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
			if ctx.Err() != nil { // select picks at random when both are ready
				return nil
			}
		}
	}
}

// turn runs what it is time for and sets when the next full run is due.
func (c *Closer) turn(ctx context.Context, now time.Time, next *time.Time) error {
	if now.Before(*next) {
		return c.urgentTurn(ctx, now)
	}
	done, err := c.CloseDue(ctx, now, false)
	if done || err != nil {
		*next = now.Add(jitter(c.cfg.Interval))
	}
	return errors.Join(err, c.countDeadlines(ctx, now))
}

// urgentTurn closes urgent leavers, if there are any. Those whom a run leaves
// due, for whatever reason, are tried again after a while, not at every turn.
func (c *Closer) urgentTurn(ctx context.Context, now time.Time) error {
	account := c.cfg.Account
	if c.account != nil {
		account = c.account.ID()
	}
	urgent, err := c.ledger.UrgentDue(ctx, account, now, now.Add(-docusign.RequestTimeout))
	if err != nil || !urgent || now.Before(c.urgentAfter) {
		return err
	}
	if _, err := c.CloseDue(ctx, now, true); err != nil {
		return err
	}
	if urgent, err = c.ledger.UrgentDue(ctx, account, now, now.Add(-docusign.RequestTimeout)); urgent {
		c.urgentAfter = now.Add(urgentRetry)
	}
	return err
}

// firstRun is an interval after the last run in the ledger.
func (c *Closer) firstRun(ctx context.Context) time.Time {
	var last time.Time
	if accounts, err := c.ledger.Accounts(ctx); err == nil {
		for _, a := range accounts {
			if a.PassedAt.After(last) && (c.cfg.Account == "" || a.ID == c.cfg.Account) {
				last = a.PassedAt
			}
		}
	}
	if last.IsZero() {
		return last
	}
	return last.Add(jitter(c.cfg.Interval))
}

// jitter is d, give or take a tenth: signoffs of one account that were started
// together drift apart.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // no secret
}

// CloseDue closes what is due now, or the urgent part of it. It returns false
// if it is not time for a plan yet: the backlog is being read, or a window of
// the quota is used up.
func (c *Closer) CloseDue(ctx context.Context, now time.Time, urgentOnly bool) (done bool, err error) {
	if err := c.open(ctx); err != nil {
		return true, c.park(ctx, c.cfg.Account, now, err)
	}
	state, err := c.ledger.Account(ctx, c.account.ID())
	if err != nil {
		return true, err
	}
	if now.Before(state.ResumeAt) {
		return false, nil
	}
	err = c.run(ctx, now, urgentOnly)
	var (
		notYet  *notYetError
		usedUp  *usedUpError
		refused *docusign.Error
	)
	switch {
	case errors.As(err, &notYet):
		c.sayWaiting(notYet.why)
		return false, nil
	case ctx.Err() != nil:
		return true, nil
	case errors.As(err, &usedUp):
		return false, c.pause(ctx, usedUp.until)
	case docusign.ClassOf(err) == docusign.Exhausted && errors.As(err, &refused):
		return false, c.pause(ctx, refused.RetryAt)
	case isPassing(err) && c.troubles == 0: // once is nothing: the next run will do
		c.troubles++
		c.log.Warn("run ended early, the next one takes it up", zap.Error(err))
		return true, nil
	case isDocusign(err):
		return true, c.park(ctx, c.account.ID(), now, err)
	case err != nil:
		return true, err
	}
	c.sayWaiting("")
	c.troubles = 0
	return true, c.passed(ctx, now, urgentOnly)
}

// run is one run, as the package comment tells it.
func (c *Closer) run(ctx context.Context, now time.Time, urgentOnly bool) error {
	if err := c.lookUpUnknown(ctx, now); err != nil {
		return err
	}
	if err := c.backlogIsRead(ctx, now); err != nil {
		return err
	}
	if err := c.ledger.BecomeDue(ctx, c.account.ID(), now); err != nil {
		return err
	}
	entries, err := c.ledger.Due(ctx, c.account.ID(), now, urgentOnly)
	if err != nil {
		return err
	}
	p, cut := c.resolve(ctx, entries)
	if err := c.settleResolved(ctx, p); err != nil {
		return err
	}
	verdict, err := c.check(ctx, now, p, cut)
	if err != nil {
		return errors.Join(cut, err)
	}
	passed := verdict.Go
	for _, h := range verdict.Holds {
		if c.cfg.DryRun && h.WholePlan() { // nothing is sent that somebody would have to approve
			c.log.Info("dry run: the plan would be held", zap.String("detail", h.Detail), zap.Int("leavers", len(h.People)))
			passed = append(passed, h.People...)
			continue
		}
		if err := c.hold(ctx, h); err != nil {
			return err
		}
	}
	if err := c.send(ctx, passed, p.resolvedAt); err != nil {
		return err
	}
	return cut
}

// notYetError says why no plan is made now.
type notYetError struct{ why string }

func (e *notYetError) Error() string { return "no plan yet: " + e.why }

// backlogIsRead returns a notYetError while Kafka holds news that was not read
// when this process got its partitions: the word that takes a termination back
// may be among it. A Kafka that cannot be read is waited for, but not for ever.
func (c *Closer) backlogIsRead(ctx context.Context, now time.Time) error {
	r, err := c.ledger.Reading(ctx)
	if err != nil || r.UpToDate() {
		return err
	}
	if !r.Away.IsZero() && now.Sub(r.Away) >= awayAtMost {
		c.log.Warn("plans go on although Kafka cannot be read", zap.String("kafka", string(r.State)), zap.Time("since", r.Away))
		return nil
	}
	return &notYetError{"Kafka is " + string(r.State)}
}

// sayWaiting logs why no plan is made, once for each reason.
func (c *Closer) sayWaiting(why string) {
	if why == c.waiting {
		return
	}
	c.waiting = why
	if why != "" {
		c.log.Info("no plan for now", zap.String("why", why))
	}
}

// open finds the account at Docusign, once.
func (c *Closer) open(ctx context.Context) error {
	if c.account != nil {
		return nil
	}
	account, self, err := FindAccount(ctx, c.client, c.cfg.Account)
	if err != nil {
		return err
	}
	c.metrics.Account(account.ID())
	state, err := c.ledger.Account(ctx, account.ID())
	if err != nil {
		return err
	}
	account.Restore(docusign.Quota{Hour: docusign.Window{
		Limit: state.HourLimit, Remaining: state.HourRemaining, Reset: state.HourResetAt}})
	if err := c.ledger.ForgetAccount(ctx, unknownAccount); err != nil {
		return err
	}
	c.account, c.self = account, self
	c.log.Info("account opened", zap.String("account", account.ID()))
	return nil
}

// FindAccount returns the account of that id, or the only one of the user that
// the client signs in as, and that user's id.
func FindAccount(ctx context.Context, client *docusign.Client, id string) (*docusign.Account, string, error) {
	info, err := client.UserInfo(ctx)
	if err != nil {
		return nil, "", err
	}
	var found []docusign.AccountInfo
	for _, a := range info.Accounts {
		if id == "" || strings.EqualFold(a.ID, id) {
			found = append(found, a)
		}
	}
	switch {
	case len(found) == 1:
		return client.Account(found[0]), info.UserID, nil
	case len(found) > 1:
		return nil, "", &accountError{"docusign.accounts: the user has several accounts: name the one to close leavers in"}
	case id != "":
		return nil, "", &accountError{"docusign.accounts: " + id + ": the user of docusign.user_id is no member of this account"}
	}
	return nil, "", &accountError{"docusign.accounts: the user of docusign.user_id has no account"}
}

// accountError is a config that names no account that there is.
type accountError struct{ text string }

func (e *accountError) Error() string { return e.text }

// isDocusign says whether err is Docusign's, or its absence's, as against the
// ledger's.
func isDocusign(err error) bool {
	var refused *docusign.Error
	return errors.As(err, &refused)
}

// isPassing says whether err may well be gone at the next try.
func isPassing(err error) bool {
	class := docusign.ClassOf(err)
	return isDocusign(err) && (class == docusign.Passing || class == docusign.Unknown)
}
