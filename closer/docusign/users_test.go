package docusign

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestUserFields(t *testing.T) {
	const id = "6b67a1ee-0000-4000-8000-000000000000"
	cases := map[string]struct {
		body string
		want User
	}{
		"as documented": {
			`{"userId":"` + id + `","userName":"Ana Paz","email":"Ana@Example.com","userStatus":"Active","isAdmin":"True",
			"createdDateTime":"2019-04-01T22:11:56.4570000Z","userAddedToAccountDateTime":"2020-04-01T22:11:56.4570000Z",
			"lastLogin":"0001-01-01T08:00:00.0000000Z","isManagedByScim":"False","isMembershipManagedByScim":"true"}`,
			User{
				ID: id, Name: "Ana Paz", Email: "Ana@Example.com", Status: Active, Administrator: true, ManagedBySCIM: true,
				Created: time.Date(2019, 4, 1, 22, 11, 56, 457e6, time.UTC),
				Added:   time.Date(2020, 4, 1, 22, 11, 56, 457e6, time.UTC),
			},
		},
		"real booleans, times without zone, nulls": {
			`{"userId":"` + id + `","email":null,"userStatus":"Closed","isAdmin":true,"createdDateTime":"2019-04-01T22:11:56.457","lastLogin":null,"errorDetails":null}`,
			User{ID: id, Status: Closed, Administrator: true, Created: time.Date(2019, 4, 1, 22, 11, 56, 457e6, time.UTC)},
		},
		"the id in capitals": {`{"userId":"` + strings.ToUpper(id) + `","userStatus":"Active"}`, User{ID: strings.ToUpper(id), Status: Active}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := always(200, tc.body)
			got, err := newTestAccount(t, f).User(t.Context(), id)
			if err != nil || got != tc.want {
				t.Errorf("%+v, %v; want %+v", got, err, tc.want)
			}
			if want := "GET https://demo.docusign.net/restapi/v2.1/accounts/" + testAccount + "/users/" + id; f.calls[0] != want {
				t.Errorf("asked %s, want %s", f.calls[0], want)
			}
			if got.Open() != (tc.want.Status != Closed) {
				t.Errorf("open: %v", got.Open())
			}
		})
	}
}

func TestUserOfAnotherIDIsUnreadable(t *testing.T) {
	_, err := newTestAccount(t, always(200, `{"userId":"u2","userStatus":"Closed"}`)).User(t.Context(), "u1")
	if Reason(err) != "unreadable" {
		t.Errorf("%v", err)
	}
}

func TestNothingToLookUpIsNotSent(t *testing.T) {
	f := always(200, noUsers)
	a := newTestAccount(t, f)
	for _, word := range []string{"", " ", "..", "."} {
		if _, err := a.User(t.Context(), word); ClassOf(err) != Permanent {
			t.Errorf("userId %q: %v", word, err)
		}
	}
	if _, err := a.UsersByEmail(t.Context(), " "); ClassOf(err) != Permanent {
		t.Errorf("no email: %v", err)
	}
	if len(f.calls) != 0 {
		t.Errorf("sent %v", f.calls)
	}
}

// crowd answers lists of so many users, by start_position and count.
func crowd(n int) *fake {
	return &fake{api: func(_ int, req *http.Request) (*http.Response, error) {
		q := req.URL.Query()
		start, _ := strconv.Atoi(q.Get("start_position"))
		count, _ := strconv.Atoi(q.Get("count"))
		var users []string
		for i := start; i < min(n, start+count); i++ {
			users = append(users, fmt.Sprintf(`{"userId":"u%d","userStatus":"Active"}`, i))
		}
		return say(200, fmt.Sprintf(`{"users":[%s],"totalSetSize":"%d"}`, strings.Join(users, ","), n)), nil
	}}
}

func TestUsersFollowsPages(t *testing.T) {
	for n, calls := range map[int]int{0: 1, 1: 1, 99: 1, 100: 1, 101: 2, 250: 3} {
		f := crowd(n)
		got := 0
		for u, err := range newTestAccount(t, f).Users(t.Context(), Active, Disabled) {
			if err != nil || u.ID != "u"+strconv.Itoa(got) {
				t.Fatalf("user %d: %+v, %v", got, u, err)
			}
			got++
		}
		if got != n || len(f.calls) != calls {
			t.Errorf("%d users: %d came, in %d calls, want %d calls", n, got, len(f.calls), calls)
		}
		if u, _ := url.Parse(strings.TrimPrefix(f.calls[0], "GET ")); u.Query().Get("status") != "Active,Disabled" || u.Query().Get("count") != "100" {
			t.Errorf("asked %s", f.calls[0])
		}
	}
}

func TestUsersStopsWhenToldTo(t *testing.T) {
	f := crowd(1000)
	for range newTestAccount(t, f).Users(t.Context()) {
		break
	}
	if len(f.calls) != 1 {
		t.Errorf("%d calls for one user", len(f.calls))
	}
}

func TestNonsensePaging(t *testing.T) {
	hundred := func(from int) string {
		users := make([]string, 100)
		for i := range users {
			users[i] = fmt.Sprintf(`{"userId":"u%d","userStatus":"Active"}`, from+i)
		}
		return strings.Join(users, ",")
	}
	cases := map[string]struct {
		pages []string // the last one repeats
		users int
		calls int
		fails bool
	}{
		"the same page for ever":      {[]string{`{"users":[` + hundred(0) + `],"totalSetSize":"900"}`}, 100, 2, true},
		"an empty page before time":   {[]string{`{"users":[` + hundred(0) + `],"totalSetSize":"900"}`, `{"users":[],"totalSetSize":"900"}`}, 100, 2, true},
		"users missing before time":   {[]string{`{"users":[` + hundred(0) + `],"totalSetSize":"900"}`, `{"totalSetSize":"900"}`}, 100, 2, true},
		"no member before time":       {[]string{`{"users":[` + hundred(0) + `],"totalSetSize":"900"}`, `{"errorCode":"USER_LACKS_MEMBERSHIP"}`}, 100, 2, true},
		"a page of users without ids": {[]string{`{"users":[{"userName":"x"}],"totalSetSize":"1"}`}, 0, 1, true},
		"a page that overlaps":        {[]string{`{"users":[` + hundred(0) + `],"totalSetSize":"150"}`, `{"users":[` + hundred(50) + `],"totalSetSize":"150"}`}, 150, 2, false},
		"no total, and a full page":   {[]string{`{"users":[` + hundred(0) + `]}`, `{"users":[` + hundred(100) + `]}`, `{"users":[]}`}, 200, 3, false},
		"fewer than there were":       {[]string{`{"users":[` + hundred(0) + `],"totalSetSize":"150"}`, `{"users":[],"totalSetSize":"100"}`}, 100, 2, false},
		"a total below zero":          {[]string{`{"users":[` + hundred(0) + `],"totalSetSize":"-1"}`}, 0, 1, true},
		"a total that is no number":   {[]string{`{"users":[` + hundred(0) + `],"totalSetSize":"many"}`}, 0, 1, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := &fake{api: func(n int, _ *http.Request) (*http.Response, error) {
				page := tc.pages[min(n, len(tc.pages))-1]
				if strings.Contains(page, "errorCode") {
					return say(400, page), nil
				}
				return say(200, page), nil
			}}
			users, failed := 0, error(nil)
			for _, err := range newTestAccount(t, f).Users(t.Context()) {
				if err != nil {
					failed = err
					continue
				}
				users++
			}
			if users != tc.users || len(f.calls) != tc.calls || (failed != nil) != tc.fails {
				t.Errorf("%d users in %d calls, error %v; want %d in %d, error %v", users, len(f.calls), failed, tc.users, tc.calls, tc.fails)
			}
			if failed != nil && Reason(failed) != "unreadable" {
				t.Errorf("reason %s", Reason(failed))
			}
		})
	}
}

func TestUsersByEmail(t *testing.T) {
	cases := map[string]struct {
		status int
		body   string
		users  int
		class  Class
	}{
		"one":                      {200, `{"users":[{"userId":"u1"}],"totalSetSize":"1"}`, 1, ""},
		"two":                      {200, `{"users":[{"userId":"u1"},{"userId":"u2"}],"totalSetSize":"2"}`, 2, ""},
		"none, as Docusign says":   {400, `{"errorCode":"USER_LACKS_MEMBERSHIP"}`, 0, ""},
		"none, as it says as well": {400, `{"errorCode":"user_not_found"}`, 0, ""},
		"none, as one might say":   {200, `{"users":[],"totalSetSize":"0"}`, 0, ""},
		"a bare 404":               {404, ``, 0, Passing},
		"a page":                   {200, `<html>`, 0, Passing},
		"permissions":              {400, `{"errorCode":"USER_LACKS_PERMISSIONS"}`, 0, Park},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := always(tc.status, tc.body)
			users, err := newTestAccount(t, f).UsersByEmail(t.Context(), "ana+x@example.com")
			if len(users) != tc.users || ClassOf(err) != tc.class {
				t.Errorf("%d users, %v; want %d, class %q", len(users), err, tc.users, tc.class)
			}
			u, _ := url.Parse(strings.TrimPrefix(f.calls[0], "GET "))
			q := u.Query()
			if q.Get("email") != "ana+x@example.com" || q.Get("status") != "ActivationRequired,ActivationSent,Active,Closed,Disabled" {
				t.Errorf("asked %s", f.calls[0])
			}
		})
	}
}

func TestCountUsers(t *testing.T) {
	f := crowd(4321)
	n, err := newTestAccount(t, f).CountUsers(t.Context(), Active)
	if n != 4321 || err != nil || len(f.calls) != 1 || !strings.Contains(f.calls[0], "count=1&") {
		t.Errorf("%d, %v by %v", n, err, f.calls)
	}
}

func TestNoMemberOfAListParks(t *testing.T) {
	f := always(400, `{"errorCode":"USER_LACKS_MEMBERSHIP"}`)
	if _, err := newTestAccount(t, f).CountUsers(t.Context(), Active); ClassOf(err) != Park {
		t.Errorf("count: %s (%v)", ClassOf(err), err)
	}
	for _, err := range newTestAccount(t, f).Users(t.Context()) {
		if ClassOf(err) != Park {
			t.Errorf("list: %s (%v)", ClassOf(err), err)
		}
	}
}
