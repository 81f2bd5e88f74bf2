package closer

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"signoff/closer/docusign"
	"signoff/closer/guard"
	"signoff/closer/ledger"
)

// send closes the users of the plan, batch by batch; in a dry run it only notes
// whom it would close. It stops between batches when ctx ends.
func (c *Closer) send(ctx context.Context, plan []guard.Candidate, resolvedAt time.Time) error {
	resolved := make([]ledger.Resolved, 0, len(plan))
	for _, p := range plan {
		resolved = append(resolved, p.Resolved())
	}
	if c.cfg.DryRun {
		if len(resolved) == 0 {
			return nil
		}
		c.log.Info("dry run: would close", zap.Int("leavers", len(resolved)))
		return c.ledger.WouldClose(ctx, resolved)
	}
	troubles := 0
	for len(resolved) > 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n := batchLen(resolved, c.cfg.MaxUsers)
		err := c.closeBatch(ctx, resolved[:n], resolvedAt)
		switch {
		case err == nil:
			troubles = 0
		case docusign.ClassOf(err) == docusign.Unknown && isDocusign(err) && troubles < maxTroubles:
			troubles++ // that one is looked up; the others may fare better
		default:
			return err
		}
		resolved = resolved[n:]
		c.beat(time.Now())
	}
	return nil
}

// maxTroubles is how many batches in a row may be left with an unknown outcome
// before the rest waits for a later run.
const maxTroubles = 2

// batchLen is how many leavers, at least one, have at most maxUsers users
// together. With each time that nothing came of a leaver's batch the next one
// is half as large, and apart from others: one user whose close is never
// answered comes to stand alone, and keeps nobody else open.
func batchLen(plan []ledger.Resolved, maxUsers int) int {
	users, tries := 0, plan[0].Entry.Tries
	for n, r := range plan {
		users += len(r.Users)
		if n > 0 && (users > maxUsers>>tries || r.Entry.Tries != tries) {
			return n
		}
	}
	return len(plan)
}

// closeBatch writes the intent, sends the request and settles each user from
// its own entry in the answer. A shutdown gives it time to finish, since a
// request that is cut off leaves its outcome unknown.
func (c *Closer) closeBatch(ctx context.Context, members []ledger.Resolved, resolvedAt time.Time) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	work, cancel := withGrace(ctx, batchGrace)
	defer cancel()
	b, err := c.ledger.Submit(work, c.account.ID(), members, resolvedAt, c.fresh())
	if errors.Is(err, ledger.ErrStalePlan) {
		return &notYetError{"the plan has grown old while it was sent: the rest is looked up again"}
	}
	if err != nil || b.ID == 0 {
		return err
	}
	began := time.Now()
	answer, err := c.account.CloseUsers(work, b.UserIDs(), func() error { return c.ledger.Sending(work, b.ID) })
	if err == nil {
		return c.settle(work, b, answer, time.Since(began))
	}
	if halve, err := c.notClosed(work, b, err); !halve {
		return err
	}
	half := len(b.Members) / 2
	if err := c.closeBatch(ctx, b.Members[:half], resolvedAt); err != nil {
		return err
	}
	return c.closeBatch(ctx, b.Members[half:], resolvedAt)
}

// settle takes over what the answer says of each user.
func (c *Closer) settle(ctx context.Context, b ledger.Batch, answer docusign.Answer, took time.Duration) error {
	ids := b.UserIDs()
	results := make(map[string]ledger.Result, len(ids))
	closed := 0
	for _, id := range ids {
		r, ok := answer.Results[id]
		switch {
		case !ok:
			c.metrics.Failure(c.account.ID(), reasonUnknown)
		case r.Closed():
			closed++
			results[id] = ledger.Result{Closed: true}
		default:
			c.metrics.Failure(c.account.ID(), reasonRefused)
			results[id] = ledger.Result{Reason: r.Code}
		}
	}
	settled, err := c.ledger.SettleBatch(ctx, b.ID, results, answer.TraceToken, true, retries)
	if err != nil {
		return err
	}
	c.metrics.Batch(c.account.ID(), len(ids), closed)
	c.count(settled)
	c.log.Info("batch closed", zap.Int64("batch", b.ID), zap.Int("users", len(ids)), zap.Int("closed", closed),
		zap.Int("refused", len(results)-closed), zap.Int("unknown", len(ids)-len(results)),
		zap.Int("leavers_settled", len(settled)), zap.Duration("took", took), zap.String("trace_token", answer.TraceToken))
	return nil
}

// The reasons of failures that are not those of an error of the client.
const (
	reasonUnknown = "unknown" // the answer does not mention the user
	reasonRefused = "refused" // the user's entry in the answer is a refusal

	// Also of the client, which has words for the same.
	reasonAccount   = "account"    // the config names no account that there is
	reasonHourQuota = "hour_quota" // too little is left of the hour
)

// Reasons lists every reason that a failure can have.
func Reasons() []string { return append(docusign.Reasons(), reasonUnknown) }

// codeOf is the word that the ledger keeps for a refusal: Docusign's own code
// if it gave one.
func codeOf(err error) string {
	var refused *docusign.Error
	if errors.As(err, &refused) && refused.Code != "" {
		return refused.Code
	}
	return docusign.Reason(err)
}

// notClosed deals with a request that was not answered by a list of users. If
// Docusign refused it without naming anybody, it is to be halved, down to the
// one who is meant.
func (c *Closer) notClosed(ctx context.Context, b ledger.Batch, cause error) (halve bool, err error) {
	users := len(b.UserIDs())
	c.metrics.Failure(c.account.ID(), docusign.Reason(cause))
	c.metrics.Batch(c.account.ID(), users, 0)
	class := docusign.ClassOf(cause)
	c.log.Warn("batch not closed", zap.Int64("batch", b.ID), zap.Int("users", users), zap.String("class", string(class)), zap.Error(cause))
	switch class {
	case docusign.Unknown:
		// Stays submitted: it may have taken effect, and is looked up once it no
		// longer can.
		return false, cause
	case docusign.Permanent, docusign.NoMember:
		if len(b.Members) == 1 {
			results := make(map[string]ledger.Result)
			for _, id := range b.UserIDs() {
				results[id] = ledger.Result{Reason: codeOf(cause)}
			}
			settled, err := c.ledger.SettleBatch(ctx, b.ID, results, "", true, retries)
			c.count(settled)
			return false, err
		}
		err := c.ledger.Withdraw(ctx, b, codeOf(cause))
		return err == nil, err
	default: // certainly not carried out
		return false, errors.Join(cause, c.ledger.Withdraw(ctx, b, docusign.Reason(cause)))
	}
}

// lookUpUnknown finds out what became of users whose close was sent and not
// answered for. It asks once the request can no longer take effect.
func (c *Closer) lookUpUnknown(ctx context.Context, now time.Time) error {
	unknown, err := c.ledger.Unknowns(ctx, c.account.ID(), now.Add(-docusign.RequestTimeout))
	if err != nil || len(unknown) == 0 {
		return err
	}
	isOpen, err := c.asker(ctx, unknown[0].User.ID)
	if err != nil {
		return stopsRun(err)
	}
	var mu sync.Mutex
	results := make(map[int64]map[string]ledger.Result) // by batch and userId
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(lookUpsAtOnce)
	for _, u := range unknown {
		group.Go(func() error {
			open, err := isOpen(asking, u.User.ID)
			c.beat(time.Now())
			if err != nil {
				c.metrics.Failure(c.account.ID(), docusign.Reason(err))
				return stopsRun(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if results[u.Batch] == nil {
				results[u.Batch] = make(map[string]ledger.Result)
			}
			// An answer that left the user out is a refusal of a kind; no answer is none.
			results[u.Batch][u.User.ID] = ledger.Result{Closed: !open, Reason: "no_effect", Spared: !u.Answered}
			return nil
		})
	}
	stopped := group.Wait()
	for batch, found := range results { // what is known is settled, whatever stopped the rest
		settled, err := c.ledger.SettleBatch(ctx, batch, found, "", false, retries)
		if err != nil {
			return errors.Join(stopped, err)
		}
		c.count(settled)
		c.log.Info("unknown outcomes looked up", zap.Int64("batch", batch), zap.Int("users", len(found)), zap.Int("leavers_settled", len(settled)))
	}
	return stopped
}

// stopsRun is err if it is about more than one look-up: then a plan would fare
// no better. Else the user is asked about again in the next run, and the others
// do not wait for that.
func stopsRun(err error) error {
	switch docusign.ClassOf(err) {
	case docusign.Passing, docusign.Permanent:
		return nil
	}
	return err
}

// lookUpsAtOnce bounds the users asked for at a time.
const lookUpsAtOnce = 8

// asker returns how to ask whether a user is open: user by user, or, where
// Docusign does not let us read others by userId (it is not documented that it
// does), from a list of all users in all statuses. A user who is no member any
// more is not open.
func (c *Closer) asker(ctx context.Context, probe string) (func(context.Context, string) (bool, error), error) {
	byID := func(ctx context.Context, id string) (bool, error) {
		user, err := c.account.User(ctx, id)
		if errors.Is(err, docusign.ErrNoMember) {
			return false, nil
		}
		return err == nil && user.Open(), err
	}
	_, err := byID(ctx, probe)
	var refused *docusign.Error
	if err == nil || !errors.As(err, &refused) || refused.Status < 400 || refused.Status >= 500 ||
		docusign.ClassOf(err) == docusign.Exhausted || docusign.ClassOf(err) == docusign.SignIn {
		return byID, err
	}
	open := make(map[string]bool)
	for u, err := range c.account.Users(ctx) {
		c.beat(time.Now())
		if err != nil {
			return nil, err
		}
		open[strings.ToLower(u.ID)] = u.Open()
	}
	return func(_ context.Context, id string) (bool, error) { return open[strings.ToLower(id)], nil }, nil
}

// withGrace returns a context that ends grace after ctx does, not with it.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return work, func() { stop(); cancel() }
}
