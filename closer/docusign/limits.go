package docusign

import (
	"net/http"
	"strconv"
	"time"
)

// limits is what one answer says of the quota. The zero value says nothing: no
// answer came.
type limits struct {
	success bool // of the answer

	hasHour                  bool
	hourLimit, hourRemaining int       // limit 0: not said
	reset                    time.Time // zero: not said, or nonsense

	hasBurst                   bool
	burstLimit, burstRemaining int // limit 0: not said

	over       string        // reasonHourQuota or reasonBurstQuota if the answer refuses for it, else ""
	retryAfter time.Duration // 0: not said
}

// readLimits reads the five headers and Retry-After of an answer, now being
// Docusign's time. Docusign sends them "with most" answers.
func readLimits(a answer, now time.Time) limits {
	var l limits
	l.success = a.ok()
	l.hourRemaining, l.hasHour = count(a.header, "X-RateLimit-Remaining")
	l.hourLimit, _ = count(a.header, "X-RateLimit-Limit")
	l.burstRemaining, l.hasBurst = count(a.header, "X-BurstLimit-Remaining")
	l.burstLimit, _ = count(a.header, "X-BurstLimit-Limit")
	if seconds, ok := count(a.header, "X-RateLimit-Reset"); ok {
		// Unix seconds of an hour's end. Anything far off would lock us out for as long.
		reset := time.Unix(int64(seconds), 0).UTC()
		if reset.Sub(now).Abs() <= farthestReset {
			l.reset = reset
		}
	}
	l.retryAfter = retryAfter(a.header, now)
	return l
}

// count reads a header that is a number from 0 up.
func count(h http.Header, name string) (int, bool) {
	n, err := strconv.Atoi(h.Get(name))
	return n, err == nil && n >= 0
}

// retryAfter reads both forms of Retry-After: seconds, or a date. It never
// believes in more than farthestReset.
func retryAfter(h http.Header, now time.Time) time.Duration {
	var d time.Duration
	if seconds, ok := count(h, "Retry-After"); ok {
		d = time.Duration(min(seconds, int(farthestReset.Seconds()))) * time.Second
	} else if date, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		d = date.Sub(now)
	}
	return max(0, min(d, farthestReset))
}

// resetAfter reports whether the answer names a reset that is still to come.
func (l limits) resetAfter(now time.Time) bool { return l.reset.After(now) }

// hourOpens is when the hour that this answer was refused for is over.
func (l limits) hourOpens(now time.Time) time.Time {
	opens := topOfHour(now)
	switch {
	case l.resetAfter(now):
		opens = l.reset
	case l.retryAfter > 0:
		opens = now.Add(l.retryAfter)
	case !l.reset.IsZero(): // over, says the header, and yet refused: the clocks disagree a little
		opens = now.Add(leastPause)
	}
	if asked := now.Add(l.retryAfter); asked.After(opens) {
		return asked
	}
	return opens
}

// burstOpens is when the burst that this answer was refused for is over.
func (l limits) burstOpens(now time.Time) time.Time {
	if l.retryAfter > 0 {
		return now.Add(l.retryAfter)
	}
	return now.Add(burstLength)
}
