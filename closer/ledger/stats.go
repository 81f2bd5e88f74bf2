package ledger

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"time"
)

// HoldCount says how many holds of a kind are open, and since when the oldest.
type HoldCount struct {
	Open   int
	Oldest time.Time
}

// Stats is the ledger at one moment, for the metrics.
type Stats struct {
	Entries    map[State]int
	Watched    int            // of those closed: how many are looked for again
	Returned   map[string]int // account -> open entries of leavers who were closed before
	Rejects    int
	Holds      map[Kind]HoldCount   // by the gravest kind of each; of those ahead, that nobody is late with, only Self
	Ahead      map[string]int       // finding -> leavers who wait, of whom a look ahead found that
	Submitted  map[string]time.Time // account -> when the oldest close was sent that has no outcome yet; absent: all have
	UrgentHeld time.Time            // since when an urgent leaver is held, the one who waits longest; zero: none is
	Overdue    map[string]time.Time // account, "" for those never yet in one -> when its oldest open entry was due; absent: none
	Accounts   []Account
	Reading    Reading
	NotFound   int // leavers of the last 24 hours of whom no account knew a user
	AuditRows  int64
	Size       int64 // bytes of the ledger's files
	Free       int64 // bytes left on its disk

	Unpublished map[string]Unpublished // sink -> what it has not published yet
}

// Stats counts what is in the ledger.
func (l *Ledger) Stats(ctx context.Context) (Stats, error) {
	s := Stats{Entries: make(map[State]int), Returned: make(map[string]int), Overdue: make(map[string]time.Time), Submitted: make(map[string]time.Time)}
	path, err := sqlitePath(l.cfg.URL)
	if err != nil {
		return s, err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(path + suffix); err == nil {
			s.Size += info.Size()
		}
	}
	s.Free = l.free()
	if s.Holds, err = l.HoldCounts(ctx); err != nil {
		return s, err
	}
	if s.Ahead, err = l.countAhead(ctx); err != nil {
		return s, err
	}
	if s.Unpublished, err = l.unpublished(ctx); err != nil {
		return s, err
	}
	if s.Accounts, err = l.Accounts(ctx); err != nil {
		return s, err
	}
	if s.Reading, err = l.Reading(ctx); err != nil {
		return s, err
	}
	if s.NotFound, err = l.NotFound(ctx, time.Now().Add(-24*time.Hour)); err != nil {
		return s, err
	}
	if err := l.read.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM rejects WHERE state = 'open'),
		(SELECT COALESCE(MAX(seq), 0) FROM audit)`).Scan(&s.Rejects, &s.AuditRows); err != nil {
		return s, err
	}
	err = errors.Join(l.countEntries(ctx, &s), l.findWaiting(ctx, &s))
	return s, err
}

// HoldCounts counts the open holds by the gravest kind of each: of those ahead, that
// nobody is late with, only Self.
func (l *Ledger) HoldCounts(ctx context.Context) (map[Kind]HoldCount, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT kinds, COUNT(*), MIN(created_at) FROM holds
		WHERE state = 'open' AND (ahead = 0 OR kinds LIKE 'self%') GROUP BY kinds`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[Kind]HoldCount)
	for rows.Next() {
		var kinds string
		var n int
		var oldest int64
		if err := rows.Scan(&kinds, &n, &oldest); err != nil {
			return nil, err
		}
		gravest, _, _ := strings.Cut(kinds, ",")
		c := all[Kind(gravest)]
		c.Open += n
		if since := fromMicros(oldest); c.Oldest.IsZero() || since.Before(c.Oldest) {
			c.Oldest = since
		}
		all[Kind(gravest)] = c
	}
	return all, rows.Err()
}

// entryCounts reads the index entries_counts alone: each scrape asks, and years of
// entries are there.
const entryCounts = `SELECT state, account, COUNT(*), MIN(due_at), SUM(returned),
	SUM(CASE WHEN watch_over = 0 AND settled_at > $1 THEN 1 ELSE 0 END) FROM entries GROUP BY state, account`

func (l *Ledger) countEntries(ctx context.Context, s *Stats) error {
	rows, err := l.read.QueryContext(ctx, entryCounts, l.watchedSince(time.Now()))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var state State
		var account string
		var n, returned, watched int
		var due int64
		if err := rows.Scan(&state, &account, &n, &due, &returned, &watched); err != nil {
			return err
		}
		s.Entries[state] += n
		if state == Closed {
			s.Watched += watched
		}
		if state.Open() && returned > 0 {
			s.Returned[account] += returned
		}
		if state.Open() && state != WouldClose && due <= micros(time.Now()) {
			if oldest, ok := s.Overdue[account]; !ok || fromMicros(due).Before(oldest) {
				s.Overdue[account] = fromMicros(due)
			}
		}
	}
	return rows.Err()
}

// findWaiting finds what waits longest: for an outcome, and for a person.
func (l *Ledger) findWaiting(ctx context.Context, s *Stats) error {
	var held int64
	err := l.read.QueryRowContext(ctx, `SELECT COALESCE(MIN(held_at), 0) FROM entries WHERE state = 'held' AND urgent = 1`).Scan(&held)
	s.UrgentHeld = fromMicros(held)
	return errors.Join(err, eachRow(ctx, l.read, func(rows *sql.Rows) error {
		var account string
		var sent int64
		err := rows.Scan(&account, &sent)
		s.Submitted[account] = fromMicros(sent)
		return err
	}, `SELECT account, MIN(sent_at) FROM entries WHERE state = 'submitted' GROUP BY account`))
}

// NotFound counts the leavers since then of whom no account knew a user.
func (l *Ledger) NotFound(ctx context.Context, since time.Time) (n int, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT COUNT(DISTINCT leaver) FROM entries e WHERE state = 'not_found' AND settled_at > $1
		AND NOT EXISTS (SELECT 1 FROM entries o WHERE o.leaver = e.leaver AND o.state NOT IN ('not_found', 'cancelled')
			AND (o.settled_at = 0 OR o.settled_at > $1))`, micros(since)).Scan(&n)
	return n, err
}
