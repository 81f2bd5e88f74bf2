package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"signoff/consumer"
)

const (
	// maxInFlight is how many single events may be in work, a batch counting as
	// several.
	maxInFlight = 256
	// maxBodies is how many bytes of bodies there may be in memory, and as many
	// again of bodies whose signature is yet to be seen: who may not send must not
	// keep out who may.
	maxBodies = 16 << 20
)

// refusal is an answer other than success.
type refusal struct {
	status     int
	detail     string        // for the sender: quotes nothing of the request
	retryAfter time.Duration // 0: trying again makes no difference
	allow      string        // methods, for 405
	challenge  string        // scheme, for 401
	cause      error         // for the log
}

var (
	errBusy = &refusal{status: http.StatusTooManyRequests, detail: "too many requests in flight", retryAfter: time.Second}
	errFull = &refusal{status: http.StatusServiceUnavailable, retryAfter: time.Minute,
		detail: "too many events that were not understood wait for a person"}
)

// Handler answers the endpoints, and 404 for any other path.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.URL.Query().Has("access_token") {
		w.Header().Set("Cache-Control", "private")
	}
	ep := s.endpoints[r.URL.Path]
	status := s.reply(w, r, ep)
	s.metrics.Request(ep.name(), status, time.Since(began))
}

// reply answers a request to an endpoint, nil if there is none, and returns the
// status of the answer.
func (s *Server) reply(w http.ResponseWriter, r *http.Request, ep *endpoint) int {
	var no *refusal
	switch {
	case ep == nil:
		no = &refusal{status: http.StatusNotFound, detail: "no endpoint at this path"}
	case r.Method == http.MethodOptions:
		ep.shakeHands(w, r)
		return http.StatusNoContent
	case r.Method != http.MethodPost:
		if no = ep.verify(w, r); no == nil {
			return http.StatusOK
		}
	default:
		if no = s.take(w, r, ep); no == nil {
			w.WriteHeader(ep.success)
			return ep.success
		}
	}
	s.refuse(w, r, ep, no)
	return no.status
}

// take records what a request brings, and returns nil once that is done.
func (s *Server) take(w http.ResponseWriter, r *http.Request, ep *endpoint) *refusal {
	claim, m, no := ep.judgeHead(r)
	if no != nil {
		return no
	}
	room := s.bodies
	if claim != nil {
		room = s.unproven
	}
	body, done, no := readBody(w, r, m.limit(), room)
	if no != nil {
		return no
	}
	defer done()
	if claim == nil {
		return s.work(r, ep, m, body)
	}
	if err := ep.signed.holds(claim, r.Method, body); err != nil {
		return &refusal{status: http.StatusUnauthorized, detail: err.Error()}
	}
	if ep.signed.recorded == nil {
		return s.work(r, ep, m, body)
	}
	message := claim.messageOf(body)
	if ep.signed.recorded.has(message, time.Now()) {
		s.refusals.Info("a webhook message that is on record already was sent again", zap.String("endpoint", ep.path))
		return nil
	}
	no = s.work(r, ep, m, body)
	if no == nil { // one that could not be recorded must be taken when it is sent again
		ep.signed.recorded.add(message, time.Now())
	}
	return no
}

// judgeHead says how to read the request and what it claims, by its head alone:
// whoever may not send need not send the body.
func (ep *endpoint) judgeHead(r *http.Request) (*claim, mode, *refusal) {
	if !ep.mayCome(r) {
		return nil, unknown, &refusal{status: http.StatusForbidden, detail: "WebHook-Request-Origin: not one of this endpoint's"}
	}
	claim, no := ep.admit(r, time.Now())
	if no != nil {
		return nil, unknown, no
	}
	m := ep.modeAt(r.Header)
	switch encoding := r.Header.Get("Content-Encoding"); {
	case m == unknown && ep.mapped:
		no = &refusal{status: http.StatusUnsupportedMediaType, detail: "accepted are JSON and CloudEvents in JSON"}
	case m == unknown:
		no = &refusal{status: http.StatusUnsupportedMediaType, detail: "accepted are CloudEvents: " +
			"application/cloudevents+json, application/cloudevents-batch+json, or ce- headers beside JSON"}
	case m == binary && ep.signed != nil: // or whoever has seen a body could make another event of it
		no = &refusal{status: http.StatusUnsupportedMediaType, detail: "the signature does not cover ce- headers: send application/cloudevents+json"}
	case encoding != "" && encoding != "identity":
		no = &refusal{status: http.StatusUnsupportedMediaType, detail: "a content encoding is not accepted"}
	}
	return claim, m, no
}

// work understands a body and records what it says.
func (s *Server) work(r *http.Request, ep *endpoint, m mode, body []byte) *refusal {
	weight := m.limit() / maxBody
	if !s.inFlight.TryAcquire(weight) {
		return errBusy
	}
	defer s.inFlight.Release(weight)

	ctx := context.WithoutCancel(r.Context()) // a vendor that waits no longer will send it again: then it is on record
	got, no := s.understand(ctx, r.Header, ep, m, body)
	if no != nil {
		return no
	}
	if no := s.record(ctx, got.Intake(consumer.Webhook)); no != nil {
		return no
	}
	if got.Ignored > 0 {
		s.ignored(got.Ignored)
	}
	return nil
}

// understand sorts the events of a request: ours, those that were not understood,
// and the number of those that are none of our business. If one of them is no
// CloudEvent, or can't be understood now, then none is taken.
func (s *Server) understand(ctx context.Context, h http.Header, ep *endpoint, m mode, body []byte) (got consumer.Content, no *refusal) {
	defer func() {
		if recover() != nil { // a payload that breaks a reader must not be tried for ever
			no = &refusal{status: http.StatusBadRequest, detail: "not readable"}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, readingTimeout)
	defer cancel()
	got, err := ep.reading(s.reads.Load(), time.Now().UTC()).read(ctx, m, h, body)
	var unreadable *consumer.UnreadableError
	switch {
	case errors.As(err, &unreadable):
		return got, &refusal{status: http.StatusBadRequest, detail: unreadable.Detail}
	case err != nil:
		return got, &refusal{status: http.StatusServiceUnavailable, detail: "whom this is about can't be found out at the moment",
			retryAfter: 5 * time.Second, cause: err}
	}
	return got, nil
}

func (s *Server) record(ctx context.Context, in consumer.Intake) *refusal {
	if len(in.Events)+len(in.Rejects)+len(in.Heard) == 0 {
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
	level := zap.WarnLevel
	if no.status >= http.StatusInternalServerError { // ours to mend, and not to drown in what others send
		level = zap.ErrorLevel
	}
	s.refusals.Log(level, "webhook request refused", zap.Int("status", no.status), zap.String("endpoint", ep.name()),
		zap.String("detail", no.detail), zap.String("remote", r.RemoteAddr), zap.Error(no.cause))

	h := w.Header()
	if no.challenge != "" {
		h.Set("WWW-Authenticate", no.challenge)
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
