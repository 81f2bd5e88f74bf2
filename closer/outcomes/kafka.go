package outcomes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// Writer is what the Kafka sink needs of a writer of its topic. WriteMessages
// writes in order, within each partition, and returns kafka.WriteErrors where
// some were not written.
type Writer interface {
	WriteMessages(ctx context.Context, messages ...kafka.Message) error
	Close() error
}

// writeTimeout is longer than the writer tries by itself: what it is cut off from
// may still arrive, after what is sent next.
const writeTimeout = time.Minute

// mostTogether is how many bytes are written together: as one batch for each
// partition, since of several the first may fail and the next be written.
const mostTogether = 512 << 10

type kafkaSink struct {
	topic  string
	writer Writer
}

// Kafka is the sink that writes events to a topic, in structured mode: a record
// is the whole event, whoever reads it and with whatever tool. Its key is the
// subject, so that what is said of one leaver stays in order.
func Kafka(topic string, w Writer) Sink { return kafkaSink{topic, w} }

// Send implements Sink.
func (s kafkaSink) Send(ctx context.Context, events []Event) (acknowledged int, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	messages := make([]kafka.Message, 0, len(events))
	size := 0
	for _, e := range events {
		if size += len(e.Body); size > mostTogether && len(messages) > 0 {
			break
		}
		messages = append(messages, kafka.Message{Key: []byte(e.Subject), Value: e.Body,
			Headers: headers(e)})
	}
	err = s.writer.WriteMessages(ctx, messages...)
	if err == nil {
		return len(messages), nil
	}
	// What was written after the first that was not is sent again with it: else
	// the others of its partition would come before it.
	var each kafka.WriteErrors
	if errors.As(err, &each) {
		for acknowledged < len(each) && each[acknowledged] == nil {
			acknowledged++
		}
		err = each[min(acknowledged, len(each)-1)]
	}
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		return acknowledged, fmt.Errorf("kafka.outcomes_topic: %s: no such topic, and signoff makes none: %w", s.topic, err)
	}
	return acknowledged, fmt.Errorf("kafka.outcomes_topic: %s: %w", s.topic, err)
}

// Close implements Sink.
func (s kafkaSink) Close() error { return s.writer.Close() }

func headers(e Event) []kafka.Header {
	all := []kafka.Header{{Key: "content-type", Value: []byte(contentType)}}
	if e.TraceParent != "" {
		all = append(all, kafka.Header{Key: traceParent, Value: []byte(e.TraceParent)})
	}
	return all
}
