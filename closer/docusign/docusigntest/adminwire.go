package docusigntest

import (
	"slices"
	"time"
)

// The types of this file are spelled as the Admin API's description spells
// them: numbers are numbers.

type organizationsResponse struct {
	Organizations []organizationResponse `json:"organizations"`
}

type organizationResponse struct {
	ID               string                `json:"id"`
	Name             string                `json:"name"`
	DefaultAccountID string                `json:"default_account_id,omitempty"`
	Accounts         []organizationAccount `json:"accounts"`
}

type organizationAccount struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	SiteID int    `json:"site_id"`
}

func newOrganizationResponse(o *org) organizationResponse {
	w := organizationResponse{ID: o.cfg.ID, Name: o.cfg.Name, Accounts: []organizationAccount{}}
	for _, a := range o.accounts {
		w.Accounts = append(w.Accounts, organizationAccount{ID: a.cfg.ID, Name: a.cfg.Name, SiteID: theSite})
	}
	if len(o.accounts) > 0 {
		w.DefaultAccountID = o.accounts[0].cfg.ID
	}
	return w
}

// theSite is the number of Docusign's site; the simulation has one.
const theSite = 1

type organizationUsers struct {
	Users  []organizationUser `json:"users"`
	Paging adminPaging        `json:"paging"`
}

// organizationUser is a user, and if an account was asked for the membership in
// it.
type organizationUser struct {
	ID                    string `json:"id"`
	UserName              string `json:"user_name"`
	FirstName             string `json:"first_name"`
	LastName              string `json:"last_name"`
	UserStatus            string `json:"user_status"` // active, created or closed
	MembershipStatus      string `json:"membership_status,omitempty"`
	Email                 string `json:"email"`
	CreatedOn             string `json:"created_on,omitempty"`
	MembershipCreatedOn   string `json:"membership_created_on,omitempty"`
	MembershipID          string `json:"membership_id,omitempty"`
	MembershipManagedSCIM bool   `json:"is_membership_managed_by_scim,omitempty"`
	ManagedBySCIM         bool   `json:"is_managed_by_scim,omitempty"`
}

type adminPaging struct {
	Size     int    `json:"result_set_size"`
	Start    int    `json:"result_set_start_position"`
	End      int    `json:"result_set_end_position"` // index of the last entry
	Total    int    `json:"total_set_size"`
	Next     string `json:"next,omitempty"`
	Previous string `json:"previous,omitempty"`
}

type usersDrilldown struct {
	Users []userDrilldown `json:"users"`
}

type userDrilldown struct {
	ID                  string       `json:"id"`
	SiteID              int          `json:"site_id"`
	SiteName            string       `json:"site_name"`
	UserName            string       `json:"user_name"`
	FirstName           string       `json:"first_name"`
	LastName            string       `json:"last_name"`
	UserStatus          string       `json:"user_status"`
	DefaultAccountID    string       `json:"default_account_id"`
	DefaultAccountName  string       `json:"default_account_name"`
	IsOrganizationAdmin bool         `json:"is_organization_admin"`
	CreatedOn           string       `json:"created_on,omitempty"`
	Memberships         []membership `json:"memberships"`
	ManagedBySCIM       bool         `json:"is_managed_by_scim"`
}

type membership struct {
	ID                string `json:"id"`
	Email             string `json:"email"`
	AccountID         string `json:"account_id"`
	AccountName       string `json:"account_name"`
	IsExternalAccount bool   `json:"is_external_account"` // not of the organization
	Status            string `json:"status"`
	CreatedOn         string `json:"created_on,omitempty"`
	IsAdmin           bool   `json:"is_admin"`
}

type importsResponse struct {
	Imports []importResponse `json:"imports"`
}

type importResponse struct {
	ID             string          `json:"id"`
	Type           string          `json:"type"`
	Requestor      requestor       `json:"requestor"`
	Created        string          `json:"created"`
	LastModified   string          `json:"last_modified"`
	Status         string          `json:"status"`
	Users          int             `json:"user_count"`
	Processed      int             `json:"processed_user_count"`
	Added          int             `json:"added_user_count"`
	Updated        int             `json:"updated_user_count"`
	Closed         int             `json:"closed_user_count"`
	NoAction       int             `json:"no_action_required_user_count"`
	Errors         int             `json:"error_count"`
	Warnings       int             `json:"warning_count"`
	InvalidColumns string          `json:"invalid_column_headers,omitempty"`
	FileErrors     []errorRollup   `json:"file_level_error_rollups"`
	UserErrors     []errorRollup   `json:"user_level_error_rollups"`
	UserWarnings   []warningRollup `json:"user_level_warning_rollups"`
	HasResults     bool            `json:"has_csv_results"`
	ResultsURI     string          `json:"results_uri,omitempty"`
}

type requestor struct {
	Name  string `json:"name"`
	ID    string `json:"id"`
	Type  string `json:"type"` // user or client_app
	Email string `json:"email"`
}

type errorRollup struct {
	Type  string `json:"error_type"`
	Count int    `json:"count"`
}

type warningRollup struct {
	Type  string `json:"warning_type"`
	Count int    `json:"count"`
}

// rollUp counts each of types, in the order in which they come first.
func rollUp(types []string) []errorRollup {
	rollups := []errorRollup{}
	for _, t := range types {
		i := slices.IndexFunc(rollups, func(r errorRollup) bool { return r.Type == t })
		if i < 0 {
			i = len(rollups)
			rollups = append(rollups, errorRollup{Type: t})
		}
		rollups[i].Count++
	}
	return rollups
}

// time is a time in UTC; "" for none.
func (q OrganizationQuirks) time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	layout := "2006-01-02T15:04:05.0000000Z"
	if q.ZonelessTimes {
		layout = "2006-01-02T15:04:05.999"
	}
	return t.UTC().Format(layout)
}
