package guard

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
)

// Whatever the plan: everybody is in exactly one place, nobody goes who must
// not without an approval, and no limit is passed by those who were not asked
// about.
func TestCheckOfRandomPlans(t *testing.T) {
	const seed = 20261120
	random := rand.New(rand.NewPCG(seed, 0))
	var went, held int
	for n := range 3000 {
		cfg, plan, f := randomCase(random)
		v := cfg.Check(plan, f)
		seen := make(map[int64]int)
		for _, c := range v.Go {
			seen[c.Entry.ID]++
			if why := forbidden(cfg, c, f); why != "" {
				t.Fatalf("plan %d: entry %d goes: %s", n, c.Entry.ID, why)
			}
		}
		for _, h := range v.Holds {
			if len(h.Kinds) == 0 || len(h.People) == 0 {
				t.Fatalf("plan %d: hold %+v says not why or whom", n, h)
			}
			for _, c := range h.People {
				seen[c.Entry.ID]++
			}
			held += len(h.People)
		}
		for _, c := range plan {
			if seen[c.Entry.ID] != 1 {
				t.Fatalf("plan %d: entry %d is in %d places", n, c.Entry.ID, seen[c.Entry.ID])
			}
		}
		if why := tooMany(cfg, v.Go, f); why != "" {
			t.Fatalf("plan %d: %s", n, why)
		}
		went += len(v.Go)
	}
	if went < 1000 || held < 1000 {
		t.Errorf("%d went, %d were held: the plans try too little", went, held)
	}
}

// forbidden says why the candidate may not go, from what the config says and
// without the guard's own code.
func forbidden(cfg Config, c Candidate, f Facts) string {
	without := func(kind ledger.Kind) bool { return !c.Entry.Approved(kind, c.users()) }
	emails := make(map[string]bool)
	for _, u := range c.Users {
		switch {
		case u.ID == f.Self:
			return "it is the user that we sign in as"
		case slices.Contains(cfg.Protected.UserIDs, u.ID) && without(ledger.Protected):
			return "protected"
		case u.Administrator && cfg.Administrators == Hold && without(ledger.Administrator):
			return "administrator"
		case emails[u.Email] && cfg.Ambiguous == Hold && without(ledger.Ambiguous):
			return "ambiguous"
		case u.CreatedAt.After(c.Entry.EffectiveAt) && without(ledger.NewerUser):
			return "newer user"
		}
		emails[u.Email] = true
	}
	switch {
	case c.Entry.Stale && without(ledger.Stale):
		return "stale"
	case cfg.FirstRun == Hold && (!f.RunBefore || c.Entry.DryRun) && without(ledger.FirstRun):
		return "first run"
	}
	return ""
}

// tooMany says whether the leavers who go pass a limit that some of them were
// not approved for, or leave too few administrators likewise.
func tooMany(cfg Config, all []Candidate, f Facts) string {
	left, asked := len(f.Administrators), true
	for _, c := range all {
		for _, u := range c.Users {
			if slices.Contains(f.Administrators, u.ID) {
				left--
				asked = asked && c.Entry.Approved(ledger.FewAdministrators, c.users())
			}
		}
	}
	if left < cfg.MinAdministrators && !asked {
		return "too few administrators are left"
	}
	for _, l := range cfg.Limits {
		leavers, asked := make(map[string]bool), true
		for _, s := range f.Sent {
			if f.Now.Sub(s.At) < l.Window {
				leavers[s.Leaver] = true
			}
		}
		for _, c := range all {
			if !leavers[c.Entry.Leaver] {
				asked = asked && c.Entry.Approved(ledger.Limit, c.users())
			}
			leavers[c.Entry.Leaver] = true
		}
		if len(leavers) > l.Max && !asked {
			return fmt.Sprintf("%d leavers within %v, allowed are %d", len(leavers), l.Window, l.Max)
		}
	}
	return ""
}

func randomCase(random *rand.Rand) (Config, []Candidate, Facts) {
	chance := func(oneIn int) bool { return random.IntN(oneIn) == 0 }
	answer := func() Answer { return []Answer{Hold, Close}[random.IntN(2)] }
	cfg := Config{
		Administrators: answer(), Ambiguous: answer(), FirstRun: answer(), MinAdministrators: random.IntN(3),
		Limits: []Limit{{Window: time.Hour, Max: 1 + random.IntN(12)}, {Window: 24 * time.Hour, Max: 1 + random.IntN(20)}},
	}
	f := Facts{Now: now, Account: account, Self: "self", RunBefore: !chance(3), Administrators: []string{"keeper"}}
	for i := range random.IntN(4) {
		f.Sent = append(f.Sent, sent(fmt.Sprintf("p%d", i), time.Duration(random.IntN(36))*time.Hour))
	}
	var plan []Candidate
	for i := range random.IntN(12) {
		c := leaver(fmt.Sprintf("p%d", i))
		c.Entry.ID, c.Entry.Stale, c.Entry.DryRun = int64(i+1), chance(8), chance(8)
		u := &c.Users[0]
		if u.Administrator = chance(6); u.Administrator {
			f.Administrators = append(f.Administrators, u.ID)
		}
		if chance(8) {
			u.CreatedAt = now
		}
		if chance(12) {
			u.ID = f.Self
		}
		if chance(8) {
			cfg.Protected.UserIDs = append(cfg.Protected.UserIDs, u.ID)
		}
		if chance(6) {
			approveSome(random, &c) // and after it another user may come
		}
		if chance(8) {
			c.Users = append(c.Users, User{ID: "twin " + u.ID, Email: strings.ToLower(u.Email)})
		}
		if chance(3) {
			approveSome(random, &c)
		}
		plan = append(plan, c)
	}
	return cfg, plan, f
}

func approveSome(random *rand.Rand, c *Candidate) {
	kinds := ledger.Kinds()
	random.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	approved(kinds[:1+random.IntN(len(kinds))]...)(c)
}
