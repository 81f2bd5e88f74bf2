package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/consumer/webhook"
)

// replayer replays rejects by the config as it is now.
type replayer struct {
	cfg     config
	ledger  *ledger.Ledger
	decoder *consumer.Decoder
}

var _ console.Replayer = replayer{}

// Replay implements console.Replayer.
func (p replayer) Replay(ctx context.Context, id int64, by string) (ledger.Reject, error) {
	r, err := p.ledger.FindReject(ctx, id)
	if err == nil {
		err = r.Replayable()
	}
	if err == nil {
		err = p.known(r)
	}
	if err != nil {
		return ledger.Reject{}, err
	}
	events, rejects, err := p.reread(ctx, r)
	if err != nil {
		return ledger.Reject{}, fmt.Errorf("reject %d: %w; %w", id, err, console.ErrLater)
	}
	return p.ledger.ReplayReject(ctx, id, events, rejects, by)
}

// known refuses what came by a topic or an endpoint that there is no more.
func (p replayer) known(r ledger.Reject) error {
	origin := r.Key.Origin
	here := func(e webhook.Endpoint) bool { return e.Path == origin }
	switch {
	case r.Via == consumer.Kafka && !slices.Contains(p.cfg.Kafka.TopicNames(), origin):
		return fmt.Errorf("reject %d: kafka.topics: %s: %w", r.ID, origin, console.ErrOrigin)
	case r.Via == consumer.Webhook && !slices.ContainsFunc(p.cfg.Webhook.Endpoints, here):
		return fmt.Errorf("reject %d: webhook.endpoints: %s: %w", r.ID, origin, console.ErrOrigin)
	case r.Via == consumer.CSV: // the whole file is read again by whoever brings it
		return fmt.Errorf("reject %d: %w", r.ID, ledger.ErrGone)
	}
	return nil
}

// reread makes of a reject's payload what its topic or endpoint makes of it when it
// comes now. An error says that this cannot be told at the moment.
func (p replayer) reread(ctx context.Context, r ledger.Reject) (events []consumer.Event, rejects []consumer.Reject, err error) {
	e, ours, err := p.readEvent(ctx, r)
	var unreadable *consumer.UnreadableError
	switch {
	case errors.As(err, &unreadable):
		key := e.Key
		if key == (consumer.Key{}) {
			key = r.Key
		}
		return nil, []consumer.Reject{{Key: key, Reason: unreadable.Reason, Detail: unreadable.Detail}}, nil
	case err != nil || !ours:
		return nil, nil, err
	}
	return []consumer.Event{e}, nil, nil
}

// readEvent reads a payload that is a CloudEvent in the JSON format. The Event holds
// its Key even with an error, if that could be read.
func (p replayer) readEvent(ctx context.Context, r ledger.Reject) (e consumer.Event, ours bool, err error) {
	defer func() {
		if recover() != nil { // of the SDK, on some payloads
			err = &consumer.UnreadableError{Reason: consumer.InvalidEvent, Detail: "the event can't be decoded"}
		}
	}()
	read, err := consumer.ParseStructured(r.Payload)
	if err == nil {
		err = consumer.Validate(read)
	}
	if err != nil {
		return e, false, err
	}
	if _, ours := p.decoder.Kind(read.Type()); !ours {
		return e, false, nil
	}
	e, err = p.decoder.Decode(ctx, read, r.Key.Origin, r.ReceivedAt)
	return e, true, err
}
