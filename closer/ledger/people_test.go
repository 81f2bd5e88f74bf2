package ledger_test

import (
	"testing"

	"signoff/closer/ledger"
)

func TestPersonGoesByNameOrEmail(t *testing.T) {
	for name, c := range map[string]struct {
		person  ledger.Person
		address string
		want    bool
	}{
		"by the email":                {ledger.Person{Name: "alice", Email: "alice@example.com"}, "alice@example.com", true},
		"by the email, in other case": {ledger.Person{Name: "alice", Email: "Alice@Example.com"}, "aLICE@example.com", true},
		"by a name that is one":       {ledger.Person{Name: "Alice@example.com"}, "alice@example.com", true},
		"somebody else":               {ledger.Person{Name: "alice", Email: "alice@example.com"}, "bob@example.com", false},
		"the name alone":              {ledger.Person{Name: "alice"}, "alice@example.com", false},
		"no address":                  {ledger.Person{Name: "alice"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.person.Is(c.address); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
