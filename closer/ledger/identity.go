package ledger

import "signoff/consumer"

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

// identify writes what an event calls its leaver: of a termination for the
// leaver, of a cancel for the cancel. An employee's id is its source's own.
func (t *tx) identify(e consumer.Event, leaver string, cancel int64) error {
	add := func(kind, value, origin, source string) error {
		if value == "" {
			return nil
		}
		return t.exec(`INSERT INTO identities (kind, value, origin, source, leaver, cancel) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT DO NOTHING`, kind, value, origin, source, leaver, cancel)
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

// match says by which sign a cancel and a leaver were found to go together, the
// id of a termination aside.
type match struct {
	leaver string
	sign   rank // 0: only by the id of a termination
}

// together joins what cancels call their leaver (c) to what leavers go by (l).
const together = `FROM identities c JOIN identities l ON l.value = c.value AND l.origin = c.origin AND l.source = c.source AND
	(c.kind = l.kind AND c.kind <> 'other' OR c.kind = 'email' AND l.kind = 'other' OR c.kind = 'other' AND l.kind = 'email')
	WHERE l.cancel = 0 AND c.cancel > 0 AND `

// called returns the leavers that a cancel may speak of.
func (t *tx) called(cancel int64) ([]match, error) {
	s, err := t.prepared(`SELECT l.leaver, MAX(CASE WHEN c.kind = 'termination' THEN 0 WHEN c.kind = 'employee' THEN 3
		WHEN c.kind = l.kind THEN 2 ELSE 1 END) ` + together + `c.cancel = $1 GROUP BY l.leaver ORDER BY l.leaver`)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(t.ctx, cancel)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []match
	for rows.Next() {
		var m match
		if err := rows.Scan(&m.leaver, &m.sign); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

// calling returns the cancels that may speak of a leaver, in the order in which
// they were said.
func (t *tx) calling(leaver string) ([]int64, error) {
	return t.ids(`SELECT c.cancel `+together+`l.leaver = $1 GROUP BY c.cancel
		ORDER BY (SELECT word_at FROM cancels WHERE id = c.cancel), c.cancel`, leaver)
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
