package ledger

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"signoff/consumer"
)

func naming(sources ...string) func(*Config) {
	return func(c *Config) { c.Sources = sources }
}

// sources are those of the ledger by their names.
func (b *book) sources() map[string]Source {
	b.t.Helper()
	all, err := b.Sources(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	byName := make(map[string]Source)
	for _, s := range all {
		byName[s.Name] = s
	}
	return byName
}

func TestSourcesAreHeardFrom(t *testing.T) {
	b := newBook(t, naming("hr", "quiet"))
	ann := b.left("ann")
	b.record(ann)
	if err := b.Record(t.Context(), consumer.Intake{Source: consumer.Kafka, Spans: []consumer.Span{span(0, 5)}}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		in   consumer.Intake
		want bool // that hr was heard from
	}{
		"an event":            {consumer.Intake{Events: []consumer.Event{b.left("bob")}}, true},
		"an event once more":  {consumer.Intake{Events: []consumer.Event{ann}}, true},
		"a reject":            {consumer.Intake{Rejects: []consumer.Reject{failure(consumer.NoEmail, "hr", "x")}}, true},
		"what is ignored":     {consumer.Intake{Heard: []string{"payroll", "hr"}}, true},
		"another source":      {consumer.Intake{Events: []consumer.Event{b.left("eve", from("payroll"))}, Heard: []string{"payroll"}}, false},
		"a watermark":         {consumer.Intake{Spans: []consumer.Span{span(5, 6)}}, false},
		"what is not taken":   {consumer.Intake{Events: []consumer.Event{b.left("gus")}, Spans: []consumer.Span{span(3, 9)}}, false},
		"a source with quote": {consumer.Intake{Heard: []string{"hr'; --"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b.raw(`UPDATE sources SET heard_at = 0`)
			b.Ledger = openLedgerAgain(t, b)
			tt.in.Source = consumer.Kafka
			if err := b.Record(t.Context(), tt.in); err != nil && !errors.Is(err, consumer.ErrOvertaken) {
				t.Fatal(err)
			}
			got := b.sources()
			if heard := !got["hr"].HeardAt.IsZero(); heard != tt.want || !got["quiet"].HeardAt.IsZero() || len(got) != 2 {
				t.Errorf("got %+v, want hr to be heard: %v", got, tt.want)
			}
		})
	}
}

// openLedgerAgain closes the ledger of the book and opens it as another process would.
func openLedgerAgain(t *testing.T, b *book) *Ledger {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return openLedger(t, b.cfg)
}

// A source that is heard from all the time costs a write a minute.
func TestHearingIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, naming("hr"))
		defer func() { _ = b.Close() }()
		hear := func() time.Time {
			b.record(b.left("ann"), b.left("ann"))
			return b.sources()["hr"].HeardAt
		}
		first := hear()
		if first.IsZero() || !first.Equal(time.Now().UTC()) {
			t.Fatalf("heard at %v, want now", first)
		}
		time.Sleep(heardEvery - time.Second)
		if again := hear(); !again.Equal(first) {
			t.Errorf("written again at %v, within a minute", again)
		}
		time.Sleep(time.Second)
		if later := hear(); !later.Equal(first.Add(heardEvery)) {
			t.Errorf("heard at %v, want a minute later", later)
		}
	})
}

// What is ignored comes all the time.
func TestHearingOnlyIsNoTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, naming("hr"))
		defer func() { _ = b.Close() }()
		writes := 0
		b.observe.Write = func(time.Duration) { writes++ }
		hear := func(want int, sources ...string) {
			t.Helper()
			for range 3 {
				if err := b.Record(t.Context(), consumer.Intake{Source: consumer.Webhook, Heard: sources}); err != nil {
					t.Fatal(err)
				}
			}
			if writes != want {
				t.Errorf("%d transactions for %q, want %d", writes, sources, want)
			}
		}
		hear(0)
		hear(0, "payroll")
		hear(1, "payroll", "hr")
		time.Sleep(heardEvery)
		hear(2, "hr")
	})
}

func TestSourcesOutliveTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, naming("hr", "quiet"))
		defer func() { _ = b.Close() }()
		b.record(b.left("ann"))
		began := time.Now().UTC()
		again := func(sources ...string) map[string]Source {
			time.Sleep(time.Hour)
			b.cfg.Sources = sources
			b.Ledger = openLedgerAgain(t, b)
			return b.sources()
		}
		got := again("hr", "quiet", "new")
		if got["hr"].HeardAt != began || got["quiet"].LastSign() != began || !got["quiet"].HeardAt.IsZero() {
			t.Errorf("after a restart: %+v, want it as it was", got)
		}
		if s := got["new"]; s.LastSign() != began.Add(time.Hour) {
			t.Errorf("a new source: %+v, want it expected from now on", s)
		}
		if got = again("new"); len(got) != 1 {
			t.Errorf("left out of the config: %+v", got)
		}
		if got = again("hr", "new"); !got["hr"].HeardAt.IsZero() || got["hr"].Since != began.Add(3*time.Hour) {
			t.Errorf("named anew: %+v, want it expected from now on", got["hr"])
		}
		b.record(b.left("bob"))
		if s := b.sources()["hr"]; s.LastSign() != time.Now().UTC() {
			t.Errorf("heard from anew: %+v", s)
		}
	})
}

func TestNotFoundCountsLeavers(t *testing.T) {
	b := newBook(t)
	insert := func(leaver string, account int, state State, settledAgo time.Duration) {
		settled := b.now.Add(-settledAgo).UnixMicro()
		if settledAgo == 0 {
			settled = 0
		}
		b.raw(`INSERT INTO entries (id, leaver, account, state, emails, word_at, effective_at, due_at, received_at, settled_at)
			SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, '[]', 1, 1, 1, 1, $4 FROM entries`, leaver, fmt.Sprint(account), string(state), settled)
	}
	insert("in no account", 1, NotFound, time.Hour)
	insert("in no account", 2, NotFound, 2*time.Hour)
	insert("taken back elsewhere", 1, NotFound, time.Hour)
	insert("taken back elsewhere", 2, Cancelled, time.Hour)
	insert("closed long before", 1, Closed, 48*time.Hour)
	insert("closed long before", 1, NotFound, time.Hour)
	for _, other := range []State{Closed, AlreadyClosed, Skipped} {
		insert("elsewhere "+string(other), 1, NotFound, time.Hour)
		insert("elsewhere "+string(other), 2, other, time.Hour)
	}
	insert("not looked for everywhere yet", 1, NotFound, time.Hour)
	insert("not looked for everywhere yet", 2, Due, 0)
	insert("yesterday", 1, NotFound, 25*time.Hour)
	if s, err := b.Stats(t.Context()); err != nil || s.NotFound != 3 {
		t.Errorf("%d (%v), want 3", s.NotFound, err)
	}
	if n, err := b.NotFound(t.Context(), b.now.Add(-90*time.Minute)); err != nil || n != 3 {
		t.Errorf("%d (%v) within less, want 3", n, err)
	}
	if n, err := b.NotFound(t.Context(), b.now.Add(-30*time.Minute)); err != nil || n != 0 {
		t.Errorf("%d (%v) within half an hour, want none", n, err)
	}
}
