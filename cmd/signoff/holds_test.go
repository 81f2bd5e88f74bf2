package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// heldSite is a daemon that holds leaver 0, who is protected, and the rest of
// its first plan, leavers 1 and 2.
func heldSite(t *testing.T, change map[string]string) (*site, *running, string) {
	t.Helper()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(3)})
	keys := map[string]string{"guard.first_run": "", "guard.protected": "{emails: [" + email(0) + "]}", "batch.interval": "500ms"}
	for key, value := range change {
		keys[key] = value
	}
	file := s.config(t, keys)
	r := s.start(t, file)
	events := fmt.Appendf(nil, "[%s,%s,%s]", termination(t, 0), termination(t, 1), termination(t, 2))
	s.postBatch(t, r, events)
	r.await(t, ledger.Held, 3)
	return s, r, file
}

func (s *site) postBatch(t *testing.T, r *running, events []byte) {
	t.Helper()
	status := postAs(t, "http://"+r.webhook.Addr().String()+"/events", "application/cloudevents-batch+json", events)
	if status != 202 {
		t.Fatalf("the webhook answers %d", status)
	}
}

// listed returns the open holds by their kind.
func listed(t *testing.T, args ...string) map[string]console.Hold {
	t.Helper()
	status, out, errOut := signoff(append([]string{"holds", "list", "--output", "json"}, args...)...)
	if status != 0 {
		t.Fatalf("status %d: %s", status, errOut)
	}
	var list []console.Hold
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	byKind := make(map[string]console.Hold)
	for _, h := range list {
		byKind[h.Kinds[0]] = h
	}
	return byKind
}

func TestHoldsThroughADaemon(t *testing.T) {
	t.Parallel()
	s, r, _ := heldSite(t, nil)
	alice := []string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, "alice")}
	bob := []string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, "bob")}
	holds := func(person []string, words ...string) (int, string, string) {
		return signoff(append(append([]string{"holds"}, words...), person...)...)
	}
	open := listed(t, alice...)
	if len(open) != 2 || len(open["first_run"].Users) != 2 || len(open["protected"].Users) != 1 {
		t.Fatalf("open are %+v", open)
	}
	first, protected := fmt.Sprint(open["first_run"].ID), fmt.Sprint(open["protected"].ID)

	status, out, _ := holds(bob, "list")
	if status != 0 || !strings.Contains(out, "first_run") || !strings.Contains(out, demoAccount) {
		t.Errorf("list: %d %s", status, out)
	}
	status, out, _ = holds(bob, "show", first)
	if status != 0 || !strings.Contains(out, "hold "+first+": open") || !strings.Contains(out, email(1)) || !strings.Contains(out, userID(2)) {
		t.Errorf("show: %d %s", status, out)
	}
	for name, c := range map[string]struct {
		person []string
		words  []string
		status int
		want   string
	}{
		"a viewer may not decide":     {bob, []string{"approve", first, "--digest", open["first_run"].Digest}, 1, "this needs the role operator"},
		"nobody may look":             {[]string{"--url", r.admin()}, []string{"list"}, 1, "a token from admin.tokens_file is needed"},
		"an unknown token":            {[]string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, "webhook-token")}, []string{"list"}, 1, "a token from"},
		"a token file there is not":   {[]string{"--url", r.admin(), "--token-file", "/nowhere/token"}, []string{"list"}, 2, "/nowhere/token"},
		"a reject needs a reason":     {alice, []string{"reject", protected}, 2, "--reason: is needed"},
		"an approval without digest":  {alice, []string{"approve", protected, "--digest", "123"}, 2, "at least 8 characters"},
		"an approval of another plan": {alice, []string{"approve", protected, "--digest", open["first_run"].Digest}, 1, "the digest is not that of the hold"},
		"a file there is not":         {alice, []string{"approve", first, "--digest", open["first_run"].Digest, "--only", "/nowhere/list"}, 2, "/nowhere/list"},
		"blanks are no reason":        {alice, []string{"reject", protected, "--reason", "  "}, 2, "--reason: is needed"},
		"a hold there is not":         {alice, []string{"show", "999"}, 1, "no such hold"},
		"a word there is not":         {alice, []string{"postpone", first}, 2, "list | show ID"},
		"an approval of two at once":  {alice, []string{"approve", first, protected}, 2, "list | show ID"},
	} {
		if status, out, errOut := holds(c.person, c.words...); status != c.status || !strings.Contains(errOut, c.want) || out != "" {
			t.Errorf("%s: %d %q %q, want %d with %q", name, status, out, errOut, c.status, c.want)
		}
	}

	if status, out, errOut := holds(alice, "approve", first); status != 2 || !strings.Contains(out, email(1)) || !strings.Contains(errOut, "--digest "+open["first_run"].Digest[:8]) {
		t.Errorf("approve without digest: %d %s%s, want it shown with how to approve it", status, out, errOut)
	}
	if status, out, errOut := holds(alice, "approve", first, "--digest", open["first_run"].Digest[:8], "--reason", "checked with HR"); status != 0 || !strings.Contains(out, "decided: by alice") {
		t.Errorf("approve: %d %s%s", status, out, errOut)
	}
	if status, out, errOut := holds(alice, "reject", protected, "--digest", open["protected"].Digest[:8], "--reason", "the founder"); status != 0 || !strings.Contains(out, "rejected") {
		t.Errorf("reject: %d %s%s", status, out, errOut)
	}
	if status, _, errOut := holds(alice, "reject", first, "--digest", open["first_run"].Digest, "--reason", "no, wait"); status != 1 || !strings.Contains(errOut, "not open any more") {
		t.Errorf("decided twice: %d %s", status, errOut)
	}
	r.await(t, ledger.Closed, 2)
	r.await(t, ledger.Skipped, 1)
	if status, out, _ := holds(bob, "list"); status != 0 || out != "nothing is held\n" {
		t.Errorf("list of nothing: %d %q", status, out)
	}
	shows(t, r.admin()+"/metrics", `signoff_outcomes_total{account="`+demoAccount+`",outcome="skipped"} 1`)
	if closes := s.docusign.Closes(demoAccount); closes[userID(0)].Requested != 0 || len(closes) != 2 {
		t.Errorf("closes %v", closes)
	}
	auditNames(t, s.dir, map[string]string{"hold_approved": "checked with HR", "hold_rejected": "the founder"})
	noLeak(t, "the log", r.logs.String())
}

// auditNames fails unless the ledger's audit has each of these actions once, by
// alice and for the reason.
func auditNames(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "ledger.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for action, reason := range want {
		var actor, said string
		var n int
		if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*), MAX(a.actor), MAX(p.value) FROM audit a
			JOIN audit_personal p ON p.seq = a.seq AND p.field = 'reason' WHERE a.action = $1`, action).
			Scan(&n, &actor, &said); err != nil {
			t.Fatal(err)
		}
		if n != 1 || actor != "alice" || said != reason {
			t.Errorf("%s: %d rows, by %q, because %q", action, n, actor, said)
		}
	}
}

func TestHoldsByEnvironment(t *testing.T) {
	s, r, _ := heldSite(t, nil)
	t.Setenv("SIGNOFF_URL", r.admin())
	t.Setenv("SIGNOFF_TOKEN_FILE", filepath.Join(s.dir, "bob"))
	if open := listed(t); len(open) != 2 {
		t.Errorf("open are %+v", open)
	}
}

func TestHoldsWithoutTokens(t *testing.T) {
	t.Parallel()
	_, r, _ := heldSite(t, map[string]string{"admin.tokens_file": ""})
	open := listed(t, "--url", r.admin())
	if len(open) != 2 || open["protected"].Count != 1 || len(open["protected"].Users) != 0 {
		t.Errorf("open are %+v; want them without the users", open)
	}
	id := fmt.Sprint(open["protected"].ID)
	if status, _, errOut := signoff("holds", "approve", id, "--digest", open["protected"].Digest, "--url", r.admin()); status != 1 || !strings.Contains(errOut, "read-only") {
		t.Errorf("approve: %d %s", status, errOut)
	}
}

func TestHoldsWithoutTokensFromElsewhere(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true})
	r := s.start(t, s.config(t, map[string]string{"admin.tokens_file": "", "admin.listen": "':0'"}))
	_, port, _ := strings.Cut(strings.ReplaceAll(r.console.Addr().String(), "[::]", ""), ":")
	url := "http://127.0.0.1:" + port
	if status, _, errOut := signoff("holds", "list", "--url", url); status != 1 || !strings.Contains(errOut, "not served here") {
		t.Errorf("list: %d %s", status, errOut)
	}
	if status, _ := get(t, url+"/metrics"); status != 200 {
		t.Errorf("/metrics: %d", status)
	}
}

func TestHoldsOfTheLedgerItself(t *testing.T) {
	t.Parallel()
	_, r, file := heldSite(t, nil)
	for _, when := range []string{"beside the daemon", "after it"} {
		open := listed(t, "--config", file)
		if len(open) != 2 || open["protected"].Users[0].Email != email(0) {
			t.Errorf("%s: open are %+v", when, open)
		}
		id := fmt.Sprint(open["protected"].ID)
		if status, out, errOut := signoff("holds", "show", id, "--config", file); status != 0 || !strings.Contains(out, email(0)) {
			t.Errorf("%s: show: %d %s%s", when, status, out, errOut)
		}
		for _, word := range []string{"approve", "reject"} {
			status, _, errOut := signoff("holds", word, id, "--reason", "x", "--config", file)
			if status != 2 || !strings.Contains(errOut, "--config only looks") {
				t.Errorf("%s: %s: %d %s", when, word, status, errOut)
			}
		}
		if status, _, errOut := signoff("holds", "show", "999", "--config", file); status != 1 || !strings.Contains(errOut, "no such hold") {
			t.Errorf("%s: show of none: %d %s", when, status, errOut)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
}
