package metrics

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Docusign observes every request that Docusign was asked.
type Docusign struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	remaining *accountGauge
	limit     *accountGauge
	reset     *accountGauge
	waiting   *accountGauge
}

// NewDocusign registers the metrics of the Docusign client.
func NewDocusign(r prometheus.Registerer, accounts *Accounts, operations []string) *Docusign {
	f := promauto.With(r)
	gauge := func(name, help string, worse func(a, b float64) float64) *accountGauge {
		return newAccountGauge(f.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"account", "window"}), accounts, worse)
	}
	m := &Docusign{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_docusign_requests_total",
			Help: "Requests to Docusign by what was asked and the status of the answer; error: no answer.",
		}, []string{"operation", "code"}),
		durations: f.NewHistogramVec(histogram("signoff_docusign_request_duration_seconds", "How long Docusign took to answer.", []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}), []string{"operation"}),
		remaining: gauge("signoff_docusign_quota_remaining", "Calls left in the window, as last said by Docusign.", lowest),
		limit:     gauge("signoff_docusign_quota_limit", "Calls that the window allows all integrations of the account together.", lowest),
		reset:     gauge("signoff_docusign_quota_reset_timestamp_seconds", "When the window resets, Unix time; 0: not known.", highest),
		waiting:   gauge("signoff_docusign_waiting_requests", "Requests that wait for room in the window; it costs them no attempt.", highest),
	}
	for _, op := range operations {
		for _, code := range slices.Concat(refusals, []string{"2xx", "4xx", "5xx", "error"}) {
			m.requests.WithLabelValues(op, code)
		}
		m.durations.WithLabelValues(op)
	}
	for _, a := range accounts.labels() {
		for _, w := range []string{"hour", "burst"} {
			for _, g := range []*accountGauge{m.remaining, m.limit, m.reset, m.waiting} {
				g.vec.WithLabelValues(a, w)
			}
		}
	}
	return m
}

// refusals are the statuses with a series of their own.
var refusals = []string{"400", "401", "403", "429"}

// Request counts a request by its HTTP status, 0 where no answer came.
func (m *Docusign) Request(operation string, status int, took time.Duration) {
	m.requests.WithLabelValues(operation, code(status, refusals)).Inc()
	m.durations.WithLabelValues(operation).Observe(took.Seconds())
}

// Quota sets what is known of a window ("hour" or "burst") of an account.
func (m *Docusign) Quota(account, window string, remaining, limit int, reset time.Time) {
	m.remaining.set(account, float64(remaining), window)
	m.limit.set(account, float64(limit), window)
	m.reset.set(account, Unix(reset), window)
}

// Waiting sets how many requests wait for a window.
func (m *Docusign) Waiting(account, window string, requests int) {
	m.waiting.set(account, float64(requests), window)
}

// code is the label of a status: itself if it is one of own, else its class.
func code(status int, own []string) string {
	switch word := strconv.Itoa(status); {
	case status == 0:
		return "error"
	case slices.Contains(own, word):
		return word
	case status < 400:
		return "2xx"
	case status < 500:
		return "4xx"
	default:
		return "5xx"
	}
}
