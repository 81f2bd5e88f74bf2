package pages

import (
	"testing"
	"time"
)

func TestProse(t *testing.T) {
	const at = "2026-11-28T09:00:00Z"
	shown := string(moment(mustTime(at)))
	for text, want := range map[string]string{
		"":                              "",
		"a <b>, \u202eb":                "a &lt;b&gt;, \\u202eb",
		"due since " + at:               "due since " + shown,
		"by event " + at + " of hr":     "by event " + at + " of hr",
		"2026-99-28T09:00:00Z":          "2026-99-28T09:00:00Z",
		"entry 7 goes on in its place":  `<a href="/leavers/7">entry 7</a> goes on in its place`,
		"hold 3, reject 4; hold 0":      `<a href="/holds/3">hold 3</a>, <a href="/rejects/4">reject 4</a>; hold 0`,
		"withhold 3, holds 3":           "withhold 3, holds 3",
		"look: signoff holds show 3":    "look: <code>signoff holds show 3</code>",
		"a: signoff skip a@b.c (twice)": "a: <code>signoff skip a@b.c</code> (twice)",
		"or now by signoff urgent":      "or now by <code>signoff urgent</code>",
		"signoff retry <x>, at " + at:   "<code>signoff retry &lt;x&gt;</code>, at " + shown,
		"signoff has heard of it":       "signoff has heard of it",
		"hold 99999999999999999999":     "hold 99999999999999999999",
		"2 make 3 within 1h0m0s":        "2 make 3 within 1 h",
		"within 26h30m0s, or 90m0s":     "within 26 h 30 min, or 1 h 30 min",
		"at 1h0m0sx":                    "at 1h0m0sx",
		`“hold 3"><script>” on ` + at:   `“<a href="/holds/3">hold 3</a>&#34;&gt;&lt;script&gt;” on ` + shown,
		"from " + at + " until " + at:   "from " + shown + " until " + shown,
	} {
		if got := string(prose(text)); got != "<bdi>"+want+"</bdi>" {
			t.Errorf("%q is\n%s, want\n%s", text, got, want)
		}
	}
}

func mustTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}
