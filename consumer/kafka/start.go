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
	watermark int64  // next to be read, by the ledger
	committed int64  // next to be read, by the group; asked for only without a watermark
	by        author // who committed that
	first     int64  // where the log starts
	end       int64  // where it ends
}

// author is who committed an offset, by what stands beside it. It matters where
// the ledger has no watermark of its own.
type author string

const (
	lost    author = "lost"    // a ledger that is not ours, and ours is empty: it may have been our own before it was lost
	own     author = "own"     // our ledger, after the backup from which it was restored
	sibling author = "sibling" // the ledger of another member, which holds what came before
	unknown author = "unknown" // somebody who did not say
)

// placement is where the reading of a partition begins.
type placement struct {
	span      consumer.Span // Next is where it begins; From is where the reading stood before
	known     bool          // the ledger's watermark stands there already: there is nothing to record
	needsFrom bool          // nobody has said where to begin: do not read
	anew      bool          // the log ends before what was read: the topic was made anew
	lost      int64         // offsets that are gone unread; of a topic made anew nobody can tell
}

// place decides where to begin. The ledger's watermark is always believed
// before the group's committed offset, which may be ahead of what a restored
// ledger holds.
func place(p consumer.Partition, st standing, from From) placement {
	at := st.watermark
	switch {
	case at >= 0:
	case from == Earliest:
		at = st.first
	case st.committed >= 0 && (from == Committed || st.by == sibling):
		at = st.committed
	case st.committed < 0 && st.by != lost, st.by == own:
		at = st.first
	case from == Committed: // and nothing is
		at = st.first
	default:
		return placement{needsFrom: true}
	}
	pl := placement{span: consumer.Span{Partition: p, From: at, Next: at}}
	switch {
	case at < st.first:
		pl.span.Next, pl.lost = st.first, st.first-at
	case at > st.end:
		pl.span.Next, pl.anew = st.first, true
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
		st.committed, st.by, err = f.committed(ctx)
	}
	return st, err
}

// committed returns the group's offset of the partition, -1 if it has none, and
// who committed it. The one in the generation's assignment won't do: the
// library takes a refusal to answer for "none", and we would begin at the start
// unasked.
func (f *fetcher) committed(ctx context.Context) (int64, author, error) {
	res, err := f.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: f.cfg.Group, Topics: f.beside()})
	if err != nil {
		return -1, unknown, fmt.Errorf("fetch the committed offset: %w", err)
	}
	if res.Error != nil {
		return -1, unknown, fmt.Errorf("fetch the committed offset: %w", res.Error)
	}
	offset, by := int64(-2), unknown
	for topic, partitions := range res.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				return -1, unknown, fmt.Errorf("fetch the committed offset: %w", p.Error)
			}
			if f.empty && p.CommittedOffset >= 0 {
				by = lost
			}
			if topic == f.partition.Topic && p.Partition == f.partition.ID {
				offset = p.CommittedOffset
				if !f.empty {
					by = authorOf(p.Metadata, f.cfg)
				}
			}
		}
	}
	if offset == -2 {
		return -1, unknown, errors.New("fetch the committed offset: the answer lacks the partition")
	}
	return offset, by, nil
}

// tellRestored says that the reading begins before what this very ledger has
// committed, which it does only after it was recorded: a backup was put back.
func (f *fetcher) tellRestored(ctx context.Context, pl placement, end int64) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	committed, by, err := f.committed(ctx)
	if err != nil || by != own || committed <= pl.span.Next || committed > end { // or of a topic that was there before this one
		return
	}
	f.log.Warn("the ledger has read less than it once committed, so a backup was put back: reading again from where it stood; what people decided since, and what came by webhook, is not in it",
		zap.String("topic", f.partition.Topic), zap.Int("partition", f.partition.ID),
		zap.Int64("committed", committed), zap.Int64("going_on_from", pl.span.Next))
}

// beside is the partitions whose committed offsets matter: our own or, for an
// empty ledger, all of them. What was lost with a ledger is lost for every
// partition, also for those that had nothing committed.
func (f *fetcher) beside() map[string][]int {
	if !f.empty {
		return map[string][]int{f.partition.Topic: {f.partition.ID}}
	}
	all := make(map[string][]int, len(f.topics))
	for topic, n := range f.topics {
		for id := range n {
			all[topic] = append(all[topic], id)
		}
	}
	return all
}

// authorOf reads what commit writes beside an offset: the client id, which is
// the ledger's.
func authorOf(metadata string, cfg Config) author {
	switch {
	case metadata == "" || cfg.ClientID == "":
		return unknown
	case metadata == cfg.ClientID:
		return own
	}
	return sibling
}

// tellLoss says what of a partition is gone, once the ledger has stepped over
// it. A topic made anew counts as one lost offset, for the alert's sake: what
// was read of the old one is not lost.
func (s *Source) tellLoss(pl placement) {
	p := pl.span.Partition
	fields := []zap.Field{
		zap.String("topic", p.Topic), zap.Int("partition", p.ID),
		zap.Int64("read_up_to", pl.span.From), zap.Int64("going_on_from", pl.span.Next),
	}
	switch {
	case pl.anew:
		s.log.Error("the log ends before what was read of it, so the topic was made anew: reading it from its start", fields...)
		s.metrics.Lost(p.Topic, 1)
	case pl.lost > 0:
		s.log.Error("the log starts after what was read of it: the offsets between were deleted unread", append(fields, zap.Int64("lost", pl.lost))...)
		s.metrics.Lost(p.Topic, pl.lost)
	}
}
