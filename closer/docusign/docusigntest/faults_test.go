package docusigntest_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/docusign/docusigntest"
)

type faults = docusigntest.Faults

func TestFaultsOfACall(t *testing.T) {
	tests := map[string]struct {
		faults faults
		status int    // 0: no answer
		whole  bool   // the body can be read to its end
		body   string // what it has in it
		closed bool
		traced bool // Docusign's own trace token is on it
		struck string
	}{
		"none":                          {status: 200, whole: true, body: `"userStatus":"Closed"`, closed: true, traced: true},
		"cut before it was done":        {faults: faults{CutBefore: 1}, struck: "cut_before"},
		"cut after it was done":         {faults: faults{CutAfter: 1}, closed: true, struck: "cut_after"},
		"an error of Docusign's own":    {faults: faults{Error500: 1}, status: 500, whole: true, body: `"errorCode":"UNSPECIFIED_ERROR"`, traced: true, struck: "error_500"},
		"blocked by the security layer": {faults: faults{Blocked: 1}, status: 444, whole: true, traced: true, struck: "blocked"},
		"a proxy's page for an answer":  {faults: faults{ProxyPage: 1}, status: 200, whole: true, body: "<html>", struck: "proxy_page"},
		"half an answer": {
			faults: faults{HalfAnswer: 1}, status: 200, body: `{"users":[{"userId":"`, closed: true, traced: true, struck: "half_answer",
		},
		"busy":                              {faults: faults{Busy503: 1}, status: 503, whole: true, body: `"errorCode":"SERVICE_UNAVAILABLE"`, traced: true, struck: "busy_503"},
		"a proxy's 502, before it was done": {faults: faults{ProxyError: 1}, status: 502, whole: true, body: "<html>", struck: "proxy_error"},
		"a proxy's page, after it was done": {faults: faults{PageAfter: 1}, status: 200, whole: true, body: "<html>", closed: true, struck: "page_after"},
		"a proxy's 502":                     {faults: faults{HTML: 1}, status: 502, whole: true, body: "<html>", closed: true, struck: "html"},
		"a proxy drops the body":            {faults: faults{DropBody: 1}, status: 400, whole: true, body: "INVALID_REQUEST_BODY", traced: true, struck: "drop_body"},
		"closed but not in the answer": {
			faults: faults{MissingEntry: 1}, status: 200, whole: true, body: `{"users":[],"resultSetSize":"0"`, closed: true, traced: true, struck: "missing_entry",
		},
		"one of the call, so none of a user": {faults: faults{CutAfter: 1, NotClosed: 1}, closed: true, struck: "cut_after"},
		"in the answer but not closed":       {faults: faults{NotClosed: 1}, status: 200, whole: true, body: `"userStatus":"Active"`, traced: true, struck: "not_closed"},
	}
	for name, test := range tests {
		for _, socket := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " over a socket"}[socket], func(t *testing.T) {
				c := startWith(t, quirks{}, user{ID: ana})
				if socket {
					c.overSocket()
				}
				c.server.SetFaults(test.faults)
				a := c.close(ana)
				if a.status != test.status || (a.err == nil) != test.whole || !strings.Contains(string(a.body), test.body) {
					t.Errorf("status %d, error %v, body %s", a.status, a.err, a.body)
				}
				if traced := a.header.Get("X-DocuSign-TraceToken") != ""; traced != test.traced {
					t.Errorf("trace token there: %v, want %v", traced, test.traced)
				}
				if u, _ := c.server.User(account, ana); (u.Status == "Closed") != test.closed {
					t.Errorf("the user is %s", u.Status)
				}
				log := c.server.Requests()
				last := log[len(log)-1]
				if last.Fault != test.struck || last.Status != test.status {
					t.Errorf("logged %+v", last)
				}
			})
		}
	}
}

func TestBusySaysForHowLong(t *testing.T) {
	for name, test := range map[string]struct {
		quirks quirks
		faults faults
		want   func(now time.Time) string
	}{
		"half a minute unless told otherwise": {quirks{}, faults{}, func(time.Time) string { return "30" }},
		"as long as told":                     {quirks{RetryAfter: "seconds"}, faults{BusyFor: 1500 * time.Millisecond}, func(time.Time) string { return "2" }},
		"as a date": {quirks{RetryAfter: "date"}, faults{BusyFor: time.Minute}, func(now time.Time) string {
			return now.Add(time.Minute).UTC().Format(http.TimeFormat)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, docusigntest.Config{Quirks: test.quirks}, func(t *testing.T, c *caller) {
				test.faults.Busy503 = 1
				c.server.SetFaults(test.faults)
				if got, want := c.list("").header.Get("Retry-After"), test.want(time.Now()); got != want {
					t.Errorf("Retry-After %q, want %q", got, want)
				}
			})
		})
	}
}

// What becomes of a close whose body a proxy dropped is not documented.
func TestDroppedBodyMayBeTakenForAnEmptyClose(t *testing.T) {
	c := startWith(t, quirks{EmptyCloseIsOK: true}, user{ID: ana})
	c.server.SetFaults(faults{DropBody: 1, Operations: []string{"close_users"}})
	var got closed
	c.decode(c.close(ana), http.StatusOK, &got)
	if u, _ := c.server.User(account, ana); len(got.Users) != 0 || u.Status != "Active" {
		t.Errorf("answered %+v, the user is %s", got, u.Status)
	}
}

// A client that gives up does not stop Docusign.
func TestServedThoughTheCallerGaveUp(t *testing.T) {
	for name, cfg := range map[string]docusigntest.Config{
		"no answer ever comes": {Faults: faults{Hang: 1, Operations: []string{"close_users"}}},
		"it takes too long":    {Latency: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg.Accounts = []docusigntest.AccountConfig{{ID: account, Users: []user{{ID: ana}}}}
				c := start(t, cfg)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				asked := time.Now()
				if a := c.do(closeRequest(ctx, c)); a.err != context.DeadlineExceeded || time.Since(asked) != 30*time.Second {
					t.Errorf("after %v: %v", time.Since(asked), a.err)
				}
				if u, _ := c.server.User(account, ana); u.Status != "Closed" {
					t.Errorf("the user is %s", u.Status)
				}
			})
		})
	}
}

// closeRequest asks to close ana.
func closeRequest(ctx context.Context, c *caller) *http.Request {
	c.t.Helper()
	body := strings.NewReader(`{"users":[{"userId":"` + ana + `"}]}`)
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.base+usersPath(account), body)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

func TestHangEndsWithTheConnection(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana})
	c.overSocket() // whose server, once the test is over, waits for its handlers to return
	c.server.SetFaults(faults{Hang: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan answer)
	go func() { done <- c.do(closeRequest(ctx, c)) }()
	for c.server.Stats().Operations["close_users"] == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if a := <-done; a.err == nil {
		t.Errorf("status %d, want no answer", a.status)
	}
}

func TestFaultsAreBounded(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana})
	c.server.SetFaults(faults{Error500: 1, Times: 2, Operations: []string{"list_users"}})
	got := []int{}
	for range 2 {
		got = append(got, c.close(ana).status, c.list("").status)
	}
	got = append(got, c.list("").status)
	if want := []int{200, 500, 200, 500, 200}; !slices.Equal(got, want) {
		t.Errorf("statuses %v, want %v", got, want)
	}
}

func TestFaultsStrikeSignInToo(t *testing.T) {
	c := startWith(t, quirks{})
	c.server.SetFaults(faults{Error500: 1, Operations: []string{"sign_in"}})
	if a := c.grant(assertion(t, newKey(), claims(nil))); a.status != http.StatusInternalServerError {
		t.Errorf("status %d", a.status)
	}
}

func TestFaultsRepeat(t *testing.T) {
	run := func(seed int64) string {
		c := startWith(t, quirks{}, user{ID: ana})
		c.server.SetFaults(faults{Seed: seed, CutAfter: 0.2, Error500: 0.2, HTML: 0.2})
		var struck []string
		for range 60 {
			c.list("")
		}
		for _, r := range c.server.Requests()[1:] {
			struck = append(struck, r.Fault)
		}
		return strings.Join(struck, " ")
	}
	first := run(7)
	for _, f := range []string{"cut_after", "error_500", "html", "  "} { // two spaces: a call without a fault
		if !strings.Contains(first, f) {
			t.Errorf("%q never struck: %s", f, first)
		}
	}
	if again := run(7); again != first {
		t.Errorf("the same seed gave\n%s\nthen\n%s", first, again)
	}
	if other := run(8); other == first {
		t.Error("another seed gave the same")
	}
}

func TestSomeUsersOfABatchAreStruck(t *testing.T) {
	c := start(t, docusigntest.Config{Accounts: []docusigntest.AccountConfig{{ID: account, Generate: 100}}})
	c.server.SetFaults(faults{Seed: 1, MissingEntry: 0.3, NotClosed: 0.3})
	var ids []string
	for _, u := range c.server.Users(account) {
		ids = append(ids, u.ID)
	}
	var got closed
	c.decode(c.close(ids...), http.StatusOK, &got)
	outcomes := got.outcomes()
	kinds := make(map[string]int)
	for _, u := range c.server.Users(account) {
		answered, there := outcomes[u.ID]
		switch {
		case !there && u.Status == "Closed":
			kinds["missing"]++
		case there && answered == u.Status:
			kinds[u.Status]++
		default:
			t.Errorf("%s is %s, answered %q", u.ID, u.Status, answered)
		}
	}
	if len(kinds) != 3 {
		t.Errorf("not all three happened: %v", kinds)
	}
}

func TestDown(t *testing.T) {
	c := startWith(t, quirks{})
	c.server.SetDown(true)
	if a := c.list(""); a.err == nil {
		t.Errorf("status %d while down", a.status)
	}
	if a := c.grant(assertion(t, newKey(), claims(nil))); a.err == nil {
		t.Errorf("sign-in: status %d while down", a.status)
	}
	c.server.SetDown(false)
	if a := c.list(""); a.status != http.StatusOK {
		t.Errorf("status %d, error %v once up", a.status, a.err)
	}
}
