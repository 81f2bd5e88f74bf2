package main

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
)

// dryRun is a daemon in a dry run that takes events in every way that there is. Its
// first pass is done.
func dryRun(t *testing.T) (s *site, r *running, file string) {
	t.Helper()
	s = newSite(t, siteOptions{noBroker: true})
	secret := s.write(t, "secret", webhookToken+"-signs\n")
	standard := s.write(t, "standard", outcomesSecret+"\n")
	file = s.config(t, map[string]string{
		"mode": modeDryRun, "batch.interval": "1h",
		"webhook.endpoints": "[{path: /raw, mapping: hibob, auth: {hmac: hibob, secret_file: " + secret + "}}," +
			"{path: /events, auth: {bearer_file: " + filepath.Join(s.dir, "webhook-token") + "}}," +
			"{path: /okta, success: 204, origins: [hr.example.com], auth: {okta_file: " + secret + "}}," +
			"{path: /standard, auth: {hmac: standard-webhooks, secret_file: " + standard + "}}, {path: /open, auth: none}]",
	})
	r = s.start(t, file)
	shows(t, r.admin()+"/readyz?verbose", "docusign: account "+demoAccount+": ok")
	return s, r, file
}

func (r *running) hooks() string { return "http://" + r.webhook.Addr().String() }

func TestSendTest(t *testing.T) {
	t.Parallel()
	s, r, file := dryRun(t)
	ways := map[string]string{"": "/events", "/": "/events", "/raw": "/raw", "/events": "/events", "/okta": "/okta", "/standard": "/standard", "/open": "/open"}
	sent := 0
	for path, endpoint := range ways {
		for range 2 { // a second run is no repetition of the first
			status, out, errOut := signoff("check", "--config", file, "--send-test", r.hooks()+path)
			sent++
			want := "send-test ok      " + endpoint + " took a termination of nobody and its rescind: see signoff explain check-"
			if status != 0 || !strings.Contains(out, want) || strings.Contains(out, "ledger") {
				t.Errorf("%s: %d %s%s", path, status, out, errOut)
			}
			noLeak(t, "check", out)
		}
	}
	stats := r.stats(t)
	if stats.Entries[ledger.Cancelled] != sent || stats.Rejects != 0 || len(stats.Overdue) != 0 {
		t.Errorf("%v, %d rejects, want %d cancelled and nothing else", stats.Entries, stats.Rejects, sent)
	}
	for state, n := range stats.Entries {
		if state != ledger.Cancelled && n != 0 {
			t.Errorf("%d entries are %s", n, state)
		}
	}
	entries, err := r.ledger.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if ahead := e.EffectiveAt.Sub(e.ReceivedAt); ahead < 23*time.Hour || ahead > 25*time.Hour {
			t.Errorf("it takes effect %v after it came, want a day", ahead)
		}
	}
	if _, page := get(t, r.admin()+"/metrics"); !strings.Contains(page, fmt.Sprintf(`signoff_events_received_total{dry_run="true",result="recorded",source="webhook"} %d`, 2*sent)) {
		t.Error("/metrics does not count them all")
	}
	// Each check looks at the user who signs in and counts the users, once. Nobody else is looked for.
	ops := s.docusign.Stats().Operations
	delete(ops, "sign_in")
	delete(ops, "userinfo")
	if want := map[string]int{"get_user": sent, "list_users": sent}; !maps.Equal(ops, want) {
		t.Errorf("Docusign was asked %v, want %v", ops, want)
	}
	noLeak(t, "the log", r.logs.String())
}

func TestSendTestNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	s, r, file := dryRun(t)
	other := s.write(t, "other.yaml", strings.NewReplacer("webhook-token", "other-token", "path: /open", "path: /missing").
		Replace(read(t, file)))
	s.write(t, "other-token", "another-token-of-another-system\n")
	secured := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secured.Close)
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/open" {
			http.Redirect(w, q, "/elsewhere", http.StatusFound)
		}
	}))
	t.Cleanup(strange.Close)
	ca := s.write(t, "secured.pem", certificate(secured))
	choosy := httptest.NewUnstartedServer(http.NotFoundHandler())
	choosy.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	choosy.StartTLS()
	t.Cleanup(choosy.Close)
	ends := s.write(t, "ends.yaml", strings.Replace(read(t, file), "webhook:\n", "webhook:\n  tls: {cert_file: /nowhere/crt, key_file: /nowhere/key}\n", 1))
	for name, c := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"another token": {[]string{"--config", other, "--send-test", r.hooks()}, exitFailed,
			"/events answers 401 (no bearer token, or one that is not known): it does not take the first secret of " + filepath.Join(s.dir, "other-token")},
		"another config": {[]string{"--config", other, "--send-test", r.hooks() + "/missing"}, exitFailed,
			"answers 404 (no endpoint at this path): nothing is at this path: the config has /raw, /events, /okta, /standard, /missing"},
		"no such path": {[]string{"--config", file, "--send-test", r.hooks() + "/evnts"}, exitUsage,
			"--send-test: /evnts: no endpoint of the config; there are: /raw, /events, /okta, /standard, /open"},
		"nobody listens": {[]string{"--config", file, "--send-test", fmt.Sprintf("http://127.0.0.1:%d", freePort(t))}, exitFailed,
			"connection refused: nothing listens there: does the daemon run"},
		"no such host":       {[]string{"--config", file, "--send-test", "http://signoff.invalid"}, exitFailed, "is it the name of the daemon's Service or host?"},
		"an unknown CA":      {[]string{"--config", file, "--send-test", secured.URL}, exitFailed, "name who vouches for its certificate by --ca-file FILE"},
		"a CA that is known": {[]string{"--config", file, "--send-test", secured.URL, "--ca-file", ca}, exitFailed, "answers 404: nothing is at this path"},
		"a CA that is none":  {[]string{"--config", file, "--send-test", secured.URL, "--ca-file", file}, exitUsage, "no certificate in PEM"},
		"a CA for nothing":   {[]string{"--config", file, "--ca-file", ca}, exitUsage, "--ca-file: is about --send-test"},
		"TLS where there is none": {[]string{"--config", file, "--send-test", strings.Replace(r.hooks(), "http:", "https:", 1)}, exitFailed,
			"no TLS is spoken there"},
		"a page of somebody else": {[]string{"--config", file, "--send-test", strange.URL}, exitFailed, "answers 200: the endpoint's success is 202"},
		"a redirect":              {[]string{"--config", file, "--send-test", strange.URL + "/open"}, exitFailed, "answers 302: it sends elsewhere"},
		"who wants a certificate": {[]string{"--config", file, "--send-test", choosy.URL, "--ca-file", s.write(t, "choosy.pem", certificate(choosy))}, exitFailed,
			"where webhook.tls.client_ca_file is set, senders need a certificate"},
		"in the clear where there is TLS": {[]string{"--config", ends, "--send-test", strings.Replace(secured.URL, "https:", "http:", 1)}, exitFailed,
			"by the config it ends TLS itself (webhook.tls): the URL must begin with https"},
		"no URL":              {[]string{"--config", file, "--send-test", "signoff:8080"}, exitUsage, "--send-test: not a URL such as"},
		"a secret in the URL": {[]string{"--config", file, "--send-test", r.hooks() + "?access_token=" + webhookToken}, exitUsage, "without user and query"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errOut := signoff(append([]string{"check"}, c.args...)...)
			if status != c.status || !strings.Contains(out+errOut, c.want) {
				t.Errorf("%d, want %d and %q:\n%s%s", status, c.status, c.want, out, errOut)
			}
			if c.status == exitFailed && !strings.Contains(out, "send-test FAILED  a termination of nobody: ") {
				t.Errorf("no such line: %s", out)
			}
			noLeak(t, "check", out+errOut)
		})
	}
	if stats := r.stats(t); stats.AuditRows != 1 { // that of the config
		t.Errorf("%d rows in the audit: something was taken", stats.AuditRows)
	}
}

func TestSendTestIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	for want, change := range map[string]map[string]string{
		"--send-test: the mode is close":            nil,
		"--send-test: webhook is not configured: t": {"mode": modeDryRun, "webhook.listen": "", "webhook.endpoints": ""},
	} {
		status, out, errOut := signoff("check", "--config", s.config(t, change), "--send-test", "http://127.0.0.1:1")
		if status != exitUsage || out != "" || !strings.Contains(errOut, want) {
			t.Errorf("%d %s%s, want %q", status, out, errOut, want)
		}
	}
	if n := s.docusign.Stats().Operations; len(n) != 0 {
		t.Errorf("asked Docusign: %v", n)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
