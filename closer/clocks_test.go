package closer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"signoff/closer"
	"signoff/closer/docusign"
	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/metrics"
)

// observed is what a histogram has observed.
type observed struct {
	times uint64
	sum   time.Duration // to the minute
}

// TestClocks: how long it took since a leaver was due and since they left is observed
// once in each account, whatever came between.
func TestClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts, watched)
		registry := prometheus.NewRegistry()
		client, err := docusign.New(r.docusign, r.sim.Transport(), docusign.Observe{})
		if err != nil {
			t.Fatal(err)
		}
		r.closer = closer.New(r.cfg, r.guard, r.ledger, client, metrics.NewCloser(registry, metrics.NewAccounts(r.cfg.Accounts), nil, nil, nil), zaptest.NewLogger(t))
		clocks := func(when string, latency, exposure observed) {
			t.Helper()
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				h := f.GetMetric()[0].GetHistogram()
				got := observed{h.GetSampleCount(), time.Duration(h.GetSampleSum() * float64(time.Second)).Round(time.Minute)}
				want, ok := map[string]observed{"signoff_close_latency_seconds": latency, "signoff_exposure_seconds": exposure}[f.GetName()]
				if ok && got != want {
					t.Errorf("%s: %s is %v, want %v", when, f.GetName(), got, want)
				}
			}
		}
		const h = time.Hour
		late := func(e *consumer.Event) { e.EffectiveAt = e.EffectiveAt.Add(-10 * h) }

		r.leave(late, 0) // in three accounts
		time.Sleep(h)
		r.closeDue()
		clocks("in several accounts", observed{3, 3 * h}, observed{3, 33 * h})
		r.closeDue()
		clocks("a run later", observed{3, 3 * h}, observed{3, 33 * h})

		time.Sleep(100 * h)
		r.sim.Recreate(account, userID(0), true)
		r.closeDue() // finds the user
		time.Sleep(h)
		r.closeDue() // holds it
		if _, err := r.ledger.Approve(t.Context(), r.word(r.hold().ID, "ana", "mended"), aDay); err != nil {
			t.Fatal(err)
		}
		time.Sleep(h)
		r.closeDue()
		clocks("open again", observed{4, 5 * h}, observed{4, 35 * h})

		r.leave(late, 1) // in one account
		if _, err := r.ledger.Defer(t.Context(), ledger.ByHand{Email: email(1), By: ledger.Person{Name: "ana"}, Reason: "hands over"}, time.Now().Add(20*h)); err != nil {
			t.Fatal(err)
		}
		r.closeDue()
		clocks("deferred", observed{4, 5 * h}, observed{4, 35 * h})
		time.Sleep(21 * h)
		r.closeDue()
		clocks("closed then", observed{5, 6 * h}, observed{5, 66 * h})

		r.sim.SetUser(account, docusigntest.User{ID: userID(2), Email: email(2), Status: "Closed"})
		r.leave(nil, 2)
		r.closeDue()
		clocks("with nobody to close", observed{5, 6 * h}, observed{5, 66 * h})
	})
}
