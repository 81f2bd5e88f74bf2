package metrics

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Closer observes the closing of users.
type Closer struct {
	outcomes    *prometheus.CounterVec
	failures    *prometheus.CounterVec
	batches     *prometheus.CounterVec
	batchUsers  prometheus.Histogram
	latency     prometheus.Histogram
	exposure    prometheus.Histogram
	deadlines   *prometheus.CounterVec
	resolutions *prometheus.CounterVec
	headroom    *accountGauge

	accounts                  *Accounts
	outcomeWords, reasonWords []string

	mu          sync.Mutex
	windowWords []string
}

// NewCloser registers the metrics of the closer.
func NewCloser(r prometheus.Registerer, accounts *Accounts, outcomes, reasons, windows []string) *Closer {
	f := promauto.With(r)
	m := &Closer{
		accounts: accounts, outcomeWords: outcomes, reasonWords: reasons, windowWords: windows,
		outcomes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_outcomes_total",
			Help: "Entries that came to their outcome.",
		}, []string{"account", "outcome"}),
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_failures_total",
			Help: "What kept a look-up or a close from being done, by reason; most are tried again.",
		}, []string{"account", "reason"}),
		batches: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_batches_total",
			Help: "Close requests, by whether all of their users were closed, some, or none.",
		}, []string{"account", "result"}),
		batchUsers: f.NewHistogram(histogram("signoff_batch_users", "Users in a close request.", []float64{1, 2, 5, 10, 25, 50, 100, 250, 500})),
		latency:    f.NewHistogram(histogram("signoff_close_latency_seconds", "From due to closed, for each account: what signoff takes.", waits)),
		exposure:   f.NewHistogram(histogram("signoff_exposure_seconds", "From the end of employment to closed, for each account: how long a leaver could still sign.", waits)),
		deadlines: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_deadlines_total",
			Help: "Leavings, each once over all accounts: settled in batch.deadline after they were due, or not; notice: but told of later than that.",
		}, []string{"result", "cause"}),
		resolutions: f.NewCounterVec(prometheus.CounterOpts{
			Name: "signoff_resolutions_total",
			Help: "Leavers looked for in Docusign, by how and by what was found.",
		}, []string{"via", "result"}),
		headroom: newAccountGauge(f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signoff_guard_headroom_users",
			Help: "Leavers that the limit of the window would still let through.",
		}, []string{"account", "window"}), accounts, lowest),
	}
	for _, a := range accounts.labels() {
		m.Account(a)
	}
	for _, o := range withoutAccount {
		if slices.Contains(outcomes, o) {
			m.outcomes.WithLabelValues(None, o)
		}
	}
	for _, result := range []string{"met", "missed"} {
		for _, cause := range []string{"none", "notice", "held", "parked", "quota", "failed"} {
			m.deadlines.WithLabelValues(result, cause)
		}
	}
	for _, via := range []string{"lookup", "snapshot"} {
		for _, result := range []string{"open", "closed", "none", "error"} {
			m.resolutions.WithLabelValues(via, result)
		}
	}
	return m
}

// withoutAccount are the outcomes to which somebody may come who is in no account
// yet: the termination was taken back, or a person skipped them.
var withoutAccount = []string{"cancelled", "skipped"}

// Account makes the series of an account, at 0.
func (m *Closer) Account(id string) {
	account := m.accounts.Label(id)
	for _, o := range m.outcomeWords {
		m.outcomes.WithLabelValues(account, o)
	}
	for _, reason := range m.reasonWords {
		m.failures.WithLabelValues(account, reason)
	}
	for _, result := range []string{"ok", "partial", "failed"} {
		m.batches.WithLabelValues(account, result)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.windowWords {
		m.headroom.vec.WithLabelValues(account, w)
	}
}

// Windows are the windows of the limits from now on: those that are gone lose their
// series.
func (m *Closer) Windows(windows []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.windowWords {
		if !slices.Contains(windows, w) {
			m.headroom.forget("window", w)
		}
	}
	m.windowWords = windows
	for _, account := range m.accounts.labels() {
		for _, w := range windows {
			m.headroom.vec.WithLabelValues(account, w)
		}
	}
}

// Outcome counts an entry that came to its outcome; account is "" where it was in
// none yet.
func (m *Closer) Outcome(account, outcome string) {
	m.outcomes.WithLabelValues(m.accounts.Label(account), outcome).Inc()
}

// Closed observes how long it took to close a leaver: since they were due, and
// since their employment ended. traceID is that of the termination; "" for none.
func (m *Closer) Closed(sinceDue, sinceEffective time.Duration, traceID string) {
	observe(m.latency, max(0, sinceDue.Seconds()), traceID)
	observe(m.exposure, max(0, sinceEffective.Seconds()), traceID)
}

// Failure counts something that was not done.
func (m *Closer) Failure(account, reason string) {
	m.failures.WithLabelValues(m.accounts.Label(account), reason).Inc()
}

// Batch counts a close request by how many of its users were closed.
func (m *Closer) Batch(account string, users, closed int) {
	result := "partial"
	switch closed {
	case users:
		result = "ok"
	case 0:
		result = "failed"
	}
	m.batches.WithLabelValues(m.accounts.Label(account), result).Inc()
	m.batchUsers.Observe(float64(users))
}

// Deadline counts a leaving that met its deadline or missed it.
func (m *Closer) Deadline(met bool, cause string) {
	result := "missed"
	if met {
		result = "met"
	}
	m.deadlines.WithLabelValues(result, cause).Inc()
}

// Resolution counts a leaver looked for, by a look-up or in a snapshot of the
// account: open, closed, none or error.
func (m *Closer) Resolution(via, result string) {
	m.resolutions.WithLabelValues(via, result).Inc()
}

// Headroom sets what a limit would still let through.
func (m *Closer) Headroom(account, window string, leavers int) {
	m.headroom.set(account, float64(leavers), window)
}
