package consumer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// words is a mapping that makes a termination of each word of the payload, and
// knows some words.
type words struct{ asked []string }

func (*words) Name() string { return "words" }

func (w *words) Events(_ context.Context, payload []byte, fallback string) (all []event.Event, err error) {
	w.asked = append(w.asked, string(payload))
	for i, word := range strings.Fields(string(payload)) {
		switch word {
		case "nothing":
			return nil, nil
		case "odd":
			return nil, &UnreadableError{MappingFailed, "line 1"}
		case "panic":
			panic(payload)
		case "later":
			return nil, context.DeadlineExceeded
		}
		e := event.New()
		e.SetType(TypeTerminated)
		e.SetSource("acme")
		switch e.SetID(fallback); {
		case word == "sourceless": // and so it is no event, and has lost its id
			e = event.New()
			e.SetType(TypeTerminated)
		case word == "long":
			e.SetID(strings.Repeat("x", maxAttribute+1))
		case i > 0:
			e.SetID(fmt.Sprintf("%s/%d", fallback, i))
		}
		e.DataEncoded = fmt.Appendf(nil, `{%q:%q}`, map[bool]string{true: "email", false: "employeeId"}[strings.Contains(word, "@")], word)
		all = append(all, e)
	}
	return all, nil
}

// voids is a directory that knows nobody, breaks down on some and is away for others.
type voids struct{}

func (voids) Find(_ context.Context, id string) (Person, error) {
	switch id {
	case "breaks":
		panic(id)
	case "away":
		return Person{}, errors.New("502 Bad Gateway")
	}
	return Person{}, ErrNoPerson
}

// claimed is a payload that claims to be a CloudEvent.
func claimed(ceType, data string) Payload {
	text := fmt.Sprintf(`{"specversion":"1.0","id":"e-1","source":"/hr","type":%q,"data":%s}`, ceType, data)
	return Payload{Text: []byte(text), Type: ceType, Source: "/hr", ID: "e-1",
		Event: func() (event.Event, error) { return ParseStructured([]byte(text)) }}
}

func unclaimed(text string) Payload { return Payload{Text: []byte(text)} }

// but is a payload of which something is otherwise.
func (p Payload) but(change func(*Payload)) Payload {
	change(&p)
	return p
}

func TestReader(t *testing.T) {
	ann, eve := claimed(TypeTerminated, `{"email":"ann@example.com"}`), claimed("com.acme.left", `{}`)
	typeless := func(p *Payload) { p.Type = "" }
	fails := func(err error) func(*Payload) {
		return func(p *Payload) { p.Event = func() (event.Event, error) { return event.Event{}, err } }
	}
	for name, c := range map[string]struct {
		payload  Payload
		unmapped bool
		want     string // source and id of each event; of a reject with its reason
		ignored  int
		heard    string // of those that are expected
		asked    bool   // the mapping
	}{
		"an event of ours":                  {payload: ann, want: "/hr e-1"},
		"one of no type is not mapped":      {payload: ann.but(typeless), want: "/hr e-1"},
		"not understood":                    {payload: claimed(TypeTerminated, `{}`), want: "no_email /hr e-1"},
		"no data that it must have":         {payload: claimed(TypeTerminated, `1`), want: "invalid_data /hr e-1"},
		"no event after all":                {payload: ann.but(fails(invalidEvent("id: missing"))), want: "invalid_event /hr e-1"},
		"no event, and it has no id":        {payload: ann.but(fails(invalidEvent("id: missing"))).but(func(p *Payload) { p.ID = " " }), want: "invalid_event /hr 7"},
		"no event, in odd bytes":            {payload: ann.but(fails(invalidEvent("id"))).but(func(p *Payload) { p.ID = "\xff" }), want: "invalid_event /hr \uFFFD"},
		"the decoder breaks down":           {payload: claimed(TypeTerminated, `{"employeeId":"breaks"}`), want: "invalid_data /hr e-1"},
		"another's":                         {payload: eve, unmapped: true, ignored: 1, heard: "/hr"},
		"another's, from nobody named":      {payload: eve.but(func(p *Payload) { p.Source = "/crm" }), unmapped: true, ignored: 1},
		"another's, and there is a mapping": {payload: eve.but(func(p *Payload) { p.Text = []byte("nothing") }), asked: true, heard: "words /hr", ignored: 1},
		"nothing there is a reader for":     {payload: unclaimed("ann@example.com"), unmapped: true, want: "invalid_event  7"},

		"mapped":                               {payload: unclaimed("ann@example.com bob@example.com"), want: "acme 7, acme 7/1", asked: true, heard: "words"},
		"mapped to nothing":                    {payload: unclaimed("nothing"), ignored: 1, asked: true, heard: "words"},
		"one of several not understood":        {payload: unclaimed("ann@example.com bob eve@example.com"), want: "acme 7, acme 7/2, no_email acme 7/1", asked: true, heard: "words"},
		"the decoder breaks down on one":       {payload: unclaimed("breaks ann@example.com"), want: "acme 7/1, invalid_data acme 7", asked: true, heard: "words"},
		"the mapping fails":                    {payload: unclaimed("odd"), want: "mapping_failed  7", asked: true, heard: "words"},
		"the mapping breaks down":              {payload: unclaimed("panic"), want: "mapping_failed  7", asked: true, heard: "words"},
		"the mapping fails on another's event": {payload: eve.but(func(p *Payload) { p.Text = []byte("odd") }), want: "mapping_failed  7", asked: true, heard: "words /hr"},
		"what the mapping makes is no event":   {payload: unclaimed("sourceless ann@example.com sourceless"), want: "acme 7/1, mapping_failed  7, mapping_failed  7/2", asked: true, heard: "words"},
		"what the mapping makes is too long":   {payload: unclaimed("long"), want: "mapping_failed acme " + strings.Repeat("x", maxAttribute+1), asked: true, heard: "words"},
	} {
		t.Run(name, func(t *testing.T) {
			decoder, err := NewDecoder(Config{Expected: []string{"/hr", "words", "quiet"}}, voids{})
			if err != nil {
				t.Fatal(err)
			}
			mapping := &words{}
			r := &Reader{Origin: "topic", Decoder: decoder, Mapper: mapping}
			if c.unmapped {
				r.Mapper = nil
			}
			p := c.payload
			p.Position, p.Fallback, p.Received = "topic/0/7", "7", time.Now().UTC()
			for range 2 { // what comes again comes to the same
				got, err := r.Read(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				if come := comesTo(t, p, got); come != c.want || got.Ignored != c.ignored || strings.Join(got.Heard, " ") != c.heard {
					t.Errorf("got %q, %d ignored, %q heard", come, got.Ignored, got.Heard)
				}
				if asked := slices.Contains(mapping.asked, string(p.Text)); asked != c.asked {
					t.Errorf("the mapping was given %q", mapping.asked)
				}
			}
		})
	}
}

// comesTo is what a payload came to, in a line. It checks what all of it has in common.
func comesTo(t *testing.T, p Payload, got Content) string {
	t.Helper()
	var all []string
	for _, e := range got.Events {
		all = append(all, e.Key.Source+" "+e.Key.ID)
		if e.Key.Origin != "topic" || e.Position != p.Position || !bytes.Equal(e.Payload, p.Text) || !e.ReceivedAt.Equal(p.Received) {
			t.Errorf("event %+v", e)
		}
	}
	for _, r := range got.Rejects {
		all = append(all, string(r.Reason)+" "+r.Key.Source+" "+r.Key.ID)
		if r.Key.Origin != "topic" || r.Position != p.Position || !bytes.Equal(r.Payload, p.Text) || r.ReceivedAt != p.Received || r.Detail == "" {
			t.Errorf("reject %+v", r)
		}
	}
	return strings.Join(all, ", ")
}

// What can't be told now leaves nothing, also of what could be.
func TestReaderIsToBeAskedAgain(t *testing.T) {
	decoder, err := NewDecoder(Config{}, voids{})
	if err != nil {
		t.Fatal(err)
	}
	r := &Reader{Decoder: decoder, Mapper: &words{}}
	for _, p := range []Payload{claimed(TypeTerminated, `{"employeeId":"away"}`), unclaimed("ann@example.com bob away"), unclaimed("later")} {
		got, err := r.Read(t.Context(), p)
		var unreadable *UnreadableError
		if err == nil || errors.As(err, &unreadable) || len(got.Events)+len(got.Rejects)+got.Ignored > 0 {
			t.Errorf("%s: got %+v, %v; want to be asked later", p.Text, got, err)
		}
	}
}

func TestContentAdds(t *testing.T) {
	one := Content{Events: []Event{{}}, Rejects: []Reject{{}}, Ignored: 2, Heard: []string{"a", "b"}}
	all := Content{Heard: []string{"b"}}
	all.Add(one)
	all.Add(one)
	if in := all.Intake(Kafka); in.Source != Kafka || len(in.Events) != 2 || len(in.Rejects) != 2 || all.Ignored != 4 || strings.Join(in.Heard, "") != "ba" {
		t.Errorf("got %+v", all)
	}
}
