package ledger

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func (b *book) subscribe(sink string) int64 {
	b.t.Helper()
	after, err := b.Subscribe(b.t.Context(), sink)
	if err != nil {
		b.t.Fatal(err)
	}
	return after
}

func TestSinkBeginsBehindAllThatIsThere(t *testing.T) {
	b := newBook(t)
	if got := b.subscribe("early"); got != 0 {
		t.Errorf("begins after row %d of an empty ledger", got)
	}
	b.toState(Closed)
	if got, want := b.subscribe("late"), b.verify().Rows; got != want {
		t.Errorf("begins after row %d, want %d", got, want)
	}
	if got := b.subscribe("early"); got != 0 {
		t.Errorf("the one that was there goes on after row %d", got)
	}
}

func TestCursorLastsAndNeverGoesBack(t *testing.T) {
	b := newBook(t)
	b.subscribe("kafka")
	if err := b.Published(t.Context(), "kafka", 7); err != nil {
		t.Fatal(err)
	}
	if err := b.Published(t.Context(), "kafka", 6); err == nil {
		t.Error("it went back")
	}
	if err := b.Published(t.Context(), "webhook", 6); err == nil {
		t.Error("one that never subscribed has published")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.Ledger = openLedger(t, b.cfg)
	if got := b.subscribe("kafka"); got != 7 {
		t.Errorf("goes on after row %d, want 7", got)
	}
}

func TestUnpublishedIsCounted(t *testing.T) {
	b := newBook(t)
	b.subscribe("kafka")
	b.subscribe("webhook")
	b.toState(Closed)
	b.reject("one", "{1}")
	all := b.outcomes(0)
	if err := b.Published(t.Context(), "webhook", all[0].Seq); err != nil {
		t.Fatal(err)
	}
	stats := func() map[string]Unpublished {
		s, err := b.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.Unpublished
	}
	got := stats()
	if u := got["kafka"]; u.Rows != 2 || !u.Oldest.Equal(all[0].At) {
		t.Errorf("kafka: %+v, want 2 since %v", u, all[0].At)
	}
	if u := got["webhook"]; u.Rows != 1 || !u.Oldest.Equal(all[1].At) {
		t.Errorf("webhook: %+v, want 1 since %v", u, all[1].At)
	}
	if err := b.Published(t.Context(), "webhook", b.verify().Rows); err != nil {
		t.Fatal(err)
	}
	if u := stats()["webhook"]; u != (Unpublished{}) {
		t.Errorf("webhook: %+v, want none", u)
	}
}

// The index serves, or a reader far behind would walk the whole chain each time.
func TestFeedReadsByItsIndex(t *testing.T) {
	b := newBook(t)
	for name, query := range map[string]string{
		"feed":  `SELECT a.seq FROM audit a LEFT JOIN entries e ON e.id = a.entry WHERE a.seq > 1 AND a.` + outcomeActions + ` ORDER BY a.seq LIMIT 5`,
		"count": `SELECT (SELECT COUNT(*) FROM audit WHERE seq > c.seq AND ` + outcomeActions + `) FROM cursors c`,
		"first": `SELECT (SELECT at FROM audit WHERE seq > c.seq AND ` + outcomeActions + ` ORDER BY seq LIMIT 1) FROM cursors c`,
	} {
		rows, err := b.read.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query)
		if err != nil {
			t.Fatal(err)
		}
		var steps []string
		for rows.Next() {
			var id, parent, unused int64
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			steps = append(steps, step)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(steps, "; "); !strings.Contains(got, "audit_outcomes (seq>?)") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Whoever reads beside many writers gets every outcome once, in the order of
// the chain.
func TestFeedBesideWriters(t *testing.T) {
	const writers, each = 6, 25
	b := newBook(t)
	var names []string
	for i := range writers * each {
		names = append(names, fmt.Sprint("p", i))
	}
	plan := b.plan(names...)
	var working sync.WaitGroup
	for w := range writers {
		working.Go(func() {
			for _, r := range plan[w*each : (w+1)*each] {
				if _, err := b.Settle(t.Context(), []Settlement{{Entry: r.Entry, Outcome: NotFound}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var got []Outcome
	var after int64
	for deadline := time.Now().Add(30 * time.Second); len(got) < writers*each && time.Now().Before(deadline); {
		found, upTo, err := b.OutcomesAfter(t.Context(), after, 7)
		if err != nil {
			t.Fatal(err)
		}
		got, after = append(got, found...), upTo
	}
	working.Wait()
	seen := make(map[int64]bool)
	for i, o := range got {
		if i > 0 && o.Seq <= got[i-1].Seq {
			t.Errorf("row %d after row %d", o.Seq, got[i-1].Seq)
		}
		seen[o.Entry] = true
	}
	if len(seen) != writers*each || len(got) != writers*each {
		t.Errorf("%d outcomes of %d entries, want %d of each", len(got), len(seen), writers*each)
	}
}
