package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"signoff/consumer"
)

// firstLeft is the offset of the first record of testTopic that is left, but for
// the one at 0.
func firstLeft(t *testing.T, c *cluster) int64 {
	t.Helper()
	cl := newProducer(t, c, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{testTopic: {0: kgo.NewOffset().At(1)}}))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	records := cl.PollRecords(ctx, 1).Records()
	if len(records) == 0 {
		return -1
	}
	return records[0].Offset
}

// In a compacted topic, offsets and whole batches are gone. None of that counts
// as lost, and what is left is read, from wherever the ledger had come to.
func TestCompactedTopic(t *testing.T) {
	parallel(t)
	c := newCluster(t, 0)
	c.createTopic(t, testTopic, 1, "cleanup.policy=compact", "segment.ms=1000", "min.cleanable.dirty.ratio=0.001", "delete.retention.ms=0")
	write := func(generation int, records ...*kgo.Record) {
		for i, r := range records {
			r.Key = fmt.Append(nil, i+len(records))                                // as often as there are as many
			r.Timestamp = time.Now().Add(time.Duration(generation-10) * time.Hour) // each in a segment of its own
		}
		// A producer each: its last batch stays, without records.
		produce(t, newProducer(t, c), records...)
	}
	write(1, leavers(0, "stays", 1)...)   // 0: kfake takes the first record that is left for the start of the log
	write(2, leavers(0, "first", 10)...)  // 1 to 10
	write(3, leavers(0, "second", 10)...) // 11 to 20
	tombstones := leavers(0, "third", 10) // 21 to 30
	for _, r := range tombstones[:3] {
		r.Value, r.Headers = nil, nil
	}
	tombstones[3].Value = nil // by its headers, still somebody who leaves
	write(4, tombstones...)
	write(5, others(0, 2)...) // 31 and 32, in the segment that is not compacted
	if c.fake != nil {
		c.fake.Compact()
	}
	eventually(t, "the topic is compacted", func() bool { return firstLeft(t, c) >= 21 })

	for _, mark := range []int64{-1, 1, 4, 10, 11, 14, 20, 21} {
		t.Run(fmt.Sprint("from ", mark), func(t *testing.T) {
			m := newMemory()
			if mark >= 0 {
				m.marks[consumer.Partition{Topic: testTopic}] = mark
			}
			r := start(t, c, m, setup{from: Earliest})
			awaitState(t, m, consumer.UpToDate)
			eventually(t, "read to the end", func() bool { return m.mark(testTopic, 0) == 33 })
			events := 6
			if mark < 0 {
				events++ // the one that stays
			}
			awaitEvents(t, m, events)
			m.see(func() {
				for key := range m.events {
					if strings.HasPrefix(key.ID, "first") || strings.HasPrefix(key.ID, "second") {
						t.Errorf("%s is read, which is gone", key.ID)
					}
				}
				for _, reject := range m.rejects { // at most one: the second pass removes tombstones
					if reject.Key.ID != "third-0-3" || reject.Reason != consumer.InvalidData {
						t.Errorf("reject %+v", reject)
					}
				}
			})
			if lost, behind := r.gauge(t, "signoff_kafka_lost_offsets_total", testTopic), r.gauge(t, "signoff_kafka_lag", "0", testTopic); lost != 0 || behind != 0 {
				t.Errorf("%v lost, %v behind; want none", lost, behind)
			}
			r.stop()
		})
	}
}
