package ledger

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// history makes a chain of every kind of row.
func history(t *testing.T) *book {
	t.Helper()
	b := newBook(t)
	plan := b.plan("ann", "bob", "eve", "dan")
	b.approve(b.hold(plan[:1], Protected).ID)
	if _, _, err := b.Reject(t.Context(), b.word(b.hold(plan[1:2], Stale).ID, "ana", "no")); err != nil {
		t.Fatal(err)
	}
	batch := b.submit(plan[2])
	b.record(b.left("eve", also("e2@acme.com")))
	b.answer(batch, map[string]Result{"id-eve": {Closed: true}})
	if _, err := b.Settle(t.Context(), []Settlement{{Entry: plan[3].Entry, Outcome: NotFound}}); err != nil {
		t.Fatal(err)
	}
	b.verify()
	return b
}

func TestChangedAuditIsFound(t *testing.T) {
	const swap = `UPDATE audit SET seq = CASE seq WHEN 2 THEN 3 ELSE 2 END + 1000 WHERE seq IN (2, 3);
		UPDATE audit SET seq = seq - 1000 WHERE seq > 1000`
	b := history(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	original, err := os.ReadFile(b.path)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ change, want string }{
		"a row's time":           {`UPDATE audit SET at = at + 1 WHERE seq = 3`, "row 3"},
		"a row's action":         {`UPDATE audit SET action = 'closed' WHERE seq = 3`, "row 3"},
		"a row's entry":          {`UPDATE audit SET entry = 99 WHERE seq = 3`, "row 3"},
		"a row's actor":          {`UPDATE audit SET actor = 'eve' WHERE action = 'hold_approved'`, "(hold_approved) was changed"},
		"a row's facts":          {`UPDATE audit SET facts = '{}' WHERE seq = 3`, "row 3"},
		"a row's salted hashes":  {`UPDATE audit SET personal = '{}' WHERE seq = 3`, "row 3"},
		"a row's hash":           {`UPDATE audit SET hash = 'x' WHERE seq = 3`, "row 3"},
		"text between columns":   {`UPDATE audit SET action = action || 'x', actor = substr(actor, 2) WHERE action = 'hold_approved'`, "(hold_approvedx) was changed"},
		"a row removed":          {`DELETE FROM audit WHERE seq = 3`, "row 3 is missing"},
		"the first row removed":  {`DELETE FROM audit WHERE seq = 1`, "row 1 is missing"},
		"removed, closed up":     {`DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3`, "row 3"},
		"two rows swapped":       {swap, "row 2"},
		"a row inserted":         {`UPDATE audit SET seq = seq + 1001 WHERE seq > 3; UPDATE audit SET seq = seq - 1000 WHERE seq > 1000; INSERT INTO audit SELECT 4, at, action, entry, actor, facts, personal, prev, hash FROM audit WHERE seq = 3`, "row 4"},
		"a row appended":         {`INSERT INTO audit SELECT seq + 1, at, action, entry, actor, facts, personal, hash, hash FROM audit ORDER BY seq DESC LIMIT 1`, "was changed"},
		"the end cut off":        {`DELETE FROM audit WHERE seq >= (SELECT MAX(seq) FROM audit_personal)`, "is missing"},
		"a personal field":       {`UPDATE audit_personal SET value = 'x@acme.com' WHERE seq = 1 AND field = 'email'`, "row 1: personal field email"},
		"a field's salt":         {`UPDATE audit_personal SET salt = 'x' WHERE seq = 1 AND field = 'email'`, "row 1: personal field email"},
		"a letter put in a salt": {`UPDATE audit_personal SET salt = salt || substr(value, 1, 1), value = substr(value, 2) WHERE seq = 1 AND field = 'email'`, "row 1: personal field email"},
		"a field of another row": {`UPDATE audit_personal SET (salt, value) = (SELECT salt, value FROM audit_personal WHERE seq = 2 AND field = 'email') WHERE seq = 1 AND field = 'email'`, "row 1: personal field email"},
		"two fields swapped":     {`UPDATE audit_personal SET field = 'x' WHERE seq = 1 AND field = 'email'; UPDATE audit_personal SET field = 'email' WHERE seq = 1 AND field = 'given_name'; UPDATE audit_personal SET field = 'given_name' WHERE seq = 1 AND field = 'x'`, "row 1: personal field"},
		"a field inserted":       {`INSERT INTO audit_personal VALUES (1, 'nick_name', 's', 'annie')`, "row 1: personal field nick_name"},
		"a field of no row":      {`INSERT INTO audit_personal VALUES (999, 'email', 's', 'ann@acme.com')`, "row 999 is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &book{t: t, path: filepath.Join(t.TempDir(), "ledger.db")}
			if err := os.WriteFile(b.path, original, 0o600); err != nil {
				t.Fatal(err)
			}
			b.raw(tt.change)
			l, err := OpenReadOnly(t.Context(), Config{URL: "sqlite://" + b.path})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			if _, err := l.VerifyAudit(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error that says %q", err, tt.want)
			} else if strings.Contains(err.Error(), "@") {
				t.Errorf("%v: has an email in it", err)
			}
		})
	}
}

func TestErasedPersonalFieldIsNoError(t *testing.T) {
	b := history(t)
	before := b.verify()
	b.raw(`DELETE FROM audit_personal WHERE seq IN (1, 2)`)
	if after := b.verify(); after != before {
		t.Errorf("the chain is %+v, was %+v", after, before)
	}
}

func TestChainGoesOnAfterReopening(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"))
	before := b.verify()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.Ledger = openLedger(t, b.cfg)
	b.record(b.left("bob"))
	if after := b.verify(); after.Rows != before.Rows+1 || after.Head == before.Head || after.At.Before(before.At) {
		t.Errorf("the chain is %+v, was %+v", after, before)
	}
}

func TestEmptyChain(t *testing.T) {
	if a := newBook(t).verify(); a != (Audit{}) {
		t.Errorf("got %+v of a new ledger", a)
	}
}

func TestFactsHoldNothingPersonal(t *testing.T) {
	b := history(t)
	if n := b.text(`SELECT COUNT(*) FROM audit WHERE facts LIKE '%@%' OR personal LIKE '%@%' OR facts LIKE '%"ann"%'`); n != "0" {
		t.Errorf("%s rows with an email or a name in the clear", n)
	}
	if n := b.text(`SELECT COUNT(*) FROM audit_personal WHERE field = 'email' AND value LIKE '%@%'`); n != "5" {
		t.Errorf("%s emails beside the chain, want one for each event", n)
	}
	if n := b.text(`SELECT COUNT(DISTINCT salt) - COUNT(*) FROM audit_personal`); n != "0" {
		t.Error("a salt was used twice")
	}
}
