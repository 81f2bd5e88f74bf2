package kafka

import (
	"bytes"
	"fmt"
	"maps"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"signoff/consumer"
)

func TestPlace(t *testing.T) {
	p := consumer.Partition{Topic: testTopic, ID: 1}
	for name, c := range map[string]struct {
		st       standing
		from     From
		needs    bool
		at, next int64
		known    bool
		anew     bool
		lost     int64
	}{
		"watermark":                            {st: standing{watermark: 50, committed: -1, first: 0, end: 100}, at: 50, next: 50, known: true},
		"watermark before committed":           {st: standing{watermark: 50, committed: 80, first: 0, end: 100}, at: 50, next: 50, known: true},
		"watermark, whatever --from says":      {st: standing{watermark: 50, committed: 80, first: 0, end: 100}, from: Earliest, at: 50, next: 50, known: true},
		"watermark at the start of the log":    {st: standing{watermark: 50, committed: -1, first: 50, end: 100}, at: 50, next: 50, known: true},
		"watermark at the end of the log":      {st: standing{watermark: 100, committed: -1, first: 0, end: 100}, at: 100, next: 100, known: true},
		"watermark before the start":           {st: standing{watermark: 49, committed: -1, first: 50, end: 100}, at: 49, next: 50, lost: 1},
		"watermark past the end":               {st: standing{watermark: 101, committed: -1, first: 20, end: 100}, at: 101, next: 20, anew: true},
		"watermark of a topic now empty":       {st: standing{watermark: 70, committed: -1, first: 0, end: 0}, at: 70, next: 0, anew: true},
		"never read by anybody":                {st: standing{watermark: -1, committed: -1, first: 7, end: 100}, at: 7, next: 7},
		"committed, and nobody said":           {st: standing{watermark: -1, committed: 80, first: 0, end: 100}, needs: true},
		"committed at 0, and nobody said":      {st: standing{watermark: -1, committed: 0, first: 0, end: 100}, needs: true},
		"committed, from the earliest":         {st: standing{watermark: -1, committed: 80, first: 10, end: 100}, from: Earliest, at: 10, next: 10},
		"committed, from there":                {st: standing{watermark: -1, committed: 80, first: 10, end: 100}, from: Committed, at: 80, next: 80},
		"committed before the start":           {st: standing{watermark: -1, committed: 5, first: 10, end: 100}, from: Committed, at: 5, next: 10, lost: 5},
		"committed past the end":               {st: standing{watermark: -1, committed: 110, first: 10, end: 100}, from: Committed, at: 110, next: 10, anew: true},
		"committed by another member":          {st: standing{watermark: -1, committed: 80, by: sibling, first: 10, end: 100}, at: 80, next: 80},
		"committed by us, before a restore":    {st: standing{watermark: -1, committed: 80, by: own, first: 10, end: 100}, at: 10, next: 10},
		"committed by somebody unknown":        {st: standing{watermark: -1, committed: 80, by: unknown, first: 10, end: 100}, needs: true},
		"committed by a lost ledger":           {st: standing{watermark: -1, committed: 80, by: lost, first: 10, end: 100}, needs: true},
		"beside what a lost ledger committed":  {st: standing{watermark: -1, committed: -1, by: lost, first: 10, end: 100}, needs: true},
		"a lost ledger, from the earliest":     {st: standing{watermark: -1, committed: -1, by: lost, first: 10, end: 100}, from: Earliest, at: 10, next: 10},
		"a lost ledger, from committed":        {st: standing{watermark: -1, committed: -1, by: lost, first: 10, end: 100}, from: Committed, at: 10, next: 10},
		"--from committed without a committed": {st: standing{watermark: -1, committed: -1, first: 10, end: 100}, from: Committed, at: 10, next: 10},
	} {
		t.Run(name, func(t *testing.T) {
			want := placement{
				span: consumer.Span{Partition: p, From: c.at, Next: c.next}, known: c.known, anew: c.anew, lost: c.lost,
			}
			if c.needs {
				want = placement{needsFrom: true}
			}
			if got := place(p, c.st, c.from); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// What the ledger read stands before what the group committed, whichever is ahead.
func TestBeginsAtTheWatermark(t *testing.T) {
	parallel(t)
	for name, offsets := range map[string]struct{ watermark, committed int64 }{
		"ledger ahead of the group": {70, 20},
		"ledger behind the group":   {20, 70},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1)
			cl := newProducer(t, c)
			produce(t, cl, leavers(0, "a", 100)...)
			commit(t, c, 0, offsets.committed)
			m := newMemory()
			m.marks[consumer.Partition{Topic: testTopic}] = offsets.watermark
			start(t, c, m, setup{})
			awaitEvents(t, m, int(100-offsets.watermark))
			awaitState(t, m, consumer.UpToDate)
			eventually(t, "all committed", func() bool { return committed(t, c, 0) == 100 })
		})
	}
}

func TestEmptyLedgerBesideCommittedOffsets(t *testing.T) {
	parallel(t)
	newTopic := func(t *testing.T) *cluster {
		c := newCluster(t, 2)
		cl := newProducer(t, c)
		all := append(leavers(0, "a", 10), leavers(1, "a", 10)...)
		all[4].Timestamp = time.Unix(1795000004, 0)
		produce(t, cl, all...)
		commit(t, c, 0, 4)
		return c
	}
	t.Run("is not read until somebody says from where", func(t *testing.T) {
		parallel(t)
		c, m := newTopic(t), newMemory()
		r := start(t, c, m, setup{})
		awaitState(t, m, consumer.NeedsFrom)
		eventually(t, "both partitions told of", func() bool {
			return r.logs.FilterField(zapInt("committed", 4)).Len() == 1 && r.logs.FilterField(zapInt("committed", -1)).Len() == 1
		})
		// Nor the partition that has nothing committed: what was lost with a ledger
		// may have been of any.
		for p := range 2 {
			if m.mark(testTopic, p) != -1 {
				t.Errorf("partition %d: watermark %d, want none", p, m.mark(testTopic, p))
			}
		}
		if n := committed(t, c, 0); n != 4 {
			t.Errorf("committed %d, want 4", n)
		}
		lag := func() float64 { return r.gauge(t, "signoff_kafka_lag", "0", testTopic) }
		eventually(t, "lag 6", func() bool { return lag() == 6 && r.oldest(t, "0") == 1795000004 })
		produce(t, newProducer(t, c), leavers(0, "b", 24)...)
		eventually(t, "lag 30", func() bool { return lag() == 30 })
	})
	t.Run("goes on where another member's ledger ends", func(t *testing.T) {
		c := newCluster(t, 2)
		cl := newProducer(t, c)
		produce(t, cl, append(leavers(0, "a", 10), leavers(1, "a", 10)...)...)
		first, second := newMemory(), newMemory()
		a := start(t, c, first, setup{clientID: "signoff-first"})
		awaitEvents(t, first, 20)
		eventually(t, "all committed", func() bool { return committed(t, c, 0) == 10 && committed(t, c, 1) == 10 })
		a.stop()
		second.marks[consumer.Partition{Topic: testTopic, ID: 1}] = 10 // it was told once, for the other partition
		start(t, c, second, setup{clientID: "signoff-second"})
		awaitState(t, second, consumer.UpToDate)
		produce(t, cl, leavers(0, "b", 5)...)
		awaitEvents(t, second, 5)
		if n := second.mark(testTopic, 0); n != 15 {
			t.Errorf("watermark %d, want 15: the first ten are in the first ledger", n)
		}
	})
	t.Run("reads again what it committed after its backup", func(t *testing.T) {
		c := newCluster(t, 2)
		cl := newProducer(t, c)
		produce(t, cl, append(leavers(0, "a", 10), leavers(1, "a", 10)...)...)
		m := newMemory()
		r := start(t, c, m, setup{clientID: "signoff-only"})
		awaitEvents(t, m, 20)
		eventually(t, "all committed", func() bool { return committed(t, c, 0) == 10 && committed(t, c, 1) == 10 })
		r.stop()
		restored := newMemory()
		restored.marks[consumer.Partition{Topic: testTopic, ID: 1}] = 10
		r = start(t, c, restored, setup{clientID: "signoff-only"})
		awaitEvents(t, restored, 10)
		told := r.logs.FilterMessageSnippet("a backup was put back")
		if told.Len() != 1 || told.FilterField(zapInt("committed", 10)).FilterField(zapInt("going_on_from", 0)).Len() != 1 {
			t.Errorf("told of it: %v", told.All())
		}
		eventually(t, "all committed again", func() bool { return committed(t, c, 0) == 10 })
		r.stop()
		r = start(t, c, restored, setup{clientID: "signoff-only"})
		awaitState(t, restored, consumer.UpToDate)
		if n := r.logs.FilterMessageSnippet("a backup was put back").Len(); n != 0 {
			t.Errorf("told of %d times more", n)
		}
	})
	for from, want := range map[From]int{Earliest: 20, Committed: 16} {
		t.Run("--from "+string(from), func(t *testing.T) {
			c, m := newTopic(t), newMemory()
			r := start(t, c, m, setup{from: from})
			awaitEvents(t, m, want)
			awaitState(t, m, consumer.UpToDate)
			r.stop()
			start(t, c, m, setup{}) // the ledger has a watermark now, so nobody need say again
			awaitState(t, m, consumer.UpToDate)
			awaitEvents(t, m, want)
		})
	}
	t.Run("--from committed where all is committed leaves a watermark", func(t *testing.T) {
		c, m := newTopic(t), newMemory()
		commit(t, c, 0, 10)
		start(t, c, m, setup{from: Committed})
		awaitState(t, m, consumer.UpToDate)
		if got := m.mark(testTopic, 0); got != 10 {
			t.Errorf("watermark %d, want 10", got)
		}
	})
}

func TestDeletedUnread(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	cl := newProducer(t, c)
	produce(t, cl, leavers(0, "a", 30)...)
	m := newMemory()
	m.marks[consumer.Partition{Topic: testTopic}] = 5
	c.deleteBefore(t, 20)
	r := start(t, c, m, setup{})
	awaitEvents(t, m, 10)
	checkJump(t, r, m, consumer.Span{Partition: consumer.Partition{Topic: testTopic}, From: 5, Next: 20}, 15, "the log starts after what was read of it")
}

func TestDeletedUnreadWhileReading(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	cl := newProducer(t, c)
	m := newMemory()
	r := start(t, c, m, setup{})
	awaitState(t, m, consumer.UpToDate)
	full := fmt.Errorf("disk full")
	m.see(func() { m.refuse = func() error { return full } })
	produce(t, cl, leavers(0, "a", 1)...)
	awaitState(t, m, consumer.Paused)
	// Of these a fetch brings three at most. With one batch in hand, the queue full
	// behind it and one more before it, the fetcher stands still long before the end.
	const large = 6 * queued
	for i := range large {
		b := leaver(0, fmt.Sprint("b", i))
		b.Value = append(b.Value, bytes.Repeat([]byte(" "), 400<<10)...)
		produce(t, cl, b)
	}
	produce(t, cl, leavers(0, "c", 10)...)
	c.deleteBefore(t, 1+large+5)
	m.see(func() { m.refuse = nil })
	eventually(t, "the end is read", func() bool { return m.mark(testTopic, 0) == 1+large+10 })
	events, _, doubled := m.count()
	lost := r.gauge(t, "signoff_kafka_lost_offsets_total", testTopic)
	if events+int(lost) != 1+large+10 || doubled != 0 || lost < 1 {
		t.Errorf("%d events, %v lost, %d doubled; want %d in all", events, lost, doubled, 1+large+10)
	}
}

func TestTopicMadeAnew(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	cl := newProducer(t, c)
	produce(t, cl, leavers(0, "a", 10)...)
	m := newMemory()
	m.marks[consumer.Partition{Topic: testTopic}] = 500
	commit(t, c, 0, 500)
	r := start(t, c, m, setup{})
	awaitEvents(t, m, 10)
	checkJump(t, r, m, consumer.Span{Partition: consumer.Partition{Topic: testTopic}, From: 500, Next: 0}, 1, "the log ends before what was read of it")
	eventually(t, "the group stands where the ledger does", func() bool { return committed(t, c, 0) == 10 })
}

// checkJump checks that the first thing recorded was the jump, and that it was told.
func checkJump(t *testing.T, r *run, m *memory, want consumer.Span, lost float64, says string) {
	t.Helper()
	awaitState(t, m, consumer.UpToDate)
	m.see(func() {
		if m.spans[0] != want {
			t.Errorf("recorded %+v first, want %+v", m.spans[0], want)
		}
	})
	if got := r.gauge(t, "signoff_kafka_lost_offsets_total", testTopic); got != lost {
		t.Errorf("%v lost, want %v", got, lost)
	}
	lines := r.logs.FilterMessageSnippet(says).FilterLevelExact(zapcore.ErrorLevel).All()
	if len(lines) != 1 {
		t.Fatalf("%d log lines about it, want 1", len(lines))
	}
	fields := map[string]any{"topic": testTopic, "partition": int64(0), "read_up_to": want.From, "going_on_from": want.Next}
	if lost > 1 {
		fields["lost"] = int64(lost)
	}
	if got := lines[0].ContextMap(); !maps.Equal(got, fields) {
		t.Errorf("it says %v, want %v", got, fields)
	}
}
