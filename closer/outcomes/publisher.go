// Package outcomes tells others what became of leavers: in a Kafka topic, and to
// a webhook, as CloudEvents.
//
// It promises that each row of the ledger's audit that is somebody else's
// business is sent to every sink in the order of the chain, at least once: how
// far a sink is stands in the ledger, and moves only when the sink has
// acknowledged. The same row makes the same event, by whose id a receiver tells
// repeats. A sink that is away is waited for, for as long as it takes, and holds
// up neither the other sink nor the closing of anybody. An event names leavers in
// its data alone, never in what brokers and proxies see of it.
//
// It reads the ledger and moves its own cursors, and nothing else.
package outcomes

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"signoff/closer/ledger"
	"signoff/metrics"
)

// The names of the sinks: values of the metric label `sink`.
const (
	SinkKafka   = "kafka"
	SinkWebhook = "webhook"
)

// Sinks lists every name of a sink.
func Sinks() []string { return []string{SinkKafka, SinkWebhook} }

// Feed is what a Publisher needs of the ledger.
type Feed interface {
	// ID is the ledger's own id.
	ID(ctx context.Context) (string, error)

	// Subscribe returns how far the sink has published; a new one begins behind
	// all that is there.
	Subscribe(ctx context.Context, sink string) (after int64, err error)

	// OutcomesAfter returns outcomes in their order, and the row up to which it
	// looked.
	OutcomesAfter(ctx context.Context, after int64, limit int) (found []ledger.Outcome, upTo int64, err error)

	// Published notes that the sink has published everything up to a row.
	Published(ctx context.Context, sink string, upTo int64) error
}

// Sink is where events are sent.
type Sink interface {
	// Send sends these events, or as many from the first as it likes, and returns
	// how many of them were acknowledged. Of an error it says how long to wait at
	// least, if it is a *RetryError.
	Send(ctx context.Context, events []Event) (acknowledged int, err error)

	// Close lets go of connections.
	Close() error
}

// RetryError is a refusal by somebody who said when to come back.
type RetryError struct {
	After time.Duration
	Err   error
}

func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns what was said besides.
func (e *RetryError) Unwrap() error { return e.Err }

const (
	pollEvery = time.Second
	beatEvery = 10 * time.Second // while a sink is waited for, which is no reason to be taken for stuck
	together  = 100              // events read at a time
	sendGrace = 5 * time.Second  // for what is on its way when a shutdown begins
)

// Publisher publishes to one sink.
type Publisher struct {
	// Beat, if set before Run, is called at every turn.
	Beat func(time.Time)

	name    string
	feed    Feed
	sink    Sink
	metrics *metrics.Outcomes
	log     *zap.Logger
	events  eventMaker
	trouble *trouble

	pending      []Event // read, and not acknowledged
	upTo         int64   // the row behind the last of them
	acknowledged int64   // up to this row everything was
	saved        int64   // and this the ledger knows
}

// New subscribes the sink. It publishes nothing until Run.
func New(ctx context.Context, name string, feed Feed, sink Sink, m *metrics.Outcomes, log *zap.Logger) (*Publisher, error) {
	id, err := feed.ID(ctx)
	if err != nil {
		return nil, err
	}
	after, err := feed.Subscribe(ctx, name)
	if err != nil {
		return nil, err
	}
	log = log.With(zap.String("sink", name))
	return &Publisher{name: name, feed: feed, sink: sink, metrics: m, log: log, events: eventMaker{ledger: id}, trouble: newTrouble(log),
		upTo: after, acknowledged: after, saved: after}, nil
}

// Run publishes until ctx ends, and then returns nil once what is on its way was
// acknowledged or given up.
func (p *Publisher) Run(ctx context.Context) error {
	for wait := time.Duration(0); p.sleep(ctx, wait); {
		wait = p.turn(ctx)
		p.beat()
	}
	return p.sink.Close()
}

// turn publishes what comes next, and returns how long to wait for the next turn.
func (p *Publisher) turn(ctx context.Context) time.Duration {
	work, cancel := withGrace(ctx, sendGrace)
	defer cancel()
	moved, err := p.publish(work)
	switch {
	case ctx.Err() != nil:
		return 0
	case err != nil:
		p.metrics.Failed(p.name)
		return p.trouble.met(err)
	case moved:
		p.trouble.over()
		return 0
	}
	return pollEvery
}

// publish reads what comes next if nothing is pending, sends what is, and saves
// how far that brought us. What was acknowledged is not sent again, though the
// ledger may have to be told twice.
func (p *Publisher) publish(ctx context.Context) (moved bool, err error) {
	if err := p.save(ctx); err != nil {
		return false, err
	}
	if len(p.pending) == 0 {
		if err := p.read(ctx); err != nil {
			return false, err
		}
	}
	before := p.acknowledged
	if len(p.pending) > 0 {
		var n int
		n, err = p.sink.Send(ctx, p.pending)
		p.metrics.Published(p.name, n)
		if n > 0 {
			p.acknowledged, p.pending = p.pending[n-1].seq, p.pending[n:]
		}
	}
	if len(p.pending) == 0 {
		p.acknowledged = p.upTo
	}
	return p.acknowledged > before, errors.Join(err, p.save(ctx))
}

func (p *Publisher) read(ctx context.Context) error {
	found, upTo, err := p.feed.OutcomesAfter(ctx, p.acknowledged, together)
	if err != nil {
		return err
	}
	for _, o := range found {
		e, err := p.events.of(o)
		if err != nil {
			p.pending = nil
			return err
		}
		p.pending = append(p.pending, e)
	}
	p.upTo = upTo
	return nil
}

func (p *Publisher) save(ctx context.Context) error {
	if p.saved == p.acknowledged {
		return nil
	}
	if err := p.feed.Published(ctx, p.name, p.acknowledged); err != nil {
		return err
	}
	p.saved = p.acknowledged
	return nil
}

func (p *Publisher) beat() {
	if p.Beat != nil {
		p.Beat(time.Now())
	}
}

// sleep waits for d, beating, and returns true, or false as soon as ctx ends.
func (p *Publisher) sleep(ctx context.Context, d time.Duration) bool {
	for until := time.Now().Add(d); ; p.beat() {
		left := time.Until(until)
		if left <= 0 || ctx.Err() != nil {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(left, beatEvery)):
		}
	}
}

// withGrace returns a context that ends grace after ctx does, not with it.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return work, func() { stop(); cancel() }
}
