package docusign

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Status is the state of a membership, in Docusign's words.
type Status string

// The statuses of a membership.
const (
	ActivationRequired Status = "ActivationRequired"
	ActivationSent     Status = "ActivationSent"
	Active             Status = "Active"
	Closed             Status = "Closed"
	Disabled           Status = "Disabled"
)

// Statuses lists every Status.
func Statuses() []Status {
	return []Status{ActivationRequired, ActivationSent, Active, Closed, Disabled}
}

// User is a member of an account. Times are UTC, and zero where Docusign gave
// none.
type User struct {
	ID            string
	Email         string // as Docusign has it
	Name          string
	Status        Status
	Administrator bool
	Created       time.Time
	Added         time.Time // to this account, which may be long after Created
	LastLogin     time.Time
	ManagedBySCIM bool // an identity provider made the user or the membership, and may make it again
}

// Open reports whether the user is anything but closed.
func (u User) Open() bool { return !strings.EqualFold(string(u.Status), string(Closed)) }

// wireUser is a userInformation, as far as we read it.
type wireUser struct {
	ID             string         `json:"userId"`
	Email          string         `json:"email"`
	Name           string         `json:"userName"`
	Status         Status         `json:"userStatus"`
	Administrator  flag           `json:"isAdmin"`
	Created        stamp          `json:"createdDateTime"`
	Added          stamp          `json:"userAddedToAccountDateTime"`
	LastLogin      stamp          `json:"lastLogin"`
	UserSCIM       flag           `json:"isManagedByScim"`
	MembershipSCIM flag           `json:"isMembershipManagedByScim"`
	Error          *wireUserError `json:"errorDetails"`
}

type wireUserError struct {
	Code string `json:"errorCode"`
}

func (w wireUser) user() User {
	return User{
		ID: w.ID, Email: w.Email, Name: w.Name, Status: w.Status, Administrator: bool(w.Administrator),
		Created: w.Created.Time, Added: w.Added.Time, LastLogin: w.LastLogin.Time,
		ManagedBySCIM: bool(w.UserSCIM || w.MembershipSCIM),
	}
}

// UsersByEmail returns the users that Docusign finds by email, in every status
// and with all that it knows of them, such as when they last logged in; none is
// nil, nil. Docusign's filter is not known to be exact, so the caller compares
// addresses.
func (a *Account) UsersByEmail(ctx context.Context, email string) ([]User, error) {
	if strings.TrimSpace(email) == "" { // it would list everybody
		return nil, refuse(OpListUsers, verdict{class: Permanent, reason: reasonOther}, errors.New("no email to look up"))
	}
	var users []User
	for u, err := range a.list(ctx, url.Values{"email": {email}, "additional_info": {"true"}}, Statuses()) {
		if errors.Is(err, ErrNoMember) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, nil
}

// User returns the user of that id, in whatever status; an error that matches
// ErrNoMember if the account has none. Should Docusign refuse the call for want
// of permissions, the error is Permanent, not Park: its documentation says, and
// other clients deny, that it is for one's own record only. Users shows all.
func (a *Account) User(ctx context.Context, userID string) (User, error) {
	if strings.Trim(userID, ". ") == "" { // the address would be another one
		return User{}, refuse(OpGetUser, verdict{class: Permanent, reason: reasonOther}, errors.New("no userId to look up"))
	}
	ans, err := a.client.do(ctx, request{op: OpGetUser, method: http.MethodGet, url: a.users + "/" + url.PathEscape(userID), account: a})
	if err != nil {
		return User{}, err
	}
	var w wireUser
	if json.Unmarshal(ans.body, &w) != nil || !strings.EqualFold(w.ID, userID) || w.Status == "" {
		return User{}, unreadable(OpGetUser, ans)
	}
	return w.user(), nil
}

// Users lists the account's users in these statuses, or in all if none is
// given, 100 a call. An error ends it, and what came before is then not all.
//
// It is no snapshot: a user who loses the status while it runs moves those
// behind up, and one of them may be missed. With all statuses that can't
// happen, since Docusign never deletes users.
func (a *Account) Users(ctx context.Context, statuses ...Status) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		for u, err := range a.list(ctx, url.Values{}, statuses) {
			if !yield(u, notAboutUser(err)) {
				return
			}
		}
	}
}

// CountUsers asks how many users are in these statuses, or in all if none is
// given, in one call.
func (a *Account) CountUsers(ctx context.Context, statuses ...Status) (int, error) {
	query := listQuery(url.Values{}, statuses)
	query.Set("count", "1")
	p, ans, err := a.page(ctx, query)
	if err != nil {
		return 0, notAboutUser(err)
	}
	if p.Total == nil {
		return 0, unreadable(OpListUsers, ans)
	}
	return int(*p.Total), nil
}

// Page is a part of the list of an account's users.
type Page struct {
	Users []User
	Total int // users in the whole list, as of this page; -1: not said
}

// UsersPage lists up to 100 of the account's users in these statuses, or in all
// if none is given, from the start-th on, counted from 0. What is said of Users
// about users who are missed goes for pages as well.
func (a *Account) UsersPage(ctx context.Context, start int, statuses ...Status) (Page, error) {
	query := listQuery(url.Values{}, statuses)
	query.Set("start_position", strconv.Itoa(start))
	p, _, err := a.page(ctx, query)
	if err != nil {
		return Page{}, notAboutUser(err)
	}
	found := Page{Users: make([]User, 0, len(p.Users)), Total: -1}
	if p.Total != nil {
		found.Total = int(*p.Total)
	}
	for _, w := range p.Users {
		found.Users = append(found.Users, w.user())
	}
	return found, nil
}

// notAboutUser takes "no member" for what it means when nobody in particular
// was asked for: that we are no member ourselves.
func notAboutUser(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.verdict.class == NoMember {
		e.verdict = verdict{Park, reasonPermissions, adviceMember}
	}
	return err
}

const pageSize = 100 // the most that Users:list gives

func listQuery(query url.Values, statuses []Status) url.Values {
	if len(statuses) == 0 {
		statuses = Statuses()
	}
	words := make([]string, len(statuses))
	for i, s := range statuses {
		words[i] = string(s)
	}
	query.Set("status", strings.Join(words, ",")) // whether the default leaves closed users out is not documented
	query.Set("count", strconv.Itoa(pageSize))
	return query
}

// list follows the pages of a query. It goes on by the users that came, not by
// what a page says of itself, and ends with an error where a page brings
// nothing new though more should come: a list that is short in silence would
// make users look as if they were not there.
func (a *Account) list(ctx context.Context, query url.Values, statuses []Status) iter.Seq2[User, error] {
	query = listQuery(query, statuses)
	return func(yield func(User, error) bool) {
		seen := map[string]bool{}
		for start := 0; ; {
			query.Set("start_position", strconv.Itoa(start))
			p, ans, err := a.page(ctx, query)
			if start > 0 && errors.Is(err, ErrNoMember) { // no word about those who came before
				err = unreadable(OpListUsers, ans)
			}
			if err != nil {
				yield(User{}, err)
				return
			}
			before := len(seen)
			for _, w := range p.Users {
				if seen[w.ID] {
					continue
				}
				seen[w.ID] = true
				if !yield(w.user(), nil) {
					return
				}
			}
			start += len(p.Users)
			if !p.more(start) {
				return
			}
			if len(seen) == before {
				yield(User{}, unreadable(OpListUsers, ans))
				return
			}
		}
	}
}

// page is a userInformationList, as far as we read it.
type page struct {
	Users []wireUser `json:"users"`
	Total *number    `json:"totalSetSize"`
}

// more reports whether there are users from start on.
func (p page) more(start int) bool {
	if p.Total == nil {
		return len(p.Users) >= pageSize
	}
	return start < int(*p.Total)
}

func (a *Account) page(ctx context.Context, query url.Values) (page, answer, error) {
	ans, err := a.client.do(ctx, request{op: OpListUsers, method: http.MethodGet, url: a.users + "?" + query.Encode(), account: a})
	if err != nil {
		return page{}, answer{}, err
	}
	var p page
	if json.Unmarshal(ans.body, &p) != nil || p.Users == nil && p.Total == nil || p.Total != nil && *p.Total < 0 {
		return page{}, answer{}, unreadable(OpListUsers, ans)
	}
	for _, w := range p.Users {
		if w.ID == "" {
			return page{}, answer{}, unreadable(OpListUsers, ans)
		}
	}
	return p, ans, nil
}
