package kafka

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"signoff/consumer"
)

// roster is a directory that can be away.
type roster struct {
	away  atomic.Bool
	hangs atomic.Bool  // until whoever asks gives up
	most  atomic.Int64 // questions before it hangs; 0: no limit
	asked atomic.Int64
}

func (r *roster) Find(ctx context.Context, id string) (consumer.Person, error) {
	asked, most := r.asked.Add(1), r.most.Load()
	if r.hangs.Load() || most > 0 && asked > most {
		<-ctx.Done()
		return consumer.Person{}, ctx.Err()
	}
	if r.away.Load() {
		return consumer.Person{}, errors.New("503 Service Unavailable")
	}
	return consumer.Person{Email: strings.ToLower(id) + "@example.com"}, nil
}

// thin is a termination without an email.
func thin(partition int32, id string) *kgo.Record {
	r := inHeaders(partition, id, consumer.TypeTerminated, []byte(`{"employeeId":"`+id+`","effectiveAt":"2026-11-20T12:00:00Z"}`))
	r.Timestamp = time.UnixMilli(1795000000000)
	return r
}

func (r *run) oldest(t testing.TB, partition string) float64 {
	t.Helper()
	return r.gauge(t, "signoff_kafka_oldest_uncommitted_timestamp_seconds", partition, testTopic)
}

func TestDirectoryAway(t *testing.T) {
	parallel(t)
	c := newCluster(t, 2)
	cl := newProducer(t, c)
	produce(t, cl, leaver(0, "a"), thin(0, "b"), leaver(0, "c"), leaver(1, "d"))
	directory, m := &roster{}, newMemory()
	directory.away.Store(true)
	r := start(t, c, m, setup{decoder: newTestDecoder(t, directory)})
	awaitEvents(t, m, 2) // what lies before it, and the other partition
	awaitState(t, m, consumer.Paused)
	if got := m.reading().detail; got != testTopic+"/0: events.directory: 503 Service Unavailable" {
		t.Errorf("paused because of %q", got)
	}
	produce(t, cl, leaver(1, "e"))
	awaitEvents(t, m, 3)
	eventually(t, "what was read is committed", func() bool { return committed(t, c, 0) == 1 && committed(t, c, 1) == 2 })
	eventually(t, "metrics show what waits", func() bool {
		return r.gauge(t, "signoff_kafka_lag", "0", testTopic) == 2 && r.oldest(t, "0") == 1795000000 &&
			r.gauge(t, "signoff_kafka_lag", "1", testTopic) == 0 && r.oldest(t, "1") == 0
	})
	member, beats, asked := c.members(t)[0], r.beats.Load(), directory.asked.Load()
	eventually(t, "it is asked again, and beats go on", func() bool { return directory.asked.Load() > asked+1 && r.beats.Load() > beats+1 })
	if members := c.members(t); len(members) != 1 || members[0] != member {
		t.Errorf("members are %v; want %s to have stayed", members, member)
	}
	if n := r.logs.FilterField(zapString("state", string(consumer.Paused))).Len(); n != 1 {
		t.Errorf("%d log lines say that it waits, want 1", n)
	}
	directory.away.Store(false)
	awaitEvents(t, m, 5)
	awaitState(t, m, consumer.UpToDate)
	if got := r.oldest(t, "0"); got != 0 {
		t.Errorf("the oldest is of %v, want none", got)
	}
	if _, rejects, _ := m.count(); rejects != 0 {
		t.Errorf("%d rejects, want none", rejects)
	}
}

// A directory that never answers keeps nobody from stopping.
func TestStopsWhileADirectoryHangs(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	produce(t, newProducer(t, c), leaver(0, "a"), thin(0, "b"))
	directory, m := &roster{}, newMemory()
	directory.hangs.Store(true)
	r := start(t, c, m, setup{decoder: newTestDecoder(t, directory)})
	eventually(t, "it is asked", func() bool { return directory.asked.Load() > 0 })
	r.stop()
	directory.hangs.Store(false)
	start(t, c, m, setup{decoder: newTestDecoder(t, directory)})
	awaitEvents(t, m, 2)
}

func TestRebalanceWhileADirectoryHangs(t *testing.T) {
	parallel(t)
	c := newCluster(t, 2)
	produce(t, newProducer(t, c), thin(0, "a"), thin(1, "b"))
	directory, m := &roster{}, newMemory()
	directory.hangs.Store(true)
	first := start(t, c, replica{m, "first"}, setup{clientID: "signoff-first", decoder: newTestDecoder(t, directory)})
	eventually(t, "it is asked", func() bool { return directory.asked.Load() > 1 })
	start(t, c, replica{m, "second"}, setup{clientID: "signoff-second", decoder: newTestDecoder(t, directory)})
	awaitMembers(t, c, 2)
	first.stop()
	awaitMembers(t, c, 1)
	directory.hangs.Store(false)
	start(t, c, replica{m, "first"}, setup{clientID: "signoff-first", decoder: newTestDecoder(t, directory)})
	awaitEvents(t, m, 2)
}

// A directory that takes its time does not keep what it has answered already
// from being recorded.
func TestSlowDirectory(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	produce(t, newProducer(t, c), thin(0, "a"), thin(0, "b"), thin(0, "c"))
	directory, m := &roster{}, newMemory()
	directory.most.Store(2)
	r := start(t, c, m, setup{decoder: newTestDecoder(t, directory), hasty: true})
	awaitEvents(t, m, 2)
	r.stop()
	directory.most.Store(0)
	start(t, c, m, setup{decoder: newTestDecoder(t, directory)})
	awaitEvents(t, m, 3)
}
