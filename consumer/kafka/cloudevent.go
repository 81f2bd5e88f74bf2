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
)

// cloudEvent is a record read as a CloudEvent, or what is wrong with it. What
// is said to be wrong quotes nothing of the record, which may be personal.
type cloudEvent struct {
	claims             bool        // it says that it is one
	nameless           bool        // and not of which type, or in a way that readers would differ about
	ceType, source, id string      // as far as they could be read; "" of what does not claim to be one
	event              event.Event // in binary mode
	whole              []byte      // in structured mode: the event, still to be parsed
	payload            []byte      // what is kept of it, and what a mapping is given
	wrong              string
}

// headers is what the headers say of how a record is to be read. The last of
// several headers of a name counts.
type headers struct {
	contentType []byte
	ceType      []byte
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
		case isAttribute(key):
			h.ce = true
			if strings.EqualFold(key[len(prefix):], "type") {
				h.ceType = all[i].Value
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
// structured mode.
func fromStructured(mediaType, value []byte) cloudEvent {
	media, _, _ := bytes.Cut(mediaType, []byte(";"))
	if bytes.EqualFold(bytes.TrimSpace(media), []byte(event.ApplicationCloudEventsJSON)) {
		return fromJSON(value, true)
	}
	return cloudEvent{claims: true, nameless: true, payload: value,
		wrong: "content-type: of the CloudEvents formats, only application/cloudevents+json is understood"}
}

// fromJSON reads of an event in structured mode only what tells whether it is
// ours, and which it is. Of a payload that nobody said to be one, a member
// specversion says so: many producers leave the content-type out.
func fromJSON(value []byte, claims bool) cloudEvent {
	c := cloudEvent{claims: claims, whole: value, payload: value}
	types := 0
	whole := eachMember(value, func(key string, member json.RawMessage) {
		switch key {
		case "specversion":
			c.claims = true
		case "type":
			types++
			c.ceType = text(member)
		case "source":
			c.source = text(member)
		case "id":
			c.id = text(member)
		}
	})
	switch {
	case !c.claims: // and its type or id may mean anything
		return cloudEvent{payload: value}
	case !whole:
		c.nameless, c.wrong = true, "not a JSON object"
	case types != 1 || c.ceType == "":
		c.nameless, c.wrong = true, "type: not given once, as a string"
	}
	return c
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
func fromHeaders(all []protocol.Header, mediaType, value []byte) cloudEvent {
	attributes := map[string]string{}
	for _, h := range all {
		if isAttribute(h.Key) {
			attributes[strings.ToLower(h.Key[len(prefix):])] = string(h.Value)
		}
	}
	if mediaType != nil {
		attributes["datacontenttype"] = string(mediaType)
	}
	c := cloudEvent{claims: true, ceType: attributes["type"], source: attributes["source"], id: attributes["id"],
		payload: formatJSON(attributes, value)}
	version := spec.VS.Version(attributes["specversion"])
	switch {
	case c.ceType == "":
		c.nameless, c.wrong = true, "ce_type: missing"
		return c
	case version == nil:
		c.wrong = "ce_specversion: neither 1.0 nor 0.3"
		return c
	}
	c.event.Context = version.NewContext()
	for _, attribute := range slices.Sorted(maps.Keys(attributes)) {
		v := attributes[attribute]
		if utf8.ValidString(v) && !isData(attribute) && version.SetAttribute(c.event.Context, attribute, v) == nil {
			continue
		}
		c.wrong = "a header that begins with ce_: not valid"
		if version.Attribute(attribute) != nil { // not a name that the producer made up
			c.wrong = prefix + attribute + ": not valid"
		}
		return c
	}
	if len(value) > 0 {
		c.event.DataEncoded = value
	}
	return c
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
