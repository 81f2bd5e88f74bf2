package closer_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"

	"signoff/closer"
	"signoff/closer/docusign"
	"signoff/closer/docusign/docusigntest"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/metrics"
)

const (
	account = docusigntest.DefaultAccountID
	self    = "00000000-0000-4000-8000-00000000000a"
)

// rig is a closer with the real ledger and a simulated Docusign around it. It
// lives in a synctest bubble, so that an hour takes no time.
type rig struct {
	t      *testing.T
	dir    string
	sim    *docusigntest.Server
	ledger *ledger.Ledger
	closer *closer.Closer
	cfg    closer.Config
	guard  guard.Config
}

var signingKey = func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}()

// setup changes what a rig is made of.
type setup func(*rig, *docusigntest.Config)

func newRig(t *testing.T, setups ...setup) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), cfg: closer.Defaults(), guard: guard.Defaults()}
	r.guard.FirstRun = guard.Close
	r.guard.Limits = []guard.Limit{{Window: time.Hour, Max: 1000}}
	old := time.Now().AddDate(-1, 0, 0)
	sim := docusigntest.Config{
		UserID: self, PublicKey: &signingKey.PublicKey,
		Accounts: []docusigntest.AccountConfig{{ID: account, Users: []docusigntest.User{
			{ID: self, Email: "signoff@example.com", Administrator: true, Created: old},
			{ID: "admin-2", Email: "it@example.com", Administrator: true, Created: old},
			{ID: "admin-3", Email: "ops@example.com", Administrator: true, Created: old},
		}}},
	}
	for _, s := range setups {
		s(r, &sim)
	}
	for i := range 20 {
		sim.Accounts[0].Users = append(sim.Accounts[0].Users, docusigntest.User{ID: userID(i), Email: email(i), Created: old})
	}
	var err error
	if r.sim, err = docusigntest.New(sim); err != nil {
		t.Fatal(err)
	}
	pemText := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(signingKey)})
	if err := os.WriteFile(filepath.Join(r.dir, "key.pem"), pemText, 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	t.Cleanup(r.stop)
	return r
}

func userID(i int) string { return fmt.Sprintf("user-%04d", i) }
func email(i int) string  { return fmt.Sprintf("leaver%d@example.com", i) }

// start opens the ledger and makes a closer, as a process does that starts.
func (r *rig) start() {
	r.t.Helper()
	var err error
	r.ledger, err = ledger.Open(r.t.Context(), ledger.Config{URL: "sqlite://" + filepath.Join(r.dir, "ledger.db"), MaxAge: 7 * 24 * time.Hour}, ledger.Observe{})
	if err != nil {
		r.t.Fatal(err)
	}
	client, err := docusign.New(docusign.Config{AuthServer: "https://docusign.test", IntegrationKey: "key", UserID: self,
		PrivateKeyFile: filepath.Join(r.dir, "key.pem")}, r.sim.Transport(), docusign.Observe{})
	if err != nil {
		r.t.Fatal(err)
	}
	m := metrics.NewCloser(nil, []string{account}, nil, nil, nil)
	r.closer = closer.New(r.cfg, r.guard, r.ledger, client, m, zaptest.NewLogger(r.t))
}

func (r *rig) stop() {
	if err := r.ledger.Close(); err != nil {
		r.t.Error(err)
	}
}

// restart stands for a process that ended in whatever way, and the next one.
func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.start()
	if err := r.ledger.Renew(r.t.Context(), r.cfg.DryRun); err != nil {
		r.t.Fatal(err)
	}
}

// leave records terminations that are due now.
func (r *rig) leave(change func(*consumer.Event), who ...int) {
	r.t.Helper()
	for _, i := range who {
		e := consumer.Event{
			Key: consumer.Key{Origin: "test", Source: "hr", ID: rand.Text()}, Kind: consumer.Terminated,
			Hash: fmt.Sprint(i), Email: email(i), ReceivedAt: time.Now().UTC(), EffectiveAt: time.Now().UTC(),
		}
		if change != nil {
			change(&e)
		}
		if err := r.ledger.Record(r.t.Context(), consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{e}}); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) closeDue() (done bool) {
	r.t.Helper()
	done, err := r.closer.CloseDue(r.t.Context(), time.Now(), false)
	if err != nil {
		r.t.Fatal(err)
	}
	return done
}

// is asserts the state of the entry of each of these leavers.
func (r *rig) is(want ledger.State, who ...int) {
	r.t.Helper()
	entries, err := r.ledger.Entries(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, i := range who {
		var got []ledger.State
		for _, e := range entries {
			if e.Leaver == email(i) {
				got = append(got, e.State)
			}
		}
		if !slices.Equal(got, []ledger.State{want}) {
			r.t.Errorf("leaver %d is %v, want %s", i, got, want)
		}
	}
}

// states counts the entries by state.
func (r *rig) states() map[ledger.State]int {
	r.t.Helper()
	stats, err := r.ledger.Stats(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return stats.Entries
}

// closes asserts how often Docusign was asked to close the user.
func (r *rig) closes(want int, user string) {
	r.t.Helper()
	if got := r.sim.Closes(account)[user].Requested; got != want {
		r.t.Errorf("%s: asked %d times to be closed, want %d", user, got, want)
	}
}

func (r *rig) calls(operation string) int { return r.sim.Stats().Operations[operation] }

func (r *rig) hold() ledger.Hold {
	r.t.Helper()
	holds, err := r.ledger.OpenHolds(r.t.Context())
	if err != nil || len(holds) != 1 {
		r.t.Fatalf("holds: %v, %v, want one", holds, err)
	}
	return holds[0]
}

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
		r := newRig(t, func(_ *rig, c *docusigntest.Config) { c.HourLimit = 6 })
		r.leave(nil, 0, 1, 2, 3, 4, 5, 6, 7)
		r.closeDue()
		r.closeDue()
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
				if _, err := r.ledger.Approve(t.Context(), h.ID, "ana", "checked with HR"); err != nil {
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
				_, err := r.ledger.Approve(t.Context(), h.ID, "ana", "")
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
		if _, err := r.ledger.Approve(t.Context(), r.hold().ID, "ana", ""); err != nil {
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
