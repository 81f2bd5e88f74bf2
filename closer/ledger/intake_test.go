package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signoff/consumer"
)

// together lets all the writes share a transaction: the writer is kept busy
// until they wait.
func (b *book) together(writes ...func() error) []error {
	b.t.Helper()
	hold, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = b.write(context.Background(), func(*tx) error { close(held); <-hold; return nil })
	})
	<-held
	errs := make([]error, len(writes))
	for i, w := range writes {
		wg.Go(func() { errs[i] = w() })
		for len(b.writes) != i+1 {
			time.Sleep(time.Millisecond)
		}
	}
	close(hold)
	wg.Wait()
	return errs
}

// fillRejects gives a source as many open rejects as it may have.
func (b *book) fillRejects(source consumer.Source) {
	b.t.Helper()
	b.raw(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		INSERT INTO rejects (id, fingerprint, source, origin, event_source, event_id, position, reason, detail, payload, size, hash, state, received_at, last_at)
		SELECT i, printf('%06d', i), $2, '', '', '', '', '', '', '', 0, '', 'open', 0, 0 FROM n`, MaxOpenRejects, string(source))
}

func TestRefusedIntakeLeavesOthersAlone(t *testing.T) {
	b := newBook(t)
	var transactions atomic.Int32
	b.observe.Write = func(time.Duration) { transactions.Add(1) }
	b.fillRejects(consumer.Webhook)
	b.record(b.left("first"))
	if err := b.Record(b.t.Context(), consumer.Intake{Source: consumer.Kafka, Spans: []consumer.Span{span(0, 5)}}); err != nil {
		t.Fatal(err)
	}
	transactions.Store(0)

	record := func(in consumer.Intake) func() error {
		return func() error { return b.Record(t.Context(), in) }
	}
	reject := consumer.Reject{Key: consumer.Key{ID: "x"}, Reason: consumer.InvalidData}
	ann, bob, eve, dan, fay := b.left("ann"), b.left("bob"), b.left("eve"), b.left("dan"), b.left("fay")
	errs := b.together(
		record(consumer.Intake{Source: consumer.Kafka, Events: []consumer.Event{ann}}),
		record(consumer.Intake{Source: consumer.Kafka, Events: []consumer.Event{bob}, Spans: []consumer.Span{span(3, 9)}}),
		record(consumer.Intake{Source: consumer.Kafka, Events: []consumer.Event{eve}, Rejects: []consumer.Reject{reject}}),
		record(consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{dan}, Rejects: []consumer.Reject{reject}}),
		record(consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{fay}}),
	)
	for i, want := range []error{nil, consumer.ErrOvertaken, nil, consumer.ErrFull, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("intake %d: %v, want %v", i, errs[i], want)
		}
	}
	for name, want := range map[string]int{"ann": 1, "bob": 0, "eve": 1, "dan": 0, "fay": 1} {
		if got := len(b.entries(name)); got != want {
			t.Errorf("%d entries of %s, want %d", got, name, want)
		}
	}
	if n := transactions.Load(); n > 2 { // the one that kept the writer busy, and theirs
		t.Errorf("%d transactions, want them to share one", n)
	}
	b.verify()
}

func TestConcurrentRecords(t *testing.T) {
	b := newBook(t)
	var transactions atomic.Int32
	b.observe.Write = func(time.Duration) { transactions.Add(1) }
	const n = 200
	var writes []func() error
	for i := range n {
		e := b.left(fmt.Sprint("p", i))
		writes = append(writes, func() error {
			return b.Record(t.Context(), consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{e}})
		})
	}
	if err := errors.Join(b.together(writes...)...); err != nil {
		t.Fatal(err)
	}
	if all, err := b.Entries(t.Context()); err != nil || len(all) != n {
		t.Errorf("%d entries (%v), want %d", len(all), err, n)
	}
	if got := transactions.Load(); got > 2 {
		t.Errorf("%d transactions for %d records that came together", got, n)
	}
	b.verify()
}
