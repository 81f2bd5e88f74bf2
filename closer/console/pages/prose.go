package pages

import (
	"html/template"
	"regexp"
	"strings"
	"time"

	"signoff/closer/console"
)

// Told texts are sentences of the API that stand for themselves on a terminal. What a
// page can do better with is found in them.
var (
	toldSpan    = regexp.MustCompile(`\b(\d+h)?\d+m0s\b`)
	toldTime    = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	toldLink    = regexp.MustCompile(`\b(hold|reject|entry) ([1-9]\d{0,17})\b`)
	toldCommand = regexp.MustCompile(`\bsignoff (holds|rejects|defer|urgent|skip|retry|audit)\b[^,;()]*`)
)

// toldPaths are where links lead to.
var toldPaths = map[string]string{"hold": "/holds/", "reject": "/rejects/", "entry": "/leavers/"}

// prose is such a sentence as a page has it: its times are the reader's, a length of
// time is as on other pages (1 h, not 1h0m0s), and what it
// names by number is a link. Nothing else in it is markup, whoever wrote it.
func prose(text string) template.HTML {
	text = console.Printable([]byte(text))
	var b strings.Builder
	for text != "" {
		at, made := firstOf(text)
		b.WriteString(template.HTMLEscapeString(text[:at[0]]) + made)
		text = text[at[1]:]
	}
	return template.HTML("<bdi>" + b.String() + "</bdi>") //nolint:gosec // all of it is escaped, or made here
}

// firstOf is where the first thing stands that is made something of, and what.
func firstOf(text string) (at []int, made string) {
	at = []int{len(text), len(text)}
	if found := toldCommand.FindStringIndex(text); found != nil {
		at = found
		made = "<code>" + template.HTMLEscapeString(strings.TrimSpace(text[at[0]:at[1]])) + "</code>"
		if strings.HasSuffix(text[at[0]:at[1]], " ") {
			made += " "
		}
	}
	if found := toldLink.FindStringSubmatchIndex(text); len(found) > 0 && found[0] < at[0] {
		at = found[:2]
		made = `<a href="` + toldPaths[text[found[2]:found[3]]] + text[found[4]:found[5]] + `">` + text[at[0]:at[1]] + `</a>`
	}
	if found := toldSpan.FindStringIndex(text); len(found) > 0 && found[0] < at[0] {
		if d, err := time.ParseDuration(text[found[0]:found[1]]); err == nil {
			at, made = found, duration(d.Seconds())
		}
	}
	if found := toldTime.FindStringIndex(text); len(found) > 0 && found[0] < at[0] && !strings.HasSuffix(text[:found[0]], "event ") {
		if t, err := time.Parse(time.RFC3339Nano, text[found[0]:found[1]]); err == nil {
			at, made = found, string(moment(t))
		}
	}
	return at, made
}
