package employees

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.uber.org/zap"

	"signoff/consumer"
)

const maxFile = 64 << 20 // bytes

// file is a CSV of people, by their ids; without an email: an id that several have.
type file struct {
	people *consumer.Kept[map[string]consumer.Person]
}

func openFile(path string, log *zap.Logger) (file, error) {
	read := func() (map[string]consumer.Person, error) { return readFile(path, log) }
	people, err := consumer.Keep("events.directory.csv", log, read, path)
	return file{people}, err
}

// Find returns whoever has the id in the file as it is now.
func (f file) Find(_ context.Context, employeeID string) (consumer.Person, error) {
	p := f.people.Get()[strings.TrimSpace(employeeID)]
	if p.Email == "" {
		return p, consumer.ErrNoPerson
	}
	return p, nil
}

func readFile(path string, log *zap.Logger) (map[string]consumer.Person, error) {
	opened, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	raw, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d MiB", path, maxFile>>20)
	}
	people, ambiguous, err := readPeople(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	log.Info("events.directory.csv read", zap.String("file", path), zap.Int("people", len(people)-ambiguous), zap.Int("ambiguous", ambiguous))
	return people, nil
}

// columns are where in a line a field stands; -1 where there is no such column.
type columns struct {
	id, email, others, manager, given, family, zone int
}

func findColumns(t *consumer.Table) (columns, error) {
	var c columns
	var errs []error
	for _, want := range []struct {
		at    *int
		names []string
	}{
		{&c.id, []string{"employee id", "employee number", "employee #", "employee no", "emp id", "emp no", "personnel number", "worker id", "person id", "external id", "id"}},
		{&c.email, []string{"email", "email address", "mail", "work email", "work email address", "primary email", "primary work email", "company email",
			"business email", "corporate email", "user email", "user principal name", "upn"}},
		{&c.others, []string{"other emails", "other email", "secondary emails", "secondary email", "alternate email", "email aliases", "aliases", "alias", "proxy addresses"}},
		{&c.manager, []string{"manager email", "manager's email", "supervisor email", "reports to email"}},
		{&c.given, []string{"given name", "first name", "forename"}},
		{&c.family, []string{"family name", "last name", "surname"}},
		{&c.zone, []string{"time zone", "timezone", "tz"}},
	} {
		at, err := t.Column(want.names...)
		*want.at = at
		errs = append(errs, err)
	}
	switch err := errors.Join(errs...); {
	case err != nil:
		return c, err
	case c.id < 0:
		return c, fmt.Errorf("no column employeeId; there are: %s", t.Columns())
	case c.email < 0:
		return c, fmt.Errorf("no column email; there are: %s", t.Columns())
	}
	return c, nil
}

// readPeople also counts the ids that lead to several people. A line that cannot
// be read makes the whole file one that was cut off, or is no CSV.
func readPeople(raw []byte) (people map[string]consumer.Person, ambiguous int, err error) {
	table, err := consumer.ReadTable(raw)
	if err != nil {
		return nil, 0, err
	}
	at, err := findColumns(table)
	if err != nil {
		return nil, 0, err
	}
	people = make(map[string]consumer.Person)
	for {
		line, _, err := table.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		id, p := at.person(line)
		if id == "" || p.Email == "" {
			continue
		}
		if before, ok := people[id]; ok {
			p = merge(before, p)
		}
		people[id] = p
	}
	for _, p := range people {
		if p.Email == "" {
			ambiguous++
		}
	}
	if len(people) == 0 {
		return nil, 0, errors.New("nobody in it")
	}
	return people, ambiguous, nil
}

// merge joins two lines of one id: nobody if they are of two people.
func merge(before, p consumer.Person) consumer.Person {
	if !strings.EqualFold(before.Email, p.Email) {
		return consumer.Person{}
	}
	before.OtherEmails = append(before.OtherEmails, p.OtherEmails...)
	return before
}

func (c columns) person(line []string) (id string, p consumer.Person) {
	cell := func(at int) string {
		if at < 0 || at >= len(line) {
			return ""
		}
		return strings.Clone(strings.TrimSpace(line[at])) // or a name would keep its whole line
	}
	others := strings.FieldsFunc(cell(c.others), func(r rune) bool { return strings.ContainsRune(";,| \t\n", r) })
	return cell(c.id), consumer.Person{
		Email: cell(c.email), OtherEmails: slices.Clip(others), ManagerEmail: cell(c.manager),
		GivenName: cell(c.given), FamilyName: cell(c.family), TimeZone: cell(c.zone),
	}
}
