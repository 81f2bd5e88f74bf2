package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/segmentio/kafka-go/protocol"

	"signoff/consumer"
)

// mostTypes bounds the types that a translator remembers: producers choose
// them.
const mostTypes = 1024

// translator makes events and rejects of the records of one partition, by the
// CloudEvents binding for Kafka. It is not for use by several goroutines.
type translator struct {
	decoder   Decoder
	partition consumer.Partition
	received  time.Time       // when the records came, by our clock
	types     map[string]bool // by CloudEvents type: is it ours?
}

func newTranslator(d Decoder, p consumer.Partition) *translator {
	return &translator{decoder: d, partition: p, types: map[string]bool{}}
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

// take adds a record to a batch, as an event, a reject or one more that is
// ignored. Neither key nor value of what is ignored by its headers is read.
func (t *translator) take(b *batch, r *protocol.Record) error {
	h := readHeaders(r.Headers)
	whole := h.structured()
	if !whole && (len(h.ceType) > 0 && !t.ours(h.ceType) || !h.ce && r.Value == nil) {
		b.ignored++
		return nil
	}
	value, err := protocol.ReadAll(r.Value)
	if err != nil {
		return err
	}
	var c cloudEvent
	switch {
	case whole:
		c = fromJSON(h.contentType, value)
		if c.wrong == "" && !t.ours([]byte(c.ceType)) {
			b.ignored++
			return nil
		}
	case h.ce:
		c = fromHeaders(r.Headers, h.contentType, value)
	default:
		c.wrong = "not a CloudEvent: neither ce_ headers nor the content-type application/cloudevents+json"
	}
	e, err := t.decode(c)
	if err == nil {
		e.Position, e.Payload = t.position(r.Offset), value
		b.events = append(b.events, e)
		return nil
	}
	b.rejects = append(b.rejects, t.reject(c, err, r.Offset, value))
	return nil
}

// ours says whether a CloudEvents type is one of ours.
func (t *translator) ours(ceType []byte) bool {
	ours, ok := t.types[string(ceType)]
	if !ok {
		if len(t.types) >= mostTypes {
			clear(t.types)
		}
		_, ours = t.decoder.Kind(string(ceType))
		t.types[string(ceType)] = ours
	}
	return ours
}

// decode has the decoder read a CloudEvent. The SDK panics on some payloads,
// and a payload must not end the process.
func (t *translator) decode(c cloudEvent) (e consumer.Event, err error) {
	defer func() {
		if recover() != nil {
			err = &consumer.UnreadableError{Reason: consumer.InvalidEvent, Detail: "the event can't be decoded"}
		}
	}()
	if c.wrong != "" {
		return e, &consumer.UnreadableError{Reason: consumer.InvalidEvent, Detail: c.wrong}
	}
	if c.whole != nil {
		if c.event, err = consumer.ParseStructured(c.whole); err != nil {
			return e, err
		}
	}
	return t.decoder.Decode(context.TODO(), c.event, t.partition.Topic, t.received)
}

// reject keeps what could not be understood, under the event's own key as far
// as that could be read.
func (t *translator) reject(c cloudEvent, err error, offset int64, value []byte) consumer.Reject {
	key := consumer.Key{Origin: t.partition.Topic, Source: strings.ToValidUTF8(c.source, "�"), ID: strings.ToValidUTF8(c.id, "�")}
	if key.ID == "" {
		key.ID = fmt.Sprintf("%d/%d", t.partition.ID, offset)
	}
	r := consumer.Reject{
		Key:        key,
		Position:   t.position(offset),
		Reason:     consumer.InvalidEvent,
		Detail:     "the event can't be decoded",
		Payload:    value,
		ReceivedAt: t.received,
	}
	if u, ok := errors.AsType[*consumer.UnreadableError](err); ok {
		r.Reason, r.Detail = u.Reason, u.Detail
	}
	return r
}

func (t *translator) position(offset int64) string {
	return fmt.Sprintf("%s/%d", name(t.partition), offset)
}

// cloudEvent is a record read as a CloudEvent, or what is wrong with it. What
// is said to be wrong quotes nothing of the record, which may be personal.
type cloudEvent struct {
	ceType, source, id string      // as far as they could be read
	event              event.Event // in binary mode
	whole              []byte      // in structured mode: the event, still to be parsed
	wrong              string
}

// fromJSON reads of an event in structured mode only what tells whether it is
// ours, and which it is.
func fromJSON(mediaType, value []byte) (c cloudEvent) {
	media, _, _ := bytes.Cut(mediaType, []byte(";"))
	if !bytes.EqualFold(bytes.TrimSpace(media), []byte(event.ApplicationCloudEventsJSON)) {
		c.wrong = "content-type: of the CloudEvents formats, only application/cloudevents+json is understood"
		return c
	}
	c.whole = value
	dec := json.NewDecoder(bytes.NewReader(value))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		c.wrong = "not a JSON object"
		return c
	}
	types := 0
	for dec.More() {
		key, err := dec.Token()
		var member json.RawMessage
		if err != nil || dec.Decode(&member) != nil {
			c.wrong = "not a JSON object"
			return c
		}
		switch key {
		case "type":
			types++
			c.ceType = text(member)
		case "source":
			c.source = text(member)
		case "id":
			c.id = text(member)
		}
	}
	if types != 1 || c.ceType == "" { // given twice, readers would differ about whose it is
		c.wrong = "type: not given once, as a string"
	}
	return c
}

// text is a JSON string's content, "" for any other value.
func text(value json.RawMessage) (s string) {
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// fromHeaders reads an event in binary mode.
func fromHeaders(all []protocol.Header, mediaType, value []byte) (c cloudEvent) {
	attributes := map[string]string{}
	for _, h := range all {
		if isAttribute(h.Key) {
			attributes[strings.ToLower(h.Key[len(prefix):])] = string(h.Value)
		}
	}
	c.ceType, c.source, c.id = attributes["type"], attributes["source"], attributes["id"]
	version := spec.VS.Version(attributes["specversion"])
	switch {
	case c.ceType == "":
		c.wrong = "ce_type: missing"
	case version == nil:
		c.wrong = "ce_specversion: neither 1.0 nor 0.3"
	}
	if c.wrong != "" {
		return c
	}
	if mediaType != nil {
		attributes["datacontenttype"] = string(mediaType)
	}
	c.event.Context = version.NewContext()
	for _, attribute := range slices.Sorted(maps.Keys(attributes)) {
		v := attributes[attribute]
		if utf8.ValidString(v) && version.SetAttribute(c.event.Context, attribute, v) == nil {
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
