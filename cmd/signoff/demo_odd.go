package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	segmentio "github.com/segmentio/kafka-go"

	"signoff/closer/ledger"
	"signoff/consumer"
)

// Ids of the events that cannot be understood, and what ails each.
const (
	oddNewcomer = "termination-newcomer" // names nobody whom the directory knows: it will soon
	oddDay      = "termination-by-hand"  // gives no date; the same is told again as it should be
	oddTest     = "ping"                 // announces nobody: somebody tries the topic
)

var oddReasons = map[string]consumer.Reason{oddNewcomer: consumer.NoEmail, oddDay: consumer.InvalidTime, oddTest: consumer.InvalidData}

// tellOddly sends the events that cannot be understood.
func (c *company) tellOddly(ctx context.Context, writer *segmentio.Writer) error {
	newcomer, err := newEvent(consumer.TypeTerminated, oddNewcomer, c.newcomer)
	if err == nil {
		err = newcomer.SetData(cloudevents.ApplicationJSON, map[string]any{"employeeId": c.newcomer.employee})
	}
	if err != nil {
		return err
	}
	someday := *c.people[0].backAgain()
	someday.date = "last Friday"
	byHand, err := newEvent(consumer.TypeTerminated, oddDay, &someday)
	if err != nil {
		return err
	}
	ping, err := newEvent(consumer.TypeTerminated, oddTest, &person{employee: "nobody"})
	if err == nil {
		err = ping.SetData(cloudevents.ApplicationJSON, "Hello from the integration team, please ignore")
	}
	if err != nil {
		return err
	}
	c.events.Add(3)
	return writer.WriteMessages(ctx, binary(newcomer), binary(byHand), binary(ping))
}

func (d *demo) directoryFile() string { return filepath.Join(d.dir, "people.csv") }

// writeDirectory writes the directory of employees, with the newcomer or without.
func (d *demo) writeDirectory(withNewcomer bool) error {
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	_ = w.Write([]string{"employee id", "email", "given name", "family name"}) // Flush tells
	for p := range d.company.everybody() {
		if withNewcomer || p != d.company.newcomer {
			_ = w.Write([]string{p.employee, p.email, p.given, p.family})
		}
	}
	w.Flush()
	// By another name first: whoever reads it must not see a half.
	next := d.directoryFile() + ".new"
	if err := os.WriteFile(next, text.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(next, d.directoryFile())
}

// learn lets the directory know the newcomer, some time after HR has announced
// that they leave.
func (d *demo) learn(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(2 * time.Second):
		return d.writeDirectory(true)
	}
}

// wrongRejects says which events were rejected that should not have been, or not.
// newcomer says that the newcomer's was replayed by a person.
func (d *demo) wrongRejects(ctx context.Context) (wrong []string, newcomer bool, err error) {
	rejects, err := d.daemon.ledger.Rejects(ctx, ledger.RejectFilter{})
	if err != nil {
		return nil, false, err
	}
	found := make(map[string]bool)
	for _, r := range rejects {
		if oddReasons[r.Key.ID] != r.Reason || found[r.Key.ID] {
			wrong = append(wrong, fmt.Sprintf("event %s: rejected as %s", r.Key.ID, r.Reason))
		}
		found[r.Key.ID] = true
		newcomer = newcomer || r.Key.ID == oddNewcomer && r.State == ledger.RejectReplayed
	}
	for id, reason := range oddReasons {
		if !found[id] {
			wrong = append(wrong, fmt.Sprintf("event %s: not rejected as %s", id, reason))
		}
	}
	return wrong, newcomer, nil
}

// decidedBy returns who of the demo's people has decided about somebody: what then
// became of them is no longer for the HR system to say. "" if nobody has.
func (d *demo) decidedBy(ctx context.Context, p *person) string {
	story, err := d.daemon.ledger.Explain(ctx, ledger.Question{Email: strings.ToLower(p.email)})
	if err != nil { // never heard of
		return ""
	}
	for _, l := range story.Leavers {
		for _, leaving := range l.Leavings {
			for _, s := range leaving.Steps {
				if demoPeople[s.Actor] != "" {
					return s.Actor
				}
			}
		}
	}
	return ""
}
