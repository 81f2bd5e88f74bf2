package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"
)

// Deadline is a leaving that met its deadline or missed it.
type Deadline struct {
	Met   bool
	Cause string // why it was missed, or what is to be said of one that was met
}

// The causes: values of the metric label `cause`.
const (
	noCause     = "none"
	lateNotice  = "notice" // met, but told of later after it took effect than the deadline allows
	lateFailed  = "failed" // Docusign refuses
	lateHeld    = "held"
	lateParked  = "parked" // as is the account
	lateByQuota = "quota"  // the account waits for its quota
)

// causes are those of a missed deadline, the one first that counts where several
// entries of a leaving have missed it.
var causes = []string{lateFailed, lateHeld, lateParked, lateByQuota, noCause}

// CountDeadlines returns, each once in its life, the leavings that met the deadline
// or missed it. It is met when the leaver is settled in every account, in each at the
// latest so long after they were due there, and missed as soon as it has passed in
// one of them. Who was skipped or whose leaving was taken back counts in neither, and
// nobody whom a dry run would have closed.
func (l *Ledger) CountDeadlines(ctx context.Context, now time.Time, deadline time.Duration) ([]Deadline, error) {
	leavings, err := l.uncounted(ctx, now, deadline)
	if err != nil {
		return nil, err
	}
	var counted []Deadline
	for together := range slices.Chunk(leavings, dueTogether) {
		var these []Deadline
		err := l.write(ctx, func(t *tx) error {
			these = nil
			for _, c := range together {
				first, err := t.markDeadline(c)
				if err != nil {
					return err
				}
				if first && c.word != notCounted {
					these = append(these, c.Deadline)
				}
			}
			return nil
		})
		counted = append(counted, these...)
		if err != nil {
			return counted, err
		}
	}
	return counted, nil
}

// The words of the column deadline. Of a leaving that was counted all entries have
// the same, also those that it gets later.
const (
	wordMet    = "met"
	wordMissed = "missed"
	notCounted = "none" // nobody was to be closed after all
)

// countedLeaving is a leaving for which it is time to be counted.
type countedLeaving struct {
	Deadline
	root   int64 // its first entry
	leaver string
	word   string
	before bool // it was counted, and has got another entry since
}

// markDeadline keeps that a leaving is counted, and says whether it was not before.
func (t *tx) markDeadline(c countedLeaving) (first bool, err error) {
	n, err := t.changed(`UPDATE entries SET deadline = $3 WHERE leaver = $2 AND deadline = '' AND `+root("entries")+` = $1`, c.root, c.leaver, c.word)
	return n > 0 && !c.before, err
}

// uncounted returns the leavings that are settled or late and were not counted yet.
func (l *Ledger) uncounted(ctx context.Context, now time.Time, deadline time.Duration) ([]countedLeaving, error) {
	// As it stands it goes by the index of those who are not counted yet, few beside all.
	query := `SELECT ` + root("e") + ` AS root, e.leaver, e.deadline, e.state, e.returned, e.due_at, e.settled_at, e.effective_at, e.received_at,
			EXISTS (SELECT 1 FROM accounts a WHERE (a.account = e.account OR e.account = '') AND a.parked <> ''),
			EXISTS (SELECT 1 FROM accounts a WHERE (a.account = e.account OR e.account = '') AND a.resume_at > $2)
		FROM entries e WHERE (e.leaver, ` + root("e") + `) IN (SELECT r.leaver, ` + root("r") + ` FROM entries r
			WHERE r.deadline = '' AND r.state <> 'would_close' AND (r.settled_at > 0 OR r.due_at < $1)) ORDER BY root, e.id`
	var all []countedLeaving
	var one []timedEntry
	decide := func() {
		if c, ok := countLeaving(one, now, deadline); ok {
			all = append(all, c)
		}
	}
	err := eachRow(ctx, l.read, func(rows *sql.Rows) error {
		var e timedEntry
		var due, settled, effective, received int64
		if err := rows.Scan(&e.root, &e.leaver, &e.word, &e.state, &e.returned, &due, &settled, &effective, &received, &e.parked, &e.pauses); err != nil {
			return err
		}
		e.due, e.settled, e.effective, e.received = fromMicros(due), fromMicros(settled), fromMicros(effective), fromMicros(received)
		if len(one) > 0 && one[0].root != e.root {
			decide()
			one = nil
		}
		one = append(one, e)
		return nil
	}, query, micros(now.Add(-deadline)), micros(now))
	if err == nil && len(one) > 0 {
		decide()
	}
	return all, err
}

// timedEntry is what counts of an entry for its deadline.
type timedEntry struct {
	root           int64
	leaver         string
	word           string // by which it was counted; "" if it was not
	state          State
	returned       bool
	due, settled   time.Time
	effective      time.Time
	received       time.Time
	parked, pauses bool // its account or, while it is in none, any
}

// countLeaving counts the entries of one leaving. It is not ok while it is too early.
func countLeaving(entries []timedEntry, now time.Time, deadline time.Duration) (c countedLeaving, ok bool) {
	c = countedLeaving{root: entries[0].root, leaver: entries[0].leaver}
	if i := slices.IndexFunc(entries, func(e timedEntry) bool { return e.word == wordMet || e.word == wordMissed }); i >= 0 {
		c.word, c.before = entries[i].word, true
		return c, true
	}
	wanted := slices.DeleteFunc(slices.Clone(entries), func(e timedEntry) bool { return e.state == Skipped || e.state == Cancelled })
	late := slices.DeleteFunc(slices.Clone(wanted), func(e timedEntry) bool { return !e.isLate(now, deadline) })
	open := slices.ContainsFunc(wanted, func(e timedEntry) bool { return e.settled.IsZero() })
	switch {
	case len(wanted) == 0:
		c.word = notCounted
	case slices.ContainsFunc(wanted, func(e timedEntry) bool { return e.state == WouldClose }):
		return c, false
	case len(late) > 0:
		c.word, c.Cause = wordMissed, slices.MinFunc(late, func(a, b timedEntry) int {
			return cmp.Compare(slices.Index(causes, a.cause()), slices.Index(causes, b.cause()))
		}).cause()
	case open:
		return c, false
	default:
		c.word, c.Met, c.Cause = wordMet, true, noCause
		if first := wanted[0]; !first.returned && first.received.Sub(first.effective) > deadline {
			c.Cause = lateNotice
		}
	}
	return c, true
}

// isLate says whether an entry was settled later than the deadline after it was due
// or, if it is open, could only be.
func (e timedEntry) isLate(now time.Time, deadline time.Duration) bool {
	if !e.settled.IsZero() {
		now = e.settled
	}
	return now.Sub(e.due) > deadline
}

// cause is why an entry is late. Of one that is settled it is not known any more.
func (e timedEntry) cause() string {
	switch {
	case !e.settled.IsZero():
		return noCause
	case e.state == Failed:
		return lateFailed
	case e.state == Held:
		return lateHeld
	case e.parked:
		return lateParked
	case e.pauses:
		return lateByQuota
	}
	return noCause
}
