package ledger

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"signoff/consumer"
)

const twoDays = 48 * time.Hour

// ahead are the leavers whom a look ahead in the account would look for now.
func (b *book) ahead(account string) []Entry {
	b.t.Helper()
	entries, err := b.LookAhead(b.t.Context(), account, b.now, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	return entries
}

// finds writes what was found of an entry in an account, and says whether it was news.
func (b *book) finds(f Finding) bool {
	b.t.Helper()
	changed, err := b.Foresee(b.t.Context(), []Finding{f}, map[int64]bool{f.Entry.ID: true}, 24*time.Hour)
	if err != nil {
		b.t.Fatal(err)
	}
	return len(changed) == 1
}

// administrator is the finding that somebody is one.
func administrator(e Entry, in string, users ...string) Finding {
	return Finding{Entry: e, Account: in, Outcome: Held, Kinds: []Kind{Administrator}, Detail: "an administrator", Users: with(e, users...).Users}
}

func (b *book) rejectHold(id int64) []Settled {
	b.t.Helper()
	_, settled, err := b.Reject(b.t.Context(), b.word(id, "ana", "stays"))
	if err != nil {
		b.t.Fatal(err)
	}
	return settled
}

func (b *book) expireAhead(accounts ...string) {
	b.t.Helper()
	if err := b.ExpireAhead(b.t.Context(), accounts, b.now); err != nil {
		b.t.Fatal(err)
	}
}

func TestWhoIsLookedForAhead(t *testing.T) {
	for name, tt := range map[string]struct {
		say  func(*book) // of ann
		want int
	}{
		"due in two days": {func(b *book) { b.record(b.left("ann", b.leaving(twoDays))) }, 1},
		"due in eight":    {func(b *book) { b.record(b.left("ann", b.leaving(8*24*time.Hour))) }, 0},
		"due now":         {func(b *book) { b.record(b.left("ann")) }, 0},
		"who has been already": {func(b *book) {
			b.record(b.left("ann", b.leaving(twoDays)))
			b.finds(Finding{Entry: b.entry("ann"), Account: account, Outcome: NotFound})
		}, 0},
		"in another account": {func(b *book) {
			b.record(b.left("ann", b.leaving(twoDays)))
			b.finds(Finding{Entry: b.entry("ann"), Account: "other", Outcome: NotFound})
		}, 1},
		"who was moved since": {func(b *book) {
			b.record(b.left("ann", b.leaving(twoDays)))
			b.finds(Finding{Entry: b.entry("ann"), Account: account, Outcome: NotFound})
			b.record(b.left("ann", b.leaving(twoDays+time.Hour), b.said(0)))
		}, 1},
		"who was refused": {func(b *book) {
			b.record(b.left("ann", b.leaving(twoDays)))
			b.finds(administrator(b.entry("ann"), account, "id-ann"))
			b.rejectHold(b.openHolds()[0].ID)
		}, 0},
		"who is open in the account by then": {func(b *book) {
			b.record(b.left("ann"))
			b.becomeDue(b.now, account, "other")
			b.closeIn("other", "ann")
			b.record(b.left("ann", b.leaving(twoDays), b.said(0)))
			b.raw(`UPDATE entries SET state = 'due', due_at = 1 WHERE account = $1`, account)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			tt.say(b)
			if got := b.ahead(account); len(got) != tt.want {
				t.Errorf("%d are looked for, want %d", len(got), tt.want)
			}
		})
	}
}

func TestFindingIsOnRecordWhenItChanges(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.leaving(twoDays)))
	e := b.ahead(account)[0]
	rows := func() string { return b.text(`SELECT COUNT(*) FROM audit WHERE action = 'ahead'`) }
	found := Finding{Entry: e, Account: account, Outcome: NotFound}
	if !b.finds(found) || b.finds(found) || rows() != "1" {
		t.Errorf("%s rows, want one", rows())
	}
	if !b.finds(administrator(e, account, "id-ann")) || rows() != "2" {
		t.Errorf("%s rows, want another for another finding", rows())
	}
	if got := b.text(`SELECT facts FROM audit WHERE action = 'ahead' ORDER BY seq DESC LIMIT 1`); got != `{"account":"`+account+`","hold":1,"kinds":["administrator"],"outcome":"held","users":["id-ann"]}` {
		t.Errorf("it says %s", got)
	}
	all, err := b.Findings(t.Context())
	if err != nil || len(all) != 1 || all[0].Outcome != Held || all[0].Users[0].ID != "id-ann" || !all[0].Entry.DueAt.Equal(e.DueAt) {
		t.Errorf("findings %+v (%v)", all, err)
	}
	b.record(b.left("ann", b.leaving(twoDays+time.Hour), b.said(0)))
	if b.finds(found) {
		t.Error("a finding of the old day was taken")
	}
	b.expireAhead(account)
	if all, err := b.Findings(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("findings %+v (%v) of the old day", all, err)
	}
	b.verify()
}

func TestUnknownIsLookedForAgainSoon(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.leaving(twoDays)))
	b.finds(Finding{Entry: b.entry("ann"), Account: account, Detail: "could not be looked up"})
	for in, want := range map[time.Duration]int{30 * time.Minute: 0, 2 * time.Hour: 1} {
		if got, err := b.LookAhead(t.Context(), account, b.now.Add(in), b.now.Add(in)); err != nil || len(got) != want {
			t.Errorf("%v after: %d are looked for (%v), want %d", in, len(got), err, want)
		}
	}
}

func TestWordsOfFindings(t *testing.T) {
	for name, tt := range map[string]struct {
		findings []Finding
		want     string
	}{
		"would be closed":        {[]Finding{{Outcome: Closed}, {Outcome: AlreadyClosed}}, "[]"},
		"nowhere":                {[]Finding{{Outcome: NotFound}, {Outcome: NotFound}}, "[not_found]"},
		"in one of two":          {[]Finding{{Outcome: NotFound}, {Outcome: Closed}}, "[]"},
		"not looked up in one":   {[]Finding{{Outcome: NotFound}, {}}, "[unknown]"},
		"for more than one kind": {[]Finding{{Outcome: Held, Kinds: []Kind{Protected, Administrator}}, {Outcome: Held, Kinds: []Kind{Limit}}}, "[administrator limit protected]"},
	} {
		if got := fmt.Sprint(WordsOf(tt.findings)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	for _, w := range FindingWords() {
		if w == string(Returned) || w == string(Reopening) {
			t.Errorf("%s is found ahead", w)
		}
	}
}

// TestHoldAheadEnds has the hold end with what it asks about.
func TestHoldAheadEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		then func(*book)
		open int
	}{
		"nothing happens":       {func(*book) {}, 1},
		"the same word again":   {func(b *book) { b.record(b.left("ann", b.leaving(twoDays), b.said(0))) }, 1},
		"the leaving day moves": {func(b *book) { b.record(b.left("ann", b.leaving(3*24*time.Hour), b.said(0))) }, 0},
		"it is taken back": {func(b *book) {
			b.record(b.left("ann", b.said(0), func(e *consumer.Event) { e.Kind = consumer.Rescinded }))
		}, 0},
		"the time comes":          {func(b *book) { b.becomeDue(b.now.Add(twoDays), account) }, 0},
		"it is no question more":  {func(b *book) { b.finds(Finding{Entry: b.entry("ann"), Account: account, Outcome: Closed}) }, 0},
		"it could not be told":    {func(b *book) { b.finds(Finding{Entry: b.entry("ann"), Account: account}) }, 1},
		"another user, and again": {func(b *book) { b.finds(administrator(b.entry("ann"), account, "new")) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", b.leaving(twoDays)))
			b.finds(administrator(b.ahead(account)[0], account, "id-ann"))
			first := b.openHolds()[0]
			tt.then(b)
			open := b.openHolds()
			if len(open) != tt.open {
				t.Errorf("open are %+v, want %d", open, tt.open)
			}
			ended := len(open) == 0 || open[0].ID != first.ID
			if got := b.text(`SELECT COUNT(*) FROM audit WHERE action = 'hold_expired'`); got != map[bool]string{true: "1", false: "0"}[ended] {
				t.Errorf("%s ends on record, and the first hold has ended: %v", got, ended)
			}
			b.verify()
		})
	}
}

// TestHoldAheadEndsWhicheverWay has the entry leave its state by a way that does
// not know of holds ahead.
func TestHoldAheadEndsWhicheverWay(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.leaving(twoDays)))
	b.finds(administrator(b.entry("ann"), account, "id-ann"))
	b.raw(`UPDATE entries SET state = 'skipped'`)
	b.expireAhead(account)
	if open := b.openHolds(); len(open) != 0 {
		t.Errorf("open are %+v", open)
	}
	if all, err := b.Findings(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("findings %+v (%v) of who does not wait", all, err)
	}
}

// TestApprovalAheadIsGoodInEachAccount has an entry that waits for no account yet.
func TestApprovalAheadIsGoodInEachAccount(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.leaving(twoDays)))
	for _, in := range []string{account, "other"} {
		b.finds(administrator(b.entry("ann"), in, "id-ann"))
	}
	for _, h := range b.openHolds() {
		b.approve(h.ID)
	}
	then := b.now.Add(twoDays)
	b.becomeDue(then, account, "other", "third")
	for in, want := range map[string]bool{account: true, "other": true, "third": false} {
		for after, good := range map[time.Duration]bool{0: true, 23 * time.Hour: true, 25 * time.Hour: false} {
			r := b.dueIn(in, then.Add(after))[0]
			if got := r.Entry.Approved(Administrator, r.Users); got != (want && good) {
				t.Errorf("in %s, %v after: approved %v, want %v", in, after, got, want && good)
			}
		}
	}
}

func TestRefusedAhead(t *testing.T) {
	for name, tt := range map[string]struct {
		accounts []string
		then     func(*book)
		want     string // states by account, once the day has come
	}{
		"in the only account":  {[]string{account}, nil, account + " skipped"},
		"in one of two":        {[]string{account, "other"}, nil, account + " skipped, other due"},
		"in the second of two": {[]string{"other", account}, nil, account + " skipped, other due"},
		"and another address turns up": {[]string{account, "other"}, func(b *book) {
			b.record(b.left("ann", b.leaving(twoDays), b.said(0), also("ann.b@acme.com")))
		}, account + " due, " + account + " skipped, other due"},
		"and the day moves": {[]string{account, "other"}, func(b *book) {
			b.record(b.left("ann", b.leaving(twoDays-time.Hour), b.said(0)))
		}, account + " due, " + account + " skipped, other due"},
		"and it is taken back": {[]string{account, "other"}, func(b *book) {
			b.record(b.left("ann", b.said(0), func(e *consumer.Event) { e.Kind = consumer.Rescinded }))
		}, " cancelled, " + account + " skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", b.leaving(twoDays)))
			b.expireAhead(tt.accounts...)
			b.finds(administrator(b.entry("ann"), account, "id-ann"))
			settled := b.rejectHold(b.openHolds()[0].ID)
			if len(settled) != 1 || settled[0].Outcome != Skipped || settled[0].Entry.Account != account {
				t.Errorf("settled %+v, want one skipped", settled)
			}
			if got := b.outcomes(0); len(got) != 1 || got[0].What != What(Skipped) || got[0].By != "ana" || got[0].Reason != "stays" {
				t.Errorf("outcomes %+v, want one skipped by ana", got)
			}
			if tt.then != nil {
				tt.then(b)
			}
			b.becomeDue(b.now.Add(twoDays), tt.accounts...)
			var got []string
			for _, e := range b.all() {
				got = append(got, fmt.Sprintf("%s %s", e.Account, e.State))
			}
			slices.Sort(got)
			if text := join(got); text != tt.want {
				t.Errorf("the entries are %s, want %s", text, tt.want)
			}
			b.verify()
		})
	}
}

func join(words []string) (text string) {
	for i, w := range words {
		if i > 0 {
			text += ", "
		}
		text += w
	}
	return text
}

// TestRefusedInEveryAccount leaves nothing to become due.
func TestRefusedInEveryAccount(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.leaving(twoDays)))
	b.expireAhead(account, "other")
	for _, in := range []string{account, "other"} {
		b.finds(administrator(b.entries("ann")[0], in, "id-ann"))
	}
	for _, h := range b.openHolds() {
		b.rejectHold(h.ID)
	}
	b.becomeDue(b.now.Add(twoDays), account, "other")
	var got []string
	for _, e := range b.all() {
		got = append(got, fmt.Sprintf("%s %s", e.Account, e.State))
	}
	if text := join(got); text != account+" skipped, other skipped" {
		t.Errorf("the entries are %s", text)
	}
	if got := b.text(`SELECT reason FROM entries WHERE state = 'cancelled'`); got != sameAsOpen {
		t.Errorf("the one that waited is cancelled for %q, want %q", got, sameAsOpen)
	}
}

// approvesAhead is somebody's yes to ann and bob, who leave in two days, from then on.
func (b *book) approvesAhead(by Person, people ...Entry) (Hold, error) {
	b.t.Helper()
	p := PlanAhead{Account: account, From: b.now.Add(twoDays), Until: b.now.Add(twoDays + time.Hour), By: by, Reason: "the office closes"}
	for _, e := range people {
		p.People = append(p.People, with(e, userOf(e)))
	}
	return b.ApproveAhead(b.t.Context(), p, aDay)
}

func TestApproveAheadIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		by     Person
		change func(b *book, e Entry) Entry
		want   error
	}{
		"to who stands in it": {Person{Name: "bob", Email: "Ann@acme.com"}, nil, ErrStandsIn},
		"to who brought it": {Person{Name: "ana"}, func(b *book, e Entry) Entry {
			b.raw(`UPDATE entries SET brought_by = 'ana'`)
			return e
		}, ErrBrought},
		"once somebody has gone": {Person{Name: "ana"}, func(b *book, e Entry) Entry {
			b.raw(`UPDATE entries SET state = 'due'`)
			return e
		}, ErrPlanChanged},
		"once there is another address": {Person{Name: "ana"}, func(b *book, e Entry) Entry {
			b.record(b.left("ann", b.leaving(twoDays), b.said(0), also("ann.b@acme.com")))
			return e
		}, ErrPlanChanged},
		"once the day has moved": {Person{Name: "ana"}, func(b *book, e Entry) Entry {
			b.record(b.left("ann", b.leaving(twoDays-time.Hour), b.said(0)))
			return e
		}, ErrPlanChanged},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", b.leaving(twoDays)))
			e := b.ahead(account)[0]
			if tt.change != nil {
				e = tt.change(b, e)
			}
			if h, err := b.approvesAhead(tt.by, e); !errors.Is(err, tt.want) {
				t.Errorf("hold %+v, %v, want %v", h, err, tt.want)
			}
			if got := b.text(`SELECT COUNT(*) FROM holds`); got != "0" {
				t.Errorf("%s holds are left of it", got)
			}
		})
	}
}

func TestApproveAheadOfNobodyAndOfNow(t *testing.T) {
	b := newBook(t)
	if _, err := b.approvesAhead(Person{Name: "ana"}); !errors.Is(err, ErrNobody) {
		t.Errorf("of nobody: %v", err)
	}
	_, err := b.ApproveAhead(t.Context(), PlanAhead{Account: account, From: b.now, Until: b.now.Add(time.Hour), By: Person{Name: "ana"}}, aDay)
	if !errors.Is(err, ErrNotAhead) {
		t.Errorf("of now: %v", err)
	}
}

func TestPlanBeginsOnce(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.leaving(twoDays)), b.left("bob", b.leaving(twoDays)))
	h, err := b.approvesAhead(Person{Name: "ana"}, b.ahead(account)...)
	if err != nil || h.State != HoldApproved || len(h.Users) != 2 || h.Digest != PlanDigest(account, []Resolved{with(b.entry("bob"), "id-bob"), with(b.entry("ann"), "id-ann")}) {
		t.Fatalf("hold %+v (%v)", h, err)
	}
	if got := b.text(`SELECT COUNT(*) FROM audit WHERE action = 'approved_ahead'`); got != "2" {
		t.Errorf("%s on record, want each", got)
	}
	from := b.now.Add(twoDays)
	for name, tt := range map[string]struct {
		since, now time.Time
		in         string
		want       bool
	}{
		"a moment before": {b.now, from.Add(-time.Second), account, false},
		"then":            {b.now, from, account, true},
		"in another":      {b.now, from, "other", false},
		"run since":       {from, from.Add(time.Second), account, false},
		"over":            {b.now, from.Add(time.Hour), account, false},
	} {
		if got, err := b.PlanBegins(t.Context(), tt.in, tt.since, tt.now); err != nil || got != tt.want {
			t.Errorf("%s: begins %v (%v), want %v", name, got, err, tt.want)
		}
	}
	if before, err := b.RunBefore(t.Context(), account); err != nil || before {
		t.Errorf("a plan was approved before its time: %v (%v)", before, err)
	}
}

// TestTakeUpPlans has people held for a limit when their plan's time comes.
func TestTakeUpPlans(t *testing.T) {
	for name, tt := range map[string]struct {
		kind  Kind
		users []string // of ann in the hold
		at    time.Duration
		want  State
	}{
		"for the limit":        {Limit, []string{"id-ann"}, 0, Due},
		"before its time":      {Limit, []string{"id-ann"}, -time.Minute, Held},
		"after its time":       {Limit, []string{"id-ann"}, time.Hour, Held},
		"for what they are":    {Protected, []string{"id-ann"}, 0, Held},
		"with a user more":     {Limit, []string{"id-ann", "new"}, 0, Held},
		"under another userId": {Limit, []string{"new"}, 0, Held},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", b.leaving(twoDays-time.Hour)))
			if _, err := b.approvesAhead(Person{Name: "ana"}, b.ahead(account)...); err != nil {
				t.Fatal(err)
			}
			b.becomeDue(b.now.Add(twoDays-time.Hour), account)
			e := b.dueIn(account, b.now.Add(twoDays-time.Hour))[0].Entry
			b.hold([]Resolved{with(e, tt.users...)}, tt.kind)
			if err := b.TakeUpPlans(t.Context(), account, b.now.Add(twoDays+tt.at)); err != nil {
				t.Fatal(err)
			}
			b.is("ann", tt.want)
			if open := len(b.openHolds()); (open == 0) != (tt.want == Due) {
				t.Errorf("%d holds are open", open)
			}
		})
	}
}

func TestAheadOfATime(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.leaving(twoDays)), b.left("bob"), b.left("cas"), b.left("dee", b.leaving(3*24*time.Hour)))
	b.becomeDue(b.now, account)
	b.hold(b.dueIn(account, b.now)[:1], Limit)
	b.record(b.left("eve"))
	for at, want := range map[time.Duration]string{0: "2 0 1", twoDays: "1 2 1", 4 * 24 * time.Hour: "2 2 1"} {
		a, err := b.Ahead(t.Context(), account, b.now.Add(at), b.now)
		if got := fmt.Sprint(len(a.Entries), a.Due, a.Held); err != nil || got != want {
			t.Errorf("in %v: %s entries, due, held (%v), want %s", at, got, err, want)
		}
	}
}

func TestSelfIsKept(t *testing.T) {
	b := newBook(t)
	if self, leaving, err := b.SelfLeaving(t.Context(), account); err != nil || len(leaving) != 0 {
		t.Errorf("%v leaves by %v (%v), and nobody knows who", self, leaving, err)
	}
	if err := b.SetSelf(t.Context(), User{ID: "me", Email: " Ann@Acme.com"}); err != nil {
		t.Fatal(err)
	}
	b.record(b.left("bob", b.leaving(30*24*time.Hour), also("ann@acme.com")), b.left("xann", b.leaving(twoDays)))
	self, leaving, err := b.SelfLeaving(t.Context(), account)
	if err != nil || self.ID != "me" || len(leaving) != 1 || leaving[0].Leaver != "bob@acme.com" {
		t.Fatalf("%+v leaves by %+v (%v), want bob, who is also ann", self, leaving, err)
	}
	for _, want := range []bool{true, false} {
		if made, err := b.HoldSelf(t.Context(), account, leaving[0], self, "ends", 24*time.Hour); err != nil || made != want {
			t.Errorf("made %v (%v), want %v", made, err, want)
		}
	}
	if _, err := b.Approve(t.Context(), b.word(b.openHolds()[0].ID, "ana", ""), aDay); !errors.Is(err, ErrSelf) {
		t.Errorf("approved: %v", err)
	}
	b.rejectHold(b.openHolds()[0].ID)
	if _, leaving, err := b.SelfLeaving(t.Context(), account); err != nil || len(leaving) != 0 {
		t.Errorf("%+v leaves still (%v), though it was refused", leaving, err)
	}
}
