package docusigntest_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestRequestsAreLogged(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana, Email: "ana@example.com"})
	trace := c.list("email=nobody@example.com").header.Get("X-DocuSign-TraceToken")
	c.close(ana, bo)
	c.ask(http.MethodGet, "/nowhere", "")
	log := c.server.Requests()
	if len(log) != 4 {
		t.Fatalf("%d requests, want 4", len(log))
	}
	type line struct {
		operation, method, path, query, account, code string
		status                                        int
		users                                         string
	}
	want := []line{
		{"sign_in", "POST", "/oauth/token", "", "", "", 200, "[]"},
		{"list_users", "GET", usersPath(account), "email=nobody@example.com", account, "USER_LACKS_MEMBERSHIP", 400, "[]"},
		{"close_users", "DELETE", usersPath(account), "", account, "", 200, "[" + ana + " " + bo + "]"},
		{"", "GET", "/nowhere", "", "", "RESOURCE_NOT_FOUND", 404, "[]"},
	}
	for i, r := range log {
		got := line{r.Operation, r.Method, r.Path, r.Query, r.Account, r.ErrorCode, r.Status, fmt.Sprint(r.UserIDs)}
		if got != want[i] {
			t.Errorf("request %d: %+v, want %+v", i, got, want[i])
		}
		if r.Time.IsZero() || r.Fault != "" {
			t.Errorf("request %d: time %v, fault %q", i, r.Time, r.Fault)
		}
	}
	if trace == "" || log[1].TraceToken != trace {
		t.Errorf("trace token %q answered, %q logged", trace, log[1].TraceToken)
	}
	operations := map[string]int{"sign_in": 1, "list_users": 1, "close_users": 1, "": 1}
	if got := c.server.Stats(); !maps.Equal(got.Operations, operations) || got.Exhausted != 0 {
		t.Errorf("stats %+v", got)
	}
}

func TestRequestsOfTwoClientsCanBeCompared(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana})
	c.server.SetFaults(faults{DropBody: 1, Operations: []string{"close_users"}})
	body := `{"users":[{"userId":"` + ana + `"}]}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, c.base+usersPath(account), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"Content-Type": "application/json", "Accept": "application/json", "Content-Disposition": "filename=a.csv"}
	for name, value := range want {
		r.Header.Set(name, value)
	}
	r.Header.Set("X-DocuSign-SDK", "Node")
	c.do(r)
	last := c.server.Requests()[1]
	want["Authorization"] = "Bearer [redacted]"
	if !maps.Equal(last.Header, want) {
		t.Errorf("headers %v, want %v", last.Header, want)
	}
	if last.Body != body { // as the client sent it, whatever became of it underway
		t.Errorf("body %q", last.Body)
	}
}

func TestAssertionsAreLoggedWithoutSignature(t *testing.T) {
	c := startWith(t, quirks{})
	signed := assertion(t, newKey(), claims(nil))
	c.grant(signed)
	body := c.server.Requests()[1].Body
	signature := signed[strings.LastIndex(signed, "."):]
	if strings.Contains(body, signature) || !strings.Contains(body, "grant_type=urn%3Aietf") {
		t.Errorf("logged %s", body)
	}
	_, logged, _ := strings.Cut(body, "assertion=")
	logged, _, _ = strings.Cut(logged, ".[redacted]")
	var got jwt.MapClaims
	if _, _, err := jwt.NewParser().ParseUnverified(logged+".", &got); err != nil || got["iss"] != integrationKey {
		t.Errorf("claims %v: %v", got, err)
	}
}
