package closer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
	watch  time.Duration

	docusign docusign.Config
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
	r.docusign = docusign.Config{AuthServer: "https://docusign.test", IntegrationKey: "key", UserID: self,
		PrivateKeyFile: filepath.Join(r.dir, "key.pem"), Reserve: 0.5}
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

func userID(i int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", i) }
func email(i int) string  { return fmt.Sprintf("leaver%d@example.com", i) }

// start opens the ledger and makes a closer, as a process does that starts.
func (r *rig) start() {
	r.t.Helper()
	var err error
	r.ledger, err = ledger.Open(r.t.Context(), ledger.Config{URL: "sqlite://" + filepath.Join(r.dir, "ledger.db"), MaxAge: 7 * 24 * time.Hour, Watch: r.watch}, ledger.Observe{})
	if err != nil {
		r.t.Fatal(err)
	}
	client, err := docusign.New(r.docusign, r.sim.Transport(), docusign.Observe{})
	if err != nil {
		r.t.Fatal(err)
	}
	m := metrics.NewCloser(nil, metrics.NewAccounts([]string{account}), nil, nil, nil)
	r.closer = closer.New(r.cfg, r.guard, r.ledger, client, m, zaptest.NewLogger(r.t))
}

// stop closes the ledger. Whatever a test has done, the audit bears it out.
func (r *rig) stop() {
	if _, err := r.ledger.VerifyAudit(context.Background()); err != nil {
		r.t.Error(err)
	}
	if err := r.ledger.Close(); err != nil {
		r.t.Error(err)
	}
}

// restart stands for a process that ended in whatever way, and the next one.
func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.start()
	if err := r.closer.Renew(r.t.Context()); err != nil {
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

// aDay are terms by which one person's word is good for a day.
var aDay = ledger.Terms{People: 1, Expires: 24 * time.Hour}

// word is what somebody says who has seen the hold as it is.
func (r *rig) word(id int64, by, reason string) ledger.Decision {
	r.t.Helper()
	h, err := r.ledger.Hold(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return ledger.Decision{Hold: id, Digest: h.Digest, By: ledger.Person{Name: by}, Reason: reason}
}

func (r *rig) hold() ledger.Hold {
	r.t.Helper()
	holds, err := r.ledger.OpenHolds(r.t.Context())
	if err != nil || len(holds) != 1 {
		r.t.Fatalf("holds: %v, %v, want one", holds, err)
	}
	return holds[0]
}

// roundTrip is a transport made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// through puts something between the closer and Docusign.
func (r *rig) through(f func(req *http.Request, body string, next http.RoundTripper) (*http.Response, error)) {
	next := r.sim.Transport()
	client, err := docusign.New(r.docusign, roundTrip(func(req *http.Request) (*http.Response, error) {
		var b []byte
		if req.Body != nil {
			b, _ = io.ReadAll(req.Body)
			req.Body = io.NopCloser(bytes.NewReader(b))
		}
		return f(req, string(b), next)
	}), docusign.Observe{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.closer = closer.New(r.cfg, r.guard, r.ledger, client, metrics.NewCloser(nil, metrics.NewAccounts([]string{account}), nil, nil, nil), zaptest.NewLogger(r.t))
}

// says is an answer that Docusign, or somebody on the way, might give.
func says(req *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}, Body: io.NopCloser(strings.NewReader(body)), Request: req}
}
