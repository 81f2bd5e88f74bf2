package ledger

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// mustReturn notes that the leaver of a watched entry is open again.
func (b *book) mustReturn(e Entry) {
	b.t.Helper()
	made, err := b.Returned(b.t.Context(), e, []User{{ID: "again", Email: e.Leaver}})
	if err != nil || !made {
		b.t.Fatalf("made %v (%v) of who returned, want an entry", made, err)
	}
}

func (b *book) watched(account string, now time.Time) []string {
	b.t.Helper()
	entries, err := b.Watched(b.t.Context(), account, now)
	if err != nil {
		b.t.Fatal(err)
	}
	var leavers []string
	for _, e := range entries {
		leavers = append(leavers, e.Leaver)
	}
	return leavers
}

func TestWatchedByWhatBecameOfTheLeaver(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*book)
		want bool
	}{
		"closed":         {func(b *book) { b.toState(Closed) }, true},
		"due":            {func(b *book) { b.toState(Due) }, false},
		"failed":         {func(b *book) { b.toState(Failed) }, false},
		"already closed": {func(b *book) { b.settle(b.plan("ann")[0].Entry, AlreadyClosed) }, true},
		"not found":      {func(b *book) { b.settle(b.plan("ann")[0].Entry, NotFound) }, false},
		"skipped": {func(b *book) {
			_, _, _ = b.Reject(b.t.Context(), b.word(b.hold(b.plan("ann"), Protected).ID, "ana", "no"))
		}, false},
		"closed, and leaves again some day": {func(b *book) {
			b.toState(Closed)
			b.record(b.left("ann", b.said(time.Minute), b.leaving(time.Hour)))
		}, true},
		"closed, and has left again": {func(b *book) {
			b.toState(Closed)
			b.record(b.left("ann", b.said(time.Minute)))
			b.becomeDue(b.now, account)
		}, false},
		"closed, and old news has another address": {func(b *book) {
			b.toState(Closed)
			b.record(b.left("ann", also("a2@acme.com"), b.said(2*time.Hour)))
			b.becomeDue(b.now, account)
			if n := len(b.watched(account, time.Now().Add(time.Second))); n != 0 {
				b.t.Errorf("%d are watched while another entry of hers is open", n)
			}
			b.settle(b.due(b.now)[0].Entry, NotFound)
		}, true},
		"closed, then in another account not found": {func(b *book) {
			b.record(b.left("ann"))
			b.becomeDue(b.now, account, "other")
			b.closeIn(account, "ann")
			b.settle(b.dueIn("other", b.now)[0].Entry, NotFound)
		}, true},
		"closed, then skipped": {func(b *book) {
			b.toState(Closed)
			b.record(b.left("ann", b.said(time.Minute)))
			_, _, _ = b.Reject(b.t.Context(), b.word(b.hold(b.due(b.now), Protected).ID, "ana", "no"))
		}, false},
		"closed, and returned": {func(b *book) {
			b.toState(Closed)
			b.mustReturn(b.entry("ann"))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, func(c *Config) { c.Watch = week })
			tt.do(b)
			if got := b.watched(account, time.Now().Add(time.Second)); (len(got) == 1) != tt.want {
				t.Errorf("watched %v, want it so: %v", got, tt.want)
			}
			if got := b.watched("elsewhere", time.Now().Add(time.Second)); len(got) != 0 {
				t.Errorf("watched %v in an account where nobody was closed", got)
			}
		})
	}
}

func (b *book) settle(e Entry, outcome State) {
	b.t.Helper()
	if settled, err := b.Settle(b.t.Context(), []Settlement{{Entry: e, Outcome: outcome}}); err != nil || len(settled) != 1 {
		b.t.Fatalf("settled %+v (%v)", settled, err)
	}
}

func TestWatchedByTime(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		watch  time.Duration
		looked []time.Duration // after the close
		at     time.Duration
		want   bool
	}{
		"in the run that closes":   {week, nil, 0, false},
		"in the run after it":      {week, nil, time.Minute, true},
		"looked for just now":      {week, []time.Duration{time.Minute}, 2 * time.Minute, false},
		"looked for a day ago":     {week, []time.Duration{time.Minute}, day, true},
		"looked for twice":         {week, []time.Duration{time.Minute, day}, day + time.Hour, false},
		"a run a little early":     {week, []time.Duration{time.Minute}, day - 30*time.Minute, true},
		"a moment before the end":  {week, nil, week - time.Second, true},
		"the watch is over":        {week, nil, week, false},
		"there is no watch at all": {0, nil, time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBook(t, func(c *Config) { c.Watch = tt.watch })
				b.toState(Closed)
				e := b.entry("ann")
				for _, after := range tt.looked {
					if err := b.Looked(t.Context(), []Entry{e}, e.SettledAt.Add(after)); err != nil {
						t.Fatal(err)
					}
				}
				if got := b.watched(account, e.SettledAt.Add(tt.at)); (len(got) == 1) != tt.want {
					t.Errorf("watched %v, want it so: %v", got, tt.want)
				}
			})
		})
	}
}

func TestWatchedTheLongestUnseenFirst(t *testing.T) {
	b := newBook(t, func(c *Config) { c.Watch = week })
	batch := b.submit(b.plan("ann", "bob", "eve")...)
	b.answer(batch, map[string]Result{"id-ann": {Closed: true}, "id-bob": {Closed: true}, "id-eve": {Closed: true}})
	for name, at := range map[string]time.Duration{"ann": 2 * time.Hour, "bob": time.Hour} {
		if err := b.Looked(t.Context(), []Entry{b.entry(name)}, b.now.Add(at)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := b.watched(account, b.now.Add(48*time.Hour)), []string{"eve@acme.com", "bob@acme.com", "ann@acme.com"}; !slices.Equal(got, want) {
		t.Errorf("watched %v, want %v", got, want)
	}
}

func TestReturned(t *testing.T) {
	b := newBook(t, func(c *Config) { c.Watch = week })
	b.record(b.left("ann", urgent, also("a2@acme.com"), b.said(2*week), b.leaving(-2*week)))
	batch := b.submit(b.due(b.now)...)
	b.answer(batch, map[string]Result{"id-ann": {Closed: true}})
	closed := b.entry("ann")
	b.mustReturn(closed)
	again := b.entries("ann")[1]
	if again.State != Due || !again.Returned || again.Account != account || !slices.Equal(again.Emails, closed.Emails) || again.Source != "hr" ||
		!again.Urgent || again.Stale || !again.EffectiveAt.Equal(closed.EffectiveAt) || again.DueAt.Before(b.now) || !again.DueAt.Equal(again.ReceivedAt) {
		t.Errorf("got %+v of %+v", again, closed)
	}
	if got := b.text(`SELECT facts FROM audit WHERE action = 'returned' AND entry = 2`); got != `{"account":"acc","from":1,"users":["again"]}` {
		t.Errorf("audit says %s", got)
	}
	if made, err := b.Returned(t.Context(), closed, nil); made || err != nil {
		t.Errorf("made %v (%v), though it is known already", made, err)
	}
	plan := b.due(time.Now())
	if len(plan) != 1 || !plan[0].Entry.Returned {
		t.Fatalf("plan %+v, want it due", plan)
	}
	b.approve(b.hold(plan, Returned).ID)
	b.closeIn(account, "ann")
	if got := b.stands("ann"); got != "acc closed, acc closed" {
		t.Errorf("ann is %s", got)
	}
	if entries, err := b.Watched(t.Context(), account, time.Now().Add(time.Minute)); err != nil || len(entries) != 1 || entries[0].ID != again.ID {
		t.Errorf("watched %+v (%v), want the second close", entries, err)
	}
	b.verify()
}

// News that came while the look-up was under way has looked already.
func TestReturnedAfterALaterEntry(t *testing.T) {
	b := newBook(t, func(c *Config) { c.Watch = week })
	b.toState(Closed)
	e := b.entry("ann")
	b.record(b.left("ann", b.said(time.Minute)))
	b.becomeDue(b.now, account)
	if made, err := b.Returned(t.Context(), e, nil); made || err != nil || len(b.entries("ann")) != 2 {
		t.Errorf("made %v (%v) beside the later entry", made, err)
	}
}

func TestStatsOfTheWatch(t *testing.T) {
	for name, tt := range map[string]struct {
		watch             time.Duration
		watched, returned int
	}{
		"watched":  {week, 1, 1},
		"no watch": {0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, func(c *Config) { c.Watch = tt.watch })
			batch := b.submit(b.plan("ann", "bob")...)
			b.answer(batch, map[string]Result{"id-ann": {Closed: true}, "id-bob": {Closed: true}})
			b.mustReturn(b.entry("bob"))
			b.record(b.left("eve"))
			b.settle(b.due(b.now)[0].Entry, AlreadyClosed) // counted as already_closed, not as closed
			b.mustReturn(b.entry("eve"))
			for _, r := range b.dueIn(account, time.Now()) {
				if r.Entry.Leaver == "eve@acme.com" {
					b.settle(r.Entry, NotFound)
				}
			}
			s, err := b.Stats(t.Context())
			if err != nil || s.Entries[Closed] != 2 || s.Watched != tt.watched || s.Returned[account] != tt.returned || len(s.Returned) != 1 {
				t.Errorf("got %d closed, %d watched, returned %v (%v)", s.Entries[Closed], s.Watched, s.Returned, err)
			}
		})
	}
}
