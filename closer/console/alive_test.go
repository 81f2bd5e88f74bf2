package console

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestALockedLedgerKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		looks, takes, fault := 0, time.Duration(0), error(nil)
		set := func(t time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			takes, fault = t, err
		}
		c := &ledgerCheck{look: func(context.Context) error {
			mu.Lock()
			looks++
			long, err := takes, fault
			mu.Unlock()
			time.Sleep(long) // SQLite does not heed the context while it waits for a lock
			return err
		}}
		looked := func() int {
			mu.Lock()
			defer mu.Unlock()
			return looks
		}
		says := func(what string, ask func(context.Context) error, want string, within time.Duration, wantLooks int) {
			t.Helper()
			begun, got := time.Now(), ""
			if err := ask(t.Context()); err != nil {
				got = err.Error()
			}
			if took := time.Since(begun); got != want || took > within || looked() != wantLooks {
				t.Errorf("%s: %q after %v and %d looks, want %q within %v and %d", what, got, took, looked(), want, within, wantLooks)
			}
		}
		says("well", c.now, "", 0, 1)
		says("again at once", c.now, "", 0, 1)
		time.Sleep(2 * time.Second)
		says("by a page, after a while", c.lately, "", 0, 1)

		set(15*time.Second, errors.New("locked"))
		says("locked", c.now, "has not answered for 2 s", waitAtMost, 2)
		says("and still", c.now, "has not answered for 2 s", 0, 2)
		time.Sleep(5 * time.Second)
		says("by a page", c.lately, "has not answered for 7 s", 0, 2)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		says("once it has answered", c.now, "locked", 0, 2)

		set(0, nil)
		time.Sleep(askAgain + time.Millisecond)
		says("well again", c.now, "", 0, 3)
		time.Sleep(askLately + time.Millisecond)
		if err := c.lately(t.Context()); err != nil {
			t.Error(err)
		}
		c.wait()
		if looked() != 4 {
			t.Errorf("%d looks, want 4: a page has it looked at", looked())
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		set(time.Second, nil)
		time.Sleep(2 * askAgain)
		if err := c.now(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("who has gone: %v", err)
		}
		c.wait()
	})
}
