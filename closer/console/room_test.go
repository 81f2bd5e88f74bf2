package console_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
)

const (
	account  = "an-account"
	operator = "operator-token"
	viewer   = "viewer-token"
)

// setup says what a test's console is like. The zero value has a tokens file
// and listens on loopback.
type setup struct {
	noTokens bool
	anywhere bool // listens on every address
	stuck    error
	stopping bool

	noSources error // why nothing is known of the sources
	approvals int   // people who must approve; 0: one

	sign func([]byte) []byte

	web         string // the web config file; "": none
	pages       http.Handler
	badTokens   bool // the tokens file gets unreadable
	oidc        *console.OIDC
	openMetrics *bool

	deadline time.Duration
}

func (s setup) people() int { return max(1, s.approvals) }

// room is a console over a ledger.
type room struct {
	ledger  *ledger.Ledger
	url     string
	tokens  string // path of the tokens file
	dir     string // of the web config file, and of the certificates that it may name
	http    *http.Client
	skipped atomic.Int64
	leavers leavers
	replays replays
	plans   plans
	lists   reconciler
	logs    *observer.ObservedLogs
	close   func() error // closes the ledger
	stop    func()       // ends the listener
}

// word is a verdict as a request has it.
func (r *room) word(t *testing.T, id int64) string {
	t.Helper()
	text, err := json.Marshal(r.verdict(t, id, "checked with HR"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// verdict is what somebody says who has seen the hold as it is.
func (r *room) verdict(t *testing.T, id int64, reason string) console.Verdict {
	t.Helper()
	h, err := r.ledger.Hold(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return console.Verdict{Digest: h.Digest, Reason: reason}
}

func open(t *testing.T, s setup) *room {
	t.Helper()
	dir := t.TempDir()
	r := &room{tokens: filepath.Join(dir, "tokens"), dir: dir, http: http.DefaultClient}
	r.setTokens(t, "# people", "alice:operator:"+hashOf(operator), "", "bob:viewer:"+strings.ToUpper(hashOf(viewer)))
	var err error
	if r.ledger, err = ledger.Open(t.Context(), ledger.Config{URL: "sqlite://" + filepath.Join(dir, "ledger.db")}, ledger.Observe{}); err != nil {
		t.Fatal(err)
	}
	r.replays.ledger = r.ledger
	cfg := console.Config{Listen: "127.0.0.1:0", TokensFile: r.tokens, Session: 8 * time.Hour}
	if s.noTokens {
		cfg.TokensFile = ""
	}
	if s.anywhere {
		cfg.Listen = ":0"
	}
	cfg.OpenMetrics, cfg.OIDC = s.openMetrics, s.oidc
	if s.web != "" {
		makeCertificates(t, dir)
		cfg.WebConfigFile = r.setWeb(t, s.web)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.InfoLevel)
	r.logs = logs
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "some_metric 1\n") })
	server, err := console.New(cfg, r.ledger, console.Daemon{Metrics: metrics, Pages: s.pages, Terms: func() ledger.Terms { return ledger.Terms{People: s.people(), Expires: 24 * time.Hour} },
		Stopping: func() bool { return s.stopping }, Pace: func() console.Pace { return console.Pace{Deadline: s.deadline} }, Leavers: &r.leavers, Rejects: &r.replays, Plans: &r.plans,
		Sources: func(context.Context) ([]string, error) { return []string{"source hr: ok"}, s.noSources },
		Alive:   func(time.Time) error { return s.stuck },
		Skipped: func(settled []ledger.Settled) { r.skipped.Add(int64(len(settled))) },
		Sinks:   []string{"kafka", "webhook"},
		About:   console.About{Version: "0.0.1", Mode: "close", Deadline: 24 * time.Hour}, Reconcile: &r.lists, Sign: s.sign}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://127.0.0.1:" + port
	if server.TLS() {
		r.url, r.http = "https://127.0.0.1:"+port, r.client(t, "")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	r.stop = cancel
	go func() { done <- server.Run(ctx) }()
	r.close = sync.OnceValue(r.ledger.Close)
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, r.close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func (r *room) setTokens(t *testing.T, lines ...string) {
	t.Helper()
	if err := os.WriteFile(r.tokens, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hold makes a hold of leavers with these names.
func (r *room) hold(t *testing.T, kind ledger.Kind, names ...string) int64 {
	t.Helper()
	return r.makeHold(t, kind, false, names...)
}

func (r *room) makeHold(t *testing.T, kind ledger.Kind, dryRun bool, names ...string) int64 {
	t.Helper()
	now := time.Now().UTC()
	var in consumer.Intake
	in.Source = consumer.Webhook
	for _, name := range names {
		in.Events = append(in.Events, consumer.Event{
			Key:  consumer.Key{Origin: "/events", Source: "https://hr.example.com", ID: name},
			Kind: consumer.Terminated, Hash: hashOf(name), Email: name + "@example.com",
			OccurredAt: now, ReceivedAt: now, EffectiveAt: now})
	}
	if err := r.ledger.Record(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if err := r.ledger.BecomeDue(t.Context(), []string{account}, now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	due, err := r.ledger.Due(t.Context(), account, now.Add(time.Second), false)
	if err != nil || len(due) != len(names) {
		t.Fatalf("%d due, %v", len(due), err)
	}
	var plan []ledger.Resolved
	for _, e := range due {
		plan = append(plan, ledger.Resolved{Entry: e, Users: []ledger.User{{ID: "id-of-" + e.Leaver[:3], Email: e.Leaver}}})
	}
	h, err := r.ledger.MakeHold(t.Context(), account, []ledger.Kind{kind}, "why it is held", dryRun, plan)
	if err != nil {
		t.Fatal(err)
	}
	return h.ID
}

// answer is what the console said.
type answer struct {
	status int
	header http.Header
	body   string
}

func (r *room) ask(t *testing.T, method, path, token, body string) answer {
	t.Helper()
	header := http.Header{}
	if body != "" {
		header.Set("Content-Type", "application/json")
	}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return r.askAs(t, method, path, header, body)
}

func (r *room) askAs(t *testing.T, method, path string, header http.Header, said string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(said))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := io.Reader(resp.Body)
	if resp.Header.Get("Content-Type") == "text/event-stream" && method == http.MethodGet { // which has no end: the first event
		body = &firstEvent{bufio.NewReader(resp.Body)}
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// firstEvent is what a stream says until an empty line.
type firstEvent struct{ *bufio.Reader }

func (f *firstEvent) Read(into []byte) (int, error) {
	if f.Reader == nil {
		return 0, io.EOF
	}
	line, err := f.ReadString('\n')
	if line == "\n" || err != nil {
		f.Reader = nil
	}
	return copy(into, line), nil
}
