package docusign_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/docusign"
	"signoff/closer/docusign/docusigntest"
)

const (
	integrationKey = "1a1a1a1a-0000-4000-8000-000000000000"
	administrator  = "0a0a0a0a-0000-4000-8000-000000000000"
	ana            = "a0000000-0000-4000-8000-000000000001"
	ben            = "b0000000-0000-4000-8000-000000000002"
	account        = "acc0acc0-0000-4000-8000-000000000000"
)

var key = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// simulation is an account with an administrator, Ana, Ben and so many others.
func simulation(t *testing.T, others int, change func(*docusigntest.Config)) *docusigntest.Server {
	t.Helper()
	cfg := docusigntest.Config{
		IntegrationKey: integrationKey, UserID: administrator, PublicKey: &key().PublicKey,
		Accounts: []docusigntest.AccountConfig{{ID: account, Name: "Acme", Generate: others, Users: []docusigntest.User{
			{ID: administrator, Email: "admin@example.com", Name: "Admin", Administrator: true},
			{ID: ana, Email: "ana@example.com", Name: "Ana Paz"},
			{ID: ben, Email: "ben@example.com", Name: "Ben Oko"},
		}}},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := docusigntest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func config(t *testing.T, server string) docusign.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key())})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return docusign.Config{AuthServer: server, IntegrationKey: integrationKey, UserID: administrator, PrivateKeyFile: file}
}

// inMemory is the account of s without a socket.
func inMemory(t *testing.T, s *docusigntest.Server) *docusign.Account {
	t.Helper()
	c, err := docusign.New(config(t, "https://account-d.docusign.com"), s.Transport(), docusign.Observe{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Account(docusign.AccountInfo{ID: account, BaseURI: "https://demo.docusign.net"})
}

func TestOverSockets(t *testing.T) {
	s := simulation(t, 250, nil)
	server := httptest.NewServer(s)
	defer server.Close()
	c, err := docusign.New(config(t, server.URL), nil, docusign.Observe{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := c.UserInfo(t.Context())
	if err != nil || info.UserID != administrator || len(info.Accounts) != 1 || !info.Accounts[0].Default {
		t.Fatalf("%+v, %v", info, err)
	}
	a := c.Account(info.Accounts[0])

	users, err := a.UsersByEmail(t.Context(), "ana@example.com")
	if err != nil || len(users) != 1 || users[0].ID != ana || users[0].Status != docusign.Active {
		t.Fatalf("by email: %+v, %v", users, err)
	}
	if users, err := a.UsersByEmail(t.Context(), "nobody@example.com"); users != nil || err != nil {
		t.Errorf("nobody: %+v, %v", users, err)
	}
	if n, err := a.CountUsers(t.Context(), docusign.Active); n != 253 || err != nil {
		t.Errorf("counted %d, %v", n, err)
	}
	listed := 0
	for _, err := range a.Users(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		listed++
	}
	if listed != 253 {
		t.Errorf("listed %d", listed)
	}

	const unknown = "c0000000-0000-4000-8000-000000000003"
	answered, err := a.CloseUsers(t.Context(), docusign.Close{UserIDs: []string{strings.ToUpper(ana), unknown}})
	if err != nil || !answered.Results[strings.ToUpper(ana)].Closed() || answered.Results[unknown].Code != "USER_LACKS_MEMBERSHIP" || answered.TraceToken == "" {
		t.Errorf("close: %+v, %v", answered, err)
	}
	if u, err := a.User(t.Context(), ana); err != nil || u.Open() {
		t.Errorf("after the close: %+v, %v", u, err)
	}
	if _, err := a.User(t.Context(), unknown); !errors.Is(err, docusign.ErrNoMember) {
		t.Errorf("unknown: %v", err)
	}
	s.RevokeTokens()
	if _, err := a.User(t.Context(), ben); err != nil {
		t.Errorf("after the tokens were revoked: %v", err)
	}
	if q := a.Quota(); q.Hour.Limit != 3000 || q.Hour.Remaining >= 3000 || q.Hour.Reset.IsZero() {
		t.Errorf("quota %+v", q)
	}
}

func TestConsentIsMissing(t *testing.T) {
	s := simulation(t, 0, nil)
	s.SetConsent(false)
	a := inMemory(t, s)
	_, err := a.User(t.Context(), ana)
	if docusign.ClassOf(err) != docusign.Park || docusign.Reason(err) != "consent" || !strings.Contains(docusign.Advice(err), "/oauth/auth?") {
		t.Errorf("%v: %s", err, docusign.Advice(err))
	}
	s.SetConsent(true)
	if _, err := a.User(t.Context(), ana); err != nil {
		t.Errorf("with consent: %v", err)
	}
}

// TestCloseUnderFaults has each fault strike a close of Ana and Ben.
func TestCloseUnderFaults(t *testing.T) {
	one := 1.0
	cases := map[string]struct {
		faults docusigntest.Faults
		class  docusign.Class
		reason string
		closed bool // Ana, in the simulation
	}{
		"nothing happens":             {docusigntest.Faults{}, "", "", true},
		"cut before it took effect":   {docusigntest.Faults{CutBefore: one}, docusign.Unknown, "network", false},
		"cut after it took effect":    {docusigntest.Faults{CutAfter: one}, docusign.Unknown, "network", true},
		"cut in the answer":           {docusigntest.Faults{HalfAnswer: one}, docusign.Unknown, "network", true},
		"a proxy's 502 afterwards":    {docusigntest.Faults{HTML: one}, docusign.Unknown, "server_error", true},
		"a proxy's 200, never passed": {docusigntest.Faults{ProxyPage: one}, docusign.Unknown, "unreadable", false},
		"500":                         {docusigntest.Faults{Error500: one}, docusign.Unknown, "server_error", false},
		"444":                         {docusigntest.Faults{Blocked: one}, docusign.Unknown, "blocked", false},
		"no answer for ever":          {docusigntest.Faults{Hang: one}, docusign.Unknown, "timeout", true},
		"the body is dropped":         {docusigntest.Faults{DropBody: one}, docusign.Unknown, "unreadable", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tc.faults.Operations = []string{"close_users"}
				s := simulation(t, 0, func(c *docusigntest.Config) { c.Faults = tc.faults })
				answered, err := inMemory(t, s).CloseUsers(t.Context(), docusign.Close{UserIDs: []string{ana, ben}})
				if docusign.ClassOf(err) != tc.class || docusign.Reason(err) != tc.reason {
					t.Errorf("%q, %q (%v); want %q, %q", docusign.ClassOf(err), docusign.Reason(err), err, tc.class, tc.reason)
				}
				if err == nil && (!answered.Results[ana].Closed() || !answered.Results[ben].Closed() || len(answered.Results) != 2) {
					t.Errorf("results %v", answered.Results)
				}
				if u, _ := s.User(account, ana); (u.Status == "Closed") != tc.closed {
					t.Errorf("Ana is %s", u.Status)
				}
				if n := s.Stats().Operations["close_users"]; n != 1 {
					t.Errorf("sent %d times", n)
				}
			})
		})
	}
}

func TestUsersWithoutAnOutcome(t *testing.T) {
	for name, faults := range map[string]docusigntest.Faults{
		"closed, but not in the answer": {MissingEntry: 1, Times: 1},
		"in the answer, but not closed": {NotClosed: 1, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := simulation(t, 0, func(c *docusigntest.Config) { c.Faults = faults })
			answered, err := inMemory(t, s).CloseUsers(t.Context(), docusign.Close{UserIDs: []string{ana, ben}})
			if _, known := answered.Results[ana]; err != nil || known || !answered.Results[ben].Closed() {
				t.Errorf("%v, %v; want Ana's outcome unknown", answered.Results, err)
			}
		})
	}
}

// TestQuotaOfTheSimulation looks up far more than the quota allows, side by
// side, and waits out what it is told to. The simulation must never have to
// refuse a call.
func TestQuotaOfTheSimulation(t *testing.T) {
	quirks := map[string]docusigntest.Quirks{
		"with the rate-limit headers": {},
		"without them":                {NoRateHeaders: true}, // our documented defaults must then do
	}
	for name, q := range quirks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := simulation(t, 0, func(c *docusigntest.Config) {
					c.HourLimit, c.BurstLimit = 3000, 200
					c.Latency, c.LatencyJitter = 50*time.Millisecond, 300*time.Millisecond
					c.Quirks = q
				})
				a := inMemory(t, s)
				var wg sync.WaitGroup
				for range 16 {
					wg.Go(func() {
						for range 250 {
							lookUpPatiently(t, a)
						}
					})
				}
				wg.Wait()
				if got := s.Stats(); got.Exhausted != 0 || got.Operations["list_users"] != 4000 {
					t.Errorf("%d look-ups, %d of them refused", got.Operations["list_users"], got.Exhausted)
				}
			})
		})
	}
}

// lookUpPatiently comes again when it is told to.
func lookUpPatiently(t *testing.T, a *docusign.Account) {
	for {
		_, err := a.UsersByEmail(t.Context(), "ana@example.com")
		if err == nil {
			return
		}
		e, ok := errors.AsType[*docusign.Error](err)
		if !ok || docusign.ClassOf(err) != docusign.Exhausted || !e.RetryAt.After(time.Now()) {
			t.Errorf("%v", err)
			return
		}
		time.Sleep(time.Until(e.RetryAt))
	}
}

func TestOtherAppsUseTheQuotaUp(t *testing.T) {
	for name, change := range map[string]func(*docusigntest.Config){
		"429":                       func(c *docusigntest.Config) {},
		"400, mixed case":           func(c *docusigntest.Config) { c.QuotaStatus, c.Quirks.MixedCaseQuota = 400, true },
		"429, Retry-After":          func(c *docusigntest.Config) { c.Quirks.RetryAfter = "seconds" },
		"429, without rate headers": func(c *docusigntest.Config) { c.Quirks.NoRateHeaders = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := simulation(t, 0, change)
				a := inMemory(t, s)
				s.ExhaustBurst(account)
				if answered, err := a.CloseUsers(t.Context(), docusign.Close{UserIDs: []string{ana}}); err != nil || !answered.Results[ana].Closed() {
					t.Errorf("after a burst: %v, %v", answered, err)
				}
				s.ExhaustHour(account)
				_, err := a.CloseUsers(t.Context(), docusign.Close{UserIDs: []string{ben}})
				if docusign.ClassOf(err) != docusign.Exhausted {
					t.Fatalf("after an hour's quota: %v", err)
				}
				e, _ := errors.AsType[*docusign.Error](err)
				time.Sleep(time.Until(e.RetryAt))
				if answered, err := a.CloseUsers(t.Context(), docusign.Close{UserIDs: []string{ben}}); err != nil || !answered.Results[ben].Closed() {
					t.Errorf("in the next hour: %v, %v", answered, err)
				}
				if got := s.Stats().Exhausted; got != 2 {
					t.Errorf("%d calls were refused, want the two that could not know", got)
				}
			})
		})
	}
}

func TestClockOff(t *testing.T) {
	s := simulation(t, 0, func(c *docusigntest.Config) { c.ClockSkew = 3 * time.Minute })
	a := inMemory(t, s)
	_, err := a.CloseUsers(t.Context(), docusign.Close{UserIDs: []string{ana}})
	if docusign.ClassOf(err) != docusign.Park || docusign.Reason(err) != "clock" {
		t.Errorf("3 minutes off: %v", err)
	}
	s.SetClockSkew(0)
	if _, err := a.User(t.Context(), ana); err != nil {
		t.Fatal(err)
	}
	if _, err := a.CloseUsers(t.Context(), docusign.Close{UserIDs: []string{ana}}); err != nil {
		t.Errorf("set right: %v", err)
	}
}

func TestSendingIsCalledEachTimeTheCloseGoesOut(t *testing.T) {
	for name, tc := range map[string]struct {
		before func(*docusigntest.Server)
		want   int
	}{
		"answered at once":           {func(*docusigntest.Server) {}, 1},
		"again after an ended token": {func(s *docusigntest.Server) { s.RevokeTokens() }, 2},
		"and not after a 500": {func(s *docusigntest.Server) {
			s.SetFaults(docusigntest.Faults{Error500: 1, Operations: []string{"close_users"}})
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := simulation(t, 1, nil)
			a := inMemory(t, s)
			if _, err := a.UsersByEmail(t.Context(), "ana@example.com"); err != nil { // signs in
				t.Fatal(err)
			}
			tc.before(s)
			calls := 0
			_, err := a.CloseUsers(t.Context(), docusign.Close{UserIDs: []string{ana}, Sending: func() error { calls++; return nil }})
			if calls != tc.want {
				t.Errorf("called %d times, want %d (%v)", calls, tc.want, err)
			}
		})
	}
}
