package consumer

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Table is a CSV with a header, as HR systems and spreadsheets write it:
// separated by comma, semicolon or tab, in UTF-8 or UTF-16.
type Table struct {
	header []string
	lines  *csv.Reader
}

// ReadTable reads the header.
func ReadTable(raw []byte) (*Table, error) {
	text, err := plainText(raw)
	if err != nil {
		return nil, err
	}
	lines := csv.NewReader(bytes.NewReader(text))
	// Quotes are taken strictly: one that does not end would swallow all that follows.
	lines.Comma, lines.FieldsPerRecord, lines.TrimLeadingSpace = separator(text), -1, true
	t := &Table{lines: lines}
	t.header, _, err = t.Next()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("empty")
	}
	return t, err
}

// Column returns the index of the first of the names that a column has, by its
// spelling or by its letters, -1 if none has. Two columns of one name are an
// error.
func (t *Table) Column(names ...string) (int, error) {
	for _, name := range names {
		switch found := columnsNamed(t.header, name); {
		case len(found) > 1:
			return -1, fmt.Errorf("several columns are called %s", name)
		case len(found) == 1:
			return found[0], nil
		}
	}
	return -1, nil
}

// Columns are the names of all columns, for errors.
func (t *Table) Columns() string {
	names := make([]string, 0, len(t.header))
	for _, name := range t.header {
		names = append(names, fmt.Sprintf("%q", strings.TrimSpace(name)))
	}
	return strings.Join(names, ", ")
}

// Next returns the next line that is not blank, and its number in the file,
// counted from 1; io.EOF at the end. An error names the line and quotes nothing.
func (t *Table) Next() (fields []string, line int, err error) {
	for {
		fields, err = t.lines.Read()
		var parse *csv.ParseError
		switch {
		case errors.As(err, &parse):
			return nil, parse.StartLine, fmt.Errorf("line %d cannot be read as CSV: %w", parse.StartLine, parse.Err)
		case err != nil:
			return nil, 0, err
		case !blank(fields):
			line, _ = t.lines.FieldPos(0)
			return fields, line, nil
		}
	}
}
