package ledger

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Overview is what the ledger says at one moment to whoever wants to see how things
// stand. Times are UTC, zero for none.
type Overview struct {
	Head     int64 // last row of the audit
	Hash     string
	Entries  map[State]int
	ByOpen   map[string]int // account, "" for none yet -> open entries
	Late     int            // entries that are open, no rehearsal, and were due before a time
	LateFrom time.Time      // when the first of them was due
	Ready    int            // due, or waiting and due by now: what the next run takes up
	Failed   time.Time      // when the first of those that Docusign refuses was due
	Returned int            // open entries of leavers who were closed before
	SentAt   time.Time      // when the oldest close was sent that has no outcome yet
	Imports  bool           // a close request of an organization is not ended
	Holds    []HoldsOf      // open ones, the gravest first
	Urgent   int            // urgent leavers who are held
	UrgentAt time.Time      // since when the first of them
	Rejects  int            // open ones
	RejectAt time.Time      // when the first of them came
	NotFound int            // leavers of the last 24 hours of whom no account knew a user
	Free     int64          // bytes left on the disk

	Accounts    []Account
	Outside     []Outside
	Reading     Reading
	Sources     []Source
	Freezes     []Freeze // in force
	Unpublished map[string]Unpublished
}

// HoldsOf are the open holds of which this kind is the gravest.
type HoldsOf struct {
	Kind   Kind
	Ahead  bool // their people are not due yet, but for Self nobody is late with them
	Open   int
	Users  int
	Oldest time.Time
}

// Overview reads it. late: what was due before is late; named are the accounts of the
// config.
func (l *Ledger) Overview(ctx context.Context, now, late time.Time, named []string) (Overview, error) {
	o := Overview{Entries: make(map[State]int), ByOpen: make(map[string]int), Free: l.free()}
	var err error
	note := func(failed error) { err = errors.Join(err, failed) }
	var failed error
	o.Accounts, failed = l.Accounts(ctx)
	note(failed)
	inside, failed := l.insideAccounts(ctx, named)
	note(failed)
	o.Reading, failed = l.Reading(ctx)
	note(failed)
	o.Sources, failed = l.Sources(ctx)
	note(failed)
	o.Freezes, failed = l.Freezes(ctx, now)
	note(failed)
	o.NotFound, failed = l.NotFound(ctx, now.Add(-24*time.Hour))
	note(failed)
	o.Unpublished, failed = l.unpublished(ctx)
	note(failed)
	head, failed := readHead(ctx, l.read)
	note(failed)
	o.Head, o.Hash = head.Seq, head.Hash
	note(l.countStates(ctx, &o))
	for _, account := range slices.Sorted(maps.Keys(o.ByOpen)) {
		if account != "" && len(inside) > 0 && !slices.Contains(inside, account) {
			o.Outside = append(o.Outside, Outside{account, o.ByOpen[account]})
		}
	}
	note(l.countLate(ctx, &o, now, late))
	note(l.countHolds(ctx, &o))
	note(l.countRejects(ctx, &o))
	return o, err
}

// free is how many bytes are left on the ledger's disk; 0: not known.
func (l *Ledger) free() int64 {
	path, err := sqlitePath(l.cfg.URL)
	if err != nil {
		return 0
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(path, &disk); err != nil {
		return 0
	}
	return int64(disk.Bavail) * disk.Bsize
}

// entryStates reads the index entries_counts alone, and of that all but the part of those
// who are closed: they are most, and what the others leave of the sum.
const entryStates = `SELECT state, account, COUNT(*), SUM(returned) FROM entries
	WHERE state IN ('waiting', 'due', 'held', 'submitted', 'would_close', 'already_closed', 'not_found', 'cancelled', 'skipped', 'failed') GROUP BY state, account
	UNION ALL SELECT 'closed', '', COUNT(*), 0 FROM entries`

func (l *Ledger) countStates(ctx context.Context, o *Overview) error {
	others := 0
	err := eachRow(ctx, l.read, func(rows *sql.Rows) error {
		var state State
		var account string
		var n, returned int
		if err := rows.Scan(&state, &account, &n, &returned); err != nil {
			return err
		}
		o.Entries[state] += n
		if state != Closed {
			others += n
		}
		if state.Open() {
			o.ByOpen[account] += n
			o.Returned += returned
		}
		return nil
	}, entryStates)
	o.Entries[Closed] -= others
	return err
}

// Those who are late, and those whom the next run takes up, by the index entries_state.
const (
	entriesLate = `SELECT COUNT(*), COALESCE(MIN(due_at), 0) FROM entries
		WHERE state IN ('waiting', 'due', 'held', 'submitted', 'failed') AND due_at < $1`
	entriesReady  = `SELECT COUNT(*) FROM entries WHERE state = 'due' OR state = 'waiting' AND due_at <= $1`
	entriesUrgent = `SELECT COUNT(*), COALESCE(MIN(held_at), 0) FROM entries WHERE state = 'held' AND urgent = 1`
	entriesSent   = `SELECT COALESCE(MIN(sent_at), 0), EXISTS (SELECT 1 FROM imports WHERE ended_at = 0) FROM entries WHERE state = 'submitted'`
	entriesFailed = `SELECT COALESCE(MIN(due_at), 0) FROM entries WHERE state = 'failed'`
)

func (l *Ledger) countLate(ctx context.Context, o *Overview, now, late time.Time) error {
	var since, urgent, failed, sent int64
	err := errors.Join(
		l.read.QueryRowContext(ctx, entriesLate, micros(late)).Scan(&o.Late, &since),
		l.read.QueryRowContext(ctx, entriesReady, micros(now)).Scan(&o.Ready),
		l.read.QueryRowContext(ctx, entriesUrgent).Scan(&o.Urgent, &urgent),
		l.read.QueryRowContext(ctx, entriesSent).Scan(&sent, &o.Imports),
		l.read.QueryRowContext(ctx, entriesFailed).Scan(&failed))
	o.LateFrom, o.UrgentAt, o.Failed, o.SentAt = fromMicros(since), fromMicros(urgent), fromMicros(failed), fromMicros(sent)
	return err
}

// holdsCounted counts whom each open hold still names: those who are held in it, who are to be
// opened again, or who will be due.
const holdsCounted = `SELECT h.kinds, h.ahead, h.created_at, CASE
	WHEN h.kinds = 'reopen' THEN (SELECT COUNT(*) FROM reopens r WHERE r.hold = h.id AND r.state = 'proposed')
	WHEN h.ahead = 1 THEN (SELECT COUNT(*) FROM hold_users u JOIN entries e ON e.id = u.entry WHERE u.hold = h.id AND ` + stillHeld + `)
	ELSE (SELECT COUNT(*) FROM entries e CROSS JOIN hold_users u ON u.hold = h.id AND u.entry = e.id WHERE e.hold = h.id AND e.state = 'held') END
	FROM holds h WHERE h.state = 'open'`

func (l *Ledger) countHolds(ctx context.Context, o *Overview) error {
	err := eachRow(ctx, l.read, func(rows *sql.Rows) error {
		var kinds string
		var ahead bool
		var created int64
		var users int
		if err := rows.Scan(&kinds, &ahead, &created, &users); err != nil {
			return err
		}
		gravest, _, _ := strings.Cut(kinds, ",")
		i := slices.IndexFunc(o.Holds, func(h HoldsOf) bool { return h.Kind == Kind(gravest) && h.Ahead == ahead })
		if i < 0 {
			i = len(o.Holds)
			o.Holds = append(o.Holds, HoldsOf{Kind: Kind(gravest), Ahead: ahead})
		}
		h := &o.Holds[i]
		h.Open++
		h.Users += users
		if since := fromMicros(created); h.Oldest.IsZero() || since.Before(h.Oldest) {
			h.Oldest = since
		}
		return nil
	}, holdsCounted)
	slices.SortFunc(o.Holds, func(a, b HoldsOf) int {
		if a.Ahead != b.Ahead {
			return flag(a.Ahead) - flag(b.Ahead)
		}
		return slices.Index(Kinds(), a.Kind) - slices.Index(Kinds(), b.Kind)
	})
	return err
}

func (l *Ledger) countRejects(ctx context.Context, o *Overview) error {
	var first int64
	err := l.read.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE((SELECT received_at FROM rejects WHERE state = 'open' ORDER BY id LIMIT 1), 0)
		FROM rejects WHERE state = 'open'`).Scan(&o.Rejects, &first)
	o.RejectAt = fromMicros(first)
	return err
}

// Closes is what became of leavers in a span of time.
type Closes struct {
	From, To time.Time // To is not in it
	Closed   int
	Failed   int // Docusign refused them, and had not refused them for the same reason before
	Other    int // settled with another outcome
}

// Settled counts what became of leavers from a time on, in so many spans of a width.
func (l *Ledger) Settled(ctx context.Context, from time.Time, width time.Duration, spans int) ([]Closes, error) {
	all := make([]Closes, spans)
	for i := range all {
		all[i].From = from.Add(time.Duration(i) * width).UTC()
		all[i].To = all[i].From.Add(width)
	}
	first, until, step := micros(from), micros(all[spans-1].To), width.Microseconds()
	err := eachRow(ctx, l.read, func(rows *sql.Rows) error {
		var span, settled, closed int
		err := rows.Scan(&span, &settled, &closed)
		if err == nil {
			all[span].Closed, all[span].Other = closed, settled-closed
		}
		return err
	}, closesIn, first, step, spans)
	return all, errors.Join(err, eachRow(ctx, l.read, func(rows *sql.Rows) error {
		var span, n int
		err := rows.Scan(&span, &n)
		if err == nil {
			all[span].Failed = n
		}
		return err
	}, refusedIn, first, until, step))
}

// By the index entries_settled, and without sorting what it has in order.
const (
	closesIn = `WITH RECURSIVE spans(n, since) AS (SELECT 0, $1 UNION ALL SELECT n + 1, since + $2 FROM spans WHERE n + 1 < $3)
		SELECT n, (SELECT COUNT(*) FROM entries WHERE settled_at >= since AND settled_at < since + $2),
			(SELECT COUNT(*) FROM entries WHERE settled_at >= since AND settled_at < since + $2 AND ` + isClosed + `) FROM spans`
	tookIn = `SELECT settled_at - due_at FROM entries WHERE settled_at >= $1 AND settled_at < $2 AND ` + isClosed

	// isClosed does not lead to an index by states.
	isClosed = `CASE state WHEN 'closed' THEN 1 ELSE 0 END = 1`

	refusedIn = `SELECT (at - $1) / $3 AS span, COUNT(*) FROM audit WHERE action = 'failed' AND at >= $1 AND at < $2
		AND NOT (json_valid(facts) AND COALESCE(json_extract(facts, '$.again'), 0)) GROUP BY span`
)

// Took returns how long each closing took that came to its end in a span of time, from
// due to closed, the shortest first.
func (l *Ledger) Took(ctx context.Context, from, to time.Time) (all []time.Duration, err error) {
	err = eachRow(ctx, l.read, func(rows *sql.Rows) error {
		var took int64
		err := rows.Scan(&took)
		all = append(all, max(0, time.Duration(took)*time.Microsecond))
		return err
	}, tookIn, micros(from), micros(to))
	slices.Sort(all)
	return all, err
}
