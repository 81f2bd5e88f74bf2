package docusigntest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Request is one call that came in.
type Request struct {
	Time       time.Time // by the simulation's clock
	Method     string
	Path       string
	Query      string
	Operation  string   // sign_in, userinfo, list_users, get_user or close_users; "" for a path that is none
	Account    string   // "" if the path names none
	UserIDs    []string // whom a close names, as spelled there; nil if it was not read
	Status     int      // 0: the connection was cut
	ErrorCode  string   // errorCode, or the sign-in's error; "" if there was none
	Fault      string   // what struck, by its key in Faults, or "down"; "" if nothing did
	TraceToken string
}

// Stats counts what Requests lists.
type Stats struct {
	Operations map[string]int // calls by operation, those that a fault struck as well
	Exhausted  int            // calls refused because an hour or a burst was used up
}

// keepRequests is how many requests are remembered; the oldest half is
// forgotten past it, so that a simulation can run for days.
const keepRequests = 200_000

func (s *Server) log(c *call, a answer, trace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) >= keepRequests {
		s.requests = slices.Clone(s.requests[keepRequests/2:])
	}
	s.requests = append(s.requests, Request{
		Time: s.now(), Method: c.r.Method, Path: c.r.URL.Path, Query: c.r.URL.RawQuery,
		Operation: c.operation, Account: c.accountID, UserIDs: c.userIDs,
		Status: a.status, ErrorCode: a.errorCode, Fault: string(c.fault), TraceToken: trace,
	})
	s.calls[c.operation]++
}

// Requests returns the calls so far, the oldest first; of very many, the later
// ones.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Stats returns the counts since New.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Operations: maps.Clone(s.calls), Exhausted: s.exhausted}
}

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

// ExhaustHour uses up what is left of the account's present hour window.
func (s *Server) ExhaustHour(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.mustAccount(account).quota
	q.roll(s.now())
	q.hour.calls = s.cfg.HourLimit
}

// ExhaustBurst uses up the account's burst window. A new one begins now if the
// last has ended.
func (s *Server) ExhaustBurst(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.mustAccount(account).quota
	q.roll(s.now())
	q.burst.calls = s.cfg.BurstLimit
}

// mustAccount returns an account that the simulation's own user names; s.mu is
// held. A wrong id there is a slip in the test, not something to handle.
func (s *Server) mustAccount(id string) *account {
	a := s.account(id)
	if a == nil {
		panic(fmt.Sprintf("docusigntest: no account %q", id))
	}
	return a
}
