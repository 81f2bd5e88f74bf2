package closer_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
)

const organization = "09900000-0000-4000-8000-000000000009"

// throughOrganization closes by imports that take a while.
func throughOrganization(r *rig, c *docusigntest.Config) {
	r.cfg.Organization, r.docusign.Organization = organization, organization
	for i := range c.Accounts {
		c.Accounts[i].Organization = organization
	}
	c.Organizations = []docusigntest.OrganizationConfig{{ID: organization, ImportTime: 20 * time.Second}}
}

// goOn runs for a while, a run every second.
func (r *rig) goOn(d time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		r.closeDue()
	}
}

// imports asserts how many came in, and that they named each user once.
func (r *rig) imports(want int) {
	r.t.Helper()
	all := r.sim.Imports(organization)
	if len(all) != want {
		r.t.Errorf("%d imports, want %d", len(all), want)
	}
	named := make(map[string]int)
	for _, i := range all {
		for _, row := range i.Rows {
			key := row.AccountID + " " + row.UserID
			if named[key]++; named[key] == 2 {
				r.t.Errorf("%s is in two imports", key)
			}
		}
	}
}

func TestImportClosesInAllAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts, throughOrganization)
		r.leave(nil, 0, 1)
		r.goOn(2 * time.Second)
		r.wantIn(0, map[string]ledger.State{account: ledger.Submitted, second: ledger.Submitted, third: ledger.Submitted})
		r.goOn(time.Minute)
		r.wantIn(0, map[string]ledger.State{account: ledger.Closed, second: ledger.Closed, third: ledger.Closed})
		r.wantIn(1, map[string]ledger.State{account: ledger.Closed, second: ledger.NotFound, third: ledger.NotFound})
		r.imports(1)
		if n := r.calls("close_users"); n != 0 {
			t.Errorf("%d closes in the accounts", n)
		}
	})
}

func TestImportGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts, throughOrganization)
		r.leave(nil, 0)
		r.goOn(2 * time.Second)
		r.restart()
		r.goOn(time.Minute)
		r.wantIn(0, map[string]ledger.State{account: ledger.Closed, second: ledger.Closed, third: ledger.Closed})
		r.imports(1)
	})
}

// What a person decides while it is asked whether another import runs counts for the
// import that would follow.
func TestImportIsJudgedByWhatIsNow(t *testing.T) {
	for name, decide := range map[string]func(*rig){
		"a freeze": func(r *rig) {
			if _, err := r.ledger.Freeze(r.t.Context(), ledger.Freeze{Until: time.Now().Add(time.Hour), Reason: "wrong file", By: "ana"}); err != nil {
				r.t.Error(err)
			}
		},
		"another guard": func(r *rig) {
			g := r.guard
			g.Protected.Emails = []string{email(0), email(1)}
			if err := r.closer.Reconfigure(r.t.Context(), r.cfg, g); err != nil {
				r.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, throughOrganization)
				decided := false
				r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
					resp, err := next.RoundTrip(req)
					if strings.HasSuffix(req.URL.Path, "/imports/bulk_users") && req.Method == http.MethodGet && !decided {
						decided = true
						decide(r)
					}
					return resp, err
				})
				r.leave(nil, 0, 1)
				r.goOn(time.Minute)
				r.imports(0)
				r.is(ledger.Held, 0, 1)
			})
		})
	}
}

// TestImportWhoseAnswerIsLost is found again by its time and its size, or its
// users are looked up.
func TestImportWhoseAnswerIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		faults  docusigntest.Faults
		imports int
	}{
		"it came in":     {docusigntest.Faults{CutAfter: 1, Times: 1, Operations: []string{"import_users"}}, 1},
		"it never did":   {docusigntest.Faults{CutBefore: 1, Times: 1, Operations: []string{"import_users"}}, 1},
		"a proxy's page": {docusigntest.Faults{HTML: 1, Times: 1, Operations: []string{"import_users"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, threeAccounts, throughOrganization)
				r.sim.SetFaults(c.faults)
				r.leave(nil, 0)
				r.goOn(2 * time.Second)
				r.wantIn(0, map[string]ledger.State{account: ledger.Submitted, second: ledger.Submitted, third: ledger.Submitted})
				r.restart()
				r.goOn(5 * time.Minute)
				r.wantIn(0, map[string]ledger.State{account: ledger.Closed, second: ledger.Closed, third: ledger.Closed})
				r.imports(c.imports)
			})
		})
	}
}

func TestImportOfSomebodyElseIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, threeAccounts, throughOrganization)
		r.leave(nil, 1)
		running := true
		r.through(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
			if running && req.Method == http.MethodGet && strings.HasSuffix(req.URL.Path, "/imports/bulk_users") {
				return says(req, 200, `{"imports":[{"id":"x","type":"bulk_user_add","status":"in_process","user_count":5,"created":"`+
					time.Now().UTC().Format(time.RFC3339)+`"}]}`), nil
			}
			return next.RoundTrip(req)
		})
		r.goOn(3 * time.Minute)
		r.imports(0)
		if state := r.in(1)[account]; state != ledger.Due {
			t.Errorf("leaver 1 is %s, want due", state)
		}
		running = false
		r.goOn(3 * time.Minute)
		r.imports(1)
	})
}

func TestImportAndSigningGroups(t *testing.T) {
	for name, c := range map[string]struct {
		quirk string
		kept  bool
	}{"left by a call of its own": {"", false}, "that is refused": {"SOME_CODE", true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, threeAccounts, throughOrganization, func(r *rig, conf *docusigntest.Config) {
					r.cfg.SigningGroups, conf.Quirks.RemoveFrom = true, c.quirk
				})
				u, _ := r.sim.User(account, userID(1))
				u.SigningGroups = []string{"Board"}
				r.sim.SetUser(account, u)
				r.leave(nil, 1)
				r.goOn(5 * time.Second)
				r.restart() // whoever goes on with it must open the account anew
				r.goOn(time.Minute)
				u, _ = r.sim.User(account, userID(1))
				if r.in(1)[account] != ledger.Closed || u.Status != "Closed" || (len(u.SigningGroups) > 0) != c.kept {
					t.Errorf("%v, user %+v: want closed, in signing groups %v", r.in(1), u, c.kept)
				}
			})
		})
	}
}
