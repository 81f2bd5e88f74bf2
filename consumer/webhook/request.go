package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"signoff/consumer"
)

// mode is one of the ways in which HTTP carries CloudEvents.
type mode int

const (
	unknown mode = iota
	binary
	structured
	batched
)

const (
	maxBody  = 256 << 10 // bytes of a single event
	maxBatch = 1 << 20   // bytes of a batch
)

// modeOf asks the media type first, as the binding has it. The SDK takes only
// a known ce-specversion for binary mode, and a charset hides a batch from it.
func modeOf(h http.Header) mode {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		media = ""
	}
	switch {
	case media == event.ApplicationCloudEventsBatchJSON:
		return batched
	case media == event.ApplicationCloudEventsJSON:
		return structured
	case strings.HasPrefix(media, "application/cloudevents"): // a format we don't know
		return unknown
	}
	for _, name := range []string{"Ce-Specversion", "Ce-Id", "Ce-Type", "Ce-Source"} {
		if h[name] != nil {
			return binary
		}
	}
	return unknown
}

func (m mode) limit() int64 {
	if m == batched {
		return maxBatch
	}
	return maxBody
}

// received is a CloudEvent and what to keep of it if it must become a reject.
type received struct {
	event   event.Event
	payload []byte
}

// decode reads the events of a request; they are not validated. The error is
// for the sender and quotes nothing of what it sent.
func (m mode) decode(h http.Header, body []byte) ([]received, error) {
	switch m {
	case batched:
		return decodeBatch(body)
	case structured:
		e, err := consumer.ParseStructured(body)
		return []received{{e, body}}, err
	default:
		e, err := decodeBinary(h, body)
		return []received{{e, consumer.Structured(e)}}, err
	}
}

func decodeBatch(body []byte) ([]received, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil || items == nil {
		return nil, errors.New("not a JSON array")
	}
	events := make([]received, len(items))
	for i, item := range items {
		e, err := consumer.ParseStructured(item)
		if err != nil {
			return nil, atIndex(i, err)
		}
		events[i] = received{e, item}
	}
	return events, nil
}

// atIndex names the event of a batch that an error is about, from 0 on.
func atIndex(i int, err error) error {
	return errors.New("event " + strconv.Itoa(i) + ": " + detail(err))
}

// detail is the text of an *UnreadableError without its reason, a word of ours.
func detail(err error) string {
	var u *consumer.UnreadableError
	if errors.As(err, &u) {
		return u.Detail
	}
	return err.Error()
}

func decodeBinary(h http.Header, body []byte) (e event.Event, err error) {
	defer func() {
		if recover() != nil { // the SDK indexes what it has not measured
			e, err = event.Event{}, errMalformed
		}
	}()
	clean, err := decodeHeaders(h)
	if err != nil {
		return event.Event{}, err
	}
	m := cehttp.NewMessage(clean, io.NopCloser(bytes.NewReader(body)))
	if m.ReadEncoding() != binding.EncodingBinary {
		return event.Event{}, errors.New("ce-specversion: neither 1.0 nor 0.3")
	}
	read, err := binding.ToEvent(context.Background(), m)
	if err != nil {
		return event.Event{}, errMalformed // its own text quotes the event
	}
	return *read, nil
}

var errMalformed = errors.New("a ce- header is not as CloudEvents asks, e.g. ce-time is no RFC 3339 date-time")

// decodeHeaders returns the headers that make up an event, unquoted and
// percent-decoded, which the SDK does not do.
func decodeHeaders(h http.Header) (http.Header, error) {
	clean := make(http.Header)
	for name, values := range h {
		attribute := strings.HasPrefix(name, "Ce-")
		if !attribute && name != "Content-Type" {
			continue
		}
		if len(values) > 1 {
			return nil, errors.New("a ce- or content-type header for the second time")
		}
		value := values[0]
		if attribute {
			value = percentDecode(unquote(value))
		}
		if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			return nil, errors.New("a ce- or content-type header is not UTF-8 or has a control character")
		}
		clean[name] = []string{value}
	}
	return clean, nil
}

// unquote takes the quotes off a quoted string of RFC 9110.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// percentDecode leaves a % alone that no two hex digits follow: many senders
// do not encode at all.
func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
