package docusigntest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The operations of the Admin API.
const (
	opOrganizations = "organizations"
	opOrgUsers      = "org_users"
	opGetProfile    = "get_profile"
	opImportUsers   = "import_users"
	opListImports   = "list_imports"
	opGetImport     = "get_import"
	opDeleteImport  = "delete_import"
	opImportResults = "import_results"
)

// scopeOf is what a token must be good for, by operation.
var scopeOf = map[string]string{
	opOrganizations: "organization_read",
	opOrgUsers:      "user_read",
	opGetProfile:    "user_read",
	opImportUsers:   "user_write",
	opListImports:   "user_read",
	opGetImport:     "user_read",
	opDeleteImport:  "user_write",
	opImportResults: "user_read",
}

// OrganizationConfig is an organization. The accounts that name it are its own.
// One that only accounts name is there as well, with every value zero.
type OrganizationConfig struct {
	ID             string        `yaml:"id"`
	Name           string        `yaml:"name"`
	Administrators []string      `yaml:"administrators"` // userIds of those who may call; none: everybody
	HourLimit      int           `yaml:"hour_limit"`     // calls on the organization itself; 0: Config's
	ImportTime     time.Duration `yaml:"import_time"`    // from the upload of an import until it is done; 0: 2s
}

// OrganizationQuirks are the Admin API's answers that the documentation leaves
// open, or of which its parts contradict each other.
type OrganizationQuirks struct {
	BadToken     string `yaml:"bad_token"`     // `error` of a token that is expired, revoked or malformed; "": invalid_token
	MissingScope int    `yaml:"missing_scope"` // HTTP status for a token that lacks a scope: 403, or 401; 0: 403
	UnknownEmail string `yaml:"unknown_email"` // `error` of the profile of nobody, with a 404; "": an empty list

	Columns          string `yaml:"columns"`             // of an import: "": AccountID, APIUserName and UserEmail must be there; "all": all seven; "no_api_user_name": that one must not
	Body             string `yaml:"body"`                // of an import: "raw" or "multipart"; "": either
	SeveralImports   bool   `yaml:"several_imports"`     // one may be sent while another runs
	Stuck            bool   `yaml:"stuck"`               // imports stop half-way and run for ever
	CompletedStatus  string `yaml:"completed_status"`    // "": completed
	FailedStatus     string `yaml:"failed_status"`       // "": failed
	AlreadyClosed    string `yaml:"already_closed"`      // error type of a user closed before; "": membership_closed
	ClosedResult     string `yaml:"closed_result"`       // what ProcessingResults says of a user who was closed; "": Closed
	ResultsInWords   bool   `yaml:"results_in_words"`    // and of one who was not: the error type's words, not the type
	ResultsLoseEvery int    `yaml:"results_lose_every"`  // every so many-th row is missing from the results; 0: none
	ZonelessTimes    bool   `yaml:"zoneless_times"`      // times are without Z, as in the description's examples, and against its own format
	RecentProfiles   bool   `yaml:"recent_profiles"`     // profiles hold only users made, added or signed in within 10 days
	MostUsersPerList int    `yaml:"most_users_per_list"` // a longer page is cut to so many; 0: no limit
}

// withOrganizations returns the organizations of c, and those that only its
// accounts name.
func (c Config) withOrganizations() []OrganizationConfig {
	all := slices.Clone(c.Organizations)
	for _, a := range c.Accounts {
		if a.Organization != "" && !slices.ContainsFunc(all, func(o OrganizationConfig) bool { return strings.EqualFold(o.ID, a.Organization) }) {
			all = append(all, OrganizationConfig{ID: a.Organization})
		}
	}
	for i := range all {
		setDefault(&all[i].Name, "Simulated organization")
		setDefault(&all[i].ImportTime, 2*time.Second)
	}
	return all
}

// withDefaults does for q what Config.withDefaults does for a Config.
func (q OrganizationQuirks) withDefaults() OrganizationQuirks {
	setDefault(&q.BadToken, "invalid_token")
	setDefault(&q.MissingScope, http.StatusForbidden)
	setDefault(&q.CompletedStatus, "completed")
	setDefault(&q.FailedStatus, "failed")
	setDefault(&q.AlreadyClosed, membershipClosed)
	setDefault(&q.ClosedResult, "Closed")
	return q
}

func (q OrganizationQuirks) validate() error {
	for key, word := range map[string]struct {
		value string
		known []string
	}{
		"columns":        {q.Columns, []string{"", allColumns, noAPIUserName}},
		"body":           {q.Body, []string{"", rawBody, multipartBody}},
		"already_closed": {q.AlreadyClosed, closedBefore},
	} {
		if !slices.Contains(word.known, word.value) {
			return fmt.Errorf("quirks.organization.%s: %q: not one of %q", key, word.value, word.known)
		}
	}
	if q.MissingScope != http.StatusForbidden && q.MissingScope != http.StatusUnauthorized {
		return fmt.Errorf("quirks.organization.missing_scope: %d: neither 403 nor 401", q.MissingScope)
	}
	for key, n := range map[string]int{"results_lose_every": q.ResultsLoseEvery, "most_users_per_list": q.MostUsersPerList} {
		if n < 0 {
			return fmt.Errorf("quirks.organization.%s: %d: below 0", key, n)
		}
	}
	return nil
}

func validateOrganizations(all []OrganizationConfig) error {
	for i, o := range all {
		switch {
		case o.ID == "":
			return fmt.Errorf("organizations[%d].id: missing", i)
		case slices.ContainsFunc(all[:i], func(other OrganizationConfig) bool { return strings.EqualFold(o.ID, other.ID) }):
			return fmt.Errorf("organizations[%d].id: %q: given twice", i, o.ID)
		case o.HourLimit < 0:
			return fmt.Errorf("organizations[%d].hour_limit: %d: below 0", i, o.HourLimit)
		case o.ImportTime < 0:
			return fmt.Errorf("organizations[%d].import_time: %v: below 0", i, o.ImportTime)
		}
	}
	return nil
}

// org is an organization's accounts and imports. The server's lock guards it.
type org struct {
	cfg      OrganizationConfig
	sim      *Config
	quota    quota
	accounts []*account
	imports  []*userImport // the oldest first
}

// newOrganizations makes the organizations of s.cfg from the accounts of s.
func (s *Server) newOrganizations() {
	for _, cfg := range s.cfg.Organizations {
		o := &org{cfg: cfg, sim: &s.cfg, quota: quota{cfg: &s.cfg, own: cfg.HourLimit, began: s.now()}}
		for _, a := range s.accounts {
			if strings.EqualFold(a.cfg.Organization, cfg.ID) {
				o.accounts = append(o.accounts, a)
			}
		}
		s.organizations = append(s.organizations, o)
	}
}

// organization returns the organization with that id, or nil; s.mu is held.
func (s *Server) organization(id string) *org {
	i := slices.IndexFunc(s.organizations, func(o *org) bool { return strings.EqualFold(o.cfg.ID, id) })
	if i < 0 {
		return nil
	}
	return s.organizations[i]
}

// account returns the organization's account with that id, which may be without
// hyphens; nil if there is none.
func (o *org) account(id string) *account {
	bare := func(id string) string { return strings.ToLower(strings.ReplaceAll(id, "-", "")) }
	i := slices.IndexFunc(o.accounts, func(a *account) bool { return bare(a.cfg.ID) == bare(id) })
	if i < 0 {
		return nil
	}
	return o.accounts[i]
}

// lists says whether the config names userID as an administrator.
func (o *org) lists(userID string) bool {
	return slices.ContainsFunc(o.cfg.Administrators, func(id string) bool { return strings.EqualFold(id, userID) })
}

func (o *org) mayCall(userID string) bool { return len(o.cfg.Administrators) == 0 || o.lists(userID) }

// managementPrefix is where the Admin API is.
const managementPrefix = "/Management/"

func (c *call) isAdmin() bool { return strings.HasPrefix(c.r.URL.Path, managementPrefix) }

// routeAdmin finds the operation behind managementPrefix.
func (c *call) routeAdmin(path string) {
	if c.r.Method+" "+path == "GET v2/organizations" {
		c.operation = opOrganizations
		return
	}
	rest, ok := strings.CutPrefix(path, "v2/organizations/")
	if !ok {
		return
	}
	id, what, _ := strings.Cut(rest, "/")
	const imports = "imports/bulk_users"
	switch c.r.Method + " " + what {
	case "GET users":
		c.operation = opOrgUsers
	case "GET users/profile":
		c.operation = opGetProfile
	case "POST " + imports + "/close":
		c.operation = opImportUsers
	case "GET " + imports:
		c.operation = opListImports
	default:
		one, ok := strings.CutPrefix(what, imports+"/")
		one, results := strings.CutSuffix(one, "/results_csv")
		switch {
		case !ok || one == "" || strings.Contains(one, "/"):
			return
		case results && c.r.Method == http.MethodGet:
			c.operation = opImportResults
		case c.r.Method == http.MethodGet:
			c.operation = opGetImport
		case c.r.Method == http.MethodDelete && !results:
			c.operation = opDeleteImport
		default:
			return
		}
		c.importID = one
	}
	c.organizationID = id
}

// adminAPI answers a call on an organization, as api does one on an account.
func (s *Server) adminAPI(c *call, handle func(*call, *org) answer) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if refused := s.mayNotCall(c); refused != nil {
		return *refused
	}
	o := s.organization(c.organizationID)
	if o == nil {
		return refusal(http.StatusNotFound, "organization_not_found", "There is no such organization.")
	}
	now := s.now()
	var result answer
	if code := o.quota.take(now); code != "" {
		s.exhausted++
		result = o.quota.refuse(code, now)
	} else if !o.mayCall(c.caller) {
		result = refusal(http.StatusForbidden, "access_denied", "The user is not an administrator of the organization.")
	} else {
		result = handle(c, o)
	}
	if !s.cfg.Quirks.NoRateHeaders {
		o.quota.describe(result.header, now)
	}
	return result
}

// mayNotCall is the answer to a token that is not good for the call; nil: it
// is. s.mu is held.
func (s *Server) mayNotCall(c *call) *answer {
	q := s.cfg.Quirks.Organization
	t, ok := s.bearer(c.r)
	if !ok {
		refused := refusal(http.StatusUnauthorized, q.BadToken, "The access token is expired, revoked or malformed.")
		return &refused
	}
	c.caller = t.user
	if slices.Contains(t.scopes, scopeOf[c.operation]) {
		return nil
	}
	word := "insufficient_scope"
	if q.MissingScope == http.StatusUnauthorized {
		word = "unauthorized"
	}
	refused := refusal(q.MissingScope, word, "The access token lacks the scope "+scopeOf[c.operation]+".")
	return &refused
}

// listOrganizations tells the caller's organizations. It is a call on none of
// them, so it is in nobody's quota.
func (s *Server) listOrganizations(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if refused := s.mayNotCall(c); refused != nil {
		return *refused
	}
	belongs := func(o *org) bool { return o.mayCall(c.caller) }
	switch mode := c.r.URL.Query().Get("mode"); mode {
	case "", "org_admin":
	case "account_membership":
		belongs = func(o *org) bool {
			return slices.ContainsFunc(o.accounts, func(a *account) bool {
				u := a.byID[strings.ToLower(c.caller)]
				return u == nil && !a.cfg.MembersOnly || u != nil && u.Status != "Closed"
			})
		}
	default:
		return badRequest(fmt.Errorf("mode: %q: neither org_admin nor account_membership", mode))
	}
	list := organizationsResponse{Organizations: []organizationResponse{}}
	for _, o := range s.organizations {
		if belongs(o) {
			list.Organizations = append(list.Organizations, newOrganizationResponse(o))
		}
	}
	return jsonAnswer(http.StatusOK, list)
}

// badRequest is the Admin API's badParameter.
func badRequest(err error) answer {
	return refusal(http.StatusBadRequest, "invalid_request", err.Error())
}

// word gives a refusal the shape that the API of the call speaks.
func (c *call) word(a answer) answer {
	var said errorDetails
	if !c.isAdmin() || a.errorCode == "" || json.Unmarshal(a.body, &said) != nil {
		return a
	}
	a.body = jsonAnswer(a.status, oauthError{Error: said.ErrorCode, Description: said.Message}).body
	return a
}
