package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What people are called goes before what became of them: emails, names and the
// free words of people are erased after a while, rows much later. Either is done
// in small transactions, since what comes in meanwhile waits for each.
const (
	erasedTogether = 200  // leavers in one transaction
	prunedTogether = 1000 // rows of a table in one transaction
	cutTogether    = 5000 // rows of the audit in one transaction
)

// Erase erases the emails and names of all leavers who were settled before this
// time, in every account: of their entries, users, holds and reopens, and the
// personal fields of the audit, of which the salted hashes stay, so that the chain
// is what it was. Words of people, rescinds, rehires and rejects are erased by
// their own age. Ids stay, but for those that are addresses. It returns how many
// leavers it has erased. Scrub has to follow.
func (l *Ledger) Erase(ctx context.Context, before time.Time) (leavers int, err error) {
	if leavers, err = l.repeat(ctx, before, (*tx).eraseLeavers); err != nil {
		return leavers, err
	}
	for _, step := range []func(*tx, int64) (int, error){
		(*tx).eraseHolds, (*tx).eraseFreezes, (*tx).eraseCancels, (*tx).eraseRejects, (*tx).eraseWords,
	} {
		if _, err := l.repeat(ctx, before, step); err != nil {
			return leavers, err
		}
	}
	return leavers, nil
}

// repeat carries out a step, each time in a transaction of its own, until it finds
// nothing more to do.
func (l *Ledger) repeat(ctx context.Context, before time.Time, step func(*tx, int64) (int, error)) (done int, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		var n int
		err := l.write(ctx, func(t *tx) (err error) {
			if n, err = step(t, micros(before)); err != nil || n == 0 {
				return err
			}
			return t.setFact(unscrubbedFact, "1")
		})
		if done += n; err != nil || n == 0 {
			return done, err
		}
	}
}

// scrubEvery is how often, at most, the file is written anew. Deleting writes over
// what it deletes, but when SQLite moves rows from page to page it leaves copies of
// them in the room between.
const scrubEvery = 30 * 24 * time.Hour

// The facts by which Scrub knows what there is to do.
const (
	unscrubbedFact = "unscrubbed" // something was erased since the file was last written anew
	scrubbedFact   = "scrubbed_at"
)

// Scrub sees to it that nothing of what was erased is left in the ledger's files:
// it empties the write-ahead log, in which there are pages as they were before, and
// writes the file anew, at most once in 30 days, where something was erased. That
// takes as much free disk as the ledger is large. While somebody reads what is in
// the log it is not done, and says so: it is to be called again after a while.
func (l *Ledger) Scrub(ctx context.Context, now time.Time) (done bool, err error) {
	unscrubbed, err := l.fact(ctx, unscrubbedFact)
	if err != nil {
		return false, err
	}
	last, err := l.fact(ctx, scrubbedFact)
	if err != nil {
		return false, err
	}
	if at, bad := time.Parse(time.RFC3339Nano, last); unscrubbed != "" && (bad != nil || now.Sub(at) >= scrubEvery) {
		if err := l.rewrite(ctx, now); err != nil {
			return false, err
		}
	}
	failed := l.write(ctx, func(t *tx) error {
		t.afterwards(func() { done, err = emptyLog(t) })
		return nil
	})
	return done, errors.Join(failed, err)
}

func (l *Ledger) rewrite(ctx context.Context, now time.Time) (err error) {
	failed := l.write(ctx, func(t *tx) error {
		t.afterwards(func() { _, err = t.conn.ExecContext(t.ctx, `VACUUM`) }) // not within a transaction
		return nil
	})
	if err := errors.Join(failed, err); err != nil {
		return fmt.Errorf("write the ledger's file anew: %w", err)
	}
	return l.write(ctx, func(t *tx) error {
		if err := t.setFact(scrubbedFact, stamp(now)); err != nil {
			return err
		}
		return t.exec(`DELETE FROM facts WHERE name = $1`, unscrubbedFact)
	})
}

// emptyLog runs between two transactions. It does not wait for readers, who may
// take long: the writer has other things to do.
func emptyLog(t *tx) (bool, error) {
	if _, err := t.conn.ExecContext(t.ctx, `PRAGMA busy_timeout = 0`); err != nil {
		return false, err
	}
	var busy, pages, moved int
	err := t.conn.QueryRowContext(t.ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved)
	_, again := t.conn.ExecContext(t.ctx, fmt.Sprintf(`PRAGMA busy_timeout = %d`, busyTimeout.Milliseconds()))
	return err == nil && busy == 0, errors.Join(err, again)
}

// liveReopen says of a reopen r that something may come of it yet.
const liveReopen = `r.state IN ('proposed', 'approved', 'submitted')`

// erasedPrefix begins what stands in the place of a leaver's name, or of an event's
// id that was an address.
const erasedPrefix = "erased-"

func (t *tx) eraseLeavers(before int64) (int, error) {
	leavers, err := t.texts(`SELECT DISTINCT e.leaver FROM entries e WHERE e.settled_at > 0 AND e.erased_at = 0 AND e.settled_at <= $1
		AND NOT EXISTS (SELECT 1 FROM entries o WHERE o.leaver = e.leaver AND (o.settled_at = 0 OR o.settled_at > $1))
		AND NOT EXISTS (SELECT 1 FROM entries o JOIN reopens r ON r.entry = o.id WHERE o.leaver = e.leaver AND `+liveReopen+`)
		LIMIT $2`, before, erasedTogether)
	if err != nil {
		return 0, err
	}
	for _, leaver := range leavers {
		if err := t.eraseLeaver(leaver); err != nil {
			return 0, err
		}
	}
	return len(leavers), nil
}

// eraseLeaver gives a leaver a name that means nothing. What they went by goes
// altogether: whoever is called so from now on is somebody new.
func (t *tx) eraseLeaver(leaver string) error {
	ids, err := t.ids(`SELECT id FROM entries WHERE leaver = $1 ORDER BY id`, leaver)
	if err != nil {
		return err
	}
	if err := t.exec(`DELETE FROM identities WHERE leaver = $1 AND cancel = 0`, leaver); err != nil {
		return err
	}
	for _, id := range ids {
		if err := t.exec(`UPDATE entries SET leaver = $2, erased_at = $3, emails = '[]', manager_email = '', given_name = '', family_name = '',
			sent_emails = CASE sent_emails WHEN '' THEN '' ELSE '[]' END, reason = CASE state WHEN 'skipped' THEN '' ELSE reason END,
			employee_id = `+unlessAddress("employee_id")+`, termination_id = `+unlessAddress("termination_id")+` WHERE id = $1`,
			id, fmt.Sprint(erasedPrefix, ids[0]), micros(t.now)); err != nil {
			return err
		}
		for _, statement := range []string{
			`UPDATE memberships SET email = '' WHERE entry = $1`,
			`UPDATE hold_users SET email = '' WHERE entry = $1`,
			`UPDATE reopens SET email = '', reason = CASE state WHEN 'dropped' THEN '' ELSE reason END WHERE entry = $1`,
			`DELETE FROM ahead WHERE entry = $1`,
			`UPDATE keys SET id = '` + erasedPrefix + `' || lower(hex(randomblob(16))) WHERE entry = $1 AND instr(id, '@') > 0`,
			`DELETE FROM audit_personal WHERE seq IN (SELECT seq FROM audit WHERE entry = $1)`,
		} {
			if err := t.exec(statement, id); err != nil {
				return err
			}
		}
	}
	return t.audit(row{action: actionErased, entry: ids[0], facts: map[string]any{"entries": ids}})
}

// unlessAddress is an id, or nothing where it is an address, as it is in some
// companies.
func unlessAddress(column string) string {
	return `CASE WHEN instr(` + column + `, '@') > 0 THEN '' ELSE ` + column + ` END`
}

// The actions of erasing and pruning in the audit.
const (
	actionErased = "erased"
	actionPruned = "pruned"
)

// eraseEach finds ids, has each statement done to each of them, and puts on record
// whose words were erased.
func (t *tx) eraseEach(what, find string, before int64, statements ...string) (int, error) {
	ids, err := t.ids(find+` LIMIT $2`, before, prunedTogether)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	for _, id := range ids {
		for _, statement := range statements {
			if err := t.exec(statement, id); err != nil {
				return 0, err
			}
		}
	}
	return len(ids), t.audit(row{action: actionErased, facts: map[string]any{what: ids}})
}

// eraseHolds erases why people have decided as they did, once all of whom they
// decided on are erased.
func (t *tx) eraseHolds(before int64) (int, error) {
	return t.eraseEach("holds", `SELECT h.id FROM holds h WHERE h.state <> 'open' AND h.created_at <= $1
		AND (h.reason <> '' OR EXISTS (SELECT 1 FROM approvals a WHERE a.hold = h.id AND a.reason <> ''))
		AND NOT EXISTS (SELECT 1 FROM hold_users u JOIN entries e ON e.id = u.entry WHERE u.hold = h.id AND e.erased_at = 0)`, before,
		`UPDATE holds SET reason = '' WHERE id = $1`, `UPDATE approvals SET reason = '' WHERE hold = $1`)
}

// frozenUntil is when a freeze was over.
const frozenUntil = `CASE ended_at WHEN 0 THEN until_at ELSE ended_at END`

func (t *tx) eraseFreezes(before int64) (int, error) {
	return t.eraseEach("freezes", `SELECT id FROM freezes WHERE reason <> '' AND `+frozenUntil+` <= $1`, before,
		`UPDATE freezes SET reason = '' WHERE id = $1`)
}

// eraseCancels erases whom rescinds and rehires have spoken of, but for those that
// are still to take effect.
func (t *tx) eraseCancels(before int64) (int, error) {
	return t.eraseEach("cancels", `SELECT c.id FROM cancels c WHERE c.received_at <= $1 AND c.effective_at <= $1
		AND (length(c.payload) > 0 OR instr(c.event_id || c.termination_id, '@') > 0
			OR EXISTS (SELECT 1 FROM identities i WHERE i.cancel = c.id AND i.cancel > 0))
		AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.cancel = c.id AND e.cancel > 0 AND e.settled_at = 0)
		AND NOT EXISTS (SELECT 1 FROM reopens r WHERE r.cancel = c.id AND `+liveReopen+`)`, before,
		`DELETE FROM identities WHERE cancel = $1 AND cancel > 0 AND leaver = ''`,
		`UPDATE keys SET id = '`+erasedPrefix+`' || lower(hex(randomblob(16))) WHERE instr(id, '@') > 0
			AND (id, source, origin) IN (SELECT event_id, source, origin FROM cancels WHERE id = $1)`,
		`UPDATE cancels SET payload = X'', event_id = `+unlessAddress("event_id")+`, termination_id = `+unlessAddress("termination_id")+` WHERE id = $1`)
}

func (t *tx) eraseRejects(before int64) (int, error) {
	return t.eraseEach("rejects", `SELECT id FROM rejects WHERE last_at <= $1
		AND (length(payload) > 0 OR settled_reason <> '' OR instr(event_id, '@') > 0)`, before,
		`UPDATE rejects SET payload = X'', settled_reason = '', event_id = `+unlessAddress("event_id")+` WHERE id = $1`)
}

// eraseWords erases the personal fields of rows of the audit that are about no
// entry, but not why a hold was decided as long as the hold says it.
func (t *tx) eraseWords(before int64) (int, error) {
	seqs, err := t.ids(`SELECT DISTINCT a.seq FROM audit a CROSS JOIN audit_personal p ON p.seq = a.seq WHERE a.entry = 0 AND a.at <= $1
		AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.id = CASE WHEN json_valid(a.facts) THEN json_extract(a.facts, '$.hold') END
			AND (h.reason <> '' OR EXISTS (SELECT 1 FROM approvals s WHERE s.hold = h.id AND s.reason <> ''))) LIMIT $2`, before, prunedTogether)
	if err != nil || len(seqs) == 0 {
		return 0, err
	}
	for _, seq := range seqs {
		if err := t.exec(`DELETE FROM audit_personal WHERE seq = $1`, seq); err != nil {
			return 0, err
		}
	}
	return len(seqs), t.audit(row{action: actionErased, facts: map[string]any{"rows": len(seqs), "before": stamp(fromMicros(before))}})
}
