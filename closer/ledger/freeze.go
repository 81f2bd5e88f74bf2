package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Freeze is a time in which nothing is closed without a person's word. Times are
// UTC, zero for none.
type Freeze struct {
	ID      int64
	Account string // "": all of them
	Until   time.Time
	Reason  string
	At      time.Time // since when
	By      string
	EndedAt time.Time // before its time, by a person; zero: it was not
	EndedBy string
}

var (
	// ErrNoFreeze says that there is no freeze of that id in force.
	ErrNoFreeze = errors.New("no such freeze in force")

	// ErrFreezeUntil refuses a freeze that is over before it begins.
	ErrFreezeUntil = errors.New("until: not in the future")
)

// Freeze begins one, of the account or of all. What it needs are Account, Until,
// Reason and By.
func (l *Ledger) Freeze(ctx context.Context, f Freeze) (Freeze, error) {
	err := l.write(ctx, func(t *tx) (err error) {
		if !f.Until.After(t.now) {
			return ErrFreezeUntil
		}
		if f.ID, err = t.nextID("freezes"); err != nil {
			return err
		}
		f.At, f.Until = t.now, f.Until.UTC()
		if err := t.exec(`INSERT INTO freezes (id, account, until_at, reason, made_at, made_by) VALUES ($1, $2, $3, $4, $5, $6)`,
			f.ID, f.Account, micros(f.Until), f.Reason, micros(f.At), f.By); err != nil {
			return err
		}
		return t.audit(row{action: "freeze", actor: f.By, facts: map[string]any{"freeze": f.ID, "account": f.Account, "until": stamp(f.Until)},
			personal: map[string]string{"reason": f.Reason}})
	})
	return f, err
}

// EndFreeze ends a freeze before its time.
func (l *Ledger) EndFreeze(ctx context.Context, id int64, by, reason string) error {
	return l.write(ctx, func(t *tx) error {
		n, err := t.changed(`UPDATE freezes SET ended_at = $2, ended_by = $3 WHERE id = $1 AND ended_at = 0 AND until_at > $2`, id, micros(t.now), by)
		switch {
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("freeze %d: %w", id, ErrNoFreeze)
		}
		return t.audit(row{action: "freeze_ended", actor: by, facts: map[string]any{"freeze": id}, personal: map[string]string{"reason": reason}})
	})
}

// Freezes returns the freezes in force, the one that ends first before others.
func (l *Ledger) Freezes(ctx context.Context, now time.Time) ([]Freeze, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT id, account, until_at, reason, made_at, made_by FROM freezes
		WHERE ended_at = 0 AND until_at > $1 ORDER BY until_at, id`, micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Freeze
	for rows.Next() {
		var f Freeze
		var until, at int64
		if err := rows.Scan(&f.ID, &f.Account, &until, &f.Reason, &at, &f.By); err != nil {
			return nil, err
		}
		f.Until, f.At = fromMicros(until), fromMicros(at)
		all = append(all, f)
	}
	return all, rows.Err()
}

// Frozen returns until when nothing is closed in the account without a person's word,
// and since when the newest freeze of it is in force at that time; zero if none is.
func (l *Ledger) Frozen(ctx context.Context, account string, at time.Time) (since, until time.Time, err error) {
	var began, ends int64
	err = l.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(made_at), 0), COALESCE(MAX(until_at), 0) FROM freezes
		WHERE ended_at = 0 AND until_at > $2 AND account IN ('', $1)`, account, micros(at)).Scan(&began, &ends)
	return fromMicros(began), fromMicros(ends), err
}

// Thaw has what a freeze of the account has held judged anew, once it is over.
func (l *Ledger) Thaw(ctx context.Context, account string, now time.Time) error {
	_, until, err := l.Frozen(ctx, account, now)
	if err != nil || !until.IsZero() {
		return err
	}
	const frozen = `account = $1 AND state = 'open' AND ahead = 0 AND ',' || kinds || ',' LIKE '%,freeze,%'`
	var found bool
	if err := l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM holds WHERE `+frozen+`)`, account).Scan(&found); err != nil || !found {
		return err
	}
	return l.write(ctx, func(t *tx) error { return t.judgeAnew(frozen, account) })
}
