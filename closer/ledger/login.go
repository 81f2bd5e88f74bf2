package ledger

import (
	"context"
	"strings"
	"time"
)

// withLogins adds to the facts when these users last logged in, as far as Docusign
// said so.
func withLogins(facts map[string]any, users []User) map[string]any {
	logins := make(map[string]string)
	for _, u := range users {
		if !u.LastLogin.IsZero() {
			logins[u.ID] = stamp(u.LastLogin)
		}
	}
	if len(logins) > 0 {
		facts["last_logins"] = logins
	}
	return facts
}

// keepClosed keeps the users of an entry that were found closed: they may have
// logged in after leaving all the same. What we closed ourselves stays as it is.
func (t *tx) keepClosed(s Settlement) error {
	for _, u := range s.Users {
		if err := t.exec(`INSERT INTO memberships (entry, user_id, email, scim, outcome, settled_at, last_login)
			VALUES ($1, $2, $3, $4, 'already_closed', $5, $6)
			ON CONFLICT (entry, user_id) DO UPDATE SET last_login = MAX(last_login, excluded.last_login),
			settled_at = CASE outcome WHEN 'closed' THEN settled_at ELSE excluded.settled_at END,
			reason = CASE outcome WHEN 'closed' THEN reason ELSE '' END, trace = CASE outcome WHEN 'closed' THEN trace ELSE '' END,
			outcome = CASE outcome WHEN 'closed' THEN outcome ELSE 'already_closed' END`,
			s.Entry.ID, u.ID, u.Email, flag(u.SCIM), micros(t.now), micros(u.LastLogin)); err != nil {
			return err
		}
	}
	return nil
}

// SawLogins notes of users of a settled entry, who are closed still, that they
// have logged in later than was known.
func (l *Ledger) SawLogins(ctx context.Context, e Entry, users []User) error {
	if len(users) == 0 {
		return nil
	}
	known, err := l.logins(ctx, e.ID)
	if err != nil {
		return err
	}
	var later []User
	for _, u := range users {
		if last, ours := known[strings.ToLower(u.ID)]; ours && u.LastLogin.After(last) {
			later = append(later, u)
		}
	}
	if len(later) == 0 {
		return nil
	}
	return l.write(ctx, func(t *tx) error {
		for _, u := range later {
			n, err := t.changed(`UPDATE memberships SET last_login = $3 WHERE entry = $1 AND lower(user_id) = lower($2) AND last_login < $3`,
				e.ID, u.ID, micros(u.LastLogin))
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			if err := t.audit(row{action: "login_seen", entry: e.ID, facts: withLogins(map[string]any{"account": e.Account}, []User{u})}); err != nil {
				return err
			}
		}
		return nil
	})
}

// logins are when the users of an entry last logged in, by userId in lower case.
func (l *Ledger) logins(ctx context.Context, entry int64) (map[string]time.Time, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT user_id, last_login FROM memberships WHERE entry = $1`, entry)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	known := make(map[string]time.Time)
	for rows.Next() {
		var id string
		var last int64
		if err := rows.Scan(&id, &last); err != nil {
			return nil, err
		}
		known[strings.ToLower(id)] = fromMicros(last)
	}
	return known, rows.Err()
}
