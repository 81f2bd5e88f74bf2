package closer_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"signoff/closer"
	"signoff/closer/docusign"
	"signoff/closer/docusign/docusigntest"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/metrics"
)

const day = 24 * time.Hour

// leaveAt records terminations that take effect at a time to come.
func (r *rig) leaveAt(at time.Time, who ...int) {
	r.t.Helper()
	r.leave(func(e *consumer.Event) { e.EffectiveAt = at.UTC() }, who...)
}

// until runs every hour until a time.
func (r *rig) until(at time.Time) {
	r.t.Helper()
	for time.Now().Before(at) {
		time.Sleep(min(time.Hour, time.Until(at)))
		r.closeDue()
	}
}

// found is what was found ahead of a leaver in an account: the outcome, or the kinds.
func (r *rig) found(who int, in string) string {
	r.t.Helper()
	findings, err := r.ledger.Findings(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	entries, err := r.ledger.Entries(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range findings {
		i := slices.IndexFunc(entries, func(e ledger.Entry) bool { return e.ID == f.Entry.ID })
		if i >= 0 && entries[i].Leaver == email(who) && f.Account == in {
			if len(f.Kinds) == 0 {
				return string(f.Outcome)
			}
			text := ""
			for _, k := range f.Kinds {
				text += string(k) + " "
			}
			return text[:len(text)-1]
		}
	}
	return "nothing"
}

func (r *rig) wantFound(who int, want string) {
	r.t.Helper()
	if got := r.found(who, account); got != want {
		r.t.Errorf("%s: of leaver %d it found %s, want %s", time.Now().Format(time.DateTime), who, got, want)
	}
}

func (r *rig) stats() ledger.Stats {
	r.t.Helper()
	s, err := r.ledger.Stats(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) makeAdministrator(in string, who int, is bool) {
	u, _ := r.sim.User(in, userID(who))
	u.Administrator = is
	r.sim.SetUser(in, u)
}

func TestNobodyKnownIsFoundAWeekBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.restart() // so that the guard is as it was at the next one
		began := time.Now()
		due := began.Add(10 * day)
		r.leaveAt(due, 0, 100)
		r.until(began.Add(3*day - time.Hour))
		r.wantFound(100, "nothing")
		r.until(began.Add(3*day + time.Hour))
		r.wantFound(100, "not_found")
		r.wantFound(0, "closed")
		if got := r.stats().Ahead; got["not_found"] != 1 || len(got) != 1 {
			t.Errorf("counted ahead are %v, want one not_found", got)
		}
		r.is(ledger.Waiting, 0, 100)
		r.sim.AddUser(account, docusigntest.User{ID: userID(100), Email: email(100), Created: began.AddDate(-1, 0, 0)})
		r.restart()
		before := r.calls("list_users")
		r.until(began.Add(4*day - 2*time.Hour))
		if got := r.calls("list_users") - before; got != 0 {
			t.Errorf("%d calls within the day, also after a restart, want none", got)
		}
		r.until(began.Add(4*day + 2*time.Hour))
		r.wantFound(100, "closed")
		r.closes(0, userID(0))
		r.until(due.Add(time.Hour))
		r.is(ledger.Closed, 0, 100)
		r.wantFound(0, "nothing")
		if got := r.stats().Ahead; len(got) != 0 {
			t.Errorf("counted ahead are %v, want none any more", got)
		}
	})
}

func TestWhoBecomesAnAdministratorIsHeldAhead(t *testing.T) {
	for name, tt := range map[string]struct {
		decide func(*rig, ledger.Hold)
		want   ledger.State
	}{
		"approved":  {func(r *rig, h ledger.Hold) { r.approve(h) }, ledger.Closed},
		"nobody":    {func(*rig, ledger.Hold) {}, ledger.Held},
		"no longer": {func(r *rig, _ ledger.Hold) { r.makeAdministrator(account, 0, false) }, ledger.Closed},
		"rejected": {func(r *rig, h ledger.Hold) {
			_, settled, err := r.ledger.Reject(r.t.Context(), r.word(h.ID, "ana", "stays"))
			if err != nil || len(settled) != 1 || settled[0].Outcome != ledger.Skipped {
				r.t.Errorf("rejected: %v, %v, want one skipped", settled, err)
			}
			r.is(ledger.Skipped, 0) // at once
		}, ledger.Skipped},
		"another user since": {func(r *rig, h ledger.Hold) {
			r.approve(h)
			u := r.sim.Recreate(account, userID(0), false)
			u.Administrator = true
			r.sim.SetUser(account, u)
			u, _ = r.sim.User(account, userID(0))
			u.Status = "Closed"
			r.sim.SetUser(account, u)
		}, ledger.Held},
		"moved since": {func(r *rig, h ledger.Hold) {
			r.approve(h)
			r.leaveAt(h.ValidFrom.Add(time.Hour), 0)
		}, ledger.Held},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				due := time.Now().Add(10 * day)
				r.leaveAt(due, 0)
				r.until(due.Add(-3 * day))
				r.wantFound(0, "closed")
				r.makeAdministrator(account, 0, true)
				r.until(due.Add(-2 * day))
				r.wantFound(0, "administrator")
				h := r.hold()
				if !h.Ahead || !h.ValidFrom.Equal(due) || !h.ExpiresAt.Equal(due.Add(day)) || len(h.Users) != 1 {
					t.Errorf("hold %+v, want one ahead from %v on", h, due)
				}
				if got := r.stats().Holds[ledger.Administrator].Open; got != 0 {
					t.Errorf("%d holds counted, want none: nobody is late", got)
				}
				r.is(ledger.Waiting, 0)
				tt.decide(r, h)
				r.until(due.Add(2 * time.Hour))
				r.is(tt.want, 0)
				for _, open := range r.openHolds() {
					if open.Ahead {
						t.Errorf("hold %+v is open still, ahead of what was due", open)
					}
				}
			})
		})
	}
}

func TestHoldAheadIsMadeOnceForTheSameUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		due := time.Now().Add(7 * day)
		r.makeAdministrator(account, 0, true)
		r.leaveAt(due, 0)
		r.closeDue()
		first := r.hold()
		r.until(due.Add(-4 * day))
		if again := r.hold(); again.ID != first.ID {
			t.Errorf("hold %d in place of %d", again.ID, first.ID)
		}
		r.sim.AddUser(account, docusigntest.User{ID: "twin", Email: email(0), Name: "twin", Created: time.Now().AddDate(-1, 0, 0)})
		r.until(due.Add(-2 * day))
		if again := r.hold(); again.ID == first.ID || len(again.Users) != 2 || !slices.Equal(again.Kinds, []ledger.Kind{ledger.Administrator, ledger.Ambiguous}) {
			t.Errorf("hold %+v, want another, of both users", again)
		}
		if h, err := r.ledger.Hold(t.Context(), first.ID); err != nil || h.State != ledger.HoldEnded {
			t.Errorf("the first hold is %s, %v, want it ended", h.State, err)
		}
		r.rescind(0)
		if open := r.openHolds(); len(open) != 0 {
			t.Errorf("holds %+v are open of one who does not leave", open)
		}
	})
}

// rescind takes the termination of a leaver back.
func (r *rig) rescind(who int) {
	r.t.Helper()
	r.leave(func(e *consumer.Event) { e.Kind = consumer.Rescinded }, who)
}

func TestLimitOfADayIsRaisedAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.guard.Limits = []guard.Limit{{Window: day, Max: 2}} })
		nine := time.Now().Add(5*day + 9*time.Hour)
		r.leaveAt(nine, 0)
		r.leaveAt(nine.Add(time.Hour), 1)
		r.closeDue()
		r.wantFound(0, "closed")
		r.leaveAt(nine.Add(2*time.Hour), 2) // makes it too many
		r.leaveAt(nine.Add(day), 3, 4)
		r.closeDue()
		for _, who := range []int{0, 1, 2} {
			r.wantFound(who, "limit")
		}
		r.wantFound(3, "closed")
		if got := r.stats().Ahead["limit"]; got != 3 {
			t.Errorf("%d counted for the limit, want 3", got)
		}
		if open := r.openHolds(); len(open) != 0 {
			t.Errorf("holds %+v, want none: the plan is judged on the day", open)
		}
		r.rescind(1)
		r.until(time.Now().Add(day + time.Hour))
		r.wantFound(0, "closed")
		r.wantFound(2, "closed")
	})
}

func TestLookAheadInSeveralAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts, func(r *rig, _ *docusigntest.Config) { r.guard.MinAdministrators = 1 })
		due := time.Now().Add(5 * day)
		r.makeAdministrator(second, 0, true)
		r.makeAdministrator(third, 0, true)
		r.leaveAt(due, 0, 1, 100)
		r.closeDue()
		for in, want := range map[string]string{account: "closed", second: "administrator", third: "administrator"} {
			if got := r.found(0, in); got != want {
				t.Errorf("in %s it found %s, want %s", in, got, want)
			}
		}
		if got := r.stats().Ahead; got["administrator"] != 1 || got["not_found"] != 1 || len(got) != 2 {
			t.Errorf("counted ahead are %v, want one administrator, and one whom no account knows", got)
		}
		open := r.openHolds()
		if len(open) != 2 {
			t.Fatalf("holds %+v, want one in each of two accounts", open)
		}
		for _, h := range open {
			if h.Account == second {
				if _, _, err := r.ledger.Reject(t.Context(), r.word(h.ID, "ana", "keeps this account")); err != nil {
					t.Fatal(err)
				}
			} else {
				r.approve(h)
			}
		}
		r.wantIn(0, map[string]ledger.State{"": ledger.Waiting, second: ledger.Skipped})
		r.until(due.Add(-time.Hour))
		if open := r.openHolds(); len(open) != 0 {
			t.Errorf("holds %+v, want none: both are decided", open)
		}
		r.until(due.Add(time.Hour))
		r.wantIn(0, map[string]ledger.State{account: ledger.Closed, second: ledger.Skipped, third: ledger.Closed})
	})
}

func TestRefusalAheadIsVoidOnceTheDayMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts)
		due := time.Now().Add(5 * day)
		r.makeAdministrator(second, 0, true)
		r.leaveAt(due, 0)
		r.closeDue()
		if _, _, err := r.ledger.Reject(t.Context(), r.word(r.hold().ID, "ana", "keeps this account")); err != nil {
			t.Fatal(err)
		}
		r.leaveAt(due.Add(-day), 0)
		r.closeDue()
		if h := r.hold(); h.Account != second || !h.Ahead {
			t.Errorf("hold %+v, want it asked again for the other day", h)
		}
	})
}

func TestLookAheadWaitsForItsShareOfTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, c *docusigntest.Config) { c.HourLimit = 100 })
		r.leaveAt(time.Now().Add(5*day), 5, 6)
		r.leave(nil, 0)
		r.sim.TakeCalls(account, 30) // of the 25 that it may have of ours, none are left
		r.closeDue()
		r.is(ledger.Closed, 0)
		r.wantFound(5, "nothing")
		time.Sleep(time.Hour + time.Minute)
		r.closeDue()
		r.wantFound(5, "closed")
		r.wantFound(6, "closed")
	})
}

// logged is a closer whose log is kept.
func (r *rig) logged() *observer.ObservedLogs {
	core, logs := observer.New(zapcore.WarnLevel)
	client, err := docusign.New(r.docusign, r.sim.Transport(), docusign.Observe{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.closer = closer.New(r.cfg, r.guard, r.ledger, client, metrics.NewCloser(nil, metrics.NewAccounts([]string{account}), nil, nil, nil), zap.New(core))
	return logs
}

func TestOwnUserLeavingAlertsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		logs := r.logged()
		said := func() int {
			return logs.FilterMessageSnippet("the integration ends with a person").FilterLevelExact(zapcore.ErrorLevel).Len()
		}
		due := time.Now().Add(30 * day)
		r.leave(func(e *consumer.Event) { e.Email, e.EffectiveAt = "signoff@example.com", due }, 0)
		r.closeDue()
		h := r.hold()
		if !slices.Equal(h.Kinds, []ledger.Kind{ledger.Self}) || !h.Ahead || h.Users[0].ID != self || said() != 1 {
			t.Errorf("hold %+v, said %d times: want a hold for it, said once", h, said())
		}
		if got := r.stats().Holds[ledger.Self].Open; got != 1 {
			t.Errorf("%d holds for ourselves counted, want one", got)
		}
		r.until(time.Now().Add(3*day + time.Hour))
		if said() != 4 {
			t.Errorf("said %d times in three days, want daily", said())
		}
		if _, err := r.ledger.Approve(t.Context(), r.word(h.ID, "ana", ""), aDay); err == nil {
			t.Error("it was approved")
		}
		r.until(due.Add(-day)) // and the look ahead finds the same
		if h := r.hold(); h.Kinds[0] != ledger.Self {
			t.Errorf("hold %+v, want one still", h)
		}
		if _, _, err := r.ledger.Reject(t.Context(), r.word(r.hold().ID, "ana", "another user is on its way")); err != nil {
			t.Fatal(err)
		}
		before := said()
		r.until(due.Add(day))
		if s := r.states(); s[ledger.Skipped] != 1 || len(r.openHolds()) != 0 || said() != before {
			t.Errorf("%v, %v, said %d times more: want one skipped, and no more of it", s, r.openHolds(), said()-before)
		}
	})
}

// crowd is so many leavers with users, and limits that they pass.
func crowd(n int) setup {
	return func(r *rig, c *docusigntest.Config) {
		r.guard = guard.Defaults()
		for i := 20; i < n; i++ {
			c.Accounts[0].Users = append(c.Accounts[0].Users, docusigntest.User{ID: userID(i), Email: email(i), Created: time.Now().AddDate(-1, 0, 0)})
		}
	}
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// planAt is the plan of a time in the one account.
func (r *rig) planAt(at time.Time) closer.PlanAt {
	r.t.Helper()
	plans, err := r.closer.PlanAt(r.t.Context(), at, time.Now(), "", true)
	if err != nil || len(plans) != 1 {
		r.t.Fatalf("plans %v, %v, want one", plans, err)
	}
	return plans[0]
}

// approveAhead is somebody's yes to the plan of a time, good for a while.
func (r *rig) approveAhead(by string, at time.Time, good time.Duration, terms ledger.Terms) ledger.Hold {
	r.t.Helper()
	h, err := r.ledger.ApproveAhead(r.t.Context(), ledger.PlanAhead{Account: account, From: at, Until: at.Add(good),
		People: r.planAt(at).Approvable(), By: ledger.Person{Name: by}, Reason: "the office closes"}, terms)
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// runs runs the closer until a time.
func (r *rig) runs(until time.Time) {
	r.t.Helper()
	ctx, stop := context.WithTimeout(r.t.Context(), time.Until(until))
	defer stop()
	if err := r.closer.Run(ctx, func(time.Time) {}); err != nil {
		r.t.Fatal(err)
	}
}

func TestPlanApprovedAheadGoesSharp(t *testing.T) {
	const people = 300
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, crowd(people))
		nine := time.Now().Add(9 * time.Hour)
		r.leaveAt(nine, upTo(people)...)
		r.runs(time.Now().Add(time.Minute))
		r.wantFound(0, "first_run limit")
		p := r.planAt(nine)
		if p.Waiting != people || len(p.Approvable()) != people || p.Digest == "" || !p.People[0].Whole {
			t.Fatalf("the plan has %d waiting, %d to approve", p.Waiting, len(p.Approvable()))
		}
		h := r.approveAhead("ana", nine, day, aDay)
		if h.Digest != p.Digest || h.State != ledger.HoldApproved {
			t.Errorf("hold %s with %s, want the plan's digest, approved", h.State, h.Digest)
		}
		r.restart()
		r.rescind(7)
		r.sim.Recreate(account, userID(8), false)
		gone, _ := r.sim.User(account, userID(8))
		gone.Status = "Closed"
		r.sim.SetUser(account, gone)
		r.runs(nine.Add(-time.Second))
		if s := r.states(); s[ledger.Closed] != 0 || s[ledger.Waiting] != people-1 {
			t.Fatalf("before nine: %v, want all waiting but one", s)
		}
		r.runs(nine.Add(time.Minute))
		if s := r.states(); s[ledger.Closed] != people-2 || s[ledger.Held] != 1 || s[ledger.Cancelled] != 1 {
			t.Errorf("a minute past nine: %v, want all closed but who was taken out and who has another user", s)
		}
		r.closes(0, userID(7))
		r.is(ledger.Held, 8)
	})
}

func TestPlanApprovedAheadIsGoodInItsWindow(t *testing.T) {
	for name, tt := range map[string]struct {
		after func(r *rig, nine time.Time) // what happens once it is approved
		at    time.Duration                // after nine
		want  ledger.State
	}{
		"in it": {at: time.Hour, want: ledger.Closed},
		"due before it": {func(r *rig, nine time.Time) {
			r.leaveAt(nine.Add(-2*time.Minute), upTo(30)...)
		}, -time.Minute, ledger.Held},
		"after it": {func(r *rig, nine time.Time) {
			r.sim.SetDown(true)
			r.untilTolerant(nine.Add(2*time.Hour + time.Minute))
			r.sim.SetDown(false)
		}, 3 * time.Hour, ledger.Held},
		"the day has moved": {func(r *rig, nine time.Time) {
			r.leaveAt(nine.Add(time.Minute), upTo(30)...)
		}, time.Hour, ledger.Held},
		"of another plan": {func(r *rig, nine time.Time) {
			r.rescind(0)
			r.leaveAt(nine.Add(time.Second), 31)
		}, time.Hour, ledger.Closed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, crowd(40), func(r *rig, _ *docusigntest.Config) { r.guard.FirstRun = guard.Close })
				nine := time.Now().Add(3*day + 9*time.Hour)
				r.leaveAt(nine, upTo(30)...)
				r.closeDue()
				time.Sleep(time.Minute)
				r.approveAhead("ana", nine, 2*time.Hour, aDay)
				if tt.after != nil {
					tt.after(r, nine)
				}
				r.until(nine.Add(tt.at))
				r.is(tt.want, 1, 2, 29)
			})
		})
	}
}

// untilTolerant is until while Docusign is away.
func (r *rig) untilTolerant(at time.Time) {
	for time.Now().Before(at) {
		time.Sleep(min(time.Hour, time.Until(at)))
		_, _ = r.closer.CloseDue(r.t.Context(), time.Now(), false)
	}
}

// TestPlanTakesUpWhoWasHeldBeforeIt has people due a while before the plan begins
// that names them: they are held, and go with it.
func TestPlanTakesUpWhoWasHeldBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, crowd(40), func(r *rig, _ *docusigntest.Config) { r.guard.FirstRun = guard.Close })
		nine := time.Now().Add(2 * time.Hour)
		r.leaveAt(nine.Add(-time.Hour), upTo(30)...)
		h := r.approveAhead("ana", nine, day, aDay)
		r.runs(nine.Add(-time.Minute))
		r.is(ledger.Held, 0, 29)
		if h.State != ledger.HoldApproved {
			t.Errorf("hold %s", h.State)
		}
		r.runs(nine.Add(10 * time.Second))
		r.is(ledger.Closed, upTo(30)...)
		if open := r.openHolds(); len(open) != 0 {
			t.Errorf("holds %+v, want none", open)
		}
	})
}

func TestTwoPeopleApproveAPlanAhead(t *testing.T) {
	for name, second := range map[string]func(r *rig, at time.Time, h ledger.Hold, two ledger.Terms){
		"by its hold": func(r *rig, _ time.Time, h ledger.Hold, two ledger.Terms) {
			if _, err := r.ledger.Approve(r.t.Context(), r.word(h.ID, "bob", ""), two); err != nil {
				r.t.Fatal(err)
			}
		},
		"by the plan": func(r *rig, at time.Time, _ ledger.Hold, two ledger.Terms) { r.approveAhead("bob", at, day, two) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, crowd(30))
				two := ledger.Terms{People: 2, Expires: 24 * time.Hour}
				nine := time.Now().Add(2 * day)
				r.leaveAt(nine, upTo(30)...)
				r.closeDue()
				h := r.approveAhead("ana", nine, day, two)
				r.approveAhead("ana", nine, day, two)
				if h := r.hold(); h.State != ledger.HoldOpen || len(h.Approvals) != 1 || !h.Ahead {
					t.Errorf("hold %+v, want one yes of two", h)
				}
				time.Sleep(30 * time.Hour) // longer than a yes is good that was said to what is due
				second(r, nine, h, two)
				if h, err := r.ledger.Hold(t.Context(), h.ID); err != nil || h.State != ledger.HoldApproved || len(h.Approvals) != 2 {
					t.Errorf("hold %s by %v, %v, want it approved by both", h.State, h.Approvals, err)
				}
				r.until(nine)
				r.is(ledger.Closed, upTo(30)...)
			})
		})
	}
}

// TestRefusedPlanSkipsNobody has one of two people refuse a plan ahead: its people
// leave all the same, and are judged on the day.
func TestRefusedPlanSkipsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, crowd(30))
		nine := time.Now().Add(12 * time.Hour)
		r.leaveAt(nine, upTo(30)...)
		r.closeDue()
		h := r.approveAhead("ana", nine, day, ledger.Terms{People: 2, Expires: 24 * time.Hour})
		_, settled, err := r.ledger.Reject(t.Context(), r.word(h.ID, "bob", "too many at once"))
		if err != nil || len(settled) != 0 {
			t.Errorf("settled %v, %v, want nobody", settled, err)
		}
		r.is(ledger.Waiting, 0, 29)
		r.until(nine)
		r.is(ledger.Held, 0, 29)
	})
}

// Who is due before the next run is looked up by that, and not twice.
func TestWhoIsDueSoonIsNotLookedUpAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(func(e *consumer.Event) { e.EffectiveAt = time.Now().Add(r.cfg.Interval / 2) }, 0)
		r.closeDue()
		if n := r.calls("list_users"); n > 0 {
			t.Errorf("%d lists of users were asked for", n)
		}
		time.Sleep(r.cfg.Interval)
		r.closeDue()
		r.is(ledger.Closed, 0)
	})
}

// The headroom of a plan is less by what was sent within the window before it.
func TestHeadroomOfAPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.guard.Limits = []guard.Limit{{Window: time.Hour, Max: 10}} })
		r.leave(nil, 0, 1, 2)
		r.closeDue()
		r.leave(nil, 3)
		for after, want := range map[time.Duration]int{0: 6, 2 * time.Hour: 10} {
			if got := r.planAt(time.Now().Add(after)).Headroom["1h0m0s"]; got != want {
				t.Errorf("after %v: %d left, want %d", after, got, want)
			}
		}
	})
}
