package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	lookEvery  = time.Second      // whether something has changed
	beatEvery  = 8 * time.Second  // at most between two words to a watcher
	recheck    = 45 * time.Second // at most until somebody who may not watch any more is told nothing more
	writeLimit = 10 * time.Second // for a watcher to take a word
	mostLive   = 200              // watchers at once
	mostOfOne  = 40               // of them, of one name: a browser has one for each page that is seen
)

// watch tells whoever watches, as server-sent events, that something has changed which
// people are shown: not what, for which they ask as ever.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, who principal) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy would keep it to itself
	if r.Method == http.MethodHead {
		return
	}
	news, leave, err := s.live.join(who.name)
	if err != nil {
		w.Header().Set("Retry-After", "30")
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer leave()
	out := &stream{w: w, to: http.NewResponseController(w), last: r.Header.Get("Last-Event-ID")}
	if out.to.SetReadDeadline(time.Time{}) != nil { // that of the request would end the answer
		return
	}
	beat, check := time.NewTicker(beatEvery), time.NewTicker(recheck)
	defer beat.Stop()
	defer check.Stop()
	for err == nil {
		select {
		case <-r.Context().Done():
			return
		case pulse, more := <-news:
			if !more {
				return
			}
			err = out.say(pulse)
		case <-beat.C:
			err = out.say(out.last)
		case <-check.C:
			if !s.mayStill(r, who) {
				return
			}
		}
	}
}

// mayStill says whether whoever asked may still look.
func (s *Server) mayStill(r *http.Request, who principal) bool {
	may := false
	s.may(viewer, func(_ http.ResponseWriter, _ *http.Request, now principal) {
		may = now.name == who.name
	})(&onlyHeader{header: http.Header{}}, r)
	return may
}

// stream is what is told to one watcher.
type stream struct {
	w     http.ResponseWriter
	to    *http.ResponseController
	last  string // pulse that the watcher knows of; "": none
	begun bool
}

// say tells of a pulse: of a change, or that nothing has changed.
func (o *stream) say(pulse string) error {
	event := "beat"
	if o.last != "" && pulse != o.last {
		event = "change"
	}
	o.last = pulse
	if err := o.to.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	text, err := json.Marshal(map[string]string{"pulse": pulse})
	if err != nil {
		return err
	}
	retry := ""
	if !o.begun { // how soon to come back after the daemon has gone, in milliseconds
		o.begun, retry = true, "retry: 2000\n"
	}
	//nolint:gosec // a pulse is of hex digits
	if _, err := fmt.Fprintf(o.w, "%sid: %s\nevent: %s\ndata: %s\n\n", retry, pulse, event, text); err != nil {
		return err
	}
	return o.to.Flush()
}

// live looks whether something has changed, for all who watch and while anybody does.
type live struct {
	look func(context.Context) (string, error)

	mu    sync.Mutex
	of    map[chan string]string // who watch, by their names; each has room for the newest pulse
	last  string                 // "": it was not looked yet
	stop  context.CancelFunc     // of the one who looks; nil: nobody does
	ended bool

	looking sync.WaitGroup // the one who looks
}

func newLive(look func(context.Context) (string, error)) *live {
	return &live{look: look, of: make(map[chan string]string)}
}

var errTooMany = errors.New("too many watch already: ask again in a while, or look without watching")

// join returns where each pulse comes that is another than the one before, and the one
// that is now, to somebody of this name. It is closed when the listener ends. leave has
// to be called.
func (l *live) join(name string) (news <-chan string, leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		return nil, nil, errors.New("the daemon is about to end")
	case len(l.of) >= mostLive, name != "" && l.count(name) >= mostOfOne:
		return nil, nil, errTooMany
	}
	own := make(chan string, 1)
	l.of[own] = name
	if l.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		l.stop, l.last = stop, ""
		l.looking.Go(func() { l.run(ctx) })
	} else if l.last != "" {
		own <- l.last
	}
	return own, sync.OnceFunc(func() { l.leave(own) }), nil
}

func (l *live) count(name string) (n int) {
	for _, of := range l.of {
		if of == name {
			n++
		}
	}
	return n
}

func (l *live) leave(own chan string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, own)
	if len(l.of) == 0 && l.stop != nil {
		l.stop()
		l.stop = nil
	}
}

// end ends what all watch.
func (l *live) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for own := range l.of {
		close(own)
	}
	clear(l.of)
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
}

// wait returns once nobody looks any more, after the end: until then the ledger is asked.
func (l *live) wait() {
	l.end()
	l.looking.Wait()
}

// unknownPulse is told while it can't be known whether something has changed: whoever looks
// is to find out why.
const unknownPulse = "0"

func (l *live) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		pulse, err := l.look(ctx)
		if err != nil {
			pulse = unknownPulse
		}
		l.tell(ctx, pulse)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tell hands a pulse that is news to everybody. Who has not taken the one before gets
// this one alone.
func (l *live) tell(ctx context.Context, pulse string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil || pulse == l.last {
		return
	}
	l.last = pulse
	for own := range l.of {
		select {
		case <-own:
		default:
		}
		own <- pulse
	}
}

// pulse is another text whenever something has changed that people are shown.
func (s *Server) pulse(ctx context.Context) (string, error) {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	pulse, err := s.ledger.Pulse(limited)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Debug("whether something has changed is not known", zap.Error(err))
		}
		return "", err
	}
	received := int64(0)
	if s.daemon.Received != nil {
		for _, r := range s.daemon.Received() {
			received += r.Recorded + r.Duplicate + r.Ignored + r.Rejected
		}
	}
	fault := 0
	if s.check.lately(ctx) != nil { // then nothing else changes
		fault = 1
	}
	return fmt.Sprintf("%s-%x-%d", pulse, received, fault), nil
}
