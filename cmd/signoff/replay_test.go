package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/consumer/kafka"
	"signoff/consumer/webhook"
	"signoff/metrics"
)

// people is a directory that knows E-1, and may be away.
type people struct{ away error }

func (p people) Find(_ context.Context, employeeID string) (consumer.Person, error) {
	switch {
	case p.away != nil:
		return consumer.Person{}, p.away
	case employeeID == "E-1":
		return consumer.Person{Email: email(1)}, nil
	}
	return consumer.Person{}, consumer.ErrNoPerson
}

// openReplayer is a replayer for the topic hr.employee and the endpoint /events.
func openReplayer(t *testing.T, directory consumer.Directory) replayer {
	t.Helper()
	var p replayer
	decoder, err := consumer.NewDecoder(consumer.Config{}, directory)
	if err != nil {
		t.Fatal(err)
	}
	if p.ledger, err = ledger.Open(t.Context(), ledger.Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "ledger.db")}, ledger.Observe{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.ledger.Close() })
	ignored := func(int) { t.Error("counted as ignored once more") }
	topics := kafka.Config{Brokers: []string{"127.0.0.1:9"}, Topics: []kafka.Topic{{Name: "hr.employee"}}, Group: "signoff"}
	if p.kafka, err = kafka.New(topics, "", p.ledger, decoder, nil, metrics.NewKafka(nil, nil, nil), ignored, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	endpoints := webhook.Config{Listen: "127.0.0.1:0", Endpoints: []webhook.Endpoint{{Path: "/events", Auth: webhook.Auth{None: true}}}}
	if p.webhook, err = webhook.New(endpoints, p.ledger, decoder, nil, metrics.NewWebhook(nil, nil), ignored, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	return p
}

// reject records a reject of an event that came a day ago, and returns its id.
func (p replayer) reject(t *testing.T, via consumer.Source, origin, payload string) int64 {
	t.Helper()
	r := consumer.Reject{Key: consumer.Key{Origin: origin, ID: "0/7"}, Reason: consumer.InvalidData, Payload: []byte(payload),
		ReceivedAt: time.Now().AddDate(0, 0, -1)}
	if err := p.ledger.Record(t.Context(), consumer.Intake{Source: via, Rejects: []consumer.Reject{r}}); err != nil {
		t.Fatal(err)
	}
	id, err := p.ledger.LastReject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func terminated(data string) string {
	return `{"specversion": "1.0", "type": "` + consumer.TypeTerminated + `", "source": "hr", "id": "1", "data": ` + data + `}`
}

func TestReplayReadsThePayloadAnew(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		state   ledger.RejectState
		reason  consumer.Reason // of one that is open
		entries int
	}{
		"an event":                 {terminated(`{"email": "ann@example.com"}`), ledger.RejectReplayed, "", 1},
		"one that a directory has": {terminated(`{"employeeId": "E-1"}`), ledger.RejectReplayed, "", 1},
		"one that nobody has":      {terminated(`{"employeeId": "E-2"}`), ledger.RejectOpen, consumer.NoEmail, 0},
		"a date without a zone":    {terminated(`{"email": "ann@example.com", "effectiveAt": "2026-11-30"}`), ledger.RejectOpen, consumer.NoTimeZone, 0},
		"none of our business":     {`{"specversion": "1.0", "type": "com.example.hired", "source": "hr", "id": "1"}`, ledger.RejectReplayed, "", 0},
		"not an event":             {`{"specversion": "1.0", "type": "` + consumer.TypeTerminated + `", "id": "1"}`, ledger.RejectOpen, consumer.InvalidEvent, 0},
		"no JSON":                  {"leaver: ann", ledger.RejectOpen, consumer.InvalidEvent, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := openReplayer(t, people{})
			id := p.reject(t, consumer.Webhook, "/events", c.payload)
			r, err := p.Replay(t.Context(), id, "ana")
			if err != nil {
				t.Fatal(err)
			}
			if r.State != c.state || r.Attempts != 2 || r.State == ledger.RejectOpen && r.Reason != c.reason {
				t.Errorf("got %+v, want it %s %s", r, c.state, c.reason)
			}
			entries, err := p.ledger.Entries(t.Context())
			if err != nil || len(entries) != c.entries {
				t.Fatalf("%d entries (%v), want %d", len(entries), err, c.entries)
			}
			if len(entries) > 0 && !entries[0].ReceivedAt.Equal(r.ReceivedAt) {
				t.Errorf("received %v, want as it was then: %v", entries[0].ReceivedAt, r.ReceivedAt)
			}
		})
	}
}

func TestReplayThatIsRefused(t *testing.T) {
	ours := terminated(`{"employeeId": "E-1"}`)
	away := errors.New("events.directory: 502 Bad Gateway")
	for name, c := range map[string]struct {
		via             consumer.Source
		origin, payload string
		want            error
		says            string
	}{
		"a topic that is gone":         {consumer.Kafka, "hr.old", ours, console.ErrOrigin, "kafka.topics: hr.old"},
		"an endpoint that is gone":     {consumer.Webhook, "/old", ours, console.ErrOrigin, "webhook.endpoints: /old"},
		"an endpoint named as a topic": {consumer.Kafka, "/events", ours, console.ErrOrigin, "kafka.topics: /events"},
		"a file of leavers":            {consumer.CSV, consumer.LeaverOrigin, ours, ledger.ErrGone, "no payload"},
		"a head":                       {consumer.Kafka, "hr.employee", ours + strings.Repeat(" ", 64<<10), ledger.ErrCut, "only the head"},
		"nothing":                      {consumer.Kafka, "hr.employee", "", ledger.ErrGone, "no payload"},
		"a directory that is away":     {consumer.Kafka, "hr.employee", ours, console.ErrLater, "502 Bad Gateway; nothing was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := openReplayer(t, people{away: away})
			id := p.reject(t, c.via, c.origin, c.payload)
			before, err := p.ledger.FindReject(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Replay(t.Context(), id, "ana")
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), fmt.Sprintf("reject %d: ", id)) {
				t.Errorf("got %v, want it refused: %s", err, c.says)
			}
			after, err := p.ledger.FindReject(t.Context(), id)
			if err != nil || after.State != before.State || after.Attempts != before.Attempts || after.LastAt != before.LastAt {
				t.Errorf("got %+v (%v), want it as it was", after, err)
			}
		})
	}
	p := openReplayer(t, people{})
	p.kafka, p.webhook = nil, nil
	for _, via := range []consumer.Source{consumer.Kafka, consumer.Webhook} {
		if _, err := p.Replay(t.Context(), p.reject(t, via, "hr.employee", ours), "ana"); !errors.Is(err, console.ErrOrigin) {
			t.Errorf("of a daemon without %s: %v", via, err)
		}
	}
	if _, err := p.Replay(t.Context(), 99, "ana"); !errors.Is(err, ledger.ErrNoReject) {
		t.Errorf("of none: %v", err)
	}
}
