package ledger

import (
	"context"
	"slices"
	"time"
)

// Known is an entry that names an address.
type Known struct {
	Entry
	Hold int64 // that it waits in; 0: none
}

// KnownBy returns by address the entries that look it up, the oldest first. Those
// whose place others have taken are left out, and so is who was erased.
func (l *Ledger) KnownBy(ctx context.Context, addresses []string) (map[string][]Known, error) {
	wanted := make(map[string]bool, len(addresses))
	for _, a := range addresses {
		wanted[a] = true
	}
	holds := make(map[int64]int64)
	rows, err := l.read.QueryContext(ctx, `SELECT id, hold FROM entries WHERE state = 'held'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var entry, hold int64
		if err := rows.Scan(&entry, &hold); err != nil {
			return nil, err
		}
		holds[entry] = hold
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	// All are read once: to look each address up would take longer for as many as
	// leave in a quarter.
	entries, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+` FROM entries
		WHERE erased_at = 0 AND NOT (state = 'cancelled' AND reason = '`+sameAsOpen+`') ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer entries.Close()
	found := make(map[string][]Known)
	for entries.Next() {
		e, err := scanEntry(entries)
		if err != nil {
			return nil, err
		}
		known := Known{Entry: e}
		if e.State == Held {
			known.Hold = holds[e.ID]
		}
		for _, address := range e.Emails {
			if wanted[address] {
				found[address] = append(found[address], known)
			}
		}
	}
	return found, entries.Err()
}

// Latest is the newest of these entries in each account, but for those of a leaving
// that took effect before since.
func Latest(known []Known, since time.Time) []Known {
	var latest []Known
	for _, k := range known {
		if k.EffectiveAt.Before(since) {
			continue
		}
		if i := slices.IndexFunc(latest, func(o Known) bool { return o.Account == k.Account }); i >= 0 {
			latest[i] = k
		} else {
			latest = append(latest, k)
		}
	}
	return latest
}
