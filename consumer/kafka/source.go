// Package kafka reads events from Kafka topics into the ledger.
//
// It promises that an offset is committed only once all before it is in the
// ledger, and that reading goes on from the ledger's own watermark, never from
// the committed offset unless a person says so. A record that can't be
// understood becomes a reject; one that is none of our business is counted. One
// that a directory must be asked about, which is away, is offered again until it
// answers, and its partition waits.
//
// It joins a consumer group and fetches on its own: the library's Reader
// commits without regard to who owns a partition by now, delivers what a
// transaction took back, and does not check what the network damaged. It will
// not create topics and not share its group with another program.
package kafka

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"signoff/consumer"
	"signoff/consumer/mapping"
	"signoff/metrics"
)

// Ledger is what the source needs of the ledger.
type Ledger interface {
	consumer.Recorder

	// Watermarks returns the next offset to read of every partition of the
	// topics that was ever read.
	Watermarks(ctx context.Context, topics []string) (map[consumer.Partition]int64, error)

	// Member returns the id under which the last process of this ledger was
	// in the group, "" if none was.
	Member(ctx context.Context, group string) (string, error)

	// SetMember remembers the id for the next process.
	SetMember(ctx context.Context, group, id string) error

	// SetReading tells everybody else how far the reading is.
	SetReading(ctx context.Context, state consumer.Reading, detail string) error
}

const (
	sessionTimeout   = 10 * time.Second // how long the broker waits for a dead member that nobody takes out
	heartbeatEvery   = time.Second      // also the time until a rebalance is noticed
	rebalanceTimeout = 15 * time.Second // what is in hand must be recorded within it
	dialTimeout      = 3 * time.Second
	requestTimeout   = 10 * time.Second
	leaveTimeout     = 5 * time.Second // the library waits for a join under way, behind somebody else's dead member
	mostWait         = 2 * time.Second // between two tries of anything
)

// Source reads the topics of one consumer group.
type Source struct {
	// Beat, if set before Run, is called once a turn of the main loop.
	Beat func(time.Time)

	cfg     Config
	from    From
	ledger  Ledger
	reading atomic.Pointer[understanding]
	metrics *metrics.Kafka
	ignored func(n int)
	log     *zap.Logger

	transport *kafka.Transport
	client    *kafka.Client
	state     *readiness
	series    map[consumer.Partition]bool // partitions that have metrics
	member    string                      // what the ledger remembers of us

	longestRead time.Duration
}

// New returns a Source; it does nothing until Run. Its error names a mapping of
// cfg that is not among mappings. ignored counts events that are none of our
// business, m holds the rest of what is observed.
func New(cfg Config, from From, l Ledger, d *consumer.Decoder, mappings *mapping.Set, m *metrics.Kafka, ignored func(n int), log *zap.Logger) (*Source, error) {
	client := cfg.Client()
	s := &Source{
		cfg: cfg, from: from, ledger: l, metrics: m, ignored: ignored, log: log,
		transport: client.Transport.(*kafka.Transport),
		client:    client,
		state:     newReadiness(l, m, log),
		series:    map[consumer.Partition]bool{},

		longestRead: longestRead,
	}
	if err := s.Understand(d, mappings); err != nil {
		return nil, err
	}
	return s, nil
}

// understanding is what records are understood by.
type understanding struct {
	decoder *consumer.Decoder
	mappers map[string]consumer.Mapper // by topic
}

// Understand has records that are read from now on understood by another decoder and
// other mappings. An error names a mapping of a topic that is not among them; nothing
// is changed then.
func (s *Source) Understand(d *consumer.Decoder, mappings *mapping.Set) error {
	mappers, err := s.cfg.mappers(mappings)
	if err != nil {
		return err
	}
	s.reading.Store(&understanding{d, mappers})
	return nil
}

// errTopicsChanged ends a membership: the group must be joined for other
// topics or partitions than it was.
var errTopicsChanged = errors.New("topics or partitions were added or deleted")

// Run reads until ctx ends and then returns nil, having recorded and committed
// what was in hand and left the group. A broker that is away is waited for.
func (s *Source) Run(ctx context.Context) error {
	defer s.transport.CloseIdleConnections()
	defer s.assign(nil)
	if s.cfg.readableOnItsWay() {
		s.log.Warn("kafka.sasl.mechanism is plain, without kafka.tls: whoever sees the network sees the password")
	}
	wait := newBackoff()
	for ctx.Err() == nil {
		s.state.write(ctx)
		began := time.Now()
		err := s.membership(ctx)
		s.state.left()
		if time.Since(began) > time.Minute { // it was well for a while
			wait = newBackoff()
		}
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errTopicsChanged):
			s.log.Info("joining the group again", zap.Error(err))
			wait = newBackoff()
		case lostPlace(err): // the broker answers, it only no longer knows us
			s.turn(ctx)
			wait.sleep(ctx)
		default:
			s.state.silent(ourGroup, err)
			s.turn(ctx)
			wait.sleep(ctx)
		}
	}
	return nil
}

// lostPlace says whether err only means that the group went on without us.
func lostPlace(err error) bool {
	return errors.Is(err, kafka.UnknownMemberId) || errors.Is(err, kafka.IllegalGeneration) || errors.Is(err, kafka.RebalanceInProgress)
}

// membership joins the group and reads until membership is lost, ctx ends or
// the topics change.
func (s *Source) membership(ctx context.Context) error {
	topics, err := s.awaitTopics(ctx)
	if err != nil {
		return err
	}
	if err := s.takeOutDead(ctx); err != nil {
		return err
	}
	group, err := kafka.NewConsumerGroup(s.groupConfig(topics))
	if err != nil {
		return err
	}
	defer leave(group)
	defer context.AfterFunc(ctx, func() { group.Close() })() // ends the generation, which then finishes what it has in hand
	for {
		gen, err := s.next(ctx, group)
		if errors.Is(err, kafka.RebalanceInProgress) {
			continue // the library joins again under the same id
		} else if err != nil {
			return err
		}
		s.remember(ctx, gen.MemberID)
		ended := make(chan error, 1)
		gen.Start(func(over context.Context) { ended <- s.generation(over, gen, topics) })
		err = <-ended
		s.state.left()
		if errors.Is(err, errTopicsChanged) {
			return err
		}
		if errors.Is(err, consumer.ErrOvertaken) {
			s.log.Warn("joining the group again", zap.Error(err))
			pause(ctx, 100*time.Millisecond)
		}
	}
}

func (s *Source) groupConfig(topics map[string]int) kafka.ConsumerGroupConfig {
	cfg := kafka.ConsumerGroupConfig{
		ID:                s.cfg.Group,
		Brokers:           s.cfg.Brokers,
		SessionTimeout:    sessionTimeout,
		HeartbeatInterval: heartbeatEvery,
		RebalanceTimeout:  rebalanceTimeout,
		JoinGroupBackoff:  time.Second,
		Timeout:           dialTimeout,
		Dialer:            &kafka.Dialer{Timeout: dialTimeout, ClientID: clientID(s.cfg), DialFunc: newDialer(s.cfg).dialToLook},
	}
	for _, t := range s.cfg.TopicNames() {
		if topics[t] > 0 { // asked for one that is not there, the library finds none at all
			cfg.Topics = append(cfg.Topics, t)
		}
	}
	return cfg
}

// next waits for the next generation, turn by turn.
func (s *Source) next(ctx context.Context, group *kafka.ConsumerGroup) (*kafka.Generation, error) {
	for {
		s.turn(ctx)
		wait, cancel := context.WithTimeout(ctx, time.Second)
		gen, err := group.Next(wait)
		cancel()
		if err != context.DeadlineExceeded || ctx.Err() != nil { //nolint:errorlint // a dial that timed out claims to be one as well
			return gen, err
		}
	}
}

// turn is what each round of waiting does besides.
func (s *Source) turn(ctx context.Context) {
	if s.Beat != nil {
		s.Beat(time.Now())
	}
	s.state.write(ctx)
}

// assign makes the metrics show these partitions and no others.
func (s *Source) assign(partitions []consumer.Partition) {
	had := s.series
	s.series = map[consumer.Partition]bool{}
	for _, p := range partitions {
		s.series[p] = true
	}
	for p := range had {
		if !s.series[p] {
			s.metrics.GiveUp(p.Topic, partitionLabel(p))
		}
	}
}

// backoff is how long to wait before the next try.
type backoff struct{ next time.Duration }

func newBackoff() backoff { return backoff{next: 100 * time.Millisecond} }

// sleep waits, twice as long as the last time, or until ctx ends.
func (b *backoff) sleep(ctx context.Context) {
	t := time.NewTimer(b.next)
	defer t.Stop()
	b.next = min(2*b.next, mostWait)
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	(&backoff{next: d}).sleep(ctx)
}
