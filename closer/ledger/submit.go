package ledger

import (
	"context"
	"errors"
	"time"
)

// ErrStalePlan refuses to submit a plan whose users were looked up too long ago.
var ErrStalePlan = errors.New("the plan is too old to be sent")

// Batch is one close request on its way.
type Batch struct {
	ID      int64
	Account string
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
// resolved, and none whose user is in a request of unknown outcome, be it a close or a reopening; Members of
// the batch says which it took, none if the batch's ID is 0. ErrStalePlan
// refuses all of a plan resolved longer than fresh ago.
func (l *Ledger) Submit(ctx context.Context, account string, plan []Resolved, resolvedAt time.Time, fresh time.Duration) (Batch, error) {
	var b Batch
	err := l.write(ctx, func(t *tx) (err error) {
		b = Batch{}
		if t.now.Sub(resolvedAt) > fresh {
			return ErrStalePlan
		}
		b, err = t.submitBatch(account, plan, 0)
		return err
	})
	return b, err
}

// submitBatch writes the intent of one batch, of an import or of none (0).
func (t *tx) submitBatch(account string, plan []Resolved, imp int64) (Batch, error) {
	id, err := t.nextID("batches")
	if err != nil {
		return Batch{}, err
	}
	b := Batch{ID: id, Account: account}
	for _, r := range plan {
		taken, err := t.submit(r, b, imp)
		if err != nil {
			return Batch{}, err
		}
		if taken {
			b.Members = append(b.Members, r)
		}
	}
	if len(b.Members) == 0 {
		return Batch{}, nil
	}
	return b, t.exec(`INSERT INTO batches (id, account, users, sent_at, import) VALUES ($1, $2, $3, $4, $5)`,
		id, account, len(b.UserIDs()), micros(t.now), imp)
}

func (t *tx) submit(r Resolved, b Batch, imp int64) (bool, error) {
	for _, u := range r.Users {
		var pending bool
		if err := t.one(`SELECT EXISTS (SELECT 1 FROM memberships m JOIN batches b ON b.id = m.batch
			WHERE m.user_id = $1 AND m.outcome = '' AND b.account = $2)
			OR EXISTS (SELECT 1 FROM reopens WHERE user_id = $1 AND state = 'submitted' AND account = $2)`, []any{u.ID, b.Account}, &pending); err != nil || pending {
			return false, err
		}
	}
	n, err := t.changed(`UPDATE entries SET state = 'submitted', reason = '', hold = 0, held_at = 0,
		sent_at = $3, sent_emails = emails, misses = 0
		WHERE id = $1 AND state = 'due' AND due_at <= $3 AND emails = $2 AND effective_at = $4 AND stale = $5
		AND NOT EXISTS (SELECT 1 FROM cancels c WHERE c.id = entries.cancel AND c.effective_at <= $3)`,
		r.Entry.ID, r.Entry.emails, micros(t.now), micros(r.Entry.EffectiveAt), flag(r.Entry.Stale))
	if err != nil || n == 0 {
		return false, err
	}
	if err := t.exec(`DELETE FROM memberships WHERE entry = $1 AND outcome = ''`, r.Entry.ID); err != nil {
		return false, err
	}
	for _, u := range r.Users {
		if err := t.exec(`INSERT INTO memberships (entry, user_id, email, batch, scim, last_login) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (entry, user_id) DO UPDATE SET batch = $4, outcome = '', reason = '', note = '', scim = $5, last_login = MAX(last_login, $6)`,
			r.Entry.ID, u.ID, u.Email, b.ID, flag(u.SCIM), micros(u.LastLogin)); err != nil {
			return false, err
		}
	}
	facts := withLogins(map[string]any{"batch": b.ID, "account": r.Entry.Account, "users": userIDs(r.Users)}, r.Users)
	if imp != 0 {
		facts["import"] = imp
	}
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
	return l.write(ctx, func(t *tx) error { return t.withdraw(b, why) })
}

func (t *tx) withdraw(b Batch, why string) error {
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
		if err := t.cancelLate(m.Entry.ID); err != nil {
			return err
		}
	}
	return nil
}

func userIDs(users []User) []string {
	ids := make([]string, 0, len(users))
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	return ids
}
