package ledger

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"signoff/consumer"
)

// TestOldestOfStats: what waits longest for an outcome, by account, and which urgent
// leaver for a person.
func TestOldestOfStats(t *testing.T) {
	const other = "other"
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t)
		b.record(b.left("ann"), b.left("bob"), b.left("eve", urgent), b.left("dan", urgent), b.left("fay"))
		b.becomeDue(b.now, account, other)
		of := func(account, name string) Resolved {
			plan := b.dueIn(account, b.now)
			return plan[slices.IndexFunc(plan, func(r Resolved) bool { return r.Entry.Leaver == name+"@acme.com" })]
		}
		in := func(d time.Duration) time.Time { return b.now.Add(d) }
		oldest := func(urgentHeld time.Time, submitted map[string]time.Time) {
			t.Helper()
			s, err := b.Stats(t.Context())
			if err != nil || !s.UrgentHeld.Equal(urgentHeld) || !maps.Equal(s.Submitted, submitted) {
				t.Errorf("urgent held since %v, submitted %v (%v); want %v, %v", s.UrgentHeld, s.Submitted, err, urgentHeld, submitted)
			}
		}
		oldest(time.Time{}, nil)
		time.Sleep(time.Minute)
		b.hold([]Resolved{of(account, "fay")}, Protected) // not urgent
		first := b.submit(of(account, "ann"))
		oldest(time.Time{}, map[string]time.Time{account: in(time.Minute)})
		time.Sleep(time.Minute)
		b.hold([]Resolved{of(account, "eve")}, Limit)
		b.submit(of(account, "bob"))
		b.submitIn(other, of(other, "ann"))
		oldest(in(2*time.Minute), map[string]time.Time{account: in(time.Minute), other: in(2 * time.Minute)})
		time.Sleep(time.Minute)
		b.hold([]Resolved{of(account, "dan")}, Limit)
		b.answer(first, map[string]Result{"id-ann": {Closed: true}})
		oldest(in(2*time.Minute), map[string]time.Time{account: in(2 * time.Minute), other: in(2 * time.Minute)})
	})
}

func TestStats(t *testing.T) {
	b := newBook(t)
	plan := b.plan("ann", "bob", "eve")
	h := b.hold(plan[:1], Protected, Stale)
	b.submit(plan[1])
	b.record(b.left("dan", b.leaving(time.Hour)), b.left("dan", rescind, func(e *consumer.Event) { e.Key.Source = "other" }))
	s, err := b.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for state, want := range map[State]int{Held: 1, Submitted: 1, Due: 1, Waiting: 1, Closed: 0} {
		if s.Entries[state] != want {
			t.Errorf("%d entries %s, want %d", s.Entries[state], state, want)
		}
	}
	if got := s.Holds[Protected]; got.Open != 1 || !got.Oldest.Equal(h.CreatedAt.Truncate(time.Microsecond)) || len(s.Holds) != 1 {
		t.Errorf("holds %+v, want one, by its gravest kind", s.Holds)
	}
	if got := s.Overdue[account]; !got.Equal(b.now) || len(s.Overdue) != 1 {
		t.Errorf("overdue %v, want since %v", s.Overdue, b.now)
	}
	if s.Rejects != 1 || s.AuditRows != b.verify().Rows || s.Size == 0 || s.Free == 0 {
		t.Errorf("got %+v", s)
	}
}

func TestAccountIsKept(t *testing.T) {
	b := newBook(t)
	if got, err := b.Account(t.Context(), account); err != nil || got != (Account{ID: account}) {
		t.Errorf("got %+v (%v) of an account that nobody knows", got, err)
	}
	want := Account{ID: account, PassedAt: b.now, Parked: "consent", Advice: "ask", ParkedAt: b.now.Add(1e6),
		ResumeAt: b.now.Add(2e6), HourLimit: 3000, HourRemaining: 7, HourResetAt: b.now.Add(3e6)}
	for range 2 {
		if err := b.SetAccount(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := b.Accounts(t.Context()); err != nil || !slices.Equal(got, []Account{want}) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

func TestMemberIsKeptByGroup(t *testing.T) {
	b := newBook(t)
	if err := b.SetMember(t.Context(), "g", "m1"); err != nil {
		t.Fatal(err)
	}
	if err := b.SetMember(t.Context(), "g", "m2"); err != nil {
		t.Fatal(err)
	}
	for group, want := range map[string]string{"g": "m2", "other": ""} {
		if got, err := b.Member(t.Context(), group); err != nil || got != want {
			t.Errorf("member of %s: %q (%v), want %q", group, got, err, want)
		}
	}
}

// Since when Kafka is away is told through all that is said meanwhile.
func TestReadingTellsSinceWhen(t *testing.T) {
	for name, tt := range map[string]struct {
		states []consumer.Reading // said a minute apart
		away   time.Duration      // since, from the first; -1: it is not
		since  time.Duration
	}{
		"up to date":                   {[]consumer.Reading{consumer.UpToDate}, -1, 0},
		"away":                         {[]consumer.Reading{consumer.UpToDate, consumer.Away, consumer.Away}, time.Minute, time.Minute},
		"a restart while it is away":   {[]consumer.Reading{consumer.Away, consumer.Joining, consumer.Away}, 0, 2 * time.Minute},
		"away in another way":          {[]consumer.Reading{consumer.Away, consumer.Paused}, 0, time.Minute},
		"back again":                   {[]consumer.Reading{consumer.Away, consumer.UpToDate}, -1, time.Minute},
		"away, back and away":          {[]consumer.Reading{consumer.Away, consumer.UpToDate, consumer.Away}, 2 * time.Minute, 2 * time.Minute},
		"joining a topic that is not":  {[]consumer.Reading{consumer.Joining, consumer.Joining}, 0, 0},
		"joined, and reading":          {[]consumer.Reading{consumer.Joining, consumer.CatchingUp}, -1, time.Minute},
		"up to date for a while":       {[]consumer.Reading{consumer.UpToDate, consumer.UpToDate}, -1, 0},
		"an empty ledger needs --from": {[]consumer.Reading{consumer.NeedsFrom, consumer.NeedsFrom}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBook(t)
				began := time.Now()
				for i, s := range tt.states {
					if i > 0 {
						time.Sleep(time.Minute)
					}
					if err := b.SetReading(t.Context(), s, "detail"); err != nil {
						t.Fatal(err)
					}
				}
				got, err := b.Reading(t.Context())
				if err != nil || got.State != tt.states[len(tt.states)-1] || !got.Since.Equal(began.Add(tt.since)) {
					t.Errorf("reading %+v (%v), want it since %v", got, err, tt.since)
				}
				if away := !got.Away.IsZero(); away != (tt.away >= 0) || away && !got.Away.Equal(began.Add(tt.away)) {
					t.Errorf("away since %v, want %v from %v", got.Away, tt.away, began)
				}
			})
		})
	}
}

func TestNoReading(t *testing.T) {
	b := newBook(t)
	if err := b.SetReading(t.Context(), consumer.Away, ""); err != nil {
		t.Fatal(err)
	}
	if err := b.NoReading(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Reading(t.Context()); err != nil || got != (Reading{}) {
		t.Errorf("reading %+v (%v), want none", got, err)
	}
}

// Each scrape counts all entries there are: without the index it would read all that is
// in them.
func TestEntriesAreCountedByAnIndex(t *testing.T) {
	b := newBook(t)
	var id, parent, unused int64
	var step string
	if err := b.read.QueryRowContext(t.Context(), `EXPLAIN QUERY PLAN `+entryCounts, 1).Scan(&id, &parent, &unused, &step); err != nil {
		t.Fatal(err)
	}
	if want := "SCAN entries USING COVERING INDEX entries_counts"; step != want {
		t.Errorf("%s, want %s", step, want)
	}
}
