package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"signoff/consumer"
)

const (
	// MaxOpenRejects is how many open rejects a source may have before it pauses.
	MaxOpenRejects = 100_000

	// maxPayload is how much of a reject's payload is kept, in bytes.
	maxPayload = 64 << 10

	// farAhead is how much later a termination may take effect without a warning:
	// years are mistyped.
	farAhead = 366 * 24 * time.Hour
)

// intake counts what became of the events of one Record, to be told to the
// observer once it is on disk.
type intake struct {
	recorded, duplicate, rejected int
	reasons                       []consumer.Reason
	notices                       []notice
}

// notice is how long after it took effect a termination was heard of.
type notice struct {
	delay   time.Duration
	traceID string
}

// Record implements consumer.Recorder.
func (l *Ledger) Record(ctx context.Context, in consumer.Intake) error {
	if len(in.Events)+len(in.Rejects)+len(in.Spans) == 0 && len(l.newsIn(in, time.Now())) == 0 {
		return nil // what is ignored comes all the time, and is not worth a transaction
	}
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
			reject, err := t.recordEvent(in.Source, e, &counts)
			if err != nil {
				return err
			}
			if reject != nil {
				rejects = append(slices.Clip(rejects), *reject)
			}
		}
		if err := t.recordRejects(in.Source, rejects, &counts); err != nil {
			return err
		}
		return t.hear(in)
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
	for _, n := range c.notices {
		if l.observe.Notice != nil {
			l.observe.Notice(n.delay, n.traceID)
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
func (t *tx) recordEvent(via consumer.Source, e consumer.Event, counts *intake) (*consumer.Reject, error) {
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
	var entry int64
	var reject *consumer.Reject
	if e.Kind == consumer.Terminated {
		entry, err = t.recordTermination(e, counts)
	} else {
		entry, reject, err = t.recordCancel(via, e)
	}
	if err != nil || reject != nil { // which does not take its key: it can be replayed
		return reject, err
	}
	if err := t.exec(`INSERT INTO keys (origin, source, id, hash, entry, received_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		e.Key.Origin, e.Key.Source, e.Key.ID, e.Hash, entry, micros(e.ReceivedAt)); err != nil {
		return nil, err
	}
	counts.recorded++
	if e.Kind == consumer.Terminated {
		if observe := t.ledger.observe.FarAhead; observe != nil && e.EffectiveAt.Sub(e.ReceivedAt) > farAhead {
			t.afterwards(func() { observe(entry, e.EffectiveAt) })
		}
	}
	if observe := t.ledger.observe.Heard; observe != nil {
		t.afterwards(func() { observe(e.Kind, entry, consumer.TraceID(e.TraceParent)) })
	}
	return nil, nil
}

func rejectOf(e consumer.Event, reason consumer.Reason, detail string) *consumer.Reject {
	return &consumer.Reject{
		Key: e.Key, Position: e.Position, Reason: reason, Detail: detail, Payload: e.Payload, ReceivedAt: e.ReceivedAt, TraceParent: e.TraceParent,
	}
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
	return t.recordRejectOf(source, r, keep(r.Payload))
}

// recordRejectOf keeps a reject of whose payload this was kept.
func (t *tx) recordRejectOf(source consumer.Source, r consumer.Reject, payload kept) error {
	fingerprint := fingerprintOf(r, "", payload)
	if known, err := t.rejectAgain(r, payload, fingerprint); err != nil || known {
		return err
	}
	id, err := t.nextID("rejects")
	if err != nil {
		return err
	}
	if err := t.exec(`INSERT INTO rejects (id, fingerprint, source, origin, event_source, event_id, position, reason, detail,
		payload, size, hash, state, received_at, last_at, trace_parent)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'open', $13, $13, $14)`,
		id, fingerprint, string(source), r.Key.Origin, r.Key.Source, r.Key.ID, r.Position, string(r.Reason), r.Detail,
		payload.head, payload.size, payload.hash, micros(r.ReceivedAt), r.TraceParent); err != nil {
		return err
	}
	if observe := t.ledger.observe.Kept; observe != nil {
		t.afterwards(func() { observe(id, r) })
	}
	event, personalEvent := apartIfPersonal(r.Key.ID)
	facts := map[string]any{
		"reject": id, "origin": r.Key.Origin, "source": r.Key.Source, "id": event, "position": r.Position,
		"reason": string(r.Reason), "hash": payload.hash, "size": payload.size,
	}
	if r.TraceParent != "" {
		facts[factTraceParent] = r.TraceParent
	}
	return t.audit(row{action: "reject", facts: facts, personal: map[string]string{"id": personalEvent}})
}

// fingerprintOf tells rejects apart: by where they came from, their key and their
// payload. Why they could not be understood changes with the mapping; until 0.2 the
// reason that a reject had first was a part of it.
func fingerprintOf(r consumer.Reject, reason consumer.Reason, payload kept) string {
	return rowHash(r.Position, 0, 0, string(reason), 0, r.Key.Origin, r.Key.Source+" "+r.Key.ID, payload.hash)
}

// rejectAgain counts one more attempt of a reject that is known, and keeps the
// newest reason. One that was replayed is open again; what a person has discarded
// stays so.
func (t *tx) rejectAgain(r consumer.Reject, payload kept, fingerprint string) (known bool, err error) {
	var id int64
	var state RejectState
	err = t.one(`SELECT id, state FROM rejects WHERE fingerprint IN ($1, $2) ORDER BY id DESC LIMIT 1`,
		[]any{fingerprint, fingerprintOf(r, r.Reason, payload)}, &id, &state)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := t.exec(`UPDATE rejects SET attempts = attempts + 1, last_at = $2, reason = CASE state WHEN 'discarded' THEN reason ELSE $3 END,
		detail = CASE state WHEN 'discarded' THEN detail ELSE $4 END WHERE id = $1`,
		id, micros(r.ReceivedAt), string(r.Reason), r.Detail); err != nil {
		return false, err
	}
	if state != RejectReplayed {
		return true, nil
	}
	if err := t.exec(`UPDATE rejects SET state = 'open', payload = $2, settled_at = 0, settled_by = '' WHERE id = $1`,
		id, payload.head); err != nil {
		return false, err
	}
	return true, t.audit(row{action: "reject_open_again", facts: map[string]any{"reject": id, "reason": string(r.Reason)}})
}

// kept is what is kept of a payload: its head, and size and hash of all of it.
type kept struct {
	head []byte
	size int
	hash string // SHA-256, hex
}

func keep(payload []byte) kept {
	sum := sha256.Sum256(payload)
	return kept{append([]byte{}, payload[:min(len(payload), maxPayload)]...), len(payload), hex.EncodeToString(sum[:])}
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
