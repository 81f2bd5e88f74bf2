package ledger

import (
	"fmt"
	"testing"
)

func (b *book) outside(named ...string) string {
	b.t.Helper()
	all, err := b.OutsideAccounts(b.t.Context(), named)
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprint(all)
}

func (b *book) keep(ids ...string) {
	b.t.Helper()
	if err := b.KeepAccounts(b.t.Context(), ids); err != nil {
		b.t.Fatal(err)
	}
}

func TestAccountsThatAreOutside(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"), b.left("bob"), b.left("cas", b.leaving(week)))
	b.becomeDue(b.now, "acc", "second", "third")
	b.settle(b.dueIn("third", b.now)[0].Entry, NotFound)
	b.settle(b.dueIn("third", b.now)[0].Entry, NotFound)
	if got := b.outside(); got != "[]" {
		t.Errorf("%s are outside of what nobody knows", got)
	}
	b.keep("second", "acc")
	if got := b.outside(); got != "[]" {
		t.Errorf("%s are outside, want none with open entries", got)
	}
	b.keep("acc")
	for name, got := range map[string]string{"kept": b.outside(), "named": b.outside("acc", "third")} {
		if got != "[{second 2}]" {
			t.Errorf("by those that are %s, %s are outside", name, got)
		}
	}
}

func TestAccountsAreKeptOnce(t *testing.T) {
	b := newBook(t)
	for _, id := range []string{"acc", "second"} {
		if err := b.SetAccount(t.Context(), Account{ID: id, Parked: "consent"}); err != nil {
			t.Fatal(err)
		}
	}
	known := func() (ids string) {
		all, err := b.Accounts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			ids += a.ID + " "
		}
		return ids
	}
	b.keep("acc")
	if got := known(); got != "acc " {
		t.Errorf("known are %s, want the one", got)
	}
	before := b.text(`SELECT value FROM facts WHERE name = 'accounts'`)
	b.raw(`CREATE TRIGGER once BEFORE INSERT ON facts WHEN NEW.name = 'accounts' BEGIN SELECT RAISE(ABORT, 'written again'); END`)
	b.keep("acc")
	if err := b.KeepAccounts(t.Context(), []string{"acc", "second"}); err == nil {
		t.Error("a change was not written")
	}
	if before != `["acc"]` {
		t.Errorf("kept %s", before)
	}
	b.verify()
}
