package docusigntest_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"signoff/closer/docusign/docusigntest"
)

// GUIDs of the users in these tests.
const (
	ana = "6b67a1ee-0000-4000-8000-00000000000a"
	bo  = "6b67a1ee-0000-4000-8000-00000000000b"
	cy  = "6b67a1ee-0000-4000-8000-00000000000c"
)

func TestCloseUsers(t *testing.T) {
	all := func(code string) quirks {
		return quirks{
			UnknownID: code, AlreadyClosed: code, ActivationSent: code, SCIM: code, OwnMembership: code, LastAdministrator: code,
		}
	}
	admin := user{ID: bo, Administrator: true}
	tests := map[string]struct {
		quirks quirks
		users  []user
		close  []string
		want   map[string]string // per user of the answer: errorCode or status
		closed []string          // who is Closed afterwards
	}{
		"two of three": {
			users: []user{{ID: ana}, {ID: bo}, {ID: cy}}, close: []string{ana, cy},
			want: map[string]string{ana: "Closed", cy: "Closed"}, closed: []string{ana, cy},
		},
		"in capital letters": {
			users: []user{{ID: ana}}, close: []string{strings.ToUpper(ana)},
			want: map[string]string{ana: "Closed"}, closed: []string{ana},
		},
		"no status in the answer": {
			quirks: quirks{NoUserStatus: true}, users: []user{{ID: ana}}, close: []string{ana},
			want: map[string]string{ana: ""}, closed: []string{ana},
		},
		"one cannot be closed": {
			users: []user{{ID: ana, CloseError: "USER_HAS_ENVELOPES"}, {ID: bo}}, close: []string{ana, bo},
			want: map[string]string{ana: "USER_HAS_ENVELOPES", bo: "Closed"}, closed: []string{bo},
		},
		"one is unknown": {
			users: []user{{ID: ana}}, close: []string{ana, bo},
			want: map[string]string{ana: "Closed", bo: "USER_LACKS_MEMBERSHIP"}, closed: []string{ana},
		},
		"one is unknown, by another code": {
			quirks: all("X"), users: []user{{ID: ana}}, close: []string{bo},
			want: map[string]string{bo: "X"},
		},
		"already closed": {
			users: []user{{ID: ana, Status: "Closed"}}, close: []string{ana},
			want: map[string]string{ana: "Closed"}, closed: []string{ana},
		},
		"already closed, refused": {
			quirks: all("X"), users: []user{{ID: ana, Status: "Closed"}}, close: []string{ana},
			want: map[string]string{ana: "X"}, closed: []string{ana},
		},
		"never activated": {
			users: []user{{ID: ana, Status: "ActivationSent"}, {ID: bo, Status: "ActivationRequired"}}, close: []string{ana, bo},
			want: map[string]string{ana: "Closed", bo: "Closed"}, closed: []string{ana, bo},
		},
		"never activated, refused": {
			quirks: all("X"), users: []user{{ID: ana, Status: "ActivationSent"}, {ID: bo, Status: "ActivationRequired"}}, close: []string{ana, bo},
			want: map[string]string{ana: "X", bo: "X"},
		},
		"managed by SCIM": {
			users: []user{{ID: ana, ManagedBySCIM: true}}, close: []string{ana},
			want: map[string]string{ana: "Closed"}, closed: []string{ana},
		},
		"managed by SCIM, refused": {
			quirks: all("X"), users: []user{{ID: ana, ManagedBySCIM: true}}, close: []string{ana},
			want: map[string]string{ana: "X"},
		},
		"oneself": {
			users: []user{{ID: serviceUser, Administrator: true}, admin}, close: []string{serviceUser},
			want: map[string]string{serviceUser: "CANNOT_CLOSE_OWN_MEMBERSHIP"},
		},
		"oneself, allowed": {
			quirks: all(docusigntest.Allow), users: []user{{ID: serviceUser, Administrator: true}, admin}, close: []string{serviceUser},
			want: map[string]string{serviceUser: "Closed"}, closed: []string{serviceUser},
		},
		"the last active administrator": {
			users: []user{{ID: ana, Administrator: true, Status: "Disabled"}, admin}, close: []string{bo},
			want: map[string]string{bo: "CANNOT_CLOSE_LAST_ACTIVE_ADMIN"},
		},
		"both administrators at once": {
			users: []user{{ID: ana, Administrator: true}, admin}, close: []string{ana, bo},
			want: map[string]string{ana: "Closed", bo: "CANNOT_CLOSE_LAST_ACTIVE_ADMIN"}, closed: []string{ana},
		},
		"the last administrator, allowed": {
			quirks: all(docusigntest.Allow), users: []user{admin}, close: []string{bo},
			want: map[string]string{bo: "Closed"}, closed: []string{bo},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := startWith(t, test.quirks, test.users...)
			var got closed
			c.decode(c.close(test.close...), http.StatusOK, &got)
			if !maps.Equal(got.outcomes(), test.want) {
				t.Errorf("answered %v, want %v", got.outcomes(), test.want)
			}
			if now := closedIDs(c); !slices.Equal(now, test.closed) {
				t.Errorf("closed are %v, want %v", now, test.closed)
			}
		})
	}
}

func closedIDs(c *caller) []string {
	var ids []string
	for _, u := range c.server.Users(account) {
		if u.Status == "Closed" {
			ids = append(ids, u.ID)
		}
	}
	return ids
}

func TestCloseEntriesAsOnTheWire(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana, Email: "ana@example.com", Name: "Ana Paz"}, user{ID: bo, CloseError: "X"})
	a := c.close(ana, bo)
	want := `{"users":[{"userId":"` + ana + `","userName":"Ana Paz","email":"ana@example.com","userStatus":"Closed","uri":"/users/` + ana + `"},` +
		`{"userId":"` + bo + `","errorDetails":{"errorCode":"X","message":"The user could not be closed."}}],` +
		`"resultSetSize":"2","totalSetSize":"2","startPosition":"0","endPosition":"1"}`
	if string(a.body) != want {
		t.Errorf("\n got %s\nwant %s", a.body, want)
	}
}

func TestCloseRefusedAsAWhole(t *testing.T) {
	one := `{"users":[{"userId":"` + ana + `"}]}`
	tests := map[string]struct {
		query, body string
		contentType string // "": application/json
		code        string
	}{
		"no body":            {code: "INVALID_REQUEST_BODY"},
		"not JSON":           {body: one[:20], code: "INVALID_REQUEST_BODY"},
		"no users":           {body: `{"users":[]}`, code: "INVALID_REQUEST_BODY"},
		"users of no shape":  {body: `{"users":["` + ana + `"]}`, code: "INVALID_REQUEST_BODY"},
		"not said to be any": {body: one, contentType: "text/plain", code: "INVALID_CONTENT_TYPE"},
		"too many users":     {body: `{"users":[{"userId":"` + ana + `"},{"userId":"` + bo + `"},{"userId":"` + cy + `"}]}`, code: "INVALID_REQUEST_PARAMETER"},
		"wrong delete query": {query: "?delete=" + ana, body: one, code: "INVALID_REQUEST_PARAMETER"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := startWith(t, quirks{MaxUsersPerClose: 2}, user{ID: ana})
			r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, c.base+usersPath(account)+test.query, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json; charset=utf-8")
			if test.contentType != "" {
				r.Header.Set("Content-Type", test.contentType)
			}
			c.wantRefusal(c.do(r), http.StatusBadRequest, test.code)
			if now := closedIDs(c); now != nil {
				t.Errorf("closed %v", now)
			}
		})
	}
}

func TestBodiesAreLimited(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana})
	body := `{"users":[{"userId":"` + ana + `"}],"x":"` + strings.Repeat("x", 1<<20) + `"}`
	c.wantRefusal(c.ask(http.MethodDelete, usersPath(account), body), http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE")
	if now := closedIDs(c); now != nil {
		t.Errorf("closed %v", now)
	}
}

func TestCloseCanRemoveFromGroups(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana}, user{ID: bo})
	body := `{"users":[{"userId":"` + ana + `"}]}`
	if a := c.ask(http.MethodDelete, usersPath(account)+"?delete=Groups,SigningGroupsEmail", body); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	c.close(bo)
	for id, want := range map[string][]string{ana: {"Groups", "SigningGroupsEmail"}, bo: nil} {
		if u, _ := c.server.User(account, id); !slices.Equal(u.RemovedFrom, want) {
			t.Errorf("%s removed from %q, want %q", id, u.RemovedFrom, want)
		}
	}
}

func TestCloseTakesOutOfSigningGroups(t *testing.T) {
	const remove = "?delete=SigningGroupsEmail"
	member := user{ID: ana, SigningGroups: []string{"board"}}
	shut := user{ID: ana, Status: "Closed", SigningGroups: []string{"board"}}
	for name, test := range map[string]struct {
		quirks  quirks
		user    user
		query   string
		refused string // errorCode of the whole call
		want    string // errorCode or status of the user in the answer
		signs   bool   // still a member of the signing group
		status  string // afterwards
	}{
		"not asked":                          {user: member, want: "Closed", signs: true, status: "Closed"},
		"other groups only":                  {user: member, query: "?delete=Groups", want: "Closed", signs: true, status: "Closed"},
		"asked":                              {user: member, query: remove, want: "Closed", status: "Closed"},
		"after the close":                    {user: shut, query: remove, want: "Closed", status: "Closed"},
		"after the close, refused":           {quirks: quirks{AlreadyClosed: "X"}, user: shut, query: remove, want: "X", signs: true, status: "Closed"},
		"the call is refused":                {quirks: quirks{RemoveFrom: "X"}, user: member, query: remove, refused: "X", signs: true, status: "Active"},
		"each user is refused":               {quirks: quirks{RemoveFrom: "user:X"}, user: member, query: remove, want: "X", signs: true, status: "Active"},
		"it would be refused, but not asked": {quirks: quirks{RemoveFrom: "X"}, user: member, want: "Closed", signs: true, status: "Closed"},
		"nor of each user":                   {quirks: quirks{RemoveFrom: "user:X"}, user: member, want: "Closed", signs: true, status: "Closed"},
	} {
		t.Run(name, func(t *testing.T) {
			c := startWith(t, test.quirks, test.user)
			a := c.ask(http.MethodDelete, usersPath(account)+test.query, `{"users":[{"userId":"`+ana+`"}]}`)
			if test.refused != "" {
				c.wantRefusal(a, http.StatusBadRequest, test.refused)
			} else {
				var got closed
				c.decode(a, http.StatusOK, &got)
				if got.outcomes()[ana] != test.want {
					t.Errorf("answered %v, want %s", got.outcomes(), test.want)
				}
			}
			if u, _ := c.server.User(account, ana); (len(u.SigningGroups) > 0) != test.signs || u.Status != test.status {
				t.Errorf("the user is %+v", u)
			}
		})
	}
}

func TestOneUserSpoilsTheBatch(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana}, user{ID: bo, SpoilsBatch: true}, user{ID: cy})
	for _, batch := range [][]string{{ana, bo, cy}, {strings.ToUpper(bo)}} {
		a := c.close(batch...)
		c.wantRefusal(a, http.StatusBadRequest, "UNSPECIFIED_ERROR")
		if strings.Contains(strings.ToLower(string(a.body)), bo) {
			t.Errorf("the refusal names the user: %s", a.body)
		}
	}
	if a := c.close(ana, cy); a.status != http.StatusOK {
		t.Errorf("without that user: status %d", a.status)
	}
	if now := closedIDs(c); !slices.Equal(now, []string{ana, cy}) {
		t.Errorf("closed %v", now)
	}
}

func TestClosesAreCounted(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana}, user{ID: bo, CloseError: "X"}, user{ID: cy})
	c.close(ana, bo)
	c.close(ana)
	c.server.SetUser(account, user{ID: ana}) // opened again
	c.close(ana, strings.ToUpper(ana))
	want := map[string]docusigntest.CloseCount{ana: {Requested: 4, Closed: 2}, bo: {Requested: 1}}
	if got := c.server.Closes(account); !maps.Equal(got, want) {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

func TestAccountsAreApart(t *testing.T) {
	c := start(t, docusigntest.Config{Accounts: []docusigntest.AccountConfig{
		{ID: account, Users: []user{{ID: ana, Email: "ana@example.com"}}},
		{ID: "other", Users: []user{{ID: ana, Email: "ana@example.com"}}},
	}})
	c.close(ana)
	if u, ok := c.server.User("OTHER", ana); !ok || u.Status != "Active" {
		t.Errorf("in the other account: %+v", u)
	}
	if got := c.server.Closes("other"); len(got) != 0 {
		t.Errorf("counted there: %v", got)
	}
}

func TestASuspendedAccountStopsNoOther(t *testing.T) {
	c := start(t, docusigntest.Config{Accounts: []docusigntest.AccountConfig{
		{ID: account, Users: []user{{ID: ana}}, Refuse: "ACCOUNT_HAS_BEEN_SUSPENDED"}, {ID: "other"},
	}})
	c.wantRefusal(c.close(ana), http.StatusBadRequest, "ACCOUNT_HAS_BEEN_SUSPENDED")
	c.wantRefusal(c.list(""), http.StatusBadRequest, "ACCOUNT_HAS_BEEN_SUSPENDED")
	if a := c.ask(http.MethodGet, usersPath("other"), ""); a.status != http.StatusOK {
		t.Errorf("other account: status %d", a.status)
	}
	c.server.SetRefuse(account, "")
	if a := c.close(ana); a.status != http.StatusOK {
		t.Errorf("once paid: status %d", a.status)
	}
}

func TestConcurrentClosesTakeEffectOnce(t *testing.T) {
	c := start(t, docusigntest.Config{Accounts: []docusigntest.AccountConfig{{ID: account, Generate: 200}}})
	var ids []string
	for _, u := range c.server.Users(account) {
		ids = append(ids, u.ID)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for batch := range slices.Chunk(ids, 20) {
				c.close(batch...)
				c.list("status=" + everyStatus)
			}
		})
	}
	wait.Wait()
	counts := c.server.Closes(account)
	for _, id := range ids {
		if counts[id] != (docusigntest.CloseCount{Requested: 8, Closed: 1}) {
			t.Fatalf("%s: %+v", id, counts[id])
		}
	}
}
