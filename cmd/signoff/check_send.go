package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"signoff/consumer"
	"signoff/consumer/webhook"
)

// testSource is the source of the events that a check sends.
const testSource = "/signoff/check"

// sendAgainAfter is how long a daemon that has no room at the moment is left alone.
const sendAgainAfter = time.Second

// testSend sends the termination of nobody to a daemon's webhook, as HR would, and
// takes it back.
type testSend struct {
	to       string // URL of the endpoint
	endpoint webhook.Endpoint
	paths    string // of all endpoints, for people
	sentTLS  bool   // by the config the daemon itself ends TLS
	client   *http.Client
}

// newTestSend finds the endpoint of the URL, or takes the first that needs no mapping. All
// that it refuses is wrong usage.
func newTestSend(cfg config, to, caFile string) (*testSend, error) {
	u, err := url.Parse(to)
	if err != nil || !slices.Contains([]string{"http", "https"}, u.Scheme) || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, usageError{errors.New("--send-test: not a URL such as http://signoff:8080/events, without user and query")} // which may be secret: not quoted
	}
	switch {
	case cfg.Mode != modeDryRun:
		return nil, usageError{fmt.Errorf("--send-test: the mode is %s: what is sent must not be able to close anybody, so the mode must be %s", cfg.Mode, modeDryRun)}
	case cfg.Webhook.Listen == "":
		return nil, usageError{errors.New("--send-test: webhook is not configured: there is nothing to send to")}
	}
	s := &testSend{paths: strings.Join(cfg.Webhook.Paths(), ", "), sentTLS: cfg.Webhook.TLS != nil}
	endpoint := endpointOf(cfg.Webhook, u)
	if endpoint == nil {
		return nil, usageError{fmt.Errorf("--send-test: %s: no endpoint of the config; there are: %s", u.Path, s.paths)}
	}
	s.endpoint = *endpoint
	if u.Path == "" || u.Path == "/" {
		u.Path = s.endpoint.Path
	}
	s.to = u.String()
	s.client, err = testClient(caFile)
	return s, err
}

// endpointOf is the endpoint of the URL's path, which a proxy may have put something
// before; nil if there is none.
func endpointOf(cfg webhook.Config, u *url.URL) *webhook.Endpoint {
	fits := []func(webhook.Endpoint) bool{
		func(e webhook.Endpoint) bool { return e.Path == u.Path },
		func(e webhook.Endpoint) bool { return e.Path != "/" && strings.HasSuffix(u.Path, e.Path) },
	}
	if u.Path == "" || u.Path == "/" {
		fits = append(fits[:1], func(e webhook.Endpoint) bool { return e.Mapping == "" }, func(webhook.Endpoint) bool { return true })
	}
	for _, fit := range fits {
		if i := slices.IndexFunc(cfg.Endpoints, fit); i >= 0 {
			return &cfg.Endpoints[i]
		}
	}
	return nil
}

func testClient(caFile string) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if caFile != "" {
		text, err := os.ReadFile(caFile)
		if err != nil {
			return nil, usageError{fmt.Errorf("--ca-file: %w", err)}
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, usageError{fmt.Errorf("--ca-file: %s: no certificate in PEM", caFile)}
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // HR follows none either
	}, nil
}

// check sends both. A termination that was taken and could not be taken back ends by
// itself: it is of nobody, in a dry run.
func (s *testSend) check(ctx context.Context, _ config) (string, error) {
	defer s.client.CloseIdleConnections()
	id := "check-" + strings.ToLower(rand.Text())
	sent := time.Now().UTC()
	if err := s.send(ctx, consumer.TypeTerminated, id, sent); err != nil {
		return "", fmt.Errorf("a termination of nobody: %w", err)
	}
	if err := s.send(ctx, consumer.TypeRescinded, id, sent.Add(time.Millisecond)); err != nil { // a later word, whichever clock looks
		return "", fmt.Errorf("the termination of nobody, event %s, was taken, but not its rescind: %w", id, err)
	}
	return fmt.Sprintf("%s took a termination of nobody and its rescind: see signoff explain %s --source %s", s.endpoint.Path, id, testSource), nil
}

// send sends one event, and again for as long as the daemon says that it has no room.
func (s *testSend) send(ctx context.Context, kind, id string, at time.Time) error {
	body, err := testEvent(kind, id, at)
	if err != nil {
		return err
	}
	for {
		again, err := s.post(ctx, body, id+kindSuffix(kind))
		if !again {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(sendAgainAfter):
		}
	}
}

func kindSuffix(kind string) string {
	if kind == consumer.TypeRescinded {
		return "-rescind"
	}
	return ""
}

// testEvent is the leaving, tomorrow, of somebody whose address can't exist, or that it is taken back.
func testEvent(kind, id string, at time.Time) ([]byte, error) {
	e := cloudevents.New()
	e.SetID(id + kindSuffix(kind))
	e.SetType(kind)
	e.SetSource(testSource)
	e.SetTime(at)
	data := map[string]any{"email": id + "@signoff.invalid", "terminationId": id} // RFC 2606 keeps .invalid free of names
	if kind == consumer.TypeTerminated {
		data["effectiveAt"] = at.Add(24 * time.Hour).Format(time.RFC3339)
	}
	if err := e.SetData(cloudevents.ApplicationJSON, data); err != nil {
		return nil, err
	}
	return json.Marshal(e)
}

// post says as well whether another try may help.
func (s *testSend) post(ctx context.Context, body []byte, id string) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.to, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", cloudevents.ApplicationCloudEventsJSON)
	req.Header.Set("User-Agent", "signoff/"+version)
	if err := s.endpoint.Sign(req, body, id, time.Now()); err != nil {
		return false, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return false, s.notReached(req.URL, err)
	}
	defer resp.Body.Close()
	detail := detailOf(resp)
	return resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable, s.refused(resp.StatusCode, detail)
}

// detailOf is what a daemon says of its refusal, as RFC 9457 has it; "" where whoever
// answers is none. It quotes nothing of what was sent.
func detailOf(resp *http.Response) string {
	const most, longest = 4 << 10, 200
	var problem struct {
		Detail string `json:"detail"`
	}
	if resp.Header.Get("Content-Type") != "application/problem+json" ||
		json.NewDecoder(io.LimitReader(resp.Body, most)).Decode(&problem) != nil || problem.Detail == "" || len(problem.Detail) > longest {
		return ""
	}
	return " (" + oneLine(problem.Detail) + ")"
}

// refused says what an answer means, and what to do; nil for the one that HR gets.
func (s *testSend) refused(status int, detail string) error {
	said := fmt.Sprintf("%s answers %d%s: ", s.to, status, detail)
	switch {
	case status == s.endpoint.SuccessStatus():
		return nil
	case status == http.StatusUnauthorized && s.endpoint.Auth.SecretsFile() == "":
		return errors.New(said + "it wants to know who sends, and the config's endpoint says auth: none: does it run by this config, or does a proxy in front of it ask?")
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%sit does not take the first secret of %s: is that the file which the daemon reads, and do both clocks agree?", said, s.endpoint.Auth.SecretsFile())
	case status == http.StatusNotFound:
		return fmt.Errorf("%snothing is at this path: the config has %s: does the daemon run by it, and does the proxy in front of it, if there is one, pass the path on?", said, s.paths)
	case status == http.StatusForbidden:
		return errors.New(said + "who sends may not: see origins of the endpoint, and what stands in front of the daemon")
	case status == http.StatusBadRequest && s.sentTLS && strings.HasPrefix(s.to, "http:"):
		return errors.New(said + "by the config it ends TLS itself (webhook.tls): the URL must begin with https")
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return errors.New(said + "it can't take it at the moment: its log says why")
	case status/100 == 3:
		return errors.New(said + "it sends elsewhere, which HR does not follow: give the URL that it leads to")
	case status/100 == 2:
		return fmt.Errorf("%sthe endpoint's success is %d: does a daemon of this config answer there?", said, s.endpoint.SuccessStatus())
	}
	return errors.New(said + "the daemon's log says more, if it was the daemon that answered")
}

// notReached says what kept a request from being answered, and what to do.
func (s *testSend) notReached(to *url.URL, err error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok { // which says again what was called
		err = inner.Err
	}
	what := fmt.Errorf("%s: %w", s.to, err)
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var expired x509.CertificateInvalidError
	var remote *net.OpError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nothing listens there: does the daemon run, and is %s the port of webhook.listen, or of what leads to it?", what, portOf(to))
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: name who vouches for its certificate by --ca-file FILE", what)
	case errors.As(err, &name):
		return fmt.Errorf("%w: call it by a name that is in its certificate, or give it one with this name", what)
	case errors.As(err, &expired):
		return fmt.Errorf("%w: renew webhook.tls.cert_file, or look at the clock here", what)
	case errors.As(err, &remote) && remote.Op == "remote error": // an alert of TLS
		return fmt.Errorf("%w: where webhook.tls.client_ca_file is set, senders need a certificate, and this check has none: send to the Service of a daemon without it, or test as your sender does", what)
	case errors.As(err, &record), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return fmt.Errorf("%w: no TLS is spoken there: begin the URL with http, not https", what)
	case errors.As(err, &dns):
		return fmt.Errorf("%w: is it the name of the daemon's Service or host?", what)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: no answer within %v: does a NetworkPolicy or a firewall stand between?", what, checkTimeout)
	}
	return what
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
