package webhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// mode is one of the ways in which HTTP carries CloudEvents.
type mode int

const (
	unknown mode = iota
	binary
	structured
	batched
	mapped // no CloudEvent, by its head: for a mapping
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

// refusedMedia are the media types of what no mapping can read.
var refusedMedia = regexp.MustCompile(`^(application/x-www-form-urlencoded|multipart/.*|(text|application)/xml|` +
	`application/jwt|application/cloudevents.*|.*\+(xml|jwt))$`)

// modeAt is the mode of a request to an endpoint, unknown if it takes none such.
func (ep *endpoint) modeAt(h http.Header) mode {
	m := modeOf(h)
	if m != unknown || !ep.mapped {
		return m
	}
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";") // also of what is not well-formed
	if refusedMedia.MatchString(strings.ToLower(strings.TrimSpace(media))) {
		return unknown
	}
	return mapped
}

func (m mode) limit() int64 {
	if m == batched {
		return maxBatch
	}
	return maxBody
}

func decodeBinary(h http.Header, body []byte) (e event.Event, err error) {
	defer func() {
		if recover() != nil { // the SDK indexes what it has not measured
			e, err = event.Event{}, notAnEvent(malformed)
		}
	}()
	clean, err := decodeHeaders(h)
	if err != nil {
		return event.Event{}, err
	}
	m := cehttp.NewMessage(clean, io.NopCloser(bytes.NewReader(body)))
	if m.ReadEncoding() != binding.EncodingBinary {
		return event.Event{}, notAnEvent("ce-specversion: neither 1.0 nor 0.3")
	}
	read, err := binding.ToEvent(context.Background(), m)
	if err != nil {
		return event.Event{}, notAnEvent(malformed) // the SDK's text quotes the event
	}
	return *read, nil
}

const malformed = "a ce- header is not as CloudEvents asks, e.g. ce-time is no RFC 3339 date-time"

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
			return nil, notAnEvent("a ce- or content-type header for the second time")
		}
		value := values[0]
		if attribute {
			value = percentDecode(unquote(value))
		}
		if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			return nil, notAnEvent("a ce- or content-type header is not UTF-8 or has a control character")
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
