package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

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

func TestOpenRejectsAreFoundInTheOrderTheyCame(t *testing.T) {
	b := newBook(t)
	one, two, three := b.reject("one", "{1}").ID, b.reject("two", "{2}").ID, b.reject("three", "{3}").ID
	if _, err := b.DiscardReject(t.Context(), two, "ana", "a test"); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		filter       RejectFilter
		after, until int64
		want         []int64
	}{
		"all":                 {RejectFilter{}, 0, 0, []int64{one, three}},
		"a page":              {RejectFilter{Limit: 1}, 0, 0, []int64{one}},
		"the next page":       {RejectFilter{Limit: 1}, one, 0, []int64{three}},
		"not what came since": {RejectFilter{}, 0, two, []int64{one}},
		"by another reason":   {RejectFilter{Reason: consumer.NoEmail}, 0, 0, nil},
		"by reason":           {RejectFilter{Reason: consumer.InvalidData}, 0, 0, []int64{one, three}},
		"by another way in":   {RejectFilter{Via: consumer.Webhook}, 0, 0, nil},
		"by another topic":    {RejectFilter{Origin: "other"}, 0, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := b.OpenRejects(t.Context(), tt.filter, tt.after, tt.until); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v (%v), want %v", got, err, tt.want)
			}
		})
	}
}

func TestFilterByAWordThereIsNot(t *testing.T) {
	for want, f := range map[string]RejectFilter{
		`state: "opne": none of [open replayed discarded]`: {State: "opne"},
		`reason: "no_mail": none of [invalid_event`:        {Reason: "no_mail"},
		`source: "hr": neither kafka nor webhook nor csv`:  {Via: "hr"},
		"": {State: RejectOpen, Reason: consumer.NoEmail, Via: consumer.Webhook, Origin: "any"},
	} {
		if err := f.Validate(); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", f, err, want)
		}
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

// Who it speaks of is known only later, and by then a long payload was cut.
func TestRescindThatTurnsOutToBeAnothersIsKeptAsItCame(t *testing.T) {
	for name, size := range map[string]int{"whole": maxPayload, "its head": maxPayload + 1} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			payload := []byte(strings.Repeat("a", size))
			b.record(b.left("ann", rescind, from("other"), func(e *consumer.Event) { e.Payload = payload }))
			b.record(b.left("ann"))
			r, sum := b.findReject(1), sha256.Sum256(payload)
			if r.Size != size || r.Hash != hex.EncodeToString(sum[:]) || len(r.Payload) != maxPayload {
				t.Errorf("kept %d bytes, of %d with hash %s", len(r.Payload), r.Size, r.Hash)
			}
			if err := r.Replayable(); errors.Is(err, ErrCut) != (size > maxPayload) {
				t.Errorf("to be replayed: %v", err)
			}
		})
	}
}

// However often its reason changes, what is delivered again is the same reject.
func TestRejectDeliveredAgain(t *testing.T) {
	first := consumer.Reject{Key: keyOf("hr", "x"), Reason: consumer.NoEmail, Detail: "email: missing", Payload: []byte("{1}")}
	for name, c := range map[string]struct {
		before  func(*book)
		again   func(*consumer.Reject)
		rejects string // attempts and reason of each
	}{
		"as it was": {nil, func(*consumer.Reject) {}, "2 no_email"},
		"after a replay that failed for another reason": {func(b *book) {
			b.replay(1, nil, failure(consumer.InvalidTime, "hr", "x"))
		}, func(r *consumer.Reject) { r.Reason = consumer.InvalidTime }, "3 invalid_time"},
		"after such a replay, for the first reason": {func(b *book) {
			b.replay(1, nil, failure(consumer.InvalidTime, "hr", "x"))
		}, func(*consumer.Reject) {}, "3 no_email"},
		"for another reason":    {nil, func(r *consumer.Reject) { r.Reason = consumer.InvalidTime }, "2 invalid_time"},
		"with another payload":  {nil, func(r *consumer.Reject) { r.Payload = []byte("{2}") }, "1 no_email,1 no_email"},
		"under another key":     {nil, func(r *consumer.Reject) { r.Key.ID = "y" }, "1 no_email,1 no_email"},
		"at another position":   {nil, func(r *consumer.Reject) { r.Position = "hr.employee/0/8" }, "1 no_email,1 no_email"},
		"after it was replayed": {func(b *book) { b.replay(1, nil) }, func(r *consumer.Reject) { r.Reason = consumer.InvalidTime }, "3 invalid_time"},
		"after it was discarded": {func(b *book) {
			if _, err := b.DiscardReject(b.t.Context(), 1, "ana", "a test"); err != nil {
				b.t.Fatal(err)
			}
		}, func(r *consumer.Reject) { r.Reason = consumer.InvalidTime }, "2 no_email"},
		"to a ledger of before, whose reject went by its reason": {func(b *book) {
			b.raw(`UPDATE rejects SET fingerprint = $1`, fingerprintOf(first, first.Reason, keep(first.Payload)))
		}, func(*consumer.Reject) {}, "2 no_email"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			deliver := func(r consumer.Reject) {
				r.ReceivedAt = b.now
				if err := b.Record(t.Context(), consumer.Intake{Source: consumer.Webhook, Rejects: []consumer.Reject{r}}); err != nil {
					t.Fatal(err)
				}
			}
			deliver(first)
			if c.before != nil {
				c.before(b)
			}
			second := first
			c.again(&second)
			deliver(second)
			if got := b.text(`SELECT group_concat(attempts || ' ' || reason) FROM rejects`); got != c.rejects {
				t.Errorf("%s, want %s", got, c.rejects)
			}
			b.verify()
		})
	}
}

// Of a payload with several events that have no key one reject stands for all: it
// has failed again as long as one of them does.
func TestReplayOfWhatHasNoKey(t *testing.T) {
	b := newBook(t)
	id := b.rejectWith(failure(consumer.InvalidEvent, "", ""))
	r := b.replay(id, []consumer.Event{b.left("ann")}, failure(consumer.InvalidTime, "", ""))
	if r.State != RejectOpen || r.Reason != consumer.InvalidTime || b.rejects() != 1 {
		t.Errorf("%+v of %d, want it open still", r, b.rejects())
	}
	b.is("ann", Waiting)
}
