package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
	"signoff/consumer"
)

// takeBack posts that person i's termination is taken back, by an event of this type.
func (r *running) takeBack(t *testing.T, kind string, i int) {
	t.Helper()
	e, err := newEvent(kind, fmt.Sprintf("%s-%d", kind, i), &person{employee: fmt.Sprintf("E-%05d", i), email: email(i)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if err := postEvent(t.Context(), "http://"+r.webhook.Addr().String()+"/events", webhookToken, text); err != nil {
		t.Fatal(err)
	}
}

func TestRehiredAfterTheCloseIsReopened(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(3)})
	r := s.start(t, s.config(t, nil))
	metric := func(outcome string) string {
		return `signoff_outcomes_total{account="` + demoAccount + `",outcome="` + outcome + `"} `
	}
	shows(t, r.admin()+"/metrics", metric(ledger.OutcomeReopenSent)+"0")
	shows(t, r.admin()+"/metrics", `signoff_holds{reason="reopen"} 0`)
	r.post(t, 0)
	r.post(t, 1)
	r.await(t, ledger.Closed, 2)
	r.takeBack(t, consumer.TypeRehired, 0)
	alice := []string{"--url", r.admin(), "--token-file", filepath.Join(s.dir, "alice")}
	hold, ok := listed(t, alice...)["reopen"]
	if !ok || len(hold.Users) != 1 || hold.Users[0].UserID != userID(0) {
		t.Fatalf("hold %+v, want the reopening of leaver 0", hold)
	}
	shows(t, r.admin()+"/metrics", `signoff_holds{reason="reopen"} 1`)
	id := fmt.Sprint(hold.ID)
	status, out, errOut := signoff(append([]string{"holds", "show", id}, alice...)...)
	for _, part := range []string{"why: rehired after the close", "an activation email", userID(0) + " " + email(0) + ": waits for a person, from "} {
		if status != 0 || !strings.Contains(out, part) {
			t.Errorf("show: %d %s%s, want %q in it", status, out, errOut, part)
		}
	}
	if u, _ := s.docusign.User(demoAccount, userID(0)); u.Status != "Closed" {
		t.Errorf("the user is %s, and nobody has approved", u.Status)
	}
	if status, out, errOut := signoff(append([]string{"holds", "approve", id, "--digest", hold.Digest, "--reason", "checked with HR"}, alice...)...); status != 0 || !strings.Contains(out, "decided: by alice") {
		t.Fatalf("approve: %d %s%s", status, out, errOut)
	}
	eventually(t, "the user is to activate", func() bool {
		u, _ := s.docusign.User(demoAccount, userID(0))
		return u.Status == "ActivationSent"
	})
	shows(t, r.admin()+"/metrics", metric(ledger.OutcomeReopenSent)+"1")
	shows(t, r.admin()+"/metrics", `signoff_docusign_requests_total{code="2xx",operation="reopen_user"} 1`)
	status, out, _ = signoff(append([]string{"holds", "show", id}, alice...)...)
	if status != 0 || !strings.Contains(out, "the person must still click in it") {
		t.Errorf("show: %d %s", status, out)
	}
	noLeak(t, "the log", r.logs.String())
	if _, err := r.ledger.VerifyAudit(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRescindedBeforeTheirDayStayOpen(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(2)})
	r := s.start(t, s.config(t, map[string]string{"guard.protected": "{emails: [" + email(0) + "]}"}))
	r.post(t, 0)
	r.await(t, ledger.Held, 1)
	r.takeBack(t, consumer.TypeRescinded, 0)
	r.await(t, ledger.Cancelled, 1)
	shows(t, r.admin()+"/metrics", `signoff_outcomes_total{account="`+demoAccount+`",outcome="cancelled"} 1`)

	later, err := newEvent(consumer.TypeTerminated, "later", &person{employee: "E-00001", email: email(1), date: time.Now().AddDate(3, 0, 0).Format(time.RFC3339)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(later)
	if err != nil {
		t.Fatal(err)
	}
	if err := postEvent(t.Context(), "http://"+r.webhook.Addr().String()+"/events", webhookToken, text); err != nil {
		t.Fatal(err)
	}
	r.await(t, ledger.Waiting, 1)
	if log := r.logs.String(); !strings.Contains(log, "more than a year from now") {
		t.Errorf("the log does not warn of the date: %s", log)
	}
	r.takeBack(t, consumer.TypeRescinded, 1)
	r.await(t, ledger.Cancelled, 2)
	shows(t, r.admin()+"/metrics", `signoff_outcomes_total{account="none",outcome="cancelled"} 1`)
	shows(t, r.admin()+"/metrics", `signoff_outcomes_total{account="`+demoAccount+`",outcome="cancelled"} 1`)
	if n := s.docusign.Stats().Operations["close_users"]; n != 0 {
		t.Errorf("%d closes", n)
	}
	noLeak(t, "the log", r.logs.String())
}

// TestCloseOfWhoChangedTheEmail closes somebody in a file whom the HR system has
// announced under two emails, the other one first.
func TestCloseOfWhoChangedTheEmail(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(1)})
	file := s.config(t, nil)
	r := s.start(t, file)
	for _, address := range []string{"maiden@example.com", email(0)} {
		e, err := newEvent(consumer.TypeTerminated, address, &person{employee: "E-7", email: address, date: time.Now().AddDate(0, 1, 0).Format(time.RFC3339)})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := postEvent(t.Context(), "http://"+r.webhook.Addr().String()+"/events", webhookToken, text); err != nil {
			t.Fatal(err)
		}
	}
	r.await(t, ledger.Waiting, 1)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(s.dir, "results.csv")
	status, out, errOut := signoff("close", s.people(t, 1), "--config", file, "--results", results, "--yes")
	if got := outcomesIn(t, results); status != 0 || got[email(0)] != "closed" {
		t.Errorf("status %d, results %v\n%s%s", status, got, out, errOut)
	}
}
