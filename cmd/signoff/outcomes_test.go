package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
)

const outcomesTopic = "hr.outcomes"

var outcomesSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("a-secret-of-the-ticket-system-32"))

// published is an outcome as its receivers read it.
type published struct {
	ID, Type, Subject string
	Data              struct {
		Email, ManagerEmail, Reason string
		Users                       []struct{ UserID, Outcome, TraceToken string }
		Audit                       struct {
			Seq  int64
			Hash string
		}
	}
}

func parsePublished(t *testing.T, text []byte) published {
	t.Helper()
	var p published
	if err := json.Unmarshal(text, &p); err != nil {
		t.Error(err)
	}
	return p
}

// tickets is a ticket system that is told of outcomes.
type tickets struct {
	*httptest.Server
	mu   sync.Mutex
	away bool
	got  []published
}

func newTickets(t *testing.T) *tickets {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(outcomesSecret)
	if err != nil {
		t.Fatal(err)
	}
	k := &tickets{}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.away {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if err := hook.Verify(body, r.Header); err != nil {
			t.Error(err)
		}
		k.got = append(k.got, parsePublished(t, body))
	}))
	t.Cleanup(k.Close)
	return k
}

func (k *tickets) isAway(away bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away = away
}

func (k *tickets) all() []published {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.got)
}

// awaitTickets waits until so many outcomes of the type came.
func (k *tickets) await(t *testing.T, word string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d tickets %s", n, word), func() bool { return len(ofType(k.all(), word)) == n })
}

func ofType(all []published, word string) []published {
	return slices.DeleteFunc(slices.Clone(all), func(p published) bool { return p.Type != "dev.signoff."+word+".v1" })
}

// outcomes adds to a config that they are published to both sinks.
func (s *site) publishing(t *testing.T, k *tickets, change map[string]string) string {
	t.Helper()
	keys := map[string]string{"outcomes.webhook": "{url: " + k.URL + ", secret_file: " + s.write(t, "outcomes-secret", outcomesSecret) + "}"}
	if s.broker != nil {
		keys["kafka.outcomes_topic"] = outcomesTopic
	}
	for key, value := range change {
		keys[key] = value
	}
	return s.config(t, keys)
}

func (s *site) makeOutcomesTopic(t *testing.T) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.broker.ListenAddrs()...), kgo.ConsumeTopics(outcomesTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 3, 1, nil, outcomesTopic); err != nil {
		t.Fatal(err)
	}
	return cl
}

// readOutcomes reads n records, and fails if one shows an email where everybody
// sees it.
func readOutcomes(t *testing.T, cl *kgo.Client, n int) []published {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var all []published
	for len(all) < n {
		for _, r := range cl.PollFetches(ctx).Records() {
			all = append(all, parsePublished(t, r.Value))
			if seen := fmt.Sprint(string(r.Key), r.Headers); strings.Contains(seen, "@") {
				t.Errorf("key and headers: %s", seen)
			}
			if last := all[len(all)-1]; string(r.Key) != last.Subject {
				t.Errorf("the key is %q, the subject %q", r.Key, last.Subject)
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("%d outcomes, want %d", len(all), n)
		}
	}
	slices.SortFunc(all, func(a, b published) int { return int(a.Data.Audit.Seq - b.Data.Audit.Seq) })
	return all
}

func TestOutcomesArePublished(t *testing.T) {
	t.Parallel()
	const people = 12
	s := newSite(t, siteOptions{users: append(leaverUsers(people), docusigntest.User{ID: userID(people), Email: email(people), Status: "Closed"})})
	k, topic := newTickets(t), s.makeOutcomesTopic(t)
	file := s.publishing(t, k, nil)
	r := s.start(t, file)
	for i := range people + 2 { // one was closed before, one was never a user
		s.produce(t, structured(termination(t, i)))
	}
	s.produce(t, structured([]byte(`{"specversion": "1.0"}`)))
	k.await(t, "user.closed", people)
	k.await(t, "user.already_closed", 1)
	k.await(t, "user.not_found", 1)
	k.await(t, "event.rejected", 1)

	told := k.all()
	for i, p := range told {
		if i > 0 && p.Data.Audit.Seq <= told[i-1].Data.Audit.Seq {
			t.Errorf("row %d after row %d", p.Data.Audit.Seq, told[i-1].Data.Audit.Seq)
		}
	}
	for i, p := range ofType(told, "user.closed") {
		if len(p.Data.Users) != 1 || p.Data.Users[0].Outcome != "closed" || p.Data.Users[0].TraceToken == "" {
			t.Errorf("closed %d: %+v", i, p.Data.Users)
		}
		if !slices.ContainsFunc(leaverUsers(people), func(u docusigntest.User) bool {
			return u.Email == p.Data.Email && u.ID == p.Data.Users[0].UserID
		}) {
			t.Errorf("%s is said to be closed as %v", p.Data.Email, p.Data.Users)
		}
	}
	byKafka := readOutcomes(t, topic, len(told))
	if fmt.Sprint(byKafka) != fmt.Sprint(told) {
		t.Errorf("Kafka has\n%v\nthe tickets\n%v", byKafka, told)
	}
	shows(t, r.admin()+"/metrics", `signoff_outcomes_unpublished{sink="kafka"} 0`)
	shows(t, r.admin()+"/metrics", fmt.Sprintf(`signoff_outcomes_published_total{sink="webhook"} %d`, len(told)))
	shows(t, r.admin()+"/readyz?verbose", "outcomes: webhook: ok")
	_, text := get(t, r.admin()+"/metrics")
	if !strings.Contains(text, `signoff_heartbeat_timestamp_seconds{loop="outcomes_kafka"} 1`) {
		t.Error("the loop does not beat")
	}
	last := told[len(told)-1].Data.Audit
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	s.chainHas(t, r.cfg, last.Seq, last.Hash)
	noLeak(t, "the log", r.logs.String())

	s.start(t, file) // which tells nothing twice
	s.produce(t, structured(termination(t, people+5)))
	k.await(t, "user.not_found", 2)
	if got := len(k.all()); got != len(told)+1 {
		t.Errorf("told %d after a restart, want %d", got, len(told)+1)
	}
}

// chainHas fails unless the ledger's audit has this hash at this row.
func (s *site) chainHas(t *testing.T, cfg config, seq int64, hash string) {
	t.Helper()
	l, err := ledger.OpenReadOnly(t.Context(), cfg.ledgerConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.VerifyAudit(t.Context()); err != nil {
		t.Error(err)
	}
	found, _, err := l.OutcomesAfter(t.Context(), seq-1, 1)
	if err != nil || len(found) != 1 || found[0].Seq != seq || found[0].Hash != hash {
		t.Errorf("row %d has another hash than was published: %+v (%v)", seq, found, err)
	}
}

// Nobody stays open because of a ticket system that is away, or a topic that
// is not there.
func TestSinksAwayHoldUpNobody(t *testing.T) {
	t.Parallel()
	const people = 5
	s := newSite(t, siteOptions{users: leaverUsers(people)})
	k := newTickets(t)
	k.isAway(true)
	r := s.start(t, s.publishing(t, k, nil))
	for i := range people {
		r.post(t, i)
	}
	r.await(t, ledger.Closed, people)
	s.closedOnce(t, people)
	shows(t, r.admin()+"/metrics", fmt.Sprintf(`signoff_outcomes_unpublished{sink="webhook"} %d`, people))
	shows(t, r.admin()+"/metrics", fmt.Sprintf(`signoff_outcomes_unpublished{sink="kafka"} %d`, people))
	shows(t, r.admin()+"/readyz?verbose", fmt.Sprintf("outcomes: webhook: %d not published yet", people))
	if status, _ := get(t, r.admin()+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d while others are away", status)
	}
	eventually(t, "the log says so of both", func() bool {
		log := r.logs.String()
		return strings.Contains(log, "answered 502 Bad Gateway") && strings.Contains(log, "hr.outcomes: no such topic")
	})
	k.isAway(false)
	k.await(t, "user.closed", people)
	readOutcomes(t, s.makeOutcomesTopic(t), people)
	shows(t, r.admin()+"/metrics", `signoff_outcomes_oldest_unpublished_timestamp_seconds{sink="kafka"} 0`)
	noLeak(t, "the log", r.logs.String())
}

// Kafka may be there for outcomes alone.
func TestOutcomesAloneByKafka(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{users: leaverUsers(1)})
	topic := s.makeOutcomesTopic(t)
	file := s.publishing(t, newTickets(t), map[string]string{"kafka.topics": "", "kafka.group": ""})
	if status, out, _ := signoff("check", "--config", file); status != 0 || !strings.Contains(out, "kafka     ok      not configured") {
		t.Errorf("%d %s", status, out)
	}
	r := s.start(t, file)
	r.post(t, 0)
	if got := readOutcomes(t, topic, 1); got[0].Data.Email != email(0) {
		t.Errorf("got %+v", got)
	}
}

func TestCheckOfOutcomes(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	k := newTickets(t)
	check := func(want string, failed bool, change map[string]string) {
		t.Helper()
		status, out, _ := signoff("check", "--config", s.publishing(t, k, change))
		if !strings.Contains(out, want) || (status != 0) != failed {
			t.Errorf("status %d, does not say %q: %s", status, want, out)
		}
		noLeak(t, "check", out)
	}
	check("outcomes  FAILED  no such topic: hr.outcomes\n", true, nil)
	s.makeOutcomesTopic(t)
	check("outcomes  ok      topic hr.outcomes (3 partitions), webhook at "+strings.TrimPrefix(k.URL, "http://")+" (secrets: 1)", false, nil)
	check("outcomes  ok      topic hr.outcomes (3 partitions)\n", false, map[string]string{"outcomes.webhook": ""})
	check("outcomes  ok      not published\n", false, map[string]string{"outcomes.webhook": "", "kafka.outcomes_topic": ""})
	check("outcomes  FAILED  outcomes.webhook.secret_file: "+s.dir+"/webhook-token: line 1: not whsec_", true,
		map[string]string{"outcomes.webhook": "{url: " + k.URL + ", secret_file: " + s.dir + "/webhook-token}"})
	if len(k.all()) != 0 {
		t.Error("check has posted something")
	}
	file := s.publishing(t, k, map[string]string{"outcomes.webhook": "{url: " + k.URL + ", secret_file: /nowhere}"})
	if status, _, errOut := signoff("run", "--config", file); status != 2 || !strings.Contains(errOut, "outcomes.webhook.secret_file: open /nowhere") {
		t.Errorf("run without a secret: %d %s", status, errOut)
	}
	file = s.publishing(t, k, map[string]string{"kafka.outcomes_topic": demoTopic})
	if status, _, errOut := signoff("check", "--config", file); status != 2 || !strings.Contains(errOut, "outcomes would come back as events") {
		t.Errorf("a topic that feeds itself: %d %s", status, errOut)
	}
}
