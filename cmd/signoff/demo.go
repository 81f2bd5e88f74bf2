package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"signoff/closer/docusign"
	"signoff/closer/docusign/docusigntest"
	"signoff/closer/guard"
	"signoff/consumer/kafka"
	"signoff/consumer/webhook"
)

const (
	demoTopic   = "hr.employee"
	demoSource  = "https://hr.example.com"
	demoKey     = "5a1f0b66-demo-integration-key"
	demoUser    = "00000000-0000-4000-8000-0000000000aa" // whom signoff signs in as
	demoAccount = "demo0000-0000-4000-8000-000000000001"
)

func demoCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	leavers := flags.Int("leavers", 200, "`people` who leave")
	over := flags.Duration("over", 6*time.Second, "how `long` the HR system takes to tell of them; 30s if the demo stays")
	longest := flags.Duration("for", time.Minute, "the longest `time` it may take; 30m if it stays")
	logs := flags.Bool("logs", false, "show the daemon's log as well")
	stay := flags.Bool("stay", watched(out), "go on when all is settled, with a hold to decide on, until Ctrl-C or for half an hour; a terminal's default")
	if err := parseFlags(flags, out, args); err != nil {
		return err
	}
	if *stay && !isSet(flags, "for") {
		*longest = 30 * time.Minute
	}
	if *stay && !isSet(flags, "over") {
		*over = 30 * time.Second // time to open the pages while something happens on them
	}
	if *leavers < 20 || *leavers > 100_000 {
		return usageError{fmt.Errorf("--leavers: %d: not in 20..100000", *leavers)}
	}
	if *over < 0 {
		return usageError{fmt.Errorf("--over: %v: negative", *over)}
	}
	dir, err := os.MkdirTemp("", "signoff-demo-")
	if err != nil {
		return err
	}
	d := &demo{out: out, dir: dir, company: newCompany(*leavers, *over), stay: *stay, log: zap.NewNop()}
	if *logs {
		d.log = newLog(logConfig{Level: "info", Format: "console"})
	}
	ctx, cancel := context.WithTimeout(ctx, *longest)
	defer cancel()
	return errors.Join(d.run(ctx), os.RemoveAll(dir))
}

// watched says whether somebody sits before what we print, and can end us.
func watched(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && isatty.IsTerminal(file.Fd()) && isatty.IsTerminal(os.Stdin.Fd())
}

// isSet says whether a flag was given.
func isSet(flags *flag.FlagSet, name string) bool {
	set := false
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// demo is a company, its HR system, a Kafka broker, Docusign and signoff in one
// process. All but the company is the real thing, or speaks its protocol.
type demo struct {
	out     io.Writer
	dir     string
	company *company
	stay    bool // when all is settled
	log     *zap.Logger

	docusign *docusigntest.Server
	broker   *kfake.Cluster
	daemon   *daemon
	token    string            // of the webhook
	tokens   map[string]string // of people, by name
}

func (d *demo) run(ctx context.Context) error {
	began, whole := time.Now(), ctx
	parts, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	auth, err := d.startDocusign(ctx, parts)
	if err != nil {
		return err
	}
	if d.broker, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, demoTopic)); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer d.broker.Close()
	cfg, err := d.config(auth)
	if err != nil {
		return err
	}
	if d.daemon, err = newDaemon(ctx, cfg, kafka.From(""), d.log); err != nil {
		return err
	}
	parts.Go(func() error { return d.daemon.run(ctx) })
	for d.daemon.webhook.Addr() == nil {
		select {
		case <-ctx.Done():
			if err := parts.Wait(); err != nil {
				return err
			}
			return errors.New("the time was over before signoff ran: give it more with --for")
		case <-time.After(10 * time.Millisecond):
		}
	}
	d.introduce(auth)
	parts.Go(func() error { return d.company.produce(ctx, d.broker.ListenAddrs(), d.webhookURL(), d.token) })
	parts.Go(func() error { return d.learn(ctx) })

	settled := d.watch(ctx, began)
	var verdict error
	switch {
	case !settled && errors.Is(whole.Err(), context.Canceled):
		verdict = errors.New("ended before all was settled")
	default:
		verdict = d.report(ctx, began, settled)
		if verdict == nil && d.stay {
			verdict = d.goOn(ctx)
		}
	}
	stop()
	if err := parts.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return verdict
}

// startDocusign makes the simulated Docusign with the company's users in it.
func (d *demo) startDocusign(ctx context.Context, parts *errgroup.Group) (url string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(filepath.Join(d.dir, "key.pem"), text, 0o600); err != nil {
		return "", err
	}
	calls := 3000 // an hour, as the real one allows; a larger demo would wait for the next hour
	calls = max(calls, 3*len(d.company.people))
	d.docusign, err = docusigntest.New(docusigntest.Config{
		IntegrationKey: demoKey, UserID: demoUser, PublicKey: &key.PublicKey,
		HourLimit: calls, BurstLimit: max(500, calls/4), Latency: 20 * time.Millisecond, LatencyJitter: 30 * time.Millisecond,
		Accounts: []docusigntest.AccountConfig{{ID: demoAccount, Name: "Demo Inc.", Users: d.company.users()}},
	})
	if err != nil {
		return "", err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	parts.Go(func() error { return serve(ctx, listener, d.docusign) })
	return "http://" + listener.Addr().String(), nil
}

// config is what a config file would say.
func (d *demo) config(auth string) (config, error) {
	d.token = rand.Text()
	tokenFile := filepath.Join(d.dir, "webhook-token")
	if err := os.WriteFile(tokenFile, []byte(d.token), 0o600); err != nil {
		return config{}, err
	}
	c := defaults()
	c.Mode = modeClose
	c.Ledger = "sqlite://" + filepath.Join(d.dir, "ledger.db")
	c.Kafka = kafka.Config{Brokers: d.broker.ListenAddrs(), Topics: []kafka.Topic{{Name: demoTopic}}, Group: "signoff"}
	c.Webhook = webhook.Config{Listen: "127.0.0.1:0", Endpoints: []webhook.Endpoint{
		{Path: "/events", Auth: webhook.Auth{BearerFile: tokenFile}}}}
	c.Events.TimeZone = "Europe/Lisbon"
	c.Events.Directory.CSV = d.directoryFile()
	if err := d.writeDirectory(false); err != nil {
		return config{}, err
	}
	silence := time.Hour
	c.Events.Sources = []sourceConfig{{Source: demoSource, ExpectWithin: &silence}}
	c.Docusign.Config = docusign.Config{AuthServer: auth, IntegrationKey: demoKey, UserID: demoUser,
		PrivateKeyFile: filepath.Join(d.dir, "key.pem")}
	c.Docusign.Accounts = accounts{demoAccount}
	c.Batch.Interval = 2 * time.Second
	c.Guard.FirstRun = guard.Close
	c.Guard.Protected.Emails = d.company.protected()
	c.Guard.Limits = []guard.Limit{{Window: time.Hour, Max: d.company.leavers()}}
	c.Admin.Listen, c.Admin.TokensFile = "127.0.0.1:0", filepath.Join(d.dir, "tokens")
	if err := d.giveTokens(c.Admin.TokensFile); err != nil {
		return config{}, err
	}
	return c, c.validate()
}

func (d *demo) webhookURL() string { return "http://" + d.daemon.webhook.Addr().String() + "/events" }

func (d *demo) introduce(auth string) {
	fmt.Fprintf(d.out, `signoff demo: %d people leave a company of %d. All of this runs in this one process:

  HR system  -->  Kafka %s   -->  signoff  -->  Docusign (simulated)
             -->  webhook %s        %s

Open this to watch it, and to decide, as ana:

  %s

  vera only looks:  %s
  metrics           http://%s/metrics
  health            http://%s/readyz?verbose
  files             %s

`, d.company.leavers(), len(d.company.people)+1, d.broker.ListenAddrs()[0], d.webhookURL(), auth,
		d.link("ana"), d.link("vera"), d.daemon.console.Addr(), d.daemon.console.Addr(), d.dir)
}

// link signs somebody in and leads to the Overview. The token is behind the #, which
// no browser sends: the page of the sign-in reads it there.
func (d *demo) link(name string) string {
	return fmt.Sprintf("http://%s/sign-in?next=%%2F%%3Frange%%3D5m#token=%s", d.daemon.console.Addr(), d.tokens[name])
}

// watch shows how it goes until all is settled or ctx ends, and says which.
func (d *demo) watch(ctx context.Context, began time.Time) (settled bool) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var shown string
	var shownAt time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		stats, err := d.daemon.ledger.Stats(ctx)
		if err != nil {
			continue
		}
		settled := d.company.settled(stats)
		if line := d.progress(stats); line != shown && (settled || time.Since(shownAt) >= time.Second) {
			fmt.Fprintf(d.out, "%6.1fs  %s\n", time.Since(began).Seconds(), line)
			shown, shownAt = line, time.Now()
		}
		if settled {
			return true
		}
	}
}
