package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

func (b *book) replay(id int64, events []consumer.Event, rejects ...consumer.Reject) Reject {
	b.t.Helper()
	r, err := b.ReplayReject(b.t.Context(), id, events, rejects, "ana")
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func TestReplayedRejectIsRecorded(t *testing.T) {
	b := newBook(t)
	var recorded int
	b.observe.Received = func(_ consumer.Source, result string, n int) {
		if result == "recorded" {
			recorded += n
		}
	}
	r := b.replay(b.reject("x", "{}").ID, []consumer.Event{b.left("ann"), b.left("bob")})
	if r.State != RejectReplayed || r.Attempts != 2 || r.SettledBy != "ana" || r.SettledAt.IsZero() {
		t.Errorf("got %+v, want it replayed by ana", r)
	}
	b.is("ann", Waiting)
	b.is("bob", Waiting)
	if recorded != 2 || b.rejects() != 0 {
		t.Errorf("%d recorded, %d open rejects", recorded, b.rejects())
	}
	if got := b.text(`SELECT actor FROM audit WHERE action = 'reject_replayed'`); got != "ana" {
		t.Errorf("replayed by %q in the audit", got)
	}
	if _, err := b.ReplayReject(t.Context(), r.ID, nil, nil, "ana"); !errors.Is(err, ErrSettled) {
		t.Errorf("replayed twice: %v", err)
	}
	b.verify()
}

// A replay is judged as of when the event first came.
func TestReplayKeepsTheFirstReceipt(t *testing.T) {
	b := newBook(t)
	reject := b.reject("x", "{}")
	old := both(b.said(2*week), b.leaving(-2*week))
	b.replay(reject.ID, []consumer.Event{b.left("ann", old)})
	if e := b.entry("ann"); e.Stale || !e.ReceivedAt.Equal(reject.ReceivedAt) {
		t.Errorf("got %+v, want it fresh as of when it came", e)
	}
	b.record(b.left("bob", rescind, b.said(week)))
	b.replay(b.reject("y", "{}").ID, []consumer.Event{b.left("bob", func(e *consumer.Event) { e.OccurredAt = time.Time{} })})
	b.is("bob", Cancelled)
}

// keyOf is a key in the topic of the tests.
func keyOf(source, id string) consumer.Key {
	return consumer.Key{Origin: "hr.employee", Source: source, ID: id}
}

// keyed gives an event this key.
func keyed(source, id string) func(*consumer.Event) {
	return func(e *consumer.Event) { e.Key = keyOf(source, id) }
}

func failure(reason consumer.Reason, source, id string) consumer.Reject {
	return consumer.Reject{Key: keyOf(source, id), Reason: reason, Detail: "still not right"}
}

// rejectWith records a reject with this key, of a payload that is always the same.
func (b *book) rejectWith(r consumer.Reject) int64 {
	b.t.Helper()
	r.Payload, r.Position, r.ReceivedAt = []byte("{payload}"), "hr.employee/0/7", b.now.Add(-time.Hour)
	if err := b.Record(b.t.Context(), consumer.Intake{Source: consumer.Kafka, Rejects: []consumer.Reject{r}}); err != nil {
		b.t.Fatal(err)
	}
	last, err := b.LastReject(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return last
}

// otherwise is an event that was recorded, with other content.
func (b *book) otherwise(e consumer.Event) consumer.Event {
	b.t.Helper()
	b.record(e)
	e.Hash = "other"
	return e
}

func TestReplayThatFailsAgain(t *testing.T) {
	type made struct {
		events  []consumer.Event
		rejects []consumer.Reject
	}
	for name, tt := range map[string]struct {
		key  consumer.Key // of the reject
		make func(*book) made
		want consumer.Reason
	}{
		"not understood": {keyOf("hr", "x"), func(*book) made {
			return made{nil, []consumer.Reject{failure(consumer.NoEmail, "hr", "x")}}
		}, consumer.NoEmail},
		"others of the payload are understood": {keyOf("hr", "x"), func(b *book) made {
			return made{[]consumer.Event{b.left("ann")}, []consumer.Reject{failure(consumer.NoEmail, "hr", "x")}}
		}, consumer.NoEmail},
		"by whom it may not be said": {keyOf("x", "x"), func(b *book) made {
			return made{[]consumer.Event{b.left("bob", rescind, keyed("x", "x"))}, nil}
		}, consumer.MayNotRescind},
		"its key is in by other content": {keyOf("hr", "x"), func(b *book) made {
			return made{[]consumer.Event{b.left("ann"), b.otherwise(b.left("eve", keyed("hr", "x")))}, nil}
		}, consumer.IDReused},
		"its key could not be read before, and is in by other content": {keyOf("", "0/7"), func(b *book) made {
			return made{[]consumer.Event{b.otherwise(b.left("eve", keyed("hr", "y")))}, nil}
		}, consumer.IDReused},
		"its key could not be read before, and somebody gave up on it elsewhere": {keyOf("", "0/7"), func(b *book) made {
			f := failure(consumer.NoEmail, "hr", "y")
			if _, err := b.DiscardReject(b.t.Context(), b.rejectWith(f), "ana", "no"); err != nil {
				b.t.Fatal(err)
			}
			return made{nil, []consumer.Reject{f}}
		}, consumer.NoEmail},
		"the event that has no id but the payload's": {keyOf("", "0/7"), func(b *book) made {
			return made{[]consumer.Event{b.left("ann")}, []consumer.Reject{failure(consumer.NoEmail, "acme", "0/7")}}
		}, consumer.NoEmail},
		"by a key that the mapping has changed": {keyOf("hr", "x"), func(*book) made {
			return made{nil, []consumer.Reject{failure(consumer.NoEmail, "hr", "y")}}
		}, consumer.NoEmail},
		"the payload as a whole": {keyOf("hr", "x"), func(b *book) made {
			whole := failure(consumer.MappingFailed, "", "0/7") // once before: another reject, which was settled
			if _, err := b.DiscardReject(b.t.Context(), b.rejectWith(whole), "ana", "mended"); err != nil {
				b.t.Fatal(err)
			}
			return made{nil, []consumer.Reject{whole}}
		}, consumer.MappingFailed},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("bob"))
			id := b.rejectWith(consumer.Reject{Key: tt.key, Reason: consumer.InvalidData})
			m := tt.make(b)
			r := b.replay(id, m.events, m.rejects...)
			if r.ID != id || r.State != RejectOpen || r.Attempts != 2 || r.Reason != tt.want || r.Key != tt.key || b.rejects() != 1 {
				t.Errorf("got %+v and %d open, want the same one open with an attempt more", r, b.rejects())
			}
			for _, e := range m.events {
				if e.GivenName == "ann" {
					b.is("ann", Waiting)
				}
			}
			if got := b.text(`SELECT actor FROM audit WHERE action = 'reject_failed_again'`); got != "ana" {
				t.Errorf("replayed by %q in the audit", got)
			}
			if r := b.replay(id, nil); r.State != RejectReplayed || r.Attempts != 3 {
				t.Errorf("got %+v, want it settled once nothing fails", r)
			}
			b.verify()
		})
	}
}

// What else is in the payload has been recorded, or has a reject of its own.
func TestReplayLeavesTheOthersOfThePayloadAlone(t *testing.T) {
	b := newBook(t)
	ann := b.otherwise(b.left("ann", keyed("acme", "ann"))) // as the mapping had it then
	bob := b.rejectWith(failure(consumer.NoEmail, "acme", "bob"))
	dan := b.rejectWith(failure(consumer.NoEmail, "acme", "dan"))
	if _, err := b.DiscardReject(t.Context(), dan, "ana", "left long ago"); err != nil {
		t.Fatal(err)
	}
	eve := b.rejectWith(failure(consumer.NoEmail, "acme", "eve"))
	r := b.replay(eve, []consumer.Event{ann, b.left("eve", keyed("acme", "eve"))},
		failure(consumer.InvalidTime, "acme", "bob"), failure(consumer.NoEmail, "acme", "dan"))
	if r.State != RejectReplayed {
		t.Errorf("got %+v, want it replayed", r)
	}
	b.is("eve", Waiting)
	if r := b.findReject(bob); r.State != RejectOpen || r.Attempts != 1 || r.Reason != consumer.NoEmail {
		t.Errorf("got %+v, want it as it was", r)
	}
	if r := b.findReject(dan); r.State != RejectDiscarded || r.Attempts != 1 {
		t.Errorf("got %+v, want it as it was", r)
	}
	if n, err := b.LastReject(t.Context()); err != nil || n != eve {
		t.Errorf("the last reject is %d (%v), want no new one", n, err)
	}
	b.verify()
}

// A payload that was not understood as a whole comes to events of which some
// fail: each of them is a reject now.
func TestReplayMakesRejectsOfWhatFailsForTheFirstTime(t *testing.T) {
	b := newBook(t)
	var reasons []consumer.Reason
	b.observe.Rejected = func(r consumer.Reason) { reasons = append(reasons, r) }
	fay := b.otherwise(b.left("fay", keyed("acme", "fay"))) // by another payload
	id := b.rejectWith(failure(consumer.MappingFailed, "", "0/7"))
	reasons = nil
	r := b.replay(id, []consumer.Event{b.left("ann", keyed("acme", "ann")), fay}, failure(consumer.NoEmail, "acme", "bob"))
	if r.State != RejectReplayed {
		t.Errorf("got %+v, want it replayed", r)
	}
	b.is("ann", Waiting)
	made, err := b.OpenRejects(t.Context(), RejectFilter{}, id, 0)
	if err != nil || len(made) != 2 {
		t.Fatalf("made %v (%v), want two", made, err)
	}
	for i, want := range []struct {
		id     string
		reason consumer.Reason
	}{{"bob", consumer.NoEmail}, {"fay", consumer.IDReused}} {
		n := b.findReject(made[i])
		if n.Key != keyOf("acme", want.id) || n.Reason != want.reason || string(n.Payload) != "{payload}" ||
			n.Position != r.Position || !n.ReceivedAt.Equal(r.ReceivedAt) {
			t.Errorf("got %+v, want %s of the same payload", n, want.id)
		}
	}
	if !slices.Equal(reasons, []consumer.Reason{consumer.NoEmail, consumer.IDReused}) {
		t.Errorf("counted %v", reasons)
	}
	b.verify()
}

// What was once said to be none of our business and now fails is not known yet.
func TestReplayOpensWhatFailsAfterAll(t *testing.T) {
	b := newBook(t)
	bob := b.rejectWith(failure(consumer.NoEmail, "acme", "bob"))
	eve := b.rejectWith(failure(consumer.NoEmail, "acme", "eve"))
	b.replay(bob, nil)
	b.replay(eve, []consumer.Event{b.left("eve", keyed("acme", "eve"))}, failure(consumer.NoEmail, "acme", "bob"))
	if r := b.findReject(bob); r.State != RejectOpen {
		t.Errorf("got %+v, want it open again", r)
	}
	b.is("eve", Waiting)
}

func TestReplayThatComesToNothing(t *testing.T) {
	b := newBook(t)
	if r := b.replay(b.reject("x", "{}").ID, nil); r.State != RejectReplayed || b.rejects() != 0 {
		t.Errorf("got %+v, want it replayed: it is none of our business", r)
	}
}

func TestReplayNeedsTheWholePayload(t *testing.T) {
	b := newBook(t)
	for name, tt := range map[string]struct {
		payload string
		want    error
	}{
		"a head":  {strings.Repeat("a", maxPayload+1), ErrCut},
		"nothing": {"", ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			r := b.reject(name, tt.payload)
			if _, err := b.ReplayReject(t.Context(), r.ID, []consumer.Event{b.left("ann")}, nil, "ana"); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want it refused: %v", err, tt.want)
			}
			if r := b.findReject(r.ID); r.State != RejectOpen || r.Attempts != 1 {
				t.Errorf("got %+v, want it as it was", r)
			}
		})
	}
	if len(b.entries("ann")) != 0 {
		t.Error("recorded what was refused")
	}
}

// What was settled and fails once more is not passed over, unless a person has
// said that nothing is to come of it.
func TestSettledRejectThatComesAgain(t *testing.T) {
	b := newBook(t)
	replayed, discarded := failure(consumer.NoEmail, "hr", "x"), failure(consumer.NoEmail, "hr", "y")
	one, two := b.rejectWith(replayed), b.rejectWith(discarded)
	b.replay(one, nil)
	if _, err := b.DiscardReject(t.Context(), two, "ana", "a test"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.WipeRejects(t.Context(), b.now.AddDate(0, 0, 31)); err != nil {
		t.Fatal(err)
	}
	b.rejectWith(replayed)
	b.rejectWith(discarded)
	if r := b.findReject(one); r.State != RejectOpen || r.Attempts != 3 || string(r.Payload) != "{payload}" || !r.SettledAt.IsZero() || r.SettledBy != "" {
		t.Errorf("got %+v, want it open again", r)
	}
	if r := b.findReject(two); r.State != RejectDiscarded || r.Attempts != 2 || len(r.Payload) != 0 {
		t.Errorf("got %+v, want it discarded still", r)
	}
	b.verify()
}

// A source that pauses for its rejects goes on once a person has settled one.
func TestSettledRejectsMakeRoom(t *testing.T) {
	b := newBook(t)
	b.fillRejects(consumer.Kafka)
	b.raw(`UPDATE rejects SET payload = '{}', size = 2 WHERE id = 1`)
	for _, settle := range []struct {
		how string
		do  func() error
	}{
		{"replayed", func() error { _, err := b.ReplayReject(t.Context(), 1, nil, nil, "ana"); return err }},
		{"discarded", func() error { _, err := b.DiscardReject(t.Context(), 2, "ana", "noise"); return err }},
	} {
		more := consumer.Intake{Source: consumer.Kafka, Rejects: []consumer.Reject{{Key: consumer.Key{ID: settle.how}, Reason: consumer.NoEmail}}}
		if err := b.Record(t.Context(), more); !errors.Is(err, consumer.ErrFull) {
			t.Fatalf("%s: %v, want the source to pause", settle.how, err)
		}
		if err := settle.do(); err != nil {
			t.Fatal(err)
		}
		if err := b.Record(t.Context(), more); err != nil {
			t.Errorf("%s: %v, want it to go on", settle.how, err)
		}
	}
}
