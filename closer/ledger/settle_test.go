package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSubmitTakesOnlyWhatIsStillSo(t *testing.T) {
	for name, change := range map[string]func(*book, []Resolved){
		"another address came": func(b *book, _ []Resolved) { b.record(b.left("ann", also("a2@acme.com"))) },
		"the leaving day has moved away": func(b *book, _ []Resolved) {
			b.record(b.left("ann", b.said(time.Minute), b.leaving(time.Hour)))
		},
		"the leaving day is another past one": func(b *book, _ []Resolved) {
			b.record(b.left("ann", b.said(time.Minute), b.leaving(-2*time.Hour)))
		},
		"it was held":      func(b *book, plan []Resolved) { b.hold(plan[:1], Protected) },
		"it was submitted": func(b *book, plan []Resolved) { b.submit(plan[0]) },
		"it was settled": func(b *book, plan []Resolved) {
			_, _ = b.Settle(b.t.Context(), []Settlement{{Entry: plan[0].Entry, Outcome: NotFound}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			plan := b.plan("ann", "bob")
			change(b, plan)
			batch := b.submit(plan...)
			if got := batch.UserIDs(); !slices.Equal(got, []string{"id-bob"}) {
				t.Errorf("submitted %v, want bob alone", got)
			}
			b.is("bob", Submitted)
		})
	}
}

func TestSubmitOfNothing(t *testing.T) {
	b := newBook(t)
	plan := b.plan("ann")
	b.submit(plan...)
	if again := b.submit(plan...); again.ID != 0 || len(again.Members) != 0 {
		t.Errorf("got batch %+v, want none", again)
	}
}

func TestSubmitRefusesAnOldPlan(t *testing.T) {
	b := newBook(t)
	plan := b.plan("ann")
	if _, err := b.Submit(t.Context(), account, plan, time.Now().Add(-fresh-time.Second), fresh); !errors.Is(err, ErrStalePlan) {
		t.Errorf("got %v, want ErrStalePlan", err)
	}
	b.is("ann", Due)
}

func TestUserOfUnknownOutcomeIsNotSentAgain(t *testing.T) {
	b := newBook(t)
	plan := b.plan("ann", "bob")
	first := b.submit(plan[0])
	again := with(plan[1].Entry, "id-bob", "id-ann")
	if batch := b.submit(again); batch.ID != 0 {
		t.Fatalf("sent %v, though the first request is not answered", batch.UserIDs())
	}
	b.answer(first, map[string]Result{"id-ann": {Closed: true}})
	if batch := b.submit(again); len(batch.UserIDs()) != 2 {
		t.Error("not sent after the answer")
	}
}

func TestOneUserOfTwoEntries(t *testing.T) {
	b := newBook(t)
	plan := b.plan("ann", "bob")
	batch := b.submit(with(plan[0].Entry, "shared"), with(plan[1].Entry, "shared"))
	if got := batch.UserIDs(); !slices.Equal(got, []string{"shared"}) {
		t.Errorf("sends %v, want the user once", got)
	}
	if settled := b.answer(batch, map[string]Result{"shared": {Closed: true}}); len(settled) != 2 {
		t.Errorf("settled %d, want both", len(settled))
	}
	b.is("ann", Closed)
	b.is("bob", Closed)
}

func TestRecordToSettled(t *testing.T) {
	b := newBook(t)
	batch := b.submit(b.plan("ann")...)
	settled := b.answer(batch, map[string]Result{"id-ann": {Closed: true}})
	if len(settled) != 1 || settled[0].Outcome != Closed || settled[0].Entry.Leaver != "ann@acme.com" || settled[0].At.IsZero() {
		t.Fatalf("settled %+v", settled)
	}
	e := b.entry("ann")
	if e.State != Closed || e.SettledAt.IsZero() || e.SentAt.IsZero() || e.Account != account {
		t.Errorf("entry %+v", e)
	}
	if again := b.answer(batch, map[string]Result{"id-ann": {Closed: true}}); len(again) != 0 {
		t.Error("settled twice")
	}
	if got := b.text(`SELECT group_concat(action, ' ') FROM (SELECT action FROM audit ORDER BY seq)`); got != "received due submitted closed" {
		t.Errorf("audit says %q", got)
	}
	b.verify()
}

func TestRefusedIsTriedAgainAndFails(t *testing.T) {
	b := newBook(t)
	refused := map[string]Result{"id-ann": {Reason: "NO"}}
	if settled := b.answer(b.submit(b.plan("ann")...), refused); len(settled) != 0 {
		t.Errorf("settled %+v by the first refusal", settled)
	}
	e := b.entry("ann")
	wait := e.NextAt.Sub(b.now)
	if e.State != Due || e.Attempts != 1 || e.Reason != "NO" || wait < time.Minute {
		t.Errorf("entry %+v waits %v, want it due again in a minute", e, wait)
	}
	if len(b.due(b.now)) != 0 {
		t.Error("due before its time")
	}
	settled := b.answer(b.submit(b.due(b.now.Add(time.Hour))...), refused)
	if len(settled) != 1 || settled[0].Outcome != Failed || settled[0].Reason != "NO" {
		t.Errorf("settled %+v, want it failed", settled)
	}
	if e = b.entry("ann"); !e.SettledAt.IsZero() || !e.State.Open() {
		t.Errorf("entry %+v, want it still open", e)
	}
	if len(b.due(b.now.Add(23*time.Hour))) != 0 {
		t.Error("tried again within the day")
	}
	if len(b.due(b.now.Add(25*time.Hour))) != 1 {
		t.Fatal("not tried again after a day")
	}
	b.answer(b.submit(b.due(b.now.Add(25*time.Hour))...), refused)
	b.is("ann", Failed)
	b.answer(b.submit(b.due(b.now.Add(50*time.Hour))...), map[string]Result{"id-ann": {Closed: true}})
	b.is("ann", Closed)
}

func TestRefuseWithoutABatch(t *testing.T) {
	b := newBook(t)
	e := b.plan("ann")[0].Entry
	if failed, err := b.Refuse(t.Context(), e, "BAD_ADDRESS", retry); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	failed, err := b.Refuse(t.Context(), e, "BAD_ADDRESS", retry)
	if err != nil || failed == nil || failed.Outcome != Failed {
		t.Fatalf("got %+v (%v), want it failed", failed, err)
	}
	if again, err := b.Refuse(t.Context(), e, "BAD_ADDRESS", retry); again != nil || err != nil {
		t.Errorf("refused what is not due: %+v (%v)", again, err)
	}
}

func TestSparedCostsNoAttempt(t *testing.T) {
	b := newBook(t)
	batch := b.submit(b.plan("ann")...)
	b.answer(batch, map[string]Result{"id-ann": {Reason: "no_effect", Spared: true}})
	if e := b.entry("ann"); e.State != Due || e.Attempts != 0 || len(b.due(time.Now())) != 1 {
		t.Errorf("entry %+v, want it due at once with no attempt spent", e)
	}
}

func TestNotesAreKept(t *testing.T) {
	for name, tt := range map[string]struct {
		answers []map[string]Result
		want    string // of the entry's last row
	}{
		"nothing to say": {[]map[string]Result{{"a": {Closed: true}, "b": {Closed: true}}}, ""},
		"closed, with something to say": {[]map[string]Result{{"a": {Closed: true, Note: "kept"}, "b": {Closed: true}}},
			`"notes":["kept"],"reason":""`},
		"said of both": {[]map[string]Result{{"a": {Closed: true, Note: "kept"}, "b": {Closed: true, Note: "kept"}}},
			`"notes":["kept"],"reason":""`},
		"failed for a reason we know": {[]map[string]Result{{"a": {Closed: true}, "b": {Reason: "NO", Note: "scim"}}, {"b": {Reason: "NO", Note: "scim"}}},
			`"notes":["scim"],"reason":"NO"`},
		"closed at the second try": {[]map[string]Result{{"a": {Closed: true}, "b": {Reason: "NO", Note: "scim"}}, {"b": {Closed: true}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			e := b.plan("ann")[0].Entry
			b.answer(b.submit(with(e, "a", "b")), tt.answers[0])
			for _, results := range tt.answers[1:] {
				b.answer(b.submit(with(b.due(b.now.Add(time.Hour))[0].Entry, "b")), results)
			}
			facts := b.text(`SELECT facts FROM audit ORDER BY seq DESC LIMIT 1`)
			if tt.want == "" && strings.Contains(facts, "notes") || !strings.Contains(facts, tt.want) {
				t.Errorf("audit says %s, want %q in it", facts, tt.want)
			}
		})
	}
}

// What the users of one entry come to, answer by answer.
func TestEntryWithTwoUsers(t *testing.T) {
	closed, no := Result{Closed: true}, Result{Reason: "NO"}
	for name, tt := range map[string]struct {
		answers []map[string]Result
		want    State
	}{
		"both closed":                      {[]map[string]Result{{"a": closed, "b": closed}}, Closed},
		"one closed, one not known":        {[]map[string]Result{{"a": closed}}, Submitted},
		"one closed, the other later":      {[]map[string]Result{{"a": closed}, {"b": closed}}, Closed},
		"one closed, one refused":          {[]map[string]Result{{"a": closed, "b": no}}, Due},
		"one refused, one not known":       {[]map[string]Result{{"a": no}}, Submitted},
		"one refused, the other closed":    {[]map[string]Result{{"a": no}, {"b": closed}}, Due},
		"one refused, the other refused":   {[]map[string]Result{{"a": no}, {"b": no}}, Due},
		"the other way round":              {[]map[string]Result{{"b": no}, {"a": closed}}, Due},
		"an answer that names neither":     {[]map[string]Result{{}}, Submitted},
		"an answer that names other users": {[]map[string]Result{{"c": closed}}, Submitted},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			batch := b.submit(with(b.plan("ann")[0].Entry, "a", "b"))
			for _, results := range tt.answers {
				b.answer(batch, results)
			}
			b.is("ann", tt.want)
			if e := b.entry("ann"); tt.want == Due && (e.Attempts != 1 || e.Reason != "NO") {
				t.Errorf("entry %+v, want one attempt spent on the refusal", e)
			}
		})
	}
}

// A request without an answer refused nobody: its users are looked up one by
// one, and no attempt is spent on one found open before the last is known.
func TestLookedUpOneByOne(t *testing.T) {
	b := newBook(t)
	batch := b.submit(with(b.plan("ann")[0].Entry, "a", "b"))
	for _, r := range []map[string]Result{{"a": {Reason: "no_effect", Spared: true}}, {"b": {Closed: true}}} {
		if _, err := b.SettleBatch(t.Context(), batch.ID, r, "", false, retry); err != nil {
			t.Fatal(err)
		}
	}
	if e := b.entry("ann"); e.State != Due || e.Attempts != 0 || e.Reason != "no_effect" {
		t.Errorf("entry %+v, want it due with no attempt spent", e)
	}
}

// The user that was closed is not looked for again; closing the other settles.
func TestSecondTryClosesTheRest(t *testing.T) {
	b := newBook(t)
	b.answer(b.submit(with(b.plan("ann")[0].Entry, "a", "b")), map[string]Result{"a": {Closed: true}, "b": {Reason: "NO"}})
	again := b.due(b.now.Add(time.Hour))
	b.answer(b.submit(with(again[0].Entry, "b")), map[string]Result{"b": {Closed: true}})
	b.is("ann", Closed)
}

func TestSettleWithoutAClose(t *testing.T) {
	for name, tt := range map[string]struct {
		closedBefore bool // by us, and the other user is gone by the next try
		outcome      State
		want         State
	}{
		"nobody found":               {false, NotFound, NotFound},
		"closed by others":           {false, AlreadyClosed, AlreadyClosed},
		"closed by us, now found so": {true, AlreadyClosed, Closed},
		"closed by us, now gone":     {true, NotFound, Closed},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			e := b.plan("ann")[0].Entry
			if tt.closedBefore {
				b.answer(b.submit(with(e, "a", "b")), map[string]Result{"a": {Closed: true}, "b": {Reason: "NO"}})
				e = b.due(b.now.Add(time.Hour))[0].Entry
			}
			settled, err := b.Settle(t.Context(), []Settlement{{Entry: e, Outcome: tt.outcome}})
			if err != nil || len(settled) != 1 || settled[0].Outcome != tt.want {
				t.Errorf("settled %+v (%v), want %s", settled, err, tt.want)
			}
			b.is("ann", tt.want)
		})
	}
}

func TestSettleLeavesWhatChanged(t *testing.T) {
	b := newBook(t)
	e := b.plan("ann")[0].Entry
	b.record(b.left("ann", also("a2@acme.com")))
	if settled, err := b.Settle(t.Context(), []Settlement{{Entry: e, Outcome: NotFound}}); err != nil || len(settled) != 0 {
		t.Errorf("settled %+v (%v) by half of the addresses", settled, err)
	}
	b.is("ann", Due)
}

func TestMovedWhileSubmitted(t *testing.T) {
	for name, tt := range map[string]struct {
		result Result
		want   State
	}{
		"closed all the same": {Result{Closed: true}, Closed},
		"refused: waits":      {Result{Reason: "NO"}, Waiting},
		"no effect: waits":    {Result{Reason: "no_effect", Spared: true}, Waiting},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			batch := b.submit(b.plan("ann")...)
			b.record(b.left("ann", b.said(time.Minute), b.leaving(time.Hour)))
			b.answer(batch, map[string]Result{"id-ann": tt.result})
			b.is("ann", tt.want)
		})
	}
}

func TestWithdrawSpendsNothing(t *testing.T) {
	b := newBook(t)
	before := b.plan("ann")
	batch := b.submit(before...)
	if err := b.Withdraw(t.Context(), batch, "outage"); err != nil {
		t.Fatal(err)
	}
	e := b.entry("ann")
	if e.State != Due || e.Attempts != 0 || !e.SentAt.IsZero() || !e.NextAt.IsZero() || e.Reason != "outage" {
		t.Errorf("entry %+v, want it due as before", e)
	}
	if sent, err := b.Sent(t.Context(), time.Time{}); err != nil || len(sent) != 0 {
		t.Errorf("sent %v (%v), want none", sent, err)
	}
	if before, err := b.RunBefore(t.Context(), account); err != nil || before {
		t.Errorf("run before: %v (%v)", before, err)
	}
	if unknown, err := b.Unknowns(t.Context(), account, time.Now()); err != nil || len(unknown) != 0 {
		t.Errorf("unknown %v (%v), want none", unknown, err)
	}
	if again := b.submit(b.due(b.now.Add(time.Minute))...); again.ID == batch.ID || len(again.Members) != 1 {
		t.Errorf("got batch %+v, want a new one", again)
	}
}

func TestWithdrawKeepsWhenItWasFirstSent(t *testing.T) {
	b := newBook(t)
	b.answer(b.submit(b.plan("ann")...), map[string]Result{"id-ann": {Reason: "NO"}})
	first := b.entry("ann").SentAt
	if err := b.Withdraw(t.Context(), b.submit(b.due(b.now.Add(time.Hour))...), "outage"); err != nil {
		t.Fatal(err)
	}
	if got := b.entry("ann").SentAt; first.IsZero() || !got.Equal(first) {
		t.Errorf("first sent at %v, want %v", got, first)
	}
}

func TestUnknowns(t *testing.T) {
	b := newBook(t)
	batch := b.submit(b.plan("ann", "bob")...)
	unknowns := func(sentBefore time.Time) []string {
		t.Helper()
		all, err := b.Unknowns(t.Context(), account, sentBefore)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, u := range all {
			if ids = append(ids, u.User.ID); u.Batch != batch.ID || u.Entry == 0 {
				t.Errorf("unknown %+v, want its batch and entry", u)
			}
		}
		return ids
	}
	if got := unknowns(b.now.Add(-time.Second)); len(got) != 0 {
		t.Errorf("unknown %v, before the request can have been carried out", got)
	}
	submitted := time.Now()
	if got := unknowns(submitted); len(got) != 2 {
		t.Errorf("unknown %v, want both", got)
	}
	if all, err := b.Unknowns(t.Context(), "other", submitted); err != nil || len(all) != 0 {
		t.Errorf("unknown %v in another account (%v)", all, err)
	}
	if err := b.Sending(t.Context(), batch.ID); err != nil {
		t.Fatal(err)
	}
	if got := unknowns(submitted); len(got) != 0 {
		t.Errorf("unknown %v, want the time to count from the sending", got)
	}
	b.answer(batch, map[string]Result{"id-ann": {Closed: true}})
	if got := unknowns(time.Now()); !slices.Equal(got, []string{"id-bob"}) {
		t.Errorf("unknown %v, want who the answer left out", got)
	}
	if all, _ := b.Unknowns(t.Context(), account, time.Now()); len(all) != 1 || !all[0].Answered {
		t.Errorf("unknown %+v, want it to say that an answer came", all)
	}
}

// A window counts what was sent in it: a later try counts then, and no longer
// when the first was made.
func TestSentCountsALeaverOnceAtTheLastTry(t *testing.T) {
	b := newBook(t)
	before := time.Now().Add(-time.Minute)
	b.answer(b.submit(b.plan("ann")...), map[string]Result{"id-ann": {Reason: "NO"}})
	first := b.entry("ann").SentAt
	b.submit(b.due(b.now.Add(time.Hour))...)
	sent, err := b.Sent(t.Context(), before)
	if err != nil || len(sent) != 1 {
		t.Fatalf("sent %+v (%v), want ann once", sent, err)
	}
	last := b.entry("ann").SentAt
	if want := (SentLeaver{Account: account, Leaver: "ann@acme.com", Source: "hr", At: last}); sent[0] != want || !last.After(first) {
		t.Errorf("sent %+v, want %+v, after %v", sent[0], want, first)
	}
	if sent, err := b.Sent(t.Context(), last); err != nil || len(sent) != 0 {
		t.Errorf("sent %+v (%v), want none after the last", sent, err)
	}
}
