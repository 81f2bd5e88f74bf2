package mapping

import (
	"errors"
	"testing"

	"signoff/consumer"
)

// FuzzCompile compiles anything and, where that is an expression, maps anything
// by it. Neither breaks, and what goes wrong with a payload is the payload's.
func FuzzCompile(f *testing.F) {
	for _, name := range Presets() {
		text, _ := preset(name)
		f.Add(text, []byte(`{"data":{"events":[]}}`))
	}
	f.Add(`body.left.map(x, {"email": x.trim().lowerAscii().replace("a", "b")})`, []byte(`{"left":["a@example.com"]}`))
	f.Add(`[{"effectiveAt": parseDate(body.d, "2006-01-02"), "id": body.?i.orValue("")}]`, []byte(`{"d":"2026-11-20"}`))
	f.Add(`cel.bind(x, body.a, x.matches("^a+$") ? [{"email": x.split("@")[0].substring(1)}] : [])`, []byte(`{"a":"aa"}`))
	f.Add("[", []byte("{}"))
	f.Fuzz(func(t *testing.T, expression string, payload []byte) {
		m, err := compile("acme", "acme.cel", expression)
		if err != nil {
			return
		}
		events, err := m.Events(t.Context(), payload, "1")
		var u *consumer.UnreadableError
		if err != nil && !errors.As(err, &u) {
			t.Fatalf("%v is not an UnreadableError", err)
		}
		for _, e := range events {
			if err := consumer.Validate(e); err != nil && len(e.ID())*len(e.Source()) > 0 {
				t.Error(err)
			}
		}
	})
}
