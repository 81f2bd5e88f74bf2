// Package webhook takes CloudEvents over HTTP, in binary, structured and
// batched mode, and answers 2xx only once they are recorded. It knows who may
// send. It leaves what an event means to the decoder, and what becomes of it to
// the recorder.
//
// A request is taken whole or not at all. What is not a CloudEvent is refused,
// so that the sender hears of it, unless the endpoint has a mapping for it; what
// is ours or mapped and not understood is kept as a reject, since sending it again
// would not mend it.
//
// No payload, query, token or secret is in an answer or a log line.
package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/semaphore"

	"signoff/consumer"
	"signoff/consumer/mapping"
	"signoff/metrics"
)

const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	readingTimeout    = 10 * time.Second
	recordTimeout     = 10 * time.Second
	writeTimeout      = readTimeout + readingTimeout + recordTimeout + 10*time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 15 * time.Second // more than a Record takes
	maxHeaders        = 32 << 10         // bytes
	maxConnections    = 512
	maxStreams        = 32 // requests at a time of a connection, where it is HTTP/2
)

// Server takes events at each of its endpoints.
type Server struct {
	tls       *tls.Config // nil: what comes in is not encrypted
	config    Config
	endpoints map[string]*endpoint // by path
	recorder  consumer.Recorder
	metrics   *metrics.Webhook
	reads     atomic.Pointer[understanding]
	ignored   func(n int)
	bodies    *semaphore.Weighted // in bytes
	unproven  *semaphore.Weighted // in bytes, of those that must be signed
	inFlight  *semaphore.Weighted // in single events
	open      connections
	log       *zap.Logger // of the server
	refusals  *zap.Logger // of requests: a few a second, whoever sends how many
	addr      atomic.Pointer[net.Addr]
}

// endpoint is a configured Endpoint.
type endpoint struct {
	gate
	path    string
	mapped  bool // it has a mapping
	success int
	origins []string
}

// name is the endpoint's path; "" if there is none: the one asked for may say anything.
func (ep *endpoint) name() string {
	if ep == nil {
		return ""
	}
	return ep.path
}

// New returns a Server that hands events to rec, counts requests with m, and with
// ignored the events that are none of our business. The files that the config names must be there, and
// the mappings.
func New(cfg Config, rec consumer.Recorder, d *consumer.Decoder, mappings *mapping.Set, m *metrics.Webhook, ignored func(n int), log *zap.Logger) (*Server, error) {
	if cfg.Listen == "" {
		return nil, errors.New("webhook.listen: not set")
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		config:    cfg,
		endpoints: make(map[string]*endpoint),
		recorder:  rec,
		metrics:   m,
		ignored:   ignored,
		bodies:    semaphore.NewWeighted(maxBodies),
		unproven:  semaphore.NewWeighted(maxBodies),
		inFlight:  semaphore.NewWeighted(maxInFlight),
		open:      newConnections(maxConnections),
		log:       log,
		refusals: log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
			return zapcore.NewSamplerWithOptions(core, time.Second, 5, 0)
		})),
	}
	if cfg.TLS != nil {
		var err error
		if s.tls, err = cfg.TLS.config(log); err != nil {
			return nil, err
		}
	}
	for i, e := range cfg.Endpoints {
		ep, err := e.open(fmt.Sprintf("webhook.endpoints[%d]", i), log)
		if err != nil {
			return nil, err
		}
		s.endpoints[e.Path] = ep
	}
	if err := s.Understand(d, mappings); err != nil {
		return nil, err
	}
	return s, nil
}

// understanding is what requests are understood by.
type understanding struct {
	decoder *consumer.Decoder
	mappers map[string]consumer.Mapper // by path, of endpoints that have one
}

// Understand has requests from now on understood by another decoder and other
// mappings. An error names a mapping of an endpoint that is not among them; nothing
// is changed then.
func (s *Server) Understand(d *consumer.Decoder, mappings *mapping.Set) error {
	mappers, err := s.config.mappers(mappings)
	if err != nil {
		return err
	}
	s.reads.Store(&understanding{d, mappers})
	return nil
}

func (e Endpoint) open(at string, log *zap.Logger) (*endpoint, error) {
	ep := &endpoint{path: e.Path, mapped: e.Mapping != "", success: e.SuccessStatus(), origins: e.Origins}
	var err error
	ep.gate, err = e.Auth.open(at+".auth", log.With(zap.String("endpoint", e.Path)))
	return ep, err
}

// Addr is the address that Run listens on; nil before it does.
func (s *Server) Addr() net.Addr {
	if addr := s.addr.Load(); addr != nil {
		return *addr
	}
	return nil
}

// Run listens until ctx ends, and then for as long as the requests in flight
// need, 15 seconds at most. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.config.Listen)
	if err != nil {
		return fmt.Errorf("webhook.listen: %w", err)
	}
	addr := l.Addr()
	s.addr.Store(&addr)
	srv, err := s.httpServer()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	s.log.Info("webhooks are taken", zap.Stringer("address", addr), zap.Int("endpoints", len(s.endpoints)), zap.Bool("tls", s.tls != nil))

	failed := make(chan error, 1)
	go func() { failed <- s.answer(srv, s.open.limit(ctx, l)) }()
	select {
	case err := <-failed:
		if ctx.Err() == nil {
			return fmt.Errorf("serve webhooks: %w", err)
		}
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		s.log.Warn("webhook requests were cut off at shutdown", zap.Error(err))
		return srv.Close()
	}
	return nil
}

func (s *Server) httpServer() (*http.Server, error) {
	errorLog, err := zap.NewStdLogAt(s.log, zap.WarnLevel)
	return &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaders,
		TLSConfig:         s.tls,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ConnState:         s.open.changed,
		ErrorLog:          errorLog,
	}, err
}

func (s *Server) answer(srv *http.Server, l net.Listener) error {
	if s.tls == nil {
		return srv.Serve(l)
	}
	return srv.ServeTLS(l, "", "") // by the files of the config as they are then
}
