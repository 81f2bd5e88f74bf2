package closer

import (
	"context"
	"reflect"
	"sync"
	"time"

	"signoff/closer/guard"
)

// terms are by what a closer judges and paces its plans, of what may change while it
// runs.
type terms struct {
	guard    guard.Config
	interval time.Duration
	maxUsers int
}

// policy has the terms that are in force. It is safe for concurrent use.
type policy struct {
	mu  sync.RWMutex
	now *terms
}

func (p *policy) get() *terms {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.now
}

// exchange has these terms come into force once renew is done, and neither if that
// fails; nobody works by the old ones meanwhile. Terms that say the same stay.
func (p *policy) exchange(t *terms, renew func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if reflect.DeepEqual(p.now, t) {
		return nil
	}
	if err := renew(); err != nil {
		return err
	}
	p.now = t
	return nil
}

// keep does something by the terms in force, which stay so meanwhile.
func (p *policy) keep(do func(*terms) error) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return do(p.now)
}

// while does something by these terms, which stay in force meanwhile; a notYetError
// if others are.
func (p *policy) while(t *terms, do func() error) error {
	return p.keep(func(now *terms) error {
		if now != t {
			return errOtherTerms
		}
		return do()
	})
}

var errOtherTerms = &notYetError{"the guard was configured anew: what is not sent is judged by it"}

// adopt has the loop work by the terms that are in force. A visit works by one of
// them from its beginning to its end, or ends early.
func (l *loop) adopt(now time.Time) {
	t := l.policy.get()
	if t == l.terms {
		return
	}
	for _, a := range l.accounts {
		if next := now.Add(t.interval); next.Before(a.next) {
			a.next = next
		}
	}
	all := []*tools{&l.tools}
	for _, a := range l.accounts {
		all = append(all, &a.tools)
	}
	if l.importer != nil {
		all = append(all, &l.importer.tools)
	}
	for _, one := range all {
		one.terms, one.guard, one.cfg.Interval, one.cfg.MaxUsers = t, t.guard, t.interval, t.maxUsers
	}
}

// Reconfigure puts another guard, interval and number of users of a close request in
// force; nothing else of cfg is looked at. If they are others, a plan under way stops
// after the batch that is sent, and what is held is judged anew, as at a start. After an
// error nothing has changed. It may be called while Run runs.
func (c *Closer) Reconfigure(ctx context.Context, cfg Config, g guard.Config) error {
	err := c.policy.exchange(&terms{g, cfg.Interval, cfg.MaxUsers}, func() error { return c.renew(ctx, g) })
	if err == nil {
		c.metrics.Windows(g.Windows())
	}
	return err
}
