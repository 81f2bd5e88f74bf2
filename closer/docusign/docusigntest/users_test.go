package docusigntest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"signoff/closer/docusign/docusigntest"
)

type (
	quirks = docusigntest.Quirks
	user   = docusigntest.User
)

const everyStatus = "ActivationRequired,ActivationSent,Active,Closed,Disabled"

func TestListFilters(t *testing.T) {
	users := []user{
		{Email: "Ana@Example.com", Name: "Ana Paz"},
		{Email: "ana@example.com", Name: "Ana Old", Status: "Closed"},
		{Email: "ana+sign@example.com", Name: "Ana Tag"},
		{Email: "susana@example.com", Name: "Susana"},
		{Email: "bo@other.example", Name: "Bo", Status: "ActivationSent"},
		{Email: "cy@other.example", Name: "Cy", Status: "Closed"},
	}
	tests := map[string]struct {
		quirks quirks
		query  string
		want   []string // nil: refused as unknown
	}{
		"nothing asked":                        {query: "", want: []string{"Ana@Example.com", "ana+sign@example.com", "susana@example.com", "bo@other.example"}},
		"nothing asked, closed ones listed":    {quirks: quirks{ListsClosed: true}, query: "", want: []string{"Ana@Example.com", "ana@example.com", "ana+sign@example.com", "susana@example.com", "bo@other.example", "cy@other.example"}},
		"one status":                           {query: "status=Closed", want: []string{"ana@example.com", "cy@other.example"}},
		"two statuses, with a space":           {query: "status=closed,%20ActivationSent", want: []string{"ana@example.com", "bo@other.example", "cy@other.example"}},
		"an email that two users have":         {query: "email=ANA@example.com&status=" + everyStatus, want: []string{"Ana@Example.com", "ana@example.com"}},
		"an email and a status":                {query: "email=ana@example.com&status=Active", want: []string{"Ana@Example.com"}},
		"an email, inexactly":                  {quirks: quirks{InexactEmail: true}, query: "email=ana@example.com&status=Active", want: []string{"Ana@Example.com", "ana+sign@example.com", "susana@example.com"}},
		"an email with an encoded plus":        {query: "email=ana%2Bsign@example.com", want: []string{"ana+sign@example.com"}},
		"an email with a bare plus":            {query: "email=ana+sign@example.com", want: nil},
		"part of an email":                     {query: "email_substring=OTHER", want: []string{"bo@other.example"}},
		"part of an email that nobody has":     {query: "email_substring=nobody", want: []string{}},
		"part of a name":                       {query: "user_name_substring=ana", want: []string{"Ana@Example.com", "ana+sign@example.com", "susana@example.com"}},
		"nobody's email":                       {query: "email=nobody@example.com&status=" + everyStatus, want: nil},
		"a closed member's email":              {query: "email=cy@other.example&status=" + everyStatus, want: []string{"cy@other.example"}},
		"a closed member's email, hidden":      {quirks: quirks{HidesClosedEmail: true}, query: "email=cy@other.example&status=" + everyStatus, want: nil},
		"a member of another status":           {query: "email=cy@other.example&status=Active", want: []string{}},
		"a member of another status, unknown":  {quirks: quirks{FilteredIsUnknown: true}, query: "email=cy@other.example&status=Active", want: nil},
		"closed ones by substring, not hidden": {quirks: quirks{HidesClosedEmail: true}, query: "email_substring=cy@&status=Closed", want: []string{"cy@other.example"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := startWith(t, test.quirks, users...)
			a := c.list(test.query)
			if test.want == nil {
				c.wantRefusal(a, http.StatusBadRequest, "USER_LACKS_MEMBERSHIP")
				return
			}
			var got listed
			c.decode(a, http.StatusOK, &got)
			if !slices.Equal(got.emails(), test.want) {
				t.Errorf("listed %q, want %q", got.emails(), test.want)
			}
			if want := strconv.Itoa(len(test.want)); got.TotalSetSize != want || got.ResultSetSize != want {
				t.Errorf("sizes %s and %s, want %s", got.TotalSetSize, got.ResultSetSize, want)
			}
		})
	}
}

func TestUnknownEmailByAnotherCode(t *testing.T) {
	c := startWith(t, quirks{UnknownEmail: "USER_NOT_FOUND"})
	c.wantRefusal(c.list("email=nobody@example.com"), http.StatusBadRequest, "USER_NOT_FOUND")
}

func TestListRefusesWrongParameters(t *testing.T) {
	c := startWith(t, quirks{}, user{Email: "ana@example.com"})
	for _, query := range []string{
		"count=0", "count=101", "count=many", "count=", "start_position=-1", "start_position=x",
		"status=Gone", "status=", "email=a@example.com&email_substring=b", "group_id=1", "domain_users_only=true",
	} {
		t.Run(query, func(t *testing.T) {
			c := &caller{t: t, server: c.server, rt: c.rt, base: c.base, token: c.token}
			c.wantRefusal(c.list(query), http.StatusBadRequest, "INVALID_REQUEST_PARAMETER")
		})
	}
}

// Docusign's own client sends them, or lets its caller do so.
func TestListIgnoresWhatChangesNothing(t *testing.T) {
	c := startWith(t, quirks{}, user{Email: "ana@example.com"}, user{Email: "bo@example.com"})
	want := c.list("").body
	for _, query := range []string{
		"_=1786000000000", "additional_info=true", "login_status=true", "include_license=true", "include_usersettings_for_csv=true",
		"domain_users_only=false", "alternate_admins_only=false", "group_id=", "start=5",
	} {
		if got := c.list(query); got.status != http.StatusOK || !bytes.Equal(got.body, want) {
			t.Errorf("%s: status %d, %s", query, got.status, got.body)
		}
	}
}

func TestRecordsMayBeLean(t *testing.T) {
	c := startWith(t, quirks{LeanRecords: true}, user{ID: ana, Administrator: true, Created: time.Now(), Added: time.Now(), LastLogin: time.Now()})
	for query, want := range map[string]bool{"": false, "additional_info=false": false, "additional_info=true": true} {
		var got listed
		c.decode(c.list(query), http.StatusOK, &got)
		u := got.Users[0]
		if (u.CreatedDateTime != "") != want || (u.LastLogin != "") != want || u.IsAdmin != "True" || u.UserAddedToAccountDateTime == "" {
			t.Errorf("%q: %+v", query, u)
		}
	}
}

func TestTotalsMayBeMissing(t *testing.T) {
	c := startWith(t, quirks{NoTotals: true}, user{ID: ana}, user{ID: bo})
	var got map[string]any
	c.decode(c.list("count=1"), http.StatusOK, &got)
	if _, has := got["totalSetSize"]; has || got["resultSetSize"] != "1" || got["nextUri"] == nil {
		t.Errorf("listed %v", got)
	}
}

func TestListPages(t *testing.T) {
	c := start(t, docusigntest.Config{Accounts: []docusigntest.AccountConfig{{ID: account, Generate: 250}}})
	type page struct{ first, size, start, end, next, previous string }
	tests := map[string]page{
		"":                              {"user000001@example.com", "100", "0", "99", "/users?count=100&start_position=100", ""},
		"start_position=100":            {"user000101@example.com", "100", "100", "199", "/users?count=100&start_position=200", "/users?count=100&start_position=0"},
		"start_position=200":            {"user000201@example.com", "50", "200", "249", "", "/users?count=100&start_position=100"},
		"start_position=50":             {"user000051@example.com", "100", "50", "149", "/users?count=100&start_position=150", "/users?count=100&start_position=0"},
		"start_position=249&count=1":    {"user000250@example.com", "1", "249", "249", "", "/users?count=1&start_position=248"},
		"start_position=250":            {"", "0", "250", "250", "", "/users?count=100&start_position=150"},
		"start_position=9999":           {"", "0", "9999", "9999", "", "/users?count=100&start_position=9899"},
		"status=Active&count=10":        {"user000001@example.com", "10", "0", "9", "/users?count=10&start_position=10&status=Active", ""},
		"email=user000003@example.com&": {"user000003@example.com", "1", "0", "0", "", ""},
	}
	for query, want := range tests {
		t.Run(query, func(t *testing.T) {
			c := &caller{t: t, server: c.server, rt: c.rt, base: c.base, token: c.token}
			a := c.list(query)
			var l listed
			c.decode(a, http.StatusOK, &l)
			got := page{size: l.ResultSetSize, start: l.StartPosition, end: l.EndPosition, next: l.NextURI, previous: l.PreviousURI}
			if len(l.Users) > 0 {
				got.first = l.Users[0].Email
			}
			if got != want || strconv.Itoa(len(l.Users)) != want.size {
				t.Errorf("got %+v with %d users, want %+v", got, len(l.Users), want)
			}
			if strings.Contains(string(a.body), "null") {
				t.Errorf("null in %s", a.body)
			}
		})
	}
}

func TestNullURIs(t *testing.T) {
	c := startWith(t, quirks{NullURIs: true}, user{Email: "ana@example.com"})
	var got map[string]any
	c.decode(c.list(""), http.StatusOK, &got)
	for _, key := range []string{"nextUri", "previousUri"} {
		if value, has := got[key]; !has || value != nil {
			t.Errorf("%s: %v, want null", key, value)
		}
	}
}

func TestUserAsOnTheWire(t *testing.T) {
	c := startWith(t, quirks{}, user{
		ID: "6b67a1ee-0000-4000-8000-00000000000a", Email: "Ana@Example.com", Name: "Ana Paz", Administrator: true, ManagedBySCIM: true,
		Created: time.Date(2019, 4, 1, 22, 11, 56, 457_000_000, time.UTC),
	})
	a := c.ask(http.MethodGet, usersPath(account)+"/6B67A1EE-0000-4000-8000-00000000000A", "")
	want := `{"userName":"Ana Paz","userId":"6b67a1ee-0000-4000-8000-00000000000a","userType":"CompanyUser","isAdmin":"True",` +
		`"userStatus":"Active","uri":"/users/6b67a1ee-0000-4000-8000-00000000000a","email":"Ana@Example.com",` +
		`"createdDateTime":"2019-04-01T22:11:56.4570000Z","lastLogin":"0001-01-01T08:00:00.0000000Z","isManagedByScim":"True"}`
	if a.status != http.StatusOK || string(a.body) != want {
		t.Errorf("status %d\n got %s\nwant %s", a.status, a.body, want)
	}
}

func TestGetUser(t *testing.T) {
	nobody := usersPath(account) + "/" + serviceUser
	c := startWith(t, quirks{})
	c.wantRefusal(c.ask(http.MethodGet, nobody, ""), http.StatusBadRequest, "USER_LACKS_MEMBERSHIP")
	c = startWith(t, quirks{UnknownID: "INVALID_USERID"})
	c.wantRefusal(c.ask(http.MethodGet, nobody, ""), http.StatusBadRequest, "INVALID_USERID")

	c = startWith(t, quirks{OwnRecordOnly: true}, user{ID: serviceUser, Administrator: true}, user{ID: integrationKey})
	c.wantRefusal(c.ask(http.MethodGet, usersPath(account)+"/"+integrationKey, ""), http.StatusBadRequest, "USER_LACKS_PERMISSIONS")
	if a := c.ask(http.MethodGet, usersPath(account)+"/"+serviceUser, ""); a.status != http.StatusOK {
		t.Errorf("own record: status %d", a.status)
	}
}

func TestWhoMayCall(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: serviceUser, Administrator: true})
	if a := c.list(""); a.status != http.StatusOK {
		t.Fatalf("administrator: status %d", a.status)
	}
	c.server.SetUser(account, user{ID: serviceUser})
	c.wantRefusal(c.list(""), http.StatusBadRequest, "USER_LACKS_PERMISSIONS")
	c.server.SetUser(account, user{ID: serviceUser, Administrator: true, Status: "Disabled"})
	c.wantRefusal(c.list(""), http.StatusBadRequest, "USER_LACKS_PERMISSIONS")
	c.server.SetUser(account, user{ID: serviceUser, Administrator: true})
	c.server.SetRefuse(account, "ACCOUNT_LACKS_PERMISSIONS")
	c.wantRefusal(c.close(integrationKey), http.StatusBadRequest, "ACCOUNT_LACKS_PERMISSIONS")
	c.server.SetRefuse(account, "")
	if a := c.list(""); a.status != http.StatusOK {
		t.Errorf("after the refusal: status %d", a.status)
	}
	c.wantRefusal(c.ask(http.MethodGet, usersPath(serviceUser), ""), http.StatusBadRequest, "USER_LACKS_PERMISSIONS")
}

func TestUnknownPaths(t *testing.T) {
	c := startWith(t, quirks{})
	for _, path := range []string{
		"GET /", "GET /oauth/token", "GET /restapi/v2.1/accounts/" + account, "POST " + usersPath(account),
		"GET " + usersPath(account) + "/", "GET " + usersPath(account) + "/a/b", "GET /restapi/v2/accounts/" + account + "/users",
	} {
		t.Run(path, func(t *testing.T) {
			c := &caller{t: t, server: c.server, rt: c.rt, base: c.base, token: c.token}
			method, path, _ := strings.Cut(path, " ")
			c.wantRefusal(c.ask(method, path, ""), http.StatusNotFound, "RESOURCE_NOT_FOUND")
		})
	}
}

func TestListSeesEveryChange(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana, Email: "ana@example.com"}, user{ID: bo, Email: "bo@example.com"})
	want := func(emails ...string) {
		t.Helper()
		var got listed
		c.decode(c.list("status=Active"), http.StatusOK, &got)
		if !slices.Equal(got.emails(), emails) {
			t.Errorf("listed %q, want %q", got.emails(), emails)
		}
	}
	want("ana@example.com", "bo@example.com")
	c.close(ana)
	want("bo@example.com")
	c.server.SetUser(account, user{ID: ana, Email: "ana.paz@example.com"})
	want("ana.paz@example.com", "bo@example.com")
	c.server.AddUser(account, user{Email: "cy@example.com"})
	want("ana.paz@example.com", "bo@example.com", "cy@example.com")
}

func TestManyUsers(t *testing.T) {
	const many = 100_000
	c := start(t, docusigntest.Config{Accounts: []docusigntest.AccountConfig{{ID: account, Generate: many, Domain: "big.example"}}})
	for _, n := range []int{1, 54_321, many} {
		email := fmt.Sprintf("user%06d@big.example", n)
		var got listed
		c.decode(c.list("email="+email+"&status="+everyStatus), http.StatusOK, &got)
		if !slices.Equal(got.emails(), []string{email}) {
			t.Errorf("looked up %q, got %q", email, got.emails())
		}
	}
	seen := make(map[string]bool)
	for start := 90_000; start < many; start += 100 {
		var got listed
		c.decode(c.list(fmt.Sprintf("start_position=%d&count=100", start)), http.StatusOK, &got)
		for _, u := range got.Users {
			seen[u.UserID] = true
		}
		if got.TotalSetSize != strconv.Itoa(many) {
			t.Fatalf("total %s", got.TotalSetSize)
		}
	}
	if len(seen) != 10_000 {
		t.Errorf("paged through %d users, want 10000", len(seen))
	}
}
