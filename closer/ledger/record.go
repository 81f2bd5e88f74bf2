package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"signoff/consumer"
)

const (
	// MaxOpenRejects is how many open rejects a source may have before it pauses.
	MaxOpenRejects = 100_000

	// maxPayload is how much of a reject's payload is kept, in bytes.
	maxPayload = 64 << 10
)

// intake counts what became of the events of one Record, to be told to the
// observer once it is on disk.
type intake struct {
	recorded, duplicate, rejected int
	reasons                       []consumer.Reason
	notices                       []time.Duration
}

// Record implements consumer.Recorder.
func (l *Ledger) Record(ctx context.Context, in consumer.Intake) error {
	var counts intake
	err := l.write(ctx, func(t *tx) error {
		counts = intake{}
		for _, s := range in.Spans {
			if err := t.moveWatermark(s); err != nil {
				return err
			}
		}
		rejects := in.Rejects
		for _, e := range in.Events {
			reject, err := t.recordEvent(e, &counts)
			if err != nil {
				return err
			}
			if reject != nil {
				rejects = append(slices.Clip(rejects), *reject)
			}
		}
		return t.recordRejects(in.Source, rejects, &counts)
	})
	if err != nil {
		return err
	}
	l.observeIntake(in.Source, counts)
	return nil
}

func (l *Ledger) observeIntake(source consumer.Source, c intake) {
	if l.observe.Received != nil {
		l.observe.Received(source, "recorded", c.recorded)
		l.observe.Received(source, "duplicate", c.duplicate)
		l.observe.Received(source, "rejected", c.rejected)
	}
	for _, r := range c.reasons {
		if l.observe.Rejected != nil {
			l.observe.Rejected(r)
		}
	}
	for _, d := range c.notices {
		if l.observe.Notice != nil {
			l.observe.Notice(d)
		}
	}
}

// moveWatermark moves a partition's watermark from where the reader stood to
// where it stands now. A reader who stood elsewhere has been overtaken.
func (t *tx) moveWatermark(s consumer.Span) error {
	var next int64
	err := t.one(`SELECT next FROM watermarks WHERE topic = $1 AND part = $2`,
		[]any{s.Partition.Topic, s.Partition.ID}, &next)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return t.exec(`INSERT INTO watermarks (topic, part, next, moved_at) VALUES ($1, $2, $3, $4)`,
			s.Partition.Topic, s.Partition.ID, s.Next, micros(t.now))
	case err != nil:
		return err
	case next != s.From:
		return fmt.Errorf("%s/%d: read from %d, the ledger is at %d: %w",
			s.Partition.Topic, s.Partition.ID, s.From, next, consumer.ErrOvertaken)
	}
	return t.exec(`UPDATE watermarks SET next = $3, moved_at = $4 WHERE topic = $1 AND part = $2`,
		s.Partition.Topic, s.Partition.ID, s.Next, micros(t.now))
}

// recordEvent takes one event in, or returns the reject that it makes.
func (t *tx) recordEvent(e consumer.Event, counts *intake) (*consumer.Reject, error) {
	var hash string
	err := t.one(`SELECT hash FROM keys WHERE origin = $1 AND source = $2 AND id = $3`,
		[]any{e.Key.Origin, e.Key.Source, e.Key.ID}, &hash)
	switch {
	case err == nil && hash == e.Hash:
		counts.duplicate++
		return nil, nil
	case err == nil:
		return rejectOf(e, consumer.IDReused, "an event with this source and id was recorded with other content"), nil
	case !errors.Is(err, sql.ErrNoRows):
		return nil, err
	}
	if e.Kind != consumer.Terminated {
		// Kept, so that it can be replayed once this is handled; it must not pass for recorded.
		return rejectOf(e, consumer.NotYetHandled, string(e.Kind)+": nothing is taken back by this version"), nil
	}
	entry, err := t.recordTermination(e)
	if err != nil {
		return nil, err
	}
	if err := t.exec(`INSERT INTO keys (origin, source, id, hash, entry, received_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		e.Key.Origin, e.Key.Source, e.Key.ID, e.Hash, entry, micros(e.ReceivedAt)); err != nil {
		return nil, err
	}
	counts.recorded++
	counts.notices = append(counts.notices, max(0, e.ReceivedAt.Sub(e.EffectiveAt)))
	return nil, nil
}

func rejectOf(e consumer.Event, reason consumer.Reason, detail string) *consumer.Reject {
	return &consumer.Reject{
		Key: e.Key, Position: e.Position, Reason: reason, Detail: detail, Payload: e.Payload, ReceivedAt: e.ReceivedAt,
	}
}

// recordTermination finds or makes the entries that a termination concerns and
// returns the id of the first.
func (t *tx) recordTermination(e consumer.Event) (int64, error) {
	word := e.OccurredAt
	if word.IsZero() {
		word = e.ReceivedAt
	}
	known, err := t.entriesOf(e.Email)
	if err != nil {
		return 0, err
	}
	var first int64
	for _, k := range known {
		if !k.state.Open() {
			continue
		}
		if first == 0 {
			first = k.id
		}
		if err := t.applyWord(k, e, word); err != nil {
			return 0, err
		}
	}
	if first != 0 {
		return first, nil
	}
	emails := append([]string{e.Email}, e.OtherEmails...)
	for _, k := range known {
		if !k.wordAt.After(word) {
			continue
		}
		// Settled by a later word already: old news opens nothing, but for addresses
		// that nobody has looked at.
		emails = slices.DeleteFunc(emails, func(a string) bool {
			return slices.ContainsFunc(known, func(k knownEntry) bool { return slices.Contains(k.emails, a) })
		})
		if len(emails) == 0 {
			return k.id, t.auditEvent("superseded", k.id, e)
		}
		break
	}
	return t.insertEntry(e, emails, word)
}

// knownEntry is what recording needs of an entry that is there.
type knownEntry struct {
	id       int64
	state    State
	emails   []string
	wordAt   time.Time
	effected time.Time
	stale    bool
	hold     int64
}

func (t *tx) entriesOf(leaver string) ([]knownEntry, error) {
	s, err := t.prepared(`SELECT id, state, emails, word_at, effective_at, stale, hold FROM entries WHERE leaver = $1 ORDER BY id`)
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
		var k knownEntry
		var emails string
		var word, effective int64
		if err := rows.Scan(&k.id, &k.state, &emails, &word, &effective, &k.stale, &k.hold); err != nil {
			return nil, err
		}
		k.wordAt, k.effected = fromMicros(word), fromMicros(effective)
		if err := json.Unmarshal([]byte(emails), &k.emails); err != nil {
			return nil, fmt.Errorf("entry %d: emails: %w", k.id, err)
		}
		all = append(all, k)
	}
	return all, rows.Err()
}

// applyWord lets another termination of the leaver speak to an open entry. Its
// addresses are added, whenever it was said; its effective time counts if no
// later word was heard.
func (t *tx) applyWord(k knownEntry, e consumer.Event, word time.Time) error {
	emails := slices.Clone(k.emails)
	for _, a := range e.OtherEmails {
		if !slices.Contains(emails, a) {
			emails = append(emails, a)
		}
	}
	list, err := json.Marshal(emails)
	if err != nil {
		return err
	}
	if word.Before(k.wordAt) {
		if err := t.exec(`UPDATE entries SET emails = $2 WHERE id = $1`, k.id, string(list)); err != nil {
			return err
		}
		return t.auditEvent("superseded", k.id, e)
	}
	due, stale := t.dueAt(e), t.isStale(e)
	if err := t.exec(`UPDATE entries SET emails = $2, word_at = $3, effective_at = $4, due_at = $5, stale = $6,
		urgent = CASE WHEN $7 = 1 THEN 1 ELSE urgent END, source = $8 WHERE id = $1`,
		k.id, string(list), micros(word), micros(e.EffectiveAt), micros(due), flag(stale), flag(e.Urgent), e.Key.Source); err != nil {
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
	case k.state == Waiting:
		return nil
	case due.After(e.ReceivedAt): // the leaving day has moved away: nobody may be closed for the old one
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

func (t *tx) insertEntry(e consumer.Event, addresses []string, word time.Time) (int64, error) {
	id, err := t.nextID("entries")
	if err != nil {
		return 0, err
	}
	emails, err := json.Marshal(addresses)
	if err != nil {
		return 0, err
	}
	if err := t.exec(`INSERT INTO entries (id, leaver, state, emails, employee_id, termination_id, source, manager_email,
		given_name, family_name, legal_entity, department, urgent, stale, word_at, effective_at, due_at, received_at)
		VALUES ($1, $2, 'waiting', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		id, e.Email, string(emails), e.EmployeeID, e.TerminationID, e.Key.Source, e.ManagerEmail,
		e.GivenName, e.FamilyName, e.LegalEntity, e.Department, flag(e.Urgent), flag(t.isStale(e)),
		micros(word), micros(e.EffectiveAt), micros(t.dueAt(e)), micros(e.ReceivedAt)); err != nil {
		return 0, err
	}
	return id, t.auditEvent("received", id, e)
}

// dueAt is the later of the effective time with its grace, and the receipt.
func (t *tx) dueAt(e consumer.Event) time.Time {
	due := e.EffectiveAt.Add(t.ledger.cfg.Grace)
	if due.Before(e.ReceivedAt) {
		return e.ReceivedAt
	}
	return due
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

func (t *tx) auditEvent(action string, entry int64, e consumer.Event) error {
	return t.audit(row{action: action, entry: entry,
		facts: map[string]any{
			"origin": e.Key.Origin, "source": e.Key.Source, "id": e.Key.ID, "hash": e.Hash, "urgent": e.Urgent,
			"occurred_at": stamp(e.OccurredAt), "effective_at": stamp(e.EffectiveAt), "received_at": stamp(e.ReceivedAt),
		},
		personal: map[string]string{"email": e.Email, "other_emails": strings.Join(e.OtherEmails, " "),
			"manager_email": e.ManagerEmail, "given_name": e.GivenName, "family_name": e.FamilyName}})
}

// recordRejects keeps what could not be understood. The same thing delivered
// again is the same reject with one more attempt.
func (t *tx) recordRejects(source consumer.Source, rejects []consumer.Reject, counts *intake) error {
	if len(rejects) == 0 {
		return nil
	}
	var open int
	if err := t.one(`SELECT COUNT(*) FROM rejects WHERE source = $1 AND state = 'open'`, []any{string(source)}, &open); err != nil {
		return err
	}
	if open >= MaxOpenRejects {
		return fmt.Errorf("%s: %d: %w", source, open, consumer.ErrFull)
	}
	for _, r := range rejects {
		if err := t.recordReject(source, r); err != nil {
			return err
		}
		counts.rejected++
		counts.reasons = append(counts.reasons, r.Reason)
	}
	return nil
}

func (t *tx) recordReject(source consumer.Source, r consumer.Reject) error {
	sum := sha256.Sum256(r.Payload)
	hash := hex.EncodeToString(sum[:])
	fingerprint := rowHash(r.Position, 0, 0, string(r.Reason), 0, r.Key.Origin, r.Key.Source+" "+r.Key.ID, hash)
	again, err := t.changed(`UPDATE rejects SET attempts = attempts + 1, last_at = $2 WHERE fingerprint = $1`,
		fingerprint, micros(r.ReceivedAt))
	if err != nil || again > 0 {
		return err
	}
	id, err := t.nextID("rejects")
	if err != nil {
		return err
	}
	payload := r.Payload[:min(len(r.Payload), maxPayload)]
	if payload == nil {
		payload = []byte{}
	}
	if err := t.exec(`INSERT INTO rejects (id, fingerprint, source, origin, event_source, event_id, position, reason, detail,
		payload, size, hash, state, received_at, last_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'open', $13, $13)`,
		id, fingerprint, string(source), r.Key.Origin, r.Key.Source, r.Key.ID, r.Position, string(r.Reason), r.Detail,
		payload, len(r.Payload), hash, micros(r.ReceivedAt)); err != nil {
		return err
	}
	return t.audit(row{action: "reject", facts: map[string]any{
		"reject": id, "origin": r.Key.Origin, "source": r.Key.Source, "id": r.Key.ID, "position": r.Position,
		"reason": string(r.Reason), "hash": hash, "size": len(r.Payload),
	}})
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// stamp is a time as people and the audit write it; "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
