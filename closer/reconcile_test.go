package closer_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"

	"signoff/closer"
	"signoff/closer/docusign"
	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/metrics"
)

// reconcile is done beside the rig's closer, on a ledger that is open for reading.
func (r *rig) reconcile(roster []string, people ...closer.Left) closer.Reconciliation {
	r.t.Helper()
	l, err := ledger.OpenReadOnly(r.t.Context(), ledger.Config{URL: "sqlite://" + filepath.Join(r.dir, "ledger.db")})
	if err != nil {
		r.t.Fatal(err)
	}
	defer l.Close()
	client, err := docusign.New(r.docusign, r.sim.Transport(), docusign.Observe{})
	if err != nil {
		r.t.Fatal(err)
	}
	m := metrics.NewCloser(nil, metrics.NewAccounts([]string{account}), nil, nil, nil)
	found, err := closer.New(r.cfg, r.guard, l, client, m, zaptest.NewLogger(r.t)).Reconcile(r.t.Context(), people, roster)
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

func listed(who ...int) []closer.Left {
	var people []closer.Left
	for _, i := range who {
		people = append(people, closer.Left{Email: email(i)})
	}
	return people
}

func (r *rig) setStatus(i int, status string) {
	u, _ := r.sim.User(account, userID(i))
	u.Status = status
	r.sim.SetUser(account, u)
}

func TestReconcileVerdicts(t *testing.T) {
	for size, generate := range map[string]int{"an account that is read": 0, "an account in which people are looked up": 3000} {
		t.Run(size, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(r *rig, c *docusigntest.Config) {
					r.guard.Protected.Emails = []string{email(1)}
					c.Accounts[0].Generate = generate
				})
				r.setStatus(3, "Closed")
				r.setStatus(7, "Closed")
				r.leave(nil, 0, 1, 3, 6, 8)
				r.leave(func(e *consumer.Event) { e.Email = "nouser@example.com" }, 4)
				r.leave(func(e *consumer.Event) { e.EffectiveAt = time.Now().Add(48 * time.Hour) }, 5)
				r.leave(func(e *consumer.Event) { e.OtherEmails = []string{email(9)} }, 10)
				r.closeDue()
				r.setStatus(6, "Active")
				before, err := r.ledger.VerifyAudit(t.Context())
				if err != nil {
					t.Fatal(err)
				}

				people := append(listed(0, 1, 2, 3, 5, 6, 7, 9), closer.Left{Email: "nouser@example.com"}, closer.Left{Email: "nobody@example.com"})
				got := r.reconcile(nil, people...)

				is := func(i int) closer.InAccount {
					if len(got.People[i].Accounts) != 1 {
						t.Fatalf("%+v: want one account", got.People[i])
					}
					return got.People[i].Accounts[0]
				}
				noUser := closer.StandsNowhere
				for i, want := range []struct {
					verdict  closer.Verdict
					state    ledger.State
					standing closer.Standing
				}{
					{closer.IsClosed, ledger.Closed, closer.StandsClosed},
					{closer.OpenInDocusign, ledger.Held, closer.StandsOpen},
					{closer.NoEventOpen, "", closer.StandsOpen},
					{closer.WasClosed, ledger.AlreadyClosed, closer.StandsClosed},
					{closer.OpenInDocusign, ledger.Waiting, closer.StandsOpen},
					{closer.OpenInDocusign, ledger.Closed, closer.StandsOpen},
					{closer.NoEvent, "", closer.StandsClosed},
					{closer.IsClosed, ledger.Closed, closer.StandsClosed}, // by another address of theirs
					{closer.IsNotFound, ledger.NotFound, noUser},
					{closer.NoEvent, "", noUser},
				} {
					if generate == 0 && want.state != "" && !want.state.Open() && want.standing != closer.StandsOpen {
						want.standing = closer.StandsNotOpen // of those who are settled all open users tell enough
					}
					p, a := got.People[i], is(i)
					if p.Verdict != want.verdict || a.Known.State != want.state || a.Standing != want.standing {
						t.Errorf("%s: %s, %q in the ledger, %s; want %+v", p.Email, p.Verdict, a.Known.State, a.Standing, want)
					}
				}
				if a := is(1); a.Known.Hold != r.hold().ID || len(a.Users) != 1 || a.Users[0].ID != userID(1) {
					t.Errorf("the held one: %+v", a)
				}
				if at, source := got.People[0].Heard(); at.IsZero() || source != "hr" {
					t.Errorf("heard of at %v from %q", at, source)
				}
				after, err := r.ledger.VerifyAudit(t.Context())
				if err != nil || after != before {
					t.Errorf("the ledger was changed: %+v, %+v, %v", before, after, err)
				}
			})
		})
	}
}

// TestReconcileOfSomebodyWhoLeftTwice: the event of an earlier leaving is none of the
// one that HR's list is about.
func TestReconcileOfSomebodyWhoLeftTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(nil, 0)
		r.closeDue()
		time.Sleep(400 * 24 * time.Hour)
		r.setStatus(0, "Active") // came back
		for name, tt := range map[string]struct {
			at   time.Time
			want closer.Verdict
		}{
			"by a list with dates":    {time.Now(), closer.NoEventOpen},
			"by a list without":       {time.Time{}, closer.OpenInDocusign},
			"by a list of that time":  {time.Now().AddDate(0, 0, -400), closer.OpenInDocusign},
			"by a list of the future": {time.Now().AddDate(0, 0, 7), closer.NoEventOpen},
		} {
			if got := r.reconcile(nil, closer.Left{Email: email(0), At: tt.at}); got.People[0].Verdict != tt.want {
				t.Errorf("%s: %s, want %s", name, got.People[0].Verdict, tt.want)
			}
		}
	})
}

func TestReconcileFindsWhoIsOnNoList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		login := time.Now().Add(-time.Hour).UTC()
		r := newRig(t, func(r *rig, c *docusigntest.Config) {
			r.guard.Protected.Emails = []string{email(19)}
			c.Accounts[0].Users = append(c.Accounts[0].Users, docusigntest.User{ID: "gone", Email: "gone@example.com", LastLogin: login},
				docusigntest.User{ID: "shut", Email: "shut@example.com", Status: "Closed"})
		})
		var roster []string
		for i := range 18 {
			roster = append(roster, email(i))
		}
		got := r.reconcile(roster, listed(0, 18)...)
		marks := make(map[string]string)
		on := make(map[closer.List]int)
		for _, u := range got.Open {
			on[u.On]++
			if u.On == closer.OnNone {
				marks[u.User.ID] = fmt.Sprint(u.Marks)
			}
			if u.User.ID == "gone" && !u.User.LastLogin.Equal(login.Truncate(100*time.Nanosecond)) {
				t.Errorf("last login %v, want %v", u.User.LastLogin, login)
			}
		}
		if on[closer.OnRoster] != 18 || on[closer.OnLeavers] != 1 || on[closer.OnNone] != 5 || len(got.Open) != 24 {
			t.Errorf("%v of %d", on, len(got.Open))
		}
		if marks[self] != "[self administrator]" || marks["admin-2"] != "[administrator]" || marks[userID(19)] != "[protected]" || marks["gone"] != "[]" {
			t.Errorf("marks %v", marks)
		}
		if got.People[0].Verdict != closer.NoEventOpen {
			t.Errorf("%+v", got.People[0])
		}
	})
}

func TestReconcileSaysWhomItCouldNotLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, c *docusigntest.Config) { c.Accounts[0].Generate = 3000 })
		r.leave(nil, 0)
		r.closeDue()
		r.sim.SetRefuse(account, "SOME_ODD_CODE")
		client, err := docusign.New(r.docusign, r.sim.Transport(), docusign.Observe{})
		if err != nil {
			t.Fatal(err)
		}
		m := metrics.NewCloser(nil, metrics.NewAccounts(nil), nil, nil, nil)
		got, err := closer.New(r.cfg, r.guard, r.ledger, client, m, zaptest.NewLogger(t)).Reconcile(t.Context(), listed(0), nil)
		if err != nil || got.People[0].Verdict != closer.NotKnown {
			t.Errorf("%+v, %v", got.People, err)
		}
		r.sim.SetRefuse(account, "USER_LACKS_PERMISSIONS")
		if _, err := closer.New(r.cfg, r.guard, r.ledger, client, m, zaptest.NewLogger(t)).Reconcile(t.Context(), listed(0), nil); err == nil || strings.Contains(err.Error(), "@") {
			t.Errorf("without permission: %v", err)
		}
	})
}

// TestReconcileCalls: who is settled costs a share of a page, not a call.
func TestReconcileCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var all []int
		for i := range 20 {
			all = append(all, i)
		}
		r.leave(nil, all...)
		r.closeDue()
		before := r.calls("list_users")
		r.reconcile(nil, listed(all...)...)
		if got := r.calls("list_users") - before; got != 1 {
			t.Errorf("%d calls for twenty who are closed in an account of one page, want 1", got)
		}
	})
}

// Whatever happened: each person has one verdict, and each open user is on one list.
func TestReconcileAddsUpAtRandom(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 7))
				r := newRig(t, watched, func(r *rig, _ *docusigntest.Config) { r.guard.Protected.Emails = []string{email(2), email(3)} })
				for range 12 {
					i := random.IntN(20)
					switch random.IntN(5) {
					case 0, 1:
						r.leave(func(e *consumer.Event) { e.EffectiveAt = time.Now().Add(time.Duration(random.IntN(3)) * time.Hour) }, i)
					case 2:
						r.setStatus(i, []string{"Active", "Closed", "Disabled"}[random.IntN(3)])
					default:
						r.closeDue()
					}
					time.Sleep(time.Hour)
				}
				roster, people := []string{}, listed(random.Perm(20)[:random.IntN(20)+1]...)
				for _, i := range random.Perm(20)[:10] {
					roster = append(roster, email(i))
				}
				got := r.reconcile(roster, people...)
				if len(got.People) != len(people) {
					t.Errorf("%d people, want %d", len(got.People), len(people))
				}
				for _, p := range got.People {
					open := r.isOpen(p.Email)
					says := p.Verdict == closer.NoEventOpen || p.Verdict == closer.OpenInDocusign
					if open != says {
						t.Errorf("%s is open: %v, and the verdict is %s", p.Email, open, p.Verdict)
					}
				}
				open := 0
				for _, u := range r.sim.Users(account) {
					if u.Status != "Closed" {
						open++
					}
				}
				on := make(map[closer.List]int)
				for _, u := range got.Open {
					on[u.On]++
				}
				if sum := on[closer.OnRoster] + on[closer.OnLeavers] + on[closer.OnNone]; sum != open || len(got.Open) != open {
					t.Errorf("%v make %d, %d are open", on, sum, open)
				}
			})
		})
	}
}

func (r *rig) isOpen(address string) bool {
	return slices.ContainsFunc(r.sim.Users(account), func(u docusigntest.User) bool { return u.Email == address && u.Status != "Closed" })
}
