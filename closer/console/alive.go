package console

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	askAgain   = time.Second     // after an answer, before the ledger is asked anew: a look costs it an fsync
	askLately  = 5 * time.Second // the same, while only pages are open
	askAtMost  = 5 * time.Second // that a look may take, as far as the ledger heeds it
	waitAtMost = 2 * time.Second // for an answer: a probe does not wait for longer, and is to have the reason
)

// ledgerCheck knows whether the ledger can be written and read. It looks in the background,
// once for all who ask: a ledger that is locked keeps nobody waiting.
type ledgerCheck struct {
	look func(context.Context) error

	mu     sync.Mutex
	at     time.Time     // when the last look ended; zero: there was none
	found  error         // by that
	asking chan struct{} // is closed when the look under way ends; nil: there is none
	since  time.Time     // when that has begun

	looks sync.WaitGroup
}

// now is what a look finds, or one of the last second has found.
func (c *ledgerCheck) now(ctx context.Context) error {
	asking, since := c.begin(ctx, askAgain)
	if asking == nil {
		return c.result()
	}
	wait := time.NewTimer(waitAtMost - time.Since(since))
	defer wait.Stop()
	select {
	case <-asking:
		return c.result()
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
		return silentSince(since)
	}
}

// lately is what the last look has found, or how long one goes on by now: it waits for
// none, and begins one if the last is a while ago.
func (c *ledgerCheck) lately(ctx context.Context) error {
	if asking, since := c.begin(ctx, askLately); asking != nil && time.Since(since) > waitAtMost {
		return silentSince(since)
	}
	return c.result()
}

func silentSince(since time.Time) error {
	return fmt.Errorf("has not answered for %d s", int(time.Since(since).Seconds()))
}

func (c *ledgerCheck) result() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.found
}

// begin begins a look if none is under way and the last one is older than that. Not with
// ctx alone: the answer is for all who ask meanwhile, and who gave up says nothing of the
// ledger.
func (c *ledgerCheck) begin(ctx context.Context, older time.Duration) (asking chan struct{}, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asking == nil && time.Since(c.at) > older {
		c.asking, c.since = make(chan struct{}), time.Now()
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), askAtMost)
		c.looks.Go(func() {
			defer cancel()
			c.end(c.look(limited))
		})
	}
	return c.asking, c.since
}

func (c *ledgerCheck) end(found error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.asking)
	c.asking, c.at, c.found = nil, time.Now(), found
}

// wait returns once no look is under way: until then the ledger is asked.
func (c *ledgerCheck) wait() { c.looks.Wait() }

// lookAtLedger says what keeps the ledger from being written, or read.
func (s *Server) lookAtLedger(ctx context.Context) error {
	if err := s.ledger.Writable(ctx); err != nil {
		return fmt.Errorf("cannot be written: %w", err)
	}
	if _, err := s.ledger.Pulse(ctx); err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	return nil
}
