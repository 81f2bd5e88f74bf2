package docusign

import "time"

// tally is the arithmetic of the quota: no I/O and no clock of its own.
//
// What is left of a window is the least that an answer has said, without the
// requests lost since (sent, but no answer told whether they were counted) and
// without those under way. Answers overtake each other, so each request has a
// number: only an answer whose request was sent after the last report came in
// can know better than that report.
type tally struct {
	hour, burst window
	sent        uint64 // the number of the last request
	flying      int    // requests under way
	answered    uint64 // the highest number that was answered
	opened      uint64 // sent, when a window was last opened by assumption
}

// window is a Window and how sure of it we are.
type window struct {
	Window
	told   bool   // Reset comes from Docusign; else we assumed it
	lost   int    // requests that may or may not be in Remaining
	lostAt uint64 // sent, when the last of them was given up
	setAt  uint64 // sent, when Remaining was last set
}

func (w *window) left() int { return w.Remaining - w.lost }

// open begins a window of which nothing is known but its limit.
func (w *window) open(reset time.Time, sent uint64) {
	w.Window = Window{Limit: w.Limit, Remaining: w.Limit, Reset: reset}
	w.told, w.lost, w.setAt = false, 0, sent
}

// drain marks the window as used up.
func (w *window) drain(reset time.Time, sent uint64) {
	w.Remaining, w.Reset = 0, reset
	w.lost, w.setAt = 0, sent
}

func (w *window) lose(sent uint64) {
	w.lost++
	w.lostAt = sent
}

// find forgets the lost requests, if an answer to one sent later has come: it
// has them in its count.
func (w *window) find(number uint64) {
	if number > w.lostAt {
		w.lost = 0
	}
}

func newTally(burstLimit int) tally {
	return tally{
		hour:  window{Window: Window{Limit: defaultHourLimit}},
		burst: window{Window: Window{Limit: burstLimit}},
	}
}

// turn opens new windows in place of those that are over.
func (t *tally) turn(now time.Time) {
	if !now.Before(t.hour.Reset.Add(resetMargin)) {
		t.hour.open(topOfHour(now), t.sent)
		t.opened = t.sent
	}
	if !now.Before(t.burst.Reset) {
		t.burst.open(now.Add(burstLength), t.sent)
		t.opened = t.sent
	}
}

func topOfHour(now time.Time) time.Time { return now.Truncate(time.Hour).Add(time.Hour) }

// step is the answer to "may I send?": yes, with a number; no, since a window
// is used up for long; or wait, until then if it is set, else for news.
type step struct {
	number uint64
	over   string // reasonHourQuota, reasonBurstQuota or ""
	until  time.Time
}

// take takes a call, if more than floor calls are left of the hour.
func (t *tally) take(now time.Time, floor int) step {
	if s := t.over(now, floor); s.over != "" {
		return s
	}
	room := min(t.hour.left()-floor, t.burst.left())
	if t.answered <= t.opened {
		room = min(room, 1) // feel the way: the others may have used most of it up
	}
	switch {
	case t.burst.left() <= 0:
		return step{until: t.burst.Reset}
	case t.flying >= room:
		return step{}
	}
	t.sent++
	t.flying++
	return step{number: t.sent}
}

// over says whether a window is used up for long, but for floor calls of the
// hour.
func (t *tally) over(now time.Time, floor int) step {
	t.turn(now)
	switch {
	case t.hour.left() <= floor:
		return step{over: reasonHourQuota, until: t.hour.Reset.Add(resetMargin)}
	case t.burst.left() <= 0 && t.burst.Reset.Sub(now) > longestWait:
		return step{over: reasonBurstQuota, until: t.burst.Reset}
	}
	return step{}
}

// settle ends the request of that number, by what its answer said.
func (t *tally) settle(number uint64, l limits, now time.Time) {
	t.flying--
	if l.hasHour || l.hasBurst || l.success {
		t.answered = max(t.answered, number)
	}
	if l.hasHour {
		t.hearHour(number, l, now)
	} else {
		t.hour.lose(t.sent)
	}
	t.hearBurst(number, l, now)
	switch l.over {
	case reasonHourQuota:
		t.hour.drain(l.hourOpens(now), t.sent)
	case reasonBurstQuota:
		t.burst.drain(l.burstOpens(now), t.sent)
	}
}

func (t *tally) hearHour(number uint64, l limits, now time.Time) {
	w, reset := &t.hour, l.reset
	if reset.IsZero() {
		reset = topOfHour(now)
	}
	switch {
	case number > w.setAt && (!w.told || reset.After(w.Reset)):
		w.Remaining, w.Reset, w.setAt = l.hourRemaining, reset, t.sent
		w.told = !l.reset.IsZero()
	case reset.Equal(w.Reset):
		w.Remaining = min(w.Remaining, l.hourRemaining)
	default: // overtaken: it speaks of another hour
		return
	}
	if l.hourLimit > 0 {
		w.Limit = l.hourLimit
	}
	w.find(number)
}

// hearBurst has no reset to go by. More may be left than was said before only
// if the request was sent after that was known: then a window has turned.
func (t *tally) hearBurst(number uint64, l limits, now time.Time) {
	w := &t.burst
	w.Reset = now.Add(burstLength)
	if !l.hasBurst {
		w.lose(t.sent)
		return
	}
	if l.burstRemaining < w.Remaining || number > w.setAt {
		w.Remaining, w.setAt = l.burstRemaining, t.sent
	}
	if l.burstLimit > 0 {
		w.Limit = l.burstLimit
	}
	w.find(number)
}

func (t *tally) restore(q Quota, now time.Time) {
	t.turn(now)
	t.hour.restore(q.Hour, now, t.sent)
	t.burst.restore(q.Burst, now, t.sent)
}

// restore takes over old unless it is over, or we know of less. It may have
// been no more than assumed, so the next answer knows better.
func (w *window) restore(old Window, now time.Time, sent uint64) {
	ahead := old.Reset.Sub(now)
	if old.Limit <= 0 || ahead <= 0 || ahead > farthestReset || sent > 0 && old.Remaining > w.left() {
		return
	}
	w.Window, w.told, w.lost, w.setAt = old, false, 0, sent
}

func (t *tally) quota(now time.Time) Quota {
	if !t.hour.Reset.IsZero() {
		t.turn(now)
	}
	q := Quota{Hour: t.hour.Window, Burst: t.burst.Window}
	q.Hour.Remaining = max(0, t.hour.left())
	q.Burst.Remaining = max(0, t.burst.left())
	return q
}
