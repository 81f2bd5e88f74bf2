package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"signoff/consumer"
)

// RejectState is where a reject stands.
type RejectState string

// The states of a reject.
const (
	RejectOpen      RejectState = "open"
	RejectReplayed  RejectState = "replayed"  // understood after all
	RejectDiscarded RejectState = "discarded" // by a person, for a reason
)

// Reject is an event that could not be understood, as it is kept.
type Reject struct {
	ID         int64
	Via        consumer.Source
	Key        consumer.Key // as far as it could be read
	Position   string       // "topic/partition/offset" in Kafka, else ""
	Reason     consumer.Reason
	Detail     string
	Payload    []byte // its head, if it is larger than 64 KiB; empty in a list, and once it was wiped
	Size       int    // of the payload as it came
	Hash       string // SHA-256 of the payload as it came, hex
	State      RejectState
	Attempts   int
	ReceivedAt time.Time // the first time
	LastAt     time.Time

	SettledAt     time.Time
	SettledBy     string
	SettledReason string // of who discarded it

	TraceParent string // W3C trace context that it came with; "" for none that is known
}

// RejectFilter says which rejects are listed; an empty field admits all.
type RejectFilter struct {
	State  RejectState
	Reason consumer.Reason
	Via    consumer.Source
	Origin string // topic or endpoint
	Before int64  // only those with a smaller id: the last one of the page before
	Limit  int    // 0: no limit
}

// wipeAfter is how long after a reject was settled its payload is kept.
const wipeAfter = 30 * 24 * time.Hour

var (
	// ErrNoReject says that there is no reject of that id.
	ErrNoReject = errors.New("no such reject")

	// ErrSettled refuses to replay or to discard a reject that is not open any more.
	ErrSettled = errors.New("the reject is not open any more")

	// ErrCut refuses to replay a reject whose payload is not there as it came.
	ErrCut = errors.New("only the head of the payload was kept: have it sent again, then discard the reject")

	// ErrGone refuses to replay a reject whose payload is empty, or was wiped.
	ErrGone = errors.New("there is no payload to read anew: have it sent again, then discard the reject")
)

// RejectStates lists every state of a reject.
func RejectStates() []RejectState { return []RejectState{RejectOpen, RejectReplayed, RejectDiscarded} }

// Validate refuses words that no reject can have: by them a filter would find
// nothing, which looks as if nothing were amiss.
func (f RejectFilter) Validate() error {
	switch {
	case f.State != "" && !slices.Contains(RejectStates(), f.State):
		return fmt.Errorf("state: %q: none of %v", string(f.State), RejectStates())
	case f.Reason != "" && !slices.Contains(consumer.Reasons(), f.Reason):
		return fmt.Errorf("reason: %q: none of %v", string(f.Reason), consumer.Reasons())
	case f.Via != "" && !slices.Contains([]consumer.Source{consumer.Kafka, consumer.Webhook, consumer.CSV}, f.Via):
		return fmt.Errorf("source: %q: neither kafka nor webhook nor csv", string(f.Via))
	}
	return nil
}

const rejectColumns = `id, source, origin, event_source, event_id, position, reason, detail, size, hash, state, attempts,
	received_at, last_at, settled_at, settled_by, settled_reason, trace_parent`

// Rejects lists rejects without their payloads, the newest first.
func (l *Ledger) Rejects(ctx context.Context, f RejectFilter) ([]Reject, error) {
	limit := f.Limit
	if limit == 0 {
		limit = -1
	}
	rows, err := l.read.QueryContext(ctx, `SELECT `+rejectColumns+`, NULL FROM rejects
		WHERE ($1 = '' OR state = $1) AND ($2 = '' OR reason = $2) AND ($3 = '' OR source = $3) AND ($4 = '' OR origin = $4)
		AND ($5 = 0 OR id < $5) ORDER BY id DESC LIMIT $6`,
		string(f.State), string(f.Reason), string(f.Via), f.Origin, f.Before, limit)
	if err != nil {
		return nil, err
	}
	return scanRejects(rows)
}

// OpenRejects returns the ids of open rejects after this one, the oldest first:
// in the order in which they came. until, if not 0, is the last one; f says which,
// its State and Before aside.
func (l *Ledger) OpenRejects(ctx context.Context, f RejectFilter, after, until int64) ([]int64, error) {
	limit := f.Limit
	if limit == 0 {
		limit = -1
	}
	rows, err := l.read.QueryContext(ctx, `SELECT id FROM rejects WHERE state = 'open' AND id > $1 AND ($2 = 0 OR id <= $2)
		AND ($3 = '' OR reason = $3) AND ($4 = '' OR source = $4) AND ($5 = '' OR origin = $5) ORDER BY id LIMIT $6`,
		after, until, string(f.Reason), string(f.Via), f.Origin, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// LastReject returns the newest reject's id; 0 if there never was one.
func (l *Ledger) LastReject(ctx context.Context) (int64, error) {
	var id int64
	err := l.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM rejects`).Scan(&id)
	return id, err
}

// FindReject returns a reject with its payload; ErrNoReject if there is none.
func (l *Ledger) FindReject(ctx context.Context, id int64) (Reject, error) {
	return findReject(ctx, l.read, id)
}

func findReject(ctx context.Context, q querier, id int64) (Reject, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+rejectColumns+`, payload FROM rejects WHERE id = $1`, id)
	if err != nil {
		return Reject{}, err
	}
	all, err := scanRejects(rows)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("reject %d: %w", id, ErrNoReject)
	}
	if err != nil {
		return Reject{}, err
	}
	return all[0], nil
}

func scanRejects(rows *sql.Rows) ([]Reject, error) {
	defer rows.Close()
	var all []Reject
	for rows.Next() {
		var r Reject
		var received, last, settled int64
		if err := rows.Scan(&r.ID, &r.Via, &r.Key.Origin, &r.Key.Source, &r.Key.ID, &r.Position, &r.Reason, &r.Detail, &r.Size, &r.Hash,
			&r.State, &r.Attempts, &received, &last, &settled, &r.SettledBy, &r.SettledReason, &r.TraceParent, &r.Payload); err != nil {
			return nil, err
		}
		r.ReceivedAt, r.LastAt, r.SettledAt = fromMicros(received), fromMicros(last), fromMicros(settled)
		all = append(all, r)
	}
	return all, rows.Err()
}

// openReject returns a reject that is open; ErrSettled if it is not.
func (t *tx) openReject(id int64) (Reject, error) {
	r, err := findReject(t.ctx, t.conn, id)
	if err == nil && r.State != RejectOpen {
		err = fmt.Errorf("reject %d: %s: %w", id, r.State, ErrSettled)
	}
	return r, err
}

func (t *tx) settleReject(r Reject, state RejectState, by, reason string, events int) error {
	if err := t.exec(`UPDATE rejects SET state = $2, settled_at = $3, settled_by = $4, settled_reason = $5,
		attempts = attempts + CASE WHEN $2 = 'replayed' THEN 1 ELSE 0 END, last_at = CASE WHEN $2 = 'replayed' THEN $3 ELSE last_at END
		WHERE id = $1`, r.ID, string(state), micros(t.now), by, reason); err != nil {
		return err
	}
	return t.audit(row{action: "reject_" + string(state), actor: by,
		facts:    map[string]any{"reject": r.ID, "hash": r.Hash, "events": events},
		personal: map[string]string{"reason": reason}})
}

// DiscardReject settles a reject that nothing is to come of. by is the person
// who says so, reason is why.
func (l *Ledger) DiscardReject(ctx context.Context, id int64, by, reason string) (Reject, error) {
	var r Reject
	err := l.write(ctx, func(t *tx) (err error) {
		if r, err = t.openReject(id); err != nil {
			return err
		}
		if err := t.settleReject(r, RejectDiscarded, by, reason, 0); err != nil {
			return err
		}
		r, err = findReject(t.ctx, t.conn, id)
		return err
	})
	if err != nil {
		return Reject{}, err
	}
	return r, nil
}

// WipeRejects empties the payloads of rejects that were settled 30 days ago, and
// those of rescinds and rehires that for as long have found nobody. It returns
// how many rejects it wiped; their hashes stay.
func (l *Ledger) WipeRejects(ctx context.Context, now time.Time) (int, error) {
	before, wiped := micros(now.Add(-wipeAfter)), 0
	for {
		var n int
		err := l.write(ctx, func(t *tx) (err error) {
			n, err = t.wipeRejects(before)
			return err
		})
		wiped += n
		if err != nil || n < wipedTogether {
			return wiped, err
		}
	}
}

// wipedTogether is how many rejects are wiped in one transaction.
const wipedTogether = 1000

func (t *tx) wipeRejects(before int64) (int, error) {
	ids, err := t.ids(`SELECT id FROM rejects WHERE settled_at > 0 AND settled_at <= $1 AND length(payload) > 0
		ORDER BY id LIMIT $2`, before, wipedTogether)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := t.exec(`UPDATE rejects SET payload = $2 WHERE id = $1`, id, []byte{}); err != nil {
			return 0, err
		}
	}
	if len(ids) > 0 {
		if err := t.audit(row{action: "rejects_wiped", facts: map[string]any{"rejects": ids}}); err != nil {
			return 0, err
		}
	}
	return len(ids), t.exec(`UPDATE cancels SET payload = $2 WHERE received_at <= $1 AND length(payload) > 0`, before, []byte{})
}
