package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"signoff/consumer"
)

// recordTermination finds or makes the entries that a termination concerns and
// returns the id of the first.
func (t *tx) recordTermination(e consumer.Event, counts *intake) (first int64, err error) {
	speaksTo, linked, err := t.leaversOf(e)
	if err != nil {
		return 0, err
	}
	for _, leaver := range speaksTo {
		known, err := t.entriesOf(leaver)
		if err != nil {
			return 0, err
		}
		entry, err := t.takeIn(e, leaver, known, counts)
		if err != nil {
			return 0, err
		}
		if first == 0 {
			first = entry
		}
	}
	for _, leaver := range linked {
		if err := t.dropReopens(leaver, wordOf(e)); err != nil {
			return 0, err
		}
	}
	for _, leaver := range speaksTo {
		if err := t.heedEarlier(leaver, counts); err != nil {
			return 0, err
		}
	}
	return first, nil
}

// wordOf is when an event was said, which orders it among others.
func wordOf(e consumer.Event) time.Time {
	if e.OccurredAt.IsZero() {
		return e.ReceivedAt
	}
	return e.OccurredAt
}

// takeIn lets a termination speak to the entries of its leaver, or makes one.
func (t *tx) takeIn(e consumer.Event, leaver string, known []knownEntry, counts *intake) (int64, error) {
	word := wordOf(e)
	open, settled := standing(known)
	if len(known) > 0 && len(open) == 0 {
		if last := lastWord(known); last.state == Cancelled && last.wordAt.After(word) { // all of it was taken back
			return last.id, t.auditEvent("superseded", last.id, e)
		}
	}
	for _, k := range open {
		latest := word // that the entry will have heard
		if k.wordAt.After(word) {
			latest = k.wordAt
		}
		addresses, _ := unheard(settledIn(known, k.account), e, latest)
		if err := t.applyWord(k, e, word, addresses); err != nil {
			return 0, err
		}
	}
	addresses, over := unheard(settled, e, word)
	switch {
	case len(open) == 0 && len(addresses) == 0:
		return over, t.auditEvent("superseded", over, e)
	case len(open) == 0:
		counts.notices = append(counts.notices, notice{max(0, e.ReceivedAt.Sub(e.EffectiveAt)), consumer.TraceID(e.TraceParent)})
		return t.insertEntry(e, leaver, addresses, word, 0)
	case len(settled) > 0 && len(addresses) > 0: // the accounts that had settled look again
		id, err := t.insertEntry(e, leaver, addresses, word, open[0].root())
		if until := t.putOff(e, open...); err == nil && !until.IsZero() {
			err = t.exec(`UPDATE entries SET deferred_until = $2, due_at = MAX(due_at, $2) WHERE id = $1`, id, micros(until))
		}
		return open[0].id, err
	}
	return open[0].id, nil
}

// standing tells the open entries of a leaver from the settled ones of accounts
// that have none. Where an open entry has no account yet nothing counts as
// settled: it will be looked at in every account.
func standing(known []knownEntry) (open, settled []knownEntry) {
	has := make(map[string]bool)
	for _, k := range known {
		if k.state.Open() {
			open = append(open, k)
			has[k.account] = true
		}
	}
	if has[""] {
		return open, nil
	}
	for _, k := range known {
		if !has[k.account] {
			settled = append(settled, k)
		}
	}
	return open, settled
}

// settledIn returns the settled entries of an account; of all, where an entry
// has no account yet.
func settledIn(known []knownEntry, account string) []knownEntry {
	return slices.DeleteFunc(slices.Clone(known), func(k knownEntry) bool {
		return k.state.Open() || account != "" && k.account != account
	})
}

// unheard returns the addresses that a termination brings to what is settled:
// all of them, unless a later word has settled it. Then old news opens nothing,
// but for addresses that nobody has looked at; over is an entry that it was
// settled by.
func unheard(settled []knownEntry, e consumer.Event, word time.Time) (addresses []string, over int64) {
	addresses = append([]string{e.Email}, e.OtherEmails...)
	looked := make(map[string][]string) // account -> addresses
	for _, k := range settled {
		if k.state != Cancelled { // by which nobody was looked for
			looked[k.account] = append(looked[k.account], k.emails...)
		}
		if over == 0 && k.wordAt.After(word) {
			over = k.id
		}
	}
	if over == 0 {
		return addresses, 0
	}
	return slices.DeleteFunc(addresses, func(a string) bool {
		for _, in := range looked {
			if !slices.Contains(in, a) {
				return false
			}
		}
		return true
	}), over
}

// knownEntry is what recording needs of an entry that is there.
type knownEntry struct {
	id            int64
	leaver        string
	splitFrom     int64
	account       string
	state         State
	emails        []string
	announced     consumer.Key // topic or endpoint, and source, of its word
	terminationID string
	wordAt        time.Time
	effected      time.Time
	dueAt         time.Time
	deferredUntil time.Time // by a person's word not due before; zero: by none
	urgent        bool
	stale         bool
	hold          int64
}

// root is the first entry of the same leaving.
func (k knownEntry) root() int64 {
	if k.splitFrom != 0 {
		return k.splitFrom
	}
	return k.id
}

// entriesOf returns the entries of a leaver, but for those that others have
// taken the place of.
func (t *tx) entriesOf(leaver string) ([]knownEntry, error) {
	s, err := t.prepared(`SELECT id, split_from, account, state, emails, origin, source, termination_id, word_at, effective_at, due_at,
			deferred_until, urgent, stale, hold FROM entries
		WHERE leaver = $1 AND NOT (state = 'cancelled' AND reason = '` + sameAsOpen + `') ORDER BY id`)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(t.ctx, leaver)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []knownEntry
	for rows.Next() {
		k := knownEntry{leaver: leaver}
		var emails string
		var word, effective, due, deferred int64
		if err := rows.Scan(&k.id, &k.splitFrom, &k.account, &k.state, &emails, &k.announced.Origin, &k.announced.Source, &k.terminationID,
			&word, &effective, &due, &deferred, &k.urgent, &k.stale, &k.hold); err != nil {
			return nil, err
		}
		k.wordAt, k.effected, k.dueAt, k.deferredUntil = fromMicros(word), fromMicros(effective), fromMicros(due), fromMicros(deferred)
		if err := json.Unmarshal([]byte(emails), &k.emails); err != nil {
			return nil, fmt.Errorf("entry %d: emails: %w", k.id, err)
		}
		all = append(all, k)
	}
	return all, rows.Err()
}

// applyWord lets another termination of the leaver speak to an open entry. These
// addresses of it are added, whenever it was said; its effective time counts if
// no later word was heard.
func (t *tx) applyWord(k knownEntry, e consumer.Event, word time.Time, addresses []string) error {
	list, err := json.Marshal(joined(k.emails, addresses))
	if err != nil {
		return err
	}
	if word.Before(k.wordAt) {
		if err := t.exec(`UPDATE entries SET emails = $2 WHERE id = $1`, k.id, string(list)); err != nil {
			return err
		}
		return t.auditEvent("superseded", k.id, e)
	}
	due, deferred := t.dueAgain(k, e)
	stale := t.isStale(e)
	if err := t.exec(`UPDATE entries SET emails = $2, word_at = $3, effective_at = $4, due_at = $5, stale = $6,
		urgent = CASE WHEN $7 = 1 THEN 1 ELSE urgent END, origin = $8, source = $9, termination_id = $10, cancel = 0, deferred_until = $11, trace_parent = $12 WHERE id = $1`,
		k.id, string(list), micros(word), micros(e.EffectiveAt), micros(due), flag(stale), flag(e.Urgent),
		e.Key.Origin, e.Key.Source, e.TerminationID, micros(deferred), e.TraceParent); err != nil {
		return err
	}
	action := "confirmed"
	if micros(e.EffectiveAt) != micros(k.effected) {
		action = "moved"
	}
	if err := t.auditEvent(action, k.id, e); err != nil {
		return err
	}
	switch {
	case k.state == Waiting && micros(due) == micros(k.dueAt):
		return nil
	case k.state == Waiting: // what was found and said of the old day is void
		return t.voidAhead(k.id)
	case due.After(e.ReceivedAt) && !due.Equal(k.dueAt): // the leaving day has moved away: nobody may be closed for the old one
		// What is on its way is settled first.
		if err := t.exec(`UPDATE entries SET state = CASE WHEN state = 'submitted' THEN state ELSE 'waiting' END,
			hold = 0, held_at = 0, reason = '', attempts = 0, tries = 0, misses = 0, next_at = 0, approvals_after = (SELECT COALESCE(MAX(id), 0) FROM holds) WHERE id = $1`, k.id); err != nil {
			return err
		}
		return t.endEmptyHold(k.hold)
	case k.state == Held && k.stale && !stale: // fresh news of it: the guard judges again
		if err := t.exec(`UPDATE entries SET state = 'due', hold = 0, reason = '' WHERE id = $1`, k.id); err != nil {
			return err
		}
		return t.endEmptyHold(k.hold)
	}
	return nil
}

// insertEntry makes a waiting entry. splitFrom is the first entry of the same
// leaving, 0 if this is it.
func (t *tx) insertEntry(e consumer.Event, leaver string, addresses []string, word time.Time, splitFrom int64) (int64, error) {
	id, err := t.nextID("entries")
	if err != nil {
		return 0, err
	}
	emails, err := json.Marshal(addresses)
	if err != nil {
		return 0, err
	}
	if err := t.exec(`INSERT INTO entries (id, leaver, state, emails, employee_id, termination_id, source, manager_email,
		given_name, family_name, legal_entity, department, urgent, stale, word_at, effective_at, due_at, received_at, split_from, origin, brought_by, trace_parent,
		approvals_after) VALUES ($1, $2, 'waiting', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
		(SELECT COALESCE(MAX(id), 0) FROM holds))`,
		id, leaver, string(emails), e.EmployeeID, e.TerminationID, e.Key.Source, e.ManagerEmail,
		e.GivenName, e.FamilyName, e.LegalEntity, e.Department, flag(e.Urgent), flag(t.isStale(e)),
		micros(word), micros(e.EffectiveAt), micros(t.dueAt(e)), micros(e.ReceivedAt), splitFrom, e.Key.Origin, broughtBy(e), e.TraceParent); err != nil {
		return 0, err
	}
	return id, t.auditEvent("received", id, e)
}

// broughtBy is the person by whose word alone somebody is said to have left. Who
// replays a reject repeats what others have said.
func broughtBy(e consumer.Event) string {
	if e.Key.Origin == consumer.LeaverOrigin {
		return e.Actor
	}
	return ""
}

// joined is these addresses and those of more that are not among them.
func joined(emails, more []string) []string {
	all := slices.Clone(emails)
	for _, a := range more {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// dueAt is the later of the effective time with its grace, and the receipt.
func (t *tx) dueAt(e consumer.Event) time.Time {
	due := e.EffectiveAt.Add(t.ledger.cfg.Grace)
	if due.Before(e.ReceivedAt) {
		return e.ReceivedAt
	}
	return due
}

// dueAgain is when an open entry is due by another termination, and until when a
// person has put it off, who is not overruled but by an urgent one. Nor is one
// who made it urgent, as long as the leaving day stays the same.
func (t *tx) dueAgain(k knownEntry, e consumer.Event) (due, deferred time.Time) {
	due, deferred = t.dueAt(e), t.putOff(e, k)
	switch sameDay := micros(e.EffectiveAt) == micros(k.effected); {
	case deferred.After(due):
		return deferred, deferred
	case k.urgent && sameDay && due.After(e.ReceivedAt) && k.dueAt.Before(due):
		return k.dueAt, deferred
	}
	return due, deferred
}

// isStale says whether the news came more than MaxAge after it happened and
// after it took effect.
func (t *tx) isStale(e consumer.Event) bool {
	age := t.ledger.cfg.MaxAge
	if age == 0 || e.OccurredAt.IsZero() {
		return false
	}
	latest := e.OccurredAt
	if e.EffectiveAt.After(latest) {
		latest = e.EffectiveAt
	}
	return e.ReceivedAt.Sub(latest) > age
}

const factTraceParent = "trace_parent"

func (t *tx) auditEvent(action string, entry int64, e consumer.Event) error {
	id, personalID := apartIfPersonal(e.Key.ID)
	facts := map[string]any{
		"origin": e.Key.Origin, "source": e.Key.Source, "id": id, "hash": e.Hash, "urgent": e.Urgent,
		"occurred_at": stamp(e.OccurredAt), "effective_at": stamp(e.EffectiveAt), "received_at": stamp(e.ReceivedAt),
	}
	if e.TraceParent != "" {
		facts[factTraceParent] = e.TraceParent
	}
	return t.audit(row{action: action, entry: entry, actor: e.Actor, facts: facts,
		personal: map[string]string{"id": personalID, "email": e.Email, "other_emails": strings.Join(e.OtherEmails, " "),
			"manager_email": e.ManagerEmail, "given_name": e.GivenName, "family_name": e.FamilyName}})
}

// apartIfPersonal tells an event's id that is an address, as those of people in a
// file are, from one that may stand in the chain for ever.
func apartIfPersonal(id string) (plain, personal string) {
	if strings.Contains(id, "@") {
		return "", id
	}
	return id, ""
}
