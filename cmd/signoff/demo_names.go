package main

import (
	"fmt"
	"strings"
)

// job is where somebody works.
type job struct{ department, entity string }

// Names and jobs are dealt in turn. No two of the lengths have a factor in common, so
// that it is long before two people share a name; their emails differ by a number.
var (
	givenNames = []string{"Ana", "Bruno", "Chiara", "Daniel", "Elif", "Fatima", "Georg", "Hana", "Inês", "Jonas", "Klara", "Luís", "Mei", "Nikolai",
		"Olivia", "Priya", "Rafael", "Sofia", "Tomás", "Ursula", "Víctor", "Wanjiru", "Zoë"}
	familyNames = []string{"Almeida", "Becker", "Costa", "Dubois", "Eriksson", "Ferreira", "García", "Hoffmann", "Ito", "Jansen", "Kowalski", "Lopes",
		"Müller", "Nair", "Okafor", "Pereira", "Rossi", "Silva", "Tanaka", "Weber", "Yilmaz"}
	jobs = []job{
		{"Sales", "Example Portugal, Lda."}, {"Legal", "Example Deutschland GmbH"}, {"Engineering", "Example Portugal, Lda."},
		{"Finance", "Example Deutschland GmbH"}, {"Procurement", "Example Portugal, Lda."}, {"Support", "Example Deutschland GmbH"},
		{"People", "Example Portugal, Lda."}, {"Engineering", "Example Deutschland GmbH"},
	}
	inAddresses = strings.NewReplacer("ê", "e", "ë", "e", "í", "i", "á", "a", "ü", "ue")
)

// newPerson is always the same one for a number.
func newPerson(i int) *person {
	p := &person{
		employee: fmt.Sprintf("E%05d", 10_000+i),
		given:    givenNames[i%len(givenNames)],
		family:   familyNames[i%len(familyNames)],
		job:      jobs[i%len(jobs)],
		user:     fmt.Sprintf("%08d-0000-4000-8000-%012d", i, i),
	}
	p.email = inAddresses.Replace(strings.ToLower(fmt.Sprintf("%s.%s.%d@example.com", p.given, p.family, i)))
	return p
}
