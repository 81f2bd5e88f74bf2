package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"signoff/consumer"
)

const month = 30 * 24 * time.Hour

// passAddressOn has ann leave, as E1, and bea with the same address, as E2, in an
// hour. between comes between the two.
func (b *book) passAddressOn(between ...consumer.Event) {
	b.t.Helper()
	b.record(b.left("ann", employee("E1"), termination("T1"), b.said(6*month), b.leaving(-6*month)))
	b.answer(b.submit(b.due(b.now)...), map[string]Result{"id-ann": {Closed: true}})
	b.record(between...)
	b.record(b.left("ann", employee("E2"), termination("T2"), b.said(time.Hour), b.leaving(time.Hour)))
}

// states are those of all entries, the oldest first.
func (b *book) states() []State {
	b.t.Helper()
	var all []State
	for _, e := range b.all() {
		all = append(all, e.State)
	}
	return all
}

// What is said of ann, whose address bea has now, takes nothing of bea's back.
func TestWordOfWhoHadTheAddressBefore(t *testing.T) {
	type change = func(*consumer.Event)
	for name, c := range map[string]struct {
		word func(*book) change
		bea  State
	}{
		"rehired under another address":    {func(b *book) change { return both(goingBy("ann2@acme.com"), employee("E1"), b.rehired(0)) }, Waiting},
		"rehired, by the old address":      {func(b *book) change { return both(employee("E1"), b.rehired(0)) }, Waiting},
		"rescinded by the employee":        {func(*book) change { return both(goingBy(""), employee("E1"), rescind) }, Waiting},
		"rescinded by the termination":     {func(*book) change { return both(goingBy(""), termination("T1"), rescind) }, Waiting},
		"rescinded before bea left":        {func(b *book) change { return both(employee("E1"), rescind, b.said(month)) }, Waiting},
		"the address, before bea left":     {func(b *book) change { return both(rescind, b.said(month)) }, Waiting},
		"the address alone":                {func(*book) change { return rescind }, Cancelled},
		"the address, by an id of nobody":  {func(*book) change { return both(employee("E3"), rescind) }, Cancelled},
		"bea's, by the employee":           {func(*book) change { return both(goingBy(""), employee("E2"), rescind) }, Cancelled},
		"bea's, by the termination":        {func(*book) change { return both(goingBy(""), termination("T2"), rescind) }, Cancelled},
		"bea is rehired, by a new address": {func(b *book) change { return both(goingBy("b@acme.com"), employee("E2"), b.rehired(0)) }, Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.passAddressOn()
			b.record(b.left("ann", c.word(b)))
			if got := b.states(); !slices.Equal(got, []State{Closed, c.bea}) {
				t.Errorf("%v, want closed and %s", got, c.bea)
			}
			var want []string // to be opened again
			if c.bea == Waiting {
				want = []string{"id-ann"}
			}
			var got []string
			for _, h := range b.openHolds() {
				got = append(got, h.Users[0].ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("proposed to open %v, want %v", got, want)
			}
			b.verify()
		})
		t.Run(name+", and came before bea's termination", func(t *testing.T) {
			b := newBook(t)
			b.passAddressOn(b.left("ann", c.word(b)))
			if got := b.states(); !slices.Equal(got, []State{Closed, c.bea}) {
				t.Errorf("%v, want closed and %s", got, c.bea)
			}
		})
	}
}

// Who leaves again under another address does not take over what stands for
// whoever has the old one.
func TestTerminationOfWhoHadTheAddressBefore(t *testing.T) {
	b := newBook(t)
	b.passAddressOn()
	b.record(b.left("ann2", employee("E1"), b.said(0), b.leaving(month)))
	var got []string
	for _, e := range b.all() {
		got = append(got, fmt.Sprint(e.State, " ", e.Emails, " ", e.EffectiveAt.Sub(b.now)))
	}
	want := []string{fmt.Sprint("closed [ann@acme.com] ", -6*month), "waiting [ann@acme.com] 1h0m0s", fmt.Sprint("waiting [ann2@acme.com] ", month)}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Whoever gets the address that somebody has given up, who leaves under another
// one, leaves on a day of their own.
func TestAddressOfWhoLeavesUnderAnotherOne(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", employee("E1"), b.said(6*month)), b.left("m", employee("E1"), b.said(5*month)))
	b.record(b.left("m", employee("E1"), rescind, b.said(4*month)))
	b.record(b.left("m", employee("E1"), b.said(time.Hour), b.leaving(time.Hour)))
	b.record(b.left("ann", employee("E9"), b.said(0), b.leaving(month)))
	var days []time.Duration
	for _, e := range b.all() {
		if e.State == Waiting {
			days = append(days, e.EffectiveAt.Sub(b.now))
		}
	}
	if !slices.Equal(days, []time.Duration{time.Hour, month}) {
		t.Errorf("leave in %v, want each on a day of their own", days)
	}
}

// More is said of whoever has the address now: with the id or without it.
func TestTerminationOfWhoHasTheAddressNow(t *testing.T) {
	for name, by := range map[string]func(*consumer.Event){
		"by the employee": employee("E2"), "by the address alone": employee(""), "under another address": both(employee("E2"), goingBy("bea@acme.com")),
	} {
		for how, before := range map[string]func(*book) consumer.Event{
			"closed":    nil,
			"rescinded": func(b *book) consumer.Event { return b.left("ann", employee("E1"), rescind, b.said(5*month)) },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				b := newBook(t)
				if before == nil {
					b.passAddressOn()
				} else {
					b.record(b.left("ann", employee("E1"), b.said(6*month)), before(b))
					b.record(b.left("ann", employee("E2"), b.said(time.Hour), b.leaving(time.Hour)))
				}
				b.record(b.left("ann", by, b.said(0), b.leaving(2*time.Hour)))
				all := b.all()
				if len(all) != 2 || all[0].State.Open() || all[1].State != Waiting || !all[1].EffectiveAt.Equal(b.now.Add(2*time.Hour)) {
					t.Errorf("entries %+v, want bea's with the new day", all)
				}
			})
		}
	}
}

// The watch of who has the address now is not ended by the other's rehire, and
// outcomes name the address.
func TestWatchOfWhoHasTheAddressNow(t *testing.T) {
	b := newBook(t, func(c *Config) { c.Watch = week })
	b.passAddressOn()
	b.record(b.left("ann", employee("E2"), b.said(time.Minute)))
	b.answer(b.submit(b.due(b.now)...), map[string]Result{"id-ann": {Closed: true}})
	b.record(b.left("ann2", employee("E1"), b.rehired(0)))
	if got := b.watched(account, time.Now().Add(48*time.Hour)); len(got) != 1 || got[0] != "ann@acme.com 2" {
		t.Errorf("watched are %v of %v, want bea's", got, b.states())
	}
	found, _, err := b.OutcomesAfter(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range found {
		if o.Email != "ann@acme.com" {
			t.Errorf("an outcome of %q", o.Email)
		}
	}
}

// Of an address that very many have had, one after the other, each is heard, and
// the work for it does not grow with them.
func TestAddressOfVeryMany(t *testing.T) {
	b := newBook(t)
	for i := range 3 * manyAddresses {
		b.record(b.left("desk", employee(fmt.Sprint("E", i)), b.said(time.Duration(100-i)*time.Hour)))
		for _, r := range b.due(b.now) {
			b.settle(r.Entry, NotFound)
		}
	}
	if got := len(b.all()); got != 3*manyAddresses {
		t.Errorf("%d leavings, want %d", got, 3*manyAddresses)
	}
	if n := b.text(`SELECT COUNT(DISTINCT leaver) <= $1 FROM entries`, manyAddresses+1); n != "1" {
		t.Error("a leaver for each of them")
	}
}

// Two people have an address one after the other. In whatever order their words
// arrive, and whatever was closed meanwhile, what stands for the second is what
// was said of the second.
func TestOrderOfArrivalDoesNotMatterToWhoHasAnAddressLater(t *testing.T) {
	b := newBook(t)
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 13))
		first, second := b.saidInOrder(random, 1+random.IntN(3)), b.saidInOrder(random, 1+random.IntN(4))
		for i := range first {
			first[i].OccurredAt = first[i].OccurredAt.Add(-time.Minute)
			first[i].TerminationID = ""
		}
		rehire := b.left("", employee("E1"), b.rehired(0))
		rehire.Email = []string{"", "new@acme.com"}[random.IntN(2)] // the old one would speak to the second, were the first not known by then
		first = append(first, rehire)
		for i := range second {
			second[i].EmployeeID = "E2"
		}
		if !slices.ContainsFunc(second, func(e consumer.Event) bool { return e.Kind == consumer.Terminated }) {
			continue
		}
		want := standingWord(second)
		events := slices.Concat(first, second)
		for i := range 4 {
			random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			name := fmt.Sprintf("s%d-%d", seed, i)
			before := len(b.all())
			b.record(of(name, events)...)
			b.becomeDue(b.now, account)
			if got := whatBecame(b.all()[before:]); got != want {
				t.Errorf("seed %d: %s, want %s, of:", seed, got, want)
				for _, e := range events {
					t.Errorf("  %s said %v ago, effective in %v, id %q, employee %q, to %s", e.Kind, b.now.Sub(e.OccurredAt), e.EffectiveAt.Sub(b.now), e.TerminationID, e.EmployeeID, e.Email)
				}
			}
		}
	}
	b.verify()
}
