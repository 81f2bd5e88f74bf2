package console_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"signoff/closer/console"
)

// leavers stands for the daemon that people are closed by.
type leavers struct {
	mu      sync.Mutex
	refuses error
	taken   []console.Take
	planned [][]string
}

func (l *leavers) Preview(_ context.Context, emails []string) ([]console.Planned, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.planned = append(l.planned, emails)
	return []console.Planned{{Email: emails[0], Account: account, Users: []console.User{{UserID: "u-1", Email: emails[0]}}, Outcome: "closed"}}, l.refuses
}

func (l *leavers) Take(_ context.Context, t console.Take) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = append(l.taken, t)
	return l.refuses
}

func (l *leavers) Follow(_ context.Context, file string) (console.Progress, error) {
	if file != "a-file-of-people" {
		return console.Progress{}, nil
	}
	return console.Progress{Rows: []console.Row{{Email: "ana@example.com", Account: account, State: "held", Hold: 7}}}, l.refuses
}

func client(t *testing.T, r *room, token string) *console.Client {
	t.Helper()
	c, err := console.NewClient(r.url, token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPeopleAreTakenByAnOperator(t *testing.T) {
	r := open(t, setup{})
	c := client(t, r, operator)
	plan, err := c.Preview(t.Context(), []string{" Ana@Example.com"})
	if err != nil || len(plan) != 1 || plan[0].Users[0].UserID != "u-1" {
		t.Errorf("plan %+v, %v", plan, err)
	}
	if err := c.Take(t.Context(), console.Take{File: "a-file-of-people", Emails: []string{"Ana@Example.com", "ana@example.com"}, Urgent: true}); err != nil {
		t.Fatal(err)
	}
	taken := r.leavers.taken[0]
	if taken.By != "alice" || !taken.Urgent || !slices.Equal(taken.Emails, []string{"ana@example.com"}) {
		t.Errorf("took %+v, want ana once, urgent, brought by alice", taken)
	}
	p, err := c.Follow(t.Context(), "a-file-of-people")
	if err != nil || len(p.Rows) != 1 || p.Rows[0].Hold != 7 {
		t.Errorf("progress %+v, %v", p, err)
	}
	if p, err := c.Follow(t.Context(), "another-file"); err != nil || len(p.Rows) != 0 {
		t.Errorf("of a file that nobody sent: %+v, %v", p, err)
	}
}

func TestTakingPeopleInADryRunIsRefused(t *testing.T) {
	r := open(t, setup{})
	r.leavers.refuses = console.ErrMode
	err := client(t, r, operator).Take(t.Context(), console.Take{File: "a-file-of-people", Emails: []string{"ana@example.com"}})
	if !errors.Is(err, console.ErrMode) {
		t.Errorf("error %v, want ErrMode", err)
	}
}

func TestLeaversAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, token, body string
		want                      int
	}{
		"who only looks may not plan":   {"POST", "/api/v1/leavers/plan", viewer, `{"emails":["ana@example.com"]}`, 403},
		"who only looks may not send":   {"POST", "/api/v1/leavers", viewer, `{"file":"a-file-of-people","emails":["ana@example.com"]}`, 403},
		"who only looks may not follow": {"GET", "/api/v1/leavers/a-file-of-people", viewer, ``, 403},
		"nobody":                        {"POST", "/api/v1/leavers", "", `{"file":"a-file-of-people","emails":["ana@example.com"]}`, 401},
		"what is no address":            {"POST", "/api/v1/leavers", operator, `{"file":"a-file-of-people","emails":["ana@example.com","ana"]}`, 400},
		"no people":                     {"POST", "/api/v1/leavers/plan", operator, `{"emails":[]}`, 400},
		"a file without an id":          {"POST", "/api/v1/leavers", operator, `{"file":"x","emails":["ana@example.com"]}`, 400},
		"what is no JSON":               {"POST", "/api/v1/leavers", operator, `email\nana@example.com`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, setup{})
			req, err := http.NewRequestWithContext(t.Context(), c.method, r.url+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+c.token)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.want || len(r.leavers.taken) != 0 || len(r.leavers.planned) != 0 {
				t.Errorf("status %d, want %d; taken %v, planned %v", resp.StatusCode, c.want, r.leavers.taken, r.leavers.planned)
			}
		})
	}
}
