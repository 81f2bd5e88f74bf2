package ledger

import (
	"slices"

	"signoff/consumer"
)

// An address may go to somebody else once its leaver has gone. Who that is, and
// who is meant by it from then on, is told by the employees' ids: a leaver is one
// person, as far as a source tells people apart.

// names are the signs that somebody goes by.
type names []sign

func (t *tx) namesOf(leaver string) (names, error) {
	return t.signs(`leaver = $1 AND cancel = 0`, leaver)
}

// employeeOf returns the event's id of the employee, if it has one that tells
// people apart.
func (t *tx) employeeOf(e consumer.Event) (names, error) {
	if e.EmployeeID == "" {
		return nil, nil
	}
	id := sign{kind: "employee", value: e.EmployeeID, origin: e.Key.Origin, source: e.Key.Source}
	if shared, err := t.isShared(id); err != nil || shared {
		return nil, err
	}
	return names{id}, nil
}

// apart says whether a source knows the two by ids of employees, and by none that
// both have.
func (n names) apart(others names) bool {
	apart := false
	for _, a := range n {
		for _, b := range others {
			switch {
			case a.kind != "employee" || b.kind != "employee" || a.origin != b.origin || a.source != b.source:
			case a.value == b.value:
				return false
			default:
				apart = true
			}
		}
	}
	return apart
}

// saidOf is when this was last said of them, in microseconds; 0: never.
func (n names) saidOf(kind, value string) int64 {
	i := slices.IndexFunc(n, func(s sign) bool { return s.kind == kind && s.value == value })
	if i < 0 {
		return 0
	}
	return n[i].said
}

// called is a leaver who goes by a sign.
type called struct {
	leaver string
	said   int64 // when last, in microseconds
	former bool  // the source of this employee's id has called the leaver by another one since
}

// calledBy returns the leavers who go by a sign.
func (t *tx) calledBy(s sign) ([]called, error) {
	q, err := t.prepared(`SELECT leaver, said, kind = 'employee' AND EXISTS (SELECT 1 FROM identities o WHERE o.leaver = i.leaver AND o.cancel = 0
			AND o.kind = 'employee' AND o.origin = i.origin AND o.source = i.source AND o.said > i.said)
		FROM identities i WHERE value = $1 AND kind = $2 AND origin = $3 AND source = $4 AND cancel = 0`)
	if err != nil {
		return nil, err
	}
	rows, err := q.QueryContext(t.ctx, s.value, s.kind, s.origin, s.source)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []called
	for rows.Next() {
		var c called
		if err := rows.Scan(&c.leaver, &c.said, &c.former); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// meant returns those among the leavers of a termination's employee and of its
// email who are who they were when they were called so.
func (t *tx) meant(e consumer.Event, byEmployee, byEmail []string) (employees, holders []string, err error) {
	own, err := t.employeeOf(e)
	if err != nil {
		return nil, nil, err
	}
	if len(own) > 0 {
		known, err := t.calledBy(own[0])
		if err != nil {
			return nil, nil, err
		}
		for _, leaver := range byEmployee {
			if !slices.ContainsFunc(known, func(c called) bool { return c.leaver == leaver && c.former }) {
				employees = append(employees, leaver)
			}
		}
	}
	holders, err = t.holders(e, own, byEmployee, byEmail)
	return employees, holders, err
}

// holders leaves out of an email's leavers whoever is not meant by it any more. An
// address that very many have had one after the other tells nobody from anybody.
func (t *tx) holders(e consumer.Event, own names, byEmployee, byEmail []string) (holders []string, err error) {
	if len(byEmail) > manyAddresses {
		return byEmail, nil
	}
	going, err := t.namesOfAll(byEmail)
	if err != nil {
		return nil, err
	}
	said := make(map[string]int64)
	for leaver, n := range going {
		said[leaver] = n.saidOf("email", e.Email)
	}
	for _, leaver := range byEmail {
		if passedOn(leaver, going, said) && !slices.Contains(byEmployee, leaver) {
			continue
		}
		if going[leaver].apart(own) {
			if gone, err := t.hasGone(leaver, e); err != nil {
				return nil, err
			} else if gone {
				continue
			}
		}
		holders = append(holders, leaver)
	}
	return holders, nil
}

// stillHolding returns those of leavings, found by an address alone, whose leavers
// were the last to be called by it. said is when each was.
func (t *tx) stillHolding(of []leaving, said map[string]int64) ([]leaving, error) {
	if len(of) < 2 {
		return of, nil
	}
	var leavers []string
	for _, l := range of {
		leavers = append(leavers, l.last.leaver)
	}
	going, err := t.namesOfAll(leavers)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(of, func(l leaving) bool { return passedOn(l.last.leaver, going, said) }), nil
}

// passedOn says whether the address that these leavers have in common has gone on
// from one to another. said is when each was last called by it.
func passedOn(leaver string, going map[string]names, said map[string]int64) bool {
	for other, n := range going {
		if said[other] > said[leaver] && n.apart(going[leaver]) {
			return true
		}
	}
	return false
}

func (t *tx) namesOfAll(leavers []string) (map[string]names, error) {
	all := make(map[string]names)
	for _, leaver := range leavers {
		n, err := t.namesOf(leaver)
		if err != nil {
			return nil, err
		}
		all[leaver] = n
	}
	return all, nil
}

// hasGone says whether a leaver has no part in an address any more when a
// termination gives it to an employee of another id: nothing that is open looks it
// up, and what has looked it up was settled by an earlier word.
func (t *tx) hasGone(leaver string, e consumer.Event) (bool, error) {
	known, err := t.entriesOf(leaver)
	holds := func(k knownEntry) bool {
		return slices.Contains(k.emails, e.Email) && (k.state.Open() || !k.wordAt.Before(wordOf(e)))
	}
	return err == nil && !slices.ContainsFunc(known, holds), err
}
