package closer_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// running runs the closer until the test is done with it.
func (r *rig) running() (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.closer.Run(ctx, func(time.Time) {}) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	}
}

// TestUrgentRunsKeepTheirPace has somebody leave urgently every half a second,
// among others who can wait.
func TestUrgentRunsKeepTheirPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) {
			r.cfg.Interval, r.guard.UrgentLimits = time.Hour, r.guard.Limits
		})
		var at []time.Time
		r.through(func(req *http.Request, body string, next http.RoundTripper) (*http.Response, error) {
			if req.Method == http.MethodDelete {
				at = append(at, time.Now())
				if len(at) == 2 { // somebody comes while a run is under way: the next one is theirs
					r.leave(func(e *consumer.Event) { e.Urgent = true }, 20)
				}
				if strings.Contains(body, userID(0)) {
					t.Error("who can wait was closed with the urgent ones")
				}
			}
			return next.RoundTrip(req)
		})
		stop := r.running()
		defer stop()
		time.Sleep(time.Minute)
		r.leave(nil, 0)
		urgent := func(e *consumer.Event) { e.Urgent = true }
		for i := range 19 {
			r.leave(urgent, i+1)
			time.Sleep(500 * time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		r.is(ledger.Due, 0)
		r.is(ledger.Closed, 1, 10, 19)
		r.is(ledger.NotFound, 20)
		if len(at) < 5 || len(at) > 6 {
			t.Errorf("%d requests within 10 s", len(at))
		}
		for i := 1; i < len(at); i++ {
			if apart := at[i].Sub(at[i-1]); apart < 2*time.Second {
				t.Errorf("two runs are %v apart", apart)
			}
		}
	})
}

// TestUrgentByHand lets a person take one of a held plan, and one who would leave
// next week, out of their turn.
func TestUrgentByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) {
			r.cfg.Interval = time.Hour
			r.guard.Limits = []guard.Limit{{Window: time.Hour, Max: 2}}
		})
		r.leave(nil, 0, 1, 2)
		r.leave(func(e *consumer.Event) { e.EffectiveAt = e.EffectiveAt.AddDate(0, 0, 7) }, 3)
		stop := r.running()
		defer stop()
		time.Sleep(time.Minute)
		r.is(ledger.Held, 0, 1, 2)
		for _, who := range []int{0, 3} {
			if _, err := r.ledger.Urgent(t.Context(), ledger.ByHand{Email: email(who), By: ledger.Person{Name: "ana"}, Reason: "walked out"}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		r.is(ledger.Closed, 0, 3)
		r.is(ledger.Held, 1, 2)
	})
}

// TestDeferredIsNotClosed until then, whatever HR says again meanwhile.
func TestDeferredIsNotClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(nil, 0)
		until := time.Now().Add(20 * time.Minute)
		if _, err := r.ledger.Defer(t.Context(), ledger.ByHand{Email: email(0), By: ledger.Person{Name: "ana"}, Reason: "hands over"}, until); err != nil {
			t.Fatal(err)
		}
		stop := r.running()
		defer stop()
		time.Sleep(10 * time.Minute)
		r.leave(nil, 0)
		time.Sleep(9 * time.Minute)
		r.is(ledger.Waiting, 0)
		time.Sleep(10 * time.Minute)
		r.is(ledger.Closed, 0)
		r.closes(1, userID(0))
	})
}
