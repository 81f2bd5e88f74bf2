package kafka

import (
	"bytes"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"signoff/consumer"
	"signoff/consumer/consumertest"
)

// A batch that unpacks a thousandfold is a reject, and nobody waits behind it.
func TestBatchThatUnpacksToTooMuch(t *testing.T) {
	c := newCluster(t, 1)
	l := newMemory()
	many := func(n int) (all []*kgo.Record) {
		for range n {
			all = append(all, &kgo.Record{Topic: testTopic, Value: []byte("{}"), Headers: other(0, "o").Headers})
		}
		return all
	}
	names := []string{"before"}
	for name, codec := range map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(), "snappy": kgo.SnappyCompression(),
	} {
		cl, err := kgo.NewClient(append(c.options(t), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec),
			kgo.ProducerBatchMaxBytes(4*mostUnpacked))...)
		if err != nil {
			t.Fatal(err)
		}
		produce(t, cl, leaver(0, "before"))
		produce(t, cl, &kgo.Record{Topic: testTopic, Value: bytes.Repeat([]byte(" "), 2*mostUnpacked), Headers: leaver(0, "x").Headers})
		produce(t, cl, leaver(0, name))
		produce(t, cl, many(3)...)
		cl.Close()
		names = append(names, name)
	}
	peak := consumertest.Peak(func() {
		start(t, c, l, setup{from: Earliest})
		eventually(t, "all are read", func() bool { events, rejects, _ := l.count(); return events == len(names) && rejects >= 4 })
	})
	l.see(func() {
		for _, r := range l.rejects {
			if r.Reason != consumer.InvalidEvent || !strings.Contains(r.Detail, "unpacks to more than 8 MiB") || r.Position == "" || r.Key.ID == "" {
				t.Errorf("rejected %+v at %q: %s: %s", r.Key, r.Position, r.Reason, r.Detail)
			}
		}
		if len(l.rejects) != 4 {
			t.Errorf("%d rejects", len(l.rejects))
		}
	})
	if peak > consumertest.Most {
		t.Errorf("took %d MiB", peak>>20)
	}
	t.Logf("peak %d MiB", peak>>20)
}
