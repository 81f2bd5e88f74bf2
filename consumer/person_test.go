package consumer

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// staff is a directory of what is written down in it.
type staff struct {
	people map[string]Person
	err    error
	asked  int
}

func (s *staff) Find(_ context.Context, id string) (Person, error) {
	s.asked++
	p, ok := s.people[id]
	switch {
	case s.err != nil:
		return p, s.err
	case !ok:
		return p, fmt.Errorf("wrapped: %w", ErrNoPerson)
	}
	return p, nil
}

func newDecoderWith(t *testing.T, zone string, s *staff) *Decoder {
	t.Helper()
	d, err := NewDecoder(Config{TimeZone: zone}, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDirectoryFillsIn(t *testing.T) {
	jane := Person{
		Email: " Jane.Doe@Example.com ", OtherEmails: []string{"JDoe@example.com", "jane.doe@example.com"},
		ManagerEmail: "Boss@example.com", GivenName: "Jane\t", FamilyName: "Doe",
	}
	for name, c := range map[string]struct {
		data   string
		person Person
		want   Event // but for what does not come from the directory
		asked  int
	}{
		"everything": {`{"employeeId":"E-1"}`, jane, Event{
			Email: "jane.doe@example.com", OtherEmails: []string{"jdoe@example.com"}, ManagerEmail: "boss@example.com", GivenName: "Jane", FamilyName: "Doe",
		}, 1},
		"only what the event does not say": {`{"employeeId":"E-1","otherEmails":["jd@example.com","jdoe@example.com"],"managerEmail":"m@example.com","givenName":"J"}`, jane, Event{
			Email: "jane.doe@example.com", OtherEmails: []string{"jd@example.com", "jdoe@example.com"}, ManagerEmail: "m@example.com", GivenName: "J", FamilyName: "Doe",
		}, 1},
		"its email is one of the event's others": {`{"employeeId":"E-1","otherEmails":["jane.doe@example.com"]}`, Person{Email: "Jane.Doe@example.com"},
			Event{Email: "jane.doe@example.com"}, 1},
		"nothing where the event has an email": {`{"employeeId":"E-1","email":"j@example.com"}`, jane, Event{Email: "j@example.com"}, 0},
		"useless fields are left out": {`{"employeeId":"E-1"}`, Person{
			Email: "jane@example.com", OtherEmails: []string{"none", "", "j@example.com"}, ManagerEmail: strings.Repeat("m", 400), GivenName: strings.Repeat("x", 300), FamilyName: "Doe",
		}, Event{Email: "jane@example.com", OtherEmails: []string{"j@example.com"}, FamilyName: "Doe"}, 1},
		"another address where the first is none": {`{"employeeId":"E-1"}`, Person{Email: "jdoe", OtherEmails: []string{"jane@example.com", "j@example.com"}},
			Event{Email: "jane@example.com", OtherEmails: []string{"j@example.com"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &staff{people: map[string]Person{"E-1": c.person}}
			got, err := newDecoderWith(t, "", s).Decode(t.Context(), termination(c.data), "/events", received)
			if err != nil {
				t.Fatal(err)
			}
			found := Event{Email: got.Email, OtherEmails: got.OtherEmails, ManagerEmail: got.ManagerEmail, GivenName: got.GivenName, FamilyName: got.FamilyName}
			if !reflect.DeepEqual(found, c.want) || s.asked != c.asked || got.EmployeeID != "E-1" {
				t.Errorf("got %+v, asked %d times", found, s.asked)
			}
		})
	}
}

func TestDirectoryTakesAtMostAsManyAddressesAsAnEvent(t *testing.T) {
	p := Person{Email: "jane@example.com"}
	for i := range 40 {
		p.OtherEmails = append(p.OtherEmails, fmt.Sprintf("jane%d@example.com", i))
	}
	got, err := newDecoderWith(t, "", &staff{people: map[string]Person{"E-1": p}}).
		Decode(t.Context(), termination(`{"employeeId":"E-1"}`), "/events", received)
	if err != nil || len(got.OtherEmails) != maxOtherEmails || got.OtherEmails[15] != "jane15@example.com" {
		t.Errorf("got %v, %v", got.OtherEmails, err)
	}
}

func TestDirectoryByTheSubject(t *testing.T) {
	e := termination(`{}`)
	e.SetSubject("E-1")
	s := &staff{people: map[string]Person{"E-1": {Email: "jane@example.com"}}}
	if got, err := newDecoderWith(t, "", s).Decode(t.Context(), e, "/events", received); err != nil || got.Email != "jane@example.com" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTheHashIsNotOfTheDirectory(t *testing.T) {
	hash := func(p Person) string {
		s := &staff{people: map[string]Person{"E-1": p}}
		got, err := newDecoderWith(t, "", s).Decode(t.Context(), termination(`{"employeeId":"E-1"}`), "/events", received)
		if err != nil {
			t.Fatal(err)
		}
		return got.Hash
	}
	if hash(Person{Email: "a@example.com"}) != hash(Person{Email: "b@example.com"}) {
		t.Error("an event sent again would be another one, had the directory changed meanwhile")
	}
}

func TestDirectoryHasNoEmail(t *testing.T) {
	s := &staff{people: map[string]Person{"E-2": {Email: "jdoe", GivenName: "Jane"}, "E-3": {GivenName: "Jane"}}}
	for data, detail := range map[string]string{
		`{"employeeId":"E-1"}`: "email: missing, and events.directory has none for the employeeId",
		`{"employeeId":"E-2"}`: "email: missing, and what events.directory has for the employeeId is no email",
		`{"employeeId":"E-3"}`: "email: missing, and what events.directory has for the employeeId is no email",
	} {
		got, err := newDecoderWith(t, "", s).Decode(t.Context(), termination(data), "/events", received)
		var u *UnreadableError
		if !errors.As(err, &u) || u.Reason != NoEmail || u.Detail != detail {
			t.Errorf("%s: got %v", data, err)
		}
		if got.Key != (Key{"/events", "/hris", "1"}) {
			t.Errorf("%s: its key is %+v", data, got.Key)
		}
	}
}

// TestDirectoryIsAway must not make rejects of leavers: the same event is offered
// again.
func TestDirectoryIsAway(t *testing.T) {
	away := errors.New("no answer")
	got, err := newDecoderWith(t, "", &staff{err: away}).Decode(t.Context(), termination(`{"employeeId":"E-1"}`), "/events", received)
	var u *UnreadableError
	if !errors.Is(err, away) || errors.As(err, &u) || err.Error() != "events.directory: no answer" {
		t.Errorf("got %v", err)
	}
	if got.Key != (Key{"/events", "/hris", "1"}) || got.Kind != "" {
		t.Errorf("got %+v", got)
	}
}

func TestDirectoryIsNotAskedByWhatTakesBack(t *testing.T) {
	for _, ceType := range []string{TypeRescinded, TypeRehired} {
		for _, data := range []string{`{"employeeId":"E-1"}`, `{"terminationId":"T-1"}`} {
			s := &staff{err: errors.New("no answer")}
			e := termination(data)
			e.SetType(ceType)
			got, err := newDecoderWith(t, "", s).Decode(t.Context(), e, "/events", received)
			if err != nil || got.EmployeeID+got.TerminationID == "" || got.Email != "" || s.asked != 0 {
				t.Errorf("%s of %s: got %+v, %v, asked %d times", ceType, data, got, err, s.asked)
			}
		}
	}
}

func TestZoneOfADate(t *testing.T) {
	s := &staff{people: map[string]Person{
		"tokyo": {Email: "a@example.com", TimeZone: "Asia/Tokyo"}, "nowhere": {Email: "a@example.com"},
		"odd": {Email: "a@example.com", TimeZone: "Pacific Time (US)"}, "local": {Email: "a@example.com", TimeZone: "Local"},
	}}
	for name, c := range map[string]struct {
		zone string // of the config
		data string
		want string // or the reason of the reject
	}{
		"the event's own":                        {"Europe/Lisbon", `{"employeeId":"tokyo","effectiveAt":"2026-11-30","timeZone":" America/New_York "}`, "2026-12-01T05:00:00Z"},
		"its last day of daylight saving":        {"Europe/Lisbon", `{"email":"a@example.com","effectiveAt":"2026-11-01","timeZone":"America/New_York"}`, "2026-11-02T05:00:00Z"},
		"the day before":                         {"Europe/Lisbon", `{"email":"a@example.com","effectiveAt":"2026-10-31","timeZone":"America/New_York"}`, "2026-11-01T04:00:00Z"},
		"its first, urgent":                      {"Europe/Lisbon", `{"email":"a@example.com","effectiveAt":"2027-03-14","urgent":true,"timeZone":"America/New_York"}`, "2027-03-14T05:00:00Z"},
		"without one in the config":              {"", `{"email":"a@example.com","effectiveAt":"2026-11-30","timeZone":"Asia/Tokyo"}`, "2026-11-30T15:00:00Z"},
		"the person's":                           {"Europe/Lisbon", `{"employeeId":"tokyo","effectiveAt":"2026-11-30"}`, "2026-11-30T15:00:00Z"},
		"the person's, the event's being empty":  {"Europe/Lisbon", `{"employeeId":"tokyo","effectiveAt":"2026-11-30","timeZone":" "}`, "2026-11-30T15:00:00Z"},
		"the config's":                           {"Europe/Lisbon", `{"employeeId":"nowhere","effectiveAt":"2026-11-30"}`, "2026-12-01T00:00:00Z"},
		"the person's is none: the config's":     {"Asia/Tokyo", `{"employeeId":"odd","effectiveAt":"2026-11-30"}`, "2026-11-30T15:00:00Z"},
		"the machine's own is none":              {"Asia/Tokyo", `{"employeeId":"local","effectiveAt":"2026-11-30"}`, "2026-11-30T15:00:00Z"},
		"the person is not asked for":            {"Europe/Lisbon", `{"employeeId":"tokyo","email":"a@example.com","effectiveAt":"2026-11-30"}`, "2026-12-01T00:00:00Z"},
		"none at all":                            {"", `{"employeeId":"nowhere","effectiveAt":"2026-11-30"}`, "no_time_zone"},
		"the event's is none":                    {"Europe/Lisbon", `{"email":"a@example.com","effectiveAt":"2026-11-30","timeZone":"Mars/Olympus"}`, "invalid_time"},
		"the event's is a path":                  {"Europe/Lisbon", `{"email":"a@example.com","effectiveAt":"2026-11-30","timeZone":"../../etc/passwd"}`, "invalid_time"},
		"the event's is Local":                   {"Europe/Lisbon", `{"email":"a@example.com","effectiveAt":"2026-11-30","timeZone":"Local"}`, "invalid_time"},
		"the event's is no text":                 {"Europe/Lisbon", `{"email":"a@example.com","effectiveAt":"2026-11-30","timeZone":3}`, "invalid_time"},
		"the event's is none, and not asked for": {"", `{"email":"a@example.com","effectiveAt":"2026-11-30T17:00:00Z","timeZone":3}`, "2026-11-30T17:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newDecoderWith(t, c.zone, s).Decode(t.Context(), termination(c.data), "/events", received)
			var u *UnreadableError
			if errors.As(err, &u) {
				if string(u.Reason) != c.want {
					t.Errorf("got %v, want %s", u, c.want)
				}
				return
			}
			if err != nil || got.EffectiveAt.Format(time.RFC3339) != c.want {
				t.Errorf("got %v, %v, want %s", got.EffectiveAt, err, c.want)
			}
		})
	}
}
