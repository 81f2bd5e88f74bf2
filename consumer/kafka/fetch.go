package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	fetchapi "github.com/segmentio/kafka-go/protocol/fetch"
	"go.uber.org/zap"

	"signoff/consumer"
)

const (
	fetchWait      = 500 * time.Millisecond // long poll; an event is answered at once
	fetchBytes     = 1 << 20                // while there is a backlog; a larger record comes whole
	idleFetchBytes = 64 << 10               // at the end of the log, where every partition may be asked at the same time
	fetchAtOnce    = 2                      // backlog fetches under way, of all partitions: each unpacks to mostUnpacked at most
	triesToAway    = 3                      // failures in a row before a partition counts as away: leaders move
	longestRead    = time.Second            // then what was made of a fetch so far is handed on: a directory may be slow
	unreadEvery    = 2 * time.Second        // to ask how much there is of a partition that is not read
)

// batch is what one fetch made of a stretch of a partition. Records that are
// none of our business leave only their number.
type batch struct {
	consumer.Content
	span   consumer.Span
	placed *placement // the reading begins here, or goes on elsewhere; no records
	end    int64      // where the partition ends, the high watermark
	oldest time.Time  // timestamp of the first record in it
}

// fetcher reads one partition.
type fetcher struct {
	*Source
	partition consumer.Partition
	watermark int64          // the ledger's; -1: none
	empty     bool           // the ledger has no watermark of any partition
	topics    map[string]int // all, with the number of their partitions
	out       chan<- batch
	tokens    chan struct{} // one is held for each fetch of a backlog
	lag       *lag
	read      *translator

	tries    int // failures in a row
	wait     backoff
	patience backoff // with a record that can't be read now
	waits    bool    // there is one
	fresh    bool    // the next answer says where the partition ends
	backlog  bool    // the last answer did not reach the end
}

// run reads from the watermark until ctx ends.
func (f *fetcher) run(ctx context.Context) {
	f.wait, f.patience, f.fresh = newBackoff(), newBackoff(), true
	next, ok := f.place(ctx, f.watermark)
	for ok && ctx.Err() == nil {
		asked := time.Now()
		b, err := f.next(ctx, next)
		later, waits := errors.AsType[*laterError](err)
		switch {
		case errors.Is(err, kafka.OffsetOutOfRange):
			next, ok = f.place(ctx, next)
			f.wait.sleep(ctx) // if the offset is in range after all, ask for it gently
			continue
		case err != nil && !waits:
			f.failed(ctx, fmt.Errorf("fetch: %w", err))
			continue
		}
		f.answered()
		f.lag.fetched(b)
		brought := b.span.Next > next
		if next = b.span.Next; brought {
			ok = f.hand(ctx, b)
		}
		switch {
		case waits:
			f.postpone(ctx, later, next)
		case !brought && next < b.end: // a transaction is open there
			f.lookAhead(ctx, next)
		}
		if !waits {
			f.goOn()
		}
		if !brought && time.Since(asked) < fetchWait/2 { // a broker that does not wait when asked to
			pause(ctx, fetchWait/10)
		}
	}
}

// postpone waits before the record at next is offered again. Others of this
// partition wait behind it, lest a later word overtake an earlier one.
func (f *fetcher) postpone(ctx context.Context, why error, next int64) {
	if ctx.Err() != nil { // that is why
		return
	}
	f.waits = true
	f.backlog = false // whoever is asked may be slow, which must not keep a token from the others
	f.state.waits(f.partition, why)
	f.lookAhead(ctx, next)
	f.patience.sleep(ctx)
}

// goOn forgets that the partition had to wait.
func (f *fetcher) goOn() {
	if f.waits {
		f.state.goesOn(f.partition)
		f.waits, f.patience = false, newBackoff()
	}
}

// place finds where to begin, and hands that on. It reports false if the
// partition is not to be read, or ctx ended.
func (f *fetcher) place(ctx context.Context, watermark int64) (int64, bool) {
	for ctx.Err() == nil {
		st, ok := f.ask(ctx, watermark)
		if !ok {
			continue
		}
		pl := place(f.partition, st, f.from)
		if pl.needsFrom {
			f.leaveUnread(ctx, st)
			return 0, false
		}
		f.backlog = pl.span.Next < st.end
		f.lag.placed(pl.span.Next, st.end)
		if f.backlog {
			f.lookAhead(ctx, pl.span.Next)
		}
		return pl.span.Next, f.hand(ctx, batch{span: pl.span, placed: &pl})
	}
	return 0, false
}

// ask asks where the partition stands; false if there was no answer this time.
func (f *fetcher) ask(ctx context.Context, watermark int64) (standing, bool) {
	f.tokens <- struct{}{}
	st, err := f.standing(ctx, watermark)
	<-f.tokens
	if err != nil {
		f.failed(ctx, err)
		return st, false
	}
	f.answered()
	return st, true
}

// leaveUnread tells that nobody said where to begin, and then, until ctx ends,
// how much there is to be read.
func (f *fetcher) leaveUnread(ctx context.Context, st standing) {
	f.log.Error("the group has committed offsets of which the ledger knows nothing, so the partition is not read: start with --from earliest or --from committed",
		zap.String("topic", f.partition.Topic), zap.Int("partition", f.partition.ID), zap.Int64("committed", st.committed))
	f.state.unplaced(f.partition, "the group has committed offsets of which the ledger knows nothing: start with --from earliest or --from committed")
	for ok := true; ctx.Err() == nil; st, ok = f.ask(ctx, -1) {
		if ok {
			from := max(st.committed, st.first)
			f.lag.placed(from, st.end)
			if from < st.end {
				f.lookAhead(ctx, from)
			}
			pause(ctx, unreadEvery)
		}
	}
}

// hand passes a batch on; false if ctx ended.
func (f *fetcher) hand(ctx context.Context, b batch) bool {
	select {
	case f.out <- b:
		return true
	case <-ctx.Done():
		return false
	}
}

// failed waits before the next try, and tells of the third failure in a row.
func (f *fetcher) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	f.backlog = false // a leader that is slow to fail must not keep a token from the others
	if f.tries++; f.tries == triesToAway {
		f.state.silent(name(f.partition), err)
		f.fresh = true // what was written meanwhile is to be read before anybody says we are up to date
	}
	f.wait.sleep(ctx)
}

// answered forgets past failures.
func (f *fetcher) answered() {
	if f.tries >= triesToAway {
		f.state.answers(name(f.partition))
	}
	f.tries, f.wait = 0, newBackoff()
}

// next fetches what follows offset. A batch whose Next is offset means that
// there is nothing new. With a *laterError comes what lies before the record
// that it is about.
func (f *fetcher) next(ctx context.Context, offset int64) (batch, error) {
	wait, bytes := fetchWait, idleFetchBytes
	if f.fresh {
		wait = 0 // the answer is wanted for where the partition ends
	}
	if f.backlog {
		bytes = fetchBytes
		f.tokens <- struct{}{}
		defer func() { <-f.tokens }()
	}
	part, err := f.request(ctx, offset, wait, bytes, kafka.ReadCommitted)
	if err != nil {
		return batch{}, err
	}
	b, err := f.unpack(ctx, part.ResponsePartition, offset)
	if part.large != nil {
		f.refuse(&b, part.large)
	}
	if _, waits := errors.AsType[*laterError](err); err != nil && !waits {
		return batch{}, err
	}
	stable := part.LastStableOffset
	if stable < 0 { // a broker from before transactions
		stable = part.HighWatermark
	}
	if f.fresh {
		f.state.ends(f.partition, stable)
		f.fresh = false
	}
	f.backlog = b.span.Next < stable
	return b, err
}

// request asks the leader of the partition.
func (f *fetcher) request(ctx context.Context, offset int64, wait time.Duration, bytes int, isolation kafka.IsolationLevel) (*fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+requestTimeout)
	defer cancel()
	m, err := f.transport.RoundTrip(ctx, f.client.Addr, &fetching{clientID: clientID(f.cfg), Request: fetchapi.Request{
		ReplicaID: -1, MaxWaitTime: int32(wait.Milliseconds()), MinBytes: 1, MaxBytes: int32(bytes),
		IsolationLevel: int8(isolation), SessionEpoch: -1,
		Topics: []fetchapi.RequestTopic{{Topic: f.partition.Topic, Partitions: []fetchapi.RequestPartition{{
			Partition: int32(f.partition.ID), CurrentLeaderEpoch: -1, FetchOffset: offset, LogStartOffset: -1, PartitionMaxBytes: int32(bytes),
		}}}},
	}})
	if err != nil {
		return nil, err
	}
	res := m.(*answer)
	if res.ErrorCode != 0 {
		return nil, kafka.Error(res.ErrorCode)
	}
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return nil, errors.New("the answer lacks the partition")
	}
	part := &res.Topics[0].Partitions[0]
	if part.ErrorCode != 0 {
		return nil, kafka.Error(part.ErrorCode)
	}
	return &fetched{part, res.large}, nil
}

// fetched is what is to be unpacked, and what must not be.
type fetched struct {
	*fetchapi.ResponsePartition
	large *largeBatch
}

// refuse steps over a batch. A person is told by a reject, which has none of it.
func (f *fetcher) refuse(b *batch, large *largeBatch) {
	fallback := fmt.Sprintf("%d/%d", f.partition.ID, b.span.Next)
	b.Rejects = append(b.Rejects, consumer.Reject{
		Key: consumer.Key{Origin: f.partition.Topic, ID: fallback}, Position: f.partition.Topic + "/" + fallback,
		Reason: consumer.InvalidEvent, Payload: []byte{}, ReceivedAt: time.Now().UTC(),
		Detail: fmt.Sprintf("a batch of %d records, the last at offset %d, unpacks to more than %d MiB or %d records: none of it was read",
			large.records, large.last, mostUnpacked>>20, mostRecords),
	})
	b.span.Next = max(b.span.Next, large.last) + 1
}

// unpack reads the records of an answer, without those of transactions that
// were aborted. The markers of transactions count as read.
func (f *fetcher) unpack(ctx context.Context, part *fetchapi.ResponsePartition, offset int64) (batch, error) {
	b := batch{span: consumer.Span{Partition: f.partition, From: offset, Next: offset}, end: part.HighWatermark}
	stream, ok := part.RecordSet.Records.(*protocol.RecordStream)
	if !ok {
		return b, nil
	}
	if now := f.reading.Load(); now != f.read.by {
		f.read = newTranslator(now, f.partition)
	}
	f.read.received = time.Now().UTC()
	tx := newAborted(part.AbortedTransactions)
	for _, records := range stream.Records {
		skip := false
		switch x := records.(type) {
		case *protocol.ControlBatch:
			tx.ended(x.ProducerID, x.BaseOffset)
			b.span.Next = max(b.span.Next, x.BaseOffset+1)
			continue
		case *protocol.RecordBatch:
			skip = tx.holds(x)
			b.span.Next = max(b.span.Next, x.BaseOffset) // compaction may have left nothing before it
		}
		if err := f.readAll(ctx, &b, records, skip); errors.Is(err, errEnough) {
			return b, nil
		} else if err != nil {
			return b, err
		}
	}
	if b.span.Next == offset {
		// Compaction emptied the batch that held the offset. How far that
		// batch reached is not to be seen here, so step over one.
		b.span.Next++
	}
	return b, nil
}

// errEnough ends the reading of an answer before its end; the rest is fetched again.
var errEnough = errors.New("enough of this answer")

// readAll translates the records of one batch. The broker's batch may begin
// before the offset that we asked for.
func (f *fetcher) readAll(ctx context.Context, b *batch, records protocol.RecordReader, skip bool) error {
	for {
		r, err := records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("record after offset %d: %w", b.span.Next, err)
		}
		had := len(b.Events) + len(b.Rejects)
		if r.Offset >= b.span.Next && !skip {
			err = f.read.take(ctx, &b.Content, r)
			if b.oldest.IsZero() && err == nil {
				b.oldest = f.timestamp(r)
			}
		}
		if r.Key != nil {
			r.Key.Close()
		}
		if r.Value != nil {
			r.Value.Close()
		}
		if err != nil {
			return fmt.Errorf("record at offset %d: %w", r.Offset, err)
		}
		b.span.Next = max(b.span.Next, r.Offset+1)
		if len(b.Events)+len(b.Rejects) > had && time.Since(f.read.received) > f.longestRead {
			return errEnough
		}
	}
}

// aborted follows which producers are inside a transaction that was aborted.
type aborted struct {
	begins []fetchapi.ResponseTransaction // by offset, those not yet reached
	open   map[int64]bool                 // by producer
}

func newAborted(begins []fetchapi.ResponseTransaction) *aborted {
	slices.SortFunc(begins, func(a, b fetchapi.ResponseTransaction) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	return &aborted{begins: begins, open: map[int64]bool{}}
}

func (a *aborted) reach(offset int64) {
	for ; len(a.begins) > 0 && a.begins[0].FirstOffset <= offset; a.begins = a.begins[1:] {
		a.open[a.begins[0].ProducerID] = true
	}
}

// ended notes a marker: the producer's transaction is over, this way or that.
func (a *aborted) ended(producer, offset int64) {
	a.reach(offset)
	delete(a.open, producer)
}

// holds says whether a batch belongs to an aborted transaction.
func (a *aborted) holds(x *protocol.RecordBatch) bool {
	a.reach(x.BaseOffset)
	return x.Attributes.Transactional() && a.open[x.ProducerID]
}
