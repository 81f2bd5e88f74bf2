package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

// report is what became of everybody who left within a week of now.
func (b *book) report() Report {
	b.t.Helper()
	return b.reportOf(b.now.Add(-week), b.now.Add(week), 24*time.Hour)
}

func (b *book) reportOf(since, until time.Time, deadline time.Duration) Report {
	b.t.Helper()
	r, err := b.Report(b.t.Context(), since, until, deadline)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// counts are the classes of a tally that anybody is in, and the states of the open.
func (t Tally) counts() string {
	var words []string
	for _, c := range Classes() {
		if t.Of[c] > 0 {
			words = append(words, fmt.Sprint(t.Of[c], " ", c))
		}
	}
	for _, s := range openStates {
		if t.Open[s] > 0 {
			words = append(words, fmt.Sprint(t.Open[s], " ", s))
		}
	}
	return strings.Join(words, ", ")
}

func TestReportClasses(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*book)
		want string
	}{
		"nobody":                 {func(*book) {}, ""},
		"closed":                 {func(b *book) { b.toState(Closed) }, "1 closed_in_time"},
		"closed a day too late":  {func(b *book) { b.toState(Closed); b.moveDue(-25 * time.Hour) }, "1 closed_late"},
		"closed at the deadline": {func(b *book) { b.toState(Closed); b.raw(`UPDATE entries SET due_at = settled_at - 86400000000`) }, "1 closed_in_time"},
		"due":                    {func(b *book) { b.toState(Due) }, "1 open, 1 due"},
		"held":                   {func(b *book) { b.toState(Held) }, "1 open, 1 held"},
		"submitted":              {func(b *book) { b.toState(Submitted) }, "1 open, 1 submitted"},
		"failed":                 {func(b *book) { b.toState(Failed) }, "1 open, 1 failed"},
		"not due yet":            {func(b *book) { b.record(b.left("ann", b.leaving(time.Hour))) }, "1 open, 1 waiting"},
		"deferred": {func(b *book) {
			b.record(b.left("ann", b.leaving(time.Hour)))
			b.raw(`UPDATE entries SET deferred_until = due_at + 1`)
		}, "1 open, 1 deferred"},
		"in a dry run": {func(b *book) { b.toState(WouldClose) }, "1 would_close"},
		"skipped": {func(b *book) {
			if _, _, err := b.Reject(b.t.Context(), b.word(b.hold(b.plan("ann"), Limit).ID, "ana", "no")); err != nil {
				b.t.Fatal(err)
			}
		}, "1 skipped"},
		"taken back":       {func(b *book) { b.record(b.left("ann"), b.left("ann", rescind)) }, "1 taken_back"},
		"no user":          {func(b *book) { b.settle(b.plan("ann")[0].Entry, NotFound) }, "1 no_user"},
		"closed by others": {func(b *book) { b.settle(b.plan("ann")[0].Entry, AlreadyClosed) }, "1 no_user"},
		"closed in one account, and no user in the other": {func(b *book) {
			b.record(b.left("ann"))
			b.becomeDue(b.now, "a", "b")
			b.closeIn("a", "ann")
			b.settle(b.dueIn("b", b.now)[0].Entry, NotFound)
		}, "1 closed_in_time"},
		"closed in one account, and due in the other": {func(b *book) {
			b.record(b.left("ann"))
			b.becomeDue(b.now, "a", "b")
			b.closeIn("a", "ann")
		}, "1 open, 1 due"},
		"left after the period":  {func(b *book) { b.record(b.left("ann", b.leaving(week))) }, ""},
		"left before the period": {func(b *book) { b.record(b.left("ann", b.leaving(-week-time.Second))) }, ""},
		"left as it began":       {func(b *book) { b.record(b.left("ann", b.leaving(-week))) }, "1 open, 1 waiting"},
		"several": {func(b *book) {
			plan := b.plan("ann", "bob", "cid")
			b.answer(b.submit(plan[0]), map[string]Result{"id-ann": {Closed: true}})
			b.hold(plan[1:2], Protected)
			b.settle(plan[2].Entry, NotFound)
		}, "1 open, 1 closed_in_time, 1 no_user, 1 held"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			tt.do(b)
			r := b.report()
			if got := r.All.counts(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			b.addsUp(r)
		})
	}
}

func (b *book) moveDue(by time.Duration) {
	b.raw(`UPDATE entries SET due_at = due_at + $1`, by.Microseconds())
}

// TestReportTellsWhatIsOnRecord is about one leaving: which event, who said what,
// which call.
func TestReportTellsWhatIsOnRecord(t *testing.T) {
	b := newBook(t)
	plan := b.plan("ann")
	login := b.now.Add(-time.Minute) // she left an hour ago
	plan[0].Users[0].LastLogin = login
	h := b.hold(plan, Limit)
	for _, by := range []string{"ben", "ana"} {
		if _, err := b.Approve(b.t.Context(), b.word(h.ID, by, "checked with HR"), Terms{People: 2, Expires: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	due := b.dueIn(account, b.now)
	due[0].Users[0].LastLogin = login
	b.answer(b.submit(due...), map[string]Result{"id-ann": {Closed: true}})

	r := b.report()
	if len(r.Leavings) != 1 {
		t.Fatalf("%d leavings, want 1", len(r.Leavings))
	}
	l := r.Leavings[0]
	for what, ok := range map[string]bool{
		"the event":      l.Origin == "hr.employee" && l.Source == "hr" && l.EventID == "e1",
		"the email":      l.Email == "ann@acme.com",
		"the account":    l.Account == account,
		"the times":      l.EffectiveAt.Equal(b.now.Add(-time.Hour)) && l.ReceivedAt.Equal(b.now) && l.DueAt.Equal(b.now),
		"how long":       l.Took == l.SettledAt.Sub(l.DueAt) && l.Took > 0,
		"the user":       len(l.Users) == 1 && l.Users[0].ID == "id-ann" && l.Users[0].Outcome == Closed && l.Users[0].Trace == "trace",
		"the login":      l.LastLogin().Equal(login) && l.LoggedIn() && r.All.LoggedIn == 1 && r.All.LoginsKnown == 1,
		"the decisions":  len(l.Decisions) == 2 && l.Decisions[0].By == "ben" && l.Decisions[1].By == "ana" && l.Decisions[1].What == "approved" && l.Decisions[1].Hold == h.ID,
		"why":            len(l.Decisions) == 2 && l.Decisions[1].Why == "checked with HR",
		"the chain":      r.Head == b.verify().Rows && r.Hash == b.verify().Head,
		"the other days": len(b.reportOf(b.now, b.now.Add(week), time.Hour).Leavings) == 0,
	} {
		if !ok {
			t.Errorf("%s: %+v", what, l)
		}
	}
}

// TestReportOfWhoLoggedIn counts nobody whose login was before they left, or whose
// leaving was taken back.
func TestReportOfWhoLoggedIn(t *testing.T) {
	for name, tt := range map[string]struct {
		login time.Duration // after now; ann left an hour ago
		after func(*book)
		want  int
	}{
		"before leaving":         {-61 * time.Minute, nil, 0},
		"at that moment":         {-time.Hour, nil, 0},
		"after it":               {-59 * time.Minute, nil, 1},
		"and was taken back":     {-59 * time.Minute, func(b *book) { b.raw(`UPDATE entries SET state = 'cancelled'`) }, 0},
		"and her name is erased": {-59 * time.Minute, func(b *book) { b.raw(`UPDATE entries SET leaver = 'x', erased_at = 1`) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			plan := b.plan("ann")
			plan[0].Users[0].LastLogin = b.now.Add(tt.login)
			b.answer(b.submit(plan...), map[string]Result{"id-ann": {Closed: true}})
			if tt.after != nil {
				tt.after(b)
			}
			if got := b.report().All.LoggedIn; got != tt.want {
				t.Errorf("%d logged in after leaving, want %d", got, tt.want)
			}
		})
	}
}

// TestReportOfWhoLoggedInAndIsHeld: they are those who can still sign.
func TestReportOfWhoLoggedInAndIsHeld(t *testing.T) {
	for name, do := range map[string]func(*book, Hold){
		"held":     func(*book, Hold) {},
		"approved": func(b *book, h Hold) { b.approve(h.ID) },
		"skipped": func(b *book, h Hold) {
			if _, _, err := b.Reject(b.t.Context(), b.word(h.ID, "ana", "no")); err != nil {
				b.t.Fatal(err)
			}
		},
		"taken out of the hold": func(b *book, h Hold) {
			d := b.word(h.ID, "ana", "")
			d.Only = []string{"ann@acme.com"}
			if _, err := b.Approve(b.t.Context(), d, aDay); err != nil {
				b.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			plan := b.plan("ann", "bob")
			plan[0].Users[0].LastLogin = b.now.Add(-time.Minute)
			do(b, b.hold(plan, Limit))
			r := b.report()
			if l := r.Leavings[0]; r.All.LoggedIn != 1 || len(l.Users) != 1 || l.Users[0].ID != "id-ann" || (l.State == Held) != (l.Hold != 0) {
				t.Errorf("%d logged in, %+v", r.All.LoggedIn, l)
			}
		})
	}
}

// addsUp holds a report against plain counts of the table.
func (b *book) addsUp(r Report) {
	b.t.Helper()
	in := fmt.Sprintf(` FROM entries WHERE effective_at >= %d AND effective_at < %d AND reason <> '%s'`, micros(r.Since), micros(r.Until), sameAsOpen)
	if got, want := fmt.Sprint(len(r.Leavings)), b.text(`SELECT COUNT(*)`+in); got != want {
		b.t.Errorf("%s leavings, %s in the table", got, want)
	}
	tallies := append([]AccountTally{{"all", r.All}}, r.Accounts...)
	for _, a := range tallies {
		of, open := 0, 0
		for _, n := range a.Of {
			of += n
		}
		for _, n := range a.Open {
			open += n
		}
		where := ""
		if a.Account != "all" {
			where = ` AND account = '` + a.Account + `'`
		}
		leavers := b.text(`SELECT COUNT(DISTINCT leaver)` + in + where)
		stillOpen := b.text(`SELECT COUNT(DISTINCT leaver)` + in + where + ` AND state IN ('waiting', 'due', 'held', 'submitted', 'failed')`)
		closed := b.text(`SELECT COUNT(DISTINCT leaver)` + in + where + ` AND state = 'closed' AND leaver NOT IN (SELECT leaver` + in + where +
			` AND state IN ('waiting', 'due', 'held', 'submitted', 'failed', 'would_close', 'skipped'))`)
		if of != a.Leavers || fmt.Sprint(of) != leavers {
			b.t.Errorf("%s: the classes make %d, leavers are %d, the table has %s", a.Account, of, a.Leavers, leavers)
		}
		if open != a.Tally.Of[StillOpen] || fmt.Sprint(open) != stillOpen {
			b.t.Errorf("%s: the open states make %d, open are %d, the table has %s", a.Account, open, a.Tally.Of[StillOpen], stillOpen)
		}
		if got := fmt.Sprint(a.Tally.Of[ClosedSoon] + a.Tally.Of[ClosedLate]); got != closed {
			b.t.Errorf("%s: %s are closed, the table has %s", a.Account, got, closed)
		}
		if a.WithUser() < 0 || a.Overdue > a.Tally.Of[StillOpen] || a.LoggedIn > a.LoginsKnown || a.LoginsKnown > a.Leavers {
			b.t.Errorf("%s: %+v cannot be", a.Account, a.Tally)
		}
	}
}

// Whatever happened: everybody is in one class, and two halves make the whole.
func TestReportAddsUpAtRandom(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			b := newBook(t, func(c *Config) { c.Watch = week })
			r := rand.New(rand.NewPCG(seed, 1))
			days := randomDays{book: b, r: r, accounts: []string{"a", "b", "c"}, heard: make(map[string]bool)}
			names := []string{"bob", "cid", "dan", "eve", "fay"}
			for range 40 {
				days.step()
				name := names[r.IntN(len(names))]
				change := []func(*consumer.Event){b.leaving(time.Duration(r.IntN(96)-48) * time.Hour)}
				if r.IntN(4) == 0 {
					change = append(change, rescind)
				}
				b.record(b.left(name, change...))
				whole := b.report()
				b.addsUp(whole)
				middle := b.now.Add(time.Duration(r.IntN(96)-48) * time.Hour)
				early, late := b.reportOf(whole.Since, middle, time.Hour), b.reportOf(middle, whole.Until, time.Hour)
				if both := slices.Concat(early.Leavings, late.Leavings); len(both) != len(whole.Leavings) {
					t.Fatalf("%d and %d leavings, together %d", len(early.Leavings), len(late.Leavings), len(whole.Leavings))
				}
				b.addsUp(early)
			}
		})
	}
}
