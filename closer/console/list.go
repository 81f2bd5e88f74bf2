package console

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"signoff/closer/ledger"
)

// LeaverFilter says which leavers are listed: those of whom all of it is true. The zero
// value is about all of them. Of each span To is not in it; a zero time is no end.
type LeaverFilter struct {
	Text     string   `json:"text,omitempty"`   // an address, a name, or the beginning of either; an employee's id, a userId, an event's id or the number of an entry
	States   []string `json:"states,omitempty"` // any of these; none: whichever
	Account  string   `json:"account,omitempty"`
	Open     bool     `json:"open,omitempty"`    // without an outcome yet
	Overdue  bool     `json:"overdue,omitempty"` // were to be closed by now
	Ready    bool     `json:"ready,omitempty"`   // the next runs take them up
	Returned bool     `json:"returned,omitempty"`
	Urgent   bool     `json:"urgent,omitempty"`

	EffectiveFrom time.Time `json:"effectiveFrom,omitzero"` // when the leaving takes effect
	EffectiveTo   time.Time `json:"effectiveTo,omitzero"`

	ReceivedFrom time.Time `json:"receivedFrom,omitzero"`
	ReceivedTo   time.Time `json:"receivedTo,omitzero"`
	SettledFrom  time.Time `json:"settledFrom,omitzero"`
	SettledTo    time.Time `json:"settledTo,omitzero"`
	TookFrom     int       `json:"tookFrom,omitempty"` // seconds from due until settled
	TookTo       int       `json:"tookTo,omitempty"`   // 0: no end

	Sort  string `json:"sort,omitempty"`  // new (those first heard of last) or due (those due first); "": new
	After string `json:"after,omitempty"` // Next of the page before
	Limit int    `json:"limit,omitempty"` // 0: 50
}

// Leavers is a page of leavers.
type Leavers struct {
	Leavers []LeaverRow `json:"leavers"`
	Next    string      `json:"next,omitempty"` // after of the next page; "": this is the last
	Total   int         `json:"total"`          // of all pages; -1: too many to be counted each time
}

// LeaverRow is one leaving of a leaver in one account. Times are UTC, zero for none.
type LeaverRow struct {
	Entry       int64  `json:"entry"`
	Email       string `json:"email"` // like name "" for those who have not signed in, and once it was erased
	MoreEmails  int    `json:"moreEmails"`
	Name        string `json:"name"`
	Department  string `json:"department"` // like legalEntity "" for those who have not signed in
	LegalEntity string `json:"legalEntity"`
	Account     string `json:"account"` // "" until first due
	State       string `json:"state"`
	Reason      string `json:"reason"`
	Hold        int64  `json:"hold,omitempty"` // that it waits in
	Urgent      bool   `json:"urgent"`
	Returned    bool   `json:"returned"` // was closed before, and is open again
	Overdue     bool   `json:"overdue"`

	EffectiveAt time.Time `json:"effectiveAt"`
	ReceivedAt  time.Time `json:"receivedAt"`
	DueAt       time.Time `json:"dueAt"`
	DeadlineAt  time.Time `json:"deadlineAt,omitzero"` // until when it is to be closed
	NextAt      time.Time `json:"nextAt,omitzero"`     // not tried again before
	SettledAt   time.Time `json:"settledAt,omitzero"`
}

const (
	leaverPage = 50  // leavers listed at once, unless asked for more or less
	maxText    = 200 // characters that leavers are searched by
)

// MostLeavers is how many leavers may be listed at once.
const MostLeavers = 1000

func (s *Server) listLeavers(w http.ResponseWriter, r *http.Request, who principal) {
	f, err := ReadLeaverFilter(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	s.leavers(w, r, who, f)
}

func (s *Server) searchLeavers(w http.ResponseWriter, r *http.Request, who principal) {
	var f LeaverFilter
	if !readBody(w, r, maxBody, &f, `{"text": "ana"}`) {
		return
	}
	s.leavers(w, r, who, f)
}

func (s *Server) leavers(w http.ResponseWriter, r *http.Request, who principal, f LeaverFilter) {
	if f.Text = strings.TrimSpace(f.Text); f.Text != "" && who.name == "" {
		problem(w, http.StatusForbidden, "text: finding people needs a named person, see admin.tokens_file")
		return
	}
	now, pace := time.Now().UTC(), s.daemon.Pace()
	asked, err := f.asked(now, pace.Deadline)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	page, err := s.listed(r, asked, func(l ledger.Listed) LeaverRow { return showLeaver(l, now, pace.Deadline, who.name != "") })
	if err != nil {
		s.fail(w, err)
		return
	}
	answer(w, page)
}

func (s *Server) listed(r *http.Request, f ledger.LeaverFilter, show func(ledger.Listed) LeaverRow) (Leavers, error) {
	page := Leavers{Leavers: []LeaverRow{}}
	f.Limit++ // one more tells that there is one
	found, total, err := s.ledger.List(r.Context(), f)
	if err != nil {
		return page, err
	}
	page.Total = total
	if len(found) == f.Limit {
		found = found[:f.Limit-1]
		page.Next = cursorText(found[len(found)-1].Cursor())
	}
	for _, l := range found {
		page.Leavers = append(page.Leavers, show(l))
	}
	return page, nil
}

// showLeaver is an entry as the API shows it, to those who have signed in or to others.
func showLeaver(l ledger.Listed, now time.Time, deadline time.Duration, signedIn bool) LeaverRow {
	row := LeaverRow{Entry: l.ID, Account: l.Account, State: string(l.State), Reason: l.Reason, Hold: l.Hold, Urgent: l.Urgent, Returned: l.Returned,
		EffectiveAt: l.EffectiveAt, ReceivedAt: l.ReceivedAt, DueAt: l.DueAt, NextAt: l.NextAt, SettledAt: l.SettledAt}
	if deadline > 0 {
		row.DeadlineAt = l.DueAt.Add(deadline)
		row.Overdue = l.State.Open() && l.State != ledger.WouldClose && row.DeadlineAt.Before(now)
	}
	if !signedIn {
		if l.State == ledger.Skipped {
			row.Reason = "" // a person's words may name anybody
		}
		return row
	}
	if len(l.Emails) > 0 {
		row.Email, row.MoreEmails = l.Emails[0], len(l.Emails)-1
	}
	row.Name = strings.TrimSpace(l.GivenName + " " + l.FamilyName)
	row.Department, row.LegalEntity = l.Department, l.LegalEntity
	return row
}

// asked is the filter as the ledger has it.
func (f LeaverFilter) asked(now time.Time, deadline time.Duration) (ledger.LeaverFilter, error) {
	asked := ledger.LeaverFilter{Text: f.Text, Account: f.Account, Open: f.Open, Returned: f.Returned, Urgent: f.Urgent,
		EffectiveFrom: f.EffectiveFrom, EffectiveTo: f.EffectiveTo, ReceivedFrom: f.ReceivedFrom, ReceivedTo: f.ReceivedTo, SettledFrom: f.SettledFrom, SettledTo: f.SettledTo,
		TookFrom: time.Duration(f.TookFrom) * time.Second, TookTo: time.Duration(f.TookTo) * time.Second, Limit: cmp.Or(f.Limit, leaverPage)}
	set(&asked.Order, cmp.Or(f.Sort, string(ledger.ByNews)))
	for _, state := range f.States {
		asked.States = append(asked.States, ledger.State(state))
	}
	if f.Overdue {
		asked.Late = time.UnixMicro(1) // without a deadline nobody is
		if deadline > 0 {
			asked.Late = now.Add(-deadline)
		}
	}
	if f.Ready {
		asked.Ready = now
	}
	err := asked.Validate()
	switch {
	case err != nil:
		return asked, err
	case utf8.RuneCountInString(f.Text) > maxText:
		return asked, fmt.Errorf("text: longer than %d characters", maxText)
	case f.Limit < 0 || f.Limit > MostLeavers:
		return asked, fmt.Errorf("limit: not a number from 1 to %d", MostLeavers)
	case f.TookFrom < 0 || f.TookTo < 0 || f.TookFrom > mostSeconds || f.TookTo > mostSeconds:
		return asked, fmt.Errorf("tookFrom, tookTo: not a number of seconds from 0 to %d", mostSeconds)
	}
	asked.After, err = cursorOf(f.After)
	return asked, err
}

// mostSeconds are a hundred years.
const mostSeconds = 100 * 366 * 24 * 60 * 60

// cursorText is a cursor as a page has it.
func cursorText(c ledger.Cursor) string {
	return strconv.FormatInt(c.DueAt.UnixMicro(), 36) + "." + strconv.FormatInt(c.Entry, 36)
}

// cursorOf reads it.
func cursorOf(text string) (c ledger.Cursor, err error) {
	if text == "" {
		return c, nil
	}
	due, entry, _ := strings.Cut(text, ".")
	at, err := strconv.ParseInt(due, 36, 64)
	if err == nil {
		c.Entry, err = strconv.ParseInt(entry, 36, 64)
	}
	if err != nil || c.Entry < 1 {
		return c, errors.New("after: not the next of a page")
	}
	c.DueAt = time.UnixMicro(at)
	return c, nil
}

// ReadLeaverFilter reads a filter from a query, as Query makes it. Its Text is not in it.
func ReadLeaverFilter(q url.Values) (LeaverFilter, error) {
	f := LeaverFilter{Account: q.Get("account"), Sort: q.Get("sort"), After: q.Get("after"), States: slices.Clone(q["state"])}
	var errs []error
	for name, into := range map[string]*bool{"open": &f.Open, "overdue": &f.Overdue, "ready": &f.Ready, "returned": &f.Returned, "urgent": &f.Urgent} {
		errs = append(errs, read(q, name, into, strconv.ParseBool, "neither true nor false"))
	}
	for name, into := range f.times() {
		errs = append(errs, read(q, name, into, func(text string) (time.Time, error) { return time.Parse(time.RFC3339, text) }, "not a time such as 2026-11-28T09:00:00Z"))
	}
	for name, into := range map[string]*int{"took_from": &f.TookFrom, "took_to": &f.TookTo} {
		errs = append(errs, read(q, name, into, strconv.Atoi, "not a number of seconds"))
	}
	errs = append(errs, read(q, "limit", &f.Limit, positive, fmt.Sprintf("not a number from 1 to %d", MostLeavers)))
	return f, cmp.Or(errs...)
}

// times are the ends of its spans, by how a query names them.
func (f *LeaverFilter) times() map[string]*time.Time {
	return map[string]*time.Time{"effective_from": &f.EffectiveFrom, "effective_to": &f.EffectiveTo, "received_from": &f.ReceivedFrom,
		"received_to": &f.ReceivedTo, "settled_from": &f.SettledFrom, "settled_to": &f.SettledTo}
}

// read reads a value of a query, where it is there.
func read[T any](q url.Values, name string, into *T, parse func(string) (T, error), wrong string) error {
	text := q.Get(name)
	if text == "" {
		return nil
	}
	value, err := parse(text)
	if err != nil {
		return fmt.Errorf("%s: %s", name, wrong)
	}
	*into = value
	return nil
}

func positive(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err == nil && n < 1 {
		err = strconv.ErrRange
	}
	return n, err
}

// Query is the filter as a query has it; its Text is not in it.
func (f LeaverFilter) Query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"account": f.Account, "sort": f.Sort, "after": f.After} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(f.States) > 0 {
		q["state"] = f.States
	}
	for name, value := range map[string]bool{"open": f.Open, "overdue": f.Overdue, "ready": f.Ready, "returned": f.Returned, "urgent": f.Urgent} {
		if value {
			q.Set(name, "true")
		}
	}
	for name, value := range f.times() {
		if !value.IsZero() {
			q.Set(name, value.Format(time.RFC3339Nano))
		}
	}
	for name, value := range map[string]int{"took_from": f.TookFrom, "took_to": f.TookTo, "limit": f.Limit} {
		if value != 0 {
			q.Set(name, strconv.Itoa(value))
		}
	}
	return q
}
