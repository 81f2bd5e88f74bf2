package employees

import (
	"sync"
	"time"

	"signoff/consumer"
)

const (
	recentFor  = 5 * time.Minute
	mostRecent = 10_000 // people
)

// recent is whom a server has just answered with. A delivery of many leavers for
// which the time did not suffice is sent again, and must get further then.
type recent struct {
	mu     sync.Mutex
	people map[string]remembered // by id
}

type remembered struct {
	person consumer.Person
	at     time.Time
}

func (r *recent) find(id string, now time.Time) (consumer.Person, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.people[id]
	return p.person, ok && now.Sub(p.at) < recentFor
}

func (r *recent) add(id string, p consumer.Person, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.people) >= mostRecent || r.people == nil {
		r.people = make(map[string]remembered)
	}
	r.people[id] = remembered{p, now}
}
