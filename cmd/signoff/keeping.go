package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"signoff/closer/ledger"
)

// validateKeeping asks that nothing is erased that is still looked at.
func (c config) validateKeeping() error {
	needed, by := 7*24*time.Hour, "7d"
	if c.Docusign.Watch > needed {
		needed, by = c.Docusign.Watch, "docusign.watch"
	}
	if window := c.Guard.LongestWindow(); window > needed {
		needed, by = window, "the longest window of guard.limits and guard.urgent_limits"
	}
	for _, k := range []struct {
		key    string
		length time.Duration
	}{{"erase_after", c.EraseAfter}, {"retention", c.Retention}} {
		switch {
		case k.length < 0:
			return fmt.Errorf("%s: %v: negative", k.key, k.length)
		case k.length > 0 && k.length < needed:
			return fmt.Errorf("%s: %v: shorter than %s (%v), for which it is needed; 0s is for ever", k.key, k.length, by, needed)
		}
	}
	if c.Retention > 0 && c.Retention < c.EraseAfter {
		return fmt.Errorf("retention: %v: shorter than erase_after (%v): rows would go before the names in them", c.Retention, c.EraseAfter)
	}
	return nil
}

// keeping has the head of the audit go out, and erases and prunes what is too old,
// all of it daily.
type keeping struct {
	ledger                *ledger.Ledger
	eraseAfter, retention time.Duration // 0: never
	sinks                 []string      // that outcomes are published to
	sign                  signer        // nil: heads are not signed
	log                   *zap.Logger

	told, kept time.Time // when that was last done
	scrubbed   bool      // since something was last erased, or this process began
}

const (
	keepDaily  = 24 * time.Hour
	keepAtMost = time.Minute // at a stretch: the loop has to beat

	// scrubAtMost is how long the file may be written anew: every loop that writes
	// waits meanwhile, and none may look stuck.
	scrubAtMost = 3 * time.Minute
)

func newKeeping(cfg config, l *ledger.Ledger, sign signer, log *zap.Logger) *keeping {
	return &keeping{ledger: l, eraseAfter: cfg.EraseAfter, retention: cfg.Retention, sinks: cfg.sinks(), sign: sign, log: log}
}

func (k *keeping) turn(ctx context.Context, now time.Time) {
	if now.Sub(k.told) >= keepDaily {
		k.told = now
		k.tellHead(ctx)
	}
	if now.Sub(k.kept) >= keepDaily {
		k.eraseAndPrune(ctx, now)
	}
	if k.scrubbed || ctx.Err() != nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, scrubAtMost)
	defer cancel()
	var err error
	if k.scrubbed, err = k.ledger.Scrub(limited, now); err != nil && ctx.Err() == nil {
		k.scrubbed = true
		k.log.Error("what was erased may still be in unused room of the ledger's file, it is tried again tomorrow", zap.Error(err))
	}
}

// tellHead has the head go out with the log: whoever keeps the log elsewhere can
// show that nothing before it was rewritten.
func (k *keeping) tellHead(ctx context.Context) {
	head, err := k.ledger.Head(ctx)
	if err != nil {
		k.log.Error("the audit's head is not known", zap.Error(err))
		return
	}
	id, err := k.ledger.ID(ctx)
	if err != nil {
		k.log.Error("the ledger's id is not known", zap.Error(err))
		return
	}
	if head.Seq == 0 {
		return
	}
	names := ledger.LogFields
	fields := []zap.Field{zap.String(names.Ledger, id), zap.Int64(names.Seq, head.Seq), zap.String(names.Hash, head.Hash)}
	if k.sign != nil {
		fields = append(fields, zap.Binary(names.Signature, k.sign(ledger.HeadText(id, head))))
	}
	k.log.Info("audit head", fields...)
}

// eraseAndPrune goes on at the next turn with what it does not come to.
func (k *keeping) eraseAndPrune(ctx context.Context, now time.Time) {
	limited, cancel := context.WithTimeout(ctx, keepAtMost)
	defer cancel()
	var errs []error
	if k.eraseAfter > 0 {
		leavers, err := k.ledger.Erase(limited, now.Add(-k.eraseAfter))
		if leavers > 0 {
			k.log.Info("emails and names were erased", zap.Int("leavers", leavers), zap.Stringer("erase_after", k.eraseAfter))
		}
		errs = append(errs, err)
	}
	if k.retention > 0 {
		entries, rows, err := k.ledger.Prune(limited, now.Add(-k.retention), k.sinks)
		if entries+rows > 0 {
			k.log.Info("what is older than the retention was deleted", zap.Int("entries", entries), zap.Int("audit_rows", rows))
		}
		errs = append(errs, err)
	}
	k.scrubbed = false
	err := errors.Join(slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) })...)
	if err != nil && ctx.Err() == nil {
		k.log.Error("what is too old could not be erased, it is tried again tomorrow", zap.Error(err))
	}
	if limited.Err() == nil || err != nil {
		k.kept = now
	}
}
