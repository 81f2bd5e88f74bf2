package ledger

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

const (
	year = 365 * 24 * time.Hour

	eraseAfter = 400 * 24 * time.Hour
	retention  = 7 * year
)

// erase erases what is too old at this time, from the files as well.
func (b *book) erase(now time.Time) int {
	b.t.Helper()
	n, err := b.Erase(b.t.Context(), now.Add(-eraseAfter))
	if err != nil {
		b.t.Fatal(err)
	}
	b.raw(`DELETE FROM facts WHERE name = 'scrubbed_at'`)
	if done, err := b.Scrub(b.t.Context(), now); err != nil || !done {
		b.t.Fatalf("the log is not empty: %v", err)
	}
	return n
}

func (b *book) prune(now time.Time, sinks ...string) (entries, rows int) {
	b.t.Helper()
	entries, rows, err := b.Prune(b.t.Context(), now.Add(-retention), sinks)
	if err != nil {
		b.t.Fatal(err)
	}
	return entries, rows
}

// traces are those of the words that are anywhere in the ledger's files.
func (b *book) traces(words ...string) []string {
	b.t.Helper()
	files, err := filepath.Glob(b.path + "*")
	if err != nil || len(files) < 2 {
		b.t.Fatalf("files %v, %v", files, err)
	}
	var found []string
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, w := range words {
			if bytes.Contains(bytes.ToLower(content), []byte(strings.ToLower(w))) {
				found = append(found, filepath.Base(f)+": "+w)
			}
		}
	}
	return found
}

// life is a history in which people leave traces in every table.
func life(t *testing.T) *book {
	t.Helper()
	b := newBook(t)
	named := func(e *consumer.Event) {
		e.GivenName, e.FamilyName, e.ManagerEmail, e.EmployeeID = "Given-"+e.GivenName, "Family-"+e.Email, "boss@acme.com", "E-"+e.Email
	}
	b.record(b.left("ann", named, also("ann2@acme.com")))
	b.approve(b.hold(b.due(b.now), Protected).ID)
	b.answer(b.submit(b.dueIn(account, b.now)...), map[string]Result{"id-ann": {Closed: true}})
	b.record(b.left("ann", rescind, func(e *consumer.Event) { e.Payload = []byte("payload of ann@acme.com") })) // proposes a reopen
	if _, _, err := b.Reject(t.Context(), b.word(2, "ana", "ann@acme.com stays away")); err != nil {
		t.Fatal(err)
	}
	b.record(b.left("bob", named))
	if _, _, err := b.Reject(t.Context(), b.word(b.hold(b.due(b.now), Limit).ID, "ana", "bob@acme.com is no leaver")); err != nil {
		t.Fatal(err)
	}
	b.record(consumer.LeaverEvent("file-1", "eve@acme.com", "ana", b.now, false))
	b.settle(b.due(b.now)[0].Entry, NotFound)
	b.record(b.left("nobody", rescind, func(e *consumer.Event) { e.Payload = []byte("payload of nobody@acme.com") }))
	b.reject("r1", `{"email": "odd@acme.com"}`)
	b.reject("r2", strings.Repeat(`{"email": "odd2@acme.com"}`, 500))
	f, err := b.Freeze(t.Context(), Freeze{Until: b.now.Add(10 * year), Reason: "ann@acme.com is away", By: "ana"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.EndFreeze(t.Context(), f.ID, "ana", "ann@acme.com is back"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.DiscardReject(t.Context(), 1, "ana", "odd@acme.com is a test"); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestErasedLeaversLeaveNoTrace(t *testing.T) {
	b := life(t)
	var events []consumer.Event
	for i := range 300 { // so that pages are split and joined
		events = append(events, b.left(fmt.Sprintf("many%03d", i)))
	}
	b.record(events...)
	for _, r := range b.due(b.now) {
		b.settle(r.Entry, NotFound)
	}
	before := b.verify()
	if len(b.traces("@acme.com", "ann@acme.com", "Family-bob", "many123")) < 4 {
		t.Fatal("there is nothing to erase")
	}
	if n := b.erase(b.now.Add(eraseAfter - time.Hour)); n != 0 {
		t.Fatalf("%d leavers were erased too early", n)
	}
	if n := b.erase(b.now.Add(eraseAfter + time.Hour)); n != 303 {
		t.Errorf("%d leavers erased, want 303", n)
	}
	if found := b.traces("@acme.com", "Given-", "Family-", "many"); len(found) > 0 {
		t.Errorf("traces: %v", found)
	}
	if a := b.verify(); a.Rows <= before.Rows || a.First != 1 {
		t.Errorf("the chain is %+v, was %+v", a, before)
	}
	for _, o := range b.outcomes(0) {
		if o.Email != "" || o.ManagerEmail != "" {
			t.Errorf("an outcome names %q and %q", o.Email, o.ManagerEmail)
		}
	}
	if n := b.erase(b.now.Add(eraseAfter + 2*time.Hour)); n != 0 {
		t.Errorf("%d leavers were erased twice", n)
	}
	// The same news again is known, and the same person leaving again is somebody new.
	entries := b.text(`SELECT COUNT(*) FROM entries`)
	e := b.left("ann")
	e.Key.ID, e.EmployeeID = "e1", "E-ann@acme.com"
	b.record(e)
	if got := b.text(`SELECT COUNT(*) FROM entries`); got != entries {
		t.Errorf("%s entries, were %s: news of before were news again", got, entries)
	}
	b.record(b.left("ann", func(e *consumer.Event) { e.EmployeeID = "E-1" }))
	if got := b.entries("ann"); len(got) != 1 || got[0].State != Waiting {
		t.Errorf("got %+v", got)
	}
	b.verify()
}

func TestWhatIsNotErased(t *testing.T) {
	later := func(b *book) time.Time { return b.now.Add(eraseAfter + time.Hour) }
	for name, do := range map[string]func(*book){
		"waits":                   func(b *book) { b.record(b.left("ann", b.leaving(week))) },
		"held":                    func(b *book) { b.toState(Held) },
		"failed":                  func(b *book) { b.toState(Failed) },
		"on the wire":             func(b *book) { b.toState(Submitted) },
		"a reopen may come of it": func(b *book) { b.toState(Closed); b.record(b.left("ann", rescind)) },
		"open in another account": func(b *book) {
			b.record(b.left("ann"))
			b.becomeDue(b.now, account, "other")
			b.settle(b.dueIn(account, b.now)[0].Entry, NotFound)
		},
		"settled again since": func(b *book) {
			b.toState(Closed)
			b.raw(`UPDATE entries SET settled_at = settled_at - $1`, (2 * eraseAfter).Microseconds())
			b.mustReturn(b.entry("ann"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			do(b)
			if n := b.erase(later(b)); n != 0 {
				t.Errorf("%d leavers were erased", n)
			}
			if got := b.entries("ann"); len(got) == 0 || got[0].Emails[0] != "ann@acme.com" {
				t.Errorf("got %+v", got)
			}
			b.verify()
		})
	}
}

// The words on a hold stay as long as one of its people does.
func TestHoldIsErasedWithTheLastOfItsPeople(t *testing.T) {
	b := newBook(t)
	h := b.hold(b.plan("ann", "bob"), Limit)
	if _, err := b.Approve(t.Context(), b.word(h.ID, "ana", "seen with ann@acme.com"), aDay); err != nil {
		t.Fatal(err)
	}
	plan := b.dueIn(account, b.now)
	b.settle(plan[0].Entry, NotFound)
	later := b.now.Add(eraseAfter + time.Hour)
	if n := b.erase(later); n != 1 || len(b.traces("seen with ann")) == 0 {
		t.Errorf("%d erased, and the words are gone", n)
	}
	b.settle(plan[1].Entry, NotFound)
	if n := b.erase(later); n != 1 {
		t.Errorf("%d erased", n)
	}
	if found := b.traces("ann@acme.com", "bob@acme.com"); len(found) > 0 {
		t.Errorf("traces: %v", found)
	}
	b.verify()
}

// The file is not written anew each day: what is left of rows that SQLite has moved
// goes once a month.
func TestFileIsWrittenAnewOnceAMonth(t *testing.T) {
	b := life(t)
	at := b.now.Add(eraseAfter + time.Hour)
	scrubbed := func(at time.Time) string {
		if _, err := b.Erase(t.Context(), at.Add(-eraseAfter)); err != nil {
			t.Fatal(err)
		}
		if done, err := b.Scrub(t.Context(), at); err != nil || !done {
			t.Fatalf("done %v, %v", done, err)
		}
		return b.text(`SELECT COALESCE(group_concat(name || '=' || value), '') FROM
			(SELECT * FROM facts WHERE name IN ('scrubbed_at', 'unscrubbed') ORDER BY name)`)
	}
	if got := scrubbed(b.now); got != "" {
		t.Errorf("before anything is old: %s", got)
	}
	first := "scrubbed_at=" + stamp(at)
	if got := scrubbed(at); got != first {
		t.Errorf("got %s, want %s", got, first)
	}
	b.settle(b.plan("dan")[0].Entry, NotFound)
	if got, want := scrubbed(at.Add(time.Hour)), first+",unscrubbed=1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := scrubbed(at.Add(scrubEvery)), "scrubbed_at="+stamp(at.Add(scrubEvery)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if found := b.traces("@acme.com"); len(found) > 0 {
		t.Errorf("traces: %v", found)
	}
	b.verify()
}

// A page that somebody reads stays in the log until they are done.
func TestLogIsNotEmptiedBelowAReader(t *testing.T) {
	b := life(t)
	reading, err := b.read.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reading.QueryRow(`SELECT COUNT(*) FROM entries`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	b.record(b.left("dan"))
	if done, err := b.Scrub(t.Context(), b.now); err != nil || done {
		t.Errorf("emptied %v, %v", done, err)
	}
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	if done, err := b.Scrub(t.Context(), b.now); err != nil || !done {
		t.Errorf("emptied %v, %v", done, err)
	}
	b.record(b.left("fay"))
}

func TestPrunedLedgerVerifies(t *testing.T) {
	b := life(t)
	b.erase(b.now.Add(eraseAfter + time.Hour))
	heads := b.text(`SELECT json_group_array(json_object('audit_seq', seq, 'audit_hash', hash)) FROM audit`)
	before := b.verify()
	if entries, rows := b.prune(b.now.Add(retention - time.Hour)); entries != 0 || rows != 0 {
		t.Fatalf("%d entries and %d rows were pruned too early", entries, rows)
	}
	b.record(b.left("zoe")) // the newest, and open
	first := b.verify().Seq
	entries, rows := b.prune(b.now.Add(retention + time.Hour))
	if entries != 3 || rows != int(first)-1 {
		t.Errorf("%d entries and %d rows were pruned, want 3 and %d", entries, rows, first-1)
	}
	a := b.verify()
	if a.First != first || a.Seq <= before.Seq || a.Rows != a.Seq-a.First+1 {
		t.Errorf("the chain is %+v, was %+v", a, before)
	}
	for table, want := range map[string]string{"entries": "1", "memberships": "0", "hold_users": "0", "keys": "1", "holds": "2", "rejects": "1", "cancels": "2", "approvals": "0"} {
		if got := b.text(`SELECT COUNT(*) FROM ` + table); got != want {
			t.Errorf("%s has %s rows, want %s", table, got, want)
		}
	}
	if entries, rows := b.prune(b.now.Add(retention + time.Hour)); entries != 0 || rows != 0 {
		t.Errorf("%d entries and %d rows were pruned again", entries, rows)
	}
	sent, err := ReadCheckpoints(strings.NewReader(heads))
	if err != nil || len(sent) != int(before.Rows) {
		t.Fatalf("%d heads, %v", len(sent), err)
	}
	v, err := b.Verify(t.Context(), sent)
	if err != nil || len(v.Texts) > 0 || v.Heads != 1 {
		t.Errorf("got %+v, %v: the last row that went is known by its hash", v, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.Ledger = openLedger(t, b.cfg)
	b.approve(b.hold(b.due(b.now), Limit).ID)
	b.answer(b.submit(b.dueIn(account, b.now)...), map[string]Result{"id-zoe": {Closed: true}})
	b.verify()
}

func TestChangedPrunedLedgerIsFound(t *testing.T) {
	for name, tt := range map[string]struct{ change, want string }{
		"its beginning cut off by hand":      {`DELETE FROM audit WHERE seq = (SELECT MIN(seq) FROM audit)`, "is missing"},
		"cut off, and the fact with it":      {`UPDATE facts SET value = (SELECT seq || ' ' || hash FROM audit ORDER BY seq LIMIT 1) WHERE name = 'audit_after'; DELETE FROM audit WHERE seq = (SELECT MIN(seq) FROM audit)`, "its beginning was cut off"},
		"the fact edited":                    {`UPDATE facts SET value = replace(value, ' ', ' 0') WHERE name = 'audit_after'`, "does not follow"},
		"the fact removed":                   {`DELETE FROM facts WHERE name = 'audit_after'`, "are missing"},
		"an entry removed as if it were old": {`DELETE FROM entries`, "entry 4 is gone"},
		"an entry of before put there again": {`INSERT INTO entries (id, leaver, state, emails, word_at, effective_at, due_at, received_at) VALUES (1, 'x', 'closed', '[]', 1, 1, 1, 1)`, "entry 1 is closed, and the audit has no"},
	} {
		t.Run(name, func(t *testing.T) {
			b := life(t)
			b.record(b.left("zoe"))
			b.record(b.left("zoe", b.said(0)))
			b.prune(b.now.Add(retention + time.Hour))
			b.raw(tt.change)
			if _, err := b.VerifyAudit(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// What a sink has not published stays, and so does all of the audit behind it.
func TestUnpublishedIsNotPruned(t *testing.T) {
	b := newBook(t)
	if _, err := b.Subscribe(t.Context(), "kafka"); err != nil {
		t.Fatal(err)
	}
	b.toState(Closed)
	b.record(b.left("zoe"))
	later := b.now.Add(retention + time.Hour)
	if _, rows := b.prune(later, "kafka"); rows != 0 {
		t.Errorf("%d rows went unpublished", rows)
	}
	told := b.outcomes(0)
	if len(told) != 1 || told[0].What != What(Closed) {
		t.Fatalf("got %+v", told)
	}
	b.verify()
	if err := b.Published(t.Context(), "kafka", told[0].Seq); err != nil {
		t.Fatal(err)
	}
	if _, rows := b.prune(later, "kafka"); rows != int(told[0].Seq) {
		t.Errorf("%d rows went, want those up to %d", rows, told[0].Seq)
	}
	b.verify()
}

// No number is given a second time: what the audit says of it would be said of
// something else.
func TestNumbersGoOnAfterPruning(t *testing.T) {
	b := life(t)
	last := make(map[string]string)
	tables := []string{"entries", "holds", "batches", "rejects", "cancels", "reopens"}
	for _, table := range tables {
		last[table] = b.text(`SELECT MAX(id) FROM ` + table)
	}
	b.prune(b.now.Add(retention + time.Hour))
	for _, table := range tables {
		if got := b.text(`SELECT MAX(id) FROM ` + table); got != last[table] {
			t.Errorf("the newest of %s is %s, was %s", table, got, last[table])
		}
	}
	b.verify()
}

// A leaving goes as a whole: not before its last account is old.
func TestLeavingIsPrunedWhole(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"))
	b.becomeDue(b.now, account, "other")
	b.settle(b.dueIn(account, b.now)[0].Entry, NotFound)
	b.record(b.left("zoe"))
	later := b.now.Add(retention + time.Hour)
	if entries, _ := b.prune(later); entries != 0 {
		t.Errorf("%d entries went while another account is open", entries)
	}
	b.settle(b.dueIn("other", b.now)[0].Entry, NotFound)
	if entries, _ := b.prune(later); entries != 2 {
		t.Errorf("%d entries went, want both", entries)
	}
	b.verify()
	if got := b.text(`SELECT group_concat(leaver) FROM entries`); !slices.Equal([]string{got}, []string{"zoe@acme.com"}) {
		t.Errorf("left are %s", got)
	}
}
