package closer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/closer/docusign"
	"signoff/closer/ledger"
)

// Why a reopening that was approved is dropped, or sent for nothing.
const (
	reasonInUse    = "address_in_use" // an open user has an address of the person's
	reasonOpen     = "already_open"   // somebody was quicker
	reasonNoEffect = "no_effect"      // Docusign did not refuse it, and the user is closed still
)

// reopenRetries is how a reopening that had no effect is tried again.
var reopenRetries = ledger.Retry{Attempts: 3, Wait: retries.Wait}

// reopen opens again whom people have said to, one by one. It comes after all
// that closes somebody, takes only what that leaves of the quota, and what it
// cannot do now it does in a later run: none of its troubles is one of closing.
func (a *account) reopen(ctx context.Context, now time.Time) error {
	if a.cfg.Only != nil {
		return nil
	}
	due, err := a.ledger.ReopensDue(ctx, a.id, now)
	if err != nil || len(due) == 0 {
		return err
	}
	if a.cfg.DryRun {
		a.log.Info("dry run: would open users again, as approved", zap.Int("users", len(due)))
		return nil
	}
	for troubles := 0; len(due) > 0; due = due[1:] {
		a.beat(time.Now())
		a.urgentFirst(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := a.reopenUser(ctx, due[0])
		switch {
		case err == nil:
			troubles = 0
		case !isDocusign(err):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			a.metrics.Failure(a.id, docusign.Reason(err))
			a.log.Warn("a user was not opened again, a later run takes it up", zap.Int64("reopen", due[0].ID), zap.Error(err))
			if class := docusign.ClassOf(err); !isAlone(err) || class != docusign.Permanent && !isPassing(err) {
				return nil // the others would fare no better
			}
			if err := a.ledger.PostponeReopen(ctx, due[0].ID, docusign.Reason(err), now.Add(retries.Wait(1))); err != nil {
				return err
			}
			if troubles++; troubles > maxTroubles {
				return nil
			}
		}
	}
	return nil
}

// reopenUser opens one user again, unless it has become pointless. The intent is
// in the ledger before Docusign hears of it.
func (a *account) reopenUser(ctx context.Context, r ledger.Reopen) error {
	api := a.api.For(docusign.Reopens)
	why, err := a.pointless(ctx, api, r)
	if err != nil {
		return err
	}
	if why != "" {
		err := a.ledger.SettleReopen(ctx, r.ID, ledger.ReopenDropped, why, "")
		if errors.Is(err, ledger.ErrNoReopen) { // dropped meanwhile, since the person leaves again
			return nil
		}
		a.log.Warn("approved, and not opened again", a.reopenFields(r, zap.String("reason", why))...)
		return err
	}
	work, cancel := withGrace(ctx, batchGrace)
	defer cancel()
	taken, err := a.ledger.SubmitReopen(work, r.ID)
	if err != nil || !taken {
		return err
	}
	answer, err := api.ReopenUser(work, r.User.ID, func() error { return a.ledger.ReopenSending(work, r.ID) })
	switch docusign.ClassOf(err) {
	case "":
		return a.settleReopen(work, r, answer)
	case docusign.Unknown: // stays submitted, and is looked up once the request can no longer take effect
		return err
	case docusign.Permanent:
		a.metrics.Failure(a.id, docusign.Reason(err))
		return a.reopenRefused(work, r, codeOf(err), errorOf(err).TraceToken, docusign.Advice(err))
	}
	return errors.Join(err, a.ledger.WithdrawReopen(work, r.ID, docusign.Reason(err)))
}

// pointless says why a user need not or must not be opened again, "" if they are
// closed still, and no open user of the account has an address of theirs.
func (a *account) pointless(ctx context.Context, api *docusign.Account, r ledger.Reopen) (why string, err error) {
	asked := make(map[string]bool)
	var themselves *docusign.User
	look := func(address string) error {
		address = strings.ToLower(strings.TrimSpace(address))
		if asked[address] || address == "" {
			return nil
		}
		asked[address] = true
		users, err := api.UsersByEmail(ctx, address)
		for _, u := range users {
			switch {
			case !strings.EqualFold(strings.TrimSpace(u.Email), address): // the filter is not exact
			case strings.EqualFold(u.ID, r.User.ID):
				themselves = &u
			case u.Open():
				why = reasonInUse
			}
		}
		return err
	}
	for _, address := range append(slices.Clone(r.Entry.Emails), r.User.Email) {
		if err := look(address); err != nil || why != "" {
			return why, err
		}
	}
	if themselves == nil { // has another address by now, or Docusign hides who is closed
		found, err := a.record(ctx, api, r.User.ID)
		if err != nil {
			return "", err
		}
		if err := look(found.Email); err != nil || why != "" {
			return why, err
		}
		themselves = &found
	}
	if themselves.Open() {
		return reasonOpen, nil
	}
	return "", nil
}

// record is the user of that id, from a list of all users where Docusign does not
// let us read others by userId. Of one who is no member it says closed: whether
// they can be opened is for Docusign to say.
func (a *account) record(ctx context.Context, api *docusign.Account, id string) (docusign.User, error) {
	closed := docusign.User{ID: id, Status: docusign.Closed}
	user, err := api.User(ctx, id)
	switch {
	case errors.Is(err, docusign.ErrNoMember):
		return closed, nil
	case docusign.ClassOf(err) != docusign.Permanent:
		return user, err
	}
	for u, err := range api.Users(ctx) {
		a.beat(time.Now())
		if err != nil {
			return docusign.User{}, err
		}
		if strings.EqualFold(u.ID, id) {
			return u, nil
		}
	}
	return closed, nil
}

// settleReopen takes over what an answer says; where it says nothing clear, the
// user is looked up.
func (a *account) settleReopen(ctx context.Context, r ledger.Reopen, answer docusign.Reopened) error {
	switch {
	case answer.Code != "":
		reason, _ := docusign.Refusal(answer.Code) // its advice is on closing
		a.metrics.Failure(a.id, reason)
		return a.reopenRefused(ctx, r, answer.Code, answer.TraceToken, "")
	case answer.Sent:
		return a.reopenSent(ctx, r, answer.TraceToken)
	}
	user, err := a.record(ctx, a.api, r.User.ID)
	if err != nil { // stays submitted
		return err
	}
	return a.reopenLookedUp(ctx, r, user.Open(), answer.TraceToken)
}

// lookUpReopens finds out what became of reopenings that were sent and not
// answered for. It asks once the request can no longer take effect.
func (a *account) lookUpReopens(ctx context.Context, now time.Time) error {
	unknown, err := a.ledger.UnknownReopens(ctx, a.id, now.Add(-docusign.RequestTimeout))
	if err != nil || len(unknown) == 0 {
		return err
	}
	isOpen, err := a.asker(ctx, unknown[0].User.ID)
	if err != nil {
		return stopsRun(err)
	}
	for _, r := range unknown {
		a.beat(time.Now())
		open, err := isOpen(ctx, r.User.ID)
		if err != nil {
			a.metrics.Failure(a.id, docusign.Reason(err))
			if err := stopsRun(err); err != nil {
				return err
			}
			continue
		}
		if err := a.reopenLookedUp(ctx, r, open, ""); err != nil {
			return err
		}
	}
	return nil
}

func (a *account) reopenLookedUp(ctx context.Context, r ledger.Reopen, open bool, trace string) error {
	if open {
		return a.reopenSent(ctx, r, trace)
	}
	failed, err := a.ledger.RetryReopen(ctx, r.ID, reasonNoEffect, reopenRetries)
	if failed && err == nil {
		a.sayFailed(r, reasonNoEffect, trace, "")
	}
	return err
}

func (a *account) reopenSent(ctx context.Context, r ledger.Reopen, trace string) error {
	if err := a.ledger.SettleReopen(ctx, r.ID, ledger.ReopenSent, "", trace); err != nil {
		return err
	}
	a.metrics.Outcome(a.id, ledger.OutcomeReopenSent)
	a.log.Info("opened again: the person must still click in Docusign's email", a.reopenFields(r, zap.String("trace_token", trace))...)
	return nil
}

func (a *account) reopenRefused(ctx context.Context, r ledger.Reopen, code, trace, advice string) error {
	if err := a.ledger.SettleReopen(ctx, r.ID, ledger.ReopenFailed, code, trace); err != nil {
		return err
	}
	a.sayFailed(r, code, trace, advice)
	return nil
}

// sayFailed logs a reopening that a person must do now.
func (a *account) sayFailed(r ledger.Reopen, code, trace, advice string) {
	if advice == "" {
		advice = "open the user on Docusign's own pages"
	}
	a.log.Error("Docusign does not open a user again: it is not tried any more",
		a.reopenFields(r, zap.String("reason", code), zap.String("trace_token", trace), zap.String("advice", advice))...)
}

func (a *account) reopenFields(r ledger.Reopen, more ...zap.Field) []zap.Field {
	return append([]zap.Field{zap.Int64("reopen", r.ID), zap.Int64("hold", r.Hold), zap.Int64("entry", r.Entry.ID), traced(r.Entry)}, more...)
}
