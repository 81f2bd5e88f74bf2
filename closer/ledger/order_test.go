package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"signoff/consumer"
)

// The states that a set of events ends in do not depend on the order in which
// they arrive: it is that of who goes by the order in which they were said.
func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	b := newBook(t)
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 4))
		events := b.saidInOrder(random, 2+random.IntN(6))
		want := standingWord(events)
		for i := range 3 {
			random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			name := fmt.Sprintf("p%d-%d", seed, i)
			b.record(of(name, events)...)
			b.becomeDue(b.now, account)
			if got := b.whatStands(name); got != want {
				t.Errorf("seed %d: %s, want %s, of:", seed, got, want)
				for _, e := range events {
					t.Errorf("  %s said %v ago, effective in %v, id %q, to %s", e.Kind, b.now.Sub(e.OccurredAt), e.EffectiveAt.Sub(b.now), e.TerminationID, e.Email)
				}
			}
		}
	}
	b.verify()
}

// of makes the same events of somebody else.
func of(name string, events []consumer.Event) []consumer.Event {
	var theirs []consumer.Event
	for _, e := range events {
		for _, s := range []*string{&e.Key.ID, &e.Email, &e.EmployeeID, &e.TerminationID} {
			if *s != "" {
				*s = name + *s
			}
		}
		theirs = append(theirs, e)
	}
	return theirs
}

// saidInOrder makes terminations, rescinds and rehires of somebody, each said
// a second after the one before.
func (b *book) saidInOrder(random *rand.Rand, n int) []consumer.Event {
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	var events []consumer.Event
	for i := range n {
		change := both(b.said(time.Duration(n-i)*time.Second), b.leaving(time.Duration(random.IntN(200)-100)*time.Hour), employee("E1"))
		e := b.left("", change, termination(pick("", "T1", "T2")))
		switch random.IntN(5) {
		case 0, 1:
			e.Kind, e.Email = consumer.Rescinded, pick("@acme.com", "")
		case 2:
			e.Kind, e.Email, e.TerminationID = consumer.Rehired, pick("@acme.com", "new@acme.com", ""), ""
		}
		events = append(events, e)
	}
	return events
}

// standingWord says what a person would make of events, told in the order in
// which they were said: the last termination stands unless it was taken back.
func standingWord(events []consumer.Event) string {
	last := -1
	for i, e := range events {
		if e.Kind == consumer.Terminated {
			last = i
		}
	}
	if last < 0 {
		return "nothing"
	}
	left := events[last]
	soonest := left.EffectiveAt.Add(24 * time.Hour)
	if soonest.Before(left.ReceivedAt) {
		soonest = left.ReceivedAt
	}
	for _, e := range events[last+1:] {
		switch {
		case e.Kind == consumer.Rescinded && (e.TerminationID == "" || left.TerminationID == "" || e.TerminationID == left.TerminationID):
			return "cancelled"
		case e.Kind == consumer.Rehired && !e.EffectiveAt.After(soonest):
			return "cancelled"
		}
	}
	return "leaves " + left.EffectiveAt.String()
}

// whatStands says what the ledger made of a leaver.
func (b *book) whatStands(name string) string {
	b.t.Helper()
	return whatBecame(b.entries(name))
}

func whatBecame(all []Entry) string {
	open := slices.DeleteFunc(slices.Clone(all), func(e Entry) bool { return !e.State.Open() })
	switch {
	case len(all) == 0:
		return "nothing"
	case len(open) == 0:
		return string(Cancelled)
	case len(open) > 1:
		return fmt.Sprint(len(open), " open entries")
	}
	return "leaves " + open[0].EffectiveAt.String()
}
