// Package metrics holds every collector that signoff exports. The names are a
// contract with those who alert on them; label values come from fixed sets,
// each of them there from the start at 0, and never hold an email, a userId or
// the text of an error.
//
// A constructor takes the registry, or nil in a test that looks at none.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The buckets of what people wait for: a minute to a week.
var waits = []float64{60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 48 * 3600, 7 * 24 * 3600}

// histogram has these buckets for every Prometheus, and native ones beside them for
// those that scrape them: a tenth apart at first, wider where there are too many.
func histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
	}
}

// observe observes a value, with the trace that it comes of as its exemplar; "" for
// none.
func observe(h prometheus.Histogram, value float64, traceID string) {
	if e, ok := h.(prometheus.ExemplarObserver); ok && traceID != "" {
		e.ObserveWithExemplar(value, prometheus.Labels{"trace_id": traceID})
		return
	}
	h.Observe(value)
}

// Unix is the value of a *_timestamp_seconds gauge: 0 for the zero time.
func Unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// Process says which build runs, in which mode, and whether its loops turn.
type Process struct {
	heartbeat *prometheus.GaugeVec
}

// NewProcess registers the metrics of the process; loops names every loop that
// beats.
func NewProcess(r prometheus.Registerer, version, goVersion, mode string, modes, loops []string) *Process {
	f := promauto.With(r)
	f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "signoff_build_info",
		Help: "Always 1; the labels say which build this is.",
	}, []string{"version", "goversion"}).WithLabelValues(version, goVersion).Set(1)
	m := f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "signoff_mode",
		Help: "1 for the mode in force: dry-run closes nobody.",
	}, []string{"mode"})
	for _, name := range modes {
		m.WithLabelValues(name).Set(0)
	}
	m.WithLabelValues(mode).Set(1)
	p := &Process{heartbeat: f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "signoff_heartbeat_timestamp_seconds",
		Help: "When the loop last completed a turn, Unix time; 0 before the first.",
	}, []string{"loop"})}
	for _, l := range loops {
		p.heartbeat.WithLabelValues(l).Set(0)
	}
	return p
}

// Beat says that the loop completed a turn at t.
func (p *Process) Beat(loop string, t time.Time) {
	p.heartbeat.WithLabelValues(loop).Set(Unix(t))
}
