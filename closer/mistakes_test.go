package closer_test

import (
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

// The mistakes that are feared most, each as it would come.

// asShipped is the guard of a config that says nothing of it, in an account whose
// first plan was approved long ago.
func asShipped(r *rig, _ *docusigntest.Config) {
	r.guard = guard.Defaults()
	r.guard.FirstRun = guard.Close
}

// sentTo counts the users whom Docusign was asked to close.
func (r *rig) sentTo() int { return len(r.sim.Closes(account)) }

func (r *rig) openHolds() []ledger.Hold {
	r.t.Helper()
	holds, err := r.ledger.OpenHolds(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return holds
}

func TestPayrollMarksEverybodyTerminated(t *testing.T) {
	people := 5000
	if underRace {
		people = 500
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, company(people), asShipped)
		r.leaveByNumber(1, people+1)
		for range 3 {
			r.closeDue()
			time.Sleep(r.cfg.Interval)
		}
		if n := r.sentTo(); n != 0 {
			t.Errorf("%d users were closed", n)
		}
		if s := r.states(); s[ledger.Held] != people {
			t.Errorf("%v, want all of them held", s)
		}
		// Who really leaves meanwhile is not behind them.
		r.sim.AddUser(account, docusigntest.User{ID: "real", Email: "real@example.com", Created: time.Now().AddDate(-1, 0, 0)})
		r.leave(func(e *consumer.Event) { e.Email = "real@example.com" }, 0)
		r.closeDue()
		r.closes(1, "real")
	})
}

// The same, in drops so small that no single one of them passes a limit.
func TestADripPassesNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, company(400), asShipped)
		const allowed = 21 // 5 % of all users, in 24 hours
		began := time.Now()
		for i := 1; i <= 400; i++ {
			r.leaveByNumber(i, i+1)
			r.closeDue()
			time.Sleep(7 * time.Minute)
			if i%40 == 20 {
				r.restart()
			}
		}
		took := time.Since(began)
		if took < 46*time.Hour {
			t.Fatalf("it took %v, want two days", took)
		}
		most := allowed * (int(took/(24*time.Hour)) + 1)
		if n := r.sentTo(); n > most || n < allowed {
			t.Errorf("%d were closed in %v, want at most %d, and the first %d", n, took, most, allowed)
		}
	})
}

func TestRescindedAfterTheApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) {
			r.guard.Limits = []guard.Limit{{Window: time.Hour, Max: 2}}
		})
		r.leave(nil, 0, 1, 2, 3)
		r.closeDue()
		h := r.hold()
		if _, err := r.ledger.Approve(t.Context(), r.word(h.ID, "ana", ""), aDay); err != nil {
			t.Fatal(err)
		}
		r.leave(func(e *consumer.Event) { e.Kind = consumer.Rescinded }, 2)
		r.closeDue()
		r.is(ledger.Closed, 0, 1, 3) // fewer than were approved need no new approval
		r.is(ledger.Cancelled, 2)
		r.closes(0, userID(2))
	})
}

func TestApprovalOfYesterdaysPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) {
			r.guard.Limits = []guard.Limit{{Window: time.Hour, Max: 2}}
		})
		r.leave(nil, 0, 1, 2)
		r.closeDue()
		yesterday := r.hold()
		if _, err := r.ledger.Approve(t.Context(), r.word(yesterday.ID, "ana", ""), aDay); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Hour) // nothing ran
		r.closeDue()
		r.is(ledger.Held, 0, 1, 2)
		if today := r.hold(); today.ID == yesterday.ID {
			t.Errorf("hold %d, want another one", today.ID)
		}
		if n := r.sentTo(); n != 0 {
			t.Errorf("%d were closed by yesterday's approval", n)
		}
		// Nor can yesterday's plan be approved once more.
		if _, err := r.ledger.Approve(t.Context(), r.word(yesterday.ID, "ben", ""), aDay); err == nil {
			t.Error("yesterday's plan was approved again")
		}
	})
}

func TestTheLastTwoAdministratorsLeaveOnOneDay(t *testing.T) {
	for name, apart := range map[string]time.Duration{"in one plan": 0, "one after the other": 2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.guard.Administrators = guard.Close })
				for _, e := range []string{"it@example.com", "ops@example.com"} {
					r.leave(func(ev *consumer.Event) { ev.Email = e }, 0)
					if apart > 0 {
						r.closeDue()
						time.Sleep(apart)
					}
				}
				r.closeDue()
				left := 0
				for _, id := range []string{self, "admin-2", "admin-3"} {
					if u, ok := r.sim.User(account, id); ok && u.Status == "Active" {
						left++
					}
				}
				if left < 2 {
					t.Errorf("%d administrators are left, want 2", left)
				}
				for _, h := range r.openHolds() {
					if h.Kinds[0] != ledger.FewAdministrators {
						t.Errorf("held as %v", h.Kinds)
					}
				}
				if len(r.openHolds()) == 0 {
					t.Error("nobody waits for a person")
				}
			})
		})
	}
}

func TestAFreezeHoldsWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if _, err := r.ledger.Freeze(t.Context(), ledger.Freeze{Until: time.Now().Add(48 * time.Hour), Reason: "year's end", By: "ana"}); err != nil {
			t.Fatal(err)
		}
		r.leave(nil, 0, 1, 100)
		r.leave(func(e *consumer.Event) { e.Urgent = true }, 2)
		r.closeDue()
		r.is(ledger.Held, 0, 1, 2)
		r.is(ledger.NotFound, 100) // which needs no approval
		for _, h := range r.openHolds() {
			if h.Kinds[0] != ledger.Frozen || !strings.Contains(h.Detail, "frozen until 2000-01-03T00:00:00Z") {
				t.Errorf("hold %+v", h)
			}
			if len(h.Users) == 1 { // the urgent one cannot wait
				if _, err := r.ledger.Approve(t.Context(), r.word(h.ID, "ana", ""), aDay); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(time.Hour)
		r.closeDue()
		r.is(ledger.Closed, 2)
		r.is(ledger.Held, 0, 1)
		time.Sleep(48 * time.Hour)
		r.closeDue()
		r.is(ledger.Closed, 0, 1)
	})
}

// Whoever says stop is heard between two batches.
func TestAFreezeStopsAPlanUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, company(300), func(r *rig, _ *docusigntest.Config) { r.cfg.MaxUsers = 10 })
		requests := 0
		r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
			if req.Method != http.MethodDelete {
				return next.RoundTrip(req)
			}
			if requests++; requests == 3 {
				if _, err := r.ledger.Freeze(t.Context(), ledger.Freeze{Until: time.Now().Add(time.Hour), Reason: "wrong file", By: "ana"}); err != nil {
					t.Error(err)
				}
				r.leave(func(e *consumer.Event) { e.Urgent = true }, 5) // whose run comes between
				time.Sleep(2 * time.Second)
			}
			return next.RoundTrip(req)
		})
		r.leaveByNumber(1, 101)
		r.closeDue()
		r.is(ledger.Held, 5)
		if n := r.sentTo(); n != 30 {
			t.Errorf("%d users were closed, want the three batches that were under way", n)
		}
		r.closeDue()
		if s := r.states(); s[ledger.Closed] != 30 || s[ledger.Held] != 71 {
			t.Errorf("%v, want the rest held", s)
		}
	})
}

// So is it between the halves of a batch that Docusign does not take whole.
func TestAFreezeStopsABatchThatIsHalved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, c *docusigntest.Config) { c.Quirks.MaxUsersPerClose = 2 })
		r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
			if req.Method == http.MethodDelete {
				if _, err := r.ledger.Freeze(t.Context(), ledger.Freeze{Until: time.Now().Add(time.Hour), Reason: "wrong file", By: "ana"}); err != nil {
					t.Error(err)
				}
			}
			return next.RoundTrip(req)
		})
		r.leave(nil, 0, 1, 2, 3)
		r.closeDue()
		if n := r.sentTo(); n != 0 {
			t.Errorf("%d users were closed, want none: the batch was refused, and the freeze had begun", n)
		}
		r.closeDue()
		r.is(ledger.Held, 0, 1, 2, 3)
	})
}

// A limit over all accounts counts what another account's plan was let through for
// and has not sent yet.
func TestALimitOverAllAccounts(t *testing.T) {
	for name, organization := range map[string]bool{"each account closes": false, "by one import": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				setups := []setup{func(r *rig, c *docusigntest.Config) {
					old := time.Now().AddDate(-1, 0, 0)
					r.cfg.Accounts = []string{account, second}
					r.guard.Limits = []guard.Limit{{Window: 24 * time.Hour, Max: 3, Scope: "all"}}
					other := docusigntest.AccountConfig{ID: second, Users: []docusigntest.User{{ID: self, Email: "signoff@example.com", Administrator: true, Created: old}}}
					for i := 50; i < 53; i++ {
						other.Users = append(other.Users, docusigntest.User{ID: userID(i), Email: email(i), Created: old})
					}
					c.Accounts = append(c.Accounts, other)
				}}
				if organization {
					setups = append(setups, throughOrganization)
				}
				r := newRig(t, setups...)
				r.leave(nil, 0, 1, 2, 50, 51, 52)
				for range 5 {
					r.closeDue()
					time.Sleep(time.Minute)
				}
				if n := len(r.sim.Closes(account)) + len(r.sim.Closes(second)); n != 3 {
					t.Errorf("%d users were closed, want the 3 that are allowed", n)
				}
			})
		})
	}
}

// Whoever approves knows of the freezes that there are, not of those to come.
func TestAFreezeAfterTheApproval(t *testing.T) {
	for name, tt := range map[string]struct {
		ahead, before bool
		want          ledger.State
	}{
		"approved ahead in a freeze":        {true, true, ledger.Closed},
		"approved ahead, and then frozen":   {true, false, ledger.Held},
		"approved in a freeze":              {false, true, ledger.Closed},
		"approved in a freeze, then frozen": {false, false, ledger.Held},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				freeze := func() {
					if _, err := r.ledger.Freeze(t.Context(), ledger.Freeze{Until: time.Now().Add(90 * time.Hour), Reason: "no changes", By: "ana"}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				if tt.before || !tt.ahead {
					freeze()
				}
				at := time.Now().Add(48 * time.Hour)
				if tt.ahead {
					r.leave(func(e *consumer.Event) { e.EffectiveAt = at }, 0)
					r.closeDue()
					r.approveAhead("ana", at, time.Hour, aDay)
				} else {
					r.leave(nil, 0)
					r.closeDue()
					if _, err := r.ledger.Approve(t.Context(), r.word(r.hold().ID, "ana", ""), aDay); err != nil {
						t.Fatal(err)
					}
				}
				if !tt.before {
					time.Sleep(time.Second)
					freeze()
				}
				if tt.ahead {
					time.Sleep(time.Until(at))
				}
				r.closeDue()
				r.is(tt.want, 0)
			})
		})
	}
}
