package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"signoff/consumer"
)

// Explain tells the story of a leaver or an event; ErrNeverHeard, ErrNobodyBy or
// ErrNoEntry if nothing is known of it.
func (l *Ledger) Explain(ctx context.Context, ask Question) (Story, error) {
	q, err := l.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return Story{}, err
	}
	defer func() { _ = q.Rollback() }()
	t := &teller{ctx: ctx, q: q, story: Story{At: time.Now().UTC(), Accounts: make(map[string]Account)}}
	leavers, err := t.asked(ask)
	if err != nil {
		return Story{}, err
	}
	t.story.More = max(0, len(leavers)-storyLeavers)
	for _, leaver := range leavers[:min(len(leavers), storyLeavers)] {
		if err := t.leaver(leaver); err != nil {
			return Story{}, err
		}
	}
	if len(leavers) == 0 && len(t.story.Events) == 0 {
		switch {
		case ask.Entry != 0:
			return Story{}, ErrNoEntry
		case ask.Email != "":
			return Story{}, ErrNobodyBy
		}
		return Story{}, ErrNeverHeard
	}
	if t.story.Freezes, err = t.freezes(`ended_at = 0 AND until_at > $1 ORDER BY until_at, id`, t.story.At); err != nil {
		return Story{}, err
	}
	if err := q.Rollback(); err != nil { // what follows reads by connections of its own, of which there are few
		return Story{}, err
	}
	return t.story, l.around(ctx, &t.story)
}

// teller reads a story within one transaction.
type teller struct {
	ctx   context.Context
	q     *sql.Tx
	story Story
}

// The queries of a story that would walk a whole table if an index did not serve.
const (
	storyKeys    = `SELECT origin, source, id, entry, received_at FROM keys WHERE id = $1 AND ($2 = '' OR source = $2) ORDER BY received_at LIMIT 100`
	storyRejects = `SELECT ` + rejectColumns + `, NULL FROM rejects WHERE event_id = $1 AND ($2 = '' OR event_source = $2) ORDER BY id DESC LIMIT 100`
	storyCancels = `SELECT id, kind, origin, source, event_id, received_at FROM cancels WHERE event_id = $1`
	storyBy      = `SELECT DISTINCT leaver, 0 FROM identities WHERE value = $1 AND kind IN ('email', 'other') AND origin = '' AND source = '' AND cancel = 0 ORDER BY 1`
	storyNobody  = `SELECT id, kind, origin, source, event_id, received_at FROM cancels WHERE found = 0 AND id IN (
		SELECT cancel FROM identities WHERE value = $1 AND kind IN ('email', 'other') AND origin = '' AND source = '' AND cancel > 0) ORDER BY id LIMIT 100`
	storyOpenBy = `SELECT DISTINCT leaver, 0 FROM entries WHERE state IN ('waiting', 'due', 'held', 'submitted', 'would_close', 'failed')
		AND EXISTS (SELECT 1 FROM json_each(entries.emails) a WHERE a.value = $1) ORDER BY 1`
	storyEntries = `SELECT id, hold, deferred_until, watched_at, watch_over, erased_at, state = 'cancelled' AND reason = '` + sameAsOpen + `',
		split_from, COALESCE((SELECT c.effective_at FROM cancels c WHERE entries.cancel > 0 AND c.id = entries.cancel), 0), EXISTS (SELECT 1 FROM memberships m JOIN batches b ON b.id = m.batch JOIN imports i ON i.id = b.import
			WHERE m.entry = entries.id AND m.outcome = '' AND i.ended_at = 0) FROM entries WHERE leaver = $1`
	storyName   = `SELECT given_name, family_name FROM entries WHERE leaver = $1 AND given_name || family_name <> '' ORDER BY id DESC LIMIT 1`
	storyWork   = `SELECT employee_id, department, legal_entity FROM entries WHERE leaver = $1 ORDER BY id DESC LIMIT 1`
	storySteps  = `SELECT seq, at, action, entry, actor, facts FROM audit WHERE entry IN (SELECT value FROM json_each($1))`
	storyShared = `SELECT seq, at, action, entry, actor, facts FROM audit WHERE seq >= $1 AND ` + sharedActions + ` AND json_valid(facts)
		AND (json_extract(facts, '$.hold') IN (SELECT value FROM json_each($2)) OR json_extract(facts, '$.account') IN (SELECT value FROM json_each($3)))
		ORDER BY seq DESC LIMIT $4`
	storyHolds = `SELECT DISTINCT hold FROM hold_users WHERE entry IN (SELECT value FROM json_each($1))`
)

// sharedActions are the actions of rows that are about several leavers at once. The
// index audit_shared has the same list, or it would not serve.
const sharedActions = `action IN ('hold_approval', 'hold_approved', 'hold_rejected', 'hold_split', 'hold_expired',
	'account_parked', 'account_resumed')`

// asked finds the events and returns the leavers that a question is about.
func (t *teller) asked(ask Question) ([]string, error) {
	switch {
	case ask.Entry != 0:
		return t.names(`SELECT leaver, 0 FROM entries WHERE id = $1`, ask.Entry)
	case ask.Email == "":
		return t.ofEvent(ask)
	}
	leavers, err := t.names(storyBy, ask.Email)
	if err == nil && len(leavers) == 0 { // what only an entry has: all that are open are looked through
		leavers, err = t.names(storyOpenBy, ask.Email)
	}
	if err != nil || len(leavers) > 0 {
		return leavers, err
	}
	unmatched, err := t.cancels(storyNobody, ask.Email)
	for _, id := range slices.Sorted(maps.Keys(unmatched)) {
		t.story.Events = append(t.story.Events, unmatched[id])
	}
	return nil, err
}

// ofEvent finds what an id names: recorded events, and rejects.
func (t *teller) ofEvent(ask Question) ([]string, error) {
	cancels, err := t.cancels(storyCancels, ask.Event)
	if err != nil {
		return nil, err
	}
	var entries []int64
	if err := t.each(storyKeys, func(rows *sql.Rows) error {
		e := StoryEvent{Kind: consumer.Terminated}
		var received int64
		if err := rows.Scan(&e.Key.Origin, &e.Key.Source, &e.Key.ID, &e.Entry, &received); err != nil {
			return err
		}
		e.ReceivedAt = fromMicros(received)
		for _, c := range cancels {
			if c.Key == e.Key {
				e.Kind = c.Kind
			}
		}
		t.story.Events = append(t.story.Events, e)
		if e.Entry != 0 {
			entries = append(entries, e.Entry)
		}
		return nil
	}, ask.Event, ask.Source); err != nil {
		return nil, err
	}
	rejects, err := t.rejects(ask.Event, ask.Source)
	for _, r := range rejects {
		t.story.Events = append(t.story.Events, StoryEvent{Key: r.Key, ReceivedAt: r.ReceivedAt, Reject: &r})
	}
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	return t.names(`SELECT leaver, MIN(id) FROM entries WHERE id IN (SELECT value FROM json_each($1)) GROUP BY leaver ORDER BY 2`, list(entries))
}

func (t *teller) names(query string, args ...any) (all []string, err error) {
	err = t.each(query, func(rows *sql.Rows) error {
		var name string
		var unused int64
		if err := rows.Scan(&name, &unused); err != nil {
			return err
		}
		all = append(all, name)
		return nil
	}, args...)
	return all, err
}

func (t *teller) rejects(event, source string) ([]Reject, error) {
	rows, err := t.q.QueryContext(t.ctx, storyRejects, event, source)
	if err != nil {
		return nil, err
	}
	all, err := scanRejects(rows)
	slices.Reverse(all)
	return all, err
}

// cancels returns rescinds and rehires by their ids.
func (t *teller) cancels(query string, args ...any) (map[int64]StoryEvent, error) {
	all := make(map[int64]StoryEvent)
	err := t.each(query, func(rows *sql.Rows) error {
		var e StoryEvent
		var id, received int64
		if err := rows.Scan(&id, &e.Kind, &e.Key.Origin, &e.Key.Source, &e.Key.ID, &received); err != nil {
			return err
		}
		e.ReceivedAt = fromMicros(received)
		all[id] = e
		return nil
	}, args...)
	return all, err
}

// leaver tells of one leaver.
func (t *teller) leaver(name string) error {
	entries, roots, err := t.entries(name)
	if err != nil || len(entries) == 0 {
		return err
	}
	var one StoryLeaver
	for _, e := range entries {
		for _, address := range e.Emails {
			if !slices.Contains(one.Emails, address) {
				one.Emails = append(one.Emails, address)
			}
		}
	}
	if err := t.each(`SELECT value FROM identities WHERE leaver = $1 AND cancel = 0 AND kind IN ('email', 'other') ORDER BY kind, said`, func(rows *sql.Rows) error {
		var address string
		err := rows.Scan(&address)
		if err == nil && !slices.Contains(one.Emails, address) {
			one.Emails = append(one.Emails, address)
		}
		return err
	}, name); err != nil {
		return err
	}
	if err := t.each(storyName, func(rows *sql.Rows) error {
		var given, family string
		err := rows.Scan(&given, &family)
		one.Name = strings.TrimSpace(given + " " + family)
		return err
	}, name); err != nil {
		return err
	}
	if err := t.each(storyWork, func(rows *sql.Rows) error {
		return rows.Scan(&one.EmployeeID, &one.Department, &one.LegalEntity)
	}, name); err != nil {
		return err
	}
	leavings := t.leavings(entries, roots)
	one.More = max(0, len(leavings)-storyLeavings)
	for _, l := range leavings[one.More:] {
		if err := t.fill(&l); err != nil {
			return err
		}
		one.Leavings = append(one.Leavings, l)
	}
	t.story.Leavers = append(t.story.Leavers, one)
	return nil
}

// entries are those of a leaver, and of each the entry that it came of.
func (t *teller) entries(leaver string) (entries []StoryEntry, cameOf map[int64]int64, err error) {
	rows, err := t.q.QueryContext(t.ctx, `SELECT `+entryColumns+` FROM entries WHERE leaver = $1 ORDER BY id`, leaver)
	if err != nil {
		return nil, nil, err
	}
	plain, err := scanEntries(rows)
	if err != nil {
		return nil, nil, err
	}
	byID := make(map[int64]StoryEntry, len(plain))
	cameOf = make(map[int64]int64)
	if err := t.each(storyEntries, func(rows *sql.Rows) error {
		var e StoryEntry
		var id, deferred, watched, erased, split, back int64
		if err := rows.Scan(&id, &e.Hold, &deferred, &watched, &e.WatchOver, &erased, &e.GaveWay, &split, &back, &e.Importing); err != nil {
			return err
		}
		e.Deferred, e.TakenBack, e.WatchedAt, e.ErasedAt = fromMicros(deferred), fromMicros(back), fromMicros(watched), fromMicros(erased)
		byID[id] = e
		if split != 0 {
			cameOf[id] = split
		}
		return nil
	}, leaver); err != nil {
		return nil, nil, err
	}
	for _, p := range plain {
		e := byID[p.ID]
		e.Entry = p
		if e.State != Held {
			e.Hold = 0
		}
		entries = append(entries, e)
	}
	return entries, cameOf, t.links(entries, cameOf)
}

// links adds to what entries came of: who came back comes of the close, and who gave
// way goes on in another entry.
func (t *teller) links(entries []StoryEntry, cameOf map[int64]int64) error {
	var ids []int64
	for _, e := range entries {
		if e.Returned || e.GaveWay {
			ids = append(ids, e.ID)
		}
	}
	return t.each(`SELECT entry, facts FROM audit WHERE entry IN (SELECT value FROM json_each($1)) AND action IN ('returned', 'cancelled')`, func(rows *sql.Rows) error {
		var entry int64
		var text string
		if err := rows.Scan(&entry, &text); err != nil {
			return err
		}
		var f struct{ From, To int64 }
		_ = json.Unmarshal([]byte(text), &f) // what was made unreadable is for Verify to find
		if of := cmp.Or(f.From, f.To); of != 0 && cameOf[entry] == 0 {
			cameOf[entry] = of
		}
		return nil
	}, list(ids))
}

// leavings puts together the entries that came of each other, the oldest first.
func (t *teller) leavings(entries []StoryEntry, cameOf map[int64]int64) []StoryLeaving {
	known := make(map[int64]bool, len(entries))
	for _, e := range entries {
		known[e.ID] = true
	}
	first := func(id int64) int64 {
		for range entries { // a chain in a ring would have no end
			of := cameOf[id]
			if of == 0 || !known[of] {
				break
			}
			id = of
		}
		return id
	}
	of := make(map[int64][]StoryEntry)
	for _, e := range entries {
		of[first(e.ID)] = append(of[first(e.ID)], e)
	}
	var all []StoryLeaving
	for _, id := range slices.Sorted(maps.Keys(of)) {
		all = append(all, StoryLeaving{Entries: of[id]})
	}
	return all
}

// around adds to a story how its accounts fare, and how far the reading is.
func (l *Ledger) around(ctx context.Context, s *Story) (err error) {
	for id := range s.Accounts {
		if s.Accounts[id], err = l.Account(ctx, id); err != nil {
			return err
		}
	}
	if s.Reading, err = l.Reading(ctx); err != nil {
		return err
	}
	kept, err := l.fact(ctx, factAccounts)
	if err == nil && kept != "" {
		if err = json.Unmarshal([]byte(kept), &s.Kept); err != nil {
			err = fmt.Errorf("fact %s: %w", factAccounts, err)
		}
	}
	return err
}

func (t *teller) each(query string, do func(*sql.Rows) error, args ...any) error {
	return eachRow(t.ctx, t.q, do, query, args...)
}
