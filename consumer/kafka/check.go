package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/segmentio/kafka-go"
)

// Partitions asks a broker how many partitions each topic has, 0 for one that
// does not exist, which it does not make. An error says what to do about it, as
// far as that can be told.
func (c Config) Partitions(ctx context.Context) (map[string]int, error) {
	topics, err := partitions(ctx, c.Client(), c.TopicNames())
	var dial *net.OpError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial":
		return nil, fmt.Errorf("no broker of %s answers: %w", strings.Join(c.Brokers, ", "), err)
	case hungUp(err):
		return nil, fmt.Errorf("%w: the broker hung up%s", err, c.mayLack())
	}
	return topics, err
}

// hungUp says whether the broker closed the connection in place of an answer.
func hungUp(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// mayLack is what a broker that hangs up may have wanted of us.
func (c Config) mayLack() string {
	var keys []string
	if c.TLS == nil {
		keys = append(keys, "kafka.tls")
	}
	if c.SASL == nil {
		keys = append(keys, "kafka.sasl")
	}
	if len(keys) == 0 {
		return ""
	}
	return ": it may want what is not set: " + strings.Join(keys, ", ")
}

func partitions(ctx context.Context, client *kafka.Client, names []string) (map[string]int, error) {
	res, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: names})
	if err != nil {
		return nil, fmt.Errorf("ask for metadata: %w", err)
	}
	topics := map[string]int{}
	for _, t := range res.Topics {
		if t.Error != nil && !errors.Is(t.Error, kafka.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("ask for metadata of %s: %w", t.Name, t.Error)
		}
		topics[t.Name] = len(t.Partitions)
	}
	return topics, nil
}
