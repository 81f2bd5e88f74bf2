package docusigntest_test

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"signoff/closer/docusign/docusigntest"
)

type churn = docusigntest.Churn

// letters returns an account of the users a@example.com, b@example.com and on,
// the first of whom is an administrator.
func letters(n int) []docusigntest.AccountConfig {
	users := make([]user, n)
	for i := range users {
		users[i] = user{Email: string(rune('a'+i)) + "@example.com", Administrator: i == 0}
	}
	return []docusigntest.AccountConfig{{ID: account, Users: users, Domain: "example.com"}}
}

// pages reads the open users three at a time, and returns a page's addresses
// without their domain, and the total that each page gave.
func pages(c *caller) (read, totals []string) {
	c.t.Helper()
	for start := 0; ; start += 3 {
		var got listed
		c.decode(c.list(fmt.Sprintf("status=Active&count=3&start_position=%d", start)), http.StatusOK, &got)
		page := ""
		for _, u := range got.Users {
			page += u.Email[:len(u.Email)-len("@example.com")] + " "
		}
		read, totals = append(read, page), append(totals, got.TotalSetSize)
		if got.NextURI == "" {
			return read, totals
		}
	}
}

func TestUsersComeAndGoWhilePagesAreRead(t *testing.T) {
	for name, test := range map[string]struct {
		churn  churn
		read   []string
		totals []string
	}{
		"nothing happens": {churn{}, []string{"a b c ", "d e f ", "g h "}, []string{"8", "8", "8"}},
		"somebody comes at the end": {
			churn{Every: 1, Add: "end", Emails: []string{"y@example.com", "z@example.com"}},
			[]string{"a b c ", "d e f ", "g h y ", "z churn000003 "}, []string{"8", "9", "10", "11"},
		},
		"somebody comes at the front, and is missed": {
			churn{Every: 1, Times: 1, Add: "front", Emails: []string{"z@example.com"}},
			[]string{"a b c ", "c d e ", "f g h "}, []string{"8", "9", "9"},
		},
		"somebody comes in the middle": {
			churn{Every: 2, Times: 1, Add: "middle", Emails: []string{"z@example.com"}},
			[]string{"a b c ", "d e f ", "f g h "}, []string{"8", "8", "9"},
		},
		"the first is closed, and the fourth is missed": {
			churn{Every: 1, Times: 1, Close: "front"},
			[]string{"a b c ", "e f g ", "h "}, []string{"8", "7", "7"},
		},
		"the last is closed": {
			churn{Every: 2, Close: "end"},
			[]string{"a b c ", "d e f ", "g "}, []string{"8", "8", "7"},
		},
		"one comes and one goes, and the total hides it": {
			churn{Every: 1, Times: 1, Add: "end", Close: "middle", Emails: []string{"z@example.com"}},
			[]string{"a b c ", "d e g ", "h z "}, []string{"8", "8", "8"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, docusigntest.Config{Churn: test.churn, Accounts: letters(8)})
			read, totals := pages(c)
			if !slices.Equal(read, test.read) || !slices.Equal(totals, test.totals) {
				t.Errorf("read %q of %q\nwant %q of %q", read, totals, test.read, test.totals)
			}
		})
	}
}

func TestChurnSparesLookUpsAndAdministrators(t *testing.T) {
	c := start(t, docusigntest.Config{Accounts: letters(2)})
	c.server.SetChurn(churn{Every: 1, Close: "front"})
	for _, query := range []string{"email=b@example.com", "email_substring=b", "user_name_substring=b"} {
		c.list(query)
	}
	if now := closedIDs(c); now != nil {
		t.Errorf("closed after look-ups: %v", now)
	}
	for range 3 {
		c.list("")
	}
	users := c.server.Users(account)
	if users[0].Status != "Active" || users[1].Status != "Closed" || len(c.server.Closes(account)) != 0 {
		t.Errorf("users %+v, closes %v", users, c.server.Closes(account))
	}
}

func TestChurnRepeats(t *testing.T) {
	run := func(seed int64) []user {
		c := start(t, docusigntest.Config{Accounts: []docusigntest.AccountConfig{{ID: account, Generate: 200}}})
		c.server.SetChurn(churn{Every: 2, Add: "any", Close: "any", Seed: seed})
		for range 20 {
			c.list("")
		}
		users := c.server.Users(account)
		for i := range users { // when somebody came is all that may differ
			if !users[i].Added.IsZero() {
				users[i].Created, users[i].Added = time.Time{}, time.Time{}
			}
		}
		return users
	}
	first := run(1)
	if len(first) != 210 {
		t.Errorf("%d users, want 10 more than 200", len(first))
	}
	if !reflect.DeepEqual(run(1), first) {
		t.Error("the same seed gave another account")
	}
	if reflect.DeepEqual(run(2), first) {
		t.Error("another seed gave the same account")
	}
}

// Who came is a user like any other.
func TestWhoeverComesCanBeClosed(t *testing.T) {
	c := start(t, docusigntest.Config{Accounts: letters(1), Churn: churn{Every: 1, Times: 1, Add: "front"}})
	c.list("")
	var got listed
	c.decode(c.list("email=churn000001@example.com"), http.StatusOK, &got)
	if len(got.Users) != 1 || got.Users[0].CreatedDateTime != got.Users[0].UserAddedToAccountDateTime {
		t.Fatalf("found %+v", got.Users)
	}
	c.close(got.Users[0].UserID)
	if now := closedIDs(c); len(now) != 1 || len(c.server.Users(account)) != 2 {
		t.Errorf("closed %v", now)
	}
}
