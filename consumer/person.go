package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Person is what a directory says of an employee. Fields that it does not know
// are empty.
type Person struct {
	Email        string
	OtherEmails  []string
	ManagerEmail string
	GivenName    string
	FamilyName   string
	TimeZone     string // IANA name
}

// Directory leads from an employee's id to the person. It is asked at receipt,
// since directories forget leavers.
type Directory interface {
	// Find returns ErrNoPerson if the directory knows nobody by that id, or no
	// email of theirs. Any other error means that it could not be asked, and that
	// the same question may be answered later.
	Find(ctx context.Context, employeeID string) (Person, error)
}

// ErrNoPerson says that a directory leads from an id to no email.
var ErrNoPerson = errors.New("the directory has no email for this employee")

// lookUp fills in what the directory knows and the event does not say. It returns
// the person's time zone, "" if that is not known.
func (d *Decoder) lookUp(ctx context.Context, e *Event) (zone string, err error) {
	if d.directory == nil {
		return "", &UnreadableError{NoEmail, "email: missing, and there is no events.directory to ask for the employeeId"}
	}
	p, err := d.directory.Find(ctx, e.EmployeeID)
	if errors.Is(err, ErrNoPerson) {
		return "", &UnreadableError{NoEmail, "email: missing, and events.directory has none for the employeeId"}
	}
	if err != nil {
		return "", fmt.Errorf("events.directory: %w", err)
	}
	known := fromDirectory(p)
	if known.Email == "" {
		return "", &UnreadableError{NoEmail, "email: missing, and what events.directory has for the employeeId is no email"}
	}
	said := e.OtherEmails
	e.Email, e.OtherEmails = known.Email, nil
	for _, o := range slices.Concat(said, known.OtherEmails) {
		if o != e.Email && !slices.Contains(e.OtherEmails, o) {
			e.OtherEmails = append(e.OtherEmails, o)
		}
	}
	e.ManagerEmail = cmp.Or(e.ManagerEmail, known.ManagerEmail)
	e.GivenName, e.FamilyName = cmp.Or(e.GivenName, known.GivenName), cmp.Or(e.FamilyName, known.FamilyName)
	if _, err := Location(p.TimeZone); err != nil {
		return "", nil //nolint:nilerr // not known, then
	}
	return p.TimeZone, nil
}

// fromDirectory is what of a person an Event can hold. A directory is not written
// for us: what is of no use in it must not leave anybody open.
func fromDirectory(p Person) Event {
	var addresses []string
	for _, a := range append([]string{p.Email}, p.OtherEmails...) {
		a = known(a, (*fields).email)
		if a != "" && !slices.Contains(addresses, a) && len(addresses) <= maxOtherEmails {
			addresses = append(addresses, a)
		}
	}
	if len(addresses) == 0 {
		return Event{}
	}
	name := func(f *fields, at string) string { return f.shown(at, maxName) }
	return Event{
		Email: addresses[0], OtherEmails: addresses[1:],
		ManagerEmail: strings.ToLower(known(p.ManagerEmail, func(f *fields, at string) string { return f.shown(at, maxEmail) })),
		GivenName:    known(p.GivenName, name),
		FamilyName:   known(p.FamilyName, name),
	}
}

// known is a value as the data of an event would have it, "" if it could not.
func known(value string, read func(f *fields, at string) string) string {
	const at = "directory"
	f := &fields{members: map[string]any{at: value}}
	if text := read(f, at); f.err == nil {
		return text
	}
	return ""
}
