package metrics_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"

// scrape is /metrics as a Prometheus that accepts this sees it.
func (a all) scrape(accept string) string {
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, r)
	return w.Body.String()
}

// What people wait for has buckets from a minute to a week for every Prometheus, and
// native ones for those that take them.
func TestHistogramsAreOfBothKinds(t *testing.T) {
	a := everything(quiet)
	a.closer.Closed(2*time.Minute, time.Hour, "")
	text := a.scrape("text/plain")
	for _, want := range []string{
		`signoff_close_latency_seconds_bucket{le="60"} 0`, `signoff_close_latency_seconds_bucket{le="300"} 1`, `signoff_close_latency_seconds_bucket{le="604800"} 1`,
		`signoff_notice_delay_seconds_bucket{le="604800"} 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the text has no %s", want)
		}
	}
	families, err := a.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h != nil && h.Schema == nil {
				t.Errorf("%s has no native buckets", f.GetName())
			}
		}
	}
}

// The trace of a leaver is the exemplar of what they waited for.
func TestExemplars(t *testing.T) {
	a := everything(quiet)
	a.closer.Closed(2*time.Minute, time.Hour, traceID)
	a.intake.Notice(time.Minute, traceID)
	text := a.scrape("application/openmetrics-text; version=1.0.0")
	for _, name := range []string{"signoff_close_latency_seconds", "signoff_exposure_seconds", "signoff_notice_delay_seconds"} {
		found := false
		for line := range strings.Lines(text) {
			found = found || strings.HasPrefix(line, name+"_bucket") && strings.Contains(line, `# {trace_id="`+traceID+`"}`)
		}
		if !found {
			t.Errorf("%s has no exemplar", name)
		}
	}
}
