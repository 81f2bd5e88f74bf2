package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sendCommand announces leavers until it is told to stop, every other one by each
// way. As any HR system does, it sends again what was not taken.
func sendCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("send", flag.ContinueOnError)
	webhook := flags.String("webhook", "", "`URL` of the webhook")
	token := flags.String("token", "", "`FILE` with the token that it asks for")
	kafka := flags.String("kafka", "", "`host:port` of the broker")
	every := flags.Duration("every", 400*time.Millisecond, "time between two leavers of a way")
	taken := flags.String("taken", "", "`FILE` that is told who was announced")
	if err := parse(flags, args); err != nil {
		return err
	}
	secret, err := os.ReadFile(*token)
	if err != nil {
		return err
	}
	to, err := noteTo(*taken)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(*kafka), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	byHTTP := poster{*webhook, strings.TrimSpace(string(secret)), &http.Client{Timeout: 10 * time.Second}}
	byKafka := func(event []byte) error {
		record := &kgo.Record{Value: event, Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte(contentType)}}}
		return client.ProduceSync(context.WithoutCancel(ctx), record).FirstErr()
	}
	ended := make(chan error, 2)
	go func() { ended <- announce(ctx, 1, *every, byHTTP.send, to) }()
	go func() { ended <- announce(ctx, 2, *every, byKafka, to) }()
	return errors.Join(<-ended, <-ended)
}

const contentType = "application/cloudevents+json"

// announce sends every other leaver from the first one on. When ctx ends, the one
// that is on its way is still seen through.
func announce(ctx context.Context, first int, every time.Duration, send func([]byte) error, to notes) error {
	for n := first; ctx.Err() == nil; n += 2 {
		event, err := termination(n)
		if err != nil {
			return err
		}
		if err := send(event); err != nil {
			return fmt.Errorf("leaver %d: %w", n, err)
		}
		if err := to.add(userID(n)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
	return nil
}

func termination(n int) ([]byte, error) {
	return json.Marshal(map[string]any{
		"specversion": "1.0", "type": "dev.signoff.employee.terminated.v1", "source": "https://hr.example.com/node",
		"id": fmt.Sprintf("termination-%d", n), "subject": fmt.Sprint(n), "partitionkey": fmt.Sprint(n),
		"datacontenttype": "application/json", "data": map[string]any{"employeeId": fmt.Sprint(n), "email": email(n)},
	})
}

type poster struct {
	url, token string
	client     *http.Client
}

// patience is how long an HR system goes on trying.
const patience = 2 * time.Minute

// send sends until the event is taken: while the pod is being replaced nobody
// answers. It gives up at a refusal, for the same would be refused again.
func (p poster) send(event []byte) error {
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		code, err := p.once(event)
		switch {
		case err == nil && code == http.StatusAccepted:
			return nil
		case err == nil && code < 500 && code != http.StatusTooManyRequests:
			return fmt.Errorf("answered %d", code)
		case time.Since(began) > patience:
			return errors.Join(fmt.Errorf("not taken for %v, last answered %d", patience, code), err)
		}
	}
}

// once has a time-out of its own: an event on its way is seen through.
func (p poster) once(event []byte) (int, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, p.url, bytes.NewReader(event))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Authorization", "Bearer "+p.token)
	answer, err := p.client.Do(request)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}
