package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Period is a time from Since until before Until; zero: without such an end.
type Period struct {
	Since, Until time.Time
}

func (p Period) micros() (since, until int64) {
	since, until = math.MinInt64, math.MaxInt64
	if !p.Since.IsZero() {
		since = micros(p.Since)
	}
	if !p.Until.IsZero() {
		until = micros(p.Until)
	}
	return since, until
}

// EntryEvidence is all that the ledger has on one leaving of a leaver in one account.
// Times are UTC, zero for none.
type EntryEvidence struct {
	Entry         int64           `json:"entry"`
	Account       string          `json:"account"` // "" until it is first due
	State         State           `json:"state"`
	Reason        string          `json:"reason,omitempty"`
	Emails        []string        `json:"emails"` // none once they were erased
	GivenName     string          `json:"givenName,omitempty"`
	FamilyName    string          `json:"familyName,omitempty"`
	ManagerEmail  string          `json:"managerEmail,omitempty"`
	EmployeeID    string          `json:"employeeId,omitempty"`
	TerminationID string          `json:"terminationId,omitempty"`
	LegalEntity   string          `json:"legalEntity,omitempty"`
	Department    string          `json:"department,omitempty"`
	Urgent        bool            `json:"urgent"`
	Stale         bool            `json:"stale"`
	Previous      int64           `json:"previousEntry,omitempty"` // of one who has returned: by which they had been closed
	EffectiveAt   time.Time       `json:"effectiveAt,omitzero"`
	ReceivedAt    time.Time       `json:"receivedAt,omitzero"`
	DueAt         time.Time       `json:"dueAt,omitzero"`
	DeferredUntil time.Time       `json:"deferredUntil,omitzero"`
	SettledAt     time.Time       `json:"settledAt,omitzero"`
	HoursToClose  *float64        `json:"hoursToClose,omitempty"` // from due to closed
	Events        []EventEvidence `json:"events"`
	Holds         []HoldEvidence  `json:"holds"`
	Users         []UserEvidence  `json:"users"`
	Words         []WordEvidence  `json:"words"` // by hand, on this leaver alone
	Watch         *WatchEvidence  `json:"watch,omitempty"`
	ErasedAt      time.Time       `json:"erasedAt,omitzero"`
	AuditRow      int64           `json:"auditRow,omitempty"` // that has the outcome

	root int64
}

// EventEvidence is an event that was heard of the leaving.
type EventEvidence struct {
	What        string `json:"what"` // received, moved, confirmed, superseded, rescinded, rehired; "" where that is not known
	Origin      string `json:"origin"`
	Source      string `json:"source"`
	ID          string `json:"id"` // "" once it was erased
	OccurredAt  string `json:"occurredAt,omitempty"`
	EffectiveAt string `json:"effectiveAt,omitempty"`
	ReceivedAt  string `json:"receivedAt,omitempty"`
	By          string `json:"by,omitempty"` // the person who brought it
	TraceParent string `json:"traceParent,omitempty"`
}

// HoldEvidence is a hold that named the leaver, and who said what to it.
type HoldEvidence struct {
	Hold   int64          `json:"hold"`
	Kinds  []string       `json:"kinds"`
	State  HoldState      `json:"state"`
	Digest string         `json:"digest"`
	MadeAt time.Time      `json:"madeAt"`
	People []WordEvidence `json:"people"`
}

// WordEvidence is what a person said.
type WordEvidence struct {
	What   string    `json:"what"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
	Until  string    `json:"until,omitempty"` // of one that was deferred
}

// UserEvidence is a user of the account, the call that was to close it, and what came of it.
type UserEvidence struct {
	UserID     string    `json:"userId"`
	Email      string    `json:"email,omitempty"`
	Outcome    string    `json:"outcome"` // "" while there is none
	Reason     string    `json:"reason,omitempty"`
	Note       string    `json:"note,omitempty"`
	SCIM       bool      `json:"managedByScim"`
	Batch      int64     `json:"batch,omitempty"`
	SentAt     time.Time `json:"sentAt,omitzero"`
	AnsweredAt time.Time `json:"answeredAt,omitzero"`
	TraceToken string    `json:"traceToken,omitempty"`
	SettledAt  time.Time `json:"settledAt,omitzero"`
	LastLogin  time.Time `json:"lastLogin,omitzero"`
}

// WatchEvidence is what was seen of a leaver after the close.
type WatchEvidence struct {
	Until         time.Time `json:"until,omitzero"`
	LastLook      time.Time `json:"lastLook,omitzero"`
	Over          bool      `json:"over"` // before its time: the leaver is back, or was looked at by another entry
	ReturnedAt    time.Time `json:"returnedAt,omitzero"`
	ReturnedEntry int64     `json:"returnedEntry,omitempty"`
}

// leavingsTogether is how many leavings are read at once.
const leavingsTogether = 500

// Evidence is what the ledger has on the leavings that took effect within a period,
// and the rows of the audit about them, all as of one moment. It is to be closed.
type Evidence struct {
	ctx          context.Context
	q            *sql.Tx
	watch        time.Duration
	since, until int64
	about        map[int64]bool // entries that were handed over, and the first ones of their leavings
	first, last  int64          // rows of the audit about them
}

// Evidence opens the evidence of a period.
func (l *Ledger) Evidence(ctx context.Context, p Period) (*Evidence, error) {
	t, err := l.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	e := &Evidence{ctx: ctx, q: t, watch: l.cfg.Watch, about: make(map[int64]bool)}
	e.since, e.until = p.micros()
	return e, nil
}

// Close lets the ledger go.
func (e *Evidence) Close() error { return e.q.Rollback() }

// Leavings hands over every leaving of the period, the oldest entry first. An entry
// whose place another has taken is left out.
func (e *Evidence) Leavings(do func(EntryEvidence) error) error {
	for after := int64(0); ; {
		page, err := e.page(after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, found := range page {
			after = found.Entry
			if err := do(*found); err != nil {
				return err
			}
		}
	}
}

// page reads the next leavings with all that hangs on them.
func (e *Evidence) page(after int64) ([]*EntryEvidence, error) {
	page, err := e.leavings(after)
	if err != nil || len(page) == 0 {
		return nil, err
	}
	of := make(map[int64]*EntryEvidence, len(page))
	var ids, withRoots []int64
	for _, l := range page {
		of[l.Entry] = l
		ids = append(ids, l.Entry)
		withRoots = append(withRoots, l.Entry, l.root)
		e.about[l.Entry], e.about[l.root] = true, true
	}
	slices.Sort(withRoots)
	withRoots = slices.Compact(withRoots)
	for _, add := range []func() error{
		func() error { return e.addRows(page, withRoots) },
		func() error { return e.addKeys(page, withRoots) },
		func() error { return e.addUsers(of, ids) },
		func() error { return e.addHolds(of, ids) },
		func() error { return e.addReturns(of, ids) },
	} {
		if err := add(); err != nil {
			return nil, err
		}
	}
	for _, l := range page {
		l.conclude(e.watch)
	}
	return page, nil
}

func (e *Evidence) leavings(after int64) ([]*EntryEvidence, error) {
	var page []*EntryEvidence
	err := e.each(`SELECT id, CASE split_from WHEN 0 THEN id ELSE split_from END, account, state, reason, emails, given_name, family_name, manager_email,
		employee_id, termination_id, legal_entity, department, urgent, stale, effective_at, received_at, due_at, deferred_until, settled_at,
		watched_at, watch_over, erased_at FROM entries WHERE id > $1 AND effective_at >= $2 AND effective_at < $3
		AND NOT (state = 'cancelled' AND reason = '`+sameAsOpen+`') ORDER BY id LIMIT $4`, func(rows *sql.Rows) error {
		l := &EntryEvidence{Events: []EventEvidence{}, Holds: []HoldEvidence{}, Users: []UserEvidence{}, Words: []WordEvidence{}, Watch: &WatchEvidence{}}
		var emails string
		var effective, received, due, deferred, settled, watched, erased int64
		if err := rows.Scan(&l.Entry, &l.root, &l.Account, &l.State, &l.Reason, &emails, &l.GivenName, &l.FamilyName, &l.ManagerEmail,
			&l.EmployeeID, &l.TerminationID, &l.LegalEntity, &l.Department, &l.Urgent, &l.Stale, &effective, &received, &due, &deferred, &settled,
			&watched, &l.Watch.Over, &erased); err != nil {
			return err
		}
		l.EffectiveAt, l.ReceivedAt, l.DueAt, l.DeferredUntil = fromMicros(effective), fromMicros(received), fromMicros(due), fromMicros(deferred)
		l.SettledAt, l.Watch.LastLook, l.ErasedAt = fromMicros(settled), fromMicros(watched), fromMicros(erased)
		if err := json.Unmarshal([]byte(emails), &l.Emails); err != nil {
			return fmt.Errorf("entry %d: emails: %w", l.Entry, err)
		}
		page = append(page, l)
		return nil
	}, after, e.since, e.until, leavingsTogether)
	return page, err
}

// rowFacts are what rows of the audit about an entry say that evidence needs.
type rowFacts struct {
	Origin      string   `json:"origin"`
	Source      string   `json:"source"`
	ID          string   `json:"id"`
	OccurredAt  string   `json:"occurred_at"`
	EffectiveAt string   `json:"effective_at"`
	ReceivedAt  string   `json:"received_at"`
	Until       string   `json:"until"`
	Users       []string `json:"users"`
	From        int64    `json:"from"`
	TraceParent string   `json:"trace_parent"`
}

// addRows adds what the audit says of these entries: events, which those share that
// were split from one, outcomes and words of people.
func (e *Evidence) addRows(page []*EntryEvidence, entries []int64) error {
	of := make(map[int64][]*EntryEvidence)
	for _, l := range page {
		of[l.Entry] = append(of[l.Entry], l)
		if l.root != l.Entry {
			of[l.root] = append(of[l.root], l)
		}
	}
	return e.each(`SELECT a.entry, a.seq, a.at, a.action, a.actor, a.facts,
		COALESCE((SELECT value FROM audit_personal p WHERE p.seq = a.seq AND p.field = 'id'), ''),
		COALESCE((SELECT value FROM audit_personal p WHERE p.seq = a.seq AND p.field = 'reason'), '')
		FROM audit a WHERE a.entry IN (SELECT value FROM json_each($1)) ORDER BY a.seq`, func(rows *sql.Rows) error {
		var entry, seq, at int64
		var action, actor, text, id, reason string
		if err := rows.Scan(&entry, &seq, &at, &action, &actor, &text, &id, &reason); err != nil {
			return err
		}
		if e.first == 0 || seq < e.first {
			e.first = seq
		}
		e.last = max(e.last, seq)
		var f rowFacts
		_ = json.Unmarshal([]byte(text), &f) // what was made unreadable is for Verify to find
		for _, l := range of[entry] {
			if f.ReceivedAt != "" {
				l.hear(EventEvidence{What: action, Origin: f.Origin, Source: f.Source, ID: cmp.Or(f.ID, id), OccurredAt: f.OccurredAt,
					EffectiveAt: f.EffectiveAt, ReceivedAt: f.ReceivedAt, By: actor, TraceParent: f.TraceParent})
			}
			if l.Entry == entry {
				l.take(action, actor, seq, fromMicros(at), f, reason)
			}
		}
		return nil
	}, list(entries))
}

// hear adds an event, each once.
func (l *EntryEvidence) hear(e EventEvidence) {
	if !slices.ContainsFunc(l.Events, func(o EventEvidence) bool { return o.ID == e.ID && o.Source == e.Source && o.Origin == e.Origin }) {
		l.Events = append(l.Events, e)
	}
}

// take takes over what a row says of the entry itself.
func (l *EntryEvidence) take(action, actor string, seq int64, at time.Time, f rowFacts, reason string) {
	switch action {
	case "deferred", "urgent", "retry_asked":
		l.Words = append(l.Words, WordEvidence{What: action, By: actor, At: at, Reason: reason, Until: f.Until})
	case string(Skipped):
		l.Words, l.AuditRow = append(l.Words, WordEvidence{What: action, By: actor, At: at, Reason: reason}), seq
	case "returned":
		l.Previous = f.From
	case "rejected", string(Closed), string(AlreadyClosed), string(NotFound), string(Cancelled), string(Failed):
		l.AuditRow = seq
		if State(action) == AlreadyClosed {
			for _, id := range f.Users {
				l.Users = append(l.Users, UserEvidence{UserID: id, Outcome: action})
			}
		}
	}
}

// addKeys adds the events that another entry had heard before this one took its place.
func (e *Evidence) addKeys(page []*EntryEvidence, entries []int64) error {
	heard := make(map[int64][]EventEvidence)
	err := e.each(`SELECT entry, origin, source, id, received_at FROM keys WHERE entry IN (SELECT value FROM json_each($1)) ORDER BY received_at`,
		func(rows *sql.Rows) error {
			var entry, received int64
			var k EventEvidence
			if err := rows.Scan(&entry, &k.Origin, &k.Source, &k.ID, &received); err != nil {
				return err
			}
			if !strings.HasPrefix(k.ID, erasedPrefix) {
				k.ReceivedAt = stamp(fromMicros(received))
				heard[entry] = append(heard[entry], k)
			}
			return nil
		}, list(entries))
	for _, l := range page {
		for _, k := range heard[l.root] {
			l.hear(k)
		}
	}
	return err
}

func (e *Evidence) addUsers(of map[int64]*EntryEvidence, entries []int64) error {
	return e.each(`SELECT m.entry, m.user_id, m.email, m.outcome, m.reason, m.note, m.scim, m.trace, m.settled_at, m.last_login, m.batch,
		COALESCE(b.sent_at, 0), COALESCE(b.answered_at, 0) FROM memberships m LEFT JOIN batches b ON b.id = m.batch
		WHERE m.entry IN (SELECT value FROM json_each($1)) ORDER BY m.entry, m.user_id`, func(rows *sql.Rows) error {
		var entry, settled, login, sent, answered int64
		var u UserEvidence
		if err := rows.Scan(&entry, &u.UserID, &u.Email, &u.Outcome, &u.Reason, &u.Note, &u.SCIM, &u.TraceToken, &settled, &login, &u.Batch,
			&sent, &answered); err != nil {
			return err
		}
		u.SettledAt, u.LastLogin, u.SentAt, u.AnsweredAt = fromMicros(settled), fromMicros(login), fromMicros(sent), fromMicros(answered)
		l := of[entry]
		l.Users = slices.DeleteFunc(l.Users, func(o UserEvidence) bool { return o.UserID == u.UserID })
		l.Users = append(l.Users, u)
		return nil
	}, list(entries))
}

// addHolds adds the holds that named these entries, and who has decided on them. Of
// a hold that the entry had left before, it was not decided: it has ended for it. A
// plan that was approved ahead names the first entry of a leaving.
func (e *Evidence) addHolds(of map[int64]*EntryEvidence, entries []int64) error {
	people := make(map[int64][]WordEvidence)
	if err := e.each(`SELECT hold, person, reason, at FROM approvals WHERE hold IN (SELECT u.hold FROM entries e
		JOIN hold_users u ON u.entry IN (e.id, e.split_from) WHERE e.id IN (SELECT value FROM json_each($1))) ORDER BY at, person`, func(rows *sql.Rows) error {
		var hold, at int64
		w := WordEvidence{What: string(HoldApproved)}
		if err := rows.Scan(&hold, &w.By, &w.Reason, &at); err != nil {
			return err
		}
		w.At = fromMicros(at)
		people[hold] = append(people[hold], w)
		return nil
	}, list(entries)); err != nil {
		return err
	}
	return e.each(`SELECT e.id, h.id, h.kinds, h.state, h.digest, h.created_at, h.decided_at, h.decided_by, h.reason,
		h.state IN ('approved', 'rejected') AND MAX(u.decided) = 0
		FROM entries e JOIN hold_users u ON u.entry IN (e.id, e.split_from) JOIN holds h ON h.id = u.hold
		WHERE e.id IN (SELECT value FROM json_each($1)) AND (u.entry = e.id OR h.ahead = 1 AND h.account = e.account)
		GROUP BY e.id, h.id ORDER BY h.id`, func(rows *sql.Rows) error {
		var entry, made, decided int64
		var h HoldEvidence
		var kinds string
		var w WordEvidence
		var left bool
		if err := rows.Scan(&entry, &h.Hold, &kinds, &h.State, &h.Digest, &made, &decided, &w.By, &w.Reason, &left); err != nil {
			return err
		}
		h.Kinds, h.MadeAt, h.People = strings.Split(kinds, ","), fromMicros(made), []WordEvidence{}
		if left {
			h.State = HoldEnded
			of[entry].Holds = append(of[entry].Holds, h)
			return nil
		}
		h.People = append(h.People, people[h.Hold]...)
		if w.By != "" && !slices.ContainsFunc(h.People, func(p WordEvidence) bool { return p.By == w.By && h.State == HoldApproved }) {
			w.What, w.At = string(h.State), fromMicros(decided)
			h.People = append(h.People, w)
		}
		of[entry].Holds = append(of[entry].Holds, h)
		return nil
	}, list(entries))
}

// addReturns adds when those who were closed were found open again.
func (e *Evidence) addReturns(of map[int64]*EntryEvidence, entries []int64) error {
	return e.each(`SELECT DISTINCT a.entry, a.at, a.facts FROM entries o JOIN entries r ON r.leaver = o.leaver AND r.returned = 1
		JOIN audit a ON a.entry = r.id AND a.action = 'returned' WHERE o.id IN (SELECT value FROM json_each($1))`, func(rows *sql.Rows) error {
		var entry, at int64
		var text string
		if err := rows.Scan(&entry, &at, &text); err != nil {
			return err
		}
		var f rowFacts
		_ = json.Unmarshal([]byte(text), &f)
		if l := of[f.From]; l != nil {
			l.Watch.ReturnedAt, l.Watch.ReturnedEntry = fromMicros(at), entry
		}
		return nil
	}, list(entries))
}

// conclude tells what follows from the rest.
func (l *EntryEvidence) conclude(watch time.Duration) {
	if l.State != Closed && l.State != AlreadyClosed {
		l.Watch = nil
		return
	}
	hours := math.Round(max(0, l.SettledAt.Sub(l.DueAt).Hours())*100) / 100
	l.HoursToClose = &hours
	if watch > 0 {
		l.Watch.Until = l.SettledAt.Add(watch)
	}
}

// Rows hands over the rows of the audit, once Leavings has been called, from the
// first to the last that is of the period or about one of its leavings: without a
// gap, so that they can be checked by themselves, but with personal fields only
// where they are about these leavings, or about nobody and of the period.
func (e *Evidence) Rows(do func(ChainRow) error) error {
	if err := e.each(`SELECT COALESCE(MIN(seq), 0), COALESCE(MAX(seq), 0) FROM audit WHERE at >= $1 AND at < $2`, func(rows *sql.Rows) error {
		var first, last int64
		if err := rows.Scan(&first, &last); err != nil || first == 0 {
			return err
		}
		if e.first == 0 || first < e.first {
			e.first = first
		}
		e.last = max(e.last, last)
		return nil
	}, e.since, e.until); err != nil {
		return err
	}
	return eachChainRow(e.ctx, e.q, `a.seq BETWEEN $1 AND $2`, func(r ChainRow) error {
		if within := r.At >= e.since && r.At < e.until; !e.about[r.Entry] && (r.Entry != 0 || !within) {
			r.Values = nil
		}
		return do(r)
	}, e.first, e.last)
}

// each hands over the rows of a query.
func (e *Evidence) each(query string, do func(*sql.Rows) error, args ...any) error {
	return eachRow(e.ctx, e.q, do, query, args...)
}

// list is ids as json_each takes them.
func list(ids []int64) string {
	text, _ := json.Marshal(ids) // numbers cannot fail
	return string(text)
}
