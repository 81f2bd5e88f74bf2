package ledger

import (
	"context"
	"slices"
	"time"
)

// lookAgain is how long after a look a watched leaver is looked for again: a day,
// less what one run may come earlier than the one before.
const lookAgain = 23 * time.Hour

// alone says of an entry that its leaver has no open one in the account: while there
// is, whoever is open again waits for what becomes of that.
const alone = `NOT EXISTS (SELECT 1 FROM entries o WHERE o.leaver = entries.leaver AND o.account = entries.account
	AND o.state IN ('waiting', 'due', 'held', 'submitted', 'would_close', 'failed'))`

// watchedSince is the settling time, in microseconds, after which an entry is
// watched.
func (l *Ledger) watchedSince(now time.Time) int64 {
	return micros(now.Add(-l.cfg.Watch))
}

// Watched returns the entries whose users were closed, in the account, and who
// are to be looked for again now: at first in the run after they were closed,
// then daily. Whoever was looked for longest ago comes first.
func (l *Ledger) Watched(ctx context.Context, account string, now time.Time) ([]Entry, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+` FROM entries
		WHERE account = $1 AND state IN ('closed', 'already_closed') AND watch_over = 0
		AND settled_at > $2 AND settled_at < $3 AND watched_at <= $4 AND `+alone+` ORDER BY watched_at, id`,
		account, l.watchedSince(now), micros(now), micros(now.Add(-lookAgain)))
	if err != nil {
		return nil, err
	}
	return scanEntries(rows)
}

// Looked notes that these watched entries were looked for, and that nobody was
// open.
func (l *Ledger) Looked(ctx context.Context, entries []Entry, at time.Time) error {
	for together := range slices.Chunk(entries, dueTogether) {
		err := l.write(ctx, func(t *tx) error {
			for _, e := range together {
				if err := t.exec(`UPDATE entries SET watched_at = $2 WHERE id = $1`, e.ID, micros(at)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Returned notes that a leaver who was closed is open again, as these users: an
// entry of its own, due now. It does nothing, and says so, if another entry of the
// leaver is open in the account, or if this one is not
// watched any more.
func (l *Ledger) Returned(ctx context.Context, e Entry, users []User) (made bool, err error) {
	err = l.write(ctx, func(t *tx) error {
		made = false
		n, err := t.changed(`UPDATE entries SET watch_over = 1 WHERE id = $1 AND watch_over = 0
			AND state IN ('closed', 'already_closed') AND `+alone, e.ID)
		if err != nil || n == 0 {
			return err
		}
		id, err := t.nextID("entries")
		if err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO entries (id, account, state, returned, due_at, received_at, `+person+`)
			SELECT $2, account, 'due', 1, $3, $3, `+person+` FROM entries WHERE id = $1`, e.ID, id, micros(t.now)); err != nil {
			return err
		}
		made = true
		return t.audit(row{action: "returned", entry: id,
			facts: map[string]any{"account": e.Account, "from": e.ID, "users": userIDs(users)}})
	})
	return made, err
}
