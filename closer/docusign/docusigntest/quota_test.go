package docusigntest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/docusign/docusigntest"
)

const (
	hourly = "HOURLY_APIINVOCATION_LIMIT_EXCEEDED"
	bursty = "BURST_APIINVOCATION_LIMIT_EXCEEDED"
)

// quotaHeaders are the five of an answer: "" where there is none.
type quotaHeaders struct{ limit, remaining, reset, burstLimit, burstRemaining string }

func headersOf(a answer) quotaHeaders {
	return quotaHeaders{
		a.header.Get("X-RateLimit-Limit"), a.header.Get("X-RateLimit-Remaining"), a.header.Get("X-RateLimit-Reset"),
		a.header.Get("X-BurstLimit-Limit"), a.header.Get("X-BurstLimit-Remaining"),
	}
}

// inBubble starts a Docusign under a fake clock at 00:20:00.
func inBubble(t *testing.T, cfg docusigntest.Config, test func(t *testing.T, c *caller)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Accounts = []docusigntest.AccountConfig{
			{ID: account, Users: []user{{ID: ana, Email: "ana@example.com"}}},
			{ID: "other"},
		}
		time.Sleep(20 * time.Minute)
		test(t, start(t, cfg))
	})
}

func TestHourWindow(t *testing.T) {
	inBubble(t, docusigntest.Config{HourLimit: 3}, func(t *testing.T, c *caller) {
		top := strconv.FormatInt(time.Now().Truncate(time.Hour).Add(time.Hour).Unix(), 10)
		c.ask(http.MethodGet, "/oauth/userinfo", "") // not a call on the account
		for _, left := range []string{"2", "1", "0"} {
			if got, want := headersOf(c.list("")), (quotaHeaders{"3", left, top, "500", "49" + strconv.Itoa(7+int(left[0]-'0'))}); got != want {
				t.Errorf("headers %+v, want %+v", got, want)
			}
		}
		a := c.close(ana)
		c.wantRefusal(a, http.StatusTooManyRequests, hourly)
		if got := headersOf(a); got.remaining != "0" || got.reset != top || a.header.Get("Retry-After") != "" {
			t.Errorf("past the limit: %v", a.header)
		}
		if a := c.ask(http.MethodGet, usersPath("other"), ""); a.status != http.StatusOK {
			t.Errorf("other account: status %d", a.status)
		}
		time.Sleep(40*time.Minute - time.Second)
		c.wantRefusal(c.list(""), http.StatusTooManyRequests, hourly)
		if got := c.server.Stats().Exhausted; got != 2 {
			t.Errorf("%d calls into the exhausted hour, want 2", got)
		}
		time.Sleep(time.Second)
		if got := headersOf(c.list("")); got.remaining != "2" {
			t.Errorf("in the next hour: %+v", got)
		}
	})
}

// The header has whole seconds: the hour must not seem over before it is.
func TestResetIsRoundedUp(t *testing.T) {
	inBubble(t, docusigntest.Config{HourWindow: 1500 * time.Millisecond}, func(t *testing.T, c *caller) {
		window := time.Now().Truncate(1500 * time.Millisecond)
		if got, want := headersOf(c.list("")).reset, strconv.FormatInt(window.Add(2*time.Second).Unix(), 10); got != want {
			t.Errorf("reset %s, want %s", got, want)
		}
	})
}

func TestBurstWindow(t *testing.T) {
	inBubble(t, docusigntest.Config{BurstLimit: 2}, func(t *testing.T, c *caller) {
		time.Sleep(17 * time.Second)
		c.list("")
		time.Sleep(10 * time.Second)
		if got := headersOf(c.list("")); got.burstLimit != "2" || got.burstRemaining != "0" {
			t.Errorf("headers %+v", got)
		}
		a := c.list("")
		c.wantRefusal(a, http.StatusTooManyRequests, bursty)
		if got := headersOf(a); got.remaining != "2998" {
			t.Errorf("a refused call was counted: %+v", got)
		}
		time.Sleep(20*time.Second - time.Nanosecond)
		c.wantRefusal(c.list(""), http.StatusTooManyRequests, bursty)
		time.Sleep(time.Nanosecond)
		if got := headersOf(c.list("")); got.burstRemaining != "1" {
			t.Errorf("in the next window: %+v", got)
		}
	})
}

func TestRefusedCallsCount(t *testing.T) {
	inBubble(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
		if got := headersOf(c.list("email=nobody@example.com")); got.remaining != "2999" {
			t.Errorf("after a refusal: %+v", got)
		}
		c.token = "abc"
		if got := headersOf(c.list("")); got != (quotaHeaders{}) {
			t.Errorf("without a token: %+v", got)
		}
	})
}

func TestExhaustedOnDemand(t *testing.T) {
	inBubble(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
		c.server.ExhaustBurst(account)
		c.wantRefusal(c.list(""), http.StatusTooManyRequests, bursty)
		c.server.ExhaustHour(account)
		c.wantRefusal(c.list(""), http.StatusTooManyRequests, hourly)
		time.Sleep(40 * time.Minute)
		if a := c.list(""); a.status != http.StatusOK {
			t.Errorf("in the next hour: status %d", a.status)
		}
	})
}

func TestQuotaAsElsewhere(t *testing.T) {
	inBubble(t, docusigntest.Config{QuotaStatus: 400, Quirks: quirks{RetryAfter: "seconds"}}, func(t *testing.T, c *caller) {
		c.server.ExhaustHour(account)
		a := c.list("")
		c.wantRefusal(a, http.StatusBadRequest, hourly)
		if got := a.header.Get("Retry-After"); got != "2400" {
			t.Errorf("Retry-After %q, want 2400", got)
		}
	})
	inBubble(t, docusigntest.Config{Quirks: quirks{RetryAfter: "seconds", MixedCaseQuota: true, NoRateHeaders: true}}, func(t *testing.T, c *caller) {
		c.server.ExhaustBurst(account)
		a := c.list("")
		c.wantRefusal(a, http.StatusTooManyRequests, "Burst_APIInvocation_Limit_Exceeded")
		if got := a.header.Get("Retry-After"); got != "30" {
			t.Errorf("Retry-After %q, want 30", got)
		}
		if got := headersOf(a); got != (quotaHeaders{}) {
			t.Errorf("headers %+v, want none", got)
		}
		c.server.ExhaustHour(account)
		c.wantRefusal(c.list(""), http.StatusTooManyRequests, "Hourly_APIInvocation_Limit_Exceeded")
	})
}

func TestRetryAfterAsDate(t *testing.T) {
	inBubble(t, docusigntest.Config{BurstWindow: 2500 * time.Millisecond, Quirks: quirks{RetryAfter: "date"}}, func(t *testing.T, c *caller) {
		c.server.ExhaustBurst(account)
		want := time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat) // whole seconds, and not before the end
		if got := c.list("").header.Get("Retry-After"); got != want {
			t.Errorf("Retry-After %q, want %q", got, want)
		}
	})
}

func TestAnAccountMayHaveItsOwnHour(t *testing.T) {
	c := start(t, docusigntest.Config{HourLimit: 100, Accounts: []docusigntest.AccountConfig{{ID: account, HourLimit: 7}, {ID: "other"}}})
	if got := headersOf(c.list("")); got.limit != "7" || got.remaining != "6" {
		t.Errorf("headers %+v", got)
	}
	if got := headersOf(c.ask(http.MethodGet, usersPath("other"), "")); got.limit != "100" || got.remaining != "99" {
		t.Errorf("other account: %+v", got)
	}
	c.server.ExhaustHour(account)
	a := c.list("")
	c.wantRefusal(a, http.StatusTooManyRequests, hourly)
	if !strings.Contains(string(a.body), "limit is 7.") || headersOf(a).remaining != "0" {
		t.Errorf("past the limit: %s, %v", a.body, a.header)
	}
}

func TestAnotherAppTakesManyCallsAtOnce(t *testing.T) {
	inBubble(t, docusigntest.Config{HourLimit: 1000, BurstLimit: 100}, func(t *testing.T, c *caller) {
		c.list("")
		c.server.TakeCalls(account, 90)
		if got := headersOf(c.list("")); got.remaining != "908" || got.burstRemaining != "8" {
			t.Errorf("headers %+v", got)
		}
		c.server.TakeCalls(account, 2000)
		c.wantRefusal(c.list(""), http.StatusTooManyRequests, hourly)
		time.Sleep(40 * time.Minute)
		if got := headersOf(c.list("")); got.remaining != "999" || got.burstRemaining != "99" {
			t.Errorf("in the next hour: %+v", got)
		}
	})
}

func TestOtherAppsTakeFromTheQuota(t *testing.T) {
	inBubble(t, docusigntest.Config{HourLimit: 1000, BurstLimit: 100, OtherCalls: 2}, func(t *testing.T, c *caller) {
		time.Sleep(10 * time.Second) // 20 calls; the burst window starts with our own
		if got := headersOf(c.list("")); got.remaining != "979" || got.burstRemaining != "99" {
			t.Errorf("after 10 s: %+v", got)
		}
		time.Sleep(20 * time.Second)
		if got := headersOf(c.list("")); got.remaining != "938" || got.burstRemaining != "58" {
			t.Errorf("after 30 s: %+v", got)
		}
		time.Sleep(10 * time.Minute)
		c.wantRefusal(c.list(""), http.StatusTooManyRequests, hourly)
	})
}

func TestClockSkewShowsEverywhere(t *testing.T) {
	inBubble(t, docusigntest.Config{ClockSkew: 50 * time.Second}, func(t *testing.T, c *caller) {
		c.server.SetClockSkew(45 * time.Minute)
		a := c.list("")
		ahead := time.Now().Add(45 * time.Minute)
		if got, want := a.header.Get("Date"), ahead.UTC().Format(http.TimeFormat); got != want {
			t.Errorf("Date %q, want %q", got, want)
		}
		if got, want := headersOf(a).reset, strconv.FormatInt(ahead.Truncate(time.Hour).Add(time.Hour).Unix(), 10); got != want {
			t.Errorf("reset %s, want %s", got, want)
		}
		log := c.server.Requests()
		if got := log[len(log)-1].Time; !got.Equal(ahead) {
			t.Errorf("logged at %v, want %v", got, ahead)
		}
	})
}

func TestLatency(t *testing.T) {
	inBubble(t, docusigntest.Config{Latency: time.Second, LatencyJitter: time.Second}, func(t *testing.T, c *caller) {
		took := make(map[time.Duration]bool)
		for range 10 {
			asked := time.Now()
			c.list("")
			d := time.Since(asked)
			if d < time.Second || d >= 2*time.Second {
				t.Errorf("took %v", d)
			}
			took[d] = true
		}
		if len(took) < 2 {
			t.Errorf("no jitter: %v", took)
		}
	})
}
