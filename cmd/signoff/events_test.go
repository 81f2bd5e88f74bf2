package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"signoff/closer/ledger"
	"signoff/consumer"
)

// TestThinEventsEndClosed has events without an email, whose leavers only the
// directory knows.
func TestThinEventsEndClosed(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{users: leaverUsers(2)})
	people := s.write(t, "people.csv", fmt.Sprintf("Employee Number;Work Email\r\nE-0;%s\r\nE-1;%s\r\n", email(0), email(1)))
	r := s.start(t, s.config(t, map[string]string{"events.directory": "{csv: " + people + "}"}))
	thin := func(id string) []byte {
		return fmt.Appendf(nil, `{"specversion":"1.0","id":"thin-%[1]s","source":"https://hr.example.com","type":"%[2]s","data":{"employeeId":"%[1]s"}}`, id, consumer.TypeTerminated)
	}
	s.produce(t, structured(thin("E-0")))
	for _, id := range []string{"E-1", "E-2"} { // the latter is nobody's
		if status := postAs(t, "http://"+r.webhook.Addr().String()+"/events", "application/cloudevents+json", thin(id)); status != http.StatusAccepted {
			t.Errorf("%s: %d", id, status)
		}
	}
	r.await(t, ledger.Closed, 2)
	s.closedOnce(t, 2)
	shows(t, r.admin()+"/metrics", `signoff_rejects_total{reason="no_email"} 1`)
	noLeak(t, "the log", r.logs.String())
}

func TestADaemonWithABrokenMappingDoesNotStart(t *testing.T) {
	t.Parallel()
	cfg, err := loadConfig(writeConfig(t, with("events: {mappings: [{name: acme, expression: '[{\"emial\": 1}]'}]}")))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = cfg.Events.understand(nil)
	var usage usageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), `events.mappings[0].expression:1:3: "emial": no event has this key`) {
		t.Errorf("got %v", err)
	}
}
