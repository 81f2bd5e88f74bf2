package consumer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// ErrOrigin refuses to read anew what came by a topic or an endpoint that the
// config does not name any more: how it was to be read is not known.
var ErrOrigin = errors.New("the config does not name it any more")

// Mapper makes CloudEvents of payloads that are none of ours, as *mapping.Mapping
// does. It is called from many goroutines.
type Mapper interface {
	// Name is the source of the events to which it gives no other.
	Name() string

	// Events returns none if the payload is no concern of ours. Events without an id
	// of their own get fallback. An error is an *UnreadableError, or else says that
	// the same payload may be offered again later.
	Events(ctx context.Context, payload []byte, fallback string) ([]event.Event, error)
}

// Reader reads what comes by one topic or endpoint. What is a CloudEvent of one of
// our types says itself what it is; of all else, the mapping makes what it can.
type Reader struct {
	Origin  string // topic, or path of the endpoint
	Decoder *Decoder
	Mapper  Mapper // nil: there is none
}

// Payload is one thing that came in.
type Payload struct {
	Text     []byte    // as it is kept and given to a mapping: of a CloudEvent, the JSON format
	Position string    // "topic/partition/offset" in Kafka, else ""
	Fallback string    // id of what has none
	Received time.Time // by our clock; of what is read anew, as it was then

	TraceParent string // the trace context of what carried it, as it came; "" for none

	// Event parses the CloudEvent that it claims to be; nil: it claims nothing. An
	// error is an *UnreadableError.
	Event func() (event.Event, error)

	// What is known of the event without parsing it. What claims to be one, but of
	// no type, goes to no mapping, which might see nothing in it: it may be ours.
	Type, Source, ID string
}

// Content is what payloads come to.
type Content struct {
	Events  []Event
	Rejects []Reject
	Ignored int      // how many of them are none of our business
	Heard   []string // expected sources that something came from, besides those of Events and Rejects
}

// Add puts more behind what there is.
func (c *Content) Add(more Content) {
	c.Events = append(c.Events, more.Events...)
	c.Rejects = append(c.Rejects, more.Rejects...)
	c.Ignored += more.Ignored
	for _, source := range more.Heard {
		if !slices.Contains(c.Heard, source) {
			c.Heard = append(c.Heard, source)
		}
	}
}

// Intake is what there is to record of it.
func (c *Content) Intake(via Source) Intake {
	return Intake{Source: via, Events: c.Events, Rejects: c.Rejects, Heard: c.Heard}
}

// Read returns what a payload comes to. An error says that this can't be told now,
// and that the same payload may be offered again later.
func (r *Reader) Read(ctx context.Context, p Payload) (Content, error) {
	var got Content
	var err error
	claims := p.Event != nil
	_, ours := r.Decoder.Kind(p.Type)
	switch {
	case claims && (ours || p.Type == ""):
		out, wrong := r.decode(ctx, p)
		err = r.settle(&got, p, out, wrong)
	case r.Mapper != nil:
		err = r.mapped(ctx, &got, p)
	case claims:
		r.Ignore(&got, []byte(p.Source))
	default:
		err = r.settle(&got, p, Event{}, invalidEvent("not a CloudEvent, nor said to be one, and there is no mapping for anything else"))
	}
	if err != nil {
		return Content{}, err
	}
	return got, nil
}

// Ignore counts what is none of our business, and notes the source that it came
// from, if that is an expected one. It is meant to be called for every record of
// a topic.
func (r *Reader) Ignore(got *Content, source []byte) {
	got.Ignored++
	r.hear(got, source)
}

func (r *Reader) hear(got *Content, source []byte) {
	if name, ok := r.Decoder.expected[string(bytes.TrimSpace(source))]; ok && !slices.Contains(got.Heard, name) {
		got.Heard = append(got.Heard, name)
	}
}

// mapped adds what the mapping makes of a payload. Each of its events is judged on
// its own; the whole payload is kept with each, since that can be mapped again.
func (r *Reader) mapped(ctx context.Context, got *Content, p Payload) error {
	r.hear(got, []byte(r.Mapper.Name()))
	r.hear(got, []byte(p.Source))
	p.Source, p.ID = "", "" // of the whole, which is another thing than what is in it
	all, err := r.apply(ctx, p)
	if err != nil {
		return r.settle(got, p, Event{}, err)
	}
	if len(all) == 0 {
		got.Ignored++
	}
	for i, e := range all {
		one := p
		one.Source, one.ID, one.Event = e.Source(), e.ID(), func() (event.Event, error) { return e, nil }
		if i > 0 {
			one.Fallback = fmt.Sprintf("%s/%d", p.Fallback, i)
		}
		out, err := r.decode(ctx, one)
		if wrong, ok := errors.AsType[*UnreadableError](err); ok && wrong.Reason == InvalidEvent {
			err = &UnreadableError{MappingFailed, wrong.Detail} // nobody sent that, the mapping made it
		}
		if err := r.settle(got, one, out, err); err != nil {
			return err
		}
	}
	return nil
}

// apply has the mapping's panics be its failures: they must not come again with
// every attempt.
func (r *Reader) apply(ctx context.Context, p Payload) (all []event.Event, err error) {
	defer func() {
		if recover() != nil {
			err = &UnreadableError{MappingFailed, "the mapping broke down on it"}
		}
	}()
	return r.Mapper.Events(ctx, p.Text, p.Fallback)
}

// decode likewise: the SDK panics on some payloads.
func (r *Reader) decode(ctx context.Context, p Payload) (out Event, err error) {
	defer func() {
		if recover() != nil {
			out, err = Event{}, invalidData("the data broke the decoder")
		}
	}()
	e, err := p.Event()
	if err != nil {
		return Event{}, err
	}
	out, err = r.Decoder.Decode(ctx, e, r.Origin, p.Received)
	out.TraceParent = traceOf(e, p.TraceParent)
	return out, err
}

// settle adds an event or, if it was not understood, a reject under the event's own
// key, as far as that could be read. It returns an error that is not the payload's
// fault.
func (r *Reader) settle(got *Content, p Payload, out Event, err error) error {
	if err == nil {
		out.Position, out.Payload = p.Position, p.Text
		got.Events = append(got.Events, out)
		return nil
	}
	wrong, ok := errors.AsType[*UnreadableError](err)
	if !ok {
		return err
	}
	key := out.Key
	if key == (Key{}) {
		key = Key{Origin: r.Origin, Source: attribute(p.Source), ID: attribute(p.ID)}
	}
	if key.ID == "" {
		key.ID = p.Fallback
	}
	got.Rejects = append(got.Rejects, Reject{
		Key: key, Position: p.Position, Reason: wrong.Reason, Detail: wrong.Detail, Payload: p.Text, ReceivedAt: p.Received,
		TraceParent: cmp.Or(out.TraceParent, parseTraceParent(p.TraceParent)),
	})
	return nil
}

// attribute is one that may be anything, as far as a key can hold it.
func attribute(s string) string { return strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD")) }
