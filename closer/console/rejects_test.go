package console_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// replays stands for the daemon that reads payloads anew: one that begins with
// "bad" fails again.
type replays struct {
	ledger *ledger.Ledger

	mu    sync.Mutex
	fails map[int64]error // by reject
	tried []int64
}

func (p *replays) Replay(ctx context.Context, id int64, by string) (ledger.Reject, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried = append(p.tried, id)
	if err := p.fails[id]; err != nil {
		return ledger.Reject{}, err
	}
	r, err := p.ledger.FindReject(ctx, id)
	if err != nil {
		return r, err
	}
	var rejects []consumer.Reject
	if strings.HasPrefix(string(r.Payload), "bad") {
		rejects = append(rejects, consumer.Reject{Key: r.Key, Reason: consumer.InvalidTime, Detail: "effectiveAt: neither"})
	}
	return p.ledger.ReplayReject(ctx, id, nil, rejects, by)
}

// reject records a reject with this payload and returns its id.
func (r *room) reject(t *testing.T, payload string) int64 {
	t.Helper()
	return r.rejectAll(t, payload)[0]
}

// rejectAll records a reject for each payload and returns their ids.
func (r *room) rejectAll(t *testing.T, payloads ...string) []int64 {
	t.Helper()
	before, err := r.ledger.LastReject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := consumer.Intake{Source: consumer.Webhook}
	for i, payload := range payloads {
		in.Rejects = append(in.Rejects, consumer.Reject{
			Key:    consumer.Key{Origin: "/events", Source: "https://hr.example.com", ID: fmt.Sprint("ann@example.com-", int(before)+i)},
			Reason: consumer.NoEmail, Detail: "email: missing", Payload: []byte(payload), ReceivedAt: time.Now()})
	}
	if err := r.ledger.Record(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	ids, err := r.ledger.OpenRejects(t.Context(), ledger.RejectFilter{}, before, 0)
	if err != nil || len(ids) != len(payloads) {
		t.Fatalf("rejects %v, %v", ids, err)
	}
	return ids
}

func TestRejectAnswers(t *testing.T) {
	r := open(t, setup{})
	id := r.reject(t, `{"email": "ann@example.com"}`)
	one := fmt.Sprintf("/api/v1/rejects/%d", id)
	settled := r.reject(t, "x")
	if _, err := r.ledger.DiscardReject(t.Context(), settled, "carol", "about ben"); err != nil {
		t.Fatal(err)
	}
	over := fmt.Sprintf("/api/v1/rejects/%d", settled)
	const reason = `{"reason": "a test of the vendor's"}`
	many := strings.TrimSuffix(strings.Repeat("1,", 101), ",")
	for name, c := range map[string]struct {
		method, path, token, body string
		status                    int
		want                      string // a part of the body
	}{
		"list by a viewer":               {"GET", "/api/v1/rejects", viewer, "", 200, `"eventId":"ann@example.com-0"`},
		"list by nobody":                 {"GET", "/api/v1/rejects", "", "", 401, "a token from"},
		"list by a state":                {"GET", "/api/v1/rejects?state=discarded", viewer, "", 200, `"settled":{"by":"carol"`},
		"list of none":                   {"GET", "/api/v1/rejects?origin=/other", viewer, "", 200, `{"rejects":[]}`},
		"list by a state there is not":   {"GET", "/api/v1/rejects?state=opne", viewer, "", 400, "state: "},
		"list by a reason there is not":  {"GET", "/api/v1/rejects?reason=x", viewer, "", 400, "reason: "},
		"list by a source there is not":  {"GET", "/api/v1/rejects?source=x", viewer, "", 400, "source: "},
		"list before a word":             {"GET", "/api/v1/rejects?before=x", viewer, "", 400, "before: not the id"},
		"list of nothing":                {"GET", "/api/v1/rejects?limit=0", viewer, "", 400, "limit: not a number from 1 to 1000"},
		"list of too many":               {"GET", "/api/v1/rejects?limit=1001", viewer, "", 400, "limit: not"},
		"show by an operator":            {"GET", one, operator, "", 200, `"payload":"eyJlbWFpbCI6ICJhbm5AZXhhbXBsZS5jb20ifQ=="`},
		"show by a viewer":               {"GET", one, viewer, "", 200, `"detail":"email: missing"`},
		"show by nobody":                 {"GET", one, "", "", 401, ""},
		"show of none":                   {"GET", "/api/v1/rejects/999", viewer, "", 404, "no such reject"},
		"show of a word":                 {"GET", "/api/v1/rejects/seven", viewer, "", 404, "no such reject"},
		"replay by a viewer":             {"POST", one + "/replay", viewer, "{}", 403, "needs the role operator"},
		"replay by nobody":               {"POST", one + "/replay", "", "{}", 401, ""},
		"replay of none":                 {"POST", "/api/v1/rejects/999/replay", operator, "{}", 404, "no such reject"},
		"replay of a word":               {"POST", "/api/v1/rejects/seven/replay", operator, "{}", 404, "no such reject"},
		"replay of a settled one":        {"POST", over + "/replay", operator, "{}", 409, "not open any more"},
		"replay of many by a viewer":     {"POST", "/api/v1/rejects/replay", viewer, `{"all": true}`, 403, ""},
		"replay of nothing said":         {"POST", "/api/v1/rejects/replay", operator, `{}`, 400, "either ids or all"},
		"replay of both":                 {"POST", "/api/v1/rejects/replay", operator, `{"all": true, "ids": [1]}`, 400, "either ids or all"},
		"replay of a mistyped filter":    {"POST", "/api/v1/rejects/replay", operator, `{"all": true, "resaon": "no_email"}`, 400, "the body must be JSON"},
		"replay by a reason there isn't": {"POST", "/api/v1/rejects/replay", operator, `{"all": true, "reason": "x"}`, 400, "reason: "},
		"replay of ids by a reason":      {"POST", "/api/v1/rejects/replay", operator, `{"ids": [1], "reason": "no_email"}`, 400, "goes with no other"},
		"replay of too many":             {"POST", "/api/v1/rejects/replay", operator, `{"ids": [` + many + `]}`, 400, "more than 100"},
		"discard by a viewer":            {"POST", one + "/discard", viewer, reason, 403, "needs the role operator"},
		"discard without a reason":       {"POST", one + "/discard", operator, `{}`, 400, "a reason is needed"},
		"discard with a blank reason":    {"POST", one + "/discard", operator, `{"reason": "  "}`, 400, "a reason is needed"},
		"discard without a body":         {"POST", one + "/discard", operator, "", 400, "the body must be JSON"},
		"discard of none":                {"POST", "/api/v1/rejects/999/discard", operator, reason, 404, "no such reject"},
		"discard of a settled one":       {"POST", over + "/discard", operator, reason, 409, "not open any more"},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.ask(t, c.method, c.path, c.token, c.body)
			if a.status != c.status || !strings.Contains(a.body, c.want) {
				t.Errorf("%d %s, want %d with %q", a.status, a.body, c.status, c.want)
			}
			if a.status >= 400 {
				isProblem(t, a)
			}
			if strings.Contains(a.body, `"payload"`) && (c.token != operator || !strings.HasPrefix(name, "show")) {
				t.Errorf("%s has the payload: %s", name, a.body)
			}
		})
	}
	if found, err := r.ledger.FindReject(t.Context(), id); err != nil || found.State != ledger.RejectOpen || found.Attempts != 1 {
		t.Errorf("reject %+v, %v; want it as it was", found, err)
	}
}

func TestRejectsWithoutTokens(t *testing.T) {
	r := open(t, setup{noTokens: true})
	id := r.reject(t, "ann@example.com")
	if _, err := r.ledger.DiscardReject(t.Context(), id, "carol", "about ben@example.com"); err != nil {
		t.Fatal(err)
	}
	one := fmt.Sprintf("/api/v1/rejects/%d", id)
	for _, path := range []string{"/api/v1/rejects", one} {
		a := r.ask(t, "GET", path, "", "")
		if a.status != 200 || !strings.Contains(a.body, `"reason":"no_email"`) || strings.Contains(a.body, "@") || strings.Contains(a.body, "hr.example.com") || strings.Contains(a.body, "payload") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for _, path := range []string{one + "/replay", one + "/discard", "/api/v1/rejects/replay"} {
		if a := r.ask(t, "POST", path, "", `{"reason": "x"}`); a.status != 403 || !strings.Contains(a.body, "read-only") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestRejectsAreListedInPages(t *testing.T) {
	r := open(t, setup{})
	ids := r.rejectAll(t, "1", "2", "3", "4", "5")
	slices.Reverse(ids)
	c := client(t, r, viewer)
	for limit, pages := range map[int]int{1: 5, 2: 3, 5: 1, 0: 1} {
		var got []int64
		n := 0
		f := ledger.RejectFilter{State: ledger.RejectOpen, Reason: consumer.NoEmail, Via: consumer.Webhook, Origin: "/events", Limit: limit}
		for {
			n++
			page, err := c.Rejects(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range page.Rejects {
				got = append(got, one.ID)
			}
			if f.Before = page.Next; page.Next == 0 {
				break
			}
		}
		if !slices.Equal(got, ids) || n != pages {
			t.Errorf("%d at once: %v in %d pages, want %v in %d", limit, got, n, ids, pages)
		}
	}
}

func TestReplayAndDiscard(t *testing.T) {
	r := open(t, setup{})
	good, bad := r.reject(t, "good"), r.reject(t, "bad")
	c := client(t, r, operator)
	a := r.ask(t, "POST", fmt.Sprintf("/api/v1/rejects/%d/replay", good), operator, "{}")
	if a.status != 200 || !strings.Contains(a.body, `"state":"replayed"`) || !strings.Contains(a.body, `"by":"alice"`) {
		t.Errorf("replayed: %d %s", a.status, a.body)
	}
	done, err := c.ReplayRejects(t.Context(), console.Replay{IDs: []int64{bad, good, 999}})
	if err != nil || done.Next != nil || done.Stopped != "" || len(done.Results) != 3 {
		t.Fatalf("replayed: %+v, %v", done, err)
	}
	if got := done.Results[0]; got != (console.ReplayResult{ID: bad, State: "open", Reason: "invalid_time", Detail: "effectiveAt: neither"}) {
		t.Errorf("failed again: %+v", got)
	}
	if got := done.Results[1]; got.ID != good || !strings.Contains(got.Error, "not open any more") {
		t.Errorf("settled: %+v", got)
	}
	if got := done.Results[2]; got.ID != 999 || !strings.Contains(got.Error, "no such reject") {
		t.Errorf("none: %+v", got)
	}
	if got, err := c.DiscardReject(t.Context(), bad, " a test "); err != nil || got.State != "discarded" || got.Settled.By != "alice" || got.Settled.Reason != "a test" {
		t.Errorf("discarded: %+v, %v", got, err)
	}
	if got, err := c.ShowReject(t.Context(), bad); err != nil || string(got.Payload) != "bad" || got.Attempts != 2 {
		t.Errorf("shown: %+v, %v", got, err)
	}
	for _, line := range r.logs.All() {
		if text := fmt.Sprint(line.Message, line.ContextMap()); strings.Contains(text, "@") || strings.Contains(text, "a test") {
			t.Errorf("the log shows %s", text)
		}
	}
}

// replayAll goes on with replays until none is left or one stops.
func replayAll(t *testing.T, c *console.Client, which console.Replay) (pages int, last console.Replayed, all []console.ReplayResult) {
	t.Helper()
	for next := &which; next != nil && last.Stopped == ""; next = last.Next {
		var err error
		if last, err = c.ReplayRejects(t.Context(), *next); err != nil {
			t.Fatal(err)
		}
		pages++
		all = append(all, last.Results...)
	}
	return pages, last, all
}

func TestAllAreReplayedPageByPage(t *testing.T) {
	r := open(t, setup{})
	payloads := slices.Repeat([]string{"good", "bad"}, 105)
	ids := r.rejectAll(t, payloads...)
	pages, _, results := replayAll(t, client(t, r, operator), console.Replay{All: true, Reason: "no_email", Source: "webhook", Origin: "/events"})
	if pages != 3 || !slices.Equal(r.replays.tried, ids) {
		t.Errorf("%d pages, tried %d; want each once, in the order in which they came", pages, len(r.replays.tried))
	}
	failed := 0
	for _, result := range results {
		if result.State == "open" {
			failed++
		}
	}
	if len(results) != len(ids) || failed != len(ids)/2 {
		t.Errorf("%d results, %d failed again", len(results), failed)
	}
	r.replays.tried = nil
	if _, _, results := replayAll(t, client(t, r, operator), console.Replay{All: true, Reason: "no_email"}); len(results) != 0 {
		t.Errorf("%d have a reason that they had before", len(results))
	}
}

// What comes in while all is replayed is not waited for, or it might never end.
func TestAllIsWhatThereWasAtFirst(t *testing.T) {
	r := open(t, setup{})
	r.rejectAll(t, slices.Repeat([]string{"bad"}, 101)...)
	c := client(t, r, operator)
	first, err := c.ReplayRejects(t.Context(), console.Replay{All: true})
	if err != nil || first.Next == nil {
		t.Fatalf("%+v, %v", first, err)
	}
	r.rejectAll(t, "bad", "bad")
	if pages, _, results := replayAll(t, c, *first.Next); pages != 1 || len(results) != 1 {
		t.Errorf("%d more in %d pages, want one", len(results), pages)
	}
}

func TestReplayStopsWhereADirectoryIsAway(t *testing.T) {
	r := open(t, setup{})
	ids := r.rejectAll(t, "good", "cut", "good", "good")
	r.replays.fails = map[int64]error{
		ids[1]: fmt.Errorf("reject %d: %w", ids[1], ledger.ErrCut),
		ids[2]: fmt.Errorf("reject %d: events.directory: 502; %w", ids[2], console.ErrLater),
	}
	c := client(t, r, operator)
	_, last, results := replayAll(t, c, console.Replay{All: true})
	if len(results) != 2 || !strings.Contains(results[1].Error, "only the head") || !strings.Contains(last.Stopped, "events.directory: 502; nothing was changed") {
		t.Errorf("results %+v, %+v; want it to go on after what is cut, and to stop at the directory", results, last)
	}
	delete(r.replays.fails, ids[2])
	if _, last, results = replayAll(t, c, *last.Next); len(results) != 2 || last.Stopped != "" {
		t.Errorf("gone on with: %+v, %+v", results, last)
	}
	r.replays.fails[ids[1]] = fmt.Errorf("%w", console.ErrLater)
	if a := r.ask(t, "POST", fmt.Sprintf("/api/v1/rejects/%d/replay", ids[1]), operator, "{}"); a.status != 503 {
		t.Errorf("%d %s", a.status, a.body)
	}
	r.replays.fails[ids[1]] = fmt.Errorf("kafka.topics: old: %w", console.ErrOrigin)
	if a := r.ask(t, "POST", fmt.Sprintf("/api/v1/rejects/%d/replay", ids[1]), operator, "{}"); a.status != 409 || !strings.Contains(a.body, "the config does not name it any more") {
		t.Errorf("%d %s", a.status, a.body)
	}
	r.replays.fails[ids[1]] = fmt.Errorf("sql: secret@example.com")
	if a := r.ask(t, "POST", "/api/v1/rejects/replay", operator, fmt.Sprintf(`{"ids": [%d]}`, ids[1])); a.status != 200 || strings.Contains(a.body, "@") || !strings.Contains(a.body, `"stopped":"the ledger did not answer`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}
