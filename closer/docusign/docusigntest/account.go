package docusigntest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

var statuses = []string{"ActivationRequired", "ActivationSent", "Active", "Closed", "Disabled"}

// account is an account's users. The server's lock guards it.
type account struct {
	cfg     AccountConfig
	sim     *Config
	clock   func() time.Time
	refuse  string
	users   []*User            // in the order they came, which is the order of a list
	byID    map[string]*User   // by userId in lower case
	byEmail map[string][]*User // by email in lower case
	closes  map[string]CloseCount
	quota   quota
	listed  listing

	churn    churner
	signOns  []signOn       // to come
	signedOn map[string]int // by email in lower case: how often single sign-on let in
}

// listing is the last list by status alone, good until somebody changes: to
// page through 100,000 users must not filter them a thousand times.
type listing struct {
	good     bool
	statuses []string
	users    []*User
}

// CloseCount says how often a user was to be closed.
type CloseCount struct {
	Requested int // closes that named the user and reached Docusign
	Closed    int // of those, how many turned an open user into a closed one
}

func newAccount(cfg *Config, a AccountConfig, clock func() time.Time) (*account, error) {
	acc := &account{
		cfg:      a,
		sim:      cfg,
		clock:    clock,
		refuse:   a.Refuse,
		byID:     make(map[string]*User),
		byEmail:  make(map[string][]*User),
		closes:   make(map[string]CloseCount),
		quota:    quota{cfg: cfg, own: a.HourLimit, began: clock()},
		churn:    newChurner(cfg.Churn),
		signedOn: make(map[string]int),
	}
	for _, u := range a.Users {
		if _, err := acc.add(u); err != nil {
			return nil, fmt.Errorf("users: %w", err)
		}
	}
	joined := time.Date(2019, time.April, 1, 22, 11, 56, 0, time.UTC)
	for n := 1; n <= a.Generate; n++ {
		_, err := acc.add(User{
			Email:   fmt.Sprintf("user%06d@%s", n, a.Domain),
			Name:    fmt.Sprintf("User %06d", n),
			Created: joined.Add(time.Duration(n) * time.Minute),
		})
		if err != nil {
			return nil, fmt.Errorf("generate: %w", err)
		}
	}
	return acc, nil
}

// add puts u behind the users there are.
func (a *account) add(u User) (User, error) { return a.insert(u, len(a.users)) }

// insert puts u where the list has position, in 0..len(a.users).
func (a *account) insert(u User, position int) (User, error) {
	if u.ID == "" {
		u.ID = newUserID(a.cfg.ID, u.Email, len(a.users))
	}
	setDefault(&u.Status, "Active")
	if !slices.Contains(statuses, u.Status) {
		return User{}, fmt.Errorf("status of user %s: %q: not one of %q", u.ID, u.Status, statuses)
	}
	if a.byID[strings.ToLower(u.ID)] != nil {
		return User{}, fmt.Errorf("id: %q: given twice", u.ID)
	}
	stored := &u
	a.listed.good = false
	a.users = slices.Insert(a.users, position, stored)
	a.byID[strings.ToLower(u.ID)] = stored
	a.indexEmail(stored)
	return u, nil
}

// set replaces the user with u's ID, who keeps the place in the list.
func (a *account) set(u User) error {
	stored := a.byID[strings.ToLower(u.ID)]
	if stored == nil {
		return fmt.Errorf("id: %q: no such user", u.ID)
	}
	setDefault(&u.Status, "Active")
	if !slices.Contains(statuses, u.Status) {
		return fmt.Errorf("status of user %s: %q: not one of %q", u.ID, u.Status, statuses)
	}
	old := strings.ToLower(stored.Email)
	a.byEmail[old] = slices.DeleteFunc(a.byEmail[old], func(o *User) bool { return o == stored })
	*stored = u
	a.listed.good = false
	a.indexEmail(stored)
	return nil
}

func (a *account) indexEmail(u *User) {
	email := strings.ToLower(u.Email)
	a.byEmail[email] = append(a.byEmail[email], u)
}

// newUserID makes a GUID that is the same in every run.
func newUserID(account, email string, position int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d", account, email, position))
	return guid([16]byte(sum[:16]))
}

// guid writes b in the form of a random (version 4) GUID.
func guid(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// filter is what a list asks for; texts are in lower case, "" asks for nothing.
type filter struct {
	email, emailPart, namePart string
	statuses                   []string // nil: as Quirks.ListsClosed says
}

// find returns the users whom f fits, and whether there are any whom it would
// fit but for their status.
func (a *account) find(f filter, q Quirks) (users []*User, known bool) {
	if f.email != "" || f.emailPart != "" || f.namePart != "" {
		candidates := a.candidates(f, q)
		return f.withStatus(candidates, q), len(candidates) > 0
	}
	if !a.listed.good || !slices.Equal(a.listed.statuses, f.statuses) {
		a.listed = listing{good: true, statuses: f.statuses, users: f.withStatus(a.users, q)}
	}
	return a.listed.users, len(a.users) > 0
}

// candidates returns the users whom f's texts fit, whatever their status.
func (a *account) candidates(f filter, q Quirks) []*User {
	users := a.users
	switch {
	case f.email != "" && q.InexactEmail:
		users = keep(users, func(u *User) bool { return resembles(strings.ToLower(u.Email), f.email) })
	case f.email != "":
		users = a.byEmail[f.email]
	case f.emailPart != "":
		users = keep(users, func(u *User) bool { return strings.Contains(strings.ToLower(u.Email), f.emailPart) })
	}
	if f.email != "" && q.HidesClosedEmail {
		users = keep(users, func(u *User) bool { return u.Status != "Closed" })
	}
	if f.namePart != "" {
		users = keep(users, func(u *User) bool { return strings.Contains(strings.ToLower(u.Name), f.namePart) })
	}
	return users
}

// withStatus returns those of users whom f's statuses fit.
func (f filter) withStatus(users []*User, q Quirks) []*User {
	if f.statuses == nil {
		return keep(users, func(u *User) bool { return q.ListsClosed || u.Status != "Closed" })
	}
	return keep(users, func(u *User) bool { return slices.Contains(f.statuses, u.Status) })
}

func keep(users []*User, fits func(*User) bool) []*User {
	var kept []*User
	for _, u := range users {
		if fits(u) {
			kept = append(kept, u)
		}
	}
	return kept
}

// resembles says whether a look-up that is not exact finds email for asked.
func resembles(email, asked string) bool {
	local, domain, _ := strings.Cut(asked, "@")
	tagged := strings.HasPrefix(email, local+"+") && strings.HasSuffix(email, "@"+domain)
	return tagged || strings.Contains(email, asked)
}

// close closes the user, or returns the errorCode with which that is refused.
func (a *account) close(u *User, caller string, remove []string, q Quirks) (code string) {
	refusedRemoval, ofUser := strings.CutPrefix(q.RemoveFrom, perUser)
	switch {
	case u.CloseError != "":
		return u.CloseError
	case ofUser && len(remove) > 0:
		return refusedRemoval
	case u.Status == "Closed" && q.AlreadyClosed != Allow:
		return q.AlreadyClosed
	case u.Status == "Closed":
		u.takeOut(remove)
		return ""
	case strings.EqualFold(u.ID, caller) && q.OwnMembership != Allow:
		return q.OwnMembership
	case a.isLastAdministrator(u) && q.LastAdministrator != Allow:
		return q.LastAdministrator
	case u.ManagedBySCIM && q.SCIM != Allow:
		return q.SCIM
	case (u.Status == "ActivationSent" || u.Status == "ActivationRequired") && q.ActivationSent != Allow:
		return q.ActivationSent
	}
	a.shut(u)
	u.takeOut(remove)
	return ""
}

// perUser before an errorCode in Quirks.RemoveFrom says that each user is
// refused, not the call.
const perUser = "user:"

// takeOut ends u's memberships in what the `delete` parameter of a close names.
func (u *User) takeOut(remove []string) {
	if len(remove) == 0 {
		return
	}
	u.RemovedFrom = remove
	if slices.Contains(remove, "SigningGroupsEmail") {
		u.SigningGroups = nil
	}
}

func (a *account) isLastAdministrator(u *User) bool {
	if !u.Administrator || u.Status != "Active" {
		return false
	}
	return !slices.ContainsFunc(a.users, func(o *User) bool {
		return o != u && o.Administrator && o.Status == "Active"
	})
}
