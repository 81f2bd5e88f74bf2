package ledger

import (
	"context"
	"time"
)

// Followed is what an event led to in one account.
type Followed struct {
	ID    string // of the event
	Entry Entry
	Hold  int64 // that the entry waits in; 0: none
	Users []FollowedUser
}

// FollowedUser is what became of one user of an entry.
type FollowedUser struct {
	User
	Outcome   string // "" while there is none
	Reason    string // why it is not closed, or what else there is to say
	Trace     string // Docusign's token for the request
	SettledAt time.Time
}

// followed finds the entries that the events of a source led to: the first one
// and those split from it.
const followed = `FROM keys k JOIN entries f ON f.id = k.entry JOIN entries e ON e.leaver = f.leaver
	AND CASE e.split_from WHEN 0 THEN e.id ELSE e.split_from END = CASE f.split_from WHEN 0 THEN f.id ELSE f.split_from END
	WHERE k.origin = $1 AND k.source = $2 AND NOT (e.state = 'cancelled' AND e.reason = '` + sameAsOpen + `')`

// Follow returns what became of every event of a source: the newest entry of
// each account that it led to.
func (l *Ledger) Follow(ctx context.Context, origin, source string) ([]Followed, error) {
	entries, err := l.followedEntries(ctx, origin, source)
	if err != nil {
		return nil, err
	}
	users, err := l.users(ctx, `entry IN (SELECT e.id `+followed+`)`, origin, source)
	if err != nil {
		return nil, err
	}
	rows, err := l.read.QueryContext(ctx, `SELECT k.id, e.id, e.account, CASE e.state WHEN 'held' THEN e.hold ELSE 0 END `+followed+`
		ORDER BY k.id, e.account, e.id`, origin, source)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Followed
	for rows.Next() {
		var f Followed
		var entry int64
		var account string
		if err := rows.Scan(&f.ID, &entry, &account, &f.Hold); err != nil {
			return nil, err
		}
		e, ok := entries[entry]
		if !ok { // made since they were read
			continue
		}
		f.Entry, f.Users = e, users[entry]
		if last := len(all) - 1; last >= 0 && all[last].ID == f.ID && all[last].Entry.Account == account {
			all[last] = f
		} else {
			all = append(all, f)
		}
	}
	return all, rows.Err()
}

func (l *Ledger) followedEntries(ctx context.Context, origin, source string) (map[int64]Entry, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+` FROM entries WHERE id IN (SELECT e.id `+followed+`)`, origin, source)
	if err != nil {
		return nil, err
	}
	entries, err := scanEntries(rows)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64]Entry, len(entries))
	for _, e := range entries {
		byID[e.ID] = e
	}
	return byID, nil
}

// users returns the users of some memberships, by entry.
func (l *Ledger) users(ctx context.Context, where string, args ...any) (map[int64][]FollowedUser, error) {
	const columns = `entry, user_id, email, scim, outcome, CASE note WHEN '' THEN reason ELSE note END, trace, settled_at`
	query := `SELECT ` + columns + ` FROM memberships WHERE ` + where + ` ORDER BY entry, user_id`
	rows, err := l.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[int64][]FollowedUser)
	for rows.Next() {
		var u FollowedUser
		var entry, settled int64
		if err := rows.Scan(&entry, &u.ID, &u.Email, &u.SCIM, &u.Outcome, &u.Reason, &u.Trace, &settled); err != nil {
			return nil, err
		}
		u.SettledAt = fromMicros(settled)
		all[entry] = append(all[entry], u)
	}
	return all, rows.Err()
}
