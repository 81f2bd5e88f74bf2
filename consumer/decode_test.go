package consumer

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

var update = flag.Bool("update", false, "write the goldens anew")

var received = time.Date(2026, 11, 20, 9, 15, 0, 0, time.UTC)

func newDecoder(t testing.TB, cfg Config) *Decoder {
	t.Helper()
	d, err := NewDecoder(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecode(t *testing.T) {
	d := newDecoder(t, Config{TimeZone: "Europe/Lisbon"})
	received := time.Date(2027, 2, 1, 9, 0, 0, 0, time.UTC) // after all of them but one
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no payloads: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			e, err := ParseStructured(text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := d.Decode(t.Context(), e, "/events", received)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/"+name+".golden", got)
		})
	}
}

func golden(t *testing.T, file string, got any) {
	t.Helper()
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("got %s\nwant %s", text, want)
	}
}

// termination returns an event as binary mode brings it: attributes, and data
// that nobody has looked at.
func termination(data string) event.Event {
	e := event.New()
	e.SetID("1")
	e.SetSource("/hris")
	e.SetType(TypeTerminated)
	e.DataEncoded = []byte(data)
	return e
}

func TestDecodeRefuses(t *testing.T) {
	long := strings.Repeat("x", 321)
	many := strings.TrimSuffix(strings.Repeat(`"a@example.com",`, 17), ",")
	deep := strings.Repeat("[", 70) + strings.Repeat("]", 70)
	for name, c := range map[string]struct {
		data   string
		with   func(*event.Event)
		reason Reason
		detail string // a part of it
	}{
		"no data":                          {"", nil, InvalidData, "data: missing"},
		"data null":                        {"null", nil, InvalidData, "data: not a JSON object"},
		"an array":                         {`[{"email":"a@example.com"}]`, nil, InvalidData, "data: not a JSON object"},
		"not JSON":                         {`{"email":"a@example.com"`, nil, InvalidData, "data: not JSON"},
		"more than one value":              {`{"email":"a@example.com"}{}`, nil, InvalidData, "data: not JSON"},
		"Latin-1":                          {"{\"email\":\"jos\xe9@example.com\"}", nil, InvalidData, "data: not UTF-8"},
		"a key twice":                      {`{"email":"a@example.com","email":"b@example.com"}`, nil, InvalidData, "second time"},
		"a key twice, escaped":             {`{"email":"a@example.com","\u0065mail":"b@example.com"}`, nil, InvalidData, "second time"},
		"a key twice, far inside":          {`{"email":"a@example.com","x":[{"a@b":1,"a@b":2}]}`, nil, InvalidData, "second time"},
		"nested too deeply":                {`{"email":"a@example.com","x":` + deep + `}`, nil, InvalidData, "nested"},
		"XML":                              {"<a/>", func(e *event.Event) { e.SetDataContentType("text/xml") }, InvalidData, "datacontenttype"},
		"email missing":                    {`{"employeeId":"E-1"}`, nil, NoEmail, "email: missing, and there is no events.directory"},
		"email blank":                      {`{"email":"  "}`, nil, NoEmail, "email and employeeId: missing"},
		"email in another case":            {`{"Email":"a@example.com"}`, nil, NoEmail, "email and employeeId: missing"},
		"email null":                       {`{"email":null}`, nil, InvalidData, "email: not a string"},
		"email a number":                   {`{"email":7}`, nil, InvalidData, "email: not a string"},
		"email with a name":                {`{"email":"Jane <jane@example.com>"}`, nil, InvalidData, "email: not an email address"},
		"two emails in one":                {`{"email":"a@example.com;b@example.com"}`, nil, InvalidData, "email: not an email address"},
		"email with nothing before the @":  {`{"email":"@example.com"}`, nil, InvalidData, "email: not an email address"},
		"email with nothing after the @":   {`{"email":"jane@"}`, nil, InvalidData, "email: not an email address"},
		"email without @":                  {`{"email":"jane.doe"}`, nil, InvalidData, "email: not an email address"},
		"email with a space":               {`{"email":"jane doe@example.com"}`, nil, InvalidData, "email: not an email address"},
		"email with a zero-width space":    {`{"email":"jane\u200b@example.com"}`, nil, InvalidData, "email: not an email address"},
		"email with half a character":      {`{"email":"jane\ud800@example.com"}`, nil, InvalidData, "email: not an email address"},
		"email too long":                   {`{"email":"` + long[:317] + `@a.b"}`, nil, InvalidData, "email: longer than 320"},
		"otherEmails a string":             {`{"email":"a@example.com","otherEmails":"b@example.com"}`, nil, InvalidData, "otherEmails: not an array"},
		"an otherEmail no email":           {`{"email":"a@example.com","otherEmails":["b@example.com","c"]}`, nil, InvalidData, "otherEmails[1]: not an email"},
		"an otherEmail a number":           {`{"email":"a@example.com","otherEmails":[1]}`, nil, InvalidData, "otherEmails[0]: not a string"},
		"too many otherEmails":             {`{"email":"a@example.com","otherEmails":[` + many + `]}`, nil, InvalidData, "otherEmails: more than 16"},
		"employeeId empty":                 {`{"email":"a@example.com","employeeId":" "}`, nil, InvalidData, "employeeId: empty"},
		"employeeId a number":              {`{"email":"a@example.com","employeeId":1093}`, nil, InvalidData, "employeeId: not a string"},
		"employeeId too long":              {`{"email":"a@example.com","employeeId":"` + long[:129] + `"}`, nil, InvalidData, "employeeId: longer than 128"},
		"employeeId with NUL":              {`{"email":"a@example.com","employeeId":"E\u0000"}`, nil, InvalidData, "employeeId: has a control"},
		"terminationId too long":           {`{"email":"a@example.com","terminationId":"` + long[:129] + `"}`, nil, InvalidData, "terminationId: longer"},
		"department too long":              {`{"email":"a@example.com","department":"` + long[:257] + `"}`, nil, InvalidData, "department: longer than 256"},
		"urgent a string":                  {`{"email":"a@example.com","urgent":"true"}`, nil, InvalidData, "urgent: neither"},
		"effectiveAt a number":             {`{"email":"a@example.com","effectiveAt":1764500400}`, nil, InvalidData, "effectiveAt: not a string"},
		"effectiveAt null":                 {`{"email":"a@example.com","effectiveAt":null}`, nil, InvalidData, "effectiveAt: not a string"},
		"effectiveAt empty":                {`{"email":"a@example.com","effectiveAt":""}`, nil, InvalidTime, "effectiveAt: neither"},
		"effectiveAt an email":             {`{"email":"a@example.com","effectiveAt":"a@example.com"}`, nil, InvalidTime, "effectiveAt: neither"},
		"effectiveAt without an offset":    {`{"email":"a@example.com","effectiveAt":"2026-11-30T17:00:00"}`, nil, InvalidTime, "effectiveAt: neither"},
		"effectiveAt on no such day":       {`{"email":"a@example.com","effectiveAt":"2026-02-29"}`, nil, InvalidTime, "effectiveAt: neither"},
		"effectiveAt with one-digit hours": {`{"email":"a@example.com","effectiveAt":"2026-11-30T7:00:00Z"}`, nil, InvalidTime, "effectiveAt: neither"},
		"effectiveAt before 1970":          {`{"email":"a@example.com","effectiveAt":"1969-12-31T23:59:59Z"}`, nil, InvalidTime, "effectiveAt: its year"},
		"effectiveAt after 9999":           {`{"email":"a@example.com","effectiveAt":"9999-12-31T23:59:59-01:00"}`, nil, InvalidTime, "effectiveAt: its year"},
		"effectiveAt a date":               {`{"email":"a@example.com","effectiveAt":"2026-11-30"}`, nil, NoTimeZone, "effectiveAt: a date"},
		"event time before 1970":           {`{"email":"a@example.com"}`, func(e *event.Event) { e.SetTime(time.Unix(-1, 0)) }, InvalidTime, "time: its year"},
		"subject too long to be an id":     {`{"email":"a@example.com"}`, func(e *event.Event) { e.SetSubject(long[:129]) }, InvalidData, "subject: longer"},
		"nobody but a terminationId":       {`{"terminationId":"T-1"}`, nil, NoEmail, "email and employeeId"},
		"nobody at all":                    {`{}`, func(e *event.Event) { e.SetType(TypeRescinded) }, NoEmail, "email, employeeId and terminationId"},
		"another type":                     {`{"email":"a@example.com"}`, func(e *event.Event) { e.SetType("com.example.hired") }, InvalidEvent, "type"},
		"not a CloudEvent":                 {`{"email":"a@example.com"}`, func(e *event.Event) { *e = event.New(); e.SetType(TypeTerminated) }, InvalidEvent, "id, source: missing"},
		"no event":                         {"", func(e *event.Event) { *e = event.Event{} }, InvalidEvent, "specversion"},
		"id too long":                      {`{"email":"a@example.com"}`, func(e *event.Event) { e.SetID(strings.Repeat("1", 1025)) }, InvalidEvent, "id: longer"},
		"id with NUL":                      {`{"email":"a@example.com"}`, func(e *event.Event) { e.SetID("1\x00") }, InvalidEvent, "id: has a control"},
	} {
		t.Run(name, func(t *testing.T) {
			e := termination(c.data)
			if c.with != nil {
				c.with(&e)
			}
			got, err := newDecoder(t, Config{}).Decode(t.Context(), e, "/events", received)
			var u *UnreadableError
			if !errors.As(err, &u) {
				t.Fatalf("got %+v, %v", got, err)
			}
			if u.Reason != c.reason || !strings.Contains(u.Detail, c.detail) {
				t.Errorf("got %v, want %s: …%s…", u, c.reason, c.detail)
			}
			if strings.Contains(err.Error(), "@") {
				t.Errorf("%v quotes the event", err)
			}
			if c.reason != InvalidEvent && got.Key != (Key{"/events", "/hris", "1"}) {
				t.Errorf("its key is %+v", got.Key)
			}
		})
	}
}

func TestHashIsOfTheContent(t *testing.T) {
	d := newDecoder(t, Config{})
	hash := func(e event.Event, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Decode(t.Context(), e, "/events", received)
		if err != nil {
			t.Fatal(err)
		}
		return got.Hash
	}
	binary := func(subject, data string) event.Event {
		e := termination(data)
		e.SetSubject(subject)
		e.SetDataContentType("application/json")
		return e
	}
	want := hash(binary("E-1", `{"email":"é@example.com","n":1.0,"b":{"y":1,"x":"</"}}`), nil)
	for name, text := range map[string]string{
		"structured":         `{"specversion":"1.0","id":"1","source":"/hris","type":"` + TypeTerminated + `","subject":"E-1","data":{"email":"é@example.com","n":1.0,"b":{"y":1,"x":"</"}}}`,
		"in another order":   `{"data":{"b": {"x":"<\/", "y":1}, "n":1.0, "email":"\u00e9@example.com"},"subject":"E-1 ","id":"1","source":"/hris","type":"` + TypeTerminated + `","specversion":"1.0"}`,
		"stamped anew":       `{"specversion":"1.0","id":"1","source":"/hris","time":"2026-11-20T09:12:44Z","type":"` + TypeTerminated + `","subject":"E-1","data":{"email":"é@example.com","n":1.0,"b":{"y":1,"x":"</"}}}`,
		"in base64":          `{"specversion":"1.0","id":"1","source":"/hris","type":"` + TypeTerminated + `","subject":"E-1","data_base64":"eyJlbWFpbCI6IsOpQGV4YW1wbGUuY29tIiwibiI6MS4wLCJiIjp7InkiOjEsIngiOiI8LyJ9fQ=="}`,
		"of another media":   `{"specversion":"1.0","id":"1","source":"/hris","type":"` + TypeTerminated + `","subject":"E-1","datacontenttype":"application/x+json","data":{"email":"é@example.com","n":1.0,"b":{"y":1,"x":"</"}}}`,
		"as the SDK says it": `{"specversion":"1.0","id":"1","source":"/hris","type":"` + TypeTerminated + `","subject":"E-1","datacontenttype":"application/x+json","data":"{\"email\":\"é@example.com\",\"n\":1.0,\"b\":{\"y\":1,\"x\":\"</\"}}"}`,
	} {
		if got := hash(ParseStructured([]byte(text))); got != want {
			t.Errorf("%s: the hash differs", name)
		}
	}
	other := binary("E-1", `{"email":"é@example.com"}`)
	other.SetType(TypeRehired)
	for name, e := range map[string]event.Event{
		"a number written otherwise": binary("E-1", `{"email":"é@example.com","n":1,"b":{"y":1,"x":"</"}}`),
		"another subject":            binary("E-2", `{"email":"é@example.com","n":1.0,"b":{"y":1,"x":"</"}}`),
		"one field more":             binary("E-1", `{"email":"é@example.com","n":1.0,"b":{"y":1,"x":"</","z":null}}`),
		"another type":               other,
	} {
		if hash(e, nil) == want {
			t.Errorf("%s: the hash is the same", name)
		}
	}
}

// FuzzDecode looks for events that break the decoder or get past its promises.
func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"specversion":"0.3","datacontentencoding":"base64","data":1,"type":"t","source":"/x","id":"1"}`))
	d := newDecoder(f, Config{TimeZone: "America/New_York"})
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseStructured(text)
		if err != nil {
			return
		}
		got, err := d.Decode(t.Context(), e, "/events", received)
		if err != nil {
			var u *UnreadableError
			if !errors.As(err, &u) {
				t.Fatalf("%v is not an UnreadableError", err)
			}
			return
		}
		named := got.Email != "" || got.EmployeeID != "" || got.Kind != Terminated && got.TerminationID != ""
		if got.Email != strings.ToLower(strings.TrimSpace(got.Email)) || !named {
			t.Errorf("%s: email %q, employeeId %q, terminationId %q", got.Kind, got.Email, got.EmployeeID, got.TerminationID)
		}
		if got.EffectiveAt.Year() < 1970 || got.EffectiveAt.Location() != time.UTC || got.OccurredAt.After(received.Add(maxAhead)) {
			t.Errorf("effective %v, occurred %v", got.EffectiveAt, got.OccurredAt)
		}
		again, err := json.Marshal(e) // what becomes of a payload that is replayed
		if err != nil {
			t.Fatal(err)
		}
		second, err := ParseStructured(again)
		if err != nil {
			t.Fatalf("%v: %s", err, again)
		}
		if replayed, err := d.Decode(t.Context(), second, "/events", received); err != nil || replayed.Hash != got.Hash {
			t.Errorf("%v: %s", err, again)
		}
	})
}
