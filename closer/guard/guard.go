// Package guard decides who of a plan may be closed without a person's word.
// It is told everything and asks nobody: no I/O, no clock.
//
// A protected person, an administrator, an email that leads to several users, a
// user who came after the termination and stale news hold that one leaver; the
// rest of the plan goes on. A first plan, a passed limit and a freeze hold the whole
// plan, urgent leavers and the others each by themselves. The user that signoff
// signs in as is never let through.
package guard

import (
	"slices"
	"strings"
	"time"

	"signoff/closer/ledger"
)

// User is an open user of a leaver, as Docusign has it now.
type User struct {
	ID            string
	Email         string
	Administrator bool
	SCIM          bool      // an identity provider manages the user: shown to whoever decides
	CreatedAt     time.Time // zero if Docusign does not say
	LastLogin     time.Time // the same; judged by nobody, and kept as evidence
}

// Candidate is a leaver who is due, with the open users found for them.
type Candidate struct {
	Entry ledger.Entry
	Users []User
}

func (c Candidate) users() []ledger.User {
	users := make([]ledger.User, 0, len(c.Users))
	for _, u := range c.Users {
		users = append(users, ledger.User{ID: u.ID, Email: u.Email, SCIM: u.SCIM, LastLogin: u.LastLogin})
	}
	return users
}

// Resolved is the candidate as the ledger takes it.
func (c Candidate) Resolved() ledger.Resolved {
	return ledger.Resolved{Entry: c.Entry, Users: c.users()}
}

// Facts are what the guard must know besides the plan.
type Facts struct {
	Now            time.Time
	Account        string
	Self           string              // userId that signoff signs in as
	RunBefore      bool                // a plan of the account was sent or approved before
	ActiveUsers    int                 // of the account; needed where NeedsActiveUsers
	Administrators []string            // userIds of the active ones; needed where NeedsAdministrators, and then none means: not known
	Sent           []ledger.SentLeaver // within LongestWindow, in all accounts
	Unresolved     Unresolved          // leavers who are due too, whose users are not known yet: the plan can wait for that
	Unknowable     Unresolved          // the same, where waiting would come to no end: they count as if they had users
	FrozenSince    time.Time           // when the newest freeze began, of which nobody knew who had decided before
	FrozenUntil    time.Time           // the end of all freezes; zero: there is none
}

// Unresolved counts leavers whose users are not known yet.
type Unresolved struct{ Urgent, Others int }

// Held is a part of a plan that waits for a person.
type Held struct {
	Kinds  []ledger.Kind // the gravest first
	Detail string
	People []Candidate
}

// WholePlan says whether it is the plan that waits, not one person of it.
func (h Held) WholePlan() bool {
	return slices.ContainsFunc(h.Kinds, func(k ledger.Kind) bool {
		return k == ledger.FirstRun || k == ledger.Limit || k == ledger.Frozen
	})
}

// Verdict is who may be closed now, and who waits for a person. Who is in
// neither waits for more to be known: with those whose users are not known yet,
// the plan might pass a limit.
type Verdict struct {
	Go    []Candidate
	Holds []Held
}

// NeedsAdministrators says whether the plan would close an administrator, so
// that those who are left must be known.
func (c Config) NeedsAdministrators(plan []Candidate, f Facts) bool {
	return slices.ContainsFunc(plan, func(p Candidate) bool {
		return len(c.personalKinds(p, f)) == 0 && slices.ContainsFunc(p.Users, func(u User) bool { return u.Administrator })
	})
}

// Check judges a plan.
func (c Config) Check(plan []Candidate, f Facts) Verdict {
	var v Verdict
	personal := make([][]ledger.Kind, len(plan))
	for i, p := range plan {
		personal[i] = c.personalKinds(p, f)
	}
	c.spareAdministrators(plan, personal, f)
	var urgent, others []Candidate
	for i, p := range plan {
		switch {
		case len(personal[i]) > 0:
		case p.Entry.Urgent:
			urgent = append(urgent, p)
			continue
		default:
			others = append(others, p)
			continue
		}
		kinds := gravestFirst(personal[i])
		v.Holds = append(v.Holds, Held{Kinds: kinds, Detail: words(kinds), People: []Candidate{p}})
	}
	v.add(c.checkPlan(urgent, c.UrgentLimits, urgentOf(f)))
	v.add(c.checkPlan(others, c.Limits, f.After(v.Go)))
	return v
}

func (v *Verdict) add(passed []Candidate, held *Held) {
	v.Go = append(v.Go, passed...)
	if held != nil {
		v.Holds = append(v.Holds, *held)
	}
}

// urgentOf are the facts that count for urgent leavers, who have limits of their
// own.
func urgentOf(f Facts) Facts {
	f.Sent = slices.DeleteFunc(slices.Clone(f.Sent), func(s ledger.SentLeaver) bool { return !s.Urgent })
	f.Unresolved.Others, f.Unknowable.Others = 0, 0
	return f
}

// After are the facts once these have gone.
func (f Facts) After(gone []Candidate) Facts {
	f.Sent = slices.Clip(f.Sent)
	for _, p := range gone {
		f.Sent = append(f.Sent, ledger.SentLeaver{Account: f.Account, Leaver: p.Entry.Leaver, Source: p.Entry.Source, Urgent: p.Entry.Urgent, At: f.Now})
	}
	return f
}

func (u Unresolved) count() int { return u.Urgent + u.Others }

// gravestFirst sorts kinds, each once.
func gravestFirst(kinds []ledger.Kind) []ledger.Kind {
	slices.SortFunc(kinds, func(a, b ledger.Kind) int {
		return slices.Index(ledger.Kinds(), a) - slices.Index(ledger.Kinds(), b)
	})
	return slices.Compact(kinds)
}

// personalKinds are the reasons to hold one person that nobody has approved.
func (c Config) personalKinds(p Candidate, f Facts) []ledger.Kind {
	var kinds []ledger.Kind
	add := func(kind ledger.Kind, applies bool) {
		if applies && !slices.Contains(kinds, kind) && (kind == ledger.Self || !p.Entry.Approved(kind, p.users())) {
			kinds = append(kinds, kind)
		}
	}
	for _, email := range p.Entry.Emails {
		add(ledger.Protected, c.Protected.email(email))
	}
	emails := make(map[string]int)
	for _, u := range p.Users {
		email := strings.ToLower(u.Email)
		emails[email]++
		add(ledger.Self, strings.EqualFold(u.ID, f.Self))
		add(ledger.Protected, c.Protected.user(u))
		add(ledger.Administrator, u.Administrator && c.Administrators == Hold)
		add(ledger.NewerUser, u.CreatedAt.After(p.Entry.EffectiveAt))
		add(ledger.Ambiguous, emails[email] > 1 && c.Ambiguous == Hold)
	}
	add(ledger.Returned, p.Entry.Returned)
	add(ledger.Stale, p.Entry.Stale)
	return kinds
}

// spareAdministrators holds the administrators of a plan that would leave too
// few of them, counted over the whole plan. Where none are known, any may be the
// last.
func (c Config) spareAdministrators(plan []Candidate, personal [][]ledger.Kind, f Facts) {
	if c.MinAdministrators == 0 {
		return
	}
	left := len(f.Administrators)
	var leaving []int
	for i, p := range plan {
		if len(personal[i]) > 0 {
			continue
		}
		n := 0
		for _, u := range p.Users {
			if slices.Contains(f.Administrators, u.ID) || u.Administrator && len(f.Administrators) == 0 {
				n++
			}
		}
		if left -= n; n > 0 {
			leaving = append(leaving, i)
		}
	}
	if left >= c.MinAdministrators {
		return
	}
	for _, i := range leaving {
		if !plan[i].Entry.Approved(ledger.FewAdministrators, plan[i].users()) {
			personal[i] = append(personal[i], ledger.FewAdministrators)
		}
	}
}

// checkPlan lets a plan through, or holds all of it but those whom a person has
// approved.
func (c Config) checkPlan(plan []Candidate, limits []Limit, f Facts) (passed []Candidate, held *Held) {
	if len(plan) == 0 {
		return nil, nil
	}
	var kinds []ledger.Kind
	var details []string
	first := c.FirstRun == Hold && (!f.RunBefore || slices.ContainsFunc(plan, func(p Candidate) bool {
		return p.Entry.DryRun && !p.Entry.Approved(ledger.FirstRun, p.users())
	}))
	if first {
		kinds = append(kinds, ledger.FirstRun)
		details = append(details, "the first plan of the account")
	}
	if !f.FrozenUntil.IsZero() {
		kinds = append(kinds, ledger.Frozen)
		details = append(details, "frozen until "+f.FrozenUntil.Format(time.RFC3339))
	}
	sure, unsure := f.Unknowable.count(), f.Unknowable.count()+f.Unresolved.count()
	mayPass := false
	for _, l := range limits {
		if _, over := l.passedBy(plan, f, unsure); over {
			mayPass = true
		}
		if detail, over := l.passedBy(plan, f, sure); over {
			kinds = append(kinds, ledger.Limit)
			details = append(details, detail)
		}
	}
	kinds = gravestFirst(kinds)
	var waiting []Candidate
	for _, p := range plan {
		if len(kinds) == 0 && mayPass && !p.Entry.Approved(ledger.Limit, p.users()) {
			continue
		}
		if slices.ContainsFunc(kinds, func(k ledger.Kind) bool { return !f.approved(k, p) }) {
			waiting = append(waiting, p)
		} else {
			passed = append(passed, p)
		}
	}
	if len(waiting) == 0 {
		return passed, nil
	}
	return passed, &Held{Kinds: kinds, Detail: strings.Join(details, "; "), People: waiting}
}

// approved says whether a person has approved the candidate for this kind of hold,
// knowing of the freezes that there are.
func (f Facts) approved(kind ledger.Kind, p Candidate) bool {
	if kind == ledger.Frozen {
		return p.Entry.ApprovedSince(kind, p.users(), f.FrozenSince)
	}
	return p.Entry.Approved(kind, p.users())
}

func words(kinds []ledger.Kind) string {
	texts := map[ledger.Kind]string{
		ledger.Self:              "the user that signoff signs in as",
		ledger.Protected:         "protected by the config",
		ledger.FewAdministrators: "too few administrators would be left",
		ledger.Administrator:     "an administrator of the account",
		ledger.Ambiguous:         "several open users have this email",
		ledger.Returned:          "was closed before, and is open again",
		ledger.NewerUser:         "the user came into the account after the termination took effect",
		ledger.Stale:             "the news was old when it came",
	}
	var all []string
	for _, k := range kinds {
		all = append(all, texts[k])
	}
	return strings.Join(all, "; ")
}
