package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"signoff/closer/docusign"
)

// atOnce bounds the calls in flight: enough to hide the latency of each, and
// few beside what other integrations send.
const atOnce = 8

// troubles is how many look-ups in a row may fail before the rest is left for
// later: Docusign is in trouble, or refuses the account, not the leaver.
const troubles = 5

// lookUp looks each of these addresses up.
func (w *work) lookUp(ctx context.Context, addresses []string) error {
	inARow := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, address := range addresses {
		group.Go(func() error {
			users, err := w.usersOf(ctx, address)
			w.mu.Lock()
			defer w.mu.Unlock()
			if err == nil {
				inARow = 0
				w.found.Users[address], w.found.Via[address] = equal(users, address), Lookup
				return nil
			}
			err = fmt.Errorf("look up: %w", err)
			if !aboutAddress(err) {
				return err
			}
			w.found.Errs[address], w.found.Via[address] = err, Lookup
			if inARow++; inARow < troubles {
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

// usersOf asks the organization, if that is to be asked, and the account itself
// if that knows of nobody open: it is not known to show everybody.
func (w *work) usersOf(ctx context.Context, address string) ([]docusign.User, error) {
	if err := w.ready(ctx, Lookup); err != nil {
		return nil, err
	}
	if w.Shared != nil {
		users := equal(w.Shared.users(ctx, w.AccountID, address), address)
		if slices.ContainsFunc(users, docusign.User.Open) {
			return users, nil
		}
	}
	return w.Account.UsersByEmail(ctx, address)
}

// aboutAddress says whether the next address may fare better.
func aboutAddress(err error) bool {
	class := docusign.ClassOf(err)
	refused, ok := errors.AsType[*docusign.Error](err)
	return ok && refused.RetryAt.IsZero() && (class == docusign.Permanent || class == docusign.Passing)
}

func equal(users []docusign.User, address string) []docusign.User {
	same := []docusign.User{}
	for _, u := range users {
		if strings.EqualFold(strings.TrimSpace(u.Email), strings.TrimSpace(address)) {
			same = append(same, u)
		}
	}
	return same
}
