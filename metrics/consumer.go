package metrics

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	dto "github.com/prometheus/client_model/go"
)

// Results of an event received, values of the label `result`.
const (
	Recorded  = "recorded"
	Duplicate = "duplicate"
	Ignored   = "ignored"
	Rejected  = "rejected"
)

// Intake observes what comes in, by whichever way.
type Intake struct {
	Rejects  *prometheus.CounterVec // reason
	received *prometheus.CounterVec // source, result
	notice   prometheus.Histogram
}

// NewIntake registers the metrics of intake.
func NewIntake(r prometheus.Registerer, sources, reasons []string) *Intake {
	f := promauto.With(r)
	m := &Intake{
		received: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_events_received_total",
			Help: "Events received, by the way they came and what became of them.",
		}, []string{"source", "result"}),
		Rejects: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_rejects_total",
			Help: "Events that could not be understood and were kept as rejects, by reason.",
		}, []string{"reason"}),
		notice: f.NewHistogram(histogram("signoff_notice_delay_seconds", "From the effective time of a leaving to the first word of it; 0 where that came ahead.", waits)),
	}
	for _, s := range sources {
		for _, res := range []string{Recorded, Duplicate, Ignored, Rejected} {
			m.received.WithLabelValues(s, res)
		}
	}
	for _, reason := range reasons {
		m.Rejects.WithLabelValues(reason)
	}
	return m
}

// Add counts n events that came by a source, with this result.
func (m *Intake) Add(source, result string, n int) {
	m.received.WithLabelValues(source, result).Add(float64(n))
}

// Count returns how many events came by a source with this result, since the process
// began.
func (m *Intake) Count(source, result string) int64 {
	var now dto.Metric
	_ = m.received.WithLabelValues(source, result).Write(&now) // a counter always can
	return int64(now.GetCounter().GetValue())
}

// Notice observes how long after it took effect a termination was heard of. traceID is
// that of the termination; "" for none.
func (m *Intake) Notice(delay time.Duration, traceID string) {
	observe(m.notice, delay.Seconds(), traceID)
}

// Webhook observes what is asked of the webhook listener.
type Webhook struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
}

// NewWebhook registers the metrics of the webhook listener; endpoints are the
// paths of the config.
func NewWebhook(r prometheus.Registerer, endpoints []string) *Webhook {
	f := promauto.With(r)
	m := &Webhook{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_webhook_requests_total",
			Help: "Requests to the webhook listener by the endpoint's path and the status of the answer; other: paths that are no endpoint.",
		}, []string{"endpoint", "code"}),
		durations: f.NewHistogramVec(histogram("signoff_webhook_request_duration_seconds", "From the head of a request until it was answered.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}), []string{"endpoint"}),
	}
	for _, e := range append([]string{Other}, endpoints...) {
		for _, code := range slices.Concat(answers, []string{"2xx", "4xx", "5xx"}) {
			m.requests.WithLabelValues(e, code)
		}
		m.durations.WithLabelValues(e)
	}
	return m
}

// answers are the statuses with a series of their own.
var answers = []string{"400", "401", "403", "404", "405", "413", "415", "429"}

// Request counts a request to the endpoint of this path, "" for one that is none,
// by the HTTP status of its answer.
func (m *Webhook) Request(endpoint string, status int, took time.Duration) {
	if endpoint == "" {
		endpoint = Other
	}
	m.requests.WithLabelValues(endpoint, code(status, answers)).Inc()
	m.durations.WithLabelValues(endpoint).Observe(took.Seconds())
}

// Kafka observes the reading of the topics. Partitions get their series when
// they are assigned and lose them when they are given up.
type Kafka struct {
	lag    *prometheus.GaugeVec
	oldest *prometheus.GaugeVec
	lost   *prometheus.CounterVec
	state  *prometheus.GaugeVec
	states []string
}

// NewKafka registers the metrics of the Kafka source; states names every state
// that it can be in.
func NewKafka(r prometheus.Registerer, topics, states []string) *Kafka {
	f := promauto.With(r)
	m := &Kafka{
		lag: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signoff_kafka_lag",
			Help: "Records of the partition that the ledger has not taken in yet.",
		}, []string{"topic", "partition"}),
		oldest: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signoff_kafka_oldest_uncommitted_timestamp_seconds",
			Help: "Timestamp of the oldest record of the partition that the ledger has not taken in yet, Unix time; 0: none.",
		}, []string{"topic", "partition"}),
		lost: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_kafka_lost_offsets_total",
			Help: "Offsets that were gone from the log before they could be read, and 1 for each partition of a topic made anew.",
		}, []string{"topic"}),
		state: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signoff_kafka_state",
			Help: "1 for the state that the Kafka source is in.",
		}, []string{"state"}),
		states: states,
	}
	for _, t := range topics {
		m.lost.WithLabelValues(t)
	}
	for _, s := range states {
		m.state.WithLabelValues(s)
	}
	return m
}

// Lag sets how many records of a partition the ledger has not taken in yet.
func (m *Kafka) Lag(topic, partition string, records int64) {
	m.lag.WithLabelValues(topic, partition).Set(float64(records))
}

// Oldest sets the timestamp of the oldest record of a partition that the ledger
// has not taken in yet; the zero time if there is none.
func (m *Kafka) Oldest(topic, partition string, at time.Time) {
	m.oldest.WithLabelValues(topic, partition).Set(Unix(at))
}

// GiveUp drops the series of a partition that another member reads from now on.
func (m *Kafka) GiveUp(topic, partition string) {
	m.lag.DeleteLabelValues(topic, partition)
	m.oldest.DeleteLabelValues(topic, partition)
}

// Lost counts offsets that were gone before they could be read, or 1 for a
// partition whose topic was made anew.
func (m *Kafka) Lost(topic string, offsets int64) {
	m.lost.WithLabelValues(topic).Add(float64(offsets))
}

// State sets the state that the source is in.
func (m *Kafka) State(state string) {
	for _, s := range m.states {
		v := 0.0
		if s == state {
			v = 1
		}
		m.state.WithLabelValues(s).Set(v)
	}
}
