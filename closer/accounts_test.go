package closer_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer"
	"signoff/closer/docusign"
	"signoff/closer/docusign/docusigntest"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/consumer"
)

const (
	second = "b0000000-0000-4000-8000-000000000002"
	third  = "c0000000-0000-4000-8000-000000000003"
)

// threeAccounts has leaver 0 in all accounts, leaver 1 in the first alone.
func threeAccounts(r *rig, c *docusigntest.Config) {
	old := time.Now().AddDate(-1, 0, 0)
	r.cfg.Accounts = []string{account, second, third}
	for _, id := range []string{second, third} {
		c.Accounts = append(c.Accounts, docusigntest.AccountConfig{ID: id, Users: []docusigntest.User{
			{ID: self, Email: "signoff@example.com", Administrator: true, Created: old},
			{ID: userID(0), Email: email(0), Created: old},
		}})
	}
}

// in counts the states of a leaver's entries by account.
func (r *rig) in(who int) map[string]ledger.State {
	r.t.Helper()
	entries, err := r.ledger.Entries(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	states := make(map[string]ledger.State)
	for _, e := range entries {
		if e.Leaver == email(who) {
			states[e.Account] = e.State
		}
	}
	return states
}

func (r *rig) wantIn(who int, want map[string]ledger.State) {
	r.t.Helper()
	got := r.in(who)
	for id, state := range want {
		if got[id] != state {
			r.t.Errorf("leaver %d in %s is %q, want %q", who, id, got[id], state)
		}
	}
	if len(got) != len(want) {
		r.t.Errorf("leaver %d has entries in %v, want %v", who, got, want)
	}
}

func TestLeaverIsClosedInEveryAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts)
		r.leave(nil, 0, 1)
		r.closeDue()
		r.wantIn(0, map[string]ledger.State{account: ledger.Closed, second: ledger.Closed, third: ledger.Closed})
		r.wantIn(1, map[string]ledger.State{account: ledger.Closed, second: ledger.NotFound, third: ledger.NotFound})
		for _, id := range []string{second, third} {
			if u, _ := r.sim.User(id, userID(0)); u.Status != "Closed" {
				t.Errorf("in %s the user is %s", id, u.Status)
			}
		}
	})
}

func TestParkedAccountStopsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts)
		r.sim.SetRefuse(second, "ACCOUNT_LACKS_PERMISSIONS")
		r.leave(nil, 0)
		r.closeDue()
		r.wantIn(0, map[string]ledger.State{account: ledger.Closed, second: ledger.Due, third: ledger.Closed})
		state, err := r.ledger.Account(t.Context(), second)
		if err != nil || state.Parked != "account" || state.Advice == "" {
			t.Errorf("account %+v, %v: want it parked, with advice", state, err)
		}
		r.sim.SetRefuse(second, "")
		time.Sleep(time.Minute)
		r.closeDue()
		r.wantIn(0, map[string]ledger.State{account: ledger.Closed, second: ledger.Closed, third: ledger.Closed})
		if state, err = r.ledger.Account(t.Context(), second); err != nil || state.Parked != "" {
			t.Errorf("account %+v, %v: want it parked no more", state, err)
		}
	})
}

func TestAllAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts, func(r *rig, _ *docusigntest.Config) { r.cfg.Accounts, r.cfg.AllAccounts = nil, true })
		r.leave(nil, 0)
		r.closeDue()
		r.wantIn(0, map[string]ledger.State{account: ledger.Closed, second: ledger.Closed, third: ledger.Closed})
	})
}

func TestSeveralAccountsAndNoneNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts, func(r *rig, _ *docusigntest.Config) { r.cfg.Accounts = nil })
		r.leave(nil, 0)
		if r.closeDue() {
			t.Error("a run was made, though it is not known where")
		}
		r.wantIn(0, map[string]ledger.State{"": ledger.Waiting})
		state, err := r.ledger.Account(t.Context(), "unknown")
		if err != nil || state.Parked != "account" || state.Advice == "" {
			t.Errorf("account %+v, %v: want it parked, with advice", state, err)
		}
	})
}

func TestAccountsOf(t *testing.T) {
	one := docusign.UserInfo{Accounts: []docusign.AccountInfo{{ID: "A"}}}
	two := docusign.UserInfo{Accounts: []docusign.AccountInfo{{ID: "A"}, {ID: "B"}}}
	for name, c := range map[string]struct {
		info  docusign.UserInfo
		names []string
		all   bool
		want  int // 0: refused
	}{
		"the only one":                {one, nil, false, 1},
		"several and none named":      {two, nil, false, 0},
		"several and all":             {two, nil, true, 2},
		"one of several":              {two, []string{"b"}, false, 1},
		"one that the user is not in": {two, []string{"b", "c"}, false, 0},
		"none at all":                 {docusign.UserInfo{}, nil, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := closer.AccountsOf(c.info, c.names, c.all)
			var refused *closer.AccountError
			if len(found) != c.want || (err != nil) != (c.want == 0) || err != nil && !errors.As(err, &refused) {
				t.Errorf("found %v, %v; want %d", found, err, c.want)
			}
		})
	}
}

// TestParkedAccountIsProbedEverMoreSeldom counts what an account costs that
// Docusign refuses for an hour.
func TestParkedAccountIsProbedEverMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(nil, 0)
		r.closeDue() // opens the account
		r.leave(nil, 1)
		r.sim.SetRefuse(account, "USER_LACKS_PERMISSIONS")
		for range 3600 {
			r.closeDue()
			time.Sleep(time.Second)
		}
		before := r.calls("list_users")
		if before > 20 {
			t.Errorf("%d calls within an hour", before)
		}
		r.is(ledger.Due, 1)
		r.sim.SetRefuse(account, "")
		for range 601 {
			r.closeDue()
			time.Sleep(time.Second)
		}
		r.is(ledger.Closed, 1)
	})
}

// TestNobodyIsSettledOnceWeAreNoMember: to an administrator who has lost the
// account, Docusign may say of everybody that they have no membership.
func TestNobodyIsSettledOnceWeAreNoMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(nil, 0)
		r.closeDue() // opens the account
		r.leave(nil, 1, 2)
		r.sim.SetRefuse(account, "USER_LACKS_MEMBERSHIP")
		r.closeDue()
		r.is(ledger.Due, 1, 2)
		r.sim.SetRefuse(account, "")
		time.Sleep(time.Minute)
		r.closeDue()
		r.is(ledger.Closed, 1, 2)
	})
}

// TestEntriesOfAnAccountThatIsGone keep their place, are sent by nobody, and go on
// once the account is there again.
func TestEntriesOfAnAccountThatIsGone(t *testing.T) {
	for name, setups := range map[string][]setup{
		"through the accounts":     {threeAccounts},
		"through the organization": {threeAccounts, throughOrganization},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, append(setups, func(r *rig, _ *docusigntest.Config) { r.guard.FirstRun = guard.Hold })...)
				r.leave(nil, 0)
				r.goOn(2 * time.Second)
				r.wantIn(0, map[string]ledger.State{account: ledger.Held, second: ledger.Held, third: ledger.Held})
				holds, err := r.ledger.OpenHolds(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range holds { // so that nothing but the config stands in the way
					if _, err := r.ledger.Approve(t.Context(), r.word(h.ID, "ana", ""), aDay); err != nil {
						t.Fatal(err)
					}
				}
				r.wantIn(0, map[string]ledger.State{account: ledger.Due, second: ledger.Due, third: ledger.Due})

				r.cfg.Accounts = []string{account, third}
				r.restart()
				r.leave(func(e *consumer.Event) { e.Urgent = true }, 0) // HR says it again
				r.goOn(2 * time.Minute)
				r.wantIn(0, map[string]ledger.State{account: ledger.Closed, second: ledger.Due, third: ledger.Closed})
				if n := r.sim.Closes(second)[userID(0)].Requested; n != 0 {
					t.Errorf("sent %d times in the account that is gone", n)
				}
				outside, err := r.ledger.OutsideAccounts(t.Context(), nil)
				if err != nil || len(outside) != 1 || outside[0] != (ledger.Outside{Account: second, Entries: 1}) {
					t.Errorf("outside are %+v, %v", outside, err)
				}

				r.cfg.Accounts = []string{account, second, third}
				r.restart()
				r.goOn(2 * time.Minute)
				r.wantIn(0, map[string]ledger.State{account: ledger.Closed, second: ledger.Closed, third: ledger.Closed})
			})
		})
	}
}

// TestAccountsThatWereFound are those of before, where the config says all: the
// user may lose one.
func TestAccountsThatWereFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts, func(r *rig, _ *docusigntest.Config) { r.cfg.Accounts, r.cfg.AllAccounts = nil, true })
		r.leave(nil, 0)
		if err := r.ledger.BecomeDue(t.Context(), []string{account, "an-account-that-was"}, time.Now()); err != nil {
			t.Fatal(err)
		}
		r.closeDue()
		outside, err := r.ledger.OutsideAccounts(t.Context(), nil)
		if err != nil || len(outside) != 1 || outside[0] != (ledger.Outside{Account: "an-account-that-was", Entries: 1}) {
			t.Errorf("outside are %+v, %v", outside, err)
		}
		r.wantIn(0, map[string]ledger.State{account: ledger.Closed, "an-account-that-was": ledger.Due})
	})
}
