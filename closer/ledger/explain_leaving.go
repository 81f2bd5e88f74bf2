package ledger

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"signoff/consumer"
)

// fill adds to a leaving what happened to it.
func (t *teller) fill(l *StoryLeaving) error {
	var ids []int64
	for _, e := range l.Entries {
		ids = append(ids, e.ID)
		if e.Account == "" {
			continue
		}
		if _, known := t.story.Accounts[e.Account]; !known {
			t.story.Accounts[e.Account] = Account{ID: e.Account}
		}
	}
	for _, add := range []func(*StoryLeaving, []int64) error{t.addSteps, t.addHolds, t.addShared, t.addCancels, t.addRejects, t.addReopens, t.addFreezes} {
		if err := add(l, ids); err != nil {
			return err
		}
	}
	return t.addPersonal(l)
}

// addSteps adds the rows of these entries: the oldest and the newest, if they are
// very many.
func (t *teller) addSteps(l *StoryLeaving, ids []int64) error {
	newest, err := t.steps(storySteps+` ORDER BY seq DESC LIMIT $2`, list(ids), storyLast)
	if err != nil {
		return err
	}
	slices.Reverse(newest)
	l.Steps = newest
	if len(newest) < storyLast {
		return nil
	}
	before := newest[0].Seq
	l.Gap = before
	oldest, err := t.steps(storySteps+` AND seq < $2 ORDER BY seq LIMIT $3`, list(ids), before, storyFirst)
	if err != nil {
		return err
	}
	l.Steps = slices.Concat(oldest, newest)
	return t.q.QueryRowContext(t.ctx, `SELECT MAX(0, COUNT(*) - $3) FROM audit WHERE entry IN (SELECT value FROM json_each($1)) AND seq < $2`,
		list(ids), before, len(oldest)).Scan(&l.More)
}

func (t *teller) steps(query string, args ...any) (all []Step, err error) {
	err = t.each(query, func(rows *sql.Rows) error {
		var s Step
		var at int64
		if err := rows.Scan(&s.Seq, &at, &s.Action, &s.Entry, &s.Actor, &s.Facts); err != nil {
			return err
		}
		s.At = fromMicros(at)
		all = append(all, s)
		return nil
	}, args...)
	return all, err
}

// addHolds adds the holds that name these entries; those that are open with whom they
// hold, and who has approved them.
func (t *teller) addHolds(l *StoryLeaving, ids []int64) error {
	holds, err := scanHolds(t.ctx, t.q, `WHERE id IN (`+storyHolds+`) ORDER BY id DESC LIMIT $2`, list(ids), storyFirst+storyLast)
	if err != nil {
		return err
	}
	l.Holds = make(map[int64]Hold, len(holds))
	for _, h := range holds {
		if h.State == HoldOpen {
			if h.Approvals, err = approvalsOf(t.ctx, t.q, h.ID); err != nil {
				return err
			}
			if h.Users, err = heldUsers(t.ctx, t.q, h); err != nil {
				return err
			}
		}
		l.Holds[h.ID] = h
	}
	return nil
}

// addShared adds the rows of the holds, and those of the accounts that were parked
// while one of these entries was due.
func (t *teller) addShared(l *StoryLeaving, _ []int64) error {
	if len(l.Steps) == 0 { // it was pruned
		return nil
	}
	holds := slices.Sorted(maps.Keys(l.Holds))
	accounts, err := json.Marshal(slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, e := range l.Entries {
			if e.Account != "" && !yield(e.Account) {
				return
			}
		}
	})))
	if err != nil {
		return err
	}
	shared, err := t.steps(storyShared, l.Steps[0].Seq, list(holds), string(accounts), storyLast)
	if err != nil {
		return err
	}
	for _, s := range shared {
		if s.Action == actionParked || s.Action == actionResumed {
			var f struct{ Account string }
			_ = json.Unmarshal([]byte(s.Facts), &f)
			if !slices.ContainsFunc(l.Entries, func(e StoryEntry) bool { return e.Account == f.Account && e.dueAt(s.At) }) {
				continue
			}
		}
		l.Steps = append(l.Steps, s)
	}
	slices.SortFunc(l.Steps, func(a, b Step) int { return cmp.Compare(a.Seq, b.Seq) })
	return nil
}

// addCancels adds the rescinds and rehires that the steps name.
func (t *teller) addCancels(l *StoryLeaving, _ []int64) (err error) {
	var ids []int64
	for _, s := range l.Steps {
		var f struct{ Cancel int64 }
		if _ = json.Unmarshal([]byte(s.Facts), &f); f.Cancel != 0 && !slices.Contains(ids, f.Cancel) {
			ids = append(ids, f.Cancel)
		}
	}
	l.Cancels, err = t.cancels(`SELECT id, kind, origin, source, event_id, received_at FROM cancels WHERE id IN (SELECT value FROM json_each($1))`, list(ids))
	return err
}

// addRejects adds the rejects that the leaving's events were before they were
// replayed.
func (t *teller) addRejects(l *StoryLeaving, ids []int64) error {
	var keys []consumer.Key
	if err := t.each(`SELECT origin, source, id FROM keys WHERE entry IN (SELECT value FROM json_each($1)) ORDER BY received_at LIMIT 50`, func(rows *sql.Rows) error {
		var k consumer.Key
		err := rows.Scan(&k.Origin, &k.Source, &k.ID)
		keys = append(keys, k)
		return err
	}, list(ids)); err != nil {
		return err
	}
	for _, k := range keys {
		rejects, err := t.rejects(k.ID, "")
		if err != nil {
			return err
		}
		for _, r := range rejects {
			if r.Key.Origin == k.Origin && (r.Key.Source == k.Source || r.nameless()) {
				l.Rejects = append(l.Rejects, r)
			}
		}
	}
	return nil
}

func (t *teller) addReopens(l *StoryLeaving, _ []int64) error {
	for i := range l.Entries {
		var err error
		if l.Entries[i].Reopens, err = reopens(t.ctx, t.q, `r.entry = $1 ORDER BY r.id`, l.Entries[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// addFreezes adds what was in force while one of the entries was due.
func (t *teller) addFreezes(l *StoryLeaving, _ []int64) error {
	all, err := t.freezes(`made_at <= $1 ORDER BY made_at`, t.story.At)
	for _, f := range all {
		until := f.Until
		if !f.EndedAt.IsZero() {
			until = f.EndedAt
		}
		if slices.ContainsFunc(l.Entries, func(e StoryEntry) bool {
			return !e.GaveWay && (f.Account == "" || f.Account == e.Account) && until.After(e.DueAt) && !e.DueAt.After(t.story.At) &&
				(e.SettledAt.IsZero() || f.At.Before(e.SettledAt))
		}) {
			l.Freezes = append(l.Freezes, f)
		}
	}
	return err
}

func (t *teller) freezes(where string, at time.Time) (all []Freeze, err error) {
	err = t.each(`SELECT id, account, until_at, reason, made_at, made_by, ended_at, ended_by FROM freezes WHERE `+where, func(rows *sql.Rows) error {
		var f Freeze
		var until, made, ended int64
		if err := rows.Scan(&f.ID, &f.Account, &until, &f.Reason, &made, &f.By, &ended, &f.EndedBy); err != nil {
			return err
		}
		f.Until, f.At, f.EndedAt = fromMicros(until), fromMicros(made), fromMicros(ended)
		all = append(all, f)
		return nil
	}, micros(at))
	return all, err
}

// addPersonal adds to the steps what is personal in them, and still there.
func (t *teller) addPersonal(l *StoryLeaving) error {
	at := make(map[int64]int, len(l.Steps))
	var rows []int64
	for i, s := range l.Steps {
		at[s.Seq] = i
		rows = append(rows, s.Seq)
	}
	return t.each(`SELECT seq, field, value FROM audit_personal WHERE seq IN (SELECT value FROM json_each($1)) AND field IN ('id', 'email', 'reason')`, func(rows *sql.Rows) error {
		var seq int64
		var field, value string
		if err := rows.Scan(&seq, &field, &value); err != nil {
			return err
		}
		s := &l.Steps[at[seq]]
		if s.Personal == nil {
			s.Personal = make(map[string]string)
		}
		s.Personal[field] = value
		return nil
	}, list(rows))
}
