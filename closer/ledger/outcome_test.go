package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

// outcomes are those after a row of the audit.
func (b *book) outcomes(after int64) []Outcome {
	b.t.Helper()
	var all []Outcome
	for {
		found, upTo, err := b.OutcomesAfter(b.t.Context(), after, 3)
		if err != nil {
			b.t.Fatal(err)
		}
		if all = append(all, found...); upTo == after {
			return all
		}
		after = upTo
	}
}

// told is every outcome in a line: what, of which entry, and what differs by it.
func (b *book) told() []string {
	b.t.Helper()
	lines := make([]string, 0)
	for _, o := range b.outcomes(0) {
		line := fmt.Sprint(o.What, " ", o.Entry)
		for _, u := range o.Users {
			line += " " + strings.TrimRight(strings.Join([]string{u.ID, u.Outcome, u.Reason, u.Note, u.Trace}, "/"), "/")
		}
		if o.Hold != 0 {
			line += fmt.Sprint(" hold=", o.Hold, ":", joinKinds(o.Kinds))
		}
		if o.ClosedBy != 0 {
			line += fmt.Sprint(" closedBy=", o.ClosedBy)
		}
		for _, said := range [][2]string{{"reason", o.Reason}, {"by", o.By}, {"detail", o.Detail}, {"origin", o.Origin}, {"advice", o.Advice}} {
			if said[1] != "" {
				line += " " + said[0] + "=" + said[1]
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func TestWhatIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*book)
		want []string
	}{
		"closed": {func(b *book) { b.toState(Closed) }, []string{"closed 1 id-ann/closed///trace"}},
		"closed in two requests": {func(b *book) {
			plan := b.plan("ann")
			b.answer(b.submit(with(plan[0].Entry, "one", "two")), map[string]Result{"one": {Closed: true, Note: "groups"}, "two": {Reason: "NO"}})
			b.answer(b.submit(with(b.due(b.now.Add(time.Hour))[0].Entry, "two")), map[string]Result{"two": {Closed: true}})
		}, []string{"closed 1 one/closed//groups/trace two/closed///trace"}},
		"already closed": {func(b *book) {
			b.settleAs(Settlement{Entry: b.plan("ann")[0].Entry, Outcome: AlreadyClosed, Users: []User{{ID: "a"}, {ID: "b"}}})
		}, []string{"already_closed 1 a/already_closed b/already_closed"}},
		"not found": {func(b *book) { b.settle(b.plan("ann")[0].Entry, NotFound) }, []string{"not_found 1"}},
		"half closed, and the other half found closed": {func(b *book) {
			b.answer(b.submit(with(b.plan("ann")[0].Entry, "one", "two")), map[string]Result{"one": {Closed: true}, "two": {Reason: "NO"}})
			b.settleAs(Settlement{Entry: b.due(b.now.Add(time.Hour))[0].Entry, Outcome: AlreadyClosed, Users: []User{{ID: "one"}, {ID: "two"}}})
		}, []string{"closed 1 one/closed///trace two/already_closed"}},
		"failed": {func(b *book) { b.toState(Failed) }, []string{"failed 1 id-ann/failed/NO//trace reason=NO"}},
		"failed, tried again and failed": {func(b *book) {
			b.toState(Failed)
			b.answer(b.submit(b.due(b.now.Add(26*time.Hour))...), map[string]Result{"id-ann": {Reason: "NO"}})
		}, []string{"failed 1 id-ann/failed/NO//trace reason=NO"}},
		"failed, tried again and failed otherwise": {func(b *book) {
			b.toState(Failed)
			b.answer(b.submit(b.due(b.now.Add(26*time.Hour))...), map[string]Result{"id-ann": {Reason: "NEVER"}})
		}, []string{"failed 1 id-ann/failed/NO//trace reason=NO", "failed 1 id-ann/failed/NEVER//trace reason=NEVER"}},
		"waiting, then taken back": {func(b *book) {
			b.record(b.left("ann", b.leaving(week)), b.left("ann", rescind))
		}, []string{"cancelled 1 reason=rescinded"}},
		"half closed, then taken back": {func(b *book) {
			b.answer(b.submit(with(b.plan("ann")[0].Entry, "one", "two")), map[string]Result{"one": {Closed: true}, "two": {Reason: "NO"}})
			b.record(b.left("ann", rescind))
		}, []string{"cancelled 1 one/closed///trace reason=rescinded", "held 1 one hold=1:reopen detail=rescinded after the close"}},
		"taken back on the wire, and not closed": {func(b *book) {
			batch := b.submit(b.plan("ann")...)
			b.record(b.left("ann", rescind))
			b.answer(batch, map[string]Result{"id-ann": {Reason: "NO"}})
		}, []string{"cancelled 1 reason=rescinded"}},
		"held, and let go": {func(b *book) {
			b.approve(b.hold(b.plan("ann"), Protected, Stale).ID)
		}, []string{"held 1 id-ann hold=1:protected,stale detail=detail"}},
		"held, and a person says no": {func(b *book) {
			b.hold(b.plan("ann"), Limit)
			if _, _, err := b.Reject(b.t.Context(), b.word(1, "ana", "a mistake")); err != nil {
				b.t.Fatal(err)
			}
		}, []string{"held 1 id-ann hold=1:limit detail=detail", "skipped 1 hold=1: reason=a mistake by=ana"}},
		"skipped by hand": {func(b *book) {
			b.hold(b.plan("ann"), Limit)
			if _, _, err := b.Skip(b.t.Context(), byAna("ann")); err != nil {
				b.t.Fatal(err)
			}
		}, []string{"held 1 id-ann hold=1:limit detail=detail", "skipped 1 reason=because by=ana"}},
		"skipped by hand, and the reason erased": {func(b *book) {
			b.plan("ann")
			if _, _, err := b.Skip(b.t.Context(), byAna("ann")); err != nil {
				b.t.Fatal(err)
			}
			b.raw(`DELETE FROM audit_personal`)
		}, []string{"skipped 1 by=ana"}},
		"held anew": {func(b *book) {
			b.hold(b.plan("ann"), Limit)
			b.renew(false)
			b.hold(b.dueIn(account, b.now), Stale)
		}, []string{"held 1 id-ann hold=1:limit detail=detail", "held 1 id-ann hold=2:stale detail=detail"}},
		"held and would be closed in a dry run": {func(b *book) {
			plan := b.plan("ann", "bob")
			if _, err := b.MakeHold(b.t.Context(), account, []Kind{Limit}, "", true, plan[:1]); err != nil {
				b.t.Fatal(err)
			}
			if err := b.WouldClose(b.t.Context(), plan[1:]); err != nil {
				b.t.Fatal(err)
			}
		}, nil},
		"returned": {func(b *book) {
			b.toState(Closed)
			b.mustReturn(b.entry("ann"))
		}, []string{"closed 1 id-ann/closed///trace", "returned 2 again closedBy=1"}},
		"opened again": {func(b *book) {
			b.toState(Closed)
			b.record(b.left("ann", rescind))
			b.approve(1)
			b.submitReopen(1)
			if err := b.SettleReopen(b.t.Context(), 1, ReopenSent, "", "token"); err != nil {
				b.t.Fatal(err)
			}
		}, []string{"closed 1 id-ann/closed///trace", "held 1 id-ann hold=1:reopen detail=rescinded after the close", "reopen_sent 1 id-ann/reopen_sent///token"}},
		"not opened again": {func(b *book) {
			b.toState(Closed)
			b.record(b.left("ann", rescind))
			b.approve(1)
			if err := b.SettleReopen(b.t.Context(), 1, ReopenFailed, "NO", "token"); err != nil {
				b.t.Fatal(err)
			}
		}, []string{"closed 1 id-ann/closed///trace", "held 1 id-ann hold=1:reopen detail=rescinded after the close", "reopen_failed 1 id-ann/reopen_failed/NO//token reason=NO"}},
		"a reject": {func(b *book) { b.reject("one", "{1}"); b.reject("one", "{1}") }, []string{"rejected 0 reason=invalid_data origin=hr.employee"}},
		"parked, for another reason, and resumed": {func(b *book) {
			for _, parked := range []string{"", "sign_in", "sign_in", "consent", "", ""} {
				if err := b.SetAccount(b.t.Context(), Account{ID: account, Parked: parked, Advice: parked}); err != nil {
					b.t.Fatal(err)
				}
			}
		}, []string{"parked 0 reason=sign_in advice=sign_in", "parked 0 reason=consent advice=consent", "resumed 0 reason=consent"}},
		"parked before its name was known": {func(b *book) {
			if err := b.SetAccount(b.t.Context(), Account{ID: "unknown", Parked: "sign_in"}); err != nil {
				b.t.Fatal(err)
			}
			for range 2 {
				if err := b.ForgetAccount(b.t.Context(), "unknown"); err != nil {
					b.t.Fatal(err)
				}
			}
		}, []string{"parked 0 reason=sign_in", "resumed 0 reason=sign_in"}},
		"another entry goes on in its place": {func(b *book) {
			b.toState(Held)
			b.raw(`INSERT INTO entries (id, leaver, state, emails, word_at, effective_at, due_at, received_at)
				SELECT 2, leaver, 'waiting', emails, word_at, effective_at, due_at, received_at FROM entries WHERE id = 1`)
			b.becomeDue(b.now, account)
		}, []string{"held 1 id-ann hold=1:protected detail=detail"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			tt.do(b)
			if got := b.told(); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			b.verify()
		})
	}
}

func (b *book) settleAs(s Settlement) {
	b.t.Helper()
	if _, err := b.Settle(b.t.Context(), []Settlement{s}); err != nil {
		b.t.Fatal(err)
	}
}

// An outcome names the leaver, the row of the audit and the chain up to it.
func TestOutcomeNamesTheLeaver(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", both(employee("E-1"), termination("T-1")), func(e *consumer.Event) { e.ManagerEmail = "boss@acme.com" }))
	b.answer(b.submit(b.due(b.now)...), map[string]Result{"id-ann": {Closed: true}})
	got := b.outcomes(0)
	if len(got) != 1 {
		t.Fatalf("got %+v, want one", got)
	}
	head := b.verify()
	if o := got[0]; o.Seq != head.Rows || o.Hash != head.Head || !o.At.Equal(head.At) {
		t.Errorf("%+v, want the row %+v", o, head)
	}
	if o := got[0]; o.Email != "ann@acme.com" || o.EmployeeID != "E-1" || o.TerminationID != "T-1" || o.ManagerEmail != "boss@acme.com" ||
		o.Account != account || !o.EffectiveAt.Equal(b.now.Add(-time.Hour)) || !o.DueAt.Equal(b.now) {
		t.Errorf("got %+v", o)
	}
}

// What was erased, and what somebody has made unreadable, keeps nobody from
// hearing of the rest.
func TestOutcomesOfWhatWasErased(t *testing.T) {
	b := newBook(t)
	b.toState(Closed)
	b.reject("one", "{1}")
	b.raw(`DELETE FROM entries`)
	b.raw(`DELETE FROM memberships`)
	b.raw(`DELETE FROM audit_personal`)
	b.raw(`UPDATE audit SET facts = 'nonsense' WHERE action = 'reject'`)
	if got, want := b.told(), []string{"closed 1 id-ann/closed///trace", "rejected 0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Every What has a row that makes it, and every action in the list a What.
func TestWhatsAndActionsAgree(t *testing.T) {
	made := make(map[What]bool)
	_, list, _ := strings.Cut(outcomeActions, "(")
	for action := range strings.SplitSeq(strings.TrimSuffix(list, ")"), ",") {
		made[whatOf(strings.Trim(action, " '\n\t"))] = true
	}
	if len(made) != len(Whats()) {
		t.Errorf("the actions make %v, want %v", made, Whats())
	}
	for _, w := range Whats() {
		if !made[w] {
			t.Errorf("no action makes %s", w)
		}
	}
}
