package main

import (
	"context"
	"errors"
	"fmt"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/consumer/kafka"
	"signoff/consumer/webhook"
)

// replayer has rejects read anew by the way in by which they came.
type replayer struct {
	ledger  *ledger.Ledger
	kafka   *kafka.Source   // nil without kafka
	webhook *webhook.Server // nil without webhook
}

var _ console.Replayer = replayer{}

// originKeys are where the config names what rejects came by.
var originKeys = map[consumer.Source]string{consumer.Kafka: "kafka.topics", consumer.Webhook: "webhook.endpoints"}

// Replay implements console.Replayer.
func (p replayer) Replay(ctx context.Context, id int64, by string) (ledger.Reject, error) {
	r, err := p.ledger.FindReject(ctx, id)
	if err == nil {
		err = r.Replayable()
	}
	if err != nil {
		return ledger.Reject{}, err
	}
	got, err := p.reread(ctx, r)
	switch {
	case errors.Is(err, consumer.ErrOrigin):
		return ledger.Reject{}, fmt.Errorf("reject %d: %s: %s: %w", id, originKeys[r.Via], r.Key.Origin, console.ErrOrigin)
	case errors.Is(err, ledger.ErrGone):
		return ledger.Reject{}, fmt.Errorf("reject %d: %w", id, err)
	case err != nil:
		return ledger.Reject{}, fmt.Errorf("reject %d: %w; %w", id, err, console.ErrLater)
	}
	return p.ledger.ReplayReject(ctx, id, got.Events, got.Rejects, by)
}

// reread returns what a reject's payload comes to when it comes now.
func (p replayer) reread(ctx context.Context, r ledger.Reject) (consumer.Content, error) {
	stored := consumer.Reject{Key: r.Key, Position: r.Position, Payload: r.Payload, ReceivedAt: r.ReceivedAt, TraceParent: r.TraceParent}
	switch {
	case r.Via == consumer.Kafka && p.kafka != nil:
		return p.kafka.Reread(ctx, stored)
	case r.Via == consumer.Webhook && p.webhook != nil:
		return p.webhook.Reread(ctx, stored)
	case r.Via == consumer.CSV: // the whole file is read again by whoever brings it
		return consumer.Content{}, ledger.ErrGone
	}
	return consumer.Content{}, consumer.ErrOrigin
}
