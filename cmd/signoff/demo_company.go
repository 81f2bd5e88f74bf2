package main

import (
	"iter"
	"strings"
	"sync/atomic"
	"time"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// person is somebody whom the HR system knows.
type person struct {
	employee string
	email    string
	given    string
	family   string
	job      job
	user     string   // userId at Docusign; "" for those who have none
	address  string   // of the user, where it is not email
	other    []string // further addresses that the HR system knows
	closed   bool     // the user is closed already
	admin    bool
	leaves   bool
	date     string       // effective date; "": now
	back     string       // type of the event by which the termination is taken back; "": it is not
	right    ledger.State // what must become of the leaver; "" for those who stay
	sentAt   atomic.Int64 // Unix microseconds
}

// company is the people, some of whom leave, and what its HR system tells of
// them.
type company struct {
	people   []*person     // the first half leaves
	newcomer *person       // leaves besides, and the directory does not know them yet
	over     time.Duration // how long the HR system takes to tell of all
	events   atomic.Int64  // sent so far
	sent     atomic.Bool   // all were
}

// newCompany makes a company that so many people leave: most have a user, some
// have none, a few are cases of their own. As many stay.
func newCompany(leavers int, over time.Duration) *company {
	c := &company{over: over}
	for i := range leavers {
		p := newPerson(i)
		p.leaves, p.right = true, ledger.Closed
		switch {
		case i%20 == 7: // never had a user
			p.user, p.right = "", ledger.NotFound
		case i%40 == 13: // somebody was quicker
			p.closed, p.right = true, ledger.AlreadyClosed
		case i%50 == 3: // in the config's list
			p.right = ledger.Held
		case i%100 == 17:
			p.admin, p.right = true, ledger.Held
		case i%20 == 16, i%40 == 19: // does not leave after all, or is back at once
			p.date, p.back, p.right = inAMonth(), consumer.TypeRescinded, ledger.Cancelled
			if i%40 == 19 {
				p.back = consumer.TypeRehired
			}
		case i%25 == 11: // leaves later: nobody may be closed before their day
			p.date, p.right = inAMonth(), ledger.Waiting
		case i%10 == 4: // the user is known by another address
			p.address = strings.Replace(p.email, "@", "@brand.", 1)
			p.other = []string{p.address}
		}
		c.people = append(c.people, p)
	}
	for i := range leavers {
		c.people = append(c.people, newPerson(leavers+i))
	}
	c.newcomer = newPerson(2 * leavers)
	c.newcomer.leaves = true
	return c
}

func inAMonth() string { return time.Now().AddDate(0, 0, 30).Format(time.DateOnly) }

// everybody is all people, the newcomer as well.
func (c *company) everybody() iter.Seq[*person] {
	return func(yield func(*person) bool) {
		for _, p := range c.people {
			if !yield(p) {
				return
			}
		}
		yield(c.newcomer)
	}
}

// leavers are those of whom the HR system tells so that it can be understood.
func (c *company) leavers() int {
	n := 0
	for _, p := range c.people {
		if p.leaves {
			n++
		}
	}
	return n
}

// protected are the addresses that the guard is told to protect.
func (c *company) protected() []string {
	var emails []string
	for i, p := range c.people {
		if p.right == ledger.Held && !p.admin && i < len(c.people)/2 {
			emails = append(emails, p.email)
		}
	}
	return emails
}

// users are the company's users at Docusign.
func (c *company) users() []docusigntest.User {
	since := time.Now().AddDate(-3, 0, 0)
	users := []docusigntest.User{
		{ID: demoUser, Email: "signoff@example.com", Name: "signoff", Administrator: true, Created: since},
		{ID: "00000000-0000-4000-8000-0000000000bb", Email: "it@example.com", Name: "IT", Administrator: true, Created: since},
	}
	for p := range c.everybody() {
		if p.user == "" {
			continue
		}
		u := docusigntest.User{ID: p.user, Email: p.email, Name: p.given + " " + p.family, Administrator: p.admin, Created: since,
			LastLogin: time.Now().Add(-time.Duration(len(users)%90) * time.Hour)}
		if p.address != "" {
			u.Email = p.address
		}
		if p.closed {
			u.Status = "Closed"
		}
		users = append(users, u)
	}
	return users
}

// settled says whether all events were sent and every leaver is where nothing
// more will happen without a person or a date.
func (c *company) settled(stats ledger.Stats) bool {
	if !c.sent.Load() {
		return false
	}
	rest := 0
	for _, state := range []ledger.State{ledger.Due, ledger.Submitted} {
		rest += stats.Entries[state]
	}
	all := 0
	for _, n := range stats.Entries {
		all += n
	}
	later := 0
	for _, p := range c.people {
		if p.right == ledger.Waiting {
			later++
		}
	}
	return rest == 0 && all >= c.leavers() && stats.Entries[ledger.Waiting] <= later && stats.Reading.State == consumer.UpToDate
}
