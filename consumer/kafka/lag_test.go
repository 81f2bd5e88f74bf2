package kafka

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"signoff/consumer"
	"signoff/metrics"
)

func TestLag(t *testing.T) {
	at := func(n int64) time.Time { return time.Unix(n, 0) }
	read := func(from, next, end, oldest int64) func(*lag) {
		b := batch{span: consumer.Span{From: from, Next: next}, end: end}
		if oldest > 0 {
			b.oldest = at(oldest)
		}
		return func(l *lag) { l.fetched(b) }
	}
	placed := func(next, end int64) func(*lag) { return func(l *lag) { l.placed(next, end) } }
	recorded := func(next int64) func(*lag) { return func(l *lag) { l.recorded(next) } }
	saw := func(offset, when int64) func(*lag) { return func(l *lag) { l.saw(offset, at(when)) } }
	for name, c := range map[string]struct {
		steps           []func(*lag)
		records, oldest float64
	}{
		"at the end":                       {[]func(*lag){placed(7, 7)}, 0, 0},
		"nothing fetched":                  {[]func(*lag){placed(7, 9), saw(7, 100)}, 2, 100},
		"nothing recorded":                 {[]func(*lag){placed(7, 9), saw(7, 100), read(7, 8, 9, 100), read(8, 9, 9, 110)}, 2, 100},
		"the first recorded":               {[]func(*lag){placed(7, 9), saw(7, 100), read(7, 8, 9, 100), read(8, 9, 9, 110), recorded(8)}, 1, 110},
		"all recorded":                     {[]func(*lag){placed(7, 9), saw(7, 100), read(7, 8, 9, 100), read(8, 9, 9, 110), recorded(9)}, 0, 0},
		"more is there than was fetched":   {[]func(*lag){placed(7, 20), saw(7, 100), read(7, 9, 20, 110), recorded(9)}, 11, 110},
		"held back":                        {[]func(*lag){placed(7, 7), read(7, 7, 9, 0), saw(7, 120)}, 2, 120},
		"held back no more":                {[]func(*lag){placed(7, 7), read(7, 7, 9, 0), saw(7, 120), read(7, 10, 10, 120), recorded(10)}, 0, 0},
		"taken back, behind it one more":   {[]func(*lag){placed(7, 7), read(7, 9, 9, 0), read(9, 10, 10, 130)}, 3, 130},
		"an answer without anything":       {[]func(*lag){placed(7, 7), read(7, 7, 7, 0)}, 0, 0},
		"made anew while some is not read": {[]func(*lag){placed(7, 9), read(7, 8, 9, 100), placed(0, 5), recorded(8), recorded(0), read(0, 5, 5, 140)}, 5, 140},
	} {
		t.Run(name, func(t *testing.T) {
			r := &run{metrics: prometheus.NewRegistry()}
			l := &lag{metrics: metrics.NewKafka(r.metrics, nil, nil), partition: consumer.Partition{Topic: testTopic}}
			for _, step := range c.steps {
				step(l)
			}
			if records, oldest := r.gauge(t, "signoff_kafka_lag", "0", testTopic), r.oldest(t, "0"); records != c.records || oldest != c.oldest {
				t.Errorf("%v records, the oldest of %v; want %v and %v", records, oldest, c.records, c.oldest)
			}
		})
	}
}

// written is a termination that was written then.
func written(partition int32, id string, at int64) *kgo.Record {
	r := leaver(partition, id)
	r.Timestamp = time.Unix(at, 0)
	return r
}

// A ledger that hangs keeps the loop from turning, and the lag is right all the same.
func TestLagWhileTheLedgerHangs(t *testing.T) {
	parallel(t)
	c := newCluster(t, 2)
	cl := newProducer(t, c)
	m := newMemory()
	r := start(t, c, m, setup{})
	awaitState(t, m, consumer.UpToDate)
	hung := make(chan bool)
	m.see(func() {
		m.refuse = func() error { <-hung; m.refuse = nil; return nil }
	})
	produce(t, cl, written(0, "a", 1795000001))
	eventually(t, "one waits", func() bool { return r.oldest(t, "0") == 1795000001 })
	produce(t, cl, written(1, "b", 1795000002), written(1, "c", 1795000003))
	eventually(t, "and those of the other partition", func() bool {
		return r.oldest(t, "1") == 1795000002 && r.gauge(t, "signoff_kafka_lag", "1", testTopic) == 2
	})
	close(hung)
	awaitEvents(t, m, 3)
	eventually(t, "nothing waits", func() bool { return r.oldest(t, "0") == 0 && r.oldest(t, "1") == 0 })
}

// What waits when the broker goes away waits until it is back, also what was
// never fetched.
func TestLagWhileTheBrokerIsAway(t *testing.T) {
	parallel(t)
	c := newCluster(t, 1)
	produce(t, newProducer(t, c), written(0, "a", 1795000001))
	m := newMemory()
	m.refuse = func() error { return consumer.ErrFull }
	r := start(t, c, m, setup{})
	eventually(t, "it waits", func() bool { return r.oldest(t, "0") == 1795000001 })
	c.stop(t, "stop")
	awaitState(t, m, consumer.Away)
	if got := r.oldest(t, "0"); got != 1795000001 {
		t.Errorf("the oldest is of %v", got)
	}
	m.see(func() { m.refuse = nil })
	c.start(t)
	awaitEvents(t, m, 1)
	eventually(t, "nothing waits", func() bool { return r.oldest(t, "0") == 0 })
}
