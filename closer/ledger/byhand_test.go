package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

// byAna is ana's word about somebody.
func byAna(name string) ByHand {
	return ByHand{Email: name + "@acme.com", By: Person{Name: "ana", Email: "ana@acme.com"}, Reason: "because"}
}

// moves is what a person's word moved, in a line for each entry.
func moves(all []Moved) string {
	var lines []string
	for _, m := range all {
		line := fmt.Sprintf("%d %s: %s → %s", m.Entry, m.Account, m.Before, m.After)
		if m.Why != "" {
			line += ": " + m.Why
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// must fails unless a person's word moved something.
func (b *book) must(moved []Moved, err error) []Moved {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	return moved
}

func (b *book) deferTo(name string, in time.Duration) []Moved {
	b.t.Helper()
	return b.must(b.Defer(b.t.Context(), byAna(name), b.now.Add(in)))
}

func TestDeferInEveryState(t *testing.T) {
	for _, s := range []State{Due, Held, WouldClose, Failed} {
		t.Run(string(s), func(t *testing.T) {
			b := newBook(t)
			b.toState(s)
			if got, want := moves(b.deferTo("ann", 72*time.Hour)), fmt.Sprintf("1 acc: %s → waiting", s); got != want {
				t.Errorf("moved %s, want %s", got, want)
			}
			if got := b.due(b.now.Add(71 * time.Hour)); len(got) != 0 {
				t.Error("due before that")
			}
			if len(b.openHolds()) != 0 {
				t.Error("a hold is left that holds nobody")
			}
			got := b.due(b.now.Add(72 * time.Hour))
			if len(got) != 1 || got[0].Entry.Attempts != 0 || got[0].Entry.Reason != "" {
				t.Errorf("due then: %+v", got)
			}
			b.verify()
		})
	}
}

func TestSubmittedIsLeftAlone(t *testing.T) {
	for name, say := range map[string]func(*book) error{
		"defer":  func(b *book) error { _, err := b.Defer(b.t.Context(), byAna("ann"), b.now.Add(week)); return err },
		"urgent": func(b *book) error { _, err := b.Urgent(b.t.Context(), byAna("ann")); return err },
		"skip":   func(b *book) error { _, _, err := b.Skip(b.t.Context(), byAna("ann")); return err },
		"retry":  func(b *book) error { _, err := b.Retry(b.t.Context(), byAna("ann")); return err },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.toState(Submitted)
			var stands *StandsError
			if err := say(b); !errors.As(err, &stands) || !strings.Contains(err.Error(), "account acc: submitted: a close is on its way") {
				t.Errorf("%v", err)
			}
			b.is("ann", Submitted)
		})
	}
}

func TestByHandAboutWhom(t *testing.T) {
	for name, tt := range map[string]struct {
		email string
		by    Person
		want  error // nil: it is done
	}{
		"an address of hers":               {"ann@acme.com", Person{Name: "ana"}, nil},
		"a further address":                {"a2@acme.com", Person{Name: "ana"}, nil},
		"an address in the entry alone":    {"a3@acme.com", Person{Name: "ana"}, nil},
		"nobody's":                         {"zoe@acme.com", Person{Name: "ana"}, ErrNoLeaver},
		"herself by the token's email":     {"a2@acme.com", Person{Name: "ann", Email: "Ann@Acme.com"}, ErrStandsIn},
		"herself by the token's name":      {"ann@acme.com", Person{Name: "A2@acme.com"}, ErrStandsIn},
		"herself by one in the entry only": {"ann@acme.com", Person{Name: "x", Email: "a3@acme.com"}, ErrStandsIn},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", b.leaving(week), also("a2@acme.com")))
			b.raw(`UPDATE entries SET emails = '["ann@acme.com","a2@acme.com","a3@acme.com"]'`)
			if _, _, err := b.Skip(t.Context(), ByHand{Email: tt.email, By: tt.by, Reason: "because"}); !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if tt.want != nil {
				b.is("ann", Waiting)
			}
		})
	}
}

func TestAddressOfManyTellsNobody(t *testing.T) {
	b := newBook(t)
	for _, name := range []string{"ann", "bob", "cas", "dan", "eve"} {
		b.record(b.left(name, also("all@acme.com")))
	}
	if _, _, err := b.Skip(t.Context(), byAna("all")); !errors.Is(err, ErrManyLeavers) {
		t.Errorf("%v", err)
	}
	b.is("ann", Waiting)
}

func TestUntilIsWithinAYear(t *testing.T) {
	b := newBook(t)
	b.toState(Due)
	for _, in := range []time.Duration{-time.Second, 0, 367 * 24 * time.Hour} {
		if _, err := b.Defer(t.Context(), byAna("ann"), b.now.Add(in)); !errors.Is(err, ErrUntil) {
			t.Errorf("in %v: %v", in, err)
		}
	}
	b.is("ann", Due)
}

func TestDeferringHastensNobody(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.leaving(week)))
	var stands *StandsError
	if _, err := b.Defer(t.Context(), byAna("ann"), b.now.Add(week/2)); !errors.As(err, &stands) {
		t.Fatalf("%v, want it refused: that is before the leaving day", err)
	}
	if e := b.entry("ann"); !e.DueAt.Equal(b.now.Add(week)) {
		t.Errorf("due %v", e.DueAt)
	}
	b.deferTo("ann", 3*week)
	b.deferTo("ann", 2*week) // a shorter deferral
	if e := b.entry("ann"); !e.DueAt.Equal(b.now.Add(2 * week)) {
		t.Errorf("due %v, want the last word", e.DueAt)
	}
}

func TestApprovalOfBeforeADeferralDoesNotCount(t *testing.T) {
	b := newBook(t)
	b.approve(b.hold(b.plan("ann"), Protected).ID)
	b.deferTo("ann", time.Hour)
	if plan := b.due(b.now.Add(time.Hour)); len(plan) != 1 || len(plan[0].Entry.Approvals) != 0 {
		t.Errorf("plan %+v, want it without an approval", plan)
	}
}

// TestApprovalAheadOfADeferral is of the first entry of a leaving, from which those
// of the accounts are split.
func TestApprovalAheadOfADeferral(t *testing.T) {
	for name, deferred := range map[string]bool{"deferred since": true, "not deferred": false} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", b.leaving(week)))
			for i, id := range []string{account, "second"} {
				b.raw(`INSERT INTO holds (id, account, kinds, state, digest, created_at, ahead, valid_from, expires_at) VALUES (?, ?, 'limit', 'approved', '', 1, 1, 1, ?)`,
					i+1, id, micros(b.now.Add(4*week)))
				b.raw(`INSERT INTO hold_users (hold, entry, user_id, email, decided) VALUES (?, 1, 'id-ann', 'ann@acme.com', 1)`, i+1)
			}
			want := 1
			if deferred {
				b.deferTo("ann", 2*week)
				want = 0
			}
			at := b.now.Add(2 * week)
			b.becomeDue(at, account, "second")
			for _, id := range []string{account, "second"} {
				if plan := b.dueIn(id, at); len(plan) != 1 || len(plan[0].Entry.Approvals) != want {
					t.Errorf("in %s: %+v, want %d approvals", id, plan, want)
				}
			}
		})
	}
}

func TestRetryIsNotApproved(t *testing.T) {
	b := newBook(t)
	b.approve(b.hold(b.plan("ann"), Protected).ID)
	if _, _, err := b.Skip(t.Context(), byAna("ann")); err != nil {
		t.Fatal(err)
	}
	b.must(b.Retry(t.Context(), byAna("ann")))
	if plan := b.dueIn(account, time.Now()); len(plan) != 1 || len(plan[0].Entry.Approvals) != 0 {
		t.Errorf("plan %+v, want it without the approval of before it was skipped", plan)
	}
}

func TestEventsAndADeferral(t *testing.T) {
	const until = 72 * time.Hour
	for name, tt := range map[string]struct {
		event []func(b *book) func(*consumer.Event)
		want  time.Duration // due
	}{
		"the same again":          {nil, until},
		"a day before it":         {[]func(*book) func(*consumer.Event){leavingIn(time.Hour)}, until},
		"a day after it":          {[]func(*book) func(*consumer.Event){leavingIn(week)}, week},
		"urgent":                  {[]func(*book) func(*consumer.Event){isUrgent}, 0},
		"urgent, on a later day":  {[]func(*book) func(*consumer.Event){isUrgent, leavingIn(time.Hour)}, time.Hour},
		"urgent, but said before": {[]func(*book) func(*consumer.Event){isUrgent, saidAgo(2 * time.Hour)}, until},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.toState(Due)
			b.deferTo("ann", until)
			changes := []func(*consumer.Event){b.said(time.Minute)}
			for _, c := range tt.event {
				changes = append(changes, c(b))
			}
			b.record(b.left("ann", changes...))
			if e := b.entry("ann"); !e.DueAt.Equal(b.now.Add(tt.want)) {
				t.Errorf("due in %v, want %v", e.DueAt.Sub(b.now), tt.want)
			}
			if got := len(b.due(b.now.Add(tt.want).Add(-time.Second))); got != 0 {
				t.Error("due before that")
			}
			if got := len(b.due(b.now.Add(tt.want))); got != 1 {
				t.Error("not due then")
			}
		})
	}
}

func leavingIn(d time.Duration) func(*book) func(*consumer.Event) {
	return func(b *book) func(*consumer.Event) { return b.leaving(d) }
}

func saidAgo(d time.Duration) func(*book) func(*consumer.Event) {
	return func(b *book) func(*consumer.Event) { return b.said(d) }
}

func isUrgent(*book) func(*consumer.Event) { return urgent }

func TestDeferredWhereverTheyAreLookedFor(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", b.leaving(time.Hour)))
	b.deferTo("ann", week)
	b.becomeDue(b.now.Add(week-time.Second), "acc", "second")
	if got := b.stands("ann"); strings.Contains(got, string(Due)) {
		t.Errorf("before: %s", got)
	}
	b.becomeDue(b.now.Add(week), "acc", "second")
	for _, e := range b.entries("ann") {
		if e.State != Due || !e.DueAt.Equal(b.now.Add(week)) {
			t.Errorf("%+v, want it due by the deferral", e)
		}
	}
	if n := b.text(`SELECT COUNT(*) FROM entries WHERE deferred_until = ?`, micros(b.now.Add(week))); n != "2" {
		t.Errorf("%s entries know of it, want both", n)
	}
}

// TestDeferredInOneAccountAndLookedForAgainInOthers: a later termination makes the
// accounts look again that had settled. Not before the person's word, either.
func TestDeferredInOneAccountAndLookedForAgainInOthers(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"))
	b.becomeDue(b.now, "acc", "second")
	b.settle(b.dueIn("second", b.now)[0].Entry, NotFound)
	if got := moves(b.deferTo("ann", week)); got != "1 acc: due → waiting" {
		t.Fatalf("moved %s", got)
	}
	b.record(b.left("ann", b.said(time.Minute)))
	b.becomeDue(b.now.Add(week-time.Second), "acc", "second")
	if n := len(b.dueIn("second", b.now.Add(week))); n != 0 {
		t.Error("due in the other account before that")
	}
	b.becomeDue(b.now.Add(week), "acc", "second")
	if n := len(b.dueIn("second", b.now.Add(week))); n != 1 {
		t.Error("not due in the other account then")
	}
}

func TestDeferralOfWhoTurnsOutToBeTheSame(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", employee("7"), b.leaving(time.Hour)))
	b.record(b.left("bea", b.leaving(2*time.Hour)))
	b.deferTo("ann", week)
	b.record(b.left("bea", employee("7"), b.said(time.Minute), b.leaving(3*time.Hour)))
	all := b.all()
	for _, e := range all {
		if e.State.Open() && !e.DueAt.Equal(b.now.Add(week)) {
			t.Errorf("%+v, want it put off", e)
		}
	}
}

func TestUrgentByHand(t *testing.T) {
	for name, tt := range map[string]struct {
		do    func(*book)
		due   time.Duration
		state State
	}{
		"waiting for the leaving day, in no account": {func(b *book) { b.record(b.left("ann", b.leaving(week))) }, 0, Waiting},
		"waiting in an account":                      {func(b *book) { b.toState(Due); b.deferTo("ann", week) }, 0, Due},
		"due":                                        {func(b *book) { b.toState(Due) }, 0, Due},
		"held":                                       {func(b *book) { b.toState(Held) }, 0, Due},
		"failed":                                     {func(b *book) { b.toState(Failed) }, 0, Due},
		"would close":                                {func(b *book) { b.toState(WouldClose) }, 0, WouldClose},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			tt.do(b)
			effective := b.entry("ann").EffectiveAt
			b.must(b.Urgent(t.Context(), byAna("ann")))
			e := b.entry("ann")
			if e.State != tt.state || !e.Urgent || e.DueAt.After(time.Now()) || !e.NextAt.IsZero() || !e.EffectiveAt.Equal(effective) {
				t.Errorf("%+v, want it %s and due", e, tt.state)
			}
			if len(b.openHolds()) != 0 {
				t.Error("a hold is left that holds nobody")
			}
			if urgent, err := b.UrgentDue(t.Context(), account, time.Now(), time.Now()); err != nil || !urgent && tt.state != WouldClose {
				t.Errorf("nothing urgent is due: %v", err)
			}
			b.verify()
		})
	}
}

// TestUrgentByHandIsNotUndone: HR says every night what it has said before.
func TestUrgentByHandIsNotUndone(t *testing.T) {
	for name, tt := range map[string]struct {
		leaving time.Duration
		want    State
	}{
		"the same day":  {week, Due},
		"another day":   {2 * week, Waiting},
		"has left":      {-time.Hour, Due},
		"leaves sooner": {week / 2, Waiting},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.record(b.left("ann", b.leaving(week)))
			b.must(b.Urgent(t.Context(), byAna("ann")))
			b.due(time.Now())
			b.is("ann", Due)
			b.record(b.left("ann", b.said(time.Minute), b.leaving(tt.leaving)))
			b.is("ann", tt.want)
		})
	}
}

func TestOverdueStaysOverdueIfUrgent(t *testing.T) {
	b := newBook(t)
	b.toState(Due)
	before := b.entry("ann").DueAt
	b.must(b.Urgent(t.Context(), byAna("ann")))
	if after := b.entry("ann").DueAt; !after.Equal(before) {
		t.Errorf("due at %v, before %v: the deadline has moved", after, before)
	}
}

func TestSkipInEveryState(t *testing.T) {
	for _, s := range []State{Due, Held, WouldClose, Failed} {
		t.Run(string(s), func(t *testing.T) {
			b := newBook(t)
			b.toState(s)
			_, skipped, err := b.Skip(t.Context(), byAna("ann"))
			if err != nil || len(skipped) != 1 || skipped[0].Entry.Account != account || skipped[0].Outcome != Skipped {
				t.Fatalf("skipped %+v, %v", skipped, err)
			}
			if e := b.entry("ann"); e.State != Skipped || e.Reason != "because" || e.SettledAt.IsZero() {
				t.Errorf("%+v", e)
			}
			if len(b.openHolds()) != 0 {
				t.Error("a hold is left that holds nobody")
			}
			if got := b.text(`SELECT actor || ' ' || facts FROM audit WHERE action = 'skipped'`); !strings.HasPrefix(got, "ana {") || strings.Contains(got, "because") {
				t.Errorf("on record: %s", got)
			}
			b.verify()
		})
	}
}

func TestSkippedInAllAccountsButOnTheWire(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"))
	b.becomeDue(b.now, "acc", "second")
	b.submitIn("second", b.dueIn("second", b.now)...)
	moved, skipped, err := b.Skip(t.Context(), byAna("ann"))
	if want := "1 acc: due → skipped\n2 second: submitted → submitted: a close is on its way"; err != nil || moves(moved) != want || len(skipped) != 1 {
		t.Errorf("%s, %d skipped, %v; want %s", moves(moved), len(skipped), err, want)
	}
}

func TestNothingIsOpen(t *testing.T) {
	b := newBook(t)
	b.toState(Closed)
	var stands *StandsError
	if _, _, err := b.Skip(t.Context(), byAna("ann")); !errors.As(err, &stands) || !strings.Contains(err.Error(), "account acc: closed: it is settled") {
		t.Errorf("%v", err)
	}
	b.is("ann", Closed)
}

func TestRetryOfFailedAndDue(t *testing.T) {
	b := newBook(t)
	b.toState(Failed)
	if got := moves(b.must(b.Retry(t.Context(), byAna("ann")))); got != "1 acc: failed → due" {
		t.Errorf("moved %s", got)
	}
	plan := b.dueIn(account, time.Now())
	if len(plan) != 1 || plan[0].Entry.Attempts != 0 {
		t.Fatalf("due %+v, want her with all tries", plan)
	}
	b.answer(b.submit(plan...), map[string]Result{"id-ann": {Reason: "NO"}})
	if n := len(b.dueIn(account, time.Now())); n != 0 {
		t.Fatal("tried again at once")
	}
	b.must(b.Retry(t.Context(), byAna("ann")))
	if plan := b.dueIn(account, time.Now()); len(plan) != 1 || plan[0].Entry.Attempts != 1 {
		t.Errorf("due %+v, want her, with one refusal", plan)
	}
	b.verify()
}

func TestRetryOfWhatWasSettledWithoutAClose(t *testing.T) {
	for name, end := range map[string]func(*book){
		"not found": func(b *book) { b.settle(b.plan("ann")[0].Entry, NotFound) },
		"skipped": func(b *book) {
			b.hold(b.plan("ann"), Protected)
			_, _, err := b.Reject(b.t.Context(), b.word(1, "ana", "no"))
			if err != nil {
				b.t.Fatal(err)
			}
		},
		"skipped by hand": func(b *book) {
			b.plan("ann")
			if _, _, err := b.Skip(b.t.Context(), byAna("ann")); err != nil {
				b.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			end(b)
			before := b.entry("ann").State
			if got, want := moves(b.must(b.Retry(t.Context(), byAna("ann")))), fmt.Sprintf("2 acc: %s → due", before); got != want {
				t.Errorf("moved %s, want %s", got, want)
			}
			all := b.entries("ann")
			if len(all) != 2 || all[0].State != before || all[1].State != Due || all[1].Source != all[0].Source || !all[1].EffectiveAt.Equal(all[0].EffectiveAt) {
				t.Errorf("entries %+v", all)
			}
			if n := b.text(`SELECT split_from FROM entries WHERE id = 2`); n != "1" {
				t.Errorf("it is of leaving %s, want the same", n)
			}
			var stands *StandsError
			if _, err := b.Retry(t.Context(), byAna("ann")); err != nil && !errors.As(err, &stands) {
				t.Error(err)
			}
			if n := len(b.entries("ann")); n != 2 {
				t.Errorf("%d entries after another retry", n)
			}
			b.verify()
		})
	}
}

// TestRetryClosesNobodyWhoStays: what was taken back, and what is not due yet, is
// not closed because somebody wants another try.
func TestRetryClosesNobodyWhoStays(t *testing.T) {
	notFound := func(b *book) { b.settle(b.plan("ann")[0].Entry, NotFound) }
	for name, tt := range map[string]struct {
		do   func(*book)
		want []State
	}{
		"rescinded since":         {func(b *book) { notFound(b); b.record(b.left("ann", rescind)) }, []State{NotFound}},
		"rehired since":           {func(b *book) { notFound(b); b.record(b.left("ann", b.rehired(time.Hour))) }, []State{NotFound}},
		"rescinded by a stranger": {func(b *book) { notFound(b); b.record(b.left("ann", rescind, from("elsewhere"))) }, []State{NotFound, Due}},
		"rehired by a later day":  {func(b *book) { notFound(b); b.record(b.left("ann", b.rehired(week))) }, []State{NotFound, Due}},
		"skipped ahead of the leaving day": {func(b *book) {
			b.record(b.left("ann", b.leaving(week)))
			if _, _, err := b.Skip(b.t.Context(), byAna("ann")); err != nil {
				b.t.Fatal(err)
			}
		}, []State{Skipped, Waiting}},
		"closed":  {func(b *book) { b.toState(Closed) }, []State{Closed}},
		"held":    {func(b *book) { b.toState(Held) }, []State{Held}},
		"waiting": {func(b *book) { b.record(b.left("ann", b.leaving(week))) }, []State{Waiting}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			tt.do(b)
			var stands *StandsError
			if _, err := b.Retry(t.Context(), byAna("ann")); (len(tt.want) == 1) != errors.As(err, &stands) || err != nil && stands == nil {
				t.Errorf("%v", err)
			}
			var got []State
			for _, e := range b.entries("ann") {
				got = append(got, e.State)
				if e.DueAt.Before(e.EffectiveAt) {
					t.Errorf("due %v, leaves %v", e.DueAt, e.EffectiveAt)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
			b.verify()
		})
	}
}

// TestRetryIsNotForWhoHadTheAddressBefore: the address went to somebody new.
func TestRetryIsNotForWhoHadTheAddressBefore(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", employee("1"), b.said(3*time.Hour)))
	b.settle(b.due(b.now)[0].Entry, NotFound)
	b.record(b.left("ann", employee("2"), b.said(time.Hour)))
	b.settle(b.due(b.now)[0].Entry, NotFound)
	moved := b.must(b.Retry(t.Context(), byAna("ann")))
	if len(moved) != 1 || moved[0].Entry != 3 || b.text(`SELECT employee_id FROM entries WHERE id = 3`) != "2" {
		t.Errorf("moved %s, want the second one's alone", moves(moved))
	}
}

func TestByHandIsOnRecord(t *testing.T) {
	b := newBook(t)
	b.toState(Due)
	b.deferTo("ann", week)
	b.must(b.Urgent(t.Context(), byAna("ann")))
	b.must(b.Retry(t.Context(), byAna("ann")))
	for action, fact := range map[string]string{
		"deferred": `"until":"` + stamp(b.now.Add(week)) + `"`, "urgent": `"from":"` + stamp(b.now.Add(week)) + `"`, "retry_asked": `"from":1`,
	} {
		got := b.text(`SELECT actor || ' ' || facts || ' ' || p.value FROM audit a JOIN audit_personal p ON p.seq = a.seq AND p.field = 'reason' WHERE action = ?`, action)
		if !strings.HasPrefix(got, "ana ") || !strings.HasSuffix(got, " because") || !strings.Contains(got, fact) {
			t.Errorf("%s: %s, want %s", action, got, fact)
		}
	}
	b.verify()
}
