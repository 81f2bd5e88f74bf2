package consumer

import (
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
)

func TestParseTraceParent(t *testing.T) {
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	const whole = "00-" + trace + "-" + span + "-01"
	for name, c := range map[string]struct{ text, want string }{
		"as it should be":               {whole, whole},
		"not sampled":                   {"00-" + trace + "-" + span + "-00", "00-" + trace + "-" + span + "-00"},
		"with spaces around":            {" " + whole + "\t", whole},
		"a later version":               {"cc-" + trace + "-" + span + "-01", whole},
		"a later version with more":     {"cc-" + trace + "-" + span + "-01-what-the-future-will-be", whole},
		"a later version run together":  {"cc-" + trace + "-" + span + "-01.what", ""},
		"the version that there is not": {"ff-" + trace + "-" + span + "-01", ""},
		"more than version 00 has":      {whole + "-more", ""},
		"no trace":                      {"00-00000000000000000000000000000000-" + span + "-01", ""},
		"no span":                       {"00-" + trace + "-0000000000000000-01", ""},
		"upper case":                    {"00-4BF92F3577B34DA6A3CE929D0E0E4736-" + span + "-01", ""},
		"not hex":                       {"00-" + trace[:31] + "g-" + span + "-01", ""},
		"dashes elsewhere":              {"00-" + trace[:31] + "-" + span + "0-01", ""},
		"cut off":                       {whole[:54], ""},
		"an address":                    {"jane@example.com", ""},
		"nothing":                       {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parseTraceParent(c.text); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := TraceID(whole); got != trace {
		t.Errorf("its trace is %q", got)
	}
	if got := TraceID(""); got != "" {
		t.Errorf("the trace of none is %q", got)
	}
}

func TestTheEventsOwnTraceGoesFirst(t *testing.T) {
	const own, carried = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01"
	for name, c := range map[string]struct{ extension, carried, want string }{
		"both":                 {own, carried, own},
		"only what carried it": {"", carried, carried},
		"its own is malformed": {"nonsense", carried, carried},
		"neither":              {"", "nonsense", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := event.New()
			if c.extension != "" {
				e.SetExtension(TraceParent, c.extension)
			}
			if got := traceOf(e, c.carried); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
