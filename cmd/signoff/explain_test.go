package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(4)})
	file := s.config(t, map[string]string{"guard.protected": "{emails: [" + email(1) + ", " + email(2) + "]}"})
	r := s.start(t, file)
	r.post(t, 0)
	r.await(t, ledger.Closed, 1)
	r.post(t, 1)
	r.post(t, 2)
	r.await(t, ledger.Held, 2)
	r.takeBack(t, consumer.TypeRescinded, 2)
	r.await(t, ledger.Cancelled, 1)
	s.postBatch(t, r, fmt.Appendf(nil, "[%s]", nobodys(0)))
	eventually(t, "the odd event is a reject", func() bool { return r.stats(t).Rejects == 1 })

	bob := []string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, "bob")}
	for name, c := range map[string]struct {
		words  []string
		way    []string
		status int
		want   []string
	}{
		"a closed leaver":           {[]string{email(0)}, bob, 0, []string{email(0) + "\n", "event termination-0 of", "sent to Docusign in batch 1", "trace token", ", closed\n", "looked for daily until"}},
		"the same in other letters": {[]string{strings.ToUpper(email(0))}, bob, 0, []string{", closed\n"}},
		"looking into the ledger":   {[]string{email(0)}, []string{"--config", file}, 0, []string{", closed\n", "looked for daily until"}},
		"by the event":              {[]string{"termination-0"}, bob, 0, []string{"terminated event termination-0", "it led to entry 1", ", closed\n"}},
		"of a source":               {[]string{"termination-0", "--source", "https://other.example.com"}, bob, 1, []string{"no event of this id was ever received"}},
		"a held one":                {[]string{email(1)}, bob, 0, []string{", held\n", "protected by the config", "signoff holds approve", "--digest "}},
		"a rescinded one":           {[]string{email(2)}, bob, 0, []string{"held for a person", "the termination is taken back (rescinded)", ", cancelled\n", "next: nothing more"}},
		"a reject":                  {[]string{"nobodys-0"}, bob, 0, []string{"reject event nobodys-0 of", "not understood", "signoff rejects replay 1"}},
		"nobody":                    {[]string{"zoe@example.com"}, bob, 1, []string{"nobody who leaves goes by this address", "signoff rejects list"}},
		"nothing":                   {[]string{"never"}, []string{"--config", file}, 1, []string{"no event of this id was ever received"}},
		"without a token":           {[]string{email(0)}, bob[:2], 1, []string{"a token from admin.tokens_file is needed"}},
		"no word":                   {nil, bob, 2, []string{"EMAIL | EVENT-ID"}},
		"an empty word":             {[]string{" "}, bob, 2, []string{"EMAIL | EVENT-ID"}},
		"another output":            {[]string{email(0), "--output", "xml"}, bob, 2, []string{"neither text nor json"}},
	} {
		status, out, errOut := signoff(append(append([]string{"explain"}, c.words...), c.way...)...)
		for _, part := range c.want {
			if status != c.status || !strings.Contains(out+errOut, part) {
				t.Errorf("%s: %d %s%s, want %d with %q", name, status, out, errOut, c.status, part)
			}
		}
	}
	status, out, errOut := signoff(append([]string{"explain", email(1), "--output", "json"}, bob...)...)
	var story console.Story
	if err := json.Unmarshal([]byte(out), &story); status != 0 || err != nil || story.Leavers[0].Leavings[0].Places[0].State != "held" {
		t.Errorf("in JSON: %d %s%s, %v", status, out, errOut, err)
	}
	noLeak(t, "the log", r.logs.String())
}

// What a story is told with comes from outside, and must not speak to the terminal.
func TestAStoryDoesNotSpeakToTheTerminal(t *testing.T) {
	const odd = "\x1b[31mred\u202e\nnext: signoff skip all"
	var out bytes.Buffer
	if err := printStory(&out, console.Story{
		Events: []console.StoryEvent{{Origin: odd, Source: odd, ID: odd, Kind: odd, Now: odd, Next: []string{odd}}},
		Leavers: []console.StoryLeaver{{Emails: []string{odd, odd}, Leavings: []console.StoryLeaving{{
			Steps:  []console.StoryStep{{Words: odd}},
			Places: []console.StoryPlace{{Account: odd, State: odd, Now: odd, Next: []string{odd}}}}}}},
	}); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.ContainsAny(text, "\x1b\u202e") || strings.Contains(text, "\nnext:") || !strings.Contains(text, `\x1b[31mred`) {
		t.Errorf("printed %q", text)
	}
}
