package docusign

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rates are the five headers.
func rates(hour, burst int, reset time.Time) []string {
	return []string{
		"X-RateLimit-Limit", "3000", "X-RateLimit-Remaining", strconv.Itoa(hour),
		"X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10),
		"X-BurstLimit-Limit", "500", "X-BurstLimit-Remaining", strconv.Itoa(burst),
	}
}

const closedU1 = `{"users":[{"userId":"u1"}]}`

// TestRefusedForQuota has the first answer refuse a close, at 12 minutes past
// the hour, and the next take it.
func TestRefusedForQuota(t *testing.T) {
	burst, hour := `{"errorCode":"BURST_APIINVOCATION_LIMIT_EXCEEDED"}`, `{"errorCode":"HOURLY_APIINVOCATION_LIMIT_EXCEEDED"}`
	cases := map[string]struct {
		status  int
		body    string
		headers []string
		waits   time.Duration // until the close is sent again; 0: it is not
		retryIn time.Duration // otherwise, what the error says
		reason  string
	}{
		"burst, as of 2026":                  {429, burst, nil, 30 * time.Second, 0, ""},
		"burst, as before":                   {400, burst, nil, 30 * time.Second, 0, ""},
		"burst, mixed case":                  {400, `{"errorCode":"Burst_APIInvocation_Limit_Exceeded"}`, nil, 30 * time.Second, 0, ""},
		"burst, Retry-After":                 {429, burst, []string{"Retry-After", "7"}, 7 * time.Second, 0, ""},
		"burst, Retry-After as a date":       {429, burst, []string{"Retry-After", "Sat, 01 Jan 2000 00:12:09 GMT"}, 9 * time.Second, 0, ""},
		"burst, a long Retry-After":          {429, burst, []string{"Retry-After", "600"}, 0, 10 * time.Minute, "burst_quota"},
		"no code, Retry-After":               {429, "<html>", []string{"Retry-After", "5"}, 5 * time.Second, 0, ""},
		"no code":                            {429, "", nil, 30 * time.Second, 0, ""},
		"hour, as of 2026":                   {429, hour, nil, 0, 48*time.Minute + resetMargin, "hour_quota"},
		"hour, as before":                    {400, hour, nil, 0, 48*time.Minute + resetMargin, "hour_quota"},
		"hour, mixed case":                   {400, `{"errorCode":"Hourly_APIInvocation_Limit_Exceeded"}`, nil, 0, 48*time.Minute + resetMargin, "hour_quota"},
		"hour, by its reset":                 {429, hour, []string{"X-RateLimit-Reset", strconv.FormatInt(fakeStart.Add(40*time.Minute).Unix(), 10)}, 0, 28*time.Minute + resetMargin, "hour_quota"},
		"hour, a reset that is not a time":   {429, hour, []string{"X-RateLimit-Reset", "2880"}, 0, 48*time.Minute + resetMargin, "hour_quota"},
		"hour, Retry-After":                  {429, hour, []string{"Retry-After", "60"}, 0, time.Minute + resetMargin, "hour_quota"},
		"hour, Retry-After beyond the reset": {429, hour, append(rates(0, 9, fakeStart.Add(time.Hour)), "Retry-After", "3600"), 0, time.Hour + resetMargin, "hour_quota"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(12 * time.Minute) // a bubble begins at midnight
				f := &fake{api: func(n int, _ *http.Request) (*http.Response, error) {
					if n == 1 {
						return say(tc.status, tc.body, tc.headers...), nil
					}
					return say(200, closedU1), nil
				}}
				start := time.Now()
				answered, err := newTestAccount(t, f).CloseUsers(t.Context(), Close{UserIDs: []string{"u1"}})
				if tc.waits > 0 {
					if took := time.Since(start); err != nil || took != tc.waits || len(f.calls) != 2 || !answered.Results["u1"].Closed() {
						t.Errorf("%v after %v and %d calls, want it closed after %v", err, took, len(f.calls), tc.waits)
					}
					return
				}
				e, ok := err.(*Error)
				if !ok || ClassOf(e) != Exhausted || Reason(e) != tc.reason || !e.RetryAt.Equal(start.Add(tc.retryIn)) || len(f.calls) != 1 {
					t.Errorf("%v after %d calls, want exhausted, %s, for %v", err, len(f.calls), tc.reason, tc.retryIn)
				}
			})
		})
	}
}

// fakeStart is when time begins in a synctest bubble.
var fakeStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestBurstIsNotWaitedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := always(429, `{"errorCode":"BURST_APIINVOCATION_LIMIT_EXCEEDED"}`)
		_, err := newTestAccount(t, f).CloseUsers(t.Context(), Close{UserIDs: []string{"u1"}})
		e, ok := err.(*Error)
		if !ok || ClassOf(e) != Exhausted || !e.RetryAt.Equal(time.Now().Add(burstLength)) || len(f.calls) != 1+maxBursts {
			t.Errorf("%v after %d calls", err, len(f.calls))
		}
	})
}

func TestUsedUpHourSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(12 * time.Minute)
		f := &fake{api: func(n int, _ *http.Request) (*http.Response, error) {
			left := max(0, 3-n)
			return say(200, noUsers, rates(left, 400, time.Now().Truncate(time.Hour).Add(time.Hour))...), nil
		}}
		a := newTestAccount(t, f)
		for range 3 {
			if _, err := a.CountUsers(t.Context(), Active); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			_, err := a.CloseUsers(t.Context(), Close{UserIDs: []string{"u1"}})
			e, ok := err.(*Error)
			if !ok || ClassOf(e) != Exhausted || Reason(e) != "hour_quota" || !e.RetryAt.Equal(fakeStart.Add(time.Hour+resetMargin)) {
				t.Fatalf("%v, want exhausted until one o'clock", err)
			}
		}
		if len(f.calls) != 3 {
			t.Errorf("%d calls, want none after the third", len(f.calls))
		}

		restarted := newTestAccount(t, f)
		restarted.Restore(a.Quota())
		if _, err := restarted.CountUsers(t.Context(), Active); ClassOf(err) != Exhausted {
			t.Errorf("after a restart: %v", err)
		}
		f.api = func(int, *http.Request) (*http.Response, error) { return say(200, noUsers), nil }
		time.Sleep(48*time.Minute + resetMargin)
		for what, account := range map[string]*Account{"the first": a, "the restarted": restarted} {
			if _, err := account.CountUsers(t.Context(), Active); err != nil {
				t.Errorf("%s in the next hour: %v", what, err)
			}
		}
	})
}

func TestRetryAtIsByOurClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ahead = 90 * time.Second // of Docusign's clock
		time.Sleep(12 * time.Minute)
		date := time.Now().Add(ahead).UTC().Format(http.TimeFormat)
		headers := append(rates(0, 400, fakeStart.Add(time.Hour)), "Date", date)
		f := always(429, `{"errorCode":"HOURLY_APIINVOCATION_LIMIT_EXCEEDED"}`, headers...)
		f.signIn = func(int, *http.Request) (*http.Response, error) {
			return say(200, `{"access_token":"t","expires_in":3600}`, "Date", date), nil
		}
		a := newTestAccount(t, f)
		for _, what := range []string{"refused", "not sent"} {
			_, err := a.CountUsers(t.Context(), Active)
			e, ok := err.(*Error)
			if want := fakeStart.Add(time.Hour + resetMargin - ahead); !ok || !e.RetryAt.Equal(want) {
				t.Errorf("%s: %v, want to come again at %v", what, err, want)
			}
		}
		if len(f.calls) != 1 {
			t.Errorf("%d calls, want 1", len(f.calls))
		}
	})
}

func TestWaitForABurstEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := always(200, closedU1, rates(100, 0, fakeStart.Add(time.Hour))...)
		a := newTestAccount(t, f)
		if _, err := a.CloseUsers(t.Context(), Close{UserIDs: []string{"u1"}}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := a.CloseUsers(ctx, Close{UserIDs: []string{"u1"}})
		if ClassOf(err) != Passing || Reason(err) != "timeout" || len(f.calls) != 1 {
			t.Errorf("%s, %s (%v) after %d calls; want passing, since nothing was sent", ClassOf(err), Reason(err), err, len(f.calls))
		}
		if _, err := a.CloseUsers(t.Context(), Close{UserIDs: []string{"u1"}}); err != nil || time.Since(fakeStart) != burstLength {
			t.Errorf("%v after %v", err, time.Since(fakeStart))
		}
	})
}

// TestParallelCallsNeverPassTheQuota runs look-ups side by side against a
// server with little quota that answers out of order.
func TestParallelCallsNeverPassTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		hourLeft, burstLeft, burstStart, flying, most := 100, 20, time.Now(), 0, 0
		f := &fake{}
		f.api = func(n int, _ *http.Request) (*http.Response, error) {
			mu.Lock()
			if time.Since(burstStart) >= burstLength {
				burstLeft, burstStart = 20, time.Now()
			}
			hourLeft--
			burstLeft--
			flying++
			most = max(most, flying)
			if hourLeft < 0 || burstLeft < 0 {
				t.Errorf("call %d passes the quota: hour %d, burst %d", n, hourLeft, burstLeft)
			}
			headers := rates(hourLeft, burstLeft, fakeStart.Add(time.Hour))
			mu.Unlock()
			time.Sleep(time.Duration(n*7%10+1) * 100 * time.Millisecond)
			mu.Lock()
			flying--
			mu.Unlock()
			return say(200, noUsers, headers...), nil
		}
		a := newTestAccount(t, f)
		var done, exhausted int
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 10 {
					_, err := a.UsersByEmail(t.Context(), "ana@example.com")
					mu.Lock()
					if err == nil {
						done++
					} else if ClassOf(err) == Exhausted {
						exhausted++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if done != 100 || exhausted != 60 {
			t.Errorf("%d looked up, %d exhausted; want all of the 100, and 60", done, exhausted)
		}
		if most < 10 {
			t.Errorf("at most %d side by side", most)
		}
	})
}

func TestAccountsOfOneIDShareTheQuota(t *testing.T) {
	f := always(200, noUsers, rates(0, 400, time.Now().Add(30*time.Minute))...)
	c := newTestClient(t, f)
	info := AccountInfo{ID: testAccount, BaseURI: "https://demo.docusign.net"}
	if _, err := c.Account(info).CountUsers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Account(info).CountUsers(t.Context()); ClassOf(err) != Exhausted {
		t.Errorf("the second: %v", err)
	}
	other := c.Account(AccountInfo{ID: "b", BaseURI: "https://eu.docusign.net"})
	if q := other.Quota(); q.Hour.Limit != 3000 || q.Burst.Limit != 500 {
		t.Errorf("another account: %+v", q)
	}
	if _, err := other.CountUsers(t.Context()); err != nil {
		t.Errorf("another account: %v", err)
	}
}

func TestObserve(t *testing.T) {
	f := &fake{api: func(n int, _ *http.Request) (*http.Response, error) {
		if n == 2 {
			return nil, context.DeadlineExceeded
		}
		return say(400, `{"errorCode":"X"}`, rates(41, 42, time.Now().Add(time.Minute))...), nil
	}}
	type seen struct {
		op     Operation
		status int
	}
	var got []seen
	var quota Quota
	c, err := New(testConfig(t), f, Observe{
		Request: func(op Operation, status int, _ time.Duration) { got = append(got, seen{op, status}) },
		Quota:   func(_ string, q Quota) { quota = q },
	})
	if err != nil {
		t.Fatal(err)
	}
	a := c.Account(AccountInfo{ID: testAccount, BaseURI: "https://demo.docusign.net"})
	perform(t, a, OpGetUser)
	if quota.Hour.Remaining != 41 || quota.Burst.Remaining != 42 {
		t.Errorf("quota %+v", quota)
	}
	perform(t, a, OpCloseUsers)
	if quota.Hour.Remaining != 40 {
		t.Errorf("quota %+v after a call whose answer was lost", quota)
	}
	want := []seen{{OpSignIn, 200}, {OpGetUser, 400}, {OpCloseUsers, 0}}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("saw %v, want %v", got, want)
	}
}

func TestRequestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestAccount(t, &fake{api: hang})
		_, err := a.CloseUsers(t.Context(), Close{UserIDs: []string{"u1"}})
		if ClassOf(err) != Unknown || Reason(err) != "timeout" || time.Since(fakeStart) != RequestTimeout {
			t.Errorf("%s, %s after %v", ClassOf(err), Reason(err), time.Since(fakeStart))
		}
	})
}
