// Package console is the admin listener: health, metrics, and an API by which
// people see what waits for them and decide on it. It reads rows of the ledger
// and marks rows of the ledger; what follows from a mark is the closer's.
//
// Whoever decides is named: a decision needs a token with a name and the role
// operator. Without a tokens file all of it is read-only and no email is shown,
// and on an address other than loopback there is nothing but health and metrics.
package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

// Config is the section `admin` of the config file.
type Config struct {
	Listen     string `yaml:"listen"`      // host:port; port 0 takes a free one
	TokensFile string `yaml:"tokens_file"` // a line each: name:role:SHA-256 of the token in hex[:email]; read anew at every request
}

// Validate returns an error that names the key with a value that cannot be meant.
func (c Config) Validate() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("admin.listen: %q: not host:port", c.Listen)
	}
	if c.TokensFile != "" {
		if _, err := readTokens(c.TokensFile); err != nil {
			return fmt.Errorf("admin.tokens_file: %w", err)
		}
	}
	return nil
}

// Server is the admin listener.
type Server struct {
	cfg      Config
	ledger   *ledger.Ledger
	daemon   Daemon
	log      *zap.Logger
	listener net.Listener

	mu        sync.Mutex // of the last check that the ledger can be written
	checkedAt time.Time
	checked   error
}

// Daemon is what the listener shows of the daemon around it, and has it do.
type Daemon struct {
	Metrics http.Handler
	Alive   func(now time.Time) error // whether the loops turn
	Skipped func([]ledger.Settled)    // told of those whom a person decided to leave open
	Terms   ledger.Terms              // what an approval has to be
	Leavers Leavers
	Plans   Planner
	Rejects Replayer
	Sources func(ctx context.Context) ([]string, error) // a line for each source of the config, and what else is amiss with intake
	Sinks   []string                                    // that outcomes are published to
}

// New opens the listener.
func New(cfg Config, l *ledger.Ledger, d Daemon, log *zap.Logger) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("admin.listen: %w", err)
	}
	return &Server{cfg: cfg, ledger: l, daemon: d, log: log, listener: listener}, nil
}

// Addr is the address that it listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(limited) != nil {
			_ = server.Close()
		}
	})
	defer stop()
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin listener: %w", err)
	}
	<-ended // requests under way still use the ledger
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.daemon.Metrics)
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /readyz", s.readyz)
	if s.cfg.TokensFile != "" || s.onLoopback() {
		mux.HandleFunc("GET /api/v1/holds", s.may(viewer, s.listHolds))
		mux.HandleFunc("GET /api/v1/holds/{id}", s.may(viewer, s.showHold))
		mux.HandleFunc("POST /api/v1/holds/{id}/approve", s.may(operator, s.approve))
		mux.HandleFunc("POST /api/v1/holds/{id}/reject", s.may(operator, s.reject))
		mux.HandleFunc("GET /api/v1/freezes", s.may(viewer, s.listFreezes))
		mux.HandleFunc("POST /api/v1/freezes", s.may(operator, s.freeze))
		mux.HandleFunc("POST /api/v1/freezes/{id}/end", s.may(operator, s.endFreeze))
		mux.HandleFunc("POST /api/v1/plan", s.may(viewer, s.planAt))
		mux.HandleFunc("POST /api/v1/plan/approve", s.may(operator, s.approvePlan))
		mux.HandleFunc("GET /api/v1/rejects", s.may(viewer, s.listRejects))
		mux.HandleFunc("GET /api/v1/rejects/{id}", s.may(viewer, s.showReject))
		mux.HandleFunc("POST /api/v1/rejects/replay", s.may(operator, s.replayRejects))
		mux.HandleFunc("POST /api/v1/rejects/{id}/replay", s.may(operator, s.replayReject))
		mux.HandleFunc("POST /api/v1/rejects/{id}/discard", s.may(operator, s.discardReject))
		mux.HandleFunc("POST /api/v1/leavers/plan", s.may(operator, s.planLeavers))
		mux.HandleFunc("POST /api/v1/leavers", s.may(operator, s.takeLeavers))
		mux.HandleFunc("GET /api/v1/leavers/{file}", s.may(operator, s.followLeavers))
	}
	return mux
}

func (s *Server) onLoopback() bool {
	addr, ok := s.listener.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	if err := s.daemon.Alive(time.Now()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// readyz is about the ledger alone: an outage of Kafka or of Docusign must not
// take the webhook away.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	status, word := http.StatusOK, "ok"
	if err := s.writable(r.Context()); err != nil {
		status, word = http.StatusServiceUnavailable, "cannot be written: "+err.Error()
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	if !r.URL.Query().Has("verbose") {
		fmt.Fprintln(w, word)
		return
	}
	fmt.Fprintln(w, "ledger:", word)
	stats, err := s.ledger.Stats(r.Context())
	if err != nil {
		fmt.Fprintln(w, "cannot be read:", err)
		return
	}
	if k := stats.Reading; k.State != "" {
		fmt.Fprintf(w, "kafka: %s since %s %s\n", k.State, k.Since.Format(time.RFC3339), k.Detail)
	}
	s.writeSources(r.Context(), w)
	for _, a := range stats.Accounts {
		switch {
		case a.Parked != "":
			fmt.Fprintf(w, "docusign: account %s: parked since %s: %s: %s\n", a.ID, a.ParkedAt.Format(time.RFC3339), a.Parked, a.Advice)
		case a.ResumeAt.After(time.Now()):
			fmt.Fprintf(w, "docusign: account %s: waits until %s: the quota is used up, or Docusign asked for it\n", a.ID, a.ResumeAt.Format(time.RFC3339))
		default:
			fmt.Fprintf(w, "docusign: account %s: ok, last run %s\n", a.ID, a.PassedAt.Format(time.RFC3339))
		}
	}
	for _, sink := range s.daemon.Sinks {
		if behind := stats.Unpublished[sink]; behind.Rows > 0 {
			fmt.Fprintf(w, "outcomes: %s: %d not published yet, the oldest of %s\n", sink, behind.Rows, behind.Oldest.Format(time.RFC3339))
		} else {
			fmt.Fprintf(w, "outcomes: %s: ok, all are published\n", sink)
		}
	}
}

func (s *Server) writeSources(ctx context.Context, w io.Writer) {
	if s.daemon.Sources == nil {
		return
	}
	lines, err := s.daemon.Sources(ctx)
	if err != nil {
		lines = append(lines, "sources: cannot be read: "+err.Error())
	}
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
}

// writable asks the ledger at most once a second: a probe costs it an fsync.
func (s *Server) writable(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.checkedAt) > time.Second {
		// Not ctx alone: the answer is for all who ask within the second, and a
		// probe that gave up says nothing of the ledger.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		s.checked = s.ledger.Writable(limited)
		s.checkedAt = time.Now()
	}
	return s.checked
}

// Users are users as the API shows them.
func Users(users []ledger.User) []User {
	shown := make([]User, 0, len(users))
	for _, u := range users {
		shown = append(shown, User{UserID: u.ID, Email: u.Email, SCIM: u.SCIM})
	}
	return shown
}

func holdID(w http.ResponseWriter, r *http.Request) (int64, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		problem(w, http.StatusNotFound, "no such hold")
		return 0, false
	}
	return id, true
}

const (
	maxReason = 1000     // characters
	maxBody   = 64 << 10 // bytes
)

func reasonOf(w http.ResponseWriter, r *http.Request) (string, bool) {
	var body struct {
		Reason string `json:"reason"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("larger than %d bytes", maxBody))
		return "", false
	case err != nil:
		problem(w, http.StatusBadRequest, `the body must be JSON such as {"reason": "checked with HR"}`)
		return "", false
	}
	reason, err := trimmed(body.Reason)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
	}
	return reason, err == nil
}

// trimmed is a reason as the ledger keeps it.
func trimmed(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	if utf8.RuneCountInString(reason) > maxReason {
		return "", fmt.Errorf("the reason is longer than %d characters", maxReason)
	}
	return reason, nil
}

// fail answers an error of the ledger.
func (s *Server) fail(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ledger.ErrNoHold):
		problem(w, http.StatusNotFound, "no such hold")
	case errors.Is(err, ledger.ErrNoFreeze):
		problem(w, http.StatusNotFound, "no such freeze in force")
	case errors.Is(err, ledger.ErrNoReject):
		problem(w, http.StatusNotFound, "no such reject")
	case errors.As(err, new(*ledger.WhomError)), errors.Is(err, ledger.ErrNobody), errors.Is(err, ledger.ErrFreezeUntil):
		problem(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, ledger.ErrStandsIn), errors.Is(err, ledger.ErrBrought):
		problem(w, http.StatusForbidden, err.Error())
	case errors.Is(err, ledger.ErrDecided), errors.Is(err, ledger.ErrDigest), errors.Is(err, ledger.ErrSelf), errors.Is(err, ledger.ErrDryRun), refusedAlone(err):
		problem(w, http.StatusConflict, err.Error())
	case errors.Is(err, ErrLater):
		problem(w, http.StatusServiceUnavailable, err.Error())
	default:
		s.log.Error("admin request", zap.Error(err))
		problem(w, http.StatusInternalServerError, noAnswer)
	}
}

const noAnswer = "the ledger did not answer, see the log"

// problem answers an error as RFC 9457 has it.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(body)
}
