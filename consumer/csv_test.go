package consumer

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

func TestReadLeavers(t *testing.T) {
	both := []string{"ana@example.com", "ben@example.com"}
	for name, tc := range map[string]struct {
		text, column string
		want         []string
		bad          []int // lines
	}{
		"commas":                        {"name,email\nAna,ana@example.com\nBen,ben@example.com\n", "", both, nil},
		"semicolons, CRLF and a BOM":    {"\ufeffName;E-Mail\r\nAna;ana@example.com\r\nBen;ben@example.com\r\n", "", both, nil},
		"tabs and CR":                   {"Name\tWork Email\rAna\tana@example.com\rBen\tben@example.com", "", both, nil},
		"quotes":                        {"\"Paz, Ana\",\"User_Email\"\n\"Paz, Ana\",\"ana@example.com\"\n\"multi\nline\",\"ben@example.com\"\n", "", both, nil},
		"odd case and spaces":           {"EMAIL\n  Ana@Example.COM \nBEN@example.com\n", "", both, nil},
		"twice":                         {"email\nana@example.com\nben@example.com\nANA@example.com\n", "", both, nil},
		"empty lines":                   {"email,x\n\nana@example.com,1\n,,\n \nben@example.com,2\n\n", "", both, nil},
		"a name before the address":     {"email\nAna Paz <ana@example.com>\nmailto:ben@example.com\n", "", both, nil},
		"no header":                     {"ana@example.com\nben@example.com\n", "", both, nil},
		"a column by name":              {"private email,login\nx@home.example,ana@example.com\ny@home.example,ben@example.com\n", "login", both, nil},
		"a column by its letters":       {"private email,Log-In\nx@home.example,ana@example.com\ny@home.example,ben@example.com\n", "login", both, nil},
		"the surest of several":         {"username,mail\nap,ana@example.com\nbb,ben@example.com\n", "", both, nil},
		"bad lines":                     {"email,x\nana@example.com,1\nnot an address,2\n,3\nben@example.com,4\na@b@c,5\n", "", both, []int{3, 4, 6}},
		"a line that is too short":      {"x,email\n1,ana@example.com\n2\n3,ben@example.com\n", "", both, []int{3}},
		"a zero-width space":            {"email\n\u200bana@example.com\nben@exam\u200bple.com\n", "", both[:1], []int{3}},
		"Docusign's own upload file":    {"AccountID,APIUserName,UserEmail\na,1,ana@example.com\na,2,ben@example.com\n", "", both, nil},
		"spreadsheet formulas are none": {"email\n=HYPERLINK(1)\nana@example.com\n", "", both[:1], []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := ReadLeavers(strings.NewReader(tc.text), tc.column)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range l.Rows {
				got = append(got, r.Email)
			}
			var bad []int
			for _, b := range l.Bad {
				bad = append(bad, b.Line)
				if strings.Contains(b.Reason, "@b") || strings.Contains(b.Reason, "HYPER") {
					t.Errorf("the reason quotes the line: %s", b.Reason)
				}
			}
			if !slices.Equal(got, tc.want) || !slices.Equal(bad, tc.bad) {
				t.Errorf("got %v, bad lines %v; want %v, %v", got, bad, tc.want, tc.bad)
			}
		})
	}
}

func TestReadLeaversInUTF16(t *testing.T) {
	for name, high := range map[string]int{"little endian": 1, "big endian": 0} {
		raw := []byte{0xFF, 0xFE}
		if high == 0 {
			raw = []byte{0xFE, 0xFF}
		}
		for _, u := range utf16.Encode([]rune("Näme\temail\r\nÄna\tana@example.com\r\n")) {
			pair := [2]byte{byte(u >> 8), byte(u)}
			raw = append(raw, pair[high], pair[1-high])
		}
		l, err := ReadLeavers(strings.NewReader(string(raw)), "")
		if err != nil || len(l.Rows) != 1 || l.Rows[0] != (LeaverRow{Line: 2, Email: "ana@example.com"}) {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}

func TestReadLeaversRefusesTheFile(t *testing.T) {
	for name, tc := range map[string]struct{ text, column, says string }{
		"nothing in it":         {"", "", "empty"},
		"no column of emails":   {"a,b\n1,2\n", "", `"a", "b"`},
		"two columns of emails": {"Email,E-Mail\na@b.c,d@e.f\n", "", "--column"},
		"no such column":        {"a,email\n1,2\n", "c", `"email"`},
		"a named one twice":     {"c,c\n1,2\n", "c", "several"},
		"a workbook, not a CSV": {"PK\x03\x04\x00\x00", "", "not a text file"},
	} {
		if _, err := ReadLeavers(strings.NewReader(tc.text), tc.column); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: error %v, want one that says %s", name, err, tc.says)
		}
	}
}

func TestReadLeft(t *testing.T) {
	day := func(s string) time.Time { at, _ := time.Parse(time.DateOnly, s); return at }
	for name, tc := range map[string]struct {
		text, date string
		want       time.Time
		bad        string // part of the reason
	}{
		"by our own word":        {"email,Effective-At\nana@example.com,2026-11-30\n", "", day("2026-11-30"), ""},
		"by another":             {"email,left\nana@example.com, 2026-11-30 \n", "", day("2026-11-30"), ""},
		"by name":                {"email,Last Day\nana@example.com,2026-11-30\n", "last day", day("2026-11-30"), ""},
		"with a time":            {"email,left\nana@example.com,2026-11-30T01:00:00+01:00\n", "", day("2026-11-30"), ""},
		"none said":              {"email,left\nana@example.com,\n", "", time.Time{}, ""},
		"a line without it":      {"email,left\nana@example.com\n", "", time.Time{}, ""},
		"no such column":         {"email,x\nana@example.com,30.11.2026\n", "", time.Time{}, ""},
		"written another way":    {"email,left\nana@example.com,30.11.2026\n", "", time.Time{}, "a date such as"},
		"a day that there isn't": {"email,left\nana@example.com,2026-02-30\n", "", time.Time{}, "a date such as"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := ReadLeft(strings.NewReader(tc.text), "", tc.date)
			if err != nil {
				t.Fatal(err)
			}
			if tc.bad != "" {
				if len(l.Rows) != 0 || len(l.Bad) != 1 || l.Bad[0].Line != 2 || !strings.Contains(l.Bad[0].Reason, tc.bad) {
					t.Errorf("%+v", l)
				}
			} else if len(l.Rows) != 1 || !l.Rows[0].LeftAt.Equal(tc.want) {
				t.Errorf("%+v, want %v", l, tc.want)
			}
		})
	}
	if _, err := ReadLeft(strings.NewReader("email\nana@example.com\n"), "", "day"); err == nil || !strings.Contains(err.Error(), "--date-column") {
		t.Errorf("a column that is not there: %v", err)
	}
	if l, err := ReadLeavers(strings.NewReader("email,left\nana@example.com,soon\nANA@example.com,never\n"), ""); err != nil || len(l.Rows) != 1 || l.Repeated != 1 {
		t.Errorf("without dates: %+v, %v", l, err)
	}
}

// TestAQuoteWithoutAnEndHidesNobody: it would make all lines after it a part of its own.
func TestAQuoteWithoutAnEndHidesNobody(t *testing.T) {
	for name, text := range map[string]string{
		"in a column after":  "email,name\nana@example.com,\"Paz\nben@example.com,Ben\n",
		"in a column before": "name,email\n\"Paz,ana@example.com\nBen,ben@example.com\n",
		"up to another one":  "email,name\nana@example.com,\"Paz\nben@example.com,Ben \"B\" B\n",
	} {
		if l, err := ReadLeavers(strings.NewReader(text), ""); err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "@") {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
	for name, text := range map[string]string{
		"an inch sign":   "email,desk\nana@example.com,5\" left\nben@example.com,x\n",
		"several lines":  "email,desk\nana@example.com,\"a\nb\"\nben@example.com,x\n",
		"one at the end": "email,desk\nana@example.com,x\nben@example.com,\"x\n",
	} {
		if l, err := ReadLeavers(strings.NewReader(text), ""); err != nil || len(l.Rows) != 2 {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}

func TestLeaverEventIsTheSameWheneverItIsBrought(t *testing.T) {
	now := time.Now()
	a := LeaverEvent("digest", "ana@example.com", "alice", now, false)
	b := LeaverEvent("digest", "ana@example.com", "bob", now.Add(time.Hour), true)
	if a.Key != b.Key || a.Hash != b.Hash {
		t.Errorf("%+v and %+v are two events", a, b)
	}
	if c := LeaverEvent("another", "ana@example.com", "alice", now, false); c.Key == a.Key {
		t.Error("another file's is the same event")
	}
}

func FuzzReadLeavers(f *testing.F) {
	f.Add("name;email\r\nAna;ana@example.com\r\n", "")
	f.Add("\ufeff\"a\nb\",mail\n1,\"x\"y@z.example\n", "mail")
	f.Add("\xff\xfee\x00m\x00", "")
	f.Fuzz(func(t *testing.T, text, column string) {
		l, err := ReadLeavers(strings.NewReader(text), column)
		if err != nil {
			return
		}
		seen := make(map[string]bool)
		for _, r := range l.Rows {
			if seen[r.Email] || r.Email != strings.ToLower(r.Email) || !strings.Contains(r.Email, "@") || r.Line < 1 {
				t.Errorf("row %+v", r)
			}
			seen[r.Email] = true
		}
	})
}
