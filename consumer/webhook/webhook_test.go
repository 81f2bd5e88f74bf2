package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"signoff/consumer"
	"signoff/metrics"
)

// recorder keeps intakes in memory, or fails with err.
type recorder struct {
	mu      sync.Mutex
	err     error
	intakes []consumer.Intake
	during  func(context.Context) // called while recording
}

func (r *recorder) Record(ctx context.Context, in consumer.Intake) error {
	if r.during != nil {
		r.during(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.intakes = append(r.intakes, in)
	return nil
}

func (r *recorder) events() (events []consumer.Event, rejects []consumer.Reject) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range r.intakes {
		events = append(events, in.Events...)
		rejects = append(rejects, in.Rejects...)
	}
	return events, rejects
}

const token = "0123456789abcdef"

type fixture struct {
	*Server
	rec     *recorder
	ignored *atomic.Int64
	tokens  string // file
	logs    *observer.ObservedLogs
	shown   *prometheus.Registry
}

// newFixture has the endpoints /events, which asks for a token, and /open,
// which does not and answers 204.
func newFixture(t testing.TB) fixture {
	t.Helper()
	f := fixture{rec: &recorder{}, ignored: &atomic.Int64{}, tokens: filepath.Join(t.TempDir(), "tokens")}
	write(t, f.tokens, "# hris\n"+token+"\n")
	d, err := consumer.NewDecoder(consumer.Config{Types: consumer.Types{Terminated: []string{"com.acme.left"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	f.logs = logs
	f.shown = prometheus.NewRegistry()
	cfg := Config{
		Listen: "127.0.0.1:0",
		Endpoints: []Endpoint{
			{Path: "/events", Auth: Auth{BearerFile: f.tokens}, Origins: []string{"hris.example.com", "eventgrid.azure.net"}},
			{Path: "/open", Auth: Auth{None: true}, Success: http.StatusNoContent},
		},
	}
	f.Server, err = New(cfg, f.rec, d, nil, metrics.NewWebhook(f.shown, cfg.Paths()), func(n int) { f.ignored.Add(int64(n)) }, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// send answers a request without a network.
func (f fixture) send(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, r)
	return w
}

func post(path, contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

const (
	ceJSON  = "application/cloudevents+json"
	ceBatch = "application/cloudevents-batch+json"
)

// leaver is a termination in the JSON format.
func leaver(id, data string) string {
	return `{"specversion":"1.0","id":"` + id + `","source":"/hris","type":"` + consumer.TypeTerminated + `","data":` + data + `}`
}

const jane = `{"email":"jane@example.com"}`

func TestTakes(t *testing.T) {
	binary := func(more ...string) *http.Request {
		r := post("/open", "application/json", jane)
		for i, v := range []string{"1.0", "1", "/hris", consumer.TypeTerminated} {
			r.Header.Set([]string{"ce-specversion", "ce-id", "ce-source", "ce-type"}[i], v)
		}
		for i := 0; i < len(more); i += 2 {
			r.Header.Set(more[i], more[i+1])
		}
		return r
	}
	for name, c := range map[string]struct {
		request *http.Request
		ids     string // of the events recorded
		rejects int
		ignored int64
	}{
		"binary":                       {binary(), "1", 0, 0},
		"binary of version 0.3":        {binary("ce-specversion", "0.3"), "1", 0, 0},
		"binary, percent-encoded":      {binary("ce-id", "%E2%82%AC%20 100%"), "€  100%", 0, 0},
		"binary, quoted":               {binary("ce-id", `"a\"b%22"`), `a"b"`, 0, 0},
		"binary in plain UTF-8":        {binary("ce-id", "€"), "€", 0, 0},
		"binary of a +json type":       {binary("content-type", "application/x+json; charset=utf-8"), "1", 0, 0},
		"binary without content type":  {binary("content-type", ""), "1", 0, 0},
		"binary with an extension":     {binary("ce-partitionkey", "E-1"), "1", 0, 0},
		"binary of another type":       {binary("ce-type", "com.acme.hired", "content-type", "text/xml"), "", 0, 1},
		"a type that the config names": {binary("ce-type", "com.acme.left"), "1", 0, 0},
		"structured":                   {post("/open", ceJSON, leaver("1", jane)), "1", 0, 0},
		"structured with a charset":    {post("/open", "Application/CloudEvents+JSON; charset=UTF-8", leaver("1", jane)), "1", 0, 0},
		"structured, not understood":   {post("/open", ceJSON, leaver("1", "{}")), "", 1, 0},
		"binary, not understood":       {binary("content-type", "text/plain"), "", 1, 0},
		"a batch":                      {post("/open", ceBatch, "["+leaver("1", jane)+","+leaver("2", jane)+"]"), "1 2", 0, 0},
		"a batch with a charset":       {post("/open", ceBatch+"; charset=utf-8", "["+leaver("1", jane)+"]"), "1", 0, 0},
		"an empty batch":               {post("/open", ceBatch, "[]"), "", 0, 0},
		"a batch of all sorts": {post("/open", ceBatch, "["+leaver("1", jane)+","+leaver("2", "{}")+
			`,{"specversion":"1.0","id":"3","source":"/hris","type":"com.acme.hired"}]`), "1", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			w := f.send(c.request)
			if w.Code != http.StatusNoContent || w.Body.Len() > 0 {
				t.Fatalf("answered %d %s", w.Code, w.Body)
			}
			events, rejects := f.rec.events()
			var ids []string
			for _, e := range events {
				ids = append(ids, e.Key.ID)
				if e.Email != "jane@example.com" || e.Key.Origin != "/open" || e.Key.Source != "/hris" {
					t.Errorf("recorded %+v", e)
				}
			}
			if got := strings.Join(ids, " "); got != c.ids || len(rejects) != c.rejects || f.ignored.Load() != c.ignored {
				t.Errorf("recorded %q, %d rejects, ignored %d", got, len(rejects), f.ignored.Load())
			}
			if n := len(f.rec.intakes); n > 1 || n == 1 && f.rec.intakes[0].Source != consumer.Webhook {
				t.Errorf("%d intakes", n)
			}
		})
	}
}

// What is kept of an event must be enough to read it once more.
func TestPayloadCanBeReplayed(t *testing.T) {
	for name, body := range map[string]string{
		"understood":     jane,
		"not understood": `{"email":7}`,
		"not JSON":       "{\xff",
		"nothing":        "",
	} {
		for _, mode := range []string{"binary", "binary of 0.3", "structured"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				f := newFixture(t)
				r := post("/open", "application/json", body)
				r.Header.Set("Ce-Specversion", "1.0")
				if mode == "binary of 0.3" {
					r.Header.Set("Ce-Specversion", "0.3")
				}
				r.Header.Set("Ce-Id", "a%20b")
				r.Header.Set("Ce-Source", "/hris")
				r.Header.Set("Ce-Type", consumer.TypeTerminated)
				r.Header.Set("Ce-Partitionkey", "E-1")
				if mode == "structured" {
					if !json.Valid([]byte(body)) {
						t.Skip("can't be said")
					}
					r = post("/open", ceJSON, leaver("a b", body))
				}
				if w := f.send(r); w.Code != http.StatusNoContent {
					t.Fatalf("answered %d %s", w.Code, w.Body)
				}
				events, rejects := f.rec.events()
				var kept []byte
				for _, e := range events {
					kept = e.Payload
				}
				for _, r := range rejects {
					kept = r.Payload
					if r.Key != (consumer.Key{Origin: "/open", Source: "/hris", ID: "a b"}) || r.ReceivedAt.IsZero() {
						t.Errorf("rejected %+v", r)
					}
				}
				e, err := consumer.ParseStructured(kept)
				if err != nil {
					t.Fatalf("%v: %s", err, kept)
				}
				if e.ID() != "a b" || string(e.Data()) != body || mode != "structured" && e.Extensions()["partitionkey"] != "E-1" {
					t.Errorf("kept %s", kept)
				}
			})
		}
	}
}

func TestRecorderDecidesTheAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		retry  string
	}{
		"recorded":              {nil, http.StatusNoContent, ""},
		"no room for rejects":   {consumer.ErrFull, http.StatusServiceUnavailable, "60"},
		"wrapped":               {errors.Join(errors.New("record"), consumer.ErrFull), http.StatusServiceUnavailable, "60"},
		"the disk is full":      {errors.New("disk full"), http.StatusServiceUnavailable, "5"},
		"it takes far too long": {context.DeadlineExceeded, http.StatusServiceUnavailable, "5"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.rec.err = c.err
			w := f.send(post("/open", ceBatch, "["+leaver("1", "{}")+`,{"specversion":"1.0","id":"3","source":"/hris","type":"t"}]`))
			if w.Code != c.status || w.Header().Get("Retry-After") != c.retry {
				t.Errorf("answered %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
			}
			if want := int64(1); c.err == nil && f.ignored.Load() != want || c.err != nil && f.ignored.Load() != 0 {
				t.Errorf("counted %d as ignored", f.ignored.Load())
			}
		})
	}
}

// TestRequestsAreCounted: each by its endpoint and the status of its answer, and how
// long it took.
func TestRequestsAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		request *http.Request
		err     error // of the recorder
		counted string
	}{
		"recorded":            {post("/open", ceJSON, leaver("1", "{}")), nil, "2xx /open"},
		"a handshake":         {httptest.NewRequest(http.MethodOptions, "/open", nil), nil, "2xx /open"},
		"not an event":        {post("/open", ceJSON, "{"), nil, "400 /open"},
		"without a token":     {post("/events", ceJSON, leaver("1", "{}")), nil, "401 /events"},
		"of another origin":   {from(post("/events", ceJSON, leaver("1", "{}")), "evil.example.com"), nil, "403 /events"},
		"a path of no one":    {post("/ann@acme.com", ceJSON, leaver("1", "{}")), nil, "404 other"},
		"read":                {httptest.NewRequest(http.MethodGet, "/open", nil), nil, "405 /open"},
		"too large":           {post("/open", ceJSON, strings.Repeat("x", maxBody+1)), nil, "413 /open"},
		"not JSON":            {post("/open", "text/csv", "a,b"), nil, "415 /open"},
		"it can't be written": {post("/open", ceJSON, leaver("1", "{}")), errors.New("disk full"), "5xx /open"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.rec.err = c.err
			f.send(c.request)
			_, endpoint, _ := strings.Cut(c.counted, " ")
			if got, want := f.counted(t), []string{"signoff_webhook_request_duration_seconds " + endpoint, "signoff_webhook_requests_total " + c.counted}; !slices.Equal(got, want) {
				t.Errorf("counted %q, want %q", got, want)
			}
		})
	}
}

func from(r *http.Request, origin string) *http.Request {
	r.Header.Set("WebHook-Request-Origin", origin)
	return r
}

// counted are the series that have counted one request each; more than one fails.
func (f fixture) counted(t *testing.T) (all []string) {
	t.Helper()
	families, err := f.shown.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			series := family.GetName()
			for _, l := range m.GetLabel() {
				series += " " + l.GetValue()
			}
			switch n := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount()); n {
			case 0:
			case 1:
				all = append(all, series)
			default:
				t.Errorf("%s is %v", series, n)
			}
		}
	}
	return all
}

// answer notes when its header goes out.
type answer struct {
	http.ResponseWriter
	sent bool
}

func (a *answer) WriteHeader(status int) {
	a.sent = true
	a.ResponseWriter.WriteHeader(status)
}

// What is ignored is recorded for its source alone, if that should be heard from.
func TestIgnoredIsHeard(t *testing.T) {
	f := newMapped(t)
	decoder, err := consumer.NewDecoder(consumer.Config{Expected: []string{"/hris", "acme"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.reads.Load().decoder = decoder
	other := func(source string) string {
		return `{"specversion":"1.0","id":"1","source":"` + source + `","type":"t"}`
	}
	for name, c := range map[string]struct {
		request *http.Request
		heard   []string
	}{
		"an expected source":        {post("/open", ceJSON, other("/hris")), []string{"/hris"}},
		"several, and one of them":  {post("/open", ceBatch, "["+other("/crm")+","+other("/hris")+","+other("/hris")+"]"), []string{"/hris"}},
		"another source":            {post("/open", ceJSON, other("/crm")), nil},
		"mapped to nothing":         {post("/mapped", "application/json", `{"leavers":[]}`), []string{"acme"}},
		"an event mapped to naught": {post("/mapped", ceJSON, other("/hris")), []string{"acme", "/hris"}},
		"a ping":                    {post("/mapped", "", "Ping test"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			f.rec.intakes = nil
			if w := f.send(c.request); w.Code >= 300 {
				t.Fatalf("answered %d", w.Code)
			}
			var heard []string
			for _, in := range f.rec.intakes {
				heard = append(heard, in.Heard...)
			}
			if !slices.Equal(heard, c.heard) || len(f.rec.intakes) != min(1, len(c.heard)) {
				t.Errorf("recorded %+v, want %q to be heard", f.rec.intakes, c.heard)
			}
		})
	}
}

func TestAnswersOnlyOnceRecorded(t *testing.T) {
	f := newFixture(t)
	w := &answer{ResponseWriter: httptest.NewRecorder()}
	f.rec.during = func(ctx context.Context) {
		if w.sent {
			t.Error("answered before it was recorded")
		}
		if _, ok := ctx.Deadline(); !ok {
			t.Error("recording may take for ever")
		}
	}
	f.Handler().ServeHTTP(w, post("/open", ceJSON, leaver("1", jane)))
	if events, _ := f.rec.events(); !w.sent || len(events) != 1 {
		t.Errorf("answered: %v, recorded %d", w.sent, len(events))
	}
}

func TestSuccessIs202ByDefault(t *testing.T) {
	f := newFixture(t)
	for range 2 { // the recorder takes what is repeated for no error
		r := post("/events", ceJSON, leaver("1", jane))
		r.Header.Set("Authorization", "bearer "+token)
		if w := f.send(r); w.Code != http.StatusAccepted || w.Header().Get("Cache-Control") != "" {
			t.Errorf("answered %d %v", w.Code, w.Header())
		}
	}
}

func TestInFlightIsBounded(t *testing.T) {
	f := newFixture(t)
	var recording sync.WaitGroup
	recording.Add(maxInFlight - 1)
	release := make(chan struct{})
	f.rec.during = func(context.Context) {
		recording.Done()
		<-release
	}
	var sent sync.WaitGroup
	for range maxInFlight - 1 {
		sent.Go(func() {
			if w := f.send(post("/open", ceJSON, leaver("1", jane))); w.Code != http.StatusNoContent {
				t.Errorf("answered %d", w.Code)
			}
		})
	}
	recording.Wait()
	if w := f.send(post("/open", ceBatch, "["+leaver("1", jane)+"]")); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("answered a batch too many with %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	if w := f.send(post("/open", ceJSON, "x")); w.Code != http.StatusBadRequest { // the last one free
		t.Errorf("answered %d", w.Code)
	}
	close(release)
	sent.Wait()
	f.rec.during = nil
	if w := f.send(post("/open", ceBatch, "["+leaver("1", jane)+"]")); w.Code != http.StatusNoContent {
		t.Errorf("answered %d once there was room again", w.Code)
	}
	if !f.inFlight.TryAcquire(maxInFlight) || !f.bodies.TryAcquire(maxBodies) {
		t.Error("not all of the room came back")
	}
}

func TestRefusalsAreLoggedAtABoundedRate(t *testing.T) {
	f := newFixture(t)
	for range 1000 {
		f.send(post("/nowhere", ceJSON, leaver("1", jane)))
	}
	if n := f.logs.Len(); n == 0 || n > 500 {
		t.Errorf("%d lines", n)
	}
}
