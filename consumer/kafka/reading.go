package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"signoff/consumer"
	"signoff/metrics"
)

// ourGroup is what readiness calls the group, beside the names of partitions.
const ourGroup = "group"

// readiness knows how far the reading is, from what the group, the partitions
// and the ledger report of themselves, and writes it to the ledger when it
// changes. Only write and those who call it may take their time; the rest is
// called from the fetchers as well.
type readiness struct {
	ledger  Ledger
	metrics *metrics.Kafka
	log     *zap.Logger

	mu         sync.Mutex
	joined     bool
	missing    string            // topics that do not exist
	paused     string            // why nothing can be recorded
	away       map[string]string // what does not answer, and why
	needs      map[string]string // partitions that nobody said where to begin with
	waiting    map[string]string // partitions that wait with a record in hand, and what for
	partitions map[consumer.Partition]*progress

	shown  outlook // last logged and counted; used by write only
	stored outlook // last in the ledger; used by write only
}

// outlook is one state and what to say of it.
type outlook struct {
	state  consumer.Reading
	detail string
}

// progress is how far one partition is on its way to where it ended.
type progress struct {
	goal int64 // where it ended when we got it, or got it back; -1: not known yet
	next int64 // recorded up to here
}

func newReadiness(l Ledger, m *metrics.Kafka, log *zap.Logger) *readiness {
	return &readiness{
		ledger: l, metrics: m, log: log,
		away: map[string]string{}, needs: map[string]string{}, waiting: map[string]string{},
		partitions: map[consumer.Partition]*progress{},
	}
}

// join notes that the group gave us these partitions.
func (r *readiness) join(partitions []consumer.Partition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave()
	r.joined = true
	clear(r.away)
	for _, p := range partitions {
		r.partitions[p] = &progress{goal: -1, next: -1}
	}
}

// left notes that the generation is over. What is away stays away until found
// or join.
func (r *readiness) left() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave()
}

func (r *readiness) leave() {
	r.joined, r.paused = false, ""
	clear(r.partitions)
	clear(r.needs)
	clear(r.waiting)
}

// found notes that the broker was asked for the topics, before the group is
// joined, and which do not exist. What was away of partitions is not ours now,
// and may be gone with its topic.
func (r *readiness) found(missing []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.away, func(what, _ string) bool { return what != ourGroup })
	r.missing = ""
	if len(missing) > 0 {
		r.missing = fmt.Sprintf("no such topic: %s", strings.Join(missing, ", "))
	}
}

// pause notes why nothing can be recorded; nil: it can.
func (r *readiness) pause(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paused = ""
	if err != nil {
		r.paused = err.Error()
	}
}

// silent notes that what does not answer. The first reason stands until it
// answers again, lest every try changes the state.
func (r *readiness) silent(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.away[what]; !ok {
		r.away[what] = err.Error()
	}
}

// answers notes that what answers.
func (r *readiness) answers(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.away, what)
}

// waits notes that a partition waits with a record that can't be read now. The
// first reason stands, as with silent.
func (r *readiness) waits(p consumer.Partition, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.waiting[name(p)]; !ok {
		r.waiting[name(p)] = why.Error()
	}
}

// goesOn notes that a partition waits no more.
func (r *readiness) goesOn(p consumer.Partition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, name(p))
}

// unplaced notes that nobody said where to begin with a partition.
func (r *readiness) unplaced(p consumer.Partition, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.partitions, p)
	r.needs[name(p)] = detail
}

// ends notes where a partition ends, as the goal of what is to be read first.
func (r *readiness) ends(p consumer.Partition, end int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pr := r.partitions[p]; pr != nil {
		pr.goal = end
	}
}

// reaches says whether recording p up to next would bring it to its goal.
func (r *readiness) reaches(p consumer.Partition, next int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	pr := r.partitions[p]
	return pr != nil && pr.goal >= 0 && pr.next < pr.goal && next >= pr.goal
}

// recorded notes that p is recorded up to next.
func (r *readiness) recorded(p consumer.Partition, next int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pr := r.partitions[p]; pr != nil {
		pr.next = next
	}
}

// now folds everything into one state: first what stops all reading, then what
// passes by itself, last what waits for a person.
func (r *readiness) now() outlook {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.paused != "":
		return outlook{consumer.Paused, r.paused}
	case len(r.away) > 0:
		return outlook{consumer.Away, list(r.away)}
	case !r.joined:
		return outlook{consumer.Joining, r.missing}
	case len(r.waiting) > 0:
		return outlook{consumer.Paused, list(r.waiting)}
	}
	for _, pr := range r.partitions {
		if pr.goal < 0 || pr.next < pr.goal {
			return outlook{consumer.CatchingUp, r.missing}
		}
	}
	if len(r.needs) > 0 {
		return outlook{consumer.NeedsFrom, list(r.needs)}
	}
	return outlook{consumer.UpToDate, r.missing}
}

// write shows and stores the state if it has changed. What the ledger does not
// take is offered again the next time.
func (r *readiness) write(ctx context.Context) {
	now := r.now()
	// An outage takes in one thing after another: that is one line, not many.
	outage := now.state == consumer.Away || now.state == consumer.Paused
	if now.state != r.shown.state || !outage && now.detail != r.shown.detail {
		log := r.log.Info
		if outage || now.state == consumer.NeedsFrom {
			log = r.log.Warn
		}
		log("reading of Kafka", zap.String("state", string(now.state)), zap.String("detail", now.detail))
		r.metrics.State(string(now.state))
		r.shown = now
	}
	if now == r.stored {
		return
	}
	if err := r.ledger.SetReading(ctx, now.state, now.detail); err == nil {
		r.stored = now
	}
}

// list makes one line of a few "what: why", and the number of the rest.
func list(all map[string]string) string {
	const most = 3
	keys := slices.Sorted(maps.Keys(all))
	var b strings.Builder
	for i, k := range keys[:min(most, len(keys))] {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(k + ": " + all[k])
	}
	if n := len(keys) - most; n > 0 {
		fmt.Fprintf(&b, "; and %d more", n)
	}
	return b.String()
}

// name is how a partition is written: topic/partition.
func name(p consumer.Partition) string {
	return fmt.Sprintf("%s/%d", p.Topic, p.ID)
}
