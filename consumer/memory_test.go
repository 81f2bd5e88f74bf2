package consumer

import (
	"fmt"
	"strings"
	"testing"

	"signoff/consumer/consumertest"
)

// hostile are JSON values that cost a reader most, of about n bytes.
func hostile(n int) map[string]string {
	var keys, nested strings.Builder
	for i := 0; keys.Len() < n; i++ {
		fmt.Fprintf(&keys, `"%x":0,`, i)
	}
	for i := 0; nested.Len() < n; i++ {
		fmt.Fprintf(&nested, `%s1%s,`, strings.Repeat("[", 50), strings.Repeat("]", 50))
	}
	return map[string]string{
		"numbers":            "[" + strings.Repeat("0,", n/2) + "0]",
		"arrays":             "[" + strings.Repeat("[],", n/3) + "0]",
		"objects":            "[" + strings.Repeat("{},", n/3) + "0]",
		"objects with a key": "[" + strings.Repeat(`{"":0},`, n/7) + "0]",
		"deep arrays":        "[" + nested.String() + "0]",
		"arrays without end": strings.Repeat("[", n),
		"objects within":     strings.Repeat(`{"a":`, n/5),
		"keys":               "{" + keys.String() + `"z":0}`,
		"the same keys":      "{" + strings.Repeat(`"a":0,`, n/6) + `"a":0}`,
		"escapes":            `"` + strings.Repeat(`\u0041`, n/6) + `"`,
		"half characters":    `"` + strings.Repeat(`\ud800`, n/6) + `"`,
		"angle brackets":     `"` + strings.Repeat("<", n) + `"`,
		"digits":             strings.Repeat("9", n),
		"huge numbers":       "[" + strings.Repeat("1e999999,", n/9) + "0]",
		"base64":             `"` + strings.Repeat("W1tb", n/4) + `"`,
	}
}

// wholeEvents are CloudEvents with the value where it may do harm.
func wholeEvents(value string) map[string]string {
	head := `{"specversion":"1.0","id":"1","source":"/x","type":"` + TypeTerminated + `",`
	return map[string]string{
		"data":           head + `"data":` + value + `}`,
		"unknown member": head + `"data":{"email":"a@example.com","x":` + value + `}}`,
		"otherEmails":    head + `"data":{"email":"a@example.com","otherEmails":` + value + `}}`,
		"extension":      head + `"x":` + value + `}`,
		"data_base64":    head + `"data_base64":` + value + `}`,
		"nothing else":   value,
	}
}

// TestMemoryOfOneEvent reads the largest event of each shape.
func TestMemoryOfOneEvent(t *testing.T) {
	consumertest.SkipUnderRace(t)
	d := newDecoder(t, Config{TimeZone: "Europe/Lisbon"})
	for shape, value := range hostile(maxEvent - 200) {
		for at, text := range wholeEvents(value) {
			if peak := consumertest.Peak(func() { readEvent(t, d, text) }); peak > consumertest.Most {
				t.Errorf("%s, %s: %d MiB", shape, at, peak>>20)
			}
		}
	}
}

// TestWorkGrowsWithTheEvent compares what is allocated for an event with what is for
// one of an eighth of its size: as much for each byte, but for maps and slices that
// double.
func TestWorkGrowsWithTheEvent(t *testing.T) {
	consumertest.SkipUnderRace(t)
	d := newDecoder(t, Config{TimeZone: "Europe/Lisbon"})
	const n, times = 48 << 10, 8
	large := hostile(n * times)
	for shape, value := range hostile(n) {
		larger := wholeEvents(large[shape])
		for at, text := range wholeEvents(value) {
			little := consumertest.Allocated(func() { readEvent(t, d, text) })
			bound := 2*times*little + 1<<20
			much := bound + 1
			for tries := 0; tries < 10 && much > bound; tries++ { // buffers that are used again go at times
				much = consumertest.Allocated(func() { readEvent(t, d, larger[at]) })
			}
			if much > bound {
				t.Errorf("%s, %s: %d KiB for one, %d KiB for %d times as much", shape, at, little>>10, much>>10, times)
			}
		}
	}
}

func readEvent(t *testing.T, d *Decoder, text string) {
	t.Helper()
	if e, err := ParseStructured([]byte(text)); err == nil {
		_, _ = d.Decode(t.Context(), e, "/events", received)
	}
}

func TestEventsAreLimited(t *testing.T) {
	large := `"` + strings.Repeat("x", maxEvent) + `"`
	if _, err := ParseStructured([]byte(wholeEvents(large)["data"])); err == nil || !strings.Contains(err.Error(), tooLarge) {
		t.Errorf("in the JSON format: %v", err)
	}
	if _, err := newDecoder(t, Config{}).Decode(t.Context(), termination(large), "/events", received); err == nil || !strings.Contains(err.Error(), tooLarge) {
		t.Errorf("data: %v", err)
	}
}
