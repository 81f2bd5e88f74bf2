package outcomes

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"signoff/closer/ledger"
	"signoff/metrics"
)

// recorder is a sink that keeps what it is sent, and does as it is told.
type recorder struct {
	mu     sync.Mutex
	got    []Event
	takes  int           // events at a time; 0: all
	slow   time.Duration // for each Send
	refuse error         // nil: it takes what it is sent
	closed bool
}

func (r *recorder) Send(ctx context.Context, events []Event) (int, error) {
	select {
	case <-time.After(r.slow):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return 0, r.refuse
	}
	if r.takes > 0 {
		events = events[:min(r.takes, len(events))]
	}
	r.got = append(r.got, events...)
	return len(events), nil
}

func (r *recorder) Close() error { r.closed = true; return nil }

func (r *recorder) back() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = nil
}

// seqs are the rows of what came, in the order in which it came.
func (r *recorder) seqs() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []int64
	for _, e := range r.got {
		all = append(all, e.seq)
	}
	return all
}

func (r *recorder) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, e := range r.got {
		all = append(all, e.ID)
	}
	return all
}

// book is a ledger that things happen in.
type book struct {
	*ledger.Ledger
	t    *testing.T
	path string
}

func newBook(t *testing.T) *book {
	t.Helper()
	b := &book{t: t, path: filepath.Join(t.TempDir(), "ledger.db")}
	b.open()
	return b
}

func (b *book) open() {
	b.t.Helper()
	l, err := ledger.Open(b.t.Context(), ledger.Config{URL: "sqlite://" + b.path}, ledger.Observe{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = l.Close() })
	b.Ledger = l
}

// happens makes n outcomes: an account is parked and resumed.
func (b *book) happens(n int) {
	b.t.Helper()
	state, err := b.Account(b.t.Context(), "acc")
	if err != nil {
		b.t.Fatal(err)
	}
	for range n {
		if state.Parked == "" {
			state.Parked = "sign_in"
		} else {
			state.Parked = ""
		}
		if err := b.SetAccount(b.t.Context(), state); err != nil {
			b.t.Fatal(err)
		}
	}
}

// saved is how far the sink is by the ledger.
func (b *book) saved() int64 {
	b.t.Helper()
	after, err := b.Subscribe(b.t.Context(), SinkWebhook)
	if err != nil {
		b.t.Fatal(err)
	}
	return after
}

// publishing is a Publisher at work.
type publishing struct {
	*Publisher
	logs *observer.ObservedLogs
	stop func()
}

func newPublisher(t *testing.T, feed Feed, sink Sink) *publishing {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	p, err := New(t.Context(), SinkWebhook, feed, sink, metrics.NewOutcomes(nil, Sinks()), zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	return &publishing{Publisher: p, logs: logs}
}

func publish(t *testing.T, feed Feed, sink Sink) *publishing {
	t.Helper()
	p := newPublisher(t, feed, sink)
	p.start(t)
	return p
}

func (p *publishing) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(p.stop)
}

// eventually waits until what holds; want says what that is.
func eventually(t *testing.T, want string, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !what(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", want)
		}
	}
}

var errAway = errors.New("away")

// seqsTo are the rows from 1 to n.
func seqsTo(n int) []int64 {
	var all []int64
	for i := range n {
		all = append(all, int64(i+1))
	}
	return all
}
