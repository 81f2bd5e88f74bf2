package docusigntest

import (
	"maps"
	"regexp"
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
	Header     map[string]string // Authorization without its credential, Accept, Content-Type, Content-Disposition: those that came
	Body       string            // as sent; an assertion is without its signature; "" of calls long past
	Operation  string            // sign_in, userinfo, list_users, get_user, close_users, reopen_user or one of the Admin API's; "" for a path that is none
	Account    string            // "" if the path names none
	UserIDs    []string          // whom a close, a reopening or an import names, as spelled there; nil if it was not read
	Status     int               // 0: the connection was cut
	ErrorCode  string            // errorCode, or the sign-in's error; "" if there was none
	Fault      string            // what struck, by its key in Faults, or "down"; "" if nothing did
	TraceToken string
}

// Stats counts what Requests lists.
type Stats struct {
	Operations map[string]int // calls by operation, those that a fault struck as well
	Exhausted  int            // calls refused because an hour or a burst was used up
}

// How many requests are remembered, and of how many the bodies: the oldest half
// is forgotten past it, so that a simulation can run for days.
const (
	keepRequests = 200_000
	keepBodies   = 10_000
)

func (s *Server) log(c *call, a answer, trace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) >= keepRequests {
		s.requests = slices.Clone(s.requests[keepRequests/2:])
	}
	s.requests = append(s.requests, Request{
		Time: s.now(), Method: c.r.Method, Path: c.r.URL.Path, Query: c.r.URL.RawQuery,
		Header: shownHeaders(c), Body: withoutSignature(c.sent),
		Operation: c.operation, Account: c.accountID, UserIDs: c.userIDs,
		Status: a.status, ErrorCode: a.errorCode, Fault: string(c.fault), TraceToken: trace,
	})
	if old := len(s.requests) - 1 - keepBodies; old >= 0 {
		s.requests[old].Body = ""
	}
	s.calls[c.operation]++
}

// shownHeaders are those by which the calls of two clients can be compared.
func shownHeaders(c *call) map[string]string {
	shown := make(map[string]string)
	for _, name := range []string{"Authorization", "Accept", "Content-Type", "Content-Disposition"} {
		if value := c.r.Header.Get(name); value != "" {
			shown[name] = value
		}
	}
	if scheme, _, found := strings.Cut(shown["Authorization"], " "); found {
		shown["Authorization"] = scheme + " [redacted]"
	}
	return shown
}

var assertionSignature = regexp.MustCompile(`(\bassertion=[^.&]*\.[^.&]*)\.[^&]*`)

// withoutSignature keeps an assertion's claims readable, and the assertion
// useless to anybody else.
func withoutSignature(body []byte) string {
	return string(assertionSignature.ReplaceAll(body, []byte("$1.[redacted]")))
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
