package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"signoff/consumer"
)

// all returns all entries but those whose place others have taken.
func (b *book) all() []Entry {
	b.t.Helper()
	all, err := b.Entries(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e Entry) bool { return e.State == Cancelled && e.Reason == sameAsOpen })
}

// only is the only entry, which must be open or not, and look these addresses up.
func (b *book) only(state State, addresses ...string) Entry {
	b.t.Helper()
	all := b.all()
	if len(all) != 1 || all[0].State != state {
		b.t.Fatalf("entries %+v, want one that is %s", all, state)
	}
	got := slices.Sorted(slices.Values(all[0].Emails))
	if slices.Sort(addresses); !slices.Equal(got, addresses) {
		b.t.Errorf("looks up %v, want %v", got, addresses)
	}
	return all[0]
}

func TestChangedEmailFollowsTheEmployee(t *testing.T) {
	married := func(b *book, change ...func(*consumer.Event)) consumer.Event {
		return b.left("ann", append([]func(*consumer.Event){goingBy("married@acme.com"), employee("E1"), b.leaving(2 * time.Hour)}, change...)...)
	}
	maiden := func(b *book, change ...func(*consumer.Event)) consumer.Event {
		return b.left("ann", append([]func(*consumer.Event){employee("E1"), b.leaving(time.Hour), b.said(2 * time.Hour)}, change...)...)
	}
	const oldEmail, newEmail = "ann@acme.com", "married@acme.com"
	t.Run("one entry, both addresses, the later day", func(t *testing.T) {
		b := newBook(t)
		b.record(maiden(b), married(b))
		if e := b.only(Waiting, oldEmail, newEmail); !e.EffectiveAt.Equal(b.now.Add(2 * time.Hour)) {
			t.Errorf("leaves at %v, want what was said last", e.EffectiveAt)
		}
		b.verify()
	})
	t.Run("whichever comes first", func(t *testing.T) {
		b := newBook(t)
		b.record(married(b), maiden(b))
		if e := b.only(Waiting, oldEmail, newEmail); !e.EffectiveAt.Equal(b.now.Add(2 * time.Hour)) {
			t.Errorf("leaves at %v, want what was said last", e.EffectiveAt)
		}
	})
	t.Run("also after a restart", func(t *testing.T) {
		b := newBook(t)
		b.record(maiden(b))
		cfg := b.cfg
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b.Ledger = openLedger(t, cfg)
		b.record(married(b))
		b.only(Waiting, oldEmail, newEmail)
	})
	for name, back := range map[string]func(*consumer.Event){
		"rescinded by the old email":    both(goingBy(oldEmail), rescind),
		"rescinded by the new email":    both(goingBy(newEmail), rescind),
		"rescinded by the employee":     both(goingBy(""), employee("E1"), rescind),
		"rescinded by the termination":  both(goingBy(""), termination("T2"), rescind),
		"rescinded by another employee": both(goingBy(newEmail), employee("E2"), rescind), // an entity transfer
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(maiden(b, termination("T1")), married(b, termination("T2")), b.left("ann", back))
			b.only(Cancelled, oldEmail, newEmail)
		})
	}
	t.Run("the new email alone is the same leaver from then on", func(t *testing.T) {
		b := newBook(t)
		b.record(maiden(b), married(b), b.left("ann", goingBy(newEmail), b.said(0), b.leaving(3*time.Hour)))
		if e := b.only(Waiting, oldEmail, newEmail); !e.EffectiveAt.Equal(b.now.Add(3 * time.Hour)) {
			t.Errorf("leaves at %v, want what was said last", e.EffectiveAt)
		}
	})
	for name, other := range map[string]func(*consumer.Event){
		"another source's id is another employee": from("another hr"),
		"another topic's as well":                 func(e *consumer.Event) { e.Key.Origin = "another" },
		"another id":                              employee("E2"),
		"no id":                                   employee(""),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(maiden(b), married(b, other))
			if all := b.all(); len(all) != 2 {
				t.Errorf("entries %+v, want two leavers", all)
			}
		})
	}
}

// The plan of before the change is not sent: it knows one address alone.
func TestChangedEmailOfWhoIsDue(t *testing.T) {
	for _, s := range []State{Due, Held, WouldClose, Failed, Submitted} {
		t.Run(string(s), func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", employee("E1"), b.said(3*time.Hour)))
			b.toState(s)
			plan := b.dueIn(account, b.now)
			b.record(b.left("ann", goingBy("married@acme.com"), employee("E1"), b.said(time.Minute)))
			b.only(s, "ann@acme.com", "married@acme.com")
			if len(plan) > 0 {
				if batch := b.submit(plan...); batch.ID != 0 {
					t.Errorf("sent %+v", batch)
				}
			}
			b.verify()
		})
	}
}

// Who has left under the old email leaves under the new one anew: nobody has
// looked for that.
func TestChangedEmailAfterTheClose(t *testing.T) {
	b := newBook(t, func(c *Config) { c.Watch = week })
	b.record(b.left("ann", employee("E1"), b.said(3*time.Hour)))
	b.answer(b.submit(b.due(b.now)...), map[string]Result{"id-ann": {Closed: true}})
	b.is("ann", Closed)
	b.record(b.left("ann", goingBy("married@acme.com"), employee("E1"), b.said(time.Minute)))
	if plan := b.due(b.now); len(plan) != 1 || !slices.Equal(plan[0].Entry.Emails, []string{"married@acme.com"}) {
		t.Fatalf("plan %+v, want the new address", plan)
	}
	if got := b.watched(account, time.Now().Add(48*time.Hour)); len(got) != 1 {
		t.Errorf("watched are %v, want the old address still", got)
	}
	b.record(b.left("ann", goingBy(""), employee("E1"), rescind))
	b.is("married", Cancelled)
	if h := b.proposal(); h.Users[0].ID != "id-ann" {
		t.Errorf("proposed %+v, want whom signoff closed", h)
	}
}

// Two leavers who turn out to be one are one, while they wait.
func TestLeaversTurnOutToBeTheSame(t *testing.T) {
	b := newBook(t)
	b.record(
		b.left("ann", b.said(3*time.Hour), b.leaving(time.Hour)),
		b.left("ann", goingBy("married@acme.com"), employee("E1"), b.said(time.Minute), b.leaving(3*time.Hour), urgent))
	if all := b.all(); len(all) != 2 {
		t.Fatalf("entries %+v, want two", all)
	}
	b.record(b.left("ann", employee("E1"), b.said(2*time.Hour), b.leaving(2*time.Hour)))
	if e := b.only(Waiting, "ann@acme.com", "married@acme.com"); !e.EffectiveAt.Equal(b.now.Add(3*time.Hour)) || !e.Urgent {
		t.Errorf("%+v: want what was said last, urgent", e)
	}
	if due := b.due(b.now.Add(2 * time.Hour)); len(due) != 0 {
		t.Errorf("%+v is due before the day", due)
	}
	b.verify()
}

// Once one of the two may be on the wire, they stay two; a word reaches both.
func TestLeaversTurnOutToBeTheSameTooLate(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.said(3*time.Hour)), b.left("ann", goingBy("married@acme.com"), employee("E1"), b.said(3*time.Hour)))
	b.submit(b.due(b.now)...)
	b.record(b.left("ann", employee("E1"), b.said(2*time.Hour)))
	b.record(b.left("ann", goingBy(""), employee("E1"), rescind))
	for _, e := range b.all() {
		var cancel int
		if b.text(`SELECT cancel FROM entries WHERE id = $1`, e.ID) == fmt.Sprint(cancel) {
			t.Errorf("entry %d has not heard of the rescind", e.ID)
		}
	}
	if all := b.all(); len(all) != 2 {
		t.Errorf("entries %+v, want both", all)
	}
}

// An id that many go by is nobody's: they must not take each other's days over.
func TestFillerIsNoEmployee(t *testing.T) {
	b := newBook(t)
	for i := range 3 * manyAddresses {
		b.record(b.left(fmt.Sprint("p", i), employee("0"), b.said(time.Duration(100-i)*time.Minute), b.leaving(time.Hour)))
	}
	if all := b.all(); len(all) < 2*manyAddresses {
		t.Errorf("%d entries for %d people", len(all), 3*manyAddresses)
	}
	for _, e := range b.all() {
		if len(e.Emails) > manyAddresses+1 {
			t.Errorf("an entry of %d people", len(e.Emails))
		}
	}
}

// By what many go by, a word of one of them takes nobody else's termination back,
// whichever of the two comes first.
func TestFillerTakesNobodyElseBack(t *testing.T) {
	for name, shared := range map[string]func(*consumer.Event){
		"an employee's id": employee("0"), "a termination's id": termination("layoff"), "a further address": also("hr@acme.com"),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			back := b.left("p10", shared, rescind, b.said(0))
			if name == "a further address" {
				back = b.left("hr", rescind, b.said(0))
			}
			for i := range 5 * manyAddresses {
				b.record(b.left(fmt.Sprint("p", i), shared, b.leaving(time.Hour)))
			}
			before := len(b.all())
			b.record(back)
			var cancelled []string
			for _, e := range b.all() {
				if e.State == Cancelled {
					cancelled = append(cancelled, e.Emails...)
				}
			}
			if want := []string{"p10@acme.com"}; name == "a further address" && len(cancelled) > 0 ||
				name != "a further address" && !slices.Equal(cancelled, want) {
				t.Errorf("of %d entries %v were cancelled, want %v", before, cancelled, want)
			}
			b.record(b.left("late", shared, b.leaving(time.Hour), b.said(2*time.Hour)))
			b.is("late", Waiting)
		})
	}
}

// Whatever the order of arrival, a person of changing emails ends as who goes by
// the order in which the words were said, and never with two open entries.
func TestOrderOfArrivalDoesNotMatterToWhoChangesEmails(t *testing.T) {
	b := newBook(t)
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 11))
		events := b.saidInOrder(random, 2+random.IntN(5))
		for i := range events {
			if e := &events[i]; e.Email != "" {
				e.Email = []string{"@acme.com", "m@acme.com", "k@acme.com"}[random.IntN(3)]
			}
		}
		want := standingWord(events)
		for i := range 4 {
			random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			name := fmt.Sprintf("q%d-%d", seed, i)
			before := len(b.all())
			b.record(of(name, events)...)
			b.becomeDue(b.now, account)
			if got := whatBecame(b.all()[before:]); got != want {
				t.Errorf("seed %d: %s, want %s, of:", seed, got, want)
				for _, e := range events {
					t.Errorf("  %s said %v ago, effective in %v, id %q, to %s", e.Kind, b.now.Sub(e.OccurredAt), e.EffectiveAt.Sub(b.now), e.TerminationID, e.Email)
				}
			}
		}
	}
	b.verify()
}

// TestEveryOrderOfArrival says the same words, by different names and sources, in
// all orders: what is left to close must be the same.
func TestEveryOrderOfArrival(t *testing.T) {
	n := 0
	for seed := range uint64(8) {
		b := newBook(t)
		random := rand.New(rand.NewPCG(seed, 12))
		pick := func(of ...string) string { return of[random.IntN(len(of))] }
		events := b.saidInOrder(random, 4)
		for i := range events {
			e := &events[i]
			e.EmployeeID = pick("E1", "E1", "")
			e.Email = pick("@acme.com", "m@acme.com")
			switch { // of two signs the surer one counts, and which that is depends on who is known by then
			case e.Kind == consumer.Terminated:
			case e.EmployeeID != "":
				e.Email = ""
			}
		}
		var first string
		for order := range permutations(len(events)) {
			var told []consumer.Event
			for _, i := range order {
				told = append(told, events[i])
			}
			n++
			before := len(b.all())
			b.record(of(fmt.Sprint("r", n, "-"), told)...)
			b.becomeDue(b.now, account)
			var days []string
			for _, e := range b.all()[before:] {
				if e.State.Open() {
					days = append(days, e.EffectiveAt.Sub(b.now).String())
				}
			}
			slices.Sort(days)
			got := fmt.Sprint(slices.Compact(days))
			if first == "" {
				first = got
			}
			if got != first {
				t.Errorf("seed %d: leaves in %s, and in another order %s, of:", seed, got, first)
				for _, e := range told {
					t.Errorf("  %s said %v ago, effective in %v, id %q, employee %q, to %s", e.Kind, b.now.Sub(e.OccurredAt), e.EffectiveAt.Sub(b.now), e.TerminationID, e.EmployeeID, e.Email)
				}
				break
			}
		}
		b.verify()
	}
}

// permutations are all orders of the numbers up to n.
func permutations(n int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		var place func(order []int) bool
		place = func(order []int) bool {
			if len(order) == n {
				return yield(order)
			}
			for i := range n {
				if !slices.Contains(order, i) && !place(append(slices.Clone(order), i)) {
					return false
				}
			}
			return true
		}
		place(nil)
	}
}
