package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"signoff/consumer"
)

// short is an event as the tables write it: type id source time data.
func short(e event.Event) string {
	at := "-"
	if !e.Time().IsZero() {
		at = e.Time().Format(time.RFC3339Nano)
	}
	return strings.TrimPrefix(e.Type(), "dev.signoff.employee.") + " " + e.ID() + " " + e.Source() + " " + at + " " + string(e.Data())
}

func TestEvents(t *testing.T) {
	for name, c := range map[string]struct {
		expression, payload string
		want                []string
	}{
		"nothing": {`[]`, `{}`, nil},
		"everything": {`[{"email": "A@b", "employeeId": "E", "otherEmails": ["c@d"], "effectiveAt": "2026-11-30", "timeZone": "Asia/Tokyo",
			"urgent": true, "terminationId": "T", "managerEmail": "m@b", "givenName": "J", "familyName": "D", "legalEntity": "L",
			"department": "S", "type": "terminated", "id": "1", "source": "/hris", "time": "2026-11-30T10:00:00+01:00"}]`, `{}`,
			[]string{`terminated.v1 1 /hris 2026-11-30T10:00:00+01:00 {"department":"S","effectiveAt":"2026-11-30","email":"A@b","employeeId":"E",` +
				`"familyName":"D","givenName":"J","legalEntity":"L","managerEmail":"m@b","otherEmails":["c@d"],"terminationId":"T","timeZone":"Asia/Tokyo","urgent":true}`}},
		"rescinded":              {`[{"type": "rescinded", "email": "a@b"}]`, `{}`, []string{`termination.rescinded.v1 fb acme - {"email":"a@b"}`}},
		"rehired":                {`[{"type": "rehired", "email": "a@b"}]`, `{}`, []string{`rehired.v1 fb acme - {"email":"a@b"}`}},
		"without an id":          {`[{}, {"id": "7"}, {}]`, `{}`, []string{"terminated.v1 fb acme - {}", "terminated.v1 7 acme - {}", "terminated.v1 fb/2 acme - {}"}},
		"an id that is empty":    {`[{"id": "", "source": "", "type": "", "time": ""}]`, `{}`, []string{"terminated.v1 fb acme - {}"}},
		"nulls and empty texts":  {`[{"email": body.e, "employeeId": body.l[0], "givenName": null, "otherEmails": body.l}]`, `{"e":"","l":[null,"","a@b"]}`, []string{`terminated.v1 fb acme - {"otherEmails":["a@b"]}`}},
		"optionals":              {`[{"email": body.?a.?b, "employeeId": body.?x.?y, "otherEmails": [body.?a.?b, body.?x]}]`, `{"a":{"b":"a@b"},"x":null}`, []string{`terminated.v1 fb acme - {"email":"a@b","otherEmails":["a@b"]}`}},
		"optional entries":       {`[{?"email": body.?a, ?"employeeId": body.?x}]`, `{"a":"a@b"}`, []string{`terminated.v1 fb acme - {"email":"a@b"}`}},
		"a null member":          {`has(body.a) ? [{}] : []`, `{"a":null}`, nil},
		"times":                  {`[{"effectiveAt": timestamp("2026-11-30T10:00:00.5+01:00"), "time": timestamp(body.t)}]`, `{"t":1796108400}`, []string{`terminated.v1 fb acme 2026-12-01T07:00:00Z {"effectiveAt":"2026-11-30T09:00:00.5Z"}`}},
		"an id that is a number": {`[{"employeeId": body.i, "id": body.i, "terminationId": string(body.i)}]`, `{"i":9007199254740993}`, []string{`terminated.v1 9007199254740993 acme - {"employeeId":"9007199254740993","terminationId":"9007199254740993"}`}},
		"one of 64 bits":         {`[{"employeeId": body.i}]`, `{"i":18446744073709551615}`, []string{`terminated.v1 fb acme - {"employeeId":"18446744073709551615"}`}},
		"one of more":            {`[{"employeeId": body.i, "terminationId": string(body.i)}]`, `{"i":123456789012345678901}`, []string{`terminated.v1 fb acme - {"employeeId":"123456789012345678901","terminationId":"123456789012345678901"}`}},
		"numbers compare":        {`[{"urgent": body.i == 1 && body.i == 1.0 && body.f > 1 && body.f == 1.5}]`, `{"i":1,"f":1.5}`, []string{`terminated.v1 fb acme - {"urgent":true}`}},
		"what no field takes":    {`[{"email": body.f, "otherEmails": [[1], {}], "urgent": body.o}]`, `{"f":1.5,"o":{}}`, []string{`terminated.v1 fb acme - {"email":{},"otherEmails":[{},{}],"urgent":{}}`}},
		"members in their order": {`body.map(k, {"email": body[k]})`, `{"c":"3","a":"1","b":"2","d":"4"}`, []string{
			`terminated.v1 fb acme - {"email":"1"}`, `terminated.v1 fb/1 acme - {"email":"2"}`, `terminated.v1 fb/2 acme - {"email":"3"}`, `terminated.v1 fb/3 acme - {"email":"4"}`}},
		"a text as body":      {`body == "ping" ? [] : [{}]`, `"ping"`, nil},
		"an array as body":    {`body.map(e, {"email": e})`, `["a@b"]`, []string{`terminated.v1 fb acme - {"email":"a@b"}`}},
		"null as body":        {`body == null ? [] : [{}]`, `null`, nil},
		"a key of two words":  {"[{\"email\": body.`Work Email`}]", `{"Work Email":"a@b"}`, []string{`terminated.v1 fb acme - {"email":"a@b"}`}},
		"functions":           {`[{"email": body.m.trim().lowerAscii(), "employeeId": body.i.replace("emp-", ""), "givenName": body.n.split(", ")[1], "familyName": body.n.substring(0, 3)}]`, `{"m":" A@B.É ","i":"emp-7","n":"Doé, Jane"}`, []string{`terminated.v1 fb acme - {"email":"a@b.É","employeeId":"7","familyName":"Doé","givenName":"Jane"}`}},
		"the end of a text":   {`[{"email": body.substring(4)}]`, `"abc-é"`, []string{`terminated.v1 fb acme - {"email":"é"}`}},
		"a pattern":           {`body.filter(e, e.matches("^E-[0-9]+$")).map(e, {"employeeId": e})`, `["E-1","X-1"]`, []string{`terminated.v1 fb acme - {"employeeId":"E-1"}`}},
		"a date of a layout":  {`[{"effectiveAt": parseDate(body, "01/02/2006")}]`, `"11/30/2026"`, []string{`terminated.v1 fb acme - {"effectiveAt":"2026-11-30"}`}},
		"a time of a zone":    {`[{"effectiveAt": parseTime(body, "2006-01-02 15:04", "America/New_York")}]`, `"2026-07-01 18:00"`, []string{`terminated.v1 fb acme - {"effectiveAt":"2026-07-01T22:00:00Z"}`}},
		"a time with its own": {`[{"effectiveAt": parseTime(body, "2006-01-02T15:04:05Z0700", "America/New_York")}]`, `"2026-11-30T18:42:00+0100"`, []string{`terminated.v1 fb acme - {"effectiveAt":"2026-11-30T17:42:00Z"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			events, err := mustCompile(t, c.expression).Events(t.Context(), []byte(c.payload), "fb")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range events {
				if err := consumer.Validate(e); err != nil {
					t.Error(err)
				}
				got = append(got, short(e))
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestEventsFails also looks that no error quotes the payload, of which every
// text is or holds the word secret.
func TestEventsFails(t *testing.T) {
	for name, c := range map[string]struct{ expression, payload, want string }{
		"no JSON":                         {`[]`, `{"secret"`, "the payload: not JSON at byte 9"},
		"a key twice":                     {`[]`, `{"secret":1,"x":{"secret":1,"secret":2}}`, "the payload: a key for the second time"},
		"two values":                      {`[]`, `{} {}`, "the payload: not JSON"},
		"nothing":                         {`[]`, ``, "the payload: not JSON"},
		"a member that is missing":        {"[{\n  \"email\": body.x.y}]", `{"x":{}}`, "line 2, column 18: no such key: y"},
		"a member that the payload names": {`[{"email": body[body.k]}]`, `{"k":"secret"}`, "line 1, column 16: no such key"},
		"an item that is missing":         {`[{"email": body.l[3]}]`, `{"l":["secret"]}`, "line 1, column 18: index out of bounds"},
		"another type":                    {`[{"email": body.x + 1}]`, `{"x":"secret"}`, "line 1, column 19: no such overload"},
		"a time that is none":             {`[{"time": timestamp(body.x)}]`, `{"x":"secret"}`, "line 1, column 20: a value that this cannot be done with"},
		"a number that is none":           {`[{"id": string(int(body.x))}]`, `{"x":"secret"}`, "line 1, column 19: a value that this cannot be done with"},
		"an optional that is empty":       {`[{"email": body.?x.value()}]`, `{"y":"secret"}`, "line 1, column 25: optional.none() dereference"},
		"a division by zero":              {`[{"id": string(1 / body.x)}]`, `{"x":0}`, "line 1, column 18: division by zero"},
		"a substring past the end":        {`[{"email": body.x.substring(9)}]`, `{"x":"secret"}`, "line 1, column 28: substring: the text is shorter"},
		"a date of another layout":        {`[{"effectiveAt": parseDate(body.x, "2006")}]`, `{"x":"secret"}`, "parseDate: the text is not as the layout has it"},
		"a time of another layout":        {`[{"effectiveAt": parseTime(body.x, "2006", "UTC")}]`, `{"x":"secret"}`, "parseTime: the text is not as the layout has it"},
		"a zone that is none":             {`[{"effectiveAt": parseTime("2026", "2006", body.x)}]`, `{"x":"secret"}`, "parseTime: not the name of a time zone"},
		"no list":                         {`body.x`, `{"x":"secret"}`, "the result: not a list"},
		"no maps":                         {`body.x`, `{"x":["secret"]}`, "the result: item 0 is not a map"},
		"the payload's own keys":          {`body.x`, `{"x":[{},{"secret":1}]}`, "the result: item 1: a key that no event has"},
		"a key that is made":              {`[dyn({"e" + "mial": "secret"})]`, `{}`, "the result: item 0: a key that no event has"},
		"a key of the expression's":       {`[{body.?x.orValue("emial"): 1}]`, `{}`, `the result: item 0: "emial": no event has this key; there are: email,`},
		"a key that is a number":          {`[{body.x: 1}]`, `{"x":5}`, "the result: item 0: a key that is not text"},
		"another kind of event":           {`[{"type": body.x}]`, `{"x":"secret"}`, "the result: item 0: type: none of"},
		"a type that is no text":          {`[{"type": body.x}]`, `{"x":true}`, "the result: item 0: type: not text"},
		"an id that is a list":            {`[{"id": body.x}]`, `{"x":["secret"]}`, "the result: item 0: id: not text"},
		"a source that is none":           {`[{"source": body.x}]`, `{"x":"secret%zz"}`, "the result: item 0: source: not a URI reference"},
		"a time without a zone":           {`[{"time": body.x}]`, `{"x":"2026-11-30T10:00:00"}`, "the result: item 0: time: not an RFC 3339"},
	} {
		t.Run(name, func(t *testing.T) {
			events, err := mustCompile(t, c.expression).Events(t.Context(), []byte(c.payload), "fb")
			if err == nil {
				t.Fatalf("got %v", events)
			}
			checkReason(t, err, c.want)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v quotes the payload", err)
			}
		})
	}
}

// TestOneUnreadableEventLeavesTheOthers has the decoder refuse what a field does
// not take.
func TestOneUnreadableEventLeavesTheOthers(t *testing.T) {
	m := mustCompile(t, `body.map(e, {"email": e})`)
	payload, err := json.Marshal([]any{"a@example.com", nil, "", 7.5, []int{1}, strings.Repeat("x", 10_000) + "@example.com", "Jane", "b@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	events, err := m.Events(t.Context(), payload, "fb")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		d, err := newDecoder(t).Decode(t.Context(), e, "/hooks", received)
		got = append(got, fmt.Sprint(d.Key.ID, " ", d.Email, " ", err))
	}
	want := []string{
		"fb a@example.com <nil>", "fb/1  no_email: email and employeeId: missing", "fb/2  no_email: email and employeeId: missing",
		"fb/3  invalid_data: email: not a string", "fb/4  invalid_data: email: not a string", "fb/5  invalid_data: email: longer than 320 characters",
		"fb/6  invalid_data: email: not an email address", "fb/7 b@example.com <nil>",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheCallersContextEndsIt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := mustCompile(t, `body.map(e, {"urgent": body.all(x, x == 0)})`)
	_, err := m.Events(ctx, []byte("["+strings.Repeat("0,", 1000)+"0]"), "1")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	m := load(t, "okta")
	payload, err := os.ReadFile("testdata/okta.json")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 20 {
				events, err := m.Events(t.Context(), payload, "1")
				if err != nil || len(events) != 1 {
					t.Errorf("got %v, %v", events, err)
				}
			}
		})
	}
	wait.Wait()
}

// FuzzEvents looks for payloads that a preset takes otherwise than it promises.
func FuzzEvents(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, file := range files {
		payload, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for i, name := range Presets() {
			if strings.HasPrefix(filepath.Base(file), name) {
				f.Add(byte(i), payload)
			}
		}
	}
	var all []*Mapping
	for _, name := range Presets() {
		all = append(all, load(f, name))
	}
	d := newDecoder(f)
	f.Fuzz(func(t *testing.T, which byte, payload []byte) {
		m := all[int(which)%len(all)]
		events, err := m.Events(t.Context(), payload, "fb")
		again, errAgain := m.Events(t.Context(), payload, "fb")
		if fmt.Sprint(events, err) != fmt.Sprint(again, errAgain) {
			t.Errorf("%v, %v and then %v, %v", events, err, again, errAgain)
		}
		var u *consumer.UnreadableError
		if err != nil && (!errors.As(err, &u) || u.Reason != consumer.MappingFailed) {
			t.Fatalf("%v is not mapping_failed", err)
		}
		for _, e := range events {
			if err := consumer.Validate(e); err != nil {
				t.Error(err)
			}
			if _, ok := d.Kind(e.Type()); !ok {
				t.Errorf("its type is %s", e.Type())
			}
			if _, err := d.Decode(t.Context(), e, "/hooks", received); err != nil && !errors.As(err, &u) {
				t.Errorf("%v is not an UnreadableError", err)
			}
		}
	})
}
