package closer_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/guard"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// model is what is promised of who may be closed, and nothing of how that is done.
// It hears what the ledger hears, notes what people decide and sees each request
// that reaches Docusign: there it says whether somebody may not be closed. Where a
// promise leaves room it takes the more lenient reading.
type model struct {
	sim    *docusigntest.Server
	guard  guard.Config
	dryRun bool
	grace  time.Duration
	maxAge time.Duration

	people    map[string]*person // by email
	heard     map[consumer.Key]bool
	votes     map[int64]map[string]time.Time // hold -> who said yes, and when
	parted    map[seen]bool                  // what people saw of holds before a part was taken out of them
	approvals []*approval
	freezes   []*freeze

	requests  []*closeRequest
	attempts  map[membership]*attempt
	runBefore map[string]bool  // account -> a plan of it was sent or approved
	firstPlan map[leaverIn]int // who would have been closed in a dry run -> how many terminations had been heard of them at its end
	runBegan  time.Time
}

type membership struct{ account, user string }

type leaverIn struct{ account, email string }

// person is somebody of whom something was said.
type person struct {
	email     string
	addresses []string // that terminations have named
	last      *word    // the termination said last
	cancels   []*word
	kept      *word // a rehire that was not in effect when it was heard
	cancelled bool

	spoken  time.Time // when a termination was heard last
	terms   []*word
	skipped map[string]time.Time // account -> when a person said no
}

type word struct {
	kind           consumer.Kind
	source         string
	addresses      []string
	key            consumer.Key
	said           time.Time
	effective      time.Time
	received       time.Time
	stale, urgent  bool
	spokeOfSomeone bool
}

type approval struct {
	at      time.Time
	account string
	kinds   []ledger.Kind
	users   []ledger.HeldUser
	from    time.Time // not good before: of people who were not due yet
	expires time.Time
}

type freeze struct {
	id      int64
	since   time.Time
	account string
	until   time.Time
}

// closeRequest is a request that reached Docusign.
type closeRequest struct {
	at      time.Time
	account string
	people  []*person
	users   []string
	done    bool // Docusign has looked at it, user by user
}

// attempt is the last close that was asked for of a user.
type attempt struct {
	at     time.Time
	person *person
	known  string // closed, open or, while nobody knows, ""
}

func newModel(sim *docusigntest.Server) *model {
	return &model{sim: sim, people: make(map[string]*person), heard: make(map[consumer.Key]bool), votes: make(map[int64]map[string]time.Time), parted: make(map[seen]bool),
		attempts: make(map[membership]*attempt), runBefore: make(map[string]bool), firstPlan: make(map[leaverIn]int)}
}

// What is said.

func (m *model) person(email string) *person {
	if m.people[email] == nil {
		m.people[email] = &person{email: email, skipped: make(map[string]time.Time)}
	}
	return m.people[email]
}

// hear takes in an event. The same one again says nothing.
func (m *model) hear(e consumer.Event) {
	if m.heard[e.Key] {
		return
	}
	p := m.person(e.Email)
	w := &word{kind: e.Kind, source: e.Key.Source, key: e.Key, said: e.OccurredAt, effective: e.EffectiveAt, received: e.ReceivedAt, urgent: e.Urgent}
	if w.said.IsZero() {
		w.said = w.received
	} else if latest := later(w.said, w.effective); m.maxAge > 0 && w.received.Sub(latest) > m.maxAge {
		w.stale = true
	}
	w.addresses = append([]string{e.Email}, e.OtherEmails...)
	m.heard[e.Key] = true
	if e.Kind == consumer.Terminated {
		m.terminated(p, w)
		return
	}
	m.takenBack(p, w)
}

func (m *model) terminated(p *person, w *word) {
	for _, a := range w.addresses {
		if !slices.Contains(p.addresses, a) {
			p.addresses = append(p.addresses, a)
		}
	}
	p.terms = append(p.terms, w)
	p.spoken = w.received
	if p.last == nil || !w.said.Before(p.last.said) {
		var before time.Time
		if p.last != nil {
			before = m.due(p)
		}
		p.last, p.kept, p.cancelled = w, nil, false
		if due := m.due(p); due.After(w.received) && !due.Equal(before) { // another day than people have decided on
			m.forgetApprovals(p)
		}
	}
	p.cancels = slices.DeleteFunc(p.cancels, func(c *word) bool {
		switch {
		case !c.said.After(p.last.said):
			return false
		case c.source == p.last.source:
			m.heed(p, c, w.received)
		case !c.spokeOfSomeone: // a reject, which may come again
			delete(m.heard, c.key)
			return true
		}
		return false
	})
}

// takenBack hears a rescind or a rehire. Only who announced the termination may
// take it back, and no earlier word does.
func (m *model) takenBack(p *person, c *word) {
	switch {
	case p.last == nil || c.said.Before(p.last.said):
	case c.source != p.last.source:
		delete(m.heard, c.key)
		return
	default:
		m.heed(p, c, c.received)
	}
	p.cancels = append(p.cancels, c)
	slices.SortStableFunc(p.cancels, func(a, b *word) int { return a.said.Compare(b.said) })
}

func (m *model) heed(p *person, c *word, now time.Time) {
	c.spokeOfSomeone = true
	p.cancelled = m.isCancelled(p, now) || m.inForce(p, c, now)
	if !p.cancelled && (p.kept == nil || !c.said.Before(p.kept.said)) {
		p.kept = c
	}
}

// inForce says whether a cancel takes back the termination said last, by the time
// at which its close would be sent.
func (m *model) inForce(p *person, c *word, now time.Time) bool {
	return c.kind == consumer.Rescinded || !c.effective.After(later(now, m.due(p))) || !c.effective.After(p.last.effective.Add(24*time.Hour))
}

func (m *model) isCancelled(p *person, now time.Time) bool {
	return p.cancelled || p.kept != nil && m.inForce(p, p.kept, now)
}

// isTie says whether the termination said last was taken back by a word of the same
// moment: then older news of another address still has that looked up.
func (m *model) isTie(p *person) bool {
	return slices.ContainsFunc(p.cancels, func(c *word) bool { return c.said.Equal(p.last.said) })
}

// due is the later of the effective time, with its grace, and the receipt.
func (m *model) due(p *person) time.Time {
	return later(p.last.effective.Add(m.grace), p.last.received)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// What people decide.

// seen is a hold as somebody has seen it.
type seen struct {
	hold   int64
	digest string
}

// yes says what a yes must come to: that it counts, and that it is the last that
// was needed. named are the users that it is about, of the hold id.
func (m *model) yes(h ledger.Hold, id int64, named []ledger.HeldUser, d ledger.Decision, terms ledger.Terms, now time.Time) (counts, enough bool) {
	switch {
	case h.State != ledger.HoldOpen || h.DryRun || !strings.EqualFold(h.Digest, d.Digest) || len(named) == 0:
		return false, false
	case slices.Contains(h.Kinds, ledger.Self) || m.standsIn(d.By, named):
		return false, false
	case m.parted[seen{h.ID, h.Digest}]:
		return false, false
	}
	if id != h.ID {
		m.parted[seen{h.ID, h.Digest}] = true
	}
	if m.votes[id] == nil {
		m.votes[id] = make(map[string]time.Time)
	}
	m.votes[id][strings.ToLower(cmp.Or(d.By.Email, d.By.Name))] = now
	people := 0
	for _, at := range m.votes[id] {
		if now.Sub(at) < terms.Expires || h.Ahead { // whose time is still to come
			people++
		}
	}
	if people < terms.People {
		return true, false
	}
	a := &approval{at: now, account: h.Account, kinds: h.Kinds, users: slices.Clone(named), expires: now.Add(terms.Expires)}
	if h.Ahead {
		a.from, a.expires = h.ValidFrom, h.ExpiresAt
	}
	m.approvals = append(m.approvals, a)
	if slices.Contains(h.Kinds, ledger.FirstRun) {
		m.runBefore[h.Account] = true
	}
	return true, true
}

// standsIn says whether somebody would decide about themselves.
func (m *model) standsIn(by ledger.Person, named []ledger.HeldUser) bool {
	return slices.ContainsFunc(named, func(u ledger.HeldUser) bool {
		p := m.whose(u.Email)
		return by.Is(u.Email) || p != nil && slices.ContainsFunc(p.addresses, by.Is)
	})
}

// whose is the person that a user is known to be; nil: nobody of whom it was said
// that they leave.
func (m *model) whose(address string) *person {
	for _, p := range m.people {
		if slices.ContainsFunc(p.addresses, func(a string) bool { return strings.EqualFold(a, address) }) {
			return p
		}
	}
	return nil
}

func (m *model) forgetApprovals(p *person) {
	for _, a := range m.approvals {
		a.users = slices.DeleteFunc(a.users, func(u ledger.HeldUser) bool { return m.whose(u.Email) == p })
	}
}

func (m *model) approved(kind ledger.Kind, account, user string, now time.Time) bool {
	return slices.ContainsFunc(m.approvals, func(a *approval) bool {
		return a.account == account && (kind != ledger.Frozen || m.knewFreezes(a, now)) && !now.Before(a.from) && now.Before(a.expires) && slices.Contains(a.kinds, kind) &&
			slices.ContainsFunc(a.users, func(u ledger.HeldUser) bool { return u.ID == user })
	})
}

// knewFreezes says whether no freeze that is in force has begun since the approval.
func (m *model) knewFreezes(a *approval, now time.Time) bool {
	return !slices.ContainsFunc(m.freezes, func(f *freeze) bool {
		return (f.account == "" || f.account == a.account) && f.until.After(now) && f.since.After(a.at)
	})
}

func (m *model) frozen(account string, now time.Time) bool {
	return slices.ContainsFunc(m.freezes, func(f *freeze) bool {
		return (f.account == "" || f.account == account) && f.until.After(now)
	})
}

// What reaches Docusign.

// closes judges a request as it reaches Docusign, and returns what is wrong with it.
func (m *model) closes(account string, ids []string, now time.Time) (r *closeRequest, wrong []string) {
	r = &closeRequest{at: now, account: account}
	if m.dryRun {
		wrong = append(wrong, "a close is sent in a dry run")
	}
	for _, id := range ids {
		u, ok := m.sim.User(account, id)
		p := m.whose(u.Email)
		if !ok || p == nil {
			wrong = append(wrong, fmt.Sprintf("%s (%s) is nobody of whom it was said that they leave", id, u.Email))
			continue
		}
		r.users, r.people = append(r.users, id), append(r.people, p)
		if why := m.mayNotClose(r, u, p); why != "" {
			wrong = append(wrong, fmt.Sprintf("%s (%s) must not be closed: %s", id, u.Email, why))
		}
	}
	for i, id := range r.users {
		for _, kind := range m.needed(r, id, r.people[i]) {
			if !m.approved(kind, account, id, now) {
				wrong = append(wrong, fmt.Sprintf("%s (%s) is closed without an approval: %s", id, r.people[i].email, kind))
			}
		}
	}
	for i, id := range r.users {
		m.attempts[membership{account, id}] = &attempt{at: now, person: r.people[i]}
	}
	m.requests = append(m.requests, r)
	m.runBefore[account] = true
	return r, wrong
}

// mayNotClose says why nobody's word lets this user be closed now; "": it may be.
func (m *model) mayNotClose(r *closeRequest, u docusigntest.User, p *person) string {
	last := m.attempts[membership{r.account, u.ID}]
	switch {
	case u.ID == self:
		return "it is the user that signoff signs in as"
	case m.isCancelled(p, r.at) && !m.isTie(p) && !m.approved(ledger.Returned, r.account, u.ID, r.at): // people have named who is open again
		return "that was taken back"
	case r.at.Before(m.due(p)) && !m.approved(ledger.Returned, r.account, u.ID, r.at): // who has left before, and leaves again
		return "they are not due before " + m.due(p).Format(time.DateTime)
	case last != nil && last.known == "":
		return "nobody knows yet what became of the request of " + last.at.Format(time.DateTime)
	}
	return ""
}

// needed are the kinds of approval without which the user must not be closed.
func (m *model) needed(r *closeRequest, id string, p *person) []ledger.Kind {
	var kinds []ledger.Kind
	add := func(kind ledger.Kind, applies bool) {
		if applies {
			kinds = append(kinds, kind)
		}
	}
	u, _ := m.sim.User(r.account, id)
	add(ledger.Protected, m.isProtected(u))
	add(ledger.Administrator, u.Administrator && m.guard.Administrators == guard.Hold)
	add(ledger.FewAdministrators, u.Administrator && u.Status == "Active" && m.administratorsAfter(r) < m.guard.MinAdministrators)
	add(ledger.Ambiguous, m.guard.Ambiguous == guard.Hold && m.openTwins(r.account, u) > 1)
	add(ledger.NewerUser, later(u.Created, u.Added).After(p.last.effective))
	add(ledger.Stale, p.last.stale && !m.approved(ledger.Returned, r.account, id, r.at)) // people have seen them open again since
	add(ledger.Returned, m.wasClosed(r.account, id, p))
	add(ledger.FirstRun, m.guard.FirstRun == guard.Hold && m.isFirst(r.account, p))
	add(ledger.Frozen, m.frozen(r.account, r.at))
	add(ledger.Limit, m.isOverLimit(r, p))
	return kinds
}

func (m *model) isProtected(u docusigntest.User) bool {
	_, domain, _ := strings.Cut(u.Email, "@")
	named := func(names []string, name string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	}
	return named(m.guard.Protected.Emails, u.Email) || named(m.guard.Protected.Domains, domain) || named(m.guard.Protected.UserIDs, u.ID)
}

func (m *model) administratorsAfter(r *closeRequest) int {
	n := 0
	for _, u := range m.sim.Users(r.account) {
		if u.Administrator && u.Status == "Active" && !slices.Contains(r.users, u.ID) {
			n++
		}
	}
	return n
}

// openTwins counts the open users of the user's address, the user among them.
func (m *model) openTwins(account string, u docusigntest.User) int {
	n := 0
	for _, o := range m.sim.Users(account) {
		if strings.EqualFold(o.Email, u.Email) && (o.Status != "Closed" || o.ID == u.ID) {
			n++
		}
	}
	return n
}

// wasClosed says whether signoff knew the user, and whoever else the person is in
// the account, as closed, and nobody has said since that they leave.
func (m *model) wasClosed(account, id string, p *person) bool {
	if m.attempts[membership{account, id}] == nil {
		return false
	}
	for in, a := range m.attempts {
		if in.account == account && a.person == p && (a.known != "closed" || !a.at.After(p.spoken)) {
			return false
		}
	}
	return true
}

// isClosed takes in that a user is closed. Who comes back after that is in no first
// plan of a dry run any more.
func (m *model) isClosed(account string, a *attempt) {
	a.known = "closed"
	delete(m.firstPlan, leaverIn{account, a.person.email})
}

// isFirst says whether a person's close is part of the first plan of an account,
// or of the one that a dry run has left.
func (m *model) isFirst(account string, p *person) bool {
	heard, dry := m.firstPlan[leaverIn{account, p.email}]
	return !m.runBefore[account] || dry && len(p.terms) == heard
}

// isOverLimit says whether the person is one more than a limit allows.
func (m *model) isOverLimit(r *closeRequest, p *person) bool {
	limits := m.guard.Limits
	switch urgent := p.urgency(); urgent {
	case "never":
	case "always":
		limits = m.guard.UrgentLimits
	default:
		return false
	}
	return slices.ContainsFunc(limits, func(l guard.Limit) bool {
		if l.By == "source" && p.onlySource() == "" || m.askedWithin(l, r, p) {
			return false
		}
		counted := make(map[*person]bool)
		for _, before := range append(slices.Clone(m.requests), r) {
			if r.at.Sub(before.at) >= l.Window || before != r && !before.done || before.account != r.account && l.Scope != "all" {
				continue
			}
			for _, o := range before.people {
				switch {
				case p.urgency() == "always" && o.urgency() != "always": // they have limits of their own
				case l.By == "source" && o.onlySource() != p.onlySource():
				case before != r && o.urgency() != "never" && !before.at.Before(m.runBegan): // came between a plan and its batches
				default:
					counted[o] = true
				}
			}
		}
		return len(counted) > l.Max
	})
}

// askedWithin says whether a close of the person was sent before within the
// window: a repeated try is not counted twice.
func (m *model) askedWithin(l guard.Limit, r *closeRequest, p *person) bool {
	return slices.ContainsFunc(m.requests, func(before *closeRequest) bool {
		return r.at.Sub(before.at) < l.Window && (before.account == r.account || l.Scope == "all") && slices.Contains(before.people, p)
	})
}

// urgency is whether all that was said of the person was urgent: always, never or,
// where it depends on which of it counts, "".
func (p *person) urgency() string {
	switch said := func(w *word) bool { return w.urgent }; {
	case !slices.ContainsFunc(p.terms, said):
		return "never"
	case !slices.ContainsFunc(p.terms, func(w *word) bool { return !said(w) }):
		return "always"
	}
	return ""
}

// onlySource is who announced all that was said of the person; "" for several.
func (p *person) onlySource() string {
	for _, w := range p.terms {
		if w.source != p.terms[0].source {
			return ""
		}
	}
	return p.terms[0].source
}

// What is left in the end.

// agrees says whether there is reason to hold the person in the account so.
func (m *model) agrees(kind ledger.Kind, account string, p *person, now time.Time) bool {
	some := func(fits func(docusigntest.User) bool) bool {
		return slices.ContainsFunc(m.sim.Users(account), func(u docusigntest.User) bool { return m.whose(u.Email) == p && fits(u) })
	}
	switch kind {
	case ledger.Self:
		return some(func(u docusigntest.User) bool { return u.ID == self })
	case ledger.Protected:
		return some(m.isProtected) || slices.ContainsFunc(p.addresses, func(a string) bool { return m.isProtected(docusigntest.User{Email: a}) })
	case ledger.Administrator:
		return m.guard.Administrators == guard.Hold && some(func(u docusigntest.User) bool { return u.Administrator })
	case ledger.FewAdministrators:
		return m.guard.MinAdministrators > 0 && some(func(u docusigntest.User) bool { return u.Administrator })
	case ledger.Ambiguous:
		return m.guard.Ambiguous == guard.Hold && some(func(u docusigntest.User) bool { return m.openTwins(account, u) > 1 })
	case ledger.NewerUser:
		return some(func(u docusigntest.User) bool {
			return slices.ContainsFunc(p.terms, func(w *word) bool { return later(u.Created, u.Added).After(w.effective) })
		})
	case ledger.Stale:
		return slices.ContainsFunc(p.terms, func(w *word) bool { return w.stale })
	case ledger.Returned:
		return true // whoever opens users notes it, see history
	case ledger.FirstRun:
		return m.guard.FirstRun == guard.Hold
	case ledger.Limit:
		return len(m.guard.Limits)+len(m.guard.UrgentLimits) > 0
	case ledger.Frozen:
		return m.frozen(account, now)
	}
	return false
}
