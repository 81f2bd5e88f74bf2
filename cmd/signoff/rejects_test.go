package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	segmentio "github.com/segmentio/kafka-go"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// dated is the event that person i leaves on a date, which is a reject without
// events.time_zone.
func dated(i int) string {
	return terminatedAs(fmt.Sprint("dated-", i), fmt.Sprintf(`{"email": %q, "effectiveAt": "2026-01-30", "note": "\u001b[2J"}`, email(i)))
}

// nobodys is an event that leads to nobody's email.
func nobodys(i int) string { return terminatedAs(fmt.Sprint("nobodys-", i), `{"department": "Sales"}`) }

func terminatedAs(id, data string) string {
	return strings.Replace(terminated(data), `"id": "1"`, `"id": "`+id+`"`, 1)
}

// rejectedSite is a daemon with three rejects: of leavers 0 and 1, and of nobody.
func rejectedSite(t *testing.T) (*site, *running) {
	t.Helper()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(2)})
	r := s.start(t, s.config(t, map[string]string{"events.max_age": "0s"}))
	s.postBatch(t, r, fmt.Appendf(nil, "[%s,%s,%s]", dated(0), dated(1), nobodys(0)))
	if n := r.stats(t).Rejects; n != 3 {
		t.Fatalf("%d rejects, want 3", n)
	}
	return s, r
}

// as is how a person speaks to the daemon.
func (s *site) as(r *running, person string) []string {
	return []string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, person)}
}

func rejectsOf(way []string, words ...string) (int, string, string) {
	return signoff(append(append([]string{"rejects"}, words...), way...)...)
}

func listedRejects(t *testing.T, way []string, words ...string) []console.Reject {
	t.Helper()
	status, out, errOut := rejectsOf(way, append([]string{"list", "--output", "json"}, words...)...)
	var list []console.Reject
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != 0 {
		t.Fatalf("%d %s: %v: %s", status, errOut, err, out)
	}
	return list
}

func TestRejectsAreMendedAndReplayed(t *testing.T) {
	t.Parallel()
	s, r := rejectedSite(t)
	if status, out, errOut := rejectsOf(s.as(r, "alice"), "replay", "1"); status != 3 || !strings.Contains(out, "reject 1: fails again: no_time_zone") {
		t.Errorf("before it is mended: %d %s%s", status, out, errOut)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = s.start(t, s.config(t, map[string]string{"events.max_age": "0s", "events.time_zone": "Europe/Lisbon"}))
	alice := s.as(r, "alice")
	status, out, errOut := rejectsOf(alice, "replay", "1")
	if status != 0 || out != "reject 1: replayed\n" {
		t.Errorf("replay: %d %s%s", status, out, errOut)
	}
	r.await(t, ledger.Closed, 1)
	status, out, errOut = rejectsOf(alice, "replay", "--all")
	if status != 3 || !strings.Contains(out, "reject 3: fails again: no_email") || !strings.Contains(out, "1 replayed, 1 not") ||
		!strings.Contains(errOut, "1 of 2 were not replayed") {
		t.Errorf("replay of all: %d %s%s", status, out, errOut)
	}
	r.await(t, ledger.Closed, 2)
	s.closedOnce(t, 2)

	if list := listedRejects(t, alice, "--state", "replayed"); len(list) != 2 || list[1].Attempts != 3 || list[1].Settled.By != "alice" {
		t.Errorf("replayed are %+v", list)
	}
	shows(t, r.admin()+"/metrics", "signoff_rejects 1\n")
	if status, _, errOut := rejectsOf(alice, "replay", "1", "99"); status != 3 || !strings.Contains(errOut, "2 of 2") {
		t.Errorf("replay of what is settled, and of none: %d %s", status, errOut)
	}
	if status, out, errOut := rejectsOf(alice, "discard", "3", "99", "--reason", "nobody's"); status != 3 || out != "reject 3: discarded\n" || !strings.Contains(errOut, "no such reject") {
		t.Errorf("discard: %d %s%s", status, out, errOut)
	}
	if status, out, _ := rejectsOf(alice, "list"); status != 0 || out != "no such rejects\n" {
		t.Errorf("list of nothing: %d %q", status, out)
	}
	if status, out, _ := rejectsOf(alice, "replay", "--all", "--output", "json"); status != 0 || strings.TrimSpace(out) != "[]" {
		t.Errorf("replay of nothing: %d %q", status, out)
	}
	auditNames(t, s.dir, map[string]string{"reject_discarded": "nobody's"})
	noLeak(t, "the log", r.logs.String())
}

func TestRejectsAreShown(t *testing.T) {
	t.Parallel()
	s, r := rejectedSite(t)
	alice, bob := s.as(r, "alice"), s.as(r, "bob")
	list := listedRejects(t, bob)
	if len(list) != 3 || list[0].Reason != "no_email" || list[2].EventID != "dated-0" || list[2].Origin != "/events" {
		t.Errorf("the list has %+v", list)
	}
	if list := listedRejects(t, bob, "--reason", "no_time_zone", "--source", "webhook", "--origin", "/events"); len(list) != 2 {
		t.Errorf("by reason: %+v", list)
	}
	if list := listedRejects(t, bob, "--state", "discarded"); len(list) != 0 {
		t.Errorf("by state: %+v", list)
	}
	if status, out, _ := rejectsOf(bob, "list", "--state", "all"); status != 0 || strings.Count(out, "\n") != 4 || !strings.Contains(out, "webhook /events") {
		t.Errorf("list: %d %s", status, out)
	}
	for _, word := range []string{"table", "json"} {
		status, out, _ := rejectsOf(bob, "show", "1", "--output", word)
		if status != 0 || !strings.Contains(out, "no_time_zone") || strings.Contains(out, email(0)) || strings.Contains(out, `"payload"`) {
			t.Errorf("show to a viewer: %d %s", status, out)
		}
	}
	status, out, _ := rejectsOf(alice, "show", "1")
	if status != 0 || !strings.Contains(out, email(0)) || strings.ContainsRune(out, 0x1b) {
		t.Errorf("show to an operator: %d %q", status, out)
	}
	if status, out, _ := rejectsOf(alice, "show", "1", "--output", "json"); status != 0 || !strings.Contains(out, `"payload": "`) {
		t.Errorf("show as JSON: %d %s", status, out)
	}
}

func TestRejectsAreRefused(t *testing.T) {
	t.Parallel()
	s, r := rejectedSite(t)
	alice, bob := s.as(r, "alice"), s.as(r, "bob")
	for name, c := range map[string]struct {
		way    []string
		words  []string
		status int
		want   string
	}{
		"a viewer may not replay":         {bob, []string{"replay", "1"}, 1, "this needs the role operator"},
		"a viewer may not replay all":     {bob, []string{"replay", "--all"}, 1, "this needs the role operator"},
		"a viewer may not discard":        {bob, []string{"discard", "1", "--reason", "x"}, 1, "this needs the role operator"},
		"nobody may look":                 {[]string{"--url", r.admin()}, []string{"list"}, 1, "a token from admin.tokens_file is needed"},
		"a discard needs a reason":        {alice, []string{"discard", "1"}, 2, "--reason: is needed"},
		"blanks are no reason":            {alice, []string{"discard", "1", "--reason", "  "}, 2, "--reason: is needed"},
		"discard of nothing":              {alice, []string{"discard", "--reason", "x"}, 2, "list | show ID"},
		"discard of all":                  {alice, []string{"discard", "--all", "--reason", "x"}, 2, "--all, and what narrows it down"},
		"a reject there is not":           {alice, []string{"show", "999"}, 1, "no such reject"},
		"discard of none":                 {alice, []string{"discard", "999", "--reason", "x"}, 1, "no such reject"},
		"not the id of a reject":          {alice, []string{"show", "one"}, 2, `"one": not the id of a reject`},
		"show of two at once":             {alice, []string{"show", "1", "2"}, 2, "list | show ID"},
		"replay of nothing said":          {alice, []string{"replay"}, 2, "list | show ID"},
		"replay of some and all":          {alice, []string{"replay", "1", "--all"}, 2, "goes with replay and without ids"},
		"replay of one, narrowed down":    {alice, []string{"replay", "1", "--origin", "/events"}, 2, "goes with replay and without ids"},
		"narrowed down without all":       {alice, []string{"replay", "--reason", "no_email"}, 2, "--all, and what narrows it down"},
		"a state there is not":            {alice, []string{"list", "--state", "opne"}, 2, `--state: "opne": none of open, replayed, discarded, all`},
		"a reason there is not":           {alice, []string{"replay", "--all", "--reason", "no_mail"}, 2, `--reason: "no_mail": none of`},
		"a way in there is not":           {alice, []string{"list", "--source", "hr"}, 2, `--source: "hr": neither kafka`},
		"an output there is not":          {alice, []string{"list", "--output", "xml"}, 2, `--output: "xml"`},
		"a word there is not":             {alice, []string{"retry", "1"}, 2, "list | show ID"},
		"no word":                         {alice, nil, 2, "list | show ID"},
		"no way":                          {nil, []string{"list"}, 2, "--url of a daemon, or --config FILE"},
		"a discard whose reason is a lot": {alice, []string{"discard", "1", "--reason", strings.Repeat("x", 1001)}, 1, "longer than 1000"},
	} {
		if status, out, errOut := rejectsOf(c.way, c.words...); status != c.status || !strings.Contains(errOut, c.want) || out != "" {
			t.Errorf("%s: %d %q %q, want %d with %q", name, status, out, errOut, c.status, c.want)
		}
	}
	if n := r.stats(t).Rejects; n != 3 {
		t.Errorf("%d rejects are open, want all", n)
	}
}

func TestRejectsOfTheLedgerItself(t *testing.T) {
	t.Parallel()
	s, r := rejectedSite(t)
	way := []string{"--config", filepath.Join(s.dir, "signoff.yaml")}
	for _, when := range []string{"beside the daemon", "after it"} {
		if list := listedRejects(t, way, "--reason", "no_time_zone"); len(list) != 2 {
			t.Errorf("%s: the list has %+v", when, list)
		}
		if list := listedRejects(t, way, "--state", "replayed"); len(list) != 0 {
			t.Errorf("%s: replayed are %+v", when, list)
		}
		if status, out, errOut := rejectsOf(way, "show", "1"); status != 0 || !strings.Contains(out, email(0)) {
			t.Errorf("%s: show: %d %s%s", when, status, out, errOut)
		}
		if status, _, errOut := rejectsOf(way, "show", "999"); status != 1 || !strings.Contains(errOut, "no such reject") {
			t.Errorf("%s: show of none: %d %s", when, status, errOut)
		}
		for _, words := range [][]string{{"replay", "1"}, {"replay", "--all"}, {"discard", "1", "--reason", "x"}} {
			if status, _, errOut := rejectsOf(way, words...); status != 2 || !strings.Contains(errOut, "--config only looks") {
				t.Errorf("%s: %s: %d %s", when, words[0], status, errOut)
			}
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// A mapping that fails loses nothing: once it is mended, what came by a topic and by
// an endpoint is read by it anew.
func TestRejectsOfAMappingAreMendedAndReplayed(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{users: leaverUsers(3)})
	mapping := s.write(t, "acme.cel", `body.leavers.map(l, {"email": l.mail})`)
	config := s.config(t, map[string]string{
		"events.mappings":   "[{name: acme, file: " + mapping + "}]",
		"kafka.topics":      "[{name: " + demoTopic + ", mapping: acme}]",
		"webhook.endpoints": "[{path: /acme, auth: none, mapping: acme}]",
	})
	r := s.start(t, config)
	payload := func(people ...int) []byte {
		var all []string
		for _, i := range people {
			all = append(all, fmt.Sprintf(`{"emails": [%q]}`, email(i)))
		}
		return []byte(`{"leavers": [` + strings.Join(all, ", ") + `, {"emails": ["nobody"]}]}`)
	}
	if status := postAs(t, "http://"+r.webhook.Addr().String()+"/acme", "application/json", payload(0, 1)); status != 200 {
		t.Fatalf("posted: %d", status)
	}
	s.produce(t, segmentio.Message{Value: payload(2)})
	eventually(t, "both are rejects", func() bool { return r.stats(t).Rejects == 2 })
	for _, reject := range listedRejects(t, s.as(r, "alice")) {
		if reject.Reason != "mapping_failed" || reject.EventSource != "" || reject.EventID == "" {
			t.Errorf("the list has %+v", reject)
		}
	}
	if status, out, _ := rejectsOf(s.as(r, "alice"), "replay", "--all"); status != 3 || strings.Count(out, "fails again: mapping_failed") != 2 {
		t.Errorf("before it is mended: %d %s", status, out)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	s.write(t, "acme.cel", `body.leavers.map(l, {"email": l.emails[0]})`)
	r = s.start(t, config)
	status, out, errOut := rejectsOf(s.as(r, "alice"), "replay", "--all")
	if status != 0 || out != "2 replayed, 0 not\n" {
		t.Errorf("replay: %d %s%s", status, out, errOut)
	}
	r.await(t, ledger.Closed, 3)
	s.closedOnce(t, 3)
	var origins []string
	for _, reject := range listedRejects(t, s.as(r, "alice")) { // those of each payload that still have no email
		if reject.Reason != "invalid_data" || reject.EventSource != "acme" {
			t.Errorf("the list has %+v", reject)
		}
		origins = append(origins, reject.Origin)
	}
	if slices.Sort(origins); !slices.Equal(origins, []string{"/acme", demoTopic}) {
		t.Errorf("rejects of what is wrong still are by %v", origins)
	}
	noLeak(t, "the log", r.logs.String())
}

func TestReplayOfAnEndpointThatIsGone(t *testing.T) {
	t.Parallel()
	s, r := rejectedSite(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = s.start(t, s.config(t, map[string]string{"webhook.endpoints": "[{path: /new, auth: none}]"}))
	status, out, errOut := rejectsOf(s.as(r, "alice"), "replay", "--all")
	if status != 3 || strings.Count(out, "webhook.endpoints: /events: the config does not name it any more") != 3 || !strings.Contains(errOut, "3 of 3") {
		t.Errorf("%d %s%s", status, out, errOut)
	}
}
