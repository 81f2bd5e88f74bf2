package docusigntest_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signoff/closer/docusign/docusigntest"
)

const (
	orgID   = "0a0a0a0a-0000-4000-8000-000000000001"
	second  = "d0c00000-0000-4000-8000-000000000002" // the organization's other account
	outside = "d0c00000-0000-4000-8000-000000000003" // somebody else's

	di = "6b67a1ee-0000-4000-8000-00000000000d"
	ed = "6b67a1ee-0000-4000-8000-00000000000e"

	adminScopes = "signature impersonation user_read user_write organization_read"
)

type organizationQuirks = docusigntest.OrganizationQuirks

// organizationUsers are in every account that inOrganization makes for account;
// ana is in all three accounts.
var organizationUsers = []user{
	{ID: serviceUser, Email: "service@example.com", Name: "Service User", Administrator: true},
	{ID: ana, Email: "ana@example.com", Name: "Ana Paz", Created: time.Date(1999, time.April, 1, 22, 11, 56, 457e6, time.UTC)},
	{ID: bo, Email: "bo@example.com", Name: "Bo Li", Status: "Closed"},
	{ID: cy, Email: "cy@example.com", Name: "Cy Ray", Status: "ActivationSent"},
	{ID: di, Email: "di@example.com", Name: "Di Om", ManagedBySCIM: true},
}

// inOrganization runs test beside an organization of two accounts, whose
// imports take ten seconds.
func inOrganization(t *testing.T, cfg docusigntest.Config, test func(t *testing.T, c *caller)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Organizations = []docusigntest.OrganizationConfig{
			{ID: orgID, Name: "Test", ImportTime: 10 * time.Second, Administrators: []string{serviceUser}, HourLimit: 100},
		}
		cfg.Accounts = []docusigntest.AccountConfig{
			{ID: account, Name: "One", Organization: strings.ToUpper(orgID), Users: organizationUsers},
			{ID: second, Name: "Two", Organization: orgID, Users: []user{
				{ID: ana, Email: "ana@example.com", Name: "Ana Paz", Status: "Closed"},
				{ID: ed, Email: "ed@example.com", Administrator: true},
			}},
			{ID: outside, Name: "Three", Users: []user{{ID: ana, Email: "ana@example.com", Name: "Ana Paz"}, {Email: "fay@example.com"}}},
		}
		c := start(t, cfg)
		c.signInAs(jwt.MapClaims{"scope": adminScopes})
		test(t, c)
	})
}

// signInAs is signIn with some claims changed.
func (c *caller) signInAs(changed jwt.MapClaims) {
	c.t.Helper()
	var got struct {
		Token string `json:"access_token"`
		Scope string `json:"scope"`
	}
	c.decode(c.grant(assertion(c.t, newKey(), claims(changed))), http.StatusOK, &got)
	if want, ok := changed["scope"]; ok && got.Scope != want {
		c.t.Errorf("scope %q, want %q", got.Scope, want)
	}
	c.token = got.Token
}

func organizationPath(path string) string { return "/Management/v2/organizations/" + orgID + path }

// wantAdminRefusal checks that the call was refused in the Admin API's words.
func (c *caller) wantAdminRefusal(a answer, status int, word string) {
	c.t.Helper()
	var got map[string]string
	c.decode(a, status, &got)
	if len(got) != 2 || got["error"] != word || got["error_description"] == "" {
		c.t.Errorf("refused with %s, want error %s, a description and no more", a.body, word)
	}
}

func TestWhoMayCallAnOrganization(t *testing.T) {
	adminOf := func(user string) jwt.MapClaims { return jwt.MapClaims{"sub": user, "scope": adminScopes} }
	withScopes := func(scopes string) jwt.MapClaims {
		return jwt.MapClaims{"scope": "signature impersonation" + scopes}
	}
	revoked := func(c *caller) { c.server.RevokeTokens() }
	for name, test := range map[string]struct {
		quirks organizationQuirks
		claims jwt.MapClaims
		before func(*caller)
		method string // "": GET
		path   string // behind the organization's, or all of it
		status int
		word   string
	}{
		"a token of the accounts alone":   {claims: withScopes(""), path: "/imports/bulk_users", status: 403, word: "insufficient_scope"},
		"no user_read":                    {claims: withScopes(" user_write"), path: "/users/profile?email=x@y", status: 403, word: "insufficient_scope"},
		"no user_write":                   {claims: withScopes(" user_read"), method: "POST", path: "/imports/bulk_users/close", status: 403, word: "insufficient_scope"},
		"no user_write to delete with":    {claims: withScopes(" user_read"), method: "DELETE", path: "/imports/bulk_users/x", status: 403, word: "insufficient_scope"},
		"no scope, as a 401":              {quirks: organizationQuirks{MissingScope: 401}, claims: withScopes(""), path: "/imports/bulk_users", status: 401, word: "unauthorized"},
		"a revoked token":                 {before: revoked, path: "/users?email=x@y", status: 401, word: "invalid_token"},
		"a revoked token, in other words": {quirks: organizationQuirks{BadToken: "unauthorized"}, before: revoked, path: "/users?email=x@y", status: 401, word: "unauthorized"},
		"no administrator":                {claims: adminOf(ana), path: "/imports/bulk_users", status: 403, word: "access_denied"},
		"another organization":            {path: "/Management/v2/organizations/" + ana + "/users", status: 404, word: "organization_not_found"},
		"a path that is none":             {path: "/groups", status: 404, word: "RESOURCE_NOT_FOUND"},
		"a method that is none":           {method: "PUT", path: "/imports/bulk_users/x", status: 404, word: "RESOURCE_NOT_FOUND"},
		"an import of no id":              {path: "/imports/bulk_users//results_csv", status: 404, word: "RESOURCE_NOT_FOUND"},
		"an unknown import":               {path: "/imports/bulk_users/x", status: 404, word: "import_not_found"},
		"an error of its own": {
			before: func(c *caller) { c.server.SetFaults(faults{Error500: 1, Operations: []string{"list_imports"}}) },
			path:   "/imports/bulk_users", status: 500, word: "UNSPECIFIED_ERROR",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{Quirks: quirks{Organization: test.quirks}}, func(_ *testing.T, c *caller) {
				if test.claims != nil {
					c.signInAs(test.claims)
				}
				if test.before != nil {
					test.before(c)
				}
				path := test.path
				if !strings.HasPrefix(path, "/Management") {
					path = organizationPath(path)
				}
				c.wantAdminRefusal(c.ask(cmp.Or(test.method, http.MethodGet), path, ""), test.status, test.word)
			})
		})
	}
}

func TestOrganizationHasAQuotaOfItsOwn(t *testing.T) {
	inOrganization(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
		list := func() answer { return c.ask(http.MethodGet, organizationPath("/imports/bulk_users"), "") }
		reset := strconv.FormatInt(time.Now().Truncate(time.Hour).Add(time.Hour).Unix(), 10)
		c.list("")
		if got, want := headersOf(list()), (quotaHeaders{"100", "99", reset, "500", "499"}); got != want {
			t.Errorf("headers %+v, want %+v", got, want)
		}
		c.server.TakeCalls(orgID, 9)
		if got, want := headersOf(list()), (quotaHeaders{"100", "89", reset, "500", "489"}); got != want {
			t.Errorf("headers after others' calls %+v, want %+v", got, want)
		}
		c.server.ExhaustBurst(orgID)
		c.wantAdminRefusal(list(), http.StatusTooManyRequests, bursty)
		c.server.ExhaustHour(orgID)
		a := list()
		c.wantAdminRefusal(a, http.StatusTooManyRequests, hourly)
		if got := a.header.Get("X-RateLimit-Remaining"); got != "0" {
			t.Errorf("%s calls left", got)
		}
		if a := c.list(""); a.status != http.StatusOK || a.header.Get("X-RateLimit-Remaining") != "2998" {
			t.Errorf("the account's: status %d, %s calls left", a.status, a.header.Get("X-RateLimit-Remaining"))
		}
		if got := c.server.Stats().Exhausted; got != 2 {
			t.Errorf("%d calls refused for the quota, want 2", got)
		}
	})
}

func TestOrganizationsOfACaller(t *testing.T) {
	const path = "/Management/v2/organizations"
	for name, test := range map[string]struct {
		caller string
		query  string
		want   []string
	}{
		"an administrator":                   {serviceUser, "", []string{orgID}},
		"an administrator, in so many words": {serviceUser, "?mode=org_admin", []string{orgID}},
		"no administrator":                   {ana, "", []string{}},
		"a member":                           {ana, "?mode=account_membership", []string{orgID}},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
				c.signInAs(jwt.MapClaims{"sub": test.caller, "scope": adminScopes})
				var got struct {
					Organizations []struct {
						ID       string
						Accounts []struct{ ID string }
					}
				}
				c.decode(c.ask(http.MethodGet, path+test.query, ""), http.StatusOK, &got)
				ids := []string{}
				for _, o := range got.Organizations {
					ids = append(ids, o.ID)
					if len(o.Accounts) != 2 || o.Accounts[1].ID != second {
						t.Errorf("accounts %v", o.Accounts)
					}
				}
				if !slices.Equal(ids, test.want) {
					t.Errorf("organizations %v, want %v", ids, test.want)
				}
			})
		})
	}
	inOrganization(t, docusigntest.Config{}, func(_ *testing.T, c *caller) {
		c.wantAdminRefusal(c.ask(http.MethodGet, path+"?mode=all", ""), http.StatusBadRequest, "invalid_request")
		c.signInAs(jwt.MapClaims{"scope": "signature impersonation user_read user_write"})
		c.wantAdminRefusal(c.ask(http.MethodGet, path, ""), http.StatusForbidden, "insufficient_scope")
	})
}

// An organization that only an account names is one whose every value is zero:
// anybody may call it.
func TestOrganizationThatOnlyAnAccountNames(t *testing.T) {
	c := start(t, docusigntest.Config{Accounts: []docusigntest.AccountConfig{{ID: account, Organization: orgID}}})
	c.signInAs(jwt.MapClaims{"scope": adminScopes})
	var got struct{ Imports []json.RawMessage }
	c.decode(c.ask(http.MethodGet, organizationPath("/imports/bulk_users"), ""), http.StatusOK, &got)
	if got.Imports == nil || len(got.Imports) > 0 {
		t.Errorf("imports %v, want an empty list", got.Imports)
	}
}

func TestConfigOfOrganizationsIsChecked(t *testing.T) {
	organizations := func(all ...docusigntest.OrganizationConfig) docusigntest.Config {
		return docusigntest.Config{Organizations: all}
	}
	odd := func(q organizationQuirks) docusigntest.Config {
		return docusigntest.Config{Quirks: quirks{Organization: q}}
	}
	for name, test := range map[string]struct {
		cfg  docusigntest.Config
		want string
	}{
		"no id":            {organizations(docusigntest.OrganizationConfig{}), `organizations[0].id: missing`},
		"twice":            {organizations(docusigntest.OrganizationConfig{ID: "o"}, docusigntest.OrganizationConfig{ID: "O"}), `organizations[1].id: "O": given twice`},
		"limit below 0":    {organizations(docusigntest.OrganizationConfig{ID: "o", HourLimit: -1}), `organizations[0].hour_limit: -1: below 0`},
		"duration below 0": {organizations(docusigntest.OrganizationConfig{ID: "o", ImportTime: -1}), `organizations[0].import_time: -1ns: below 0`},
		"columns":          {odd(organizationQuirks{Columns: "some"}), `quirks.organization.columns: "some": not one of`},
		"body":             {odd(organizationQuirks{Body: "form"}), `quirks.organization.body: "form": not one of`},
		"already closed":   {odd(organizationQuirks{AlreadyClosed: "X"}), `quirks.organization.already_closed: "X": not one of`},
		"missing scope":    {odd(organizationQuirks{MissingScope: 400}), `quirks.organization.missing_scope: 400: neither 403 nor 401`},
		"rows below 0":     {odd(organizationQuirks{ResultsLoseEvery: -1}), `quirks.organization.results_lose_every: -1: below 0`},
		"users below 0":    {odd(organizationQuirks{MostUsersPerList: -1}), `quirks.organization.most_users_per_list: -1: below 0`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := docusigntest.New(test.cfg)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

func TestUserInfoNamesTheOrganization(t *testing.T) {
	inOrganization(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
		var got struct {
			Accounts []struct {
				AccountID    string `json:"account_id"`
				Organization struct {
					ID    string `json:"organization_id"`
					Links []struct{ Href string }
				}
			}
		}
		c.decode(c.ask(http.MethodGet, "/oauth/userinfo", ""), http.StatusOK, &got)
		var ids []string
		for _, a := range got.Accounts {
			ids = append(ids, strings.ToLower(a.Organization.ID))
		}
		if want := []string{orgID, orgID, ""}; !reflect.DeepEqual(ids, want) {
			t.Errorf("organizations %v, want %v", ids, want)
		}
	})
}
