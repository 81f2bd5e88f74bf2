package consumer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
)

// FuzzParseJSON reads no more than encoding/json does, what checkJSON lets pass
// and nothing else, and what it has read once more when it is written again.
func FuzzParseJSON(f *testing.F) {
	for _, text := range []string{
		`{"a":[1,1.5e3,-0,true,null,"\u00e9\ud83d\ude00"],"b":{}}`, `{"a":1,"\u0061":2}`, `[{"a":{"a":1}},{"a":2}]`,
		`{"":{"":""}}`, `1e999999`, `"\ud800"`, ` [ ] `, `{}{}`, "\xff", "",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		value, err := ParseJSON(text)
		if check := checkJSON(text); (check == nil) != (err == nil) {
			t.Fatalf("read: %v, checked: %v", err, check)
		}
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q is no JSON", text)
		}
		again, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		second, err := ParseJSON(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if third, err := json.Marshal(second); err != nil || !bytes.Equal(again, third) {
			t.Errorf("%s and then %s, %v", again, third, err)
		}
	})
}

// FuzzReadTable comes to the end of any file, line by line.
func FuzzReadTable(f *testing.F) {
	f.Add([]byte("\ufeffid;mail\r\n\"E;1\";jane@example.com\r\n\r\n\"a\nb\";\n"), "mail")
	f.Add([]byte("\xff\xfei\x00d\x00\n\x001\x00"), "id")
	f.Add([]byte("a\tA\n\"1"), "a")
	f.Fuzz(func(t *testing.T, raw []byte, column string) {
		table, err := ReadTable(raw)
		if err != nil {
			return
		}
		if at, err := table.Column(column); err == nil && at >= len(table.header) {
			t.Errorf("column %d of %d", at, len(table.header))
		}
		table.Columns()
		last := 0
		for {
			fields, line, err := table.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if line <= last || line > bytes.Count(raw, []byte("\n"))+bytes.Count(raw, []byte("\r"))+1 || err == nil && blank(fields) {
				t.Fatalf("%q is line %d after %d, %v", fields, line, last, err)
			}
			if last = line; err != nil {
				return
			}
		}
	})
}
