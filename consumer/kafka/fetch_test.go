package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	fetchapi "github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/twmb/franz-go/pkg/kmsg"

	"signoff/consumer"
)

// emptied is a batch of which compaction has left nothing but its place in the log.
func emptied(base int64, records int32) []byte {
	b := make([]byte, 61)
	binary.BigEndian.PutUint64(b, uint64(base))
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	b[16] = 2 // the version of the format
	binary.BigEndian.PutUint32(b[23:], uint32(records-1))
	for i := 43; i < 57; i++ {
		b[i] = 0xff // no producer
	}
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func TestUnpackStepsOverEmptiedBatches(t *testing.T) {
	for name, c := range map[string]struct {
		batches    [][]byte
		from, next int64
	}{
		"nothing new":                      {from: 7, next: 7},
		"one, from its beginning":          {batches: [][]byte{emptied(7, 5)}, from: 7, next: 8},
		"one, from its middle":             {batches: [][]byte{emptied(7, 5)}, from: 9, next: 10},
		"several":                          {batches: [][]byte{emptied(7, 5), emptied(12, 1), emptied(13, 9)}, from: 7, next: 13},
		"one that follows what is not new": {batches: [][]byte{emptied(2, 3), emptied(5, 2)}, from: 6, next: 7},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fetcher{Source: &Source{}}
			f.reading.Store(&understanding{decoder: newTestDecoder(t, nil)})
			f.read = newTranslator(f.reading.Load(), consumer.Partition{Topic: testTopic})
			var part fetchapi.ResponsePartition
			if len(c.batches) > 0 {
				all := bytes.Join(c.batches, nil)
				all = append(binary.BigEndian.AppendUint32(nil, uint32(len(all))), all...)
				if _, err := part.RecordSet.ReadFrom(bytes.NewBuffer(all)); err != nil && part.RecordSet.Records == nil {
					t.Fatal(err)
				}
			}
			b, err := f.unpack(t.Context(), &part, c.from)
			if err != nil || b.span.Next != c.next {
				t.Errorf("goes on at %d, %v; want %d", b.span.Next, err, c.next)
			}
		})
	}
}

func TestAbortedFollowsEachProducer(t *testing.T) {
	tx := newAborted([]fetchapi.ResponseTransaction{{ProducerID: 1, FirstOffset: 20}, {ProducerID: 1, FirstOffset: 0}, {ProducerID: 2, FirstOffset: 5}})
	of := func(producer, base int64) *protocol.RecordBatch {
		return &protocol.RecordBatch{ProducerID: producer, BaseOffset: base, Attributes: protocol.Transactional}
	}
	for _, step := range []struct {
		batch *protocol.RecordBatch // nil: a marker of producer 1 at base
		base  int64
		holds bool
	}{
		{batch: of(1, 0), holds: true},
		{batch: of(2, 3), holds: false}, // an earlier transaction of producer 2, which was kept
		{batch: of(2, 5), holds: true},
		{batch: &protocol.RecordBatch{ProducerID: 1, BaseOffset: 6}, holds: false}, // not in a transaction
		{base: 10},
		{batch: of(1, 11), holds: false},
		{batch: of(2, 12), holds: true},
		{batch: of(1, 20), holds: true},
	} {
		if step.batch == nil {
			tx.ended(1, step.base)
		} else if got := tx.holds(step.batch); got != step.holds {
			t.Errorf("batch of producer %d at %d: aborted %v, want %v", step.batch.ProducerID, step.batch.BaseOffset, got, step.holds)
		}
	}
}

// answering makes the broker answer fetches of partition 1 as the test likes,
// until the test says that it is well again.
func answering(t *testing.T, c *cluster, fill func(*kmsg.FetchResponseTopicPartition)) (well func()) {
	t.Helper()
	var ill atomic.Bool
	ill.Store(true)
	c.fake.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		fetch := req.(*kmsg.FetchRequest)
		if !ill.Load() || len(fetch.Topics) == 0 || fetch.Topics[0].Partitions[0].Partition != 1 {
			return nil, nil, false
		}
		part := kmsg.NewFetchResponseTopicPartition()
		part.Partition, part.HighWatermark, part.LastStableOffset = 1, 1, 1
		fill(&part)
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID, topic.Partitions = fetch.Topics[0].Topic, fetch.Topics[0].TopicID, []kmsg.FetchResponseTopicPartition{part}
		res := fetch.ResponseKind().(*kmsg.FetchResponse)
		res.Topics = []kmsg.FetchResponseTopic{topic}
		return res, nil, true
	})
	return func() { ill.Store(false) }
}

func TestOnePartitionAway(t *testing.T) {
	parallel(t)
	damaged := emptied(0, 1)
	damaged[45] ^= 1
	for name, c := range map[string]struct {
		fill func(*kmsg.FetchResponseTopicPartition)
		says string
	}{
		"no leader": {
			fill: func(p *kmsg.FetchResponseTopicPartition) { p.ErrorCode = int16(kafka.LeaderNotAvailable) },
			says: "Leader Not Available",
		},
		"damaged on the way": {
			fill: func(p *kmsg.FetchResponseTopicPartition) { p.RecordBatches = damaged },
			says: "crc32",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newFake(t, 2)
			cl := newProducer(t, cluster)
			m := newMemory()
			r := start(t, cluster, m, setup{})
			awaitState(t, m, consumer.UpToDate)
			well := answering(t, cluster, c.fill)
			produce(t, cl, leavers(1, "a", 5)...)
			awaitState(t, m, consumer.Away)
			produce(t, cl, leavers(0, "a", 5)...)
			awaitEvents(t, m, 5) // of the partition that is well
			if got := m.reading(); got.state != consumer.Away || !strings.Contains(got.detail, c.says) || !strings.Contains(got.detail, testTopic+"/1") {
				t.Errorf("state is %v", got)
			}
			well()
			awaitEvents(t, m, 10)
			awaitState(t, m, consumer.UpToDate)
			if n := r.logs.FilterField(zapString("state", string(consumer.Away))).Len(); n != 1 {
				t.Errorf("%d log lines say that it is away, want 1", n)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	good := Config{Brokers: []string{"kafka-0:9092", "[::1]:9092"}, Topics: []Topic{{Name: "hr.employee"}, {Name: "hr_2-x"}}, Group: "signoff"}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"good":              {func(*Config) {}, ""},
		"no brokers":        {func(c *Config) { c.Brokers = nil }, "kafka.brokers: none given"},
		"broker no port":    {func(c *Config) { c.Brokers[0] = "kafka-0" }, `kafka.brokers: "kafka-0": not host:port`},
		"broker empty port": {func(c *Config) { c.Brokers[0] = "kafka-0:" }, `kafka.brokers: "kafka-0:": not host:port`},
		"no topics":         {func(c *Config) { c.Topics = nil }, "kafka.topics: none given"},
		"topic with space":  {func(c *Config) { c.Topics[0].Name = "hr employee" }, `kafka.topics: "hr employee": not the name of a topic`},
		"topic twice":       {func(c *Config) { c.Topics[1].Name = "hr.employee" }, `kafka.topics: "hr.employee": given twice`},
		"no group":          {func(c *Config) { c.Group = "" }, "kafka.group: not given"},
		"outcomes":          {func(c *Config) { c.OutcomesTopic = "hr.outcomes" }, ""},
		"only outcomes":     {func(c *Config) { c.Topics, c.Group, c.OutcomesTopic = nil, "", "hr.outcomes" }, ""},
		"outcomes, a group": {func(c *Config) { c.Topics, c.OutcomesTopic = nil, "hr.outcomes" }, "kafka.topics: none given"},
		"outcomes to #":     {func(c *Config) { c.OutcomesTopic = "#" }, `kafka.outcomes_topic: "#": not the name of a topic`},
		"outcomes fed back": {func(c *Config) { c.OutcomesTopic = "hr.employee" },
			`kafka.outcomes_topic: "hr.employee": is in kafka.topics as well: outcomes would come back as events`},
		"TLS":               {func(c *Config) { c.TLS = &TLS{CAFile: "ca.pem", CertFile: "cert.pem", KeyFile: "key.pem"} }, ""},
		"TLS without files": {func(c *Config) { c.TLS = &TLS{} }, ""},
		"no key":            {func(c *Config) { c.TLS = &TLS{CertFile: "cert.pem"} }, "kafka.tls.key_file: not set, but kafka.tls.cert_file is"},
		"no certificate":    {func(c *Config) { c.TLS = &TLS{KeyFile: "key.pem"} }, "kafka.tls.cert_file: not set, but kafka.tls.key_file is"},
		"SASL":              {func(c *Config) { c.SASL = &SASL{ScramSHA256, "signoff", "password"} }, ""},
		"odd mechanism":     {func(c *Config) { c.SASL = &SASL{"SCRAM-SHA-1", "signoff", "password"} }, `kafka.sasl.mechanism: "SCRAM-SHA-1": none of plain, scram-sha-256, scram-sha-512`},
		"no username":       {func(c *Config) { c.SASL = &SASL{Plain, "", "password"} }, "kafka.sasl.username: not set"},
		"no password file":  {func(c *Config) { c.SASL = &SASL{Plain, "signoff", ""} }, "kafka.sasl.password_file: not set"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			cfg.Brokers, cfg.Topics = append([]string(nil), good.Brokers...), append([]Topic(nil), good.Topics...)
			c.change(&cfg)
			if err := cfg.Validate(); fmt.Sprint(err) != c.want && (err != nil || c.want != "") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if err := From("latest").Validate(); err == nil || From("").Validate() != nil || Earliest.Validate() != nil || Committed.Validate() != nil {
		t.Errorf("latest: %v", err)
	}
}
