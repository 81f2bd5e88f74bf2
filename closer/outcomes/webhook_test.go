package outcomes

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"signoff/closer/ledger"
)

// secret is one that Standard Webhooks would take, of 32 of the same letter.
func secret(letter string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32)))
}

// receiver is somebody's ticket system, which checks what it is sent with the
// official library.
type receiver struct {
	*httptest.Server
	file string // of secrets, as the sender has them

	mu     sync.Mutex
	secret string
	answer http.HandlerFunc // nil: 204
	got    []string         // ids
	wrong  []error
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{file: filepath.Join(t.TempDir(), "secret"), secret: secret("a")}
	r.hasSecrets(t, secret("a"))
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) hasSecrets(t *testing.T, lines ...string) {
	t.Helper()
	if err := os.WriteFile(r.file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer != nil {
		r.answer(w, req)
		return
	}
	body, _ := io.ReadAll(req.Body)
	hook, err := standardwebhooks.NewWebhook(r.secret)
	if err == nil {
		err = hook.Verify(body, req.Header)
	}
	if err != nil {
		r.wrong = append(r.wrong, err)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/cloudevents+json" || req.UserAgent() != "signoff/test" {
		r.wrong = append(r.wrong, fmt.Errorf("%s %v", req.Method, req.Header))
	}
	r.got = append(r.got, req.Header.Get("Webhook-Id"))
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) answers(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) knows(secret string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret = secret
}

// complaints are what the receiver found wrong.
func (r *receiver) complaints() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.wrong)
}

func (r *receiver) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (r *receiver) sink(t *testing.T) Sink {
	t.Helper()
	return sinkTo(t, r.URL+"/hooks?key=s3cret", r.file)
}

func sinkTo(t *testing.T, url, file string) Sink {
	t.Helper()
	w := Webhook{URL: url, SecretFile: file}
	if err := (Config{Webhook: &w}).Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := NewWebhook(w, "signoff/test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func one(t *testing.T) []Event {
	t.Helper()
	return []Event{made(t, leaver("closed", func(*ledger.Outcome) {}))}
}

func TestWebhookIsPostedSignedAndInOrder(t *testing.T) {
	r := newReceiver(t)
	b := newBook(t)
	publish(t, b, r.sink(t))
	b.happens(20)
	eventually(t, "all are posted", func() bool { return len(r.ids()) == 20 })
	for i, id := range r.ids() {
		if !strings.Contains(id, fmt.Sprintf("-%d-", i+1)) {
			t.Errorf("number %d is %s", i+1, id)
		}
	}
	eventually(t, "the ledger knows", func() bool { return b.saved() == 20 })
	if wrong := r.complaints(); len(wrong) > 0 {
		t.Errorf("the receiver says %v", wrong)
	}
}

func TestSecretsAreExchanged(t *testing.T) {
	r := newReceiver(t)
	s := r.sink(t)
	post := func(want bool) {
		t.Helper()
		if n, err := s.Send(t.Context(), one(t)); (n == 1) != want || (err == nil) != want {
			t.Errorf("%d acknowledged, %v", n, err)
		}
	}
	post(true)
	r.hasSecrets(t, "# the old one, then the new one", secret("a"), "", secret("b"))
	post(true)
	r.knows(secret("b"))
	post(true)
	r.hasSecrets(t, secret("b"))
	post(true)
	r.hasSecrets(t, secret("c"))
	post(false)
	r.hasSecrets(t) // an edit half done: nothing is sent unsigned
	post(false)
}

// What Standard Webhooks' own vector has, computed by others.
func TestSignatureOfTheSpecification(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := sign([][]byte{key}, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	r := newReceiver(t)
	s := r.sink(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
		after  time.Duration
	}{
		"200": {status(200), "", 0},
		"202": {status(202), "", 0},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "answered 307 Temporary Redirect: no redirect is followed", 0},
		"400":                        {status(400), "answered 400 Bad Request", 0},
		"401":                        {status(401), "must know a secret of outcomes.webhook.secret_file", 0},
		"404":                        {status(404), "nobody takes events at outcomes.webhook.url", 0},
		"410":                        {status(410), "gone for good", 0},
		"500":                        {status(500, "Retry-After", "100"), "answered 500", 0},
		"a status there is not":      {status(799), "answered 799", 0},
		"429 with seconds":           {status(429, "Retry-After", "100"), "answered 429", 100 * time.Second},
		"503 with seconds":           {status(503, "Retry-After", "7"), "answered 503", 7 * time.Second},
		"503 with nothing":           {status(503), "answered 503", 0},
		"503 with nonsense":          {status(503, "Retry-After", "soon"), "answered 503", 0},
		"503 with less than nothing": {status(503, "Retry-After", "-5"), "answered 503", 0},
		"no answer at all":           {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "closed the connection", 0},
		"an answer that is no HTTP":  {raw("jane.doe@example.com is who?\r\n\r\n"), "no answer that could be understood", 0},
		"a body that tells of somebody": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(422)
			_, _ = io.WriteString(w, "who is jane.doe@example.com?")
		}, "answered 422", 0},
		"a body without an end": {func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				_, _ = w.Write(make([]byte, 64<<10))
			}
		}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r.answers(tt.answer)
			n, err := s.Send(t.Context(), one(t))
			if tt.want == "" {
				if n != 1 || err != nil {
					t.Errorf("%d acknowledged, %v", n, err)
				}
				return
			}
			if n != 0 || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%d acknowledged, %v; want %q", n, err, tt.want)
			}
			var retry *RetryError
			if asked := errors.As(err, &retry); asked != (tt.after > 0) || asked && retry.After != tt.after {
				t.Errorf("wait: %+v, want %v", retry, tt.after)
			}
			for _, private := range []string{"@", "jane", "s3cret", "/hooks"} {
				if strings.Contains(err.Error(), private) {
					t.Errorf("the error has %q: %v", private, err)
				}
			}
		})
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if len(header) == 2 {
			w.Header().Set(header[0], header[1])
		}
		w.WriteHeader(code)
	}
}

func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
}

func TestRetryAfterAsADate(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	if got, ok := retryAfter("Mon, 30 Nov 2026 12:01:30 GMT", now); !ok || got != 90*time.Second {
		t.Errorf("got %v, %v", got, ok)
	}
}

func TestReceiversThatCannotBeReached(t *testing.T) {
	r := newReceiver(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	_ = l.Close()
	overTLS := httptest.NewUnstartedServer(http.NotFoundHandler())
	overTLS.StartTLS()
	t.Cleanup(overTLS.Close)
	for name, tt := range map[string]struct{ url, want string }{
		"nobody listens":          {"http://" + nobody, "connection refused"},
		"a certificate of nobody": {overTLS.URL, "certificate"},
		"no TLS":                  {strings.Replace(r.URL, "http://", "https://", 1), "does not speak TLS"},
		"no such host":            {"https://tickets.invalid", "tickets.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := sinkTo(t, tt.url+"/hooks?key=s3cret", r.file).Send(t.Context(), one(t))
			if n != 0 || err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%d acknowledged, %v; want %q", n, err, tt.want)
			}
		})
	}
}

// A receiver that never answers is given up by the sender's own time-out; here
// that of a shutdown is shorter.
func TestReceiverThatHangs(t *testing.T) {
	r := newReceiver(t)
	over := make(chan struct{})
	r.answers(func(http.ResponseWriter, *http.Request) { <-over })
	defer close(over)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if n, err := r.sink(t).Send(ctx, one(t)); n != 0 || err == nil || !strings.Contains(err.Error(), "no answer within") {
		t.Errorf("%d acknowledged, %v", n, err)
	}
	if s := r.sink(t).(*webhookSink); s.client.Timeout != postTimeout {
		t.Errorf("the time-out is %v", s.client.Timeout)
	}
}
