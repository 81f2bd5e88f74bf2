package docusign

import (
	"cmp"
	"context"
	"errors"
	"slices"
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
	if strings.Contains(base, "demo") || strings.Contains(base, "api-d.") {
		return 200
	}
	return 500
}

var errQuotaOver = errors.New("quota used up, nothing was sent")

// meter lets requests of an account through, as many as its quota has room for.
type meter struct {
	clock   func() time.Time // Docusign's, as far as we know it
	reserve float64          // share of each hour that is left to others
	waiting func(int)        // told how many wait for a burst; may be nil

	mu      sync.Mutex
	tally   tally
	queue   []ticket      // who wants to send, the first one first
	given   uint64        // tickets so far
	blocked bool          // the first one waits for a burst
	news    chan struct{} // closed, and replaced, when something has changed
}

// ticket is a place in the queue: by priority, and then by order of arrival.
type ticket struct {
	priority Priority
	number   uint64
}

func newMeter(burstLimit int, clock func() time.Time, reserve float64, waiting func(int)) *meter {
	return &meter{clock: clock, reserve: reserve, waiting: waiting, tally: newTally(burstLimit), news: make(chan struct{})}
}

// enter waits until a request may be sent. The step it returns has either a
// number, which ends with settle or release, or the window that is
// used up; the only error is that of ctx.
func (m *meter) enter(ctx context.Context, p Priority) (step, error) {
	me := m.join(p)
	defer m.leave(me)
	for {
		m.mu.Lock()
		now := m.clock()
		s := m.next(me, now)
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

// next is what the one with that ticket may do now. Only the first in the queue
// may send; that nothing is left for their priority, everybody may hear at once.
func (m *meter) next(me ticket, now time.Time) step {
	floor := me.priority.floor(m.reserve, m.tally.hour.Limit)
	if m.queue[0] != me {
		return m.tally.over(now, floor)
	}
	s := m.tally.take(now, floor)
	m.block(s.number == 0 && !s.until.IsZero() && s.over == "")
	return s
}

func (m *meter) join(p Priority) ticket {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.given++
	me := ticket{p, m.given}
	at, _ := slices.BinarySearchFunc(m.queue, me, func(a, b ticket) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.number, b.number))
	})
	m.queue = slices.Insert(m.queue, at, me)
	m.block(m.blocked)
	return me
}

func (m *meter) leave(me ticket) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = slices.DeleteFunc(m.queue, func(t ticket) bool { return t == me })
	m.block(m.blocked && len(m.queue) > 0)
	m.tell()
}

// block notes whether the queue waits for a burst.
func (m *meter) block(is bool) {
	if m.waiting != nil && (is || m.blocked) {
		n := 0
		if is {
			n = len(m.queue)
		}
		m.waiting(n)
	}
	m.blocked = is
}

// tell wakes those who wait.
func (m *meter) tell() {
	close(m.news)
	m.news = make(chan struct{})
}

// room is how many calls of that priority may still be sent in the hour, or in
// a whole one.
func (m *meter) room(p Priority, whole bool) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	hour := m.tally.quota(m.clock()).Hour
	left := hour.Remaining
	if whole || hour.Reset.IsZero() {
		left = hour.Limit
	}
	return max(0, left-p.floor(m.reserve, hour.Limit))
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
	m.tell()
	return m.tally.quota(now)
}

// Quota is what is known of the account's quota now.
func (a *Account) Quota() Quota { return a.meter.quota() }

// Resumes is when the next hour begins, by our clock, and may be used.
func (a *Account) Resumes() time.Time {
	return a.client.ours(a.Quota().Hour.Reset.Add(resetMargin))
}

// Restore takes over what an earlier process knew of the quota, so that a
// restart does not send into an hour that is used up. Windows that are over by
// now, and whatever we know better, are left out.
func (a *Account) Restore(q Quota) { a.meter.restore(q) }
