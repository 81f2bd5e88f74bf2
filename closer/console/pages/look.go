package pages

import (
	"fmt"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// functions are those that templates have.
var functions = template.FuncMap{
	"asset":    assetURL,
	"time":     moment,
	"words":    words,
	"count":    count,
	"duration": duration,
	"hours":    func(d time.Duration) string { return duration(d.Seconds()) },
	"one":      one,
	"class":    class,
	"bytes":    sizeOf,
	"short":    short,
	"dict":     dict,
	"plus":     func(a, b int) int { return a + b },
	"minus":    func(a, b int) int { return a - b },
	"kind":     console.KindInWords,
	"why":      func(reason string) string { return reasons[consumer.Reason(reason)] },
	"means":    func(state string) string { return means[ledger.State(state)] },
	"sentence": sentence,
	"shown":    func(text string) string { return console.Printable([]byte(text)) },
	"until":    until,
	"left":     left,
	"took":     took,
	"step":     stepClass,
	"because":  because,
	"prose":    prose,
	"later":    later,
}

// moment is a time as a page has it: in UTC, which the script turns into the reader's
// zone; the exact one stands beside it.
func moment(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	t = t.UTC()
	return timeElement(t, t.Format("2006-01-02 15:04 UTC"))
}

// timeElement is a time that is shown as text, with the exact one beside it.
func timeElement(t time.Time, text string) template.HTML {
	exact := t.UTC().Format(time.RFC3339Nano)
	return template.HTML(`<time datetime="` + exact + `" title="` + exact + `">` + text + `</time>`) //nolint:gosec // a time has no markup
}

// until is how long it is until a time, as m:ss.
func until(now, then time.Time) string {
	switch left := int(math.Ceil(then.Sub(now).Seconds())); {
	case left <= 0:
		return "now"
	case left < 3600:
		return fmt.Sprintf("%d:%02d", left/60, left%60)
	default:
		return fmt.Sprintf("%d:%02d:%02d", left/3600, left/60%60, left%60)
	}
}

// words is a word of the code as people read it.
func words(word any) string { return strings.ReplaceAll(fmt.Sprint(word), "_", " ") }

// because is why an entry stands as it does: a word of ours, or a code of Docusign's,
// which stays as one may look it up.
func because(reason string) string {
	if reason == strings.ToUpper(reason) {
		return reason
	}
	return words(reason)
}

// sentence is what the API says, as a sentence of its own.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	r, size := utf8.DecodeRuneInString(text)
	text = string(unicode.ToUpper(r)) + text[size:]
	if strings.ContainsRune(".!?", rune(text[len(text)-1])) {
		return text
	}
	return text + "."
}

// count groups the digits of a number.
func count(n any) string {
	text := fmt.Sprint(n)
	digits := strings.TrimPrefix(text, "-")
	var grouped strings.Builder
	grouped.WriteString(text[:len(text)-len(digits)])
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			grouped.WriteRune('\u2009') // a thin space: commas and points mean different things in different places
		}
		grouped.WriteRune(d)
	}
	return grouped.String()
}

// one is a number with its noun: of one, or of several.
func one(n any, single, several string) string {
	if fmt.Sprint(n) == "1" {
		return count(n) + " " + single
	}
	return count(n) + " " + several
}

// duration is a length of time as people say it, of at most two units.
func duration(seconds float64) string {
	if seconds < 10 {
		return strconv.FormatFloat(max(0, math.Round(seconds*10)/10), 'f', -1, 64) + " s"
	}
	units := []struct {
		name    string
		seconds int64
	}{{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}}
	left := int64(math.Round(seconds))
	for i, u := range units {
		if left < u.seconds || i == 0 && left < 2*u.seconds { // a deadline of 24 h is said so
			continue
		}
		text := fmt.Sprintf("%d %s", left/u.seconds, u.name)
		if rest := left % u.seconds; i+1 < len(units) && rest >= units[i+1].seconds {
			text += fmt.Sprintf(" %d %s", rest/units[i+1].seconds, units[i+1].name)
		}
		return text
	}
	return "0 s"
}

// sizeOf is a number of bytes as people say it.
func sizeOf(n int64) string {
	switch f := float64(n); {
	case f < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case f < 1<<20:
		return fmt.Sprintf("%.1f KiB", f/(1<<10))
	case f < 1<<30:
		return fmt.Sprintf("%.1f MiB", f/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", f/(1<<30))
	}
}

// short is the beginning of a digest or an id, by which people tell it from others.
func short(id string) string {
	const enough = 8
	if len(id) <= enough+1 {
		return id
	}
	return id[:enough] + "…"
}

// dict is what a part is given: names and values in turn.
func dict(all ...any) (map[string]any, error) {
	if len(all)%2 != 0 {
		return nil, fmt.Errorf("a name without a value: %d", len(all))
	}
	made := make(map[string]any)
	for i := 0; i < len(all); i += 2 {
		name, ok := all[i].(string)
		if !ok {
			return nil, fmt.Errorf("%v: not a name", all[i])
		}
		made[name] = all[i+1]
	}
	return made, nil
}

// class is the look of a state: a page never tells by color alone, the word is there.
func class(state string) string {
	switch ledger.State(state) {
	case ledger.Closed, ledger.AlreadyClosed:
		return "good"
	case ledger.Held, ledger.Submitted, ledger.Due:
		return "busy"
	case ledger.Failed:
		return "bad"
	default:
		return "plain"
	}
}

// means says of a state what it means for the leaver.
var means = map[ledger.State]string{
	ledger.Waiting:       "not due yet",
	ledger.Due:           "goes with the next batch",
	ledger.Held:          "waits for a person",
	ledger.Submitted:     "the close is sent, its answer not known yet",
	ledger.WouldClose:    "would be closed, but for the dry run",
	ledger.Closed:        "can't sign any more",
	ledger.AlreadyClosed: "was closed before",
	ledger.NotFound:      "Docusign has no user by their address",
	ledger.Cancelled:     "the leaving was taken back",
	ledger.Skipped:       "left open by a person",
	ledger.Failed:        "Docusign refuses; tried again daily",
}

// reasons says of a reject's reason what is wrong.
var reasons = map[consumer.Reason]string{
	consumer.InvalidEvent:  "it is no CloudEvent, or lacks what every CloudEvent has",
	consumer.InvalidData:   "its data is not what the schema asks for",
	consumer.NoEmail:       "nothing in it leads to an email",
	consumer.NoTimeZone:    "it has a date without a time, and events.time_zone is not set",
	consumer.InvalidTime:   "its effectiveAt is neither a date-time nor a date",
	consumer.IDReused:      "its id was used before, for other content",
	consumer.MayNotRescind: "it takes back what another source has announced",
	consumer.MappingFailed: "the mapping stopped at it, or made what is no event",
}

// done is what a request before this one has done, by the word in the link that it led
// to. A link of somebody else's says nothing of what was done.
func done(r *http.Request) string {
	if from := r.Header.Get("Sec-Fetch-Site"); from != "" && from != "same-origin" {
		return ""
	}
	return doneWords[r.URL.Query().Get("done")]
}

var doneWords = map[string]string{
	"approved":   "Approved. What follows from it happens at the next run.",
	"one_of":     "Your approval is kept. It needs others, too.",
	"rejected":   "Rejected. These people are left as they are.",
	"frozen":     "Frozen. Nobody is closed without a person's word until it ends.",
	"unfrozen":   "The freeze is ended.",
	"replayed":   "Replayed. It was understood this time.",
	"open":       "Replayed, and still not understood: see why below.",
	"discarded":  "Discarded.",
	"deferred":   "Deferred.",
	"urgent":     "Made urgent. What comes of it is said below.",
	"skipped":    "Skipped. This leaver stays as they are.",
	"retried":    "It is tried again with the next run.",
	"signed_out": "You have signed out.",
}
