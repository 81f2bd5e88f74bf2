package ledger

import (
	"context"
	"fmt"

	"signoff/consumer"
)

// ReplayReject records what the present decoder and mapping made of a reject's
// whole payload, decoded as if received at its ReceivedAt: order and staleness are
// judged as of then. by is the person who asked for it. It returns the reject as
// it stands then: replayed or, if it fails again, open with one more attempt and
// its new reason.
//
// A payload may hold more events than the reject's own. The reject fails again if
// its own event does, or the payload as a whole. What else of the payload can be
// recorded is; what was recorded before stays as it was, even where the mapping
// now says otherwise; what fails has a reject of its own, or gets one.
func (l *Ledger) ReplayReject(ctx context.Context, id int64, events []consumer.Event, rejects []consumer.Reject, by string) (Reject, error) {
	var counts intake
	var r Reject
	err := l.write(ctx, func(t *tx) (err error) {
		counts = intake{}
		if r, err = t.openReject(id); err != nil {
			return err
		}
		if err := r.Replayable(); err != nil {
			return err
		}
		if err := t.replay(r, events, rejects, by, &counts); err != nil {
			return err
		}
		r, err = findReject(t.ctx, t.conn, id)
		return err
	})
	if err != nil {
		return Reject{}, err
	}
	l.observeIntake(r.Via, counts)
	return r, nil
}

// Replayable returns why nothing can be made of a reject, found with its payload:
// ErrSettled, ErrCut or ErrGone.
func (r Reject) Replayable() error {
	var err error
	switch {
	case r.State != RejectOpen:
		err = fmt.Errorf("%s: %w", r.State, ErrSettled)
	case len(r.Payload) == 0:
		err = ErrGone
	case len(r.Payload) < r.Size:
		err = ErrCut
	}
	if err != nil {
		return fmt.Errorf("reject %d: %w", r.ID, err)
	}
	return nil
}

func (t *tx) replay(r Reject, events []consumer.Event, rejects []consumer.Reject, by string, counts *intake) error {
	failed := rejects
	for _, e := range events {
		e.ReceivedAt, e.Position, e.Payload = r.ReceivedAt, r.Position, r.Payload
		reject, err := t.recordEvent(r.Via, e, counts)
		if err != nil {
			return err
		}
		if reject != nil {
			failed = append(failed[:len(failed):len(failed)], *reject)
		}
	}
	again, others, err := t.failuresOf(r, failed, len(events)+len(rejects) == 1)
	if err != nil {
		return err
	}
	for _, o := range others {
		o.ReceivedAt, o.Position, o.Payload = r.ReceivedAt, r.Position, r.Payload
		if err := t.recordReject(r.Via, o); err != nil {
			return err
		}
		counts.rejected++
		counts.reasons = append(counts.reasons, o.Reason)
	}
	if again != nil {
		return t.failAgain(r, *again, by)
	}
	return t.settleReject(r, RejectReplayed, by, "", len(events)+len(rejects)-len(failed))
}

// failuresOf sorts what failed of a reject's payload: again is the failure of the
// reject itself, nil if there is none; others are those of which no more is known.
// alone says that the payload came to a single event or failure.
func (t *tx) failuresOf(r Reject, failed []consumer.Reject, alone bool) (again *consumer.Reject, others []consumer.Reject, err error) {
	for i, f := range failed {
		whole := alone && (r.nameless() || f.Reason == consumer.InvalidEvent || f.Reason == consumer.MappingFailed)
		if whole || f.Key == r.Key || r.isOf(f.Key) {
			if again == nil {
				again = &failed[i]
			}
			continue
		}
		known, err := t.knownBeside(r, f.Key)
		switch {
		case err != nil:
			return nil, nil, err
		case known:
		case alone: // the mapping now gives the reject's event another key
			again = &failed[i]
		default:
			others = append(others, f)
		}
	}
	return again, others, nil
}

// nameless says that the reject is about a payload as a whole, or about an event
// whose key could not be read.
func (r Reject) nameless() bool { return r.Key.Source == "" }

// isOf says whether the reject is about the event with this key.
func (r Reject) isOf(key consumer.Key) bool {
	return r.Key.ID != "" && key.ID == r.Key.ID && key.Origin == r.Key.Origin && (key.Source == r.Key.Source || r.nameless())
}

// knownBeside says whether another event of the reject's payload has a reject of
// its own, or was recorded when the payload first came. Of a payload that was not
// understood as a whole nothing was: who has recorded its keys is somebody else.
func (t *tx) knownBeside(r Reject, key consumer.Key) (known bool, err error) {
	err = t.one(`SELECT EXISTS (SELECT 1 FROM rejects WHERE event_id = $3 AND event_source = $2 AND origin = $1
		AND hash = $4 AND id <> $5 AND state <> 'replayed')
		OR $6 = 0 AND EXISTS (SELECT 1 FROM keys WHERE origin = $1 AND source = $2 AND id = $3)`,
		[]any{key.Origin, key.Source, key.ID, r.Hash, r.ID, flag(r.nameless())}, &known)
	return known, err
}

func (t *tx) failAgain(r Reject, why consumer.Reject, by string) error {
	if err := t.exec(`UPDATE rejects SET attempts = attempts + 1, last_at = $2, reason = $3, detail = $4 WHERE id = $1`,
		r.ID, micros(t.now), string(why.Reason), why.Detail); err != nil {
		return err
	}
	return t.audit(row{action: "reject_failed_again", actor: by, facts: map[string]any{
		"reject": r.ID, "hash": r.Hash, "attempts": r.Attempts + 1, "reason": string(why.Reason)}})
}
