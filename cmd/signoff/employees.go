package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"signoff/consumer"
)

// askedDirectory is the directory of employees, and remembers whether it answers:
// while it does not, webhooks are answered 503 and partitions wait, and whoever
// looks for the cause must find it.
type askedDirectory struct {
	consumer.Directory

	mu    sync.Mutex
	since time.Time // when it first did not answer; zero: it did when it was last asked
	err   error
}

// Find asks the directory. That the asker has gone says nothing about it.
func (a *askedDirectory) Find(ctx context.Context, employeeID string) (consumer.Person, error) {
	p, err := a.Directory.Find(ctx, employeeID)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil || errors.Is(err, consumer.ErrNoPerson):
		a.since, a.err = time.Time{}, nil
	case errors.Is(ctx.Err(), context.Canceled):
	case a.err == nil:
		a.since, a.err = time.Now(), err
	default:
		a.err = err
	}
	return p, err
}

// report is the directory's line of /readyz?verbose.
func (a *askedDirectory) report() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		return "directory: ok"
	}
	return fmt.Sprintf("directory: does not answer since %s: %v", a.since.Format(time.RFC3339), a.err)
}

// intakeReport says for /readyz?verbose how the directory and the sources are.
func (d *daemon) intakeReport(ctx context.Context) ([]string, error) {
	lines := d.reloader.report()
	kept, err := d.keeper.report(ctx)
	lines = append(lines, kept...)
	if d.directory != nil {
		lines = append([]string{d.directory.report()}, lines...)
	}
	return lines, err
}
