package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/segmentio/kafka-go/protocol"

	"signoff/consumer"
)

// mapper makes CloudEvents of payloads that are none of ours, as
// *mapping.Mapping does.
type mapper interface {
	Events(ctx context.Context, payload []byte, fallback string) ([]event.Event, error)
}

// mostTypes bounds the types that a translator remembers: producers choose
// them.
const mostTypes = 1024

// translator makes events and rejects of the records of one partition, by the
// CloudEvents binding for Kafka. It is not for use by several goroutines.
//
// What is a CloudEvent of one of our types says itself what it is; of all else,
// the topic's mapping makes what it can. What claims to be a CloudEvent, but of
// no type, goes to no mapping, which might see nothing in it: it may be ours.
type translator struct {
	decoder   Decoder
	mapper    mapper // nil: the topic has none
	partition consumer.Partition
	received  time.Time       // when the records came, by our clock
	types     map[string]bool // by CloudEvents type: is it ours?
}

func newTranslator(d Decoder, m mapper, p consumer.Partition) *translator {
	return &translator{decoder: d, mapper: m, partition: p, types: map[string]bool{}}
}

// content is what records come to.
type content struct {
	events  []consumer.Event
	rejects []consumer.Reject
	ignored int
}

func (c *content) add(more content) {
	c.events = append(c.events, more.events...)
	c.rejects = append(c.rejects, more.rejects...)
	c.ignored += more.ignored
}

// laterError says that a record can't be read now, and may be offered again.
type laterError struct{ error }

func (l *laterError) Unwrap() error { return l.error }

// take adds a record to what others came to, as events, rejects or one more
// that is ignored. Neither key nor value of what is ignored by its headers is
// read. After an error, which may be a *laterError, nothing was added.
//
// A record without a value is how a compacted topic is told to forget a key: it
// is ignored, unless its headers make it an event. That is then one without
// data, by the binding. One of ours names nobody and is a reject, since it says
// that somebody left; it takes nothing back either.
func (t *translator) take(ctx context.Context, all *content, r *protocol.Record) error {
	h := readHeaders(r.Headers)
	whole := h.structured()
	othersOnly := !whole && t.mapper == nil && len(h.ceType) > 0 && !t.ours(h.ceType)
	if othersOnly || r.Value == nil && !h.ce {
		all.ignored++
		return nil
	}
	value, err := protocol.ReadAll(r.Value)
	if err != nil {
		return err
	}
	var c cloudEvent
	switch {
	case whole:
		c = fromStructured(h.contentType, value)
	case h.ce:
		c = fromHeaders(r.Headers, h.contentType, value)
	default:
		c = fromJSON(value, false)
	}
	got, err := t.understand(ctx, c, r.Offset)
	if err != nil {
		return err
	}
	all.add(got)
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

// understand makes of a record what it comes to.
func (t *translator) understand(ctx context.Context, c cloudEvent, offset int64) (got content, err error) {
	switch {
	case c.claims && (c.nameless || t.ours([]byte(c.ceType))):
		err = t.settle(ctx, &got, c, offset, t.fallback(offset))
	case t.mapper != nil:
		err = t.mapped(ctx, &got, c.payload, offset)
	case c.claims:
		got.ignored = 1
	default:
		c.wrong = "not a CloudEvent: neither ce_ headers nor the content-type application/cloudevents+json, nor a specversion in it"
		err = t.settle(ctx, &got, c, offset, t.fallback(offset))
	}
	return got, err
}

// mapped adds what the topic's mapping makes of a payload. Each of several
// events is judged on its own; the whole payload is kept with each.
func (t *translator) mapped(ctx context.Context, got *content, payload []byte, offset int64) error {
	all, err := t.mapAll(ctx, payload, t.fallback(offset))
	if err != nil {
		return t.refuse(got, cloudEvent{payload: payload}, err, offset, t.fallback(offset))
	}
	if len(all) == 0 {
		got.ignored++
	}
	for i, e := range all {
		fallback := t.fallback(offset)
		if i > 0 {
			fallback = fmt.Sprintf("%s/%d", fallback, i)
		}
		c := cloudEvent{source: e.Source(), id: e.ID(), event: e, payload: payload}
		if err := t.settle(ctx, got, c, offset, fallback); err != nil {
			return err
		}
	}
	return nil
}

func (t *translator) mapAll(ctx context.Context, payload []byte, fallback string) (all []event.Event, err error) {
	defer func() {
		if recover() != nil {
			err = &consumer.UnreadableError{Reason: consumer.MappingFailed, Detail: "the mapping can't be applied"}
		}
	}()
	return t.mapper.Events(ctx, payload, fallback)
}

// settle adds a CloudEvent of ours: as an event, or as a reject.
func (t *translator) settle(ctx context.Context, got *content, c cloudEvent, offset int64, fallback string) error {
	e, err := t.decode(ctx, c)
	if err != nil {
		return t.refuse(got, c, err, offset, fallback)
	}
	e.Position, e.Payload = t.position(offset), c.payload
	got.events = append(got.events, e)
	return nil
}

// decode has the decoder read a CloudEvent. The SDK panics on some payloads,
// and a payload must not end the process.
func (t *translator) decode(ctx context.Context, c cloudEvent) (e consumer.Event, err error) {
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
	return t.decoder.Decode(ctx, c.event, t.partition.Topic, t.received)
}

// refuse adds a reject of what could not be understood, under the event's own
// key as far as that could be read. An error that is not the record's fault is
// returned as a *laterError.
func (t *translator) refuse(got *content, c cloudEvent, err error, offset int64, fallback string) error {
	u, ok := errors.AsType[*consumer.UnreadableError](err)
	if !ok {
		return &laterError{err}
	}
	key := consumer.Key{Origin: t.partition.Topic, Source: strings.ToValidUTF8(c.source, "�"), ID: strings.ToValidUTF8(c.id, "�")}
	if key.ID == "" {
		key.ID = fallback
	}
	got.rejects = append(got.rejects, consumer.Reject{
		Key:        key,
		Position:   t.position(offset),
		Reason:     u.Reason,
		Detail:     u.Detail,
		Payload:    c.payload,
		ReceivedAt: t.received,
	})
	return nil
}

// fallback is the id of what has none of its own.
func (t *translator) fallback(offset int64) string {
	return fmt.Sprintf("%d/%d", t.partition.ID, offset)
}

func (t *translator) position(offset int64) string {
	return fmt.Sprintf("%s/%d", name(t.partition), offset)
}
