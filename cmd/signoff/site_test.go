package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	segmentio "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/consumer/kafka"
)

// What the logs and the metrics of a site must never show.
const (
	webhookToken  = "w3bh00k-token-of-the-hr-system"
	operatorToken = "0perat0r-token-of-alice"
	viewerToken   = "v1ewer-token-of-bob"
)

// site is all that a daemon needs besides itself: a broker, Docusign, files.
type site struct {
	dir      string
	broker   *kfake.Cluster // nil if the site was made without
	docusign *docusigntest.Server
	auth     string // URL of docusign
}

type siteOptions struct {
	users    []docusigntest.User
	docusign docusigntest.Config // key, accounts and quota are set by newSite
	noBroker bool
}

// testKey is shared: making one takes longer than the rest of a site.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newSite(t *testing.T, o siteOptions) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	key := testKey()
	s.write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	s.write(t, "webhook-token", webhookToken+"\n")
	s.write(t, "alice", operatorToken+"\n")
	s.write(t, "bob", viewerToken+"\n")
	s.write(t, "tokens", fmt.Sprintf("# who may do what\nalice:operator:%s\nbob:viewer:%s\n", hashOf(operatorToken), hashOf(viewerToken)))

	c := o.docusign
	c.IntegrationKey, c.UserID, c.PublicKey = demoKey, demoUser, &key.PublicKey
	if c.HourLimit == 0 {
		c.HourLimit, c.BurstLimit = 100_000, 100_000
	}
	c.Accounts = []docusigntest.AccountConfig{{ID: demoAccount, Users: append(administrators(), o.users...)}}
	var err error
	if s.docusign, err = docusigntest.New(c); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.docusign)
	t.Cleanup(server.Close)
	s.auth = server.URL
	if !o.noBroker {
		if s.broker, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, demoTopic)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.broker.Close)
	}
	return s
}

func administrators() []docusigntest.User {
	since := time.Now().AddDate(-3, 0, 0)
	return []docusigntest.User{
		{ID: demoUser, Email: "signoff@example.com", Administrator: true, Created: since},
		{ID: "00000000-0000-4000-8000-0000000000bb", Email: "it@example.com", Administrator: true, Created: since},
		{ID: "00000000-0000-4000-8000-0000000000cc", Email: "it2@example.com", Administrator: true, Created: since},
	}
}

// leaverUsers are the users of people 0 to n-1, at Docusign since long.
func leaverUsers(n int) []docusigntest.User {
	var users []docusigntest.User
	for i := range n {
		users = append(users, docusigntest.User{ID: userID(i), Email: email(i), Created: time.Now().AddDate(-1, 0, 0)})
	}
	return users
}

func userID(i int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", i) }

func email(i int) string { return fmt.Sprintf("leaver.%05d@example.com", i) }

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func (s *site) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// config writes a config file with these keys, dotted, changed from what most
// tests want: a quick daemon in mode close with a webhook, Kafka if there is a
// broker, and nothing held. An empty value leaves the key out.
func (s *site) config(t *testing.T, change map[string]string) string {
	t.Helper()
	keys := map[string]string{
		"mode":                      "close",
		"ledger":                    "sqlite://" + filepath.Join(s.dir, "ledger.db"),
		"webhook.listen":            "127.0.0.1:0",
		"webhook.endpoints":         "[{path: /events, auth: {bearer_file: " + filepath.Join(s.dir, "webhook-token") + "}}]",
		"docusign.auth_server":      s.auth,
		"docusign.integration_key":  demoKey,
		"docusign.user_id":          demoUser,
		"docusign.private_key_file": filepath.Join(s.dir, "key.pem"),
		"docusign.accounts":         "[" + demoAccount + "]",
		"batch.interval":            "200ms",
		"guard.first_run":           "close",
		"guard.limits":              "[{window: 1h, max: 100000}]",
		"admin.listen":              "127.0.0.1:0",
		"admin.tokens_file":         filepath.Join(s.dir, "tokens"),
	}
	if s.broker != nil {
		keys["kafka.brokers"] = "[" + strings.Join(s.broker.ListenAddrs(), ", ") + "]"
		keys["kafka.topics"], keys["kafka.group"] = "["+demoTopic+"]", "signoff"
	}
	maps.Copy(keys, change)
	sections := make(map[string][]string)
	for key, value := range keys {
		section, name, dotted := strings.Cut(key, ".")
		switch {
		case value == "":
		case dotted:
			sections[section] = append(sections[section], fmt.Sprintf("  %s: %s\n", name, value))
		default:
			sections[key] = []string{" " + value + "\n"}
		}
	}
	var text strings.Builder
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		lines := sections[section]
		slices.Sort(lines)
		text.WriteString(section + ":")
		if strings.HasPrefix(lines[0], "  ") {
			text.WriteString("\n")
		}
		text.WriteString(strings.Join(lines, ""))
	}
	return s.write(t, "signoff.yaml", text.String())
}

// running is a daemon at work in this process.
type running struct {
	*daemon
	logs *logBuffer
	stop func() error // as a signal would, and waits for the end
}

func (s *site) start(t *testing.T, file string) *running {
	t.Helper()
	return s.startFrom(t, file, "")
}

// startFrom tells the daemon where to begin in Kafka.
func (s *site) startFrom(t *testing.T, file string, from kafka.From) *running {
	t.Helper()
	cfg, read, err := readConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	return s.startAs(t, file, cfg, read, from)
}

// startAs starts a daemon by a config that was read before, with what its files had in
// them then.
func (s *site) startAs(t *testing.T, file string, cfg config, read contents, from kafka.From) *running {
	t.Helper()
	logs := &logBuffer{}
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), logs, zap.DebugLevel))
	ctx, cancel := context.WithCancel(context.Background())
	d, err := newDaemon(ctx, cfg, from, log)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	d.reloader.follow(file, read, zap.NewAtomicLevel(), nil)
	done := make(chan error, 1)
	go func() { done <- d.run(ctx) }()
	r := &running{daemon: d, logs: logs, stop: sync.OnceValue(func() error { cancel(); return <-done })}
	t.Cleanup(func() {
		if r.stop() == nil {
			bearsOut(t, cfg)
		}
	})
	if cfg.Webhook.Listen != "" {
		eventually(t, "the webhook listens", func() bool { return d.webhook.Addr() != nil })
	}
	return r
}

// bearsOut fails unless the audit is whole, and says what the rest of the ledger does.
func bearsOut(t *testing.T, cfg config) {
	t.Helper()
	l, err := ledger.OpenReadOnly(context.Background(), cfg.ledgerConfig())
	if err != nil {
		t.Error(err)
		return
	}
	defer l.Close()
	if _, err := l.VerifyAudit(context.Background()); err != nil {
		t.Error(err)
	}
}

func (r *running) admin() string { return "http://" + r.console.Addr().String() }

func (r *running) stats(t *testing.T) ledger.Stats {
	t.Helper()
	stats, err := r.ledger.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// await waits until so many entries are in the state.
func (r *running) await(t *testing.T, state ledger.State, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d entries %s", n, state), func() bool { return r.stats(t).Entries[state] == n })
}

// logBuffer is a log that is read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) Sync() error { return nil }

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// eventually waits until what holds; want says what that is.
func eventually(t *testing.T, want string, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !what(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", want)
		}
	}
}

// termination is the event that person i leaves.
func termination(t *testing.T, i int) []byte {
	t.Helper()
	e, err := newEvent(consumer.TypeTerminated, fmt.Sprintf("termination-%d", i), &person{employee: fmt.Sprintf("E-%05d", i), email: email(i)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func structured(text []byte) segmentio.Message {
	return segmentio.Message{Value: text, Headers: []segmentio.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}}}
}

// unrelated is an event that is none of our business.
func unrelated(i int) segmentio.Message {
	return segmentio.Message{Value: []byte(`{"salary": 1}`), Headers: []segmentio.Header{
		{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_type", Value: []byte("com.example.hr.employee.updated")},
		{Key: "ce_source", Value: []byte("https://hr.example.com")}, {Key: "ce_id", Value: fmt.Append(nil, "update-", i)},
	}}
}

func (s *site) produce(t *testing.T, messages ...segmentio.Message) {
	t.Helper()
	w := &segmentio.Writer{Addr: segmentio.TCP(s.broker.ListenAddrs()...), Topic: demoTopic, BatchTimeout: time.Millisecond}
	defer w.Close()
	if err := w.WriteMessages(t.Context(), messages...); err != nil {
		t.Fatal(err)
	}
}

// postAs posts to the webhook what is not a single structured event.
func postAs(t *testing.T, url, contentType string, body []byte) (status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer "+webhookToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// shows waits until the page has the line or the part of one.
func shows(t *testing.T, url, part string) {
	t.Helper()
	eventually(t, url+" shows "+part, func() bool { _, body := get(t, url); return strings.Contains(body, part) })
}

// noLeak fails if the text has an address, a userId of a leaver or a token.
func noLeak(t *testing.T, what, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		for _, secret := range []string{"@", "-0000-4000-8000-000000000000", webhookToken, operatorToken, viewerToken, "PRIVATE KEY"} {
			if strings.Contains(line, secret) {
				t.Errorf("%s shows %q: %s", what, secret, line)
			}
		}
	}
}
