package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"signoff/consumer"
)

// mostTypes bounds the types that a translator remembers: producers choose
// them.
const mostTypes = 1024

// translator makes events and rejects of the records of one partition, by the
// CloudEvents binding for Kafka. It is not for use by several goroutines.
type translator struct {
	consumer.Reader
	partition int
	received  time.Time       // when the records came, by our clock
	types     map[string]bool // by CloudEvents type: is it ours?
	by        *understanding
}

func newTranslator(by *understanding, p consumer.Partition) *translator {
	return &translator{Reader: consumer.Reader{Origin: p.Topic, Decoder: by.decoder, Mapper: by.mappers[p.Topic]},
		by: by, partition: p.ID, types: map[string]bool{}}
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
func (t *translator) take(ctx context.Context, all *consumer.Content, r *protocol.Record) error {
	h := readHeaders(r.Headers)
	whole := h.structured()
	othersOnly := !whole && t.Mapper == nil && len(h.ceType) > 0 && !t.ours(h.ceType)
	if othersOnly || r.Value == nil && !h.ce {
		t.Ignore(all, h.ceSource)
		return nil
	}
	value, err := protocol.ReadAll(r.Value)
	if err != nil {
		return err
	}
	var p consumer.Payload
	switch {
	case whole:
		p = fromStructured(h.contentType, value)
	case h.ce:
		p = fromHeaders(r.Headers, h.contentType, value)
	default:
		p = fromJSON(value, false)
	}
	p.TraceParent = string(h.traceParent)
	got, err := t.understand(ctx, p, r.Offset)
	if err != nil {
		return &laterError{err}
	}
	all.Add(got)
	return nil
}

// ours says whether a CloudEvents type is one of ours.
func (t *translator) ours(ceType []byte) bool {
	ours, ok := t.types[string(ceType)]
	if !ok {
		if len(t.types) >= mostTypes {
			clear(t.types)
		}
		_, ours = t.Decoder.Kind(string(ceType))
		t.types[string(ceType)] = ours
	}
	return ours
}

// understand returns what a record comes to.
func (t *translator) understand(ctx context.Context, p consumer.Payload, offset int64) (consumer.Content, error) {
	p.Received = t.received
	p.Fallback = fmt.Sprintf("%d/%d", t.partition, offset)
	p.Position = t.Origin + "/" + p.Fallback
	return t.Read(ctx, p)
}
