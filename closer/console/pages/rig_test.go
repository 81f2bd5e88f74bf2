package pages_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"signoff/closer/console"
	"signoff/closer/console/pages"
	"signoff/closer/ledger"
	"signoff/consumer"
)

const (
	account  = "an-account"
	operator = "operator-token"
	viewer   = "viewer-token"
)

// rig is the pages of a console over a real ledger, as a browser finds them.
type rig struct {
	ledger *ledger.Ledger
	file   string // of the ledger
	url    string
	about  console.About
}

// open serves the pages until the test ends; to people with tokens or, with none, to
// whoever asks.
func open(t testing.TB, tokens bool) *rig {
	t.Helper()
	return openIn(t, "close", tokens)
}

func openIn(t testing.TB, mode string, tokens bool) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{file: filepath.Join(dir, "ledger.db"), about: console.About{Version: "0.0.1", Mode: mode, Deadline: 24 * time.Hour}}
	var err error
	if r.ledger, err = ledger.Open(t.Context(), ledger.Config{URL: "sqlite://" + r.file}, ledger.Observe{}); err != nil {
		t.Fatal(err)
	}
	cfg := console.Config{Listen: "127.0.0.1:0", Session: time.Hour}
	if tokens {
		cfg.TokensFile = filepath.Join(dir, "tokens")
		lines := fmt.Sprintf("alice:operator:%x\nbob:viewer:%x\n", sha256.Sum256([]byte(operator)), sha256.Sum256([]byte(viewer)))
		if err := os.WriteFile(cfg.TokensFile, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server, err := console.New(cfg, r.ledger, console.Daemon{
		Metrics: http.NotFoundHandler(), Pages: pages.New(r.about), About: r.about,
		Terms:    func() ledger.Terms { return ledger.Terms{People: 1, Expires: 24 * time.Hour} },
		Pace:     func() console.Pace { return console.Pace{Deadline: r.about.Deadline, People: 1, Interval: time.Hour} },
		Stopping: func() bool { return false }, Alive: func(time.Time) error { return nil },
		Skipped: func([]ledger.Settled) {}, Rejects: replays{r.ledger}, Accounts: []string{account},
	}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + server.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, r.ledger.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// replays understands every payload but those that begin with "bad".
type replays struct{ ledger *ledger.Ledger }

func (p replays) Replay(ctx context.Context, id int64, by string) (ledger.Reject, error) {
	found, err := p.ledger.FindReject(ctx, id)
	if err != nil {
		return found, err
	}
	var rejects []consumer.Reject
	if strings.HasPrefix(string(found.Payload), "bad") {
		rejects = append(rejects, consumer.Reject{Key: found.Key, Reason: consumer.InvalidTime, Detail: "effectiveAt: neither"})
	}
	return p.ledger.ReplayReject(ctx, id, nil, rejects, by)
}

// page is what a browser was answered.
type page struct {
	status int
	header http.Header
	text   string
}

// get asks for a page in the name of a token's owner; "" is nobody.
func (r *rig) get(t testing.TB, token, path string) page {
	t.Helper()
	return r.ask(t, http.MethodGet, token, path, nil)
}

// post sends a form.
func (r *rig) post(t testing.TB, token, path string, form url.Values) page {
	t.Helper()
	return r.ask(t, http.MethodPost, token, path, form)
}

func (r *rig) ask(t testing.TB, method, token, path string, form url.Values) page {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return r.do(t, req)
}

func (r *rig) do(t testing.TB, req *http.Request) page {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{resp.StatusCode, resp.Header, string(text)}
}

// leave records that these people leave, and makes them due.
func (r *rig) leave(t *testing.T, events ...consumer.Event) []ledger.Entry {
	t.Helper()
	now := time.Now().UTC()
	in := consumer.Intake{Source: consumer.Webhook}
	for _, e := range events {
		if e.Key.ID == "" {
			e.Key.ID = e.Email
		}
		e.Key.Origin, e.Kind, e.Hash = "/events", consumer.Terminated, e.Key.ID
		if e.Key.Source == "" {
			e.Key.Source = "https://hr.example.com"
		}
		if e.EffectiveAt.IsZero() {
			e.EffectiveAt = now
		}
		e.OccurredAt, e.ReceivedAt = now, now
		in.Events = append(in.Events, e)
	}
	if err := r.ledger.Record(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if err := r.ledger.BecomeDue(t.Context(), []string{account}, now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	due, err := r.ledger.Due(t.Context(), account, now.Add(time.Second), false)
	if err != nil {
		t.Fatal(err)
	}
	return due
}

// hold holds those who leave.
func (r *rig) hold(t *testing.T, kind ledger.Kind, events ...consumer.Event) ledger.Hold {
	t.Helper()
	var plan []ledger.Resolved
	for i, e := range r.leave(t, events...) {
		plan = append(plan, ledger.Resolved{Entry: e, Users: []ledger.User{{ID: fmt.Sprintf("user-%d", i), Email: e.Emails[0]}}})
	}
	h, err := r.ledger.MakeHold(t.Context(), account, []ledger.Kind{kind}, "3 leavers in an hour, 2 are allowed", false, plan)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// reject records what could not be understood.
func (r *rig) reject(t *testing.T, reject consumer.Reject) int64 {
	t.Helper()
	if err := r.ledger.Record(t.Context(), consumer.Intake{Source: consumer.Webhook, Rejects: []consumer.Reject{reject}}); err != nil {
		t.Fatal(err)
	}
	id, err := r.ledger.LastReject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}
