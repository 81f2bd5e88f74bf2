package kafka

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"signoff/consumer"
)

func TestMembersComeAndGo(t *testing.T) {
	parallel(t)
	const partitions, rounds, each = 4, 60, 25
	c := newCluster(t, partitions)
	m := newMemory()
	first := start(t, c, replica{m, "first"}, setup{clientID: "signoff-first"})
	producing := make(chan error, 1)
	cl := newProducer(t, c)
	go func() {
		for i := range rounds {
			for p := range int32(partitions) {
				all := append(leavers(p, fmt.Sprint("r", i), each), others(p, each)...)
				if err := cl.ProduceSync(t.Context(), all...).FirstErr(); err != nil {
					producing <- err
					return
				}
			}
			time.Sleep(20 * time.Millisecond) // spreads the load over the joining and leaving
		}
		producing <- nil
	}()
	awaitMembers(t, c, 1)
	second := start(t, c, replica{m, "second"}, setup{clientID: "signoff-second"})
	awaitMembers(t, c, 2)
	eventually(t, "each reads half", func() bool {
		return second.gauge(t, "signoff_kafka_lag", "0", testTopic) >= 0 != (first.gauge(t, "signoff_kafka_lag", "0", testTopic) >= 0)
	})
	first.stop()
	awaitMembers(t, c, 1)
	start(t, c, replica{m, "first"}, setup{clientID: "signoff-first"})
	awaitMembers(t, c, 2)
	if err := <-producing; err != nil {
		t.Fatal(err)
	}
	awaitEvents(t, m, partitions*rounds*each)
	for p := range partitions {
		eventually(t, "read and committed to the end", func() bool {
			return m.mark(testTopic, p) == 2*rounds*each && committed(t, c, int32(p)) == 2*rounds*each
		})
	}
	awaitState(t, m, consumer.UpToDate)
}

// joinAndDie joins the group as a process does that is then killed: it holds
// its partitions and neither beats nor leaves.
func joinAndDie(t *testing.T, c *cluster, clientID string) (member string) {
	t.Helper()
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: testGroup, Brokers: c.cfg.Brokers, Topics: []string{testTopic},
		HeartbeatInterval: time.Hour, SessionTimeout: 5 * time.Minute, RebalanceTimeout: 5 * time.Minute,
		Dialer: &kafka.Dialer{Timeout: dialTimeout, ClientID: clientID, DialFunc: newDialer(c.cfg).dial},
	})
	if err != nil {
		t.Fatal(err)
	}
	gen, err := group.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { group.Close() })
	return gen.MemberID
}

// The sessions of these dead members last minutes, far longer than the tests.
func TestDeadMemberIsTakenOut(t *testing.T) {
	parallel(t)
	for name, known := range map[string]bool{
		"that the ledger remembers":                 true,
		"that died before the ledger could be told": false,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1)
			produce(t, newProducer(t, c), leavers(0, "a", 5)...)
			m := newMemory()
			clientID, s := "somebody", setup{}
			if !known {
				clientID, s.clientID = "signoff-7f3a", "signoff-7f3a"
			}
			dead := joinAndDie(t, c, clientID)
			if known {
				m.members[testGroup] = dead
			}
			r := start(t, c, m, s)
			awaitEvents(t, m, 5)
			members := c.members(t)
			if len(members) != 1 || members[0] == dead {
				t.Errorf("members are %v", members)
			}
			if id, _ := m.Member(t.Context(), testGroup); id != members[0] {
				t.Errorf("the ledger remembers %q, want %q", id, members[0])
			}
			if r.logs.FilterMessage("took a dead member out of the group").Len() != 1 {
				t.Error("no log line about it")
			}
		})
	}
}

// A coordinator that does not take orders yet must not leave us waiting behind
// the dead member.
func TestDeadMemberBehindACoordinatorNotReady(t *testing.T) {
	parallel(t)
	for _, code := range []kafka.Error{kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup} {
		for name, key := range map[string]kmsg.Key{"to be left": kmsg.LeaveGroup, "to be described": kmsg.DescribeGroups} {
			t.Run(fmt.Sprintf("%s, %s", name, code.Title()), func(t *testing.T) {
				parallel(t)
				c := newFake(t, 1)
				produce(t, newProducer(t, c), leavers(0, "a", 5)...)
				const clientID = "signoff-7f3a"
				dead := joinAndDie(t, c, clientID)
				refusals := refuse(c, key, int16(code), 2)
				m := newMemory()
				r := start(t, c, m, setup{clientID: clientID})
				awaitEvents(t, m, 5)
				if members := c.members(t); len(members) != 1 || members[0] == dead {
					t.Errorf("members are %v", members)
				}
				if n := r.logs.FilterMessage("took a dead member out of the group").Len(); n != 1 || refusals.Load() != 2 {
					t.Errorf("%d log lines say that it was taken out after %d refusals, want 1 after 2", n, refusals.Load())
				}
			})
		}
	}
}

// refuse makes the broker answer so many requests with an error, and counts them.
func refuse(c *cluster, key kmsg.Key, code int16, times int32) *atomic.Int32 {
	var refusals atomic.Int32
	c.fake.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		if refusals.Load() >= times {
			return nil, nil, false
		}
		refusals.Add(1)
		res := req.ResponseKind()
		switch res := res.(type) {
		case *kmsg.LeaveGroupResponse:
			res.ErrorCode = code
		case *kmsg.DescribeGroupsResponse:
			res.Groups = []kmsg.DescribeGroupsResponseGroup{{Group: testGroup, ErrorCode: code}}
		}
		return res, nil, true
	})
	return &refusals
}

func TestOthersAreLeftAlone(t *testing.T) {
	parallel(t)
	c := newCluster(t, 2)
	m := newMemory()
	start(t, c, replica{m, "first"}, setup{clientID: "signoff-first"})
	awaitState(t, m, consumer.UpToDate)
	first := c.members(t)[0]
	start(t, c, replica{m, "second"}, setup{clientID: "signoff-second"})
	awaitMembers(t, c, 2)
	if !slices.Contains(c.members(t), first) {
		t.Error("the first member was taken out of the group")
	}
}

// A member that is taken out although it lives joins again and loses nothing.
func TestTakenOutAlive(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	cl := newProducer(t, c)
	m := newMemory()
	r := start(t, c, m, setup{})
	awaitState(t, m, consumer.UpToDate)
	id, _ := m.Member(t.Context(), testGroup)
	if err := r.takeOut(t.Context(), []string{id}); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, leavers(0, "a", 10)...)
	eventually(t, "it is a member again", func() bool {
		members := c.members(t)
		return len(members) == 1 && members[0] != id
	})
	produce(t, cl, leavers(0, "b", 10)...)
	awaitEvents(t, m, 20)
	eventually(t, "committed", func() bool { return committed(t, c, 0) == 20 })
}

func TestOvertaken(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	cl := newProducer(t, c)
	m := newMemory()
	r := start(t, c, m, setup{})
	awaitState(t, m, consumer.UpToDate)
	m.see(func() { m.marks[consumer.Partition{Topic: testTopic}] = 5 }) // as if another had read five
	produce(t, cl, leavers(0, "a", 10)...)
	awaitEvents(t, m, 5)
	if m.mark(testTopic, 0) != 10 {
		t.Errorf("watermark %d, want 10", m.mark(testTopic, 0))
	}
	if r.logs.FilterMessage("joining the group again").Len() != 1 {
		t.Error("no log line about it")
	}
}

func TestBrokerAwayAtStart(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	produce(t, newProducer(t, c), leavers(0, "a", 5)...)
	c.stop(t, "stop")
	m := newMemory()
	r := start(t, c, m, setup{})
	awaitState(t, m, consumer.Away)
	tries := r.beats.Load()
	eventually(t, "it goes on trying", func() bool { return r.beats.Load() > tries+3 })
	c.start(t)
	awaitEvents(t, m, 5)
	awaitState(t, m, consumer.UpToDate)
	if n := r.logs.FilterField(zapString("state", string(consumer.Away))).Len(); n != 1 {
		t.Errorf("%d log lines say that it is away, want 1", n)
	}
}

func TestBrokerAwayInBetween(t *testing.T) {
	parallel(t)
	for _, how := range []string{"stop", "kill"} {
		t.Run(how, func(t *testing.T) {
			parallel(t)
			c := newCluster(t, 2)
			produce(t, newProducer(t, c), append(leavers(0, "a", 5), leavers(1, "a", 5)...)...)
			m := newMemory()
			r := start(t, c, m, setup{clientID: "signoff-1"})
			awaitEvents(t, m, 10)
			awaitState(t, m, consumer.UpToDate)
			c.stop(t, how)
			awaitState(t, m, consumer.Away)
			c.start(t)
			produce(t, newProducer(t, c), append(leavers(0, "b", 5), leavers(1, "b", 5)...)...)
			awaitEvents(t, m, 20)
			awaitState(t, m, consumer.UpToDate)
			if n := r.logs.FilterField(zapString("state", string(consumer.Away))).Len(); n != 1 {
				t.Errorf("%d log lines say that it is away, want 1", n)
			}
		})
	}
}

func TestTopicThatDoesNotExistYet(t *testing.T) {
	parallel(t)
	c := newCluster(t, 0)
	m := newMemory()
	r := start(t, c, m, setup{})
	awaitState(t, m, consumer.Joining)
	eventually(t, "it says what is missing", func() bool { return m.reading().detail == "no such topic: "+testTopic })
	beats := r.beats.Load()
	eventually(t, "it asked again", func() bool { return r.beats.Load() > beats+1 })
	if c.hasTopic(t, testTopic) {
		t.Fatal("asking made the topic")
	}
	c.createTopic(t, testTopic, 1)
	produce(t, newProducer(t, c), leavers(0, "a", 5)...)
	awaitEvents(t, m, 5)
	awaitState(t, m, consumer.UpToDate)
}

// A topic that somebody deletes must not come back because we ask for it, by
// ourselves or by the library, whichever member leads the group.
func TestDeletedTopicStaysDeleted(t *testing.T) {
	parallel(t)
	for name, members := range map[string]int{"alone": 1, "two members": 2} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			c := newCluster(t, 2)
			ledgers := []*memory{newMemory(), newMemory()}[:members]
			for i, m := range ledgers {
				// Earliest, since the second ledger is empty beside what the first member commits.
				start(t, c, m, setup{clientID: fmt.Sprint("signoff-", i), from: Earliest})
				awaitMembers(t, c, i+1)
			}
			for _, m := range ledgers {
				awaitState(t, m, consumer.UpToDate)
			}
			c.deleteTopic(t, testTopic)
			for _, m := range ledgers {
				eventually(t, "it says what is missing", func() bool { return m.reading() == outlook{consumer.Joining, "no such topic: " + testTopic} })
			}
			if c.hasTopic(t, testTopic) {
				t.Fatal("the topic came back")
			}
		})
	}
}

// While a topic is gone, its partitions are no outage.
func TestDeletedTopicIsNotAway(t *testing.T) {
	parallel(t)
	c := newFake(t, 2)
	m := newMemory()
	start(t, c, m, setup{})
	awaitState(t, m, consumer.UpToDate)
	answering(t, c, func(p *kmsg.FetchResponseTopicPartition) { p.ErrorCode = int16(kafka.UnknownTopicOrPartition) })
	produce(t, newProducer(t, c), leavers(1, "a", 1)...)
	awaitState(t, m, consumer.Away)
	c.deleteTopic(t, testTopic)
	eventually(t, "it says what is missing", func() bool { return m.reading() == outlook{consumer.Joining, "no such topic: " + testTopic} })
}

func TestTopicsAndPartitionsAreAdded(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	cl := newProducer(t, c)
	m := newMemory()
	start(t, c, m, setup{topics: []string{"hr.later", testTopic}})
	produce(t, cl, leavers(0, "a", 5)...)
	awaitEvents(t, m, 5)
	awaitState(t, m, consumer.UpToDate)
	if got := m.reading().detail; got != "no such topic: hr.later" {
		t.Errorf("detail is %q", got)
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = testTopic, 3
	req.Topics = append(req.Topics, topic)
	if _, err := req.RequestWith(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker itself knows of the partitions", func() bool { // which the controller has made
		ask, about := kmsg.NewPtrMetadataRequest(), kmsg.NewMetadataRequestTopic()
		about.Topic = kmsg.StringPtr(testTopic)
		ask.Topics = append(ask.Topics, about)
		told, err := ask.RequestWith(t.Context(), cl)
		return err == nil && len(told.Topics) == 1 && len(told.Topics[0].Partitions) == 3
	})
	again := newProducer(t, c) // one that knows the new partitions
	produce(t, again, leavers(2, "b", 5)...)
	awaitEvents(t, m, 10)
	c.createTopic(t, "hr.later", 1)
	late := leaver(0, "late")
	late.Topic = "hr.later"
	produce(t, newProducer(t, c), late)
	awaitEvents(t, m, 11)
	eventually(t, "nothing is missing", func() bool { return m.reading() == outlook{consumer.UpToDate, ""} })
}

func TestTopicMadeAnewWhileReading(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	m := newMemory()
	produce(t, newProducer(t, c), leavers(0, "a", 20)...)
	start(t, c, m, setup{})
	awaitEvents(t, m, 20)
	awaitState(t, m, consumer.UpToDate)
	c.deleteTopic(t, testTopic)
	c.createTopic(t, testTopic, 1)
	produce(t, newProducer(t, c), leavers(0, "b", 5)...)
	awaitEvents(t, m, 25)
	eventually(t, "the watermark is that of the new log", func() bool { return m.mark(testTopic, 0) == 5 && committed(t, c, 0) == 5 })
}
