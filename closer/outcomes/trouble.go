package outcomes

import (
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

const (
	firstWait  = time.Second
	longest    = 5 * time.Minute // between two tries, unless the receiver asks for more
	longestAsk = time.Hour       // that a receiver may ask for
	remindOf   = time.Hour
)

// trouble is a sink that does not take what it is sent. It is told of when it
// begins, every hour, and when it is over.
type trouble struct {
	log   *zap.Logger
	since time.Time // zero: there is none
	said  time.Time
	next  time.Duration // to wait after the next failure
}

func newTrouble(log *zap.Logger) *trouble { return &trouble{log: log, next: firstWait} }

// met returns how long to wait before the next try.
func (t *trouble) met(err error) time.Duration {
	now := time.Now()
	switch {
	case t.since.IsZero():
		t.since, t.said = now, now
		t.log.Error("outcomes cannot be published: they wait in the ledger, and go on in order", zap.Error(err))
	case now.Sub(t.said) >= remindOf:
		t.said = now
		t.log.Error("outcomes can still not be published", zap.Time("since", t.since), zap.Error(err))
	}
	var retry *RetryError
	if errors.As(err, &retry) {
		return spread(min(max(retry.After, firstWait), longestAsk))
	}
	wait := t.next
	t.next = min(2*t.next, longest)
	return spread(wait)
}

func (t *trouble) over() {
	if !t.since.IsZero() {
		t.log.Info("outcomes are published again", zap.Duration("after", time.Since(t.since)))
	}
	t.since, t.next = time.Time{}, firstWait
}

// spread is d and up to a fifth more, never less: it may be what was asked for.
func spread(d time.Duration) time.Duration {
	return d + rand.N(d/5+1) //nolint:gosec // no secret
}
