package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
)

// quarter is a site with a daemon at work, after a quarter: 0 and 1 were closed, 1
// after a last look into Docusign, 2 is held, nobody told of 3, who has a user, nor
// of 4, who has none; 5 is there still, and 6 is on nobody's list.
func quarter(t *testing.T) (s *site, config string, r *running) {
	t.Helper()
	users := slices.Delete(leaverUsers(7), 4, 5)
	users[1].LastLogin = time.Now().Add(time.Hour)
	s = newSite(t, siteOptions{noBroker: true, users: users})
	config = s.config(t, map[string]string{"guard.protected": "{emails: [" + email(2) + "]}"})
	r = s.start(t, config)
	for i := range 3 {
		if status := postAs(t, "http://"+r.webhook.Addr().String()+"/events", "application/cloudevents+json", termination(t, i)); status != 202 {
			t.Fatalf("the webhook answers %d", status)
		}
	}
	r.await(t, ledger.Closed, 2)
	r.await(t, ledger.Held, 1)
	return s, config, r
}

func (s *site) through(r *running, who string) []string {
	return []string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, who)}
}

func TestReconcile(t *testing.T) {
	s, config, r := quarter(t)
	hr := "Name;E-Mail;Left\r\n"
	for i := range 5 {
		hr += fmt.Sprintf("\"Paz; %d\";%s;%s\r\n", i, strings.ToUpper(email(i)), time.Now().Format(time.DateOnly))
	}
	leavers := s.write(t, "hr-q3.csv", "\ufeff"+hr+"again;"+email(0)+";\r\n")
	roster := s.write(t, "active.csv", "email\n"+email(5)+"\nit@example.com\nit2@example.com\n\nno address\n")
	missing := filepath.Join(s.dir, "missing.csv")
	rows := r.stats(t).AuditRows
	for way, args := range map[string][]string{
		"over the ledger, beside the daemon": {"--config", config},
		"through the daemon, as a viewer":    s.through(r, "bob"),
	} {
		t.Run(way, func(t *testing.T) {
			args := append([]string{"reconcile", "--leavers", leavers, "--roster", roster, "--missing", missing}, args...)
			status, out, errOut := signoff(args...)
			if status != 3 || !strings.Contains(errOut, "of 5 people 1 have an open user and no event ever came of them, 1 have one although it came") {
				t.Errorf("status %d\n%s%s", status, out, errOut)
			}
			for _, part := range []string{"5 people; 1 lines name somebody once more", "1 bad lines are left out, the first is line 6: not an email address",
				"5 people: 1 no_event_open + 1 open_in_docusign + 0 not_known + 1 no_event + 2 closed + 0 already_closed + 0 not_found",
				"7 open users: 3 on the roster + 2 of those who left + 2 on no list", email(6), "self", "held: protected, hold ", "signoff close " + missing} {
				if !strings.Contains(out, part) {
					t.Errorf("it does not say %q:\n%s", part, out)
				}
			}
			if text, err := os.ReadFile(missing); err != nil || string(text) != "email\n"+email(3)+"\n" {
				t.Errorf("--missing: %q, %v", text, err)
			}

			var found console.Reconciliation
			if _, out, _ := signoff(append(args, "--output", "json")...); json.Unmarshal([]byte(out), &found) != nil || len(found.People) != 5 ||
				len(found.NoList) != 2 || found.NoList[1].Marks[0] != "self" {
				t.Errorf("as JSON: %s", out)
			}
			_, out, _ = signoff(append(args, "--output", "csv")...)
			lines, err := csv.NewReader(strings.NewReader(out)).ReadAll()
			if err != nil || len(lines) != 8 || lines[4][1] != "no_event_open" || lines[4][13] != userID(3) {
				t.Errorf("as CSV: %v\n%s", err, out)
			}
		})
	}
	if got := r.stats(t).AuditRows; got != rows {
		t.Errorf("the audit has grown from %d to %d rows", rows, got)
	}
	noLeak(t, "the log", r.logs.String())

	// Whom nobody told of goes through signoff close.
	results := filepath.Join(s.dir, "results.csv")
	if status, out, errOut := signoff(append([]string{"close", missing, "--results", results, "--yes"}, s.through(r, "alice")...)...); status != 0 {
		t.Fatalf("status %d\n%s%s", status, out, errOut)
	}
	if u, _ := s.docusign.User(demoAccount, userID(3)); u.Status != "Closed" {
		t.Errorf("the missing one is %s", u.Status)
	}
	if status, out, _ := signoff("reconcile", "--leavers", s.write(t, "two.csv", email(0)+"\n"+email(3)+"\n"), "--config", config); status != 0 ||
		!strings.Contains(out, "2 closed") {
		t.Errorf("nobody is open any more: status %d\n%s", status, out)
	}
}

func TestReconcileIsRefused(t *testing.T) {
	s, config, r := quarter(t)
	good := s.write(t, "good.csv", email(0)+"\n")
	latin := "email\n" + email(0) + "\njos\xe9@example.com\n"
	for name, c := range map[string]struct {
		args []string
		want int
		says string
	}{
		"no file named":              {nil, 2, "--leavers FILE"},
		"a file that is not there":   {[]string{"--leavers", "/not/there.csv"}, 2, "/not/there.csv"},
		"a bad line":                 {[]string{"--leavers", s.write(t, "bad.csv", "email\n"+email(0)+"\nx@y@z\n")}, 1, "line 3: not an email address"},
		"another encoding":           {[]string{"--leavers", s.write(t, "latin.csv", latin)}, 1, "line 3: not in UTF-8"},
		"a quote without an end":     {[]string{"--leavers", s.write(t, "quote.csv", "email,name\n"+email(0)+",\"Paz\n"+email(1)+",x\n")}, 1, "line 2: a quote"},
		"a date of another kind":     {[]string{"--leavers", s.write(t, "date.csv", "email,left\n"+email(0)+",31.12.2026\n")}, 1, "line 2: neither a date"},
		"no header that says it":     {[]string{"--leavers", s.write(t, "head.csv", "a,b\n1,2\n")}, 1, "--column"},
		"nobody in it":               {[]string{"--leavers", s.write(t, "empty.csv", "email\n")}, 1, "nobody is in it"},
		"no such format":             {[]string{"--leavers", good, "--output", "xml"}, 2, "--output"},
		"a roster that is not there": {[]string{"--leavers", good, "--roster", "/not/there.csv"}, 2, "/not/there.csv"},
		"two ways":                   {[]string{"--leavers", good, "--url", r.admin()}, 2, "one of the two"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errOut := signoff(append([]string{"reconcile", "--config", config}, c.args...)...)
			if status != c.want || !strings.Contains(errOut, c.says) || strings.Contains(errOut, "@") {
				t.Errorf("status %d, want %d\n%s%s", status, c.want, out, errOut)
			}
		})
	}
	if status, _, errOut := signoff("reconcile", "--leavers", good, "--url", r.admin()); status != 1 || !strings.Contains(errOut, "token") {
		t.Errorf("without a token: status %d: %s", status, errOut)
	}
}

// TestReconcileOfAHundredThousand: a list of everybody who ever left, in an account
// of a usual size.
func TestReconcileOfAHundredThousand(t *testing.T) {
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(20)})
	config := s.config(t, map[string]string{"webhook.listen": "127.0.0.1:0"})
	if err := s.start(t, config).stop(); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	text.WriteString("email\n")
	for i := range 100_000 {
		fmt.Fprintln(&text, email(i))
	}
	before := s.docusign.Stats().Operations["list_users"]
	status, out, errOut := signoff("reconcile", "--leavers", s.write(t, "all.csv", text.String()), "--config", config)
	if status != 3 || !strings.Contains(out, "100000 people: 20 no_event_open") || !strings.Contains(out, "99980 no_event") {
		t.Errorf("status %d\n%s", status, errOut)
	}
	if got := s.docusign.Stats().Operations["list_users"] - before; got != 1 {
		t.Errorf("%d calls, want one page of users", got)
	}
}

func TestAuditReport(t *testing.T) {
	s, config, r := quarter(t)
	since := time.Now().AddDate(0, 0, -7).Format(time.DateOnly)
	for way, args := range map[string][]string{"over the ledger": {"--config", config}, "through the daemon": s.through(r, "bob")} {
		t.Run(way, func(t *testing.T) {
			args := append([]string{"audit", "report", "--since", since}, args...)
			status, out, errOut := signoff(args...)
			for _, part := range []string{"closed within 24h of being due", "66.7 %", "OF 3 WITH A USER", "logged in after leaving: 1", email(1), email(2), "held: protected, hold ", "signoff " + version} {
				if status != 0 || !strings.Contains(out, part) {
					t.Errorf("status %d, it does not say %q\n%s%s", status, part, out, errOut)
				}
			}
			path := filepath.Join(s.dir, "report.html")
			if status, _, errOut := signoff(append(args, "--format", "html", "--out", path)...); status != 0 {
				t.Errorf("status %d: %s", status, errOut)
			}
			if page, err := os.ReadFile(path); err != nil || !strings.Contains(string(page), email(1)) {
				t.Errorf("the page: %v", err)
			}
			_, out, _ = signoff(append(args, "--format", "csv")...)
			if lines, err := csv.NewReader(strings.NewReader(out)).ReadAll(); err != nil || len(lines) != 4 {
				t.Errorf("as CSV: %v\n%s", err, out)
			}
		})
	}
	for name, args := range map[string][]string{"a bad day": {"--since", "2026-13-01"}, "no such format": {"--since", since, "--format", "pdf"}} {
		if status, _, errOut := signoff(append([]string{"audit", "report", "--config", config}, args...)...); status != 2 || !strings.Contains(errOut, "--") {
			t.Errorf("%s: status %d: %s", name, status, errOut)
		}
	}
	if status, _, errOut := signoff("audit", "report", "--since", since, "--url", r.admin()); status != 1 || !strings.Contains(errOut, "token") {
		t.Errorf("without a token: status %d: %s", status, errOut)
	}
}

// TestLastLoginByLookUp: a list leaves it out, the full record of a look-up has it.
func TestLastLoginByLookUp(t *testing.T) {
	users := leaverUsers(1)
	users[0].LastLogin = time.Now().Add(time.Hour)
	s := newSite(t, siteOptions{noBroker: true, users: users, docusign: docusigntest.Config{Quirks: docusigntest.Quirks{LeanRecords: true}}})
	r := s.start(t, s.config(t, nil))
	if status := postAs(t, "http://"+r.webhook.Addr().String()+"/events", "application/cloudevents+json", termination(t, 0)); status != 202 {
		t.Fatalf("the webhook answers %d", status)
	}
	r.await(t, ledger.Closed, 1)
	report, err := r.ledger.Report(t.Context(), time.Now().Add(-time.Hour), time.Now(), time.Hour)
	if err != nil || report.All.LoggedIn != 1 {
		t.Errorf("%+v, %v", report.All, err)
	}
}
