package kafka

import (
	"context"
	"errors"
	"maps"
	"sync"

	"signoff/consumer"
)

// memory is a ledger in memory that several sources may share. It takes an
// intake whole or not at all, and only at the watermark.
type memory struct {
	mu       sync.Mutex
	marks    map[consumer.Partition]int64
	events   map[consumer.Key]consumer.Event
	rejects  []consumer.Reject
	spans    []consumer.Span
	members  map[string]string
	readings []outlook
	doubled  int          // events that came a second time
	refuse   func() error // asked before each Record; nil: none is refused
	most     int          // open rejects before it is full; 0: no limit
}

func newMemory() *memory {
	return &memory{
		marks: map[consumer.Partition]int64{}, events: map[consumer.Key]consumer.Event{}, members: map[string]string{},
	}
}

func (m *memory) Record(ctx context.Context, in consumer.Intake) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if m.refuse != nil {
		if err := m.refuse(); err != nil {
			return err
		}
	}
	if in.Source != consumer.Kafka {
		return errors.New("not from Kafka")
	}
	if m.most > 0 && len(in.Rejects) > 0 && len(m.rejects) >= m.most {
		return consumer.ErrFull
	}
	for _, s := range in.Spans {
		if mark, ok := m.marks[s.Partition]; ok && mark != s.From {
			return consumer.ErrOvertaken
		}
	}
	for _, s := range in.Spans {
		m.marks[s.Partition] = s.Next
	}
	for _, e := range in.Events {
		if _, ok := m.events[e.Key]; ok {
			m.doubled++
		}
		m.events[e.Key] = e
	}
	m.rejects = append(m.rejects, in.Rejects...)
	m.spans = append(m.spans, in.Spans...)
	return nil
}

func (m *memory) Watermarks(context.Context, []string) (map[consumer.Partition]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.marks), nil
}

func (m *memory) Member(_ context.Context, group string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.members[group], nil
}

func (m *memory) SetMember(_ context.Context, group, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.members[group] = id
	return nil
}

func (m *memory) SetReading(_ context.Context, state consumer.Reading, detail string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readings = append(m.readings, outlook{state, detail})
	return nil
}

// see calls what with the ledger held still.
func (m *memory) see(what func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	what()
}

// reading is the state written last.
func (m *memory) reading() outlook {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.readings) == 0 {
		return outlook{}
	}
	return m.readings[len(m.readings)-1]
}

func (m *memory) mark(topic string, partition int) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mark, ok := m.marks[consumer.Partition{Topic: topic, ID: partition}]; ok {
		return mark
	}
	return -1
}

func (m *memory) count() (events, rejects, doubled int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.events), len(m.rejects), m.doubled
}

// replica is how one of several processes sees a shared ledger: its place in
// the group is its own.
type replica struct {
	*memory
	name string
}

func (r replica) Member(ctx context.Context, group string) (string, error) {
	return r.memory.Member(ctx, group+"/"+r.name)
}

func (r replica) SetMember(ctx context.Context, group, id string) error {
	return r.memory.SetMember(ctx, group+"/"+r.name, id)
}
