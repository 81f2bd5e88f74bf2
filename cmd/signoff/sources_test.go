package main

import (
	"net/http"
	"strings"
	"testing"

	"signoff/closer/ledger"
	"signoff/consumer"
)

const namedSources = "[{source: https://hr.example.com, expect_within: 72h}, {source: it.example.com, expect_within: 1ms}, {source: quiet.example.com}]"

func TestSourcesAreSeen(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true})
	r := s.start(t, s.config(t, map[string]string{"events.sources": namedSources}))
	_, text := get(t, r.admin()+"/metrics")
	for _, line := range []string{
		`signoff_source_last_event_timestamp_seconds{source="https://hr.example.com"} 0`,
		`signoff_source_last_event_timestamp_seconds{source="quiet.example.com"} 0`,
		`signoff_source_expected_within_seconds{source="https://hr.example.com"} 259200`,
		`signoff_source_expected_within_seconds{source="it.example.com"} 0.001`,
		`signoff_source_silent{source="https://hr.example.com"} 0`,
		`signoff_source_silent{source="it.example.com"} 1`,
		`signoff_source_silent{source="quiet.example.com"} 0`,
		`signoff_not_found_leavers 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("/metrics does not have %s", line)
		}
	}
	if strings.Contains(text, `signoff_source_expected_within_seconds{source="quiet`) {
		t.Error("/metrics expects a source that may be silent")
	}
	shows(t, r.admin()+"/readyz?verbose", "source https://hr.example.com: ok, never heard, expected since ")
	shows(t, r.admin()+"/readyz?verbose", "source it.example.com: silent for longer than 1ms, never heard")
	if status, _ := get(t, r.admin()+"/readyz?verbose"); status != http.StatusOK {
		t.Errorf("/readyz: %d while a source is silent", status)
	}

	e := strings.Replace(terminated(`{"department": "Sales"}`), `"hr"`, `"https://hr.example.com"`, 1)
	s.postBatch(t, r, []byte("["+e+"]"))
	shows(t, r.admin()+"/readyz?verbose", "source https://hr.example.com: ok, last heard ")
	if _, text := get(t, r.admin()+"/metrics"); strings.Contains(text, `timestamp_seconds{source="https://hr.example.com"} 0`+"\n") {
		t.Error("/metrics has never heard of a source that was rejected")
	}
	noLeak(t, "the log", r.logs.String())
}

// What is none of our business shows, too, that its source is there.
func TestSourcesAreSeenByWhatIsIgnored(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	r := s.start(t, s.config(t, map[string]string{
		"events.sources": "[{source: https://hr.example.com, expect_within: 72h}, {source: /payroll, expect_within: 72h}," +
			" {source: acme, expect_within: 72h}, {source: quiet, expect_within: 72h}]",
		"events.mappings":   "[{name: acme, expression: '[]'}]",
		"webhook.endpoints": "[{path: /events, auth: none}, {path: /acme, auth: none, mapping: acme}]",
	}))
	s.produce(t, unrelated(1))
	shows(t, r.admin()+"/readyz?verbose", "source https://hr.example.com: ok, last heard ")
	for path, body := range map[string]string{
		"/events": `{"specversion": "1.0", "id": "1", "source": "/payroll", "type": "com.example.paid"}`, "/acme": "{}",
	} {
		kind := map[string]string{"/events": "application/cloudevents+json", "/acme": "application/json"}[path]
		if status := postAs(t, "http://"+r.webhook.Addr().String()+path, kind, []byte(body)); status >= 300 {
			t.Fatalf("posted to %s: %d", path, status)
		}
	}
	shows(t, r.admin()+"/readyz?verbose", "source /payroll: ok, last heard ")
	shows(t, r.admin()+"/readyz?verbose", "source acme: ok, last heard ")
	shows(t, r.admin()+"/readyz?verbose", "source quiet: ok, never heard")
}

// TestWhoMayTakeBack is a rescind by another source than the one that announced the
// termination.
func TestWhoMayTakeBack(t *testing.T) {
	t.Parallel()
	for may, state := range map[string]ledger.State{"true": ledger.Cancelled, "false": ledger.Waiting} {
		s := newSite(t, siteOptions{noBroker: true})
		r := s.start(t, s.config(t, map[string]string{"batch.grace": "24h",
			"events.sources": "[{source: it.example.com, may_rescind: " + may + "}]"}))
		later := terminated(`{"email": "` + email(0) + `"}`)
		rescind := strings.NewReplacer(consumer.TypeTerminated, consumer.TypeRescinded, `"hr"`, `"it.example.com"`).Replace(later)
		s.postBatch(t, r, []byte("["+later+","+rescind+"]"))
		r.await(t, state, 1)
		rejects, err := r.ledger.Rejects(t.Context(), ledger.RejectFilter{Reason: consumer.MayNotRescind})
		if err != nil || (len(rejects) == 1) != (may == "false") {
			t.Errorf("may_rescind: %s: rejects %+v (%v)", may, rejects, err)
		}
	}
}

func TestRescinders(t *testing.T) {
	may := rescinders([]sourceConfig{{Source: "it", MayRescind: true}, {Source: "hr"}})
	for name, c := range map[string]struct {
		announced, by consumer.Key
		want          bool
	}{
		"one that may":                         {consumer.Key{Source: "hr"}, consumer.Key{Source: "it"}, true},
		"one that may, by whatever topic":      {consumer.Key{Origin: "a", Source: "hr"}, consumer.Key{Origin: "b", Source: "it"}, true},
		"what it announced by another topic":   {consumer.Key{Origin: "a", Source: "it"}, consumer.Key{Origin: "b", Source: "it"}, true},
		"one that is named without":            {consumer.Key{Source: "it"}, consumer.Key{Source: "hr"}, false},
		"one that is not named":                {consumer.Key{Source: "it"}, consumer.Key{Source: "x"}, false},
		"one without a source":                 {consumer.Key{Source: "it"}, consumer.Key{}, false},
		"one whose name is only spelled alike": {consumer.Key{Source: "hr"}, consumer.Key{Source: "IT"}, false},
	} {
		if got := may(c.announced, c.by); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
