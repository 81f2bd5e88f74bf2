package webhook

import (
	"sync"
	"time"
)

// maxRemembered is how many messages are remembered, twice: some 2 MiB.
const maxRemembered = 16 << 10

// replays are the messages that were recorded not long ago: one that is sent
// again was taken in, and there is nothing more to do about it. Whoever sends
// more than can be remembered makes us forget the oldest, which the ledger then
// tells by their keys.
type replays struct {
	window time.Duration // for which each is remembered at least, if there is room

	mu            sync.Mutex
	young, old    map[digest]struct{}
	sinceTurnover time.Time
}

func newReplays(window time.Duration) *replays {
	return &replays{window: window, young: make(map[digest]struct{})}
}

// add remembers a message, once it is on disk.
func (r *replays) add(message digest, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turnOver(now)
	if len(r.young) >= maxRemembered {
		r.old, r.young, r.sinceTurnover = r.young, make(map[digest]struct{}), now
	}
	r.young[message] = struct{}{}
}

func (r *replays) has(message digest, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turnOver(now)
	_, young := r.young[message]
	_, old := r.old[message]
	return young || old
}

// turnOver forgets what is older than twice the window.
func (r *replays) turnOver(now time.Time) {
	switch age := now.Sub(r.sinceTurnover); {
	case age >= 2*r.window:
		r.old, r.young, r.sinceTurnover = nil, make(map[digest]struct{}), now
	case age >= r.window:
		r.old, r.young, r.sinceTurnover = r.young, make(map[digest]struct{}), now
	}
}
