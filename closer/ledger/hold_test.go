package ledger

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestMakeHold(t *testing.T) {
	b := newBook(t)
	h := b.hold(b.plan("ann", "bob"), FirstRun, Limit)
	open, err := b.OpenHolds(t.Context())
	if err != nil || len(open) != 1 {
		t.Fatalf("open holds %+v (%v), want one", open, err)
	}
	got := open[0]
	if got.ID != h.ID || got.Account != account || got.State != HoldOpen || got.Detail != "detail" || got.Digest != h.Digest ||
		!slices.Equal(got.Kinds, []Kind{FirstRun, Limit}) || len(got.Users) != 2 || len(got.Digest) != 64 {
		t.Errorf("got %+v", got)
	}
	if e := b.entry("ann"); e.State != Held || e.Reason != string(FirstRun) {
		t.Errorf("entry %+v, want it held for the gravest kind", e)
	}
	if len(b.due(b.now)) != 0 {
		t.Error("what is held is due")
	}
}

// Who is managed by an identity provider is told to whoever decides.
func TestHoldKeepsWhoIsManagedElsewhere(t *testing.T) {
	b := newBook(t)
	plan := b.plan("ann", "bob")
	plan[0].Users[0].SCIM = true
	h, err := b.Hold(t.Context(), b.hold(plan, Limit).ID)
	if err != nil || len(h.Users) != 2 || !h.Users[0].SCIM || h.Users[1].SCIM {
		t.Errorf("hold %+v (%v), want the first user marked", h, err)
	}
}

func TestHoldTakesOnlyWhatIsStillDue(t *testing.T) {
	b := newBook(t)
	plan := b.plan("ann", "bob")
	b.submit(plan[0])
	if h := b.hold(plan, Limit); len(h.Users) != 1 || h.Users[0].ID != "id-bob" {
		t.Errorf("hold %+v, want bob alone", h)
	}
	if h := b.hold(plan, Limit); h.ID != 0 {
		t.Errorf("hold %+v of nobody", h)
	}
	if open, err := b.OpenHolds(t.Context()); err != nil || len(open) != 1 {
		t.Errorf("%d open holds (%v), want one", len(open), err)
	}
}

func TestDigestIsOfTheUsers(t *testing.T) {
	ann, bob := HeldUser{Entry: 1, User: User{ID: "a", Email: "ann@acme.com"}}, HeldUser{Entry: 2, User: User{ID: "b", Email: "bob@acme.com"}}
	base := digest(account, []HeldUser{ann, bob})
	for name, tt := range map[string]struct {
		got  string
		same bool
	}{
		"in other order":     {digest(account, []HeldUser{bob, ann}), true},
		"in another account": {digest("other", []HeldUser{ann, bob}), false},
		"one fewer":          {digest(account, []HeldUser{ann}), false},
		"another email":      {digest(account, []HeldUser{{Entry: 1, User: User{ID: "a", Email: "x@acme.com"}}, bob}), false},
	} {
		if (tt.got == base) != tt.same {
			t.Errorf("%s: same digest %v, want %v", name, tt.got == base, tt.same)
		}
	}
}

func TestApprove(t *testing.T) {
	b := newBook(t)
	id := b.hold(b.plan("ann"), Protected, Stale).ID
	h, err := b.Approve(t.Context(), b.word(id, "ana", "she said so"), aDay)
	if err != nil || h.State != HoldApproved || h.DecidedBy != "ana" || h.Reason != "she said so" || h.DecidedAt.IsZero() {
		t.Fatalf("got %+v (%v)", h, err)
	}
	plan := b.due(b.now)
	if len(plan) != 1 || len(plan[0].Entry.Approvals) != 1 {
		t.Fatalf("plan %+v, want it due with its approval", plan)
	}
	if got := b.text(`SELECT actor || ' ' || action FROM audit WHERE action = 'hold_approved'`); got != "ana hold_approved" {
		t.Errorf("audit says %q", got)
	}
	if batch := b.submit(plan...); len(batch.Members) != 1 {
		t.Error("what was approved is not sent")
	}
}

func TestApprovalCovers(t *testing.T) {
	b := newBook(t)
	b.approve(b.hold(b.plan("ann", "bob"), Protected, Stale).ID)
	e := b.due(b.now)[0].Entry
	for name, tt := range map[string]struct {
		kind  Kind
		users []string
		want  bool
	}{
		"its users and kind":     {Protected, []string{"id-ann"}, true},
		"its users, second kind": {Stale, []string{"id-ann"}, true},
		"another kind":           {Limit, []string{"id-ann"}, false},
		"another user":           {Protected, []string{"new"}, false},
		"a user more":            {Protected, []string{"id-ann", "new"}, false},
	} {
		if got := e.Approved(tt.kind, with(e, tt.users...).Users); got != tt.want {
			t.Errorf("%s: approved %v, want %v", name, got, tt.want)
		}
	}
}

func TestApprovalsAddUp(t *testing.T) {
	b := newBook(t)
	b.approve(b.hold(b.plan("ann"), Administrator).ID)
	b.approve(b.hold(b.due(b.now), FewAdministrators).ID)
	e := b.due(b.now)[0].Entry
	for _, k := range []Kind{Administrator, FewAdministrators} {
		if !e.Approved(k, []User{{ID: "id-ann"}}) {
			t.Errorf("%s is not approved", k)
		}
	}
}

func TestReject(t *testing.T) {
	b := newBook(t)
	id := b.hold(b.plan("ann", "bob", "eve"), Limit).ID
	b.record(b.left("eve", b.said(time.Minute), b.leaving(time.Hour))) // moved away, so no more held
	h, settled, err := b.Reject(t.Context(), b.word(id, "ana", "wrong file"))
	if err != nil || h.State != HoldRejected || len(settled) != 2 {
		t.Fatalf("hold %+v, settled %+v (%v), want two", h, settled, err)
	}
	for i, name := range []string{"ann", "bob"} {
		e := b.entry(name)
		if e.State != Skipped || e.Reason != "wrong file" || e.SettledAt.IsZero() {
			t.Errorf("entry %+v, want it skipped for the reason", e)
		}
		if s := settled[i]; s.Entry.ID != e.ID || s.Outcome != Skipped || s.Reason != "wrong file" {
			t.Errorf("settled %+v, want it to be %s", s, name)
		}
	}
	b.is("eve", Waiting)
}

func TestDecideOnce(t *testing.T) {
	decisions := map[string]func(*book, int64) error{
		"approve": func(b *book, id int64) error {
			_, err := b.Approve(b.t.Context(), b.word(id, "ana", ""), aDay)
			return err
		},
		"reject": func(b *book, id int64) error { _, _, err := b.Reject(b.t.Context(), b.word(id, "ana", "")); return err },
	}
	for first, decide := range decisions {
		for second, again := range decisions {
			t.Run(first+", then "+second, func(t *testing.T) {
				b := newBook(t)
				id := b.hold(b.plan("ann"), Limit).ID
				if err := decide(b, id); err != nil {
					t.Fatal(err)
				}
				state := b.entry("ann").State
				if err := again(b, id); !errors.Is(err, ErrDecided) {
					t.Errorf("got %v, want ErrDecided", err)
				}
				b.is("ann", state)
			})
		}
	}
	b := newBook(t)
	if _, err := b.Approve(t.Context(), Decision{Hold: 7, By: Person{Name: "ana"}}, aDay); !errors.Is(err, ErrNoHold) {
		t.Errorf("got %v, want ErrNoHold", err)
	}
}

func TestSelfCanOnlyBeSkipped(t *testing.T) {
	b := newBook(t)
	id := b.hold(b.plan("ann"), Self, Limit).ID
	if _, err := b.Approve(t.Context(), b.word(id, "ana", ""), aDay); !errors.Is(err, ErrSelf) {
		t.Errorf("got %v, want ErrSelf", err)
	}
	b.is("ann", Held)
	if _, _, err := b.Reject(t.Context(), b.word(id, "ana", "")); err != nil {
		t.Error(err)
	}
	b.is("ann", Skipped)
}

func TestRenewKeepsSinceWhenItIsHeld(t *testing.T) {
	b := newBook(t)
	first := b.hold(b.plan("ann"), Limit)
	b.renew(false)
	b.is("ann", Due)
	if got, err := b.Hold(t.Context(), first.ID); err != nil || got.State != HoldEnded {
		t.Errorf("hold %+v (%v), want it ended", got, err)
	}
	if _, err := b.Approve(t.Context(), b.word(first.ID, "ana", ""), aDay); !errors.Is(err, ErrDecided) {
		t.Errorf("an ended hold was approved: %v", err)
	}
	b.record(b.left("bob"))
	if again := b.hold(b.due(time.Now()), Limit); again.ID == first.ID || !again.CreatedAt.Equal(first.CreatedAt) || len(again.Users) != 2 {
		t.Errorf("hold %+v, want a new one of both, since %v", again, first.CreatedAt)
	}
}

func TestRenewAfterADryRun(t *testing.T) {
	for name, tt := range map[string]struct {
		dryRun bool
		want   State
	}{
		"still a dry run": {true, WouldClose},
		"now in earnest":  {false, Due},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.approve(b.hold(b.plan("ann"), FirstRun).ID)
			if err := b.WouldClose(t.Context(), b.due(b.now)); err != nil {
				t.Fatal(err)
			}
			b.renew(tt.dryRun)
			b.is("ann", tt.want)
			if tt.dryRun {
				return
			}
			plan := b.due(b.now)
			if len(plan) != 1 || !plan[0].Entry.DryRun || len(plan[0].Entry.Approvals) != 0 {
				t.Errorf("plan %+v, want it marked, and to be approved anew", plan)
			}
		})
	}
}

func TestRunBefore(t *testing.T) {
	for name, tt := range map[string]struct {
		run  func(*book)
		want bool
	}{
		"nothing happened":    {func(*book) {}, false},
		"a plan is held":      {func(b *book) { b.hold(b.plan("ann"), FirstRun) }, false},
		"a first plan may go": {func(b *book) { b.approve(b.hold(b.plan("ann"), FirstRun, Limit).ID) }, true},
		"one person may go":   {func(b *book) { b.approve(b.hold(b.plan("ann"), Protected).ID) }, false},
		"a close was sent":    {func(b *book) { b.submit(b.plan("ann")...) }, true},
		"a first plan may not": {func(b *book) {
			_, _, _ = b.Reject(b.t.Context(), b.word(b.hold(b.plan("ann"), FirstRun).ID, "ana", "no"))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			tt.run(b)
			if got, err := b.RunBefore(t.Context(), account); err != nil || got != tt.want {
				t.Errorf("run before %v (%v), want %v", got, err, tt.want)
			}
			if got, err := b.RunBefore(t.Context(), "other"); err != nil || got {
				t.Errorf("run before in another account: %v (%v)", got, err)
			}
		})
	}
}
