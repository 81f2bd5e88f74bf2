package console_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// plans stands for the daemon that plans are made by.
type plans struct {
	mu       sync.Mutex
	refuses  error
	looked   []bool
	approved []console.PlanApproval
	by       []ledger.Person
}

func (p *plans) PlanAt(_ context.Context, at time.Time, of string, look bool) ([]console.Plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked = append(p.looked, look)
	plan := console.Plan{Account: account, At: at, Waiting: 1, LookedUp: look, People: []console.PlanPerson{}}
	if look {
		plan.People = append(plan.People, console.PlanPerson{Emails: []string{"ana@example.com"}, Outcome: "closed"})
	}
	return []console.Plan{plan}, p.refuses
}

func (p *plans) ApprovePlan(_ context.Context, a console.PlanApproval, by ledger.Person) (ledger.Hold, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.approved, p.by = append(p.approved, a), append(p.by, by)
	return ledger.Hold{ID: 7, Account: a.Account, Digest: a.Digest, State: ledger.HoldApproved, Ahead: true, ValidFrom: a.At, ExpiresAt: a.At.Add(a.For)}, p.refuses
}

func TestPlanIsShownToWhoHasAName(t *testing.T) {
	r := open(t, setup{})
	at := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	got, err := client(t, r, viewer).PlanAt(t.Context(), at, " "+strings.ToUpper(account))
	if err != nil || len(got) != 1 || !got[0].At.Equal(at) || !got[0].LookedUp || len(got[0].People) != 1 {
		t.Errorf("plan %+v, %v, want it with its people", got, err)
	}
	nobody := open(t, setup{noTokens: true})
	got, err = client(t, nobody, "").PlanAt(t.Context(), at, "")
	if err != nil || got[0].LookedUp || len(got[0].People) != 0 || nobody.plans.looked[0] {
		t.Errorf("plan %+v, %v, want it counted, and nobody looked up", got, err)
	}
	if a := nobody.ask(t, http.MethodPost, "/api/v1/plan/approve", "", `{}`); a.status != http.StatusForbidden {
		t.Errorf("approved by nobody: %d %s", a.status, a.body)
	}
}

func TestPlanIsApprovedByAnOperator(t *testing.T) {
	r := open(t, setup{})
	at := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	digest := strings.Repeat("ab", 32)
	h, err := client(t, r, operator).ApprovePlan(t.Context(), console.PlanApproval{At: at, Account: account, Digest: digest, For: 2 * time.Hour, Reason: "the office closes"})
	if err != nil || h.ID != 7 || !h.Ahead || !h.ExpiresAt.Equal(at.Add(2*time.Hour)) {
		t.Errorf("hold %+v, %v", h, err)
	}
	if a := r.plans.approved[0]; !a.At.Equal(at) || a.Digest != digest || a.Reason != "the office closes" || r.plans.by[0].Name != "alice" {
		t.Errorf("approved %+v by %+v", a, r.plans.by)
	}
}

func TestBadPlansAreRefused(t *testing.T) {
	r := open(t, setup{})
	at, digest := time.Now().Add(48*time.Hour).UTC().Format(time.RFC3339), strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		path, token, body string
		status            int
		want              string
	}{
		"no JSON":           {"plan", viewer, "tomorrow", 400, "the body must be JSON"},
		"too large":         {"plan", viewer, `{"account": "` + strings.Repeat("x", 70<<10) + `"}`, 413, "larger than"},
		"years ahead":       {"plan", viewer, `{"at": "2999-01-01T00:00:00Z"}`, 400, "more than a year ahead"},
		"a viewer approves": {"plan/approve", viewer, `{}`, 403, "the role operator"},
		"no time":           {"plan/approve", operator, `{"account": "a"}`, 400, "at: is missing"},
		"no account":        {"plan/approve", operator, `{"at": "` + at + `"}`, 400, "account: is missing"},
		"half a digest":     {"plan/approve", operator, `{"at": "` + at + `", "account": "a", "digest": "abab"}`, 400, "64 hex digits"},
		"no reason":         {"plan/approve", operator, `{"at": "` + at + `", "account": "a", "digest": "` + digest + `", "reason": " "}`, 400, "a reason is needed"},
		"good for a month":  {"plan/approve", operator, `{"at": "` + at + `", "account": "a", "digest": "` + digest + `", "reason": "x", "for": "720h"}`, 400, "for: "},
	} {
		if a := r.ask(t, http.MethodPost, "/api/v1/"+c.path, c.token, c.body); a.status != c.status || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d %s, want %d with %q", name, a.status, a.body, c.status, c.want)
		}
	}
	if len(r.plans.approved)+len(r.plans.looked) != 0 {
		t.Errorf("made %v, approved %v, want none", r.plans.looked, r.plans.approved)
	}
}

func TestWhyAPlanIsNotApproved(t *testing.T) {
	r := open(t, setup{})
	body := `{"at": "` + time.Now().Add(48*time.Hour).UTC().Format(time.RFC3339) + `", "account": "a", "digest": "` + strings.Repeat("ab", 32) + `", "reason": "x"}`
	for _, c := range []struct {
		refuses error
		status  int
		want    string
	}{
		{&console.PlanChangedError{Users: 3, Known: true, More: 2, Less: 1}, 409, "which has 3 users now: 2 more than the one that you have seen, and 1 of that are not in it"},
		{ledger.ErrPlanChanged, 409, "look at it again"},
		{console.ErrMode, 409, "dry-run"},
		{console.ErrAccount, 400, "none that leavers are closed in"},
		{ledger.ErrNotAhead, 400, "not in the future"},
		{ledger.ErrNobody, 400, "nobody"},
		{ledger.ErrStandsIn, 403, "about themselves"},
		{ledger.ErrBrought, 403, "brought themselves"},
		{console.ErrLater, 503, "later"},
		{context.DeadlineExceeded, 502, "deadline"},
	} {
		r.plans.refuses = c.refuses
		if a := r.ask(t, http.MethodPost, "/api/v1/plan/approve", operator, body); a.status != c.status || !strings.Contains(a.body, c.want) {
			t.Errorf("%v: %d %s, want %d with %q", c.refuses, a.status, a.body, c.status, c.want)
		}
	}
}
