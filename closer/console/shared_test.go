package console

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// slowLedger takes 30 ms to be read, and counts how often it is.
type slowLedger struct {
	pulse string
	says  int
	reads int
	fails error
}

func (s *slowLedger) look(context.Context) (string, error) { return s.pulse, nil }

func (s *slowLedger) read(context.Context, time.Time) (int, error) {
	s.reads++
	says := s.says
	time.Sleep(30 * time.Millisecond)
	return says, s.fails
}

func TestWhatWasReadIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := &slowLedger{pulse: "a", says: 1}
		s := newShared[int]()
		get := func() int {
			found, err := s.get(t.Context(), from.look, from.read)
			if err != nil {
				t.Error(err)
			}
			return found
		}
		reads := func(what string, want, atMost int) {
			t.Helper()
			if from.reads > atMost {
				t.Errorf("%s: read %d times, want %d at most", what, from.reads, atMost)
			}
			if found := get(); found != want {
				t.Errorf("%s: %d, want %d", what, found, want)
			}
			from.reads = 0
		}
		for range 20 {
			go get()
		}
		synctest.Wait()
		time.Sleep(time.Second / 2)
		synctest.Wait()
		reads("20 at once", 1, 1)
		get()
		reads("again", 1, 0)
		from.says = 2
		from.pulse = "b"
		get()
		reads("after a change", 2, 1)
		time.Sleep(sharedFor)
		from.says = 3 // with time alone
		get()
		reads("after a while", 3, 1)

		// At each moment something changes: who asked before a read began is shown it.
		changing := func(context.Context) (string, error) { from.pulse += "x"; return from.pulse, nil }
		for i := range 20 {
			go func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				_, _ = s.get(t.Context(), changing, from.read)
			}()
		}
		time.Sleep(time.Second / 2)
		synctest.Wait()
		reads("while all changes", 3, 2)
	})
}

// What is written while it is read may be in it or not: who asks afterwards sees it.
func TestWhatIsWrittenDuringAReadIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := &slowLedger{pulse: "a", says: 1}
		s := newShared[int]()
		go func() { _, _ = s.get(t.Context(), from.look, from.read) }()
		synctest.Wait() // until it has been read, and is not told yet
		from.pulse, from.says = "b", 2
		if found, err := s.get(t.Context(), from.look, from.read); found != 2 || err != nil {
			t.Errorf("%d, %v: what was written before is not shown", found, err)
		}
	})
}

func TestAReadThatFailsIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := &slowLedger{pulse: "a", says: 1, fails: errors.New("away")}
		s := newShared[int]()
		if _, err := s.get(t.Context(), from.look, from.read); !errors.Is(err, from.fails) {
			t.Error(err)
		}
		from.fails = nil
		go func() { _, _ = s.get(t.Context(), from.look, from.read) }()
		synctest.Wait()
		gone, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		begun := time.Now()
		if _, err := s.get(gone, from.look, from.read); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Millisecond {
			t.Errorf("who has gone waits for %v: %v", time.Since(begun), err)
		}
		if found, err := s.get(t.Context(), from.look, from.read); found != 1 || err != nil {
			t.Error(found, err)
		}
	})
}
