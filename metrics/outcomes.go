package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Outcomes observes the publishing of outcomes.
type Outcomes struct {
	published *prometheus.CounterVec
	failures  *prometheus.CounterVec
}

// NewOutcomes registers the metrics of these sinks.
func NewOutcomes(r prometheus.Registerer, sinks []string) *Outcomes {
	f := promauto.With(r)
	m := &Outcomes{
		published: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_outcomes_published_total",
			Help: "Outcomes that the sink has acknowledged, repeats among them.",
		}, []string{"sink"}),
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_outcomes_publish_failures_total",
			Help: "Tries to publish that failed; each is tried again.",
		}, []string{"sink"}),
	}
	for _, s := range sinks {
		m.published.WithLabelValues(s)
		m.failures.WithLabelValues(s)
	}
	return m
}

// Published counts outcomes that the sink has acknowledged.
func (m *Outcomes) Published(sink string, n int) {
	m.published.WithLabelValues(sink).Add(float64(n))
}

// Failed counts a try that failed.
func (m *Outcomes) Failed(sink string) { m.failures.WithLabelValues(sink).Inc() }
