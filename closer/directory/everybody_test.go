package directory_test

import (
	"errors"
	"slices"
	"testing"

	"signoff/closer/directory"
	"signoff/closer/docusign/docusigntest"
)

func TestEverybody(t *testing.T) {
	accounts := account(docusigntest.User{ID: "ana", Email: "ana@example.com"}, docusigntest.User{ID: "shut", Email: "shut@example.com", Status: "Closed"},
		docusigntest.User{ID: "sent", Email: "sent@example.com", Status: "ActivationSent"})
	accounts[0].Generate = 300
	a, sim := open(t, docusigntest.Config{Accounts: accounts})
	ask := directory.Ask{Account: a, Addresses: []string{"ana@example.com", "nobody@example.com"}, Everybody: true, OpenOnly: true, Room: 3}
	r, err := directory.New().Resolve(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, u := range r.Everybody {
		ids = append(ids, u.ID)
	}
	if len(ids) != 302 || !slices.Contains(ids, "sent") || slices.Contains(ids, "shut") {
		t.Errorf("%d users, want 302 with sent and without shut", len(ids))
	}
	if got := r.Users["ana@example.com"]; len(got) != 1 || got[0].ID != "ana" {
		t.Errorf("ana is %v", got)
	}
	if got := sim.Stats().Operations["list_users"]; got != 4 {
		t.Errorf("%d calls, want one for each page", got)
	}

	ask.Room = 2
	if _, err := directory.New().Resolve(t.Context(), ask); !errors.Is(err, directory.ErrRoom) {
		t.Errorf("without room: %v", err)
	}
	sim.SetRefuse(docusigntest.DefaultAccountID, "SOME_ODD_CODE")
	if r, err := directory.New().Resolve(t.Context(), ask); err == nil {
		t.Errorf("no list is no error: %+v", r)
	}
}
