package kafka

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/segmentio/kafka-go/protocol"

	"signoff/consumer"
)

// headers is what the headers say of how a record is to be read. The last of
// several headers of a name counts.
type headers struct {
	contentType []byte
	ceType      []byte
	ceSource    []byte
	traceParent []byte
	ce          bool // there are attributes of a CloudEvent
}

// The binding's headers. Producers disagree about upper and lower case.
const (
	contentType = "content-type"
	prefix      = "ce_"
	structured  = "application/cloudevents"
)

func readHeaders(all []protocol.Header) (h headers) {
	for i := range all {
		switch key := all[i].Key; {
		case len(key) == len(contentType) && strings.EqualFold(key, contentType):
			h.contentType = all[i].Value
		case len(key) == len(consumer.TraceParent) && strings.EqualFold(key, consumer.TraceParent):
			h.traceParent = all[i].Value
		case isAttribute(key):
			h.ce = true
			switch name := key[len(prefix):]; {
			case strings.EqualFold(name, "type"):
				h.ceType = all[i].Value
			case strings.EqualFold(name, "source"):
				h.ceSource = all[i].Value
			}
		}
	}
	return h
}

func isAttribute(key string) bool {
	return len(key) > len(prefix) && strings.EqualFold(key[:len(prefix)], prefix)
}

func (h headers) structured() bool {
	t := bytes.TrimSpace(h.contentType)
	return len(t) >= len(structured) && bytes.EqualFold(t[:len(structured)], []byte(structured))
}

// fromStructured reads an event whose content-type says that it is one in
// structured mode. JSON that says so itself is read whatever the format is said to
// be: so it is read anew, too, when the content-type is known no more.
func fromStructured(mediaType, value []byte) consumer.Payload {
	media, _, _ := bytes.Cut(mediaType, []byte(";"))
	if bytes.EqualFold(bytes.TrimSpace(media), []byte(event.ApplicationCloudEventsJSON)) {
		return fromJSON(value, true)
	}
	p := fromJSON(value, false)
	if p.Event == nil {
		p.Event = wrong("content-type: of the CloudEvents formats, only application/cloudevents+json is understood")
	}
	return p
}

// wrong is an event that is none. What is said to be wrong with it quotes nothing
// of the record, which may be personal.
func wrong(detail string) func() (event.Event, error) {
	return func() (event.Event, error) {
		return event.Event{}, &consumer.UnreadableError{Reason: consumer.InvalidEvent, Detail: detail}
	}
}

// fromJSON reads of an event in structured mode only what tells whether it is
// ours, and which it is. Of a payload that nobody said to be one, a member
// specversion says so: many producers leave the content-type out.
func fromJSON(value []byte, claims bool) consumer.Payload {
	p := consumer.Payload{Text: value, Event: func() (event.Event, error) { return consumer.ParseStructured(value) }}
	types := 0
	whole := eachMember(value, func(key string, member json.RawMessage) {
		switch key {
		case "specversion":
			claims = true
		case "type":
			types++
			p.Type = text(member)
		case "source":
			p.Source = text(member)
		case "id":
			p.ID = text(member)
		}
	})
	switch {
	case !claims: // and its type or id may mean anything
		return consumer.Payload{Text: value}
	case !whole:
		p.Type, p.Event = "", wrong("not a JSON object")
	case types != 1 || p.Type == "": // or readers would differ about it
		p.Type, p.Event = "", wrong("type: not given once, as a string")
	}
	return p
}

// eachMember calls what for the members of a JSON object, as far as it can be
// read, and says whether that was all of it.
func eachMember(value []byte, what func(key string, member json.RawMessage)) bool {
	dec := json.NewDecoder(bytes.NewReader(value))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return false
	}
	for dec.More() {
		key, err := dec.Token()
		name, ok := key.(string)
		var member json.RawMessage
		if err != nil || !ok || dec.Decode(&member) != nil {
			return false
		}
		what(name, member)
	}
	_, err := dec.Token()
	return err == nil
}

// text is a JSON string's content, "" for any other value.
func text(value json.RawMessage) (s string) {
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// fromHeaders reads an event in binary mode.
func fromHeaders(all []protocol.Header, mediaType, value []byte) consumer.Payload {
	attributes := map[string]string{}
	for _, h := range all {
		if isAttribute(h.Key) {
			attributes[strings.ToLower(h.Key[len(prefix):])] = string(h.Value)
		}
	}
	if mediaType != nil {
		attributes["datacontenttype"] = string(mediaType)
	}
	p := consumer.Payload{Text: formatJSON(attributes, value), Type: attributes["type"], Source: attributes["source"], ID: attributes["id"]}
	version := spec.VS.Version(attributes["specversion"])
	switch {
	case p.Type == "":
		p.Event = wrong("ce_type: missing")
		return p
	case version == nil:
		p.Event = wrong("ce_specversion: neither 1.0 nor 0.3")
		return p
	}
	e := event.Event{Context: version.NewContext()}
	for _, attribute := range slices.Sorted(maps.Keys(attributes)) {
		v := attributes[attribute]
		if utf8.ValidString(v) && !isData(attribute) && version.SetAttribute(e.Context, attribute, v) == nil {
			continue
		}
		p.Event = wrong("a header that begins with ce_: not valid")
		if version.Attribute(attribute) != nil { // not a name that the producer made up
			p.Event = wrong(prefix + attribute + ": not valid")
		}
		return p
	}
	if len(value) > 0 {
		e.DataEncoded = value
	}
	p.Event = func() (event.Event, error) { return e, nil }
	return p
}

// isData says whether an attribute's name is one that the JSON format has for the data.
func isData(name string) bool { return name == "data" || name == "data_base64" }

// formatJSON writes what came in binary mode in the JSON format, from which it
// is understood again: the value alone would not be. It leaves out nothing of
// what is no CloudEvent, and mends nothing, so that this is refused again.
func formatJSON(attributes map[string]string, value []byte) []byte {
	b := append([]byte(`{"specversion":`), quote(attributes["specversion"])...)
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if name != "specversion" {
			b = append(append(append(append(b, ','), quote(name)...), ':'), quote(attributes[name])...)
		}
	}
	trimmed := bytes.TrimSpace(value)
	switch {
	case len(value) == 0:
	case len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && utf8.Valid(value) && json.Valid(value):
		b = append(append(b, `,"data":`...), trimmed...)
	default:
		b = append(append(b, `,"data_base64":"`...), base64.StdEncoding.EncodeToString(value)...)
		b = append(b, '"')
	}
	return append(b, '}')
}

// quote writes a JSON string. What is not UTF-8 stays so.
func quote(s string) []byte {
	b := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
