package kafka

import (
	"sync"
	"time"

	"signoff/consumer"
	"signoff/metrics"
)

// lag knows how far the ledger is behind one partition, and shows it whenever
// it changes, so that it is right also while the ledger can't be written, the
// broker is away or nothing is fetched.
type lag struct {
	metrics   *metrics.Kafka
	partition consumer.Partition

	mu      sync.Mutex
	end     int64     // of the log, the high watermark
	next    int64     // the ledger has taken in what lies before it
	read    []stretch // what lies behind that and was fetched, in order
	last    time.Time // timestamp of what was taken in last
	ahead   time.Time // timestamp of the record at offset aheadAt, seen without being read
	aheadAt int64
}

// stretch is a piece of a partition that was fetched.
type stretch struct {
	next   int64     // it ends before this offset
	oldest time.Time // timestamp of its first record; zero: there is none to be read
}

// placed notes where the reading of the partition begins.
func (l *lag) placed(next, end int64) {
	l.change(func() {
		l.end = end
		if len(l.read) == 0 {
			l.next = next
		}
	})
}

// fetched notes what an answer of the broker has brought.
func (l *lag) fetched(b batch) {
	l.change(func() {
		l.end = b.end
		if b.span.Next > b.span.From {
			l.read = append(l.read, stretch{b.span.Next, b.oldest})
		}
	})
}

// recorded notes that the ledger has taken in what lies before next.
func (l *lag) recorded(next int64) {
	l.change(func() {
		l.next = next
		for len(l.read) > 0 && l.read[0].next <= next {
			if !l.read[0].oldest.IsZero() {
				l.last = l.read[0].oldest
			}
			l.read = l.read[1:]
		}
	})
}

// saw notes the timestamp of the record at an offset that is not read yet.
func (l *lag) saw(offset int64, at time.Time) {
	l.change(func() { l.aheadAt, l.ahead = offset, at })
}

// seen says whether that was noted.
func (l *lag) seen(offset int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.aheadAt == offset && !l.ahead.IsZero()
}

func (l *lag) change(what func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what()
	label := partitionLabel(l.partition)
	l.metrics.Lag(l.partition.Topic, label, max(0, l.end-l.next))
	l.metrics.Oldest(l.partition.Topic, label, l.oldest())
}

// oldest is the timestamp of the oldest record that the ledger has not taken
// in, zero if there is none.
func (l *lag) oldest() time.Time {
	for _, s := range l.read {
		if !s.oldest.IsZero() {
			return s.oldest
		}
	}
	switch {
	case l.end <= l.next:
		return time.Time{}
	case l.aheadAt == l.next && !l.ahead.IsZero():
		return l.ahead
	}
	return l.last // what follows is not older, nor much newer
}
