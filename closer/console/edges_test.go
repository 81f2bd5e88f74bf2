package console

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"signoff/closer/ledger"
	"signoff/consumer"
)

// edge is a listener with nothing behind it but what the test gives it for metrics.
func edge(t *testing.T, metrics http.HandlerFunc) (url string, logs *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{daemon: Daemon{Metrics: metrics}, log: zap.New(core), listener: listener, web: &keptWeb{inForce: &webFile{}}}
	server := httptest.NewUnstartedServer(s.handler())
	if err := server.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, logs
}

func TestPanicsAreAnsweredAndNameNobody(t *testing.T) {
	var none []int
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		cut     bool   // the answer had begun
		logged  string // "": nothing is
	}{
		"before the answer": {func(http.ResponseWriter, *http.Request) { panic("ann@example.com") }, false, "string"},
		"of Go's own":       {func(http.ResponseWriter, *http.Request) { _ = none[3] }, false, "index out of range"},
		"in the midst of it": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			panic("ann@example.com")
		}, true, "string"},
		"a connection to be cut": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			url, logs := edge(t, c.handler)
			resp, err := http.Get(url + "/metrics")
			if err == nil {
				var text []byte
				text, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if !c.cut && (resp.StatusCode != 500 || resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(text), "see the log")) {
					t.Errorf("%s %s, want a problem", resp.Status, text)
				}
			}
			if (err != nil) != c.cut {
				t.Errorf("error %v; want the answer cut: %v", err, c.cut)
			}
			if n := logs.Len(); n != min(1, len(c.logged)) {
				t.Fatalf("%d lines were logged", n)
			}
			for _, line := range logs.All() {
				fields := line.ContextMap()
				kind, _ := fields["panic"].(string)
				stack, _ := fields["stack"].(string)
				if !strings.Contains(kind, c.logged) || fields["route"] != "GET /metrics" || !strings.Contains(stack, "edges_test.go") || strings.Contains(kind+stack, "@") {
					t.Errorf("logged %v", fields)
				}
			}
		})
	}
}

// A small write may go through on a disk that has no room for an event.
func TestADiskThatIsNearlyFullIsNamed(t *testing.T) {
	for free, want := range map[int64]string{
		0:         "ledger: its disk is full: no event is taken in and nobody is closed\n",
		1048576:   "ledger: only 1.0 MiB are left on its disk: when it is full, no event is taken in and nobody is closed\n",
		104857599: "ledger: only 100.0 MiB are left on its disk: when it is full, no event is taken in and nobody is closed\n",
		104857600: "",
	} {
		if got := diskLine(free); got != want {
			t.Errorf("%d bytes: %q, want %q", free, got, want)
		}
	}
}

func TestHowKafkaIs(t *testing.T) {
	since := time.Date(2026, 11, 27, 23, 6, 59, 0, time.UTC)
	for what, c := range map[string]struct {
		reading ledger.Reading
		want    string
	}{
		"not read at all": {},
		"well":            {ledger.Reading{State: consumer.UpToDate, Since: since}, "kafka: up_to_date since 2026-11-27T23:06:59Z\n"},
		"not well": {ledger.Reading{State: consumer.Away, Since: since, Detail: "kafka-0:9092: refused"},
			"kafka: away since 2026-11-27T23:06:59Z: kafka-0:9092: refused\n"},
	} {
		if got := kafkaLine(c.reading); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}
