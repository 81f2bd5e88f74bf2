package docusigntest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Churn is what others do to an account while somebody pages through its users:
// users come and go, so that pages shift and totalSetSize changes underway. With
// the same Seed and the same calls, a run repeats.
type Churn struct {
	Every int   `yaml:"every"` // it happens after so many pages of an account's list by status alone; 0: never
	Times int   `yaml:"times"` // so often in each account and no more; 0: no end
	Seed  int64 `yaml:"seed"`  // of `any`

	// Where in the list: front, middle, end, or any for a place by chance; "": nowhere.
	Add    string   `yaml:"add"`    // a user comes
	Close  string   `yaml:"close"`  // somebody else closes an open user who is no administrator
	Emails []string `yaml:"emails"` // of those who come, in turn; then made up
}

var places = []string{"", "front", "middle", "end", "any"}

func (c Churn) validate() error {
	for key, n := range map[string]int{"every": c.Every, "times": c.Times} {
		if n < 0 {
			return fmt.Errorf("churn.%s: %d: below 0", key, n)
		}
	}
	for key, place := range map[string]string{"add": c.Add, "close": c.Close} {
		if !slices.Contains(places, place) {
			return fmt.Errorf("churn.%s: %q: not one of %q", key, place, places)
		}
	}
	return nil
}

// churner does to one account what a Churn says.
type churner struct {
	Churn
	rand  *rand.Rand
	pages int // of lists, so far
	times int // that it happened
}

func newChurner(c Churn) churner {
	return churner{Churn: c, rand: rand.New(rand.NewPCG(uint64(c.Seed), 0))}
}

// turnPage notes that a page was read, and lets happen what is due after it.
func (a *account) turnPage() {
	c := &a.churn
	c.pages++
	if c.Every == 0 || c.pages%c.Every != 0 || c.Times > 0 && c.times >= c.Times {
		return
	}
	c.times++
	if c.Add != "" {
		email := fmt.Sprintf("churn%06d@%s", c.times, a.cfg.Domain)
		if c.times <= len(c.Emails) {
			email = c.Emails[c.times-1]
		}
		now := a.clock()
		name, _, _ := strings.Cut(email, "@")
		_, err := a.insert(User{Email: email, Name: name, Created: now, Added: now}, c.place(c.Add, len(a.users)))
		if err != nil {
			panic("docusigntest: churn: " + err.Error()) // a made-up id is never given twice
		}
	}
	open := keep(a.users, func(u *User) bool { return u.Status != "Closed" && !u.Administrator })
	if c.Close != "" && len(open) > 0 {
		a.shut(open[c.place(c.Close, len(open)-1)])
	}
}

// place returns an index in 0..last.
func (c *churner) place(where string, last int) int {
	switch where {
	case "front":
		return 0
	case "middle":
		return (last + 1) / 2
	case "any":
		return c.rand.IntN(last + 1)
	}
	return last
}
