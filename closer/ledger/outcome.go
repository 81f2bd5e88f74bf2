package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

// Outcome is a row of the audit that others want to hear of: what became of an
// entry, that it waits for a person, or that something stands in the way. What
// the row says is as it was then; who the leaver is, as the entry has it now,
// and nothing once that was erased. Times are UTC, zero for none.
type Outcome struct {
	Seq  int64  // number of the row
	Hash string // of the chain up to the row
	At   time.Time
	What What

	Entry         int64 // 0 where it is about no leaver
	Account       string
	Email         string
	EmployeeID    string
	TerminationID string
	ManagerEmail  string
	EffectiveAt   time.Time
	DueAt         time.Time
	Users         []OutcomeUser

	Reason   string // of a resumed account: why it had been parked
	By       string // the person who said so; "" for signoff itself
	Hold     int64
	Kinds    []Kind
	Detail   string // of the hold
	ClosedBy int64  // of a return: the entry by which the leaver had been closed
	Reject   int64
	Origin   string // of a reject: topic or endpoint
	Source   string // of a reject: CloudEvents source, as far as it could be read
	EventID  string // of a reject: CloudEvents id, as far as it could be read
	Position string // of a reject: "topic/partition/offset" in Kafka, else ""
	Advice   string // of a parked account: what a person must do

	TraceParent string // W3C trace context that the termination, or the reject, came with; "" for none
}

// OutcomeUser is a user that an outcome names.
type OutcomeUser struct {
	ID      string `json:"user"`
	Outcome string `json:"outcome,omitempty"` // closed, already_closed, failed, reopen_sent, reopen_failed; "" while there is none
	Reason  string `json:"reason,omitempty"`
	Note    string `json:"note,omitempty"`  // what else there is to say, in a fixed word
	Trace   string `json:"trace,omitempty"` // Docusign's token for the request
}

// What says what an Outcome is.
type What string

// What there is besides the outcomes of entries, which go by their State.
const (
	WhatHeld         What = "held"
	WhatReturned     What = "returned"
	WhatReopenSent   What = OutcomeReopenSent
	WhatReopenFailed What = "reopen_failed"
	WhatRejected     What = "rejected" // an event that could not be understood
	WhatParked       What = "parked"
	WhatResumed      What = "resumed"
)

// Whats lists every What.
func Whats() []What {
	var all []What
	for _, s := range Outcomes() {
		all = append(all, What(s))
	}
	return append(all, WhatHeld, WhatReturned, WhatReopenSent, WhatReopenFailed, WhatRejected, WhatParked, WhatResumed)
}

// The actions of an account in the audit.
const (
	actionParked  = "account_parked"
	actionResumed = "account_resumed"
)

// outcomeActions are the actions in the audit that make an Outcome. The index
// audit_outcomes has the same list, or it would not serve.
const outcomeActions = `action IN ('closed', 'already_closed', 'not_found', 'cancelled', 'skipped',
	'rejected', 'failed', 'held', 'returned', 'reopen_proposed', 'reopen_sent', 'reopen_failed', 'reject', 'account_parked', 'account_resumed')`

// whatOf is what an action makes: a person's no to a hold skips the entry, and a
// proposal to open somebody again waits for a person as any hold does.
func whatOf(action string) What {
	switch action {
	case "rejected":
		return What(Skipped)
	case "reopen_proposed":
		return WhatHeld
	case "reject":
		return WhatRejected
	case actionParked:
		return WhatParked
	case actionResumed:
		return WhatResumed
	}
	return What(action)
}

// outcomeFacts are what the rows of these actions say.
type outcomeFacts struct {
	Reason      string        `json:"reason"`
	Memberships []OutcomeUser `json:"memberships"`
	Users       []string      `json:"users"`
	User        string        `json:"user"`
	Trace       string        `json:"trace"`
	Hold        int64         `json:"hold"`
	Kinds       []Kind        `json:"kinds"`
	DryRun      bool          `json:"dry_run"`
	Again       bool          `json:"again"`
	From        int64         `json:"from"`
	Account     string        `json:"account"`
	Advice      string        `json:"advice"`
	Reject      int64         `json:"reject"`
	Origin      string        `json:"origin"`
	Source      string        `json:"source"`
	ID          string        `json:"id"`
	Position    string        `json:"position"`
	TraceParent string        `json:"trace_parent"`
}

// untold says that a row is none of anybody else's business: another entry of
// the same leaver goes on in its place, a dry run's hold leaves nothing to
// decide, and that Docusign still refuses for the same reason was told.
func (f outcomeFacts) untold() bool { return f.Reason == sameAsOpen || f.DryRun || f.Again }

// OutcomesAfter returns the outcomes after a row of the audit, in the order in
// which they came to be, and the row up to which it looked: at most limit rows
// that may be outcomes. Both are of what is on disk.
func (l *Ledger) OutcomesAfter(ctx context.Context, after int64, limit int) (found []Outcome, upTo int64, err error) {
	rows, err := l.read.QueryContext(ctx, `SELECT a.seq, a.at, a.action, a.entry, a.actor, a.facts, a.hash,
		COALESCE(e.account, ''), CASE WHEN e.erased_at > 0 THEN '' ELSE COALESCE(substr(e.leaver, 1, instr(e.leaver || ' ', ' ') - 1), '') END, COALESCE(e.employee_id, ''), COALESCE(e.termination_id, ''),
		COALESCE(e.manager_email, ''), COALESCE(e.effective_at, 0), COALESCE(e.due_at, 0), COALESCE(e.trace_parent, '')
		FROM audit a LEFT JOIN entries e ON e.id = a.entry
		WHERE a.seq > $1 AND a.`+outcomeActions+` ORDER BY a.seq LIMIT $2`, after, limit)
	if err != nil {
		return nil, after, err
	}
	defer rows.Close()
	upTo = after
	for rows.Next() {
		o, facts, err := scanOutcome(rows)
		if err != nil {
			return nil, after, err
		}
		upTo = o.Seq
		if !facts.untold() {
			found = append(found, o)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, after, err
	}
	for i := range found {
		if err := l.addHold(ctx, &found[i]); err != nil {
			return nil, after, err
		}
	}
	return found, upTo, nil
}

func scanOutcome(rows *sql.Rows) (o Outcome, facts outcomeFacts, err error) {
	var at, effective, due int64
	var action, text string
	if err := rows.Scan(&o.Seq, &at, &action, &o.Entry, &o.By, &text, &o.Hash, &o.Account, &o.Email, &o.EmployeeID, &o.TerminationID,
		&o.ManagerEmail, &effective, &due, &o.TraceParent); err != nil {
		return o, facts, err
	}
	// What somebody has made unreadable is for VerifyAudit to find. It stops nobody from hearing of what comes after it.
	_ = json.Unmarshal([]byte(text), &facts)
	o.At, o.EffectiveAt, o.DueAt = fromMicros(at), fromMicros(effective), fromMicros(due)
	o.What = whatOf(action)
	o.Users = facts.Memberships
	if len(o.Users) == 0 {
		for _, id := range facts.Users {
			u := OutcomeUser{ID: id}
			if o.What == What(AlreadyClosed) {
				u.Outcome = string(AlreadyClosed)
			}
			o.Users = append(o.Users, u)
		}
	}
	o.Reason, o.Hold, o.Kinds = facts.Reason, facts.Hold, facts.Kinds
	switch o.What {
	case WhatHeld:
		if action == "reopen_proposed" {
			o.Kinds = []Kind{Reopening}
		}
	case WhatReturned:
		o.ClosedBy = facts.From
	case WhatReopenSent, WhatReopenFailed:
		o.Users = []OutcomeUser{{ID: facts.User, Outcome: string(o.What), Reason: facts.Reason, Trace: facts.Trace}}
	case WhatRejected:
		o.Reject, o.Origin, o.Source, o.EventID, o.Position = facts.Reject, facts.Origin, facts.Source, facts.ID, facts.Position
		o.TraceParent = facts.TraceParent
	case WhatParked, WhatResumed:
		o.Account, o.Advice = facts.Account, facts.Advice
	}
	return o, facts, nil
}

// addHold adds what stands in the hold itself: its detail, or why a person said
// no to it. Where a person has skipped the leaver without one, the row has why.
func (l *Ledger) addHold(ctx context.Context, o *Outcome) error {
	if o.Hold == 0 {
		if o.What != What(Skipped) {
			return nil
		}
		err := l.read.QueryRowContext(ctx, `SELECT value FROM audit_personal WHERE seq = $1 AND field = 'reason'`, o.Seq).Scan(&o.Reason)
		if errors.Is(err, sql.ErrNoRows) { // it was erased
			return nil
		}
		return err
	}
	var detail, reason string
	err := l.read.QueryRowContext(ctx, `SELECT detail, reason FROM holds WHERE id = $1`, o.Hold).Scan(&detail, &reason)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if o.What == What(Skipped) {
		o.Reason = reason
	} else {
		o.Detail = detail
	}
	return nil
}

// memberships are the users of an entry that have an outcome, for the record;
// those of an entry that has failed are those that Docusign refused.
func (t *tx) memberships(entry int64, outcome State) ([]OutcomeUser, error) {
	s, err := t.prepared(`SELECT user_id, CASE outcome WHEN '' THEN $2 ELSE outcome END, CASE outcome WHEN '' THEN reason ELSE '' END, note, trace
		FROM memberships WHERE entry = $1 AND (outcome <> '' OR $2 = 'failed') ORDER BY user_id`)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(t.ctx, entry, string(outcome))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []OutcomeUser
	for rows.Next() {
		var u OutcomeUser
		if err := rows.Scan(&u.ID, &u.Outcome, &u.Reason, &u.Note, &u.Trace); err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, rows.Err()
}

// withMemberships adds the users of an entry to the facts of its outcome.
func (t *tx) withMemberships(facts map[string]any, entry int64, outcome State) (map[string]any, error) {
	users, err := t.memberships(entry, outcome)
	if len(users) > 0 {
		facts["memberships"] = users
	}
	return facts, err
}

// failedBefore says whether the last failure of an entry on record had the same
// reason.
func (t *tx) failedBefore(entry int64, reason string) (bool, error) {
	var text string
	err := t.one(`SELECT facts FROM audit WHERE entry = $1 AND action = 'failed' ORDER BY seq DESC LIMIT 1`, []any{entry}, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	var last outcomeFacts
	_ = json.Unmarshal([]byte(text), &last)
	return err == nil && last.Reason == reason, err
}

// auditAccount puts on record that an account was parked, for another reason
// than before, or goes on.
func (t *tx) auditAccount(id, parked, advice string) error {
	var before string
	err := t.one(`SELECT parked FROM accounts WHERE account = $1`, []any{id}, &before)
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	case parked == before:
		return nil
	case parked == "":
		return t.audit(row{action: actionResumed, facts: map[string]any{"account": id, "reason": before}})
	}
	return t.audit(row{action: actionParked, facts: map[string]any{"account": id, "reason": parked, "advice": advice}})
}
