package docusign

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestFloors(t *testing.T) {
	for name, tc := range map[string]struct {
		priority Priority
		reserve  float64
		want     int // of 3000
	}{
		"urgent":                      {Urgent, 0.5, 600},
		"urgent, and little reserved": {Urgent, 0.1, 300},
		"closes":                      {Closes, 0.5, 1500},
		"look-ups":                    {LookUps, 0.5, 1650},
		"reopenings":                  {Reopens, 0.5, 1875},
		"the watch":                   {Watching, 0.5, 2250},
		"nothing reserved":            {Closes, 0, 0},
		"nearly all reserved":         {LookUps, 0.99, 2973},
	} {
		if got := tc.priority.floor(tc.reserve, 3000); got != tc.want {
			t.Errorf("%s: leaves %d calls, want %d", name, got, tc.want)
		}
	}
}

func TestTallyKeepsTheFloor(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	q := newTally(500)
	q.settle(q.take(noon, 1500).number, told(1502, 400, noon.Add(time.Hour)), noon)
	for range 2 {
		if s := q.take(noon, 1500); s.number == 0 {
			t.Fatalf("%+v above the floor", s)
		}
	}
	if s := q.take(noon, 1500); s.number != 0 || s.over != "" {
		t.Errorf("%+v: want to wait for those under way", s)
	}
	q.settle(3, told(1500, 398, noon.Add(time.Hour)), noon)
	if s := q.take(noon, 1500); s.over != reasonHourQuota {
		t.Errorf("%+v at the floor, want the hour to be over", s)
	}
	if s := q.take(noon, 600); s.number == 0 {
		t.Errorf("%+v, want what is urgent to go", s)
	}
}

// TestUrgentGoesFirst lets many wait for a burst, of all priorities.
func TestUrgentGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waited int
		m := newMeter(10, time.Now, 0, func(n int) { waited = max(waited, n) })
		for range 10 {
			s, err := m.enter(t.Context(), Closes)
			if err != nil || s.number == 0 {
				t.Fatal(s, err)
			}
			m.settle(s.number, limits{success: true})
		}
		var mu sync.Mutex
		var order []Priority
		var group sync.WaitGroup
		for _, p := range []Priority{Watching, LookUps, Closes, Urgent, Watching, Closes, Urgent} {
			group.Go(func() {
				s, err := m.enter(t.Context(), p)
				if err != nil || s.number == 0 {
					t.Error(s, err)
				}
				mu.Lock()
				order = append(order, p)
				mu.Unlock()
				m.settle(s.number, limits{success: true})
			})
			synctest.Wait()
		}
		group.Wait()
		for i := 1; i < len(order); i++ {
			if order[i] < order[i-1] {
				t.Errorf("they went in the order %v", order)
			}
		}
		if waited != 7 {
			t.Errorf("%d were seen to wait, want 7", waited)
		}
	})
}

// TestMeterAtRandom: many send at once, of all priorities.
// None is sent below its floor or into a window that is used up, and none waits
// for ever.
func TestMeterAtRandom(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 0))
			const hourLimit, burstLimit, reserve = 400, 50, 0.5
			var mu sync.Mutex
			hourLeft, burstLeft := hourLimit, burstLimit
			var hourEnds, burstEnds time.Time
			m := newMeter(burstLimit, time.Now, reserve, nil)
			send := func(p Priority) {
				s, err := m.enter(t.Context(), p)
				if err != nil {
					t.Error(err)
					return
				}
				if s.over != "" {
					return
				}
				mu.Lock()
				now := time.Now()
				if !now.Before(hourEnds) {
					hourLeft, hourEnds = hourLimit, now.Truncate(time.Hour).Add(time.Hour)
				}
				if !now.Before(burstEnds) {
					burstLeft, burstEnds = burstLimit, now.Add(burstLength)
				}
				if hourLeft <= p.floor(reserve, hourLimit) && m.quota().Hour.Limit == hourLimit {
					t.Errorf("seed %d: sent with %d left, the floor is %d", seed, hourLeft, p.floor(reserve, hourLimit))
				}
				if burstLeft <= 0 {
					t.Errorf("seed %d: sent into a burst that is used up", seed)
				}
				hourLeft, burstLeft = hourLeft-1, burstLeft-1
				l := told(hourLeft, burstLeft, hourEnds)
				l.hourLimit, l.burstLimit = hourLimit, burstLimit
				mu.Unlock()
				m.settle(s.number, l)
			}
			send(Closes) // the limits are learned
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
			defer cancel()
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					for ctx.Err() == nil {
						mu.Lock()
						p, pause := Priority(dice.IntN(4)), time.Duration(dice.IntN(60))*time.Second
						mu.Unlock()
						send(p)
						time.Sleep(pause)
					}
				})
			}
			group.Wait()
		})
	}
}
