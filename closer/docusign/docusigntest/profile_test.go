package docusigntest_test

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/closer/docusign/docusigntest"
)

// profiles is the answer to a profile.
type profiles struct {
	Users []struct {
		ID             string
		UserName       string `json:"user_name"`
		UserStatus     string `json:"user_status"`
		DefaultAccount string `json:"default_account_id"`
		OrgAdmin       bool   `json:"is_organization_admin"`
		CreatedOn      string `json:"created_on"`
		SCIM           bool   `json:"is_managed_by_scim"`
		Memberships    []struct {
			ID, Email, Status string
			AccountID         string `json:"account_id"`
			External          bool   `json:"is_external_account"`
			Admin             bool   `json:"is_admin"`
		}
	}
}

func (c *caller) profile(email string) answer {
	c.t.Helper()
	return c.ask(http.MethodGet, organizationPath("/users/profile?"+url.Values{"email": {email}}.Encode()), "")
}

func TestProfileHasAllMemberships(t *testing.T) {
	inOrganization(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
		var got profiles
		c.decode(c.profile("ANA@example.com"), http.StatusOK, &got)
		if len(got.Users) != 1 {
			t.Fatalf("users %+v, want ana once", got.Users)
		}
		u := got.Users[0]
		if u.ID != ana || u.UserStatus != "active" || u.DefaultAccount != account || u.CreatedOn != "1999-04-01T22:11:56.4570000Z" || u.OrgAdmin || u.SCIM {
			t.Errorf("%+v", u)
		}
		var where []string
		for _, m := range u.Memberships {
			if m.ID == "" || m.ID == ana || m.Email != "ana@example.com" || m.Admin {
				t.Errorf("membership %+v", m)
			}
			where = append(where, m.AccountID+" "+m.Status)
			if m.External {
				where[len(where)-1] += " external"
			}
		}
		if want := []string{account + " active", second + " closed", outside + " active external"}; !slices.Equal(where, want) {
			t.Errorf("memberships %q, want %q", where, want)
		}
	})
}

func TestProfiles(t *testing.T) {
	recent := quirks{Organization: organizationQuirks{RecentProfiles: true}}
	sameEmail := func(n int) func(*docusigntest.Server) {
		return func(s *docusigntest.Server) {
			for range n {
				s.AddUser(account, user{Email: "fay@example.com", Added: time.Now()})
			}
		}
	}
	for name, test := range map[string]struct {
		quirks quirks
		before func(*docusigntest.Server)
		email  string
		want   []string // statuses of the users
	}{
		"one closed":                    {email: "bo@example.com", want: []string{"closed"}},
		"one not active yet":            {email: "cy@example.com", want: []string{"created"}},
		"nobody":                        {email: "nobody@example.com"},
		"of another organization alone": {email: "fay@example.com"},
		"two of one email":              {before: sameEmail(2), email: "fay@example.com", want: []string{"active", "active"}},
		"more than twenty":              {before: sameEmail(21), email: "fay@example.com", want: slices.Repeat([]string{"active"}, 20)},
		"long ago":                      {quirks: recent, email: "ana@example.com"},
		"lately":                        {quirks: recent, before: sameEmail(1), email: "fay@example.com", want: []string{"active"}},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{Quirks: test.quirks}, func(t *testing.T, c *caller) {
				if test.before != nil {
					test.before(c.server)
				}
				a := c.profile(test.email)
				var got profiles
				c.decode(a, http.StatusOK, &got)
				var found []string
				for _, u := range got.Users {
					found = append(found, u.UserStatus)
				}
				if got.Users == nil || !reflect.DeepEqual(found, test.want) {
					t.Errorf("users %v, want %v: %s", found, test.want, a.body)
				}
			})
		})
	}
	inOrganization(t, docusigntest.Config{Quirks: quirks{Organization: organizationQuirks{UnknownEmail: "user_not_found"}}}, func(_ *testing.T, c *caller) {
		c.wantAdminRefusal(c.profile("nobody@example.com"), http.StatusNotFound, "user_not_found")
		c.wantAdminRefusal(c.profile(""), http.StatusBadRequest, "invalid_request")
	})
}

// members is the answer to a list of the organization's users.
type members struct {
	Users []struct {
		ID, Email        string
		UserStatus       string `json:"user_status"`
		MembershipStatus string `json:"membership_status"`
		MembershipID     string `json:"membership_id"`
	}
	Paging struct {
		Size           int `json:"result_set_size"`
		Start          int `json:"result_set_start_position"`
		End            int `json:"result_set_end_position"`
		Total          int `json:"total_set_size"`
		Next, Previous string
	}
}

func (m members) names() string {
	var names []string
	for _, u := range m.Users {
		name, _, _ := strings.Cut(u.Email, "@")
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestOrganizationUsers(t *testing.T) {
	for name, test := range map[string]struct {
		query string
		want  string
	}{
		"of an account":                 {"account_id=" + account, "service ana bo cy di"},
		"of an account without hyphens": {"account_id=" + strings.ReplaceAll(account, "-", ""), "service ana bo cy di"},
		"by email":                      {"email=ANA@example.com", "ana"},
		"by email in an account":        {"email=ana@example.com&account_id=" + second, "ana"},
		"of nobody":                     {"email=nobody@example.com", ""},
		"of an account of others":       {"email=fay@example.com", ""},
		"by status of the user":         {"status=closed&account_id=" + account, "bo"},
		"by status of the membership":   {"membership_status=activation_sent&account_id=" + account, "cy"},
		"by part of the email":          {"email_user_name_like=a@ex&account_id=" + account, "ana"},
		"by part of the name":           {"email_user_name_like=LI&account_id=" + account, "bo"},
		"a page":                        {"start=1&take=2&account_id=" + account, "ana bo"},
		"up to an end":                  {"start=1&end=3&account_id=" + account, "ana bo cy"},
		"past the end":                  {"start=9&account_id=" + account, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
				var got members
				c.decode(c.ask(http.MethodGet, organizationPath("/users?"+test.query), ""), http.StatusOK, &got)
				if got.Users == nil || got.names() != test.want {
					t.Errorf("users %q, want %q", got.names(), test.want)
				}
				for _, u := range got.Users {
					if ofAccount := strings.Contains(test.query, "account_id"); (u.MembershipStatus != "") != ofAccount || (u.MembershipID != "") != ofAccount || u.MembershipID == u.ID {
						t.Errorf("%+v", u)
					}
				}
			})
		})
	}
	inOrganization(t, docusigntest.Config{}, func(_ *testing.T, c *caller) {
		for _, query := range []string{
			"", "account_id=" + outside, "take=0&email=x@y", "take=x&email=x@y", "start=-1&email=x@y", "start=2&end=1&email=x@y",
			"organization_reserved_domain_id=x&email=x@y",
		} {
			c.wantAdminRefusal(c.ask(http.MethodGet, organizationPath("/users?"+query), ""), http.StatusBadRequest, "invalid_request")
		}
	})
}

func TestPagesOfOrganizationUsers(t *testing.T) {
	for name, test := range map[string]struct {
		most  int
		query string
		pages []string
	}{
		"by default, all": {0, "", []string{"service ana bo cy di"}},
		"by twos":         {0, "&take=2", []string{"service ana", "bo cy", "di"}},
		"cut to threes":   {3, "&take=100", []string{"service ana bo", "cy di"}},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{Quirks: quirks{Organization: organizationQuirks{MostUsersPerList: test.most}}}, func(t *testing.T, c *caller) {
				next, start := c.base+organizationPath("/users?account_id="+account+test.query), 0
				var pages []string
				for next != "" {
					var page members
					c.decode(c.do(request(t, http.MethodGet, next)), http.StatusOK, &page)
					pages = append(pages, page.names())
					p := page.Paging
					if p.Size != len(page.Users) || p.Start != start || p.End != start+p.Size-1 || p.Total != 5 || (p.Previous == "") != (start == 0) {
						t.Errorf("paging %+v", p)
					}
					next, start = p.Next, start+p.Size
				}
				if !slices.Equal(pages, test.pages) {
					t.Errorf("pages %q, want %q", pages, test.pages)
				}
			})
		})
	}
	c := start(t, docusigntest.Config{Accounts: []docusigntest.AccountConfig{{ID: account, Organization: orgID, Generate: 25}}})
	c.signInAs(map[string]any{"scope": adminScopes})
	var got members
	c.decode(c.ask(http.MethodGet, organizationPath("/users?account_id="+account), ""), http.StatusOK, &got)
	if len(got.Users) != 20 || got.Paging.Total != 25 {
		t.Errorf("%d of %d users, want 20 of 25", len(got.Users), got.Paging.Total)
	}
}
