package closer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"signoff/closer/docusign"
	"signoff/closer/ledger"
)

// unknownAccount stands for the account that the config does not name, until
// Docusign has told which it is.
const unknownAccount = "unknown"

// park notes that nothing can be done in the account, and why. Its entries
// keep their place and their attempts. One line says so when it begins.
func (c *Closer) park(ctx context.Context, id string, now time.Time, cause error) error {
	if ctx.Err() != nil {
		return nil
	}
	var account *accountError
	if !isDocusign(cause) && !errors.As(cause, &account) {
		return cause
	}
	if id == "" {
		id = unknownAccount
	}
	reason, advice := docusign.Reason(cause), docusign.Advice(cause)
	if account != nil {
		reason, advice = reasonAccount, account.text
	}
	c.metrics.Failure(id, reason)
	state, err := c.ledger.Account(ctx, id)
	if err != nil {
		return err
	}
	if state.Parked == reason {
		return nil
	}
	if state.Parked == "" {
		state.ParkedAt = now
	}
	state.Parked, state.Advice = reason, advice
	c.log.Error("account parked: nothing is closed in it, all entries keep their place",
		zap.String("account", id), zap.String("reason", reason), zap.String("advice", advice), zap.Error(cause))
	return c.ledger.SetAccount(ctx, state)
}

// pause notes until when the quota is used up.
func (c *Closer) pause(ctx context.Context, until time.Time) error {
	state, err := c.known(ctx)
	if err != nil {
		return err
	}
	state.ResumeAt = until
	c.metrics.Failure(c.account.ID(), reasonHourQuota)
	c.log.Warn("quota used up: waiting for its reset", zap.String("account", c.account.ID()), zap.Time("until", until))
	return c.ledger.SetAccount(ctx, state)
}

// passed notes a completed run; an account that was parked is no more.
func (c *Closer) passed(ctx context.Context, now time.Time, urgentOnly bool) error {
	state, err := c.known(ctx)
	if err != nil {
		return err
	}
	if state.Parked != "" { // ask anew: there may have been nothing to do that would have shown it
		if _, err := c.account.CountUsers(ctx, docusign.Active); err != nil {
			return c.park(ctx, c.account.ID(), now, err)
		}
	}
	if err := c.client.CheckClock(); err != nil {
		return c.park(ctx, c.account.ID(), now, err)
	}
	if state.Parked != "" {
		c.log.Info("account is no longer parked", zap.String("account", state.ID),
			zap.String("reason", state.Parked), zap.Duration("after", now.Sub(state.ParkedAt)))
		state.Parked, state.Advice, state.ParkedAt = "", "", time.Time{}
	}
	state.ResumeAt = time.Time{}
	if !urgentOnly {
		state.PassedAt = now
	}
	return c.ledger.SetAccount(ctx, state)
}

// countDeadlines counts who was settled in time, and who was not. A dry run
// settles nobody, and misses nothing.
func (c *Closer) countDeadlines(ctx context.Context, now time.Time) error {
	if c.cfg.DryRun {
		return nil
	}
	deadlines, err := c.ledger.CountDeadlines(ctx, now, c.cfg.Deadline)
	if err != nil {
		return fmt.Errorf("count deadlines: %w", err)
	}
	for _, d := range deadlines {
		c.metrics.Deadline(d.Met, d.Cause)
	}
	return nil
}

// known is the account as the ledger has it, with the quota as it is now.
func (c *Closer) known(ctx context.Context) (ledger.Account, error) {
	state, err := c.ledger.Account(ctx, c.account.ID())
	if err != nil {
		return state, err
	}
	hour := c.account.Quota().Hour
	state.HourLimit, state.HourRemaining, state.HourResetAt = hour.Limit, hour.Remaining, hour.Reset
	return state, nil
}

// count tells the metrics what was settled, and the log what became final.
func (c *Closer) count(settled []ledger.Settled) {
	for _, s := range settled {
		if s.Outcome == ledger.Failed && s.Entry.Attempts > retries.Attempts {
			continue // it had failed before, and was told of then
		}
		c.metrics.Outcome(c.account.ID(), string(s.Outcome))
		switch s.Outcome {
		case ledger.Closed:
			c.metrics.Closed(s.At.Sub(s.Entry.DueAt), s.At.Sub(s.Entry.EffectiveAt))
		case ledger.Failed:
			c.log.Error("Docusign refuses to close a leaver: tried again daily, a person should look",
				zap.Int64("entry", s.Entry.ID), zap.String("reason", s.Reason))
		}
	}
}
