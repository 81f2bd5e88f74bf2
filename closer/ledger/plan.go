package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

const entryColumns = `id, leaver, account, state, emails, source, urgent, stale, dry_run, returned,
	effective_at, due_at, received_at, attempts, tries, misses, next_at, reason, sent_at, settled_at, trace_parent`

// scanEntry reads a row of entryColumns, and of what follows them.
func scanEntry(rows *sql.Rows, more ...any) (e Entry, err error) {
	var effective, due, received, next, sent, settled int64
	err = rows.Scan(append([]any{&e.ID, &e.Leaver, &e.Account, &e.State, &e.emails, &e.Source, &e.Urgent, &e.Stale, &e.DryRun, &e.Returned,
		&effective, &due, &received, &e.Attempts, &e.Tries, &e.Misses, &next, &e.Reason, &sent, &settled, &e.TraceParent}, more...)...)
	if err != nil {
		return e, err
	}
	e.EffectiveAt, e.DueAt, e.ReceivedAt = fromMicros(effective), fromMicros(due), fromMicros(received)
	e.NextAt, e.SentAt, e.SettledAt = fromMicros(next), fromMicros(sent), fromMicros(settled)
	if e.Emails, err = addressesIn(e.emails); err != nil {
		return e, fmt.Errorf("entry %d: emails: %w", e.ID, err)
	}
	return e, nil
}

// addressesIn are the addresses in the text of a column emails.
func addressesIn(text string) (emails []string, err error) {
	err = json.Unmarshal([]byte(text), &emails)
	return emails, err
}

func (t *tx) ids(query string, args ...any) ([]int64, error) {
	return column[int64](t, query, args...)
}

func (t *tx) texts(query string, args ...any) ([]string, error) {
	return column[string](t, query, args...)
}

// column is the only column of what a query finds.
func column[T any](t *tx, query string, args ...any) ([]T, error) {
	s, err := t.prepared(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// Missed notes that entries could not be resolved for a passing reason: they
// are tried again after a while, behind others.
func (l *Ledger) Missed(ctx context.Context, entries []Entry, reason string, retry Retry) error {
	return l.write(ctx, func(t *tx) error {
		for _, e := range entries {
			if err := t.exec(`UPDATE entries SET misses = misses + 1, reason = $2, next_at = $3 WHERE id = $1 AND state = 'due'`,
				e.ID, reason, micros(t.now.Add(retry.Wait(min(e.Misses+1, retry.Attempts))))); err != nil {
				return err
			}
		}
		return nil
	})
}

// Due returns what may be closed in the account now, urgent leavers first, or
// alone; whoever was tried for nothing comes after the others. A leaver whose
// reopening is on the wire waits for what becomes of that: a look-up might find
// them closed a moment before they are open.
func (l *Ledger) Due(ctx context.Context, account string, now time.Time, urgentOnly bool) ([]Entry, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+` FROM entries
		WHERE state = 'due' AND due_at <= $2 AND account = $1 AND next_at <= $2 AND urgent >= $3
		AND NOT EXISTS (SELECT 1 FROM reopens r JOIN entries o ON o.id = r.entry
			WHERE r.account = $1 AND r.state = 'submitted' AND o.leaver = entries.leaver)
		ORDER BY urgent DESC, misses, tries, due_at, id`, account, micros(now), flag(urgentOnly))
	if err != nil {
		return nil, err
	}
	entries, err := scanEntries(rows)
	if err != nil {
		return nil, err
	}
	return entries, l.addApprovals(ctx, account, entries, now)
}

// Entries returns every entry, the oldest first, without approvals.
func (l *Ledger) Entries(ctx context.Context) ([]Entry, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+` FROM entries ORDER BY id`)
	if err != nil {
		return nil, err
	}
	return scanEntries(rows)
}

func scanEntries(rows *sql.Rows) ([]Entry, error) {
	defer rows.Close()
	var entries []Entry
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// addApprovals gives due entries of the account the approved holds that name them
// and are good now, but for those of before their leaving day was moved, and those
// that the entry had left before they were approved. A plan that was approved ahead
// names the first entry of a leaving, which was in no account yet.
func (l *Ledger) addApprovals(ctx context.Context, account string, entries []Entry, now time.Time) error {
	return l.giveApprovals(ctx, account, entries, now, `e.state = 'due' AND e.account = $1 AND h.valid_from <= $2 AND h.expires_at > $2`)
}

// giveApprovals gives these entries the approved holds of the account that name
// them, of those that are which: of account $1, at time $2.
func (l *Ledger) giveApprovals(ctx context.Context, account string, entries []Entry, at time.Time, which string) error {
	const approved = `SELECT DISTINCT e.id, h.id FROM entries e
		JOIN hold_users u ON u.entry IN (e.id, e.split_from) JOIN holds h ON h.id = u.hold AND (u.entry = e.id OR h.ahead = 1)
		WHERE h.account = $1 AND h.state = 'approved' AND u.decided = 1 AND h.id > e.approvals_after AND `
	rows, err := l.read.QueryContext(ctx, approved+which+` ORDER BY h.id`, account, micros(at))
	if err != nil {
		return err
	}
	defer rows.Close()
	of := make(map[int64][]int64)
	for rows.Next() {
		var entry, hold int64
		if err := rows.Scan(&entry, &hold); err != nil {
			return err
		}
		of[entry] = append(of[entry], hold)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	holds := make(map[int64]Hold)
	for i, e := range entries {
		for _, id := range of[e.ID] {
			if _, ok := holds[id]; !ok {
				if holds[id], err = l.Hold(ctx, id); err != nil {
					return err
				}
			}
			entries[i].Approvals = append(entries[i].Approvals, holds[id])
		}
	}
	return nil
}

// Settle ends entries that need no close, and returns those that it ended: not
// one that changed since it was read.
func (l *Ledger) Settle(ctx context.Context, settlements []Settlement) ([]Settled, error) {
	if len(settlements) == 0 {
		return nil, nil
	}
	var settled []Settled
	err := l.write(ctx, func(t *tx) error {
		settled = nil
		for _, s := range settlements {
			outcome := s.Outcome
			var closed bool // by us, in an earlier run that ended half way
			if err := t.one(`SELECT EXISTS (SELECT 1 FROM memberships WHERE entry = $1 AND outcome = 'closed')`,
				[]any{s.Entry.ID}, &closed); err != nil {
				return err
			}
			if closed {
				outcome = Closed
			}
			n, err := t.changed(`UPDATE entries SET state = $2, settled_at = $3, reason = ''
				WHERE id = $1 AND state = 'due' AND emails = $4`, s.Entry.ID, string(outcome), micros(t.now), s.Entry.emails)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			if err := t.keepClosed(s); err != nil {
				return err
			}
			facts, err := t.withMemberships(withLogins(map[string]any{"users": userIDs(s.Users)}, s.Users), s.Entry.ID, outcome)
			if err != nil {
				return err
			}
			if err := t.audit(row{action: string(outcome), entry: s.Entry.ID, facts: facts}); err != nil {
				return err
			}
			if err := t.settledCancel(s.Entry.ID); err != nil {
				return err
			}
			settled = append(settled, Settled{Entry: s.Entry, Outcome: outcome, At: t.now})
		}
		return nil
	})
	return settled, err
}

// WouldClose notes in a dry run what a real one would have sent.
func (l *Ledger) WouldClose(ctx context.Context, plan []Resolved) error {
	return l.write(ctx, func(t *tx) error {
		for _, r := range plan {
			n, err := t.changed(`UPDATE entries SET state = 'would_close', reason = '' WHERE id = $1 AND state = 'due' AND emails = $2`,
				r.Entry.ID, r.Entry.emails)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			if err := t.audit(row{action: "would_close", entry: r.Entry.ID, facts: map[string]any{"users": userIDs(r.Users)}}); err != nil {
				return err
			}
		}
		return nil
	})
}
