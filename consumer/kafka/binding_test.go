package kafka

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"signoff/consumer"
)

// scenario is one of testdata/binding.feature: a record, and what comes of it.
type scenario struct {
	name     string
	record   *protocol.Record
	then     string            // event, ignored or the reason of a reject
	with     map[string]string // what is to be read of it
	examples []string          // each takes the place of what is in <> in the headers
}

func readScenarios(t *testing.T) (all []*scenario) {
	t.Helper()
	text, err := os.ReadFile("testdata/binding.feature")
	if err != nil {
		t.Fatal(err)
	}
	table := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if _, name, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(line, "Scenario") {
			all = append(all, &scenario{name: name, record: &protocol.Record{Offset: 7}, with: map[string]string{}})
		}
		if len(all) == 0 || line == "" {
			continue
		}
		s := all[len(all)-1]
		cells := strings.Split(strings.Trim(line, "| "), "|")
		rest, isValue := strings.CutPrefix(line, "And the value ")
		then, isThen := strings.CutPrefix(line, "Then it is ")
		switch {
		case line[0] == '|' && table == "Given":
			s.record.Headers = append(s.record.Headers, protocol.Header{Key: strings.TrimSpace(cells[0]), Value: []byte(strings.TrimSpace(cells[1]))})
		case line[0] == '|' && table == "Then":
			s.with[strings.TrimSpace(cells[0])] = strings.TrimSpace(cells[1])
		case line[0] == '|':
			s.examples = append(s.examples, strings.TrimSpace(cells[0]))
		case isValue:
			s.record.Value = protocol.NewBytes([]byte(rest))
		case isThen:
			table = "Then"
			s.then = strings.NewReplacer("an event with", "event", "a reject for ", "", " with", "").Replace(then)
		case strings.HasPrefix(line, "Given "):
			table = "Given"
		case line == "Examples:":
			table = line
		case !strings.HasPrefix(line, "Scenario"):
			t.Fatalf("not a step: %s", line)
		}
	}
	return all
}

func TestBinding(t *testing.T) {
	for _, s := range readScenarios(t) {
		if s.examples == nil {
			t.Run(s.name, s.check)
		}
		for _, example := range s.examples {
			outline := s.record.Headers[0]
			t.Run(s.name+": "+example, func(t *testing.T) {
				s.record.Headers[0].Value = []byte(example)
				defer func() { s.record.Headers[0] = outline }()
				s.check(t)
			})
		}
	}
}

func (s *scenario) check(t *testing.T) {
	read := newTranslator(&understanding{decoder: newTestDecoder(t, nil)}, consumer.Partition{Topic: testTopic})
	read.received = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	record := *s.record
	if s.record.Value != nil { // reading it once is its end
		value, err := protocol.ReadAll(s.record.Value)
		if err != nil {
			t.Fatal(err)
		}
		s.record.Value, record.Value = protocol.NewBytes(value), protocol.NewBytes(value)
	}
	var got consumer.Content
	if err := read.take(t.Context(), &got, &record); err != nil {
		t.Fatal(err)
	}
	then, with := "ignored", map[string]string{}
	for _, e := range got.Events {
		then = "event"
		with = map[string]string{"source": e.Key.Source, "id": e.Key.ID, "email": e.Email, "employeeId": e.EmployeeID, "time": e.OccurredAt.Format(time.RFC3339)}
	}
	for _, r := range got.Rejects {
		then = string(r.Reason)
		with = map[string]string{"source": r.Key.Source, "id": r.Key.ID}
	}
	if then != s.then {
		t.Errorf("it is %s, want %s", then, s.then)
	}
	for key, want := range s.with {
		if with[key] != want {
			t.Errorf("%s is %q, want %q", key, with[key], want)
		}
	}
}
