// Package webhook takes CloudEvents over HTTP, in binary, structured and
// batched mode, and answers 2xx only once they are recorded. It knows who may
// send. It leaves what an event means to the decoder, and what becomes of it to
// the recorder.
//
// A request is taken whole or not at all. What is not a CloudEvent is refused,
// so that the sender hears of it; an event of ours whose data is not understood
// is kept as a reject, since sending it again would not mend it.
//
// No payload, query or token is in an answer or a log line.
package webhook

import (
	"context"
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
)

const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	recordTimeout     = 10 * time.Second
	writeTimeout      = readTimeout + recordTimeout + 10*time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 15 * time.Second // more than a Record takes
	maxHeaders        = 32 << 10         // bytes
)

// Server takes events at each of its endpoints.
type Server struct {
	listen    string
	endpoints map[string]*endpoint // by path
	recorder  consumer.Recorder
	decoder   *consumer.Decoder
	ignored   func(n int)
	inFlight  *semaphore.Weighted // in bodies of maxBody
	log       *zap.Logger         // of the server
	refusals  *zap.Logger         // of requests: a few a second, whoever sends how many
	addr      atomic.Pointer[net.Addr]
}

// endpoint is a configured Endpoint; bearers is nil where anybody may send.
type endpoint struct {
	path    string
	success int
	bearers *bearers
}

// New returns a Server that hands events to rec and counts those of other types
// with ignored. The token files must be there.
func New(cfg Config, rec consumer.Recorder, d *consumer.Decoder, ignored func(n int), log *zap.Logger) (*Server, error) {
	if cfg.Listen == "" {
		return nil, errors.New("webhook.listen: not set")
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		listen:    cfg.Listen,
		endpoints: make(map[string]*endpoint),
		recorder:  rec,
		decoder:   d,
		ignored:   ignored,
		inFlight:  semaphore.NewWeighted(maxInFlight),
		log:       log,
		refusals: log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
			return zapcore.NewSamplerWithOptions(core, time.Second, 5, 0)
		})),
	}
	for i, e := range cfg.Endpoints {
		ep := &endpoint{path: e.Path, success: e.success()}
		if !e.Auth.None {
			var err error
			if ep.bearers, err = readBearers(e.Auth.BearerFile, log); err != nil {
				return nil, fmt.Errorf("webhook.endpoints[%d].auth.bearer_file: %w", i, err)
			}
		}
		s.endpoints[e.Path] = ep
	}
	return s, nil
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
	l, err := lc.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return fmt.Errorf("webhook.listen: %w", err)
	}
	addr := l.Addr()
	s.addr.Store(&addr)
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaders,
	}
	if srv.ErrorLog, err = zap.NewStdLogAt(s.log, zap.WarnLevel); err != nil {
		return errors.Join(err, l.Close())
	}
	s.log.Info("webhooks are taken", zap.Stringer("address", addr), zap.Int("endpoints", len(s.endpoints)))

	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve webhooks: %w", err)
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
