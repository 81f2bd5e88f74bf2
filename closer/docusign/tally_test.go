package docusign

import (
	"testing"
	"time"
)

// told is the limits of an answer with all five headers.
func told(hourLeft, burstLeft int, reset time.Time) limits {
	return limits{
		success: true,
		hasHour: true, hourLimit: 3000, hourRemaining: hourLeft, reset: reset,
		hasBurst: true, burstLimit: 500, burstRemaining: burstLeft,
	}
}

// takeAll takes until the tally says no, and returns how many it let through.
func takeAll(t *tally, now time.Time) (numbers []uint64, last step) {
	for {
		s := t.take(now, 0)
		if s.number == 0 {
			return numbers, s
		}
		numbers = append(numbers, s.number)
	}
}

func TestTally(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	one := noon.Add(time.Hour)
	at := noon.Add

	cases := map[string]func(t *testing.T, q *tally){
		"one request at a time until the first answer": func(t *testing.T, q *tally) {
			first, _ := takeAll(q, noon)
			wantLen(t, "before the first answer", first, 1)
			q.settle(first[0], told(7, 500, one), noon)
			next, _ := takeAll(q, noon)
			wantLen(t, "after it", next, 7)
		},
		"a request without answer leaves it at one": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, limits{}, noon)
			next, _ := takeAll(q, noon)
			wantLen(t, "after a lost request", next, 1)
		},
		"never more in flight than are left": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, told(100, 3, one), noon)
			flying, s := takeAll(q, noon)
			wantLen(t, "in flight", flying, 3)
			if s.over != "" || !s.until.IsZero() {
				t.Errorf("with requests in flight: %+v, want to wait for their answers", s)
			}
		},
		"an answer that was overtaken raises nothing": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, told(10, 10, one), noon)
			flying, _ := takeAll(q, noon)
			q.settle(flying[5], told(0, 0, one), noon)
			for i, n := range flying {
				if i != 5 {
					q.settle(n, told(9, 9, one), noon)
				}
			}
			wantLeft(t, q, noon, 0, 0)
		},
		"a later reset opens a new hour": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, told(5, 500, one), noon)
			q.settle(q.take(noon, 0).number, told(2999, 500, one.Add(time.Hour)), noon)
			wantLeft(t, q, noon, 2999, 500)
		},
		"an earlier reset is the hour before": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, told(2000, 500, one), noon)
			q.settle(q.take(noon, 0).number, told(1, 500, noon), noon)
			wantLeft(t, q, noon, 2000, 500)
		},
		"a limit higher than documented is believed": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, limits{success: true, hasHour: true, hourLimit: 10000, hourRemaining: 9000, reset: one}, noon)
			if got := q.quota(noon).Hour; got != (Window{Limit: 10000, Remaining: 9000, Reset: one}) {
				t.Errorf("hour %+v", got)
			}
		},
		"a used-up hour is over until after its reset": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, told(0, 500, one), noon)
			s := q.take(at(59*time.Minute), 0)
			if s.over != reasonHourQuota || !s.until.After(one) {
				t.Errorf("before the reset: %+v, want over until just after it", s)
			}
			if s := q.take(one.Add(resetMargin-time.Nanosecond), 0); s.number != 0 {
				t.Errorf("let through before the margin was over")
			}
			fresh, _ := takeAll(q, one.Add(resetMargin))
			wantLen(t, "in the new hour, before its first answer", fresh, 1)
		},
		"an answer from the old hour says nothing of the new one": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, told(100, 500, one), noon)
			late := q.take(at(59*time.Minute), 0).number
			now := one.Add(resetMargin)
			q.turn(now)
			q.settle(late, told(3, 500, one), now)
			wantLeft(t, q, now, 3000, 500)
		},
		"a server whose hour is not over yet is believed": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, told(100, 500, one), noon)
			now := one.Add(resetMargin)
			q.settle(q.take(now, 0).number, told(42, 500, one), now)
			if q.hour.Remaining != 42 {
				t.Errorf("%d remaining, want 42", q.hour.Remaining)
			}
		},
		"a used-up burst waits 30 s": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, told(100, 0, one), noon)
			if s := q.take(at(time.Second), 0); !s.until.Equal(at(burstLength)) || s.over != "" {
				t.Errorf("%+v, want to wait until 30 s after it was seen", s)
			}
			if s := q.take(at(burstLength), 0); s.number == 0 {
				t.Errorf("still waiting after 30 s: %+v", s)
			}
		},
		"a burst may be fuller only by an answer to a later request": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, told(100, 4, one), noon)
			early, later := q.take(noon, 0).number, q.take(noon, 0).number
			q.settle(early, told(99, 2, one), at(time.Second))
			q.settle(later, told(98, 500, one), at(time.Second))
			wantLeft(t, q, at(time.Second), 98, 2)
			q.settle(q.take(at(time.Second), 0).number, told(97, 499, one), at(time.Second))
			wantLeft(t, q, at(time.Second), 97, 499)
		},
		"a refused burst is used up, whatever the headers say": func(t *testing.T, q *tally) {
			l := told(100, 20, one)
			l.success, l.over = false, reasonBurstQuota
			q.settle(q.take(noon, 0).number, l, noon)
			if s := q.take(noon, 0); !s.until.Equal(at(burstLength)) {
				t.Errorf("%+v, want to wait 30 s", s)
			}
		},
		"Retry-After shortens a burst": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, limits{over: reasonBurstQuota, retryAfter: 5 * time.Second}, noon)
			if s := q.take(noon, 0); !s.until.Equal(at(5 * time.Second)) {
				t.Errorf("%+v, want to wait 5 s", s)
			}
		},
		"a burst with a long Retry-After is not waited for": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, limits{over: reasonBurstQuota, retryAfter: 10 * time.Minute}, noon)
			if s := q.take(noon, 0); s.over != reasonBurstQuota || !s.until.Equal(at(10*time.Minute)) {
				t.Errorf("%+v, want over for 10 minutes", s)
			}
		},
		"a refused hour without headers lasts to the top of the hour": func(t *testing.T, q *tally) {
			now := at(20 * time.Minute)
			q.settle(q.take(now, 0).number, limits{over: reasonHourQuota}, now)
			if s := q.take(now, 0); s.over != reasonHourQuota || !s.until.Equal(one.Add(resetMargin)) {
				t.Errorf("%+v, want over until one", s)
			}
		},
		"a refused hour whose reset has passed is not hammered": func(t *testing.T, q *tally) {
			l := told(0, 500, noon)
			l.over = reasonHourQuota
			now := at(time.Second)
			q.settle(q.take(now, 0).number, l, now)
			if s := q.take(now, 0); s.over != reasonHourQuota || s.until.Sub(now) < leastPause {
				t.Errorf("%+v, want a pause", s)
			}
		},
		"a straggler does not reopen a refused hour": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, told(10, 500, one), noon)
			a, b := q.take(noon, 0).number, q.take(noon, 0).number
			q.settle(a, limits{over: reasonHourQuota, retryAfter: time.Minute}, noon)
			q.settle(b, told(9, 499, one), noon)
			if s := q.take(noon, 0); s.over != reasonHourQuota {
				t.Errorf("%+v, want over", s)
			}
		},
		"without headers our own calls are counted, hour": func(t *testing.T, q *tally) {
			q.hour.Limit, q.burst.Limit = 20, 500
			countHeaderless(t, q, at(30*time.Minute), 20)
			if s := q.take(at(30*time.Minute), 0); s.over != reasonHourQuota || !s.until.Equal(one.Add(resetMargin)) {
				t.Errorf("%+v, want over until one", s)
			}
		},
		"without headers our own calls are counted, burst": func(t *testing.T, q *tally) {
			countHeaderless(t, q, noon, 500)
			if s := q.take(noon, 0); !s.until.Equal(at(burstLength)) {
				t.Errorf("%+v, want to wait 30 s", s)
			}
			countHeaderless(t, q, at(burstLength), 500)
		},
		"a lost request counts until a later one's answer has it": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, told(10, 500, one), noon)
			lost, beside := q.take(noon, 0).number, q.take(noon, 0).number
			q.settle(lost, limits{}, noon)
			q.settle(beside, told(9, 499, one), noon)
			wantLeft(t, q, noon, 8, 498)
			q.settle(q.take(noon, 0).number, told(7, 497, one), noon)
			wantLeft(t, q, noon, 7, 497)
		},
		"a restart knows that the hour is used up": func(t *testing.T, q *tally) {
			q.restore(Quota{Hour: Window{Limit: 3000, Remaining: 0, Reset: one}}, at(time.Minute))
			if s := q.take(at(time.Minute), 0); s.over != reasonHourQuota {
				t.Errorf("%+v, want over", s)
			}
		},
		"a restart forgets an hour that is over": func(t *testing.T, q *tally) {
			q.restore(Quota{Hour: Window{Limit: 3000, Remaining: 0, Reset: noon}}, at(time.Minute))
			wantLeft(t, q, at(time.Minute), 3000, 500)
		},
		"what was restored is corrected by the first answer": func(t *testing.T, q *tally) {
			q.restore(Quota{Hour: Window{Limit: 3000, Remaining: 3000, Reset: one}}, noon) // assumed, before any answer
			l := told(90_000, 500, one)
			l.hourLimit = 100_000
			q.settle(q.take(noon, 0).number, l, noon)
			wantLeft(t, q, noon, 90_000, 500)
		},
		"a restore does not raise what is known": func(t *testing.T, q *tally) {
			q.settle(q.take(noon, 0).number, told(10, 500, one), noon)
			q.restore(Quota{Hour: Window{Limit: 3000, Remaining: 900, Reset: one}}, noon)
			wantLeft(t, q, noon, 10, 500)
		},
	}
	for name, check := range cases {
		t.Run(name, func(t *testing.T) {
			q := newTally(500)
			check(t, &q)
		})
	}
}

// countHeaderless sends n requests whose answers say nothing of the quota.
func countHeaderless(t *testing.T, q *tally, now time.Time, n int) {
	t.Helper()
	for i := range n {
		s := q.take(now, 0)
		if s.number == 0 {
			t.Fatalf("no room after %d of %d calls: %+v", i, n, s)
		}
		q.settle(s.number, limits{success: true}, now)
	}
}

func wantLen(t *testing.T, what string, got []uint64, want int) {
	t.Helper()
	if len(got) != want {
		t.Errorf("%s: %d requests were let through, want %d", what, len(got), want)
	}
}

func wantLeft(t *testing.T, q *tally, now time.Time, hour, burst int) {
	t.Helper()
	got := q.quota(now)
	if got.Hour.Remaining != hour || got.Burst.Remaining != burst {
		t.Errorf("left: hour %d, burst %d; want %d and %d", got.Hour.Remaining, got.Burst.Remaining, hour, burst)
	}
}
