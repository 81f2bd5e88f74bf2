package ledger

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"signoff/consumer"
)

// rescind makes of an event one that takes a termination back, said just now.
func rescind(e *consumer.Event) {
	e.Kind, e.OccurredAt, e.EffectiveAt = consumer.Rescinded, e.ReceivedAt, e.ReceivedAt
}

// rehired makes of an event a rehire that takes effect in a while, said just now.
func (b *book) rehired(in time.Duration) func(*consumer.Event) {
	return func(e *consumer.Event) {
		e.Kind, e.OccurredAt, e.EffectiveAt = consumer.Rehired, b.now, b.now.Add(in)
	}
}

func from(source string) func(*consumer.Event) {
	return func(e *consumer.Event) { e.Key.Source = source }
}

func termination(id string) func(*consumer.Event) {
	return func(e *consumer.Event) { e.TerminationID = id }
}

func employee(id string) func(*consumer.Event) {
	return func(e *consumer.Event) { e.EmployeeID = id }
}

func goingBy(email string) func(*consumer.Event) {
	return func(e *consumer.Event) { e.Email = email }
}

// openHolds are the holds that wait for a decision.
func (b *book) openHolds() []Hold {
	b.t.Helper()
	holds, err := b.OpenHolds(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return holds
}

func (b *book) rejects() int {
	b.t.Helper()
	s, err := b.Stats(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return s.Rejects
}

func TestRescindCancelsWhatIsOpen(t *testing.T) {
	for _, s := range []State{Due, Held, WouldClose, Failed} {
		t.Run(string(s), func(t *testing.T) {
			b := newBook(t)
			b.toState(s)
			b.record(b.left("ann", rescind))
			b.is("ann", Cancelled)
			if e := b.entry("ann"); e.Reason != "rescinded" || e.SettledAt.IsZero() {
				t.Errorf("got %+v, want it settled as rescinded", e)
			}
			if open := b.openHolds(); len(open) != 0 {
				t.Errorf("open holds %+v, want none", open)
			}
			if got := b.due(b.now.Add(48 * time.Hour)); len(got) != 0 {
				t.Errorf("%+v is due", got)
			}
			b.verify()
		})
	}
	t.Run("waiting", func(t *testing.T) {
		b := newBook(t)
		b.record(b.left("ann", b.leaving(time.Hour)))
		b.record(b.left("ann", rescind))
		b.is("ann", Cancelled)
	})
	t.Run("in every account", func(t *testing.T) {
		b := newBook(t)
		b.record(b.left("ann"))
		b.becomeDue(b.now, account, "other")
		b.record(b.left("ann", rescind))
		for _, e := range b.entries("ann") {
			if e.State != Cancelled {
				t.Errorf("%s in %s, want it cancelled", e.State, e.Account)
			}
		}
	})
	t.Run("and leaves the hold to others", func(t *testing.T) {
		b := newBook(t)
		h := b.hold(b.plan("ann", "bob"), Limit)
		b.record(b.left("ann", rescind))
		if open := b.openHolds(); len(open) != 1 || len(open[0].Users) != 1 || open[0].Users[0].ID != "id-bob" {
			t.Fatalf("open holds %+v, want bob's", open)
		}
		b.approve(h.ID)
		b.is("ann", Cancelled)
		b.is("bob", Due)
	})
}

func TestPlanOfBeforeTheRescindTakesNobody(t *testing.T) {
	b := newBook(t)
	plan := b.plan("ann", "bob")
	b.record(b.left("ann", rescind))
	if batch := b.submit(plan...); len(batch.Members) != 1 || batch.Members[0].Entry.Leaver != "bob@acme.com" {
		t.Errorf("submitted %+v, want bob alone", batch.Members)
	}
}

// How a rescind finds whom it speaks of; ann is terminated as T1, as E1 of hr,
// with the further address a2@acme.com.
func TestWhomARescindSpeaksOf(t *testing.T) {
	for name, tt := range map[string]struct {
		by   []func(*consumer.Event)
		want State
	}{
		"by email":                        {nil, Cancelled},
		"by a further email":              {[]func(*consumer.Event){goingBy("a2@acme.com")}, Cancelled},
		"by another's":                    {[]func(*consumer.Event){goingBy("bob@acme.com")}, Waiting},
		"by a further one of its own":     {[]func(*consumer.Event){goingBy("new@acme.com"), also("ann@acme.com")}, Cancelled},
		"both have it as a further email": {[]func(*consumer.Event){goingBy("bob@acme.com"), also("a2@acme.com")}, Waiting},
		"by employee alone":               {[]func(*consumer.Event){goingBy(""), employee("E1")}, Cancelled},
		"by employee, the email changed":  {[]func(*consumer.Event){goingBy("new@acme.com"), employee("E1")}, Cancelled},
		"by email, the employee changed":  {[]func(*consumer.Event){employee("E2")}, Cancelled},
		"by another source's employee":    {[]func(*consumer.Event){goingBy(""), employee("E1"), from("may")}, Waiting},
		"by termination alone":            {[]func(*consumer.Event){goingBy("new@acme.com"), employee("E2"), termination("T1")}, Cancelled},
		"by nothing but the termination":  {[]func(*consumer.Event){goingBy(""), termination("T1")}, Cancelled},
		"of another termination":          {[]func(*consumer.Event){termination("T2"), employee("E1")}, Waiting},
		"another source's id of its own":  {[]func(*consumer.Event){termination("X9"), from("may")}, Cancelled},
		"another source's id of somebody": {[]func(*consumer.Event){termination("T1"), goingBy("bob@acme.com"), from("may")}, Waiting},
		"another source, by termination":  {[]func(*consumer.Event){termination("T1"), goingBy(""), employee("E9"), from("may")}, Cancelled},
	} {
		for order, first := range map[string]bool{"after it": false, "before it": true} {
			t.Run(name+", "+order, func(t *testing.T) {
				b := newBook(t, func(c *Config) {
					c.Rescinders = func(_, by consumer.Key) bool { return by.Source == "may" }
				})
				left := b.left("ann", termination("T1"), employee("E1"), also("a2@acme.com"), b.leaving(time.Hour))
				word := b.left("ann", append([]func(*consumer.Event){rescind}, tt.by...)...)
				if first {
					left, word = word, left
				}
				b.record(left)
				b.record(word)
				b.is("ann", tt.want)
			})
		}
	}
}

// The surest sign decides: who merely has the address is left alone.
func TestRescindGoesByTheSurestSign(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", termination("T1")), b.left("bob", termination("")))
	b.record(b.left("bob", rescind, termination("T1")))
	b.is("ann", Cancelled)
	b.is("bob", Waiting)
}

func TestEarlierRescindChangesNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		said time.Duration // ago; the termination: an hour
		want State
	}{
		"said before":         {2 * time.Hour, Waiting},
		"said later":          {time.Minute, Cancelled},
		"at the same instant": {time.Hour, Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", b.leaving(time.Hour)))
			b.record(b.left("ann", rescind, b.said(tt.said)))
			b.is("ann", tt.want)
			want := "rescinded"
			if tt.want == Waiting {
				want = "superseded"
			}
			if n := b.text(`SELECT COUNT(*) FROM audit WHERE action = $1 AND entry = 1`, want); n != "1" {
				t.Errorf("%s steps %s in the audit, want one", n, want)
			}
			if b.rejects() != 0 {
				t.Error("rejected")
			}
		})
	}
}

func TestRescindWithoutATimeWasSaidWhenItCame(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.said(-time.Hour)))
	b.record(b.left("ann", rescind, func(e *consumer.Event) { e.OccurredAt = time.Time{} }))
	b.is("ann", Waiting)
}

func TestRescindThatCameFirst(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", rescind, b.said(time.Minute)))
	b.record(b.left("ann"))
	b.is("ann", Cancelled)
	b.record(b.left("ann", b.said(2*time.Hour), also("a9@acme.com"))) // older still
	b.is("ann", Cancelled)
	b.record(b.left("ann", b.said(time.Second)))
	if got := b.entries("ann"); len(got) != 2 || got[1].State != Waiting {
		t.Errorf("entries %+v, want a new one for the word after the rescind", got)
	}
}

// What came before a leaving that was taken back as a whole opens nothing, with
// whatever addresses.
func TestOlderNewsThanWhatWasTakenBack(t *testing.T) {
	b := newBook(t)
	b.toState(Closed)
	b.record(b.left("ann", b.said(10*time.Minute), also("a9@acme.com")), b.left("ann", rescind, b.said(time.Minute)))
	b.record(b.left("ann", b.said(20*time.Minute), also("a9@acme.com")))
	if got := b.entries("ann"); len(got) != 2 || got[0].State != Closed || got[1].State != Cancelled {
		t.Errorf("entries %+v, want one closed and one cancelled", got)
	}
}

func TestTerminationAfterARescind(t *testing.T) {
	b := newBook(t)
	b.toState(Held)
	b.record(b.left("ann", rescind, b.said(time.Minute)))
	b.record(b.left("ann", b.said(time.Second)))
	if got := b.entries("ann"); len(got) != 2 || got[0].State != Cancelled || got[1].State != Waiting {
		t.Errorf("entries %+v, want the first cancelled and the second waiting", got)
	}
}

func TestWhoMayRescind(t *testing.T) {
	for name, tt := range map[string]struct {
		by     func(*consumer.Event)
		cancel bool
	}{
		"the source that announced it":   {from("hr"), true},
		"another source":                 {from("other"), false},
		"the same source, another topic": {func(e *consumer.Event) { e.Key.Origin = "other" }, false},
		"one that the config names":      {from("may"), true},
	} {
		for kind, make := range map[string]func(*book) func(*consumer.Event){
			"rescind": func(*book) func(*consumer.Event) { return rescind },
			"rehire":  func(b *book) func(*consumer.Event) { return b.rehired(0) },
		} {
			for order, first := range map[string]bool{"after": false, "before": true} {
				t.Run(kind+" by "+name+", "+order, func(t *testing.T) {
					b := newBook(t, func(c *Config) {
						c.Rescinders = func(announced, by consumer.Key) bool { return announced.Source == "hr" && by.Source == "may" }
					})
					word := b.left("ann", make(b), tt.by, func(e *consumer.Event) { e.Payload = []byte("{}") })
					if first {
						b.record(word)
					}
					b.record(b.left("ann"))
					if !first {
						b.record(word)
					}
					want, rejects := Waiting, 1
					if tt.cancel {
						want, rejects = Cancelled, 0
					}
					b.is("ann", want)
					if got := b.rejects(); got != rejects {
						t.Fatalf("%d rejects, want %d", got, rejects)
					}
					if rejects == 1 {
						if got := b.text(`SELECT reason || ' ' || payload || ' ' || event_id FROM rejects`); got != "may_not_rescind {} "+word.Key.ID {
							t.Errorf("rejected as %s", got)
						}
						if n := b.text(`SELECT COUNT(*) FROM keys WHERE id = $1`, word.Key.ID); n != "0" {
							t.Error("the reject took its key")
						}
					}
				})
			}
		}
	}
}

func TestRehireByItsDay(t *testing.T) {
	for name, tt := range map[string]struct {
		left, rehired time.Duration // from now
		want          State
	}{
		"in effect, close overdue":                  {-72 * time.Hour, -time.Minute, Cancelled},
		"later than the close":                      {-72 * time.Hour, time.Hour, Due},
		"within a day of the termination":           {-time.Hour, 22 * time.Hour, Cancelled},
		"a day after the termination":               {-time.Hour, 23 * time.Hour, Cancelled},
		"more than a day after it":                  {-time.Hour, 23*time.Hour + time.Second, Due},
		"before the termination takes effect":       {72 * time.Hour, 24 * time.Hour, Cancelled},
		"days after a termination that is to come":  {72 * time.Hour, 100 * time.Hour, Waiting},
		"a day after a termination that is to come": {72 * time.Hour, 96 * time.Hour, Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", b.leaving(tt.left)))
			b.becomeDue(b.now, account)
			b.record(b.left("ann", b.rehired(tt.rehired)))
			b.is("ann", tt.want)
		})
	}
}

// A close that was put off until the rehire is in effect is sent no more.
func TestRehireComesIntoEffect(t *testing.T) {
	for _, s := range []State{Due, Held, Failed} {
		t.Run(string(s), func(t *testing.T) {
			b := newBook(t)
			b.toState(s)
			b.record(b.left("ann", b.rehired(48*time.Hour)))
			b.is("ann", s)
			b.becomeDue(b.now.Add(47*time.Hour), account)
			if b.entry("ann").State == Cancelled {
				t.Fatal("cancelled before the day")
			}
			b.becomeDue(b.now.Add(48*time.Hour), account)
			b.is("ann", Cancelled)
			if open := b.openHolds(); len(open) != 0 {
				t.Errorf("open holds %+v, want none", open)
			}
		})
	}
	t.Run("between the plan and its sending", func(t *testing.T) {
		b := newBook(t)
		b.record(b.left("ann", b.leaving(-72*time.Hour)))
		plan := b.due(b.now)
		b.record(b.left("ann", b.rehired(time.Hour)))
		b.raw(`UPDATE cancels SET effective_at = $1`, micros(b.now.Add(-time.Second)))
		if batch := b.submit(plan...); batch.ID != 0 {
			t.Error("submitted although the rehire is in effect")
		}
	})
}

func TestMovedTerminationIsHeardAnewByTheRehire(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.leaving(-72*time.Hour)))
	b.record(b.left("ann", b.rehired(48*time.Hour), b.said(time.Minute)))
	b.record(b.left("ann", b.said(30*time.Minute), b.leaving(30*time.Hour)))
	b.is("ann", Cancelled) // the rehire is within a day of the new day
}

func TestCancelWhileOnTheWire(t *testing.T) {
	closed := map[string]Result{"id-ann": {Closed: true}}
	refused := map[string]Result{"id-ann": {Reason: "NO"}}
	for name, tt := range map[string]struct {
		word    func(*book) func(*consumer.Event)
		results map[string]Result
		want    State
		reopens int
	}{
		"rescinded, closed":       {func(*book) func(*consumer.Event) { return rescind }, closed, Closed, 1},
		"rescinded, refused":      {func(*book) func(*consumer.Event) { return rescind }, refused, Cancelled, 0},
		"rescinded, no answer":    {func(*book) func(*consumer.Event) { return rescind }, nil, Submitted, 0},
		"rehired now, closed":     {func(b *book) func(*consumer.Event) { return b.rehired(0) }, closed, Closed, 1},
		"rehired now, refused":    {func(b *book) func(*consumer.Event) { return b.rehired(0) }, refused, Cancelled, 0},
		"rehired later, closed":   {func(b *book) func(*consumer.Event) { return b.rehired(72 * time.Hour) }, closed, Closed, 1},
		"rehired later, refused":  {func(b *book) func(*consumer.Event) { return b.rehired(72 * time.Hour) }, refused, Due, 0},
		"a rescind of before":     {func(b *book) func(*consumer.Event) { return both(rescind, b.said(2*time.Hour)) }, refused, Due, 0},
		"no word at all, refused": {nil, refused, Due, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.observe.Cancelled = func(string) { t.Error("counted, and returned as settled as well") }
			batch := b.submit(b.plan("ann")...)
			if tt.word != nil {
				b.record(b.left("ann", tt.word(b)))
			}
			b.is("ann", Submitted)
			settled := b.answer(batch, tt.results)
			b.is("ann", tt.want)
			if (len(settled) == 1) != !tt.want.Open() {
				t.Errorf("settled %+v", settled)
			}
			if got := len(b.openHolds()); got != tt.reopens {
				t.Errorf("%d proposals, want %d", got, tt.reopens)
			}
			b.verify()
		})
	}
}

func both(changes ...func(*consumer.Event)) func(*consumer.Event) {
	return func(e *consumer.Event) {
		for _, c := range changes {
			c(e)
		}
	}
}

func TestCancelWhileOnTheWireThenWithdrawn(t *testing.T) {
	b := newBook(t)
	var counted []string
	b.observe.Cancelled = func(account string) { counted = append(counted, account) }
	batch := b.submit(b.plan("ann", "bob")...)
	b.record(b.left("ann", rescind))
	if err := b.Withdraw(t.Context(), batch, "parked"); err != nil {
		t.Fatal(err)
	}
	b.is("ann", Cancelled)
	b.is("bob", Due)
	if !slices.Equal(counted, []string{account}) {
		t.Errorf("counted %v, want the one that was cancelled", counted)
	}
}

func TestLaterTerminationEndsWhatWasKeptInMind(t *testing.T) {
	b := newBook(t)
	batch := b.submit(b.plan("ann")...)
	b.record(b.left("ann", rescind, b.said(time.Minute)))
	b.record(b.left("ann", b.said(time.Second)))
	b.answer(batch, map[string]Result{"id-ann": {Reason: "NO"}})
	b.is("ann", Due)
}

func TestCancelEndsTheWatch(t *testing.T) {
	for name, word := range map[string]func(*book) func(*consumer.Event){
		"a rescind":         func(*book) func(*consumer.Event) { return rescind },
		"a rehire":          func(b *book) func(*consumer.Event) { return b.rehired(0) },
		"a rehire some day": func(b *book) func(*consumer.Event) { return b.rehired(week) },
	} {
		for order, before := range map[string]bool{"after the close": false, "before its answer": true} {
			t.Run(name+" "+order, func(t *testing.T) {
				b := newBook(t, func(c *Config) { c.Watch = week })
				batch := b.submit(b.plan("ann")...)
				if before {
					b.record(b.left("ann", word(b)))
				}
				b.answer(batch, map[string]Result{"id-ann": {Closed: true}})
				if !before {
					if got := b.watched(account, b.now.Add(time.Hour)); len(got) != 1 {
						t.Fatalf("watched %v, want ann", got)
					}
					b.record(b.left("ann", word(b)))
				}
				if got := b.watched(account, b.now.Add(time.Hour)); len(got) != 0 {
					t.Errorf("watched %v, want nobody", got)
				}
			})
		}
	}
}

func TestRescindOfWhoReturned(t *testing.T) {
	b := newBook(t, func(c *Config) { c.Watch = week })
	b.toState(Closed)
	b.mustReturn(b.entry("ann"))
	b.record(b.left("ann", rescind))
	if got := b.entries("ann"); len(got) != 2 || got[1].State != Cancelled {
		t.Errorf("entries %+v, want the one that returned cancelled", got)
	}
}

// An upgrade can be taken back for a while: who was announced to the older signoff,
// which writes neither origin nor identities, is found all the same.
func TestCancelFindsWhomAnOlderVersionTookIn(t *testing.T) {
	for name, back := range map[string]func(*consumer.Event){
		"by the email":       rescind,
		"by the employee":    both(goingBy(""), employee("E1"), rescind),
		"by the termination": both(goingBy(""), termination("T1"), rescind),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", employee("E1"), termination("T1"), b.leaving(time.Hour)))
			cfg := b.cfg
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			b.raw(`UPDATE entries SET origin = ''`)
			b.raw(`DELETE FROM identities`)
			b.Ledger = openLedger(t, cfg)
			b.record(b.left("ann", back, b.said(0)))
			b.only(Cancelled, "ann@acme.com")
		})
	}
}

func TestCancelOfNobodyIsToldOf(t *testing.T) {
	b := newBook(t)
	var told []string
	b.observe.Unmatched = func(kind consumer.Kind, origin string, auditRow int64) {
		told = append(told, fmt.Sprint(kind, " ", origin, " ", b.text(`SELECT action FROM audit WHERE seq = $1`, auditRow)))
	}
	b.record(b.left("ann"))
	b.record(b.left("ann", rescind, b.said(-time.Minute)))
	b.record(b.left("ann", rescind, b.said(time.Hour))) // said before it left: overtaken, not unknown
	b.record(b.left("bob", rescind))
	if want := []string{"rescinded hr.employee rescinded"}; !slices.Equal(told, want) {
		t.Errorf("told of %q, want %q", told, want)
	}
}
