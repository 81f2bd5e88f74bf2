package consumer

import (
	"context"
	"errors"
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
