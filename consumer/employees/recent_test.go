package employees

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"signoff/consumer"
)

func TestRecent(t *testing.T) {
	var r recent
	now := time.Now()
	jane := consumer.Person{Email: "jane@example.com"}
	r.add("E-1", jane, now)
	for name, c := range map[string]struct {
		id    string
		after time.Duration
		found bool
	}{
		"at once":         {"E-1", 0, true},
		"minutes later":   {"E-1", recentFor - 1, true},
		"too much later":  {"E-1", recentFor, false},
		"somebody else's": {"E-2", 0, false},
	} {
		if p, ok := r.find(c.id, now.Add(c.after)); ok != c.found || ok && p.Email != jane.Email {
			t.Errorf("%s: %+v, %v", name, p, ok)
		}
	}
	for i := range 3 * mostRecent {
		r.add(strconv.Itoa(i), jane, now)
	}
	if len(r.people) > mostRecent {
		t.Errorf("remembers %d people", len(r.people))
	}
}

// What a delivery found out before its time was over need not be asked again when
// it comes again; what nobody answered for is.
func TestServerRemembersWhomItFound(t *testing.T) {
	s := newIDP(t, map[string]func(http.ResponseWriter){"externalId": status(503)})
	d, _ := s.directory(t, "externalId")
	if _, err := d.Find(t.Context(), "E-1"); err == nil {
		t.Fatal("found while the server was away")
	}
	s.answers["externalId"] = found(-1, `{"externalId":"E-1","userName":"jane@example.com"}`)
	for range 3 {
		if p, err := d.Find(t.Context(), " E-1 "); err != nil || p.Email != "jane@example.com" {
			t.Errorf("%+v, %v", p, err)
		}
	}
	s.answers["externalId"] = found(-1)
	for range 2 {
		if _, err := d.Find(t.Context(), "E-2"); !errors.Is(err, consumer.ErrNoPerson) {
			t.Errorf("of nobody: %v", err)
		}
	}
	if len(s.filters) != 4 {
		t.Errorf("asked %q", s.filters)
	}
}
