package docusign

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Organization is an organization of Docusign's, as its Admin API shows it to
// one of its administrators. It has a quota of its own.
type Organization struct {
	account *Account // keeps the quota, and is no account otherwise
	url     string
}

// organizationQuota is the account that the quota of an organization is kept
// and shown as; ids of real accounts are GUIDs.
const organizationQuota = "organization"

// adminScopes are asked for besides scopes: reading and closing users of an
// organization, and reading what it is.
var adminScopes = []string{"user_read", "user_write", "organization_read"}

// Organization prepares calls to the organization of that id. All of a
// Client's share one quota. The sign-in asks for their scopes only if
// Config.Organization is set.
func (c *Client) Organization(id string) *Organization {
	base := managementBase(c.auth)
	return &Organization{
		account: c.Account(AccountInfo{ID: organizationQuota, BaseURI: base}),
		url:     base + "/Management/v2/organizations/" + url.PathEscape(id),
	}
}

// managementBase is the server of the Admin API that belongs to a sign-in
// server. One that is not Docusign's serves both.
func managementBase(auth *url.URL) string {
	environment, ok := strings.CutSuffix(strings.ToLower(auth.Host), ".docusign.com")
	if !ok {
		return auth.String()
	}
	switch environment {
	case "account":
		return "https://api.docusign.net"
	case "account-d":
		return "https://api-d.docusign.net"
	case "account-s":
		return "https://api-s.docusign.net"
	}
	return auth.String()
}

// get reads one page of the organization's.
func (o *Organization) get(ctx context.Context, op Operation, path string, header http.Header) (answer, error) {
	account := o.account
	if op == OpProfile {
		account = account.For(LookUps)
	}
	return account.client.do(ctx, request{op: op, method: http.MethodGet, url: o.url + path, header: header, account: account})
}

// UsersByEmail returns the members of all accounts whom Docusign finds by
// email, in every status, by account id in lower case; nil if there is nobody.
//
// It is a short cut and never the last word: Docusign's documentation has the
// answer hold "up to the first 20 users modified in the last 10 days". So whom
// it lacks in an account may be there all the same, and what it does not say
// clearly of a membership is left out, for the account itself to tell.
func (o *Organization) UsersByEmail(ctx context.Context, email string) (map[string][]User, error) {
	if strings.TrimSpace(email) == "" {
		return nil, refuse(OpProfile, verdict{class: Permanent, reason: reasonOther}, errors.New("no email to look up"))
	}
	ans, err := o.get(ctx, OpProfile, "/users/profile?"+url.Values{"email": {email}}.Encode(), nil)
	if e, ok := errors.AsType[*Error](err); ok && e.verdict.reason == reasonNoMember {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var said struct {
		Users []wireProfile `json:"users"`
	}
	if json.Unmarshal(ans.body, &said) != nil || said.Users == nil {
		return nil, unreadable(OpProfile, ans)
	}
	var found map[string][]User
	for _, p := range said.Users {
		for account, u := range p.members() {
			if found == nil {
				found = make(map[string][]User)
			}
			found[account] = append(found[account], u)
		}
	}
	return found, nil
}

// wireProfile is a UserDrilldownResponse, as far as we read it: a user and
// their memberships.
type wireProfile struct {
	ID          string `json:"id"`
	Name        string `json:"user_name"`
	Created     stamp  `json:"created_on"`
	SCIM        flag   `json:"is_managed_by_scim"`
	Memberships []struct {
		AccountID     string `json:"account_id"`
		Email         string `json:"email"`
		Status        string `json:"status"`
		Administrator flag   `json:"is_admin"`
		Created       stamp  `json:"created_on"`
	} `json:"memberships"`
}

// members are the memberships by account.
func (p wireProfile) members() map[string]User {
	found := make(map[string]User)
	for _, m := range p.Memberships {
		account, status := strings.ToLower(m.AccountID), statusOf(m.Status)
		if p.ID == "" || account == "" || status == "" {
			continue
		}
		u := User{
			ID: p.ID, Email: m.Email, Name: p.Name, Status: status, Administrator: bool(m.Administrator),
			Created: p.Created.Time, Added: m.Created.Time, ManagedBySCIM: bool(p.SCIM),
		}
		if other, twice := found[account]; twice && other.Open() && !u.Open() { // whoever is open somewhere is open
			continue
		}
		found[account] = u
	}
	return found
}

// statusOf gives a status in the words of the accounts, such as ActivationSent
// for the Admin API's activation_sent; "" for a word that neither has.
func statusOf(word string) Status {
	word = strings.ReplaceAll(word, "_", "")
	for _, s := range Statuses() {
		if strings.EqualFold(word, string(s)) {
			return s
		}
	}
	return ""
}

const adviceOrganization = "make the user of docusign.user_id an administrator of the organization that docusign.organization names, and that organization one of Docusign Admin"

// organizationRefusals are the words, in upper case, with which the Admin API
// turns somebody away. No page lists them: they are from public reports, which
// also have it that they are said where the sign-in is not what is wrong.
var organizationRefusals = map[string]bool{
	"UNAUTHORIZED": true, "NOT_AUTHORIZED": true, "FORBIDDEN": true, "ACCESS_DENIED": true,
	"INSUFFICIENT_SCOPE": true, "INVALID_SCOPE": true, "UNAUTHORIZED_CLIENT": true,
}

// adminCode is an `error` of the Admin API as a code: it is known to say one in
// two words.
func adminCode(said string) string {
	if strings.EqualFold(said, "Not Authorized") {
		return "not_authorized"
	}
	return said
}

// judgeOrganization judges what the Admin API means in a sense of its own. ok
// is false for the rest, which it means as the others do. code is in upper case.
func judgeOrganization(op Operation, status int, code string) (v verdict, ok bool) {
	known, listed := codeVerdicts[code]
	switch {
	case !op.organizational() || code == "" || status >= 500:
		return verdict{}, false
	case organizationRefusals[code], known.reason == reasonPermissions, !listed && status == http.StatusForbidden:
		return verdict{Park, reasonPermissions, adviceOrganization}, true
	case op == OpImportUsers && (status == http.StatusConflict || strings.Contains(code, "IN_PROGRESS")): // another import runs
		return verdict{class: Passing, reason: reasonRefused}, true
	}
	return verdict{}, false
}

// organizational reports whether op is one of the Admin API's.
func (op Operation) organizational() bool {
	switch op {
	case OpImportUsers, OpListImports, OpGetImport, OpImportResults, OpProfile:
		return true
	}
	return false
}
