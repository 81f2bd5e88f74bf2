package docusigntest

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The Admin API's words for the statuses of a membership.
var membershipStatus = map[string]string{
	"ActivationRequired": "activation_required",
	"ActivationSent":     "activation_sent",
	"Active":             "active",
	"Closed":             "closed",
	"Disabled":           "disabled",
}

// Of a profile: as many users, modified so lately.
const (
	profileUsers  = 20
	profileRecent = 10 * 24 * time.Hour
)

// getProfile answers Users:getUserProfilesByEmail; s.mu is held.
func (s *Server) getProfile(c *call, o *org) answer {
	email := strings.ToLower(c.r.URL.Query().Get("email"))
	if email == "" {
		return badRequest(errors.New("email: missing"))
	}
	profile := usersDrilldown{Users: []userDrilldown{}}
	for _, u := range o.usersByEmail(email) {
		if len(profile.Users) == profileUsers {
			break
		}
		if s.cfg.Quirks.Organization.RecentProfiles && modified(*u).Before(s.now().Add(-profileRecent)) {
			continue
		}
		profile.Users = append(profile.Users, s.drillDown(u, o))
	}
	if word := s.cfg.Quirks.Organization.UnknownEmail; len(profile.Users) == 0 && word != "" {
		return refusal(http.StatusNotFound, word, "There is no user with this email.")
	}
	return jsonAnswer(http.StatusOK, profile)
}

// modified is when something last happened to u, as far as the simulation
// keeps it.
func modified(u User) time.Time {
	return slices.MaxFunc([]time.Time{u.Created, u.Added, u.LastLogin}, time.Time.Compare)
}

// usersByEmail returns the users in the organization's accounts who have that
// email, each once: who has the same id in several accounts is one user.
func (o *org) usersByEmail(email string) []*User {
	var users []*User
	for _, a := range o.accounts {
		for _, u := range a.byEmail[email] {
			if !slices.ContainsFunc(users, func(known *User) bool { return strings.EqualFold(known.ID, u.ID) }) {
				users = append(users, u)
			}
		}
	}
	return users
}

// drillDown is a user with all memberships, those in accounts of others too.
func (s *Server) drillDown(u *User, o *org) userDrilldown {
	q := s.cfg.Quirks.Organization
	w := userDrilldown{
		ID: u.ID, SiteID: theSite, SiteName: "Simulation",
		UserName: u.Name, CreatedOn: q.time(u.Created), ManagedBySCIM: u.ManagedBySCIM,
		IsOrganizationAdmin: o.lists(u.ID),
	}
	w.FirstName, w.LastName, _ = strings.Cut(u.Name, " ")
	var found []string
	for _, a := range s.accounts {
		m := a.byID[strings.ToLower(u.ID)]
		if m == nil {
			continue
		}
		external := !slices.Contains(o.accounts, a)
		if w.DefaultAccountID == "" && !external {
			w.DefaultAccountID, w.DefaultAccountName = a.cfg.ID, a.cfg.Name
		}
		found = append(found, m.Status)
		w.Memberships = append(w.Memberships, membership{
			ID: membershipID(a, m), Email: m.Email, AccountID: a.cfg.ID, AccountName: a.cfg.Name, IsExternalAccount: external,
			Status: membershipStatus[m.Status], CreatedOn: q.time(joined(*m)), IsAdmin: m.Administrator,
		})
	}
	w.UserStatus = userStatus(found)
	return w
}

// membershipID is not the userId: who takes one for the other is found out.
func membershipID(a *account, u *User) string { return newUserID(a.cfg.ID, "membership "+u.ID, 0) }

// joined is when u came into the account.
func joined(u User) time.Time {
	if u.Added.IsZero() {
		return u.Created
	}
	return u.Added
}

// userStatus is the status of a user with these memberships.
func userStatus(memberships []string) string {
	among := func(known ...string) bool {
		return slices.ContainsFunc(memberships, func(m string) bool { return slices.Contains(known, m) })
	}
	switch {
	case among("Active", "Disabled"):
		return "active"
	case among("ActivationSent", "ActivationRequired"):
		return "created"
	}
	return "closed"
}

// listOrganizationUsers answers Users:getUsers; s.mu is held.
func (s *Server) listOrganizationUsers(c *call, o *org) answer {
	query := c.r.URL.Query()
	for _, name := range []string{"organization_reserved_domain_id", "last_modified_since", "include_ds_groups"} {
		if value := query.Get(name); value != "" && !strings.EqualFold(value, "false") {
			return badRequest(fmt.Errorf("%s: not simulated", name))
		}
	}
	users, show, err := s.selectUsers(query, o)
	if err != nil {
		return badRequest(err)
	}
	start, take, err := parseSlice(query)
	if err != nil {
		return badRequest(err)
	}
	if most := s.cfg.Quirks.Organization.MostUsersPerList; most > 0 {
		take = min(take, most)
	}
	page := users[min(start, len(users)):min(start+take, len(users))]
	list := organizationUsers{Users: make([]organizationUser, 0, len(page)), Paging: adminPaging{
		Size: len(page), Start: start, End: max(start+len(page)-1, start), Total: len(users),
	}}
	for _, u := range page {
		list.Users = append(list.Users, show(u))
	}
	if start+len(page) < len(users) {
		list.Paging.Next = sliceURI(c, start+len(page), take)
	}
	if start > 0 {
		list.Paging.Previous = sliceURI(c, max(start-take, 0), take)
	}
	return jsonAnswer(http.StatusOK, list)
}

// selectUsers returns the users whom the query fits, and how to show one: a
// member of the account that it names, else a user by email.
func (s *Server) selectUsers(query url.Values, o *org) (users []*User, show func(*User) organizationUser, err error) {
	q := s.cfg.Quirks.Organization
	accountID, email := query.Get("account_id"), strings.ToLower(query.Get("email"))
	switch {
	case accountID != "":
		a := o.account(accountID)
		if a == nil {
			return nil, nil, fmt.Errorf("account_id: %q: not of the organization", accountID)
		}
		users, show = a.users, func(u *User) organizationUser { return newMember(a, u, q) }
		if email != "" {
			users = a.byEmail[email]
		}
	case email != "":
		users = o.usersByEmail(email)
		show = func(u *User) organizationUser { return newOrganizationUser(u, s.drillDown(u, o).UserStatus, q) }
	default:
		return nil, nil, errors.New("one of account_id, email and organization_reserved_domain_id must be there")
	}
	status, member := query.Get("status"), query.Get("membership_status")
	like := strings.ToLower(query.Get("email_user_name_like"))
	if status+member+like == "" {
		return users, show, nil
	}
	return keep(users, func(u *User) bool {
		w := show(u)
		return (status == "" || strings.EqualFold(status, w.UserStatus)) &&
			(member == "" || strings.EqualFold(member, w.MembershipStatus)) &&
			strings.Contains(strings.ToLower(w.Email+"\n"+w.UserName), like)
	}), show, nil
}

func newOrganizationUser(u *User, status string, q OrganizationQuirks) organizationUser {
	w := organizationUser{
		ID: u.ID, UserName: u.Name, Email: u.Email, CreatedOn: q.time(u.Created), ManagedBySCIM: u.ManagedBySCIM,
		UserStatus: status,
	}
	w.FirstName, w.LastName, _ = strings.Cut(u.Name, " ")
	return w
}

// newMember is a user with the membership in a.
func newMember(a *account, u *User, q OrganizationQuirks) organizationUser {
	w := newOrganizationUser(u, userStatus([]string{u.Status}), q)
	w.MembershipStatus, w.MembershipID = membershipStatus[u.Status], membershipID(a, u)
	w.MembershipCreatedOn, w.MembershipManagedSCIM = q.time(joined(*u)), u.ManagedBySCIM
	return w
}

// parseSlice reads which users are asked for: 20 unless take or end says
// otherwise.
func parseSlice(query url.Values) (start, take int, err error) {
	number := func(name string, value, least int) int {
		if err != nil || !query.Has(name) {
			return value
		}
		n, wrong := strconv.Atoi(query.Get(name))
		if wrong != nil || n < least {
			err = fmt.Errorf("%s: %q: not a number from %d", name, query.Get(name), least)
		}
		return n
	}
	start = number("start", 0, 0)
	end := number("end", start+19, start)
	return start, number("take", end-start+1, 1), err
}

// sliceURI is a whole URL, unlike those of the accounts' API.
func sliceURI(c *call, start, take int) string {
	query := c.r.URL.Query()
	query.Set("start", strconv.Itoa(start))
	query.Set("take", strconv.Itoa(take))
	return baseOf(c.r) + c.r.URL.Path + "?" + query.Encode()
}

// baseOf is the server as the caller named it.
func baseOf(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
