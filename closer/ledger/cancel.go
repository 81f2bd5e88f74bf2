package ledger

import (
	"database/sql"
	"errors"
	"slices"
	"time"

	"signoff/consumer"
)

// cancel is a rescind or a rehire: a word that may take a termination back. It
// is kept, since the termination may come after it.
type cancel struct {
	id            int64
	kind          consumer.Kind
	key           consumer.Key
	terminationID string
	addressed     bool // it has an address of the leaver
	wordAt        time.Time
	effected      time.Time
	receivedAt    time.Time
	found         bool // somebody of whom it speaks
	via           consumer.Source
	position      string
	payload       kept
}

// rehireWithin is how soon after the termination takes effect a rehire may do so
// and still take it back: there is no day on which the leaver is gone.
const rehireWithin = 24 * time.Hour

// inForce says whether the cancel takes back a termination of this effective
// time, by which somebody is closed now or, if it is due later, then.
func (c cancel) inForce(effected, due, now time.Time) bool {
	if c.kind == consumer.Rescinded {
		return true
	}
	sent := due
	if sent.Before(now) {
		sent = now
	}
	return !c.effected.After(sent) || !c.effected.After(effected.Add(rehireWithin))
}

// mayTakeBack says whether this source may take back what that one announced.
func (l *Ledger) mayTakeBack(announced, by consumer.Key) bool {
	return sameSource(announced, by) || l.cfg.Rescinders != nil && l.cfg.Rescinders(announced, by)
}

// sameSource compares sources. What was announced before topics and endpoints
// were kept has no origin.
func sameSource(announced, by consumer.Key) bool {
	return announced.Source == by.Source && (announced.Origin == by.Origin || announced.Origin == "")
}

// leaving is what is known of a leaver who is or was to be closed.
type leaving struct {
	entries []knownEntry
	last    knownEntry // whose word stands: the one said last
}

func (t *tx) leavingOf(leaver string) (leaving, error) {
	known, err := t.entriesOf(leaver)
	if err != nil || len(known) == 0 {
		return leaving{}, err
	}
	return leaving{entries: known, last: lastWord(known)}, nil
}

// lastWord returns the entry whose word was said last, the newest of several.
func lastWord(known []knownEntry) knownEntry {
	last := known[0]
	for _, k := range known[1:] {
		if !k.wordAt.Before(last.wordAt) {
			last = k
		}
	}
	return last
}

// recordCancel keeps a rescind or rehire, and heeds it where it speaks of
// somebody who is known. It returns an entry of theirs, 0 if there is none, or
// the reject that the event makes.
func (t *tx) recordCancel(via consumer.Source, e consumer.Event) (int64, *consumer.Reject, error) {
	c, err := t.insertCancel(via, e)
	if err != nil {
		return 0, nil, err
	}
	of, over, err := t.spokenOf(c)
	if err != nil {
		return 0, nil, err
	}
	if len(of) == 0 {
		if over != 0 {
			return over, nil, t.auditEvent("superseded", over, e)
		}
		err := t.auditEvent(string(c.kind), 0, e)
		if observe := t.ledger.observe.Unmatched; observe != nil && err == nil {
			row := t.head.Seq
			t.afterwards(func() { observe(c.kind, c.key.Origin, row) })
		}
		return 0, nil, err
	}
	var heeded bool
	for _, l := range of {
		heeded = heeded || t.ledger.mayTakeBack(l.last.announced, c.key)
	}
	if !heeded {
		return 0, rejectOf(e, consumer.MayNotRescind, mayNot), t.forget(c)
	}
	if err := t.auditEvent(string(c.kind), of[0].last.id, e); err != nil {
		return 0, nil, err
	}
	for _, l := range of {
		if err := t.heed(l, c); err != nil {
			return 0, nil, err
		}
	}
	return of[0].last.id, nil, nil
}

// mayNot is what a person reads of a cancel by somebody else.
const mayNot = "announced by another source, and events.sources does not let this one take it back"

// insertCancel writes a cancel, and what it calls its leaver.
func (t *tx) insertCancel(via consumer.Source, e consumer.Event) (cancel, error) {
	id, err := t.nextID("cancels")
	if err != nil {
		return cancel{}, err
	}
	c := cancel{
		id: id, kind: e.Kind, key: e.Key, terminationID: e.TerminationID, addressed: e.Email != "" || len(e.OtherEmails) > 0,
		wordAt: wordOf(e), effected: e.EffectiveAt, receivedAt: e.ReceivedAt,
		via: via, position: e.Position, payload: keep(e.Payload),
	}
	if err := t.exec(`INSERT INTO cancels (id, kind, origin, source, event_id, termination_id, addressed, word_at, effective_at,
		received_at, via, position, payload, size, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		c.id, string(c.kind), c.key.Origin, c.key.Source, c.key.ID, c.terminationID, flag(c.addressed), micros(c.wordAt),
		micros(c.effected), micros(c.receivedAt), string(c.via), c.position,
		c.payload.head, c.payload.size, c.payload.hash); err != nil {
		return cancel{}, err
	}
	return c, t.identify(e, "", c.id)
}

// forget takes a cancel out of the ledger again, with its key: it is a reject.
func (t *tx) forget(c cancel) error {
	if err := t.exec(`DELETE FROM identities WHERE cancel = $1 AND leaver = ''`, c.id); err != nil {
		return err
	}
	if err := t.exec(`DELETE FROM keys WHERE origin = $1 AND source = $2 AND id = $3`, c.key.Origin, c.key.Source, c.key.ID); err != nil {
		return err
	}
	return t.exec(`DELETE FROM cancels WHERE id = $1`, c.id)
}

// spokenOf returns the leavings that a cancel speaks of, by the surest sign there
// is; over is an entry that was given a later word.
func (t *tx) spokenOf(c cancel) (of []leaving, over int64, err error) {
	leavers, err := t.spokenTo(c.id)
	if err != nil {
		return nil, 0, err
	}
	var surest rank
	said := make(map[string]int64) // of the sign: leaver -> when
	for _, found := range leavers {
		l, err := t.leavingOf(found.leaver)
		if err != nil {
			return nil, 0, err
		}
		if len(l.entries) == 0 {
			continue
		}
		if c.wordAt.Before(l.last.wordAt) {
			over = l.last.id
			continue
		}
		switch r := found.sureness(c, l.last); {
		case r > surest:
			surest, of = r, []leaving{l}
			clear(said)
			said[l.last.leaver] = found.said
		case r == surest && r > 0:
			of = append(of, l)
			said[l.last.leaver] = found.said
		}
	}
	if surest == byEmail || surest == byOther {
		of, err = t.stillHolding(of, said)
	}
	return of, over, err
}

// heedEarlier lets the cancels that came before a termination speak to it.
func (t *tx) heedEarlier(leaver string, counts *intake) error {
	ids, err := t.calling(leaver)
	if err != nil {
		return err
	}
	for _, id := range ids {
		c, err := t.cancelByID(id)
		if err != nil {
			return err
		}
		of, _, err := t.spokenOf(c)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(of, func(l leaving) bool { return l.last.leaver == leaver })
		switch {
		case i < 0 || !c.wordAt.After(of[i].last.wordAt): // what is said at the same time counts as it comes
		case !c.found && !t.ledger.mayTakeBack(of[i].last.announced, c.key):
			err = t.rejectLate(c, counts)
		default:
			err = t.heed(of[i], c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rejectLate makes a reject of a cancel that turns out to speak of what another
// source has announced.
func (t *tx) rejectLate(c cancel, counts *intake) error {
	if err := t.forget(c); err != nil {
		return err
	}
	counts.reasons = append(counts.reasons, consumer.MayNotRescind)
	return t.recordRejectOf(c.via, consumer.Reject{Key: c.key, Position: c.position, Reason: consumer.MayNotRescind,
		Detail: mayNot, ReceivedAt: c.receivedAt}, c.payload)
}

// heed lets a cancel take effect on a leaving: open entries are cancelled, what
// signoff has closed is proposed to be opened again, and nobody is looked for
// any more. What is on the wire is settled first; what the cancel does not take
// back yet goes on.
func (t *tx) heed(l leaving, c cancel) error {
	if !t.ledger.mayTakeBack(l.last.announced, c.key) {
		return t.audit(row{action: string(consumer.MayNotRescind), entry: l.last.id, facts: map[string]any{"cancel": c.id}})
	}
	if err := t.exec(`UPDATE cancels SET found = 1, payload = $2 WHERE id = $1`, c.id, []byte{}); err != nil {
		return err
	}
	for _, k := range l.entries {
		var err error
		switch {
		case !k.state.Open():
			continue
		case k.state == Submitted || !c.inForce(l.last.effected, k.dueAt, t.now):
			err = t.bearInMind(k, c)
		default:
			err = t.cancelEntry(k.id, c)
		}
		if err != nil {
			return err
		}
	}
	if err := t.exec(`UPDATE entries SET watch_over = 1 WHERE leaver = $1 AND watch_over = 0
		AND state IN ('closed', 'already_closed')`, l.last.leaver); err != nil {
		return err
	}
	return t.proposeReopens(l.last.leaver, "", c)
}

// bearInMind keeps a cancel with an entry until the entry is settled or the
// cancel is in effect. Of several the one stays that takes the termination back,
// else the one that was said last.
func (t *tx) bearInMind(k knownEntry, c cancel) error {
	var id int64
	if err := t.one(`SELECT cancel FROM entries WHERE id = $1`, []any{k.id}, &id); err != nil || id == c.id {
		return err
	}
	if id != 0 && !c.inForce(k.effected, k.dueAt, t.now) {
		kept, err := t.cancelByID(id)
		if err != nil {
			return err
		}
		if kept.inForce(k.effected, k.dueAt, t.now) || c.wordAt.Before(kept.wordAt) {
			return nil
		}
	}
	if err := t.exec(`UPDATE entries SET cancel = $2 WHERE id = $1`, k.id, c.id); err != nil {
		return err
	}
	return t.audit(row{action: "cancel_kept", entry: k.id, facts: map[string]any{
		"cancel": c.id, "kind": string(c.kind), "effective_at": stamp(c.effected)}})
}

// cancelEntry ends an entry that is open and not on the wire.
func (t *tx) cancelEntry(id int64, c cancel) error {
	var hold int64
	var account string
	err := t.one(`SELECT hold, account FROM entries WHERE id = $1
		AND state IN ('waiting', 'due', 'held', 'would_close', 'failed')`, []any{id}, &hold, &account)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := t.exec(`UPDATE entries SET state = 'cancelled', reason = $2, settled_at = $3, cancel = $4, hold = 0, held_at = 0
		WHERE id = $1`, id, string(c.kind), micros(t.now), c.id); err != nil {
		return err
	}
	if observe := t.ledger.observe.Cancelled; observe != nil {
		t.afterwards(func() { observe(account) })
	}
	facts, err := t.withMemberships(map[string]any{"reason": string(c.kind), "cancel": c.id}, id, Cancelled)
	if err != nil {
		return err
	}
	if err := t.audit(row{action: string(Cancelled), entry: id, facts: facts}); err != nil {
		return err
	}
	if err := t.endAhead(id); err != nil {
		return err
	}
	return t.endEmptyHold(hold)
}

// cancelInEffect cancels, in one transaction, what a rehire of a later day has
// not taken back until now.
func (t *tx) cancelInEffect(now time.Time) error {
	ids, err := t.ids(`SELECT e.id `+inEffect+` ORDER BY e.id`, micros(now))
	if err != nil {
		return err
	}
	for _, id := range ids {
		var leaver, account string
		var cancelID int64
		if err := t.one(`SELECT leaver, account, cancel FROM entries WHERE id = $1`, []any{id}, &leaver, &account, &cancelID); err != nil {
			return err
		}
		c, err := t.cancelByID(cancelID)
		if err != nil {
			return err
		}
		if err := t.cancelEntry(id, c); err != nil {
			return err
		}
		if err := t.proposeReopens(leaver, account, c); err != nil {
			return err
		}
	}
	return nil
}

// inEffect finds the entries whose cancel has come into effect: by those that
// have one, not by all that are open, which is why the state has a sign.
const inEffect = `FROM entries e JOIN cancels c ON c.id = e.cancel WHERE e.cancel > 0
	AND +e.state IN ('waiting', 'due', 'held', 'would_close', 'failed') AND c.effective_at <= $1`

// keptCancel returns the cancel that an entry bears in mind, and whether it takes
// the termination back now; its id is 0 if there is none.
func (t *tx) keptCancel(entry int64) (c cancel, inForce bool, err error) {
	var id, effective, due int64
	err = t.one(`SELECT cancel, effective_at, due_at FROM entries WHERE id = $1`, []any{entry}, &id, &effective, &due)
	if err != nil || id == 0 {
		return cancel{}, false, err
	}
	c, err = t.cancelByID(id)
	return c, err == nil && c.inForce(fromMicros(effective), fromMicros(due), t.now), err
}

// cancelLate cancels an entry that turned out not to be closed, if that was taken
// back while its close was on the wire.
func (t *tx) cancelLate(entry int64) error {
	c, cancelled, err := t.keptCancel(entry)
	if err != nil || !cancelled {
		return err
	}
	if err := t.cancelEntry(entry, c); err != nil {
		return err
	}
	return t.settledCancel(entry)
}

// settledCancel lets the cancel that an entry bears in mind speak to what became
// of the entry: who was closed may be opened again, and is not looked for.
func (t *tx) settledCancel(entry int64) error {
	var leaver, account string
	var id int64
	var state State
	err := t.one(`SELECT leaver, account, cancel, state FROM entries WHERE id = $1`, []any{entry}, &leaver, &account, &id, &state)
	if err != nil || id == 0 || state.Open() {
		return err
	}
	if err := t.exec(`UPDATE entries SET watch_over = 1 WHERE id = $1`, entry); err != nil {
		return err
	}
	c, err := t.cancelByID(id)
	if err != nil {
		return err
	}
	return t.proposeReopens(leaver, account, c)
}

func (t *tx) cancelByID(id int64) (c cancel, err error) {
	var word, effective, received int64
	c.id = id
	err = t.one(`SELECT kind, origin, source, event_id, termination_id, addressed, word_at, effective_at, received_at, found, via, position,
		payload, size, hash FROM cancels WHERE id = $1`, []any{id}, &c.kind, &c.key.Origin, &c.key.Source, &c.key.ID, &c.terminationID, &c.addressed,
		&word, &effective, &received, &c.found, &c.via, &c.position, &c.payload.head, &c.payload.size, &c.payload.hash)
	c.wordAt, c.effected, c.receivedAt = fromMicros(word), fromMicros(effective), fromMicros(received)
	return c, err
}
