package closer_test

import (
	"fmt"
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

// company has so many users besides those of every rig, and no limit.
func company(users int) setup {
	return func(r *rig, c *docusigntest.Config) {
		for i := 1; i <= users; i++ {
			c.Accounts[0].Users = append(c.Accounts[0].Users, docusigntest.User{ID: fmt.Sprintf("u-%06d", i),
				Email: fmt.Sprintf("user%06d@example.com", i), Created: time.Now().AddDate(-1, 0, 0)})
		}
		r.guard.Limits = []guard.Limit{{Window: time.Hour, Max: 10_000, MaxShare: 0.9}}
	}
}

// leaveByNumber records that users of a company left.
func (r *rig) leaveByNumber(from, to int) {
	r.t.Helper()
	for i := from; i < to; i++ {
		r.leave(func(e *consumer.Event) { e.Email = fmt.Sprintf("user%06d@example.com", i) }, 0)
	}
}

// apiCalls are those that count in the account's quota.
func (r *rig) apiCalls() int {
	return r.calls("list_users") + r.calls("get_user") + r.calls("close_users")
}

// TestPlanCostsTheLeastCalls: min(B, M/100) + B/100 + 2 for B leavers of M open
// users, and one for each leaver who is not among them.
func TestPlanCostsTheLeastCalls(t *testing.T) {
	for name, c := range map[string]struct {
		users, leavers, unknown, most int
	}{
		"few leavers of many users":     {2000, 5, 0, 5 + 1 + 2},
		"many leavers":                  {2000, 300, 0, 21 + 3 + 2},
		"nearly all of a small account": {300, 290, 0, 4 + 3 + 2},
		"some of whom have no user":     {2000, 300, 7, 21 + 4 + 2 + 7},
		"one leaver":                    {2000, 1, 0, 1 + 1 + 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, company(c.users))
				r.leaveByNumber(1, c.leavers+1)
				r.leaveByNumber(500_000, 500_000+c.unknown)
				r.closeDue()
				if s := r.states(); s[ledger.Closed] != c.leavers || s[ledger.NotFound] != c.unknown {
					t.Errorf("%v, want %d closed and %d not found", s, c.leavers, c.unknown)
				}
				if got := r.apiCalls(); got > c.most {
					t.Errorf("%d calls, allowed are %d: %v", got, c.most, r.sim.Stats().Operations)
				}
				if n := r.sim.Stats().Exhausted; n > 0 {
					t.Errorf("%d calls into a window that was used up", n)
				}
			})
		})
	}
}

// TestNobodyIsLostWhileUsersComeAndGo reads snapshots of an account that others
// change meanwhile.
func TestNobodyIsLostWhileUsersComeAndGo(t *testing.T) {
	for _, add := range []string{"", "front", "middle", "end"} {
		for _, closed := range []string{"", "front", "middle"} {
			t.Run("comes "+add+", goes "+closed, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, company(1500), func(_ *rig, c *docusigntest.Config) {
						c.Churn = docusigntest.Churn{Every: 2, Times: 8, Seed: 1, Add: add, Close: closed}
					})
					r.leaveByNumber(600, 900)
					r.closeDue()
					for _, u := range r.sim.Users(account) {
						var n int
						if _, err := fmt.Sscanf(u.Email, "user%06d@", &n); err == nil && n >= 600 && n < 900 && u.Status != "Closed" {
							t.Errorf("%s is %s", u.Email, u.Status)
						}
					}
					if s := r.states(); s[ledger.Closed]+s[ledger.AlreadyClosed] != 300 {
						t.Errorf("%v, want 300 closed", s)
					}
				})
			})
		}
	}
}

// TestReserveIsLeftToOthers: plans stop at half of the hour, urgent leavers at a
// fifth, and both go on in the next hour.
func TestReserveIsLeftToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, c *docusigntest.Config) { c.HourLimit = 100 })
		r.leave(nil, 0)
		r.closeDue()
		r.is(ledger.Closed, 0)
		r.sim.TakeCalls(account, 50) // another app: less than the reserve is left
		r.leave(nil, 1)
		r.closeDue()
		r.closeDue() // the first one may have had to find out
		r.is(ledger.Due, 1)
		before := r.apiCalls()
		r.closeDue()
		if got := r.apiCalls() - before; got != 0 {
			t.Errorf("%d calls from the reserve", got)
		}
		r.leave(func(e *consumer.Event) { e.Urgent = true }, 2)
		if _, err := r.closer.CloseDue(t.Context(), time.Now(), true); err != nil {
			t.Fatal(err)
		}
		r.is(ledger.Closed, 2)
		r.sim.TakeCalls(account, 25) // less than a fifth
		r.leave(func(e *consumer.Event) { e.Urgent = true }, 3)
		for range 3 {
			if _, err := r.closer.CloseDue(t.Context(), time.Now(), true); err != nil {
				t.Fatal(err)
			}
		}
		r.is(ledger.Due, 3)
		time.Sleep(time.Hour + time.Minute)
		r.closeDue()
		r.is(ledger.Closed, 1, 3)
		if n := r.sim.Stats().Exhausted; n > 0 {
			t.Errorf("%d calls into a window that was used up", n)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(nil, 0)
		r.closeDue()
		r.leave(nil, 1)
		r.sim.SetFaults(docusigntest.Faults{Busy503: 1, Times: 1})
		r.closeDue()
		state, err := r.ledger.Account(t.Context(), account)
		if err != nil || !state.ResumeAt.After(time.Now()) {
			t.Fatalf("account %+v, %v: want it to wait", state, err)
		}
		before := r.apiCalls()
		time.Sleep(time.Until(state.ResumeAt) - time.Second)
		r.closeDue()
		if got := r.apiCalls() - before; got != 0 {
			t.Errorf("%d calls before the time that Docusign asked for", got)
		}
		time.Sleep(time.Minute)
		r.closeDue()
		r.is(ledger.Closed, 1)
	})
}

func TestDocusignTakesFewerUsersInARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, company(1000), func(_ *rig, c *docusigntest.Config) { c.Quirks.MaxUsersPerClose = 30 })
		r.leaveByNumber(1, 401)
		r.closeDue()
		if s := r.states(); s[ledger.Closed] != 400 {
			t.Errorf("%v, want 400 closed", s)
		}
		// The first hundred teach it: 7 requests, of which 4 are taken; then 25 each.
		if got := r.calls("close_users"); got > 7+12 {
			t.Errorf("%d closes, want 19 at most", got)
		}
	})
}

func TestOneUserSpoilsTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		u, _ := r.sim.User(account, userID(7))
		u.SpoilsBatch = true
		r.sim.SetUser(account, u)
		r.leave(nil, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		for range 8 {
			r.closeDue()
			time.Sleep(time.Hour)
		}
		r.is(ledger.Closed, 0, 1, 2, 3, 4, 5, 6, 8, 9)
		r.is(ledger.Failed, 7)
	})
}

func TestSigningGroups(t *testing.T) {
	for name, c := range map[string]struct {
		quirk string
		kept  bool
		once  bool // the second batch does not ask again
	}{
		"left with the close":           {"", false, false},
		"the parameter is refused":      {"INVALID_REQUEST_PARAMETER", true, true},
		"each user is refused for them": {"user:SOME_CODE", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(r *rig, conf *docusigntest.Config) { r.cfg.SigningGroups, conf.Quirks.RemoveFrom = true, c.quirk })
				for i := range 3 {
					u, _ := r.sim.User(account, userID(i))
					u.SigningGroups = []string{"Board"}
					r.sim.SetUser(account, u)
				}
				r.leave(nil, 0, 1)
				r.closeDue()
				r.is(ledger.Closed, 0, 1)
				u, _ := r.sim.User(account, userID(0))
				if u.Status != "Closed" || (len(u.SigningGroups) > 0) != c.kept {
					t.Errorf("user %+v, want closed, in signing groups %v", u, c.kept)
				}
				before := r.calls("close_users")
				r.leave(nil, 2)
				time.Sleep(time.Minute)
				r.closeDue()
				r.is(ledger.Closed, 2)
				if got := r.calls("close_users") - before; c.once && got != 1 {
					t.Errorf("%d closes for one more leaver, want 1", got)
				}
			})
		})
	}
}

// TestUrgentLeaverGoesBetweenBatches has somebody leave urgently while a long
// plan is sent.
func TestUrgentLeaverGoesBetweenBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, company(300), func(r *rig, _ *docusigntest.Config) { r.cfg.MaxUsers = 10 })
		closes, urgentAt := 0, 0
		r.through(func(req *http.Request, body string, next http.RoundTripper) (*http.Response, error) {
			if req.Method != http.MethodDelete {
				return next.RoundTrip(req)
			}
			time.Sleep(time.Second)
			closes++
			if strings.Contains(body, userID(5)) {
				urgentAt = closes
			}
			if closes == 3 {
				r.leave(func(e *consumer.Event) { e.Urgent = true }, 5)
			}
			return next.RoundTrip(req)
		})
		r.leaveByNumber(1, 201)
		r.closeDue()
		if urgentAt == 0 || urgentAt > 6 || closes != 21 {
			t.Errorf("the urgent leaver was in request %d of %d; want it soon after the third", urgentAt, closes)
		}
		if s := r.states(); s[ledger.Closed] != 201 {
			t.Errorf("%v, want 201 closed", s)
		}
	})
}

// An urgent leaver who comes while a plan is sent goes by limits of their own, and
// leaves that much less to those who come later.
func TestUrgentLeaversHaveLimitsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, company(300), func(r *rig, _ *docusigntest.Config) {
			r.cfg.MaxUsers = 10
			r.guard.Limits = []guard.Limit{{Window: time.Hour, Max: 51}}
			r.guard.UrgentLimits = []guard.Limit{{Window: time.Hour, Max: 1}}
		})
		once := false
		r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
			if req.Method == http.MethodDelete {
				time.Sleep(time.Second)
				if !once {
					once = true
					r.leave(func(e *consumer.Event) { e.Urgent = true }, 5)
				}
			}
			return next.RoundTrip(req)
		})
		r.leaveByNumber(1, 51)
		r.closeDue()
		if s := r.states(); s[ledger.Closed] != 51 {
			t.Errorf("%v, want all 50 of the plan closed, and the urgent one", s)
		}
		r.leave(func(e *consumer.Event) { e.Urgent = true }, 6)
		r.leave(nil, 7)
		r.closeDue()
		r.is(ledger.Held, 6, 7) // each by the limit of its kind
		holds, err := r.ledger.OpenHolds(t.Context())
		if err != nil || len(holds) != 2 {
			t.Errorf("%d holds (%v), want the urgent one held by itself", len(holds), err)
		}
	})
}
