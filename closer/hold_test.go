package closer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/consumer"
)

func TestFirstRunAndLimitHoldTheWholePlan(t *testing.T) {
	for name, tt := range map[string]struct {
		setup setup
		kind  ledger.Kind
	}{
		"first run": {func(r *rig, _ *docusigntest.Config) { r.guard.FirstRun = guard.Hold }, ledger.FirstRun},
		"limit": {func(r *rig, _ *docusigntest.Config) {
			r.guard.Limits = []guard.Limit{{Window: time.Hour, Max: 2}}
		}, ledger.Limit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.setup)
				r.leave(nil, 0, 1, 2, 100)
				r.closeDue()
				r.is(ledger.Held, 0, 1, 2)
				r.is(ledger.NotFound, 100) // needs nobody's approval
				h := r.hold()
				if h.Kinds[0] != tt.kind || len(h.Users) != 3 {
					t.Fatalf("hold %+v, want %s of 3", h, tt.kind)
				}
				time.Sleep(time.Hour)
				r.closeDue()
				r.is(ledger.Held, 0, 1, 2)
				if _, err := r.ledger.Approve(t.Context(), r.word(h.ID, "ana", "checked with HR"), aDay); err != nil {
					t.Fatal(err)
				}
				r.closeDue()
				r.is(ledger.Closed, 0, 1, 2)
				r.leave(nil, 3)
				time.Sleep(2 * time.Hour) // the window is empty again
				r.closeDue()
				r.is(ledger.Closed, 3)
			})
		})
	}
}

func TestHoldIsMadeAnewAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.guard.FirstRun = guard.Hold })
		r.leave(nil, 0)
		r.closeDue()
		since := r.hold().CreatedAt
		time.Sleep(time.Hour)
		r.restart()
		r.closeDue()
		if again := r.hold().CreatedAt; !again.Equal(since) {
			t.Errorf("held since %v, want %v: a restart must not hide how long it waits", again, since)
		}
		r.guard.FirstRun = guard.Close
		r.restart()
		r.closeDue()
		r.is(ledger.Closed, 0)
	})
}

func TestPeopleAreHeld(t *testing.T) {
	long := func() time.Time { return time.Now().AddDate(-1, 0, 0) }
	for name, tt := range map[string]struct {
		users []docusigntest.User
		guard func(*guard.Config)
		event func(*consumer.Event)
		kind  ledger.Kind
	}{
		"protected, in other case": {
			users: []docusigntest.User{{ID: "u", Email: "Boss@Example.com", Created: long()}},
			guard: func(g *guard.Config) { g.Protected.Emails = []string{"BOSS@example.com"} },
			event: func(e *consumer.Event) { e.Email = "boss@example.com" }, kind: ledger.Protected,
		},
		"an administrator": {
			users: []docusigntest.User{{ID: "u", Email: email(90), Administrator: true, Created: long()}},
			event: func(e *consumer.Event) { e.Email = email(90) }, kind: ledger.Administrator,
		},
		"too few administrators left": {
			guard: func(g *guard.Config) { g.Administrators, g.MinAdministrators = guard.Close, 3 },
			event: func(e *consumer.Event) { e.Email = "it@example.com" }, kind: ledger.FewAdministrators,
		},
		"ourselves": {
			guard: func(g *guard.Config) { g.Administrators = guard.Close },
			event: func(e *consumer.Event) { e.Email = "signoff@example.com" }, kind: ledger.Self,
		},
		"two users of one email": {
			users: []docusigntest.User{{ID: "u", Email: email(90), Name: "a", Created: long()}, {ID: "v", Email: email(90), Name: "b", Created: long()}},
			event: func(e *consumer.Event) { e.Email = email(90) }, kind: ledger.Ambiguous,
		},
		"came after the termination": {
			users: []docusigntest.User{{ID: "u", Email: email(90), Created: long().AddDate(0, 6, 0)}},
			event: func(e *consumer.Event) {
				e.Email, e.EffectiveAt, e.OccurredAt = email(90), long(), time.Now()
			}, kind: ledger.NewerUser,
		},
		"old news": {
			event: func(e *consumer.Event) {
				e.EffectiveAt, e.OccurredAt = time.Now().AddDate(0, 0, -8), time.Now().AddDate(0, 0, -8)
			}, kind: ledger.Stale,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(r *rig, c *docusigntest.Config) {
					c.Accounts[0].Users = append(c.Accounts[0].Users, tt.users...)
					if tt.guard != nil {
						tt.guard(&r.guard)
					}
				})
				r.leave(tt.event, 1)
				r.leave(nil, 2)
				r.closeDue()
				r.is(ledger.Closed, 2) // the rest of the plan goes on
				h := r.hold()
				if h.Kinds[0] != tt.kind {
					t.Errorf("held as %v, want %s", h.Kinds, tt.kind)
				}
				_, err := r.ledger.Approve(t.Context(), r.word(h.ID, "ana", ""), aDay)
				if tt.kind == ledger.Self {
					if err == nil {
						t.Error("our own user was approved")
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				r.closeDue()
				for _, u := range h.Users {
					r.closes(1, u.ID)
				}
			})
		})
	}
}

func TestApprovalCoversNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.guard.FirstRun = guard.Hold })
		r.leave(nil, 0)
		r.closeDue()
		if _, err := r.ledger.Approve(t.Context(), r.word(r.hold().ID, "ana", ""), aDay); err != nil {
			t.Fatal(err)
		}
		// Single sign-on makes another user of the same address meanwhile.
		r.sim.AddUser(account, docusigntest.User{ID: "new", Email: email(0), Name: "twin", Created: time.Now().AddDate(-1, 0, 0)})
		r.closeDue()
		r.is(ledger.Held, 0)
		r.closes(0, userID(0))
		r.closes(0, "new")
	})
}

func TestDryRunClosesNobodyAndTheSwitchIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.cfg.DryRun = true })
		r.leave(nil, 0, 1, 100)
		r.closeDue()
		r.is(ledger.WouldClose, 0, 1)
		r.is(ledger.NotFound, 100)
		r.closes(0, userID(0))
		r.cfg.DryRun, r.guard.FirstRun = false, guard.Hold
		r.restart()
		r.closeDue()
		r.is(ledger.Held, 0, 1)
		if h := r.hold(); len(h.Users) != 2 || h.Kinds[0] != ledger.FirstRun {
			t.Errorf("hold %+v, want both in one first plan", h)
		}
	})
}
