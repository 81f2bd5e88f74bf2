package kafka

import (
	"context"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// lookAhead finds the timestamp of the record at an offset that is not read
// yet: since a transaction is open there, because a record before it waits, or
// because nobody has said where to begin.
func (f *fetcher) lookAhead(ctx context.Context, offset int64) {
	if f.lag.seen(offset) {
		return
	}
	f.tokens <- struct{}{}
	defer func() { <-f.tokens }()
	part, err := f.request(ctx, offset, 0, 1, kafka.ReadUncommitted) // of one byte, the broker makes one batch
	if err != nil {
		return // the next fetch finds out why
	}
	stream, ok := part.RecordSet.Records.(*protocol.RecordStream)
	if !ok {
		return
	}
	for _, records := range stream.Records {
		for {
			r, err := records.ReadRecord()
			if err != nil {
				break
			}
			if r.Key != nil {
				r.Key.Close()
			}
			if r.Value != nil {
				r.Value.Close()
			}
			if r.Offset >= offset {
				f.lag.saw(offset, f.timestamp(r))
				return
			}
		}
	}
}

// timestamp is when a record was written, by its producer or its broker; by our
// own clock, where neither has said.
func (f *fetcher) timestamp(r *protocol.Record) time.Time {
	if r.Time.UnixMilli() <= 0 {
		return time.Now()
	}
	return r.Time
}
