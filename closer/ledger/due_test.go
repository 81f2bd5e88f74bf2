package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

// stands tells where a leaver stands: account and state of each entry.
func (b *book) stands(name string) string {
	b.t.Helper()
	var all []string
	for _, e := range b.entries(name) {
		all = append(all, e.Account+" "+string(e.State))
	}
	return strings.Join(all, ", ")
}

// closeIn brings the leaver's due entry in an account to closed.
func (b *book) closeIn(account, name string) {
	b.t.Helper()
	for _, r := range b.dueIn(account, b.now.Add(time.Minute)) {
		if r.Entry.Leaver == name+"@acme.com" {
			b.answer(b.submitIn(account, r), map[string]Result{userOf(r.Entry): {Closed: true}})
			return
		}
	}
	b.t.Fatalf("%s is not due in %s", name, account)
}

func TestBecomeDueInSeveralAccounts(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*book)
		want string
	}{
		"one account":     {func(b *book) { b.becomeDue(b.now, "a") }, "a due"},
		"two accounts":    {func(b *book) { b.becomeDue(b.now, "a", "b") }, "a due, b due"},
		"twice":           {func(b *book) { b.becomeDue(b.now, "a", "b"); b.becomeDue(b.now, "a", "b") }, "a due, b due"},
		"before its time": {func(b *book) { b.becomeDue(b.now.Add(-time.Second), "a", "b") }, " waiting"},
		"no account":      {func(b *book) { b.becomeDue(b.now) }, " waiting"},
		"an account that came later does not count back": {func(b *book) {
			b.becomeDue(b.now, "a")
			b.becomeDue(b.now, "a", "b")
		}, "a due"},
		"a later word while both are open": {func(b *book) {
			b.becomeDue(b.now, "a", "b")
			b.record(b.left("ann", b.said(time.Minute), b.leaving(time.Hour)))
		}, "a waiting, b waiting"},
		"moved, then due again": {func(b *book) {
			b.becomeDue(b.now, "a", "b")
			b.record(b.left("ann", b.said(time.Minute), b.leaving(time.Hour)))
			b.becomeDue(b.now.Add(2*time.Hour), "b")
		}, "a waiting, b due"},
		"a later word where one has settled": {func(b *book) {
			b.becomeDue(b.now, "a", "b")
			b.closeIn("a", "ann")
			b.record(b.left("ann", b.said(time.Minute)), b.left("ann", b.said(time.Second)))
		}, "a closed, b due,  waiting"},
		"an equal word where one has settled": {func(b *book) {
			b.becomeDue(b.now, "a", "b")
			b.closeIn("a", "ann")
			b.record(b.left("ann"))
		}, "a closed, b due,  waiting"},
		"the one that has settled looks again": {func(b *book) {
			b.becomeDue(b.now, "a", "b")
			b.closeIn("a", "ann")
			b.record(b.left("ann", b.said(time.Minute)))
			b.becomeDue(b.now, "a", "b")
		}, "a closed, b due, a due"},
		"old news where one has settled": {func(b *book) {
			b.becomeDue(b.now, "a", "b")
			b.closeIn("a", "ann")
			b.record(b.left("ann", b.said(2*time.Hour)))
		}, "a closed, b due"},
		"old news of another address where one has settled": {func(b *book) {
			b.becomeDue(b.now, "a", "b")
			b.closeIn("a", "ann")
			b.record(b.left("ann", b.said(2*time.Hour), also("a2@acme.com")))
		}, "a closed, b due,  waiting"},
		"both have settled": {func(b *book) {
			b.becomeDue(b.now, "a", "b")
			b.closeIn("a", "ann")
			b.closeIn("b", "ann")
			b.record(b.left("ann", b.said(time.Minute)))
			b.becomeDue(b.now, "a", "b")
		}, "a closed, b closed, a due, b due"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann"))
			tt.do(b)
			if got := b.stands("ann"); got != tt.want {
				t.Errorf("ann is %s, want %s", got, tt.want)
			}
			b.verify()
		})
	}
}

func TestFailedIsDueInItsAccountOnly(t *testing.T) {
	b := newBook(t)
	b.toState(Failed)
	later := b.now.Add(25 * time.Hour)
	if b.becomeDue(later, "other"); len(b.dueIn(account, later)) != 0 {
		t.Error("due, though its account is not worked in")
	}
	if b.becomeDue(later, "other", account); len(b.dueIn(account, later)) != 1 || len(b.entries("ann")) != 1 {
		t.Errorf("ann is %s, want due in its own account alone", b.stands("ann"))
	}
}

func TestUrgentGoesFirst(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"))
	if due, err := b.UrgentDue(t.Context(), "", b.now, b.now); err != nil || due {
		t.Errorf("urgent due %v (%v), want not", due, err)
	}
	b.record(b.left("bob", urgent))
	if due, err := b.UrgentDue(t.Context(), "", b.now, b.now); err != nil || !due {
		t.Errorf("urgent due %v (%v), want so", due, err)
	}
	if plan := b.due(b.now); len(plan) != 2 || plan[0].Entry.Leaver != "bob@acme.com" {
		t.Errorf("plan %+v, want bob first", plan)
	}
	if alone, err := b.Due(t.Context(), account, b.now, true); err != nil || len(alone) != 1 {
		t.Errorf("%d urgent (%v), want bob alone", len(alone), err)
	}
}

// Each account has all that was said of the leaver.
func TestSplitKeepsWhatWasSaid(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", urgent, also("a2@acme.com"), b.said(2*week), b.leaving(-2*week)))
	b.becomeDue(b.now, "a", "b")
	all := b.entries("ann")
	if len(all) != 2 {
		t.Fatalf("%d entries, want two", len(all))
	}
	first, second := all[0], all[1]
	second.ID, second.Account = first.ID, first.Account
	if fmt.Sprintf("%+v", first) != fmt.Sprintf("%+v", second) || !second.Stale {
		t.Errorf("got %+v and %+v, want the same but for id and account", first, second)
	}
	columns := `employee_id || termination_id || manager_email || given_name || family_name || legal_entity || department || word_at`
	if n := b.text(`SELECT COUNT(DISTINCT ` + columns + `) FROM entries`); n != "1" {
		t.Error("the entries of one leaving differ in what they know of it")
	}
	if got := b.text(`SELECT facts FROM audit WHERE action = 'due' AND entry = 2`); got != `{"account":"b","from":1}` {
		t.Errorf("audit says %s", got)
	}
}

// While an entry waits for its day the watch may open one in every account.
func TestWaitingEntryGivesWay(t *testing.T) {
	b := newBook(t, func(c *Config) { c.Watch = week })
	b.toState(Closed)
	b.record(b.left("ann", b.said(time.Minute), b.leaving(time.Hour), also("a2@acme.com"), urgent))
	waiting := b.entries("ann")[1].ID
	b.mustReturn(b.entries("ann")[0])
	b.becomeDue(b.now.Add(2*time.Hour), account)
	all := b.entries("ann")
	if len(all) != 3 || all[1].State != Cancelled || all[1].Reason != sameAsOpen || all[1].SettledAt.IsZero() {
		t.Fatalf("ann is %s, want the waiting entry cancelled", b.stands("ann"))
	}
	returned := all[2]
	if !slices.Equal(returned.Emails, []string{"ann@acme.com", "a2@acme.com"}) || !returned.Urgent || !returned.EffectiveAt.Equal(b.now.Add(time.Hour)) {
		t.Errorf("got %+v, want it to know what the waiting one knew", returned)
	}
	if n := b.text(`SELECT COUNT(*) FROM keys WHERE entry = $1`, waiting); n != "0" {
		t.Error("an event leads to the entry that gave way")
	}
	b.record(b.left("ann", b.said(time.Second)))
	if n := len(b.entries("ann")); n != 3 {
		t.Errorf("%d entries, want a later word to find the open one", n)
	}
	b.verify()
}

// An entry for an address that old news brought does not look at the others,
// until a word that is new for them comes.
func TestOldNewsOfAnotherAddress(t *testing.T) {
	for name, tt := range map[string]struct {
		said time.Duration // ago; the first word: an hour; the old news: three
		want []string
	}{
		"alone":                  {0, []string{"a2@acme.com"}},
		"then more of old news":  {2 * time.Hour, []string{"a2@acme.com"}},
		"then news for them all": {time.Minute, []string{"a2@acme.com", "ann@acme.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.toState(Closed)
			b.record(b.left("ann", b.said(3*time.Hour), also("a2@acme.com")))
			if tt.said > 0 {
				b.record(b.left("ann", b.said(tt.said)))
			}
			if got := b.entries("ann"); len(got) != 2 || !slices.Equal(got[1].Emails, tt.want) {
				t.Errorf("got %+v, want a second entry of %v", got, tt.want)
			}
		})
	}
}

// Whatever comes in whatever order: a leaver has one open entry in an account at
// most, and each account looks at each address and hears the latest word.
func TestAccountsAtRandom(t *testing.T) {
	for seed := range uint64(15) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			b := newBook(t, func(c *Config) { c.Watch = week })
			r := rand.New(rand.NewPCG(seed, 0))
			random := randomDays{book: b, r: r, accounts: []string{"a", "b", "c"}, heard: make(map[string]bool)}
			for range 40 {
				random.step()
				if n := b.text(`SELECT COUNT(*) FROM (SELECT 1 FROM entries WHERE settled_at = 0 GROUP BY leaver, account HAVING COUNT(*) > 1)`); n != "0" {
					t.Fatal("a leaver has two open entries in an account")
				}
			}
			b.becomeDue(b.now.Add(week), random.accounts...)
			random.check()
			b.verify()
		})
	}
}

// randomDays is what may happen to one leaver.
type randomDays struct {
	*book
	r        *rand.Rand
	accounts []string
	heard    map[string]bool // addresses
	latest   time.Time
}

func (d *randomDays) step() {
	account := d.accounts[d.r.IntN(len(d.accounts))]
	switch d.r.IntN(6) {
	case 0, 1:
		d.hear()
	case 2:
		d.becomeDue(d.now.Add(time.Duration(d.r.IntN(2))*time.Hour), d.accounts...)
	case 3:
		watched, err := d.Watched(d.t.Context(), account, time.Now().Add(time.Minute))
		if err != nil {
			d.t.Fatal(err)
		}
		returned := make(map[string]bool)
		for _, e := range watched {
			if !returned[e.Leaver] { // the others wait for what becomes of that
				d.mustReturn(e)
			}
			returned[e.Leaver] = true
		}
	default:
		for _, r := range d.dueIn(account, d.now.Add(2*time.Hour)) {
			d.settle(account, r)
		}
	}
}

func (d *randomDays) hear() {
	e := d.left("ann", d.when(), d.leaving(time.Duration(d.r.IntN(3)-1)*30*time.Minute))
	if d.r.IntN(3) == 0 {
		e.OtherEmails = []string{fmt.Sprintf("a%d@acme.com", d.r.IntN(4))}
	}
	d.record(e)
	for _, a := range append([]string{e.Email}, e.OtherEmails...) {
		d.heard[a] = true
	}
	if e.OccurredAt.After(d.latest) {
		d.latest = e.OccurredAt
	}
}

func (d *randomDays) when() func(*consumer.Event) {
	return d.book.said(time.Duration(d.r.IntN(60)) * time.Minute)
}

func (d *randomDays) settle(account string, r Resolved) {
	d.t.Helper()
	switch d.r.IntN(4) {
	case 0:
		if _, err := d.Settle(d.t.Context(), []Settlement{{Entry: r.Entry, Outcome: NotFound}}); err != nil {
			d.t.Fatal(err)
		}
	case 1:
		h, err := d.MakeHold(d.t.Context(), account, []Kind{Protected}, "", false, []Resolved{r})
		if err != nil {
			d.t.Fatal(err)
		}
		if d.r.IntN(2) == 0 && h.ID != 0 {
			_, _, err = d.Reject(d.t.Context(), d.word(h.ID, "ana", "no"))
		}
		if err != nil {
			d.t.Fatal(err)
		}
	default:
		batch := d.submitIn(account, r)
		d.answer(batch, map[string]Result{userOf(r.Entry): {Closed: d.r.IntN(4) > 0, Reason: "NO"}})
	}
}

func (d *randomDays) check() {
	d.t.Helper()
	if d.latest.IsZero() {
		return
	}
	for _, account := range d.accounts {
		word := d.text(`SELECT COALESCE(MAX(word_at), 0) FROM entries WHERE account = $1`, account)
		if want := fmt.Sprint(micros(d.latest)); word != want {
			d.t.Errorf("account %s has heard %s, and the latest word is of %s: ann is %s", account, word, want, d.stands("ann"))
		}
		for address := range d.heard {
			if n := d.text(`SELECT COUNT(*) FROM entries WHERE account = $1 AND emails LIKE '%"' || $2 || '"%'`, account, address); n == "0" {
				d.t.Errorf("account %s never looked at %s", account, address)
			}
		}
	}
	if n := d.text(`SELECT COUNT(*) FROM keys k LEFT JOIN entries e ON e.id = k.entry WHERE e.id IS NULL OR e.reason = '` + sameAsOpen + `'`); n != "0" {
		d.t.Errorf("%s events lead nowhere", n)
	}
}
