package closer_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/docusign"
	"signoff/closer/docusign/docusigntest"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/consumer"
)

func TestClosesWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, c *docusigntest.Config) {
			c.Quirks.InexactEmail = true
			c.Accounts[0].Users = append(c.Accounts[0].Users,
				docusigntest.User{ID: "shut", Email: email(101), Status: "Closed"},
				docusigntest.User{ID: "like", Email: "x" + email(102)},
				docusigntest.User{ID: "second", Email: "other@example.com", Created: time.Now().AddDate(-1, 0, 0)})
		})
		r.leave(nil, 0, 1, 1, 2, 100, 101, 102) // 1 is told of twice, 100 and 102 have no user
		r.leave(func(e *consumer.Event) { e.OtherEmails = []string{"other@example.com"} }, 3)
		r.leave(func(e *consumer.Event) { e.EffectiveAt = time.Now().Add(time.Hour) }, 4)
		r.closeDue()
		r.is(ledger.Closed, 0, 1, 2, 3)
		r.is(ledger.NotFound, 100, 102)
		r.is(ledger.AlreadyClosed, 101)
		r.is(ledger.Waiting, 4)
		for _, user := range []string{userID(0), userID(1), userID(2), userID(3), "second"} {
			r.closes(1, user)
		}
		r.closes(0, "like")
		if n := r.calls("close_users"); n != 1 {
			t.Errorf("%d close requests, want 1", n)
		}
		time.Sleep(2 * time.Hour)
		r.closeDue()
		r.is(ledger.Closed, 4)
	})
}

func TestBatchesHaveAtMostMaxUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.cfg.MaxUsers = 3 })
		r.leave(nil, 0, 1, 2, 3, 4, 5, 6)
		r.closeDue()
		r.is(ledger.Closed, 0, 1, 2, 3, 4, 5, 6)
		var sizes []int
		for _, q := range r.sim.Requests() {
			if q.Operation == "close_users" {
				sizes = append(sizes, len(q.UserIDs))
			}
		}
		if !slices.Equal(sizes, []int{3, 3, 1}) {
			t.Errorf("batches of %v users, want 3, 3 and 1", sizes)
		}
	})
}

func TestUnknownOutcomeIsLookedUpBeforeAnythingElse(t *testing.T) {
	for name, tt := range map[string]struct {
		faults docusigntest.Faults
		quirks docusigntest.Quirks
		closed bool // by the first request
	}{
		"cut before it took effect":    {docusigntest.Faults{CutBefore: 1}, docusigntest.Quirks{}, false},
		"cut after it took effect":     {docusigntest.Faults{CutAfter: 1}, docusigntest.Quirks{}, true},
		"half an answer":               {docusigntest.Faults{HalfAnswer: 1}, docusigntest.Quirks{}, true},
		"a proxy's page":               {docusigntest.Faults{HTML: 1}, docusigntest.Quirks{}, true},
		"500":                          {docusigntest.Faults{Error500: 1}, docusigntest.Quirks{}, false},
		"left out of the answer":       {docusigntest.Faults{MissingEntry: 1}, docusigntest.Quirks{}, true},
		"others may not be read by id": {docusigntest.Faults{CutAfter: 1}, docusigntest.Quirks{OwnRecordOnly: true}, true},
		"nor was it closed, then":      {docusigntest.Faults{CutBefore: 1}, docusigntest.Quirks{OwnRecordOnly: true}, false},
		"closed users cannot be found": {docusigntest.Faults{CutAfter: 1}, docusigntest.Quirks{HidesClosedEmail: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(_ *rig, c *docusigntest.Config) { c.Quirks = tt.quirks })
				r.leave(nil, 0)
				tt.faults.Operations, tt.faults.Times = []string{"close_users"}, 1
				r.sim.SetFaults(tt.faults)
				r.closeDue()
				r.is(ledger.Submitted, 0)
				before := len(r.sim.Requests())
				r.restart()
				r.closeDue()
				if len(r.sim.Requests()) > before+3 {
					t.Error("looked up before the request's time-out")
				}
				r.is(ledger.Submitted, 0)
				time.Sleep(docusign.RequestTimeout + time.Second)
				r.closeDue()
				r.is(ledger.Closed, 0)
				if tt.closed {
					r.closes(1, userID(0))
				}
				if c := r.sim.Closes(account)[userID(0)]; c.Closed != 1 {
					t.Errorf("closed %d times", c.Closed)
				}
			})
		})
	}
}

func TestRefusalIsTriedAgainThenFailsThenDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, c *docusigntest.Config) {
			c.Accounts[0].Users = append(c.Accounts[0].Users, docusigntest.User{ID: "stubborn", Email: email(50), CloseError: "SOME_CODE",
				Created: time.Now().AddDate(-1, 0, 0)})
		})
		r.leave(nil, 0, 50)
		r.closeDue()
		r.is(ledger.Closed, 0) // the other one of the batch is not made to wait
		r.is(ledger.Due, 50)
		for range 10 {
			time.Sleep(time.Hour)
			r.closeDue()
		}
		r.is(ledger.Failed, 50)
		r.closes(5, "stubborn")
		r.closes(1, userID(0))
		time.Sleep(25 * time.Hour)
		r.closeDue()
		r.is(ledger.Failed, 50)
		r.closes(6, "stubborn")
	})
}

func TestBatchRefusedAsAWholeIsHalved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, c *docusigntest.Config) { c.Quirks.MaxUsersPerClose = 2 })
		r.leave(nil, 0, 1, 2, 3, 4, 5, 6)
		r.closeDue()
		r.is(ledger.Closed, 0, 1, 2, 3, 4, 5, 6)
	})
}

func TestQuotaIsWaitedFor(t *testing.T) {
	for name, status := range map[string]int{"429": 429, "400, as before 2026": 400} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(_ *rig, c *docusigntest.Config) { c.QuotaStatus, c.HourLimit = status, 12 })
				who := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}
				r.leave(nil, who...)
				for range 8 {
					r.closeDue()
					time.Sleep(31 * time.Minute)
				}
				r.is(ledger.Closed, who...)
				if n := r.sim.Stats().Exhausted; n != 0 {
					t.Errorf("%d requests into an exhausted window", n)
				}
				entries, err := r.ledger.Entries(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					if e.Attempts != 0 {
						t.Errorf("entry %d: waiting cost %d attempts", e.ID, e.Attempts)
					}
				}
			})
		})
	}
}

func TestUsedUpHourIsRememberedAcrossRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(nil, 0)
		r.closeDue()
		r.sim.ExhaustHour(account)
		r.leave(nil, 1)
		r.closeDue() // finds out
		asked := r.calls("list_users") + r.calls("close_users")
		r.restart()
		if r.closeDue() {
			t.Error("a run was made in a used-up hour")
		}
		if n := r.calls("list_users") + r.calls("close_users"); n != asked {
			t.Errorf("%d calls more in a used-up hour", n-asked)
		}
	})
}

func TestAccountIsParkedAndResumes(t *testing.T) {
	for name, tt := range map[string]struct{ breakIt, mendIt func(*docusigntest.Server) }{
		"consent": {func(s *docusigntest.Server) { s.SetConsent(false) }, func(s *docusigntest.Server) { s.SetConsent(true) }},
		"permission": {func(s *docusigntest.Server) { s.SetRefuse(account, "USER_LACKS_PERMISSIONS") },
			func(s *docusigntest.Server) { s.SetRefuse(account, "") }},
		"down":  {func(s *docusigntest.Server) { s.SetDown(true) }, func(s *docusigntest.Server) { s.SetDown(false) }},
		"clock": {func(s *docusigntest.Server) { s.SetClockSkew(3 * time.Minute) }, func(s *docusigntest.Server) { s.SetClockSkew(0) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				tt.breakIt(r.sim)
				r.leave(nil, 0, 1)
				for range 4 {
					r.closeDue()
					time.Sleep(5 * time.Minute)
				}
				if n := r.states()[ledger.Closed]; n != 0 {
					t.Errorf("%d closed", n)
				}
				stats, err := r.ledger.Stats(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(stats.Accounts) != 1 || stats.Accounts[0].Parked == "" {
					t.Errorf("accounts %+v, want one that is parked", stats.Accounts)
				}
				if n := r.calls("close_users"); n != 0 && name == "clock" {
					t.Errorf("%d closes sent with a wrong clock", n)
				}
				tt.mendIt(r.sim)
				for range 3 {
					r.closeDue()
					time.Sleep(5 * time.Minute)
				}
				r.is(ledger.Closed, 0, 1)
				if stats, err = r.ledger.Stats(t.Context()); err != nil || len(stats.Accounts) != 1 || stats.Accounts[0].Parked != "" {
					t.Errorf("accounts %+v, %v, want one that is not parked", stats.Accounts, err)
				}
				entries, err := r.ledger.Entries(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					if e.Attempts != 0 {
						t.Errorf("entry %d: the outage cost %d attempts", e.ID, e.Attempts)
					}
				}
			})
		})
	}
}

func TestNoPlanBeforeTheBacklogIsRead(t *testing.T) {
	for name, tt := range map[string]struct {
		states []consumer.Reading
		after  time.Duration
		plans  bool
	}{
		"catching up, however long":      {[]consumer.Reading{consumer.Joining, consumer.CatchingUp}, time.Hour, false},
		"up to date":                     {[]consumer.Reading{consumer.Joining, consumer.CatchingUp, consumer.UpToDate}, 0, true},
		"away for a while":               {[]consumer.Reading{consumer.Joining, consumer.Away}, 14 * time.Minute, false},
		"away for too long":              {[]consumer.Reading{consumer.Joining, consumer.Away}, 15 * time.Minute, true},
		"away, and a new process":        {[]consumer.Reading{consumer.Away, consumer.Joining}, 15 * time.Minute, true},
		"an empty ledger beside a topic": {[]consumer.Reading{consumer.NeedsFrom}, 15 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.leave(nil, 0)
				for _, s := range tt.states {
					if err := r.ledger.SetReading(t.Context(), s, ""); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(tt.after)
				if done := r.closeDue(); done != tt.plans {
					t.Errorf("a plan was made: %v, want %v", done, tt.plans)
				}
			})
		})
	}
}

func TestRunCountsTheIntervalFromTheLastRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.cfg.Interval = 20 * time.Minute })
		began := time.Now()
		r.closeDue()
		r.leave(nil, 0)
		// A process that crashes every 3 minutes gets no further than 3 minutes, and
		// still the run comes an interval after the last.
		for time.Since(began) < 25*time.Minute {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			if err := r.closer.Run(ctx, func(time.Time) {}); err != nil {
				t.Fatal(err)
			}
			cancel()
			if time.Since(began) < 18*time.Minute {
				r.is(ledger.Waiting, 0)
			}
			r.restart()
		}
		r.is(ledger.Closed, 0)
	})
}

func TestStopAtTheStartIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 10 { // the ledger may take a write all the same
			if err := r.closer.Run(ctx, func(time.Time) {}); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestUrgentLeaversDoNotWaitForTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.cfg.Interval = time.Hour })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.closer.Run(ctx, func(time.Time) {}) }()
		time.Sleep(time.Minute)
		r.leave(nil, 0)
		r.leave(func(e *consumer.Event) { e.Urgent = true }, 1)
		time.Sleep(5 * time.Second)
		r.is(ledger.Due, 0)
		r.is(ledger.Closed, 1)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestShutdownFinishesTheBatchUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, c *docusigntest.Config) { r.cfg.MaxUsers, c.Latency = 2, 10*time.Second })
		r.leave(nil, 0, 1, 2, 3)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.closer.Run(ctx, func(time.Time) {}) }()
		for states := r.states(); states[ledger.Submitted] == 0; states = r.states() {
			time.Sleep(time.Second) // until the first batch waits on Docusign
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		states := r.states()
		if states[ledger.Submitted] != 0 || states[ledger.Closed] != 2 || states[ledger.Due] != 2 {
			t.Errorf("after the shutdown: %v, want the first batch closed and the second not begun", states)
		}
	})
}

func TestOneUserInTwoEntriesIsClosedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(func(e *consumer.Event) { e.OtherEmails = []string{email(1)} }, 0)
		r.leave(nil, 1)
		r.closeDue()
		r.is(ledger.Closed, 0, 1)
		r.closes(1, userID(1))
	})
}

func TestMovedLeavingDateKeepsTheUserOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.guard.FirstRun = guard.Hold })
		r.leave(nil, 0)
		r.closeDue()
		r.is(ledger.Held, 0)
		r.leave(func(e *consumer.Event) { e.EffectiveAt = time.Now().Add(48 * time.Hour) }, 0)
		r.is(ledger.Waiting, 0)
		time.Sleep(24 * time.Hour)
		r.closeDue()
		r.is(ledger.Waiting, 0)
		r.closes(0, userID(0))
	})
}

// Another guard does not wait for the end of the look-ups of a plan that it will not
// let go, nor do urgent leavers.
func TestReconfigureEndsTheLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, company(2000))
		changed := false
		r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
			if strings.HasSuffix(req.URL.Path, "/users") && !changed {
				changed = true
				g := r.guard
				g.Protected.Emails = []string{email(0)}
				if err := r.closer.Reconfigure(r.t.Context(), r.cfg, g); err != nil {
					t.Error(err)
				}
			}
			return next.RoundTrip(req)
		})
		r.leave(nil, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		if r.closeDue() {
			t.Error("a plan was made by the guard of before")
		}
		if n := r.calls("list_users"); n > 5 { // those that were under way
			t.Errorf("%d look-ups by the guard of before", n)
		}
		r.closeDue()
		r.is(ledger.Held, 0)
		r.is(ledger.Closed, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	})
}

// A ledger that cannot say so leaves the guard in force that was.
func TestReconfigureIsWholeOrNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		g := r.guard
		g.Protected.Emails = []string{email(0)}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.closer.Reconfigure(over, r.cfg, g); err == nil {
			t.Error("no error")
		}
		r.leave(nil, 0)
		r.closeDue()
		r.is(ledger.Closed, 0)
	})
}
