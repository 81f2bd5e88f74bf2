package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"signoff/closer"
	"signoff/closer/ledger"
	"signoff/metrics"
)

// The loops that beat.
const (
	loopKafka  = "kafka"
	loopCloser = "closer"
)

func (d *daemon) loops() []string {
	if d.cfg.readsKafka() {
		return []string{loopKafka, loopCloser}
	}
	return []string{loopCloser}
}

// stuckAfter is how long a loop may take for a turn: a request that times out,
// behind a burst of the quota that has to be waited for, is no reason to be
// killed.
const stuckAfter = 5 * time.Minute

// hearts knows when each loop last completed a turn.
type hearts struct {
	metrics *metrics.Process

	mu   sync.Mutex
	last map[string]time.Time
}

func newHearts(m *metrics.Process, loops []string) *hearts {
	h := &hearts{metrics: m, last: make(map[string]time.Time)}
	for _, l := range loops {
		h.last[l] = time.Now() // a loop that never turns is stuck, too
	}
	return h
}

func (h *hearts) beat(loop string) func(time.Time) {
	return func(t time.Time) {
		h.metrics.Beat(loop, t)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.last[loop] = t
	}
}

// alive returns an error that names a loop which has not turned for too long.
func (h *hearts) alive(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for loop, last := range h.last {
		if age := now.Sub(last); age > stuckAfter {
			return fmt.Errorf("the loop %s is stuck: its last turn was %v ago", loop, age.Round(time.Second))
		}
	}
	return nil
}

// stateOf reads what the metrics show of the ledger. Label values come from
// fixed sets, the accounts from the config or, where it names none, from those
// that were found.
func stateOf(l *ledger.Ledger, cfg config) func(context.Context) (metrics.State, error) {
	return func(ctx context.Context) (metrics.State, error) {
		stats, err := l.Stats(ctx)
		if err != nil {
			return metrics.State{}, err
		}
		s := metrics.State{
			Rejects: float64(stats.Rejects), AuditHead: float64(stats.AuditRows),
			Size: float64(stats.Size), Free: float64(stats.Free),
		}
		for _, state := range ledger.States() {
			s.Entries = append(s.Entries, gauge(float64(stats.Entries[state]), string(state)))
		}
		for _, kind := range ledger.Kinds() {
			held := stats.Holds[kind]
			s.Holds = append(s.Holds, gauge(float64(held.Open), string(kind)))
			s.OldestHold = append(s.OldestHold, gauge(metrics.Unix(held.Oldest), string(kind)))
		}
		known := make(map[string]ledger.Account)
		for _, id := range cfg.Docusign.Accounts.ids() {
			known[id] = ledger.Account{ID: id}
		}
		for _, a := range stats.Accounts {
			known[a.ID] = a
		}
		for id, a := range known {
			s.Overdue = append(s.Overdue, gauge(metrics.Unix(earliest(stats.Overdue[id], stats.Overdue[""])), id))
			s.Passes = append(s.Passes, gauge(metrics.Unix(a.PassedAt), id))
			for _, reason := range closer.Reasons() {
				parked := 0.0
				if a.Parked == reason {
					parked = 1
				}
				s.Parked = append(s.Parked, gauge(parked, id, reason))
			}
		}
		return s, nil
	}
}

// earliest is the earlier of two times; the zero time is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func gauge(value float64, labels ...string) metrics.Gauge {
	return metrics.Gauge{Labels: labels, Value: value}
}
