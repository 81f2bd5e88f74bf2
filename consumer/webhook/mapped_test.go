package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"signoff/consumer"
)

// leavers is a mapping of {"leavers": [data, …]}, and of a CloudEvent with such
// data, to a termination for each, and of anything else to nothing.
type leavers struct {
	t testing.TB
}

func (leavers) Name() string { return "acme" }

func (m leavers) Events(ctx context.Context, payload []byte, fallback string) ([]event.Event, error) {
	if _, ok := ctx.Deadline(); !ok {
		m.t.Error("a mapping may take for ever")
	}
	var body struct {
		Leavers []json.RawMessage
		Panic   bool
		Fail    bool
		NoEvent bool
		Data    json.RawMessage
	}
	if err := json.Unmarshal(payload, &body); err != nil && !json.Valid(payload) {
		m.t.Errorf("asked for what is not JSON: %s", payload)
	}
	if body.Data != nil {
		_ = json.Unmarshal(body.Data, &body) // or it is no object
	}
	switch {
	case body.Panic:
		panic(string(payload))
	case body.Fail:
		return nil, &consumer.UnreadableError{Reason: consumer.MappingFailed, Detail: "line 1"}
	}
	var events []event.Event
	for i, data := range body.Leavers {
		e := event.New()
		e.SetID(fallback + strings.Repeat("'", i))
		e.SetSource("acme")
		e.SetType(consumer.TypeTerminated)
		if body.NoEvent {
			e.SetSource("")
		}
		if err := e.SetData(event.ApplicationJSON, data); err != nil {
			m.t.Error(err)
		}
		events = append(events, e)
	}
	return events, nil
}

// newMapped is a fixture with the endpoint /mapped besides.
func newMapped(t testing.TB) fixture {
	t.Helper()
	f := newFixture(t)
	f.add(t, Endpoint{Path: "/mapped", Auth: Auth{None: true}}).mapped = true
	f.reads.Load().mappers["/mapped"] = leavers{t}
	f.endpoints["/mapped"].success = Endpoint{Mapping: "acme"}.success()
	return f
}

func TestMapped(t *testing.T) {
	const ours, other = `"type":"` + consumer.TypeTerminated + `"`, `"type":"com.acme.left.raw"`
	ce := func(kind, rest string) string {
		return `{"specversion":"1.0","id":"1","source":"/hris",` + kind + `,` + rest + `}`
	}
	binary := func(kind, body string) *http.Request {
		r := post("/mapped", "application/json", body)
		for name, value := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/hris", "Ce-Type": kind} {
			r.Header.Set(name, value)
		}
		return r
	}
	raw := func(body string) *http.Request { return post("/mapped", "application/json", body) }
	for name, c := range map[string]struct {
		request *http.Request
		emails  string
		rejects string // reasons
		ignored int64
	}{
		"one":                      {raw(`{"leavers":[` + jane + `]}`), "jane", "", 0},
		"two":                      {raw(`{"leavers":[` + jane + `,{"email":"sam@example.com"}]}`), "jane sam", "", 0},
		"nobody":                   {raw(`{"leavers":[]}`), "", "", 1},
		"one without email":        {raw(`{"leavers":[{},` + jane + `,{}]}`), "jane", "no_email no_email", 0},
		"of no content type":       {post("/mapped", "", `{"leavers":[`+jane+`]}`), "jane", "", 0},
		"as text":                  {post("/mapped", "text/plain; charset=utf-8", `{"leavers":[`+jane+`]}`), "jane", "", 0},
		"of a broken content type": {post("/mapped", "application/json; ;=", `{"leavers":[`+jane+`]}`), "jane", "", 0},
		"behind a byte order mark": {raw("\ufeff {\"leavers\":[" + jane + "]}\n"), "jane", "", 0},
		"an array":                 {raw(`[` + jane + `]`), "", "", 1},

		"a ping":                      {raw("Ping test"), "", "", 1},
		"a ping in quotes":            {raw(`"Ping test"`), "", "", 1},
		"a ping as an object":         {raw(`{"text":"Ping test"}`), "", "", 1},
		"nothing":                     {raw(""), "", "", 1},
		"a number":                    {raw("1"), "", "", 1},
		"an object cut short":         {raw(`{"leavers":[` + jane), "", "invalid_data", 0},
		"an array cut short":          {raw(`  [1,`), "", "invalid_data", 0},
		"two objects":                 {raw(`{}{}`), "", "invalid_data", 0},
		"Latin-1":                     {raw("{\"name\":\"jos\xe9\"}"), "", "invalid_data", 0},
		"UTF-16":                      {raw("\xff\xfe{\x00}\x00"), "", "invalid_data", 0},
		"NUL bytes":                   {raw("\x00\x00"), "", "invalid_data", 0},
		"the mapping fails":           {raw(`{"fail":true}`), "", "mapping_failed", 0},
		"the mapping panics":          {raw(`{"panic":true}`), "", "mapping_failed", 0},
		"the mapping makes no events": {raw(`{"noEvent":true,"leavers":[` + jane + `,` + jane + `]}`), "", "mapping_failed mapping_failed", 0},

		"a CloudEvent of ours, structured":     {post("/mapped", ceJSON, ce(ours, `"data":`+jane)), "jane", "", 0},
		"a CloudEvent of ours, binary":         {binary(consumer.TypeTerminated, jane), "jane", "", 0},
		"a CloudEvent of ours, as plain JSON":  {raw(ce(ours, `"data":`+jane)), "jane", "", 0},
		"a CloudEvent of ours, not understood": {raw(ce(ours, `"data":{}`)), "", "no_email", 0},
		"another CloudEvent, structured":       {post("/mapped", ceJSON, ce(other, `"data":{"leavers":[`+jane+`]}`)), "jane", "", 0},
		"another CloudEvent, nobody in it":     {post("/mapped", ceJSON, ce(other, `"data":{}`)), "", "", 1},
		"another CloudEvent, binary":           {binary("com.acme.left.raw", `{"leavers":[`+jane+`]}`), "jane", "", 0},
		"what only looks like a CloudEvent":    {raw(`{"specversion":"1.0",` + ours + `,"leavers":[` + jane + `]}`), "jane", "", 0},
		"a batch":                              {post("/mapped", ceBatch, "["+ce(ours, `"data":`+jane)+","+ce(other, `"data":1`)+"]"), "jane", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newMapped(t)
			if w := f.send(c.request); w.Code != http.StatusOK || w.Body.Len() > 0 {
				t.Fatalf("answered %d %s", w.Code, w.Body)
			}
			events, rejects := f.rec.events()
			var emails, reasons []string
			for _, e := range events {
				emails = append(emails, strings.TrimSuffix(e.Email, "@example.com"))
			}
			keys := make(map[consumer.Key]bool)
			for _, r := range rejects {
				reasons = append(reasons, string(r.Reason))
				keys[r.Key] = true
				if r.Key.Origin != "/mapped" || r.Key.ID == "" || r.ReceivedAt.IsZero() || r.Detail == "" {
					t.Errorf("rejected %+v", r)
				}
			}
			if got := strings.Join(emails, " "); got != c.emails || strings.Join(reasons, " ") != c.rejects || f.ignored.Load() != c.ignored {
				t.Errorf("recorded %q, rejects %q, ignored %d", got, reasons, f.ignored.Load())
			}
			if len(keys) != len(rejects) {
				t.Errorf("%d rejects share %d keys", len(rejects), len(keys))
			}
		})
	}
}

func TestMappedRefuses(t *testing.T) {
	const jwt = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"
	for name, c := range map[string]struct {
		request *http.Request
		status  int
	}{
		"a form":                      {post("/mapped", "application/x-www-form-urlencoded", "event_name=employee.deleted"), 415},
		"a form with files":           {post("/mapped", "Multipart/Form-Data; boundary=x", "--x--"), 415},
		"XML":                         {post("/mapped", "text/xml; charset=utf-8", "<soap:Envelope/>"), 415},
		"SOAP":                        {post("/mapped", "application/soap+xml", "<soap:Envelope/>"), 415},
		"a signed token":              {post("/mapped", "application/secevent+jwt", jwt), 415},
		"CloudEvents in XML":          {post("/mapped", "application/cloudevents+xml", "<event/>"), 415},
		"a structured event of none":  {post("/mapped", ceJSON, `{"leavers":[]}`), 400},
		"a batch with one of none":    {post("/mapped", ceBatch, `[{}]`), 400},
		"one body more than there is": {post("/mapped", "", strings.Repeat(" ", maxBody+1)), 413},
	} {
		t.Run(name, func(t *testing.T) {
			f := newMapped(t)
			if w := f.send(c.request); w.Code != c.status {
				t.Errorf("answered %d %s", w.Code, w.Body)
			}
			if len(f.rec.intakes) > 0 || f.ignored.Load() > 0 {
				t.Errorf("recorded %+v, ignored %d", f.rec.intakes, f.ignored.Load())
			}
		})
	}
	r := post("/mapped", "application/json", "{}")
	r.Header.Set("Content-Encoding", "gzip")
	if w := newMapped(t).send(r); w.Code != 415 {
		t.Errorf("gzip is answered %d", w.Code)
	}
}

// directory answers with err, or with jane's email.
type directory struct{ err error }

func (d directory) Find(ctx context.Context, id string) (consumer.Person, error) {
	if id == "panic" {
		panic(id)
	}
	if err := ctx.Err(); err != nil {
		return consumer.Person{}, err
	}
	return consumer.Person{Email: "jane@example.com"}, d.err
}

// knowing has the events of f looked up in d.
func (f fixture) knowing(t *testing.T, d directory) fixture {
	t.Helper()
	decoder, err := consumer.NewDecoder(consumer.Config{}, d)
	if err != nil {
		t.Fatal(err)
	}
	f.reads.Load().decoder = decoder
	return f
}

// A vendor waits three seconds, and a directory may take longer with many leavers:
// what it sends again is then on record.
func TestRecordsWhatTheSenderDidNotWaitFor(t *testing.T) {
	f := newMapped(t).knowing(t, directory{})
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	f.send(post("/mapped", "application/json", `{"leavers":[{"employeeId":"E-1"}]}`).WithContext(gone))
	if events, _ := f.rec.events(); len(events) != 1 {
		t.Errorf("recorded %+v", events)
	}
}

func TestDirectoryDecidesTheAnswer(t *testing.T) {
	const thin = `{"employeeId":"E-1"}`
	for name, c := range map[string]struct {
		err     error
		status  int
		events  int
		rejects int
	}{
		"found":  {nil, 200, 2, 0},
		"nobody": {consumer.ErrNoPerson, 200, 1, 1},
		"away":   {errors.New("no route to host"), 503, 0, 0},
	} {
		for how, body := range map[string]string{"mapped": `{"leavers":[` + jane + `,` + thin + `]}`, "a batch": "[" + leaver("1", jane) + "," + leaver("2", thin) + "]"} {
			t.Run(name+", "+how, func(t *testing.T) {
				f := newMapped(t).knowing(t, directory{c.err})
				r := post("/mapped", "application/json", body)
				if how == "a batch" {
					r.Header.Set("Content-Type", ceBatch)
				}
				w := f.send(r)
				if w.Code != c.status || (w.Header().Get("Retry-After") != "") != (c.status == 503) {
					t.Errorf("answered %d %v %s", w.Code, w.Header(), w.Body)
				}
				events, rejects := f.rec.events()
				if len(events) != c.events || len(rejects) != c.rejects || f.ignored.Load() != 0 {
					t.Errorf("recorded %d events, %d rejects", len(events), len(rejects))
				}
			})
		}
	}
}

func TestWhatBreaksTheDecoderIsKept(t *testing.T) {
	for path, body := range map[string]string{"/mapped": `{"leavers":[{"employeeId":"panic"},` + jane + `]}`, "/open": leaver("1", `{"employeeId":"panic"}`)} {
		f := newMapped(t).knowing(t, directory{})
		r := post(path, ceJSON, body)
		if path == "/mapped" {
			r.Header.Set("Content-Type", "application/json")
		}
		if w := f.send(r); w.Code >= 300 {
			t.Fatalf("%s: answered %d %s", path, w.Code, w.Body)
		}
		if _, rejects := f.rec.events(); len(rejects) != 1 || rejects[0].Reason != consumer.InvalidData || string(rejects[0].Payload) != body || rejects[0].Key.ID == "" {
			t.Errorf("%s: rejected %+v", path, rejects)
		}
	}
}

// What is kept of a reject must come out of a replay as out of the delivery.
func TestReread(t *testing.T) {
	for name, request := range map[string]*http.Request{
		"mapped":                  post("/mapped", "application/json", `{"leavers":[{},{"effectiveAt":"never","email":"jane@example.com"}]}`),
		"mapped, of another type": post("/mapped", ceJSON, `{"specversion":"1.0","id":"1","source":"/hris","type":"t","fail":true}`),
		"mapped, broken":          post("/mapped", "application/json", `{"leavers":[`),
		"mapped, no events":       post("/mapped", "application/json", `{"noEvent":true,"leavers":[{},{}]}`),
		"mapped, ours":            post("/mapped", "application/json", leaver("1", "{}")),
		"a CloudEvent":            post("/open", ceJSON, leaver("1", "{}")),
		"a batch":                 post("/open", ceBatch, "["+leaver("1", "{}")+","+leaver("2", `{"email":1}`)+"]"),
	} {
		t.Run(name, func(t *testing.T) {
			f := newMapped(t)
			if w := f.send(request); w.Code >= 300 {
				t.Fatalf("answered %d %s", w.Code, w.Body)
			}
			_, rejects := f.rec.events()
			if len(rejects) == 0 {
				t.Fatal("no reject to replay")
			}
			for _, r := range rejects {
				in, err := f.Reread(deadline(t), r)
				if err != nil || in.Ignored != 0 || len(in.Events) != 0 {
					t.Fatalf("%+v, %v", in, err)
				}
				found := slices.IndexFunc(in.Rejects, func(n consumer.Reject) bool { return n.Key == r.Key })
				if found < 0 || in.Rejects[found].Reason != r.Reason || in.Rejects[found].Detail != r.Detail {
					t.Errorf("%+v has become %+v", r, in.Rejects)
				}
			}
			if len(f.rec.intakes) != 1 {
				t.Error("it was recorded")
			}
		})
	}
}

// deadline is a context such as a replay has.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

// stored is a reject, as far as it is read anew.
func stored(path, payload string, received time.Time) consumer.Reject {
	return consumer.Reject{Key: consumer.Key{Origin: path}, Payload: []byte(payload), ReceivedAt: received}
}

func TestRereadOnceItIsMended(t *testing.T) {
	f := newMapped(t).knowing(t, directory{})
	now := time.Now().UTC()
	for name, c := range map[string]struct {
		path, payload string
		events        int
		rejects       int
		ignored       int
	}{
		"mapped":                         {"/mapped", `{"leavers":[{"employeeId":"E-1"}]}`, 1, 0, 0},
		"mapped to nothing now":          {"/mapped", `{"leavers":[]}`, 0, 0, 1},
		"a CloudEvent":                   {"/open", leaver("1", `{"employeeId":"E-1"}`), 1, 0, 0},
		"of a type no longer ours":       {"/open", `{"specversion":"1.0","id":"3","source":"/hris","type":"t"}`, 0, 0, 1},
		"of an endpoint once mapped":     {"/open", `{"leavers":[]}`, 0, 1, 0},
		"of which only the head is kept": {"/open", leaver("1", jane)[:20], 0, 1, 0},
	} {
		in, err := f.Reread(deadline(t), stored(c.path, c.payload, now))
		if err != nil || len(in.Events) != c.events || len(in.Rejects) != c.rejects || in.Ignored != c.ignored {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
		for _, e := range in.Events {
			if !e.ReceivedAt.Equal(now) || e.Key.Origin != c.path || string(e.Payload) != c.payload {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
	if _, err := f.Reread(t.Context(), stored("/gone", "", now)); !errors.Is(err, consumer.ErrOrigin) {
		t.Errorf("of an endpoint that is gone: %v", err)
	}
	away := newMapped(t).knowing(t, directory{errors.New("no route to host")})
	if in, err := away.Reread(deadline(t), stored("/mapped", `{"leavers":[`+jane+`,{"employeeId":"E-1"}]}`, now)); err == nil || errors.Is(err, consumer.ErrOrigin) || len(in.Events) > 0 {
		t.Errorf("with the directory away: %+v, %v", in, err)
	}
}

func TestSuccessByDefault(t *testing.T) {
	for _, c := range []struct {
		e    Endpoint
		want int
	}{{Endpoint{}, 202}, {Endpoint{Mapping: "hibob"}, 200}, {Endpoint{Mapping: "hibob", Success: 204}, 204}} {
		if got := c.e.success(); got != c.want {
			t.Errorf("%+v: %d", c.e, got)
		}
	}
}
