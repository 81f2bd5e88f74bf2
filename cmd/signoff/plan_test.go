package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// leavesAt is the event that person i leaves at a time.
func leavesAt(t *testing.T, i int, at time.Time) []byte {
	t.Helper()
	var event map[string]any
	if err := json.Unmarshal(termination(t, i), &event); err != nil {
		t.Fatal(err)
	}
	data, ok := event["data"].(map[string]any)
	if !ok {
		t.Fatalf("no data in %v", event)
	}
	data["effectiveAt"] = at.UTC().Format(time.RFC3339Nano)
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// plansOf are the plans that `signoff plan` prints.
func plansOf(t *testing.T, args ...string) []console.Plan {
	t.Helper()
	status, out, errOut := signoff(append([]string{"plan", "--output", "json"}, args...)...)
	if status != 0 {
		t.Fatalf("status %d: %s", status, errOut)
	}
	var plans []console.Plan
	if err := json.Unmarshal([]byte(out), &plans); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return plans
}

// TestPlanIsApprovedAhead has a limit of one, three leavers of one moment and an
// interval of an hour: approved ahead, they all go at that moment.
func TestPlanIsApprovedAhead(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(4)})
	file := s.config(t, map[string]string{"guard.limits": "[{window: 1h, max: 1}]", "batch.interval": "1h"})
	r := s.start(t, file)
	at := time.Now().Add(20 * time.Second).Truncate(time.Millisecond)
	s.postBatch(t, r, fmt.Appendf(nil, "[%s,%s,%s,%s]", leavesAt(t, 0, at), leavesAt(t, 1, at), leavesAt(t, 2, at), leavesAt(t, 9, at)))
	alice := []string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, "alice")}
	bob := []string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, "bob")}
	when := at.UTC().Format(time.RFC3339Nano)
	plan := func(person []string, words ...string) (int, string, string) {
		return signoff(append(append([]string{"plan"}, words...), person...)...)
	}

	plans := plansOf(t, append(bob, "--at", when)...)
	if len(plans) != 1 || plans[0].Waiting != 4 || plans[0].WouldHold != 3 || plans[0].NotFound != 1 || len(plans[0].Digest) != 64 {
		t.Fatalf("plans %+v, want one of three held and one without a user", plans)
	}
	digest := plans[0].Digest
	status, out, errOut := plan(bob, "--at", when)
	for _, part := range []string{"due by then: 4 leavers", "the whole plan would be held: 3 new leavers make 3 within 1h0m0s, allowed are 1", email(1), email(9),
		"signoff plan approve --at " + when + " --account " + demoAccount + " --digest " + digest} {
		if status != 0 || !strings.Contains(out, part) {
			t.Errorf("plan: %d %s%s, want %s", status, out, errOut, part)
		}
	}
	if status, out, errOut := signoff("plan", "--at", when, "--config", file); status != 0 || !strings.Contains(out, digest) {
		t.Errorf("by the config: %d %s%s, want the same plan", status, out, errOut)
	}
	if got := plansOf(t, bob...); got[0].Waiting != 0 || len(got[0].People) != 0 {
		t.Errorf("the plan of now is %+v, want nobody in it", got)
	}

	approve := []string{"approve", "--at", when, "--account", demoAccount, "--reason", "the office closes", "--digest"}
	other := strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		person []string
		words  []string
		status int
		want   string
	}{
		"a viewer":                 {bob, append(approve, digest), 1, "this needs the role operator"},
		"another digest":           {alice, append(approve, other), 1, "not that of the plan, which has 3 users now: look at it again"},
		"a part of a digest":       {alice, append(approve, digest[:8]), 2, "64 hex digits"},
		"no digest":                {alice, approve[:len(approve)-1], 2, "--digest: is needed"},
		"no time":                  {alice, []string{"approve", "--account", demoAccount, "--digest", digest, "--reason", "x"}, 2, "--at: is needed"},
		"a time that is over":      {alice, []string{"approve", "--at", "2020-01-01T00:00:00Z"}, 2, "not in the future"},
		"good for too long":        {alice, append(append([]string{}, append(approve, digest)...), "--for", "8d"), 2, "at most 7d"},
		"by the config":            {[]string{"--config", file}, append(approve, digest), 2, "--config only looks"},
		"a word there is not":      {alice, []string{"refuse"}, 2, "approve --at"},
		"an account there is not":  {alice, []string{"--account", "nowhere"}, 1, "none that leavers are closed in"},
		"farther ahead than ever":  {alice, []string{"--at", "2999-01-01T00:00:00Z"}, 1, "more than a year ahead"},
		"without a token, nothing": {[]string{"--url", r.admin()}, nil, 1, "a token from admin.tokens_file is needed"},
	} {
		if status, out, errOut := plan(c.person, c.words...); status != c.status || !strings.Contains(errOut, c.want) || out != "" {
			t.Errorf("%s: %d %q %q, want %d with %q", name, status, out, errOut, c.status, c.want)
		}
	}
	status, out, errOut = plan(alice, append(approve, digest)...)
	if status != 0 || !strings.Contains(out, "approved by alice") || !strings.Contains(out, "ahead: its people are not due yet") {
		t.Errorf("approve: %d %s%s", status, out, errOut)
	}
	if n := r.stats(t).Entries[ledger.Waiting]; n != 4 {
		t.Errorf("%d wait, want all of them until then", n)
	}
	r.await(t, ledger.Closed, 3)
	if late := time.Since(at); late < 0 || late > 30*time.Second {
		t.Errorf("closed %v after the moment, though the next run is in an hour", late)
	}
	auditNames(t, s.dir, map[string]string{"hold_approved": "the office closes"})
	noLeak(t, "the log", r.logs.String())
}

// TestPlanThatHasChangedIsNotApproved has one more leave once the plan was seen.
func TestPlanThatHasChangedIsNotApproved(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(4)})
	r := s.start(t, s.config(t, map[string]string{"batch.interval": "1h"}))
	at := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	s.postBatch(t, r, fmt.Appendf(nil, "[%s,%s]", leavesAt(t, 0, at), leavesAt(t, 1, at)))
	alice := []string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, "alice"), "--at", at.UTC().Format(time.RFC3339)}
	seen := plansOf(t, alice...)[0]
	if seen.Going != 2 {
		t.Fatalf("plan %+v, want two who would go", seen)
	}
	s.postBatch(t, r, fmt.Appendf(nil, "[%s]", leavesAt(t, 2, at)))
	approve := append([]string{"plan", "approve", "--account", demoAccount, "--reason", "x"}, alice...)
	const want = "which has 3 users now: 1 more than the one that you have seen, and 0 of that are not in it"
	if status, _, errOut := signoff(append(approve, "--digest", seen.Digest)...); status != 1 || !strings.Contains(errOut, want) {
		t.Errorf("the plan of before: %d %s, want %s", status, errOut, want)
	}
	again := plansOf(t, alice...)[0]
	if status, _, errOut := signoff(append(approve, "--digest", again.Digest, "--for", "2h")...); status != 0 {
		t.Errorf("the plan of now: %d %s", status, errOut)
	}
	if n := r.stats(t).Entries[ledger.Waiting]; n != 3 {
		t.Errorf("%d wait, want three", n)
	}
}

// TestPlanInADryRunIsNotApproved shows it all the same.
func TestPlanInADryRunIsNotApproved(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(1)})
	r := s.start(t, s.config(t, map[string]string{"mode": "dry-run"}))
	at := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	s.postBatch(t, r, fmt.Appendf(nil, "[%s]", leavesAt(t, 0, at)))
	alice := []string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, "alice"), "--at", at.UTC().Format(time.RFC3339)}
	seen := plansOf(t, alice...)[0]
	status, _, errOut := signoff(append([]string{"plan", "approve", "--account", demoAccount, "--reason", "x", "--digest", seen.Digest}, alice...)...)
	if status != 1 || !strings.Contains(errOut, console.ErrMode.Error()) {
		t.Errorf("%d %s, want %s", status, errOut, console.ErrMode)
	}
}

func TestWhatIsFoundAheadIsShown(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(1)})
	r := s.start(t, s.config(t, map[string]string{"guard.protected": "{emails: [" + email(0) + "]}"}))
	at := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	s.postBatch(t, r, fmt.Appendf(nil, "[%s,%s]", leavesAt(t, 0, at), leavesAt(t, 9, at)))
	shows(t, r.admin()+"/metrics", `signoff_ahead_leavers{finding="not_found"} 1`)
	shows(t, r.admin()+"/metrics", `signoff_ahead_leavers{finding="protected"} 1`)
	shows(t, r.admin()+"/metrics", `signoff_ahead_leavers{finding="limit"} 0`)
	shows(t, r.admin()+"/metrics", `signoff_holds{reason="protected"} 0`)
	bob := []string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, "bob")}
	if h := listed(t, bob...)["protected"]; !h.Ahead || !h.From.Equal(at) {
		t.Errorf("hold %+v, want one ahead", h)
	}
	if status, out, _ := signoff(append([]string{"holds", "list"}, bob...)...); status != 0 || !strings.Contains(out, "ahead of "+at.UTC().Format(time.RFC3339)+": protected by the config") {
		t.Errorf("list: %d %s, want it marked", status, out)
	}
	noLeak(t, "the log", r.logs.String())
}

// TestLengthOfTimeEndsOnASecond makes of it what people copy into the next command.
func TestLengthOfTimeEndsOnASecond(t *testing.T) {
	whole := time.Date(2026, 11, 27, 21, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		now        time.Time
		text, want string
	}{
		"from a second on":     {whole, "48h", "2026-11-29T21:00:00Z"},
		"from within a second": {whole.Add(598816 * time.Nanosecond), "48h", "2026-11-29T21:00:01Z"},
		"short":                {whole.Add(time.Millisecond), "1ms", "2026-11-27T21:00:01Z"},
		"a time stays":         {whole, "2026-12-01T09:00:00.5+01:00", "2026-12-01T08:00:00.5Z"},
	} {
		if at, err := parseUntil(tt.text, tt.now); err != nil || at.Format(time.RFC3339Nano) != tt.want {
			t.Errorf("%s: %v (%v), want %s", name, at, err, tt.want)
		}
	}
}
