package console

import (
	"context"
	"time"
)

// shared is what was read from the ledger, for all who ask while it is still so: each page
// that is open asks anew at each change, and most of them at once.
type shared[T any] struct {
	one  chan struct{} // is taken during a look: there is one at a time
	kept reading[T]
}

// reading is what was read, and when.
type reading[T any] struct {
	began time.Time // before anything was looked at; zero: nothing is kept
	pulse string    // of the ledger, before it was read
	found T
}

// sharedFor is how long what was read is good at most, though nothing is written: somebody
// becomes late, or a freeze ends, with time alone.
const sharedFor = time.Second

func newShared[T any]() *shared[T] { return &shared[T]{one: make(chan struct{}, 1)} }

// get is what was read, or else reads it. Nobody is shown less than had been written when
// they asked: what is kept was begun after that, or nothing has moved the pulse since
// before it was begun. What is returned is others' too: it is not to be changed.
func (s *shared[T]) get(ctx context.Context, pulse func(context.Context) (string, error), read func(context.Context, time.Time) (T, error)) (T, error) {
	var none T
	asked := time.Now()
	select {
	case s.one <- struct{}{}:
		defer func() { <-s.one }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if s.kept.began.After(asked) { // by somebody who had waited, too
		return s.kept.found, nil
	}
	next := reading[T]{began: time.Now()}
	var err error
	if next.pulse, err = pulse(ctx); err != nil {
		return none, err
	}
	if next.pulse == s.kept.pulse && next.began.Sub(s.kept.began) < sharedFor {
		return s.kept.found, nil
	}
	if next.found, err = read(ctx, next.began); err != nil {
		return none, err
	}
	s.kept = next
	return next.found, nil
}
