package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Order is the order of a list of entries.
type Order string

// The orders. A page goes on where the one before it ended, and costs no more.
const (
	ByNews Order = "new" // those first heard of last
	ByDue  Order = "due" // those due first
)

// Orders lists every Order.
func Orders() []Order { return []Order{ByNews, ByDue} }

// LeaverFilter says which entries are listed: those of which all of it is true. The
// zero value is about all of them.
type LeaverFilter struct {
	Text    string    // what they are searched by, see Search; "": nothing
	States  []State   // any of these; none: whichever
	Account string    // "": whichever
	Open    bool      // still waits for its outcome
	Late    time.Time // open, no rehearsal, and due before; zero: whenever
	Ready   time.Time // due, or waiting until then at the latest: what a run takes up; zero: whenever

	Returned bool // closed before, and open again
	Urgent   bool

	EffectiveFrom, EffectiveTo time.Time // To is not in it; zero: no end
	ReceivedFrom, ReceivedTo   time.Time
	SettledFrom, SettledTo     time.Time
	TookFrom, TookTo           time.Duration // from due until settled; 0: no end

	Order Order  // "": ByNews
	After Cursor // the zero value: from the beginning
	Limit int
}

// Cursor is where a page of a list ended.
type Cursor struct {
	Entry int64 // 0: nowhere
	DueAt time.Time
}

// Listed is an entry in a list.
type Listed struct {
	Entry
	GivenName, FamilyName   string // "" once they were erased
	Department, LegalEntity string
	Hold                    int64 // that it waits in; 0: none
}

// Cursor is where a list goes on after this entry.
func (l Listed) Cursor() Cursor { return Cursor{l.ID, l.DueAt} }

// Validate refuses words that no entry can have: by them a list would be empty, which
// looks as if nobody had left.
func (f LeaverFilter) Validate() error {
	for _, s := range f.States {
		if !slices.Contains(States(), s) {
			return fmt.Errorf("state: %q: none of %v", string(s), States())
		}
	}
	if f.Order != "" && !slices.Contains(Orders(), f.Order) {
		return fmt.Errorf("sort: %q: none of %v", string(f.Order), Orders())
	}
	return nil
}

// List returns a page of entries, and how many there are on all pages; -1: too many, of
// those whom a text speaks of, to be counted.
func (l *Ledger) List(ctx context.Context, f LeaverFilter) (page []Listed, total int, err error) {
	var hits found
	if text := strings.TrimSpace(f.Text); text != "" {
		if hits, err = l.search(ctx, text); err != nil {
			return nil, 0, err
		}
	}
	q := newListing(f, hits)
	if len(q.states) == 0 {
		return nil, 0, nil
	}
	total = -1
	if !hits.broad {
		// Not by the statements that are kept: there are more filters than room for them.
		if err := l.read.DB.QueryRowContext(ctx, q.count(), q.args...).Scan(&total); err != nil {
			return nil, 0, err
		}
	}
	var ids []int64
	q = newListing(f, hits)
	if err := eachRow(ctx, l.read.DB, func(rows *sql.Rows) error {
		var id, due int64
		err := rows.Scan(&id, &due)
		ids = append(ids, id)
		return err
	}, q.page(f), q.args...); err != nil {
		return nil, 0, err
	}
	page, err = l.listed(ctx, ids, f.Order)
	return page, total, err
}

// listing is the text of a query of a list, and what goes into it.
type listing struct {
	hits   string // entries that were searched for, a JSON list; "": it is about all
	states []State
	where  []string
	args   []any
}

func newListing(f LeaverFilter, hits found) *listing {
	q := &listing{states: slices.Compact(slices.Sorted(slices.Values(f.States)))}
	if len(f.States) == 0 {
		q.states = States()
	}
	if hits.broad {
		q.speaksOf(hits.text)
	} else {
		q.hits = hits.ids
	}
	if f.Open {
		q.only(State.Open)
	}
	if !f.Late.IsZero() {
		q.only(func(s State) bool { return s.Open() && s != WouldClose })
		q.and(`e.due_at < ?`, micros(f.Late))
	}
	if !f.Ready.IsZero() {
		q.only(func(s State) bool { return s == Due || s == Waiting })
		q.and(`(e.state = 'due' OR e.due_at <= ?)`, micros(f.Ready))
	}
	if f.Account != "" {
		q.and(`e.account = ?`, f.Account)
	}
	if f.Returned {
		q.and(`e.returned = 1`)
	}
	if f.Urgent {
		q.and(`e.urgent = 1`)
	}
	q.between(`e.effective_at`, micros(f.EffectiveFrom), micros(f.EffectiveTo))
	q.between(`e.received_at`, micros(f.ReceivedFrom), micros(f.ReceivedTo))
	q.between(`e.settled_at`, micros(f.SettledFrom), micros(f.SettledTo))
	if f.TookFrom > 0 || f.TookTo > 0 {
		q.only(func(s State) bool { return !s.Open() })
	}
	q.between(`e.settled_at - e.due_at`, f.TookFrom.Microseconds(), f.TookTo.Microseconds())
	return q
}

// only leaves those of the states that fit.
func (q *listing) only(fits func(State) bool) {
	q.states = slices.DeleteFunc(q.states, func(s State) bool { return !fits(s) })
}

// and adds a condition; each ? in it is the next of args.
func (q *listing) and(condition string, args ...any) {
	for _, a := range args {
		condition = strings.Replace(condition, "?", q.arg(a), 1)
	}
	q.where = append(q.where, condition)
}

// arg is how the query names a value.
func (q *listing) arg(value any) string {
	q.args = append(q.args, value)
	return fmt.Sprint("$", len(q.args))
}

// between adds that a column is at least from, and less than to; 0: no end.
func (q *listing) between(column string, from, to int64) {
	if from != 0 || to != 0 {
		q.and(column+` >= ?`, max(from, 1)) // 0 is none
	}
	if to != 0 {
		q.and(column+` < ?`, to)
	}
}

// page finds the ids of a page.
func (q *listing) page(f LeaverFilter) string {
	order := `id DESC`
	if f.Order == ByDue {
		order = `due_at, id`
		if f.After.Entry != 0 {
			due, id := q.arg(micros(f.After.DueAt)), q.arg(f.After.Entry)
			q.where = append(q.where, fmt.Sprintf(`e.due_at >= %s AND (e.due_at > %s OR e.id > %s)`, due, due, id))
		}
	} else if f.After.Entry != 0 {
		q.and(`e.id < ?`, f.After.Entry)
	}
	end := ` ORDER BY ` + order + ` LIMIT ` + q.arg(f.Limit)
	return q.each(`id, due_at`, `e.id AS id, e.due_at AS due_at`, end) + end
}

// count counts on all pages.
func (q *listing) count() string {
	if len(q.where) == 0 && q.hits == "" && len(q.states) == len(States()) {
		return `SELECT COUNT(*) FROM entries`
	}
	return `SELECT SUM(n) FROM (` + q.each(`n`, `COUNT(*) AS n`, ``) + `)`
}

// each selects something of those searched for, or of all, a state at a time: within one,
// an index has them in order, and no more of them are read than are shown.
func (q *listing) each(outer, inner, end string) string {
	from := `SELECT ` + inner + ` FROM entries e WHERE `
	if q.hits != "" {
		names := make([]string, 0, len(q.states))
		for _, s := range q.states {
			names = append(names, q.arg(string(s)))
		}
		// By their ids alone, and not by each state and id.
		return `SELECT ` + inner + ` FROM json_each(` + q.arg(q.hits) + `) hit CROSS JOIN entries e ON e.id = hit.value WHERE ` +
			strings.Join(append([]string{`CASE WHEN e.state IN (` + strings.Join(names, `, `) + `) THEN 1 ELSE 0 END = 1`}, q.where...), ` AND `)
	}
	var each []string
	for _, s := range q.states {
		each = append(each, `SELECT `+outer+` FROM (`+from+strings.Join(append([]string{`e.state = ` + q.arg(string(s))}, q.where...), ` AND `)+end+`)`)
	}
	return strings.Join(each, ` UNION ALL `)
}

// listed reads the entries of a page.
func (l *Ledger) listed(ctx context.Context, ids []int64, order Order) (all []Listed, err error) {
	sorted := ` ORDER BY id DESC`
	if order == ByDue {
		sorted = ` ORDER BY due_at, id`
	}
	rows, err := l.read.QueryContext(ctx, `SELECT `+entryColumns+`, given_name, family_name, department, legal_entity, CASE state WHEN 'held' THEN hold ELSE 0 END
		FROM entries WHERE id IN (SELECT value FROM json_each($1))`+sorted, list(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one Listed
		if one.Entry, err = scanEntry(rows, &one.GivenName, &one.FamilyName, &one.Department, &one.LegalEntity, &one.Hold); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, errors.Join(rows.Err(), rows.Close())
}
