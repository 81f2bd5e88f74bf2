package guard

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"
)

// Config is the section `guard` of the config file.
type Config struct {
	Protected         People  `yaml:"protected"`
	Administrators    Answer  `yaml:"administrators"`
	MinAdministrators int     `yaml:"min_administrators"` // active ones that must be left
	Ambiguous         Answer  `yaml:"ambiguous"`          // an email that several open users have
	FirstRun          Answer  `yaml:"first_run"`          // the first plan ever of an account
	Limits            []Limit `yaml:"limits"`
	UrgentLimits      []Limit `yaml:"urgent_limits"` // urgent leavers count in both; only these hold them

	Approvals       int           `yaml:"approvals"`        // people who must approve a hold
	ApprovalsExpire time.Duration `yaml:"approvals_expire"` // how long an approval is good
}

// Judging is the config without what concerns only the approving of what was judged.
func (c Config) Judging() Config {
	c.Approvals, c.ApprovalsExpire = 0, 0
	return c
}

// People are named by address, by the domain of their address, or by userId. In
// the first two * stands for any text and ? for any character. Case does not
// matter.
type People struct {
	Emails  []string `yaml:"emails"`
	Domains []string `yaml:"domains"`
	UserIDs []string `yaml:"user_ids"`
}

// Answer is what is done where a person would rather be asked.
type Answer string

// The answers.
const (
	Hold  Answer = "hold"
	Close Answer = "close"
)

// Limit bounds how many distinct leavers are closed within a sliding window.
// Where both Max and MaxShare are set, the larger of the two counts.
type Limit struct {
	Window   time.Duration `yaml:"window"`
	Max      int           `yaml:"max"`
	MaxShare float64       `yaml:"max_share"` // of the account's active users, 0..1
	Scope    string        `yaml:"scope"`     // "": each account by itself; all: all accounts together
	By       string        `yaml:"by"`        // "": all sources together; source: each by itself
}

// Defaults is the guard of a config that says nothing of it.
func Defaults() Config {
	return Config{
		Administrators:    Hold,
		MinAdministrators: 2,
		Ambiguous:         Hold,
		FirstRun:          Hold,
		Limits: []Limit{
			{Window: time.Hour, Max: 25},
			{Window: 24 * time.Hour, Max: 10, MaxShare: 0.05},
		},
		UrgentLimits: []Limit{{Window: time.Hour, Max: 10}},
		Approvals:    1, ApprovalsExpire: 24 * time.Hour,
	}
}

// Validate returns an error that names the first key with a value that cannot
// be meant.
func (c Config) Validate() error {
	for _, a := range []struct {
		key   string
		value Answer
	}{{"administrators", c.Administrators}, {"ambiguous", c.Ambiguous}, {"first_run", c.FirstRun}} {
		if a.value != Hold && a.value != Close {
			return fmt.Errorf("guard.%s: %q: neither hold nor close", a.key, a.value)
		}
	}
	if err := c.Protected.validate(); err != nil {
		return err
	}
	if c.MinAdministrators < 0 {
		return fmt.Errorf("guard.min_administrators: %d: negative", c.MinAdministrators)
	}
	if c.Approvals < 1 {
		return fmt.Errorf("guard.approvals: %d: at least 1", c.Approvals)
	}
	if c.ApprovalsExpire <= 0 {
		return fmt.Errorf("guard.approvals_expire: %v: not a length of time", c.ApprovalsExpire)
	}
	for key, limits := range map[string][]Limit{"limits": c.Limits, "urgent_limits": c.UrgentLimits} {
		for i, l := range limits {
			if err := l.validate(fmt.Sprintf("guard.%s[%d]", key, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// validate refuses names that would silently protect nobody.
func (p People) validate() error {
	for i, email := range p.Emails {
		if local, domain, ok := strings.Cut(email, "@"); !ok || local == "" || domain == "" {
			return fmt.Errorf("guard.protected.emails[%d]: not an address, nor a pattern of addresses such as board-*@example.com", i)
		}
	}
	for i, domain := range p.Domains {
		if domain == "" || strings.Contains(domain, "@") {
			return fmt.Errorf("guard.protected.domains[%d]: not a domain, which has no @", i) // not quoted: it may be an address
		}
	}
	return nil
}

func (l Limit) validate(key string) error {
	switch {
	case l.Window <= 0:
		return fmt.Errorf("%s.window: %v: not a length of time", key, l.Window)
	case l.Max < 0:
		return fmt.Errorf("%s.max: %d: negative", key, l.Max)
	case l.MaxShare < 0 || l.MaxShare > 1 || math.IsNaN(l.MaxShare):
		return fmt.Errorf("%s.max_share: %v: not in 0..1", key, l.MaxShare)
	case l.Max == 0 && l.MaxShare == 0:
		return fmt.Errorf("%s: neither max nor max_share", key)
	case l.Scope != "" && l.Scope != "all":
		return fmt.Errorf("%s.scope: %q: only all, or left out", key, l.Scope)
	case l.By != "" && l.By != "source":
		return fmt.Errorf("%s.by: %q: only source, or left out", key, l.By)
	}
	return nil
}

// NeedsActiveUsers says whether a limit is a share of the account's users.
func (c Config) NeedsActiveUsers() bool {
	return slices.ContainsFunc(c.allLimits(), func(l Limit) bool { return l.MaxShare > 0 })
}

func (c Config) allLimits() []Limit { return slices.Concat(c.Limits, c.UrgentLimits) }

// LongestWindow is how far back the guard must know what was sent.
func (c Config) LongestWindow() time.Duration {
	var longest time.Duration
	for _, l := range c.allLimits() {
		longest = max(longest, l.Window)
	}
	return longest
}

func (p People) email(email string) bool {
	if slices.ContainsFunc(p.Emails, func(named string) bool { return matches(named, email) }) {
		return true
	}
	_, domain, _ := strings.Cut(email, "@")
	return slices.ContainsFunc(p.Domains, func(named string) bool { return matches(named, domain) })
}

// matches says whether a text is what a pattern says. A slash, which may stand in an
// address, is no boundary.
func matches(pattern, text string) bool {
	plain := strings.NewReplacer("/", "\x00", "[", "\\[", "\\", "\\\\")
	ok, err := path.Match(plain.Replace(strings.ToLower(pattern)), strings.ReplaceAll(strings.ToLower(text), "/", "\x00"))
	return ok && err == nil
}

func (p People) user(u User) bool {
	return p.email(u.Email) || slices.ContainsFunc(p.UserIDs, func(named string) bool { return strings.EqualFold(named, u.ID) })
}
