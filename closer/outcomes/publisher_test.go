package outcomes

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/ledger"
)

func TestEverythingIsPublishedInOrder(t *testing.T) {
	for name, takes := range map[string]int{"all at once": 0, "one at a time": 1, "a few at a time": 7} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, r := newBook(t), &recorder{takes: takes}
				p := publish(t, b, r)
				b.happens(2*together + 30)
				time.Sleep(2 * pollEvery)
				b.happens(3)
				time.Sleep(2 * pollEvery)
				if got, want := r.seqs(), seqsTo(2*together+33); !slices.Equal(got, want) {
					t.Errorf("got %v", got)
				}
				if got := b.saved(); got != 2*together+33 {
					t.Errorf("the ledger knows of %d", got)
				}
				p.stop()
				if !r.closed {
					t.Error("the sink was not closed")
				}
			})
		})
	}
}

// Whoever asks for outcomes today is not told of years.
func TestNewSinkIsNotToldOfWhatWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, r := newBook(t), &recorder{}
		b.happens(5)
		publish(t, b, r)
		b.happens(2)
		time.Sleep(2 * pollEvery)
		if got := r.seqs(); !slices.Equal(got, []int64{6, 7}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestSinkAwayAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, r := newBook(t), &recorder{takes: 1, refuse: errAway}
		publish(t, b, r)
		b.happens(10)
		time.Sleep(3 * 24 * time.Hour)
		if got := r.seqs(); len(got) != 0 || b.saved() != 0 {
			t.Errorf("%v were taken, the ledger knows of %d", got, b.saved())
		}
		b.happens(5) // nothing of which it kept anybody from
		r.back()
		time.Sleep(2 * longest)
		if got := r.seqs(); !slices.Equal(got, seqsTo(15)) {
			t.Errorf("got %v", got)
		}
	})
}

// forgetful is a ledger that cannot be written: as if the process were killed
// between the sending and the moving of the cursor.
type forgetful struct {
	*book
	asked atomic.Int64
}

var errFull = errors.New("the disk is full")

func (f *forgetful) Published(context.Context, string, int64) error {
	f.asked.Add(1)
	return errFull
}

func TestWhatWasSentBeforeACrashIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, r := newBook(t), &recorder{}
		b.subscribe()
		b.happens(3)
		p := newPublisher(t, &forgetful{book: b}, r)
		p.turn(t.Context())
		if got := b.saved(); got != 0 {
			t.Fatalf("the ledger knows of %d", got)
		}
		before := r.ids()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b.open()
		publish(t, b, r)
		time.Sleep(2 * pollEvery)
		if after := r.ids(); len(before) != 3 || !slices.Equal(after, slices.Concat(before, before)) {
			t.Errorf("sent %v, then %v: want the same again, and nothing else", before, after[len(before):])
		}
	})
}

// subscribe begins at the start of an empty ledger.
func (b *book) subscribe() { b.saved() }

// A ledger that cannot be written keeps what comes next from being sent, and
// what was acknowledged from being sent again.
func TestFullLedgerRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, r := newBook(t), &recorder{takes: 1}
		b.subscribe()
		b.happens(3)
		f := &forgetful{book: b}
		publish(t, f, r)
		time.Sleep(time.Hour)
		if got := r.seqs(); !slices.Equal(got, []int64{1}) {
			t.Errorf("sent %v", got)
		}
		if n := f.asked.Load(); n < 3 {
			t.Errorf("the ledger was told %d times", n)
		}
	})
}

// A ledger that was put back writes other rows under the same numbers: a
// receiver must not take them for repeats.
func TestRestoredLedgerHasNewIDs(t *testing.T) {
	b, r := newBook(t), &recorder{}
	b.subscribe()
	b.happens(2)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	backup, err := os.ReadFile(b.path)
	if err != nil {
		t.Fatal(err)
	}
	run := func() {
		b.open()
		b.happens(2)
		p := newPublisher(t, b, r)
		p.turn(t.Context())
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if err := os.WriteFile(b.path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	run()
	ids, seqs := r.ids(), r.seqs()
	if !slices.Equal(seqs, []int64{1, 2, 3, 4, 1, 2, 3, 4}) {
		t.Fatalf("sent %v", seqs)
	}
	if !slices.Equal(ids[:2], ids[4:6]) || ids[2] == ids[6] || ids[3] == ids[7] {
		t.Errorf("ids %q, then %q: want the first two alike, and no other", ids[:4], ids[4:])
	}
}

func TestShutdownFinishesWhatIsOnItsWay(t *testing.T) {
	for name, tt := range map[string]struct {
		slow time.Duration
		want int64
	}{
		"an answer comes":    {sendGrace - time.Second, 1},
		"no answer comes":    {time.Hour, 0},
		"there is none, yet": {0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, r := newBook(t), &recorder{takes: 1, slow: tt.slow}
				p := publish(t, b, r)
				b.happens(2)
				time.Sleep(pollEvery + pollEvery/2) // the first is on its way, or both are there
				began := time.Now()
				p.stop()
				if took := time.Since(began); took > sendGrace {
					t.Errorf("took %v", took)
				}
				if got := b.saved(); got != tt.want {
					t.Errorf("the ledger knows of %d, want %d", got, tt.want)
				}
			})
		})
	}
}

// A slow receiver is no stuck loop.
func TestLoopBeatsWhileASinkIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t)
		p := newPublisher(t, b, &recorder{slow: 10 * time.Second, refuse: &RetryError{time.Hour, errAway}})
		var mu sync.Mutex
		last, gap := time.Now(), time.Duration(0)
		p.Beat = func(now time.Time) {
			mu.Lock()
			defer mu.Unlock()
			gap, last = max(gap, now.Sub(last)), now
		}
		p.start(t)
		b.happens(1)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if since := time.Since(last); max(gap, since) > 30*time.Second {
			t.Errorf("did not beat for %v", max(gap, since))
		}
	})
}

// A sink that never comes back is a stuck loop.
func TestLoopThatASinkNeverLetsGoDoesNotBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t)
		p := newPublisher(t, b, &recorder{slow: time.Hour, takes: 1})
		var last atomic.Pointer[time.Time]
		began := time.Now()
		last.Store(&began)
		p.Beat = func(now time.Time) { last.Store(&now) }
		p.start(t)
		b.happens(1)
		time.Sleep(50 * time.Minute)
		synctest.Wait()
		if since := time.Since(*last.Load()); since < 49*time.Minute {
			t.Errorf("beat %v ago, while it hangs", since)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if since := time.Since(*last.Load()); since > beatEvery {
			t.Errorf("beat %v ago, with nothing to do", since)
		}
	})
}

// Nothing is asked of the ledger's writer while there is nothing to tell.
func TestIdlePublisherWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t)
		f := &forgetful{book: b}
		publish(t, f, &recorder{})
		time.Sleep(time.Hour)
		if n := f.asked.Load(); n != 0 {
			t.Errorf("the ledger was written %d times", n)
		}
	})
}

var _ Feed = (*ledger.Ledger)(nil)
