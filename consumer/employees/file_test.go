package employees

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"signoff/consumer"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, text string) (f file, path string, logs *observer.ObservedLogs) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "people.csv")
	write(t, path, text)
	core, logs := observer.New(zap.InfoLevel)
	f, err := openFile(path, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	return f, path, logs
}

func utf16File(text string) string {
	raw := []byte{0xFF, 0xFE}
	for _, unit := range utf16.Encode([]rune(text)) {
		raw = append(raw, byte(unit), byte(unit>>8))
	}
	return string(raw)
}

func TestFile(t *testing.T) {
	jane := consumer.Person{Email: "jane@example.com"}
	for name, c := range map[string]struct {
		text string
		id   string
		want consumer.Person // without an email: nobody
	}{
		"plain":                           {"employeeId,email\nE-1,jane@example.com\n", "E-1", jane},
		"the id with spaces around it":    {"employeeId,email\n E-1 ,jane@example.com\n", " E-1 ", jane},
		"semicolons and a byte order":     {"\ufeffEmployee Number;Work Email\r\nE-1;jane@example.com\r\n", "E-1", jane},
		"tabs, UTF-16":                    {utf16File("Employee #\tE-Mail\nE-1\tjane@example.com\n"), "E-1", jane},
		"an id with a comma":              {"id,mail\n\"E,1\",jane@example.com\n", "E,1", jane},
		"the surest of several columns":   {"id,employee_id,email\n1,E-1,jane@example.com\n", "E-1", jane},
		"leading zeros count":             {"employeeId,email\n007,jane@example.com\n", "7", consumer.Person{}},
		"capitals count":                  {"employeeId,email\ne-1,jane@example.com\n", "E-1", consumer.Person{}},
		"another":                         {"employeeId,email\nE-1,jane@example.com\n", "E-2", consumer.Person{}},
		"nobody's id":                     {"employeeId,email\n,jane@example.com\nE-1,a@example.com\n", "", consumer.Person{}},
		"no email":                        {"employeeId,email\nE-1,\nE-2,a@example.com\n", "E-1", consumer.Person{}},
		"a line that is too short":        {"name,email,employeeId\nJane\nSam,sam@example.com,E-2\nJane,jane@example.com,E-1\n", "E-1", jane},
		"an id of two people":             {"employeeId,email\nE-1,jane@example.com\nE-1,sam@example.com\nE-1,jane@example.com\n", "E-1", consumer.Person{}},
		"one person in two lines":         {"employeeId,email,alias\nE-1,jane@example.com,j@example.com\nE-1,Jane@example.com,jd@example.com\n", "E-1", consumer.Person{Email: "jane@example.com", OtherEmails: []string{"j@example.com", "jd@example.com"}}},
		"two people, one of them another": {"employeeId,email\nE-1,jane@example.com\nE-1,sam@example.com\nE-2,jane@example.com\n", "E-2", jane},
		"everything": {"Employee No.,First Name,Last Name,Work Email Address,Other Emails,Manager Email,Time Zone\nE-1,Jane,\"Doe, Jr.\",jane@example.com,j@example.com; jd@example.com,boss@example.com,Asia/Tokyo\n", "E-1",
			consumer.Person{Email: "jane@example.com", OtherEmails: []string{"j@example.com", "jd@example.com"}, ManagerEmail: "boss@example.com",
				GivenName: "Jane", FamilyName: "Doe, Jr.", TimeZone: "Asia/Tokyo"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, _, _ := open(t, c.text)
			got, err := f.Find(t.Context(), c.id)
			if c.want.Email == "" {
				if !errors.Is(err, consumer.ErrNoPerson) {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if len(got.OtherEmails) == 0 {
				got.OtherEmails = nil
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestFileRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":                     {"", "people.csv: empty"},
		"a header alone":            {"employeeId,email\n", "nobody in it"},
		"no column of ids":          {"name,email\nJane,jane@example.com\n", `no column employeeId; there are: "name", "email"`},
		"no column of emails":       {"employeeId,name\nE-1,Jane\n", `no column email; there are: "employeeId", "name"`},
		"two columns of emails":     {"employeeId,email,E-Mail,email\nE-1,a@example.com,b@example.com,c\n", "several columns are called email"},
		"a spreadsheet":             {"PK\x03\x04\x00\x00", "not a text file"},
		"a quote that does not end": {"employeeId,email\nE-1,\"jane@example.com\nE-2,sam@example.com\n", "line 2 cannot be read as CSV"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "people.csv")
			write(t, path, c.text)
			_, err := New(Config{CSV: path}, zap.NewNop())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "events.directory.csv: "+path) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "@") {
				t.Errorf("%v quotes the file", err)
			}
		})
	}
	if _, err := New(Config{CSV: "/nowhere/people.csv"}, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "events.directory.csv: open /nowhere") {
		t.Errorf("got %v", err)
	}
}

func TestFileIsReadAgain(t *testing.T) { synctest.Test(t, fileIsReadAgain) }

func fileIsReadAgain(t *testing.T) {
	f, path, logs := open(t, "employeeId,email\nE-1,jane@example.com\n")
	find := func(id, want string) {
		t.Helper()
		time.Sleep(consumer.LookAgain)
		if got, err := f.Find(t.Context(), id); got.Email != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q, %v, want %q", id, got.Email, err, want)
		}
	}
	errorsLogged := func(want int) {
		t.Helper()
		said := logs.FilterLevelExact(zap.ErrorLevel).All()
		if len(said) != want {
			t.Errorf("%d errors in the log, want %d: %v", len(said), want, said)
		}
		for _, s := range said {
			if text, _ := s.ContextMap()["error"].(string); strings.Contains(text, "@") || text == "" {
				t.Errorf("the log says %q", text)
			}
		}
	}
	find("E-2", "")
	write(t, path, "employeeId,email\nE-1,jane@example.com\nE-2,sam@example.com\n")
	find("E-2", "sam@example.com")

	write(t, path, "employeeId,email\nE-1,\"jane@exa")
	find("E-2", "sam@example.com")
	find("E-2", "sam@example.com")
	errorsLogged(1) // though looked at twice

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	find("E-1", "jane@example.com")
	find("E-1", "jane@example.com")
	errorsLogged(2)

	write(t, path, "employeeId,email\nE-3,max@example.com\n")
	find("E-3", "max@example.com")
	find("E-1", "")
	errorsLogged(2)
}
