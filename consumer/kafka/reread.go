package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"signoff/consumer"
)

// Reread reads the payload of a reject anew, as its topic would read it now:
// with the types and the mapping that the config has by now. Position is the
// reject's own, and received the time at which the record first came, so that a
// reject which is still one is the same. An error means that there is no such
// topic in the config, or that the directory could not be asked: the reject
// stays as it is.
func (s *Source) Reread(ctx context.Context, topic, position string, payload []byte, received time.Time) (events []consumer.Event, rejects []consumer.Reject, ignored int, err error) {
	if !slices.Contains(s.cfg.TopicNames(), topic) {
		return nil, nil, 0, fmt.Errorf("kafka.topics: %q: not among them any more", topic)
	}
	partition, offset, err := parsePosition(topic, position)
	if err != nil {
		return nil, nil, 0, err
	}
	t := newTranslator(s.decoder, s.mappers[topic], consumer.Partition{Topic: topic, ID: partition})
	t.received = received
	got, err := t.understand(ctx, fromJSON(payload, false), offset)
	return got.events, got.rejects, got.ignored, err
}

// parsePosition reads topic/partition/offset.
func parsePosition(topic, position string) (partition int, offset int64, err error) {
	rest, ok := strings.CutPrefix(position, topic+"/")
	id, at, both := strings.Cut(rest, "/")
	partition, err1 := strconv.Atoi(id)
	offset, err2 := strconv.ParseInt(at, 10, 64)
	if !ok || !both || err1 != nil || err2 != nil || partition < 0 || offset < 0 {
		return 0, 0, fmt.Errorf("position %q: not %s/partition/offset", position, topic)
	}
	return partition, offset, nil
}
