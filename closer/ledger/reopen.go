package ledger

import (
	"errors"
	"time"

	"signoff/consumer"
)

// ReopenState is where the reopening of a user stands.
type ReopenState string

// The states of a reopen. It is proposed by a hold of kind Reopening.
const (
	ReopenProposed  ReopenState = "proposed"
	ReopenApproved  ReopenState = "approved"
	ReopenSubmitted ReopenState = "submitted" // was sent, its answer is not in the ledger yet
	ReopenSent      ReopenState = "sent"      // the person must still click
	ReopenFailed    ReopenState = "failed"
	ReopenDropped   ReopenState = "dropped" // a person said no, or it became pointless
)

// OutcomeReopenSent is the word for a reopen that was carried out, in outcomes
// and in the audit.
const OutcomeReopenSent = "reopen_sent"

// Reopen is a user whom signoff closed, and who is to be opened again by a
// person's word.
type Reopen struct {
	ID     int64
	Hold   int64 // that proposed it
	Entry  Entry // by which the user was closed; it stays closed
	User   User
	Kind   consumer.Kind // of the word it comes of: Rescinded or Rehired
	DueAt  time.Time     // not to be carried out before
	State  ReopenState
	Reason string // why it has failed, was dropped or is tried again
	Trace  string // Docusign's token for the request
}

// ErrNoReopen refuses to settle a reopen that is not approved, or not any more.
var ErrNoReopen = errors.New("the reopen is not approved, or was settled already")

// proposeReopens proposes to open again those of a leaver's users, in an account
// or in all (""), whom signoff closed last, unless that was done already. A live
// proposal is moved to the day of a later word.
func (t *tx) proposeReopens(leaver, account string, c cancel) error {
	entries, err := t.ids(`SELECT MAX(e.id) FROM entries e WHERE e.leaver = $1 AND ($2 = '' OR e.account = $2)
		AND e.state IN ('closed', 'already_closed', 'not_found', 'cancelled', 'skipped')
		AND EXISTS (SELECT 1 FROM memberships m WHERE m.entry = e.id AND m.outcome = 'closed')
		AND NOT EXISTS (SELECT 1 FROM entries o WHERE o.leaver = e.leaver AND o.account IN ('', e.account)
			AND o.state IN ('waiting', 'due', 'held', 'submitted', 'would_close', 'failed'))
		GROUP BY e.account ORDER BY 1`, leaver, account)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := t.moveReopens(entry, c); err != nil {
			return err
		}
		if err := t.proposeReopen(entry, c); err != nil {
			return err
		}
	}
	return nil
}

// reopenAt is the day from which on a user may be opened again.
func reopenAt(c cancel) time.Time {
	if c.kind == consumer.Rehired {
		return c.effected
	}
	return c.receivedAt
}

// reopenDetail is what a person reads of a proposal.
func (t *tx) reopenDetail(c cancel) string {
	detail := string(c.kind) + " after the close"
	if at := reopenAt(c); at.After(t.now) {
		detail += ", from " + stamp(at)
	}
	return detail
}

func (t *tx) moveReopens(entry int64, c cancel) error {
	if err := t.exec(`UPDATE holds SET detail = $2 WHERE state = 'open' AND id IN (SELECT r.hold FROM reopens r JOIN cancels k ON k.id = r.cancel
		WHERE r.entry = $1 AND r.state = 'proposed' AND k.word_at <= $3)`, entry, t.reopenDetail(c), micros(c.wordAt)); err != nil {
		return err
	}
	n, err := t.changed(`UPDATE reopens SET due_at = $2, cancel = $3, reason = '' WHERE entry = $1 AND state IN ('proposed', 'approved', 'submitted')
		AND (SELECT word_at FROM cancels WHERE id = reopens.cancel) <= $4 AND cancel <> $3`, entry, micros(reopenAt(c)), c.id, micros(c.wordAt))
	if err != nil || n == 0 {
		return err
	}
	return t.audit(row{action: "reopen_moved", entry: entry, facts: map[string]any{"cancel": c.id, "due_at": stamp(reopenAt(c))}})
}

// proposeReopen makes a hold for the users of an entry.
func (t *tx) proposeReopen(entry int64, c cancel) error {
	h := Hold{Kinds: []Kind{Reopening}, State: HoldOpen, Detail: t.reopenDetail(c), CreatedAt: t.now}
	users, err := t.reopenable(entry, c)
	if err != nil || len(users) == 0 {
		return err
	}
	h.Users = users
	if err := t.one(`SELECT account FROM entries WHERE id = $1`, []any{entry}, &h.Account); err != nil {
		return err
	}
	h.Digest = digest(h.Account, h.Users)
	if h.ID, err = t.nextID("holds"); err != nil {
		return err
	}
	if err := t.insertHold(h); err != nil {
		return err
	}
	var ids []string
	for _, u := range users {
		id, err := t.nextID("reopens")
		if err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO reopens (id, hold, entry, cancel, account, user_id, email, due_at, state)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'proposed')`,
			id, h.ID, entry, c.id, h.Account, u.ID, u.Email, micros(reopenAt(c))); err != nil {
			return err
		}
		ids = append(ids, u.ID)
	}
	return t.audit(row{action: "reopen_proposed", entry: entry, facts: map[string]any{
		"hold": h.ID, "cancel": c.id, "users": ids, "due_at": stamp(reopenAt(c))}})
}

// reopenable returns the users that signoff closed by an entry and nobody has
// proposed to open again by this word, or opened since.
func (t *tx) reopenable(entry int64, c cancel) ([]HeldUser, error) {
	s, err := t.prepared(`SELECT m.user_id, m.email, m.scim FROM memberships m WHERE m.entry = $1 AND m.outcome = 'closed'
		AND NOT EXISTS (SELECT 1 FROM reopens r WHERE r.user_id = m.user_id AND r.account = (SELECT account FROM entries WHERE id = $1)
			AND (r.cancel = $2 OR r.state IN ('proposed', 'approved', 'submitted') OR r.state = 'sent' AND r.settled_at >= m.settled_at))
		ORDER BY m.user_id`)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(t.ctx, entry, c.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var users []HeldUser
	for rows.Next() {
		u := HeldUser{Entry: entry}
		if err := rows.Scan(&u.ID, &u.Email, &u.SCIM); err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, rows.Err()
}

// decideReopens carries a person's word on a hold over to the reopens that it
// proposes.
func (t *tx) decideReopens(h Hold) error {
	entries, err := t.ids(`SELECT DISTINCT entry FROM reopens WHERE hold = $1 AND state = 'proposed'`, h.ID)
	if err != nil {
		return err
	}
	state, reason := ReopenApproved, ""
	if h.State == HoldRejected {
		state, reason = ReopenDropped, h.Reason
	}
	for _, entry := range entries {
		if err := t.exec(`UPDATE reopens SET state = $3, reason = $4, settled_at = $5 WHERE hold = $1 AND entry = $2 AND state = 'proposed'`,
			h.ID, entry, string(state), reason, settledIf(state == ReopenDropped, t.now)); err != nil {
			return err
		}
		if err := t.watchAsDecided(entry, h.ID, state); err != nil {
			return err
		}
		if err := t.audit(row{action: "reopen_" + string(state), entry: entry, actor: h.DecidedBy,
			facts: map[string]any{"hold": h.ID}}); err != nil {
			return err
		}
	}
	return nil
}

// watchAsDecided ends the watch with an approval. With a no to what a rescind has
// proposed it goes on: the person has left after all. A rehire has ended it.
func (t *tx) watchAsDecided(entry, hold int64, state ReopenState) error {
	if state == ReopenApproved {
		return t.exec(`UPDATE entries SET watch_over = 1 WHERE id = $1`, entry)
	}
	return t.exec(`UPDATE entries SET watch_over = 0 WHERE id = $1
		AND NOT EXISTS (SELECT 1 FROM reopens r JOIN cancels c ON c.id = r.cancel WHERE r.hold = $2 AND r.entry = $1 AND c.kind = 'rehired')
		AND NOT EXISTS (SELECT 1 FROM entries later WHERE later.leaver = entries.leaver AND later.account = entries.account AND later.id > $1)`,
		entry, hold)
}

func settledIf(settled bool, now time.Time) int64 {
	if settled {
		return micros(now)
	}
	return 0
}

// leavesAgain is the reason of a reopen that was given up for a later termination.
const leavesAgain = "terminated"

// dropReopens gives up what was to be opened again for a leaver who, by a later
// word, leaves again. What is on the wire is settled first, and not sent anew.
func (t *tx) dropReopens(leaver string, word time.Time) error {
	const ofWord = `entry IN (SELECT id FROM entries WHERE leaver = $1) AND (SELECT word_at FROM cancels WHERE id = reopens.cancel) <= $2`
	const of = `state IN ('proposed', 'approved') AND ` + ofWord
	if err := t.exec(`UPDATE reopens SET reason = '`+leavesAgain+`' WHERE state = 'submitted' AND `+ofWord, leaver, micros(word)); err != nil {
		return err
	}
	entries, err := t.ids(`SELECT DISTINCT entry FROM reopens WHERE `+of, leaver, micros(word))
	if err != nil || len(entries) == 0 {
		return err
	}
	holds, err := t.ids(`SELECT DISTINCT hold FROM reopens WHERE `+of, leaver, micros(word))
	if err != nil {
		return err
	}
	if err := t.exec(`UPDATE reopens SET state = 'dropped', reason = '`+leavesAgain+`', settled_at = $3 WHERE `+of,
		leaver, micros(word), micros(t.now)); err != nil {
		return err
	}
	for _, entry := range entries {
		if err := t.audit(row{action: "reopen_dropped", entry: entry, facts: map[string]any{"reason": leavesAgain}}); err != nil {
			return err
		}
	}
	for _, hold := range holds {
		if err := t.endEmptyHold(hold); err != nil {
			return err
		}
	}
	return nil
}
