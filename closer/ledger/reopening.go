package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"time"
)

// ReopensDue returns the approved reopens of an account that may be carried out
// now, the oldest first, and those that were tried after the others. Whether it makes sense still, since no open user may
// have the address, is for the caller to look up.
func (l *Ledger) ReopensDue(ctx context.Context, account string, now time.Time) ([]Reopen, error) {
	return l.reopensWithEntry(ctx, `r.account = $1 AND r.state = 'approved' AND r.due_at <= $2 AND r.next_at <= $2
		ORDER BY r.next_at, r.due_at, r.id`, account, micros(now))
}

// UnknownReopens returns the reopens of an account that were sent before the
// given time and not answered for.
func (l *Ledger) UnknownReopens(ctx context.Context, account string, sentBefore time.Time) ([]Reopen, error) {
	return l.reopensWithEntry(ctx, `r.account = $1 AND r.state = 'submitted' AND r.sent_at <= $2 ORDER BY r.id`, account, micros(sentBefore))
}

func (l *Ledger) reopensWithEntry(ctx context.Context, where string, args ...any) ([]Reopen, error) {
	all, err := reopens(ctx, l.read, where, args...)
	if err != nil {
		return nil, err
	}
	for i, r := range all {
		if all[i].Entry, err = l.entry(ctx, r.Entry.ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// reopensOf returns what a hold proposes, or has proposed.
func reopensOf(ctx context.Context, q querier, hold int64) ([]Reopen, error) {
	return reopens(ctx, q, `r.hold = $1 ORDER BY r.id`, hold)
}

// reopens returns reopens, of whose entry they have the id alone.
func reopens(ctx context.Context, q querier, where string, args ...any) ([]Reopen, error) {
	const columns = `r.id, r.hold, r.entry, r.user_id, r.email, c.kind, r.due_at, r.state, r.reason, r.trace`
	query := `SELECT ` + columns + ` FROM reopens r JOIN cancels c ON c.id = r.cancel WHERE ` + where
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Reopen
	for rows.Next() {
		var r Reopen
		var due int64
		if err := rows.Scan(&r.ID, &r.Hold, &r.Entry.ID, &r.User.ID, &r.User.Email, &r.Kind, &due, &r.State, &r.Reason, &r.Trace); err != nil {
			return nil, err
		}
		r.DueAt = fromMicros(due)
		all = append(all, r)
	}
	return all, rows.Err()
}

func (l *Ledger) entry(ctx context.Context, id int64) (Entry, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+` FROM entries WHERE id = $1`, id)
	if err != nil {
		return Entry{}, err
	}
	entries, err := scanEntries(rows)
	if err == nil && len(entries) == 0 {
		err = fmt.Errorf("entry %d: %w", id, sql.ErrNoRows)
	}
	if err != nil {
		return Entry{}, err
	}
	return entries[0], nil
}

// SubmitReopen writes the intent to open a user again, before Docusign hears of
// it. It takes only what is still approved and due, of a user whom signoff
// closed, and not while an entry is open by which the same leaver, or the same
// user, is to be closed.
func (l *Ledger) SubmitReopen(ctx context.Context, id int64) (taken bool, err error) {
	err = l.write(ctx, func(t *tx) error {
		n, err := t.changed(`UPDATE reopens SET state = 'submitted', sent_at = $2, reason = ''
			WHERE id = $1 AND state = 'approved' AND due_at <= $2 AND next_at <= $2
			AND EXISTS (SELECT 1 FROM memberships m WHERE m.entry = reopens.entry AND m.user_id = reopens.user_id AND m.outcome = 'closed')
			AND NOT EXISTS (SELECT 1 FROM entries e JOIN entries o ON o.leaver = e.leaver AND o.account IN ('', e.account)
				AND o.state IN ('waiting', 'due', 'held', 'submitted', 'would_close', 'failed') WHERE e.id = reopens.entry)
			AND NOT EXISTS (SELECT 1 FROM memberships m JOIN batches b ON b.id = m.batch
				WHERE m.user_id = reopens.user_id AND m.outcome = '' AND b.account = reopens.account)`, id, micros(t.now))
		taken = err == nil && n > 0
		if !taken {
			return err
		}
		return t.auditReopen(id, string(ReopenSubmitted), nil)
	})
	return taken, err
}

// ReopenSending notes that the request of a reopen is sent now: a look-up of its
// user must wait from this moment on.
func (l *Ledger) ReopenSending(ctx context.Context, id int64) error {
	return l.write(ctx, func(t *tx) error {
		return t.exec(`UPDATE reopens SET sent_at = $2 WHERE id = $1 AND state = 'submitted'`, id, micros(t.now))
	})
}

// WithdrawReopen takes back the intent of a reopen that was certainly not carried
// out: it is approved again as if it had never been.
func (l *Ledger) WithdrawReopen(ctx context.Context, id int64, why string) error {
	return l.write(ctx, func(t *tx) error { return t.approveAgain(id, why, 0, time.Time{}) })
}

// PostponeReopen has an approved reopen wait, behind others, that could not even
// be looked up.
func (l *Ledger) PostponeReopen(ctx context.Context, id int64, why string, until time.Time) error {
	return l.write(ctx, func(t *tx) error {
		return t.exec(`UPDATE reopens SET reason = $2, next_at = $3 WHERE id = $1 AND state = 'approved'`, id, why, micros(until))
	})
}

// RetryReopen counts a try for a reopen that was sent and had no effect. It is
// sent again after a while, or has failed once it has had its tries.
func (l *Ledger) RetryReopen(ctx context.Context, id int64, why string, retry Retry) (failed bool, err error) {
	err = l.write(ctx, func(t *tx) error {
		var attempts int
		if err := t.one(`SELECT attempts + 1 FROM reopens WHERE id = $1`, []any{id}, &attempts); err != nil {
			return err
		}
		if failed = attempts >= retry.Attempts; failed {
			return t.settleReopen(id, ReopenFailed, why, "")
		}
		return t.approveAgain(id, why, 1, t.now.Add(retry.Wait(attempts)))
	})
	return failed, err
}

// approveAgain makes of a reopen that had no effect an approved one, unless the
// leaver leaves again by what was said meanwhile.
func (t *tx) approveAgain(id int64, why string, spent int, next time.Time) error {
	var reason string
	if err := t.one(`SELECT reason FROM reopens WHERE id = $1`, []any{id}, &reason); err != nil {
		return err
	}
	if reason == leavesAgain {
		return t.settleReopen(id, ReopenDropped, leavesAgain, "")
	}
	n, err := t.changed(`UPDATE reopens SET state = 'approved', reason = $2, attempts = attempts + $3, next_at = $4
		WHERE id = $1 AND state = 'submitted'`, id, why, spent, micros(next))
	if err != nil || n == 0 {
		return err
	}
	return t.auditReopen(id, "withdrawn", map[string]any{"reason": why})
}

// SettleReopen writes what became of an approved reopen: sent, failed or
// dropped, with why, and Docusign's token for the request. Only one that was
// submitted can have been sent.
func (l *Ledger) SettleReopen(ctx context.Context, id int64, outcome ReopenState, reason, trace string) error {
	return l.write(ctx, func(t *tx) error { return t.settleReopen(id, outcome, reason, trace) })
}

func (t *tx) settleReopen(id int64, outcome ReopenState, reason, trace string) error {
	from := `('approved', 'submitted')`
	switch outcome {
	case ReopenSent:
		from = `('submitted')`
	case ReopenFailed, ReopenDropped:
	default:
		return fmt.Errorf("reopen %d: %s is no outcome", id, outcome)
	}
	n, err := t.changed(`UPDATE reopens SET state = $2, reason = $3, trace = $4, settled_at = $5 WHERE id = $1 AND state IN `+from,
		id, string(outcome), reason, trace, micros(t.now))
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("reopen %d: %w", id, ErrNoReopen)
	}
	return t.auditReopen(id, string(outcome), map[string]any{"reason": reason, "trace": trace})
}

// auditReopen tells the chain of a step of a reopen.
func (t *tx) auditReopen(id int64, step string, facts map[string]any) error {
	var entry int64
	var user string
	if err := t.one(`SELECT entry, user_id FROM reopens WHERE id = $1`, []any{id}, &entry, &user); err != nil {
		return err
	}
	all := map[string]any{"reopen": id, "user": user}
	maps.Copy(all, facts)
	return t.audit(row{action: "reopen_" + step, entry: entry, facts: all})
}
