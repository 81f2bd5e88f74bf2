package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"signoff/closer/docusign"
	"signoff/closer/ledger"
	"signoff/consumer/mapping"
	"signoff/metrics"
)

// lookAtConfig is how often it is looked whether the config file has changed. What
// is found twice in a row is taken: a file is not always written at once.
const lookAtConfig = 2 * time.Second

// taking is c with those keys of next that may change while the daemon runs. All
// others are of parts that are made at the start.
func (c config) taking(next config) config {
	c.Guard = next.Guard
	c.Log.Level = next.Log.Level
	c.Batch.Interval, c.Batch.MaxUsers = next.Batch.Interval, next.Batch.MaxUsers
	c.Events.Types, c.Events.TimeZone, c.Events.Mappings = next.Events.Types, next.Events.TimeZone, next.Events.Mappings
	return c
}

// otherKeys are the keys that have another value in b, in their order.
func otherKeys(a, b map[string]ledger.Setting) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(key string) bool { return a[key] == b[key] })
}

// contents are of files: a digest of each, by its name. One that cannot be read is told
// from an empty one.
type contents map[string][sha256.Size]byte

// contentsOf reads the file of a config and those of its mappings.
func contentsOf(file string, cfg config) contents {
	found := make(contents)
	for _, name := range append(cfg.mappingFiles(), file) {
		text, err := os.ReadFile(name)
		found[name] = sha256.Sum256(fmt.Appendf(text, "%t", err == nil))
	}
	return found
}

// readConfig reads a config, and returns what was in its files before they were read:
// what is written from then on is another content. The mappings are not read yet.
func readConfig(file string) (config, contents, error) {
	before := contentsOf(file, config{})
	cfg, err := loadConfig(file)
	found := contentsOf(file, cfg)
	found[file] = before[file]
	return cfg, found, err
}

func (c config) mappingFiles() []string {
	var files []string
	for _, m := range c.Events.Mappings {
		if m.File != "" {
			files = append(files, m.File)
		}
	}
	return files
}

// reloader has the daemon work by the config file as it is by now: on SIGHUP, and
// when the file, or that of a mapping, has changed. A file that is refused changes
// nothing.
type reloader struct {
	file    string          // "": there is none, as in a demo
	level   zap.AtomicLevel // of the log
	daemon  *daemon
	metrics *metrics.Config
	log     *zap.Logger

	asked chan os.Signal // to reload, whatever was found

	looking     sync.Mutex
	found, read contents // as last found, and as last read

	mu      sync.Mutex
	since   time.Time // that the config in force is in force
	digest  string
	restart []string // keys of the file that wait for a restart
	refused error    // what is wrong with the file; nil: it was taken
}

func newReloader(d *daemon, m *metrics.Config, log *zap.Logger) *reloader {
	r := &reloader{level: zap.NewAtomicLevel(), daemon: d, metrics: m, log: log}
	r.taken(d.now(), nil)
	return r
}

// follow says which file to look at and what was in it and in those of its mappings
// when it was read, whose level is set by it, and what asks for a reload. It is for
// before run.
func (r *reloader) follow(file string, read contents, level zap.AtomicLevel, asked chan os.Signal) {
	r.file, r.read, r.level, r.asked = file, read, level, asked
	r.found = read
}

// run looks until ctx ends, and beats each time. What was refused is tried again each
// time, since what it waited for, such as the file of a secret, may be there by now.
func (r *reloader) run(ctx context.Context, beat func(time.Time)) error {
	tick := time.NewTicker(lookAtConfig)
	defer tick.Stop()
	for {
		beat(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-r.asked:
			r.look(ctx, true)
		case <-tick.C:
			r.look(ctx, false)
		}
	}
}

// look reloads if what is found twice in a row was not read yet or was refused; if
// somebody asked, whatever is found.
func (r *reloader) look(ctx context.Context, asked bool) {
	if r.file == "" {
		return
	}
	r.looking.Lock()
	defer r.looking.Unlock()
	before := r.found
	r.found = contentsOf(r.file, r.daemon.now())
	if asked || maps.Equal(r.found, before) && (!maps.Equal(r.found, r.read) || r.isRefused()) {
		r.reload(ctx, asked)
	}
}

// reload takes the file over, or says why not: if that was said before, only to who
// asked.
func (r *reloader) reload(ctx context.Context, asked bool) {
	r.read = r.found
	restart, err := r.take(ctx)
	if err != nil && ctx.Err() != nil {
		return // the daemon ends, and what it begins with next is a matter of its start
	}
	if err != nil {
		if r.refuse(err) || asked {
			r.log.Error("the config is refused: what was in force before stays in force, and it is tried again. `signoff check` says the same of it",
				zap.String("file", r.file), zap.Error(err))
		}
		return
	}
	r.taken(r.daemon.now(), restart)
	if len(restart) > 0 {
		r.log.Warn("keys of the config have changed that only a restart brings into force", zap.Strings("keys", restart))
	}
}

// take reads the file, and has every part work by it, or none.
func (r *reloader) take(ctx context.Context) (restart []string, err error) {
	next, read, err := readConfig(r.file)
	if err != nil {
		return nil, err
	}
	r.read = read
	if err := next.readsItsFiles(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", r.file, err)
	}
	before := r.daemon.now()
	inForce := before.taking(next)
	restart = otherKeys(settingsOf(inForce), settingsOf(next))
	if err := inForce.validate(); err != nil {
		return nil, fmt.Errorf("%s: beside what only a restart changes (%s): %w", r.file, strings.Join(restart, ", "), err)
	}
	if err := r.daemon.reconfigure(ctx, inForce); err != nil {
		return nil, err
	}
	r.level.SetLevel(inForce.Log.level())
	return restart, nil
}

// readsItsFiles reads what a start would: a config that cannot start is refused
// while the one before it still runs.
func (c config) readsItsFiles(ctx context.Context) error {
	_, mappings := mapping.Compile(c.Events.Mappings)
	_, webhook := checkWebhook(ctx, c)
	_, signing := checkSigning(ctx, c)
	_, client := docusign.New(c.Docusign.Config, nil, docusign.Observe{})
	return errors.Join(mappings, webhook, signing, client)
}

// refuse keeps what is wrong with the file, and says whether that is news.
func (r *reloader) refuse(err error) (news bool) {
	r.metrics.Refused()
	r.mu.Lock()
	defer r.mu.Unlock()
	news = r.refused == nil || r.refused.Error() != err.Error()
	r.refused = err
	return news
}

func (r *reloader) isRefused() bool { return r.fault() != nil }

// fault is what is wrong with the file; nil: it was taken.
func (r *reloader) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

func (r *reloader) taken(c config, restart []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since, r.digest = time.Now(), digestOf(settingsOf(c))
	r.restart, r.refused = restart, nil
	r.metrics.Taken(r.digest, r.since, len(restart) > 0)
}

// report is a line on the config in force, and one on what is not.
func (r *reloader) report() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := []string{fmt.Sprintf("config: %s in force since %s", r.digest[:12], r.since.UTC().Format(time.RFC3339))}
	if len(r.restart) > 0 {
		lines = append(lines, "config: these keys wait for a restart: "+strings.Join(r.restart, ", "))
	}
	if r.refused != nil {
		lines = append(lines, "config: the file is refused: "+oneLine(r.refused.Error()))
	}
	return lines
}

// now is the config that is in force.
func (d *daemon) now() config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

// reconfigure has every part work by another config, which differs from the one in
// force in nothing but what taking takes. After an error each works as before: what may
// fail is done first, the ledger's part as at a start, on record before it is in force.
func (d *daemon) reconfigure(ctx context.Context, cfg config) error {
	decoder, mappings, err := cfg.Events.understand(d.directory)
	if err != nil {
		return err
	}
	if err := errors.Join(cfg.Kafka.FindMappings(mappings), cfg.Webhook.FindMappings(mappings)); err != nil {
		return err
	}
	changed, err := recordConfig(ctx, d.ledger, cfg)
	if err != nil {
		return err
	}
	if err := d.closer.Reconfigure(ctx, cfg.closerConfig(), cfg.Guard); err != nil {
		return err
	}
	d.mu.Lock()
	d.cfg = cfg
	d.mu.Unlock()
	if d.webhook != nil {
		err = errors.Join(err, d.webhook.Understand(decoder, mappings))
	}
	if d.source != nil {
		err = errors.Join(err, d.source.Understand(decoder, mappings))
	}
	d.log.Info("the config was read anew and is in force", zap.Strings("changed", changed))
	return err
}
