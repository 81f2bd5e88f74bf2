package ledger

import (
	"encoding/json"
	"fmt"
	"slices"

	"signoff/consumer"
)

// manyAddresses is how many first emails may have gone by a sign, such as an
// employee's id, before it is taken for one that says nothing of who is meant.
const manyAddresses = 4

// leaversOf returns the leavers to whom a termination speaks: those who are to be
// closed, or were until that was taken back, under its email or under an earlier
// one of the same employee; else the one who goes by its email; else a new one.
// From now on they go by what it calls its leaver. Whoever else it may mean, such
// as somebody who has left under another email, is in linked as well.
func (t *tx) leaversOf(e consumer.Event) (speaksTo, linked []string, err error) {
	byEmail, err := t.goingBy(sign{kind: "email", value: e.Email})
	if err != nil {
		return nil, nil, err
	}
	byEmployee, err := t.employees(e)
	if err != nil {
		return nil, nil, err
	}
	linked = joined(byEmployee, byEmail)
	if byEmployee, byEmail, err = t.meant(e, byEmployee, byEmail); err != nil {
		return nil, nil, err
	}
	for _, leaver := range joined(byEmployee, byEmail) {
		known, err := t.entriesOf(leaver)
		if err != nil {
			return nil, nil, err
		}
		if isCurrent(known) {
			speaksTo = append(speaksTo, leaver)
		}
	}
	speaksTo, gone, err := t.joinLeavers(speaksTo)
	if err != nil {
		return nil, nil, err
	}
	linked = slices.DeleteFunc(linked, func(leaver string) bool { return slices.Contains(gone, leaver) })
	if len(speaksTo) == 0 {
		leaver, err := t.whoseEmail(e.Email, byEmail)
		if err != nil {
			return nil, nil, err
		}
		speaksTo = []string{leaver}
	}
	for _, leaver := range speaksTo {
		if err := t.identify(e, leaver, 0); err != nil {
			return nil, nil, err
		}
	}
	return speaksTo, joined(speaksTo, linked), nil
}

// whoseEmail returns the leaver among those of an email who is meant by it alone,
// the name of a new one if there is none.
func (t *tx) whoseEmail(email string, byEmail []string) (string, error) {
	switch {
	case slices.Contains(byEmail, email):
		return email, nil
	case len(byEmail) > 0: // who has changed the email since, or to whom it went
		return byEmail[len(byEmail)-1], nil
	}
	var taken bool
	if err := t.one(`SELECT EXISTS (SELECT 1 FROM entries WHERE leaver = $1)`, []any{email}, &taken); err != nil || !taken {
		return email, err
	}
	entry, err := t.nextID("entries") // which nobody has been named by
	return fmt.Sprint(email, " ", entry), err
}

// firstEmail is the address in the name of an entry's leaver.
const firstEmail = `substr(entries.leaver, 1, instr(entries.leaver || ' ', ' ') - 1)`

// goingBy returns the leavers who go by this sign, the first known first.
func (t *tx) goingBy(s sign) ([]string, error) {
	return t.texts(`SELECT leaver FROM identities WHERE value = $1 AND kind = $2 AND origin = $3 AND source = $4 AND cancel = 0
		ORDER BY (SELECT MIN(id) FROM entries WHERE entries.leaver = identities.leaver)`, s.value, s.kind, s.origin, s.source)
}

// employees returns the leavers who go by the event's id of the employee.
func (t *tx) employees(e consumer.Event) ([]string, error) {
	id, err := t.employeeOf(e)
	if err != nil || len(id) == 0 {
		return nil, err
	}
	return t.goingBy(id[0])
}

// isCurrent says whether a leaver is to be closed, or was until that was taken
// back: not one who has left, or was never known.
func isCurrent(known []knownEntry) bool {
	if len(known) == 0 {
		return false
	}
	return lastWord(known).state == Cancelled || slices.ContainsFunc(known, func(k knownEntry) bool { return k.state.Open() })
}

// joinLeavers makes one leaver of several who turn out to be the same, as far as
// that is not too late: the first takes the entries of the others over. gone are
// those that are no more.
func (t *tx) joinLeavers(leavers []string) (left, gone []string, err error) {
	for _, leaver := range leavers {
		if len(left) == 0 {
			left = append(left, leaver)
			continue
		}
		done, err := t.joinLeaver(left[0], leaver)
		if err != nil {
			return nil, nil, err
		}
		if done {
			gone = append(gone, leaver)
		} else {
			left = append(left, leaver)
		}
	}
	return left, gone, nil
}

// joinLeaver does nothing, and says so, where both have an open entry of one
// account: one of the two may be on the wire, or wait for a person.
func (t *tx) joinLeaver(into, from string) (done bool, err error) {
	mine, err := t.entriesOf(into)
	if err != nil {
		return false, err
	}
	theirs, err := t.entriesOf(from)
	if err != nil {
		return false, err
	}
	var waits, gives *knownEntry
	for i, k := range theirs {
		at := slices.IndexFunc(mine, func(o knownEntry) bool { return o.account == k.account && o.state.Open() })
		switch {
		case !k.state.Open() || at < 0:
		case k.account != "":
			return false, nil
		default:
			waits, gives = &mine[at], &theirs[i]
		}
	}
	if waits != nil {
		if err := t.fold(*waits, *gives); err != nil {
			return false, err
		}
	}
	if err := t.exec(`UPDATE entries SET leaver = $1 WHERE leaver = $2`, into, from); err != nil {
		return false, err
	}
	if err := t.exec(`INSERT INTO identities (kind, value, origin, source, leaver, said)
		SELECT kind, value, origin, source, $1, said FROM identities WHERE leaver = $2 AND cancel = 0 `+saidLast, into, from); err != nil {
		return false, err
	}
	if err := t.exec(`DELETE FROM identities WHERE leaver = $1 AND cancel = 0`, from); err != nil {
		return false, err
	}
	return true, t.audit(row{action: "same_leaver", entry: mine[0].id, facts: map[string]any{"as": theirs[0].id}})
}

// fold lets an entry that waits for no account yet take over what another such
// has heard.
func (t *tx) fold(into, from knownEntry) error {
	list, err := json.Marshal(joined(into.emails, from.emails))
	if err != nil {
		return err
	}
	if err := t.exec(`UPDATE entries SET emails = $2, urgent = MAX(urgent, (SELECT urgent FROM entries WHERE id = $3)) WHERE id = $1`,
		into.id, string(list), from.id); err != nil {
		return err
	}
	if from.wordAt.After(into.wordAt) {
		if err := t.exec(`UPDATE entries SET (word_at, effective_at, due_at, stale, origin, source, termination_id, cancel) =
			(SELECT word_at, effective_at, due_at, stale, origin, source, termination_id, cancel FROM entries WHERE id = $2) WHERE id = $1`,
			into.id, from.id); err != nil {
			return err
		}
		if err := t.voidAhead(into.id); err != nil {
			return err
		}
	}
	// Whichever of the two a person has put off: it is one leaver.
	if err := t.exec(`UPDATE entries SET deferred_until = MAX(deferred_until, $2), due_at = MAX(due_at, deferred_until, $2) WHERE id = $1`,
		into.id, micros(from.deferredUntil)); err != nil {
		return err
	}
	return t.giveWay(readyEntry{id: from.id}, into.id)
}
