package closer_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
)

func watched(r *rig, _ *docusigntest.Config) { r.watch = 30 * 24 * time.Hour }

func TestWhoIsOpenAgainIsHeld(t *testing.T) {
	for name, sameID := range map[string]bool{"under the same userId": true, "under a new one": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, watched)
				r.leave(nil, 0, 1)
				r.closeDue()
				r.is(ledger.Closed, 0, 1)
				time.Sleep(time.Minute)
				anew := r.sim.Recreate(account, userID(0), sameID)
				r.closeDue() // finds the user
				time.Sleep(time.Minute)
				r.closeDue() // holds it
				hold := r.hold()
				if !slices.Contains(hold.Kinds, ledger.Returned) || len(hold.Users) != 1 || hold.Users[0].ID != anew.ID {
					t.Errorf("hold %+v, want one as returned that names %s", hold, anew.ID)
				}
				stats, err := r.ledger.Stats(t.Context())
				if err != nil || stats.Returned[account] != 1 || stats.Overdue[account].IsZero() {
					t.Errorf("returned %v, overdue %v, %v: want one, overdue", stats.Returned, stats.Overdue, err)
				}
				if u, _ := r.sim.User(account, anew.ID); u.Status == "Closed" {
					t.Error("closed without anybody's word")
				}
				if _, err := r.ledger.Approve(t.Context(), r.word(hold.ID, "ana", "single sign-on is mended"), aDay); err != nil {
					t.Fatal(err)
				}
				r.closeDue()
				if u, _ := r.sim.User(account, anew.ID); u.Status != "Closed" {
					t.Errorf("approved, and the user is %s", u.Status)
				}
				if s := r.states(); s[ledger.Closed] != 3 {
					t.Errorf("%v, want three closed entries", s)
				}
			})
		})
	}
}

func TestWhoMayStayOpenIsNotLookedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, watched)
		r.leave(nil, 0)
		r.closeDue()
		time.Sleep(time.Minute)
		r.sim.Recreate(account, userID(0), true)
		r.closeDue()
		time.Sleep(time.Minute)
		r.closeDue()
		if _, _, err := r.ledger.Reject(t.Context(), r.word(r.hold().ID, "ana", "came back to the company")); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			time.Sleep(24 * time.Hour)
			r.closeDue()
		}
		if holds, err := r.ledger.OpenHolds(t.Context()); err != nil || len(holds) != 0 {
			t.Errorf("holds %v, %v, want none", holds, err)
		}
	})
}

// TestWatchLooksAtTheNextRunThenDaily counts its calls: who is closed, and stays
// so, costs one a day.
func TestWatchLooksAtTheNextRunThenDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, watched)
		r.leave(nil, 0)
		r.closeDue()
		before := r.calls("list_users")
		time.Sleep(5 * time.Minute)
		r.closeDue()
		if got := r.calls("list_users") - before; got != 1 {
			t.Errorf("%d calls at the next run, want 1", got)
		}
		for range 40 * 24 { // past the end of the watch
			time.Sleep(time.Hour)
			r.closeDue()
		}
		if got := r.calls("list_users") - before; got < 28 || got > 32 {
			t.Errorf("%d calls in forty days, want one for each of thirty", got)
		}
	})
}

func TestWatchIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(nil, 0)
		r.closeDue()
		before := r.calls("list_users")
		for range 5 {
			time.Sleep(24 * time.Hour)
			r.closeDue()
		}
		if got := r.calls("list_users") - before; got != 0 {
			t.Errorf("%d calls, want none", got)
		}
	})
}

func TestNotYetActiveAndDisabledUsersAreClosed(t *testing.T) {
	for _, status := range []string{"ActivationSent", "ActivationRequired", "Disabled"} {
		t.Run(status, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				u, _ := r.sim.User(account, userID(0))
				u.Status = status
				r.sim.SetUser(account, u)
				r.leave(nil, 0)
				r.closeDue()
				r.is(ledger.Closed, 0)
			})
		})
	}
}

func TestRefusedForTheIdentityProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, c *docusigntest.Config) { c.Quirks.SCIM = "SOME_CODE" })
		u, _ := r.sim.User(account, userID(0))
		u.ManagedBySCIM = true
		r.sim.SetUser(account, u)
		r.leave(nil, 0)
		for range 10 {
			r.closeDue()
			time.Sleep(time.Hour)
		}
		r.is(ledger.Failed, 0)
		entries, err := r.ledger.Entries(t.Context())
		if err != nil || entries[0].Reason != "SOME_CODE" {
			t.Errorf("%+v, %v: want Docusign's own code", entries, err)
		}
	})
}
