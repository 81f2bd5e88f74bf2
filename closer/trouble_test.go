package closer_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"signoff/closer"
	"signoff/closer/docusign"
	"signoff/closer/docusign/docusigntest"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/metrics"
)

func TestAddressLearnedWhileSubmittedIsLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(nil, 0)
		r.sim.SetFaults(docusigntest.Faults{CutAfter: 1, Times: 1, Operations: []string{"close_users"}})
		r.closeDue()
		r.is(ledger.Submitted, 0)
		time.Sleep(time.Second)
		r.leave(func(e *consumer.Event) { e.OtherEmails = []string{email(5)} }, 0) // second word: another address
		for range 5 {
			time.Sleep(10 * time.Minute)
			r.closeDue()
		}
		u, _ := r.sim.User(account, userID(5))
		if u.Status != "Closed" {
			t.Errorf("user of the added address is %s", u.Status)
		}
	})
}

func TestAddressOfAnOlderWordIsLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(func(e *consumer.Event) { e.OccurredAt = time.Now() }, 0)
		r.closeDue()
		r.is(ledger.Closed, 0)
		r.leave(func(e *consumer.Event) {
			e.OccurredAt = time.Now().Add(-time.Minute)
			e.OtherEmails = []string{email(5)}
		}, 0)
		time.Sleep(10 * time.Minute)
		r.closeDue()
		u, _ := r.sim.User(account, userID(5))
		if u.Status != "Closed" {
			t.Errorf("user of the other address is %s", u.Status)
		}
	})
}

func TestUserWhoseCloseIsNeverAnsweredKeepsNobodyOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.through(func(req *http.Request, body string, next http.RoundTripper) (*http.Response, error) {
			if req.Method == http.MethodDelete && strings.Contains(body, `"`+userID(3)+`"`) {
				return says(req, 500, `{"errorCode":"UNSPECIFIED_ERROR","message":"x"}`), nil
			}
			return next.RoundTrip(req)
		})
		r.leave(nil, 0, 1, 2, 3, 4)
		for range 48 { // a day
			r.closeDue()
			time.Sleep(30 * time.Minute)
		}
		r.closeDue()
		s := r.states()
		if s[ledger.Closed] != 4 {
			t.Errorf("after a day: %v", s)
		}
	})
}

func TestAddressesThatCannotBeLookedUpStarveNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.through(func(req *http.Request, body string, next http.RoundTripper) (*http.Response, error) {
			if strings.Contains(req.URL.Query().Get("email"), "'") {
				return says(req, 444, ``), nil
			}
			return next.RoundTrip(req)
		})
		for i := range 13 {
			r.leave(func(e *consumer.Event) { e.Email = fmt.Sprintf("o'brien%d@example.com", i) }, 0)
			time.Sleep(time.Second)
		}
		r.leave(nil, 0, 1, 2)
		for range 48 { // a day
			r.closeDue()
			time.Sleep(30 * time.Minute)
		}
		s := r.states()
		if s[ledger.Closed] != 3 {
			t.Errorf("after a day: %v", s)
		}
	})
}

func TestManyAddressesStopNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(nil, 9)
		r.closeDue()
		for n := range 7 {
			r.leave(func(e *consumer.Event) {
				for i := range 16 {
					e.OtherEmails = append(e.OtherEmails, fmt.Sprintf("a%d.%d@example.com", n, i))
				}
			}, 0)
		}
		time.Sleep(time.Second)
		r.leave(nil, 1, 2)
		for range 48 { // a day
			r.closeDue()
			time.Sleep(30 * time.Minute)
		}
		if s := r.states(); s[ledger.Closed] != 4 {
			t.Errorf("after a day: %v", s)
		}
	})
}

func TestUnknownOutcomeThatStaysUnknownStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.through(func(req *http.Request, body string, next http.RoundTripper) (*http.Response, error) {
			if req.Method == http.MethodGet && strings.HasSuffix(req.URL.Path, "/"+userID(1)) {
				return says(req, 500, `{"errorCode":"UNSPECIFIED_ERROR","message":"x"}`), nil
			}
			return next.RoundTrip(req)
		})
		r.leave(nil, 0, 1)
		r.sim.SetFaults(docusigntest.Faults{CutBefore: 1, Times: 1, Operations: []string{"close_users"}})
		r.closeDue()
		r.is(ledger.Submitted, 0, 1)
		r.sim.SetFaults(docusigntest.Faults{})
		r.leave(nil, 2, 3)
		for range 48 { // a day
			time.Sleep(30 * time.Minute)
			r.closeDue()
		}
		if s := r.states(); s[ledger.Closed] < 3 {
			t.Errorf("after a day: %v", s)
		}
	})
}

func TestLaterTryCountsInTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stubborn []int
		r := newRig(t, func(r *rig, c *docusigntest.Config) {
			r.guard.Limits = []guard.Limit{{Window: time.Hour, Max: 5}}
			for i := range 5 {
				stubborn = append(stubborn, 50+i)
				c.Accounts[0].Users = append(c.Accounts[0].Users, docusigntest.User{ID: fmt.Sprint("stubborn", i), Email: email(50 + i), CloseError: "SOME_CODE",
					Created: time.Now().AddDate(-1, 0, 0)})
			}
		})
		r.leave(nil, stubborn...)
		for range 10 {
			r.closeDue()
			time.Sleep(time.Hour)
		}
		r.is(ledger.Failed, stubborn...)
		for i := range 5 { // Docusign mends it
			u, _ := r.sim.User(account, fmt.Sprint("stubborn", i))
			u.CloseError = ""
			r.sim.SetUser(account, u)
		}
		time.Sleep(24 * time.Hour)
		r.closeDue()
		r.leave(nil, 0, 1, 2, 3, 4)
		time.Sleep(time.Minute)
		r.closeDue()
		if s := r.states(); s[ledger.Closed] > 5 {
			t.Errorf("%d closed within a minute, the limit is 5 an hour: %v", s[ledger.Closed], s)
		}
	})
}

func TestUserAddedToTheAccountLaterIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		added := time.Now().Add(30 * time.Minute)
		r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && req.URL.Query().Get("email") != "" {
				b, _ := io.ReadAll(resp.Body)
				s := strings.ReplaceAll(string(b), `"createdDateTime"`, `"userAddedToAccountDateTime":"`+added.UTC().Format(time.RFC3339)+`","createdDateTime"`)
				resp.Body = io.NopCloser(strings.NewReader(s))
			}
			return resp, err
		})
		r.leave(nil, 0)
		time.Sleep(time.Hour)
		r.closeDue()
		r.is(ledger.Held, 0)
	})
}

func TestOutageIsNoReasonForALimitHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.guard.Limits = []guard.Limit{{Window: time.Hour, Max: 25}} })
		var n atomic.Int32
		var mend bool
		r.through(func(req *http.Request, body string, next http.RoundTripper) (*http.Response, error) {
			if req.URL.Query().Get("email") != "" {
				if n.Add(1) > 12 && !mend {
					return says(req, 503, `x`), nil
				}
			}
			return next.RoundTrip(req)
		})
		r.leave(nil, 0, 1)
		time.Sleep(time.Second)
		for i := range 40 {
			r.leave(nil, 100+i) // no users at Docusign
		}
		time.Sleep(time.Second)
		r.closeDue()
		mend = true
		for range 48 { // a day
			time.Sleep(30 * time.Minute)
			r.closeDue()
		}
		r.is(ledger.Closed, 0, 1)
	})
}

func TestAdministratorStopsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, c *docusigntest.Config) {
			c.HourLimit = 100
			c.Accounts[0].Generate = 12000 // 120 pages
			c.Accounts[0].Users = append(c.Accounts[0].Users, docusigntest.User{ID: "adm", Email: email(90), Administrator: true, Created: time.Now().AddDate(-1, 0, 0)})
		})
		r.leave(func(e *consumer.Event) { e.Email = email(90) }, 0)
		r.leave(nil, 1, 2)
		for range 96 { // two days
			r.closeDue()
			time.Sleep(30 * time.Minute)
		}
		s := r.states()
		if s[ledger.Closed] != 2 || s[ledger.Held] != 1 {
			t.Errorf("after two days: %v, %d list calls", s, r.calls("list_users"))
		}
	})
}

func TestUrgentUnknownOutcomeIsLookedUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.cfg.Interval = 6 * time.Hour })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.closer.Run(ctx, func(time.Time) {}) }()
		time.Sleep(time.Minute)
		r.sim.SetFaults(docusigntest.Faults{CutBefore: 1, Times: 1, Operations: []string{"close_users"}})
		r.leave(func(e *consumer.Event) { e.Urgent = true }, 1)
		time.Sleep(5 * time.Minute)
		r.is(ledger.Closed, 1)
		cancel()
		<-done
	})
}

func TestClockParkEndsThoughNothingIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.sim.SetClockSkew(3 * time.Minute)
		r.leave(nil, 100) // no user: one look-up, nothing to close
		r.closeDue()
		r.is(ledger.NotFound, 100)
		r.sim.SetClockSkew(0)
		for range 48 { // a day
			time.Sleep(30 * time.Minute)
			r.closeDue()
		}
		stats, _ := r.ledger.Stats(t.Context())
		if stats.Accounts[0].Parked != "" {
			t.Errorf("a day after the clock was set: parked %q", stats.Accounts[0].Parked)
		}
	})
}

func TestShutdownStopsTheHalving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, c *docusigntest.Config) { c.Quirks.MaxUsersPerClose = 1; c.Latency = 9 * time.Second })
		who := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}
		r.leave(nil, who...)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.closer.Run(ctx, func(time.Time) {}) }()
		for s := r.states(); s[ledger.Submitted] == 0; s = r.states() {
			time.Sleep(time.Second)
		}
		began := time.Now()
		cancel()
		<-done
		if d := time.Since(began); d > 25*time.Second {
			t.Errorf("the shutdown took %v, states %v", d, r.states())
		}
	})
}

func TestUnknownRefusalOfAllLookUpsParks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(nil, 0, 1, 2, 3, 4, 5)
		r.sim.SetRefuse(account, "API_ACCESS_DISABLED_FOR_ACCOUNT")
		for range 12 {
			r.closeDue()
			time.Sleep(5 * time.Minute)
		}
		stats, _ := r.ledger.Stats(t.Context())
		if stats.Entries[ledger.Failed] > 0 {
			t.Errorf("after an hour: %v, parked %q", stats.Entries, stats.Accounts[0].Parked)
		}
	})
}

func TestRefusedAddressDoesNotKeepTheOthersOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.through(func(req *http.Request, body string, next http.RoundTripper) (*http.Response, error) {
			if req.URL.Query().Get("email") == "odd@x" {
				return says(req, 400, `{"errorCode":"INVALID_EMAIL_ADDRESS","message":"x"}`), nil
			}
			return next.RoundTrip(req)
		})
		r.leave(func(e *consumer.Event) { e.OtherEmails = []string{"odd@x"} }, 0)
		for range 96 { // two days
			r.closeDue()
			time.Sleep(30 * time.Minute)
		}
		r.is(ledger.Closed, 0)
	})
}

func TestFailedIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *rig, c *docusigntest.Config) {
			c.Accounts[0].Users = append(c.Accounts[0].Users, docusigntest.User{ID: "stubborn", Email: email(50), CloseError: "SOME_CODE",
				Created: time.Now().AddDate(-1, 0, 0)})
		})
		reg := prometheus.NewRegistry()
		client, _ := docusign.New(docusign.Config{AuthServer: "https://docusign.test", IntegrationKey: "key", UserID: self,
			PrivateKeyFile: filepath.Join(r.dir, "key.pem")}, r.sim.Transport(), docusign.Observe{})
		r.closer = closer.New(r.cfg, r.guard, r.ledger, client, metrics.NewCloser(reg, metrics.NewAccounts([]string{account}), nil, nil, nil), zaptest.NewLogger(t))
		r.leave(nil, 50)
		for range 240 {
			r.closeDue()
			time.Sleep(time.Hour)
		}
		fams, _ := reg.Gather()
		for _, f := range fams {
			if f.GetName() == "signoff_outcomes_total" {
				for _, m := range f.Metric {
					if m.Counter.GetValue() != 1 {
						t.Errorf("%v for one leaver", m)
					}
				}
			}
		}
	})
}

func TestBeatsWhileListing(t *testing.T) {
	for name, own := range map[string]bool{"administrators": false, "asker": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(r *rig, c *docusigntest.Config) {
					c.Latency = 12 * time.Second
					c.Quirks.OwnRecordOnly = own
					c.Accounts[0].Generate = 3000 // 30 pages
					c.Accounts[0].Users = append(c.Accounts[0].Users, docusigntest.User{ID: "adm", Email: email(90), Administrator: true, Created: time.Now().AddDate(-1, 0, 0)})
				})
				if own {
					r.leave(nil, 1)
					r.sim.SetFaults(docusigntest.Faults{CutAfter: 1, Times: 1, Operations: []string{"close_users"}})
					r.closeDue()
					time.Sleep(time.Minute)
				} else {
					r.leave(func(e *consumer.Event) { e.Email = email(90) }, 0)
				}
				var last, gap = time.Now(), time.Duration(0)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
				defer cancel()
				if err := r.closer.Run(ctx, func(at time.Time) { gap = max(gap, at.Sub(last)); last = at }); err != nil {
					t.Fatal(err)
				}
				if gap > 5*time.Minute {
					t.Errorf("no beat for %v: /livez says stuck after 5m", gap)
				}
			})
		})
	}
}

func TestTopicThatIsNotThereHoldsPlansBackForAWhileOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.leave(nil, 0)
		if err := r.ledger.SetReading(t.Context(), consumer.Joining, "no such topic: hr.employe"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * 24 * time.Hour)
		r.closeDue()
		r.is(ledger.Closed, 0)
	})
}

func TestDryRunOfTheDefaultConfigSaysWhomItWouldClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, _ *docusigntest.Config) { r.guard = guard.Defaults(); r.cfg.DryRun = true })
		for i := range 5 {
			r.leave(nil, i)
			r.closeDue()
			time.Sleep(10 * time.Minute)
		}
		r.is(ledger.WouldClose, 0, 1, 2, 3, 4)
		if holds, err := r.ledger.OpenHolds(t.Context()); err != nil || len(holds) != 0 {
			t.Errorf("holds %v (%v), want none: there is nothing that a person could decide", holds, err)
		}
	})
}

func TestAmbiguousWhateverTheSpaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.through(func(req *http.Request, body string, next http.RoundTripper) (*http.Response, error) {
			if req.URL.Query().Get("email") == "twin@example.com" {
				return says(req, 200, `{"users":[{"userId":"a","email":"twin@example.com","userStatus":"Active","isAdmin":"False"},{"userId":"b","email":"twin@example.com ","userStatus":"Active","isAdmin":"False"}],"totalSetSize":"2"}`), nil
			}
			return next.RoundTrip(req)
		})
		r.leave(func(e *consumer.Event) { e.Email = "twin@example.com" }, 0)
		r.closeDue()
		if s := r.states(); s[ledger.Held] != 1 {
			t.Error(s)
		}
	})
}

func TestRefusalOfTheAccountParksIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		refused := 0
		r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
			if req.Method == http.MethodDelete {
				refused++
				return says(req, 403, `{"errorCode":"USER_MANAGEMENT_DISABLED","message":"x"}`), nil
			}
			return next.RoundTrip(req)
		})
		r.leave(nil, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		for range 12 {
			r.closeDue()
			time.Sleep(5 * time.Minute)
		}
		r.is(ledger.Due, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		stats, err := r.ledger.Stats(t.Context())
		if err != nil || stats.Accounts[0].Parked == "" || refused > 12 {
			t.Errorf("parked %q (%v) after %d refusals, want it parked, with one probe a run", stats.Accounts[0].Parked, err, refused)
		}
	})
}

// A plan that one hour's quota cannot resolve, of people who all have users,
// and a limit between what is known and what is due: nobody may be let through
// in part, nor left open in silence.
func TestPlanThatNoHourCanResolveIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig, c *docusigntest.Config) {
			c.HourLimit = 14
			r.guard.Limits = []guard.Limit{{Window: time.Hour, Max: 15}}
		})
		for i := range 20 {
			r.leave(nil, i)
		}
		for range 6 {
			r.closeDue()
			time.Sleep(31 * time.Minute)
		}
		if s := r.states(); s[ledger.Held] == 0 || s[ledger.Closed] > 15 {
			t.Errorf("after three hours: %v, want a person to be asked", s)
		}
	})
}
