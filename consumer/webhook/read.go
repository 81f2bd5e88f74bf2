package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"signoff/consumer"
)

// mapper is a mapping.Mapping, as far as it is called here.
type mapper interface {
	Events(ctx context.Context, payload []byte, fallback string) ([]event.Event, error)
}

// ErrNoEndpoint says that the config has no endpoint of this path.
var ErrNoEndpoint = errors.New("no endpoint of the config has this path")

// Reread understands the payload of a reject as a delivery to the endpoint of
// that path would be now: what is kept of a CloudEvent is its JSON format, of all
// else the body. It records nothing. An error is ErrNoEndpoint, or says that the
// directory could not be asked, and that the same may be tried again later.
func (s *Server) Reread(ctx context.Context, path string, payload []byte, received time.Time) (in consumer.Intake, ignored int, err error) {
	ep := s.endpoints[path]
	if ep == nil {
		return consumer.Intake{}, 0, fmt.Errorf("%s: %w", path, ErrNoEndpoint)
	}
	r := ep.reading(s.decoder, received)
	if ep.mapping == nil {
		err = r.structured(ctx, payload)
	} else {
		err = r.any(ctx, payload)
	}
	var unreadable *consumer.UnreadableError
	if errors.As(err, &unreadable) { // a sender would hear of it, and a reject has none
		r.reject(consumer.Key{}, unreadable, payload)
		err = nil
	}
	if err != nil {
		return consumer.Intake{}, 0, err
	}
	return r.in, r.ignored, nil
}

// reading is what is understood of one request to an endpoint.
type reading struct {
	path     string
	mapping  mapper // nil: there is none
	decoder  *consumer.Decoder
	received time.Time

	in      consumer.Intake
	ignored int // of those that are none of our business
}

func (ep *endpoint) reading(d *consumer.Decoder, received time.Time) *reading {
	return &reading{path: ep.path, mapping: ep.mapping, decoder: d, received: received, in: consumer.Intake{Source: consumer.Webhook}}
}

// structured takes one CloudEvent in the JSON format. An error is an
// *UnreadableError if it is none, and otherwise of the directory.
func (r *reading) structured(ctx context.Context, payload []byte) error {
	e, err := consumer.ParseStructured(payload)
	if err != nil {
		return err
	}
	return r.event(ctx, e, payload)
}

// any takes a body of whichever shape, for a mapping. What is not for it, like
// the "Ping test" by which some vendors try an endpoint, is ignored; what was
// meant to be JSON and is not becomes a reject, since sending it again would not
// mend it.
func (r *reading) any(ctx context.Context, payload []byte) error {
	text := bytes.TrimSpace(bytes.TrimPrefix(payload, []byte("\ufeff")))
	inBrackets := len(text) > 0 && (text[0] == '{' || text[0] == '[')
	switch plain := utf8.Valid(text) && bytes.IndexByte(text, 0) < 0; {
	case !inBrackets && plain:
		r.ignored++
		return nil
	case !plain:
		r.reject(consumer.Key{}, &consumer.UnreadableError{Reason: consumer.InvalidData, Detail: "the body: not UTF-8"}, payload)
		return nil
	case !json.Valid(text):
		r.reject(consumer.Key{}, &consumer.UnreadableError{Reason: consumer.InvalidData, Detail: "the body: not JSON"}, payload)
		return nil
	}
	if e, err := consumer.ParseStructured(text); err == nil && consumer.Validate(e) == nil {
		return r.event(ctx, e, text)
	}
	return r.mapped(ctx, text)
}

// event takes a CloudEvent; payload is its JSON format.
func (r *reading) event(ctx context.Context, e event.Event, payload []byte) error {
	if err := consumer.Validate(e); err != nil {
		return err
	}
	_, ours := r.decoder.Kind(e.Type())
	switch {
	case ours:
		return r.decode(ctx, e, payload)
	case r.mapping != nil:
		return r.mapped(ctx, payload)
	}
	r.ignored++
	return nil
}

// mapped takes what the mapping makes of a payload. What is wrong with one of
// its events is said of the whole, since that is what is kept and can be mapped
// again.
func (r *reading) mapped(ctx context.Context, payload []byte) error {
	fallback := r.fallbackID(payload)
	events, err := r.apply(ctx, payload, fallback)
	var unreadable *consumer.UnreadableError
	if errors.As(err, &unreadable) {
		r.reject(consumer.Key{}, unreadable, payload)
		return nil
	}
	if err != nil {
		return err
	}
	if len(events) == 0 {
		r.ignored++
	}
	for i, e := range events {
		err := r.decode(ctx, e, payload)
		if errors.As(err, &unreadable) { // no key to tell it by, as it is no event
			key := consumer.Key{ID: fallback}
			if i > 0 {
				key.ID += "/" + strconv.Itoa(i)
			}
			r.reject(key, &consumer.UnreadableError{Reason: consumer.MappingFailed, Detail: unreadable.Detail}, payload)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// apply has the mapping's panics be its failures: they must not come again with
// every attempt.
func (r *reading) apply(ctx context.Context, payload []byte, fallback string) (events []event.Event, err error) {
	defer func() {
		if recover() != nil {
			err = &consumer.UnreadableError{Reason: consumer.MappingFailed, Detail: "the mapping broke down on it"}
		}
	}()
	return r.mapping.Events(ctx, payload, fallback)
}

// decode takes an event of ours. An error is an *UnreadableError if it is no
// CloudEvent after all, and otherwise of the directory.
func (r *reading) decode(ctx context.Context, e event.Event, payload []byte) error {
	out, err := r.understand(ctx, e)
	var unreadable *consumer.UnreadableError
	switch {
	case err == nil:
		out.Payload = payload
		r.in.Events = append(r.in.Events, out)
		return nil
	case !errors.As(err, &unreadable) || unreadable.Reason == consumer.InvalidEvent:
		return err
	}
	r.reject(out.Key, unreadable, payload)
	return nil
}

func (r *reading) understand(ctx context.Context, e event.Event) (out consumer.Event, err error) {
	defer func() {
		if recover() != nil { // a payload that breaks the decoder must not be tried for ever
			out, err = consumer.Event{}, &consumer.UnreadableError{Reason: consumer.InvalidData, Detail: "the data broke the decoder"}
		}
	}()
	return r.decoder.Decode(ctx, e, r.path, r.received)
}

func (r *reading) reject(key consumer.Key, why *consumer.UnreadableError, payload []byte) {
	key.Origin = r.path
	if key.ID == "" {
		key.ID = r.fallbackID(payload)
	}
	r.in.Rejects = append(r.in.Rejects, consumer.Reject{
		Key: key, Reason: why.Reason, Detail: why.Detail, Payload: payload, ReceivedAt: r.received,
	})
}

// fallbackID is the id of what has none: the same for the same payload on the
// same day, UTC. Another day's is a new word: who was hired again and leaves again
// must not be taken for a delivery of long ago.
func (r *reading) fallbackID(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:]) + "/" + r.received.UTC().Format(time.DateOnly)
}
