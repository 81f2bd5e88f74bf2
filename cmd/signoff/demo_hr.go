package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	segmentio "github.com/segmentio/kafka-go"

	"signoff/consumer"
)

// produce sends what the HR system has to say: terminations, most by Kafka and
// some by webhook, in both modes, among them repeats and duplicates, between
// changes of people who stay.
func (c *company) produce(ctx context.Context, brokers []string, webhook, token string) error {
	writer := &segmentio.Writer{Addr: segmentio.TCP(brokers...), Topic: demoTopic, BatchTimeout: 5 * time.Millisecond,
		RequiredAcks: segmentio.RequireAll, Balancer: &segmentio.Hash{}}
	defer writer.Close()
	post := func(body []byte) error { return postEvent(ctx, webhook, token, body) }
	began := time.Now()
	if err := c.tellOddly(ctx, writer); err != nil {
		return fmt.Errorf("hr system: %w", err)
	}
	half := len(c.people) / 2
	for i := range half {
		if err := c.tell(ctx, writer, post, i, c.people[i], c.people[half+i]); err != nil {
			return fmt.Errorf("hr system: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(began.Add(c.over * time.Duration(i+1) / time.Duration(half)))):
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
	event, err := newEvent(leaver.back, "back-"+leaver.employee, leaver.backAgain())
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

// backAgain is the person without what was said of the leaving.
func (p *person) backAgain() *person {
	return &person{employee: p.employee, email: p.email, given: p.given, family: p.family, job: p.job}
}

func newEvent(kind, id string, p *person) (cloudevents.Event, error) {
	e := cloudevents.New()
	e.SetID(id)
	e.SetType(kind)
	e.SetSource(demoSource)
	e.SetSubject(p.employee)
	e.SetTime(time.Now())
	e.SetExtension("partitionkey", p.employee)
	data := map[string]any{"employeeId": p.employee, "email": p.email, "givenName": p.given, "familyName": p.family,
		"department": p.job.department, "legalEntity": p.job.entity}
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
	return postTo(ctx, url, token, cloudevents.ApplicationCloudEventsJSON, body)
}

// postBatch sends events that are taken in together.
func postBatch(ctx context.Context, url, token string, events []cloudevents.Event) error {
	body, err := json.Marshal(events)
	if err != nil {
		return err
	}
	return postTo(ctx, url, token, cloudevents.ApplicationCloudEventsBatchJSON, body)
}

func postTo(ctx context.Context, url, token, contentType string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("webhook answers %s", resp.Status)
	}
	return nil
}
