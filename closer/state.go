package closer

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"signoff/closer/docusign"
	"signoff/closer/ledger"
)

// unknownAccount stands for the accounts that the config does not name, until
// Docusign has told which they are.
const unknownAccount = "unknown"

// park notes that nothing can be done in the account, and why. Its entries
// keep their place and their attempts. One line says so when it begins.
func (t *tools) park(ctx context.Context, id string, now time.Time, cause error) error {
	if ctx.Err() != nil {
		return nil
	}
	if !isDocusign(cause) {
		return cause
	}
	reason, advice := docusign.Reason(cause), docusign.Advice(cause)
	var account *AccountError
	if errors.As(cause, &account) {
		reason, advice = reasonAccount, account.text
	}
	t.metrics.Failure(id, reason)
	state, err := t.ledger.Account(ctx, id)
	if err != nil || state.Parked == reason {
		return err
	}
	if state.Parked == "" {
		state.ParkedAt = now
	}
	state.Parked, state.Advice = reason, advice
	t.log.Error("account parked: nothing is closed in it, all entries keep their place",
		zap.String("reason", reason), zap.String("advice", advice), zap.Error(cause))
	return t.ledger.SetAccount(ctx, state)
}

const (
	firstProbe = 15 * time.Second // after an account was parked
	lastProbe  = 10 * time.Minute // between probes of one that stays so
)

// parkHere parks the account, and has it probed after a while, and again after
// twice as long.
func (a *account) parkHere(ctx context.Context, now time.Time, cause error) error {
	a.probeAt = now.Add(min(firstProbe<<min(a.probes, 10), lastProbe))
	a.probes++
	return a.park(ctx, a.id, now, cause)
}

// ready opens the account, and says whether anything can be done in it. One that
// is parked is probed: there may be nothing to do that would show how it fares.
func (a *account) ready(ctx context.Context, state ledger.Account, now time.Time) (bool, error) {
	if state.Parked != "" && now.Before(a.probeAt) {
		return false, nil
	}
	err := a.open(ctx)
	if err == nil && state.Parked != "" {
		err = a.probe(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return false, nil
	case docusign.ClassOf(err) == docusign.Exhausted:
		return false, a.pause(ctx, docusign.Reason(err), errorOf(err).RetryAt)
	case err != nil:
		return false, a.parkHere(ctx, now, err)
	case state.Parked == "":
		return true, nil
	}
	a.probes = 0
	a.log.Info("account is no longer parked", zap.String("reason", state.Parked), zap.Duration("after", now.Sub(state.ParkedAt)))
	state.Parked, state.Advice, state.ParkedAt = "", "", time.Time{}
	return true, a.ledger.SetAccount(ctx, state)
}

// probe asks something that only works if all does.
func (a *account) probe(ctx context.Context) error {
	if _, err := a.api.CountUsers(ctx, docusign.Active); err != nil {
		return err
	}
	return a.client.CheckClock()
}

func errorOf(err error) *docusign.Error {
	var refused *docusign.Error
	errors.As(err, &refused)
	return refused
}

// pause notes until when Docusign wants to be left alone: the quota is used up,
// or it said so itself.
func (a *account) pause(ctx context.Context, reason string, until time.Time) error {
	state, err := a.known(ctx)
	if err != nil {
		return err
	}
	a.metrics.Failure(a.id, reason)
	if until.After(state.ResumeAt) {
		a.log.Warn("waiting, as Docusign's limits or its answer ask for", zap.String("reason", reason), zap.Time("until", until))
	}
	state.ResumeAt = until
	return a.ledger.SetAccount(ctx, state)
}

// passed notes a completed run.
func (a *account) passed(ctx context.Context, now time.Time, urgentOnly bool) error {
	if err := a.client.CheckClock(); err != nil {
		return a.parkHere(ctx, now, err)
	}
	state, err := a.known(ctx)
	if err != nil {
		return err
	}
	if !urgentOnly {
		state.ResumeAt = time.Time{}
		state.PassedAt = now
	}
	return a.ledger.SetAccount(ctx, state)
}

// known is the account as the ledger has it, with the quota as it is now.
func (a *account) known(ctx context.Context) (ledger.Account, error) {
	state, err := a.ledger.Account(ctx, a.id)
	if err != nil {
		return state, err
	}
	hour := a.api.Quota().Hour
	state.HourLimit, state.HourRemaining, state.HourResetAt = hour.Limit, hour.Remaining, hour.Reset
	return state, nil
}

// traced is the field of the log that has the id of the entry's trace; none without
// one.
func traced(e ledger.Entry) zap.Field {
	if id := e.TraceID(); id != "" {
		return zap.String("trace_id", id)
	}
	return zap.Skip()
}

// count tells the metrics what was settled, and the log what became final.
func (t *tools) count(account string, settled []ledger.Settled) {
	for _, s := range settled {
		if s.Outcome == ledger.Failed && s.Entry.Attempts > retries.Attempts {
			continue // it had failed before, and was told of then
		}
		t.metrics.Outcome(account, string(s.Outcome))
		t.log.Info("entry settled", zap.Int64("entry", s.Entry.ID), traced(s.Entry), zap.String("outcome", string(s.Outcome)))
		switch s.Outcome {
		case ledger.Closed:
			since := s.Entry.EffectiveAt
			if s.Entry.Returned { // was closed before: exposed since it is open again
				since = s.Entry.DueAt
			}
			t.metrics.Closed(s.At.Sub(s.Entry.DueAt), s.At.Sub(since), s.Entry.TraceID())
		case ledger.Failed:
			_, advice := docusign.Refusal(s.Reason)
			t.log.Error("Docusign refuses to close a leaver: tried again daily, a person should look",
				zap.Int64("entry", s.Entry.ID), traced(s.Entry), zap.String("reason", s.Reason), zap.String("advice", advice))
		}
	}
}
