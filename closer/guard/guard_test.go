package guard

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
)

const account = "acc"

var now = time.Date(2026, 11, 20, 9, 15, 0, 0, time.UTC)

// open is a guard that lets everybody through.
func open() Config {
	return Config{Administrators: Close, Ambiguous: Close, FirstRun: Close}
}

// facts are those of an account that closed many before.
func facts() Facts {
	return Facts{Now: now, Account: account, Self: "self", RunBefore: true, ActiveUsers: 1000}
}

// leaver is a candidate with one user, who came long before the termination.
func leaver(name string, change ...func(*Candidate)) Candidate {
	c := Candidate{
		Entry: ledger.Entry{
			Leaver: name + "@acme.com", Emails: []string{name + "@acme.com"}, Account: account, Source: "hr",
			EffectiveAt: now.Add(-time.Hour),
		},
		Users: []User{{ID: name, Email: name + "@acme.com", CreatedAt: now.AddDate(-1, 0, 0)}},
	}
	for _, ch := range change {
		ch(&c)
	}
	return c
}

func leavers(n int, change ...func(*Candidate)) []Candidate {
	var all []Candidate
	for i := range n {
		all = append(all, leaver(fmt.Sprintf("p%d", i), change...))
	}
	return all
}

// approved lets a person have approved that all users of the candidate are
// closed, for these kinds in one hold.
func approved(kinds ...ledger.Kind) func(*Candidate) {
	return func(c *Candidate) {
		h := ledger.Hold{State: ledger.HoldApproved, Kinds: kinds}
		for _, u := range c.users() {
			h.Users = append(h.Users, ledger.HeldUser{User: u})
		}
		c.Entry.Approvals = append(c.Entry.Approvals, h)
	}
}

func sent(name string, ago time.Duration) ledger.SentLeaver {
	return ledger.SentLeaver{Account: account, Leaver: name + "@acme.com", Source: "hr", At: now.Add(-ago)}
}

func goes(v Verdict) []string {
	var names []string
	for _, c := range v.Go {
		name, _, _ := strings.Cut(c.Entry.Leaver, "@")
		names = append(names, name)
	}
	return names
}

func TestPersonalHolds(t *testing.T) {
	admin := func(c *Candidate) { c.Users[0].Administrator = true }
	email := func(e string) func(*Candidate) { return func(c *Candidate) { c.Users[0].Email = e } }
	created := func(at time.Time) func(*Candidate) { return func(c *Candidate) { c.Users[0].CreatedAt = at } }
	twin := func(e string) func(*Candidate) {
		return func(c *Candidate) { c.Users = append(c.Users, User{ID: "twin", Email: e}) }
	}
	self := func(c *Candidate) { c.Users[0].ID = "SELF" }
	stale := func(c *Candidate) { c.Entry.Stale = true }
	protect := func(p People) func(*Config) { return func(c *Config) { c.Protected = p } }
	holdAdmins := func(c *Config) { c.Administrators = Hold }
	holdAmbiguous := func(c *Config) { c.Ambiguous = Hold }

	for name, tt := range map[string]struct {
		cfg    func(*Config)
		change []func(*Candidate)
		want   []ledger.Kind
	}{
		"nothing odd": {},
		"the user that we sign in as, in other case":       {change: []func(*Candidate){self}, want: []ledger.Kind{ledger.Self}},
		"ourselves, even approved":                         {change: []func(*Candidate){self, approved(ledger.Self)}, want: []ledger.Kind{ledger.Self}},
		"protected email, in other case":                   {cfg: protect(People{Emails: []string{"ANN@Acme.com"}}), want: []ledger.Kind{ledger.Protected}},
		"protected domain, in other case":                  {cfg: protect(People{Domains: []string{"ACME.com"}}), want: []ledger.Kind{ledger.Protected}},
		"protected domain of another company":              {cfg: protect(People{Domains: []string{"cme.com", "sub.acme.com"}})},
		"protected userId, in other case":                  {cfg: protect(People{UserIDs: []string{"ANN"}}), want: []ledger.Kind{ledger.Protected}},
		"protected address of the user, not of the leaver": {cfg: protect(People{Emails: []string{"boss@acme.com"}}), change: []func(*Candidate){email("Boss@acme.com")}, want: []ledger.Kind{ledger.Protected}},
		"protected address of the leaver, not of the user": {cfg: protect(People{Emails: []string{"ann@acme.com"}}), change: []func(*Candidate){email("a2@acme.com")}, want: []ledger.Kind{ledger.Protected}},
		"protected and approved":                           {cfg: protect(People{UserIDs: []string{"ann"}}), change: []func(*Candidate){approved(ledger.Protected)}},
		"approved for something else":                      {cfg: protect(People{UserIDs: []string{"ann"}}), change: []func(*Candidate){approved(ledger.Limit)}, want: []ledger.Kind{ledger.Protected}},
		"administrator":                                    {cfg: holdAdmins, change: []func(*Candidate){admin}, want: []ledger.Kind{ledger.Administrator}},
		"administrators may be closed":                     {change: []func(*Candidate){admin}},
		"two users of one address":                         {cfg: holdAmbiguous, change: []func(*Candidate){twin("ANN@acme.com")}, want: []ledger.Kind{ledger.Ambiguous}},
		"two addresses with a user each":                   {cfg: holdAmbiguous, change: []func(*Candidate){twin("ann@old.com")}},
		"ambiguous, and all of them may be closed":         {change: []func(*Candidate){twin("ann@acme.com")}},
		"ambiguous, a user more than was approved": {cfg: holdAmbiguous,
			change: []func(*Candidate){approved(ledger.Ambiguous), twin("ann@acme.com")}, want: []ledger.Kind{ledger.Ambiguous}},
		"user newer than the termination":        {change: []func(*Candidate){created(now)}, want: []ledger.Kind{ledger.NewerUser}},
		"user as old as the termination":         {change: []func(*Candidate){created(now.Add(-time.Hour))}},
		"Docusign does not say since when it is": {change: []func(*Candidate){created(time.Time{})}},
		"old news":                               {change: []func(*Candidate){stale}, want: []ledger.Kind{ledger.Stale}},
		"old news, approved":                     {change: []func(*Candidate){stale, approved(ledger.Stale)}},
		"the gravest kind first": {
			cfg:    func(c *Config) { holdAdmins(c); holdAmbiguous(c); c.Protected.Domains = []string{"acme.com"} },
			change: []func(*Candidate){stale, created(now), admin, twin("ann@acme.com"), self},
			want:   []ledger.Kind{ledger.Self, ledger.Protected, ledger.Administrator, ledger.Ambiguous, ledger.NewerUser, ledger.Stale},
		},
		"two approvals of different kinds both count": {
			cfg:    func(c *Config) { holdAdmins(c); c.Protected.Domains = []string{"acme.com"} },
			change: []func(*Candidate){admin, approved(ledger.Protected), approved(ledger.Administrator)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := open()
			if tt.cfg != nil {
				tt.cfg(&cfg)
			}
			v := cfg.Check([]Candidate{leaver("ann", tt.change...), leaver("bob", func(c *Candidate) {
				c.Entry.Leaver, c.Entry.Emails, c.Users[0].Email = "bob@other.org", []string{"bob@other.org"}, "bob@other.org"
			})}, facts())
			if len(tt.want) == 0 {
				if len(v.Holds) > 0 {
					t.Errorf("held for %v, want it to go", v.Holds[0].Kinds)
				}
				return
			}
			if len(v.Holds) != 1 || !slices.Equal(v.Holds[0].Kinds, tt.want) {
				t.Fatalf("holds %+v, want one for %v", v.Holds, tt.want)
			}
			if got := goes(v); !slices.Equal(got, []string{"bob"}) {
				t.Errorf("%v go, want the rest of the plan", got)
			}
			if d := v.Holds[0].Detail; d == "" || strings.Contains(d, "@") {
				t.Errorf("detail %q, want words without an email", d)
			}
		})
	}
}

func TestMinAdministrators(t *testing.T) {
	admin := func(c *Candidate) { c.Users[0].Administrator = true }
	few := approved(ledger.FewAdministrators)
	for name, tt := range map[string]struct {
		plan []Candidate
		all  []string // administrators of the account
		want []string // who go
	}{
		"enough are left":                     {plan: []Candidate{leaver("a", admin), leaver("p")}, all: []string{"a", "b", "c"}, want: []string{"a", "p"}},
		"one too few":                         {plan: []Candidate{leaver("a", admin), leaver("p")}, all: []string{"a", "b"}, want: []string{"p"}},
		"few over the plan":                   {plan: []Candidate{leaver("a", admin), leaver("b", admin), leaver("p")}, all: []string{"a", "b", "c"}, want: []string{"p"}},
		"only the approved go":                {plan: []Candidate{leaver("a", admin, few), leaver("b", admin)}, all: []string{"a", "b", "c"}, want: []string{"a"}},
		"none are known":                      {plan: []Candidate{leaver("a", admin), leaver("p")}, want: []string{"p"}},
		"none are known, and it was approved": {plan: []Candidate{leaver("a", admin, few), leaver("p")}, want: []string{"a", "p"}},
		"few, but none leaves":                {plan: []Candidate{leaver("p")}, all: []string{"a"}, want: []string{"p"}},
		"held for more than being one does not count as leaving": {
			plan: []Candidate{leaver("a", admin), leaver("b", admin, func(c *Candidate) { c.Entry.Stale = true })},
			all:  []string{"a", "b", "c"}, want: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, f := open(), facts()
			cfg.MinAdministrators, f.Administrators = 2, tt.all
			if got := goes(cfg.Check(tt.plan, f)); !slices.Equal(got, tt.want) {
				t.Errorf("%v go, want %v", got, tt.want)
			}
		})
	}
}

func TestFirstRun(t *testing.T) {
	dry := func(c *Candidate) { c.Entry.DryRun = true }
	first := approved(ledger.FirstRun)
	for name, tt := range map[string]struct {
		answer Answer
		before bool
		plan   []Candidate
		want   []string // who go
	}{
		"the first plan":                      {Hold, false, leavers(2), nil},
		"the second plan":                     {Hold, true, leavers(2), []string{"p0", "p1"}},
		"the first plan may go":               {Close, false, leavers(2), []string{"p0", "p1"}},
		"out of a dry run":                    {Hold, true, []Candidate{leaver("a", dry), leaver("b")}, nil},
		"out of a dry run and approved":       {Hold, true, []Candidate{leaver("a", dry, first), leaver("b")}, []string{"a", "b"}},
		"out of a dry run, one of two is not": {Hold, true, []Candidate{leaver("a", dry, first), leaver("b", dry)}, []string{"a"}},
		"out of a dry run that may go":        {Close, true, []Candidate{leaver("a", dry)}, []string{"a"}},
		"one came after the approval":         {Hold, false, []Candidate{leaver("a", first), leaver("b")}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, f := open(), facts()
			cfg.FirstRun, f.RunBefore = tt.answer, tt.before
			v := cfg.Check(tt.plan, f)
			if got := goes(v); !slices.Equal(got, tt.want) {
				t.Errorf("%v go, want %v", got, tt.want)
			}
			if held := len(tt.plan) - len(tt.want); held > 0 && (len(v.Holds) != 1 || len(v.Holds[0].People) != held) {
				t.Errorf("holds %+v, want one of %d people", v.Holds, held)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	from := func(source string) func(*Candidate) { return func(c *Candidate) { c.Entry.Source = source } }
	hour := Limit{Window: time.Hour, Max: 3}
	for name, tt := range map[string]struct {
		limit Limit
		plan  []Candidate
		facts func(*Facts)
		held  int
	}{
		"exactly at max":        {limit: hour, plan: leavers(3)},
		"one more than max":     {limit: hour, plan: leavers(4), held: 4},
		"sent before counts":    {limit: hour, plan: leavers(3), facts: func(f *Facts) { f.Sent = append(f.Sent, sent("x", time.Minute)) }, held: 3},
		"just within window":    {limit: hour, plan: leavers(3), facts: func(f *Facts) { f.Sent = append(f.Sent, sent("x", time.Hour-1)) }, held: 3},
		"exactly a window old":  {limit: hour, plan: leavers(3), facts: func(f *Facts) { f.Sent = append(f.Sent, sent("x", time.Hour)) }},
		"tried again":           {limit: hour, plan: leavers(3), facts: func(f *Facts) { f.Sent = append(f.Sent, sent("p0", time.Minute)) }},
		"sent twice counts one": {limit: hour, plan: leavers(2), facts: func(f *Facts) { f.Sent = append(f.Sent, sent("x", time.Minute), sent("x", 2*time.Minute)) }},
		"twice in the plan": {limit: hour, plan: append(leavers(3), leaver("p0", func(c *Candidate) {
			c.Users[0].ID = "other"
		}))},
		"share is the larger":           {limit: Limit{Window: time.Hour, Max: 3, MaxShare: 0.05}, plan: leavers(5), facts: func(f *Facts) { f.ActiveUsers = 100 }},
		"one more than the share":       {limit: Limit{Window: time.Hour, Max: 3, MaxShare: 0.05}, plan: leavers(6), facts: func(f *Facts) { f.ActiveUsers = 100 }, held: 6},
		"a share is rounded down":       {limit: Limit{Window: time.Hour, MaxShare: 0.05}, plan: leavers(6), facts: func(f *Facts) { f.ActiveUsers = 119 }, held: 6},
		"a share that binary rounds":    {limit: Limit{Window: time.Hour, MaxShare: 0.29}, plan: leavers(29), facts: func(f *Facts) { f.ActiveUsers = 100 }},
		"max is the larger":             {limit: Limit{Window: time.Hour, Max: 3, MaxShare: 0.05}, plan: leavers(3), facts: func(f *Facts) { f.ActiveUsers = 20 }},
		"sent in another account":       {limit: hour, plan: leavers(3), facts: func(f *Facts) { f.Sent = []ledger.SentLeaver{{Account: "b", Leaver: "x", At: now}} }},
		"scope all: of another account": {limit: Limit{Window: time.Hour, Max: 3, Scope: "all"}, plan: leavers(3), facts: func(f *Facts) { f.Sent = []ledger.SentLeaver{{Account: "b", Leaver: "x", At: now}} }, held: 3},
		"each source by itself":         {limit: Limit{Window: time.Hour, Max: 3, By: "source"}, plan: append(leavers(3), leaver("q", from("other")))},
		"all sources together":          {limit: hour, plan: append(leavers(3), leaver("q", from("other"))), held: 4},
		"one source passes": {limit: Limit{Window: time.Hour, Max: 3, By: "source"},
			plan: append(leavers(4), leaver("q", from("other"))), held: 5},
		"unresolved up to max":    {limit: hour, plan: leavers(2), facts: func(f *Facts) { f.Unresolved.Others = 1 }},
		"all approved":            {limit: hour, plan: leavers(9, approved(ledger.Limit))},
		"approved for other":      {limit: hour, plan: leavers(9, approved(ledger.FirstRun)), held: 9},
		"new ones beside the old": {limit: hour, plan: append(leavers(3, approved(ledger.Limit)), leaver("q")), held: 1},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, f := open(), facts()
			cfg.Limits = []Limit{tt.limit}
			if tt.facts != nil {
				tt.facts(&f)
			}
			v := cfg.Check(tt.plan, f)
			if got := len(tt.plan) - len(v.Go); got != tt.held {
				t.Fatalf("%d held, want %d", got, tt.held)
			}
			if tt.held > 0 && (len(v.Holds) != 1 || !slices.Equal(v.Holds[0].Kinds, []ledger.Kind{ledger.Limit})) {
				t.Errorf("holds %+v, want one for the limit", v.Holds)
			}
		})
	}
}

func TestFirstRunAndLimitsAreOneHold(t *testing.T) {
	cfg, f := open(), facts()
	cfg.FirstRun, f.RunBefore = Hold, false
	cfg.Limits = []Limit{{Window: time.Hour, Max: 1}, {Window: 24 * time.Hour, Max: 2}}
	v := cfg.Check(leavers(3), f)
	if len(v.Holds) != 1 || !slices.Equal(v.Holds[0].Kinds, []ledger.Kind{ledger.FirstRun, ledger.Limit}) {
		t.Fatalf("holds %+v, want one, each kind once", v.Holds)
	}
	for _, word := range []string{"first plan", "1h0m0s", "24h0m0s"} {
		if !strings.Contains(v.Holds[0].Detail, word) {
			t.Errorf("detail %q, want it to say %q", v.Holds[0].Detail, word)
		}
	}
	if v = cfg.Check(leavers(3, approved(ledger.FirstRun, ledger.Limit)), f); len(v.Go) != 3 {
		t.Errorf("%d go, want all who were approved", len(v.Go))
	}
}

// Who is held for a reason of their own does not count against the limits.
func TestHeldPersonDoesNotFillALimit(t *testing.T) {
	cfg := open()
	cfg.Limits = []Limit{{Window: time.Hour, Max: 2}}
	plan := append(leavers(2), leaver("old", func(c *Candidate) { c.Entry.Stale = true }))
	if got := goes(cfg.Check(plan, facts())); !slices.Equal(got, []string{"p0", "p1"}) {
		t.Errorf("%v go, want the two that the limit allows", got)
	}
}

func TestHeadroom(t *testing.T) {
	for name, tt := range map[string]struct {
		limit Limit
		sent  []ledger.SentLeaver
		want  int
	}{
		"nothing sent":       {Limit{Window: time.Hour, Max: 3}, nil, 3},
		"some sent":          {Limit{Window: time.Hour, Max: 3}, []ledger.SentLeaver{sent("a", 1), sent("b", 1)}, 1},
		"too old":            {Limit{Window: time.Hour, Max: 3}, []ledger.SentLeaver{sent("a", time.Hour)}, 3},
		"more than allowed":  {Limit{Window: time.Hour, Max: 1}, []ledger.SentLeaver{sent("a", 1), sent("b", 1)}, 0},
		"the closest source": {Limit{Window: time.Hour, Max: 3, By: "source"}, []ledger.SentLeaver{sent("a", 1), {Account: account, Leaver: "b", Source: "x", At: now}, sent("c", 1)}, 1},
		"of a share":         {Limit{Window: time.Hour, MaxShare: 0.01}, []ledger.SentLeaver{sent("a", 1)}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			f := facts()
			f.Sent = tt.sent
			if got := tt.limit.headroom(f); got != tt.want {
				t.Errorf("headroom %d, want %d", got, tt.want)
			}
		})
	}
}

func TestUnknowableCountAsIfTheyHadUsers(t *testing.T) {
	cfg, f := open(), facts()
	cfg.Limits, f.Unknowable.Others = []Limit{{Window: time.Hour, Max: 3}}, 2
	if v := cfg.Check(leavers(2), f); len(v.Go) != 0 || len(v.Holds) != 1 {
		t.Errorf("%d go, holds %+v; want all held for the limit", len(v.Go), v.Holds)
	}
}

// Those whose users are not known yet may be none: they keep a plan waiting, but
// are no reason to ask a person.
func TestUnresolvedKeepAPlanWaiting(t *testing.T) {
	cfg, f := open(), facts()
	cfg.Limits, f.Unresolved.Others = []Limit{{Window: time.Hour, Max: 3}}, 2
	plan := append(leavers(2), leavers(1, approved(ledger.Limit))...)
	v := cfg.Check(plan, f)
	if len(v.Holds) != 0 || len(v.Go) != 1 {
		t.Errorf("%d go, holds %+v; want the approved one alone to go and nobody held", len(v.Go), v.Holds)
	}
}
