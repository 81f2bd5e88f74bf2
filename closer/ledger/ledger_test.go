package ledger

import (
	"crypto/rand"
	"database/sql"
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
	account = "acc"

	week  = 7 * 24 * time.Hour
	fresh = time.Hour // longer than any test takes
)

// retry fails an entry at its second refusal.
var retry = Retry{
	Attempts: 2,
	Wait:     func(attempts int) time.Duration { return time.Duration(attempts) * time.Minute },
	Daily:    24 * time.Hour,
}

// childVar names a ledger to a test binary that is not to test, but to be
// another process that records in it.
const childVar = "SIGNOFF_LEDGER_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childVar); path != "" {
		recordForever(path)
		return
	}
	m.Run()
}

// book is an open ledger in a test, with the time at which the test began.
type book struct {
	*Ledger
	t    *testing.T
	path string
	now  time.Time
	ids  int
}

func newBook(t *testing.T, change ...func(*Config)) *book {
	t.Helper()
	b := &book{t: t, path: filepath.Join(t.TempDir(), "ledger.db"), now: time.Now().UTC().Truncate(time.Microsecond)}
	cfg := Config{URL: "sqlite://" + b.path, MaxAge: week}
	for _, c := range change {
		c(&cfg)
	}
	b.Ledger = openLedger(t, cfg)
	return b
}

func openLedger(t *testing.T, cfg Config) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), cfg, Observe{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// left is the news, just received, that somebody left an hour ago.
func (b *book) left(name string, change ...func(*consumer.Event)) consumer.Event {
	b.ids++
	e := consumer.Event{
		Key:  consumer.Key{Origin: "hr.employee", Source: "hr", ID: fmt.Sprint("e", b.ids)},
		Kind: consumer.Terminated, Hash: "hash", Email: name + "@acme.com", GivenName: name,
		OccurredAt: b.now.Add(-time.Hour), EffectiveAt: b.now.Add(-time.Hour), ReceivedAt: b.now,
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

// said sets when the news was said.
func (b *book) said(ago time.Duration) func(*consumer.Event) {
	return func(e *consumer.Event) { e.OccurredAt = b.now.Add(-ago) }
}

// leaving sets when employment ends.
func (b *book) leaving(in time.Duration) func(*consumer.Event) {
	return func(e *consumer.Event) { e.EffectiveAt = b.now.Add(in) }
}

func urgent(e *consumer.Event) { e.Urgent = true }

func also(addresses ...string) func(*consumer.Event) {
	return func(e *consumer.Event) { e.OtherEmails = addresses }
}

func (b *book) record(events ...consumer.Event) {
	b.t.Helper()
	if err := b.Record(b.t.Context(), consumer.Intake{Source: consumer.Kafka, Events: events}); err != nil {
		b.t.Fatal(err)
	}
}

// entries are all entries of the leaver, the oldest first.
func (b *book) entries(name string) []Entry {
	b.t.Helper()
	all, err := b.Entries(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e Entry) bool { return e.Leaver != name+"@acme.com" })
}

// entry is the only entry of the leaver.
func (b *book) entry(name string) Entry {
	b.t.Helper()
	all := b.entries(name)
	if len(all) != 1 {
		b.t.Fatalf("%s has %d entries, want one", name, len(all))
	}
	return all[0]
}

func (b *book) is(name string, want State) {
	b.t.Helper()
	if got := b.entry(name); got.State != want {
		b.t.Errorf("%s is %s (%s), want %s", name, got.State, got.Reason, want)
	}
}

// due makes due what is due by then, and returns it with a user for each.
func (b *book) due(now time.Time) []Resolved {
	b.t.Helper()
	b.becomeDue(now, account)
	return b.dueIn(account, now)
}

func (b *book) becomeDue(now time.Time, accounts ...string) {
	b.t.Helper()
	if err := b.BecomeDue(b.t.Context(), accounts, now); err != nil {
		b.t.Fatal(err)
	}
}

// dueIn returns what is due in an account by then, with a user for each.
func (b *book) dueIn(account string, now time.Time) []Resolved {
	b.t.Helper()
	entries, err := b.Due(b.t.Context(), account, now, false)
	if err != nil {
		b.t.Fatal(err)
	}
	var plan []Resolved
	for _, e := range entries {
		plan = append(plan, with(e, userOf(e)))
	}
	return plan
}

func with(e Entry, users ...string) Resolved {
	r := Resolved{Entry: e}
	for _, u := range users {
		r.Users = append(r.Users, User{ID: u, Email: e.Leaver})
	}
	return r
}

// userOf is the userId of the leaver.
func userOf(e Entry) string {
	name, _, _ := strings.Cut(e.Leaver, "@")
	return "id-" + name
}

// plan records that these people left, and returns them as due and resolved.
func (b *book) plan(names ...string) []Resolved {
	b.t.Helper()
	for _, n := range names {
		b.record(b.left(n))
	}
	plan := b.due(b.now)
	if len(plan) != len(names) {
		b.t.Fatalf("%d are due, want %d", len(plan), len(names))
	}
	return plan
}

func (b *book) submit(plan ...Resolved) Batch {
	b.t.Helper()
	return b.submitIn(account, plan...)
}

func (b *book) submitIn(account string, plan ...Resolved) Batch {
	b.t.Helper()
	batch, err := b.Submit(b.t.Context(), account, plan, time.Now(), fresh)
	if err != nil {
		b.t.Fatal(err)
	}
	return batch
}

// answer settles a batch by an answer of Docusign.
func (b *book) answer(batch Batch, results map[string]Result) []Settled {
	b.t.Helper()
	settled, err := b.SettleBatch(b.t.Context(), batch.ID, results, "trace", true, retry)
	if err != nil {
		b.t.Fatal(err)
	}
	return settled
}

func (b *book) hold(plan []Resolved, kinds ...Kind) Hold {
	b.t.Helper()
	h, err := b.MakeHold(b.t.Context(), account, kinds, "detail", false, plan)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

func (b *book) approve(id int64) {
	b.t.Helper()
	if _, err := b.Approve(b.t.Context(), b.word(id, "ana", ""), aDay); err != nil {
		b.t.Fatal(err)
	}
}

// aDay are terms by which one person's word is good for a day.
var aDay = Terms{People: 1, Expires: 24 * time.Hour}

// word is what somebody says who has seen the hold as it is.
func (b *book) word(id int64, by, reason string) Decision {
	b.t.Helper()
	h, err := b.Hold(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return Decision{Hold: id, Digest: h.Digest, By: Person{Name: by}, Reason: reason}
}

// renew judges everything anew, as by another config than that of the last time.
func (b *book) renew(dryRun bool) {
	b.t.Helper()
	if err := b.Renew(b.t.Context(), dryRun, rand.Text()); err != nil {
		b.t.Fatal(err)
	}
}

// raw changes the ledger's file behind the ledger's back.
func (b *book) raw(query string, args ...any) {
	b.t.Helper()
	db := rawDB(b.t, b.path)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(b.t.Context(), query, args...); err != nil {
		b.t.Fatal(err)
	}
}

func rawDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// text is the only value that a query finds.
// exec changes the database behind the ledger's back.
func (b *book) exec(query string, args ...any) {
	b.t.Helper()
	if err := b.write(b.t.Context(), func(t *tx) error { return t.exec(query, args...) }); err != nil {
		b.t.Fatal(err)
	}
}

func (b *book) text(query string, args ...any) string {
	b.t.Helper()
	var s string
	if err := b.read.QueryRowContext(b.t.Context(), query, args...).Scan(&s); err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *book) verify() Audit {
	b.t.Helper()
	a, err := b.VerifyAudit(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}
