package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Docusign observes every request that Docusign was asked.
type Docusign struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	remaining *prometheus.GaugeVec
	limit     *prometheus.GaugeVec
	reset     *prometheus.GaugeVec
}

// NewDocusign registers the metrics of the Docusign client.
func NewDocusign(r prometheus.Registerer, accounts, operations []string) *Docusign {
	f := promauto.With(r)
	m := &Docusign{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_docusign_requests_total",
			Help: "Requests to Docusign by what was asked and the status of the answer; error: no answer.",
		}, []string{"operation", "code"}),
		durations: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "signoff_docusign_request_duration_seconds",
			Help:    "How long Docusign took to answer.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"operation"}),
		remaining: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signoff_docusign_quota_remaining",
			Help: "Calls left in the window, as last said by Docusign.",
		}, []string{"account", "window"}),
		limit: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signoff_docusign_quota_limit",
			Help: "Calls that the window allows all integrations of the account together.",
		}, []string{"account", "window"}),
		reset: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signoff_docusign_quota_reset_timestamp_seconds",
			Help: "When the window resets, Unix time; 0: not known.",
		}, []string{"account", "window"}),
	}
	for _, op := range operations {
		for _, code := range []string{"2xx", "400", "401", "403", "429", "4xx", "5xx", "error"} {
			m.requests.WithLabelValues(op, code)
		}
		m.durations.WithLabelValues(op)
	}
	for _, a := range accounts {
		for _, w := range []string{"hour", "burst"} {
			m.remaining.WithLabelValues(a, w)
			m.limit.WithLabelValues(a, w)
			m.reset.WithLabelValues(a, w)
		}
	}
	return m
}

// Request counts a request by its HTTP status, 0 where no answer came.
func (m *Docusign) Request(operation string, status int, took time.Duration) {
	m.requests.WithLabelValues(operation, code(status)).Inc()
	m.durations.WithLabelValues(operation).Observe(took.Seconds())
}

// Quota sets what is known of a window ("hour" or "burst") of an account.
func (m *Docusign) Quota(account, window string, remaining, limit int, reset time.Time) {
	m.remaining.WithLabelValues(account, window).Set(float64(remaining))
	m.limit.WithLabelValues(account, window).Set(float64(limit))
	m.reset.WithLabelValues(account, window).Set(Unix(reset))
}

func code(status int) string {
	switch {
	case status == 0:
		return "error"
	case status < 400:
		return "2xx"
	case status == 400 || status == 401 || status == 403 || status == 429:
		return strconv.Itoa(status)
	case status < 500:
		return "4xx"
	default:
		return "5xx"
	}
}
