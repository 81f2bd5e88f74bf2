package ledger

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Result is what is known of one user of a batch.
type Result struct {
	Closed bool
	Reason string // Docusign's code if it refused; why not, if a look-up found the user open
	Spared bool   // not refused: tried again without spending an attempt
	Note   string // what else there is to say, in a fixed word; "" for nothing
}

// Retry says how a refused close is tried again.
type Retry struct {
	Attempts int                              // refusals after which an entry has failed
	Wait     func(attempts int) time.Duration // until the next try
	Daily    time.Duration                    // until a failed entry is tried again
}

// SettleBatch writes what became of the users of a batch and returns the
// entries that this settles. A user without a result keeps the entry submitted,
// to be looked up. trace is Docusign's token for the request; answered says
// that an answer came at all.
func (l *Ledger) SettleBatch(ctx context.Context, batch int64, results map[string]Result, trace string, answered bool, retry Retry) ([]Settled, error) {
	var settled []Settled
	err := l.write(ctx, func(t *tx) error {
		settled = nil
		entries, err := t.ids(`SELECT DISTINCT entry FROM memberships WHERE batch = $1 AND outcome = '' ORDER BY entry`, batch)
		if err != nil {
			return err
		}
		if answered {
			if err := t.exec(`UPDATE batches SET answered_at = $2, trace = $3, result = 'answered' WHERE id = $1 AND answered_at = 0`,
				batch, micros(t.now), trace); err != nil {
				return err
			}
		}
		for _, id := range entries {
			s, err := t.settleEntry(id, batch, results, trace, retry)
			if err != nil {
				return err
			}
			if s != nil {
				settled = append(settled, *s)
			}
		}
		return nil
	})
	return settled, err
}

// settleEntry writes the results of an entry's users; it returns nil while the
// entry goes on.
func (t *tx) settleEntry(id, batch int64, results map[string]Result, trace string, retry Retry) (*Settled, error) {
	open, err := t.texts(`SELECT user_id FROM memberships WHERE entry = $1 AND batch = $2 AND outcome = ''`, id, batch)
	if err != nil {
		return nil, err
	}
	var unknown, refused, spared bool
	var reason string
	for _, user := range open {
		r, ok := results[user]
		switch {
		case !ok:
			unknown = true
		case r.Closed:
			if err := t.exec(`UPDATE memberships SET outcome = 'closed', note = $3, trace = $4, settled_at = $5 WHERE entry = $1 AND user_id = $2`,
				id, user, r.Note, trace, micros(t.now)); err != nil {
				return nil, err
			}
		default:
			refused, spared, reason = true, spared || r.Spared, r.Reason
			if err := t.exec(`UPDATE memberships SET batch = 0, reason = $3, note = $4, trace = $5 WHERE entry = $1 AND user_id = $2`,
				id, user, r.Reason, r.Note, trace); err != nil {
				return nil, err
			}
		}
	}
	if unknown {
		return nil, nil
	}
	if !refused { // now; another of the entry's users may have been before
		if refused, reason, spared, err = t.refusedBefore(id, batch); err != nil {
			return nil, err
		}
	}
	if refused {
		return t.refuse(id, batch, reason, trace, spared, retry)
	}
	_, cancelled, err := t.keptCancel(id)
	if err != nil {
		return nil, err
	}
	if !cancelled {
		late, err := t.learnedMeanwhile(id)
		if err != nil || late {
			return nil, err
		}
	}
	return t.end(id, Closed, "", trace, batch)
}

// learnedMeanwhile makes an entry due again whose leaver turned out to have
// another address while the close was under way: its users are not closed yet.
func (t *tx) learnedMeanwhile(id int64) (bool, error) {
	n, err := t.changed(`UPDATE entries SET state = CASE WHEN due_at > $2 THEN 'waiting' ELSE 'due' END, reason = 'new_address'
		WHERE id = $1 AND emails <> sent_emails`, id, micros(t.now))
	if err != nil || n == 0 {
		return false, err
	}
	return true, t.audit(row{action: "retry", entry: id, facts: map[string]any{"reason": "new_address"}})
}

// refusedBefore says whether a user of the entry was not closed by the batch,
// as was learned while the outcome of others was still unknown. Where no answer
// came at all, nobody refused it.
func (t *tx) refusedBefore(entry, batch int64) (refused bool, reason string, spared bool, err error) {
	err = t.one(`SELECT m.reason, b.answered_at = 0 FROM memberships m JOIN batches b ON b.id = $2
		WHERE m.entry = $1 AND m.outcome = '' LIMIT 1`, []any{entry, batch}, &reason, &spared)
	if errors.Is(err, sql.ErrNoRows) {
		return false, "", false, nil
	}
	return err == nil, reason, spared, err
}

// refuse makes an entry due again for another try or, when it has had its
// tries, failed.
func (t *tx) refuse(id, batch int64, reason, trace string, spared bool, retry Retry) (*Settled, error) {
	if c, cancelled, err := t.keptCancel(id); err != nil {
		return nil, err
	} else if cancelled { // while the close was on the wire
		return t.end(id, Cancelled, string(c.kind), trace, batch)
	}
	var attempts, tries int
	if err := t.one(`SELECT attempts, tries FROM entries WHERE id = $1`, []any{id}, &attempts, &tries); err != nil {
		return nil, err
	}
	wait := time.Duration(0)
	if tries > 1 { // once or twice is bad luck, and somebody can still sign
		wait = retry.Wait(min(tries, retry.Attempts))
	}
	if !spared {
		attempts++
		if attempts >= retry.Attempts {
			if err := t.exec(`UPDATE entries SET attempts = $2, next_at = $3 WHERE id = $1`,
				id, attempts, micros(t.now.Add(retry.Daily))); err != nil {
				return nil, err
			}
			return t.end(id, Failed, reason, trace, batch)
		}
		wait = retry.Wait(attempts)
	}
	if err := t.exec(`UPDATE entries SET state = CASE WHEN due_at > $2 THEN 'waiting' ELSE 'due' END,
		attempts = $3, next_at = $4, reason = $5, tries = CASE WHEN $6 = 1 THEN tries + 1 ELSE 0 END WHERE id = $1`,
		id, micros(t.now), attempts, micros(t.now.Add(wait)), reason, flag(spared)); err != nil {
		return nil, err
	}
	return nil, t.audit(row{action: "retry", entry: id, facts: map[string]any{
		"batch": batch, "reason": reason, "trace": trace, "attempts": attempts}})
}

func (t *tx) end(id int64, outcome State, reason, trace string, batch int64) (*Settled, error) {
	s, err := t.prepared(`SELECT ` + entryColumns + ` FROM entries WHERE id = $1`)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(t.ctx, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, rows.Err()
	}
	e, err := scanEntry(rows)
	if err != nil {
		return nil, err
	}
	if err := rows.Close(); err != nil {
		return nil, err
	}
	settledAt := t.now
	if outcome.Open() {
		settledAt = time.Time{} // failed: until a person settles it, or a later try does
	}
	if err := t.exec(`UPDATE entries SET state = $2, reason = $3, settled_at = $4 WHERE id = $1`,
		id, string(outcome), reason, micros(settledAt)); err != nil {
		return nil, err
	}
	facts := map[string]any{"batch": batch, "reason": reason, "trace": trace}
	notes, err := t.texts(`SELECT DISTINCT note FROM memberships WHERE entry = $1 AND note <> '' ORDER BY note`, id)
	if err != nil {
		return nil, err
	}
	if len(notes) > 0 {
		facts["notes"] = notes
	}
	if facts, err = t.withMemberships(facts, id, outcome); err != nil {
		return nil, err
	}
	if outcome == Failed {
		again, err := t.failedBefore(id, reason)
		if err != nil {
			return nil, err
		}
		if again {
			facts["again"] = true
		}
	}
	if err := t.audit(row{action: string(outcome), entry: id, facts: facts}); err != nil {
		return nil, err
	}
	return &Settled{Entry: e, Outcome: outcome, Reason: reason, At: t.now}, t.settledCancel(id)
}

// Refuse counts a refusal for an entry that is due: its users could not even be
// looked up. It returns the entry if it has failed by that.
func (l *Ledger) Refuse(ctx context.Context, e Entry, reason string, retry Retry) (*Settled, error) {
	var settled *Settled
	err := l.write(ctx, func(t *tx) (err error) {
		var due bool
		if err := t.one(`SELECT EXISTS (SELECT 1 FROM entries WHERE id = $1 AND state = 'due')`, []any{e.ID}, &due); err != nil || !due {
			return err
		}
		settled, err = t.refuse(e.ID, 0, reason, "", false, retry)
		return err
	})
	return settled, err
}

// Unknown is a user whose close was sent and not answered for.
type Unknown struct {
	Batch    int64
	Entry    int64
	User     User
	Answered bool // an answer to the request came, without this user in it
}

// Unknowns returns the users in requests sent before the given time whose
// outcome is not known: not those of an import that is still open, which will
// say it.
func (l *Ledger) Unknowns(ctx context.Context, account string, sentBefore time.Time) ([]Unknown, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT m.batch, m.entry, m.user_id, m.email, b.answered_at > 0
		FROM memberships m JOIN batches b ON b.id = m.batch
		WHERE m.outcome = '' AND m.batch > 0 AND b.account = $1 AND b.sent_at <= $2
		AND b.import NOT IN (SELECT id FROM imports WHERE ended_at = 0 AND sent_at > $3) ORDER BY m.batch, m.entry`,
		account, micros(sentBefore), micros(sentBefore.Add(-importAtMost)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Unknown
	for rows.Next() {
		var u Unknown
		if err := rows.Scan(&u.Batch, &u.Entry, &u.User.ID, &u.User.Email, &u.Answered); err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, rows.Err()
}

// SentLeaver is a leaver for whom a close was sent.
type SentLeaver struct {
	Account string
	Leaver  string
	Source  string // who announced the termination
	Urgent  bool
	At      time.Time // of the last one
}

// Sent returns the leavers for whom a close was sent since then, in all
// accounts.
func (l *Ledger) Sent(ctx context.Context, since time.Time) ([]SentLeaver, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT account, leaver, source, urgent, sent_at FROM entries
		WHERE sent_at > $1`, max(0, micros(since)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []SentLeaver
	for rows.Next() {
		var s SentLeaver
		var at int64
		if err := rows.Scan(&s.Account, &s.Leaver, &s.Source, &s.Urgent, &at); err != nil {
			return nil, err
		}
		s.At = fromMicros(at)
		all = append(all, s)
	}
	return all, rows.Err()
}
