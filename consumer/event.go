// Package consumer holds what every source of terminations speaks: the Event
// that says what happened to one person, the Reject for what could not be
// understood, the Reader that makes both of what comes in, and the Recorder that
// keeps them before the source is acknowledged. The sources themselves are the
// rooms below: kafka and webhook.
//
// It knows CloudEvents and the canonical data of a termination. It knows
// nothing of Docusign, of accounts or of what becomes of an event.
package consumer

import (
	"context"
	"errors"
	"time"
)

// Kind is what an event says of a person.
type Kind string

// The kinds of event, each with its canonical CloudEvents type in Types.
const (
	Terminated Kind = "terminated"
	Rescinded  Kind = "rescinded" // the termination is taken back
	Rehired    Kind = "rehired"
)

// Source is the way an event came in; a value of the metric label `source`.
type Source string

// The ways in.
const (
	Kafka   Source = "kafka"
	Webhook Source = "webhook"
	CSV     Source = "csv"
)

// Key tells one event from every other. The same Key twice is the same event,
// delivered again.
type Key struct {
	Origin string // Kafka topic, or path of the webhook endpoint
	Source string // CloudEvents source; "" where there is none
	ID     string // CloudEvents id; "partition/offset" where there is none
}

// Event is one thing that an HR system said about one person. Times are UTC.
type Event struct {
	Key  Key
	Kind Kind
	Hash string // SHA-256 of the content, hex: the same Key with another Hash is a reject

	Email       string   // trimmed, lower case; "" only where EmployeeID stands for it
	OtherEmails []string // trimmed, lower case, without Email and without repeats
	EmployeeID  string

	OccurredAt  time.Time // CloudEvents time; zero if the event has none
	ReceivedAt  time.Time // our clock
	EffectiveAt time.Time // when employment ends; a date has become the end of that day, or its beginning if Urgent
	Urgent      bool      // close now, not at the next interval
	Actor       string    `json:",omitempty"` // the person who brought it; "" where a system did
	TraceParent string    `json:",omitempty"` // the W3C trace context that it came with; "" for none. No part of the Hash

	// What it came as: kept only if it must become a reject after all.
	Position string // "topic/partition/offset" in Kafka, else ""
	Payload  []byte

	TerminationID string
	ManagerEmail  string
	GivenName     string
	FamilyName    string
	LegalEntity   string
	Department    string
}

// Reason says why an event could not be understood; a value of the metric
// label `reason`.
type Reason string

// The reasons of rejects.
const (
	InvalidEvent  Reason = "invalid_event"   // CloudEvents attributes missing or wrong, or no CloudEvent at all
	InvalidData   Reason = "invalid_data"    // data is not the JSON that the canonical schema asks for
	NoEmail       Reason = "no_email"        // nothing leads to an email
	NoTimeZone    Reason = "no_time_zone"    // a date without time, and events.time_zone is not set
	InvalidTime   Reason = "invalid_time"    // effectiveAt is neither a date-time nor a date
	IDReused      Reason = "id_reused"       // the Key was seen with other content
	MayNotRescind Reason = "may_not_rescind" // takes back what another source announced
	MappingFailed Reason = "mapping_failed"  // the mapping stopped at it, or made what is no event
)

// Reasons lists every Reason.
func Reasons() []Reason {
	return []Reason{InvalidEvent, InvalidData, NoEmail, NoTimeZone, InvalidTime, IDReused, MayNotRescind, MappingFailed}
}

// Reject is an event that could not be understood. It is kept with its payload,
// never dropped, and never blocks what comes after it.
type Reject struct {
	Key        Key    // as far as it could be read; with an ID, at least partition/offset, for everything from Kafka
	Position   string // "topic/partition/offset" in Kafka, else ""
	Reason     Reason
	Detail     string // which field and what is wrong with it, for a person; never an email
	Payload    []byte // as it came
	ReceivedAt time.Time

	TraceParent string // that it came with; "" for none, or none that is known without reading it
}

// Partition is a partition of a Kafka topic.
type Partition struct {
	Topic string
	ID    int
}

// Span says that everything of a partition from offset From up to, without,
// offset Next has been read.
type Span struct {
	Partition Partition
	From      int64
	Next      int64
}

// Intake is what is recorded together, or not at all.
type Intake struct {
	Source  Source
	Events  []Event
	Rejects []Reject
	Spans   []Span   // Kafka: the watermarks move in the same transaction
	Heard   []string // CloudEvents sources that something came from, besides those of Events and Rejects
}

// Recorder keeps events durably. Record returns nil only once all of the
// intake would survive a crash; an event whose Key is known changes nothing and
// is no error. It may be called from many goroutines, whose intakes then share
// a transaction.
//
// ErrFull and ErrOvertaken refuse an intake whole; any other error means that
// the ledger could not write, and that the same intake may be offered again.
type Recorder interface {
	Record(ctx context.Context, in Intake) error
}

var (
	// ErrFull refuses an intake with a reject in it, since its source has too
	// many open rejects: the source pauses until a person has settled some.
	ErrFull = errors.New("too many open rejects from this source")

	// ErrOvertaken refuses a Span that does not begin at the watermark: another
	// member of the group has read on from there.
	ErrOvertaken = errors.New("the partition was read on by another member")
)
