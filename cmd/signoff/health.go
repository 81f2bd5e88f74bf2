package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"signoff/closer"
	"signoff/closer/ledger"
	"signoff/closer/outcomes"
	"signoff/metrics"
)

// The loops that beat.
const (
	loopKafka  = "kafka"
	loopCloser = "closer"
	loopKeeper = "keeper"
	loopConfig = "config" // looks whether the file has changed

	loopOutcomes = "outcomes_" // and the name of the sink
)

func (d *daemon) loops() []string {
	loops := []string{loopCloser, loopKeeper, loopConfig}
	if d.cfg.readsKafka() {
		loops = append(loops, loopKafka)
	}
	for _, sink := range d.cfg.sinks() {
		loops = append(loops, loopOutcomes+sink)
	}
	return loops
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
func stateOf(l *ledger.Ledger, cfg config, labels *metrics.Accounts) func(context.Context) (metrics.State, error) {
	return func(ctx context.Context) (metrics.State, error) {
		stats, err := l.Stats(ctx)
		if err != nil {
			return metrics.State{}, err
		}
		s := metrics.State{
			Rejects: float64(stats.Rejects), AuditHead: float64(stats.AuditRows),
			UrgentHeld: metrics.Unix(stats.UrgentHeld), Deadline: cfg.Batch.Deadline.Seconds(),
			Size: float64(stats.Size), Free: float64(stats.Free),
		}
		for _, state := range ledger.States() {
			n := stats.Entries[state]
			if state == ledger.Closed {
				n -= stats.Watched
			}
			s.Entries = append(s.Entries, gauge(float64(n), string(state)))
		}
		s.Entries = append(s.Entries, gauge(float64(stats.Watched), "closed_watched"))
		for _, kind := range ledger.Kinds() {
			held := stats.Holds[kind]
			s.Holds = append(s.Holds, gauge(float64(held.Open), string(kind)))
			s.OldestHold = append(s.OldestHold, gauge(metrics.Unix(held.Oldest), string(kind)))
		}
		for _, word := range ledger.FindingWords() {
			s.Ahead = append(s.Ahead, gauge(float64(stats.Ahead[word]), word))
		}
		s.NotFound = float64(stats.NotFound)
		if err := sourcesOf(ctx, &s, l, expectations(cfg.Events.Sources)); err != nil {
			return metrics.State{}, err
		}
		for _, sink := range outcomes.Sinks() {
			var behind ledger.Unpublished
			if slices.Contains(cfg.sinks(), sink) {
				behind = stats.Unpublished[sink]
			}
			s.Behind = append(s.Behind, gauge(float64(behind.Rows), sink))
			s.BehindFrom = append(s.BehindFrom, gauge(metrics.Unix(behind.Oldest), sink))
		}
		outside, err := l.OutsideAccounts(ctx, cfg.Docusign.Accounts.ids())
		if err != nil {
			return metrics.State{}, err
		}
		for _, o := range outside {
			s.Outside += float64(o.Entries)
		}
		accountsOf(&s, stats, cfg.Docusign.Accounts.ids(), labels)
		return s, nil
	}
}

// sourcesOf shows the sources that the config names.
func sourcesOf(ctx context.Context, s *metrics.State, l *ledger.Ledger, within map[string]time.Duration) error {
	sources, err := l.Sources(ctx)
	for _, source := range sources {
		s.Heard = append(s.Heard, gauge(metrics.Unix(source.HeardAt), source.Name))
		silent := 0.0
		if d, ok := within[source.Name]; ok {
			s.Expected = append(s.Expected, gauge(d.Seconds(), source.Name))
			if source.Silent(time.Now(), d) {
				silent = 1
			}
		}
		s.Silent = append(s.Silent, gauge(silent, source.Name))
	}
	return err
}

// accountsOf shows each account, those of the config from the start. Accounts
// that share a label show the worst of them.
func accountsOf(s *metrics.State, stats ledger.Stats, configured []string, labels *metrics.Accounts) {
	known := make(map[string]ledger.Account)
	for _, id := range configured {
		known[id] = ledger.Account{ID: id}
	}
	for _, a := range stats.Accounts {
		known[a.ID] = a
	}
	type shown struct {
		overdue, submitted, passed, resume time.Time
		parked                             map[string]bool
		returned                           int
	}
	worst := make(map[string]shown)
	for _, id := range slices.Sorted(maps.Keys(known)) {
		a, label := known[id], labels.Label(id)
		w, ok := worst[label]
		if !ok {
			w = shown{passed: a.PassedAt, parked: make(map[string]bool)}
		}
		w.overdue = earliest(w.overdue, earliest(stats.Overdue[id], stats.Overdue[""]))
		w.submitted = earliest(w.submitted, stats.Submitted[id])
		if a.PassedAt.Before(w.passed) { // never, too
			w.passed = a.PassedAt
		}
		if a.ResumeAt.After(w.resume) && a.ResumeAt.After(time.Now()) {
			w.resume = a.ResumeAt
		}
		w.parked[a.Parked] = true
		w.returned += stats.Returned[id]
		worst[label] = w
	}
	for _, label := range slices.Sorted(maps.Keys(worst)) {
		w := worst[label]
		s.Overdue = append(s.Overdue, gauge(metrics.Unix(w.overdue), label))
		s.Submitted = append(s.Submitted, gauge(metrics.Unix(w.submitted), label))
		s.Passes = append(s.Passes, gauge(metrics.Unix(w.passed), label))
		s.Resume = append(s.Resume, gauge(metrics.Unix(w.resume), label))
		s.Returned = append(s.Returned, gauge(float64(w.returned), label))
		for _, reason := range closer.Reasons() {
			parked := 0.0
			if w.parked[reason] {
				parked = 1
			}
			s.Parked = append(s.Parked, gauge(parked, label, reason))
		}
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
