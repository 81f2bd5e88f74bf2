package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Ledger observes the writing of the ledger.
type Ledger struct {
	writes prometheus.Histogram
	errors prometheus.Counter
}

// NewLedger registers the metrics of the ledger's writes.
func NewLedger(r prometheus.Registerer) *Ledger {
	f := promauto.With(r)
	return &Ledger{
		writes: f.NewHistogram(histogram("signoff_ledger_write_duration_seconds", "How long a transaction took, until it was on disk.", []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5})),
		errors: f.NewCounter(prometheus.CounterOpts{
			Name: "signoff_ledger_errors_total",
			Help: "Transactions that could not be written.",
		}),
	}
}

// Write observes a transaction that was written.
func (m *Ledger) Write(took time.Duration) { m.writes.Observe(took.Seconds()) }

// Failed counts a transaction that was not.
func (m *Ledger) Failed() { m.errors.Inc() }

// Gauge is one series of a State: the values of its labels, and its own.
type Gauge struct {
	Labels []string
	Value  float64
}

// State is what the ledger says at the moment of a scrape.
type State struct {
	Entries    []Gauge // state
	Rejects    float64
	Holds      []Gauge // reason
	OldestHold []Gauge // reason; Unix seconds
	UrgentHeld float64 // Unix seconds
	Deadline   float64 // seconds
	Overdue    []Gauge // account; Unix seconds
	Submitted  []Gauge // account; Unix seconds
	Passes     []Gauge // account; Unix seconds
	Parked     []Gauge // account, reason
	Resume     []Gauge // account; Unix seconds
	Returned   []Gauge // account
	Outside    float64
	Heard      []Gauge // source; Unix seconds
	Expected   []Gauge // source; seconds
	Silent     []Gauge // source
	NotFound   float64
	Ahead      []Gauge // finding
	Behind     []Gauge // sink
	BehindFrom []Gauge // sink; Unix seconds
	AuditHead  float64
	Size, Free float64 // bytes
}

// NewState registers the metrics that are read from the ledger at each scrape.
// A ledger that cannot be read leaves them out.
func NewState(r prometheus.Registerer, read func(context.Context) (State, error)) {
	gauge := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	c := &stateCollector{read: read,
		entries:    gauge("signoff_entries", "Entries in the ledger by state.", "state"),
		rejects:    gauge("signoff_rejects", "Rejects that nobody has settled."),
		holds:      gauge("signoff_holds", "Holds that wait for a person, by the gravest reason of each.", "reason"),
		oldestHold: gauge("signoff_oldest_hold_timestamp_seconds", "Since when the oldest hold waits, Unix time; 0: none does.", "reason"),
		urgentHeld: gauge("signoff_oldest_urgent_hold_timestamp_seconds", "Since when an urgent leaver is held, the one who waits longest, Unix time; 0: none is."),
		deadline:   gauge("signoff_deadline_seconds", "How long after they were due leavers are to be closed, by batch.deadline."),
		overdue:    gauge("signoff_oldest_overdue_timestamp_seconds", "When the oldest entry that is still open was due, Unix time; 0: none is.", "account"),
		submitted:  gauge("signoff_oldest_submitted_timestamp_seconds", "When the oldest close was sent whose outcome is not in the ledger yet, Unix time; 0: all are.", "account"),
		passes:     gauge("signoff_pass_timestamp_seconds", "Last completed run of the closer, Unix time; 0: none.", "account"),
		parked:     gauge("signoff_docusign_parked", "1 while nothing is closed in the account, for this reason.", "account", "reason"),
		resume:     gauge("signoff_docusign_resume_timestamp_seconds", "Until when the account waits, since its quota is used up or Docusign said so, Unix time; 0: it does not.", "account"),
		returned:   gauge("signoff_returned_users", "Leavers who were closed and are open again, until they are settled anew.", "account"),
		outside:    gauge("signoff_entries_outside_accounts", "Open entries of accounts that leavers are not closed in any more."),
		heard:      gauge("signoff_source_last_event_timestamp_seconds", "When something last came from the source, Unix time, to the minute; 0: nothing since events.sources names it.", "source"),
		expected:   gauge("signoff_source_expected_within_seconds", "How long the source may be silent, by events.sources.", "source"),
		silent:     gauge("signoff_source_silent", "1 while the source is silent, or was never heard, for longer than events.sources expects.", "source"),
		notFound:   gauge("signoff_not_found_leavers", "Leavers of the last 24 hours of whom no account knew a user."),
		ahead:      gauge("signoff_ahead_leavers", "Leavers who are due within a week, of whom a look ahead found what a person should see to before.", "finding"),
		behind:     gauge("signoff_outcomes_unpublished", "Rows of the audit that the sink has not published yet.", "sink"),
		behindFrom: gauge("signoff_outcomes_oldest_unpublished_timestamp_seconds", "When the oldest row that the sink has not published was written, Unix time; 0: there is none.", "sink"),
		auditHead:  gauge("signoff_audit_head", "Number of the last row in the audit chain."),
		size:       gauge("signoff_ledger_size_bytes", "Size of the ledger's files."),
		free:       gauge("signoff_ledger_free_bytes", "Space left on the ledger's disk."),
	}
	if r != nil {
		r.MustRegister(c)
	}
}

type stateCollector struct {
	read func(context.Context) (State, error)

	entries, rejects, holds, oldestHold, urgentHeld, deadline, overdue, submitted, passes, parked, resume, returned, outside, heard, expected, silent, notFound, ahead, behind, behindFrom, auditHead, size, free *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.entries, c.rejects, c.holds, c.oldestHold, c.urgentHeld, c.deadline, c.overdue, c.submitted,
		c.passes, c.parked, c.resume, c.returned, c.outside, c.heard, c.expected, c.silent, c.notFound, c.ahead, c.behind, c.behindFrom, c.auditHead, c.size, c.free} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := c.read(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.entries, err)
		return
	}
	for desc, gauges := range map[*prometheus.Desc][]Gauge{
		c.entries: s.Entries, c.holds: s.Holds, c.oldestHold: s.OldestHold, c.urgentHeld: {{Value: s.UrgentHeld}},
		c.deadline: {{Value: s.Deadline}}, c.overdue: s.Overdue, c.submitted: s.Submitted,
		c.passes: s.Passes, c.parked: s.Parked, c.resume: s.Resume, c.returned: s.Returned, c.outside: {{Value: s.Outside}},
		c.heard: s.Heard, c.expected: s.Expected, c.silent: s.Silent, c.notFound: {{Value: s.NotFound}}, c.ahead: s.Ahead,
		c.behind: s.Behind, c.behindFrom: s.BehindFrom,
		c.rejects: {{Value: s.Rejects}}, c.auditHead: {{Value: s.AuditHead}}, c.size: {{Value: s.Size}}, c.free: {{Value: s.Free}},
	} {
		for _, g := range gauges {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, g.Value, g.Labels...)
		}
	}
}
