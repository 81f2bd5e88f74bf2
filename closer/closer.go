// Package closer closes in Docusign what is due in the ledger.
//
// A run takes all that is due in an account as one plan, resolves every address
// of every leaver afresh, lets the guard judge the plan, and sends what may go.
// What must not go is held; who has no open user is settled without a close. The
// intent is in the ledger before Docusign hears of it, so an outcome that nobody
// knows is looked up and never blindly sent again. Whoever was closed is looked
// for again for a while, since others may open what was closed. Late in a run,
// users are opened again whose closing was taken back, if a person has said so;
// last of all, leavers of the days to come are looked for.
//
// Each account has its own plans, quota and troubles; none of them stops
// another. An outage, a sign-in that does not work or a used-up quota costs no
// entry an attempt: the account waits, the ledger says why, and a later run goes
// on.
package closer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"signoff/closer/docusign"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/metrics"
)

// Config is the section `batch` of the config file, and what of other sections
// says whom to close where.
type Config struct {
	Interval time.Duration `yaml:"interval"`  // between runs, with a tenth of jitter
	MaxUsers int           `yaml:"max_users"` // in a close request
	Grace    time.Duration `yaml:"grace"`     // from the effective time until an entry is due; the ledger's to apply
	Deadline time.Duration `yaml:"deadline"`  // from due; what met and missed mean

	DryRun        bool                    `yaml:"-"` // close nobody
	Accounts      []string                `yaml:"-"` // ids in lower case; none: the only one that the user has
	AllAccounts   bool                    `yaml:"-"` // instead: every account that the user has
	Organization  string                  `yaml:"-"` // close by imports of this organization; "": in each account
	Columns       []string                `yaml:"-"` // of an import's CSV
	SigningGroups bool                    `yaml:"-"` // take whoever is closed out of signing groups as well
	Only          func(ledger.Entry) bool `yaml:"-"` // the entries to close; nil: all
}

// Defaults is the batching of a config that says nothing of it.
func Defaults() Config {
	return Config{Interval: 5 * time.Minute, MaxUsers: 100, Deadline: 24 * time.Hour, Columns: docusign.DefaultColumns}
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
	turn = time.Second // how often a loop looks whether something is to be done

	// awayAtMost is how long plans wait for a Kafka that cannot be read: longer,
	// and those who left stay open for want of news that may never come.
	awayAtMost = 15 * time.Minute

	// urgentPace is the shortest time between the beginnings of two urgent runs: each
	// costs calls, and those who come one after the other can go together.
	urgentPace = 2 * time.Second

	// urgentRetry is how long urgent leavers wait whom a run could not close.
	urgentRetry = 15 * time.Second

	// batchGrace is how long a batch under way may take after a shutdown began.
	batchGrace = 20 * time.Second

	// leastFresh is the shortest time for which a resolution may be relied on.
	leastFresh = 5 * time.Minute

	// findAgain is how often it is asked whether the user has other accounts by
	// now, where all of them are meant.
	findAgain = time.Hour
)

// retries is how a refused close is tried again: soon, then later, then daily.
var retries = ledger.Retry{
	Attempts: 5,
	Wait:     func(attempts int) time.Duration { return 30 * time.Second << (attempts - 1) },
	Daily:    24 * time.Hour,
}

// tools is what the work in every account is done with.
type tools struct {
	cfg     Config
	guard   guard.Config
	ledger  *ledger.Ledger
	client  *docusign.Client
	metrics *metrics.Closer
	log     *zap.Logger

	policy   *policy
	terms    *terms // of it, that cfg and guard are of
	promises *promises
}

// Closer runs the plans of all accounts.
type Closer struct {
	tools
	loops []*loop   // none until the accounts are known
	tried time.Time // when they were last asked for
}

// New makes a closer.
func New(cfg Config, g guard.Config, l *ledger.Ledger, c *docusign.Client, m *metrics.Closer, log *zap.Logger) *Closer {
	if len(cfg.Accounts) == 0 {
		m.Account(unknownAccount) // what keeps them from being found counts, too
	}
	t := &terms{g, cfg.Interval, cfg.MaxUsers}
	return &Closer{tools: tools{cfg: cfg, guard: g, ledger: l, client: c, metrics: m, log: log,
		policy: &policy{now: t}, terms: t, promises: &promises{of: make(map[promiser][]ledger.SentLeaver)}}}
}

// Run closes what is due at every interval, and urgent leavers at once, until
// ctx ends. The interval counts from the last run that the ledger knows of: a
// process that keeps crashing postpones nothing. beat is called at every turn
// that all loops have made.
func (c *Closer) Run(ctx context.Context, beat func(time.Time)) error {
	if err := c.Renew(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	for ctx.Err() == nil {
		if err := c.findAccounts(ctx, time.Now()); err != nil {
			c.log.Error("the accounts could not be found, tried again", zap.Error(err))
		}
		if len(c.loops) == 0 {
			beat(time.Now())
			sleep(ctx, turn)
			continue
		}
		if err := c.runLoops(ctx, beat); err != nil {
			return err
		}
	}
	return nil
}

// Renew has what is held judged anew if the guard is not configured any more as it
// was when that was judged.
func (c *Closer) Renew(ctx context.Context) error {
	return c.policy.keep(func(t *terms) error { return c.renew(ctx, t.guard) })
}

func (c *Closer) renew(ctx context.Context, g guard.Config) error {
	policy := fmt.Sprintf("%+v self=%s", g.Judging(), c.client.UserID())
	digest := sha256.Sum256([]byte(policy)) // it names people
	if err := c.ledger.Renew(ctx, c.cfg.DryRun, hex.EncodeToString(digest[:])); err != nil {
		return fmt.Errorf("judge holds anew: %w", err)
	}
	return nil
}

// runLoops turns the loops until ctx ends, or until the user turns out to have
// other accounts.
func (c *Closer) runLoops(ctx context.Context, beat func(time.Time)) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pulse := newPulse(c.loops, beat)
	for _, l := range c.loops {
		group.Go(func() error { l.run(ctx, pulse.of(l)); return nil })
	}
	if c.cfg.AllAccounts {
		group.Go(func() error {
			before := c.accountIDs()
			for sleep(ctx, findAgain) {
				info, err := c.client.UserInfo(ctx)
				if err != nil {
					continue // the loops notice by themselves
				}
				if found, err := AccountsOf(info, nil, true); err == nil && !slices.Equal(idsOf(found), before) {
					c.log.Info("the user has other accounts than before", zap.Int("accounts", len(found)))
					c.loops = nil
					stop()
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// CloseDue closes what is due now in all accounts, or the urgent part of it. It
// returns false if it is not time for a plan yet in one of them: the backlog is
// being read, a window of the quota is used up, the account is parked, or an
// import is under way.
func (c *Closer) CloseDue(ctx context.Context, now time.Time, urgentOnly bool) (done bool, err error) {
	if err := c.findAccounts(ctx, now); err != nil || len(c.loops) == 0 {
		return false, err
	}
	done = true
	for _, l := range c.loops {
		ok, failed := l.closeDue(ctx, now, urgentOnly)
		if failed != nil {
			return false, failed
		}
		done = done && ok
	}
	return done, nil
}

// sleep waits for d and returns true, or false as soon as ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil // select picks at random when both are ready
	}
}

// jitter is d, give or take a tenth: signoffs of one account that were started
// together drift apart.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // no secret
}
