package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"signoff/consumer"
)

// Reread returns what a reject comes to if it is read as a delivery to its endpoint
// would be now: what is kept of a CloudEvent is its JSON format, of all else the
// body. It records nothing. An error is consumer.ErrOrigin, or says that the
// directory could not be asked.
func (s *Server) Reread(ctx context.Context, r consumer.Reject) (consumer.Content, error) {
	ep := s.endpoints[r.Key.Origin]
	if ep == nil {
		return consumer.Content{}, consumer.ErrOrigin
	}
	into := ep.reading(s.reads.Load(), r.ReceivedAt)
	into.traceParent = r.TraceParent
	if !ep.mapped {
		return into.structured(ctx, r.Payload)
	}
	return into.any(ctx, r.Payload)
}

// reading reads one request to an endpoint.
type reading struct {
	consumer.Reader
	received    time.Time
	traceParent string // of the request
}

func (ep *endpoint) reading(by *understanding, received time.Time) *reading {
	return &reading{consumer.Reader{Origin: ep.path, Decoder: by.decoder, Mapper: by.mappers[ep.path]}, received, ""}
}

// read reads a request. An error is an *UnreadableError if what it holds is not
// what its head says, for the sender and quoting nothing of what it sent, and
// otherwise of the directory.
func (r *reading) read(ctx context.Context, m mode, h http.Header, body []byte) (got consumer.Content, err error) {
	r.traceParent = h.Get(consumer.TraceParent)
	switch m {
	case batched:
		return r.batch(ctx, body)
	case structured:
		got, err = r.structured(ctx, body)
	case mapped:
		got, err = r.any(ctx, body)
	default:
		e, wrong := decodeBinary(h, body)
		if wrong != nil {
			return got, wrong
		}
		got, err = r.event(ctx, consumer.Structured(e), e, consumer.Validate(e))
	}
	if err == nil {
		err = noEvent(got)
	}
	return got, err
}

func (r *reading) batch(ctx context.Context, body []byte) (all consumer.Content, err error) {
	items := json.NewDecoder(bytes.NewReader(body)) // one at a time: there may be very many that are none
	if open, err := items.Token(); err != nil || open != json.Delim('[') {
		return all, errNotAnArray
	}
	for i := 0; items.More(); i++ {
		var item json.RawMessage
		if items.Decode(&item) != nil {
			return all, errNotAnArray
		}
		got, err := r.structured(ctx, item)
		if err == nil {
			err = noEvent(got)
		}
		if wrong, ok := errors.AsType[*consumer.UnreadableError](err); ok {
			err = notAnEvent("event " + strconv.Itoa(i) + ": " + wrong.Detail)
		}
		if err != nil {
			return all, err
		}
		all.Add(got)
	}
	if _, err := items.Token(); err != nil {
		return all, errNotAnArray
	}
	if _, err := items.Token(); !errors.Is(err, io.EOF) {
		return all, errNotAnArray
	}
	return all, nil
}

var errNotAnArray = notAnEvent("not a JSON array")

// noEvent is what to tell the sender of something that claims to be a CloudEvent and
// is none.
func noEvent(got consumer.Content) error {
	for _, r := range got.Rejects {
		if r.Reason == consumer.InvalidEvent {
			return notAnEvent(r.Detail)
		}
	}
	return nil
}

func notAnEvent(detail string) error {
	return &consumer.UnreadableError{Reason: consumer.InvalidEvent, Detail: detail}
}

// structured reads what should be one CloudEvent in the JSON format.
func (r *reading) structured(ctx context.Context, text []byte) (consumer.Content, error) {
	e, err := parse(text)
	return r.event(ctx, text, e, err)
}

func parse(text []byte) (event.Event, error) {
	e, err := consumer.ParseStructured(text)
	if err == nil {
		err = consumer.Validate(e)
	}
	return e, err
}

// event reads a CloudEvent, or why it is none. text is its JSON format.
func (r *reading) event(ctx context.Context, text []byte, e event.Event, err error) (consumer.Content, error) {
	p := r.payload(text)
	p.Event = func() (event.Event, error) { return e, err }
	if err == nil {
		p.Type, p.Source, p.ID = e.Type(), e.Source(), e.ID()
	}
	return r.Read(ctx, p)
}

// any reads a body of whichever shape, for a mapping. What is not for it, like
// the "Ping test" by which some vendors try an endpoint, is ignored; what was
// meant to be JSON and is not becomes a reject, since sending it again would not
// mend it.
func (r *reading) any(ctx context.Context, body []byte) (consumer.Content, error) {
	text := bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	inBrackets := len(text) > 0 && (text[0] == '{' || text[0] == '[')
	switch plain := utf8.Valid(text) && bytes.IndexByte(text, 0) < 0; {
	case !inBrackets && plain:
		return consumer.Content{Ignored: 1}, nil
	case !plain:
		return r.event(ctx, body, event.Event{}, &consumer.UnreadableError{Reason: consumer.InvalidData, Detail: "the body: not UTF-8"})
	case !json.Valid(text):
		return r.event(ctx, body, event.Event{}, &consumer.UnreadableError{Reason: consumer.InvalidData, Detail: "the body: not JSON"})
	}
	if e, err := parse(text); err == nil {
		return r.event(ctx, text, e, nil)
	}
	return r.Read(ctx, r.payload(text))
}

// payload has for its id, if it has none, what is the same for the same text on the
// same day, UTC. Another day's is a new word: who was hired again and leaves again
// must not be taken for a delivery of long ago.
func (r *reading) payload(text []byte) consumer.Payload {
	sum := sha256.Sum256(text)
	return consumer.Payload{Text: text, Received: r.received, TraceParent: r.traceParent, Fallback: hex.EncodeToString(sum[:]) + "/" + r.received.UTC().Format(time.DateOnly)}
}
