package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	segmentio "github.com/segmentio/kafka-go"

	"signoff/closer/ledger"
)

// parent is the trace context of person i, and its trace's id.
func parent(i int) (traceParent, traceID string) {
	traceID = fmt.Sprintf("%032x", 0xabc000+i)
	return "00-" + traceID + "-00f067aa0ba902b7-01", traceID
}

// withTrace is a termination that carries its own trace context.
func withTrace(t *testing.T, i int) []byte {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(termination(t, i), &e); err != nil {
		t.Fatal(err)
	}
	e["traceparent"], _ = parent(i)
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestATraceGoesAllTheWay follows the trace context of terminations that came in every
// way: to the log, to the exemplars, to the outcomes and to what explain says.
func TestATraceGoesAllTheWay(t *testing.T) {
	t.Parallel()
	const people = 5
	s := newSite(t, siteOptions{users: leaverUsers(people)})
	k, topic := newTickets(t), s.makeOutcomesTopic(t)
	r := s.start(t, s.publishing(t, k, map[string]string{
		"webhook.endpoints": "[{path: /events, auth: {bearer_file: " + filepath.Join(s.dir, "webhook-token") + "}}, {path: /mapped, auth: none, mapping: acme}]",
		"events.mappings":   `[{name: acme, expression: '[{"email": body.mail}]'}]`,
	}))
	url := "http://" + r.webhook.Addr().String()
	post := func(path, contentType string, i int, body []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("Authorization", "Bearer "+webhookToken)
		req.Header.Set("Traceparent", "00-ffffffffffffffffffffffffffffffff-00f067aa0ba902b7-01")
		if i >= 0 {
			carried, _ := parent(i)
			req.Header.Set("Traceparent", carried)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			t.Fatalf("%s answers %d", path, resp.StatusCode)
		}
	}
	carried, _ := parent(1)
	inHeader := structured(termination(t, 1))
	inHeader.Headers = append(inHeader.Headers, segmentio.Header{Key: "traceparent", Value: []byte(carried)})
	s.produce(t, structured(withTrace(t, 0)), inHeader)
	post("/events", "application/cloudevents+json", -1, withTrace(t, 2)) // its own goes before that of the request
	post("/events", "application/cloudevents+json", 3, termination(t, 3))
	post("/mapped", "application/json", 4, []byte(`{"mail": "`+email(4)+`"}`))
	r.await(t, ledger.Closed, people)
	post("/mapped", "application/json", 5, []byte(`{"mail": 1}`))
	k.await(t, "user.closed", people)
	k.await(t, "event.rejected", 1)

	logs := r.logs.String()
	for i := range people + 1 {
		_, id := parent(i)
		for _, message := range []string{"event recorded", "entry settled", "an event was not understood"} {
			if (i == people) != (message == "an event was not understood") {
				continue
			}
			if !logged(logs, message, `"trace_id":"`+id+`"`) {
				t.Errorf("no line %q of trace %s", message, id)
			}
		}
	}
	noLeak(t, "the log", logs)
	req, _ := http.NewRequest(http.MethodGet, r.admin()+"/metrics", nil)
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, _ := io.ReadAll(resp.Body)
	for _, name := range []string{"signoff_notice_delay_seconds_bucket", "signoff_close_latency_seconds_bucket", "signoff_exposure_seconds_bucket"} {
		if !logged(string(metrics), name, `# {trace_id="0000000000000000000000000`) {
			t.Errorf("%s has no exemplar", name)
		}
	}
	records := map[string]bool{}
	for len(records) < people+1 {
		fetches := topic.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, record := range fetches.Records() {
			var e struct{ TraceParent string }
			if err := json.Unmarshal(record.Value, &e); err != nil {
				t.Fatal(err)
			}
			header := ""
			for _, h := range record.Headers {
				if h.Key == "traceparent" {
					header = string(h.Value)
				}
			}
			if header != e.TraceParent {
				t.Errorf("the header is %q, the attribute %q", header, e.TraceParent)
			}
			records[e.TraceParent] = true
		}
	}
	for i := range people + 1 {
		if of, _ := parent(i); !records[of] {
			t.Errorf("no outcome of trace %s", of)
		}
	}
	_, out, errOut := signoff("explain", email(4), "--url", r.admin(), "--token-file", filepath.Join(s.dir, "alice"))
	if of, _ := parent(4); !strings.Contains(out, "traceparent "+of) {
		t.Errorf("explain does not name the trace: %s%s", out, errOut)
	}
}

// logged says whether a line has both.
func logged(text, one, other string) bool {
	for line := range strings.Lines(text) {
		if strings.Contains(line, one) && strings.Contains(line, other) {
			return true
		}
	}
	return false
}

// The same event with another trace is the same event.
func TestATraceIsNoPartOfAnEvent(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(1)})
	r := s.start(t, s.config(t, nil))
	s.postBatch(t, r, []byte("["+string(withTrace(t, 0))+"]"))
	s.postBatch(t, r, []byte("["+string(termination(t, 0))+"]"))
	shows(t, r.admin()+"/metrics", `signoff_events_received_total{result="duplicate",source="webhook"} 1`)
	if stats := r.stats(t); stats.Rejects != 0 {
		t.Errorf("%d rejects", stats.Rejects)
	}
}

// A reject that is replayed belongs to the trace that it came with.
func TestAReplayKeepsTheTrace(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(1)})
	endpoints := "[{path: /mapped, auth: none, mapping: acme}]"
	keys := map[string]string{"webhook.endpoints": endpoints, "events.mappings": `[{name: acme, expression: '[{"email": body.address}]'}]`}
	r := s.start(t, s.config(t, keys))
	carried, id := parent(0)
	req, _ := http.NewRequest(http.MethodPost, "http://"+r.webhook.Addr().String()+"/mapped", strings.NewReader(`{"mail": "`+email(0)+`"}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Traceparent", carried)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	eventually(t, "a reject", func() bool { return r.stats(t).Rejects == 1 })
	keys["events.mappings"] = `[{name: acme, expression: '[{"email": body.mail}]'}]`
	s.config(t, keys)
	r.reloader.look(t.Context(), true)
	if status, out, errOut := signoff("rejects", "replay", "1", "--url", r.admin(), "--token-file", filepath.Join(s.dir, "alice")); status != 0 {
		t.Fatalf("status %d: %s%s", status, out, errOut)
	}
	r.await(t, ledger.Closed, 1)
	if !logged(r.logs.String(), "entry settled", id) {
		t.Error("the close is not of the trace")
	}
}
