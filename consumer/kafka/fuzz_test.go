package kafka

import (
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"signoff/consumer"
)

// FuzzTake reads any record, and then anew what is kept of it: that comes to
// the same event, or is refused again.
func FuzzTake(f *testing.F) {
	binary := "ce_specversion: 1.0\nce_source: /hr\nce_id: e-1\n" + ours
	f.Add(binary, data)
	f.Add(binary+"\ncontent-type: application/json\nce_time: 2026-11-20T12:00:00Z\nce_subject: E-1\nce_partitionkey: 7", data)
	f.Add(strings.Replace(binary, "1.0", "0.3", 1)+"\nce_schemaurl: /s", data)
	f.Add("ce_id: \xff\nCE_TYPE: \"\\", "\x00")
	f.Add("content-type: application/cloudevents+json; charset=UTF-8", wholeEvent(consumer.TypeTerminated))
	f.Add("", wholeEvent(consumer.TypeTerminated))
	f.Add("content-type: application/cloudevents", wholeEvent(consumer.TypeTerminated))
	f.Add("", `{"specversion":"1.0","type":"`+consumer.TypeTerminated+`","source":"/hr","id":"e-1","data_base64":1}`)
	f.Add("content-type: application/json", `{"left":["a@example.com"]}`)
	d := newTestDecoder(f, nil)
	f.Fuzz(func(t *testing.T, headers, value string) {
		read := newTranslator(&understanding{decoder: d}, consumer.Partition{Topic: testTopic})
		read.received = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
		var got consumer.Content
		record := &protocol.Record{Offset: 1, Headers: h(strings.Split(headers, "\n")...), Value: protocol.NewBytes([]byte(value))}
		if err := read.take(t.Context(), &got, record); err != nil {
			t.Fatal(err)
		}
		if n := len(got.Events) + len(got.Rejects) + got.Ignored; n != 1 {
			t.Fatalf("came to %d things: %+v", n, got)
		}
		for _, payload := range payloads(got) {
			anew, err := read.understand(t.Context(), fromJSON(payload, false), 1)
			if err != nil || len(anew.Events) != len(got.Events) {
				t.Fatalf("%q\nfirst %+v\nanew %+v, %v", payload, got, anew, err)
			}
			for i, e := range anew.Events {
				if e.Key != got.Events[i].Key || e.Hash != got.Events[i].Hash || !e.EffectiveAt.Equal(got.Events[i].EffectiveAt) {
					t.Fatalf("%q\nfirst %+v\nanew %+v", payload, got, anew)
				}
			}
		}
	})
}
