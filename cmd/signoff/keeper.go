package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

// keeper looks after what no event sets going: that deadlines pass, that sources are silent, that more
// and more leavers are nobody's, that holds wait, that payloads, and later emails and names, must not be
// kept any longer. It has the head of the audit go out.
type keeper struct {
	ledger *ledger.Ledger
	within map[string]time.Duration // how long each source may be silent
	log    *zap.Logger

	deadline time.Duration                // from due to closed; 0: a dry run closes nobody, and misses nothing
	counted  func(met bool, cause string) // told of each leaving that met the deadline or missed it

	keeping *keeping // nil: no head goes out, and nothing is erased

	wiped    time.Time                 // when payloads were last wiped
	silent   map[string]time.Time      // source -> when the log last said that it is silent
	notFound time.Time                 // when the log last said that many are not found
	waiting  map[ledger.Kind]time.Time // when the log last said that holds of the kind wait
}

const (
	keepEvery   = time.Minute
	wipeEvery   = time.Hour
	remindEvery = 24 * time.Hour

	// manyNotFound leavers in a day whom no account knows: their addresses are no
	// more what Docusign has, and nobody is closed.
	manyNotFound = 20

	// So old is the oldest hold of a kind when the log says so; sooner where somebody of
	// weight may sign on, or all of it may stop.
	holdTooLong, gravelyTooLong = 24 * time.Hour, time.Hour
)

// grave are the kinds of hold that cannot wait a day.
var grave = []ledger.Kind{ledger.Self, ledger.Administrator, ledger.FewAdministrators, ledger.Returned}

func newKeeper(l *ledger.Ledger, sources []sourceConfig, log *zap.Logger) *keeper {
	return &keeper{ledger: l, within: expectations(sources), log: log, silent: make(map[string]time.Time), waiting: make(map[ledger.Kind]time.Time)}
}

// run turns every minute until ctx ends. It wipes at once, but finds nobody silent
// before a minute has passed, in which what was sent meanwhile can be read.
func (k *keeper) run(ctx context.Context, beat func(time.Time)) error {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	k.wipe(ctx, time.Now())
	k.keep(ctx, time.Now())
	for {
		beat(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			k.turn(ctx, now)
		}
	}
}

func (k *keeper) turn(ctx context.Context, now time.Time) {
	if now.Sub(k.wiped) >= wipeEvery {
		k.wipe(ctx, now)
	}
	k.keep(ctx, now)
	if err := k.countDeadlines(ctx, now); err != nil && ctx.Err() == nil {
		k.log.Error("who met the deadline could not be counted, it is tried again within the minute", zap.Error(err))
	}
	if err := k.listen(ctx, now); err != nil && ctx.Err() == nil {
		k.log.Error("whether sources are silent is not known", zap.Error(err))
	}
	if err := k.countNotFound(ctx, now); err != nil && ctx.Err() == nil {
		k.log.Error("how many leavers were not found is not known", zap.Error(err))
	}
	if err := k.remindOfHolds(ctx, now); err != nil && ctx.Err() == nil {
		k.log.Error("whether holds wait is not known", zap.Error(err))
	}
}

// countDeadlines counts who was settled in time, and who was not.
func (k *keeper) countDeadlines(ctx context.Context, now time.Time) error {
	if k.deadline == 0 {
		return nil
	}
	leavings, err := k.ledger.CountDeadlines(ctx, now, k.deadline)
	for _, l := range leavings {
		k.counted(l.Met, l.Cause)
	}
	return err
}

// remindOfHolds says, once and then daily, which kinds of hold have waited for a
// person for too long.
func (k *keeper) remindOfHolds(ctx context.Context, now time.Time) error {
	counts, err := k.ledger.HoldCounts(ctx)
	for _, kind := range ledger.Kinds() {
		tooLong := holdTooLong
		if slices.Contains(grave, kind) {
			tooLong = gravelyTooLong
		}
		if c := counts[kind]; c.Open > 0 && now.Sub(c.Oldest) >= tooLong && now.Sub(k.waiting[kind]) >= remindEvery {
			k.waiting[kind] = now
			k.log.Error("holds wait for a person for too long: who they hold may still sign; see signoff holds list",
				zap.String("kind", string(kind)), zap.Int("holds", c.Open), zap.Time("since", c.Oldest))
		}
	}
	return err
}

func (k *keeper) keep(ctx context.Context, now time.Time) {
	if k.keeping != nil {
		k.keeping.turn(ctx, now)
	}
}

func (k *keeper) wipe(ctx context.Context, now time.Time) {
	k.wiped = now
	n, err := k.ledger.WipeRejects(ctx, now)
	if n > 0 {
		k.log.Info("payloads of rejects settled 30 days ago were wiped", zap.Int("rejects", n))
	}
	if err != nil && ctx.Err() == nil {
		k.log.Error("payloads of settled rejects could not be wiped, they will be within the hour", zap.Error(err))
	}
}

// listen says, once and then daily, which sources are silent, and which are not any
// more.
func (k *keeper) listen(ctx context.Context, now time.Time) error {
	sources, err := k.ledger.Sources(ctx)
	if err != nil {
		return err
	}
	for _, s := range sources {
		said, told := k.silent[s.Name]
		switch silent := k.isSilent(s, now); {
		case silent && (!told || now.Sub(said) >= remindEvery):
			k.silent[s.Name] = now
			k.log.Error("a source is silent for longer than events.sources expects: is it still switched on where it sends from?",
				zap.String("source", s.Name), zap.Time("since", s.LastSign()), zap.Bool("ever_heard", !s.HeardAt.IsZero()),
				zap.Stringer("expect_within", k.within[s.Name]))
		case !silent && told:
			delete(k.silent, s.Name)
			k.log.Info("a source is heard again", zap.String("source", s.Name))
		}
	}
	return nil
}

func (k *keeper) isSilent(s ledger.Source, now time.Time) bool {
	within, expected := k.within[s.Name]
	return expected && s.Silent(now, within)
}

func (k *keeper) countNotFound(ctx context.Context, now time.Time) error {
	n, err := k.ledger.NotFound(ctx, now.Add(-24*time.Hour))
	if err != nil || n < manyNotFound || now.Sub(k.notFound) < remindEvery {
		return err
	}
	k.notFound = now
	k.log.Error("many leavers of the last 24 hours are known to no account: do the events carry the addresses that Docusign knows?", zap.Int("leavers", n))
	return nil
}

// report says for /readyz?verbose how each source is, and whether many leavers were
// not found.
func (k *keeper) report(ctx context.Context) ([]string, error) {
	now := time.Now()
	sources, err := k.ledger.Sources(ctx)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, s := range sources {
		how := "ok"
		if k.isSilent(s, now) {
			how = fmt.Sprintf("silent for longer than %v", k.within[s.Name])
		}
		sign := "last heard " + s.HeardAt.Format(time.RFC3339)
		if s.HeardAt.IsZero() {
			sign = "never heard, expected since " + s.Since.Format(time.RFC3339)
		}
		lines = append(lines, fmt.Sprintf("source %s: %s, %s", s.Name, how, sign))
	}
	n, err := k.ledger.NotFound(ctx, now.Add(-24*time.Hour))
	if n >= manyNotFound {
		lines = append(lines, fmt.Sprintf("not found: %d leavers of the last 24 hours are known to no account", n))
	}
	return lines, err
}
