package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"signoff/closer/ledger"
	"signoff/consumer"
)

// kept is a keeper at work over a ledger, in a synctest bubble.
type kept struct {
	t      *testing.T
	ledger *ledger.Ledger
	logs   *observer.ObservedLogs
	keeper *keeper
	beats  atomic.Int64
	stop   func()
}

// keep starts a keeper over the ledger in dir. The source hr is expected within
// this time; 0: whenever it likes.
func keep(t *testing.T, dir string, within time.Duration, change ...func(*keeper)) *kept {
	t.Helper()
	sources := []sourceConfig{{Source: "hr", ExpectWithin: &within}, {Source: "payroll"}}
	if within == 0 {
		sources[0].ExpectWithin = nil
	}
	core, logs := observer.New(zap.InfoLevel)
	k := &kept{t: t, logs: logs}
	var err error
	k.ledger, err = ledger.Open(t.Context(), ledger.Config{URL: "sqlite://" + filepath.Join(dir, "ledger.db"), Sources: sourceNames(sources)}, ledger.Observe{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	k.keeper = newKeeper(k.ledger, sources, zap.New(core))
	for _, c := range change {
		c(k.keeper)
	}
	go func() { done <- k.keeper.run(ctx, func(time.Time) { k.beats.Add(1) }) }()
	k.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := k.ledger.Close(); err != nil {
			t.Error(err)
		}
	}
	return k
}

func (k *kept) hear(source string) {
	k.t.Helper()
	if err := k.ledger.Record(k.t.Context(), consumer.Intake{Source: consumer.Webhook, Heard: []string{source}}); err != nil {
		k.t.Fatal(err)
	}
}

// says fails unless the log has these lines since it was last asked, and
// /readyz?verbose has the part.
func (k *kept) says(when, verbose string, want ...string) {
	k.t.Helper()
	synctest.Wait()
	got := []string{}
	for _, line := range k.logs.TakeAll() {
		text, _, _ := strings.Cut(line.Message, " for longer")
		if source, ok := line.ContextMap()["source"].(string); ok {
			text = line.Level.String() + ": " + source + ": " + text
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		k.t.Errorf("%s: the log says %q, want %q", when, got, want)
	}
	lines, err := k.keeper.report(k.t.Context())
	if err != nil || !strings.Contains(strings.Join(lines, "\n"), verbose) {
		k.t.Errorf("%s: /readyz says %q (%v), want %q in it", when, lines, err, verbose)
	}
}

func TestSilenceIsSaidOnceAndThenDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, t.TempDir(), 2*time.Hour)
		defer k.stop()
		const silent, again = "error: hr: a source is silent", "info: hr: a source is heard again"
		time.Sleep(2 * time.Hour)
		k.says("in time", "source hr: ok, never heard, expected since ")
		time.Sleep(time.Minute)
		k.says("never heard from", "source hr: silent for longer than 2h0m0s, never heard", silent)
		time.Sleep(23 * time.Hour)
		k.says("within a day of that", "source hr: silent")
		time.Sleep(time.Hour)
		k.says("a day later", "source hr: silent", silent)
		k.hear("hr")
		time.Sleep(time.Minute)
		k.says("heard", "source hr: ok, last heard 2000-01-", again)
		k.says("a source that may be silent", "source payroll: ok, never heard")
		time.Sleep(2 * time.Hour)
		k.says("silent again", "source hr: silent for longer than 2h0m0s, last heard", silent)
	})
}

// A source that was never heard from is not given its time anew by each start.
func TestSilenceIsCountedThroughRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for range 2 {
			k := keep(t, dir, 2*time.Hour)
			time.Sleep(59 * time.Minute)
			k.says("in time", "source hr: ok")
			k.stop()
		}
		time.Sleep(10 * time.Minute)
		k := keep(t, dir, 2*time.Hour)
		defer k.stop()
		k.says("at the start", "source hr: ") // what was sent meanwhile may still be read
		time.Sleep(time.Minute)
		k.says("once that was read", "source hr: silent", "error: hr: a source is silent")
	})
}

// leaves records that people left just now.
func (k *kept) leaves(names ...string) {
	k.t.Helper()
	now := time.Now().UTC()
	in := consumer.Intake{Source: consumer.Webhook}
	for _, name := range names {
		in.Events = append(in.Events, consumer.Event{Key: consumer.Key{Origin: "/events", Source: "x", ID: name}, Kind: consumer.Terminated,
			Hash: name, Email: name + "@example.com", OccurredAt: now, ReceivedAt: now, EffectiveAt: now})
	}
	if err := k.ledger.Record(k.t.Context(), in); err != nil {
		k.t.Fatal(err)
	}
}

// notFound records leavers of whom no account knows a user.
func (k *kept) notFound(names ...string) {
	k.t.Helper()
	k.leaves(names...)
	now := time.Now().UTC()
	if err := k.ledger.BecomeDue(k.t.Context(), []string{demoAccount}, now); err != nil {
		k.t.Fatal(err)
	}
	due, err := k.ledger.Due(k.t.Context(), demoAccount, now, false)
	if err != nil {
		k.t.Fatal(err)
	}
	var settled []ledger.Settlement
	for _, e := range due {
		settled = append(settled, ledger.Settlement{Entry: e, Outcome: ledger.NotFound})
	}
	if _, err := k.ledger.Settle(k.t.Context(), settled); err != nil {
		k.t.Fatal(err)
	}
}

func TestManyNotFoundAreSaidOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, t.TempDir(), 0)
		defer k.stop()
		names := func(what string, n int) (all []string) {
			for i := range n {
				all = append(all, fmt.Sprint(what, i))
			}
			return all
		}
		const many = "many leavers of the last 24 hours are known to no account: do the events carry the addresses that Docusign knows?"
		k.notFound(names("first", manyNotFound-1)...)
		time.Sleep(time.Minute)
		k.says("nineteen", "source hr: ok")
		k.notFound("the last straw")
		time.Sleep(time.Minute)
		k.says("twenty", "not found: 20 leavers of the last 24 hours are known to no account", many)
		time.Sleep(12 * time.Hour)
		k.notFound(names("more", manyNotFound)...)
		time.Sleep(time.Minute)
		k.says("forty on the same day", "not found: 40 leavers")
		time.Sleep(12 * time.Hour)
		k.says("the day after", "not found: 20 leavers", many)
		time.Sleep(24 * time.Hour)
		k.says("no more", "source hr: ok")
		if lines, err := k.keeper.report(t.Context()); err != nil || len(lines) != 2 {
			t.Errorf("/readyz says %q (%v)", lines, err)
		}
	})
}

// TestKeeperCountsDeadlines: within a minute of their passing, once, and in a dry run
// none.
func TestKeeperCountsDeadlines(t *testing.T) {
	for name, deadline := range map[string]time.Duration{"close": 24 * time.Hour, "dry run": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var counted []string
				k := keep(t, t.TempDir(), 0, func(k *keeper) {
					k.deadline, k.counted = deadline, func(met bool, cause string) {
						mu.Lock()
						defer mu.Unlock()
						counted = append(counted, fmt.Sprint(met, " ", cause))
					}
				})
				defer k.stop()
				are := func(when string, want ...string) {
					t.Helper()
					synctest.Wait()
					mu.Lock()
					defer mu.Unlock()
					if deadline == 0 {
						want = nil
					}
					if !slices.Equal(counted, want) {
						t.Errorf("%s: counted %q, want %q", when, counted, want)
					}
				}
				k.notFound("ann")
				k.leaves("bob")
				time.Sleep(time.Minute)
				are("a minute later", "true none")
				time.Sleep(24*time.Hour - time.Minute)
				are("at the deadline", "true none")
				time.Sleep(time.Minute)
				are("after it", "true none", "false none")
				time.Sleep(24 * time.Hour)
				are("a day later", "true none", "false none")
			})
		})
	}
}

func TestKeeperWipesPayloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		k := keep(t, dir, 0)
		reject := func(id string) int64 {
			in := consumer.Intake{Source: consumer.Webhook, Rejects: []consumer.Reject{{Key: consumer.Key{ID: id}, Payload: []byte(id)}}}
			if err := k.ledger.Record(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			last, err := k.ledger.LastReject(t.Context())
			if err == nil {
				_, err = k.ledger.DiscardReject(t.Context(), last, "ana", "a test")
			}
			if err != nil {
				t.Fatal(err)
			}
			return last
		}
		left := func(id int64) string {
			synctest.Wait()
			r, err := k.ledger.FindReject(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return string(r.Payload)
		}
		const wiped = "payloads of rejects settled 30 days ago were wiped"
		one := reject("one")
		time.Sleep(40 * time.Minute)
		two := reject("two")
		k.stop()
		time.Sleep(30*24*time.Hour - 70*time.Minute)

		k = keep(t, dir, 0)
		if left(one) == "" {
			t.Error("wiped too soon")
		}
		time.Sleep(wipeEvery)
		if left(one) != "" || left(two) == "" {
			t.Errorf("after 30 days there are %q and %q, want only what is younger", left(one), left(two))
		}
		k.says("within the hour", "source", wiped)
		k.stop()
		time.Sleep(time.Hour)

		k = keep(t, dir, 0)
		defer func() { k.stop() }()
		if left(two) != "" {
			t.Error("not wiped at the start")
		}
		k.says("at the start", "source", wiped)
	})
}

func TestKeeperBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, t.TempDir(), 2*time.Hour)
		synctest.Wait()
		if n := k.beats.Load(); n != 1 {
			t.Errorf("%d beats at the start, want one", n)
		}
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if n := k.beats.Load(); n != 11 {
			t.Errorf("%d beats after ten minutes", n)
		}
		k.stop()
	})
}

// TestStuckKeeperDoesNotBeat: one whose turn never ends.
func TestStuckKeeperDoesNotBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		k := keep(t, t.TempDir(), 0, func(k *keeper) { k.deadline, k.counted = time.Hour, func(bool, string) { <-free } })
		k.notFound("ann")
		time.Sleep(stuckAfter + 2*time.Minute)
		synctest.Wait()
		if n := k.beats.Load(); n != 1 {
			t.Errorf("%d beats, want that of the start alone", n)
		}
		close(free)
		k.stop()
	})
}

func TestKeeperOverALedgerThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, t.TempDir(), 2*time.Hour)
		if err := k.ledger.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := k.logs.FilterMessageSnippet("is not known").Len(); n != 3 {
			t.Errorf("%d lines in the log, want it to say that it does not know", n)
		}
		if _, err := k.keeper.report(t.Context()); err == nil {
			t.Error("/readyz knows more than the log")
		}
		k.stop()
	})
}

func TestHoldsThatWaitAreRemindedOf(t *testing.T) {
	for kind, after := range map[ledger.Kind]time.Duration{ledger.Limit: 24 * time.Hour, ledger.Administrator: time.Hour} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := keep(t, t.TempDir(), 0)
				defer k.stop()
				k.hold(kind)
				const line = "holds wait for a person for too long: who they hold may still sign; see signoff holds list"
				time.Sleep(after - time.Minute)
				k.says("not for long", "")
				time.Sleep(2 * time.Minute)
				k.says("too long", "", line)
				time.Sleep(23 * time.Hour)
				k.says("said already", "")
				time.Sleep(time.Hour)
				k.says("a day later", "", line)
			})
		})
	}
}

// hold has somebody held.
func (k *kept) hold(kind ledger.Kind) {
	k.t.Helper()
	now := time.Now().UTC()
	e := consumer.Event{Key: consumer.Key{Origin: "test", Source: "payroll", ID: "1"}, Kind: consumer.Terminated, Hash: "1",
		Email: "ann@example.com", ReceivedAt: now, EffectiveAt: now}
	if err := k.ledger.Record(k.t.Context(), consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{e}}); err != nil {
		k.t.Fatal(err)
	}
	if err := k.ledger.BecomeDue(k.t.Context(), []string{"acc"}, now); err != nil {
		k.t.Fatal(err)
	}
	due, err := k.ledger.Due(k.t.Context(), "acc", now, false)
	if err != nil || len(due) != 1 {
		k.t.Fatalf("%d due, %v", len(due), err)
	}
	plan := []ledger.Resolved{{Entry: due[0], Users: []ledger.User{{ID: "u", Email: "ann@example.com"}}}}
	if _, err := k.ledger.MakeHold(k.t.Context(), "acc", []ledger.Kind{kind}, "", false, plan); err != nil {
		k.t.Fatal(err)
	}
}
