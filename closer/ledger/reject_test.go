package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

// reject records a reject with this payload, received two weeks ago, and
// returns it as it is kept.
func (b *book) reject(id, payload string) Reject {
	b.t.Helper()
	r := consumer.Reject{Key: consumer.Key{Origin: "hr.employee", Source: "hr", ID: id}, Reason: consumer.InvalidData,
		Detail: "data: missing", Payload: []byte(payload), ReceivedAt: b.now.Add(-2 * week)}
	if err := b.Record(b.t.Context(), consumer.Intake{Source: consumer.Kafka, Rejects: []consumer.Reject{r}}); err != nil {
		b.t.Fatal(err)
	}
	all, err := b.Rejects(b.t.Context(), RejectFilter{Limit: 1})
	if err != nil || len(all) != 1 {
		b.t.Fatalf("rejects %+v (%v)", all, err)
	}
	return all[0]
}

func (b *book) findReject(id int64) Reject {
	b.t.Helper()
	r, err := b.FindReject(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *book) replay(id int64, events []consumer.Event, rejects ...consumer.Reject) Reject {
	b.t.Helper()
	r, err := b.ReplayReject(b.t.Context(), id, events, rejects, "ana")
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func TestRejectsAreListed(t *testing.T) {
	b := newBook(t)
	one, two := b.reject("one", "{1}"), b.reject("two", "{2}")
	if _, err := b.DiscardReject(t.Context(), one.ID, "ana", "a test"); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		filter RejectFilter
		want   []int64
	}{
		"all, the newest first": {RejectFilter{}, []int64{two.ID, one.ID}},
		"open":                  {RejectFilter{State: RejectOpen}, []int64{two.ID}},
		"discarded":             {RejectFilter{State: RejectDiscarded}, []int64{one.ID}},
		"by reason":             {RejectFilter{Reason: consumer.InvalidData}, []int64{two.ID, one.ID}},
		"by another reason":     {RejectFilter{Reason: consumer.NoEmail}, nil},
		"by the way in":         {RejectFilter{Via: consumer.Webhook}, nil},
		"by topic":              {RejectFilter{Origin: "hr.employee"}, []int64{two.ID, one.ID}},
		"the first page":        {RejectFilter{Limit: 1}, []int64{two.ID}},
		"the second page":       {RejectFilter{Limit: 1, Before: two.ID}, []int64{one.ID}},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := b.Rejects(t.Context(), tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, r := range all {
				got = append(got, r.ID)
				if len(r.Payload) > 0 {
					t.Error("a payload in the list")
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	r := b.findReject(two.ID)
	if string(r.Payload) != "{2}" || r.Reason != consumer.InvalidData || r.Detail != "data: missing" || r.Key.ID != "two" ||
		r.Via != consumer.Kafka || r.Attempts != 1 || r.State != RejectOpen || !r.ReceivedAt.Equal(b.now.Add(-2*week)) {
		t.Errorf("got %+v", r)
	}
	if _, err := b.FindReject(t.Context(), 99); !errors.Is(err, ErrNoReject) {
		t.Errorf("got %v, want that there is none", err)
	}
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

func TestReplayThatFailsAgain(t *testing.T) {
	noEmail := consumer.Reject{Reason: consumer.NoEmail, Detail: "email: missing"}
	for name, tt := range map[string]struct {
		events  func(*book) []consumer.Event
		rejects []consumer.Reject
		want    consumer.Reason
	}{
		"not understood":             {nil, []consumer.Reject{noEmail}, consumer.NoEmail},
		"understood in part":         {func(b *book) []consumer.Event { return []consumer.Event{b.left("ann")} }, []consumer.Reject{noEmail}, consumer.NoEmail},
		"by whom it may not be said": {func(b *book) []consumer.Event { return []consumer.Event{b.left("bob", rescind, from("x"))} }, nil, consumer.MayNotRescind},
		"its key is in by other content": {func(b *book) []consumer.Event {
			e := b.left("eve")
			b.record(e)
			e.Hash = "other"
			return []consumer.Event{e}
		}, nil, consumer.IDReused},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("bob"))
			id := b.reject("x", "{}").ID
			var events []consumer.Event
			if tt.events != nil {
				events = tt.events(b)
			}
			r := b.replay(id, events, tt.rejects...)
			if r.ID != id || r.State != RejectOpen || r.Attempts != 2 || r.Reason != tt.want || b.rejects() != 1 {
				t.Errorf("got %+v and %d open, want the same one open with an attempt more", r, b.rejects())
			}
			if name == "understood in part" {
				b.is("ann", Waiting)
			}
			if r := b.replay(id, events); name == "understood in part" && r.State != RejectReplayed {
				t.Errorf("%s, want the rest to settle it", r.State)
			}
			b.verify()
		})
	}
}

func TestReplayNeedsTheWholePayload(t *testing.T) {
	b := newBook(t)
	r := b.reject("x", strings.Repeat("a", maxPayload+1))
	if _, err := b.ReplayReject(t.Context(), r.ID, []consumer.Event{b.left("ann")}, nil, "ana"); !errors.Is(err, ErrCut) {
		t.Errorf("got %v, want it refused", err)
	}
	if len(b.entries("ann")) != 0 {
		t.Error("recorded what was refused")
	}
}

func TestDiscardedReject(t *testing.T) {
	b := newBook(t)
	r, err := b.DiscardReject(t.Context(), b.reject("x", "{}").ID, "ana", "a test of the vendor's")
	if err != nil || r.State != RejectDiscarded || r.SettledBy != "ana" || r.SettledReason != "a test of the vendor's" {
		t.Errorf("got %+v (%v)", r, err)
	}
	for name, again := range map[string]func() error{
		"discarded": func() error { _, err := b.DiscardReject(t.Context(), r.ID, "ana", ""); return err },
		"replayed":  func() error { _, err := b.ReplayReject(t.Context(), r.ID, nil, nil, "ana"); return err },
	} {
		if err := again(); !errors.Is(err, ErrSettled) {
			t.Errorf("%s once more: %v", name, err)
		}
	}
	if n := b.text(`SELECT COUNT(*) FROM audit WHERE facts LIKE '%vendor%'`); n != "0" {
		t.Error("what a person wrote is in the clear")
	}
	b.verify()
}

func TestWipedRejects(t *testing.T) {
	b := newBook(t)
	open, settled := b.reject("open", "{1}"), b.reject("settled", "{2}")
	if _, err := b.DiscardReject(t.Context(), settled.ID, "ana", "no"); err != nil {
		t.Fatal(err)
	}
	b.record(b.left("nobody", rescind, func(e *consumer.Event) { e.Payload = []byte("{3}") }))
	for _, tt := range []struct {
		days, want int
		left       string
	}{{29, 0, "{2}"}, {31, 1, ""}, {32, 0, ""}} {
		wiped, err := b.WipeRejects(t.Context(), b.now.AddDate(0, 0, tt.days))
		if err != nil || wiped != tt.want {
			t.Errorf("after %d days: wiped %d (%v), want %d", tt.days, wiped, err, tt.want)
		}
		if r := b.findReject(settled.ID); string(r.Payload) != tt.left || r.Hash != settled.Hash || r.Hash == "" || r.Size != 3 {
			t.Errorf("after %d days: got %+v", tt.days, r)
		}
	}
	if r := b.findReject(open.ID); string(r.Payload) != "{1}" {
		t.Error("wiped what is open")
	}
	if got := b.text(`SELECT payload FROM cancels`); got != "" {
		t.Errorf("a rescind that found nobody keeps %q", got)
	}
	b.verify()
}
