package docusigntest

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// Users returns the account's users as they are now, in the order they came.
func (s *Server) Users(account string) []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.mustAccount(account)
	users := make([]User, len(a.users))
	for i, u := range a.users {
		users[i] = *u
	}
	return users
}

// User returns a user of the account, and whether there is one with that id.
func (s *Server) User(account, userID string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.mustAccount(account).byID[strings.ToLower(userID)]
	if u == nil {
		return User{}, false
	}
	return *u, true
}

// Closes returns by userId how often each user of the account was to be closed
// and was. Whom no close ever named is absent.
func (s *Server) Closes(account string) map[string]CloseCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.mustAccount(account).closes)
}

// AddUser adds a user and returns it as stored, with its ID. It panics if the
// account or the user is impossible.
func (s *Server) AddUser(account string, u User) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	added, err := s.mustAccount(account).add(u)
	if err != nil {
		panic("docusigntest: add user: " + err.Error())
	}
	return added
}

// SetUser replaces the user with u's ID, e.g. to open a closed one again. It
// panics if there is none.
func (s *Server) SetUser(account string, u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mustAccount(account).set(u); err != nil {
		panic("docusigntest: set user: " + err.Error())
	}
}

// SetConsent gives or takes back the consent to impersonate. Tokens stay valid.
func (s *Server) SetConsent(given bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consent = given
}

// SetFaults replaces the faults and casts the dice anew. It panics if a chance
// is not one.
func (s *Server) SetFaults(f Faults) {
	if err := f.validate(); err != nil {
		panic("docusigntest: " + err.Error())
	}
	s.dice.set(f)
}

// SetDown cuts every connection without an answer, sign-in included, until it
// is called with false.
func (s *Server) SetDown(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = is
}

func (s *Server) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// SetClockSkew sets how far the simulation's clock is ahead of ours.
func (s *Server) SetClockSkew(d time.Duration) {
	s.skew.Store(int64(d))
}

// SetRefuse makes every call on the account fail with that errorCode, e.g.
// ACCOUNT_LACKS_PERMISSIONS; "" ends it.
func (s *Server) SetRefuse(account, errorCode string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustAccount(account).refuse = errorCode
}

// RevokeTokens makes every access token given so far invalid.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// ExhaustHour uses up what is left of the present hour window of an account or
// an organization, by its id.
func (s *Server) ExhaustHour(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.mustQuota(id)
	q.hour.calls = q.hourLimit()
}

// ExhaustBurst uses up the burst window of an account or an organization. A new
// one begins now if the last has ended.
func (s *Server) ExhaustBurst(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.mustQuota(id)
	q.burst.calls = s.cfg.BurstLimit
}

// TakeCalls is another app that makes n calls on an account or an organization
// at once.
func (s *Server) TakeCalls(id string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.mustQuota(id)
	q.hour.calls += n
	q.burst.calls += n
}

// SetChurn replaces what others do to every account, and counts pages anew. It
// panics if c is impossible.
func (s *Server) SetChurn(c Churn) {
	if err := c.validate(); err != nil {
		panic("docusigntest: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		a.churn = newChurner(c)
	}
}

// Recreate lets a closed user in again as single sign-on does, under the same
// id or a new one, and returns the user who is open now. It panics if there is
// none of that id.
func (s *Server) Recreate(account, userID string, sameID bool) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.mustAccount(account)
	u := a.byID[strings.ToLower(userID)]
	if u == nil {
		panic(fmt.Sprintf("docusigntest: recreate: no user %q", userID))
	}
	return a.recreate(u, s.now(), sameID)
}

// mustAccount returns an account that the simulation's own user names; s.mu is
// held. A wrong id there is a slip in the test, not something to handle.
func (s *Server) mustAccount(id string) *account {
	a := s.account(id)
	if a == nil {
		panic(fmt.Sprintf("docusigntest: no account %q", id))
	}
	s.letTimePass()
	return a
}

// mustOrganization does the same for an organization.
func (s *Server) mustOrganization(id string) *org {
	o := s.organization(id)
	if o == nil {
		panic(fmt.Sprintf("docusigntest: no organization %q", id))
	}
	s.letTimePass()
	return o
}

// mustQuota returns the quota of an account or an organization as it is now;
// s.mu is held.
func (s *Server) mustQuota(id string) *quota {
	var q *quota
	if o := s.organization(id); o != nil {
		q = &o.quota
	} else {
		q = &s.mustAccount(id).quota
	}
	q.roll(s.now())
	return q
}
