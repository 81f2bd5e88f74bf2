package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

// reopensDue are the userIds that may be opened again by then.
func (b *book) reopensDue(account string, now time.Time) []string {
	b.t.Helper()
	all, err := b.ReopensDue(b.t.Context(), account, now)
	if err != nil {
		b.t.Fatal(err)
	}
	var users []string
	for _, r := range all {
		users = append(users, r.User.ID)
	}
	return users
}

// proposal is the only open hold, which must propose a reopen.
func (b *book) proposal() Hold {
	b.t.Helper()
	holds := b.openHolds()
	if len(holds) != 1 || !slices.Equal(holds[0].Kinds, []Kind{Reopening}) {
		b.t.Fatalf("open holds %+v, want one that proposes a reopen", holds)
	}
	return holds[0]
}

func TestReopenIsProposedForWhomSignoffClosed(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*book)
		want []string // userIds
	}{
		"closed by us": {func(b *book) { b.toState(Closed) }, []string{"id-ann"}},
		"one of two, the other had been closed": {func(b *book) {
			b.answer(b.submit(with(b.plan("ann")[0].Entry, "mine")), map[string]Result{"mine": {Closed: true}})
		}, []string{"mine"}},
		"already closed": {func(b *book) { b.settle(b.plan("ann")[0].Entry, AlreadyClosed) }, nil},
		"not found":      {func(b *book) { b.settle(b.plan("ann")[0].Entry, NotFound) }, nil},
		"half closed, the other half is cancelled": {func(b *book) {
			b.answer(b.submit(with(b.plan("ann")[0].Entry, "one", "two")), map[string]Result{"one": {Closed: true}, "two": {Reason: "NO"}})
		}, []string{"one"}},
		"closed, then announced again and already closed": {func(b *book) {
			b.toState(Closed)
			b.record(b.left("ann", b.said(time.Minute)))
			b.settle(b.due(b.now)[0].Entry, AlreadyClosed)
		}, []string{"id-ann"}},
		"closed, back as another user, closed": {func(b *book) {
			b.toState(Closed)
			b.mustReturn(b.entry("ann"))
			b.answer(b.submit(with(b.due(time.Now())[0].Entry, "again")), map[string]Result{"again": {Closed: true}})
		}, []string{"again"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, func(c *Config) { c.Watch = week })
			tt.do(b)
			b.record(b.left("ann", rescind))
			var got []string
			for _, h := range b.openHolds() {
				if !slices.Equal(h.Kinds, []Kind{Reopening}) || h.Account != account || h.DryRun {
					t.Errorf("hold %+v", h)
				}
				for _, u := range h.Users {
					got = append(got, u.ID)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("proposed %v, want %v", got, tt.want)
			}
			b.verify()
		})
	}
}

func TestReopenInEachAccount(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"))
	b.becomeDue(b.now, account, "other")
	b.closeIn(account, "ann")
	b.closeIn("other", "ann")
	b.record(b.left("ann", rescind))
	if holds := b.openHolds(); len(holds) != 2 || holds[0].Account == holds[1].Account {
		t.Errorf("holds %+v, want one for each account", holds)
	}
}

func TestReopenByItsDay(t *testing.T) {
	for name, tt := range map[string]struct {
		word func(*book) func(*consumer.Event)
		day  time.Duration
	}{
		"a rescind: at once":        {func(*book) func(*consumer.Event) { return rescind }, 0},
		"a rehire in effect":        {func(b *book) func(*consumer.Event) { return b.rehired(-time.Hour) }, -time.Hour},
		"a rehire of a day to come": {func(b *book) func(*consumer.Event) { return b.rehired(week) }, week},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.toState(Closed)
			b.record(b.left("ann", tt.word(b)))
			if got := b.reopensDue(account, b.now.Add(2*week)); len(got) != 0 {
				t.Errorf("%v may be opened, and nobody has approved", got)
			}
			b.approve(b.proposal().ID)
			if got := b.reopensDue(account, b.now.Add(tt.day-time.Second)); len(got) != 0 {
				t.Errorf("%v may be opened before the day", got)
			}
			if got := b.reopensDue("other", b.now.Add(tt.day)); len(got) != 0 {
				t.Errorf("%v may be opened in another account", got)
			}
			if got := b.reopensDue(account, b.now.Add(tt.day)); !slices.Equal(got, []string{"id-ann"}) {
				t.Errorf("%v may be opened, want ann", got)
			}
			b.is("ann", Closed)
		})
	}
}

func TestRejectedReopenStaysClosed(t *testing.T) {
	b := newBook(t)
	b.toState(Closed)
	b.record(b.left("ann", rescind))
	_, settled, err := b.Reject(t.Context(), b.word(b.proposal().ID, "ana", "has really left"))
	if err != nil || len(settled) != 0 {
		t.Errorf("settled %+v (%v), want the entry left as it is", settled, err)
	}
	b.is("ann", Closed)
	if got := b.reopensDue(account, b.now.Add(week)); len(got) != 0 || len(b.openHolds()) != 0 {
		t.Errorf("%v may be opened", got)
	}
	if got := b.text(`SELECT state FROM reopens`); got != string(ReopenDropped) {
		t.Errorf("the reopen is %s", got)
	}
}

func TestWatchGoesOnForWhomAPersonLeavesClosed(t *testing.T) {
	for name, c := range map[string]struct {
		back    func(*book) func(*consumer.Event)
		decide  func(*book, int64) error
		watched int
	}{
		"rescinded, and left closed": {func(*book) func(*consumer.Event) { return rescind }, (*book).sayNo, 1},
		"rescinded, and approved":    {func(*book) func(*consumer.Event) { return rescind }, (*book).sayYes, 0},
		"rehired, and left closed":   {func(b *book) func(*consumer.Event) { return b.rehired(-time.Minute) }, (*book).sayNo, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, func(c *Config) { c.Watch = week })
			b.toState(Closed)
			b.record(b.left("ann", c.back(b), b.said(0)))
			if err := c.decide(b, b.proposal().ID); err != nil {
				t.Fatal(err)
			}
			watched, err := b.Watched(t.Context(), account, time.Now().Add(time.Hour))
			if err != nil || len(watched) != c.watched {
				t.Errorf("%d are looked for again (%v), want %d", len(watched), err, c.watched)
			}
		})
	}
}

func (b *book) sayNo(id int64) error {
	_, _, err := b.Reject(b.t.Context(), b.word(id, "ana", "has really left"))
	return err
}

func (b *book) sayYes(id int64) error {
	_, err := b.Approve(b.t.Context(), b.word(id, "ana", ""), aDay)
	return err
}

func TestProposalOutlivesARestart(t *testing.T) {
	for name, dryRun := range map[string]bool{"": false, "into a dry run": true} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.toState(Closed)
			b.record(b.left("ann", rescind))
			b.renew(dryRun)
			if h := b.proposal(); len(h.Users) != 1 || h.Users[0].ID != "id-ann" {
				t.Errorf("hold %+v, want it to name ann", h)
			}
		})
	}
}

func TestReopenIsProposedOnce(t *testing.T) {
	b := newBook(t)
	b.toState(Closed)
	b.record(b.left("ann", b.rehired(48*time.Hour), b.said(3*time.Minute)))
	b.record(b.left("ann", b.rehired(week), b.said(time.Minute)))
	b.record(b.left("ann", b.rehired(24*time.Hour), b.said(2*time.Minute))) // an older word
	if h := b.proposal(); !strings.HasSuffix(h.Detail, "from "+stamp(b.now.Add(week))) {
		t.Errorf("detail %q, want the day that was said last", h.Detail)
	}
	b.approve(b.proposal().ID)
	if got := b.reopensDue(account, b.now.Add(week-time.Second)); len(got) != 0 {
		t.Errorf("%v may be opened before the day that was said last", got)
	}
	if got := b.reopensDue(account, b.now.Add(week)); len(got) != 1 {
		t.Errorf("%v may be opened, want ann", got)
	}
	b.record(b.left("ann", rescind))
	if holds := b.openHolds(); len(holds) != 0 {
		t.Errorf("holds %+v, want what was approved to do", holds)
	}
}

// While a close is still to come in the account, nobody is to be opened there.
func TestReopenWaitsForTheCloseToCome(t *testing.T) {
	b := newBook(t)
	b.toState(Closed)
	b.record(b.left("ann", b.said(time.Minute)))
	b.record(b.left("ann", b.rehired(week)))
	plan := b.due(b.now)
	if holds := b.openHolds(); len(holds) != 0 || len(plan) != 1 {
		t.Fatalf("holds %+v, plan %+v, want the close alone", holds, plan)
	}
	b.settle(plan[0].Entry, AlreadyClosed)
	if h := b.proposal(); len(h.Users) != 1 || h.Users[0].ID != "id-ann" {
		t.Errorf("hold %+v, want it to name ann", h)
	}
}

func TestWhoLeavesAgainIsNotReopened(t *testing.T) {
	for name, approved := range map[string]bool{"proposed": false, "approved": true} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.toState(Closed)
			b.record(b.left("ann", rescind, b.said(2*time.Minute)))
			h := b.proposal()
			if approved {
				b.approve(h.ID)
			}
			b.record(b.left("ann", b.said(3*time.Minute), b.leaving(time.Hour))) // news of before
			if got := b.text(`SELECT state FROM reopens`); got == string(ReopenDropped) {
				t.Fatal("dropped for old news")
			}
			b.record(b.left("ann", b.said(time.Minute), b.leaving(time.Hour)))
			if got := b.reopensDue(account, b.now.Add(week)); len(got) != 0 || len(b.openHolds()) != 0 {
				t.Errorf("%v may be opened, holds %+v", got, b.openHolds())
			}
			if _, err := b.Approve(t.Context(), b.word(h.ID, "ana", ""), aDay); !errors.Is(err, ErrDecided) {
				t.Errorf("approved: %v", err)
			}
		})
	}
}

func TestSettleReopen(t *testing.T) {
	for _, outcome := range []ReopenState{ReopenSent, ReopenFailed, ReopenDropped} {
		t.Run(string(outcome), func(t *testing.T) {
			b := newBook(t)
			b.toState(Closed)
			b.record(b.left("ann", rescind))
			id := int64(1)
			if err := b.SettleReopen(t.Context(), id, outcome, "", ""); !errors.Is(err, ErrNoReopen) {
				t.Errorf("settled what nobody approved: %v", err)
			}
			b.approve(b.proposal().ID)
			due, err := b.ReopensDue(t.Context(), account, b.now.Add(time.Hour))
			if err != nil || len(due) != 1 || due[0].Entry.Leaver != "ann@acme.com" || due[0].Kind != consumer.Rescinded || due[0].ID != id {
				t.Fatalf("due %+v (%v)", due, err)
			}
			if err := b.SettleReopen(t.Context(), id, ReopenApproved, "", ""); err == nil {
				t.Error("settled by a word that is no outcome")
			}
			if outcome == ReopenSent {
				if err := b.SettleReopen(t.Context(), id, outcome, "", ""); !errors.Is(err, ErrNoReopen) {
					t.Errorf("settled what was not submitted: %v", err)
				}
				b.submitReopen(id)
			}
			if err := b.SettleReopen(t.Context(), id, outcome, "why", "trace"); err != nil {
				t.Fatal(err)
			}
			if h, err := b.Hold(t.Context(), 1); err != nil || len(h.Reopens) != 1 || h.Reopens[0].State != outcome ||
				h.Reopens[0].Reason != "why" || h.Reopens[0].Trace != "trace" || h.Reopens[0].User.ID != "id-ann" {
				t.Errorf("the hold shows %+v (%v)", h.Reopens, err)
			}
			if got := b.reopensDue(account, b.now.Add(week)); len(got) != 0 {
				t.Errorf("%v may be opened again", got)
			}
			b.is("ann", Closed)
			if n := b.text(`SELECT COUNT(*) FROM audit WHERE action = $1 AND facts LIKE '%"trace":"trace"%'`, "reopen_"+string(outcome)); n != "1" {
				t.Errorf("%s rows in the audit", n)
			}
			if outcome == ReopenSent {
				if got := b.text(`SELECT action FROM audit ORDER BY seq DESC LIMIT 1`); got != OutcomeReopenSent {
					t.Errorf("the outcome is %s", got)
				}
			}
			b.verify()
		})
	}
}

// Nothing personal is in what the chain says in the clear, nor in a hold's detail.
func TestReopenTellsNothingPersonal(t *testing.T) {
	b := newBook(t)
	b.toState(Closed)
	b.record(b.left("ann", b.rehired(week)))
	b.approve(b.proposal().ID)
	if n := b.text(`SELECT COUNT(*) FROM audit WHERE facts LIKE '%acme.com%'`); n != "0" {
		t.Errorf("%s rows of the audit with an email in the clear", n)
	}
	if h, err := b.Hold(t.Context(), 1); err != nil || !strings.Contains(h.Detail, "rehired after the close, from ") || strings.Contains(h.Detail, "@") {
		t.Errorf("detail %q (%v)", h.Detail, err)
	}
}
