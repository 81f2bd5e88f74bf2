package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
	"signoff/closer/outcomes"
	"signoff/consumer/kafka"
	"signoff/metrics"
)

func (r *running) post(t *testing.T, i int) {
	t.Helper()
	if err := postEvent(t.Context(), "http://"+r.webhook.Addr().String()+"/events", webhookToken, termination(t, i)); err != nil {
		t.Fatal(err)
	}
}

// closedOnce fails unless each of the first n leavers was closed, by one
// request, and nobody else by any.
func (s *site) closedOnce(t *testing.T, n int) {
	t.Helper()
	closes := s.docusign.Closes(demoAccount)
	for i := range n {
		if got := closes[userID(i)]; got != (docusigntest.CloseCount{Requested: 1, Closed: 1}) {
			t.Errorf("leaver %d: %+v, want to be closed by one request", i, got)
		}
	}
	if len(closes) != n {
		t.Errorf("%d users were to be closed, want %d", len(closes), n)
	}
}

func TestTerminationsEndClosed(t *testing.T) {
	t.Parallel()
	users := append(leaverUsers(12), docusigntest.User{ID: userID(12), Email: email(12), Status: "Closed"})
	s := newSite(t, siteOptions{users: users})
	r := s.start(t, s.config(t, map[string]string{"events.sources": namedSources}))
	_, text := get(t, r.admin()+"/metrics")
	atStart := seriesIn(text)
	for i := range 8 {
		s.produce(t, unrelated(i), structured(termination(t, i)))
	}
	s.produce(t, structured(termination(t, 0)), structured([]byte(`{"specversion": "1.0"}`))) // again, and not an event
	for i := 8; i < 14; i++ {                                                                 // 12 is closed already, 13 was never a user
		r.post(t, i)
	}
	r.post(t, 8)
	r.await(t, ledger.Closed, 12)
	r.await(t, ledger.AlreadyClosed, 1)
	r.await(t, ledger.NotFound, 1)
	s.closedOnce(t, 12)

	shows(t, r.admin()+"/metrics", `signoff_rejects 1`)
	_, text = get(t, r.admin()+"/metrics")
	for series := range seriesIn(text) {
		if !atStart[series] && !strings.Contains(series, `partition="`) {
			t.Errorf("/metrics did not have %s at the start", series)
		}
	}
	for _, line := range []string{
		`signoff_events_received_total{result="recorded",source="kafka"} 8`,
		`signoff_events_received_total{result="duplicate",source="kafka"} 1`,
		`signoff_events_received_total{result="ignored",source="kafka"} 8`,
		`signoff_events_received_total{result="rejected",source="kafka"} 1`,
		`signoff_events_received_total{result="recorded",source="webhook"} 6`,
		`signoff_events_received_total{result="duplicate",source="webhook"} 1`,
		`signoff_events_received_total{result="recorded",source="csv"} 0`,
		`signoff_rejects_total{reason="invalid_event"} 1`,
		`signoff_outcomes_total{account="` + demoAccount + `",outcome="closed"} 12`,
		`signoff_outcomes_total{account="` + demoAccount + `",outcome="already_closed"} 1`,
		`signoff_outcomes_total{account="` + demoAccount + `",outcome="not_found"} 1`,
		`signoff_outcomes_total{account="` + demoAccount + `",outcome="failed"} 0`,
		`signoff_batches_total{account="` + demoAccount + `",result="failed"} 0`,
		`signoff_entries{state="closed"} 0`,
		`signoff_entries{state="closed_watched"} 12`,
		`signoff_entries{state="submitted"} 0`,
		`signoff_holds{reason="limit"} 0`,
		`signoff_webhook_requests_total{code="2xx",endpoint="/events"} 7`,
		`signoff_webhook_requests_total{code="401",endpoint="/events"} 0`,
		`signoff_webhook_requests_total{code="404",endpoint="other"} 0`,
		`signoff_webhook_request_duration_seconds_count{endpoint="/events"} 7`,
		`signoff_deadline_seconds 86400`,
		`signoff_heartbeat_timestamp_seconds{loop="kafka"} 1`,
		`signoff_heartbeat_timestamp_seconds{loop="closer"} 1`,
		`signoff_heartbeat_timestamp_seconds{loop="keeper"} 1`,
		`signoff_heartbeat_timestamp_seconds{loop="config"} 1`,
		`signoff_oldest_submitted_timestamp_seconds{account="` + demoAccount + `"} 0`,
		`signoff_oldest_urgent_hold_timestamp_seconds 0`,
		`signoff_docusign_parked{account="` + demoAccount + `",reason="sign_in"} 0`,
		`signoff_mode{mode="close"} 1`,
		`signoff_mode{mode="dry-run"} 0`,
		`signoff_kafka_state{state="up_to_date"} 1`,
		`signoff_build_info{goversion=`,
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("/metrics does not have %s", line)
		}
	}
	metricNamesAgree(t, text)
	noLeak(t, "/metrics", text)
	if status, body := get(t, r.admin()+"/livez"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/livez: %d %q", status, body)
	}
	if status, body := get(t, r.admin()+"/readyz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/readyz: %d %q", status, body)
	}
	_, verbose := get(t, r.admin()+"/readyz?verbose")
	for _, part := range []string{"ledger: ok", "kafka: up_to_date", "docusign: account " + demoAccount + ": ok"} {
		if !strings.Contains(verbose, part) {
			t.Errorf("/readyz?verbose does not say %q: %s", part, verbose)
		}
	}
	if err := r.stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	noLeak(t, "the log", r.logs.String())
}

// seriesIn are the series of a page of metrics, by name and labels.
func seriesIn(page string) map[string]bool {
	all := make(map[string]bool)
	for line := range strings.Lines(page) {
		if series, _, ok := strings.Cut(line, " "); ok && strings.HasPrefix(series, "signoff_") {
			all[series] = true
		}
	}
	return all
}

var metricName = regexp.MustCompile(`(?m)^# TYPE (signoff_\w+) `)

// metricNamesAgree fails unless the page and the golden list have the same
// metrics. Those that a series must be seen for are in neither.
func metricNamesAgree(t *testing.T, page string) {
	t.Helper()
	shown := make(map[string]bool)
	for _, m := range metricName.FindAllStringSubmatch(page, -1) {
		shown[m[1]] = true
	}
	listed := make(map[string]bool)
	for _, name := range metricNames(t) {
		listed[name] = true
	}
	if !maps.Equal(shown, listed) {
		t.Errorf("/metrics has\n%v\nthe golden list\n%v", slices.Sorted(maps.Keys(shown)), slices.Sorted(maps.Keys(listed)))
	}
}

var listedName = regexp.MustCompile(`(?m)^(signoff_\w+)\b`)

// metricNames reads the names of the golden list of package metrics.
func metricNames(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../metrics/testdata/metrics.golden")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range listedName.FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}

func TestStopFinishesTheBatchUnderWay(t *testing.T) {
	t.Parallel()
	const people = 20
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(people), docusign: docusigntest.Config{Latency: 150 * time.Millisecond}})
	r := s.start(t, s.config(t, map[string]string{"batch.max_users": "2"}))
	for i := range people {
		r.post(t, i)
	}
	eventually(t, "a batch is under way", func() bool { return r.stats(t).Entries[ledger.Submitted] > 0 })
	if err := r.stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	l, err := ledger.OpenReadOnly(t.Context(), r.cfg.ledgerConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stats, err := l.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closed := len(s.docusign.Closes(demoAccount))
	if stats.Entries[ledger.Submitted] != 0 || stats.Entries[ledger.Closed] != closed || closed == 0 || closed == people {
		t.Errorf("%v in the ledger, %d closed; want the batch finished, and no more", stats.Entries, closed)
	}
	s.closedOnce(t, closed)
}

func TestDryRunClosesNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(3)})
	r := s.start(t, s.config(t, map[string]string{"mode": ""}))
	for i := range 3 {
		r.post(t, i)
	}
	r.await(t, ledger.WouldClose, 3)
	if n := s.docusign.Stats().Operations["close_users"]; n != 0 {
		t.Errorf("%d closes sent in a dry run", n)
	}
}

func TestBrokerAwayAtStart(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(2)})
	r := s.start(t, s.config(t, map[string]string{
		"kafka.brokers": fmt.Sprintf("['127.0.0.1:%d']", port), "kafka.topics": "[" + demoTopic + "]", "kafka.group": "signoff"}))
	shows(t, r.admin()+"/readyz?verbose", "kafka: away")
	if status, _ := get(t, r.admin()+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d while the broker is away", status)
	}
	shows(t, r.admin()+"/metrics", `signoff_kafka_state{state="away"} 1`)
	r.post(t, 0) // the webhook takes events in

	var err error
	if s.broker, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.SeedTopics(1, demoTopic)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.broker.Close)
	s.produce(t, structured(termination(t, 1)))
	r.await(t, ledger.Closed, 2)
	s.closedOnce(t, 2)
}

func TestDocusignAwayAtStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{users: leaverUsers(2)})
	s.docusign.SetDown(true)
	r := s.start(t, s.config(t, nil))
	s.produce(t, structured(termination(t, 0)))
	r.post(t, 1)
	eventually(t, "both are in the ledger", func() bool { return r.stats(t).Entries[ledger.Waiting] == 2 })
	shows(t, r.admin()+"/readyz?verbose", "docusign: account "+demoAccount+": parked")
	if status, _ := get(t, r.admin()+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d while Docusign is away", status)
	}
	s.docusign.SetDown(false)
	r.await(t, ledger.Closed, 2)
	s.closedOnce(t, 2)
	shows(t, r.admin()+"/readyz?verbose", "docusign: account "+demoAccount+": ok")
}

// TestAccountThatTheConfigDoesNotName is found at Docusign, and counted from the
// moment it is.
func TestAccountThatTheConfigDoesNotName(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(1)})
	r := s.start(t, s.config(t, map[string]string{"docusign.accounts": ""}))
	shows(t, r.admin()+"/metrics", `signoff_outcomes_total{account="`+demoAccount+`",outcome="closed"} 0`)
	shows(t, r.admin()+"/metrics", `signoff_docusign_parked{account="`+demoAccount+`",reason="sign_in"} 0`)
	shows(t, r.admin()+"/metrics", `signoff_failures_total{account="unknown",reason="sign_in"} 0`)
	r.post(t, 0)
	r.await(t, ledger.Closed, 1)
	s.closedOnce(t, 1)
}

// TestAccountInCapitals is one account, however the config spells it.
func TestAccountInCapitals(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(1)})
	r := s.start(t, s.config(t, map[string]string{"docusign.accounts": "[" + strings.ToUpper(demoAccount) + "]"}))
	r.post(t, 0)
	r.await(t, ledger.Closed, 1)
	shows(t, r.admin()+"/metrics", `signoff_outcomes_total{account="`+demoAccount+`",outcome="closed"} 1`)
	if _, text := get(t, r.admin()+"/metrics"); strings.Contains(text, strings.ToUpper(demoAccount)) {
		t.Error("/metrics has two accounts")
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true})
	file := s.config(t, nil)
	s.start(t, file)
	status, _, errOut := signoff("run", "--config", file)
	if status != exitFailed || !strings.Contains(errOut, "in use by another signoff") {
		t.Errorf("status %d, %q", status, errOut)
	}
}

// TestStuckLoopIsNotAlive: of all the loops that a daemon can have, one that turns no
// more is enough, and is named.
func TestStuckLoopIsNotAlive(t *testing.T) {
	cfg := defaults()
	cfg.Kafka.Brokers, cfg.Kafka.Topics, cfg.Kafka.OutcomesTopic = []string{"kafka:9092"}, []kafka.Topic{{Name: "hr"}}, "outcomes"
	cfg.Outcomes.Webhook = &outcomes.Webhook{URL: "https://example.com"}
	d := &daemon{cfg: cfg}
	loops := d.loops()
	if want := []string{"closer", "config", "kafka", "keeper", "outcomes_kafka", "outcomes_webhook"}; !slices.Equal(slices.Sorted(slices.Values(loops)), want) {
		t.Fatalf("the loops are %q, want %q", loops, want)
	}
	for _, stuck := range loops {
		for name, c := range map[string]struct {
			beats bool // once, before it gets stuck
			alive bool
			at    time.Duration
		}{
			"at the start": {false, true, 0}, "never turned": {false, false, stuckAfter + time.Second},
			"in time": {true, true, stuckAfter}, "turns no more": {true, false, stuckAfter + time.Second},
		} {
			t.Run(stuck+" "+name, func(t *testing.T) {
				h := newHearts(metrics.NewProcess(nil, "v", "go", "close", nil, loops), loops)
				began := time.Now()
				if c.beats {
					h.beat(stuck)(began)
				}
				for _, l := range loops {
					if l != stuck {
						h.beat(l)(began.Add(c.at))
					}
				}
				err := h.alive(began.Add(c.at))
				if (err == nil) != c.alive || err != nil && !strings.Contains(err.Error(), "the loop "+stuck+" is stuck") {
					t.Errorf("alive says %v", err)
				}
			})
		}
	}
}

// A file that is not there is a mistake in the config, whichever part wants it:
// status 2, as for any other, tells an operator where to look.
func TestRunSaysThatAFileIsMissing(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true})
	for key, c := range map[string]struct{ value, says string }{
		"webhook.endpoints":         {"[{path: /events, auth: {bearer_file: /nowhere}}]", "webhook.endpoints[0].auth.bearer_file: open /nowhere"},
		"webhook.tls":               {"{cert_file: /nowhere, key_file: /nowhere}", "webhook.tls.cert_file and key_file: open /nowhere"},
		"events.directory":          {"{csv: /nowhere}", "events.directory.csv: open /nowhere"},
		"docusign.private_key_file": {"/nowhere", "docusign.private_key_file: open /nowhere"},
		"admin.tokens_file":         {"/nowhere", "admin.tokens_file: open /nowhere"},
	} {
		status, _, errOut := signoff("run", "--config", s.config(t, map[string]string{key: c.value}))
		if status != 2 || !strings.Contains(errOut, c.says) {
			t.Errorf("%s: status %d, %q; want 2 and %q", key, status, errOut, c.says)
		}
	}
}
