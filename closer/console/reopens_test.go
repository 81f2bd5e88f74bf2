package console_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
)

// reopening makes a hold that proposes to open a user again whom signoff closed.
func (r *room) reopening(t *testing.T) int64 {
	t.Helper()
	ctx := t.Context()
	now := time.Now().UTC()
	event := consumer.Event{Key: consumer.Key{Origin: "/events", Source: "hr", ID: "1"}, Kind: consumer.Terminated, Hash: "1",
		Email: "ann@example.com", OccurredAt: now.Add(-time.Minute), ReceivedAt: now, EffectiveAt: now}
	back := event
	back.Key.ID, back.Kind, back.Hash, back.OccurredAt = "2", consumer.Rescinded, "2", now
	r.record(t, event)
	if err := r.ledger.BecomeDue(ctx, []string{account}, now); err != nil {
		t.Fatal(err)
	}
	due, err := r.ledger.Due(ctx, account, now, false)
	if err != nil || len(due) != 1 {
		t.Fatalf("due %v, %v", due, err)
	}
	plan := []ledger.Resolved{{Entry: due[0], Users: []ledger.User{{ID: "id-of-ann", Email: "ann@example.com"}}}}
	batch, err := r.ledger.Submit(ctx, account, plan, time.Now(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ledger.SettleBatch(ctx, batch.ID, map[string]ledger.Result{"id-of-ann": {Closed: true}}, "", true, ledger.Retry{}); err != nil {
		t.Fatal(err)
	}
	r.record(t, back)
	holds, err := r.ledger.OpenHolds(ctx)
	if err != nil || len(holds) != 1 {
		t.Fatalf("holds %v, %v", holds, err)
	}
	return holds[0].ID
}

func (r *room) record(t *testing.T, e consumer.Event) {
	t.Helper()
	if err := r.ledger.Record(t.Context(), consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{e}}); err != nil {
		t.Fatal(err)
	}
}

func TestReopeningsAreShown(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(*ledger.Ledger) error // with the only reopening, after the approval; nil: not even that
		state string
		what  string
	}{
		"proposed":  {nil, "proposed", "waits for a person, from "},
		"approved":  {func(*ledger.Ledger) error { return nil }, "approved", "approved, done at the next run from "},
		"submitted": {func(*ledger.Ledger) error { return nil }, "submitted", "whose answer is not known yet"},
		"sent": {func(l *ledger.Ledger) error { return l.SettleReopen(t.Context(), 1, ledger.ReopenSent, "", "trace-1") },
			"sent", "the person must still click in it"},
		"failed": {func(l *ledger.Ledger) error {
			return l.SettleReopen(t.Context(), 1, ledger.ReopenFailed, "SOME_CODE", "trace-1")
		},
			"failed", "Docusign does not do it (SOME_CODE): open the user on Docusign's own pages"},
		"dropped": {func(l *ledger.Ledger) error {
			return l.SettleReopen(t.Context(), 1, ledger.ReopenDropped, "address_in_use", "")
		}, "dropped", "not done: an open user of the account has an address of theirs"},
		"withdrawn": {func(l *ledger.Ledger) error { return l.WithdrawReopen(t.Context(), 1, "network") }, "approved", "tried again after: network"},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, setup{})
			id := r.reopening(t)
			client, err := console.NewClient(r.url, operator)
			if err != nil {
				t.Fatal(err)
			}
			if c.do != nil {
				h, err := client.Approve(t.Context(), id, r.verdict(t, id, ""))
				if err != nil || len(h.Reopens) != 1 || h.Reopens[0].State != "approved" || h.Decided.By != "alice" {
					t.Fatalf("approved: %+v, %v", h, err)
				}
				if c.state != "approved" || name == "withdrawn" {
					if taken, err := r.ledger.SubmitReopen(t.Context(), 1); err != nil || !taken {
						t.Fatal(taken, err)
					}
				}
				if err := c.do(r.ledger); err != nil {
					t.Fatal(err)
				}
			}
			h, err := client.Hold(t.Context(), id)
			if err != nil || h.Kinds[0] != "reopen" || !strings.Contains(h.Note, "activation email") || len(h.Reopens) != 1 {
				t.Fatalf("%+v, %v", h, err)
			}
			got := h.Reopens[0]
			if got.UserID != "id-of-ann" || got.Email != "ann@example.com" || got.State != c.state || !strings.Contains(got.What, c.what) || got.From.IsZero() {
				t.Errorf("%+v, want it %s: %s", got, c.state, c.what)
			}
		})
	}
}

func TestRejectedReopening(t *testing.T) {
	r := open(t, setup{})
	id := r.reopening(t)
	client, err := console.NewClient(r.url, operator)
	if err != nil {
		t.Fatal(err)
	}
	h, err := client.Reject(t.Context(), id, r.verdict(t, id, "has really left"))
	if err != nil || len(h.Reopens) != 1 || h.Reopens[0].State != "dropped" || h.Reopens[0].What != "not done: has really left" {
		t.Errorf("%+v, %v", h, err)
	}
	if n := r.skipped.Load(); n != 0 {
		t.Errorf("%d skipped were counted: who stays closed is none", n)
	}
}

func TestReopeningsNameNobodyToStrangers(t *testing.T) {
	r := open(t, setup{noTokens: true})
	id := r.reopening(t)
	if a := r.ask(t, "GET", "/api/v1/holds", "", ""); !strings.Contains(a.body, "waits for a person") || strings.Contains(a.body, "ann") {
		t.Errorf("%s", a.body)
	}
	said := r.verdict(t, id, "ann@example.com has really left")
	if _, _, err := r.ledger.Reject(t.Context(), ledger.Decision{Hold: id, Digest: said.Digest, By: ledger.Person{Name: "alice"}, Reason: said.Reason}); err != nil {
		t.Fatal(err)
	}
	a := r.ask(t, "GET", fmt.Sprint("/api/v1/holds/", id), "", "")
	if !strings.Contains(a.body, "not done") || strings.Contains(a.body, "ann") {
		t.Errorf("a person's reason is shown to strangers: %s", a.body)
	}
}
