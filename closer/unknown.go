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
	"signoff/closer/ledger"
)

// lookUpUnknown finds out what became of users whose close was sent and not
// answered for. It asks once the request can no longer take effect.
func (a *account) lookUpUnknown(ctx context.Context, now time.Time) error {
	unknown, err := a.ledger.Unknowns(ctx, a.id, now.Add(-docusign.RequestTimeout))
	if err != nil || len(unknown) == 0 {
		return err
	}
	isOpen, err := a.asker(ctx, unknown[0].User.ID)
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
			a.beat(time.Now())
			if err != nil {
				a.metrics.Failure(a.id, docusign.Reason(err))
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
		a.beat(time.Now())
		settled, err := a.ledger.SettleBatch(ctx, batch, found, "", false, retries)
		if err != nil {
			return errors.Join(stopped, err)
		}
		a.count(a.id, settled)
		a.log.Info("unknown outcomes looked up", zap.Int64("batch", batch), zap.Int("users", len(found)), zap.Int("leavers_settled", len(settled)))
	}
	return stopped
}

// stopsRun is err if it is about more than one look-up: then a plan would fare
// no better. Else the user is asked about again in the next run, and the others
// do not wait for that.
func stopsRun(err error) error {
	switch docusign.ClassOf(err) {
	case docusign.Passing, docusign.Permanent:
		if isAlone(err) {
			return nil
		}
	}
	return err
}

// lookUpsAtOnce bounds the users asked for at a time.
const lookUpsAtOnce = 8

// asker returns how to ask whether a user is open: user by user, or, where
// Docusign does not let us read others by userId (it is not documented that it
// does), from a list of all users in all statuses. A user who is no member any
// more is not open.
func (a *account) asker(ctx context.Context, probe string) (func(context.Context, string) (bool, error), error) {
	byID := func(ctx context.Context, id string) (bool, error) {
		user, err := a.api.User(ctx, id)
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
	for u, err := range a.api.Users(ctx) {
		a.beat(time.Now())
		if err != nil {
			return nil, err
		}
		open[strings.ToLower(u.ID)] = u.Open()
	}
	return func(_ context.Context, id string) (bool, error) { return open[strings.ToLower(id)], nil }, nil
}
