package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"signoff/closer/console"
)

// reconciler keeps what it was asked, and finds that all are closed.
type reconciler struct {
	asked console.Lists
	err   error
}

func (r *reconciler) Reconcile(_ context.Context, asked console.Lists) (console.Reconciliation, error) {
	r.asked = asked
	found := console.Reconciliation{Made: time.Now(), Totals: []console.VerdictSum{{Verdict: "closed", People: len(asked.People)}, {Verdict: "no_event"}}}
	for _, p := range asked.People {
		found.People = append(found.People, console.Reconciled{Left: p, Verdict: "closed", HeardAt: time.Now(), Source: "hr", Accounts: []console.InAccount{{
			Account: account, State: "closed", DueAt: time.Now(), SettledAt: time.Now(), Docusign: "closed",
			Users: []console.UserSeen{{UserID: "id-of-ana", Email: p.Email, LastLogin: time.Now()}}}}})
	}
	if asked.Roster != nil {
		found.Users = &console.UserSums{Open: 1, OnNoList: 1}
		found.NoList = []console.Stray{{Account: account, UserSeen: console.UserSeen{UserID: "id-of-cid"}, Status: "Active", Marks: []string{"protected"}}}
	}
	return found, r.err
}

func TestReconcile(t *testing.T) {
	r := open(t, setup{})
	client, err := console.NewClient(r.url, viewer)
	if err != nil {
		t.Fatal(err)
	}
	left := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	got, err := client.Reconcile(t.Context(), console.Lists{People: []console.Left{{Email: " Ana@Example.com", LeftAt: left}, {Email: "ben@example.com"},
		{Email: "ANA@example.com", LeftAt: left.AddDate(1, 0, 0)}}, Roster: []string{"Cid@example.com", "cid@example.com"}})
	if err != nil || got.Sum("closed") != 2 || got.Sum("closed", "no_event") != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	want := console.Lists{People: []console.Left{{Email: "ana@example.com", LeftAt: left}, {Email: "ben@example.com"}}, Roster: []string{"cid@example.com"}}
	if !reflect.DeepEqual(r.lists.asked, want) {
		t.Errorf("asked %+v, want %+v", r.lists.asked, want)
	}
	if _, err := client.Reconcile(t.Context(), console.Lists{People: want.People}); err != nil || r.lists.asked.Roster != nil {
		t.Errorf("without a roster: %+v, %v", r.lists.asked, err)
	}
	for _, line := range r.logs.All() {
		if text, _ := json.Marshal(line.ContextMap()); strings.Contains(line.Message+string(text), "@") {
			t.Errorf("the log shows %s %s", line.Message, text)
		}
	}
}

func TestReconcileIsRefused(t *testing.T) {
	r := open(t, setup{})
	for name, c := range map[string]struct {
		token, body string
		want        int
		says        string
	}{
		"without a token":    {"", `{"people": [{"email": "ana@example.com"}]}`, http.StatusUnauthorized, "token"},
		"no JSON":            {viewer, `ana@example.com`, http.StatusBadRequest, `{"people": [`},
		"nobody":             {viewer, `{"people": []}`, http.StatusBadRequest, "people: "},
		"no address":         {viewer, `{"people": [{"email": "ana@example.com"}, {"email": "ben"}]}`, http.StatusBadRequest, "people[1].email"},
		"nobody there":       {viewer, `{"people": [{"email": "ana@example.com"}], "roster": []}`, http.StatusBadRequest, "roster: "},
		"a date that is not": {viewer, `{"people": [{"email": "ana@example.com", "leftAt": "soon"}]}`, http.StatusBadRequest, "JSON such as"},
		"too large":          {viewer, `{"people": [{"email": "` + strings.Repeat("a", 64<<20) + `"}]}`, http.StatusRequestEntityTooLarge, "67108864 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.ask(t, http.MethodPost, "/api/v1/reconcile", c.token, c.body)
			if a.status != c.want || !strings.Contains(strings.ReplaceAll(a.body, `\"`, `"`), c.says) || strings.Contains(a.body, "ben") {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	r.lists.err = errors.New("docusign: list users: 429")
	if a := r.ask(t, http.MethodPost, "/api/v1/reconcile", viewer, `{"people": [{"email": "ana@example.com"}]}`); a.status != http.StatusBadGateway ||
		!strings.Contains(a.body, "429") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestReconcileNeedsANameWhereThereAreNoTokens(t *testing.T) {
	r := open(t, setup{noTokens: true})
	if a := r.ask(t, http.MethodPost, "/api/v1/reconcile", "", `{"people": [{"email": "ana@example.com"}]}`); a.status != http.StatusForbidden || len(r.lists.asked.People) > 0 {
		t.Errorf("%d %s", a.status, a.body)
	}
}
