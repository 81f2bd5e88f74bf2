package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/errgroup"

	"signoff/closer"
	"signoff/closer/console"
	"signoff/closer/console/pages"
	"signoff/closer/docusign"
	"signoff/closer/ledger"
	"signoff/closer/outcomes"
	"signoff/consumer"
	"signoff/consumer/kafka"
	"signoff/consumer/webhook"
	"signoff/metrics"
)

func runCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	file := flags.String("config", "", "`FILE` to be configured by")
	from := flags.String("from", "", "`where` to begin in Kafka when the ledger does not know it: earliest or committed")
	delay := flags.Duration("shutdown-delay", 0, "how `long` to go on after SIGTERM, not ready any more: senders find other ways first")
	if err := parseFlags(flags, out, args); err != nil {
		return err
	}
	if err := kafka.From(*from).Validate(); err != nil {
		return usageError{err}
	}
	if *delay < 0 {
		return usageError{fmt.Errorf("--shutdown-delay: %v: negative", *delay)}
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // from here on it does not end the process
	defer signal.Stop(hangup)
	cfg, read, err := readConfig(*file)
	if err != nil {
		return err
	}
	limitMemory("/sys/fs/cgroup")
	level := zap.NewAtomicLevelAt(cfg.Log.level())
	d, err := newDaemon(ctx, cfg, kafka.From(*from), newLogAt(level, cfg.Log.Format))
	if err != nil {
		return err
	}
	d.shutdownDelay = *delay
	d.reloader.follow(*file, read, level, hangup)
	return d.run(ctx)
}

func newLog(cfg logConfig) *zap.Logger {
	return newLogAt(zap.NewAtomicLevelAt(cfg.level()), cfg.Format)
}

// newLogAt is a log whose level may be set later.
func newLogAt(level zap.AtomicLevel, format string) *zap.Logger {
	c := zap.NewProductionConfig()
	c.Sampling = nil
	c.Encoding, c.Level = format, level
	c.DisableCaller, c.DisableStacktrace = true, true
	c.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	c.EncoderConfig.TimeKey = "time"
	log, err := c.Build()
	if err != nil {
		return zap.NewNop() // only an output that cannot be opened, and stderr can
	}
	return log
}

func (c logConfig) level() zapcore.Level {
	level, _ := zapcore.ParseLevel(c.Level) // info, where it is none; validate has seen to it
	return level
}

// daemon is all rooms, joined in the order in which data flows.
type daemon struct {
	log     *zap.Logger
	hearts  *hearts
	intake  *metrics.Intake
	ledger  *ledger.Ledger
	source  *kafka.Source   // nil without kafka
	webhook *webhook.Server // nil without webhook
	closer  *closer.Closer
	console *console.Server
	keeper  *keeper

	directory *askedDirectory // nil without events.directory

	publishers []*outcomes.Publisher
	reloader   *reloader

	shutdownDelay time.Duration // from a signal to the end
	stopping      atomic.Bool   // the signal has come

	mu  sync.Mutex
	cfg config // that is in force; of mu once run has begun
}

func newDaemon(ctx context.Context, cfg config, from kafka.From, log *zap.Logger) (_ *daemon, err error) {
	gathered := prometheus.NewRegistry()
	gathered.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	log, registry := cfg.marked(log, gathered)
	d := &daemon{cfg: cfg, log: log}
	sign, err := cfg.Audit.signer(log.Named("audit"))
	if err != nil {
		return nil, usageError{err}
	}
	d.hearts = newHearts(metrics.NewProcess(registry, version, runtime.Version(), cfg.Mode, modes(), d.loops()), d.loops())
	d.intake = metrics.NewIntake(registry, texts(consumer.Kafka, consumer.Webhook, consumer.CSV), texts(consumer.Reasons()...))
	labels := metrics.NewAccounts(cfg.Docusign.labels())
	m := newCloserMetrics(cfg, registry, labels)
	if d.ledger, err = openLedger(ctx, cfg, registry, labels, d.intake, m, log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.ledger.Close())
		}
	}()
	if err := d.openSources(ctx, from, registry); err != nil {
		return nil, err
	}
	if err := d.openSinks(ctx, registry); err != nil {
		return nil, err
	}
	client, err := newDocusign(cfg, registry, labels)
	if err != nil {
		return nil, err
	}
	if err := checkAccounts(ctx, cfg, client); err != nil {
		return nil, err
	}
	d.closer = closer.New(cfg.closerConfig(), cfg.Guard, d.ledger, client, m, log.Named("closer"))
	d.reloader = newReloader(d, metrics.NewConfig(registry), log.Named("config"))
	d.keeper = newKeeper(d.ledger, cfg.Events.Sources, log.Named("keeper"))
	if cfg.Mode != modeDryRun {
		d.keeper.deadline, d.keeper.counted = cfg.Batch.Deadline, m.Deadline
	}
	d.keeper.keeping = newKeeping(cfg, d.ledger, sign, log.Named("keeper"))
	if err := d.openConsole(gathered, client, m, sign); err != nil {
		return nil, err
	}
	return d, nil
}

// openConsole makes the admin listener, by which people look at all the others.
func (d *daemon) openConsole(gathered *prometheus.Registry, client *docusign.Client, m *metrics.Closer, sign signer) (err error) {
	handler := promhttp.HandlerFor(gathered, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, EnableOpenMetrics: true, // or exemplars are not shown
	})
	d.console, err = console.New(d.cfg.Admin, d.ledger, console.Daemon{
		Metrics: handler, Pages: pages.New(d.cfg.about()), Alive: d.hearts.alive, Stopping: d.stopping.Load,
		Terms: func() ledger.Terms { return d.now().terms() },
		Skipped: func(skipped []ledger.Settled) {
			for _, s := range skipped {
				m.Outcome(s.Entry.Account, string(s.Outcome))
				d.log.Info("entry settled", zap.Int64("entry", s.Entry.ID), traced(s.Entry.TraceID()), zap.String("outcome", string(s.Outcome)))
			}
		},
		Leavers: leavers{d.now, d.ledger, client, d.log.Named("leavers")},
		Plans:   newPlans(leavers{d.now, d.ledger, client, d.log.Named("plans")}),
		Rejects: replayer{d.ledger, d.source, d.webhook},
		Sources: d.intakeReport,
		Sinks:   d.cfg.sinks(),
		Sign:    sign,

		Accounts: d.cfg.Docusign.Accounts.ids(),
		DryRun:   d.cfg.Mode == modeDryRun,

		About:     d.cfg.about(),
		Reconcile: reconciler{leavers{d.now, d.ledger, client, d.log.Named("reconcile")}},

		Pace: func() console.Pace { return d.now().pace() },

		Received: d.received,
		Expected: expectations(d.cfg.Events.Sources),
		Refused:  d.reloader.fault,
	}, d.log.Named("admin"))
	return err
}

// marked has every line of the log and every metric of ours say so in a dry run:
// nobody is to take what it would do for what was done.
func (c config) marked(log *zap.Logger, registry prometheus.Registerer) (*zap.Logger, prometheus.Registerer) {
	if c.Mode != modeDryRun {
		return log, registry
	}
	return log.With(zap.String("mode", modeDryRun)), prometheus.WrapRegistererWith(prometheus.Labels{"dry_run": "true"}, registry)
}

func openLedger(ctx context.Context, cfg config, registry prometheus.Registerer, labels *metrics.Accounts, intake *metrics.Intake, outcomes *metrics.Closer, log *zap.Logger) (*ledger.Ledger, error) {
	writes := metrics.NewLedger(registry)
	rejects := log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { // a topic of nothing else must not fill the log
		return zapcore.NewSamplerWithOptions(core, time.Second, 20, 0)
	}))
	l, err := ledger.Open(ctx, cfg.ledgerConfig(), ledger.Observe{
		Received: func(s consumer.Source, result string, n int) { intake.Add(string(s), result, n) },
		Rejected: func(r consumer.Reason) { intake.Rejects.WithLabelValues(string(r)).Inc() },
		Notice:   intake.Notice,
		Write:    writes.Write,
		Failed: func(err error) {
			writes.Failed()
			log.Error("the ledger could not be written", zap.Error(err))
		},
		Heard: func(kind consumer.Kind, entry int64, traceID string) {
			log.Info("event recorded", zap.String("kind", string(kind)), zap.Int64("entry", entry), traced(traceID))
		},
		Kept: func(reject int64, r consumer.Reject) {
			rejects.Warn("an event was not understood: it is kept as a reject", zap.Int64("reject", reject), zap.String("origin", r.Key.Origin),
				zap.String("reason", string(r.Reason)), zap.String("detail", r.Detail), traced(consumer.TraceID(r.TraceParent)))
		},
		Cancelled: func(account string) { outcomes.Outcome(account, string(ledger.Cancelled)) },
		FarAhead: func(entry int64, effectiveAt time.Time) {
			log.Warn("a termination takes effect more than a year from now: is its date right?",
				zap.Int64("entry", entry), zap.Time("effective_at", effectiveAt))
		},
		Unmatched: func(kind consumer.Kind, origin string, auditRow int64) {
			log.Warn("a word that takes a termination back speaks of nobody who is known: it is kept, in case the termination comes later",
				zap.String("kind", string(kind)), zap.String("origin", origin), zap.Int64("audit", auditRow))
		},
	})
	if err != nil {
		return nil, err
	}
	metrics.NewState(registry, stateOf(l, cfg, labels))
	return l, nil
}

// traced is the field of the log that has a trace's id; none without one.
func traced(id string) zap.Field {
	if id == "" {
		return zap.Skip()
	}
	return zap.String("trace_id", id)
}

// openSources makes what terminations come in by.
func (d *daemon) openSources(ctx context.Context, from kafka.From, registry prometheus.Registerer) error {
	var err error
	if d.directory, err = d.cfg.Events.openDirectory(d.log.Named("events")); err != nil {
		return usageError{err}
	}
	decoder, mappings, err := d.cfg.Events.understand(d.directory)
	if err != nil {
		return err
	}
	if d.cfg.Webhook.Listen != "" {
		m := metrics.NewWebhook(registry, d.cfg.Webhook.Paths())
		d.webhook, err = webhook.New(d.cfg.Webhook, d.ledger, decoder, mappings, m, d.ignored(consumer.Webhook), d.log.Named("webhook"))
		if err != nil {
			return usageError{err}
		}
	}
	if !d.cfg.readsKafka() {
		return d.ledger.NoReading(ctx)
	}
	id, err := d.ledger.ID(ctx)
	if err != nil {
		return err
	}
	cfg := d.cfg.Kafka
	cfg.ClientID = "signoff-" + id
	m := metrics.NewKafka(registry, cfg.TopicNames(), texts(consumer.Readings()...))
	d.source, err = kafka.New(cfg, from, d.ledger, decoder, mappings, m, d.ignored(consumer.Kafka), d.log.Named("kafka"))
	if err != nil {
		return usageError{err}
	}
	d.source.Beat = d.hearts.beat(loopKafka)
	// Before the closer's first turn: what it must wait for may not be news to it.
	return d.ledger.SetReading(ctx, consumer.Joining, "")
}

// openSinks makes what outcomes are published by.
func (d *daemon) openSinks(ctx context.Context, registry prometheus.Registerer) error {
	m := metrics.NewOutcomes(registry, outcomes.Sinks())
	for _, name := range d.cfg.sinks() {
		sink, err := d.newSink(ctx, name)
		if err != nil {
			return err
		}
		p, err := outcomes.New(ctx, name, d.ledger, sink, m, d.log.Named("outcomes"))
		if err != nil {
			return errors.Join(err, sink.Close())
		}
		p.Beat = d.hearts.beat(loopOutcomes + name)
		d.publishers = append(d.publishers, p)
	}
	return nil
}

func (d *daemon) newSink(ctx context.Context, name string) (outcomes.Sink, error) {
	if name == outcomes.SinkWebhook {
		sink, err := outcomes.NewWebhook(*d.cfg.Outcomes.Webhook, "signoff/"+version)
		if err != nil {
			return nil, usageError{err}
		}
		return sink, nil
	}
	id, err := d.ledger.ID(ctx)
	if err != nil {
		return nil, err
	}
	cfg := d.cfg.Kafka
	cfg.ClientID = "signoff-" + id
	return outcomes.Kafka(cfg.OutcomesTopic, cfg.Writer()), nil
}

// labels are the accounts that have metrics from the start.
func (d docusignConfig) labels() []string {
	ids := d.Accounts.ids()
	if d.CloseVia == viaOrganization {
		ids = append(ids, viaOrganization) // its calls have a quota of their own
	}
	return ids
}

// checkAccounts refuses a config that leaves open which of several accounts is
// meant. Where Docusign does not answer now, the closer goes on asking.
func checkAccounts(ctx context.Context, cfg config, client *docusign.Client) error {
	if len(cfg.Docusign.Accounts) > 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	info, err := client.UserInfo(limited)
	if err != nil {
		return nil //nolint:nilerr // parked by the closer, with what to do about it
	}
	if _, err := closer.AccountsOf(info, nil, false); err != nil {
		return usageError{err}
	}
	return nil
}

// openDocusign reads a config, and makes a client for a command that does its work by
// itself.
func openDocusign(ctx context.Context, configFile string) (config, *docusign.Client, error) {
	cfg, err := loadConfig(configFile)
	if err != nil {
		return cfg, nil, err
	}
	client, err := newDocusign(cfg, nil, metrics.NewAccounts(nil))
	if err != nil {
		return cfg, nil, err
	}
	return cfg, client, checkAccounts(ctx, cfg, client)
}

func newDocusign(cfg config, registry prometheus.Registerer, labels *metrics.Accounts) (*docusign.Client, error) {
	m := metrics.NewDocusign(registry, labels, texts(docusign.Operations()...))
	c := cfg.Docusign.Config
	c.UserAgent = "signoff/" + version
	client, err := docusign.New(c, http.RoundTripper(nil), docusign.Observe{
		Request: func(op docusign.Operation, status int, took time.Duration) { m.Request(string(op), status, took) },
		Quota: func(account string, q docusign.Quota) {
			m.Quota(account, "hour", q.Hour.Remaining, q.Hour.Limit, q.Hour.Reset)
			m.Quota(account, "burst", q.Burst.Remaining, q.Burst.Limit, q.Burst.Reset)
		},
		Waiting: m.Waiting,
	})
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

func newCloserMetrics(cfg config, registry prometheus.Registerer, labels *metrics.Accounts) *metrics.Closer {
	return metrics.NewCloser(registry, labels, append(texts(ledger.Outcomes()...), ledger.OutcomeReopenSent), closer.Reasons(), cfg.Guard.Windows())
}

func texts[T ~string](words ...T) []string {
	all := make([]string, 0, len(words))
	for _, w := range words {
		all = append(all, string(w))
	}
	return all
}

// received is what came in since the process began.
func (d *daemon) received() (all []console.ReceivedNow) {
	for _, source := range []consumer.Source{consumer.Kafka, consumer.Webhook, consumer.CSV} {
		count := func(result string) int64 { return d.intake.Count(string(source), result) }
		all = append(all, console.ReceivedNow{Source: string(source), Recorded: count(metrics.Recorded), Duplicate: count(metrics.Duplicate),
			Ignored: count(metrics.Ignored), Rejected: count(metrics.Rejected)})
	}
	return all
}

// ignored counts events of a source that are none of our business.
func (d *daemon) ignored(source consumer.Source) func(n int) {
	return func(n int) { d.intake.Add(string(source), metrics.Ignored, n) }
}

// run runs the daemon until shutdownDelay after ctx has ended, or until a part of it
// fails. What brings in and what closes stop first, the admin listener next, the
// ledger last.
func (d *daemon) run(ctx context.Context) error {
	begins := []zap.Field{zap.String("version", version), zap.Stringer("admin", d.console.Addr()), zap.Bool("tls", d.console.TLS())}
	if d.cfg.Mode == modeDryRun {
		d.log.Info("signoff runs", begins...)
		d.log.Warn("dry run: nobody is closed until the config says mode: close")
	} else { // in a dry run every line has the mode
		d.log.Info("signoff runs", append(begins, zap.String("mode", d.cfg.Mode))...)
	}
	if err := startConfig(ctx, d.ledger, d.cfg, d.log); err != nil {
		return errors.Join(err, d.ledger.Close())
	}
	ctx, stop := d.delayed(ctx)
	defer stop()
	looking, stopLooking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLooking()
	var admin errgroup.Group
	admin.Go(func() error { return d.console.Run(looking) })

	work, ctx := errgroup.WithContext(ctx)
	if d.webhook != nil {
		work.Go(func() error { return d.webhook.Run(ctx) })
	}
	if d.source != nil {
		work.Go(func() error { return d.source.Run(ctx) })
	}
	work.Go(func() error { return d.reloader.run(ctx, d.hearts.beat(loopConfig)) })
	work.Go(func() error { return d.keeper.run(ctx, d.hearts.beat(loopKeeper)) })
	for _, p := range d.publishers {
		work.Go(func() error { return p.Run(ctx) })
	}
	work.Go(func() error { return d.closer.Run(ctx, d.hearts.beat(loopCloser)) })
	context.AfterFunc(ctx, func() { d.log.Info("stopping: no more is taken in, the batch under way is finished") })

	err := work.Wait()
	stopLooking()
	err = errors.Join(err, admin.Wait())
	d.keeper.keeping.tellHead(context.WithoutCancel(ctx))
	err = errors.Join(err, d.ledger.Close())
	d.log.Info("stopped", zap.Error(err))
	return err
}

// delayed ends shutdownDelay after ctx does. From then on /readyz says that we are
// about to end, and whoever sends to us looks for another way.
func (d *daemon) delayed(ctx context.Context) (context.Context, context.CancelFunc) {
	later, stop := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		defer stop()
		d.stopping.Store(true)
		if d.shutdownDelay == 0 {
			return
		}
		d.log.Info("stopping soon: not ready any more, all else goes on", zap.Duration("for", d.shutdownDelay))
		select {
		case <-time.After(d.shutdownDelay):
		case <-later.Done(): // a part has failed, and ended the rest
		}
	})
	return later, stop
}
