package docusign

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

// Quota is what is left of an account's calls, which all of its integrations
// share. Calls under way are not taken off yet.
type Quota struct {
	Hour  Window // ends at the top of the hour
	Burst Window // 30 s; Docusign does not say when it ends, so Reset is when it will be over at the latest
}

// Window is one window of the quota.
type Window struct {
	Limit     int
	Remaining int       // never below 0
	Reset     time.Time // by Docusign's clock; zero if nothing was sent yet
}

const (
	defaultHourLimit = 3000
	burstLength      = 30 * time.Second
	resetMargin      = 2 * time.Second  // after Reset, before the first call of the new hour
	leastPause       = 10 * time.Second // after a refusal whose window should be over by now
	longestWait      = time.Minute      // inside a call, for a burst to be over
	farthestReset    = 2 * time.Hour    // what is said to be farther off is nonsense
)

// defaultBurst is the documented burst limit of the environment that base
// belongs to (developers.docusign.com, resource limits).
func defaultBurst(base string) int {
	if strings.Contains(base, "demo") {
		return 200
	}
	return 500
}

var errQuotaOver = errors.New("quota used up, nothing was sent")

// meter lets requests of an account through, as many as its quota has room for.
type meter struct {
	clock func() time.Time // Docusign's, as far as we know it

	mu    sync.Mutex
	tally tally
	news  chan struct{} // closed, and replaced, when an answer has changed the tally
}

func newMeter(burstLimit int, clock func() time.Time) *meter {
	return &meter{clock: clock, tally: newTally(burstLimit), news: make(chan struct{})}
}

// reserve waits until a request may be sent. The step it returns has either a
// number, which ends with settle or release, or the window that is
// used up; the only error is that of ctx.
func (m *meter) reserve(ctx context.Context) (step, error) {
	for {
		m.mu.Lock()
		now := m.clock()
		s := m.tally.take(now)
		news := m.news
		m.mu.Unlock()
		if s.number != 0 || s.over != "" {
			return s, nil
		}
		if err := wait(ctx, news, s.until.Sub(now)); err != nil {
			return step{}, err
		}
	}
}

// wait ends with ctx, with news, or after d if that is positive.
func wait(ctx context.Context, news <-chan struct{}, d time.Duration) error {
	var over <-chan time.Time
	if d > 0 {
		over = time.After(d)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-news:
	case <-over:
	}
	return nil
}

// settle takes in what the answer to a request said of the quota.
func (m *meter) settle(number uint64, l limits) Quota {
	return m.change(func(t *tally, now time.Time) { t.settle(number, l, now) })
}

// release ends the reservation of a request that was not sent after all.
func (m *meter) release() {
	m.change(func(t *tally, _ time.Time) { t.flying-- })
}

func (m *meter) restore(q Quota) {
	m.change(func(t *tally, now time.Time) { t.restore(q, now) })
}

func (m *meter) quota() Quota {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tally.quota(m.clock())
}

func (m *meter) change(f func(*tally, time.Time)) Quota {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	f(&m.tally, now)
	close(m.news)
	m.news = make(chan struct{})
	return m.tally.quota(now)
}

// Quota is what is known of the account's quota now.
func (a *Account) Quota() Quota { return a.meter.quota() }

// Restore takes over what an earlier process knew of the quota, so that a
// restart does not send into an hour that is used up. Windows that are over by
// now, and whatever we know better, are left out.
func (a *Account) Restore(q Quota) { a.meter.restore(q) }
