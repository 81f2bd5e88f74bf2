package kafka

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"signoff/consumer"
)

func TestReads(t *testing.T) {
	parallel(t)
	c := newCluster(t, 3)
	cl := newProducer(t, c)
	for p := range int32(3) {
		produce(t, cl, append(others(p, 50), leavers(p, "a", 10)...)...)
		produce(t, cl, &kgo.Record{Topic: testTopic, Partition: p, Value: []byte("by hand")})
		produce(t, cl, others(p, 50)...)
	}
	m := newMemory()
	r := start(t, c, m, setup{})
	awaitEvents(t, m, 30)
	awaitState(t, m, consumer.UpToDate)
	if _, rejects, _ := m.count(); rejects != 3 || r.ignored.Load() != 300 {
		t.Errorf("%d rejects and %d ignored, want 3 and 300", rejects, r.ignored.Load())
	}
	for p := range 3 {
		if got := m.mark(testTopic, p); got != 111 {
			t.Errorf("watermark of %d is %d, want 111", p, got)
		}
		eventually(t, "committed to the end", func() bool { return committed(t, c, int32(p)) == 111 })
	}
	m.see(func() {
		if got := []consumer.Reading{m.readings[0].state, m.readings[1].state}; got[0] != consumer.Joining || got[1] != consumer.CatchingUp {
			t.Errorf("began as %v", got)
		}
	})

	r.beats.Store(0)
	produce(t, cl, others(1, 5)...) // nothing of ours, and still the watermark gets to the end
	eventually(t, "watermark at the end", func() bool { return m.mark(testTopic, 1) == 116 })
	eventually(t, "beats go on", func() bool { return r.beats.Load() > 1 })
	eventually(t, "metrics show nothing behind", func() bool {
		return r.gauge(t, "signoff_kafka_lag", "1", testTopic) == 0 &&
			r.oldest(t, "1") == 0 &&
			r.gauge(t, "signoff_kafka_state", string(consumer.UpToDate)) == 1
	})
	r.stop()
	if got := r.gauge(t, "signoff_kafka_lag", "1", testTopic); got != -1 {
		t.Errorf("lag of a partition given up is %v", got)
	}
	if members := c.members(t); len(members) != 0 {
		t.Errorf("%v stay in the group", members)
	}
	m.see(func() {
		if n := len(m.readings); n > 8 {
			t.Errorf("state written %d times: %v", n, m.readings)
		}
	})
}

func TestUnderstandsOtherProducers(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	m := newMemory()
	start(t, c, m, setup{})
	n := 0
	for name, codec := range map[string]kafka.Compression{"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd, "none": 0} {
		w := &kafka.Writer{Addr: kafka.TCP(c.cfg.Brokers...), Topic: testTopic, RequiredAcks: kafka.RequireAll, Compression: codec, BatchTimeout: time.Millisecond, Transport: c.cfg.transport()}
		var all []kafka.Message
		for i := range 20 {
			e := leaver(0, fmt.Sprint(name, i))
			msg := kafka.Message{Key: e.Key, Value: e.Value}
			for _, h := range e.Headers {
				msg.Headers = append(msg.Headers, kafka.Header{Key: h.Key, Value: h.Value})
			}
			all = append(all, msg)
		}
		if err := w.WriteMessages(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w.Transport.(*kafka.Transport).CloseIdleConnections()
		n += len(all)
	}
	awaitEvents(t, m, n)
	for i, codec := range []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(), kgo.NoCompression()} {
		cl := newProducer(t, c, kgo.ProducerBatchCompression(codec))
		produce(t, cl, leavers(0, fmt.Sprint("kgo", i), 20)...)
		n += 20
	}
	awaitEvents(t, m, n)
}

// A commit in the middle of a compressed batch must not make the rest of it
// come twice.
func TestGoesOnWithinABatch(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	produce(t, newProducer(t, c, kgo.ProducerBatchCompression(kgo.ZstdCompression())), leavers(0, "a", 50)...)
	m := newMemory()
	m.marks[consumer.Partition{Topic: testTopic}] = 33
	start(t, c, m, setup{})
	awaitEvents(t, m, 17)
}

func TestLargeRecords(t *testing.T) {
	parallel(t)
	c := newCluster(t, 0)
	c.createTopic(t, testTopic, 1)
	cl := newProducer(t, c, kgo.ProducerBatchMaxBytes(10<<20))
	large := make([]byte, 5<<20)
	m := newMemory()
	start(t, c, m, setup{})
	for range 3 {
		produce(t, cl, &kgo.Record{Topic: testTopic, Value: large})
	}
	produce(t, cl, leavers(0, "a", 1)...)
	awaitEvents(t, m, 1)
	if _, rejects, _ := m.count(); rejects != 3 {
		t.Errorf("%d rejects, want 3", rejects)
	}
}

func TestTransactions(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	m := newMemory()
	start(t, c, m, setup{})
	cl := newProducer(t, c, kgo.TransactionalID("hr"))
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(t, cl, leavers(0, fmt.Sprint("tx", i), 10)...)
		if err := cl.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "read past the last marker", func() bool { return m.mark(testTopic, 0) == 44 })
	awaitEvents(t, m, 20)
	awaitState(t, m, consumer.UpToDate)
	m.see(func() {
		for key := range m.events {
			if key.ID[2] != '0' && key.ID[2] != '2' {
				t.Errorf("%s was taken back and came all the same", key.ID)
			}
		}
	})
	eventually(t, "committed past the marker", func() bool { return committed(t, c, 0) == 44 })
}

// A backlog of aborted transactions is read in one go, not as it happens.
func TestTransactionsInABacklog(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	plain := newProducer(t, c)
	one, two := newProducer(t, c, kgo.TransactionalID("one")), newProducer(t, c, kgo.TransactionalID("two"))
	for _, cl := range []*kgo.Client{one, two} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
	}
	produce(t, one, leavers(0, "aborted", 5)...)
	produce(t, plain, leavers(0, "plain", 5)...)
	produce(t, two, leavers(0, "kept", 5)...)
	produce(t, one, leavers(0, "aborted-too", 5)...)
	for cl, end := range map[*kgo.Client]kgo.TransactionEndTry{one: kgo.TryAbort, two: kgo.TryCommit} {
		if err := cl.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	m := newMemory()
	start(t, c, m, setup{})
	awaitState(t, m, consumer.UpToDate)
	awaitEvents(t, m, 10)
}

// What a transaction holds back is not read, and still is known to be there.
func TestTransactionThatHangs(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	produce(t, newProducer(t, c), leavers(0, "plain", 5)...)
	m := newMemory()
	r := start(t, c, m, setup{})
	awaitEvents(t, m, 5)
	lag := func() float64 { return r.gauge(t, "signoff_kafka_lag", "0", testTopic) }
	cl := newProducer(t, c, kgo.TransactionalID("hr"))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		held := leavers(0, fmt.Sprint("held", i), 10)
		for j, record := range held {
			record.Timestamp = time.Unix(1795000000+int64(10*i+j), 0)
		}
		produce(t, cl, held...)
		eventually(t, "the lag grows", func() bool { return lag() == float64(10*(i+1)) && r.oldest(t, "0") == 1795000000 })
	}
	if m.mark(testTopic, 0) != 5 || m.reading().state != consumer.UpToDate {
		t.Errorf("watermark %d, state %s", m.mark(testTopic, 0), m.reading().state)
	}
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	awaitEvents(t, m, 25)
	eventually(t, "nothing is behind", func() bool { return lag() == 0 && r.oldest(t, "0") == 0 })
	m.see(func() {
		for _, s := range m.spans {
			if s.From == s.Next && s.Next > 0 {
				t.Errorf("recorded %+v, in which there is nothing", s)
			}
		}
	})
}

func TestFullLedger(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	cl := newProducer(t, c)
	m := newMemory()
	m.most = 2
	r := start(t, c, m, setup{})
	for i := range 4 {
		produce(t, cl, &kgo.Record{Topic: testTopic, Value: fmt.Append(nil, "odd ", i)})
		eventually(t, "taken, or refused", func() bool { return m.mark(testTopic, 0) == int64(i+1) || m.reading().state == consumer.Paused })
	}
	produce(t, cl, leavers(0, "a", 3)...)
	awaitState(t, m, consumer.Paused)
	eventually(t, "what was recorded before is committed all the same", func() bool { return committed(t, c, 0) == 2 })
	if d := m.reading().detail; d != consumer.ErrFull.Error() {
		t.Errorf("paused because of %q", d)
	}
	r.beats.Store(0)
	eventually(t, "beats go on", func() bool { return r.beats.Load() > 0 })
	m.see(func() { m.most = 10 }) // a person has settled some
	awaitEvents(t, m, 3)
	awaitState(t, m, consumer.UpToDate)
	if _, rejects, _ := m.count(); rejects != 4 {
		t.Errorf("%d rejects, want 4", rejects)
	}
}

// A ledger that never comes back is a stuck loop, though the group hears of us still.
func TestStuckLoopDoesNotBeat(t *testing.T) {
	parallel(t)
	c := newFake(t, 1)
	m := newMemory()
	stuck, free := make(chan struct{}), make(chan struct{})
	m.refuse = func() error {
		select {
		case stuck <- struct{}{}:
		case <-free:
		}
		<-free
		return nil
	}
	r := start(t, c, m, setup{})
	produce(t, newProducer(t, c), leaver(0, "a"))
	<-stuck
	beats := r.beats.Load()
	var heard atomic.Int64
	c.fake.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		heard.Add(1)
		return nil, nil, false
	})
	eventually(t, "the group heard of us, a second each", func() bool { return heard.Load() > 2 })
	if n := r.beats.Load(); n != beats {
		t.Errorf("%d beats while it hangs", n-beats)
	}
	close(free)
	awaitEvents(t, m, 1)
	eventually(t, "beats go on", func() bool { return r.beats.Load() > beats })
}

func TestLedgerThatCannotWrite(t *testing.T) {
	parallel(t)
	c := newCluster(t, 2)
	cl := newProducer(t, c)
	m := newMemory()
	r := start(t, c, m, setup{})
	awaitState(t, m, consumer.UpToDate)
	full := errors.New("disk full")
	m.see(func() { m.refuse = func() error { return full } })
	for i := range 10 {
		produce(t, cl, append(leavers(0, fmt.Sprint("a", i), 5), leavers(1, fmt.Sprint("a", i), 5)...)...)
	}
	awaitState(t, m, consumer.Paused)
	if got := committed(t, c, 0); got > 0 {
		t.Errorf("committed %d, which nobody recorded", got)
	}
	member := c.members(t)[0]
	eventually(t, "metrics show what waits", func() bool { return r.oldest(t, "0") > 0 && r.oldest(t, "1") > 0 })
	m.see(func() { m.refuse = nil })
	awaitEvents(t, m, 100)
	awaitState(t, m, consumer.UpToDate)
	if members := c.members(t); len(members) != 1 || members[0] != member {
		t.Errorf("members are %v; want %s to have stayed", members, member)
	}
}

// What is in hand when the signal comes is recorded and committed.
func TestShutdownFinishesWhatIsInHand(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	cl := newProducer(t, c)
	m := newMemory()
	r := start(t, c, m, setup{})
	awaitState(t, m, consumer.UpToDate)
	entered, leave := make(chan bool), make(chan bool)
	m.see(func() {
		m.refuse = func() error { entered <- true; <-leave; m.refuse = nil; return nil }
	})
	produce(t, cl, leavers(0, "a", 10)...)
	<-entered
	go func() { leave <- true }()
	r.stop()
	if events, _, _ := m.count(); events == 0 || m.mark(testTopic, 0) != committed(t, c, 0) {
		t.Errorf("%d events; watermark %d, committed %d", events, m.mark(testTopic, 0), committed(t, c, 0))
	}
}
