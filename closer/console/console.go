// Package console is the admin listener: health, metrics, and an API by which
// people see what waits for them and decide on it. It reads rows of the ledger
// and marks rows of the ledger; what follows from a mark is the closer's.
//
// Whoever decides is named: a decision needs a token with a name and the role
// operator, or somebody whom an issuer of OpenID Connect says to be one. The users of
// the web config file only look. Without any of these all of it is read-only and no
// email is shown, and on an address other than loopback there is nothing but health and
// metrics, unless whoever connects needs a certificate.
//
// The pages are made elsewhere. Here is who may see them: people sign in and have a
// session for a while, in whose name a page then asks the API.
package console

import (
	"context"
	"crypto/tls"
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
	"golang.org/x/time/rate"

	"signoff/closer/ledger"
)

// Config is the section `admin` of the config file.
type Config struct {
	Listen     string `yaml:"listen"`      // host:port; port 0 takes a free one
	TokensFile string `yaml:"tokens_file"` // a line each: name:role:SHA-256 of the token in hex[:email]; read anew at every request

	WebConfigFile string `yaml:"web_config_file"` // in the format of the Prometheus exporters; read anew when it changes
	OpenMetrics   *bool  `yaml:"open_metrics"`    // /metrics needs neither token, password nor certificate; nil: unless the web config asks for one

	Session time.Duration `yaml:"session"` // after which whoever has signed in to the pages does so again
	OIDC    *OIDC         `yaml:"oidc"`    // nil: nobody signs in by OpenID Connect
}

// Defaults are for this machine alone.
func Defaults() Config { return Config{Listen: "127.0.0.1:9090", Session: 8 * time.Hour} }

const (
	shortestSession = time.Minute
	longestSession  = 30 * 24 * time.Hour
)

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
	in := &webFile{}
	if c.WebConfigFile != "" {
		var err error
		if in, err = readWeb(c.WebConfigFile); err != nil {
			return fmt.Errorf("admin.web_config_file: %w", err)
		}
	}
	if c.OIDC != nil {
		if err := c.OIDC.validate(); err != nil {
			return fmt.Errorf("admin.oidc.%w", err)
		}
	}
	if c.Session < shortestSession || c.Session > longestSession {
		return fmt.Errorf("admin.session: %v: not from 1m to 30d", c.Session)
	}
	return c.goesWith(in)
}

// goesWith refuses a web config that leaves nobody to read what is closed to strangers.
func (c Config) goesWith(in *webFile) error {
	if c.OpenMetrics != nil && !*c.OpenMetrics && c.TokensFile == "" && c.OIDC == nil && len(in.config.Users) == 0 && !in.needsCert {
		return errors.New("admin.open_metrics: false: nobody can be told from strangers: set tokens_file or oidc, or users or client certificates in web_config_file")
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

	web       *keptWeb
	tries     *tries
	passwords *passwords
	sessions  *sessions
	refusals  *rate.Limiter // of sign-ins, that are logged
	oidc      *issuer       // nil: it is not configured

	check     *ledgerCheck
	startedAt time.Time
	live      *live

	standing *shared[standing]
	recent   map[string]*shared[lately] // by a range of short spans

	counting sync.Mutex // of what is counted for all who ask
	lately   map[string]lately

	reports   few
	exporting sync.Mutex // held by the one export that there is at a time: it is work, and keeps the ledger's log from being emptied
}

// Daemon is what the listener shows of the daemon around it, and has it do.
type Daemon struct {
	Metrics http.Handler
	Pages   http.Handler              // asked in the name of a Visitor; nil: there are none
	Alive   func(now time.Time) error // whether the loops turn

	Stopping func() bool            // whether the daemon is about to end
	Skipped  func([]ledger.Settled) // told of those whom a person decided to leave open
	Terms    func() ledger.Terms    // what an approval has to be
	Leavers  Taker
	Plans    Planner
	Rejects  Replayer
	Sources  func(ctx context.Context) ([]string, error) // lines on the config, on each of its sources, and on what is amiss with intake
	Sinks    []string                                    // that outcomes are published to
	Sign     func(text []byte) []byte                    // signs what evidence is exported; nil: nothing is signed

	Accounts []string // that leavers are closed in, by the config; none: those that the closer has found
	DryRun   bool     // nobody is closed

	About     About
	Reconcile Reconciler

	Pace func() Pace // by which a story tells what happens next

	Received func() []ReceivedNow     // what came in since the process began; nil: not known
	Expected map[string]time.Duration // for how long each source may be silent; those that may be for ever are not in it
	Refused  func() error             // what is wrong with the config file; nil, or a nil error: it was taken
}

// New opens the listener.
func New(cfg Config, l *ledger.Ledger, d Daemon, log *zap.Logger) (*Server, error) {
	kept, err := keepWeb(cfg, log)
	if err != nil {
		return nil, err
	}
	issuer, err := newIssuer(cfg.OIDC)
	if err != nil {
		return nil, fmt.Errorf("admin.oidc.%w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("admin.listen: %w", err)
	}
	tries := newTries(log)
	s := &Server{cfg: cfg, ledger: l, daemon: d, log: log, listener: listener, web: kept, startedAt: time.Now().UTC(), lately: make(map[string]lately),
		standing: newShared[standing](), recent: newRecent(), reports: make(few, reportsAtOnce),
		tries: tries, passwords: newPasswords(tries), sessions: newSessions(cfg.Session), refusals: newRefusals(), oidc: issuer}
	s.live = newLive(s.pulse)
	s.check = &ledgerCheck{look: s.lookAtLedger}
	return s, nil
}

// Addr is the address that it listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	server, err := s.server()
	if err != nil {
		return fmt.Errorf("admin listener: %w", err)
	}
	following, cancel := context.WithCancel(ctx)
	followed := make(chan struct{})
	go func() { defer close(followed); s.web.follow(following) }()
	defer func() { cancel(); <-followed }()
	server.RegisterOnShutdown(s.live.end) // which would wait for whoever watches
	defer s.check.wait()
	defer s.live.wait()
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
	serve := server.Serve
	if s.TLS() {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	if err := serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin listener: %w", err)
	}
	<-ended // requests under way still use the ledger
	return nil
}

// TLS says whether https is spoken.
func (s *Server) TLS() bool { return s.web.now().tls != nil }

func (s *Server) server() (*http.Server, error) {
	errorLog, err := zap.NewStdLogAt(s.log, zap.DebugLevel) // whoever knocks without TLS would fill it
	return &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: errorLog,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return s.web.now().tls, nil
		}},
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connectedAt{}, time.Now())
		},
	}, err
}

// routes is what is served: method, path, who may, and what answers.
func (s *Server) routes() []route {
	return []route{
		{"GET", "/metrics", scraper, s.metrics},
		{"GET", "/livez", anybody, s.livez},
		{"GET", "/readyz", anybody, s.readyz},
		{"GET", descriptionPath, anybody, s.describe},
		{"GET", "/api/v1/holds", viewer, s.listHolds},
		{"GET", "/api/v1/holds/{id}", viewer, s.showHold},
		{"POST", "/api/v1/holds/{id}/approve", operator, s.approve},
		{"POST", "/api/v1/holds/{id}/reject", operator, s.reject},
		{"GET", "/api/v1/freezes", viewer, s.listFreezes},
		{"POST", "/api/v1/freezes", operator, s.freeze},
		{"POST", "/api/v1/freezes/{id}/end", operator, s.endFreeze},
		{"POST", "/api/v1/plan", viewer, s.planAt},
		{"POST", "/api/v1/plan/approve", operator, s.approvePlan},
		{"GET", "/api/v1/rejects", viewer, s.listRejects},
		{"GET", "/api/v1/rejects/{id}", viewer, s.showReject},
		{"POST", "/api/v1/rejects/replay", operator, s.replayRejects},
		{"POST", "/api/v1/rejects/{id}/replay", operator, s.replayReject},
		{"POST", "/api/v1/rejects/{id}/discard", operator, s.discardReject},
		{"GET", "/api/v1/audit/export", viewer, s.exportAudit},
		{"POST", "/api/v1/leavers/plan", operator, s.planLeavers},
		{"POST", "/api/v1/leavers", operator, s.takeLeavers},
		{"GET", "/api/v1/leavers/{file}", operator, s.followLeavers},
		{"POST", "/api/v1/leavers/defer", operator, s.deferLeaver},
		{"POST", "/api/v1/leavers/urgent", operator, s.hastenLeaver},
		{"POST", "/api/v1/leavers/skip", operator, s.skipLeaver},
		{"POST", "/api/v1/leavers/retry", operator, s.retryLeaver},
		{"GET", "/api/v1/report", viewer, s.report},
		{"POST", "/api/v1/reconcile", viewer, s.reconcile},
		{"POST", "/api/v1/explain", viewer, s.explain},
		{"GET", "/api/v1/overview", viewer, s.overview},
		{"GET", "/api/v1/leavers", viewer, s.listLeavers},
		{"POST", "/api/v1/leavers/search", viewer, s.searchLeavers},
		{"GET", "/api/v1/live", viewer, s.watch},
	}
}

func (s *Server) onLoopback() bool {
	addr, ok := s.listener.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request, _ principal) {
	s.daemon.Metrics.ServeHTTP(w, r)
}

func (s *Server) livez(w http.ResponseWriter, _ *http.Request, _ principal) {
	if err := s.daemon.Alive(time.Now()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// readyz is about the ledger alone: an outage of Kafka or of Docusign must not
// take the webhook away.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request, _ principal) {
	status, word := http.StatusOK, "ok"
	if err := s.check.now(r.Context()); err != nil {
		status, word = http.StatusServiceUnavailable, err.Error()
	} else if s.daemon.Stopping() {
		status, word = http.StatusServiceUnavailable, "stopping"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	if !r.URL.Query().Has("verbose") {
		fmt.Fprintln(w, word)
		return
	}
	if s.daemon.DryRun {
		fmt.Fprintln(w, "mode: dry run: nobody is closed until the config says mode: close")
	}
	fmt.Fprintln(w, "ledger:", word)
	stats, err := s.ledger.Stats(r.Context())
	if err != nil {
		fmt.Fprintln(w, "cannot be read:", err)
		return
	}
	fmt.Fprint(w, diskLine(stats.Free), kafkaLine(stats.Reading))
	s.writeSources(r.Context(), w)
	if err := s.web.fault(); err != nil {
		fmt.Fprintf(w, "admin: the web config file is refused, and what was in force since %s stays: %v\n", s.web.now().since.UTC().Format(time.RFC3339), err)
	}
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
	s.writeOutside(r.Context(), w)
	for _, sink := range s.daemon.Sinks {
		if behind := stats.Unpublished[sink]; behind.Rows > 0 {
			fmt.Fprintf(w, "outcomes: %s: %d not published yet, the oldest of %s\n", sink, behind.Rows, behind.Oldest.Format(time.RFC3339))
		} else {
			fmt.Fprintf(w, "outcomes: %s: ok, all are published\n", sink)
		}
	}
}

// fewBytes are too few to be left on the ledger's disk: as the alert SignoffDiskFull has it.
const fewBytes = 100 << 20

// fullBytes are as good as none.
const fullBytes = 1 << 20

// diskLine warns of a disk that is nearly full: a small write may go through where
// an event does not.
func diskLine(free int64) string {
	if free >= fewBytes {
		return ""
	}
	if free < fullBytes {
		return "ledger: its disk is full: no event is taken in and nobody is closed\n"
	}
	return fmt.Sprintf("ledger: only %.1f MiB are left on its disk: when it is full, no event is taken in and nobody is closed\n", float64(free)/(1<<20))
}

func kafkaLine(r ledger.Reading) string {
	if r.State == "" {
		return ""
	}
	line := fmt.Sprintf("kafka: %s since %s", r.State, r.Since.Format(time.RFC3339))
	if r.Detail != "" {
		line += ": " + r.Detail
	}
	return line + "\n"
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

// writeOutside tells of the accounts that entries wait in vain in.
func (s *Server) writeOutside(ctx context.Context, w io.Writer) {
	outside, err := s.ledger.OutsideAccounts(ctx, s.daemon.Accounts)
	if err != nil {
		fmt.Fprintln(w, "docusign: entries outside the accounts: cannot be read:", err)
	}
	for _, o := range outside {
		fmt.Fprintln(w, "docusign:", o.Advice())
	}
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
	if !readBody(w, r, maxBody, &body, `{"reason": "checked with HR"}`) {
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
	case errors.Is(err, context.Canceled): // whoever asked has gone
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
	_ = json.NewEncoder(w).Encode(body)
}
