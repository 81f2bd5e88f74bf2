package outcomes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"signoff/closer/ledger"
	source "signoff/consumer/kafka"
)

// realBroker names a broker to use instead of kfake.
const realBroker = "SIGNOFF_TEST_KAFKA"

const topic = "signoff.test.outcomes"

// newBroker returns how to reach a broker without the topic.
func newBroker(t *testing.T) (cfg source.Config, admin *kadm.Client) {
	t.Helper()
	cfg = source.Config{Brokers: []string{os.Getenv(realBroker)}, OutcomesTopic: topic}
	var opts []kgo.Opt
	if ca := os.Getenv(realBroker + "_CA"); ca != "" || os.Getenv(realBroker+"_USER") != "" {
		t.Skip("the room consumer/kafka tests TLS and signing in")
	}
	if cfg.Brokers[0] == "" {
		fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(fake.Close)
		cfg.Brokers = fake.ListenAddrs()
	}
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(cfg.Brokers...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	admin = kadm.NewClient(cl)
	eventually(t, "the topic is gone", func() bool {
		_, err := admin.DeleteTopic(t.Context(), topic)
		return errors.Is(err, kerr.UnknownTopicOrPartition)
	})
	return cfg, admin
}

// createTopic makes the topic, and waits until it may be written.
func createTopic(t *testing.T, cfg source.Config, admin *kadm.Client, partitions int32) {
	t.Helper()
	if _, err := admin.CreateTopic(t.Context(), partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the topic may be written", func() bool {
		n, err := cfg.Writable(t.Context())
		return err == nil && n == int(partitions)
	})
}

// read returns what is in the topic, once n records are.
func read(t *testing.T, cfg source.Config, n int) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all []*kgo.Record
	for len(all) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d records, want %d", len(all), n)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

// The topic is waited for and never made; what waited comes in order then.
func TestKafkaTopicThatIsNotThereYet(t *testing.T) {
	cfg, admin := newBroker(t)
	b := newBook(t)
	p := publish(t, b, Kafka(topic, cfg.Writer()))
	b.happens(9)
	eventually(t, "somebody says so", func() bool { return p.logs.Len() > 0 })
	if line := p.logs.All()[0].ContextMap(); !strings.Contains(fmt.Sprint(line["error"]), topic+": no such topic") {
		t.Errorf("the log says %v", line)
	}
	if topics, err := admin.ListTopics(t.Context()); err != nil || topics.Has(topic) {
		t.Errorf("the topic was made (%v)", err)
	}
	createTopic(t, cfg, admin, 3)
	records := read(t, cfg, 9)
	eventually(t, "the ledger knows", func() bool { return b.saved() == 9 })
	for i, r := range records {
		if string(r.Key) != "account/acc" || r.Partition != records[0].Partition {
			t.Errorf("key %q in partition %d", r.Key, r.Partition)
		}
		if !strings.Contains(string(r.Value), fmt.Sprintf(`"seq":%d,`, i+1)) {
			t.Errorf("record %d is %s", i, r.Value)
		}
		if len(r.Headers) != 1 || r.Headers[0].Key != "content-type" || string(r.Headers[0].Value) != "application/cloudevents+json" {
			t.Errorf("headers %v", r.Headers)
		}
	}
}

// What the broker sees besides the value names nobody.
func TestKafkaRecordsNameNobody(t *testing.T) {
	cfg, admin := newBroker(t)
	createTopic(t, cfg, admin, 1)
	var events []Event
	for _, o := range examples() {
		for _, id := range []string{"E-1", "jane.doe@example.com", ""} {
			if o.Entry != 0 {
				o.EmployeeID = id
			}
			events = append(events, made(t, o))
		}
	}
	sink := Kafka(topic, cfg.Writer())
	defer sink.Close()
	if n, err := sink.Send(t.Context(), events); err != nil || n != len(events) {
		t.Fatalf("%d were written, %v", n, err)
	}
	for i, r := range read(t, cfg, len(events)) {
		seen := fmt.Sprint(string(r.Key), r.Headers)
		if strings.Contains(seen, "@") || strings.Contains(seen, "jane") {
			t.Errorf("key and headers: %s", seen)
		}
		if !bytes.Equal(r.Value, events[i].Body) {
			t.Errorf("record %d is %s, want %s", i, r.Value, events[i].Body)
		}
	}
}

// partly is a writer that does not write some messages.
type partly struct{ err error }

func (p partly) WriteMessages(context.Context, ...kafka.Message) error { return p.err }
func (p partly) Close() error                                          { return nil }

func TestKafkaAcknowledgesUpToTheFirstThatFailed(t *testing.T) {
	failed := kafka.NotLeaderForPartition
	for name, tt := range map[string]struct {
		err  error
		want int
	}{
		"all written":         {nil, 3},
		"none":                {kafka.WriteErrors{failed, failed, failed}, 0},
		"the last was not":    {kafka.WriteErrors{nil, nil, failed}, 2},
		"the middle was not":  {kafka.WriteErrors{nil, failed, nil}, 1},
		"the first was not":   {kafka.WriteErrors{failed, nil, nil}, 0},
		"nobody asked at all": {errAway, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := made(t, leaver("closed", func(*ledger.Outcome) {}))
			got, err := Kafka(topic, partly{tt.err}).Send(t.Context(), []Event{e, e, e})
			if got != tt.want || (err == nil) != (tt.err == nil) {
				t.Errorf("%d acknowledged, %v; want %d", got, err, tt.want)
			}
			if tt.err != nil && !errors.Is(err, failed) && !errors.Is(err, errAway) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// collector is a writer that keeps what it is given at a time.
type collector struct{ sizes []int }

func (c *collector) WriteMessages(_ context.Context, messages ...kafka.Message) error {
	size := 0
	for _, m := range messages {
		size += len(m.Value)
	}
	c.sizes = append(c.sizes, size)
	return nil
}

func (c *collector) Close() error { return nil }

// More than a batch is written batch by batch, and what is larger than that alone.
func TestKafkaWritesABatchAtATime(t *testing.T) {
	events := []Event{{Body: make([]byte, mostTogether+1)}}
	for range 5 {
		events = append(events, Event{Body: make([]byte, mostTogether/2)})
	}
	c := &collector{}
	for sink := Kafka(topic, c); len(events) > 0; {
		n, err := sink.Send(t.Context(), events)
		if err != nil || n == 0 {
			t.Fatalf("%d written, %v", n, err)
		}
		events = events[n:]
	}
	if want := []int{mostTogether + 1, mostTogether, mostTogether, mostTogether / 2}; !slices.Equal(c.sizes, want) {
		t.Errorf("wrote %v, want %v", c.sizes, want)
	}
}
