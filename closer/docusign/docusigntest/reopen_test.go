package docusigntest_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"signoff/closer/docusign/docusigntest"
)

func (c *caller) reopen(ids ...string) answer {
	c.t.Helper()
	var entries []string
	for _, id := range ids {
		entries = append(entries, `{"userId":"`+id+`","sendActivationEmail":"send"}`)
	}
	return c.ask(http.MethodPut, usersPath(account), `{"users":[`+strings.Join(entries, ",")+`]}`)
}

func TestReopenUsers(t *testing.T) {
	for name, test := range map[string]struct {
		quirks quirks
		before string            // status of Ana
		want   map[string]string // per user of the answer: errorCode or status
		status string            // of Ana afterwards
	}{
		"the person must still click":   {quirks{}, "Closed", map[string]string{ana: "ActivationSent"}, "ActivationSent"},
		"active at once":                {quirks{ReopensAs: "Active"}, "Closed", map[string]string{ana: "Active"}, "Active"},
		"answered, and nothing done":    {quirks{ReopensAs: "Closed"}, "Closed", map[string]string{ana: "Closed"}, "Closed"},
		"no status in the answer":       {quirks{NoUserStatus: true}, "Closed", map[string]string{ana: ""}, "ActivationSent"},
		"refused":                       {quirks{Reopen: "user:X"}, "Closed", map[string]string{ana: "X"}, "Closed"},
		"open already":                  {quirks{}, "Active", map[string]string{ana: "Active"}, "Active"},
		"open already, refused":         {quirks{ReopenOpen: "X"}, "Disabled", map[string]string{ana: "X"}, "Disabled"},
		"sent before, and sent anew":    {quirks{}, "ActivationSent", map[string]string{ana: "ActivationSent"}, "ActivationSent"},
		"refused, whatever the status":  {quirks{Reopen: "user:X"}, "Active", map[string]string{ana: "X"}, "Active"},
		"managed by SCIM is no trouble": {quirks{SCIM: "X"}, "Closed", map[string]string{ana: "ActivationSent"}, "ActivationSent"},
	} {
		t.Run(name, func(t *testing.T) {
			c := startWith(t, test.quirks, user{ID: ana, Email: "ana@example.com", Status: test.before, ManagedBySCIM: true})
			var got closed
			c.decode(c.reopen(strings.ToUpper(ana)), http.StatusOK, &got)
			outcomes := make(map[string]string)
			for id, outcome := range got.outcomes() {
				outcomes[strings.ToLower(id)] = outcome
			}
			if !maps.Equal(outcomes, test.want) {
				t.Errorf("answered %v, want %v", outcomes, test.want)
			}
			if u, _ := c.server.User(account, ana); u.Status != test.status {
				t.Errorf("Ana is %s, want %s", u.Status, test.status)
			}
		})
	}
}

func TestReopenIsRefused(t *testing.T) {
	c := startWith(t, quirks{Reopen: "X"}, user{ID: ana, Status: "Closed"})
	c.wantRefusal(c.reopen(ana), http.StatusBadRequest, "X")
	c = startWith(t, quirks{}, user{ID: ana, Status: "Closed"})
	var got closed
	c.decode(c.reopen(bo), http.StatusOK, &got)
	if got.outcomes()[bo] != "USER_LACKS_MEMBERSHIP" {
		t.Errorf("an unknown user: %v", got.outcomes())
	}
	for _, body := range []string{"", "{}", `{"users":[]}`, `[`} {
		if a := c.ask(http.MethodPut, usersPath(account), body); a.status != http.StatusBadRequest {
			t.Errorf("%q: %d", body, a.status)
		}
	}
	c.wantRefusal(c.ask(http.MethodPut, usersPath(account), `{"users":[{"userId":"`+ana+`","jobTitle":"CEO"}]}`), http.StatusBadRequest, "INVALID_REQUEST_PARAMETER")
	if u, _ := c.server.User(account, ana); u.Status != "Closed" {
		t.Errorf("Ana is %s", u.Status)
	}
}

func TestReopenUnderFaults(t *testing.T) {
	for name, test := range map[string]struct {
		faults faults
		open   bool
	}{
		"cut before it was done": {faults{CutBefore: 1}, false},
		"cut after it was done":  {faults{CutAfter: 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			test.faults.Operations = []string{"reopen_user"}
			c := start(t, docusigntest.Config{Faults: test.faults, Accounts: []docusigntest.AccountConfig{{ID: account, Users: []user{{ID: ana, Status: "Closed"}}}}})
			if a := c.reopen(ana); a.err == nil {
				t.Errorf("answered %d", a.status)
			}
			if u, _ := c.server.User(account, ana); (u.Status != "Closed") != test.open {
				t.Errorf("Ana is %s", u.Status)
			}
			log := c.server.Requests()
			if last := log[len(log)-1]; last.Operation != "reopen_user" || len(last.UserIDs) != 1 && test.open {
				t.Errorf("logged %+v", last)
			}
		})
	}
}
