package docusign

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	testOrganization = "04904904-0000-4000-8000-000000000000"
	annID            = "a0000000-0000-4000-8000-000000000001"
	benID            = "b0000000-0000-4000-8000-000000000002"
)

func newTestOrganization(t *testing.T, f *fake) *Organization {
	t.Helper()
	return newTestClient(t, f).Organization(testOrganization)
}

func TestServerOfTheAdminAPI(t *testing.T) {
	const path = "/Management/v2/organizations/" + testOrganization + "/imports/bulk_users"
	for auth, want := range map[string]string{
		"https://account.docusign.com":     "https://api.docusign.net",
		"https://Account-D.docusign.com":   "https://api-d.docusign.net",
		"https://account-s.docusign.com":   "https://api-s.docusign.net",
		"https://account-x.docusign.com":   "https://account-x.docusign.com",
		"https://docusign.example.com":     "https://docusign.example.com",
		"http://127.0.0.1:8081":            "http://127.0.0.1:8081",
		"https://account.docusign.com.org": "https://account.docusign.com.org",
	} {
		t.Run(auth, func(t *testing.T) {
			f := always(200, `{"imports":[]}`)
			cfg := testConfig(t)
			cfg.AuthServer = auth
			c, err := New(cfg, f, Observe{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Organization(testOrganization).Imports(t.Context()); err != nil || f.calls[0] != "GET "+want+path {
				t.Errorf("%v, %v", f.calls, err)
			}
		})
	}
}

func TestScopesOfTheOrganization(t *testing.T) {
	f := always(200, `{"imports":[]}`)
	var scope any
	f.signIn = func(n int, req *http.Request) (*http.Response, error) {
		if n > 1 {
			return say(400, `{"error":"consent_required"}`), nil
		}
		if err := req.ParseForm(); err != nil {
			t.Error(err)
		}
		claims := jwt.MapClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(req.PostForm.Get("assertion"), claims); err != nil {
			t.Error(err)
		}
		scope = claims["scope"]
		return say(200, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`), nil
	}
	cfg := testConfig(t)
	cfg.Organization = testOrganization
	c, err := New(cfg, f, Observe{})
	if err != nil {
		t.Fatal(err)
	}
	o := c.Organization(testOrganization)
	if _, err := o.Imports(t.Context()); err != nil || scope != "signature impersonation user_read user_write organization_read" {
		t.Errorf("asked for %q, %v", scope, err)
	}
	c.drop("t")
	_, err = o.Imports(t.Context())
	if !strings.Contains(Advice(err), "scope=signature%20impersonation%20user_read%20user_write%20organization_read&") {
		t.Errorf("%v: %s", err, Advice(err))
	}
}

func TestUsersOfTheOrganizationByEmail(t *testing.T) {
	const membership = `{"account_id":"ACC0ACC0-0000-4000-8000-000000000000","email":"Ana@example.com",` +
		`"status":"active","is_admin":true,"created_on":"2021-07-07T15:10:51.96"}`
	user := func(memberships string) string {
		return `{"id":"` + annID + `","user_name":"Ana Paz","created_on":"2019-04-01T22:11:56.457","is_managed_by_scim":true,"memberships":[` + memberships + `]}`
	}
	ana := User{
		ID: annID, Email: "Ana@example.com", Name: "Ana Paz", Status: Active, Administrator: true, ManagedBySCIM: true,
		Created: time.Date(2019, 4, 1, 22, 11, 56, 457e6, time.UTC), Added: time.Date(2021, 7, 7, 15, 10, 51, 960e6, time.UTC),
	}
	as := func(s Status) map[string][]User {
		u := ana
		u.Status = s
		return map[string][]User{testAccount: {u}}
	}
	with := func(status string) string { return strings.Replace(membership, `"active"`, status, 1) }
	cases := map[string]struct {
		users string
		want  map[string][]User
	}{
		"nobody":                           {``, nil},
		"a user without memberships":       {user(``), nil},
		"an active one":                    {user(membership), as(Active)},
		"a closed one":                     {user(with(`"closed"`)), as(Closed)},
		"not yet active":                   {user(with(`"activation_sent"`)), as(ActivationSent)},
		"not even invited":                 {user(with(`"Activation_Required"`)), as(ActivationRequired)},
		"in the words of accounts":         {user(with(`"Disabled"`)), as(Disabled)},
		"a status that nobody knows":       {user(with(`"asleep"`)), nil},
		"no status":                        {user(with(`null`)), nil},
		"no account":                       {user(strings.Replace(membership, "account_id", "account", 1)), nil},
		"no userId":                        {strings.Replace(user(membership), annID, "", 1), nil},
		"open and closed in one account":   {user(membership + "," + with(`"closed"`)), as(Active)},
		"closed and open in one account":   {user(with(`"closed"`) + "," + membership), as(Active)},
		"another account knows it not all": {user(membership + `,{"status":"active"}`), as(Active)},
		"two users with one address": {
			user(membership) + "," + strings.Replace(user(membership), annID, benID, 1),
			map[string][]User{testAccount: {ana, func() User { u := ana; u.ID = benID; return u }()}},
		},
		"two accounts": {
			user(membership + "," + strings.Replace(membership, "ACC0ACC0", "acc1acc1", 1)),
			map[string][]User{testAccount: {ana}, strings.Replace(testAccount, "acc0acc0", "acc1acc1", 1): {ana}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := always(200, `{"users":[`+tc.users+`]}`)
			got, err := newTestOrganization(t, f).UsersByEmail(t.Context(), "ana+x@example.com")
			if err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("%+v, %v; want %+v", got, err, tc.want)
			}
			if !strings.HasSuffix(f.calls[0], "/users/profile?email=ana%2Bx%40example.com") {
				t.Errorf("asked %s", f.calls[0])
			}
		})
	}
}

func TestUsersOfTheOrganizationCannotBeAsked(t *testing.T) {
	f := always(200, `{"users":[]}`)
	if _, err := newTestOrganization(t, f).UsersByEmail(t.Context(), " "); ClassOf(err) != Permanent || len(f.calls) != 0 {
		t.Errorf("no address: %v, asked %v", err, f.calls)
	}
	if _, err := newTestOrganization(t, always(200, `{}`)).UsersByEmail(t.Context(), "ana@example.com"); ClassOf(err) != Passing {
		t.Errorf("other JSON: %v", err)
	}
	f = always(400, `{"error":"user_not_found","error_description":"ana@example.com is nobody"}`)
	if got, err := newTestOrganization(t, f).UsersByEmail(t.Context(), "ana@example.com"); got != nil || err != nil {
		t.Errorf("an error for nobody: %v, %v", got, err)
	}
}

func TestErrorsOfTheAdminAPI(t *testing.T) {
	said := func(code string) string {
		return `{"error":"` + code + `","error_description":"about ana@example.com"}`
	}
	type outcome struct {
		class  Class
		reason string
	}
	lacks := outcome{Park, "permissions"}
	unread := outcome{Passing, "unreadable"}
	cases := map[string]struct {
		status       int
		body         string
		read, upload outcome
	}{
		"no administrator of the organization": {403, said("unauthorized"), lacks, lacks},
		"the same in two words":                {400, said("Not Authorized"), lacks, lacks},
		"the same with 401":                    {401, said("unauthorized"), lacks, lacks},
		"a token without the scopes":           {403, said("insufficient_scope"), lacks, lacks},
		"403 with a code that nobody knows":    {403, said("new_in_2027"), lacks, lacks},
		"in the words of accounts":             {400, `{"errorCode":"USER_LACKS_PERMISSIONS"}`, lacks, lacks},
		"a bare 401":                           {401, "", outcome{SignIn, "sign_in"}, outcome{SignIn, "sign_in"}},
		"a bare 403":                           {403, "", unread, outcome{Unknown, "unreadable"}},
		"an hour's quota":                      {429, said("HOURLY_APIINVOCATION_LIMIT_EXCEEDED"), outcome{Exhausted, "hour_quota"}, outcome{Exhausted, "hour_quota"}},
		"another import runs":                  {409, said("import_running"), outcome{Permanent, "refused"}, outcome{Passing, "refused"}},
		"another import runs, with 400":        {400, said("import_in_progress"), outcome{Permanent, "refused"}, outcome{Passing, "refused"}},
		"a bare 409":                           {409, "", unread, outcome{Unknown, "unreadable"}},
		"a code that nobody knows":             {400, said("invalid_file"), outcome{Permanent, "refused"}, outcome{Permanent, "refused"}},
		"500":                                  {500, said("unauthorized"), outcome{Passing, "server_error"}, outcome{Unknown, "server_error"}},
		"a proxy's page":                       {502, "<html>", outcome{Passing, "server_error"}, outcome{Unknown, "server_error"}},
		"a redirect":                           {302, "", unread, outcome{Unknown, "unreadable"}},
		"a page on a 200":                      {200, "<html>", unread, outcome{Unknown, "unreadable"}},
		"half an answer on a 200":              {200, `{"id":"0`, unread, outcome{Unknown, "unreadable"}},
		"an import without an id":              {200, `{"status":"queued"}`, unread, outcome{Unknown, "unreadable"}},
		"an error on a 200":                    {200, said("whatever"), unread, outcome{Unknown, "unreadable"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := newTestOrganization(t, always(tc.status, tc.body))
			_, read := o.Import(t.Context(), "1")
			_, upload := o.CloseUsers(t.Context(), Upload{Rows: oneRow})
			for err, want := range map[error]outcome{read: tc.read, upload: tc.upload} {
				if got := (outcome{ClassOf(err), Reason(err)}); got != want {
					t.Errorf("%v, want %v (%v)", got, want, err)
				}
				if (Advice(err) == adviceOrganization) != (want == lacks) {
					t.Errorf("%v: advice %q", err, Advice(err))
				}
				if strings.Contains(err.Error(), "@") {
					t.Errorf("an email in the error: %v", err)
				}
			}
		})
	}
}

func TestQuotaOfTheOrganizationIsItsOwn(t *testing.T) {
	f := always(200, `{"imports":[]}`, "X-RateLimit-Limit", "3000", "X-RateLimit-Remaining", "0")
	var shown []string
	c, err := New(testConfig(t), f, Observe{Quota: func(account string, _ Quota) { shown = append(shown, account) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Organization(testOrganization).Imports(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = c.Organization(testOrganization).Imports(t.Context()) // another one of the same quota
	if e, _ := errors.AsType[*Error](err); ClassOf(err) != Exhausted || e.RetryAt.IsZero() || len(f.calls) != 1 {
		t.Errorf("%v after %v", err, f.calls)
	}
	a := c.Account(AccountInfo{ID: testAccount, BaseURI: "https://demo.docusign.net"})
	if _, err := a.User(t.Context(), annID); ClassOf(err) != Passing { // it got through, to an answer that says nothing of users
		t.Errorf("the account's quota: %v", err)
	}
	if want := []string{"organization", testAccount}; !reflect.DeepEqual(shown, want) {
		t.Errorf("shown as %v, want %v", shown, want)
	}
}

func TestLookUpsLeaveRoomForImports(t *testing.T) {
	f := always(200, `{"imports":[],"users":[]}`, "X-RateLimit-Limit", "3000", "X-RateLimit-Remaining", "100")
	o := newTestOrganization(t, f)
	if _, err := o.UsersByEmail(t.Context(), "ana@example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.UsersByEmail(t.Context(), "ben@example.com"); ClassOf(err) != Exhausted {
		t.Errorf("a look-up with 100 of 3000 calls left: %v", err)
	}
	if _, err := o.Imports(t.Context()); err != nil {
		t.Errorf("imports with 100 of 3000 calls left: %v", err)
	}
}
