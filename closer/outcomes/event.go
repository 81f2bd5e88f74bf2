package outcomes

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"signoff/closer/ledger"
)

// Event is a CloudEvent on its way.
type Event struct {
	ID      string // the same for the same row of the same chain
	Subject string // the employee's id or, where that will not do, what the event is about; never an email
	Body    []byte // the event in the JSON format

	TraceParent string // of the termination, or of what could not be understood; "" for none

	seq int64
}

// traceParent is the extension attribute, and the header, of a W3C trace context.
const traceParent = "traceparent"

// contentType is that of a Body.
const contentType = event.ApplicationCloudEventsJSON

// typeOf is the CloudEvents type of an outcome.
func typeOf(w ledger.What) string {
	about := "user"
	switch w {
	case ledger.WhatRejected:
		about = "event"
	case ledger.WhatParked, ledger.WhatResumed:
		about = "account"
	}
	return "dev.signoff." + about + "." + string(w) + ".v1"
}

// data is what an event says. outcome-v1.schema.json describes it.
type data struct {
	Entry         int64   `json:"entry,omitempty"`
	Account       string  `json:"account,omitempty"`
	EmployeeID    string  `json:"employeeId,omitempty"`
	TerminationID string  `json:"terminationId,omitempty"`
	Email         string  `json:"email,omitempty"`
	ManagerEmail  string  `json:"managerEmail,omitempty"`
	EffectiveAt   string  `json:"effectiveAt,omitempty"`
	DueAt         string  `json:"dueAt,omitempty"`
	At            string  `json:"at"`
	Users         []user  `json:"users,omitempty"`
	Reason        string  `json:"reason,omitempty"`
	By            string  `json:"by,omitempty"`
	Hold          *hold   `json:"hold,omitempty"`
	PreviousEntry int64   `json:"previousEntry,omitempty"`
	Reject        *reject `json:"reject,omitempty"`
	Advice        string  `json:"advice,omitempty"`
	Audit         audit   `json:"audit"`
}

type user struct {
	UserID     string `json:"userId"`
	Outcome    string `json:"outcome,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Note       string `json:"note,omitempty"`
	TraceToken string `json:"traceToken,omitempty"`
}

type hold struct {
	ID     int64         `json:"id"`
	Kinds  []ledger.Kind `json:"kinds,omitempty"`
	Detail string        `json:"detail,omitempty"`
}

type reject struct {
	ID       int64  `json:"id"`
	Origin   string `json:"origin"`
	Source   string `json:"source,omitempty"`
	EventID  string `json:"eventId,omitempty"`
	Position string `json:"position,omitempty"`
}

type audit struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

// eventMaker makes the events of one ledger.
type eventMaker struct{ ledger string }

func (m eventMaker) of(o ledger.Outcome) (Event, error) {
	e := event.New()
	// Not the number alone: a ledger that was put back counts on from where it was,
	// and what it then writes is something else.
	id := fmt.Sprintf("%s-%d-%.16s", m.ledger, o.Seq, o.Hash)
	subject := subjectOf(o)
	e.SetID(id)
	e.SetSource("/signoff/" + m.ledger)
	e.SetType(typeOf(o.What))
	e.SetSubject(subject)
	e.SetTime(o.At)
	e.SetExtension("partitionkey", subject)
	if o.TraceParent != "" { // what is done about it belongs to the trace that it came of
		e.SetExtension(traceParent, o.TraceParent)
	}
	if err := e.SetData(event.ApplicationJSON, dataOf(o)); err != nil {
		return Event{}, fmt.Errorf("row %d of the audit: %w", o.Seq, err)
	}
	body, err := json.Marshal(e)
	if err != nil {
		return Event{}, fmt.Errorf("row %d of the audit: %w", o.Seq, err)
	}
	return Event{ID: id, Subject: subject, Body: body, TraceParent: o.TraceParent, seq: o.Seq}, nil
}

func dataOf(o ledger.Outcome) data {
	d := data{
		Entry: o.Entry, Account: o.Account, EmployeeID: short(o.EmployeeID), TerminationID: short(o.TerminationID),
		Email: short(o.Email), ManagerEmail: short(o.ManagerEmail), EffectiveAt: stamp(o.EffectiveAt), DueAt: stamp(o.DueAt), At: stamp(o.At),
		Reason: short(o.Reason), By: short(o.By), PreviousEntry: o.ClosedBy, Advice: short(o.Advice), Audit: audit{o.Seq, o.Hash},
	}
	for _, u := range o.Users {
		d.Users = append(d.Users, user{UserID: u.ID, Outcome: u.Outcome, Reason: u.Reason, Note: u.Note, TraceToken: u.Trace})
	}
	if o.Hold != 0 {
		d.Hold = &hold{o.Hold, o.Kinds, short(o.Detail)}
	}
	if o.What == ledger.WhatRejected {
		d.Reject = &reject{o.Reject, o.Origin, short(o.Source), short(o.EventID), o.Position}
	}
	return d
}

// subjectOf is what the event is about, as brokers, proxies and logs may know it.
func subjectOf(o ledger.Outcome) string {
	switch {
	case mayBeSeen(o.EmployeeID):
		return o.EmployeeID
	case o.Entry != 0:
		return fmt.Sprint("entry/", o.Entry)
	case o.What == ledger.WhatRejected:
		return fmt.Sprint("reject/", o.Reject)
	}
	return "account/" + o.Account
}

// mayBeSeen says whether an employee's id is fit to be an attribute: it is short,
// has no character that attributes may not have, and is no email, as it is in
// some companies.
func mayBeSeen(id string) bool {
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	return id != "" && len(id) <= 128 && id == strings.TrimSpace(id) && utf8.ValidString(id) && !strings.ContainsFunc(id, odd) &&
		!strings.Contains(id, "@") && !strings.Contains(id, "%40")
}

// maxText is the longest text that an event takes over from somebody else, in
// bytes: one that no broker would take would keep all that come after it waiting.
const maxText = 1 << 10

func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// stamp is a time as events write it; "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
