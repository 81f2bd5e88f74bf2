package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

func TestOneLeaverByHand(t *testing.T) {
	t.Parallel()
	s, r, file := heldSite(t, nil)
	alice := []string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, "alice")}
	say := func(person []string, words ...string) (int, string, string) {
		return signoff(append(words, person...)...)
	}

	for name, c := range map[string]struct {
		person []string
		words  []string
		status int
		want   string
	}{
		"a viewer may not":          {[]string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, "bob")}, []string{"skip", email(1), "--reason", "x"}, 1, "this needs the role operator"},
		"nor who has no token":      {[]string{"--url", r.admin()}, []string{"skip", email(1), "--reason", "x"}, 1, "a token from admin.tokens_file is needed"},
		"the ledger only looks":     {[]string{"--config", file}, []string{"urgent", email(1), "--reason", "x"}, 2, "--config only looks"},
		"a reason is needed":        {alice, []string{"retry", email(1)}, 2, "--reason: is needed"},
		"blanks are none":           {alice, []string{"skip", email(1), "--reason", " "}, 2, "--reason: is needed"},
		"one address is needed":     {alice, []string{"skip", "--reason", "x"}, 2, "one address of the leaver is needed"},
		"two are one too many":      {alice, []string{"skip", email(1), email(2), "--reason", "x"}, 2, "one address of the leaver is needed"},
		"a time is needed":          {alice, []string{"defer", email(1), "--reason", "x"}, 2, "--until: is needed"},
		"a time that is one":        {alice, []string{"defer", email(1), "--until", "monday", "--reason", "x"}, 2, `--until: "monday": neither a time`},
		"nobody goes back in time":  {alice, []string{"defer", email(1), "--until", "-3h", "--reason", "x"}, 2, "not in the future"},
		"only defer has a time":     {alice, []string{"skip", email(1), "--until", "3d", "--reason", "x"}, 2, "flag provided but not defined: -until"},
		"a leaver whom nobody knew": {alice, []string{"skip", "zoe@example.com", "--reason", "x"}, 1, "no leaver goes by this address"},
		"nothing to try again":      {alice, []string{"retry", email(0), "--reason", "x"}, 1, "waits for a person"},
	} {
		if status, out, errOut := say(c.person, c.words...); status != c.status || !strings.Contains(errOut, c.want) || out != "" {
			t.Errorf("%s: %d %q %q, want %d with %q", name, status, out, errOut, c.status, c.want)
		}
	}

	status, out, errOut := say(alice, "defer", email(1), "--until", "14d", "--reason", "hands over")
	if status != 0 || !strings.Contains(out, demoAccount) || !strings.Contains(out, "held") || !strings.Contains(out, "waiting") {
		t.Errorf("defer: %d %s%s", status, out, errOut)
	}
	status, out, errOut = say(alice, "skip", strings.ToUpper(email(0)), "--reason", "the founder", "--output", "json")
	var moved console.Moved
	if err := json.Unmarshal([]byte(out), &moved); status != 0 || err != nil || len(moved.Entries) != 1 || moved.Entries[0].After != "skipped" {
		t.Errorf("skip: %d %s%s", status, out, errOut)
	}
	if status, out, errOut = say(alice, "urgent", email(2), "--reason", "walked out"); status != 0 {
		t.Errorf("urgent: %d %s%s", status, out, errOut)
	}
	eventually(t, "the first plan of one is held", func() bool { return len(listed(t, alice...)["first_run"].Users) == 1 })
	first := listed(t, alice...)["first_run"]
	if first.Users[0].Email != email(2) {
		t.Errorf("held is %+v, want the urgent one alone", first)
	}
	r.await(t, ledger.Waiting, 1)
	shows(t, r.admin()+"/metrics", `signoff_outcomes_total{account="`+demoAccount+`",outcome="skipped"} 1`)
	if !logged(r.logs.String(), `"msg":"entry settled"`, `"outcome":"skipped"`) {
		t.Error("the log does not say who was skipped")
	}
	auditNames(t, s.dir, map[string]string{"deferred": "hands over", "skipped": "the founder", "urgent": "walked out"})
	noLeak(t, "the log", r.logs.String())
	if n := len(s.docusign.Closes(demoAccount)); n != 0 {
		t.Errorf("%d were closed", n)
	}
}
