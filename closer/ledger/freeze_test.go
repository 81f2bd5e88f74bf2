package ledger

import (
	"errors"
	"testing"
	"time"
)

func TestFrozen(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	in := func(d time.Duration) Freeze { return Freeze{Until: now.Add(d), Reason: "change freeze", By: "ana"} }
	of := func(account string, f Freeze) Freeze { f.Account = account; return f }
	for name, tt := range map[string]struct {
		freezes []Freeze
		end     bool // the first one
		want    time.Duration
	}{
		"none":                   {},
		"of all accounts":        {freezes: []Freeze{in(time.Hour)}, want: time.Hour},
		"of this account":        {freezes: []Freeze{of(account, in(time.Hour))}, want: time.Hour},
		"of another":             {freezes: []Freeze{of("other", in(time.Hour))}},
		"the one that ends last": {freezes: []Freeze{in(time.Hour), of(account, in(2*time.Hour))}, want: 2 * time.Hour},
		"ended before its time":  {freezes: []Freeze{in(time.Hour)}, end: true},
		"one of two ended early": {freezes: []Freeze{in(2 * time.Hour), in(time.Hour)}, end: true, want: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			for _, f := range tt.freezes {
				if _, err := b.Freeze(t.Context(), f); err != nil {
					t.Fatal(err)
				}
			}
			if tt.end {
				if err := b.EndFreeze(t.Context(), 1, "ben", "done"); err != nil {
					t.Fatal(err)
				}
				if err := b.EndFreeze(t.Context(), 1, "ben", "done"); !errors.Is(err, ErrNoFreeze) {
					t.Errorf("ended twice: %v", err)
				}
			}
			want := time.Time{}
			if tt.want > 0 {
				want = now.Add(tt.want)
			}
			if _, got, err := b.Frozen(t.Context(), account, now); err != nil || !got.Equal(want) {
				t.Errorf("frozen until %v (%v), want %v", got, err, want)
			}
			if since, got, err := b.Frozen(t.Context(), account, now.Add(3*time.Hour)); !since.IsZero() || err != nil || !got.IsZero() {
				t.Errorf("frozen still: until %v (%v)", got, err)
			}
		})
	}
}

func TestFreezeOfThePast(t *testing.T) {
	b := newBook(t)
	if _, err := b.Freeze(t.Context(), Freeze{Until: time.Now(), By: "ana"}); !errors.Is(err, ErrFreezeUntil) {
		t.Errorf("got %v, want ErrFreezeUntil", err)
	}
	if all, err := b.Freezes(t.Context(), time.Now().Add(-time.Hour)); err != nil || len(all) != 0 {
		t.Errorf("%v (%v), want none kept", all, err)
	}
}

// What a freeze holds waits for its end, or for a person.
func TestThaw(t *testing.T) {
	b := newBook(t)
	if _, err := b.Freeze(t.Context(), Freeze{Until: time.Now().Add(time.Hour), By: "ana"}); err != nil {
		t.Fatal(err)
	}
	plan := b.plan("ann", "bob")
	b.hold(plan[:1], Frozen)
	b.hold(plan[1:], Protected)
	if err := b.Thaw(t.Context(), account, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b.is("ann", Held)
	if err := b.Thaw(t.Context(), account, time.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	b.is("ann", Due)
	b.is("bob", Held)
}
