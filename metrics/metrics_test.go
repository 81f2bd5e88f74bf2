package metrics_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"signoff/metrics"
)

var update = flag.Bool("update", false, "rewrite the golden list")

const golden = "testdata/metrics.golden"

// all is every collector there is.
type all struct {
	registry *prometheus.Registry
	process  *metrics.Process
	intake   *metrics.Intake
	webhook  *metrics.Webhook
	kafka    *metrics.Kafka
	docusign *metrics.Docusign
	closer   *metrics.Closer
	ledger   *metrics.Ledger
	outcomes *metrics.Outcomes
}

// everything registers all collectors as a daemon does, with one word of its
// own for every fixed set that is handed in.
func everything(state func(context.Context) (metrics.State, error)) all {
	r := prometheus.NewRegistry()
	a := all{registry: r,
		process:  metrics.NewProcess(r, "0.1.0", "go1.26", "close", []string{"dry-run", "close"}, []string{"a-loop"}),
		intake:   metrics.NewIntake(r, []string{"a-source"}, []string{"a-reason"}),
		webhook:  metrics.NewWebhook(r, []string{"/an-endpoint"}),
		kafka:    metrics.NewKafka(r, []string{"a-topic"}, []string{"a-state", "another"}),
		docusign: metrics.NewDocusign(r, metrics.NewAccounts([]string{"an-account"}), []string{"an-operation"}),
		closer:   metrics.NewCloser(r, metrics.NewAccounts([]string{"an-account"}), []string{"an-outcome"}, []string{"a-reason"}, []string{"a-window"}),
		ledger:   metrics.NewLedger(r),
		outcomes: metrics.NewOutcomes(r, []string{"a-sink"}),
	}
	metrics.NewState(r, state)
	metrics.NewConfig(r)
	return a
}

// quiet is a ledger in which nothing is.
func quiet(context.Context) (metrics.State, error) {
	one := func(labels ...string) []metrics.Gauge { return []metrics.Gauge{{Labels: labels}} }
	return metrics.State{Entries: one("a-state"), Holds: one("a-kind"), OldestHold: one("a-kind"),
		Overdue: one("an-account"), Submitted: one("an-account"), Passes: one("an-account"), Parked: one("an-account", "a-reason"),
		Resume: one("an-account"), Returned: one("an-account"), Heard: one("a-source"), Expected: one("a-source"), Silent: one("a-source"),
		Behind: one("a-sink"), BehindFrom: one("a-sink"), Ahead: one("a-finding")}, nil
}

// metric is all series of one name.
type metric struct {
	name, kind, help string
	labels           []string           // names
	values           map[string]float64 // by labels; of a histogram the sum
	count            uint64             // of what histograms observed
}

func (a all) gather(t *testing.T) map[string]metric {
	t.Helper()
	families, err := a.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]metric)
	for _, f := range families {
		m := metric{name: f.GetName(), kind: strings.ToLower(f.GetType().String()), help: f.GetHelp(), values: make(map[string]float64)}
		for _, one := range f.GetMetric() {
			var pairs []string
			m.labels = nil
			for _, l := range one.GetLabel() {
				m.labels = append(m.labels, l.GetName())
				pairs = append(pairs, l.GetName()+"="+l.GetValue())
			}
			m.values[strings.Join(pairs, ",")] = one.GetCounter().GetValue() + one.GetGauge().GetValue() + one.GetHistogram().GetSampleSum()
			m.count += one.GetHistogram().GetSampleCount()
		}
		byName[m.name] = m
	}
	return byName
}

// TestNamesAreAContract compares names, types, labels and help with the golden
// list. A line that changes breaks somebody's alert: rename nothing.
func TestNamesAreAContract(t *testing.T) {
	a := everything(quiet)
	a.kafka.Lag("a-topic", "0", 0)
	a.kafka.Oldest("a-topic", "0", time.Time{})
	var lines []string
	for _, m := range a.gather(t) {
		lines = append(lines, fmt.Sprintf("%s %s {%s}\n    %s\n", m.name, m.kind, strings.Join(m.labels, ","), m.help))
	}
	slices.Sort(lines)
	got := strings.Join(lines, "")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s\n(go test -update rewrites it)", got, want)
	}
}

func TestPromlintIsContent(t *testing.T) {
	a := everything(quiet)
	a.kafka.Lag("a-topic", "0", 0)
	a.kafka.Oldest("a-topic", "0", time.Time{})
	families, err := a.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestEveryCombinationIsThereFromTheStart lists what a rate() or an alert must
// find before anything has happened.
func TestEveryCombinationIsThereFromTheStart(t *testing.T) {
	families := everything(quiet).gather(t)
	for name, want := range map[string][]string{
		"signoff_events_received_total":             {"result=recorded,source=a-source", "result=duplicate,source=a-source", "result=ignored,source=a-source", "result=rejected,source=a-source"},
		"signoff_rejects_total":                     {"reason=a-reason"},
		"signoff_notice_delay_seconds":              {""},
		"signoff_webhook_requests_total":            combinations("code", "endpoint", "2xx", "400", "401", "403", "404", "405", "413", "415", "429", "4xx", "5xx")("/an-endpoint", "other"),
		"signoff_webhook_request_duration_seconds":  {"endpoint=/an-endpoint", "endpoint=other"},
		"signoff_kafka_lost_offsets_total":          {"topic=a-topic"},
		"signoff_kafka_state":                       {"state=a-state", "state=another"},
		"signoff_outcomes_total":                    {"account=an-account,outcome=an-outcome"},
		"signoff_failures_total":                    {"account=an-account,reason=a-reason"},
		"signoff_batches_total":                     {"account=an-account,result=ok", "account=an-account,result=partial", "account=an-account,result=failed"},
		"signoff_batch_users":                       {""},
		"signoff_close_latency_seconds":             {""},
		"signoff_exposure_seconds":                  {""},
		"signoff_deadlines_total":                   combinations("cause", "result", "none", "notice", "held", "parked", "quota", "failed")("met", "missed"),
		"signoff_resolutions_total":                 {"result=open,via=lookup", "result=closed,via=lookup", "result=none,via=lookup", "result=error,via=lookup", "result=open,via=snapshot", "result=closed,via=snapshot", "result=none,via=snapshot", "result=error,via=snapshot"},
		"signoff_guard_headroom_users":              {"account=an-account,window=a-window"},
		"signoff_docusign_requests_total":           {"code=2xx,operation=an-operation", "code=400,operation=an-operation", "code=401,operation=an-operation", "code=403,operation=an-operation", "code=429,operation=an-operation", "code=4xx,operation=an-operation", "code=5xx,operation=an-operation", "code=error,operation=an-operation"},
		"signoff_docusign_request_duration_seconds": {"operation=an-operation"},
		"signoff_docusign_quota_remaining":          {"account=an-account,window=burst", "account=an-account,window=hour"},
		"signoff_docusign_quota_limit":              {"account=an-account,window=burst", "account=an-account,window=hour"},
		"signoff_ledger_write_duration_seconds":     {""},
		"signoff_ledger_errors_total":               {""},
		"signoff_outcomes_published_total":          {"sink=a-sink"},
		"signoff_outcomes_publish_failures_total":   {"sink=a-sink"},
		"signoff_heartbeat_timestamp_seconds":       {"loop=a-loop"},
	} {
		got := slices.Sorted(maps.Keys(families[name].values))
		for labels, v := range families[name].values {
			if v != 0 || families[name].count != 0 {
				t.Errorf("%s{%s} begins at %v", name, labels, v)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
	}
}

// combinations are the series of two labels: each of these values of the first with
// each of those of the second.
func combinations(first, second string, values ...string) func(...string) []string {
	return func(others ...string) (all []string) {
		for _, v := range values {
			for _, o := range others {
				all = append(all, first+"="+v+","+second+"="+o)
			}
		}
		return all
	}
}

// TestNothingMakesASeries uses every method with the words that were handed to
// the constructors, and finds no series that was not there before: whatever a
// status or an outcome is, it falls into a fixed set.
func TestNothingMakesASeries(t *testing.T) {
	a := everything(quiet)
	before := series(a.gather(t))
	a.process.Beat("a-loop", time.Now())
	a.kafka.State("another")
	a.kafka.Lost("a-topic", 3)
	for status := range 1000 {
		a.docusign.Request("an-operation", status, time.Second)
		a.webhook.Request("/an-endpoint", status+1, time.Second)
		a.webhook.Request("", status+1, time.Second)
	}
	a.docusign.Quota("an-account", "hour", 1, 2, time.Now())
	a.docusign.Quota("an-account", "burst", 1, 2, time.Time{})
	a.closer.Outcome("an-account", "an-outcome")
	a.closer.Failure("an-account", "a-reason")
	for closed := range 4 {
		a.closer.Batch("an-account", 3, closed)
	}
	a.closer.Deadline(true, "none")
	a.closer.Deadline(false, "held")
	a.closer.Resolution("snapshot", "none")
	a.docusign.Waiting("an-account", "burst", 3)
	a.closer.Headroom("an-account", "a-window", 5)
	a.closer.Closed(-time.Second, time.Hour, "")
	a.ledger.Write(time.Millisecond)
	a.ledger.Failed()
	a.outcomes.Published("a-sink", 3)
	a.outcomes.Failed("a-sink")
	if after := series(a.gather(t)); !slices.Equal(before, after) {
		t.Errorf("before\n%s\nafter\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

func series(families map[string]metric) []string {
	var all []string
	for name, m := range families {
		for labels := range m.values {
			all = append(all, name+"{"+labels+"}")
		}
	}
	slices.Sort(all)
	return all
}

func (a all) value(t *testing.T, name, labels string) float64 {
	t.Helper()
	v, ok := a.gather(t)[name].values[labels]
	if !ok {
		t.Errorf("no series %s{%s}", name, labels)
	}
	return v
}

func TestValues(t *testing.T) {
	at := time.Date(2026, 11, 20, 9, 12, 44, 500e6, time.UTC)
	for name, c := range map[string]struct {
		do     func(all)
		metric string
		labels string
		want   float64
	}{
		"no answer":                     {func(a all) { a.docusign.Request("an-operation", 0, time.Second) }, "signoff_docusign_requests_total", "code=error,operation=an-operation", 1},
		"created":                       {func(a all) { a.docusign.Request("an-operation", 201, time.Second) }, "signoff_docusign_requests_total", "code=2xx,operation=an-operation", 1},
		"too many":                      {func(a all) { a.docusign.Request("an-operation", 429, time.Second) }, "signoff_docusign_requests_total", "code=429,operation=an-operation", 1},
		"conflict":                      {func(a all) { a.docusign.Request("an-operation", 409, time.Second) }, "signoff_docusign_requests_total", "code=4xx,operation=an-operation", 1},
		"bad gateway":                   {func(a all) { a.docusign.Request("an-operation", 502, time.Second) }, "signoff_docusign_requests_total", "code=5xx,operation=an-operation", 1},
		"a webhook's method":            {func(a all) { a.webhook.Request("/an-endpoint", 405, time.Second) }, "signoff_webhook_requests_total", "code=405,endpoint=/an-endpoint", 1},
		"a webhook's full disk":         {func(a all) { a.webhook.Request("/an-endpoint", 503, time.Second) }, "signoff_webhook_requests_total", "code=5xx,endpoint=/an-endpoint", 1},
		"a path that is no endpoint":    {func(a all) { a.webhook.Request("", 404, time.Second) }, "signoff_webhook_requests_total", "code=404,endpoint=other", 1},
		"how long it took":              {func(a all) { a.docusign.Request("an-operation", 200, 1500*time.Millisecond) }, "signoff_docusign_request_duration_seconds", "operation=an-operation", 1.5},
		"a quota's reset":               {func(a all) { a.docusign.Quota("an-account", "hour", 7, 9, at) }, "signoff_docusign_quota_reset_timestamp_seconds", "account=an-account,window=hour", 1795165964.5},
		"a quota without a reset":       {func(a all) { a.docusign.Quota("an-account", "hour", 7, 9, time.Time{}) }, "signoff_docusign_quota_reset_timestamp_seconds", "account=an-account,window=hour", 0},
		"a batch of which all closed":   {func(a all) { a.closer.Batch("an-account", 3, 3) }, "signoff_batches_total", "account=an-account,result=ok", 1},
		"a batch of which some closed":  {func(a all) { a.closer.Batch("an-account", 3, 1) }, "signoff_batches_total", "account=an-account,result=partial", 1},
		"a batch of which none closed":  {func(a all) { a.closer.Batch("an-account", 3, 0) }, "signoff_batches_total", "account=an-account,result=failed", 1},
		"a deadline met":                {func(a all) { a.closer.Deadline(true, "none") }, "signoff_deadlines_total", "cause=none,result=met", 1},
		"a deadline missed":             {func(a all) { a.closer.Deadline(false, "parked") }, "signoff_deadlines_total", "cause=parked,result=missed", 1},
		"a latency of a clock set back": {func(a all) { a.closer.Closed(-time.Hour, time.Hour, "") }, "signoff_close_latency_seconds", "", 0},
		"an exposure":                   {func(a all) { a.closer.Closed(0, time.Hour, "") }, "signoff_exposure_seconds", "", 3600},
		"the state that is":             {func(a all) { a.kafka.State("a-state") }, "signoff_kafka_state", "state=a-state", 1},
		"the state that was":            {func(a all) { a.kafka.State("a-state"); a.kafka.State("another") }, "signoff_kafka_state", "state=a-state", 0},
		"offsets lost":                  {func(a all) { a.kafka.Lost("a-topic", 12) }, "signoff_kafka_lost_offsets_total", "topic=a-topic", 12},
		"outcomes published":            {func(a all) { a.outcomes.Published("a-sink", 3) }, "signoff_outcomes_published_total", "sink=a-sink", 3},
		"a beat":                        {func(a all) { a.process.Beat("a-loop", at) }, "signoff_heartbeat_timestamp_seconds", "loop=a-loop", 1795165964.5},
		"the mode in force":             {func(all) {}, "signoff_mode", "mode=close", 1},
		"the other mode":                {func(all) {}, "signoff_mode", "mode=dry-run", 0},
		"the build":                     {func(all) {}, "signoff_build_info", "goversion=go1.26,version=0.1.0", 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := everything(quiet)
			c.do(a)
			if got := a.value(t, c.metric, c.labels); got != c.want {
				t.Errorf("%s{%s} is %v, want %v", c.metric, c.labels, got, c.want)
			}
		})
	}
}

// TestAccountFoundLater is for a config that names no account: it is known once
// Docusign has told of it.
func TestAccountFoundLater(t *testing.T) {
	a := everything(quiet)
	a.closer.Account("found")
	for name, labels := range map[string]string{
		"signoff_outcomes_total":       "account=found,outcome=an-outcome",
		"signoff_failures_total":       "account=found,reason=a-reason",
		"signoff_batches_total":        "account=found,result=failed",
		"signoff_guard_headroom_users": "account=found,window=a-window",
	} {
		if v := a.value(t, name, labels); v != 0 {
			t.Errorf("%s begins at %v", name, v)
		}
	}
}

// TestManyAccounts: past the first fifty, counters add the accounts up and
// gauges show the worst of them.
func TestManyAccounts(t *testing.T) {
	a := everything(quiet)
	for i := range 60 {
		id := fmt.Sprint("account-", i)
		a.closer.Account(id)
		a.closer.Outcome(id, "an-outcome")
		a.closer.Headroom(id, "a-window", 100-i)
		a.docusign.Quota(id, "hour", 1000+i, 3000, time.Unix(int64(i), 0))
	}
	a.docusign.Quota("account-49", "hour", 7, 3000, time.Time{}) // the first of the others
	a.docusign.Quota("account-49", "hour", 2000, 3000, time.Time{})
	for labels, want := range map[string]float64{
		"signoff_outcomes_total account=other,outcome=an-outcome":                  11,
		"signoff_outcomes_total account=account-3,outcome=an-outcome":              1,
		"signoff_guard_headroom_users account=other,window=a-window":               41,
		"signoff_docusign_quota_remaining account=other,window=hour":               1050,
		"signoff_docusign_quota_reset_timestamp_seconds account=other,window=hour": 59,
		"signoff_docusign_quota_remaining account=account-48,window=hour":          1048,
	} {
		name, labels, _ := strings.Cut(labels, " ")
		if got := a.value(t, name, labels); got != want {
			t.Errorf("%s{%s} is %v, want %v", name, labels, got, want)
		}
	}
}

// Windows come and go with the config. One that comes back knows nothing of before.
func TestWindowsAreThoseOfTheConfig(t *testing.T) {
	a := everything(quiet)
	for i := range 60 {
		a.closer.Account(fmt.Sprint("account-", i))
	}
	a.closer.Headroom("account-55", "a-window", 3)
	a.closer.Windows([]string{"another"})
	for _, account := range []string{"account-1", metrics.Other} {
		if v := a.value(t, "signoff_guard_headroom_users", "account="+account+",window=another"); v != 0 {
			t.Errorf("another window of %s begins at %v", account, v)
		}
	}
	a.closer.Windows([]string{"a-window"})
	a.closer.Headroom("account-56", "a-window", 8)
	if v := a.value(t, "signoff_guard_headroom_users", "account=other,window=a-window"); v != 8 {
		t.Errorf("the headroom is %v, want 8: nothing else is known since the window is back", v)
	}
}

func TestGivenUpPartitionsHaveNoSeries(t *testing.T) {
	a := everything(quiet)
	before := series(a.gather(t))
	a.kafka.Lag("a-topic", "7", 5)
	a.kafka.Oldest("a-topic", "7", time.Now())
	if got := a.value(t, "signoff_kafka_lag", "partition=7,topic=a-topic"); got != 5 {
		t.Errorf("lag %v, want 5", got)
	}
	a.kafka.GiveUp("a-topic", "7")
	if after := series(a.gather(t)); !slices.Equal(before, after) {
		t.Errorf("the series of a partition outlive it: %q", after)
	}
}

func TestLedgerThatCannotBeReadLeavesItsMetricsOut(t *testing.T) {
	a := everything(func(context.Context) (metrics.State, error) { return metrics.State{}, errors.New("the disk is gone") })
	families, err := a.registry.Gather()
	if err == nil {
		t.Error("nobody hears of it")
	}
	for _, f := range families {
		if f.GetName() == "signoff_entries" || f.GetName() == "signoff_audit_head" {
			t.Errorf("%s is shown", f.GetName())
		}
	}
	if len(families) < 15 {
		t.Errorf("%d metrics are left: the others should be", len(families))
	}
}

// TestNilRegistry is what tests of other packages use.
func TestNilRegistry(t *testing.T) {
	metrics.NewProcess(nil, "v", "go", "close", []string{"close"}, nil).Beat("x", time.Now())
	metrics.NewCloser(nil, metrics.NewAccounts(nil), nil, nil, nil).Outcome("a", "closed")
	metrics.NewLedger(nil).Failed()
	metrics.NewState(nil, quiet)
}

func TestWhatCameInIsCounted(t *testing.T) {
	m := metrics.NewIntake(prometheus.NewRegistry(), []string{"kafka", "webhook"}, nil)
	m.Add("kafka", metrics.Recorded, 3)
	m.Add("kafka", metrics.Recorded, 4)
	m.Add("webhook", metrics.Rejected, 1)
	for _, c := range []struct {
		source, result string
		want           int64
	}{{"kafka", metrics.Recorded, 7}, {"kafka", metrics.Ignored, 0}, {"webhook", metrics.Rejected, 1}} {
		if got := m.Count(c.source, c.result); got != c.want {
			t.Errorf("%s, %s: %d, want %d", c.source, c.result, got, c.want)
		}
	}
}
