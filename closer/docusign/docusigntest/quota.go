package docusigntest

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// quota counts an account's calls in its two windows.
type quota struct {
	cfg   *Config
	own   int       // calls an hour that are allowed here; 0: as cfg says
	began time.Time // of the account; other apps call from then on
	hour  window
	burst window
}

func (q *quota) hourLimit() int { return cmp.Or(q.own, q.cfg.HourLimit) }

// window is a span of time and the calls made in it.
type window struct {
	start time.Time
	calls int
}

// roll starts the windows that now belongs to.
func (q *quota) roll(now time.Time) {
	if start := now.Truncate(q.cfg.HourWindow); !start.Equal(q.hour.start) {
		q.hour = window{start: start}
	}
	if now.Sub(q.burst.start) >= q.cfg.BurstWindow || now.Before(q.burst.start) {
		q.burst = window{start: now}
	}
}

// take counts a call, or returns the errorCode with which it is refused.
// A refused call is not counted.
func (q *quota) take(now time.Time) (code string) {
	q.roll(now)
	switch {
	case q.left(q.hour, q.hourLimit(), now) == 0:
		return "HOURLY_APIINVOCATION_LIMIT_EXCEEDED"
	case q.left(q.burst, q.cfg.BurstLimit, now) == 0:
		return "BURST_APIINVOCATION_LIMIT_EXCEEDED"
	}
	q.hour.calls++
	q.burst.calls++
	return ""
}

// left is how many calls the window still allows, after ours and other apps'.
func (q *quota) left(w window, limit int, now time.Time) int {
	since := w.start
	if q.began.After(since) {
		since = q.began
	}
	others := int(q.cfg.OtherCalls * now.Sub(since).Seconds())
	return max(limit-w.calls-others, 0)
}

// resets returns when the hour window ends, in whole seconds as the header has
// it: not before the end.
func (q *quota) resets() time.Time {
	end := q.hour.start.Add(q.cfg.HourWindow)
	if whole := end.Truncate(time.Second); !whole.Equal(end) {
		return whole.Add(time.Second)
	}
	return end
}

// describe sets the rate-limit headers.
func (q *quota) describe(h http.Header, now time.Time) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(q.hourLimit()))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(q.left(q.hour, q.hourLimit(), now)))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(q.resets().Unix(), 10))
	h.Set("X-BurstLimit-Limit", strconv.Itoa(q.cfg.BurstLimit))
	h.Set("X-BurstLimit-Remaining", strconv.Itoa(q.left(q.burst, q.cfg.BurstLimit, now)))
}

// refuse is the answer to a call past a limit.
func (q *quota) refuse(code string, now time.Time) answer {
	wait := q.resets().Sub(now)
	message := "The maximum number of hourly API invocations has been exceeded. The hourly limit is " + strconv.Itoa(q.hourLimit()) + "."
	if code == "BURST_APIINVOCATION_LIMIT_EXCEEDED" {
		wait = q.burst.start.Add(q.cfg.BurstWindow).Sub(now)
		message = "The maximum number of burst API invocations has been exceeded. The burst limit is " + strconv.Itoa(q.cfg.BurstLimit) + "."
	}
	if q.cfg.Quirks.MixedCaseQuota {
		code = map[string]string{
			"HOURLY_APIINVOCATION_LIMIT_EXCEEDED": "Hourly_APIInvocation_Limit_Exceeded",
			"BURST_APIINVOCATION_LIMIT_EXCEEDED":  "Burst_APIInvocation_Limit_Exceeded",
		}[code]
	}
	a := refusal(q.cfg.QuotaStatus, code, message)
	retryAfter(a.header, q.cfg.Quirks.RetryAfter, wait, now)
	return a
}

// The forms of a Retry-After, as Quirks.RetryAfter names them.
const (
	inSeconds = "seconds"
	asDate    = "date"
)

// retryAfter says in that form, if in any, how long to wait: whole seconds, and
// not before it is over.
func retryAfter(h http.Header, form string, wait time.Duration, now time.Time) {
	switch form {
	case inSeconds:
		h.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	case asDate:
		h.Set("Retry-After", now.Add(wait+time.Second-1).UTC().Format(http.TimeFormat))
	}
}
