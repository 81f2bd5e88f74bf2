package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go/protocol"

	"signoff/consumer"
	"signoff/consumer/consumertest"
)

// TestMemoryOfOneRecord reads the largest record of each shape, in each mode.
func TestMemoryOfOneRecord(t *testing.T) {
	consumertest.SkipUnderRace(t)
	fill := func(one string) string { return strings.Repeat(one+",", (mostUnpacked-512)/(len(one)+1)) + "0" }
	values := map[string]string{
		"objects": "[" + fill(`{"":0}`) + "]", "numbers": "[" + fill("0") + "]", "huge numbers": "[" + fill("1e999999") + "]",
		"depth": strings.Repeat("[", mostUnpacked-512), "escapes": `"` + strings.Repeat(`\"`, mostUnpacked/2-512) + `"`,
		"angles": `"` + strings.Repeat("<", mostUnpacked-512) + `"`, "no text": strings.Repeat("\xff", mostUnpacked),
		"the same key": "{" + fill(`"type":0`) + `:0}`,
	}
	for name, value := range values {
		for mode, c := range map[string]struct{ headers, value string }{
			"structured": {"content-type: application/cloudevents+json", strings.TrimSuffix(wholeEvent(consumer.TypeTerminated), "}") + `,"x":` + value + "}"},
			"binary":     {"ce_specversion: 1.0\nce_source: /hr\nce_id: e-1\n" + ours, value},
			"plain":      {"", value},
		} {
			read := newTranslator(&understanding{decoder: newTestDecoder(t, nil)}, consumer.Partition{Topic: testTopic})
			record := &protocol.Record{Offset: 1, Headers: h(strings.Split(c.headers, "\n")...), Value: protocol.NewBytes([]byte(c.value))}
			var got consumer.Content
			peak := consumertest.Peak(func() {
				if err := read.take(t.Context(), &got, record); err != nil {
					t.Errorf("%s, %s: %v", name, mode, err)
				}
			})
			if len(got.Rejects) != 1 {
				t.Errorf("%s, %s: %d rejects", name, mode, len(got.Rejects))
			}
			if peak > consumertest.Most {
				t.Errorf("%s, %s: %d MiB", name, mode, peak>>20)
			}
		}
	}
}

// TestMemoryOfManyHeaders: the last of each name counts, however many there are.
func TestMemoryOfManyHeaders(t *testing.T) {
	all := h("ce_specversion: 1.0", "ce_source: /hr", "ce_id: e-1", ours)
	for i := range 50_000 {
		all = append(all, protocol.Header{Key: fmt.Sprintf("ce_x%d", i), Value: []byte("%25")})
	}
	read := newTranslator(&understanding{decoder: newTestDecoder(t, nil)}, consumer.Partition{Topic: testTopic})
	var got consumer.Content
	peak := consumertest.Peak(func() {
		if err := read.take(t.Context(), &got, &protocol.Record{Offset: 1, Headers: all, Value: protocol.NewBytes([]byte(data))}); err != nil {
			t.Error(err)
		}
	})
	if peak > consumertest.Most {
		t.Errorf("%d MiB", peak>>20)
	}
}
