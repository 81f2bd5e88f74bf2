package main

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
)

func TestCheckIsContent(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{users: leaverUsers(2)})
	file := s.config(t, nil)
	wants := func(parts ...string) {
		t.Helper()
		status, out, errOut := signoff("check", "--config", file)
		if status != 0 {
			t.Errorf("status %d: %s%s", status, out, errOut)
		}
		for _, part := range parts {
			if !strings.Contains(out, part) {
				t.Errorf("does not say %q: %s", part, out)
			}
		}
		noLeak(t, "check", out)
	}
	wants("config    ok      mode close", "events    ok      mappings compiled: 0, no directory", "ledger    ok      not there yet, can be made",
		"kafka     ok      "+demoTopic+" (2 partitions)", "webhook   ok      1 endpoints on 127.0.0.1:0", "docusign  ok      account "+demoAccount+", 5 active users, 9999",
		"admin     ok      people come in by a token")
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 6 {
		t.Errorf("check leaves %v behind, %v", left, err)
	}

	r := s.start(t, file)
	r.post(t, 0)
	r.await(t, ledger.Closed, 1)
	wants("ledger    ok      1 entries, audit chain of ") // beside the daemon
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	wants("ledger    ok      1 entries, audit chain of ")
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*testing.T, *site) map[string]string
		failed string // the line
		want   string // what it says besides
	}{
		"the ledger's folder is not there": {func(_ *testing.T, s *site) map[string]string {
			return map[string]string{"ledger": "sqlite://" + s.dir + "/nowhere/ledger.db"}
		}, "ledger", "cannot be made"},
		"the ledger is something else": {func(t *testing.T, s *site) map[string]string {
			return map[string]string{"ledger": "sqlite://" + s.write(t, "other.db", strings.Repeat("no database ", 100))}
		}, "ledger", "other.db"},
		"a mapping that does not compile": {func(t *testing.T, s *site) map[string]string {
			return map[string]string{"events.mappings": "[{name: acme, file: " + s.write(t, "acme.cel", "[{\n'emial': 'x'}]") + "}]"}
		}, "events", "acme.cel:2:1: \"emial\": no event has this key"},
		"a directory that is not there": {func(*testing.T, *site) map[string]string {
			return map[string]string{"events.directory": "{csv: /nowhere/people.csv}"}
		}, "events", "events.directory.csv: open /nowhere/people.csv"},
		"a directory that is away": {func(t *testing.T, s *site) map[string]string {
			return map[string]string{"events.directory": fmt.Sprintf("{scim: 'http://127.0.0.1:%d', token_file: %s}", freePort(t), s.write(t, "scim", "token"))}
		}, "events", "events.directory: scim: dial tcp"},
		"a directory of another address": {func(t *testing.T, s *site) map[string]string {
			nothing := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(nothing.Close)
			return map[string]string{"events.directory": fmt.Sprintf("{scim: '%s', token_file: %s}", nothing.URL, s.write(t, "scim", "token"))}
		}, "events", "the SCIM server answers 404"},
		"no broker": {func(t *testing.T, _ *site) map[string]string {
			return map[string]string{"kafka.brokers": fmt.Sprintf("['127.0.0.1:%d']", freePort(t))}
		}, "kafka", "no broker of 127.0.0.1:"},
		"no such topic": {func(*testing.T, *site) map[string]string {
			return map[string]string{"kafka.topics": "[hr.missing]"}
		}, "kafka", "no such topic: hr.missing\n"},
		"two topics of three missing": {func(*testing.T, *site) map[string]string {
			return map[string]string{"kafka.topics": "[hr.missing, " + demoTopic + ", hr.gone]"}
		}, "kafka", "no such topic: hr.missing, hr.gone; found " + demoTopic + " (2 partitions)"},
		"no tokens for the webhook": {func(_ *testing.T, s *site) map[string]string {
			return map[string]string{"webhook.endpoints": "[{path: /events, auth: {bearer_file: " + s.dir + "/none}}]"}
		}, "webhook", "webhook.endpoints[0].auth.bearer_file: open "},
		"a broker that wants TLS": {func(t *testing.T, _ *site) map[string]string {
			return map[string]string{"kafka.brokers": securedBroker(t)}
		}, "kafka", "the broker hung up: it may want what is not set: kafka.tls, kafka.sasl"},
		"a broker that is a stranger": {func(t *testing.T, _ *site) map[string]string {
			return map[string]string{"kafka.brokers": securedBroker(t), "kafka.tls": "{}"}
		}, "kafka", "kafka.tls.ca_file must hold who vouches for the broker"},
		"a wrong password": {func(t *testing.T, s *site) map[string]string {
			return map[string]string{"kafka.brokers": securedBroker(t), "kafka.tls": "{ca_file: " + s.write(t, "ca.pem", strangerCA()) + "}",
				"kafka.sasl": "{mechanism: scram-sha-512, username: signoff, password_file: " + s.write(t, "password", webhookToken) + "}"}
		}, "kafka", "the broker does not take the mechanism, username and password of kafka.sasl"},
		"a mapping that there is not": {func(*testing.T, *site) map[string]string {
			return map[string]string{"kafka.topics": "[" + demoTopic + ", {name: hr.raw, mapping: nowhere}]"}
		}, "kafka", `kafka.topics[1].mapping: "nowhere": `},
		"Docusign is away": {func(_ *testing.T, s *site) map[string]string {
			s.docusign.SetDown(true)
			return nil
		}, "docusign", "sign in"},
		"no consent": {func(_ *testing.T, s *site) map[string]string {
			s.docusign.SetConsent(false)
			return nil
		}, "docusign", "consent"},
		"no private key": {func(_ *testing.T, s *site) map[string]string {
			return map[string]string{"docusign.private_key_file": s.dir + "/nokey.pem"}
		}, "docusign", "nokey.pem"},
		"a file that is no key": {func(_ *testing.T, s *site) map[string]string {
			return map[string]string{"docusign.private_key_file": filepath.Join(s.dir, "webhook-token")}
		}, "docusign", "no private key in PEM"},
		"another account": {func(*testing.T, *site) map[string]string {
			return map[string]string{"docusign.accounts": "[someone-elses]"}
		}, "docusign", "someone-elses: the user of docusign.user_id is no member"},
		"no administrator": {func(_ *testing.T, s *site) map[string]string {
			s.docusign.SetUser(demoAccount, docusigntest.User{ID: demoUser, Email: "signoff@example.com"})
			return nil
		}, "docusign", "administrator"},
		"an issuer that is away": {func(t *testing.T, _ *site) map[string]string {
			return map[string]string{"admin.oidc": oidcOf(fmt.Sprintf("http://127.0.0.1:%d", freePort(t)))}
		}, "admin", "admin.oidc.issuer: "},
		"an issuer that is none": {func(t *testing.T, _ *site) map[string]string {
			nothing := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(nothing.Close)
			return map[string]string{"admin.oidc": oidcOf(nothing.URL)}
		}, "admin", "404 Not Found"},
		"a clock that is wrong": {func(_ *testing.T, s *site) map[string]string {
			s.docusign.SetClockSkew(3 * time.Minute)
			return nil
		}, "docusign", "clock"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, siteOptions{})
			file := s.config(t, c.change(t, s))
			status, out, errOut := signoff("check", "--config", file)
			if status != exitFailed || !strings.Contains(errOut, "1 of the checks failed") {
				t.Errorf("status %d, %s", status, errOut)
			}
			for line := range strings.Lines(out) {
				what, rest, _ := strings.Cut(line, " ")
				failed := strings.HasPrefix(strings.TrimSpace(rest), "FAILED")
				if failed != (what == c.failed) {
					t.Errorf("%s", line)
				}
				if failed && !strings.Contains(rest, c.want) {
					t.Errorf("%s does not say %q", line, c.want)
				}
			}
			noLeak(t, "check", out)
		})
	}
}

// oidcOf is admin.oidc with this issuer.
func oidcOf(issuer string) string {
	return "{issuer: '" + issuer + "', client_id: signoff, redirect_url: 'http://127.0.0.1/sign-in/callback', operators: [identity-team]}"
}

// stranger is a server whose certificate nobody trusts by default.
var stranger = sync.OnceValue(func() *httptest.Server { return httptest.NewTLSServer(nil) })

func strangerCA() string { return certificate(stranger()) }

func certificate(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// securedBroker is the address of a broker that wants TLS and a sign-in.
func securedBroker(t *testing.T) string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(stranger().TLS.Clone()), kfake.EnableSASL(),
		kfake.Superuser("SCRAM-SHA-512", "signoff", "another password"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return "['" + c.ListenAddrs()[0] + "']"
}

func TestCheckSaysDryRunAndNoKafka(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true})
	status, out, _ := signoff("check", "--config", s.config(t, map[string]string{"mode": "dry-run", "docusign.accounts": ""}))
	if status != 0 || !strings.Contains(out, "mode dry-run: nobody will be closed") || !strings.Contains(out, "kafka     ok      not configured") ||
		!strings.Contains(out, demoAccount) {
		t.Errorf("%d %s", status, out)
	}
}
