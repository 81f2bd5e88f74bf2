package closer_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/docusign/docusigntest"
)

// stuck is for how long a loop may not beat: /livez has the process killed then.
const stuck = 5 * time.Minute

// gap runs the closer for a while and returns the longest time without a beat.
func (r *rig) gap(d time.Duration) (longest time.Duration) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	defer cancel()
	last := time.Now()
	if err := r.closer.Run(ctx, func(at time.Time) { longest = max(longest, at.Sub(last)); last = at }); err != nil {
		r.t.Fatal(err)
	}
	return max(longest, time.Since(last))
}

func everybody() (all []int) {
	for i := range 20 {
		all = append(all, i)
	}
	return all
}

// TestBeatsWhileAtWork: what takes long is no reason to be killed.
func TestBeatsWhileAtWork(t *testing.T) {
	slow := func(latency time.Duration) setup {
		return func(_ *rig, c *docusigntest.Config) { c.Latency = latency }
	}
	for name, c := range map[string]struct {
		setups []setup
		then   func(*rig)
		calls  string // the operation that must have been asked for
	}{
		"a batch is halved down to each user": {[]setup{slow(12 * time.Second), func(r *rig, c *docusigntest.Config) {
			r.cfg.Interval, c.Quirks.MaxUsersPerClose = 30*time.Minute, 1
		}}, func(r *rig) { r.leave(nil, everybody()...) }, "close_users"},
		"users of an import leave their signing groups": {[]setup{slow(20 * time.Second), throughOrganization, func(r *rig, _ *docusigntest.Config) {
			r.cfg.Accounts, r.cfg.SigningGroups, r.cfg.MaxUsers = []string{account}, true, 1
		}}, func(r *rig) { r.leave(nil, everybody()...) }, "close_users"},
		"one by one is looked up": {[]setup{slow(20 * time.Second), func(r *rig, c *docusigntest.Config) {
			c.Accounts[0].Generate = 20000
			r.cfg.Interval = time.Hour
		}}, func(r *rig) {
			for range 10 {
				r.leave(nil, everybody()...)
			}
		}, "list_users"},
		"the quota is used up": {[]setup{func(_ *rig, c *docusigntest.Config) { c.HourLimit = 10 }},
			func(r *rig) { r.leave(nil, everybody()...) }, "list_users"},
		"nobody answers, and there are many accounts": {[]setup{throughOrganization, func(r *rig, _ *docusigntest.Config) {
			for i := range 15 {
				r.cfg.Accounts = append(r.cfg.Accounts, fmt.Sprintf("a0000000-0000-4000-8000-0000000000%02d", i))
			}
		}}, func(r *rig) {
			r.leave(nil, 0)
			r.through(func(req *http.Request, _ string, _ http.RoundTripper) (*http.Response, error) {
				<-req.Context().Done()
				return nil, req.Context().Err()
			})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.setups...)
				c.then(r)
				if gap := r.gap(time.Hour); gap > stuck-time.Minute {
					t.Errorf("no beat for %v", gap)
				}
				time.Sleep(time.Minute) // a sign-in under way does not end with whoever wanted it
				if c.calls != "" && r.calls(c.calls) == 0 {
					t.Errorf("%s was not asked for: nothing is shown", c.calls)
				}
			})
		})
	}
}

// TestQuietAccountsLookAlive: where nothing is to be done the loops turn all the same,
// and runs are completed.
func TestQuietAccountsLookAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts)
		for range 3 {
			if gap := r.gap(2 * time.Hour); gap > 2*time.Second {
				t.Errorf("no beat for %v", gap)
			}
			for _, id := range r.cfg.Accounts {
				known, err := r.ledger.Account(t.Context(), id)
				if age := time.Since(known.PassedAt); err != nil || age > 2*r.cfg.Interval {
					t.Errorf("the last run of account %s was %v ago (%v)", id, age, err)
				}
			}
		}
	})
}

// TestStuckLoopIsFound: one account whose request never comes back is seen, though
// the others go on.
func TestStuckLoopIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts)
		r.leave(nil, 0)
		free := make(chan struct{})
		hangs := 0
		r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
			if strings.Contains(req.URL.Path, second) {
				hangs++
				<-free // whatever its context says
			}
			return next.RoundTrip(req)
		})
		time.AfterFunc(20*time.Minute, func() { close(free) })
		if gap := r.gap(time.Hour); gap < 19*time.Minute {
			t.Errorf("the longest time without a beat was %v, while a loop hung for 20m (%d requests)", gap, hangs)
		}
		if state := r.in(0)[account]; state != "closed" {
			t.Errorf("leaver 0 is %s in another account", state)
		}
	})
}
