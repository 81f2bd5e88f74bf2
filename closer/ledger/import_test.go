package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

const organization = "org"

// planIn records that these people left, and returns what each account would
// close of them.
func (b *book) planIn(accounts []string, names ...string) []AccountPlan {
	b.t.Helper()
	for _, n := range names {
		b.record(b.left(n))
	}
	b.becomeDue(b.now, accounts...)
	var plans []AccountPlan
	for _, a := range accounts {
		plans = append(plans, AccountPlan{Account: a, Members: b.dueIn(a, b.now), ResolvedAt: time.Now()})
	}
	return plans
}

func (b *book) submitImport(plans ...AccountPlan) Import {
	b.t.Helper()
	imp, err := b.SubmitImport(b.t.Context(), organization, plans, fresh)
	if err != nil {
		b.t.Fatal(err)
	}
	return imp
}

func (b *book) openImport() (Import, bool) {
	b.t.Helper()
	imp, open, err := b.OpenImport(b.t.Context(), organization)
	if err != nil {
		b.t.Fatal(err)
	}
	return imp, open
}

func (b *book) endImport(id int64, how string) {
	b.t.Helper()
	if err := b.EndImport(b.t.Context(), id, how); err != nil {
		b.t.Fatal(err)
	}
}

// unknown are the users of an account that are to be looked up in a while.
func (b *book) unknown(account string, in time.Duration) []string {
	b.t.Helper()
	all, err := b.Unknowns(b.t.Context(), account, b.now.Add(in))
	if err != nil {
		b.t.Fatal(err)
	}
	var ids []string
	for _, u := range all {
		ids = append(ids, u.User.ID)
	}
	return ids
}

// what an import is to close: account and userId of each row.
func rowsOf(imp Import) string {
	var rows []string
	for _, batch := range imp.Batches {
		for _, id := range batch.UserIDs() {
			rows = append(rows, batch.Account+" "+id)
		}
	}
	return strings.Join(rows, ", ")
}

// The same user may be a member of both accounts, under one userId.
func TestImportOfTwoAccounts(t *testing.T) {
	b := newBook(t)
	imp := b.submitImport(b.planIn([]string{"a", "b"}, "ann", "bob")...)
	const want = "a id-ann, a id-bob, b id-ann, b id-bob"
	if got := rowsOf(imp); got != want || imp.Rows != 4 || imp.ID == 0 || imp.Organization != organization || imp.SentAt.IsZero() {
		t.Fatalf("submitted %q of %+v, want %q", got, imp, want)
	}
	if err := errors.Join(b.ImportSending(t.Context(), imp.ID), b.ImportSent(t.Context(), imp.ID, "d1")); err != nil {
		t.Fatal(err)
	}
	again, open := b.openImport()
	if !open || rowsOf(again) != want || again.ID != imp.ID || again.DocusignID != "d1" || again.Rows != 4 || !again.SentAt.After(imp.SentAt) {
		t.Errorf("open %v %+v, want what was submitted", open, again)
	}
	if e := again.Batches[0].Members[0].Entry; e.Leaver != "ann@acme.com" || e.State != Submitted {
		t.Errorf("entry %+v, want ann's", e)
	}
	for _, batch := range again.Batches {
		b.answer(batch, map[string]Result{"id-ann": {Closed: true}, "id-bob": {Reason: "NO"}})
	}
	if rest, open := b.openImport(); !open || len(rest.Batches) != 0 || rest.Rows != 4 {
		t.Errorf("open %v %+v, want it open and nothing in it unsettled", open, rest)
	}
	b.endImport(imp.ID, "completed")
	if _, open := b.openImport(); open {
		t.Error("still open")
	}
	if got := b.stands("ann") + "; " + b.stands("bob"); got != "a closed, b closed; a due, b due" {
		t.Errorf("came to %s", got)
	}
	if got := b.text(`SELECT facts FROM audit WHERE action = 'import_ended'`); got != `{"docusign_id":"d1","how":"completed","import":1,"organization":"org"}` {
		t.Errorf("audit says %s", got)
	}
	if got := b.text(`SELECT COUNT(*) FROM audit WHERE action = 'submitted' AND facts LIKE '%"import":1%'`); got != "4" {
		t.Errorf("%s rows name the import, want four", got)
	}
	b.verify()
}

func TestImportAfterACrashHalfWayThroughItsResults(t *testing.T) {
	b := newBook(t)
	imp := b.submitImport(b.planIn([]string{"a", "b"}, "ann", "bob")...)
	b.answer(imp.Batches[0], map[string]Result{"id-ann": {Closed: true}, "id-bob": {Closed: true}})
	b.answer(imp.Batches[1], map[string]Result{"id-ann": {Closed: true}})
	if rest, open := b.openImport(); !open || rowsOf(rest) != "b id-bob" || rest.Rows != 4 {
		t.Errorf("open %v with %q, want who is not settled", open, rowsOf(rest))
	}
}

func TestSubmitImportTakesOnlyWhatIsStillSo(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*book, []AccountPlan)
		want   string
		err    error
	}{
		"nothing changed":         {func(*book, []AccountPlan) {}, "a id-ann, b id-ann", nil},
		"one plan is stale":       {func(_ *book, p []AccountPlan) { p[0].ResolvedAt = time.Now().Add(-2 * fresh) }, "b id-ann", nil},
		"one entry was submitted": {func(b *book, p []AccountPlan) { b.submitIn("a", p[0].Members...) }, "b id-ann", nil},
		"it has another address":  {func(b *book, _ []AccountPlan) { b.record(b.left("ann", also("a2@acme.com"))) }, "", nil},
		"all plans are stale": {func(_ *book, p []AccountPlan) {
			p[0].ResolvedAt, p[1].ResolvedAt = time.Now().Add(-2*fresh), time.Now().Add(-2*fresh)
		}, "", ErrStalePlan},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			plans := b.planIn([]string{"a", "b"}, "ann")
			tt.change(b, plans)
			imp, err := b.SubmitImport(t.Context(), organization, plans, fresh)
			if !errors.Is(err, tt.err) || rowsOf(imp) != tt.want || (imp.ID != 0) != (tt.want != "") {
				t.Errorf("submitted %q of %+v (%v), want %q", rowsOf(imp), imp, err, tt.want)
			}
			if _, open := b.openImport(); open != (tt.want != "") {
				t.Errorf("an import is open: %v", open)
			}
		})
	}
}

func TestOneImportAtATime(t *testing.T) {
	b := newBook(t)
	first := b.submitImport(b.planIn([]string{"a"}, "ann")...)
	plans := b.planIn([]string{"a"}, "bob")
	if _, err := b.SubmitImport(t.Context(), organization, plans, fresh); err == nil || !strings.Contains(err.Error(), "import 1 ") {
		t.Errorf("got %v, want it to name the open import", err)
	}
	b.is("bob", Due)
	if _, err := b.SubmitImport(t.Context(), "another", plans, fresh); err != nil {
		t.Errorf("another organization: %v", err)
	}
	b.endImport(first.ID, "lost")
	b.submitImport(b.planIn([]string{"a"}, "eve")...)
	b.is("eve", Submitted)
}

// Users of an open import are not looked up: its results will tell.
func TestUnknownsOfAnImport(t *testing.T) {
	const soon = time.Hour
	for name, tt := range map[string]struct {
		do    func(*book, Import)
		in    time.Duration
		want  []string
		other []string // in account b
	}{
		"open":                {func(*book, Import) {}, soon, nil, nil},
		"open for far longer": {func(*book, Import) {}, importAtMost + soon, []string{"id-ann"}, []string{"id-ann"}},
		"ended":               {func(b *book, i Import) { b.endImport(i.ID, "lost") }, soon, []string{"id-ann"}, []string{"id-ann"}},
		"ended after some results": {func(b *book, i Import) {
			b.answer(i.Batches[0], map[string]Result{"id-ann": {Closed: true}})
			b.answer(i.Batches[1], nil)
			b.endImport(i.ID, "completed")
		}, soon, nil, []string{"id-ann"}},
		"withdrawn": {func(b *book, i Import) { _ = b.WithdrawImport(b.t.Context(), i, "outage") }, soon, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", urgent))
			imp := b.submitImport(b.planIn([]string{"a", "b"})...)
			tt.do(b, imp)
			for account, want := range map[string][]string{"a": tt.want, "b": tt.other} {
				if got := b.unknown(account, tt.in); !slices.Equal(got, want) {
					t.Errorf("unknown in %s: %v, want %v", account, got, want)
				}
				due, err := b.UrgentDue(t.Context(), account, b.now.Add(-time.Hour), b.now.Add(tt.in))
				if err != nil || due != (want != nil) {
					t.Errorf("an urgent look-up in %s: %v (%v), want %v", account, due, err, want != nil)
				}
			}
		})
	}
}

func TestWithdrawnImportSpendsNothing(t *testing.T) {
	b := newBook(t)
	imp := b.submitImport(b.planIn([]string{"a", "b"}, "ann")...)
	for _, account := range []string{"a", "b"} {
		if before, err := b.RunBefore(t.Context(), account); err != nil || !before {
			t.Errorf("run before in %s: %v (%v), want an import to count", account, before, err)
		}
	}
	if err := b.WithdrawImport(t.Context(), imp, "outage"); err != nil {
		t.Fatal(err)
	}
	for _, account := range []string{"a", "b"} {
		due := b.dueIn(account, b.now)
		if len(due) != 1 || due[0].Entry.Attempts != 0 || !due[0].Entry.SentAt.IsZero() || due[0].Entry.Reason != "outage" {
			t.Errorf("due in %s: %+v, want it as before", account, due)
		}
		if before, err := b.RunBefore(t.Context(), account); err != nil || before {
			t.Errorf("run before in %s: %v (%v)", account, before, err)
		}
	}
	if _, open := b.openImport(); open {
		t.Error("still open")
	}
	b.submitImport(b.planIn([]string{"a", "b"})...)
	b.verify()
}

// An import that Docusign got late may be carried out late.
func TestUnknownsOfAnImportSentLate(t *testing.T) {
	b := newBook(t)
	imp := b.submitImport(b.planIn([]string{"a"}, "ann")...)
	submitted := time.Since(b.now)
	if err := b.ImportSending(t.Context(), imp.ID); err != nil {
		t.Fatal(err)
	}
	b.endImport(imp.ID, "lost")
	if got := b.unknown("a", submitted); len(got) != 0 {
		t.Errorf("unknown %v, want the time to count from the sending", got)
	}
	if got := b.unknown("a", time.Hour); len(got) != 1 {
		t.Errorf("unknown %v, want ann", got)
	}
}

// A close on its way in one account says nothing of the same user in another.
func TestUserOfUnknownOutcomeElsewhereIsSent(t *testing.T) {
	b := newBook(t)
	plans := b.planIn([]string{"a", "b"}, "ann")
	b.submitIn("a", plans[0].Members...)
	if batch := b.submitIn("b", plans[1].Members...); batch.Account != "b" || len(batch.Members) != 1 {
		t.Errorf("got batch %+v, want ann of account b", batch)
	}
}
