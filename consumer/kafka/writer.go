package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// Writer returns a writer of the outcomes topic, which it does not make if it is
// not there. A message is written once all replicas in sync have it, and goes to
// the partition that Kafka's own producer would choose by its key.
func (c Config) Writer() *kafka.Writer {
	transport := c.transport()
	transport.MetadataTopics = []string{c.OutcomesTopic}
	return &kafka.Writer{
		Addr: kafka.TCP(c.Brokers...), Transport: transport, Topic: c.OutcomesTopic,
		Balancer: kafka.Murmur2Balancer{Consistent: true}, RequiredAcks: kafka.RequireAll,
		MaxAttempts: 3, WriteTimeout: requestTimeout, ReadTimeout: requestTimeout,
		BatchTimeout: time.Millisecond, // what is written together is handed over together
	}
}

// Writable returns how many partitions the outcomes topic has, or why it cannot
// be written to. It asks the broker and writes nothing.
func (c Config) Writable(ctx context.Context) (partitions int, err error) {
	var conn net.Conn
	for _, address := range c.Brokers {
		if conn, err = newDialer(c).dial(ctx, "tcp", address); err == nil {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // a connection that takes no deadline is broken, which the requests find out
	defer stop()
	topic, known, err := describe(protocol.NewConn(conn, clientID(c)), c.OutcomesTopic)
	if err != nil {
		return 0, err
	}
	const write = 1 << 4 // by the code of the operation in Kafka's ACLs
	switch code := kafka.Error(topic.ErrorCode); {
	case code == kafka.UnknownTopicOrPartition:
		return 0, fmt.Errorf("no such topic: %s", c.OutcomesTopic)
	case code != 0:
		return 0, fmt.Errorf("topic %s: %w", c.OutcomesTopic, code)
	case known && topic.TopicAuthorizedOperations&write == 0:
		return 0, fmt.Errorf("topic %s: may not be written to: allow the operation Write", c.OutcomesTopic)
	}
	return len(topic.Partitions), nil
}

// describe asks the broker for a topic. known says that the broker told what we
// may do with it.
func describe(broker *protocol.Conn, name string) (topic metadata.ResponseTopic, known bool, err error) {
	const tellsOperations = 8 // version of the request
	m, err := broker.RoundTrip(&apiversions.Request{})
	if err != nil {
		return topic, false, err
	}
	version := int16(0)
	for _, api := range m.(*apiversions.Response).ApiKeys {
		if protocol.ApiKey(api.ApiKey) == protocol.Metadata {
			version = min(tellsOperations, api.MaxVersion)
		}
	}
	broker.SetVersions(map[protocol.ApiKey]int16{protocol.Metadata: version})
	if m, err = broker.RoundTrip(&metadata.Request{TopicNames: []string{name}, IncludeTopicAuthorizedOperations: true}); err != nil {
		return topic, false, err
	}
	topics := m.(*metadata.Response).Topics
	if len(topics) != 1 {
		return topic, false, errors.New("metadata: the answer lacks the topic")
	}
	return topics[0], version >= tellsOperations && topics[0].TopicAuthorizedOperations != math.MinInt32, nil
}
