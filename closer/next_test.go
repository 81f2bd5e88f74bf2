package closer_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/guard"
)

// next is when the ledger says that the account is run next, from now on.
func (r *rig) next() time.Duration {
	r.t.Helper()
	a, err := r.ledger.Account(r.t.Context(), account)
	if err != nil {
		r.t.Fatal(err)
	}
	if a.NextAt.IsZero() {
		return 0
	}
	return time.Until(a.NextAt)
}

func TestTheLedgerSaysWhenTheNextRunIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.cfg.Interval = 20 * time.Minute })
		between := func(when string, from, to time.Duration) {
			t.Helper()
			if next := r.next(); next < from || next > to {
				t.Errorf("%s the next run is in %v, want %v to %v", when, next, from, to)
			}
		}
		if next := r.next(); next != 0 {
			t.Errorf("before any run the next one is in %v", next)
		}
		r.gap(time.Minute)
		between("after a run", 17*time.Minute, 21*time.Minute)
		r.gap(time.Hour)
		between("after an hour", 0, 22*time.Minute)
		r.restart()
		r.gap(time.Second)
		between("after a restart", 0, 22*time.Minute)
		cfg := r.cfg
		cfg.Interval = time.Minute
		if err := r.closer.Reconfigure(t.Context(), cfg, guard.Config{}); err != nil {
			t.Fatal(err)
		}
		r.gap(5 * time.Second)
		between("with another interval", 0, 66*time.Second)
	})
}

func TestTheLedgerSaysWhenAParkedAccountIsTriedNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.cfg.Interval, r.cfg.Accounts = time.Minute, []string{account} })
		r.gap(10 * time.Second)
		r.through(func(*http.Request, string, http.RoundTripper) (*http.Response, error) { return nil, errors.New("away") })
		r.gap(time.Hour)
		if a, err := r.ledger.Account(t.Context(), account); err != nil || a.Parked == "" || time.Until(a.NextAt) <= 0 || time.Until(a.NextAt) > 10*time.Minute {
			t.Errorf("%+v, next in %v, %v", a, time.Until(a.NextAt), err)
		}
	})
}
