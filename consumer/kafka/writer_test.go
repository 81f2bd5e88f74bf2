package kafka

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// What is written goes where Kafka's own producer would put it by its key, and
// in order.
func TestWriterWritesInOrder(t *testing.T) {
	parallel(t)
	const n = 50
	c := newCluster(t, 3)
	cfg := c.cfg
	cfg.OutcomesTopic = testTopic
	w := cfg.Writer()
	t.Cleanup(func() { _ = w.Close() })
	if w.RequiredAcks != kafka.RequireAll {
		t.Errorf("waits for %v", w.RequiredAcks)
	}
	keys := []string{"E-1", "E-2", "entry/3"}
	for i := range n {
		var all []kafka.Message
		for _, key := range keys {
			all = append(all, kafka.Message{Key: []byte(key), Value: []byte{byte(i)}})
		}
		if err := w.WriteMessages(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
	}
	partitions := make(map[string]int)
	for _, key := range keys {
		partitions[key] = kgo.StickyKeyPartitioner(nil).ForTopic(testTopic).Partition(&kgo.Record{Key: []byte(key)}, 3)
	}
	reader := newProducer(t, c, kgo.ConsumeTopics(testTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	next := make(map[string]byte)
	for got := 0; got < n*len(keys); {
		fetches := reader.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			if key := string(r.Key); int(r.Partition) != partitions[key] || r.Value[0] != next[key] {
				t.Errorf("%s: number %d in partition %d, want %d in %d", key, r.Value[0], r.Partition, next[key], partitions[key])
			}
			next[string(r.Key)]++
		})
	}
}

func TestWriterMakesNoTopic(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	cfg := c.cfg
	cfg.OutcomesTopic = "hr.later"
	w := cfg.Writer()
	t.Cleanup(func() { _ = w.Close() })
	if err := w.WriteMessages(t.Context(), kafka.Message{Value: []byte("x")}); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("got %v", err)
	}
	if _, err := cfg.Writable(t.Context()); err == nil || err.Error() != "no such topic: hr.later" {
		t.Errorf("got %v", err)
	}
	if c.hasTopic(t, "hr.later") {
		t.Error("the topic was made")
	}
	c.createTopic(t, "hr.later", 1)
	eventually(t, "it is written to once it is there", func() bool {
		return w.WriteMessages(t.Context(), kafka.Message{Value: []byte("x")}) == nil
	})
}

func TestWritable(t *testing.T) {
	parallel(t)
	c := newCluster(t, 3)
	cfg := c.cfg
	cfg.OutcomesTopic = testTopic
	cfg.Brokers = append([]string{"127.0.0.1:1"}, cfg.Brokers...) // one that is away is no matter
	if n, err := cfg.Writable(t.Context()); err != nil || n != 3 {
		t.Errorf("%d partitions, %v", n, err)
	}
	if end := c.end(t); end != 0 {
		t.Error("something was written")
	}
}

func TestTopicThatMayNotBeWrittenTo(t *testing.T) {
	parallel(t)
	const mechanism = "SCRAM-SHA-256"
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, password)
	cfg := Config{SASL: &SASL{Mechanism: ScramSHA256, Username: "admin", PasswordFile: file}}
	may := func(user string, operations ...kmsg.ACLOperation) kfake.Opt {
		var acls []kfake.ACL
		for _, op := range operations {
			acls = append(acls, kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: testTopic,
				Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true})
		}
		return kfake.User(mechanism, user, password, acls...)
	}
	c := newFakeFor(t, cfg, 1, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser(mechanism, "admin", password),
		may("reader", kmsg.ACLOperationRead, kmsg.ACLOperationDescribe), may("writer", kmsg.ACLOperationWrite), may("nobody"))
	for user, want := range map[string]string{"admin": "", "writer": "", "reader": "may not be written to", "nobody": "Authorization Failed"} {
		cfg := c.cfg
		cfg.OutcomesTopic, cfg.SASL = testTopic, &SASL{Mechanism: ScramSHA256, Username: user, PasswordFile: file}
		_, err := cfg.Writable(t.Context())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", user, err, want)
		}
	}
}

// An old broker does not say what we may do with a topic.
func TestBrokerThatDoesNotTellOperations(t *testing.T) {
	parallel(t)
	c := newFake(t, 2, kfake.MaxVersions(kversion.V2_2_0()))
	cfg := c.cfg
	cfg.OutcomesTopic = testTopic
	if n, err := cfg.Writable(t.Context()); err != nil || n != 2 {
		t.Errorf("%d partitions, %v", n, err)
	}
}
