package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// Class says what became of a leaving, in the words of a report.
type Class string

// The classes. A leaver, who may have left several accounts, is in the first that
// any of their entries is in: as late as the slowest.
const (
	StillOpen  Class = "open"
	Rehearsed  Class = "would_close" // by a dry run
	LeftOpen   Class = "skipped"     // a person said no
	ClosedLate Class = "closed_late"
	ClosedSoon Class = "closed_in_time"
	TakenBack  Class = "taken_back"
	NoUser     Class = "no_user" // none was open when the leaver was due
)

// Classes lists every Class, the slowest first.
func Classes() []Class {
	return []Class{StillOpen, Rehearsed, LeftOpen, ClosedLate, ClosedSoon, TakenBack, NoUser}
}

// Deferred is what a report calls an entry that waits by a person's word.
const Deferred State = "deferred"

// openStates are the states of those who are open still, the gravest first.
var openStates = []State{Failed, Held, Due, Submitted, Deferred, Waiting}

// Report says of everybody whose leaving took effect in a period what became of
// it. Times are UTC, zero for none.
type Report struct {
	Since, Until time.Time // of the period; Until is not in it
	At           time.Time // when it was made
	Deadline     time.Duration
	Head         int64  // last row of the audit then
	Hash         string // of the chain up to there
	All          Tally
	Accounts     []AccountTally // by account; a leaver counts in each of theirs
	Leavings     []Leaving      // by when they took effect
}

// Tally counts leavers, each in one class.
type Tally struct {
	Leavers     int
	Of          map[Class]int
	Open        map[State]int // those who are open still, by state
	Overdue     int           // of them, those past the deadline
	LoggedIn    int           // leavers who logged in after leaving, as far as is known
	LoginsKnown int           // leavers of whom it is known when a user of theirs last logged in
}

// WithUser is how many have a user to close, or may have one: all but those
// without, and those whose leaving was taken back.
func (t Tally) WithUser() int { return t.Leavers - t.Of[NoUser] - t.Of[TakenBack] }

// AccountTally is the tally of one account; "" are those who are, or were, in none.
type AccountTally struct {
	Account string
	Tally
}

// Leaving is one leaving of a leaver in one account: an entry, and what is on
// record of it.
type Leaving struct {
	Entry       int64
	Email       string // "" once it was erased
	Account     string
	Origin      string // topic or endpoint of the event, "" for a return, which no event told of
	Source      string // CloudEvents source of it
	EventID     string
	EffectiveAt time.Time
	ReceivedAt  time.Time
	DueAt       time.Time
	SettledAt   time.Time
	Took        time.Duration // from due until settled or, if it is open, until now; 0 before it is due
	Class       Class
	State       State
	Reason      string
	Hold        int64 // that it waits in; 0: none
	Returned    bool  // was closed before, and was open again
	Users       []LeavingUser
	Decisions   []Decided

	leaver string
}

// LeavingUser is a user of a leaving, and what became of them.
type LeavingUser struct {
	User
	Outcome State  // "" while there is none
	Trace   string // Docusign's token for the request
}

// Decided is a person's word on an entry.
type Decided struct {
	By, What string // the action in the audit
	At       time.Time
	Why      string
	Hold     int64 // on which it was said; 0: by hand
}

// LastLogin is when a user of the leaving last logged in; zero: never, or not known.
func (l Leaving) LastLogin() (last time.Time) {
	for _, u := range l.Users {
		if u.LastLogin.After(last) {
			last = u.LastLogin
		}
	}
	return last
}

// LoggedIn says whether a user of the leaver logged in after the leaving took
// effect. Of one that was taken back nobody asks.
func (l Leaving) LoggedIn() bool { return l.State != Cancelled && l.LastLogin().After(l.EffectiveAt) }

// Report reads what became of everybody whose leaving took effect from since
// until, without, until. deadline is from due to closed.
func (l *Ledger) Report(ctx context.Context, since, until time.Time, deadline time.Duration) (r Report, err error) {
	tx, err := l.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // all of it as of one moment
	if err != nil {
		return r, err
	}
	defer func() { _ = tx.Rollback() }()
	r = Report{Since: since.UTC(), Until: until.UTC(), At: time.Now().UTC(), Deadline: deadline}
	h, err := readHead(ctx, tx)
	if err != nil {
		return r, err
	}
	r.Head, r.Hash = h.Seq, h.Hash
	p := period{ctx, tx, []any{micros(since), micros(until)}, make(map[int64]*Leaving)}
	if err := p.read(); err != nil {
		return r, err
	}
	r.Leavings = p.leavings(r.At, deadline)
	r.tally()
	return r, nil
}

// period is the reading of the leavings of a period.
type period struct {
	ctx     context.Context
	q       querier
	bounds  []any
	byEntry map[int64]*Leaving
}

// inPeriod are the entries of a period, but for those that others have taken the place of.
const inPeriod = ` e.effective_at >= $1 AND e.effective_at < $2 AND NOT (e.state = 'cancelled' AND e.reason = '` + sameAsOpen + `') `

func (p period) read() error {
	return errors.Join(
		p.each(`SELECT e.id, e.leaver, e.account, e.state, e.reason, CASE e.state WHEN 'held' THEN e.hold ELSE 0 END, e.returned, e.effective_at, e.received_at, e.due_at, e.settled_at,
			e.deferred_until, e.erased_at FROM entries e WHERE`+inPeriod, p.scanEntry),
		p.each(`SELECT e.id, k.origin, k.source, k.id FROM entries e JOIN keys k
			ON k.entry = CASE e.split_from WHEN 0 THEN e.id ELSE e.split_from END WHERE`+inPeriod+`ORDER BY k.received_at`, p.scanEvent),
		p.each(`SELECT e.id, m.user_id, m.email, m.scim, m.last_login, m.outcome, m.trace FROM entries e JOIN memberships m ON m.entry = e.id
			WHERE`+inPeriod+`ORDER BY m.user_id`, p.scanUser),
		// Of those who are not closed the holds know most.
		p.each(`SELECT e.id, u.user_id, u.email, u.scim, MAX(u.last_login), '', '' FROM entries e JOIN hold_users u ON u.entry = e.id
			WHERE`+inPeriod+`AND e.state IN ('due', 'held', 'skipped')
			AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.entry = e.id AND m.user_id = u.user_id)
			GROUP BY e.id, u.user_id, u.email, u.scim ORDER BY u.user_id`, p.scanUser),
		p.each(`SELECT e.id, a.action, a.actor, a.at, a.facts, COALESCE(w.value, '') FROM entries e JOIN audit a ON a.entry = e.id
			LEFT JOIN audit_personal w ON w.seq = a.seq AND w.field = 'reason'
			WHERE`+inPeriod+`AND a.actor <> '' AND a.action IN
			('approved', 'rejected', 'approved_ahead', 'refused_ahead', 'deferred', 'urgent', 'skipped', 'retry_asked') ORDER BY a.seq`, p.scanDecision),
		p.addPeople())
}

func (p period) each(query string, scan func(*sql.Rows) error) error {
	return eachRow(p.ctx, p.q, scan, query, p.bounds...)
}

func (p period) scanEntry(rows *sql.Rows) error {
	var l Leaving
	var effective, received, due, settled, deferred, erased int64
	if err := rows.Scan(&l.Entry, &l.leaver, &l.Account, &l.State, &l.Reason, &l.Hold, &l.Returned, &effective, &received, &due, &settled, &deferred, &erased); err != nil {
		return err
	}
	l.EffectiveAt, l.ReceivedAt, l.DueAt, l.SettledAt = fromMicros(effective), fromMicros(received), fromMicros(due), fromMicros(settled)
	if erased == 0 {
		l.Email, _, _ = strings.Cut(l.leaver, " ")
	}
	if l.State == Waiting && deferred > 0 {
		l.State = Deferred
	}
	p.byEntry[l.Entry] = &l
	return nil
}

// scanEvent takes the first event of an entry: the one that made it.
func (p period) scanEvent(rows *sql.Rows) error {
	var entry int64
	var origin, source, id string
	if err := rows.Scan(&entry, &origin, &source, &id); err != nil {
		return err
	}
	if l := p.byEntry[entry]; l != nil && l.EventID == "" {
		l.Origin, l.Source, l.EventID = origin, source, id
	}
	return nil
}

func (p period) scanUser(rows *sql.Rows) error {
	var entry, last int64
	var u LeavingUser
	if err := rows.Scan(&entry, &u.ID, &u.Email, &u.SCIM, &last, &u.Outcome, &u.Trace); err != nil {
		return err
	}
	u.LastLogin = fromMicros(last)
	if l := p.byEntry[entry]; l != nil {
		l.Users = append(l.Users, u)
	}
	return nil
}

func (p period) scanDecision(rows *sql.Rows) error {
	var entry, at int64
	var d Decided
	var text string
	if err := rows.Scan(&entry, &d.What, &d.By, &at, &text, &d.Why); err != nil {
		return err
	}
	var facts struct {
		Hold int64 `json:"hold"`
	}
	_ = json.Unmarshal([]byte(text), &facts) // what was made unreadable is for VerifyAudit to find
	d.At, d.Hold = fromMicros(at), facts.Hold
	if l := p.byEntry[entry]; l != nil {
		l.Decisions = append(l.Decisions, d)
	}
	return nil
}

// addPeople adds to decisions on holds what was said, and where several had to say
// yes, all of them.
func (p period) addPeople() error {
	yes := make(map[int64][]Decided)
	err := eachRow(p.ctx, p.q, func(rows *sql.Rows) error {
		var d Decided
		var at int64
		err := rows.Scan(&d.Hold, &d.By, &d.Why, &at)
		d.At = fromMicros(at)
		yes[d.Hold] = append(yes[d.Hold], d)
		return err
	}, `SELECT hold, person, reason, at FROM approvals ORDER BY at, person`)
	if err != nil {
		return err
	}
	why := make(map[int64]string)
	err = eachRow(p.ctx, p.q, func(rows *sql.Rows) error {
		var hold int64
		var reason string
		err := rows.Scan(&hold, &reason)
		why[hold] = reason
		return err
	}, `SELECT id, reason FROM holds WHERE reason <> ''`)
	for _, l := range p.byEntry {
		var all []Decided
		for _, d := range l.Decisions {
			if d.Why == "" {
				d.Why = why[d.Hold]
			}
			approval := d.What == "approved" || d.What == "approved_ahead"
			if !approval || len(yes[d.Hold]) == 0 {
				all = append(all, d)
				continue
			}
			for _, one := range yes[d.Hold] {
				one.What = d.What
				all = append(all, one)
			}
		}
		l.Decisions = all
	}
	return err
}

// leavings are all that were read, with what follows from it.
func (p period) leavings(now time.Time, deadline time.Duration) []Leaving {
	all := make([]Leaving, 0, len(p.byEntry))
	for _, l := range p.byEntry {
		l.Class = classOf(*l, deadline)
		end := l.SettledAt
		if end.IsZero() {
			end = now
		}
		l.Took = max(0, end.Sub(l.DueAt))
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b Leaving) int {
		return cmp.Or(a.EffectiveAt.Compare(b.EffectiveAt), cmp.Compare(a.Entry, b.Entry))
	})
	return all
}

func classOf(l Leaving, deadline time.Duration) Class {
	switch l.State {
	case Closed:
		if l.SettledAt.Sub(l.DueAt) > deadline {
			return ClosedLate
		}
		return ClosedSoon
	case AlreadyClosed, NotFound:
		return NoUser
	case Cancelled:
		return TakenBack
	case Skipped:
		return LeftOpen
	case WouldClose:
		return Rehearsed
	}
	return StillOpen
}

// tally counts the leavings, in all and by account.
func (r *Report) tally() {
	byLeaver, byAccount := make(map[string][]Leaving), make(map[string]map[string][]Leaving)
	for _, l := range r.Leavings {
		byLeaver[l.leaver] = append(byLeaver[l.leaver], l)
		if byAccount[l.Account] == nil {
			byAccount[l.Account] = make(map[string][]Leaving)
		}
		byAccount[l.Account][l.leaver] = append(byAccount[l.Account][l.leaver], l)
	}
	r.All = r.tallyOf(byLeaver)
	for _, account := range slices.Sorted(maps.Keys(byAccount)) {
		r.Accounts = append(r.Accounts, AccountTally{account, r.tallyOf(byAccount[account])})
	}
}

func (r *Report) tallyOf(byLeaver map[string][]Leaving) Tally {
	t := Tally{Leavers: len(byLeaver), Of: make(map[Class]int), Open: make(map[State]int)}
	for _, leavings := range byLeaver {
		class := slowest(leavings, Classes(), func(l Leaving) Class { return l.Class })
		t.Of[class]++
		if class == StillOpen {
			t.Open[slowest(leavings, openStates, func(l Leaving) State { return l.State })]++
			if slices.ContainsFunc(leavings, func(l Leaving) bool { return l.Class == StillOpen && l.Took > r.Deadline }) {
				t.Overdue++
			}
		}
		if slices.ContainsFunc(leavings, Leaving.LoggedIn) {
			t.LoggedIn++
		}
		if slices.ContainsFunc(leavings, func(l Leaving) bool { return !l.LastLogin().IsZero() }) {
			t.LoginsKnown++
		}
	}
	return t
}

// slowest is the first of the words that one of the leavings has.
func slowest[T comparable](leavings []Leaving, words []T, of func(Leaving) T) T {
	i := slices.IndexFunc(words, func(w T) bool {
		return slices.ContainsFunc(leavings, func(l Leaving) bool { return of(l) == w })
	})
	return words[i]
}
