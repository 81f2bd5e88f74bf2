package mapping

import (
	"errors"
	"strings"
	"testing"

	"signoff/consumer"
	"signoff/consumer/consumertest"
)

// large are members of payloads, each far larger than any that a vendor sends.
var large = map[string]string{
	"numbers":  `"l":[` + strings.Repeat("0,", 60_000) + `0]`,
	"lists":    `"l":[` + strings.Repeat("[],", 60_000) + `[]]`,
	"objects":  `"l":[` + strings.Repeat(`{"a":1},`, 60_000) + `{}]`,
	"one text": `"s":"` + strings.Repeat("a", 400_000) + `"`,
	"4 KiB":    `"t":"` + strings.Repeat("a", maxText) + `"`,
	"spaces":   `"p":"` + strings.Repeat(" ", maxText) + `"`,
	"one more": `"u":"` + strings.Repeat("a", maxText+1) + `"`,
}

// TestHostilePayloads gives to each function, and to each way to repeat one, the
// payload that would make it build or do most. What a run allocates in all bounds
// what it holds at any time, and the work as well.
func TestHostilePayloads(t *testing.T) {
	numbers, text, short := large["numbers"], large["one text"], large["4 KiB"]
	for name, c := range map[string]struct {
		expression string
		members    []string
		reason     string // "" if it maps
	}{
		"text grows in a loop":              {`body.l.map(x, {"email": body.s + body.s})`, []string{numbers, text}, "too large"},
		"text grows in a straight line":     {`[{"email": body.s + body.s + body.s + body.s}]`, []string{text}, "too large"},
		"lists grow in a loop":              {`body.l.map(x, {"otherEmails": body.l + body.l})`, []string{numbers}, "too large"},
		"loops in loops":                    {`body.l.map(x, {"urgent": body.l.all(y, body.l.all(z, z == 0))})`, []string{numbers}, "too large"},
		"a loop over objects":               {`body.l.map(x, {"urgent": x == x})`, []string{large["objects"]}, "too large"},
		"a loop over lists":                 {`body.l.filter(x, x == body.l[0]).map(x, {})`, []string{large["lists"]}, "too large"},
		"lists are compared in a loop":      {`body.l.map(x, {"urgent": body.l == body.l})`, []string{numbers}, "too large"},
		"texts are compared in a loop":      {`body.l.map(x, {"urgent": body.s == body.s + "b"})`, []string{numbers, text}, "too large"},
		"in, in a loop":                     {`body.l.map(x, {"urgent": 1 in body.l})`, []string{numbers}, "too large"},
		"size in a loop":                    {`body.l.map(x, {"urgent": size(body.s) == 0})`, []string{numbers, text}, "too large"},
		"contains in a loop":                {`body.l.map(x, {"urgent": body.s.contains(body.s)})`, []string{numbers, text}, "too large"},
		"startsWith and endsWith in a loop": {`body.l.map(x, {"urgent": body.s.startsWith(body.s) || body.s.endsWith(body.s)})`, []string{numbers, text}, "too large"},
		"bytes in a loop":                   {`body.l.map(x, {"urgent": bytes(body.s) == b"a"})`, []string{numbers, text}, "too large"},
		"text of bytes in a loop":           {`body.l.map(x, {"email": string(bytes(body.s))})`, []string{numbers, text}, "too large"},
		"text of numbers in a loop":         {`body.l.map(x, {"id": string(x)})`, []string{numbers}, "too large"},
		"times of text":                     {`[{"time": timestamp(body.s)}]`, []string{text}, "a value that"},
		"numbers of text":                   {`[{"id": string(int(body.s))}]`, []string{text}, "a value that"},
		"errors that do not stop a loop":    {`body.l.exists(x, int(body.s) == x) ? [] : [{}]`, []string{numbers, text}, "too large"},
		"a text as long as a payload":       {`[{"email": body.s, "id": body.s, "otherEmails": [body.s]}]`, []string{text}, ""},
		"a thousand texts of a payload":     {`body.l.filter(x, true).map(x, {"department": body.s})`, []string{`"l":[` + strings.Repeat("0,", 999) + `0]`, text}, ""},
		"more events than there may be":     {`body.l.map(x, {})`, []string{`"l":[` + strings.Repeat("0,", 1000) + `0]`}, "more than 1000 events"},
		"more data than there may be": {`body.l.map(x, {"department": body.t, "legalEntity": body.t, "givenName": body.t})`,
			[]string{`"l":[` + strings.Repeat("0,", 999) + `0]`, short}, "more than 4 MiB"},
		"lists of lists of addresses": {`[{"otherEmails": body.l}]`, []string{large["lists"]}, ""},
		"nothing but addresses":       {`[{"otherEmails": body.l}]`, []string{numbers}, ""},
		"replace that makes too much": {`[{"email": body.t.replace("a", body.t)}]`, []string{short}, "replace: would make more"},
		"replace of nothing":          {`[{"email": body.t.replace("", body.t)}]`, []string{short}, "replace: would make more"},
		"replace of too much":         {`[{"email": body.u.replace("a", "b")}]`, []string{large["one more"]}, "replace: text of more"},
		"replace in a loop":           {`body.l.map(x, {"email": body.t.replace("a", "b")})`, []string{numbers, short}, "too large"},
		"lowerAscii of too much":      {`[{"email": body.s.lowerAscii()}]`, []string{text}, "lowerAscii: text of more"},
		"lowerAscii in a loop":        {`body.l.map(x, {"email": body.t.lowerAscii()})`, []string{numbers, short}, "too large"},
		"trim of too much":            {`[{"email": body.s.trim()}]`, []string{text}, "trim: text of more"},
		"trim in a loop":              {`body.l.map(x, {"email": body.p.trim()})`, []string{numbers, large["spaces"]}, "too large"},
		"split of too much":           {`[{"otherEmails": body.s.split("")}]`, []string{text}, "split: text of more"},
		"split in a loop":             {`body.l.map(x, {"otherEmails": body.t.split("")})`, []string{numbers, short}, "too large"},
		"substring of too much":       {`[{"email": body.s.substring(1)}]`, []string{text}, "substring: text of more"},
		"substring in a loop":         {`body.l.map(x, {"email": body.t.substring(0, 4000)})`, []string{numbers, short}, "too large"},
		"matches of too much":         {`[{"urgent": body.s.matches("(a+)+$")}]`, []string{text}, "matches: text of more"},
		"matches in a loop":           {`body.l.map(x, {"urgent": body.t.matches("(a+)+b$")})`, []string{numbers, short}, "too large"},
		"parseTime of too much":       {`[{"time": parseTime(body.s, "2006", "UTC")}]`, []string{text}, "parseTime: text of more"},
		"parseTime in a loop":         {`body.l.map(x, {"time": parseTime("2026", "2006", "Europe/Lisbon")})`, []string{numbers}, "too large"},
		"parseDate in a loop":         {`body.l.map(x, {"effectiveAt": parseDate("2026", "2006")})`, []string{numbers}, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			m := mustCompile(t, c.expression)
			payload := []byte("{" + strings.Join(c.members, ",") + "}")
			if len(payload) > maxPayload {
				t.Fatalf("the payload has %d bytes", len(payload))
			}
			grown := consumertest.Allocated(func() {
				events, err := m.Events(t.Context(), payload, "1")
				checkReason(t, err, c.reason)
				for _, e := range events {
					if len(e.Data()) > 64<<10 {
						t.Errorf("an event of %d bytes", len(e.Data()))
					}
				}
			})
			if grown > 128<<20 {
				t.Errorf("allocated %d MiB", grown>>20)
			}
		})
	}
}

func TestPayloadsAreLimited(t *testing.T) {
	_, err := mustCompile(t, "[]").Events(t.Context(), []byte(`"`+strings.Repeat("a", maxPayload)+`"`), "1")
	checkReason(t, err, "larger than 512 KiB")
}

func mustCompile(t testing.TB, expression string) *Mapping {
	t.Helper()
	m, err := compile("acme", "acme.cel", expression)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func checkReason(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil && want == "" {
		return
	}
	var u *consumer.UnreadableError
	if !errors.As(err, &u) || u.Reason != consumer.MappingFailed || want == "" || !strings.Contains(u.Detail, want) {
		t.Errorf("got %v, want mapping_failed: …%s…", err, want)
	}
}

// TestAsMuchAsAVendorSends must not come near what a run may cost.
func TestAsMuchAsAVendorSends(t *testing.T) {
	for preset, c := range map[string]struct{ before, item, after string }{
		"bamboohr": {`{"employees":[`, `{"id":"1093","timestamp":"2026-11-30T18:42:00+0000","changedFields":["Status"],"fields":{"Employee #":"E-1093","Work Email":"Jane.Doe@example.com","Status":"Inactive"}}`, `]}`},
		"okta":     {`{"data":{"events":[`, `{"uuid":"cb62c0bc","published":"2026-11-30T18:15:12.862Z","eventType":"user.lifecycle.deactivate","outcome":{"result":"SUCCESS"},"target":[{"type":"User","alternateId":"Jane.Doe@example.com"}]}`, `]}}`},
	} {
		payload := c.before + strings.Repeat(c.item+",", maxEvents-1) + c.item + c.after
		events, err := load(t, preset).Events(t.Context(), []byte(payload), "1")
		if err != nil || len(events) != maxEvents {
			t.Errorf("%s: %d events, %v", preset, len(events), err)
		}
	}
}
