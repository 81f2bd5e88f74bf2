package ledger

import (
	"slices"
	"testing"
	"time"
)

// submitReopen writes the intent of a reopen, which must be taken.
func (b *book) submitReopen(id int64) {
	b.t.Helper()
	if taken, err := b.SubmitReopen(b.t.Context(), id); err != nil || !taken {
		b.t.Fatalf("reopen %d: taken %v, %v", id, taken, err)
	}
}

// approvedReopen brings ann to where her reopening, of id 1, is approved.
func (b *book) approvedReopen() {
	b.t.Helper()
	b.toState(Closed)
	b.record(b.left("ann", rescind, b.said(2*time.Minute)))
	b.approve(b.proposal().ID)
}

// unknownReopens are the userIds of reopens that were sent by then and not answered for.
func (b *book) unknownReopens(sentBefore time.Time) []string {
	b.t.Helper()
	all, err := b.UnknownReopens(b.t.Context(), account, sentBefore)
	if err != nil {
		b.t.Fatal(err)
	}
	var users []string
	for _, r := range all {
		users = append(users, r.User.ID)
	}
	return users
}

var reopenRetry = Retry{Attempts: 2, Wait: func(int) time.Duration { return time.Minute }}

func TestSubmitReopenTakesOnlyWhatIsStillSo(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*book)
		want bool
	}{
		"approved":          {func(b *book) { b.approvedReopen() }, true},
		"only proposed":     {func(b *book) { b.toState(Closed); b.record(b.left("ann", rescind)) }, false},
		"submitted already": {func(b *book) { b.approvedReopen(); b.submitReopen(1) }, false},
		"of a day to come": {func(b *book) {
			b.toState(Closed)
			b.record(b.left("ann", b.rehired(week)))
			b.approve(b.proposal().ID)
		}, false},
		"she leaves again": {func(b *book) { b.approvedReopen(); b.record(b.left("ann", b.said(0))) }, false},
		"by older news, at another address": {func(b *book) {
			b.approvedReopen()
			b.raw(`UPDATE entries SET state = 'due' WHERE leaver = 'ann@acme.com'`)
		}, false},
		"not closed by us": {func(b *book) { b.approvedReopen(); b.raw(`UPDATE memberships SET outcome = ''`) }, false},
		"the same user is being closed for somebody else": {func(b *book) {
			b.approvedReopen()
			b.record(b.left("bob"))
			b.submit(with(b.due(b.now)[0].Entry, "id-ann"))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			tt.do(b)
			if taken, err := b.SubmitReopen(t.Context(), 1); err != nil || taken != tt.want {
				t.Errorf("taken %v (%v), want %v", taken, err, tt.want)
			}
			b.raw(`UPDATE entries SET state = 'closed' WHERE id = 1 AND settled_at > 0`) // what a case has done by hand
			b.verify()
		})
	}
}

// What is on the wire is not offered again, and is asked for only once its
// request can no longer take effect.
func TestSubmittedReopenIsLookedUp(t *testing.T) {
	b := newBook(t)
	b.approvedReopen()
	b.submitReopen(1)
	if got := b.reopensDue(account, b.now.Add(week)); len(got) != 0 {
		t.Errorf("%v may be opened while that is on the wire", got)
	}
	if got := b.unknownReopens(b.now.Add(-time.Minute)); len(got) != 0 {
		t.Errorf("%v are asked for too early", got)
	}
	if err := b.ReopenSending(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if got := b.unknownReopens(time.Now()); !slices.Equal(got, []string{"id-ann"}) {
		t.Errorf("%v are to be asked for, want ann", got)
	}
	b.renew(false) // as a new process does
	if got := b.unknownReopens(time.Now()); len(got) != 1 {
		t.Errorf("%v are to be asked for after a restart, want ann", got)
	}
}

func TestReopenWithoutEffect(t *testing.T) {
	b := newBook(t)
	b.approvedReopen()
	b.submitReopen(1)
	if err := b.WithdrawReopen(t.Context(), 1, "network"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{false, true} {
		b.raw(`UPDATE reopens SET next_at = 0`)
		b.submitReopen(1)
		if failed, err := b.RetryReopen(t.Context(), 1, "no_effect", reopenRetry); err != nil || failed != want {
			t.Fatalf("failed: %v (%v), want %v", failed, err, want)
		}
		if got := b.reopensDue(account, time.Now()); len(got) != 0 {
			t.Errorf("%v may be opened at once", got)
		}
		if got := b.reopensDue(account, time.Now().Add(2*time.Minute)); (len(got) == 0) != want {
			t.Errorf("%v may be opened after a while; failed: %v", got, want)
		}
	}
	if h, err := b.Hold(t.Context(), 1); err != nil || h.Reopens[0].State != ReopenFailed || h.Reopens[0].Reason != "no_effect" {
		t.Errorf("%+v (%v), want it failed", h.Reopens, err)
	}
	b.verify()
}

// Who leaves again while the reopening is on the wire is closed once it is known
// what became of it, and not opened anew.
func TestLeavesAgainWhileReopenIsOnTheWire(t *testing.T) {
	b := newBook(t)
	b.approvedReopen()
	b.submitReopen(1)
	b.record(b.left("ann", b.said(time.Minute)))
	if plan := b.due(b.now); len(plan) != 0 {
		t.Fatalf("%+v is due while nobody knows whether she is open", plan)
	}
	if failed, err := b.RetryReopen(t.Context(), 1, "no_effect", reopenRetry); err != nil || failed {
		t.Fatalf("failed: %v (%v)", failed, err)
	}
	if h, err := b.Hold(t.Context(), 1); err != nil || h.Reopens[0].State != ReopenDropped || h.Reopens[0].Reason != "terminated" {
		t.Errorf("%+v (%v), want it dropped", h.Reopens, err)
	}
	if plan := b.due(b.now); len(plan) != 1 {
		t.Errorf("plan %+v, want her to be closed", plan)
	}
	b.verify()
}

func TestRescindedAgainWhileReopenIsOnTheWire(t *testing.T) {
	b := newBook(t)
	b.approvedReopen()
	b.submitReopen(1)
	b.record(b.left("ann", b.said(time.Minute)))
	b.record(b.left("ann", rescind))
	if err := b.WithdrawReopen(t.Context(), 1, "network"); err != nil {
		t.Fatal(err)
	}
	if got := b.reopensDue(account, time.Now()); len(got) != 1 || len(b.openHolds()) != 0 {
		t.Errorf("%v may be opened, holds %+v: want what was approved", got, b.openHolds())
	}
}

// Two entries may name one user: what is on the wire for the one is not closed for the other.
func TestUserOnTheWireToBeOpenedIsNotClosed(t *testing.T) {
	b := newBook(t)
	b.approvedReopen()
	b.submitReopen(1)
	b.record(b.left("bob"))
	e := b.due(b.now)[0].Entry
	if batch, err := b.Submit(t.Context(), account, []Resolved{with(e, "id-ann")}, time.Now(), time.Minute); err != nil || batch.ID != 0 {
		t.Errorf("batch %+v (%v), want none", batch, err)
	}
}
