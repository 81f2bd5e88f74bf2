package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kgo"

	"signoff/consumer"
)

// lines is a mapping that makes a termination of each line of the payload, and
// knows some words.
type lines struct{ got []string }

func (l *lines) Name() string { return "lines" }

func (l *lines) Events(_ context.Context, payload []byte, fallback string) (all []event.Event, err error) {
	l.got = append(l.got, string(payload))
	for i, line := range strings.Fields(string(payload)) {
		switch line {
		case "nothing":
			return nil, nil
		case "odd":
			return nil, &consumer.UnreadableError{Reason: consumer.MappingFailed, Detail: "no such key"}
		case "panic":
			panic("odd payload")
		case "later":
			return nil, context.DeadlineExceeded
		}
		e := event.New()
		e.SetType(consumer.TypeTerminated)
		e.SetSource("lines")
		id := fallback
		if i > 0 {
			id = fmt.Sprintf("%s/%d", fallback, i)
		}
		if line != "anonymous" {
			e.SetID(id)
		}
		e.DataEncoded = fmt.Appendf(nil, `{"email":%q,"effectiveAt":"2026-11-20T12:00:00Z"}`, line)
		all = append(all, e)
	}
	return all, nil
}

func newTestDecoder(t testing.TB, directory consumer.Directory) *consumer.Decoder {
	t.Helper()
	d, err := consumer.NewDecoder(consumer.Config{}, directory)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMapped(t *testing.T) {
	binary := func(ceType string) []protocol.Header {
		return h("ce_specversion: 1.0", "ce_source: /hr", "ce_id: e-1", "ce_type: "+ceType)
	}
	label := h("content-type: application/cloudevents+json")
	for name, c := range map[string]struct {
		headers []protocol.Header
		value   string   // "": nil
		given   string   // to the mapping; "": it is not asked
		ids     []string // of the events
		rejects []string // reason and id of each
		ignored int
	}{
		"plain":                                   {value: "a@example.com", given: "a@example.com", ids: []string{"3/42"}},
		"several events":                          {value: "a@example.com b@example.com", given: "a@example.com b@example.com", ids: []string{"3/42", "3/42/1"}},
		"some of them unreadable":                 {value: "x a@example.com y", given: "x a@example.com y", ids: []string{"3/42/1"}, rejects: []string{"invalid_data 3/42", "invalid_data 3/42/2"}},
		"events without a name":                   {value: "anonymous anonymous", given: "anonymous anonymous", rejects: []string{"mapping_failed 3/42", "mapping_failed 3/42/1"}},
		"nothing in it":                           {value: "nothing", given: "nothing", ignored: 1},
		"the mapping fails":                       {value: "odd", given: "odd", rejects: []string{"mapping_failed 3/42"}},
		"the mapping panics":                      {value: "panic", given: "panic", rejects: []string{"mapping_failed 3/42"}},
		"JSON that is no CloudEvent":              {value: `{"type":"dev.signoff.employee.terminated.v1"}`, given: `{"type":"dev.signoff.employee.terminated.v1"}`, rejects: []string{"invalid_data 3/42"}},
		"ours, in binary mode":                    {headers: binary(consumer.TypeTerminated), value: data, ids: []string{"e-1"}},
		"ours, structured":                        {headers: label, value: wholeEvent(consumer.TypeTerminated), ids: []string{"e-1"}},
		"ours, structured, without a label":       {value: wholeEvent(consumer.TypeTerminated), ids: []string{"e-1"}},
		"another's, in binary mode":               {headers: binary("com.example.left"), value: `"nothing "`, given: `{"specversion":"1.0","id":"e-1","source":"/hr","type":"com.example.left","data_base64":"Im5vdGhpbmcgIg=="}`, rejects: []string{"invalid_data 3/42"}},
		"another's, in binary mode, without data": {headers: binary("com.example.left"), given: `{"specversion":"1.0","id":"e-1","source":"/hr","type":"com.example.left"}`, rejects: []string{"invalid_data 3/42"}},
		"another's, structured":                   {headers: label, value: wholeEvent("nothing"), given: wholeEvent("nothing"), rejects: []string{"invalid_data 3/42"}},
		"another's, in binary mode, and broken":   {headers: h("ce_id: e-1", "ce_type: com.example.left"), value: "{}", given: `{"specversion":"","id":"e-1","type":"com.example.left","data":{}}`, rejects: []string{"invalid_data 3/42"}},
		"ours, in binary mode, and broken":        {headers: h("ce_id: e-1", "ce_type: "+consumer.TypeTerminated), value: data, rejects: []string{"invalid_event e-1"}},
		"an event of no type, in binary mode":     {headers: h("ce_specversion: 1.0", "ce_source: /hr", "ce_id: e-1"), value: data, rejects: []string{"invalid_event e-1"}},
		"an event of no type, structured":         {value: `{"specversion":"1.0","id":"e-1"}`, rejects: []string{"invalid_event e-1"}},
		"a tombstone":                             {headers: h("trace: 1"), ignored: 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := &lines{}
			read := newTranslator(&understanding{newTestDecoder(t, nil), map[string]consumer.Mapper{testTopic: m}}, consumer.Partition{Topic: testTopic, ID: 3})
			record := func() *protocol.Record {
				r := &protocol.Record{Offset: 42, Headers: c.headers}
				if c.value != "" {
					r.Value = protocol.NewBytes([]byte(c.value))
				}
				return r
			}
			for range 2 { // a record that comes again comes to the same
				var got consumer.Content
				if err := read.take(t.Context(), &got, record()); err != nil {
					t.Fatal(err)
				}
				checkMapped(t, got, c.ids, c.rejects, c.ignored)
				if strings.Join(m.got, "|") != c.given {
					t.Errorf("the mapping was given %q, want %q", m.got, c.given)
				}
				if m.got = nil; c.value == "" && c.ids == nil {
					continue
				}
				anew, err := read.understand(t.Context(), fromJSON(append(payloads(got), []byte(c.value))[0], false), 42)
				if err != nil {
					t.Fatal(err)
				}
				checkMapped(t, anew, c.ids, c.rejects, c.ignored)
				m.got = nil
			}
		})
	}
}

func checkMapped(t *testing.T, got consumer.Content, ids, rejects []string, ignored int) {
	t.Helper()
	var gotIDs, gotRejects []string
	for _, e := range got.Events {
		gotIDs = append(gotIDs, e.Key.ID)
	}
	for _, r := range got.Rejects {
		gotRejects = append(gotRejects, fmt.Sprintf("%s %s", r.Reason, r.Key.ID))
		if r.Key.Origin != testTopic || r.Position != testTopic+"/3/42" || r.Detail == "" {
			t.Errorf("reject %+v", r)
		}
	}
	if fmt.Sprint(gotIDs) != fmt.Sprint(ids) || fmt.Sprint(gotRejects) != fmt.Sprint(rejects) || got.Ignored != ignored {
		t.Errorf("events %v, rejects %v, %d ignored; want %v, %v, %d", gotIDs, gotRejects, got.Ignored, ids, rejects, ignored)
	}
	for _, payload := range payloads(got) {
		if !bytes.Equal(payload, payloads(got)[0]) {
			t.Errorf("payloads differ: %q and %q", payload, payloads(got)[0])
		}
	}
}

func TestMappingThatHasNoTime(t *testing.T) {
	read := newTranslator(&understanding{newTestDecoder(t, nil), map[string]consumer.Mapper{testTopic: &lines{}}}, consumer.Partition{Topic: testTopic})
	var got consumer.Content
	err := read.take(t.Context(), &got, &protocol.Record{Value: protocol.NewBytes([]byte("later"))})
	if _, ok := errors.AsType[*laterError](err); !ok || len(payloads(got)) > 0 || got.Ignored > 0 {
		t.Errorf("got %+v, %v; want to be asked later", got, err)
	}
}

func TestReadsThroughAMapping(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	for _, value := range []string{"a@example.com b@example.com", "nothing", "odd", wholeEvent(consumer.TypeTerminated)} {
		produce(t, newProducer(t, c), &kgo.Record{Topic: testTopic, Value: []byte(value)})
	}
	produce(t, newProducer(t, c), leaver(0, "a"))
	m := newMemory()
	r := start(t, c, m, setup{mapper: &lines{}})
	awaitEvents(t, m, 4)
	awaitState(t, m, consumer.UpToDate)
	if _, rejects, _ := m.count(); rejects != 1 || r.ignored.Load() != 1 {
		t.Errorf("%d rejects, %d ignored; want 1 each", rejects, r.ignored.Load())
	}
	r.stop()
	again := newMemory()
	start(t, c, again, setup{mapper: &lines{}, from: Earliest})
	awaitEvents(t, again, 4)
	for key := range m.events {
		if _, ok := again.events[key]; !ok {
			t.Errorf("read again, %v is gone", key)
		}
	}
}

func TestReread(t *testing.T) {
	received := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	r := start(t, newCluster(t, 1), newMemory(), setup{mapper: &lines{}, topics: []string{testTopic, "hr.later"}})
	stored := func(topic, payload string) consumer.Reject {
		return consumer.Reject{Key: consumer.Key{Origin: topic}, Position: topic + "/3/42", Payload: []byte(payload), ReceivedAt: received}
	}
	got, err := r.Reread(t.Context(), stored(testTopic, "a@example.com x"))
	if err != nil || len(got.Events) != 1 || !got.Events[0].ReceivedAt.Equal(received) {
		t.Errorf("%+v %v", got, err)
	}
	checkMapped(t, got, []string{"3/42"}, []string{"invalid_data 3/42/1"}, 0)
	got, err = r.Reread(t.Context(), stored("hr.later", "a@example.com"))
	if err != nil || len(got.Rejects) != 1 || got.Rejects[0].Reason != consumer.InvalidEvent || got.Rejects[0].Key.ID != "3/42" {
		t.Errorf("without a mapping: %+v %v", got, err)
	}
	if _, err := r.Reread(t.Context(), stored(testTopic, "later")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with no time: %v", err)
	}
	if _, err := r.Reread(t.Context(), stored("hr.gone", "")); !errors.Is(err, consumer.ErrOrigin) {
		t.Errorf("a topic that is not read: %v", err)
	}
}
