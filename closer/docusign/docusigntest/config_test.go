package docusigntest_test

import (
	"math"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"signoff/closer/docusign/docusigntest"
)

func TestConfigFromYAML(t *testing.T) {
	decoder := yaml.NewDecoder(strings.NewReader(`
integration_key: key
consent: true
token_life: 30m
hour_limit: 100
latency_jitter: 10ms
accounts:
  - id: a-1
    generate: 2
    domain: big.example
    hour_limit: 50
    users: [{email: ana@example.com, administrator: true, close_error: X, signing_groups: [board]}]
churn: {every: 2, add: front, close: any, emails: [late@example.com]}
sso: {after: 1h, domain: example.com, same_id: true}
organizations: [{id: o-1, administrators: [u-1], import_time: 3s}]
quirks: {inexact_email: true, max_users_per_close: 10, retry_after: date, remove_from: "user:X", organization: {stuck: true}}
faults: {seed: 3, cut_after: 0.5, operations: [close_users]}
`))
	decoder.KnownFields(true)
	var got docusigntest.Config
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	yes := true
	want := docusigntest.Config{
		IntegrationKey: "key", Consent: &yes, TokenLife: 30 * time.Minute, HourLimit: 100, LatencyJitter: 10 * time.Millisecond,
		Accounts: []docusigntest.AccountConfig{{
			ID: "a-1", Generate: 2, Domain: "big.example", HourLimit: 50,
			Users: []user{{Email: "ana@example.com", Administrator: true, CloseError: "X", SigningGroups: []string{"board"}}},
		}},
		Churn:  docusigntest.Churn{Every: 2, Add: "front", Close: "any", Emails: []string{"late@example.com"}},
		SSO:    docusigntest.SSO{After: time.Hour, Domain: "example.com", SameID: true},
		Quirks: quirks{InexactEmail: true, MaxUsersPerClose: 10, RetryAfter: "date", RemoveFrom: "user:X", Organization: organizationQuirks{Stuck: true}},
		Organizations: []docusigntest.OrganizationConfig{
			{ID: "o-1", Administrators: []string{"u-1"}, ImportTime: 3 * time.Second},
		},
		Faults: faults{Seed: 3, CutAfter: 0.5, Operations: []string{"close_users"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	server, err := docusigntest.New(got)
	if err != nil {
		t.Fatal(err)
	}
	var emails []string
	for _, u := range server.Users("a-1") {
		emails = append(emails, u.Email)
	}
	if got := strings.Join(emails, " "); got != "ana@example.com user000001@big.example user000002@big.example" {
		t.Errorf("users %s", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	one := func(a docusigntest.AccountConfig) docusigntest.Config {
		a.ID = "a-1"
		return docusigntest.Config{Accounts: []docusigntest.AccountConfig{a}}
	}
	notAKey := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(notAKey, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		cfg  docusigntest.Config
		want string
	}{
		"limit below 0":          {docusigntest.Config{HourLimit: -1}, `hour_limit: -1: below 0`},
		"duration below 0":       {docusigntest.Config{Latency: -time.Second}, `latency: -1s: below 0`},
		"status of neither year": {docusigntest.Config{QuotaStatus: 503}, `quota_status: 503: neither 429 nor 400`},
		"base_uri without host":  {docusigntest.Config{BaseURI: "demo"}, `base_uri: "demo": not a URL`},
		"hour of an account":     {one(docusigntest.AccountConfig{HourLimit: -1}), `accounts[0].hour_limit: -1: below 0`},
		"churn below 0":          {docusigntest.Config{Churn: docusigntest.Churn{Every: -1}}, `churn.every: -1: below 0`},
		"churn at no place":      {docusigntest.Config{Churn: docusigntest.Churn{Close: "top"}}, `churn.close: "top": not one of`},
		"sign-on below 0":        {docusigntest.Config{SSO: docusigntest.SSO{After: -time.Second}}, `sso.after: -1s: below 0`},
		"Retry-After of no form": {docusigntest.Config{Quirks: quirks{RetryAfter: "true"}}, `quirks.retry_after: "true": neither "seconds" nor "date"`},
		"busy below 0":           {docusigntest.Config{Faults: faults{BusyFor: -time.Second}}, `faults.busy_for: -1s: below 0`},
		"chance above 1":         {docusigntest.Config{Faults: faults{HTML: 2}}, `faults.html: 2: not in 0..1`},
		"chance that is none":    {docusigntest.Config{Faults: faults{NotClosed: math.NaN()}}, `faults.not_closed: NaN: not in 0..1`},
		"operation of no kind":   {docusigntest.Config{Faults: faults{Operations: []string{"open"}}}, `faults.operations: "open": not one of`},
		"account without id":     {docusigntest.Config{Accounts: []docusigntest.AccountConfig{{}}}, `accounts[0].id: missing`},
		"account twice":          {docusigntest.Config{Accounts: []docusigntest.AccountConfig{{ID: "a"}, {ID: "A"}}}, `accounts[1].id: "A": given twice`},
		"user twice":             {one(docusigntest.AccountConfig{Users: []user{{ID: ana}, {ID: strings.ToUpper(ana)}}}), `accounts[0].users: id: "` + strings.ToUpper(ana) + `": given twice`},
		"status of no kind":      {one(docusigntest.AccountConfig{Users: []user{{ID: ana, Status: "Gone"}}}), `accounts[0].users: status of user ` + ana + `: "Gone": not one of`},
		"key of no file":         {docusigntest.Config{PublicKeyFile: "/nowhere"}, `public_key_file: open /nowhere: no such file`},
		"key that is none":       {docusigntest.Config{PublicKeyFile: notAKey}, `public_key_file: "` + notAKey + `": `},
		"two keys":               {docusigntest.Config{PublicKeyFile: notAKey, PublicKey: &newKey().PublicKey}, `public_key_file: "` + notAKey + `": a key was given as well`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := docusigntest.New(test.cfg)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("error %v, want %s", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Error("the key file's content is in the error")
			}
		})
	}
}

func TestGeneratedUsersAreAlwaysTheSame(t *testing.T) {
	users := func() []user {
		server, err := docusigntest.New(docusigntest.Config{Accounts: []docusigntest.AccountConfig{{ID: "a-1", Generate: 20}}})
		if err != nil {
			t.Fatal(err)
		}
		return server.Users("a-1")
	}
	if one, two := users(), users(); !reflect.DeepEqual(one, two) || one[0].ID == one[1].ID {
		t.Errorf("%+v\nthen %+v", one[:2], two[:2])
	}
}

func TestUsersCanChange(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana, Email: "ana@example.com"})
	added := c.server.AddUser(account, user{Email: "bo@example.com"})
	if added.ID == "" || added.Status != "Active" {
		t.Errorf("added %+v", added)
	}
	c.server.SetUser(account, user{ID: ana, Email: "ana.paz@example.com"})
	c.wantRefusal(c.list("email=ana@example.com"), http.StatusBadRequest, "USER_LACKS_MEMBERSHIP")
	for _, email := range []string{"bo@example.com", "ana.paz@example.com"} {
		if a := c.list("email=" + email); a.status != http.StatusOK {
			t.Errorf("%s: status %d", email, a.status)
		}
	}
	if _, there := c.server.User(account, bo); there {
		t.Error("there is a user whom nobody added")
	}
}

// Whoever uses a simulation wrongly is told at once, not by a test that passes.
func TestSlipsPanic(t *testing.T) {
	c := startWith(t, quirks{}, user{ID: ana})
	for name, slip := range map[string]func(){
		"an account that is not there": func() { c.server.Users("nowhere") },
		"a user added twice":           func() { c.server.AddUser(account, user{ID: ana}) },
		"a user who is not there":      func() { c.server.SetUser(account, user{ID: bo}) },
		"a status of no kind":          func() { c.server.SetUser(account, user{ID: ana, Status: "Gone"}) },
		"a chance above 1":             func() { c.server.SetFaults(faults{CutAfter: 1.5}) },
		"a churn at no place":          func() { c.server.SetChurn(docusigntest.Churn{Add: "top"}) },
		"nobody recreated":             func() { c.server.Recreate(account, bo, true) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			slip()
		})
	}
}
