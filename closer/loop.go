package closer

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"
)

// loop runs the plans of one account or, where users are closed through their
// organization, of all that share its imports.
type loop struct {
	tools
	accounts []*account
	importer *importer // nil: each account closes its own users
}

// run turns until ctx ends.
func (l *loop) run(ctx context.Context, beat func(time.Time)) {
	for _, a := range l.accounts {
		a.beat = beat
		a.next = a.firstRun(ctx)
	}
	for {
		if err := l.turn(ctx, time.Now()); err != nil && ctx.Err() == nil {
			l.log.Error("run ended early, the next one takes it up", zap.Error(err))
		}
		beat(time.Now())
		if !sleep(ctx, turn) {
			return
		}
	}
}

// turn does what it is time for.
func (l *loop) turn(ctx context.Context, now time.Time) error {
	next := now.Add(jitter(l.policy.get().interval))
	_, err := l.visit(ctx, now, func(a *account) (bool, error) {
		done, err := a.urgentTurn(ctx, now)
		if err != nil {
			return done, err
		}
		if due, err := a.isRunDue(ctx, now); err != nil || !due {
			return done, err
		}
		if done, err = a.closeDue(ctx, now, false); done || err != nil {
			a.next, a.ranAt = next, now
		}
		return done, err
	})
	return errors.Join(err, l.sayNext(ctx))
}

// sayNext keeps in the ledger when each account is run next, where that has changed: for
// people to see.
func (l *loop) sayNext(ctx context.Context) error {
	var errs []error
	for _, a := range l.accounts {
		next := a.next
		if a.probes > 0 && a.probeAt.After(next) {
			next = a.probeAt
		}
		if next.Equal(a.saidNext) || next.IsZero() || ctx.Err() != nil {
			continue
		}
		kept, err := a.ledger.SetNext(ctx, a.id, next)
		if kept && err == nil {
			a.saidNext = next
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// isRunDue says whether it is time for a full run: after an interval or, sharp, when
// the time comes of a plan that was approved ahead.
func (a *account) isRunDue(ctx context.Context, now time.Time) (bool, error) {
	if !now.Before(a.next) {
		return true, nil
	}
	return a.ledger.PlanBegins(ctx, a.id, a.ranAt, now)
}

// closeDue closes what is due now.
func (l *loop) closeDue(ctx context.Context, now time.Time, urgentOnly bool) (done bool, err error) {
	return l.visit(ctx, now, func(a *account) (bool, error) { return a.closeDue(ctx, now, urgentOnly) })
}

// visit does something in each account and then, where users are closed through
// their organization, sends what that made ready: one import for all of them.
func (l *loop) visit(ctx context.Context, now time.Time, do func(*account) (bool, error)) (done bool, err error) {
	l.adopt(now)
	if l.importer != nil {
		if busy, err := l.importer.goOn(ctx, now); busy || err != nil {
			return false, err
		}
	}
	done = true
	var errs []error
	for _, a := range l.accounts {
		a.beat(time.Now()) // an outage may let each of many wait for its time-outs
		ok, err := do(a)
		done = done && ok
		errs = append(errs, err)
	}
	if l.importer != nil {
		errs = append(errs, l.importer.send(ctx, now))
	}
	return done, errors.Join(errs...)
}

// pulse beats for several loops: at the time of the one that is furthest
// behind, so that a single loop that is stuck is seen.
type pulse struct {
	mu   sync.Mutex
	last map[*loop]time.Time
	beat func(time.Time)
}

func newPulse(loops []*loop, beat func(time.Time)) *pulse {
	p := &pulse{last: make(map[*loop]time.Time), beat: beat}
	for _, l := range loops {
		p.last[l] = time.Now()
	}
	return p
}

func (p *pulse) of(l *loop) func(time.Time) {
	return func(now time.Time) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.last[l] = now
		for _, t := range p.last {
			if t.Before(now) {
				now = t
			}
		}
		p.beat(now)
	}
}
