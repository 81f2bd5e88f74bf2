// Package directory turns the addresses of leavers into users of an account.
//
// Nobody is found by guess: whatever Docusign's filter answers, only a user
// whose address is equal to the one asked for, ignoring case, is the leaver's.
// What it returns was read after it was called, and it keeps nothing.
package directory

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"signoff/closer/docusign"
)

// Account is what the directory asks of an account.
type Account interface {
	// UsersByEmail returns what Docusign answers for an email, users of any
	// status; none is no error.
	UsersByEmail(ctx context.Context, email string) ([]docusign.User, error)
}

// lookUpsAtOnce bounds the look-ups in flight: enough to hide the latency of
// each, and few beside what other integrations send.
const lookUpsAtOnce = 8

// troubles is how many look-ups in a row may fail before the rest is left for
// later: Docusign is in trouble, or refuses the account, not the leaver.
const troubles = 5

// Resolution is what was found.
type Resolution struct {
	Users map[string][]docusign.User // address -> its users in any status; empty if nobody has it
	Errs  map[string]error           // address -> why it could not be looked up
}

// Resolve looks every address up. An error about one address is in Errs and
// leaves the others alone; the error returned says why the look-ups stopped
// before all were made: no quota, no permission, Docusign away. Then some
// addresses are in neither map.
func Resolve(ctx context.Context, a Account, addresses []string) (Resolution, error) {
	var (
		mu     sync.Mutex
		inARow int
		r      = Resolution{make(map[string][]docusign.User, len(addresses)), make(map[string]error)}
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookUpsAtOnce)
	for _, address := range addresses {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			users, err := a.UsersByEmail(ctx, address)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				inARow = 0
				r.Users[address] = equal(users, address)
				return nil
			}
			err = fmt.Errorf("look up: %w", err)
			switch docusign.ClassOf(err) {
			case docusign.Permanent, docusign.Passing:
				r.Errs[address] = err
				if inARow++; inARow < troubles {
					return nil
				}
			}
			return err
		})
	}
	return r, group.Wait()
}

func equal(users []docusign.User, address string) []docusign.User {
	same := []docusign.User{}
	for _, u := range users {
		if strings.EqualFold(strings.TrimSpace(u.Email), address) {
			same = append(same, u)
		}
	}
	return same
}
