package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const entryColumns = `id, leaver, account, state, emails, source, urgent, stale, dry_run,
	effective_at, due_at, received_at, attempts, tries, misses, next_at, reason, sent_at, settled_at`

func scanEntry(rows *sql.Rows) (e Entry, err error) {
	var effective, due, received, next, sent, settled int64
	err = rows.Scan(&e.ID, &e.Leaver, &e.Account, &e.State, &e.emails, &e.Source, &e.Urgent, &e.Stale, &e.DryRun,
		&effective, &due, &received, &e.Attempts, &e.Tries, &e.Misses, &next, &e.Reason, &sent, &settled)
	if err != nil {
		return e, err
	}
	e.EffectiveAt, e.DueAt, e.ReceivedAt = fromMicros(effective), fromMicros(due), fromMicros(received)
	e.NextAt, e.SentAt, e.SettledAt = fromMicros(next), fromMicros(sent), fromMicros(settled)
	if err := json.Unmarshal([]byte(e.emails), &e.Emails); err != nil {
		return e, fmt.Errorf("entry %d: emails: %w", e.ID, err)
	}
	return e, nil
}

// BecomeDue moves to due, in this account, what has waited until now, and what
// Docusign refused a day ago.
func (l *Ledger) BecomeDue(ctx context.Context, account string, now time.Time) error {
	var waiting bool
	if err := l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM entries WHERE state = 'waiting' AND due_at <= $1)
		OR EXISTS (SELECT 1 FROM entries WHERE state = 'failed' AND next_at <= $1)`, micros(now)).Scan(&waiting); err != nil || !waiting {
		return err
	}
	return l.write(ctx, func(t *tx) error {
		ids, err := t.ids(`SELECT id FROM entries WHERE account IN ('', $1) AND
			(state = 'waiting' AND due_at <= $2 OR state = 'failed' AND next_at <= $2) ORDER BY id`, account, micros(now))
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := t.exec(`UPDATE entries SET state = 'due', account = $2 WHERE id = $1`, id, account); err != nil {
				return err
			}
			if err := t.audit(row{action: "due", entry: id, facts: map[string]any{"account": account}}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) ids(query string, args ...any) ([]int64, error) {
	s, err := t.prepared(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// UrgentDue says whether an urgent leaver may be closed in the account now, or
// looked up: one whose close was sent before unanswered, and not answered for.
func (l *Ledger) UrgentDue(ctx context.Context, account string, now, unanswered time.Time) (bool, error) {
	var due bool
	err := l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM entries WHERE urgent = 1 AND account IN ('', $1) AND
		(state IN ('waiting', 'due') AND due_at <= $2 AND next_at <= $2 OR state = 'submitted' AND sent_at <= $3))`,
		account, micros(now), micros(unanswered)).Scan(&due)
	return due, err
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
// alone; whoever was tried for nothing comes after the others.
func (l *Ledger) Due(ctx context.Context, account string, now time.Time, urgentOnly bool) ([]Entry, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+` FROM entries
		WHERE state = 'due' AND due_at <= $2 AND account = $1 AND next_at <= $2 AND urgent >= $3
		ORDER BY urgent DESC, misses, tries, due_at, id`, account, micros(now), flag(urgentOnly))
	if err != nil {
		return nil, err
	}
	entries, err := scanEntries(rows)
	if err != nil {
		return nil, err
	}
	return entries, l.addApprovals(ctx, entries)
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

// addApprovals gives due entries the approved holds that name them, but for
// those of before their leaving day was moved.
func (l *Ledger) addApprovals(ctx context.Context, entries []Entry) error {
	rows, err := l.read.QueryContext(ctx, `SELECT DISTINCT e.id, h.id FROM entries e
		JOIN hold_users u ON u.entry = e.id JOIN holds h ON h.id = u.hold
		WHERE e.state = 'due' AND h.state = 'approved' AND h.id > e.approvals_after ORDER BY h.id`)
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
			if err := t.audit(row{action: string(outcome), entry: s.Entry.ID, facts: map[string]any{"users": s.Users}}); err != nil {
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

// ErrStalePlan refuses to submit a plan whose users were looked up too long ago.
var ErrStalePlan = errors.New("the plan is too old to be sent")

// Batch is one close request on its way.
type Batch struct {
	ID      int64
	Members []Resolved
}

// UserIDs are the users of the batch, each once.
func (b Batch) UserIDs() []string {
	var ids []string
	seen := make(map[string]bool)
	for _, m := range b.Members {
		for _, u := range m.Users {
			if !seen[u.ID] {
				seen[u.ID] = true
				ids = append(ids, u.ID)
			}
		}
	}
	return ids
}

// Submit writes the intent to close these users, before Docusign hears of it.
// It takes only entries that are still due, as they were when they were
// resolved, and none whose user is in a request of unknown outcome; Members of
// the batch says which it took, none if the batch's ID is 0. ErrStalePlan
// refuses all of a plan resolved longer than fresh ago.
func (l *Ledger) Submit(ctx context.Context, account string, plan []Resolved, resolvedAt time.Time, fresh time.Duration) (Batch, error) {
	var b Batch
	err := l.write(ctx, func(t *tx) error {
		if t.now.Sub(resolvedAt) > fresh {
			return ErrStalePlan
		}
		id, err := t.nextID("batches")
		if err != nil {
			return err
		}
		b = Batch{ID: id}
		for _, r := range plan {
			taken, err := t.submit(r, b)
			if err != nil {
				return err
			}
			if taken {
				b.Members = append(b.Members, r)
			}
		}
		if len(b.Members) == 0 {
			b.ID = 0
			return nil
		}
		return t.exec(`INSERT INTO batches (id, account, users, sent_at) VALUES ($1, $2, $3, $4)`,
			id, account, len(b.UserIDs()), micros(t.now))
	})
	return b, err
}

func (t *tx) submit(r Resolved, b Batch) (bool, error) {
	for _, u := range r.Users {
		var pending bool
		if err := t.one(`SELECT EXISTS (SELECT 1 FROM memberships WHERE user_id = $1 AND outcome = '' AND batch > 0 AND batch < $2)`,
			[]any{u.ID, b.ID}, &pending); err != nil || pending {
			return false, err
		}
	}
	n, err := t.changed(`UPDATE entries SET state = 'submitted', reason = '', hold = 0, held_at = 0,
		sent_at = $3, sent_emails = emails, misses = 0
		WHERE id = $1 AND state = 'due' AND due_at <= $3 AND emails = $2 AND effective_at = $4 AND stale = $5`,
		r.Entry.ID, r.Entry.emails, micros(t.now), micros(r.Entry.EffectiveAt), flag(r.Entry.Stale))
	if err != nil || n == 0 {
		return false, err
	}
	if err := t.exec(`DELETE FROM memberships WHERE entry = $1 AND outcome = ''`, r.Entry.ID); err != nil {
		return false, err
	}
	for _, u := range r.Users {
		if err := t.exec(`INSERT INTO memberships (entry, user_id, email, batch) VALUES ($1, $2, $3, $4)
			ON CONFLICT (entry, user_id) DO UPDATE SET batch = $4, outcome = '', reason = ''`,
			r.Entry.ID, u.ID, u.Email, b.ID); err != nil {
			return false, err
		}
	}
	facts := map[string]any{"batch": b.ID, "account": r.Entry.Account, "users": userIDs(r.Users)}
	for _, h := range r.Entry.Approvals {
		facts["approval"] = h.ID // the last one: it covers what the ones before it did not
	}
	return true, t.audit(row{action: "submitted", entry: r.Entry.ID, facts: facts})
}

// Sending notes that the request of a batch is sent now: a look-up of its users
// must wait from this moment on.
func (l *Ledger) Sending(ctx context.Context, batch int64) error {
	return l.write(ctx, func(t *tx) error {
		return t.exec(`UPDATE batches SET sent_at = $2 WHERE id = $1`, batch, micros(t.now))
	})
}

// Withdraw takes back the intent of a batch that was certainly not carried out:
// its entries are due again as if it had never been.
func (l *Ledger) Withdraw(ctx context.Context, b Batch, why string) error {
	return l.write(ctx, func(t *tx) error {
		if err := t.exec(`UPDATE batches SET answered_at = $2, result = 'withdrawn' WHERE id = $1`, b.ID, micros(t.now)); err != nil {
			return err
		}
		if err := t.exec(`UPDATE memberships SET batch = 0 WHERE batch = $1 AND outcome = ''`, b.ID); err != nil {
			return err
		}
		for _, m := range b.Members {
			if err := t.exec(`UPDATE entries SET state = CASE WHEN due_at > $2 THEN 'waiting' ELSE 'due' END, reason = $3,
				sent_at = $4 WHERE id = $1 AND state = 'submitted'`,
				m.Entry.ID, micros(t.now), why, micros(m.Entry.SentAt)); err != nil {
				return err
			}
			if err := t.audit(row{action: "withdrawn", entry: m.Entry.ID, facts: map[string]any{"batch": b.ID, "reason": why}}); err != nil {
				return err
			}
		}
		return nil
	})
}

func userIDs(users []User) []string {
	ids := make([]string, 0, len(users))
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	return ids
}
