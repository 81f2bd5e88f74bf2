package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"signoff/closer/ledger"
	"signoff/consumer"
)

// signingKey writes a key pair as openssl does, and returns the files.
func (s *site) signingKey(t *testing.T, name string) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	private = s.write(t, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	if der, err = x509.MarshalPKIXPublicKey(pub); err != nil {
		t.Fatal(err)
	}
	return private, s.write(t, name+".pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
}

// raw changes a ledger's file behind signoff's back.
func raw(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

// said fails unless a command says this, with the status.
func said(t *testing.T, status int, want string, args ...string) {
	t.Helper()
	got, out, errOut := signoff(args...)
	if got != status || !strings.Contains(out+errOut, want) {
		t.Errorf("signoff %s: %d %s%s; want %d with %q", strings.Join(args, " "), got, out, errOut, status, want)
	}
	noLeak(t, "signoff "+strings.Join(args, " "), out+errOut)
}

// A daemon puts its config on record at each start, and has the audit's head go out;
// both are checked offline, and so is what it exports.
func TestEvidenceOfADaemon(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{users: leaverUsers(2), noBroker: true})
	private, public := s.signingKey(t, "audit")
	_, stranger := s.signingKey(t, "stranger")
	change := map[string]string{"audit.signing_key_file": private, "guard.protected": "{emails: [ceo@example.com]}"}
	first := s.start(t, s.config(t, change))
	first.post(t, 0)
	first.await(t, ledger.Closed, 1)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	change["batch.max_users"], change["guard.protected"] = "50", "{emails: [ceo@example.com, cfo@example.com]}"
	file := s.config(t, change)
	second := s.start(t, file)
	second.post(t, 1)
	second.await(t, ledger.Closed, 2)

	configs := s.configRows(t)
	if len(configs) != 2 || configs[0].Mode != "close" || configs[0].Version != version || configs[0].Digest == configs[1].Digest {
		t.Fatalf("config rows %+v", configs)
	}
	if got, want := configs[1].Changed, []ledger.Change{{Key: "batch.max_users", From: "100", To: "50"},
		{Key: "guard.protected.emails", From: "1 value", To: "2 values"}}; !slices.Equal(got, want) {
		t.Errorf("changed %v, want %v", got, want)
	}
	if !slices.ContainsFunc(configs[0].Changed, func(c ledger.Change) bool { return c.Key == "guard.first_run" && c.From == "hold" && c.To == "close" }) {
		t.Errorf("the first start tells %v", configs[0].Changed)
	}

	by := []string{"--url", second.admin(), "--token-file", filepath.Join(s.dir, "bob")}
	export := filepath.Join(s.dir, "export")
	said(t, 0, "2 leavings, audit rows 1 to", append([]string{"audit", "export", "--out", export}, by...)...)
	said(t, 2, "not empty", append([]string{"audit", "export", "--out", export}, by...)...)
	said(t, 0, "the export is whole: 2 leavings", "audit", "verify", "--export", export)
	said(t, 0, "it is signed by the key", "audit", "verify", "--public-key", public, "--export", export)
	said(t, 1, "the key has not signed", "audit", "verify", "--public-key", stranger, "--export", export)
	said(t, 0, "0 leavings", "audit", "export", "--since", "2020-01-01", "--until", "2021-01-01", "--config", file, "--out", filepath.Join(s.dir, "none"))
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}

	logs := s.write(t, "logs", first.logs.String()+second.logs.String())
	if n := strings.Count(first.logs.String(), "audit head"); n != 2 {
		t.Errorf("%d heads went out, want one at the start and one at the stop", n)
	}
	said(t, 0, "the audit is whole", "audit", "verify", "--config", file)
	said(t, 0, "4 compared, 4 signed by the key", "audit", "verify", "--public-key", public, "--config", file, "--checkpoints", logs)
	said(t, 1, "not by this key", "audit", "verify", "--public-key", stranger, "--config", file, "--checkpoints", logs)
	said(t, 1, "no head of an audit", "audit", "verify", "--config", file, "--checkpoints", s.write(t, "other", "no log of ours\n"))
	said(t, 1, "of other ledgers", "audit", "verify", "--config", file, "--checkpoints",
		s.write(t, "others", regexp.MustCompile(`"audit_ledger":"\w+"`).ReplaceAllString(first.logs.String(), `"audit_ledger":"x"`)))
	said(t, 0, "the export is whole", "audit", "verify", "--public-key", public, "--checkpoints", logs, "--export", export)

	noLeak(t, "the log", first.logs.String()+second.logs.String())
	text, err := os.ReadFile(filepath.Join(s.dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	changed := s.write(t, "changed.db", string(text))
	raw(t, changed, `DELETE FROM audit_personal WHERE seq = (SELECT MAX(seq) FROM audit); DELETE FROM audit WHERE seq = (SELECT MAX(seq) FROM audit)`)
	said(t, 1, "the end was cut off", "audit", "verify", "--checkpoints", logs, "--ledger", "sqlite://"+changed)
	raw(t, changed, `UPDATE audit SET actor = 'eve' WHERE seq = 3`)
	said(t, 1, "audit row 3 (", "audit", "verify", "--ledger", "sqlite://"+changed)
}

type configRow struct {
	Digest, Version, Mode string
	Changed               []ledger.Change
}

func (s *site) configRows(t *testing.T) []configRow {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "ledger.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT facts FROM audit WHERE action = 'config' ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []configRow
	for rows.Next() {
		var text string
		var c configRow
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "@") {
			t.Error("an address: ", text)
		}
		all = append(all, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAuditUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	notAKey := filepath.Join(dir, "key")
	if err := os.WriteFile(notAKey, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"no word":                {nil, 2, "verify | export"},
		"an unknown word":        {[]string{"frobnicate"}, 2, "verify | export"},
		"help":                   {[]string{"--help"}, 0, "-checkpoints"},
		"verify nothing":         {[]string{"verify"}, 2, "one of --config FILE, --ledger URL and --export DIR"},
		"verify two things":      {[]string{"verify", "--ledger", "sqlite:///x", "--export", dir}, 2, "one of"},
		"verify a path":          {[]string{"verify", "--ledger", "/x/hunter2.db"}, 2, "--ledger: not a URL such as sqlite:///"},
		"a key that is none":     {[]string{"verify", "--export", dir, "--public-key", notAKey}, 2, "not an Ed25519 public key"},
		"heads of no file":       {[]string{"verify", "--export", dir, "--checkpoints", "/nowhere/x"}, 2, "--checkpoints: open /nowhere/x"},
		"a folder of no export":  {[]string{"verify", "--export", dir}, 1, "manifest.json"},
		"export to nowhere":      {[]string{"export", "--url", "http://127.0.0.1:1"}, 2, "--out DIR"},
		"export of no period":    {[]string{"export", "--since", "x", "--out", dir, "--url", "http://127.0.0.1:1"}, 2, "--since: \"x\""},
		"export of no format":    {[]string{"export", "--format", "pdf", "--out", dir, "--url", "http://127.0.0.1:1"}, 2, "--format: \"pdf\""},
		"export from nowhere":    {[]string{"export", "--out", filepath.Join(dir, "new")}, 2, "--url of a daemon, or --config"},
		"export among the files": {[]string{"export", "--out", dir, "--url", "http://127.0.0.1:1"}, 2, "not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errOut := signoff(append([]string{"audit"}, tt.args...)...)
			if status != tt.status || !strings.Contains(out+errOut, tt.want) || strings.Contains(out+errOut, "hunter2") {
				t.Errorf("%d %s%s, want %d with %q", status, out, errOut, tt.status, tt.want)
			}
		})
	}
}

func TestSigningKeyIsChecked(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true})
	private, _ := s.signingKey(t, "audit")
	for name, tt := range map[string]struct {
		file   string
		status int
		want   string
	}{
		"a key":          {private, 0, "audit     ok      heads and exports are signed, SHA-256 of the public key "},
		"no key":         {"", 0, "audit     ok      heads and exports are not signed"},
		"a key of RSA":   {filepath.Join(s.dir, "key.pem"), 1, "not an Ed25519 key"},
		"a missing file": {"/nowhere/key", 1, "audit.signing_key_file: "},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, _ := signoff("check", "--config", s.config(t, map[string]string{"audit.signing_key_file": tt.file}))
			if status != tt.status || !strings.Contains(out, tt.want) {
				t.Errorf("%d %s", status, out)
			}
		})
	}
	status, _, errOut := signoff("run", "--config", s.config(t, map[string]string{"audit.signing_key_file": "/nowhere/key"}))
	if status != exitUsage || !strings.Contains(errOut, "audit.signing_key_file") {
		t.Errorf("run: %d %s", status, errOut)
	}
}

func TestSettingsTellNoSecretAndNobody(t *testing.T) {
	c, err := loadConfig(writeConfig(t, strings.Replace(whole, "webhook:\n", `outcomes: {webhook: {url: "https://hooks.example.com/T000/hunter2", secret_file: /x}}
webhook:
`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	c.Ledger = "postgres://signoff:hunter2@db/x"
	settings := settingsOf(c)
	for key, want := range map[string]string{
		"mode": "close", "ledger": "1 value", "outcomes.webhook.url": "1 value", "outcomes.webhook.secret_file": "/x",
		"guard.protected.emails": "1 value", "guard.limits[1].max_share": "0.05", "guard.limits[0].window": "1h0m0s",
		"kafka.topics[1].mapping": "acme", "events.mappings[1].expression": "1 value", "events.sources[0].may_rescind": "true",
		"webhook.endpoints[0].auth.bearer_file": "/etc/signoff/webhook-token", "docusign.accounts": "ACCOUNT-ID",
		"retention": "61320h0m0s", "audit.signing_key_file": "/run/secrets/audit.pem",
	} {
		if got := settings[key].Told; got != want {
			t.Errorf("%s is told as %q, want %q", key, got, want)
		}
	}
	for key, s := range settings {
		if strings.Contains(s.Told, "hunter2") || strings.Contains(s.Told, "@") {
			t.Errorf("%s tells %q", key, s.Told)
		}
	}
	before := digestOf(settings)
	c.Guard.Protected.Emails = []string{"cfo@example.com"}
	if after := digestOf(settingsOf(c)); after == before || len(after) != 64 {
		t.Errorf("digest %s, was %s", after, before)
	}
	c.Webhook.Endpoints[0].Auth.BearerFile, c.Webhook.Endpoints[0].Auth.None = "", true
	if got := settingsOf(c)["webhook.endpoints[0].auth"].Told; got != "none" {
		t.Errorf("auth: none is told as %q", got)
	}
}

// keepRecord is a keeper at work in a bubble, that erases and has heads go out.
func keepRecord(t *testing.T, change func(*keeping)) (l *ledger.Ledger, logs *observer.ObservedLogs, stop func()) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	dir := t.TempDir()
	l, err := ledger.Open(t.Context(), ledger.Config{URL: "sqlite://" + filepath.Join(dir, "ledger.db")}, ledger.Observe{})
	if err != nil {
		t.Fatal(err)
	}
	kept := newKeeper(l, nil, zap.New(core))
	kept.keeping = newKeeping(defaults(), l, nil, zap.New(core))
	change(kept.keeping)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- kept.run(ctx, func(time.Time) {}) }()
	return l, logs, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestHeadGoesOutDailyAndWhatIsOldGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		l, logs, stop := keepRecord(t, func(k *keeping) { k.eraseAfter, k.retention = 2*day, 4*day })
		defer stop()
		synctest.Wait()
		now := time.Now().UTC()
		for i := range 2 {
			at := now.Add(time.Duration(i) * 365 * day)
			if err := l.Record(t.Context(), consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{{
				Key: consumer.Key{Origin: "/events", Source: "hr", ID: fmt.Sprint(i)}, Kind: consumer.Terminated, Hash: "h",
				Email: fmt.Sprint("ann", i, "@example.com"), OccurredAt: now, ReceivedAt: now, EffectiveAt: at}}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.BecomeDue(t.Context(), []string{"a"}, now); err != nil {
			t.Fatal(err)
		}
		due, err := l.Due(t.Context(), "a", now, false)
		if err != nil || len(due) != 1 {
			t.Fatalf("%d due, %v", len(due), err)
		}
		if _, err := l.Settle(t.Context(), []ledger.Settlement{{Entry: due[0], Outcome: ledger.NotFound}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*day - time.Minute)
		synctest.Wait()
		if n := logs.FilterMessage("audit head").Len(); n != 1 { // none when nothing was on record yet
			t.Errorf("%d heads went out in two days", n)
		}
		if n := logs.FilterMessage("emails and names were erased").Len(); n != 0 {
			t.Error("erased too early")
		}
		time.Sleep(day)
		synctest.Wait()
		if n := logs.FilterMessage("emails and names were erased").Len(); n != 1 {
			t.Errorf("erased %d times after three days", n)
		}
		time.Sleep(2 * day)
		synctest.Wait()
		pruned := logs.FilterMessage("what is older than the retention was deleted").All()
		if len(pruned) != 1 || pruned[0].ContextMap()["entries"] != int64(1) {
			t.Errorf("pruned %v after five days", pruned)
		}
		entries, err := l.Entries(t.Context())
		if err != nil || len(entries) != 1 || entries[0].Emails[0] != "ann1@example.com" {
			t.Errorf("left are %+v, %v", entries, err)
		}
		if _, err := l.VerifyAudit(t.Context()); err != nil {
			t.Error(err)
		}
		if n := logs.FilterLevelExact(zap.ErrorLevel).Len(); n > 0 {
			t.Errorf("%d errors: %v", n, logs.FilterLevelExact(zap.ErrorLevel).All())
		}
	})
}
