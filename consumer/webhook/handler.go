package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"signoff/consumer"
)

// maxInFlight is how many single events may be in flight, a batch counting as
// several: together 64 MiB of bodies.
const maxInFlight = 256

// refusal is an answer other than success.
type refusal struct {
	status     int
	detail     string        // for the sender: quotes nothing of the request
	retryAfter time.Duration // 0: trying again makes no difference
	allow      string        // methods, for 405
	cause      error         // for the log
}

var (
	errBusy = &refusal{status: http.StatusTooManyRequests, detail: "too many requests in flight", retryAfter: time.Second}
	errFull = &refusal{status: http.StatusServiceUnavailable, retryAfter: time.Minute,
		detail: "too many events that were not understood wait for a person"}
)

const allowed = "POST, OPTIONS"

// Handler answers the endpoints, and 404 for any other path.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("access_token") {
		w.Header().Set("Cache-Control", "private")
	}
	ep := s.endpoints[r.URL.Path]
	if ep != nil && r.Method == http.MethodOptions {
		ep.shakeHands(w, r)
		return
	}
	if no := s.take(w, r, ep); no != nil {
		s.refuse(w, r, ep, no)
		return
	}
	w.WriteHeader(ep.success)
}

// shakeHands answers the question of the webhook specification whether events
// may be sent here at all. An endpoint that asks for a token says yes to
// everybody: who may really send is the token's to tell. One that does not
// gives no consent, which is an answer without WebHook-Allowed-Origin.
//
// The callback that a request may name is not called: anybody can ask.
func (ep *endpoint) shakeHands(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", allowed)
	if origin := r.Header.Get("WebHook-Request-Origin"); ep.bearers != nil && origin != "" {
		w.Header().Set("WebHook-Allowed-Origin", origin)
		if r.Header.Get("WebHook-Request-Rate") != "" {
			w.Header().Set("WebHook-Allowed-Rate", "*")
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// take records what a request brings, and returns nil once that is done.
func (s *Server) take(w http.ResponseWriter, r *http.Request, ep *endpoint) *refusal {
	if ep == nil {
		return &refusal{status: http.StatusNotFound, detail: "no endpoint at this path"}
	}
	if r.Method != http.MethodPost {
		return &refusal{status: http.StatusMethodNotAllowed, detail: "events are posted", allow: allowed}
	}
	if ep.bearers != nil && !ep.bearers.knows(bearer(r)) {
		return &refusal{status: http.StatusUnauthorized, detail: "no bearer token, or one that is not known"}
	}
	m := modeOf(r.Header)
	if m == unknown {
		return &refusal{status: http.StatusUnsupportedMediaType, detail: "accepted are CloudEvents: " +
			"application/cloudevents+json, application/cloudevents-batch+json, or ce- headers beside JSON"}
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return &refusal{status: http.StatusUnsupportedMediaType, detail: "a content encoding is not accepted"}
	}
	weight := m.limit() / maxBody
	if !s.inFlight.TryAcquire(weight) {
		return errBusy
	}
	defer s.inFlight.Release(weight)

	body, no := readBody(w, r, m.limit())
	if no != nil {
		return no
	}
	in, ignored, err := s.intake(m, r.Header, body, ep)
	if err != nil {
		return &refusal{status: http.StatusBadRequest, detail: detail(err)}
	}
	if no := s.record(r.Context(), in); no != nil {
		return no
	}
	if ignored > 0 {
		s.ignored(ignored)
	}
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *refusal) {
	tooLarge := &refusal{status: http.StatusRequestEntityTooLarge,
		detail: "larger than " + strconv.FormatInt(limit, 10) + " bytes"}
	if r.ContentLength > limit { // it may wait for a 100: then it need not be sent at all
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tooLarge
	case err != nil:
		return nil, &refusal{status: http.StatusBadRequest, detail: "the body ended early", cause: err}
	}
	return body, nil
}

// intake sorts the events of a request: ours, those that were not understood,
// and the number of those that are none of our business. An error means that
// one of them is no CloudEvent; then none is taken.
func (s *Server) intake(m mode, h http.Header, body []byte, ep *endpoint) (in consumer.Intake, ignored int, err error) {
	defer func() {
		if recover() != nil { // a payload that breaks a reader must not be tried for ever
			err = errors.New("not readable")
		}
	}()
	events, err := m.decode(h, body)
	if err != nil {
		return in, 0, err
	}
	in = consumer.Intake{Source: consumer.Webhook}
	now := time.Now().UTC()
	for i, got := range events {
		ours, err := s.add(&in, got, ep.path, now)
		if err != nil && m == batched {
			err = atIndex(i, err)
		}
		if err != nil {
			return in, 0, err
		}
		if !ours {
			ignored++
		}
	}
	return in, ignored, nil
}

// add adds an event to the intake, if it is ours.
func (s *Server) add(in *consumer.Intake, got received, path string, now time.Time) (ours bool, err error) {
	if err := consumer.Validate(got.event); err != nil {
		return false, err
	}
	if _, ours := s.decoder.Kind(got.event.Type()); !ours {
		return false, nil
	}
	e, err := s.decoder.Decode(context.TODO(), got.event, path, now)
	var unreadable *consumer.UnreadableError
	switch {
	case err == nil:
		e.Payload = got.payload
		in.Events = append(in.Events, e)
		return true, nil
	case !errors.As(err, &unreadable) || unreadable.Reason == consumer.InvalidEvent:
		return true, err
	}
	in.Rejects = append(in.Rejects, consumer.Reject{
		Key:        e.Key,
		Reason:     unreadable.Reason,
		Detail:     unreadable.Detail,
		Payload:    got.payload,
		ReceivedAt: now,
	})
	return true, nil
}

func (s *Server) record(ctx context.Context, in consumer.Intake) *refusal {
	if len(in.Events)+len(in.Rejects) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	err := s.recorder.Record(ctx, in)
	switch {
	case errors.Is(err, consumer.ErrFull):
		return errFull
	case err != nil:
		return &refusal{status: http.StatusServiceUnavailable, detail: "events can't be recorded at the moment",
			retryAfter: 5 * time.Second, cause: err}
	}
	return nil
}

// refuse answers with a problem of RFC 9457.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, ep *endpoint, no *refusal) {
	path := "" // not the one asked for, which may say anything
	if ep != nil {
		path = ep.path
	}
	level := zap.WarnLevel
	if no.status >= http.StatusInternalServerError { // ours to mend, and not to drown in what others send
		level = zap.ErrorLevel
	}
	s.refusals.Log(level, "webhook request refused", zap.Int("status", no.status), zap.String("endpoint", path),
		zap.String("detail", no.detail), zap.String("remote", r.RemoteAddr), zap.Error(no.cause))

	h := w.Header()
	if no.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if no.allow != "" {
		h.Set("Allow", no.allow)
	}
	if no.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(no.retryAfter.Seconds())))
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(no.status)
	_ = json.NewEncoder(w).Encode(struct { // the sender may have gone, which is its own business
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(no.status), no.status, no.detail})
}
