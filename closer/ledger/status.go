package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"signoff/consumer"
)

// ID is the ledger's own id, made with it.
func (l *Ledger) ID(ctx context.Context) (string, error) {
	return l.fact(ctx, "ledger")
}

func (l *Ledger) fact(ctx context.Context, name string) (string, error) {
	var value string
	err := l.read.QueryRowContext(ctx, `SELECT value FROM facts WHERE name = $1`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

func (l *Ledger) setFact(ctx context.Context, name, value string) error {
	return l.write(ctx, func(t *tx) error { return t.setFact(name, value) })
}

func (t *tx) setFact(name, value string) error {
	return t.exec(`INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2`, name, value)
}

// Member returns the id under which this ledger's last process was in the
// Kafka consumer group; "" if it never was.
func (l *Ledger) Member(ctx context.Context, group string) (string, error) {
	return l.fact(ctx, "member "+group)
}

// SetMember keeps the id under which this process is in the group.
func (l *Ledger) SetMember(ctx context.Context, group, id string) error {
	return l.setFact(ctx, "member "+group, id)
}

// Watermarks returns the next offset to read of every partition of the topics
// that was ever read.
func (l *Ledger) Watermarks(ctx context.Context, topics []string) (map[consumer.Partition]int64, error) {
	all := make(map[consumer.Partition]int64)
	for _, topic := range topics {
		rows, err := l.read.QueryContext(ctx, `SELECT part, next FROM watermarks WHERE topic = $1`, topic)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			p := consumer.Partition{Topic: topic}
			var next int64
			if err := rows.Scan(&p.ID, &next); err != nil {
				return nil, errors.Join(err, rows.Close())
			}
			all[p] = next
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Reading is how far the reading of Kafka is.
type Reading struct {
	State  consumer.Reading `json:"state"` // "" where no Kafka is read
	Detail string           `json:"detail"`
	Since  time.Time        `json:"since"` // of the state
	Away   time.Time        `json:"away"`  // since when what would let us read on does not answer; zero: it does
}

// UpToDate says that all was read that there was to read, or that no Kafka is
// read at all.
func (r Reading) UpToDate() bool { return r.State == "" || r.State == consumer.UpToDate }

// SetReading keeps how far the reading of Kafka is. An absence lasts, through
// restarts too, until there is something to read: a process that comes and goes
// beside a broker that is away, or a topic that is never made, must not put
// plans off for ever.
func (l *Ledger) SetReading(ctx context.Context, state consumer.Reading, detail string) error {
	before, err := l.Reading(ctx)
	if err != nil {
		return err
	}
	now := Reading{State: state, Detail: detail, Since: time.Now().UTC()}
	if state == before.State {
		now.Since = before.Since
	}
	switch state {
	case consumer.Joining, consumer.Away, consumer.Paused, consumer.NeedsFrom:
		now.Away = before.Away
		if now.Away.IsZero() {
			now.Away = now.Since
		}
	}
	value, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return l.setFact(ctx, "reading", string(value))
}

// NoReading says that no Kafka is read by this process.
func (l *Ledger) NoReading(ctx context.Context) error {
	return l.setFact(ctx, "reading", "{}")
}

// Reading returns how far the reading of Kafka is.
func (l *Ledger) Reading(ctx context.Context) (Reading, error) {
	var r Reading
	value, err := l.fact(ctx, "reading")
	if err != nil || value == "" {
		return r, err
	}
	err = json.Unmarshal([]byte(value), &r)
	return r, err
}

// Account is what the closer last knew of an account.
type Account struct {
	ID            string
	PassedAt      time.Time // last completed run of the closer
	Parked        string    // why nothing is sent; "" if it is
	Advice        string    // what a person must do about it
	ParkedAt      time.Time
	ResumeAt      time.Time // an exhausted window is waited for until then; zero: none
	HourLimit     int
	HourRemaining int
	HourResetAt   time.Time
	NextAt        time.Time // of the next run of the closer; zero: not known. SetNext sets it
}

// Account returns what is known of an account; only its ID if nothing is.
func (l *Ledger) Account(ctx context.Context, id string) (Account, error) {
	a := Account{ID: id}
	var passed, parked, resume, reset, next int64
	err := l.read.QueryRowContext(ctx, `SELECT passed_at, parked, advice, parked_at, resume_at, hour_limit, hour_remaining, hour_reset_at, next_at
		FROM accounts WHERE account = $1`, id).
		Scan(&passed, &a.Parked, &a.Advice, &parked, &resume, &a.HourLimit, &a.HourRemaining, &reset, &next)
	if errors.Is(err, sql.ErrNoRows) {
		return a, nil
	}
	a.PassedAt, a.ParkedAt, a.ResumeAt, a.HourResetAt, a.NextAt = fromMicros(passed), fromMicros(parked), fromMicros(resume), fromMicros(reset), fromMicros(next)
	return a, err
}

// Accounts returns all accounts that the closer ever worked in.
func (l *Ledger) Accounts(ctx context.Context) ([]Account, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT account FROM accounts ORDER BY account`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	var all []Account
	for _, id := range ids {
		a, err := l.Account(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, rows.Err()
}

// SetAccount keeps what the closer knows of an account. That it is parked, and
// that it is not any more, goes on record.
func (l *Ledger) SetAccount(ctx context.Context, a Account) error {
	return l.write(ctx, func(t *tx) error {
		if err := t.auditAccount(a.ID, a.Parked, a.Advice); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO accounts (account) VALUES ($1) ON CONFLICT (account) DO NOTHING`, a.ID); err != nil {
			return err
		}
		return t.exec(`UPDATE accounts SET passed_at = $2, parked = $3, advice = $4, parked_at = $5, resume_at = $6,
			hour_limit = $7, hour_remaining = $8, hour_reset_at = $9 WHERE account = $1`,
			a.ID, micros(a.PassedAt), a.Parked, a.Advice, micros(a.ParkedAt), micros(a.ResumeAt),
			a.HourLimit, a.HourRemaining, micros(a.HourResetAt))
	})
}

// SetNext keeps when the closer will next run in an account, and says whether it is kept:
// of an account that nothing is known of yet, it is not.
func (l *Ledger) SetNext(ctx context.Context, id string, at time.Time) (kept bool, err error) {
	var next int64
	err = l.read.QueryRowContext(ctx, `SELECT next_at FROM accounts WHERE account = $1`, id).Scan(&next)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case next == micros(at):
		return true, nil
	}
	return true, l.write(ctx, func(t *tx) error {
		return t.exec(`UPDATE accounts SET next_at = $2 WHERE account = $1`, id, micros(at))
	})
}

// ForgetAccount drops what is known of an account; its entries stay.
func (l *Ledger) ForgetAccount(ctx context.Context, id string) error {
	return l.write(ctx, func(t *tx) error { return t.forgetAccount(id) })
}

func (t *tx) forgetAccount(id string) error {
	if err := t.auditAccount(id, "", ""); err != nil {
		return err
	}
	return t.exec(`DELETE FROM accounts WHERE account = $1`, id)
}

// Writable returns nil if the ledger can be written.
func (l *Ledger) Writable(ctx context.Context) error {
	return l.setFact(ctx, "written", stamp(time.Now()))
}
