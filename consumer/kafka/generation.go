package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"signoff/consumer"
)

const (
	commitEvery = 500 * time.Millisecond // also how long an ignored stretch may wait to be recorded
	watchEvery  = time.Second            // for partitions and topics that come or go
	queued      = 4                      // batches between the fetchers and the ledger
	grace       = 5 * time.Second        // for the ledger to finish what it is at when a generation ends
)

// generation is one stretch of time in which the group left us our partitions.
type generation struct {
	*Source
	gen  *kafka.Generation
	over context.Context // ends when the partitions are to be given up
	work context.Context // ends grace later

	topics  map[string]int // what the group was joined for
	watched time.Time
	tracks  map[consumer.Partition]*track
	lags    map[consumer.Partition]*lag
	hand    hand
}

// track is where one partition stands.
type track struct {
	next   int64 // recorded up to here
	commit bool  // next is not committed yet
}

// generation reads the partitions that gen assigns until over ends, the topics
// change, or somebody else has read on. What is in hand is then recorded and
// committed; what is not yet in hand is left to whoever reads next.
func (s *Source) generation(over context.Context, gen *kafka.Generation, topics map[string]int) error {
	work, done := withGrace(over, grace)
	defer done()
	g := &generation{Source: s, gen: gen, over: over, work: work, topics: topics, watched: time.Now(),
		tracks: map[consumer.Partition]*track{}, lags: map[consumer.Partition]*lag{}}
	var partitions []consumer.Partition
	for topic, assigned := range gen.Assignments {
		for _, a := range assigned {
			partitions = append(partitions, consumer.Partition{Topic: topic, ID: a.ID})
		}
	}
	s.assign(partitions)
	s.state.join(partitions)

	var marks map[consumer.Partition]int64
	if err := g.insist(func() (err error) {
		marks, err = s.ledger.Watermarks(work, s.cfg.TopicNames())
		return err
	}); err != nil {
		return err
	}
	fetching, stop := context.WithCancel(over)
	batches := make(chan batch, queued)
	tokens := make(chan struct{}, fetchAtOnce)
	var fetchers sync.WaitGroup
	for _, p := range partitions {
		mark, ok := marks[p]
		if !ok {
			mark = -1
		}
		g.lags[p] = &lag{metrics: s.metrics, partition: p}
		f := &fetcher{Source: s, partition: p, watermark: mark, empty: len(marks) == 0, topics: topics,
			out: batches, tokens: tokens, lag: g.lags[p], read: newTranslator(s.reading.Load(), p)}
		fetchers.Go(func() { f.run(fetching) })
	}
	defer fetchers.Wait()
	defer stop()
	return g.loop(batches)
}

// loop moves batches into the ledger.
func (g *generation) loop(batches <-chan batch) error {
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-g.over.Done():
			return g.finish()
		case <-tick.C:
			if err = g.record(); err == nil {
				err = g.turn()
			}
		case b := <-batches:
			err = g.take(b)
			for n := len(batches); n > 0 && err == nil; n-- { // what came in meanwhile shares the transaction
				err = g.take(<-batches)
			}
			if err == nil && g.hand.urgent {
				err = g.record()
			}
		}
		if err != nil {
			if errors.Is(err, consumer.ErrOvertaken) {
				return err // what we have in hand is not ours any more
			}
			return errors.Join(err, g.finish())
		}
	}
}

// take puts a batch with what is in hand. Where the reading begins or jumps is
// recorded on its own.
func (g *generation) take(b batch) error {
	p := b.span.Partition
	if b.placed == nil {
		g.hand.add(b)
		g.hand.urgent = g.hand.urgent || g.state.reaches(p, b.span.Next)
		return nil
	}
	if err := g.record(); err != nil {
		return err
	}
	if !b.placed.known {
		in := consumer.Intake{Source: consumer.Kafka, Spans: []consumer.Span{b.span}}
		if err := g.insist(func() error { return g.ledger.Record(g.work, in) }); err != nil {
			return err
		}
		g.tellLoss(*b.placed)
	}
	g.tracks[p] = &track{next: b.span.Next, commit: true}
	g.state.recorded(p, b.span.Next)
	g.lags[p].recorded(b.span.Next)
	return nil
}

// record puts into the ledger what is in hand, for as long as it takes.
func (g *generation) record() error {
	if len(g.hand.spans) == 0 {
		return nil
	}
	in := g.hand.intake()
	if err := g.insist(func() error { return g.ledger.Record(g.work, in) }); err != nil {
		return err
	}
	g.settle()
	return nil
}

// settle notes that what was in hand is recorded.
func (g *generation) settle() {
	for p, span := range g.hand.spans {
		t := g.tracks[p]
		t.next, t.commit = span.Next, true
		g.state.recorded(p, span.Next)
		g.lags[p].recorded(span.Next)
	}
	if g.hand.Ignored > 0 {
		g.ignored(g.hand.Ignored)
	}
	g.hand = hand{}
	g.state.write(g.work)
}

// insist does something with the ledger until it succeeds, another member has
// overtaken us or the generation is over. Meanwhile the reading is paused and
// the turns of the loop go on.
func (g *generation) insist(do func() error) error {
	wait := newBackoff()
	for {
		err := do()
		if err == nil {
			g.state.pause(nil)
			return nil
		}
		if errors.Is(err, consumer.ErrOvertaken) || g.over.Err() != nil {
			return err
		}
		g.state.pause(err)
		if err := g.turn(); err != nil {
			return err
		}
		wait.sleep(g.over)
	}
}

// turn is what the loop does besides recording: it commits and looks after the
// topics. An error ends the generation.
func (g *generation) turn() error {
	g.Source.turn(g.work)
	err := g.commit()
	if lostPlace(err) {
		return err
	} else if err != nil {
		g.state.silent(ourGroup, err)
	} else {
		g.state.answers(ourGroup)
	}
	if time.Since(g.watched) < watchEvery {
		return nil
	}
	g.watched = time.Now()
	now, err := g.Source.topics(g.work)
	if err == nil && !maps.Equal(now, g.topics) {
		return errTopicsChanged
	}
	return nil
}

// commit commits what is recorded. The broker refuses it if the generation is
// not the group's any more.
func (g *generation) commit() error {
	offsets := map[string][]kafka.OffsetCommit{}
	for p, t := range g.tracks {
		if t.commit {
			offsets[p.Topic] = append(offsets[p.Topic], kafka.OffsetCommit{Partition: p.ID, Offset: t.next, Metadata: g.cfg.ClientID})
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	// Not gen.CommitOffsets, which has no room for whose ledger it is.
	ctx, cancel := context.WithTimeout(g.work, requestTimeout)
	defer cancel()
	req := &kafka.OffsetCommitRequest{GroupID: g.gen.GroupID, GenerationID: int(g.gen.ID), MemberID: g.gen.MemberID, Topics: offsets}
	res, err := g.client.OffsetCommit(ctx, req)
	if hungUp(err) { // a broker does, too, when it wants us to sign in again, which a new connection does
		res, err = g.client.OffsetCommit(ctx, req)
	}
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, partitions := range res.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				return fmt.Errorf("commit: %w", p.Error)
			}
		}
	}
	for _, t := range g.tracks {
		t.commit = false
	}
	return nil
}

// finish records what is in hand, if the ledger takes it at the first try, and
// commits, before the partitions are given up.
func (g *generation) finish() error {
	var err error
	if len(g.hand.spans) > 0 {
		if err = g.ledger.Record(g.work, g.hand.intake()); err == nil {
			g.settle()
		}
	}
	return errors.Join(err, g.commit())
}

func partitionLabel(p consumer.Partition) string { return strconv.Itoa(p.ID) }

// hand is what has been read and is not recorded yet: at most a queue's worth
// of batches, since a stretch that holds nothing of ours takes no room.
type hand struct {
	consumer.Content
	spans  map[consumer.Partition]consumer.Span
	urgent bool // not to wait for the tick
}

// add puts a batch behind what is in hand of its partition.
func (h *hand) add(b batch) {
	if h.spans == nil {
		h.spans = map[consumer.Partition]consumer.Span{}
	}
	p := b.span.Partition
	if had, ok := h.spans[p]; ok {
		b.span.From = had.From
	}
	h.spans[p] = b.span
	h.Content.Add(b.Content)
	h.urgent = h.urgent || len(b.Events)+len(b.Rejects) > 0
}

// intake is what is in hand, as the ledger takes it.
func (h *hand) intake() consumer.Intake {
	in := h.Intake(consumer.Kafka)
	for _, span := range h.spans {
		in.Spans = append(in.Spans, span)
	}
	return in
}

// withGrace returns a context that ends d after ctx does, not with it.
func withGrace(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return work, func() { stop(); cancel() }
}
