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
		"a row's time":            {`UPDATE audit SET at = at + 1 WHERE seq = 3`, "row 3"},
		"a row's action":          {`UPDATE audit SET action = 'closed' WHERE seq = 3`, "row 3"},
		"a row's entry":           {`UPDATE audit SET entry = 99 WHERE seq = 3`, "row 3"},
		"a row's actor":           {`UPDATE audit SET actor = 'eve' WHERE action = 'hold_approved'`, "(hold_approved) was changed"},
		"a row's facts":           {`UPDATE audit SET facts = '{}' WHERE seq = 3`, "row 3"},
		"a row's salted hashes":   {`UPDATE audit SET personal = '{}' WHERE seq = 3`, "row 3"},
		"a row's hash":            {`UPDATE audit SET hash = 'x' WHERE seq = 3`, "row 3"},
		"text between columns":    {`UPDATE audit SET action = action || 'x', actor = substr(actor, 2) WHERE action = 'hold_approved'`, "(hold_approvedx) was changed"},
		"a row removed":           {`DELETE FROM audit WHERE seq = 3`, "row 3 is missing"},
		"the first row removed":   {`DELETE FROM audit WHERE seq = 1`, "row 1 is missing"},
		"removed, closed up":      {`DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3`, "row 3"},
		"a row and its fields":    {`DELETE FROM audit_personal WHERE seq = 2; DELETE FROM audit WHERE seq = 2`, "row 2 is missing"},
		"several rows removed":    {`DELETE FROM audit_personal WHERE seq IN (2, 3); DELETE FROM audit WHERE seq IN (2, 3)`, "rows 2 to 3 are missing"},
		"two rows swapped":        {swap, "row 2"},
		"an outcome by hand":      {`UPDATE entries SET state = 'closed' WHERE id = 1`, "entry 1 is closed, and the audit has no such outcome"},
		"another outcome":         {`UPDATE entries SET state = 'closed' WHERE id = 4`, "entry 4 is closed, and by the audit it is not_found"},
		"open again by hand":      {`UPDATE entries SET state = 'due' WHERE id = 4`, "entry 4 is due, and by the audit it is not_found"},
		"an entry removed":        {`DELETE FROM entries WHERE id = 4`, "entry 4 is gone"},
		"an entry by hand":        {`INSERT INTO entries (id, leaver, state, emails, word_at, effective_at, due_at, received_at) VALUES (99, 'x', 'due', '[]', 1, 1, 1, 1)`, "entry 99 is due, and the audit has no row of it"},
		"a hold approved by hand": {`UPDATE holds SET state = 'approved' WHERE id = 2`, "hold 2 is approved, and the audit has no such word"},
		"a row inserted":          {`UPDATE audit SET seq = seq + 1001 WHERE seq > 3; UPDATE audit SET seq = seq - 1000 WHERE seq > 1000; INSERT INTO audit SELECT 4, at, action, entry, actor, facts, personal, prev, hash FROM audit WHERE seq = 3`, "row 4"},
		"a row appended":          {`INSERT INTO audit SELECT seq + 1, at, action, entry, actor, facts, personal, hash, hash FROM audit ORDER BY seq DESC LIMIT 1`, "was changed"},
		"the end cut off":         {`DELETE FROM audit WHERE seq >= (SELECT MAX(seq) FROM audit_personal)`, "is missing"},
		"a personal field":        {`UPDATE audit_personal SET value = 'x@acme.com' WHERE seq = 1 AND field = 'email'`, "row 1: personal field email"},
		"a field's salt":          {`UPDATE audit_personal SET salt = 'x' WHERE seq = 1 AND field = 'email'`, "row 1: personal field email"},
		"a letter put in a salt":  {`UPDATE audit_personal SET salt = salt || substr(value, 1, 1), value = substr(value, 2) WHERE seq = 1 AND field = 'email'`, "row 1: personal field email"},
		"a field of another row":  {`UPDATE audit_personal SET (salt, value) = (SELECT salt, value FROM audit_personal WHERE seq = 2 AND field = 'email') WHERE seq = 1 AND field = 'email'`, "row 1: personal field email"},
		"two fields swapped":      {`UPDATE audit_personal SET field = 'x' WHERE seq = 1 AND field = 'email'; UPDATE audit_personal SET field = 'email' WHERE seq = 1 AND field = 'given_name'; UPDATE audit_personal SET field = 'given_name' WHERE seq = 1 AND field = 'x'`, "row 1: personal field"},
		"a field inserted":        {`INSERT INTO audit_personal VALUES (1, 'nick_name', 's', 'annie')`, "row 1: personal field nick_name"},
		"a field of no row":       {`INSERT INTO audit_personal VALUES (999, 'email', 's', 'ann@acme.com')`, "row 999 is missing"},
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

// rewrite makes a chain of what is in the audit now, as somebody would who owns the
// database and knows how it is made.
func (b *book) rewrite() {
	b.t.Helper()
	db := rawDB(b.t, b.path)
	defer func() { _ = db.Close() }()
	var rows []ChainRow
	if err := eachChainRow(b.t.Context(), db, `a.seq > 0`, func(r ChainRow) error { rows = append(rows, r); return nil }); err != nil {
		b.t.Fatal(err)
	}
	prev := ""
	for i, r := range rows {
		hash := rowHash(prev, int64(i+1), r.At, r.Action, r.Entry, r.Actor, r.Facts, r.Personal)
		if _, err := db.ExecContext(b.t.Context(), `UPDATE audit SET seq = $2, prev = $3, hash = $4 WHERE seq = $1`, r.Seq, i+1, prev, hash); err != nil {
			b.t.Fatal(err)
		}
		if _, err := db.ExecContext(b.t.Context(), `UPDATE audit_personal SET seq = $2 WHERE seq = $1`, r.Seq, i+1); err != nil {
			b.t.Fatal(err)
		}
		prev = hash
	}
}

// parkings adds rows that nothing but the chain knows of.
func (b *book) parkings(n int) {
	b.t.Helper()
	for i := range n {
		if err := b.SetAccount(b.t.Context(), Account{ID: account, Parked: []string{"sign_in", ""}[i%2]}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// A chain that was cut at its end, or made anew, is whole in itself. What went out
// before shows it.
func TestOnlyHeadsThatWentOutShowThis(t *testing.T) {
	for name, tt := range map[string]struct {
		change, want string
		rewrite      bool
	}{
		"its end cut off":     {`DELETE FROM audit WHERE seq > (SELECT MAX(seq) - 3 FROM audit)`, "the end was cut off", false},
		"rewritten, an edit":  {`UPDATE audit SET actor = 'eve' WHERE action = 'hold_approved'`, "the chain was rewritten", true},
		"rewritten, one less": {`DELETE FROM audit WHERE seq = (SELECT MAX(seq) - 2 FROM audit)`, "is not the one that went out", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := history(t)
			b.parkings(4)
			lines := b.text(`SELECT json_group_array(json_object('audit_seq', seq, 'audit_hash', hash)) FROM audit WHERE seq % 3 = 0 OR seq = (SELECT MAX(seq) FROM audit)`)
			sent, err := ReadCheckpoints(strings.NewReader(lines))
			if err != nil || len(sent) < 3 {
				t.Fatalf("%d heads, %v", len(sent), err)
			}
			if v, err := b.Verify(t.Context(), sent); err != nil || len(v.Texts) > 0 || v.Heads != len(sent) {
				t.Fatalf("before: %+v, %v", v, err)
			}
			b.raw(tt.change)
			if tt.rewrite {
				b.rewrite()
			}
			if v, err := b.Verify(t.Context(), nil); err != nil || len(v.Texts) > 0 {
				t.Errorf("found without what went out: %v, %v", v, err)
			}
			v, err := b.Verify(t.Context(), sent)
			if err != nil || len(v.Texts) == 0 || !strings.Contains(v.Texts[0], tt.want) {
				t.Errorf("got %q, %v, want %q", v.Texts, err, tt.want)
			}
		})
	}
}

func TestDefectsAreNamedOnceAndCounted(t *testing.T) {
	b := history(t)
	b.parkings(20)
	b.raw(`UPDATE audit SET at = at + 1 WHERE action LIKE 'account_%'`)
	v, err := b.Verify(t.Context(), nil)
	if err != nil || len(v.Texts) != MostDefects || v.More != 10 || !strings.HasSuffix(v.String(), "\nand 10 more") {
		t.Errorf("got %v and %d more, %v", v.Texts, v.More, err)
	}
	b.raw(`UPDATE audit SET at = at - 1 WHERE action LIKE 'account_%'; UPDATE audit SET at = 5 WHERE seq = 7`)
	if v, err = b.Verify(t.Context(), nil); err != nil || len(v.Texts) != 1 {
		t.Errorf("got %q, %v, want one defect for one edit", v.Texts, err)
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
