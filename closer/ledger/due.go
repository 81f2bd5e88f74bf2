package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// sameAsOpen is the reason of an entry that came to nothing: the leaver had an
// open entry in every account, which took over what this one had heard.
const sameAsOpen = "same_as_open"

// BecomeDue makes due, in these accounts, what has waited until now and what
// Docusign refused a day ago. Where a leaver has waited for no account yet, each
// account gets an entry in which the leaver has no open one. Before that, what a
// rehire has taken back by now is cancelled.
func (l *Ledger) BecomeDue(ctx context.Context, accounts []string, now time.Time) error {
	var cancelled bool
	if err := l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 `+inEffect+`)`, micros(now)).Scan(&cancelled); err != nil {
		return err
	}
	if cancelled {
		if err := l.write(ctx, func(t *tx) error { return t.cancelInEffect(now) }); err != nil {
			return err
		}
	}
	ready, err := readyIn(ctx, l.read, accounts, now)
	for left := len(ready); left > 0 && err == nil; left -= dueTogether {
		err = l.becomeDue(ctx, accounts, now)
	}
	return err
}

// dueTogether is how many entries become due in one transaction: what comes in
// meanwhile waits for it.
const dueTogether = 1000

func (l *Ledger) becomeDue(ctx context.Context, accounts []string, now time.Time) error {
	return l.write(ctx, func(t *tx) error {
		ready, err := readyIn(t.ctx, t.conn, accounts, now)
		if err != nil {
			return err
		}
		for _, r := range ready[:min(len(ready), dueTogether)] {
			if r.account == "" {
				err = t.spread(r, accounts)
			} else {
				err = t.makeDue(r, r.account)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// readyEntry is an entry for which the time has come.
type readyEntry struct {
	id      int64
	leaver  string
	account string
	emails  []string
	wordAt  int64
	urgent  bool
}

const readyColumns = `id, leaver, account, emails, word_at, urgent`

func readyIn(ctx context.Context, q querier, accounts []string, now time.Time) ([]readyEntry, error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	all, err := readyEntries(ctx, q, `WHERE state = 'waiting' AND due_at <= $1 OR state = 'failed' AND next_at <= $1 ORDER BY id`, micros(now))
	return slices.DeleteFunc(all, func(r readyEntry) bool { return r.account != "" && !slices.Contains(accounts, r.account) }), err
}

func readyEntries(ctx context.Context, q querier, where string, args ...any) ([]readyEntry, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+readyColumns+` FROM entries `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []readyEntry
	for rows.Next() {
		var r readyEntry
		var emails string
		if err := rows.Scan(&r.id, &r.leaver, &r.account, &emails, &r.wordAt, &r.urgent); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(emails), &r.emails); err != nil {
			return nil, fmt.Errorf("entry %d: emails: %w", r.id, err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// makeDue makes an entry due in an account. What was closed there before is not
// watched any more: this entry will look again.
func (t *tx) makeDue(r readyEntry, account string) error {
	if err := t.exec(`UPDATE entries SET state = 'due', account = $2 WHERE id = $1`, r.id, account); err != nil {
		return err
	}
	if err := t.endWatches(r.leaver, account, r.id); err != nil {
		return err
	}
	if err := t.endAhead(r.id); err != nil {
		return err
	}
	return t.audit(row{action: "due", entry: r.id, facts: map[string]any{"account": account}})
}

// endWatches ends the watch of a leaver's earlier entries in the account, but for
// those of an address that this entry does not look up.
func (t *tx) endWatches(leaver, account string, id int64) error {
	return t.exec(`UPDATE entries SET watch_over = 1 WHERE leaver = $1 AND account = $2 AND id <> $3 AND watch_over = 0
		AND NOT EXISTS (SELECT 1 FROM json_each(entries.emails) old WHERE old.value NOT IN (
			SELECT own.value FROM entries e, json_each(e.emails) own WHERE e.id = $3))`,
		leaver, account, id)
}

// spread makes an entry that has waited for no account due in the first account
// where the leaver has no open one, and a copy of it in each of the others; none
// where a person has refused it ahead.
func (t *tx) spread(w readyEntry, accounts []string) error {
	open, err := readyEntries(t.ctx, t.conn, `WHERE leaver = $1 AND account <> '' AND state IN ('waiting', 'due', 'held', 'submitted', 'would_close', 'failed')
		ORDER BY id`, w.leaver)
	if err != nil {
		return err
	}
	placed := false
	var instead int64 // that has its place where it has none
	for _, account := range accounts {
		refused, err := t.refusedAhead(w.id, account)
		if err != nil {
			return err
		}
		switch i := slices.IndexFunc(open, func(o readyEntry) bool { return o.account == account }); {
		case i >= 0:
			instead = open[i].id
			err = t.tell(open[i], w)
		case refused != 0:
			instead = refused
		case !placed:
			placed = true
			err = t.makeDue(w, account)
		default:
			err = t.split(w, account)
		}
		if err != nil {
			return err
		}
	}
	if !placed {
		return t.giveWay(w, instead)
	}
	return nil
}

// person are the columns that tell who leaves, and by whose word: the same in
// every entry that comes of another.
const person = `leaver, emails, employee_id, termination_id, source, manager_email, given_name, family_name,
	legal_entity, department, urgent, word_at, effective_at, origin, cancel, brought_by, trace_parent`

// split makes a due entry of the same leaving in another account.
func (t *tx) split(w readyEntry, account string) error {
	id, err := t.nextID("entries")
	if err != nil {
		return err
	}
	if err := t.exec(`INSERT INTO entries (id, account, state, split_from, stale, due_at, deferred_until, approvals_after, received_at, `+person+`)
		SELECT $2, $3, 'due', CASE split_from WHEN 0 THEN id ELSE split_from END, stale, due_at, deferred_until, approvals_after, received_at, `+person+`
		FROM entries WHERE id = $1`, w.id, id, account); err != nil {
		return err
	}
	if err := t.endWatches(w.leaver, account, id); err != nil {
		return err
	}
	return t.audit(row{action: "due", entry: id, facts: map[string]any{"account": account, "from": w.id}})
}

// tell lets an open entry take over what one that waited has heard: addresses,
// urgency and, if that was said later, when employment ended.
func (t *tx) tell(o, w readyEntry) error {
	emails := joined(o.emails, w.emails)
	if len(emails) == len(o.emails) && w.wordAt <= o.wordAt && (o.urgent || !w.urgent) {
		return nil
	}
	list, err := json.Marshal(emails)
	if err != nil {
		return err
	}
	if err := t.exec(`UPDATE entries SET emails = $2, urgent = $3 WHERE id = $1`, o.id, string(list), flag(o.urgent || w.urgent)); err != nil {
		return err
	}
	if w.wordAt > o.wordAt {
		if err := t.exec(`UPDATE entries SET (word_at, effective_at, origin, source, termination_id, cancel) =
			(SELECT word_at, effective_at, origin, source, termination_id, cancel FROM entries WHERE id = $2) WHERE id = $1`, o.id, w.id); err != nil {
			return err
		}
	}
	return t.audit(row{action: "confirmed", entry: o.id, facts: map[string]any{"from": w.id}})
}

// giveWay cancels an entry whose place others have taken, and leads its events
// to one of them.
func (t *tx) giveWay(w readyEntry, to int64) error {
	if err := t.exec(`UPDATE entries SET state = 'cancelled', reason = $2, settled_at = $3 WHERE id = $1`,
		w.id, sameAsOpen, micros(t.now)); err != nil {
		return err
	}
	if err := t.exec(`UPDATE keys SET entry = $2 WHERE entry = $1`, w.id, to); err != nil {
		return err
	}
	return t.audit(row{action: string(Cancelled), entry: w.id, facts: map[string]any{"reason": sameAsOpen, "to": to}})
}

// UrgentDue says whether an urgent leaver may be closed in the account now, or
// looked up: one whose close was sent before unanswered, and not answered for
// though no import will do so.
func (l *Ledger) UrgentDue(ctx context.Context, account string, now, unanswered time.Time) (bool, error) {
	var due bool
	err := l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM entries WHERE urgent = 1 AND account IN ('', $1) AND
		(state IN ('waiting', 'due') AND due_at <= $2 AND next_at <= $2 OR state = 'submitted' AND sent_at <= $3
			AND EXISTS (SELECT 1 FROM memberships m JOIN batches b ON b.id = m.batch WHERE m.entry = entries.id AND m.outcome = ''
				AND b.import NOT IN (SELECT id FROM imports WHERE ended_at = 0 AND sent_at > $4))))`,
		account, micros(now), micros(unanswered), micros(unanswered.Add(-importAtMost))).Scan(&due)
	return due, err
}
