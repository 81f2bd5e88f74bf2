package ledger

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"signoff/consumer"
)

// rank is how sure the sign is by which a cancel speaks of a leaver; 0: it does not.
type rank int

// The signs, the surest last. An address that one of the two has only as a
// further one may be shared; two such say nothing.
const (
	byOther rank = iota + 1
	byEmail
	byEmployee
	byTermination
)

// saidLast keeps the time of the last word, whichever comes first.
const saidLast = `ON CONFLICT DO UPDATE SET said = MAX(said, excluded.said)`

// identify writes what an event calls its leaver: of a termination for the
// leaver, of a cancel for the cancel. An employee's id is its source's own.
func (t *tx) identify(e consumer.Event, leaver string, cancel int64) error {
	add := func(kind, value, origin, source string) error {
		if value == "" {
			return nil
		}
		return t.exec(`INSERT INTO identities (kind, value, origin, source, leaver, cancel, said) VALUES ($1, $2, $3, $4, $5, $6, $7) `+saidLast,
			kind, value, origin, source, leaver, cancel, micros(wordOf(e)))
	}
	for _, a := range e.OtherEmails {
		if err := add("other", a, "", ""); err != nil {
			return err
		}
	}
	if err := add("email", e.Email, "", ""); err != nil {
		return err
	}
	if err := add("termination", e.TerminationID, "", ""); err != nil {
		return err
	}
	return add("employee", e.EmployeeID, e.Key.Origin, e.Key.Source)
}

// nameLeavers writes what those go by whose entries a signoff of before identities
// has made, put back for a while in the place of a newer one: else no cancel would
// find them. Their entries have no origin yet.
func (l *Ledger) nameLeavers(ctx context.Context) error {
	var found bool
	err := l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM entries WHERE origin = '' AND `+hasKey+`)`).Scan(&found)
	if err != nil || !found {
		return err
	}
	return l.write(ctx, func(t *tx) error {
		for _, statement := range []string{
			`INSERT INTO identities (kind, value, leaver, said) SELECT CASE a.value WHEN ` + firstEmail + ` THEN 'email' ELSE 'other' END,
				a.value, entries.leaver, word_at FROM entries, json_each(entries.emails) a WHERE origin = '' AND ` + hasKey + saidLast,
			`INSERT INTO identities (kind, value, leaver, said) SELECT 'termination', termination_id, leaver, word_at FROM entries
				WHERE termination_id <> '' AND origin = '' AND erased_at = 0 AND ` + hasKey + saidLast,
			`UPDATE entries SET origin = (SELECT k.origin FROM keys k WHERE ` + isKey + ` ORDER BY k.received_at DESC LIMIT 1)
				WHERE origin = '' AND ` + hasKey,
			`INSERT INTO identities (kind, value, origin, source, leaver, said) SELECT 'employee', employee_id, origin, source, leaver, word_at
				FROM entries WHERE employee_id <> '' AND erased_at = 0 ` + saidLast,
		} {
			if err := t.exec(statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// isKey joins an entry to the keys of what was said of its leaving by its source.
const (
	isKey  = `k.entry = CASE entries.split_from WHEN 0 THEN entries.id ELSE entries.split_from END AND k.source = entries.source`
	hasKey = `EXISTS (SELECT 1 FROM keys k WHERE ` + isKey + `) `
)

// match says by which sign a cancel and a leaver were found to go together, the
// id of a termination aside.
type match struct {
	leaver string
	sign   rank  // 0: only by the id of a termination
	said   int64 // when the leaver was last called so, in microseconds
}

// sign is one of the things that a word calls its leaver.
type sign struct {
	kind, value, origin, source string
	said                        int64 // by the last word that did; no part of what it is
}

// signs returns those of a leaver or of a cancel: each has an index of its own, which where must name.
func (t *tx) signs(where string, of any) ([]sign, error) {
	s, err := t.prepared(`SELECT kind, value, origin, source, said FROM identities WHERE ` + where)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(t.ctx, of)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []sign
	for rows.Next() {
		var one sign
		if err := rows.Scan(&one.kind, &one.value, &one.origin, &one.source, &one.said); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// counterpart is how a sign of a cancel and one of a leaver go together.
type counterpart struct {
	cancel, leaver string // kinds
	sure           rank   // 0: by the id of a termination
}

var counterparts = []counterpart{
	{"email", "email", byEmail},
	{"email", "other", byOther},
	{"other", "email", byOther},
	{"employee", "employee", byEmployee},
	{"termination", "termination", 0},
}

// isShared says whether those who go by a sign have gone by so many first emails
// that it says nothing of who is meant: it is a filler, such as 0, or an address
// that many have.
func (t *tx) isShared(s sign) (bool, error) {
	if s.kind == "email" {
		return false, nil
	}
	var n int
	err := t.one(`SELECT COUNT(*) FROM (SELECT 1 FROM identities s JOIN identities a ON a.leaver = s.leaver AND a.kind = 'email' AND a.cancel = 0
		WHERE s.value = $1 AND s.kind = $2 AND s.origin = $3 AND s.source = $4 AND s.cancel = 0 LIMIT $5)`,
		[]any{s.value, s.kind, s.origin, s.source, manyAddresses + 1}, &n)
	return n > manyAddresses, err
}

// spokenTo returns the leavers of whom a cancel may speak. By the id of an
// employee that the leaver has since left behind it speaks of what is over, and
// not of what stands, whatever the address.
func (t *tx) spokenTo(cancel int64) ([]match, error) {
	signs, err := t.signs(`cancel = $1 AND cancel > 0`, cancel)
	if err != nil {
		return nil, err
	}
	sure := make(map[string]match)
	former := make(map[string]bool)
	for _, s := range signs {
		for _, c := range counterparts {
			if c.cancel != s.kind {
				continue
			}
			found, err := t.goingByUnshared(sign{kind: c.leaver, value: s.value, origin: s.origin, source: s.source})
			if err != nil {
				return nil, err
			}
			for _, f := range found {
				former[f.leaver] = former[f.leaver] || f.former
				known, ok := sure[f.leaver]
				if !ok || cmp.Or(cmp.Compare(c.sure, known.sign), cmp.Compare(f.said, known.said)) > 0 {
					sure[f.leaver] = match{f.leaver, c.sure, f.said}
				}
			}
		}
	}
	var all []match
	for _, l := range slices.Sorted(maps.Keys(sure)) {
		m := sure[l]
		if former[l] {
			m.sign = 0
		}
		all = append(all, m)
	}
	return all, nil
}

func (t *tx) goingByUnshared(s sign) ([]called, error) {
	if shared, err := t.isShared(s); err != nil || shared {
		return nil, err
	}
	return t.calledBy(s)
}

// calling returns the cancels that may speak of a leaver, in the order in which
// they were said.
func (t *tx) calling(leaver string) ([]int64, error) {
	signs, err := t.signs(`leaver = $1 AND cancel = 0`, leaver)
	if err != nil {
		return nil, err
	}
	said := make(map[int64]int64) // cancel -> when
	for _, s := range signs {
		if shared, err := t.isShared(s); err != nil {
			return nil, err
		} else if shared {
			continue
		}
		for _, c := range counterparts {
			if c.leaver != s.kind {
				continue
			}
			ids, err := t.ids(`SELECT cancel FROM identities WHERE value = $1 AND kind = $2 AND origin = $3 AND source = $4
				AND leaver = '' AND cancel > 0`, s.value, c.cancel, s.origin, s.source)
			if err != nil {
				return nil, err
			}
			for _, id := range ids {
				said[id] = 0
			}
		}
	}
	for id := range said {
		var at int64
		if err := t.one(`SELECT word_at FROM cancels WHERE id = $1`, []any{id}, &at); err != nil {
			return nil, err
		}
		said[id] = at
	}
	return slices.SortedFunc(maps.Keys(said), func(a, b int64) int {
		return cmp.Or(cmp.Compare(said[a], said[b]), cmp.Compare(a, b))
	}), nil
}

// sureness says by which sign a cancel speaks of the termination that a leaver
// was last given. A rescind that names a termination speaks of no other of its
// source. Another source's id for it counts unless the addresses say otherwise.
func (m match) sureness(c cancel, last knownEntry) rank {
	same := sameSource(last.announced, c.key)
	named := c.terminationID != "" && c.terminationID == last.terminationID
	switch {
	case named && (same || m.sign > 0 || !c.addressed):
		return byTermination
	case c.kind == consumer.Rescinded && same && c.terminationID != "" && last.terminationID != "":
		return 0
	}
	return m.sign
}
