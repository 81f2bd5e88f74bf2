package ledger

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"signoff/consumer"
)

const (
	deadline = 24 * time.Hour
	overdue  = deadline + time.Microsecond // after due
)

// counts fails unless these leavings are counted at a time after the test began, as
// `met none` or `missed held`.
func (b *book) counts(at time.Duration, want ...string) {
	b.t.Helper()
	counted, err := b.CountDeadlines(b.t.Context(), b.now.Add(at), deadline)
	var got []string
	for _, d := range counted {
		word := wordMissed
		if d.Met {
			word = wordMet
		}
		got = append(got, word+" "+d.Cause)
	}
	if err != nil || !slices.Equal(got, want) {
		b.t.Errorf("after %v counted %q (%v), want %q", at, got, err, want)
	}
}

func TestDeadlines(t *testing.T) {
	park := func(b *book, a Account) {
		b.t.Helper()
		if err := b.SetAccount(b.t.Context(), a); err != nil {
			b.t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		do   func(*book)
		at   time.Duration
		want string // "": nothing
	}{
		"closed in time": {func(b *book) { b.toState(Closed) }, 0, "met none"},
		"closed at the last moment": {func(b *book) {
			b.toState(Closed)
			b.raw(`UPDATE entries SET due_at = settled_at - $1`, deadline.Microseconds())
		}, 0, "met none"},
		"closed too late": {func(b *book) {
			b.toState(Closed)
			b.raw(`UPDATE entries SET due_at = settled_at - $1`, overdue.Microseconds())
		}, 0, "missed none"},
		"had no user":                 {func(b *book) { b.settle(b.plan("ann")[0].Entry, NotFound) }, 0, "met none"},
		"due, at the last moment":     {func(b *book) { b.toState(Due) }, deadline, ""},
		"due for too long":            {func(b *book) { b.toState(Due) }, overdue, "missed none"},
		"held, at the last moment":    {func(b *book) { b.toState(Held) }, deadline, ""},
		"held for too long":           {func(b *book) { b.toState(Held) }, overdue, "missed held"},
		"submitted for too long":      {func(b *book) { b.toState(Submitted) }, overdue, "missed none"},
		"failed, at the last moment":  {func(b *book) { b.toState(Failed) }, deadline, ""},
		"failed for too long":         {func(b *book) { b.toState(Failed) }, overdue, "missed failed"},
		"failed, then moved":          {func(b *book) { b.toState(Failed); b.record(b.left("ann", b.leaving(72*time.Hour))) }, overdue, ""},
		"leaves later":                {func(b *book) { b.record(b.left("ann", b.leaving(72*time.Hour))) }, overdue, ""},
		"left, and in no account yet": {func(b *book) { b.record(b.left("ann")) }, overdue, "missed none"},
		"deferred":                    {func(b *book) { b.toState(Due); b.deferTo("ann", 72*time.Hour) }, 72*time.Hour + deadline, ""},
		"deferred, and then late":     {func(b *book) { b.toState(Due); b.deferTo("ann", 72*time.Hour) }, 72*time.Hour + overdue, "missed none"},
		"skipped":                     {func(b *book) { b.toState(Held); _, _, _ = b.Reject(b.t.Context(), b.word(1, "ana", "no")) }, overdue, ""},
		"taken back":                  {func(b *book) { b.toState(Held); b.record(b.left("ann", rescind)) }, overdue, ""},
		"a dry run would close":       {func(b *book) { b.toState(WouldClose) }, overdue, ""},
		"told of after the deadline": {func(b *book) {
			b.record(b.left("ann", b.leaving(-overdue)))
			b.answer(b.submit(b.due(b.now)...), map[string]Result{"id-ann": {Closed: true}})
		}, 0, "met notice"},
		"told of at the deadline": {func(b *book) {
			b.record(b.left("ann", b.leaving(-deadline)))
			b.answer(b.submit(b.due(b.now)...), map[string]Result{"id-ann": {Closed: true}})
		}, 0, "met none"},
		"the account is parked":                {func(b *book) { b.toState(Due); park(b, Account{ID: account, Parked: "consent"}) }, overdue, "missed parked"},
		"another account is parked":            {func(b *book) { b.toState(Due); park(b, Account{ID: "other", Parked: "consent"}) }, overdue, "missed none"},
		"it was parked before it was in one":   {func(b *book) { b.record(b.left("ann")); park(b, Account{ID: account, Parked: "sign_in"}) }, overdue, "missed parked"},
		"the account waits for its quota":      {func(b *book) { b.toState(Due); park(b, Account{ID: account, ResumeAt: b.now.Add(overdue + 1000)}) }, overdue, "missed quota"},
		"the account has waited for its quota": {func(b *book) { b.toState(Due); park(b, Account{ID: account, ResumeAt: b.now.Add(overdue)}) }, overdue, "missed none"},
		"held in a parked account":             {func(b *book) { b.toState(Held); park(b, Account{ID: account, Parked: "consent"}) }, overdue, "missed held"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			tt.do(b)
			if tt.want == "" {
				b.counts(tt.at)
				return
			}
			b.counts(tt.at, tt.want)
			b.counts(tt.at + week) // once
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			b.Ledger = openLedger(t, b.cfg)
			b.counts(tt.at + week) // over restarts, too
		})
	}
}

// TestDeadlineOfALeaving: a leaver is counted once for one leaving, over all accounts.
func TestDeadlineOfALeaving(t *testing.T) {
	const a, z = "a", "z" // the accounts
	of := func(b *book, account string) []Resolved { b.t.Helper(); return b.dueIn(account, b.now.Add(week)) }
	closeIn := func(b *book, account string) {
		b.t.Helper()
		b.answer(b.submitIn(account, of(b, account)...), map[string]Result{"id-ann": {Closed: true}})
	}
	holdIn := func(b *book, account string) {
		b.t.Helper()
		if _, err := b.MakeHold(b.t.Context(), account, []Kind{Protected}, "", false, of(b, account)); err != nil {
			b.t.Fatal(err)
		}
	}
	skipIn := func(b *book, account string) {
		b.t.Helper()
		b.raw(`UPDATE entries SET state = 'skipped', settled_at = $1 WHERE account = $2`, micros(b.now), account)
	}
	for name, do := range map[string]func(*book){
		"closed in both": func(b *book) {
			closeIn(b, a)
			b.counts(deadline) // the other has time
			closeIn(b, z)
			b.counts(deadline, "met none")
		},
		"closed in one, late in the other": func(b *book) {
			closeIn(b, a)
			b.counts(overdue, "missed none")
			closeIn(b, z)
		},
		"held in both": func(b *book) {
			holdIn(b, a)
			holdIn(b, z)
			b.counts(overdue, "missed held")
			closeIn(b, z)
		},
		"the gravest cause": func(b *book) {
			holdIn(b, z)
			b.counts(overdue, "missed held")
		},
		"closed in one, skipped in the other": func(b *book) {
			closeIn(b, a)
			skipIn(b, z)
			b.counts(overdue, "met none")
		},
		"skipped in both, then tried again": func(b *book) {
			skipIn(b, a)
			skipIn(b, z)
			b.counts(overdue)
			b.must(b.Retry(b.t.Context(), byAna("ann")))
			b.counts(overdue+time.Minute, "missed none")
		},
		"met, then it turns out that there is another address": func(b *book) {
			closeIn(b, a)
			holdIn(b, z)
			b.counts(0)
			b.record(b.left("ann", also("a2@acme.com"), b.said(0)))
			b.becomeDue(b.now.Add(time.Hour), a, z)
			b.counts(week, "missed held")
		},
		"deferred in both": func(b *book) {
			b.deferTo("ann", 72*time.Hour)
			b.counts(72*time.Hour + deadline)
			b.counts(72*time.Hour+overdue, "missed none")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann"))
			b.becomeDue(b.now, a, z)
			do(b)
			b.counts(2 * week)
			b.becomeDue(b.now.Add(2*week), a, z, "new")
			b.counts(3 * week)
		})
	}
}

// TestDeadlineOfAReturn: whoever is open again has a deadline anew, by when that was
// found, and no late notice is to blame.
func TestDeadlineOfAReturn(t *testing.T) {
	for name, tt := range map[string]struct {
		at   time.Duration
		do   func(*book)
		want string
	}{
		"closed again": {0, func(b *book) {
			b.answer(b.submit(b.due(time.Now())...), map[string]Result{"id-ann": {Closed: true}})
		}, "met none"},
		"held": {overdue + time.Minute, func(b *book) { b.hold(b.due(time.Now()), Returned) }, "missed held"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, func(c *Config) { c.Watch = week })
			b.record(b.left("ann", b.leaving(-2*deadline)))
			b.answer(b.submit(b.due(b.now)...), map[string]Result{"id-ann": {Closed: true}})
			b.counts(0, "met notice")
			b.mustReturn(b.entry("ann"))
			tt.do(b)
			b.counts(tt.at, tt.want)
			b.counts(tt.at)
		})
	}
}

// TestDeadlinesCountedBefore: until 0.4 each entry was counted on its own. What a leaving
// has been counted as is not counted anew.
func TestDeadlinesCountedBefore(t *testing.T) {
	for name, tt := range map[string]struct {
		marks [2]string // of the two entries
		want  []string
	}{
		"one met, the other open": {[2]string{"met", ""}, nil},
		"one missed":              {[2]string{"", "missed"}, nil},
		"one skipped":             {[2]string{"none", ""}, []string{"missed none"}},
		"neither":                 {[2]string{"", ""}, []string{"missed none"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann"))
			b.becomeDue(b.now, "a", "z")
			for i, account := range []string{"a", "z"} {
				state := "due"
				if tt.marks[i] == "none" {
					state = "skipped"
				}
				b.raw(`UPDATE entries SET deadline = $1, state = $2 WHERE account = $3`, tt.marks[i], state, account)
			}
			b.counts(overdue, tt.want...)
			b.counts(week)
		})
	}
}

// TestManyDeadlines: more than one transaction takes.
func TestManyDeadlines(t *testing.T) {
	b := newBook(t)
	var events []consumer.Event
	for i := range dueTogether + 10 {
		events = append(events, b.left("p"+string(rune('a'+i%26))+stamp(time.Unix(int64(i), 0))))
	}
	b.record(events...)
	got, err := b.CountDeadlines(t.Context(), b.now.Add(overdue), deadline)
	if err != nil || len(got) != len(events) {
		t.Errorf("counted %d (%v), want %d", len(got), err, len(events))
	}
	b.counts(overdue)
}

// TestDeadlineAgrees: what counts as missed is overdue in the metrics as long as it is
// open, and late in the report.
func TestDeadlineAgrees(t *testing.T) {
	for name, tt := range map[string]struct {
		do     func(*book)
		missed string // the cause; "": it is not
		open   bool   // when it is counted
	}{
		"due":                 {func(b *book) { b.toState(Due) }, "none", true},
		"held":                {func(b *book) { b.toState(Held) }, "held", true},
		"submitted":           {func(b *book) { b.toState(Submitted) }, "none", true},
		"failed":              {func(b *book) { b.toState(Failed) }, "failed", true},
		"in no account yet":   {func(b *book) { b.record(b.left("ann")) }, "none", true},
		"closed":              {func(b *book) { b.toState(Closed) }, "", false},
		"a dry run":           {func(b *book) { b.toState(WouldClose) }, "", true},
		"skipped":             {func(b *book) { b.toState(Held); _, _, _ = b.Reject(b.t.Context(), b.word(1, "ana", "no")) }, "", false},
		"deferred":            {func(b *book) { b.toState(Due); b.deferTo("ann", week) }, "", true},
		"the day has moved":   {func(b *book) { b.toState(Due); b.record(b.left("ann", b.said(0), b.leaving(week))) }, "", true},
		"a day that is to be": {func(b *book) { b.record(b.left("ann", b.leaving(week))) }, "", true},
		"closed late": {func(b *book) {
			plan := b.plan("ann")
			time.Sleep(overdue)
			b.answer(b.submit(plan...), map[string]Result{"id-ann": {Closed: true}})
		}, "none", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBook(t)
				tt.do(b)
				time.Sleep(time.Until(b.now.Add(overdue + time.Second)))
				s, err := b.Stats(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				late := false
				for _, since := range s.Overdue {
					late = late || time.Since(since) > deadline
				}
				if want := tt.missed != "" && tt.open; late != want {
					t.Errorf("overdue %v, want it %v", s.Overdue, want)
				}
				r, err := b.Report(t.Context(), b.now.Add(-week), b.now.Add(2*week), deadline)
				if got := r.All.Overdue + r.All.Of[ClosedLate]; err != nil || (got == 1) != (tt.missed != "") {
					t.Errorf("the report has %d late (%v): %+v", got, err, r.All)
				}
				if tt.missed != "" {
					b.counts(time.Since(b.now), "missed "+tt.missed)
				} else if counted, err := b.CountDeadlines(t.Context(), time.Now(), deadline); err != nil || slices.ContainsFunc(counted, func(d Deadline) bool { return !d.Met }) {
					t.Errorf("counted %v (%v)", counted, err)
				}
			})
		})
	}
}
