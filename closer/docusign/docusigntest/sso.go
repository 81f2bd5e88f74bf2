package docusigntest

import (
	"slices"
	"strings"
	"time"
)

// SSO is single sign-on that lets closed users in again: an identity provider
// that still knows them, or that makes a user of whoever signs in. Of those
// whom a Config has as Closed from the start it knows nothing.
type SSO struct {
	After  time.Duration `yaml:"after"`   // so long after the close; 0: never
	Domain string        `yaml:"domain"`  // of whose users; "": all
	SameID bool          `yaml:"same_id"` // the closed user is open again; else there is a new one besides, created then
	Times  int           `yaml:"times"`   // so often for an address of an account and no more; 0: after each close
}

// signOn is a closed user whom single sign-on will let in again.
type signOn struct {
	user *User
	at   time.Time
}

// shut makes u a closed user, whoever asked for it.
func (a *account) shut(u *User) {
	u.Status = "Closed"
	a.listed.good = false
	sso := a.sim.SSO
	if sso.After == 0 || sso.Domain != "" && !strings.HasSuffix(strings.ToLower(u.Email), "@"+strings.ToLower(sso.Domain)) {
		return
	}
	a.signOns = slices.DeleteFunc(a.signOns, func(s signOn) bool { return s.user == u })
	a.signOns = append(a.signOns, signOn{user: u, at: a.clock().Add(sso.After)})
}

// catchUp lets in by single sign-on whose time has come.
func (a *account) catchUp() {
	now := a.clock()
	var due []signOn
	a.signOns = slices.DeleteFunc(a.signOns, func(s signOn) bool {
		if s.at.After(now) {
			return false
		}
		due = append(due, s)
		return true
	})
	for _, s := range due {
		email := strings.ToLower(s.user.Email)
		most := a.sim.SSO.Times
		if s.user.Status != "Closed" || most > 0 && a.signedOn[email] >= most {
			continue
		}
		a.signedOn[email]++
		a.recreate(s.user, s.at, a.sim.SSO.SameID)
	}
}

// recreate opens u again, or makes a user of the same name and address.
func (a *account) recreate(u *User, at time.Time, sameID bool) User {
	if sameID {
		u.Status, u.LastLogin = "Active", at
		a.listed.good = false
		return *u
	}
	anew, err := a.add(User{
		Email: u.Email, Name: u.Name, ManagedBySCIM: u.ManagedBySCIM, Created: at, Added: at, LastLogin: at,
	})
	if err != nil {
		panic("docusigntest: recreate: " + err.Error()) // a made-up id is never given twice
	}
	return anew
}
