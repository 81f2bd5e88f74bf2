package docusigntest_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"signoff/closer/docusign/docusigntest"
)

// The API descriptions that answers are held against. The published one is
// older than some fields; the other adds those that Docusign's own SDK has.
const (
	published = "esignature-users.swagger.json"
	current   = "esignature-users.current-derived.swagger.json"
	admin     = "admin-users.swagger.json" // of the Admin API; of its answers it declares 200 alone
)

// findShared returns a file of the shared directory, which is beside the
// repository or where SIGNOFF_SHARED says. It is not part of the repository, so
// the test is skipped without it, except in CI.
func findShared(t *testing.T, name string) string {
	t.Helper()
	if dir := os.Getenv("SIGNOFF_SHARED"); dir != "" {
		return filepath.Join(dir, "docusign", name)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	file := filepath.Join(filepath.Dir(dir), "shared", "docusign", name)
	if _, err := os.Stat(file); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s: not there; set SIGNOFF_SHARED", file)
		}
		t.Skipf("%s: not there; set SIGNOFF_SHARED", file)
	}
	return file
}

// schema holds answers against an API description.
type schema struct{ router routers.Router }

func loadSchema(t *testing.T, name string) schema {
	t.Helper()
	text, err := os.ReadFile(findShared(t, name))
	if err != nil {
		t.Fatal(err)
	}
	var doc2 openapi2.T
	if err := json.Unmarshal(text, &doc2); err != nil {
		t.Fatal(err)
	}
	doc, err := openapi2conv.ToV3(&doc2)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing in the description is required and everything may be added, so
	// that a misspelled field would pass. Ours must all be known to it.
	no := false
	for _, s := range doc.Components.Schemas {
		s.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &no}
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return schema{router}
}

// check returns what is wrong with the answer to r.
func (s schema) check(r *http.Request, a answer) error {
	route, params, err := s.router.FindRoute(r)
	if err != nil {
		return err
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: route, PathParams: params},
		Status:                 a.status,
		Header:                 a.header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if a.status != http.StatusOK {
		// The description declares 400 alone; the others have the same shape.
		input.Status = http.StatusBadRequest
	}
	return openapi3filter.ValidateResponse(r.Context(), input.SetBodyBytes(a.body))
}

// checked is a call whose answer is held against the description.
type checked struct {
	quirks quirks
	before func(*docusigntest.Server) // nil: nothing
	method string                     // "": GET
	path   string                     // behind the account's users
	body   string
	status int
}

// checkedCalls are calls of every kind, answered in every way.
func checkedCalls() map[string]checked {
	closing := func(ids ...string) string {
		var entries []string
		for _, id := range ids {
			entries = append(entries, `{"userId":"`+id+`"}`)
		}
		return `{"users":[` + strings.Join(entries, ",") + `]}`
	}
	reopening := `{"users":[{"userId":"` + ana + `","sendActivationEmail":"send"}]}`
	shut := func(s *docusigntest.Server) {
		u, _ := s.User(account, ana)
		u.Status = "Closed"
		s.SetUser(account, u)
	}
	return map[string]checked{
		"a page of many":             {path: "?start_position=2&count=2", status: 200},
		"an empty list":              {path: "?email_substring=nobody", status: 200},
		"an unknown email":           {path: "?email=nobody@example.com", status: 400},
		"a wrong count":              {path: "?count=1000", status: 400},
		"one user":                   {path: "/" + ana, status: 200},
		"no user":                    {path: "/" + serviceUser, status: 400},
		"all closed":                 {method: "DELETE", body: closing(ana), status: 200},
		"all closed, without status": {quirks: quirks{NoUserStatus: true}, method: "DELETE", body: closing(ana), status: 200},
		"some closed, some not":      {method: "DELETE", body: closing(ana, bo, serviceUser), status: 200},
		"none closed":                {method: "DELETE", body: closing(bo), status: 200},
		"nobody to close":            {method: "DELETE", body: closing(), status: 400},
		"a user missing from a close": {
			before: func(s *docusigntest.Server) { s.SetFaults(faults{MissingEntry: 1}) },
			method: "DELETE", body: closing(ana), status: 200,
		},
		"an account that may not":    {before: func(s *docusigntest.Server) { s.SetRefuse(account, "ACCOUNT_LACKS_PERMISSIONS") }, status: 400},
		"an exhausted hour":          {before: func(s *docusigntest.Server) { s.ExhaustHour(account) }, status: 429},
		"an exhausted burst":         {before: func(s *docusigntest.Server) { s.ExhaustBurst(account) }, status: 429},
		"a token that was revoked":   {before: (*docusigntest.Server).RevokeTokens, status: 401},
		"an empty close":             {quirks: quirks{EmptyCloseIsOK: true}, method: "DELETE", status: 200},
		"a list without totals":      {quirks: quirks{NoTotals: true, LeanRecords: true}, path: "?count=1", status: 200},
		"a removal refused":          {quirks: quirks{RemoveFrom: "X"}, method: "DELETE", path: "?delete=SigningGroupsEmail", body: closing(ana), status: 400},
		"a removal refused for each": {quirks: quirks{RemoveFrom: "user:X"}, method: "DELETE", path: "?delete=SigningGroupsEmail", body: closing(ana), status: 200},
		"reopened":                   {before: shut, method: "PUT", body: reopening, status: 200},
		"reopened, without status":   {quirks: quirks{NoUserStatus: true}, before: shut, method: "PUT", body: reopening, status: 200},
		"reopened, and active":       {quirks: quirks{ReopensAs: "Active"}, before: shut, method: "PUT", body: reopening, status: 200},
		"a reopening refused":        {quirks: quirks{Reopen: "user:X"}, method: "PUT", body: reopening, status: 200},
		"reopenings refused":         {quirks: quirks{Reopen: "X"}, method: "PUT", body: reopening, status: 400},
		"nobody to reopen":           {method: "PUT", body: `{"users":[]}`, status: 400},
		"a busy service":             {before: func(s *docusigntest.Server) { s.SetFaults(faults{Busy503: 1}) }, status: 503},
		"an error of its own":        {before: func(s *docusigntest.Server) { s.SetFaults(faults{Error500: 1}) }, status: 500},
	}
}

func TestAnswersFollowTheDescription(t *testing.T) {
	for _, name := range []string{published, current} {
		s := loadSchema(t, name)
		users := []user{
			{ID: ana, Email: "ana@example.com", Name: "Ana Paz", Administrator: true},
			{ID: bo, Email: "bo@example.com", CloseError: "X"},
			{ID: cy, Email: "cy@example.com", Administrator: true},
			{Email: "d@example.com", Added: time.Now()}, {Email: "e@example.com"},
		}
		if name == current { // the published one does not know isManagedByScim
			users[0].ManagedBySCIM = true
		}
		for what, test := range checkedCalls() {
			t.Run(name+"/"+what, func(t *testing.T) {
				c := startWith(t, test.quirks, users...)
				c.base = "https://www.docusign.net" // where the description says the API is
				if test.before != nil {
					test.before(c.server)
				}
				method := cmp.Or(test.method, http.MethodGet)
				a := c.ask(method, usersPath(account)+test.path, test.body)
				if a.status != test.status {
					t.Fatalf("status %d, want %d: %s", a.status, test.status, a.body)
				}
				if err := s.check(request(t, method, c.base+usersPath(account)+test.path), a); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestAdminAnswersFollowTheDescription(t *testing.T) {
	s := loadSchema(t, admin)
	rows := rowOf(account, ana, "ana@example.com") + rowOf(account, bo, "bo@example.com") + rowOf(account, serviceUser, "service@example.com")
	done := func(file string) func(*caller) string {
		return func(c *caller) string {
			id := c.uploaded(file).ID
			time.Sleep(time.Minute)
			return id
		}
	}
	warned := quirks{Organization: organizationQuirks{AlreadyClosed: "membership_closed_or_disabled_warning"}}
	for name, test := range map[string]struct {
		quirks quirks
		before func(*caller) (id string) // of an import; nil: nothing
		path   string                    // behind the organization's; ID in it is that id
	}{
		"the organizations":   {path: ""},
		"a profile":           {path: "/users/profile?email=ana@example.com"},
		"a profile of nobody": {path: "/users/profile?email=nobody@example.com"},
		"users of an account": {path: "/users?start=1&take=2&account_id=" + account},
		"users by email":      {path: "/users?email=di@example.com"},
		"no imports":          {path: "/imports/bulk_users"},
		"imports":             {before: done(importHeader + rows), path: "/imports/bulk_users"},
		"an import":           {before: done(importHeader + rows), path: "/imports/bulk_users/ID"},
		"one that failed":     {before: done("AccountID,Shoe\n"), path: "/imports/bulk_users/ID"},
		"one with a warning":  {quirks: warned, before: done(importHeader + rows), path: "/imports/bulk_users/ID"},
	} {
		t.Run(name, func(t *testing.T) {
			inOrganization(t, docusigntest.Config{Quirks: test.quirks}, func(t *testing.T, c *caller) {
				path := "/Management/v2/organizations"
				if test.path != "" {
					path = organizationPath(test.path)
				}
				if test.before != nil {
					path = strings.Replace(path, "ID", test.before(c), 1)
				}
				c.base = "https://api.docusign.net" // where the description says the API is
				a := c.ask(http.MethodGet, path, "")
				if a.status != http.StatusOK {
					t.Fatalf("status %d: %s", a.status, a.body)
				}
				if err := s.check(request(t, http.MethodGet, c.base+path), a); err != nil {
					t.Error(err)
				}
			})
		})
	}
	inOrganization(t, docusigntest.Config{}, func(t *testing.T, c *caller) {
		a := c.upload(importHeader + rows)
		if err := s.check(request(t, http.MethodPost, "https://api.docusign.net"+organizationPath("/imports/bulk_users/close")), a); err != nil {
			t.Error(err)
		}
	})
}

func request(t *testing.T, method, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A check that lets everything pass proves nothing.
func TestDescriptionRefusesWhatIsWrong(t *testing.T) {
	s := loadSchema(t, published)
	list := "https://www.docusign.net" + usersPath(account)
	for name, wrong := range map[string]struct {
		method string
		status int
		body   string
	}{
		"a number for a string":   {http.MethodGet, 200, `{"users":[],"resultSetSize":0}`},
		"a bool for a string":     {http.MethodGet, 200, `{"users":[{"isAdmin":true}]}`},
		"an unknown field":        {http.MethodGet, 200, `{"users":[{"status":"Active"}]}`},
		"an error without a list": {http.MethodGet, 400, `{"error":"invalid_grant"}`},
		"details not an object":   {http.MethodDelete, 200, `{"users":[{"errorDetails":"X"}]}`},
		"no JSON":                 {http.MethodDelete, 200, `<html>`},
	} {
		t.Run(name, func(t *testing.T) {
			a := answer{status: wrong.status, header: http.Header{"Content-Type": {"application/json"}}, body: []byte(wrong.body)}
			if s.check(request(t, wrong.method, list), a) == nil {
				t.Errorf("passes: %s", wrong.body)
			}
		})
	}
}
