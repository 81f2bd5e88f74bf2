package closer_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
	"signoff/consumer"
)

func rescinded(e *consumer.Event) { e.Kind = consumer.Rescinded }

// approvedReopen has leaver 0 closed, the termination taken back, and the
// reopening approved, which is returned.
func (r *rig) approvedReopen() ledger.Hold {
	r.t.Helper()
	r.leave(nil, 0)
	r.closeDue()
	r.is(ledger.Closed, 0)
	time.Sleep(time.Second)
	r.leave(rescinded, 0)
	h := r.hold()
	if h.Kinds[0] != ledger.Reopening {
		r.t.Fatalf("hold %+v, want a reopening", h)
	}
	return r.approve(h)
}

func (r *rig) approve(h ledger.Hold) ledger.Hold {
	r.t.Helper()
	h, err := r.ledger.Approve(r.t.Context(), r.word(h.ID, "ana", "checked with HR"), aDay)
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// userIs asserts the status of a leaver's user at Docusign.
func (r *rig) userIs(who int, want string) {
	r.t.Helper()
	if u, _ := r.sim.User(account, userID(who)); u.Status != want {
		r.t.Errorf("user of leaver %d is %s, want %s", who, u.Status, want)
	}
}

// reopenIs asserts what became of the only reopening of a hold.
func (r *rig) reopenIs(hold int64, want ledger.ReopenState, reason string) {
	r.t.Helper()
	h, err := r.ledger.Hold(r.t.Context(), hold)
	if err != nil || len(h.Reopens) != 1 || h.Reopens[0].State != want || want != ledger.ReopenApproved && h.Reopens[0].Reason != reason {
		r.t.Errorf("reopenings %+v (%v), want one %s: %q", h.Reopens, err, want, reason)
	}
}

func TestApprovedReopenIsCarriedOut(t *testing.T) {
	for name, c := range map[string]struct {
		quirks docusigntest.Quirks
		status string // of the user in the end
		state  ledger.ReopenState
		reason string
		calls  int
	}{
		"an email is sent":                   {docusigntest.Quirks{}, "ActivationSent", ledger.ReopenSent, "", 1},
		"active at once":                     {docusigntest.Quirks{ReopensAs: "Active"}, "Active", ledger.ReopenSent, "", 1},
		"the answer does not say":            {docusigntest.Quirks{NoUserStatus: true}, "ActivationSent", ledger.ReopenSent, "", 1},
		"nor may others be read":             {docusigntest.Quirks{NoUserStatus: true, OwnRecordOnly: true, HidesClosedEmail: true}, "ActivationSent", ledger.ReopenSent, "", 1},
		"who is closed cannot be found":      {docusigntest.Quirks{HidesClosedEmail: true}, "ActivationSent", ledger.ReopenSent, "", 1},
		"the filter is not exact":            {docusigntest.Quirks{InexactEmail: true}, "ActivationSent", ledger.ReopenSent, "", 1},
		"refused":                            {docusigntest.Quirks{Reopen: "user:SOME_CODE"}, "Closed", ledger.ReopenFailed, "SOME_CODE", 1},
		"refused as a call":                  {docusigntest.Quirks{Reopen: "SOME_CODE"}, "Closed", ledger.ReopenFailed, "SOME_CODE", 1},
		"we may not":                         {docusigntest.Quirks{Reopen: "USER_LACKS_PERMISSIONS"}, "Closed", ledger.ReopenFailed, "USER_LACKS_PERMISSIONS", 1},
		"taken for done, and had no effect":  {docusigntest.Quirks{ReopensAs: "Closed"}, "Closed", ledger.ReopenFailed, "no_effect", 3},
		"the same, and the answer is silent": {docusigntest.Quirks{ReopensAs: "Closed", NoUserStatus: true}, "Closed", ledger.ReopenFailed, "no_effect", 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(_ *rig, s *docusigntest.Config) { s.Quirks = c.quirks })
				u, _ := r.sim.User(account, userID(1))
				u.Email = "x+" + email(0) // is found as well where the filter is not exact
				r.sim.SetUser(account, u)
				h := r.approvedReopen()
				for range 6 {
					r.closeDue()
					time.Sleep(5 * time.Minute)
				}
				r.userIs(0, c.status)
				r.reopenIs(h.ID, c.state, c.reason)
				r.is(ledger.Closed, 0)
				if n := r.calls("reopen_user"); n != c.calls {
					t.Errorf("sent %d times, want %d", n, c.calls)
				}
				if state, err := r.ledger.Account(t.Context(), account); err != nil || state.Parked != "" {
					t.Errorf("account %+v (%v), want it not parked", state, err)
				}
			})
		})
	}
}

func TestReopenThatBecamePointlessIsDropped(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*rig)
		reason string
	}{
		"open already": {func(r *rig) { r.sim.Recreate(account, userID(0), true) }, "already_open"},
		"open already, as another user": {func(r *rig) {
			r.sim.AddUser(account, docusigntest.User{Email: strings.ToUpper(email(0)), Status: "ActivationSent"})
		}, "address_in_use"},
		"the address went to somebody who is disabled": {func(r *rig) {
			r.sim.AddUser(account, docusigntest.User{Email: email(0), Status: "Disabled"})
		}, "address_in_use"},
		"the user has another address, which is taken": {func(r *rig) {
			u, _ := r.sim.User(account, userID(0))
			u.Email = email(7)
			r.sim.SetUser(account, u)
		}, "address_in_use"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, watched)
				h := r.approvedReopen()
				c.before(r)
				for range 3 {
					r.closeDue()
					time.Sleep(5 * time.Minute)
				}
				r.reopenIs(h.ID, ledger.ReopenDropped, c.reason)
				if n := r.calls("reopen_user"); n != 0 {
					t.Errorf("sent %d times", n)
				}
			})
		})
	}
}

func TestReopenWaits(t *testing.T) {
	for name, c := range map[string]struct {
		setup  setup
		before func(*rig) // with the reopening approved
		after  func(*rig) // ends the wait
	}{
		"in a dry run": {nil, func(r *rig) { r.cfg.DryRun = true; r.restart() }, func(r *rig) { r.cfg.DryRun = false; r.restart() }},
		"for a parked account": {nil, func(r *rig) { r.sim.SetRefuse(account, "ACCOUNT_LACKS_PERMISSIONS") },
			func(r *rig) { r.sim.SetRefuse(account, ""); time.Sleep(time.Hour) }},
		"for an outage": {nil, func(r *rig) { r.sim.SetDown(true) }, func(r *rig) { r.sim.SetDown(false); time.Sleep(time.Hour) }},
		"for the hour's quota": {func(_ *rig, s *docusigntest.Config) { s.HourLimit = 100 },
			func(r *rig) { r.sim.TakeCalls(account, 36) }, func(*rig) { time.Sleep(time.Hour) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(r *rig, s *docusigntest.Config) {
					if c.setup != nil {
						c.setup(r, s)
					}
				})
				h := r.approvedReopen()
				c.before(r)
				r.closeDue()
				r.closeDue()
				r.reopenIs(h.ID, ledger.ReopenApproved, "")
				r.userIs(0, "Closed")
				c.after(r)
				for range 4 {
					r.closeDue()
					time.Sleep(5 * time.Minute)
				}
				r.reopenIs(h.ID, ledger.ReopenSent, "")
				r.userIs(0, "ActivationSent")
				if n := r.calls("reopen_user"); n != 1 {
					t.Errorf("sent %d times", n)
				}
			})
		})
	}
}

// Reopenings leave the quota to everything that closes, and hold none of it up.
func TestReopenHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, s *docusigntest.Config) { s.HourLimit = 100 })
		h := r.approvedReopen()
		r.sim.TakeCalls(account, 36)
		r.closeDue()
		r.reopenIs(h.ID, ledger.ReopenApproved, "")
		r.leave(nil, 1)
		r.closeDue()
		r.is(ledger.Closed, 1)
	})
}

func TestReopenOfUnknownOutcomeIsLookedUp(t *testing.T) {
	for name, c := range map[string]struct {
		faults docusigntest.Faults
		quirks docusigntest.Quirks
		calls  int // in the end
	}{
		"cut after it took effect":           {docusigntest.Faults{CutAfter: 1}, docusigntest.Quirks{}, 1},
		"cut before it took effect":          {docusigntest.Faults{CutBefore: 1}, docusigntest.Quirks{}, 2},
		"no answer for ever":                 {docusigntest.Faults{Hang: 1}, docusigntest.Quirks{}, 1},
		"a proxy's page":                     {docusigntest.Faults{PageAfter: 1}, docusigntest.Quirks{}, 1},
		"500":                                {docusigntest.Faults{Error500: 1}, docusigntest.Quirks{}, 2},
		"and others may not be read by us":   {docusigntest.Faults{CutAfter: 1}, docusigntest.Quirks{OwnRecordOnly: true}, 1},
		"nor found by their address, closed": {docusigntest.Faults{CutBefore: 1}, docusigntest.Quirks{OwnRecordOnly: true, HidesClosedEmail: true}, 2},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", and the process ends"}[restart], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, func(_ *rig, s *docusigntest.Config) { s.Quirks = c.quirks })
					h := r.approvedReopen()
					c.faults.Times, c.faults.Operations = 1, []string{"reopen_user"}
					r.sim.SetFaults(c.faults)
					r.closeDue()
					r.reopenIs(h.ID, ledger.ReopenSubmitted, "")
					if restart {
						r.restart()
					}
					r.closeDue() // too early to ask, unless it has hung
					if n := r.calls("reopen_user"); n != 1 {
						t.Fatalf("sent %d times before anybody asked", n)
					}
					for range 4 {
						time.Sleep(5 * time.Minute)
						r.closeDue()
					}
					r.reopenIs(h.ID, ledger.ReopenSent, "")
					r.userIs(0, "ActivationSent")
					if n := r.calls("reopen_user"); n != c.calls {
						t.Errorf("sent %d times, want %d", n, c.calls)
					}
				})
			})
		}
	}
}

// A process that is killed between the answer and the ledger asks, and does not
// send again: the intent was on disk before the request went out.
func TestReopenIntentIsWrittenBeforeTheDeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var before []ledger.ReopenState
		var hold int64
		r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
			if req.Method == http.MethodPut {
				h, err := r.ledger.Hold(t.Context(), hold)
				if err != nil {
					t.Error(err)
				}
				before = append(before, h.Reopens[0].State)
			}
			return next.RoundTrip(req)
		})
		hold = r.approvedReopen().ID
		r.closeDue()
		if len(before) != 1 || before[0] != ledger.ReopenSubmitted {
			t.Errorf("while it went out the ledger said %v", before)
		}
	})
}

// Those who cannot be looked up come after the others.
func TestReopensThatCannotBeLookedUpStarveNobody(t *testing.T) {
	for name, status := range map[string]int{"for now": 444, "ever": 400} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				broken := false
				r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
					if address := req.URL.Query().Get("email"); broken && address != "" && address != email(9) {
						return says(req, status, `{"errorCode":"SOME_CODE","message":"x"}`), nil
					}
					return next.RoundTrip(req)
				})
				everybody := []int{0, 1, 2, 3, 4, 5, 9}
				r.leave(nil, everybody...)
				r.closeDue()
				for _, i := range everybody {
					time.Sleep(time.Second)
					r.leave(rescinded, i)
					r.approve(r.hold())
				}
				broken = true
				for range 6 {
					r.closeDue()
					time.Sleep(5 * time.Minute)
				}
				r.userIs(9, "ActivationSent")
				r.userIs(0, "Closed")
				broken = false
				time.Sleep(time.Hour)
				r.closeDue()
				r.userIs(0, "ActivationSent")
			})
		})
	}
}

// Somebody who leaves again while it is looked up whether to open them is not
// opened, and the run goes on.
func TestLeavesAgainWhileTheReopenIsLookedUp(t *testing.T) {
	for name, taken := range map[string]bool{"": false, "and it had become pointless": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				again := false
				r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
					if again && req.URL.Query().Get("email") == email(0) {
						again = false
						time.Sleep(time.Second)
						r.leave(nil, 0)
					}
					return next.RoundTrip(req)
				})
				h := r.approvedReopen()
				if taken {
					r.sim.AddUser(account, docusigntest.User{Email: email(0)})
				}
				again = true
				r.closeDue()
				if again {
					t.Fatal("nobody was looked up")
				}
				r.reopenIs(h.ID, ledger.ReopenDropped, "terminated")
				if n := r.calls("reopen_user"); n != 0 {
					t.Errorf("sent %d times", n)
				}
			})
		})
	}
}

// Who was opened again by a person's word is not held as returned, whether they
// have clicked or not.
func TestWhoWasReopenedHasNotReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, watched)
		r.approvedReopen()
		for day := range 5 {
			r.closeDue()
			if day == 2 {
				u, _ := r.sim.User(account, userID(0))
				u.Status = "Active"
				r.sim.SetUser(account, u)
			}
			time.Sleep(24 * time.Hour)
		}
		r.userIs(0, "Active")
		r.is(ledger.Closed, 0) // and no other entry
		if holds, err := r.ledger.OpenHolds(t.Context()); err != nil || len(holds) != 0 {
			t.Errorf("holds %+v (%v), want none", holds, err)
		}
		r.leave(nil, 0) // leaves once more
		r.closeDue()
		r.userIs(0, "Closed")
	})
}

func TestReopenThroughTheOrganization(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts, throughOrganization)
		r.leave(nil, 0)
		r.goOn(time.Minute)
		r.wantIn(0, map[string]ledger.State{account: ledger.Closed, second: ledger.Closed, third: ledger.Closed})
		r.leave(rescinded, 0)
		holds, err := r.ledger.OpenHolds(t.Context())
		if err != nil || len(holds) != 3 {
			t.Fatalf("holds %+v (%v), want one for each account", holds, err)
		}
		for _, h := range holds {
			if h.Account == second {
				r.approve(h)
			}
		}
		r.goOn(time.Minute)
		for id, want := range map[string]string{account: "Closed", second: "ActivationSent", third: "Closed"} {
			if u, _ := r.sim.User(id, userID(0)); u.Status != want {
				t.Errorf("in %s the user is %s, want %s", id, u.Status, want)
			}
		}
		log := r.sim.Requests()
		for _, req := range log {
			if req.Operation == "reopen_user" && req.Account != second {
				t.Errorf("opened in %s", req.Account)
			}
		}
	})
}
