package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The suite runs against kfake, or against the broker that these variables of
// the environment name. It deletes its topics and its group there, before each
// test.
const (
	realBroker   = "SIGNOFF_TEST_KAFKA"               // host:port
	realCA       = "SIGNOFF_TEST_KAFKA_CA"            // with it, TLS; the rest are the keys of kafka.tls and kafka.sasl
	realCert     = "SIGNOFF_TEST_KAFKA_CERT"          //
	realKey      = "SIGNOFF_TEST_KAFKA_KEY"           //
	realSASL     = "SIGNOFF_TEST_KAFKA_SASL"          //
	realUser     = "SIGNOFF_TEST_KAFKA_USER"          //
	realPassword = "SIGNOFF_TEST_KAFKA_PASSWORD_FILE" //
	realControl  = "SIGNOFF_TEST_KAFKA_CONTROL"       // a program that stops, kills and starts it, and produces, as its arguments say
)

// cluster is the broker of one test.
type cluster struct {
	cfg   Config // how to reach it
	fake  *kfake.Cluster
	again []kfake.Opt // to start the fake one once more
	admin *kadm.Client
}

// parallel runs the test beside others, but not on a real broker, which all
// tests share.
func parallel(t *testing.T) {
	t.Helper()
	if os.Getenv(realBroker) == "" {
		t.Parallel()
	}
}

// newCluster has testTopic with that many partitions, 0: not at all, and makes
// topics for those who ask for them in the wrong way.
func newCluster(t testing.TB, partitions int32) *cluster {
	t.Helper()
	if os.Getenv(realBroker) == "" {
		return newFake(t, partitions)
	}
	c := &cluster{cfg: Config{Brokers: []string{os.Getenv(realBroker)}}}
	if ca := os.Getenv(realCA); ca != "" {
		c.cfg.TLS = &TLS{CAFile: ca, CertFile: os.Getenv(realCert), KeyFile: os.Getenv(realKey)}
	}
	if user := os.Getenv(realUser); user != "" {
		c.cfg.SASL = &SASL{Mechanism: Mechanism(os.Getenv(realSASL)), Username: user, PasswordFile: os.Getenv(realPassword)}
	}
	c.admin = kadm.NewClient(newProducer(t, c))
	c.clear(t)
	if partitions > 0 {
		c.createTopic(t, testTopic, partitions)
	}
	return c
}

// newFake is a cluster with all that kfake can do, for tests that no real
// broker could serve.
func newFake(t testing.TB, partitions int32, opts ...kfake.Opt) *cluster {
	t.Helper()
	return newFakeFor(t, Config{}, partitions, opts...)
}

// newFakeFor is one that is reached as cfg says.
func newFakeFor(t testing.TB, cfg Config, partitions int32, opts ...kfake.Opt) *cluster {
	t.Helper()
	if os.Getenv(realBroker) != "" {
		t.Skip("needs kfake, which can be told what to answer")
	}
	c := &cluster{cfg: cfg, again: append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.Ports(freePort(t)), kfake.DataDir(t.TempDir()), kfake.AllowAutoTopicCreation(),
	}, opts...)}
	if partitions > 0 {
		c.again = append(c.again, kfake.SeedTopics(partitions, testTopic))
	}
	c.start(t)
	c.cfg.Brokers = c.fake.ListenAddrs()
	c.admin = kadm.NewClient(newProducer(t, c))
	t.Cleanup(func() { c.fake.Close() })
	return c
}

// options are for clients that are not ours.
func (c *cluster) options(t testing.TB) []kgo.Opt {
	t.Helper()
	opts := []kgo.Opt{kgo.SeedBrokers(c.cfg.Brokers...)}
	if c.cfg.TLS != nil {
		cfg, err := c.cfg.TLS.config()
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, kgo.DialTLSConfig(cfg))
	}
	if c.cfg.SASL != nil {
		m, err := c.cfg.SASL.mechanism()
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, kgo.SASL(m))
	}
	return opts
}

// stop ends the broker, kill -9 if asked to, and start brings it back with all
// that it held. A test that needs them skips where the broker is not ours.
func (c *cluster) stop(t testing.TB, how string) {
	t.Helper()
	if c.fake != nil {
		if how == "kill" {
			t.Skip("kfake lives in this process")
		}
		c.fake.Close()
		return
	}
	control := os.Getenv(realControl)
	if control == "" {
		t.Skipf("nobody can stop the broker: %s is not set", realControl)
	}
	t.Cleanup(func() { c.start(t) })
	c.control(t, how)
}

func (c *cluster) start(t testing.TB) {
	t.Helper()
	if c.again == nil {
		c.control(t, "start")
		return
	}
	fake, err := kfake.NewCluster(c.again...)
	if err != nil {
		t.Fatal(err)
	}
	c.fake = fake
}

func (c *cluster) control(t testing.TB, what string) {
	t.Helper()
	if out, err := exec.Command(os.Getenv(realControl), what).CombinedOutput(); err != nil {
		t.Fatalf("%s the broker: %v\n%s", what, err, out)
	}
}

// clear leaves nothing of an earlier test.
func (c *cluster) clear(t testing.TB) {
	t.Helper()
	eventually(t, "the group is gone", func() bool {
		var members []kadm.DescribedGroupMember
		if g, err := c.admin.DescribeGroups(t.Context(), testGroup); err == nil {
			members = g[testGroup].Members
		}
		for _, m := range members {
			leave := &kafka.LeaveGroupRequest{GroupID: testGroup, Members: []kafka.LeaveGroupRequestMember{{ID: m.MemberID}}}
			if _, err := c.cfg.Client().LeaveGroup(t.Context(), leave); err != nil {
				return false
			}
		}
		_, err := c.admin.DeleteGroup(t.Context(), testGroup)
		return err == nil || errors.Is(err, kerr.GroupIDNotFound)
	})
	for _, topic := range []string{testTopic, "hr.later"} {
		eventually(t, topic+" is gone", func() bool {
			_, err := c.admin.DeleteTopic(t.Context(), topic)
			return errors.Is(err, kerr.UnknownTopicOrPartition)
		})
	}
}

// createTopic returns once the topic can be written to. It takes large records.
func (c *cluster) createTopic(t testing.TB, topic string, partitions int32, config ...string) {
	t.Helper()
	all := map[string]*string{"max.message.bytes": kadm.StringPtr("20000000")}
	for _, pair := range config {
		key, value, _ := strings.Cut(pair, "=")
		all[key] = &value
	}
	if _, err := c.admin.CreateTopic(t.Context(), partitions, 1, all, topic); err != nil {
		t.Fatal(err)
	}
	eventually(t, topic+" has leaders", func() bool {
		meta, err := c.admin.Metadata(t.Context(), topic)
		led := 0
		for _, p := range meta.Topics[topic].Partitions {
			if p.Leader >= 0 && p.Err == nil {
				led++
			}
		}
		return err == nil && led == int(partitions)
	})
}

func (c *cluster) deleteTopic(t testing.TB, topic string) {
	t.Helper()
	if _, err := c.admin.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) hasTopic(t testing.TB, topic string) bool {
	t.Helper()
	topics, err := c.admin.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return topics.Has(topic)
}

// deleteBefore deletes what testTopic's partition 0 holds before an offset.
func (c *cluster) deleteBefore(t testing.TB, offset int64) {
	t.Helper()
	os := kadm.Offsets{}
	os.AddOffset(testTopic, 0, offset, -1)
	deleted, err := c.admin.DeleteRecords(t.Context(), os)
	if err = errors.Join(err, deleted.Error()); err != nil {
		t.Fatal(err)
	}
}

// end is where testTopic's partition 0 ends.
func (c *cluster) end(t testing.TB) int64 {
	t.Helper()
	ends, err := c.admin.ListEndOffsets(t.Context(), testTopic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(testTopic, 0)
	return end.Offset
}

// members are the ids of the group's members.
func (c *cluster) members(t testing.TB) []string {
	t.Helper()
	_, ids := c.group(t)
	return ids
}

func (c *cluster) group(t testing.TB) (state string, members []string) {
	t.Helper()
	groups, err := c.admin.DescribeGroups(t.Context(), testGroup)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range groups[testGroup].Members {
		members = append(members, m.MemberID)
	}
	return groups[testGroup].State, members
}

func awaitMembers(t testing.TB, c *cluster, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d members in a stable group", n), func() bool {
		state, members := c.group(t)
		return state == "Stable" && len(members) == n
	})
}

// committed is the group's offset of a partition of testTopic, -1 if there is none.
func committed(t testing.TB, c *cluster, partition int32) int64 {
	t.Helper()
	offsets, err := c.admin.FetchOffsets(context.WithoutCancel(t.Context()), testGroup)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		t.Fatal(err)
	}
	if o, ok := offsets.Lookup(testTopic, partition); ok {
		return o.At
	}
	return -1
}

func commit(t testing.TB, c *cluster, partition int32, offset int64) {
	t.Helper()
	os := kadm.Offsets{}
	os.AddOffset(testTopic, partition, offset, -1)
	if err := c.admin.CommitAllOffsets(t.Context(), testGroup, os); err != nil {
		t.Fatal(err)
	}
}

func newProducer(t testing.TB, c *cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(append(c.options(t), kgo.RecordPartitioner(kgo.ManualPartitioner())), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
