package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	segmentio "github.com/segmentio/kafka-go"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// person is somebody whom the HR system knows.
type person struct {
	employee string
	email    string
	user     string   // userId at Docusign; "" for those who have none
	address  string   // of the user, where it is not email
	other    []string // further addresses that the HR system knows
	closed   bool     // the user is closed already
	admin    bool
	leaves   bool
	date     string       // effective date; "": now
	back     string       // type of the event by which the termination is taken back; "": it is not
	right    ledger.State // what must become of the leaver; "" for those who stay
	sentAt   atomic.Int64 // Unix microseconds
}

// company is the people, some of whom leave, and what its HR system tells of
// them.
type company struct {
	people []*person
	events atomic.Int64 // sent so far
	sent   atomic.Bool  // all were
}

// newCompany makes a company that so many people leave: most have a user, some
// have none, a few are cases of their own. As many stay.
func newCompany(leavers int) *company {
	c := &company{}
	for i := range leavers {
		p := newPerson("leaver", i)
		p.leaves, p.right = true, ledger.Closed
		switch {
		case i%20 == 7: // never had a user
			p.user, p.right = "", ledger.NotFound
		case i%40 == 13: // somebody was quicker
			p.closed, p.right = true, ledger.AlreadyClosed
		case i%50 == 3: // in the config's list
			p.right = ledger.Held
		case i%100 == 17:
			p.admin, p.right = true, ledger.Held
		case i%20 == 16, i%40 == 19: // does not leave after all, or is back at once
			p.date, p.back, p.right = inAMonth(), consumer.TypeRescinded, ledger.Cancelled
			if i%40 == 19 {
				p.back = consumer.TypeRehired
			}
		case i%25 == 11: // leaves later: nobody may be closed before their day
			p.date, p.right = inAMonth(), ledger.Waiting
		case i%10 == 4: // the user is known by another address
			p.address = fmt.Sprintf("l.%05d@brand.example.com", i)
			p.other = []string{p.address}
		}
		c.people = append(c.people, p)
	}
	for i := range leavers {
		c.people = append(c.people, newPerson("employee", i))
	}
	return c
}

func inAMonth() string { return time.Now().AddDate(0, 0, 30).Format(time.DateOnly) }

func newPerson(role string, i int) *person {
	return &person{
		employee: fmt.Sprintf("%s-%05d", role, i),
		email:    fmt.Sprintf("%s.%05d@example.com", role, i),
		user:     fmt.Sprintf("%08d-%04x-4000-8000-%012d", i, len(role), i),
	}
}

func (c *company) leavers() int {
	n := 0
	for _, p := range c.people {
		if p.leaves {
			n++
		}
	}
	return n
}

// protected are the addresses that the guard is told to protect.
func (c *company) protected() []string {
	var emails []string
	for i, p := range c.people {
		if p.right == ledger.Held && !p.admin && i < len(c.people)/2 {
			emails = append(emails, p.email)
		}
	}
	return emails
}

// users are the company's users at Docusign.
func (c *company) users() []docusigntest.User {
	since := time.Now().AddDate(-3, 0, 0)
	users := []docusigntest.User{
		{ID: demoUser, Email: "signoff@example.com", Name: "signoff", Administrator: true, Created: since},
		{ID: "00000000-0000-4000-8000-0000000000bb", Email: "it@example.com", Name: "IT", Administrator: true, Created: since},
	}
	for i, p := range c.people {
		if p.user == "" {
			continue
		}
		u := docusigntest.User{ID: p.user, Email: p.email, Name: p.employee, Administrator: p.admin, Created: since,
			LastLogin: time.Now().Add(-time.Duration(i%90) * time.Hour)}
		if p.address != "" {
			u.Email = p.address
		}
		if p.closed {
			u.Status = "Closed"
		}
		users = append(users, u)
	}
	return users
}

// settled says whether all events were sent and every leaver is where nothing
// more will happen without a person or a date.
func (c *company) settled(stats ledger.Stats) bool {
	if !c.sent.Load() {
		return false
	}
	rest := 0
	for _, state := range []ledger.State{ledger.Due, ledger.Submitted} {
		rest += stats.Entries[state]
	}
	all := 0
	for _, n := range stats.Entries {
		all += n
	}
	later := 0
	for _, p := range c.people {
		if p.right == ledger.Waiting {
			later++
		}
	}
	return rest == 0 && all >= c.leavers() && stats.Entries[ledger.Waiting] <= later && stats.Reading.State == consumer.UpToDate
}

// produce sends what the HR system has to say: terminations, most by Kafka and
// some by webhook, in both modes, among them repeats and duplicates, between
// changes of people who stay.
func (c *company) produce(ctx context.Context, brokers []string, webhook, token string) error {
	writer := &segmentio.Writer{Addr: segmentio.TCP(brokers...), Topic: demoTopic, BatchTimeout: 5 * time.Millisecond,
		RequiredAcks: segmentio.RequireAll, Balancer: &segmentio.Hash{}}
	defer writer.Close()
	post := func(body []byte) error { return postEvent(ctx, webhook, token, body) }
	pause := 6 * time.Second / time.Duration(len(c.people))
	for i := range len(c.people) / 2 {
		leaver, stays := c.people[i], c.people[i+len(c.people)/2]
		if err := c.tell(ctx, writer, post, i, leaver, stays); err != nil {
			return fmt.Errorf("hr system: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(2 * pause):
		}
	}
	c.sent.Store(true)
	return nil
}

// tell sends the events about one who leaves and one who stays.
func (c *company) tell(ctx context.Context, writer *segmentio.Writer, post func([]byte) error, i int, leaver, stays *person) error {
	update, err := newEvent("com.example.hr.employee.updated", "update-"+stays.employee, stays)
	if err != nil {
		return err
	}
	event, err := newEvent(consumer.TypeTerminated, "termination-"+leaver.employee, leaver)
	if err != nil {
		return err
	}
	leaver.sentAt.Store(time.Now().UnixMicro())
	messages := []segmentio.Message{binary(update)}
	switch {
	case i%9 == 2: // by webhook, structured
		text, err := json.Marshal(event)
		if err != nil {
			return err
		}
		if err := post(text); err != nil {
			return err
		}
	case i%9 == 5:
		text, err := json.Marshal(event)
		if err != nil {
			return err
		}
		messages = append(messages, segmentio.Message{Key: []byte(leaver.employee), Value: text,
			Headers: []segmentio.Header{{Key: "content-type", Value: []byte("application/cloudevents+json; charset=UTF-8")}}})
	default:
		messages = append(messages, binary(event))
	}
	switch {
	case i%15 == 0: // delivered twice
		messages = append(messages, messages[len(messages)-1])
	case i%15 == 1: // told twice
		again, err := newEvent(consumer.TypeTerminated, "again-"+leaver.employee, leaver)
		if err != nil {
			return err
		}
		messages = append(messages, binary(again))
	}
	c.events.Add(int64(len(messages)))
	if err := writer.WriteMessages(ctx, messages...); err != nil || leaver.back == "" {
		return err
	}
	return c.takeBack(ctx, writer, post, i%9 == 2, leaver)
}

// takeBack sends, the same way as the termination, that it is taken back: by a
// rescind, or by a rehire that is in effect already.
func (c *company) takeBack(ctx context.Context, writer *segmentio.Writer, post func([]byte) error, byWebhook bool, leaver *person) error {
	event, err := newEvent(leaver.back, "back-"+leaver.employee, &person{employee: leaver.employee, email: leaver.email})
	if err != nil {
		return err
	}
	c.events.Add(1)
	if !byWebhook {
		return writer.WriteMessages(ctx, binary(event))
	}
	text, err := json.Marshal(event)
	if err != nil {
		return err
	}
	return post(text)
}

func newEvent(kind, id string, p *person) (cloudevents.Event, error) {
	e := cloudevents.New()
	e.SetID(id)
	e.SetType(kind)
	e.SetSource(demoSource)
	e.SetSubject(p.employee)
	e.SetTime(time.Now())
	e.SetExtension("partitionkey", p.employee)
	data := map[string]any{"employeeId": p.employee, "email": p.email}
	if len(p.other) > 0 {
		data["otherEmails"] = p.other
	}
	if p.date != "" {
		data["effectiveAt"] = p.date
	}
	err := e.SetData(cloudevents.ApplicationJSON, data)
	return e, err
}

// binary is the event as Kafka's binary mode has it.
func binary(e cloudevents.Event) segmentio.Message {
	m := segmentio.Message{Key: []byte(e.Subject()), Value: e.Data()}
	for _, h := range [][2]string{
		{"ce_specversion", e.SpecVersion()}, {"ce_type", e.Type()}, {"ce_source", e.Source()}, {"ce_id", e.ID()},
		{"ce_subject", e.Subject()}, {"ce_time", e.Time().Format(time.RFC3339Nano)}, {"ce_partitionkey", e.Subject()},
		{"content-type", e.DataContentType()},
	} {
		m.Headers = append(m.Headers, segmentio.Header{Key: h[0], Value: []byte(h[1])})
	}
	return m
}

func postEvent(ctx context.Context, url, token string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", cloudevents.ApplicationCloudEventsJSON)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if !slices.Contains([]int{http.StatusAccepted}, resp.StatusCode) {
		return fmt.Errorf("webhook answers %s", resp.Status)
	}
	return nil
}
