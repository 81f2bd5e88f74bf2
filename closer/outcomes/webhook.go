package outcomes

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	postTimeout = 10 * time.Second
	mostDrained = 64 << 10 // of an answer's body, to use the connection again
)

type webhookSink struct {
	cfg       Webhook
	userAgent string
	client    *http.Client
}

// NewWebhook is the sink that posts events, one at a time, signed as Standard
// Webhooks says. It looks at the secret now, so that a mistake is seen at the
// start.
func NewWebhook(cfg Webhook, userAgent string) (Sink, error) {
	if _, err := cfg.Check(); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &webhookSink{cfg: cfg, userAgent: userAgent, client: &http.Client{
		Transport: transport, Timeout: postTimeout,
		// Somebody else's address gets nobody's name, whoever says so.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Check reads the secrets, and returns how many there are.
func (w Webhook) Check() (secrets int, err error) {
	all, err := readSecrets(w.SecretFile)
	return len(all), err
}

// Send implements Sink.
func (s *webhookSink) Send(ctx context.Context, events []Event) (acknowledged int, err error) {
	if err := s.post(ctx, events[0]); err != nil {
		return 0, fmt.Errorf("outcomes.webhook: %w", err)
	}
	return 1, nil
}

func (s *webhookSink) post(ctx context.Context, e Event) error {
	secrets, err := readSecrets(s.cfg.SecretFile)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, bytes.NewReader(e.Body))
	if err != nil {
		return errors.New("outcomes.webhook.url: not a URL")
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", s.userAgent)
	req.Header.Set("Webhook-Id", e.ID)
	if e.TraceParent != "" {
		req.Header.Set(traceParent, e.TraceParent)
	}
	req.Header.Set("Webhook-Timestamp", timestamp)
	req.Header.Set("Webhook-Signature", sign(secrets, e.ID, timestamp, e.Body))
	res, err := s.client.Do(req)
	if err != nil {
		return noAnswer(err)
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, mostDrained) // what it says is for nobody's log
	return refusal(res, time.Now())
}

// Close implements Sink.
func (s *webhookSink) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// refusal is nil for an answer that says that the event was taken.
func refusal(res *http.Response, now time.Time) error {
	status := res.StatusCode
	if status >= 200 && status < 300 {
		return nil
	}
	text := fmt.Sprintf("answered %d %s", status, http.StatusText(status))
	if advice := adviceFor(status); advice != "" {
		text += ": " + advice
	}
	err := errors.New(text)
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return err
	}
	if after, ok := retryAfter(res.Header.Get("Retry-After"), now); ok {
		return &RetryError{after, err}
	}
	return err
}

// adviceFor is what a person has to do about a status, where it tells.
func adviceFor(status int) string {
	switch {
	case status >= 300 && status < 400:
		return "no redirect is followed: outcomes.webhook.url must be the address itself"
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return "the receiver must know a secret of outcomes.webhook.secret_file"
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return "nobody takes events at outcomes.webhook.url"
	case status == http.StatusGone:
		return "the receiver says that it is gone for good: give outcomes.webhook another url, or take it out of the config"
	case status == http.StatusUnsupportedMediaType:
		return "the receiver does not take " + contentType
	}
	return ""
}

// retryAfter reads the header: seconds, or a date.
func retryAfter(header string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(strings.TrimSpace(header), 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(header); err == nil {
		return at.Sub(now), true
	}
	return 0, false
}

// noAnswer tells why there was none, without the address, of which a part may be
// secret, and without what somebody sent instead.
func noAnswer(err error) error {
	var timedOut interface{ Timeout() bool }
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &timedOut) && timedOut.Timeout():
		return fmt.Errorf("no answer within %v", postTimeout)
	case errors.As(err, &network):
		return network
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return errors.New("the receiver does not speak TLS")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the receiver closed the connection without an answer")
	}
	return errors.New("no answer that could be understood")
}
