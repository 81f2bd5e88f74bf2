package directory

import (
	"context"
	"sync"

	"golang.org/x/sync/singleflight"

	"signoff/closer/docusign"
)

// Organization is what the directory asks of an organization.
type Organization interface {
	// UsersByEmail returns the users of an email in all accounts, by account id in
	// lower case; nil if there are none.
	UsersByEmail(ctx context.Context, email string) (map[string][]docusign.User, error)
}

// Shared asks an organization for each address once, for all of its accounts.
// It is made anew for every plan, and safe for concurrent use.
type Shared struct {
	organization Organization
	asking       singleflight.Group

	mu      sync.Mutex
	answers map[string]map[string][]docusign.User // by address, by account
}

// Share makes a Shared for one plan.
func Share(o Organization) *Shared {
	return &Shared{organization: o, answers: make(map[string]map[string][]docusign.User)}
}

// users are those of the address in the account, as far as the organization
// knows. It is not the last word: nobody may mean that it does not answer.
func (s *Shared) users(ctx context.Context, account, address string) []docusign.User {
	s.mu.Lock()
	known, ok := s.answers[address]
	s.mu.Unlock()
	if ok {
		return known[account]
	}
	found, err, _ := s.asking.Do(address, func() (any, error) {
		users, err := s.organization.UsersByEmail(ctx, address)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.answers[address] = users
		return users, err
	})
	if err != nil {
		return nil
	}
	return found.(map[string][]docusign.User)[account]
}
