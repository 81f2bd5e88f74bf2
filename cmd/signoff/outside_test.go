package main

import (
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
	"signoff/consumer"
)

// TestEntriesOutsideTheAccounts are named wherever an operator looks, and wait.
func TestEntriesOutsideTheAccounts(t *testing.T) {
	t.Parallel()
	for name, accounts := range map[string]string{"the config names one": "[" + demoAccount + "]", "the only one is found": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(1)})
			file := s.config(t, map[string]string{"docusign.accounts": accounts})
			cfg, err := loadConfig(file)
			if err != nil {
				t.Fatal(err)
			}
			l, err := ledger.Open(t.Context(), cfg.ledgerConfig(), ledger.Observe{})
			if err != nil {
				t.Fatal(err)
			}
			event := consumer.LeaverEvent("a-file-of-people", email(0), "ana", time.Now().UTC(), true)
			if err := l.Record(t.Context(), consumer.Intake{Source: consumer.CSV, Events: []consumer.Event{event}}); err != nil {
				t.Fatal(err)
			}
			if err := l.BecomeDue(t.Context(), []string{"an-account-that-was", demoAccount}, time.Now()); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}

			r := s.start(t, file)
			r.await(t, ledger.Closed, 1)
			const advice = "account an-account-that-was: 1 open entries wait, since leavers are not closed in it any more: name it in docusign.accounts again, or skip its leavers (signoff skip)"
			shows(t, r.admin()+"/metrics", "signoff_entries_outside_accounts 1\n")
			shows(t, r.admin()+"/readyz?verbose", "docusign: "+advice+"\n")
			if status, out, errOut := signoff("check", "--config", file); status != 0 || !strings.Contains(out, nextLine+advice+"\n") {
				t.Errorf("check: %d %s%s", status, out, errOut)
			}
			if log := r.logs.String(); !strings.Contains(log, `"account":"an-account-that-was","entries":1`) {
				t.Errorf("the log does not name it: %s", log)
			}
			if n := s.docusign.Closes(demoAccount)[userID(0)].Requested; n != 1 {
				t.Errorf("closed %d times, want it in the one account", n)
			}
			r.await(t, ledger.Due, 1)
		})
	}
}
