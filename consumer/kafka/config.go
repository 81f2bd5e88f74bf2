package kafka

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"signoff/consumer"
	"signoff/consumer/mapping"
)

// Config says which topics are read, and as whom.
type Config struct {
	Brokers []string `yaml:"brokers"` // host:port each; any of them leads to the rest
	Topics  []Topic  `yaml:"topics"`
	Group   string   `yaml:"group"` // the consumer group; no other program may be in it

	TLS  *TLS  `yaml:"tls"`  // nil: connections are not encrypted
	SASL *SASL `yaml:"sasl"` // nil: we don't sign in

	OutcomesTopic string `yaml:"outcomes_topic"` // where outcomes are published; "": nowhere. It is never made

	// ClientID is what the broker knows this process by. If set, it must be
	// this process's alone from one start to the next: a member of the group
	// that goes by it is taken for what an earlier run left behind, and taken
	// out. "" takes out no more than the member the ledger remembers.
	ClientID string `yaml:"-"`
}

// Topic is one that is read: in the configuration its name, or a mapping of
// keys to values.
type Topic struct {
	Name    string `yaml:"name"`
	Mapping string `yaml:"mapping"` // what makes events of what is no CloudEvent of ours; "": nothing does
}

// UnmarshalText reads the scalar form of Topic, which is its name.
func (t *Topic) UnmarshalText(text []byte) error {
	*t = Topic{Name: string(text)}
	return nil
}

// TopicNames are the names of the topics.
func (c Config) TopicNames() (names []string) {
	for _, t := range c.Topics {
		names = append(names, t.Name)
	}
	return names
}

// Validate says which key is wrong, and why.
func (c Config) Validate() error {
	if len(c.Brokers) == 0 {
		return errors.New("kafka.brokers: none given")
	}
	for _, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			return fmt.Errorf("kafka.brokers: %q: not host:port", b)
		}
	}
	if err := c.validateTopics(); err != nil {
		return err
	}
	if c.TLS != nil {
		if err := c.TLS.validate(); err != nil {
			return err
		}
	}
	if c.SASL != nil {
		return c.SASL.validate()
	}
	return nil
}

// Reads says whether events are read from Kafka: outcomes may be published there
// by somebody who reads none.
func (c Config) Reads() bool {
	return len(c.Topics) > 0 || c.Group != "" || len(c.Brokers) > 0 && c.OutcomesTopic == ""
}

func (c Config) validateTopics() error {
	if topic := c.OutcomesTopic; topic != "" {
		switch {
		case !topicName(topic):
			return fmt.Errorf("kafka.outcomes_topic: %q: not the name of a topic", topic)
		case slices.Contains(c.TopicNames(), topic):
			return fmt.Errorf("kafka.outcomes_topic: %q: is in kafka.topics as well: outcomes would come back as events", topic)
		case !c.Reads():
			return nil
		}
	}
	if len(c.Topics) == 0 {
		return errors.New("kafka.topics: none given")
	}
	names := c.TopicNames()
	for i, name := range names {
		if !topicName(name) {
			return fmt.Errorf("kafka.topics: %q: not the name of a topic", name)
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("kafka.topics: %q: given twice", name)
		}
	}
	if c.Group == "" {
		return errors.New("kafka.group: not given")
	}
	return nil
}

// FindMappings returns an error that names the first mapping of a topic that is
// not among them.
func (c Config) FindMappings(all *mapping.Set) error {
	_, err := c.mappers(all)
	return err
}

// mappers are the mappings of the topics that have one.
func (c Config) mappers(all *mapping.Set) (map[string]consumer.Mapper, error) {
	found := map[string]consumer.Mapper{}
	for i, t := range c.Topics {
		if t.Mapping == "" {
			continue
		}
		m, err := all.Find(t.Mapping)
		if err != nil {
			return nil, fmt.Errorf("kafka.topics[%d].mapping: %q: %w", i, t.Mapping, err)
		}
		found[t.Name] = m
	}
	return found, nil
}

// Client returns a client of the brokers. Each of its requests takes at most
// ten seconds.
func (c Config) Client() *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(c.Brokers...), Transport: c.transport(), Timeout: requestTimeout}
}

func (c Config) transport() *kafka.Transport {
	return &kafka.Transport{
		Dial:           newDialer(c).dial,
		DialTimeout:    dialTimeout,
		MetadataTopics: c.TopicNames(),
		MetadataTTL:    time.Second, // how long it takes to find a partition's new leader
		ClientID:       clientID(c),
	}
}

// topicName says whether Kafka would take name for a topic's: up to 249
// letters, digits, dots, underscores and hyphens.
func topicName(name string) bool {
	if name == "" || len(name) > 249 || name == "." || name == ".." {
		return false
	}
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// From says where to begin with a partition that the group has committed
// offsets of, though the ledger has never read it: a new or a lost ledger. The
// zero value means that nobody said, and that it is not to be read.
type From string

// The places to begin.
const (
	Earliest  From = "earliest"  // the start of the log
	Committed From = "committed" // the committed offset
)

// Validate returns an error unless f is "" or one of the places to begin.
func (f From) Validate() error {
	switch f {
	case "", Earliest, Committed:
		return nil
	}
	return fmt.Errorf("--from: %q: neither earliest nor committed", string(f))
}
