package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Verified is what came of checking the audit, and what rests on it.
type Verified struct {
	Audit
	Defects
	After  Head // what the chain begins after: the zero value, unless rows were pruned
	Heads  int  // that went out and could be compared
	Ledger string
}

// VerifyAudit checks the chain and what rests on it, and returns the first defect
// as an error.
func (l *Ledger) VerifyAudit(ctx context.Context) (Audit, error) {
	v, err := l.Verify(ctx, nil)
	if err == nil && len(v.Texts) > 0 {
		err = errors.New(v.Texts[0])
	}
	return v.Audit, err
}

// Verify walks the whole chain, as it is at one moment, and names each row that is
// missing, edited or out of place, or whose personal fields are not what was
// recorded. Heads that went out show as well whether the end was cut off or all of
// it written anew. Then it compares the states of entries and holds with the chain:
// who looks closed must have been closed on record. A personal field that was
// erased is no defect.
func (l *Ledger) Verify(ctx context.Context, sent []Checkpoint) (Verified, error) {
	var v Verified
	t, err := l.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return v, err
	}
	defer func() { _ = t.Rollback() }()
	if err := t.QueryRowContext(ctx, `SELECT COALESCE((SELECT value FROM facts WHERE name = 'ledger'), '')`).Scan(&v.Ledger); err != nil {
		return v, err
	}
	if v.After, err = readAfter(ctx, t); err != nil {
		return v, err
	}
	chain := NewChain(v.After, sent)
	said := newRecord()
	if err := eachChainRow(ctx, t, `a.seq > 0`, func(r ChainRow) error {
		chain.Next(r)
		said.hear(r)
		return nil
	}); err != nil {
		return v, err
	}
	v.Heads = chain.End()
	if said.cut != v.After {
		chain.Add("the audit begins after row %d, and its rows say that those up to %d were pruned: its beginning was cut off", v.After.Seq, said.cut.Seq)
	}
	for _, check := range []func(context.Context, *sql.Tx, *record, *Chain) error{orphans, entriesAsSaid, holdsAsSaid} {
		if err := check(ctx, t, said, chain); err != nil {
			return v, err
		}
	}
	v.Audit, v.Defects = chain.Audit, chain.Defects
	return v, nil
}

// afterFact is the name of the fact that says what the chain begins after.
const afterFact = "audit_after"

func readAfter(ctx context.Context, q querier) (h Head, err error) {
	var text string
	err = q.QueryRowContext(ctx, `SELECT value FROM facts WHERE name = $1`, afterFact).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return Head{}, nil
	}
	if err == nil {
		_, err = fmt.Sscan(text, &h.Seq, &h.Hash)
	}
	if err != nil {
		err = fmt.Errorf("the fact %s: %w", afterFact, err)
	}
	return h, err
}

// eachChainRow hands over rows of the audit with what is left of their personal fields,
// in order.
func eachChainRow(ctx context.Context, q querier, where string, do func(ChainRow) error, args ...any) error {
	const columns = `a.seq, a.at, a.action, a.entry, a.actor, a.facts, a.personal, a.prev, a.hash, p.field, p.salt, p.value`
	query := `SELECT ` + columns + ` FROM audit a LEFT JOIN audit_personal p ON p.seq = a.seq WHERE ` + where + ` ORDER BY a.seq`
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var last ChainRow
	for rows.Next() {
		var r ChainRow
		var field, salt, value sql.NullString
		if err := rows.Scan(&r.Seq, &r.At, &r.Action, &r.Entry, &r.Actor, &r.Facts, &r.Personal, &r.Prev, &r.Hash, &field, &salt, &value); err != nil {
			return err
		}
		if r.Seq != last.Seq {
			if last.Seq != 0 {
				if err := do(last); err != nil {
					return err
				}
			}
			last = r
		}
		if field.Valid {
			if last.Values == nil {
				last.Values = make(map[string]SaltedValue)
			}
			last.Values[field.String] = SaltedValue{salt.String, value.String}
		}
	}
	if err := rows.Err(); err != nil || last.Seq == 0 {
		return err
	}
	return do(last)
}

// record is what the chain says of entries and holds.
type record struct {
	outcomes map[int64]State // of each entry that it names; "" while it has none
	decided  map[int64]HoldState
	pruned   map[int64]bool // entries that are gone, by their rows
	cut      Head           // up to where rows were pruned, by the last row that says so
}

func newRecord() *record {
	return &record{outcomes: make(map[int64]State), decided: make(map[int64]HoldState), pruned: make(map[int64]bool)}
}

// hear takes in a row. Facts that cannot be read are not its business: the row was
// changed, which its hash says.
func (c *record) hear(r ChainRow) {
	if r.Entry > 0 {
		outcome := c.outcomes[r.Entry]
		switch State(r.Action) {
		case Closed, AlreadyClosed, NotFound, Cancelled, Skipped, Failed:
			outcome = State(r.Action)
		case "rejected": // the entry, by a person's no to its hold
			outcome = Skipped
		}
		c.outcomes[r.Entry] = outcome
	}
	switch r.Action {
	case "hold_approved", "hold_rejected", "approved_ahead":
		var facts struct {
			Hold int64 `json:"hold"`
		}
		_ = json.Unmarshal([]byte(r.Facts), &facts)
		c.decided[facts.Hold] = HoldApproved
		if r.Action == "hold_rejected" {
			c.decided[facts.Hold] = HoldRejected
		}
	case actionPruned:
		var facts prunedFacts
		_ = json.Unmarshal([]byte(r.Facts), &facts)
		for _, id := range facts.Entries {
			c.pruned[id] = true
		}
		if facts.UpTo > 0 {
			c.cut = Head{facts.UpTo, facts.Hash}
		}
	}
}

// orphans finds personal fields whose row is gone.
func orphans(ctx context.Context, t *sql.Tx, _ *record, found *Chain) error {
	rows, err := t.QueryContext(ctx, `SELECT DISTINCT seq FROM audit_personal WHERE seq NOT IN (SELECT seq FROM audit) ORDER BY seq LIMIT $1`, MostDefects)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return err
		}
		if text := fmt.Sprintf("audit row %d is missing", seq); !slices.Contains(found.Texts, text) {
			found.Add("%s: its personal fields are there", text)
		}
	}
	return rows.Err()
}

// entriesAsSaid compares the state of each entry with what the chain says became
// of it.
func entriesAsSaid(ctx context.Context, t *sql.Tx, said *record, found *Chain) error {
	rows, err := t.QueryContext(ctx, `SELECT id, state FROM entries ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var state State
		if err := rows.Scan(&id, &state); err != nil {
			return err
		}
		outcome, known := said.outcomes[id]
		delete(said.outcomes, id)
		ended, final := state, outcome
		if state.Open() && state != Failed {
			ended = ""
		}
		if outcome == Failed && state != Failed { // tried again since
			final = ""
		}
		switch {
		case !known:
			found.Add("entry %d is %s, and the audit has no row of it", id, state)
		case ended == final:
		case final == "":
			found.Add("entry %d is %s, and the audit has no such outcome of it", id, state)
		default:
			found.Add("entry %d is %s, and by the audit it is %s", id, state, final)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(said.outcomes)) {
		if !said.pruned[id] {
			found.Add("entry %d is gone, and the audit has rows of it", id)
		}
	}
	return rows.Err()
}

// holdsAsSaid compares the holds that a person has decided with who has done so by
// the chain, as long as their people are there.
func holdsAsSaid(ctx context.Context, t *sql.Tx, said *record, found *Chain) error {
	rows, err := t.QueryContext(ctx, `SELECT id, state FROM holds h WHERE state IN ('approved', 'rejected')
		AND EXISTS (SELECT 1 FROM hold_users u JOIN entries e ON e.id = u.entry WHERE u.hold = h.id) ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var state HoldState
		if err := rows.Scan(&id, &state); err != nil {
			return err
		}
		if said.decided[id] != state {
			found.Add("hold %d is %s, and the audit has no such word of a person", id, state)
		}
	}
	return rows.Err()
}

// String is what was found, a line each.
func (d Defects) String() string {
	text := strings.Join(d.Texts, "\n")
	if d.More > 0 {
		text += fmt.Sprintf("\nand %d more", d.More)
	}
	return text
}

// Head returns where the chain ends now; the zero Head if nothing is on record.
func (l *Ledger) Head(ctx context.Context) (Head, error) {
	return readHead(ctx, l.read)
}
