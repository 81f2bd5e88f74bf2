package consumer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Decoder understands the CloudEvents that are ours. It may be used by many
// goroutines.
type Decoder struct {
	kinds     *kinds
	zone      *time.Location    // of a date without a time; nil: there is none
	directory Directory         // nil: there is none
	expected  map[string]string // sources of the config, by themselves
}

// NewDecoder returns a Decoder, or what is wrong with cfg. It asks the directory,
// which may be nil, for the email of a leaver whose termination carries none.
func NewDecoder(cfg Config, directory Directory) (*Decoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	zone, err := cfg.location()
	if err != nil {
		return nil, err
	}
	d := &Decoder{kinds: newKinds(cfg.Types), zone: zone, directory: directory, expected: make(map[string]string)}
	for _, source := range cfg.Expected {
		d.expected[source] = source
	}
	return d, nil
}

// Kind returns the kind of event that a CloudEvents type stands for; false if
// it is none of ours. It is meant to be called for every record of a topic.
func (d *Decoder) Kind(ceType string) (Kind, bool) { return d.kinds.of(ceType) }

// Decode reads a CloudEvent of one of our types, received at the given time
// from origin, a topic or the path of an endpoint. Position and Payload of the
// Event are left to the caller. An error is an *UnreadableError, or else says that
// the directory could not be asked, and that the same event may be offered again;
// the Event then holds its Key, if that could be read, and nothing else.
func (d *Decoder) Decode(ctx context.Context, e event.Event, origin string, received time.Time) (Event, error) {
	if err := Validate(e); err != nil {
		return Event{}, err
	}
	kind, ok := d.Kind(e.Type())
	if !ok {
		return Event{}, invalidEvent("type: none of events.types")
	}
	key, err := keyOf(e, origin)
	if err != nil {
		return Event{}, err
	}
	out, err := d.content(ctx, e, kind, received.UTC())
	if err != nil {
		return Event{Key: key}, err
	}
	out.Key = key
	return out, nil
}

// content reads everything but the Key.
func (d *Decoder) content(ctx context.Context, e event.Event, kind Kind, received time.Time) (Event, error) {
	out, data, err := said(ctx, e)
	if err != nil {
		return Event{}, err
	}
	out.Kind = kind
	zone := timeZone(data)
	switch {
	case out.Email != "":
	case kind != Terminated: // what takes it back finds its leaver by an id
		if out.EmployeeID == "" && out.TerminationID == "" {
			return Event{}, &UnreadableError{NoEmail, "email, employeeId and terminationId: missing"}
		}
	case out.EmployeeID == "":
		return Event{}, &UnreadableError{NoEmail, "email and employeeId: missing"}
	default:
		found, err := d.lookUp(ctx, &out)
		if err != nil {
			return Event{}, err
		}
		if zone == "" {
			zone = found
		}
	}
	err = d.times(&out, e, data, received, zone)
	return out, err
}

// timeFields are what content needs of the data once the person is known.
var timeFields = []string{"effectiveAt", "timeZone"}

// said reads what the data says of the person, and returns what it says of times.
func said(ctx context.Context, e event.Event) (Event, map[string]any, error) {
	size := min(int64(len(e.Data())), maxEvent)
	if err := underWay.Acquire(ctx, size); err != nil {
		return Event{}, nil, err
	}
	defer underWay.Release(size)
	data, err := dataOf(e)
	if err != nil {
		return Event{}, nil, err
	}
	out, err := person(&fields{members: data}, subject(e))
	if err != nil {
		return Event{}, nil, err
	}
	out.Hash = contentHash(e, data)
	// The rest, which may be anything, is not kept while a directory is asked.
	maps.DeleteFunc(data, func(name string, _ any) bool { return !slices.Contains(timeFields, name) })
	return out, data, nil
}

// maxAttribute is how many bytes of an attribute a database can index.
const maxAttribute = 1024

func keyOf(e event.Event, origin string) (Key, error) {
	key := Key{Origin: origin, Source: strings.TrimSpace(e.Source()), ID: strings.TrimSpace(e.ID())}
	for _, a := range []struct{ name, value string }{
		{"source", key.Source}, {"id", key.ID}, {"subject", e.Subject()},
	} {
		if len(a.value) > maxAttribute {
			return Key{}, invalidEvent(fmt.Sprintf("%s: longer than %d bytes", a.name, maxAttribute))
		}
		if !utf8.ValidString(a.value) || strings.ContainsFunc(a.value, control) {
			return Key{}, invalidEvent(a.name + ": has a control character or is not UTF-8")
		}
	}
	return key, nil
}

// subject is the same whether it came in a header, where space around it does
// not count, or in JSON.
func subject(e event.Event) string { return strings.TrimSpace(e.Subject()) }

func dataOf(e event.Event) (map[string]any, error) {
	media := strings.ToLower(e.DataMediaType())
	if media != "" && media != event.ApplicationJSON && !strings.HasSuffix(media, "+json") {
		return nil, invalidData("datacontenttype: not JSON")
	}
	if len(e.Data()) == 0 {
		return nil, invalidData("data: missing")
	}
	if len(e.Data()) > maxEvent {
		return nil, invalidData("data: " + tooLarge)
	}
	value, err := ParseJSON(e.Data())
	if err != nil {
		return nil, invalidData("data: " + err.Error())
	}
	data, ok := value.(map[string]any)
	if !ok {
		return nil, invalidData("data: not a JSON object")
	}
	return data, nil
}

// contentHash is the same for an event however it was sent, in whichever order
// and with whichever spaces. It passes over the time, since some senders stamp
// each attempt anew.
func contentHash(e event.Event, data map[string]any) string {
	content, err := json.Marshal([]any{strings.TrimSpace(e.Type()), subject(e), data})
	if err != nil {
		panic(err) // what ParseJSON returns can always be written again
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// person reads everything of the data but the times.
func person(f *fields, subject string) (Event, error) {
	e := Event{
		Email:         f.email("email"),
		EmployeeID:    f.id("employeeId"),
		Urgent:        f.flag("urgent"),
		TerminationID: f.id("terminationId"),
		ManagerEmail:  strings.ToLower(f.shown("managerEmail", maxEmail)),
		GivenName:     f.shown("givenName", maxName),
		FamilyName:    f.shown("familyName", maxName),
		LegalEntity:   f.shown("legalEntity", maxName),
		Department:    f.shown("department", maxName),
	}
	e.OtherEmails = f.otherEmails("otherEmails", e.Email)
	switch {
	case f.has("employeeId") && e.EmployeeID == "":
		f.fault("employeeId: empty")
	case !f.has("employeeId") && utf8.RuneCountInString(subject) > maxID:
		f.fault(fmt.Sprintf("subject: longer than %d characters, and no employeeId", maxID))
	case !f.has("employeeId"):
		e.EmployeeID = subject
	}
	return e, f.err
}
