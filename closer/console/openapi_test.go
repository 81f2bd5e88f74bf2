package console

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"signoff/closer/ledger"
	"signoff/consumer"
)

// operation is what the description has of one.
type operation struct {
	Security   *[]map[string][]role
	Parameters []struct {
		Name, In string
	}
}

func described(t *testing.T) map[string]operation {
	t.Helper()
	var d struct {
		Paths map[string]map[string]yaml.Node
	}
	if err := yaml.Unmarshal(description, &d); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]operation)
	for path, item := range d.Paths {
		for method, node := range item {
			if method == "parameters" {
				continue
			}
			var o operation
			if err := node.Decode(&o); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			all[strings.ToUpper(method)+" "+path] = o
		}
	}
	return all
}

func TestEveryRouteIsDescribedWithItsRole(t *testing.T) {
	all := described(t)
	for _, r := range (&Server{}).routes() {
		name := r.method + " " + r.path
		o, ok := all[name]
		delete(all, name)
		switch {
		case !ok:
			t.Errorf("%s: is not in openapi.yaml", name)
		case o.Security == nil:
			t.Errorf("%s: openapi.yaml does not say who may", name)
		case !slices.EqualFunc(*o.Security, asSaid[r.role], sameNeed):
			t.Errorf("%s: by openapi.yaml for %v, but the route is for %q", name, *o.Security, r.role)
		}
	}
	for name := range all {
		t.Errorf("%s: openapi.yaml has it, and there is no such route", name)
	}
}

// asSaid is how the description says a role. What viewers see is shown to everybody,
// without names, where there are no tokens.
var asSaid = map[role][]map[string][]role{
	anybody:  {},
	viewer:   {{"bearer": {viewer}}, {"basic": {viewer}}, {}},
	scraper:  {{}, {"bearer": {viewer}}, {"basic": {viewer}}},
	operator: {{"bearer": {operator}}},
}

func sameNeed(a, b map[string][]role) bool { return maps.EqualFunc(a, b, slices.Equal[[]role]) }

// Paths and queries end up in logs.
func TestNoEmailGoesIntoAPathOrAQuery(t *testing.T) {
	for name, o := range described(t) {
		for _, p := range o.Parameters {
			if strings.Contains(strings.ToLower(name+p.Name), "email") {
				t.Errorf("%s: %s in %s", name, p.Name, p.In)
			}
		}
	}
}

func TestTheWordsAreThoseOfTheLedger(t *testing.T) {
	var d struct {
		Components struct {
			Schemas map[string]struct{ Enum []string }
		}
	}
	if err := yaml.Unmarshal(description, &d); err != nil {
		t.Fatal(err)
	}
	for schema, want := range map[string][]string{
		"HoldKind":     words(ledger.Kinds()),
		"EntryState":   words(ledger.States()),
		"RejectState":  words(ledger.RejectStates()),
		"RejectReason": words(consumer.Reasons()),
	} {
		got := d.Components.Schemas[schema].Enum
		slices.Sort(got)
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%s: openapi.yaml has %v, the ledger %v", schema, got, want)
		}
	}
}

func words[T ~string](all []T) []string {
	var texts []string
	for _, word := range all {
		texts = append(texts, string(word))
	}
	return texts
}
