package directory_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"signoff/closer/directory"
	"signoff/closer/docusign"
	"signoff/closer/docusign/docusigntest"
)

// open opens the only account of a simulated Docusign.
func open(t *testing.T, cfg docusigntest.Config) (*docusign.Account, *docusigntest.Server) {
	t.Helper()
	sim, err := docusigntest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := docusign.New(docusign.Config{AuthServer: "https://docusign.test", IntegrationKey: "key",
		UserID: "00000000-0000-4000-8000-00000000000a", PrivateKeyFile: file}, sim.Transport(), docusign.Observe{})
	if err != nil {
		t.Fatal(err)
	}
	return client.Account(docusign.AccountInfo{ID: docusigntest.DefaultAccountID, BaseURI: "https://docusign.test"}), sim
}

func account(users ...docusigntest.User) []docusigntest.AccountConfig {
	return []docusigntest.AccountConfig{{ID: docusigntest.DefaultAccountID, Users: users}}
}

func TestOnlyEqualAddressesAreTheLeavers(t *testing.T) {
	a, _ := open(t, docusigntest.Config{Quirks: docusigntest.Quirks{InexactEmail: true}, Accounts: account(
		docusigntest.User{ID: "same", Email: "Ana.Paz@Example.com"},
		docusigntest.User{ID: "twin", Email: "ana.paz@example.com", Name: "twin"},
		docusigntest.User{ID: "shut", Email: "ana.paz@example.com", Name: "old", Status: "Closed"},
		docusigntest.User{ID: "longer", Email: "xana.paz@example.com"},
		docusigntest.User{ID: "tagged", Email: "ana.paz+legal@example.com"},
	)})
	r, err := directory.New().Resolve(t.Context(), directory.Ask{Account: a, Addresses: []string{"ana.paz@example.com", "nobody@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, u := range r.Users["ana.paz@example.com"] {
		ids = append(ids, u.ID)
	}
	slices.Sort(ids)
	if want := []string{"same", "shut", "twin"}; !slices.Equal(ids, want) {
		t.Errorf("found %v, want %v", ids, want)
	}
	if users, ok := r.Users["nobody@example.com"]; !ok || len(users) != 0 {
		t.Errorf("nobody: %v, %v, want an empty entry", users, ok)
	}
}

// refuser fails for some addresses, as told.
type refuser map[string]error

func (r refuser) UsersByEmail(_ context.Context, email string) ([]docusign.User, error) {
	return []docusign.User{{ID: "u-" + email, Email: email}}, r[email]
}

// UsersPage has too much in it for a snapshot to be worth while.
func (r refuser) UsersPage(context.Context, int, ...docusign.Status) (docusign.Page, error) {
	return docusign.Page{Users: make([]docusign.User, 100), Total: 100_000}, nil
}

func TestOneAddressIsNoReasonToStop(t *testing.T) {
	a, sim := open(t, docusigntest.Config{Accounts: account(docusigntest.User{ID: "u", Email: "ana@example.com"})})
	sim.SetRefuse(docusigntest.DefaultAccountID, "SOME_ODD_CODE")
	_, permanent := a.UsersByEmail(t.Context(), "ana@example.com")
	if docusign.ClassOf(permanent) != docusign.Permanent {
		t.Fatalf("%v is %s, want permanent", permanent, docusign.ClassOf(permanent))
	}
	r, err := directory.New().Resolve(t.Context(), directory.Ask{Account: refuser{"b": permanent}, Addresses: []string{"a", "b", "c"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Users) != 2 || r.Errs["b"] == nil || len(r.Errs) != 1 {
		t.Errorf("got %+v, want a and c found and b refused", r)
	}
}

func TestStopsWhereItIsNotAboutTheAddress(t *testing.T) {
	for name, breakIt := range map[string]func(*docusigntest.Server){
		"no quota":      func(s *docusigntest.Server) { s.ExhaustHour(docusigntest.DefaultAccountID) },
		"no permission": func(s *docusigntest.Server) { s.SetRefuse(docusigntest.DefaultAccountID, "USER_LACKS_PERMISSIONS") },
		"no Docusign":   func(s *docusigntest.Server) { s.SetDown(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, sim := open(t, docusigntest.Config{})
				var all []string
				for i := range 200 {
					all = append(all, fmt.Sprintf("leaver%d@example.com", i))
				}
				if _, err := directory.New().Resolve(t.Context(), directory.Ask{Account: a, Addresses: all[:1]}); err != nil {
					t.Fatal(err)
				}
				breakIt(sim)
				r, err := directory.New().Resolve(t.Context(), directory.Ask{Account: a, Addresses: all})
				if err == nil {
					t.Error("no error")
				}
				if asked := sim.Stats().Operations["list_users"]; asked > 30 {
					t.Errorf("asked %d times all the same", asked)
				}
				if len(r.Users) > 0 {
					t.Errorf("%d addresses settled by an answer that was none", len(r.Users))
				}
			})
		})
	}
}
