package console_test

import (
	"strings"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// stand are the states of the entries, the oldest first.
func (r *room) stand(t *testing.T) string {
	t.Helper()
	entries, err := r.ledger.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, e := range entries {
		states = append(states, string(e.State))
	}
	return strings.Join(states, " ")
}

func TestAnOperatorSpeaksOfLeavers(t *testing.T) {
	r := open(t, setup{})
	r.hold(t, ledger.Limit, "ann", "ben", "cas")
	c := client(t, r, operator)
	until := time.Now().Add(48 * time.Hour).Truncate(time.Second)

	moved, err := c.Defer(t.Context(), console.ByHand{Email: " Ann@Example.com", Until: until, Reason: "hands over"})
	if err != nil || len(moved.Entries) != 1 || moved.Entries[0].Before != "held" || moved.Entries[0].After != "waiting" || !moved.Entries[0].DueAt.Equal(until) {
		t.Errorf("deferred: %+v, %v", moved, err)
	}
	if moved, err = c.Urgent(t.Context(), console.ByHand{Email: "ben@example.com", Reason: "walked out"}); err != nil || moved.Entries[0].After != "due" {
		t.Errorf("urgent: %+v, %v", moved, err)
	}
	if moved, err = c.Skip(t.Context(), console.ByHand{Email: "cas@example.com", Reason: "stays on"}); err != nil || moved.Entries[0].After != "skipped" {
		t.Errorf("skipped: %+v, %v", moved, err)
	}
	if n := r.skipped.Load(); n != 1 {
		t.Errorf("%d are counted as skipped", n)
	}
	if got := r.stand(t); got != "waiting due skipped" {
		t.Errorf("they are %s", got)
	}
	if moved, err = c.Retry(t.Context(), console.ByHand{Email: "cas@example.com", Reason: "does not after all"}); err != nil || moved.Entries[0].Entry != 4 || moved.Entries[0].After != "due" {
		t.Errorf("retry: %+v, %v", moved, err)
	}
	for _, line := range r.logs.All() {
		if text := line.Message; strings.Contains(text, "@") {
			t.Errorf("the log shows an address: %s", text)
		}
		for key, value := range line.ContextMap() {
			if s, ok := value.(string); ok && strings.Contains(s, "@") {
				t.Errorf("the log shows an address in %s", key)
			}
		}
	}
	if n := r.logs.FilterMessage("a person has spoken of a leaver").Len(); n != 4 {
		t.Errorf("%d lines in the log, want one for each word", n)
	}
}

func TestWordsOnLeaversThatAreRefused(t *testing.T) {
	r := open(t, setup{})
	r.setTokens(t, "alice:operator:"+hashOf(operator), "ann:operator:"+hashOf("ann-token")+":Ann@example.com", "bob:viewer:"+hashOf(viewer))
	r.hold(t, ledger.Limit, "ann")
	const ann = `{"email": "ann@example.com", "reason": "because"}`
	for name, c := range map[string]struct {
		what, token, body string
		status            int
		want              string
	}{
		"by nobody":              {"skip", "", ann, 401, "a token from admin.tokens_file is needed"},
		"by a viewer":            {"skip", viewer, ann, 403, "needs the role operator"},
		"about themselves":       {"skip", "ann-token", ann, 403, "nobody decides about themselves"},
		"even urgently":          {"urgent", "ann-token", ann, 403, "nobody decides about themselves"},
		"about nobody known":     {"skip", operator, `{"email": "zoe@example.com", "reason": "because"}`, 404, "no leaver goes by this address"},
		"no body":                {"urgent", operator, ``, 400, "the body must be JSON such as"},
		"a word there is not":    {"skip", operator, `{"email": "ann@example.com", "reason": "because", "account": "one"}`, 400, "the body must be JSON such as"},
		"no address":             {"skip", operator, `{"email": "ann", "reason": "because"}`, 400, "email: not an address"},
		"no reason":              {"retry", operator, `{"email": "ann@example.com", "reason": " "}`, 400, "a reason is needed"},
		"a long reason":          {"skip", operator, `{"email": "ann@example.com", "reason": "` + strings.Repeat("é", 1001) + `"}`, 400, "longer than 1000 characters"},
		"a large body":           {"skip", operator, `{"email": "ann@example.com", "reason": "` + strings.Repeat("x", 1<<17) + `"}`, 413, "larger than 65536 bytes"},
		"deferred for ever":      {"defer", operator, ann, 400, "until: is needed"},
		"deferred to a word":     {"defer", operator, `{"email": "ann@example.com", "until": "Monday", "reason": "because"}`, 400, `"until": "2026`},
		"deferred to yesterday":  {"defer", operator, `{"email": "ann@example.com", "until": "2020-01-01T00:00:00Z", "reason": "because"}`, 400, "until: not within a year"},
		"skipped until":          {"skip", operator, `{"email": "ann@example.com", "until": "2020-01-01T00:00:00Z", "reason": "because"}`, 400, "until: goes with defer alone"},
		"tried again while held": {"retry", operator, ann, 409, "held: hold 1 waits for a person"},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.ask(t, "POST", "/api/v1/leavers/"+c.what, c.token, c.body)
			if a.status != c.status || !strings.Contains(strings.ReplaceAll(a.body, `\"`, `"`), c.want) {
				t.Errorf("%d %s, want %d with %q", a.status, a.body, c.status, c.want)
			}
			isProblem(t, a)
		})
	}
	if got := r.stand(t); got != "held" {
		t.Errorf("she is %s, want her as she was", got)
	}
}

func TestWithoutTokensNobodySpeaksOfLeavers(t *testing.T) {
	r := open(t, setup{noTokens: true})
	a := r.ask(t, "POST", "/api/v1/leavers/skip", "", `{"email": "ann@example.com", "reason": "because"}`)
	if a.status != 403 || !strings.Contains(a.body, "a decision needs a named person") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
