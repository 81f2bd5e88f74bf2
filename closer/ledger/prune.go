package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// prunedFacts are what a row says of what was pruned in its transaction.
type prunedFacts struct {
	Entries []int64 `json:"entries"`
	UpTo    int64   `json:"up_to"` // the last row of the audit that went; 0: none did
	Hash    string  `json:"hash"`  // of that row
}

// Prune deletes what was settled before this time: entries, all of the same leaving
// together, with their users, keys and holds, and the oldest rows of the audit, as
// far as they are about nothing that is still there. What a sink has not published
// yet stays. The newest row of each table stays as well, so that no number is ever
// given twice. What the chain then begins after is kept, and on record. It returns
// how many entries and rows of the audit went.
func (l *Ledger) Prune(ctx context.Context, before time.Time, sinks []string) (entries, rows int, err error) {
	_, err = l.repeat(ctx, before, func(t *tx, before int64) (int, error) {
		gone, err := t.pruneEntries(before)
		if err != nil {
			return 0, err
		}
		others, err := t.pruneOthers(before)
		if err != nil {
			return 0, err
		}
		first, upTo, err := t.cutChain(before, sinks)
		if err != nil {
			return 0, err
		}
		cut := 0
		if upTo.Seq > 0 {
			cut = int(upTo.Seq - first + 1)
		}
		entries, rows = entries+len(gone), rows+cut
		if len(gone)+cut == 0 {
			return others, nil
		}
		return len(gone) + cut + others, t.audit(row{action: actionPruned, facts: map[string]any{
			"entries": gone, "up_to": upTo.Seq, "hash": upTo.Hash, "before": stamp(fromMicros(before))}})
	})
	return entries, rows, err
}

// root is the first entry of the same leaving as e.
func root(e string) string {
	return `CASE ` + e + `.split_from WHEN 0 THEN ` + e + `.id ELSE ` + e + `.split_from END`
}

// pruneEntries deletes entries with what hangs on them, and returns which.
func (t *tx) pruneEntries(before int64) ([]int64, error) {
	roots, err := t.ids(`SELECT DISTINCT `+root("e")+` FROM entries e WHERE e.settled_at > 0 AND e.settled_at <= $1
		AND NOT EXISTS (SELECT 1 FROM entries o WHERE o.leaver = e.leaver AND `+root("o")+` = `+root("e")+`
			AND (o.settled_at = 0 OR o.settled_at > $1 OR o.id = (SELECT MAX(id) FROM entries)
				OR EXISTS (SELECT 1 FROM reopens r WHERE r.entry = o.id AND `+liveReopen+`))) LIMIT $2`, before, erasedTogether)
	if err != nil {
		return nil, err
	}
	gone := make([]int64, 0, len(roots))
	for _, id := range roots {
		ids, err := t.ids(`SELECT o.id FROM entries e JOIN entries o ON o.leaver = e.leaver AND `+root("o")+` = $1 WHERE e.id = $1 ORDER BY o.id`, id)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if err := t.pruneEntry(id); err != nil {
				return nil, err
			}
		}
		gone = append(gone, ids...)
	}
	return gone, nil
}

func (t *tx) pruneEntry(id int64) error {
	for _, statement := range []string{
		`DELETE FROM identities WHERE cancel = 0 AND leaver = (SELECT leaver FROM entries WHERE id = $1)
			AND NOT EXISTS (SELECT 1 FROM entries o WHERE o.leaver = identities.leaver AND o.id <> $1)`,
		`DELETE FROM audit_personal WHERE seq IN (SELECT seq FROM audit WHERE entry = $1)`,
		`DELETE FROM memberships WHERE entry = $1`,
		`DELETE FROM hold_users WHERE entry = $1`,
		`UPDATE reopens SET email = '' WHERE entry = $1`,
		`DELETE FROM reopens WHERE entry = $1 AND id < (SELECT MAX(id) FROM reopens)`,
		`DELETE FROM ahead WHERE entry = $1`,
		`DELETE FROM entries WHERE id = $1`,
	} {
		if err := t.exec(statement, id); err != nil {
			return err
		}
	}
	return nil
}

// pruneOthers deletes what nothing that is there refers to any more, and returns
// how many rows.
func (t *tx) pruneOthers(before int64) (int, error) {
	sum := 0
	for _, old := range []struct{ table, where string }{
		{"holds", `state <> 'open' AND created_at <= $1 AND id < (SELECT MAX(id) FROM holds)
			AND id NOT IN (SELECT hold FROM hold_users) AND id NOT IN (SELECT hold FROM reopens)`},
		{"approvals", `at <= $1 AND hold NOT IN (SELECT id FROM holds)`},
		{"freezes", frozenUntil + ` <= $1 AND id < (SELECT MAX(id) FROM freezes)`},
		{"batches", `sent_at <= $1 AND id < (SELECT MAX(id) FROM batches) AND id NOT IN (SELECT batch FROM memberships)
			AND id NOT IN (SELECT MAX(id) FROM batches WHERE result <> 'withdrawn' GROUP BY account)`}, // that there was a first plan
		{"imports", `ended_at > 0 AND sent_at <= $1 AND id < (SELECT MAX(id) FROM imports) AND id NOT IN (SELECT import FROM batches)`},
		{"rejects", `state <> 'open' AND last_at <= $1 AND id < (SELECT MAX(id) FROM rejects)`},
		{"cancels", `received_at <= $1 AND effective_at <= $1 AND id < (SELECT MAX(id) FROM cancels)
			AND id NOT IN (SELECT cancel FROM entries WHERE cancel > 0) AND id NOT IN (SELECT cancel FROM reopens)`},
		{"identities", `cancel > 0 AND said <= $1 AND cancel NOT IN (SELECT id FROM cancels)`},
		{"keys", `received_at <= $1 AND entry NOT IN (SELECT id FROM entries)`},
	} {
		n, err := t.changed(`DELETE FROM `+old.table+` WHERE rowid IN (SELECT rowid FROM `+old.table+` WHERE `+old.where+` LIMIT $2)`, before, prunedTogether)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", old.table, err)
		}
		sum += int(n)
	}
	return sum, nil
}

// cutChain deletes the oldest rows of the audit, as far as they are older and about
// no entry that is there, and published. upTo is the last one, zero if there is
// none; first is the one that the chain had begun with.
func (t *tx) cutChain(before int64, sinks []string) (first int64, upTo Head, err error) {
	var newest int64
	if err := t.one(`SELECT COALESCE(MIN(seq), 0), COALESCE(MAX(seq), 0) FROM audit`, nil, &first, &newest); err != nil || first == newest {
		return first, Head{}, err
	}
	keep := min(newest, first+cutTogether)
	var stays int64
	err = t.one(`SELECT a.seq FROM audit a WHERE a.at > $1 OR EXISTS (SELECT 1 FROM entries e WHERE e.id = a.entry) ORDER BY a.seq LIMIT 1`,
		[]any{before}, &stays)
	switch {
	case err == nil:
		keep = min(keep, stays)
	case !errors.Is(err, sql.ErrNoRows):
		return first, Head{}, err
	}
	for _, sink := range sinks {
		var published int64
		err := t.one(`SELECT seq FROM cursors WHERE sink = $1`, []any{sink}, &published)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return first, Head{}, err
		}
		if err == nil {
			keep = min(keep, published+1)
		}
	}
	if keep <= first {
		return first, Head{}, nil
	}
	if err := t.one(`SELECT seq, hash FROM audit WHERE seq = $1`, []any{keep - 1}, &upTo.Seq, &upTo.Hash); err != nil {
		return first, Head{}, err
	}
	for _, statement := range []string{`DELETE FROM audit_personal WHERE seq < $1`, `DELETE FROM audit WHERE seq < $1`} {
		if err := t.exec(statement, keep); err != nil {
			return first, Head{}, err
		}
	}
	return first, upTo, t.setFact(afterFact, fmt.Sprintf("%d %s", upTo.Seq, upTo.Hash))
}
