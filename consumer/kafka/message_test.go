package kafka

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"signoff/consumer"
)

// h makes headers of "key: value" lines.
func h(lines ...string) (all []protocol.Header) {
	for _, l := range lines {
		k, v, _ := strings.Cut(l, ": ")
		all = append(all, protocol.Header{Key: k, Value: []byte(v)})
	}
	return all
}

const (
	ours = "ce_type: " + consumer.TypeTerminated
	data = `{"email":"Ada@Example.com","effectiveAt":"2026-11-20T12:00:00Z"}`
)

func wholeEvent(ceType string) string {
	return fmt.Sprintf(`{"specversion":"1.0","type":%q,"source":"/hr","id":"e-1","data":%s}`, ceType, data)
}

func TestTake(t *testing.T) {
	good := consumer.Key{Origin: testTopic, Source: "/hr", ID: "e-1"}
	unread := consumer.Key{Origin: testTopic, ID: "3/42"}
	attributes := []string{"ce_specversion: 1.0", "ce_source: /hr", "ce_id: e-1"}
	with := func(more ...string) []protocol.Header { return h(append(attributes[:3:3], more...)...) }
	for name, c := range map[string]struct {
		headers []protocol.Header
		value   string // "": nil
		event   bool
		ignored bool
		reason  consumer.Reason
		key     consumer.Key
	}{
		"binary":                             {headers: with(ours, "content-type: application/json"), value: data, event: true, key: good},
		"binary without a content-type":      {headers: with(ours), value: data, event: true, key: good},
		"binary in odd case":                 {headers: h("CE_SpecVersion: 1.0", "Ce_Source: /hr", "cE_id: e-1", "CE_TYPE: "+consumer.TypeTerminated, "Content-Type: application/json"), value: data, event: true, key: good},
		"binary with an extension":           {headers: with(ours, "ce_partitionkey: 7", "traceparent: 00-1"), value: data, event: true, key: good},
		"binary of version 0.3":              {headers: h("ce_specversion: 0.3", "ce_source: /hr", "ce_id: e-1", ours), value: data, event: true, key: good},
		"of two headers the last counts":     {headers: with("ce_type: com.example.other", ours, "ce_id: e-2"), value: data, event: true, key: consumer.Key{Origin: testTopic, Source: "/hr", ID: "e-2"}},
		"the last type is not ours":          {headers: with(ours, "ce_type: com.example.other"), value: data, ignored: true},
		"not ours, and broken besides":       {headers: h("ce_type: com.example.other"), value: "{", ignored: true},
		"structured":                         {headers: h("content-type: application/cloudevents+json"), value: wholeEvent(consumer.TypeTerminated), event: true, key: good},
		"structured with a charset":          {headers: h("content-type: application/cloudevents+json; charset=UTF-8"), value: wholeEvent(consumer.TypeTerminated), event: true, key: good},
		"structured in odd case":             {headers: h("Content-Type: Application/CloudEvents+JSON"), value: wholeEvent(consumer.TypeTerminated), event: true, key: good},
		"structured goes before ce_ type":    {headers: h("content-type: application/cloudevents+json", "ce_type: com.example.other"), value: wholeEvent(consumer.TypeTerminated), event: true, key: good},
		"structured, not ours":               {headers: h("content-type: application/cloudevents+json"), value: wholeEvent("com.example.other"), ignored: true},
		"structured, but not JSON":           {headers: h("content-type: application/cloudevents+json"), value: "<event/>", reason: consumer.InvalidEvent, key: unread},
		"structured, cut off":                {headers: h("content-type: application/cloudevents+json"), value: wholeEvent(consumer.TypeTerminated)[:70], reason: consumer.InvalidEvent, key: unread},
		"tombstone of structured events":     {headers: h("content-type: application/cloudevents+json"), ignored: true},
		"structured, type given twice":       {headers: h("content-type: application/cloudevents+json"), value: `{"specversion":"1.0","type":"` + consumer.TypeTerminated + `","source":"/hr","id":"e-1","type":"com.example.other"}`, reason: consumer.InvalidEvent, key: good},
		"structured, type is a number":       {headers: h("content-type: application/cloudevents+json"), value: `{"specversion":"1.0","type":1,"source":"/hr","id":"e-1"}`, reason: consumer.InvalidEvent, key: good},
		"a payload that the SDK panics on":   {headers: h("content-type: application/cloudevents+json"), value: `{"specversion":"1.0","data_base64":1,"type":"` + consumer.TypeTerminated + `","source":"/hr","id":"e-1"}`, reason: consumer.InvalidEvent, key: good},
		"structured, without a label":        {value: wholeEvent(consumer.TypeTerminated), event: true, key: good},
		"structured, said to be plain JSON":  {headers: h("content-type: application/json", "traceparent: 00-1"), value: " " + wholeEvent(consumer.TypeTerminated), event: true, key: good},
		"no label, not ours":                 {value: wholeEvent("com.example.other"), ignored: true},
		"no label, no type":                  {value: `{"id":"e-1","source":"/hr","specversion":"1.0"}`, reason: consumer.InvalidEvent, key: good},
		"no label, cut off":                  {value: wholeEvent(consumer.TypeTerminated)[:95], reason: consumer.InvalidEvent, key: good},
		"no label, and more behind it":       {value: wholeEvent(consumer.TypeTerminated) + "{}", reason: consumer.InvalidEvent, key: good},
		"no label, a version that is none":   {value: strings.Replace(wholeEvent(consumer.TypeTerminated), `"1.0"`, `null`, 1), reason: consumer.InvalidEvent, key: good},
		"an id that is not an event's":       {value: `{"type":"` + consumer.TypeTerminated + `","id":"e-1","source":"/hr"}`, reason: consumer.InvalidEvent, key: unread},
		"a batch":                            {headers: h("content-type: application/cloudevents-batch+json"), value: "[" + wholeEvent(consumer.TypeTerminated) + "]", reason: consumer.InvalidEvent, key: unread},
		"a CloudEvents format we don't have": {headers: h("content-type: application/cloudevents+avro"), value: "xyz", reason: consumer.InvalidEvent, key: unread},
		"JSON under another format's label":  {headers: h("content-type: application/cloudevents"), value: wholeEvent(consumer.TypeTerminated), event: true, key: good},
		"tombstone of our type":              {headers: with(ours), reason: consumer.InvalidData, key: good},
		"tombstone without headers":          {ignored: true},
		"tombstone with a trace only":        {headers: h("traceparent: 00-1"), ignored: true},
		"no headers":                         {value: data, reason: consumer.InvalidEvent, key: unread},
		"plain JSON":                         {headers: h("content-type: application/json"), value: data, reason: consumer.InvalidEvent, key: unread},
		"no type":                            {headers: with(), value: data, reason: consumer.InvalidEvent, key: good},
		"an empty type":                      {headers: with("ce_type: "), value: data, reason: consumer.InvalidEvent, key: good},
		"no specversion":                     {headers: h("ce_source: /hr", "ce_id: e-1", ours), value: data, reason: consumer.InvalidEvent, key: good},
		"no id":                              {headers: h("ce_specversion: 1.0", "ce_source: /hr", ours), value: data, reason: consumer.InvalidEvent, key: consumer.Key{Origin: testTopic, Source: "/hr", ID: "3/42"}},
		"a time that is none":                {headers: with(ours, "ce_time: yesterday"), value: data, reason: consumer.InvalidEvent, key: good},
		"an extension that has no such name": {headers: with(ours, "ce_bad-name: x"), value: data, reason: consumer.InvalidEvent, key: good},
		"an attribute that is not UTF-8":     {headers: with(ours, "ce_subject: \xff"), value: data, reason: consumer.InvalidEvent, key: good},
		"an attribute called data":           {headers: with(ours, "ce_data: x"), value: data, reason: consumer.InvalidEvent, key: good},
		"an attribute with odd characters":   {headers: with(ours, "ce_subject: \"\\\u2028", "ce_partitionkey: ü"), value: data, event: true, key: good},
		"data as JSON in JSON":               {headers: with(ours, "content-type: application/vnd.hr+json"), value: `"{\"email\":\"ada@example.com\"}"`, reason: consumer.InvalidData, key: good},
		"data is not UTF-8":                  {headers: with(ours), value: "{\"email\":\"\xff\"}", reason: consumer.InvalidData, key: good},
		"data is not JSON":                   {headers: with(ours, "content-type: application/json"), value: "ada@example.com", reason: consumer.InvalidData, key: good},
		"no email":                           {headers: with(ours), value: "{}", reason: consumer.NoEmail, key: good},
	} {
		t.Run(name, func(t *testing.T) {
			read := newTranslator(&understanding{decoder: newTestDecoder(t, nil)}, consumer.Partition{Topic: testTopic, ID: 3})
			read.received = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
			record := &protocol.Record{Offset: 42, Headers: c.headers}
			if c.value != "" {
				record.Value = protocol.NewBytes([]byte(c.value))
			}
			var b consumer.Content
			if err := read.take(t.Context(), &b, record); err != nil {
				t.Fatal(err)
			}
			check := func(b consumer.Content, payload string) {
				t.Helper()
				switch {
				case c.event:
					if len(b.Events) != 1 || b.Events[0].Key != c.key || b.Events[0].Email != "ada@example.com" ||
						b.Events[0].Position != testTopic+"/3/42" || string(b.Events[0].Payload) != payload {
						t.Fatalf("got %+v, want the event %v", b, c.key)
					}
				case c.ignored:
					if b.Ignored != 1 || len(b.Events)+len(b.Rejects) > 0 {
						t.Fatalf("got %+v, want it ignored", b)
					}
				default:
					if len(b.Rejects) != 1 || len(b.Events) > 0 || b.Ignored > 0 {
						t.Fatalf("got %+v, want a reject", b)
					}
					r := b.Rejects[0]
					if r.Reason != c.reason || r.Key != c.key || r.Position != testTopic+"/3/42" || string(r.Payload) != payload || !r.ReceivedAt.Equal(read.received) {
						t.Fatalf("got %+v, want reason %s and key %v", r, c.reason, c.key)
					}
					if r.Detail == "" || strings.Contains(strings.ToLower(r.Detail), "ada@") || strings.Contains(r.Detail, "bad-name") {
						t.Errorf("detail is %q", r.Detail)
					}
				}
			}
			payload := c.value
			if h := readHeaders(c.headers); h.ce && !h.structured() && !c.ignored {
				payload = string(slices.Concat(payloads(b)...)) // in the JSON format, by which it is read anew
				if payload == c.value {
					t.Error("the attributes are not kept")
				}
			}
			check(b, payload)
			if c.ignored {
				return
			}
			anew, err := read.understand(t.Context(), fromJSON([]byte(payload), false), 42)
			if err != nil {
				t.Fatal(err)
			}
			check(anew, payload)
			if c.event && anew.Events[0].Hash != b.Events[0].Hash {
				t.Error("read anew, it is another event")
			}
		})
	}
}

func payloads(c consumer.Content) (all [][]byte) {
	for _, e := range c.Events {
		all = append(all, e.Payload)
	}
	for _, r := range c.Rejects {
		all = append(all, r.Payload)
	}
	return all
}

func TestIgnoringAllocatesNothing(t *testing.T) {
	d, err := consumer.NewDecoder(consumer.Config{Expected: []string{"/payroll"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	read := newTranslator(&understanding{decoder: d}, consumer.Partition{Topic: testTopic})
	for _, source := range []string{"/crm", "/payroll"} {
		record := &protocol.Record{Headers: h("ce_specversion: 1.0", "ce_id: 1", "ce_source: "+source, "ce_type: com.example.other"), Value: protocol.NewBytes([]byte(data))}
		var b consumer.Content
		if n := testing.AllocsPerRun(100, func() { _ = read.take(t.Context(), &b, record) }); n > 0 {
			t.Errorf("%v allocations for a record that is ignored", n)
		}
		if heard := slices.Contains(b.Heard, source); b.Ignored == 0 || len(b.Heard) > 1 || heard != (source == "/payroll") {
			t.Errorf("%d ignored, %q heard", b.Ignored, b.Heard)
		}
	}
}

func TestTypesRememberedAreBounded(t *testing.T) {
	read := newTranslator(&understanding{decoder: newTestDecoder(t, nil)}, consumer.Partition{Topic: testTopic})
	for i := range 5 * mostTypes {
		if read.ours(fmt.Append(nil, i)) || !read.ours([]byte(consumer.TypeTerminated)) {
			t.Fatal("wrong about whose a type is")
		}
	}
	if len(read.types) > mostTypes {
		t.Errorf("remembers %d types", len(read.types))
	}
}
