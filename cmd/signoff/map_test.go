package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signoff/consumer/mapping"
)

func TestMap(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	acme := file("acme.cel", "body.map(e,\n  {'email': e.mail, 'id': e.?id, 'effectiveAt': e.?day, 'urgent': has(e.urgent), 'employeeId': e.?number})")
	wrong := file("wrong.cel", "[{\n 'emial': body.x}]")
	one := file("one.json", `[{"mail":"Jane@example.com","id":7,"day":"2026-11-30T17:00:00+01:00","urgent":true}]`)
	two := file("two.json", `[{"mail":"jane@example.com"},{"mail":"jane"}]`)
	none := file("none.json", `[]`)
	odd := file("odd.json", `[{"email":"jane@example.com"}]`)
	dated := file("dated.json", `[{"mail":"jane@example.com","day":"2026-11-30"}]`)
	thin := file("thin.json", `[{"mail":"","number":"E-1"}]`)
	config := file("signoff.yaml", with("events:\n  time_zone: Asia/Tokyo\n  mappings: [{name: mine, file: "+acme+"}]\n"+
		"  directory: {csv: "+file("people.csv", "employeeId,email\nE-1,jane@example.com\n")+"}"))

	for name, c := range map[string]struct {
		args    []string
		status  int
		out     []string // parts
		errOut  string   // a part
		silence bool     // nothing on out
	}{
		"one event": {[]string{"--mapping", acme, one}, 0, []string{"event 1: terminated, effective 2026-11-30T16:00:00Z, urgent\n",
			"source:   acme\n", "id:       7\n", "email:    jane@example.com\n", `"type":"dev.signoff.employee.terminated.v1"`, `"email":"Jane@example.com"`}, "", false},
		"nothing": {[]string{none, "--mapping", acme}, 0, []string{"nothing: the payload is none of our business"}, "", false},
		"one of two is a reject": {[]string{"--mapping", acme, two}, 1, []string{"event 1: terminated", "event 2: a reject: invalid_data: email: not an email address\n"},
			"signoff map: 1 of 2 events would be rejects", false},
		"a preset":                       {[]string{"--mapping", "okta", filepath.Join("..", "..", "consumer", "mapping", "testdata", "okta.json")}, 0, []string{"jane.doe@example.com"}, "", false},
		"a payload that stops it":        {[]string{"--mapping", acme, odd}, 1, nil, "signoff map: " + acme + ": mapping_failed: line 2, column 14: no such key: mail", true},
		"a payload that is no JSON":      {[]string{"--mapping", acme, acme}, 1, nil, "mapping_failed: the payload: not JSON", true},
		"a date without a zone":          {[]string{"--mapping", acme, dated}, 1, []string{"a reject: no_time_zone: effectiveAt: a date"}, "", false},
		"a date, with the config's zone": {[]string{"--mapping", acme, "--config", config, dated}, 0, []string{"effective 2026-11-30T15:00:00Z"}, "", false},
		"the config's mapping":           {[]string{"--mapping", "mine", "--config", config, one}, 0, []string{"source:   mine\n"}, "", false},
		"the config's directory":         {[]string{"--mapping", "mine", "--config", config, thin}, 0, []string{"email:    jane@example.com\n", "employee: E-1\n"}, "", false},
		"no directory":                   {[]string{"--mapping", acme, thin}, 1, []string{"a reject: no_email: email: missing, and there is no events.directory to ask for the employeeId\n"}, "", false},
		"a preset beside a config":       {[]string{"--mapping", "hibob", "--config", config, file("ping.json", `"Ping test"`)}, 0, []string{"nothing"}, "", false},
		"a mapping that is wrong":        {[]string{"--mapping", wrong, one}, 2, nil, "wrong.cel:2:2: \"emial\": no event has this key", true},
		"a mapping that is not there":    {[]string{"--mapping", "oktta", one}, 2, nil, "nor is that a preset; there are: bamboohr, entra", true},
		"one the config does not have":   {[]string{"--mapping", "oktta", "--config", config, one}, 2, nil, `"oktta": no such mapping; there are: bamboohr, entra, gusto, hibob, merge, mine`, true},
		"a payload that is not there":    {[]string{"--mapping", acme, "/nowhere/x.json"}, 2, nil, "/nowhere/x.json", true},
		"no mapping":                     {[]string{one}, 2, nil, "--mapping FILE is needed, or a preset: bamboohr, entra", true},
		"no payload":                     {[]string{"--mapping", acme}, 2, nil, "one file with a payload is needed", true},
		"an output there is not":         {[]string{"--mapping", acme, "--output", "yaml", one}, 2, nil, `--output: "yaml"`, true},
		"a config there is not":          {[]string{"--mapping", acme, "--config", "/nowhere/signoff.yaml", one}, 2, nil, "/nowhere/signoff.yaml", true},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errOut := signoff(append([]string{"map"}, c.args...)...)
			if status != c.status || !strings.Contains(errOut, c.errOut) || c.silence != (out == "") {
				t.Errorf("status %d, %s%s", status, out, errOut)
			}
			for _, part := range c.out {
				if !strings.Contains(out, part) {
					t.Errorf("does not say %q: %s", part, out)
				}
			}
		})
	}

	t.Run("as JSON", func(t *testing.T) {
		status, out, _ := signoff("map", "--mapping", acme, "--output", "json", two)
		var got struct {
			Events []struct {
				Event   struct{ Data map[string]any }
				Becomes *struct{ Kind, Email, ID, EffectiveAt string }
				Reject  *struct{ Reason, Detail string }
			}
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || status != exitFailed || len(got.Events) != 2 {
			t.Fatalf("status %d, %v: %s", status, err, out)
		}
		first, second := got.Events[0], got.Events[1]
		if first.Becomes == nil || first.Becomes.Email != "jane@example.com" || first.Becomes.Kind != "terminated" || first.Reject != nil || len(first.Becomes.ID) != 64 {
			t.Errorf("got %s", out)
		}
		if second.Reject == nil || second.Reject.Reason != "invalid_data" || second.Becomes != nil || second.Event.Data["email"] != "jane" {
			t.Errorf("got %s", out)
		}
	})

	t.Run("from standard input", func(t *testing.T) {
		in, err := os.Open(one)
		if err != nil {
			t.Fatal(err)
		}
		before := os.Stdin
		os.Stdin = in
		defer func() { os.Stdin = before }()
		if status, out, errOut := signoff("map", "--mapping", acme, "-"); status != 0 || !strings.Contains(out, "jane@example.com") {
			t.Errorf("status %d, %s%s", status, out, errOut)
		}
	})
}

// TestReadmeMapping compiles the example of the page on mappings, and looks for the
// presets in it.
func TestReadmeMapping(t *testing.T) {
	read, err := os.ReadFile("../../consumer/mapping/README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(read)
	_, example, found := strings.Cut(text, "    // Leavers of Acme's HR.")
	example, _, ended := strings.Cut(example, "\n\n")
	if !found || !ended {
		t.Fatal("the page has no example of a mapping")
	}
	set, err := mapping.Compile([]mapping.Config{{Name: "acme", Expression: mapping.Expression("//" + example)}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := set.Find("acme")
	if err != nil {
		t.Fatal(err)
	}
	events, err := m.Events(t.Context(), []byte(`{"kind":"leaver","uuid":"u","mail":"jane@example.com","number":7,"last_day":"11/30/2026"}`), "1")
	if err != nil || len(events) != 1 || string(events[0].Data()) != `{"effectiveAt":"2026-11-30","email":"jane@example.com","employeeId":"7"}` {
		t.Errorf("got %v, %v", events, err)
	}
	for _, name := range mapping.Presets() {
		if !strings.Contains(text, "\n| `"+name+"` |") {
			t.Errorf("the page does not have the preset %s", name)
		}
	}
}
