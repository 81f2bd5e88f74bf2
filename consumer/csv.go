package consumer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// LeaverOrigin is the Origin of events that come from a file of leavers.
const LeaverOrigin = "csv"

// Leavers is a file of people who left: a CSV with a column of emails.
type Leavers struct {
	Digest string      // SHA-256 of the file, hex: tells it from every other
	Rows   []LeaverRow // each address once, in the order of the file
	Bad    []BadLine

	Repeated int // lines that name somebody whom a line before named
}

// LeaverRow is one person of the file.
type LeaverRow struct {
	Line   int       // counted from 1, the header included
	Email  string    // trimmed, lower case
	LeftAt time.Time // by ReadLeft, UTC, a date as its midnight; zero if the file does not say
}

// BadLine is a line that names nobody.
type BadLine struct {
	Line   int
	Reason string // without what stands in the line
}

const (
	maxLeaversFile = 64 << 20 // bytes
	maxLeavers     = 1_000_000
)

// emailColumns are names of columns that hold emails, folded as foldColumn
// does, the surest first.
var emailColumns = []string{
	"email", "emailaddress", "mail", "useremail", "workemail", "workemailaddress", "emailwork", "primaryemail",
	"primaryworkemail", "companyemail", "businessemail", "corporateemail", "userprincipalname", "upn", "login", "username",
}

// ReadLeavers reads a CSV with a header, as HR systems and spreadsheets write
// it: separated by comma, semicolon or tab, in UTF-8 or UTF-16. The emails are
// in the named column or, if column is "", in the one whose name says so. An
// error is about the file as a whole; what is wrong with single lines is in Bad.
func ReadLeavers(r io.Reader, column string) (Leavers, error) {
	return readLeavers(r, column, func([]string) (int, error) { return -1, nil })
}

// dateColumns are names of columns that say when somebody left, by our own words:
// of others nobody knows how they write a date.
var dateColumns = []string{"effectiveat", "effective", "leftat", "left"}

// ReadLeft is ReadLeavers for a file that may say when each of them left: in the
// column named by date or, if that is "", in the one called so. It holds dates such
// as 2026-11-30, or RFC 3339 date-times.
func ReadLeft(r io.Reader, column, date string) (Leavers, error) {
	return readLeavers(r, column, func(header []string) (int, error) { return findDate(header, date) })
}

func readLeavers(r io.Reader, column string, date func(header []string) (int, error)) (Leavers, error) {
	var l Leavers
	raw, err := io.ReadAll(io.LimitReader(r, maxLeaversFile+1))
	if err != nil {
		return l, err
	}
	if len(raw) > maxLeaversFile {
		return l, fmt.Errorf("larger than %d MiB: split it", maxLeaversFile>>20)
	}
	sum := sha256.Sum256(raw)
	l.Digest = hex.EncodeToString(sum[:])
	text, err := plainText(raw)
	if err != nil {
		return l, err
	}
	err = l.read(text, column, date)
	return l, err
}

// plainText is the file in UTF-8 with Unix line ends.
func plainText(raw []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(raw, []byte{0xEF, 0xBB, 0xBF}):
		raw = raw[3:]
	case bytes.HasPrefix(raw, []byte{0xFF, 0xFE}):
		raw = fromUTF16(raw[2:], binary.LittleEndian)
	case bytes.HasPrefix(raw, []byte{0xFE, 0xFF}):
		raw = fromUTF16(raw[2:], binary.BigEndian)
	}
	if bytes.IndexByte(raw, 0) >= 0 {
		return nil, errors.New("not a text file: save it as CSV, in UTF-8")
	}
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(raw, []byte("\r"), []byte("\n")), nil
}

func fromUTF16(raw []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, 0, len(raw)/2)
	for ; len(raw) >= 2; raw = raw[2:] {
		units = append(units, order.Uint16(raw))
	}
	return []byte(string(utf16.Decode(units)))
}

func (l *Leavers) read(text []byte, column string, date func(header []string) (int, error)) error {
	lines := csv.NewReader(bytes.NewReader(text))
	lines.Comma, lines.FieldsPerRecord, lines.LazyQuotes, lines.TrimLeadingSpace = separator(text), -1, true, true
	header, err := lines.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("empty")
	}
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	at, dated := 0, -1
	if address, ok := onlyAddress(header); ok && column == "" { // a list of addresses, without a header
		seen[address] = true
		l.Rows = append(l.Rows, LeaverRow{Line: 1, Email: address})
	} else if at, err = findColumn(header, column); err != nil {
		return err
	} else if dated, err = date(header); err != nil {
		return err
	}
	for {
		began := lines.InputOffset()
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		line, _ := lines.FieldPos(0)
		if err == nil && swallows(text[began:lines.InputOffset()]) {
			return fmt.Errorf("line %d: a quote that does not end: what comes after it cannot be told apart", line)
		}
		switch {
		case err != nil:
			var parse *csv.ParseError
			if !errors.As(err, &parse) {
				return err
			}
			l.Bad = append(l.Bad, BadLine{parse.StartLine, "cannot be read as CSV: " + parse.Err.Error()})
			continue
		case blank(fields):
			continue
		case len(fields) <= at:
			l.Bad = append(l.Bad, BadLine{line, "has no column of emails"})
			continue
		}
		row := LeaverRow{Line: line}
		var reason string
		row.Email, reason = leaverAddress(fields[at])
		if reason == "" && dated >= 0 && dated < len(fields) {
			row.LeftAt, reason = leaverDate(fields[dated])
		}
		switch {
		case reason != "":
			l.Bad = append(l.Bad, BadLine{line, reason})
		case seen[row.Email]:
			l.Repeated++
		default:
			seen[row.Email] = true
			l.Rows = append(l.Rows, row)
		}
		if len(l.Rows) > maxLeavers {
			return fmt.Errorf("more than %d people: split it", maxLeavers)
		}
	}
}

// swallows says whether a record goes on over lines that a quote without an end
// has made a part of it.
func swallows(record []byte) bool {
	return bytes.Count(record, []byte{'"'})%2 == 1 && bytes.IndexByte(bytes.TrimSpace(record), '\n') >= 0
}

// findDate returns the index of the column of dates, -1 if there is none.
func findDate(header []string, column string) (int, error) {
	names := dateColumns
	if column != "" {
		names = []string{column}
	}
	for _, name := range names {
		switch found := columnsNamed(header, name); {
		case len(found) > 1:
			return 0, fmt.Errorf("several columns may hold the dates, all called %s", name)
		case len(found) == 1:
			return found[0], nil
		}
	}
	if column != "" {
		return 0, fmt.Errorf("--date-column: %q: no such column", column)
	}
	return -1, nil
}

// leaverDate is the date in a cell, zero if it is empty, or why there is none.
func leaverDate(cell string) (at time.Time, reason string) {
	if cell = strings.TrimSpace(cell); cell == "" {
		return at, ""
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, cell); err == nil && storable(at) {
			return at.UTC(), ""
		}
	}
	return at, "neither a date such as 2026-11-30 nor an RFC 3339 date-time"
}

// separator is the one that the first line with anything in it uses most.
func separator(text []byte) rune {
	first := strings.TrimLeft(string(text[:min(len(text), 64<<10)]), "\n")
	first, _, _ = strings.Cut(first, "\n")
	best, most := ',', 0
	for _, s := range []rune{',', ';', '\t'} {
		if n := strings.Count(first, string(s)); n > most {
			best, most = s, n
		}
	}
	return best
}

func blank(fields []string) bool { return strings.TrimSpace(strings.Join(fields, "")) == "" }

func onlyAddress(header []string) (string, bool) {
	if len(header) != 1 {
		return "", false
	}
	address, reason := leaverAddress(header[0])
	return address, reason == ""
}

// findColumn returns the index of the column of emails.
func findColumn(header []string, column string) (int, error) {
	known := make([]string, 0, len(header))
	for _, name := range header {
		known = append(known, fmt.Sprintf("%q", strings.TrimSpace(name)))
	}
	names := strings.Join(known, ", ")
	if column != "" {
		found := columnsNamed(header, column)
		switch {
		case len(found) == 0:
			return 0, fmt.Errorf("--column: %q: no such column; there are: %s", column, names)
		case len(found) > 1:
			return 0, fmt.Errorf("--column: %q: several columns have this name", column)
		}
		return found[0], nil
	}
	for _, name := range emailColumns {
		switch found := columnsNamed(header, name); {
		case len(found) > 1:
			return 0, fmt.Errorf("several columns may hold the emails: say which with --column; there are: %s", names)
		case len(found) == 1:
			return found[0], nil
		}
	}
	return 0, fmt.Errorf("no column of emails is known: say which it is with --column; there are: %s", names)
}

// columnsNamed are the columns of a name, by its spelling or, if none has that,
// by its letters.
func columnsNamed(header []string, name string) (found []int) {
	for i, h := range header {
		if strings.TrimSpace(h) == name {
			found = append(found, i)
		}
	}
	if len(found) > 0 {
		return found
	}
	for i, h := range header {
		if foldColumn(h) == foldColumn(name) {
			found = append(found, i)
		}
	}
	return found
}

// foldColumn is a column's name without what differs from file to file.
func foldColumn(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" _-./()*:", r) || r == '\u00a0' {
			return -1
		}
		return r
	}, strings.ToLower(name))
}

// leaverAddress is the address in a cell, which may have a name before it, or
// why there is none.
func leaverAddress(cell string) (address, reason string) {
	if !utf8.ValidString(cell) {
		return "", "not in UTF-8"
	}
	cell = strings.Trim(strings.TrimSpace(cell), "\u200b\ufeff\u00a0 ")
	if open, shut := strings.LastIndex(cell, "<"), strings.HasSuffix(cell, ">"); open >= 0 && shut {
		cell = strings.TrimSpace(cell[open+1 : len(cell)-1])
	}
	cell = strings.TrimPrefix(strings.TrimPrefix(cell, "mailto:"), "MAILTO:")
	switch {
	case cell == "":
		return "", "no email"
	case utf8.RuneCountInString(cell) > maxEmail:
		return "", fmt.Sprintf("an email of more than %d characters", maxEmail)
	}
	var f fields
	if address = f.address("email", cell); f.err != nil {
		return "", "not an email address"
	}
	return address, ""
}

// LeaverEvent is the event that a person of a file left now. by names whoever
// brings the file. The same person of the same file is the same event, whenever
// it is brought.
func LeaverEvent(file, email, by string, now time.Time, urgent bool) Event {
	sum := sha256.Sum256([]byte(LeaverOrigin + "\x00" + email))
	return Event{
		Key: Key{Origin: LeaverOrigin, Source: file, ID: email}, Kind: Terminated, Hash: hex.EncodeToString(sum[:]),
		Email: email, OccurredAt: now, ReceivedAt: now, EffectiveAt: now, Urgent: urgent, Actor: by,
	}
}
