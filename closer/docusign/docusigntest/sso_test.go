package docusigntest_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"signoff/closer/docusign/docusigntest"
)

// found returns the statuses of the users who have that address, in list order.
func (c *caller) found(email string) []string {
	c.t.Helper()
	var got listed
	c.decode(c.list("email="+email+"&status="+everyStatus), http.StatusOK, &got)
	var now []string
	for _, u := range got.Users {
		now = append(now, u.UserStatus)
	}
	return now
}

func TestSingleSignOnLetsInAgain(t *testing.T) {
	for name, test := range map[string]struct {
		sso         docusigntest.SSO
		soon, later []string // statuses of ana's users, a minute before and an hour after
		twice       []string // closed again, a day later
	}{
		"never": {docusigntest.SSO{}, []string{"Closed"}, []string{"Closed"}, []string{"Closed"}},
		"under the same id": {
			docusigntest.SSO{After: time.Hour, SameID: true},
			[]string{"Closed"}, []string{"Active"}, []string{"Active"},
		},
		"under a new id": {
			docusigntest.SSO{After: time.Hour},
			[]string{"Closed"}, []string{"Closed", "Active"}, []string{"Closed", "Closed", "Active"},
		},
		"once": {
			docusigntest.SSO{After: time.Hour, Times: 1},
			[]string{"Closed"}, []string{"Closed", "Active"}, []string{"Closed", "Closed"},
		},
		"users of the domain": {
			docusigntest.SSO{After: time.Hour, Domain: "EXAMPLE.com", SameID: true},
			[]string{"Closed"}, []string{"Active"}, []string{"Active"},
		},
		"users of another domain": {
			docusigntest.SSO{After: time.Hour, Domain: "ample.com", SameID: true},
			[]string{"Closed"}, []string{"Closed"}, []string{"Closed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, docusigntest.Config{SSO: test.sso, TokenLife: 100 * time.Hour}, func(t *testing.T, c *caller) {
				want := func(when string, want []string) {
					t.Helper()
					if now := c.found("ana@example.com"); !slices.Equal(now, want) {
						t.Errorf("%s: %v, want %v", when, now, want)
					}
				}
				c.close(ana)
				time.Sleep(time.Hour - time.Minute)
				want("a minute before", test.soon)
				time.Sleep(time.Hour)
				want("an hour later", test.later)
				for _, u := range c.server.Users(account) {
					c.close(u.ID)
				}
				time.Sleep(24 * time.Hour)
				want("a day later", test.twice)
			})
		})
	}
}

// The user exists from the moment of the sign-on, not from when somebody looks.
func TestWhenSingleSignOnMadeTheUser(t *testing.T) {
	inBubble(t, docusigntest.Config{SSO: docusigntest.SSO{After: time.Hour}}, func(t *testing.T, c *caller) {
		c.server.SetUser(account, user{ID: ana, Email: "ana@example.com", Name: "Ana Paz", ManagedBySCIM: true, Administrator: true})
		c.server.AddUser(account, user{ID: bo, Administrator: true})
		c.close(ana)
		due := time.Now().Add(time.Hour)
		time.Sleep(5 * time.Hour)
		users := c.server.Users(account) // nobody else called meanwhile
		if len(users) != 3 {
			t.Fatalf("users %+v", users)
		}
		anew := users[2]
		if anew.ID == ana || anew.Name != "Ana Paz" || anew.Email != "ana@example.com" || !anew.ManagedBySCIM || anew.Administrator ||
			!anew.Created.Equal(due) || !anew.Added.Equal(due) || !anew.LastLogin.Equal(due) {
			t.Errorf("made %+v, due at %v", anew, due)
		}
	})
}

// Who was opened by hand meanwhile needs nobody else to be made.
func TestSingleSignOnOfWhoIsOpen(t *testing.T) {
	inBubble(t, docusigntest.Config{SSO: docusigntest.SSO{After: time.Hour}}, func(t *testing.T, c *caller) {
		c.close(ana)
		c.server.SetUser(account, user{ID: ana, Email: "ana@example.com"})
		time.Sleep(2 * time.Hour)
		if users := c.server.Users(account); len(users) != 1 {
			t.Errorf("users %+v", users)
		}
	})
}

func TestRecreateOnDemand(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana, Email: "ana@example.com", Status: "Closed"})
	anew := c.server.Recreate(account, ana, false)
	if got := c.found("ana@example.com"); !slices.Equal(got, []string{"Closed", "Active"}) || anew.ID == ana || anew.Created.IsZero() {
		t.Errorf("a new one: %v, %+v", got, anew)
	}
	if again := c.server.Recreate(account, ana, true); again.ID != ana {
		t.Errorf("the old one: %+v", again)
	}
	if got := c.found("ana@example.com"); !slices.Equal(got, []string{"Active", "Active"}) {
		t.Errorf("the old one: %v", got)
	}
}
