package console_test

import (
	"testing"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

func TestOverviewAndListsAgree(t *testing.T) {
	r := open(t, setup{})
	r.hold(t, ledger.Limit, "ann", "ben")
	r.hold(t, ledger.Protected, "eve")
	r.reject(t, "x")
	client, err := console.NewClient(r.url, viewer)
	if err != nil {
		t.Fatal(err)
	}
	for _, rng := range append(console.Ranges(), "") {
		o, err := client.Overview(t.Context(), rng)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range o.States {
			page, err := client.Leavers(t.Context(), console.LeaverFilter{States: []string{s.State}})
			if err != nil || page.Total != s.Entries || len(page.Leavers) != s.Entries {
				t.Errorf("%s: %d in the overview, %d of %d in the list, %v", s.State, s.Entries, len(page.Leavers), page.Total, err)
			}
		}
		t.Logf("%+v", o)
	}
}
