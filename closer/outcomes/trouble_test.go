package outcomes

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

func TestTroubleIsToldOfSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, r := newBook(t), &recorder{refuse: errAway}
		p := publish(t, b, r)
		b.happens(1)
		time.Sleep(5*time.Hour + 30*time.Minute)
		r.back()
		time.Sleep(time.Hour)
		var said []string
		for _, line := range p.logs.All() {
			said = append(said, line.Message)
		}
		begins, reminders, over := 0, 0, 0
		for _, s := range said {
			switch s {
			case "outcomes cannot be published: they wait in the ledger, and go on in order":
				begins++
			case "outcomes can still not be published":
				reminders++
			case "outcomes are published again":
				over++
			}
		}
		if begins != 1 || reminders < 4 || reminders > 5 || over != 1 || len(said) != begins+reminders+over {
			t.Errorf("said %q", said)
		}
		if fields := p.logs.All()[0].ContextMap(); fields["error"] != "away" || fields["sink"] != SinkWebhook {
			t.Errorf("it says %v", fields)
		}
	})
}

func TestWaitsGrow(t *testing.T) {
	tr := newTrouble(zap.NewNop())
	within := func(got, least time.Duration) {
		t.Helper()
		if got < least || got > least+least/5 {
			t.Errorf("waits %v, want %v and up to a fifth more", got, least)
		}
	}
	for least := firstWait; least < longest; least *= 2 {
		within(tr.met(errAway), least)
	}
	for range 3 {
		within(tr.met(errAway), longest)
	}
	ask := func(after time.Duration) error { return fmt.Errorf("post: %w", &RetryError{after, errors.New("busy")}) }
	within(tr.met(ask(40*time.Second)), 40*time.Second)
	within(tr.met(ask(20*time.Minute)), 20*time.Minute)
	within(tr.met(ask(-time.Hour)), firstWait)
	within(tr.met(ask(1<<62)), longestAsk)
	tr.over()
	within(tr.met(errAway), firstWait)
}
