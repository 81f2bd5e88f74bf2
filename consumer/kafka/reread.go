package kafka

import (
	"context"
	"slices"
	"strings"

	"signoff/consumer"
)

// Reread returns what a reject comes to if it is read as its topic is read now:
// with the types and the mapping that the config has by now. It records nothing.
// An error is consumer.ErrOrigin, or says that the directory could not be asked.
func (s *Source) Reread(ctx context.Context, r consumer.Reject) (consumer.Content, error) {
	topic := r.Key.Origin
	if !slices.Contains(s.cfg.TopicNames(), topic) {
		return consumer.Content{}, consumer.ErrOrigin
	}
	p := fromJSON(r.Payload, false)
	p.Position, p.Received, p.TraceParent = r.Position, r.ReceivedAt, r.TraceParent
	p.Fallback = strings.TrimPrefix(r.Position, topic+"/")
	return newTranslator(s.reading.Load(), consumer.Partition{Topic: topic}).Read(ctx, p)
}
