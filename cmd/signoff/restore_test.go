package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"signoff/closer/console"
	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
	"signoff/consumer"
	"signoff/consumer/kafka"
)

// The drills of charts/signoff/runbooks/restore.md.

// leaving is the event that person i leaves in so many days, by Kafka or by webhook.
func leaving(t *testing.T, kind string, i, days int) []byte {
	t.Helper()
	p := &person{employee: fmt.Sprintf("E-%05d", i), email: email(i)}
	if days > 0 {
		p.date = time.Now().AddDate(0, 0, days).Format(time.RFC3339)
	}
	e, err := newEvent(kind, fmt.Sprintf("%s-%d", kind, i), p)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (r *running) postText(t *testing.T, text []byte) {
	t.Helper()
	if err := postEvent(t.Context(), r.hooks()+"/events", webhookToken, text); err != nil {
		t.Fatal(err)
	}
}

func (r *running) end(t *testing.T) {
	t.Helper()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
}

// lose moves the ledger, with all that stands beside it, out of the way.
func (s *site) lose(t *testing.T) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, "ledger.db*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no ledger: %v", err)
	}
	for _, f := range found {
		if err := os.Rename(f, filepath.Join(s.dir, "lost-"+filepath.Base(f))); err != nil {
			t.Fatal(err)
		}
	}
}

// states are the states of each person's entries, the oldest first.
func (r *running) states(t *testing.T) map[string]string {
	t.Helper()
	entries, err := r.ledger.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, e := range entries {
		all[e.Leaver] = strings.TrimSpace(all[e.Leaver] + " " + string(e.State))
	}
	return all
}

// is waits until the person's entries are in these states.
func (r *running) is(t *testing.T, person int, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("person %d is %s", person, want), func() bool { return r.states(t)[email(person)] == want })
}

// closes fails unless these people, and nobody else, were closed, by one request each.
func (s *site) closes(t *testing.T, people ...int) {
	t.Helper()
	closes := s.docusign.Closes(demoAccount)
	for _, i := range people {
		if got := closes[userID(i)]; got != (docusigntest.CloseCount{Requested: 1, Closed: 1}) {
			t.Errorf("person %d: %+v, want to be closed by one request", i, got)
		}
	}
	if len(closes) != len(people) {
		t.Errorf("%d users were to be closed, want %d", len(closes), len(people))
	}
}

func TestDrillLedgerLost(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{users: leaverUsers(8)})
	file := s.config(t, nil)
	r := s.start(t, file)
	for i := range 4 {
		s.produce(t, structured(leaving(t, consumer.TypeTerminated, i, 0)))
	}
	r.postText(t, leaving(t, consumer.TypeTerminated, 4, 0))
	r.postText(t, leaving(t, consumer.TypeTerminated, 5, 14))
	r.await(t, ledger.Closed, 5)
	r.await(t, ledger.Waiting, 1)
	shows(t, r.admin()+"/metrics", `signoff_kafka_state{state="up_to_date"} 1`)
	r.end(t)
	s.lose(t)
	s.produce(t, structured(leaving(t, consumer.TypeTerminated, 6, 0)))

	// An empty ledger reads nothing until somebody says from where. Webhooks go on. By default the first plan is held again.
	file = s.config(t, map[string]string{"guard.first_run": ""})
	r = s.start(t, file)
	shows(t, r.admin()+"/metrics", `signoff_kafka_state{state="needs_from"} 1`)
	shows(t, r.admin()+"/readyz?verbose", "--from earliest or --from committed")
	r.postText(t, leaving(t, consumer.TypeTerminated, 7, 0))
	if states := r.states(t); len(states) != 1 {
		t.Errorf("in the ledger are %v, want the one that came by webhook", states)
	}
	r.end(t)

	r = s.startFrom(t, file, kafka.Earliest)
	shows(t, r.admin()+"/metrics", `signoff_kafka_state{state="up_to_date"} 1`)
	for i := range 4 { // were closed with the ledger that is lost
		r.is(t, i, "already_closed")
	}
	r.await(t, ledger.Held, 2)
	for _, h := range s.holds(t, r) {
		s.decideOn(t, r, "approve", h)
	}
	r.is(t, 6, "closed")
	r.is(t, 7, "closed")
	s.closes(t, 0, 1, 2, 3, 4, 6, 7)

	// Of what came by webhook and is still to come, nobody knows until HR sends it again.
	if state, known := r.states(t)[email(5)]; known {
		t.Errorf("person 5 is %s", state)
	}
	r.postText(t, leaving(t, consumer.TypeTerminated, 4, 0))
	r.postText(t, leaving(t, consumer.TypeTerminated, 5, 14))
	r.is(t, 4, "already_closed")
	r.is(t, 5, "waiting")
	s.closes(t, 0, 1, 2, 3, 4, 6, 7)
}

func TestDrillLedgerADayOld(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{users: leaverUsers(12)})
	k := newTickets(t)
	keys := map[string]string{"kafka.outcomes_topic": "", "guard.protected": "{emails: [" + email(7) + ", " + email(8) + ", " + email(9) + "]}"}
	file := s.publishing(t, k, keys)
	r := s.start(t, file)
	for i := range 3 {
		s.produce(t, structured(leaving(t, consumer.TypeTerminated, i, 0)))
	}
	s.produce(t, structured(leaving(t, consumer.TypeTerminated, 6, 14)),
		structured(leaving(t, consumer.TypeTerminated, 7, 0)), structured(leaving(t, consumer.TypeTerminated, 9, 0)))
	r.postText(t, leaving(t, consumer.TypeTerminated, 3, 0))
	r.postText(t, leaving(t, consumer.TypeTerminated, 11, 14))
	r.await(t, ledger.Closed, 4)
	r.await(t, ledger.Held, 2)
	k.await(t, "user.closed", 4)
	backup := filepath.Join(t.TempDir(), "ledger.db")
	if status, out, errOut := signoff("ledger", "backup", backup, "--config", file); status != 0 {
		t.Fatal(status, out, errOut)
	}

	// The day that is lost. By Kafka two leave, a leaving is taken back, and somebody
	// protected leaves; by webhook one leaves, and a leaving is taken back. Of the two
	// holds one is approved, and the other rejected.
	s.produce(t, structured(leaving(t, consumer.TypeTerminated, 4, 0)), structured(leaving(t, consumer.TypeTerminated, 5, 0)),
		structured(leaving(t, consumer.TypeRescinded, 6, 0)), structured(leaving(t, consumer.TypeTerminated, 8, 0)))
	sent := [][]byte{leaving(t, consumer.TypeTerminated, 10, 0), leaving(t, consumer.TypeRescinded, 11, 0)}
	for _, text := range sent {
		r.postText(t, text)
	}
	r.await(t, ledger.Held, 3)
	s.decide(t, r, "approve", 7)
	s.decide(t, r, "reject", 9)
	r.await(t, ledger.Closed, 8)
	r.await(t, ledger.Skipped, 1)
	r.await(t, ledger.Cancelled, 2)
	k.await(t, "user.closed", 8)
	closed := []int{0, 1, 2, 3, 4, 5, 7, 10}
	s.closes(t, closed...)
	r.end(t)
	heads := s.write(t, "heads", r.logs.String())

	s.lose(t)
	if status, out, errOut := signoff("ledger", "backup", filepath.Join(s.dir, "ledger.db"), "--ledger", "sqlite://"+backup); status != 0 {
		t.Fatal(status, out, errOut)
	}
	verify := func(want string) {
		t.Helper()
		if status, out, errOut := signoff("audit", "verify", "--config", file, "--checkpoints", heads); status != 1 || !strings.Contains(errOut, want) {
			t.Errorf("verify: %d %s%s, want %q", status, out, errOut, want)
		}
	}
	verify("are missing: the end was cut off, for a later head went out")

	// In a dry run first: what came by webhook is not known until it is sent again.
	keys["mode"] = modeDryRun
	r = s.start(t, s.publishing(t, k, keys))
	shows(t, r.admin()+"/metrics", `signoff_kafka_state{dry_run="true",state="up_to_date"} 1`)
	if !strings.Contains(r.logs.String(), "a backup was put back") {
		t.Error("the log does not say that a backup was put back")
	}
	for person, want := range map[int]string{4: "already_closed", 5: "already_closed", 6: "cancelled", 10: "", 11: "waiting"} {
		r.is(t, person, want)
	}
	for _, text := range sent {
		r.postText(t, text)
	}
	r.is(t, 10, "already_closed")
	r.is(t, 11, "cancelled")
	r.end(t)

	// What people decided is lost. Who was closed by it is found closed; about the others
	// they are asked again.
	keys["mode"] = modeClose
	r = s.start(t, s.publishing(t, k, keys))
	r.is(t, 7, "already_closed")
	r.is(t, 8, "held")
	r.is(t, 9, "held")
	r.await(t, ledger.Held, 2)
	s.decide(t, r, "reject", 9)
	r.is(t, 9, "skipped")
	s.closes(t, closed...)
	eventually(t, "all outcomes are published", func() bool { return r.stats(t).Unpublished["webhook"].Rows == 0 })
	r.end(t)
	k.saysOneThingUnderOneID(t)
	verify("the chain was rewritten")
}

func (s *site) asAlice(r *running, words ...string) []string {
	return append(words, "--url", r.admin(), "--token-file", filepath.Join(s.dir, "alice"))
}

func (s *site) holds(t *testing.T, r *running) (open []console.Hold) {
	t.Helper()
	status, out, errOut := signoff(s.asAlice(r, "holds", "list", "--output", "json")...)
	if err := json.Unmarshal([]byte(out), &open); status != 0 || err != nil {
		t.Fatal(errOut, err)
	}
	return open
}

func (s *site) decideOn(t *testing.T, r *running, word string, h console.Hold) {
	t.Helper()
	if status, _, errOut := signoff(s.asAlice(r, "holds", word, fmt.Sprint(h.ID), "--digest", h.Digest, "--reason", "as HR says")...); status != 0 {
		t.Fatal(errOut)
	}
}

// decide decides about the hold of one person, as soon as there is one.
func (s *site) decide(t *testing.T, r *running, word string, i int) {
	t.Helper()
	var found console.Hold
	eventually(t, fmt.Sprintf("person %d has a hold", i), func() bool {
		for _, h := range s.holds(t, r) {
			if !h.DryRun && slices.ContainsFunc(h.Users, func(u console.User) bool { return u.Email == email(i) }) {
				found = h
			}
		}
		return found.ID != 0
	})
	s.decideOn(t, r, word, found)
}

// saysOneThingUnderOneID fails if two outcomes with the same id differ: a receiver
// that goes by ids would take the second for a repetition.
func (k *tickets) saysOneThingUnderOneID(t *testing.T) {
	t.Helper()
	told := make(map[string]published)
	for _, p := range k.all() {
		if before, twice := told[p.ID]; twice && fmt.Sprint(before) != fmt.Sprint(p) {
			t.Errorf("two outcomes have the id %s:\n%v\n%v", p.ID, before, p)
		}
		told[p.ID] = p
	}
}

// remakeTopic makes a topic of one partition, in the place of the one that has the name,
// in which these people leave.
func (s *site) remakeTopic(t *testing.T, topic string, people ...int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.broker.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	_, _ = admin.DeleteTopic(t.Context(), topic) // if it is there
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	for _, i := range people {
		record := &kgo.Record{Topic: topic, Value: leaving(t, consumer.TypeTerminated, i, 0),
			Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}}
		if err := cl.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDrillTopicMadeAnew(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{users: leaverUsers(8)})
	s.remakeTopic(t, demoTopic, 0, 1, 2)
	file := s.config(t, nil)
	r := s.start(t, file)
	r.await(t, ledger.Closed, 3)
	r.end(t)

	// Shorter than what was read of the old one: it is noticed. Person 2 is known by the event.
	s.remakeTopic(t, demoTopic, 2, 3)
	r = s.start(t, file)
	r.await(t, ledger.Closed, 4)
	shows(t, r.admin()+"/metrics", `signoff_kafka_lost_offsets_total{topic="`+demoTopic+`"} 1`)
	if !strings.Contains(r.logs.String(), "the topic was made anew: reading it from its start") {
		t.Error("the log does not say that the topic was made anew")
	}
	r.end(t)

	// Longer: nobody can tell, and what stands before the watermark, 2, is not read.
	s.remakeTopic(t, demoTopic, 4, 5, 6, 7)
	r = s.start(t, file)
	r.await(t, ledger.Closed, 6)
	shows(t, r.admin()+"/metrics", `signoff_kafka_state{state="up_to_date"} 1`)
	if states := r.states(t); states[email(4)]+states[email(5)] != "" {
		t.Errorf("read after all: %v", states)
	}
	r.end(t)

	// Under another name all of it is read.
	s.remakeTopic(t, demoTopic+".2", 4, 5, 6, 7)
	r = s.start(t, s.config(t, map[string]string{"kafka.topics": "[" + demoTopic + ", " + demoTopic + ".2]"}))
	r.is(t, 4, "closed")
	r.is(t, 5, "closed")
	r.is(t, 6, "closed already_closed")
	r.is(t, 7, "closed already_closed")
	s.closes(t, 0, 1, 2, 3, 4, 5, 6, 7)
}

// TestRunbookNamesWhatThereIs fails if the runbook has a command, a metric or a line of
// the log that there is not.
func TestRunbookNamesWhatThereIs(t *testing.T) {
	text := read(t, "../../charts/signoff/runbooks/restore.md")
	for _, m := range invocation.FindAllStringSubmatch(code(text), -1) {
		if !slices.ContainsFunc(commands(), func(c command) bool { return c.name == m[1] }) {
			t.Errorf("it has `signoff %s`, which does not exist", m[1])
		}
	}
	for _, name := range regexp.MustCompile(`\bsignoff_[a-z_]*[a-z]\b`).FindAllString(text, -1) {
		if !slices.Contains(metricNames(t), name) {
			t.Errorf("it has the metric %s, which does not exist", name)
		}
	}
	sources := read(t, "../../consumer/kafka/start.go") + read(t, "../../consumer/kafka/fetch.go")
	said := regexp.MustCompile(`"msg":"((?:[^"]|\n)+)"`).FindAllStringSubmatch(text, -1)
	if len(said) < 3 {
		t.Errorf("%d lines of the log in it", len(said))
	}
	for _, m := range said {
		line := strings.Join(strings.Fields(m[1]), " ")
		if line != "reading of Kafka" && !strings.Contains(sources, `"`+line+`"`) {
			t.Errorf("the log never says %q", line)
		}
	}
}
