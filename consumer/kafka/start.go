package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"signoff/consumer"
)

// standing is how far a partition was read and how far it reaches. An offset
// that does not exist is -1.
type standing struct {
	watermark int64 // next to be read, by the ledger
	committed int64 // next to be read, by the group; asked for only without a watermark
	first     int64 // where the log starts
	end       int64 // where it ends
}

// placement is where the reading of a partition begins.
type placement struct {
	span      consumer.Span // Next is where it begins; From is where the reading stood before
	known     bool          // the ledger's watermark stands there already: there is nothing to record
	needsFrom bool          // nobody has said where to begin: do not read
	anew      bool          // the log ends before what was read: the topic was made anew
	lost      int64         // offsets that are gone unread
}

// place decides where to begin. The ledger's watermark is always believed
// before the group's committed offset, which may be ahead of what a restored
// ledger holds.
func place(p consumer.Partition, st standing, from From) placement {
	at := st.watermark
	switch {
	case at >= 0:
	case st.committed < 0, from == Earliest:
		at = st.first
	case from == Committed:
		at = st.committed
	default:
		return placement{needsFrom: true}
	}
	pl := placement{span: consumer.Span{Partition: p, From: at, Next: at}}
	switch {
	case at < st.first:
		pl.span.Next, pl.lost = st.first, st.first-at
	case at > st.end:
		pl.span.Next, pl.lost, pl.anew = st.first, at-st.end, true
	default:
		pl.known = st.watermark >= 0
	}
	return pl
}

// standing asks the broker about one partition.
func (f *fetcher) standing(ctx context.Context, watermark int64) (standing, error) {
	st := standing{watermark: watermark, committed: -1}
	p := f.partition
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	res, err := f.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		p.Topic: {kafka.FirstOffsetOf(p.ID), kafka.LastOffsetOf(p.ID)},
	}})
	if err != nil {
		return st, fmt.Errorf("list offsets: %w", err)
	}
	if len(res.Topics[p.Topic]) != 1 {
		return st, errors.New("list offsets: the answer lacks the partition")
	}
	offsets := res.Topics[p.Topic][0]
	if offsets.Error != nil {
		return st, fmt.Errorf("list offsets: %w", offsets.Error)
	}
	st.first, st.end = offsets.FirstOffset, offsets.LastOffset
	if watermark < 0 {
		st.committed, err = f.committed(ctx)
	}
	return st, err
}

// committed returns the group's offset of the partition, -1 if it has none.
// The one in the generation's assignment won't do: the library takes a refusal
// to answer for "none", and we would begin at the start unasked.
func (f *fetcher) committed(ctx context.Context) (int64, error) {
	p := f.partition
	res, err := f.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: f.cfg.Group, Topics: map[string][]int{p.Topic: {p.ID}}})
	if err != nil {
		return -1, fmt.Errorf("fetch the committed offset: %w", err)
	}
	if res.Error != nil {
		return -1, fmt.Errorf("fetch the committed offset: %w", res.Error)
	}
	if len(res.Topics[p.Topic]) != 1 {
		return -1, errors.New("fetch the committed offset: the answer lacks the partition")
	}
	offset := res.Topics[p.Topic][0]
	if offset.Error != nil {
		return -1, fmt.Errorf("fetch the committed offset: %w", offset.Error)
	}
	return offset.CommittedOffset, nil
}

// tellLoss says what of a partition is gone, once the ledger has stepped over it.
func (s *Source) tellLoss(pl placement) {
	if pl.lost == 0 {
		return
	}
	fields := []zap.Field{
		zap.String("topic", pl.span.Partition.Topic), zap.Int("partition", pl.span.Partition.ID),
		zap.Int64("read_up_to", pl.span.From), zap.Int64("going_on_from", pl.span.Next), zap.Int64("lost", pl.lost),
	}
	if pl.anew {
		s.log.Error("the log ends before what was read of it, so the topic was made anew: reading it from its start", fields...)
	} else {
		s.log.Error("the log starts after what was read of it: the offsets between were deleted unread", fields...)
	}
	s.metrics.Lost(pl.span.Partition.Topic, pl.lost)
}
