// Package consumertest measures what it costs to read what others send, for tests that
// bound it.
package consumertest

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// Most is how much the heap may grow while one request, record or event is read, in
// bytes.
const Most = 64 << 20

// SkipUnderRace skips a test of how much memory is taken where the race detector is on: it
// takes memory of its own, and makes such tests five times as long. CI runs them without.
func SkipUnderRace(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("the race detector takes memory of its own")
	}
}

// Peak is by how many bytes the heap grows while f runs, looked at all the time, and with
// garbage taken out of it soon.
func Peak(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	most, done, seen := before.HeapAlloc, make(chan bool), make(chan bool)
	go func() {
		defer close(seen)
		for {
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	f()
	close(done)
	<-seen
	return most - before.HeapAlloc
}

// Allocated is how many bytes f takes from the heap, those given back included.
func Allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
