package kafka

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"signoff/consumer"
	"signoff/metrics"
)

const (
	testTopic = "hr.employee"
	testGroup = "signoff"
)

func produce(t testing.TB, cl *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // a client that is refused goes on trying
	defer cancel()
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// leaver is a termination in binary mode.
func leaver(partition int32, id string) *kgo.Record {
	return inHeaders(partition, id, consumer.TypeTerminated, fmt.Appendf(nil, `{"email":"%s@example.com","effectiveAt":"2026-11-20T12:00:00Z"}`, id))
}

// other is an event that is none of our business.
func other(partition int32, id string) *kgo.Record {
	return inHeaders(partition, id, "com.example.order.shipped.v1", []byte(`{"order":1}`))
}

func inHeaders(partition int32, id, ceType string, value []byte) *kgo.Record {
	return &kgo.Record{Topic: testTopic, Partition: partition, Key: []byte(id), Value: value, Headers: []kgo.RecordHeader{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte(id)},
		{Key: "ce_source", Value: []byte("/hr")},
		{Key: "ce_type", Value: []byte(ceType)},
		{Key: "content-type", Value: []byte("application/json")},
	}}
}

func leavers(partition int32, name string, n int) []*kgo.Record {
	var all []*kgo.Record
	for i := range n {
		all = append(all, leaver(partition, fmt.Sprintf("%s-%d-%d", name, partition, i)))
	}
	return all
}

func others(partition int32, n int) []*kgo.Record {
	return slices.Collect(func(yield func(*kgo.Record) bool) {
		for i := range n {
			if !yield(other(partition, fmt.Sprint(i))) {
				return
			}
		}
	})
}

// run is a Source at work.
type run struct {
	*Source
	ignored atomic.Int64
	beats   atomic.Int64
	metrics *prometheus.Registry
	logs    *observer.ObservedLogs
	stop    func() // as a signal would, and waits until Run has returned
}

type setup struct {
	topics   []string        // testTopic, if nil
	mapper   consumer.Mapper // of testTopic
	hasty    bool            // hands on each event at once
	from     From
	decoder  *consumer.Decoder
	clientID string
}

func start(t testing.TB, c *cluster, l Ledger, s setup) *run {
	t.Helper()
	if s.topics == nil {
		s.topics = []string{testTopic}
	}
	if s.decoder == nil {
		d, err := consumer.NewDecoder(consumer.Config{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.decoder = d
	}
	core, logs := observer.New(zapcore.InfoLevel)
	r := &run{metrics: prometheus.NewRegistry(), logs: logs}
	var states []string
	for _, s := range consumer.Readings() {
		states = append(states, string(s))
	}
	cfg := c.cfg
	for _, t := range s.topics {
		cfg.Topics = append(cfg.Topics, Topic{Name: t})
	}
	cfg.Group, cfg.ClientID = testGroup, s.clientID
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	var err error
	r.Source, err = New(cfg, s.from, l, s.decoder, nil, metrics.NewKafka(r.metrics, s.topics, states),
		func(n int) { r.ignored.Add(int64(n)) }, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	if s.hasty {
		r.longestRead = -1
	}
	if s.mapper != nil {
		r.reading.Load().mappers[testTopic] = s.mapper
	}
	r.Beat = func(time.Time) { r.beats.Add(1) }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	ended := false
	r.stop = func() {
		cancel()
		if ended {
			return
		}
		ended = true
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run goes on after its context ended")
		}
	}
	t.Cleanup(r.stop)
	return r
}

// eventually waits until what holds; want says what that is. It is patient: a
// real broker on a busy machine takes its time to start, and for each rebalance.
func eventually(t testing.TB, want string, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !what(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("never: %s\n%s", want, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func awaitEvents(t testing.TB, m *memory, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d events in the ledger", n), func() bool { events, _, _ := m.count(); return events >= n })
	if events, _, doubled := m.count(); events != n || doubled != 0 {
		t.Fatalf("%d events, %d doubled; want %d and none", events, doubled, n)
	}
}

func awaitState(t testing.TB, m *memory, want consumer.Reading) {
	t.Helper()
	eventually(t, fmt.Sprintf("state %s", want), func() bool { return m.reading().state == want })
}

// gauge reads one metric by name and labels, -1 if there is no such series.
func (r *run) gauge(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if !slices.Equal(values, labels) {
				continue
			}
			if m.GetCounter() != nil {
				return m.GetCounter().GetValue()
			}
			return m.GetGauge().GetValue()
		}
	}
	return -1
}

func zapInt(key string, n int64) zap.Field { return zap.Int64(key, n) }

func zapString(key, s string) zap.Field { return zap.String(key, s) }
