package ledger

import (
	"errors"
	"slices"
	"testing"
	"time"

	"signoff/consumer"
)

func TestLaterWordWins(t *testing.T) {
	for name, tt := range map[string]struct {
		said    time.Duration // ago; the word before it: an hour
		leaving time.Duration
		want    time.Duration // leaving
	}{
		"a later word replaces":          {time.Minute, -time.Minute, -time.Minute},
		"an earlier word does not":       {2 * time.Hour, -time.Minute, -time.Hour},
		"said at the same time: arrival": {time.Hour, -time.Minute, -time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", also("a2@acme.com")))
			b.record(b.left("ann", b.said(tt.said), b.leaving(tt.leaving), also("a3@acme.com", "a2@acme.com")))
			e := b.entry("ann")
			if !e.EffectiveAt.Equal(b.now.Add(tt.want)) {
				t.Errorf("leaves at %v, want %v", e.EffectiveAt, b.now.Add(tt.want))
			}
			if want := []string{"ann@acme.com", "a2@acme.com", "a3@acme.com"}; !slices.Equal(e.Emails, want) {
				t.Errorf("emails %v, want those of both: %v", e.Emails, want)
			}
		})
	}
}

func TestWordWithoutATimeWasSaidWhenItCame(t *testing.T) {
	b := newBook(t)
	timeless := func(e *consumer.Event) { e.OccurredAt = time.Time{} }
	b.record(b.left("ann", timeless))
	b.record(b.left("ann", b.said(time.Minute), b.leaving(time.Hour)))
	if e := b.entry("ann"); !e.EffectiveAt.Equal(b.now.Add(-time.Hour)) {
		t.Errorf("leaves at %v, want what was said at the receipt", e.EffectiveAt)
	}
}

func TestUrgentSticks(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", urgent))
	b.record(b.left("ann", b.said(time.Minute)))
	if !b.entry("ann").Urgent {
		t.Error("a later word without it took the urgency back")
	}
}

// toState brings ann, with a user of hers, to a state; she left an hour ago.
func (b *book) toState(s State) {
	b.t.Helper()
	plan := b.plan("ann")
	switch s {
	case Due:
	case Held:
		b.hold(plan, Protected)
	case WouldClose:
		if err := b.WouldClose(b.t.Context(), plan); err != nil {
			b.t.Fatal(err)
		}
	case Submitted:
		b.submit(plan...)
	case Failed:
		for range retry.Attempts {
			b.answer(b.submit(b.due(b.now.Add(time.Hour))...), map[string]Result{"id-ann": {Reason: "NO"}})
		}
	case Closed:
		b.answer(b.submit(plan...), map[string]Result{"id-ann": {Closed: true}})
	default:
		b.t.Fatalf("no way to %s", s)
	}
	b.is("ann", s)
}

func TestMovedLeavingDay(t *testing.T) {
	for state, want := range map[State]State{
		Due: Waiting, Held: Waiting, WouldClose: Waiting, Failed: Waiting, Submitted: Submitted,
	} {
		t.Run(string(state), func(t *testing.T) {
			b := newBook(t)
			b.toState(state)
			b.record(b.left("ann", b.said(time.Minute), b.leaving(72*time.Hour)))
			b.is("ann", want)
			if got := b.due(b.now.Add(71 * time.Hour)); len(got) != 0 {
				t.Error("due before the new day")
			}
			if got := b.due(b.now.Add(73 * time.Hour)); len(got) != 1 && state != Submitted {
				t.Error("not due on the new day")
			}
		})
	}
}

func TestMovedLeavingDayEndsTheHold(t *testing.T) {
	b := newBook(t)
	h := b.hold(b.plan("ann", "bob"), Limit)
	b.record(b.left("ann", b.said(time.Minute), b.leaving(time.Hour)))
	if open, err := b.OpenHolds(t.Context()); err != nil || len(open) != 1 || len(open[0].Users) != 1 || open[0].Users[0].ID != "id-bob" {
		t.Fatalf("open holds %+v (%v), want bob's", open, err)
	}
	b.record(b.left("bob", b.said(time.Minute), b.leaving(time.Hour)))
	if open, err := b.OpenHolds(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("open holds %+v (%v), want none that holds nobody", open, err)
	}
	if _, err := b.Approve(t.Context(), b.word(h.ID, "ana", ""), aDay); !errors.Is(err, ErrDecided) {
		t.Errorf("approved what holds nobody: %v", err)
	}
}

func TestApprovalsOfBeforeTheMoveDoNotCount(t *testing.T) {
	for name, sent := range map[string]bool{"while due": false, "while submitted": true} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.approve(b.hold(b.plan("ann"), Protected).ID)
			plan := b.due(b.now)
			if len(plan) != 1 || len(plan[0].Entry.Approvals) != 1 {
				t.Fatalf("plan %+v, want it approved", plan)
			}
			if sent {
				batch := b.submit(plan...)
				b.record(b.left("ann", b.said(time.Minute), b.leaving(time.Hour)))
				b.answer(batch, map[string]Result{"id-ann": {Reason: "NO"}})
			} else {
				b.record(b.left("ann", b.said(time.Minute), b.leaving(time.Hour)))
			}
			b.is("ann", Waiting)
			plan = b.due(b.now.Add(2 * time.Hour))
			if len(plan) != 1 || len(plan[0].Entry.Approvals) != 0 {
				t.Errorf("plan %+v, want it due and not approved", plan)
			}
		})
	}
}

func TestStaleNews(t *testing.T) {
	for name, tt := range map[string]struct {
		said, leaving time.Duration
		maxAge        time.Duration
		want          bool
	}{
		"fresh":                             {time.Hour, -time.Hour, week, false},
		"exactly max age":                   {week, -week, week, false},
		"older than max age":                {week + time.Second, -week - time.Second, week, true},
		"said long ago, takes effect later": {2 * week, time.Hour, week, false},
		"said now, took effect long ago":    {time.Minute, -2 * week, week, false},
		"there is no max age":               {2 * week, -2 * week, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, func(c *Config) { c.MaxAge = tt.maxAge })
			b.record(b.left("ann", b.said(tt.said), b.leaving(tt.leaving)))
			if got := b.entry("ann").Stale; got != tt.want {
				t.Errorf("stale %v, want %v", got, tt.want)
			}
		})
	}
}

func TestFreshNewsEndsAStaleHold(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.said(2*week), b.leaving(-2*week)))
	b.hold(b.due(b.now), Stale)
	b.record(b.left("ann"))
	b.is("ann", Due)
	if open, err := b.OpenHolds(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("open holds %v (%v), want none", open, err)
	}
}

func TestWordAfterAnOutcome(t *testing.T) {
	for name, tt := range map[string]struct {
		said time.Duration
		want int // entries
	}{
		"old news opens nothing":  {2 * time.Hour, 1},
		"newer news is a leaving": {time.Minute, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.toState(Closed)
			b.record(b.left("ann", b.said(tt.said)))
			if got := b.entries("ann"); len(got) != tt.want || got[0].State != Closed {
				t.Errorf("entries %+v, want %d, the first closed", got, tt.want)
			}
		})
	}
}

func TestOneOpenEntryForEachLeaver(t *testing.T) {
	for _, s := range []State{Due, Held, Submitted, WouldClose, Failed} {
		t.Run(string(s), func(t *testing.T) {
			b := newBook(t)
			b.toState(s)
			b.record(b.left("ann", b.said(time.Minute)), b.left("ann", b.said(time.Second)))
			b.entry("ann")
		})
	}
}
