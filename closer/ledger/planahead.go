package ledger

import (
	"context"
	"errors"
	"slices"
	"time"
)

// planKinds are the kinds that hold a whole plan, which an approval ahead covers.
var planKinds = []Kind{FirstRun, Limit, Frozen}

var (
	// ErrPlanChanged refuses to approve a plan ahead of whose people one has changed
	// since it was made.
	ErrPlanChanged = errors.New("the plan has changed while it was approved: look at it again")

	// ErrNotAhead refuses to approve ahead what is due already.
	ErrNotAhead = errors.New("at: not in the future: what is due now is approved by its hold")
)

// PlanDigest is the digest of a plan of an account.
func PlanDigest(account string, plan []Resolved) string {
	var users []HeldUser
	for _, r := range plan {
		for _, u := range r.Users {
			users = append(users, HeldUser{Entry: r.Entry.ID, User: u})
		}
	}
	return digest(account, users)
}

// Ahead is what the ledger knows, in one account, of a time to come.
type Ahead struct {
	Entries []Entry // that will be due by then, and are not yet, with their approvals; those due now, if it is now
	Due     int     // due already, where that is another time
	Held    int     // that wait for a person
}

// Ahead returns what will be due in the account at a time, by what is known now.
func (l *Ledger) Ahead(ctx context.Context, account string, at, now time.Time) (a Ahead, err error) {
	if !at.After(now) {
		if a.Entries, err = l.Due(ctx, account, at, false); err != nil {
			return a, err
		}
		at, now = now, time.Time{} // and those whom the next run makes due
	}
	rows, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+` FROM entries WHERE `+aheadIn+` AND due_at > $2 AND due_at <= $3
		ORDER BY urgent DESC, due_at, id`, account, micros(now), micros(at))
	if err != nil {
		return a, err
	}
	waiting, err := scanEntries(rows)
	if err != nil {
		return a, err
	}
	if err := l.approvalsAhead(ctx, account, waiting, at); err != nil {
		return a, err
	}
	a.Entries = append(a.Entries, waiting...)
	if !now.IsZero() {
		if err := l.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM entries WHERE account = $1 AND state = 'due' OR `+aheadIn+` AND due_at <= $2`,
			account, micros(now)).Scan(&a.Due); err != nil {
			return a, err
		}
	}
	return a, l.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM entries WHERE account = $1 AND state = 'held'`, account).Scan(&a.Held)
}

// PlanAhead is a plan that a person approves before its people are due.
type PlanAhead struct {
	Account string
	From    time.Time // an approval is not good before
	Until   time.Time // nor from then on
	People  []Resolved
	By      Person
	Reason  string
}

// ApproveAhead is one person's yes to a plan of a time to come: a hold ahead of
// exactly these users, for the kinds that hold a whole plan. Where another person
// has said yes to the same, that hold is approved. ErrPlanChanged refuses a plan one
// of whose people does not wait any more, or has another address.
func (l *Ledger) ApproveAhead(ctx context.Context, p PlanAhead, terms Terms) (h Hold, err error) {
	err = l.write(ctx, func(t *tx) (err error) {
		if !p.From.After(t.now) {
			return ErrNotAhead
		}
		if h, err = t.planAhead(p); err != nil {
			return err
		}
		if err := t.refuseOwn(h, p.By, true); err != nil {
			return err
		}
		h, err = t.approve(h, Decision{Hold: h.ID, Digest: h.Digest, By: p.By, Reason: p.Reason}, terms)
		return err
	})
	if err != nil {
		return Hold{}, err
	}
	return l.Hold(ctx, h.ID)
}

// planAhead is the hold of a plan of a time to come: a new one, unless the same
// waits already for another person's yes.
func (t *tx) planAhead(p PlanAhead) (Hold, error) {
	h := Hold{Account: p.Account, Kinds: planKinds, State: HoldOpen, CreatedAt: t.now, Ahead: true, ValidFrom: p.From.UTC(), ExpiresAt: p.Until.UTC(),
		Detail: "the plan of " + p.From.UTC().Format(time.RFC3339)}
	for _, r := range p.People {
		var waits bool
		if err := t.one(`SELECT EXISTS (SELECT 1 FROM entries WHERE id = $1 AND state = 'waiting' AND emails = $2 AND due_at = $3)`,
			[]any{r.Entry.ID, r.Entry.emails, micros(r.Entry.DueAt)}, &waits); err != nil {
			return h, err
		}
		if !waits {
			return h, ErrPlanChanged
		}
		for _, u := range r.Users {
			h.Users = append(h.Users, HeldUser{Entry: r.Entry.ID, User: u})
		}
	}
	if len(h.Users) == 0 {
		return h, ErrNobody
	}
	h.Digest = digest(h.Account, h.Users)
	open, err := holdsOf(t.ctx, t.conn, `WHERE state = 'open' AND ahead = 1 AND account = $1 AND kinds = $2 AND digest = $3
		AND valid_from = $4 AND expires_at = $5`, h.Account, joinKinds(h.Kinds), h.Digest, micros(h.ValidFrom), micros(h.ExpiresAt))
	if err != nil {
		return h, err
	}
	if i := slices.IndexFunc(open, func(o Hold) bool { return digest(o.Account, o.Users) == h.Digest }); i >= 0 {
		return open[i], nil
	}
	if h.ID, err = t.nextID("holds"); err != nil {
		return h, err
	}
	return h, t.insertHold(h)
}

// goodPlans finds the plans approved ahead that are good in the account $1 at $2.
const goodPlans = `FROM holds h WHERE h.account = $1 AND h.ahead = 1 AND h.state = 'approved' AND h.valid_from <= $2 AND h.expires_at > $2
	AND h.kinds = 'first_run,limit,freeze'`

// PlanBegins says whether a plan that was approved ahead is good from a moment on
// after since, and not after now.
func (l *Ledger) PlanBegins(ctx context.Context, account string, since, now time.Time) (bool, error) {
	var begins bool
	err := l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 `+goodPlans+` AND h.valid_from > $3)`,
		account, micros(now), micros(since)).Scan(&begins)
	return begins, err
}

// TakeUpPlans makes due again who was held as part of a whole plan, and is named
// by one that was approved ahead and is good now, under the same users.
func (l *Ledger) TakeUpPlans(ctx context.Context, account string, now time.Time) error {
	var some bool
	if err := l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 `+goodPlans+`)`, account, micros(now)).Scan(&some); err != nil || !some {
		return err
	}
	const named = `SELECT DISTINCT e.id FROM entries e JOIN holds w ON w.id = e.hold
		WHERE e.account = $1 AND e.state = 'held' AND w.state = 'open' AND w.dry_run = 0
		AND (w.kinds LIKE '%first_run%' OR w.kinds LIKE '%limit%' OR w.kinds LIKE '%freeze%')
		AND EXISTS (SELECT 1 ` + goodPlans + ` AND h.id > e.approvals_after
			AND NOT EXISTS (SELECT 1 FROM hold_users o WHERE o.hold = e.hold AND o.entry = e.id AND NOT EXISTS (
				SELECT 1 FROM hold_users n WHERE n.hold = h.id AND n.entry IN (e.id, e.split_from) AND n.user_id = o.user_id))) ORDER BY e.id`
	return l.write(ctx, func(t *tx) error {
		entries, err := t.ids(named, account, micros(now))
		if err != nil {
			return err
		}
		for _, id := range entries {
			var hold int64
			if err := t.one(`SELECT hold FROM entries WHERE id = $1`, []any{id}, &hold); err != nil {
				return err
			}
			if err := t.exec(`UPDATE entries SET state = 'due', hold = 0, reason = '' WHERE id = $1`, id); err != nil {
				return err
			}
			if err := t.audit(row{action: "renewed", entry: id, facts: map[string]any{"from": string(Held), "hold": hold}}); err != nil {
				return err
			}
			if err := t.endEmptyHold(hold); err != nil {
				return err
			}
		}
		return nil
	})
}
