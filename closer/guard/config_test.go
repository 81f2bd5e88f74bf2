package guard

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := Defaults().Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	limit := func(l Limit) func(*Config) { return func(c *Config) { c.Limits = append(c.Limits[:1:1], l) } }
	for want, change := range map[string]func(*Config){
		"guard.administrators":                     func(c *Config) { c.Administrators = "ask" },
		"guard.ambiguous":                          func(c *Config) { c.Ambiguous = "" },
		"guard.first_run":                          func(c *Config) { c.FirstRun = "HOLD" },
		"guard.min_administrators":                 func(c *Config) { c.MinAdministrators = -1 },
		"guard.protected.emails[1]":                func(c *Config) { c.Protected.Emails = []string{"a@b.c", "b.c"} },
		"guard.protected.domains[0]: not a domain": func(c *Config) { c.Protected.Domains = []string{"ceo@acme.com"} },
		"guard.limits[1].window":                   limit(Limit{Max: 1}),
		"guard.limits[1].max:":                     limit(Limit{Window: time.Hour, Max: -1}),
		"guard.limits[1].max_share":                limit(Limit{Window: time.Hour, MaxShare: 1.5}),
		"guard.limits[1]: neither":                 limit(Limit{Window: time.Hour}),
		"guard.limits[1].scope":                    limit(Limit{Window: time.Hour, Max: 1, Scope: "account"}),
		"guard.limits[1].by":                       limit(Limit{Window: time.Hour, Max: 1, By: "department"}),
	} {
		t.Run(want, func(t *testing.T) {
			c := Defaults()
			change(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want an error that names %s", err, want)
			}
		})
	}
}

func TestShareMustBeANumber(t *testing.T) {
	c := Defaults()
	c.Limits[0].MaxShare = math.NaN()
	if c.Validate() == nil {
		t.Error("a share that is no number was taken")
	}
}

func TestWhatTheGuardMustKnow(t *testing.T) {
	c := Config{Limits: []Limit{{Window: time.Hour, Max: 1}, {Window: 24 * time.Hour, Max: 2}}}
	if c.NeedsActiveUsers() || c.LongestWindow() != 24*time.Hour {
		t.Errorf("needs users: %v, longest window %v", c.NeedsActiveUsers(), c.LongestWindow())
	}
	c.Limits[0].MaxShare = 0.1
	if !c.NeedsActiveUsers() {
		t.Error("a share needs the number of active users")
	}
}
