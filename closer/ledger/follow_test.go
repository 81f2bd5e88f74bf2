package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

// inFile makes an event a row of a file.
func inFile(file string) func(*consumer.Event) {
	return func(e *consumer.Event) { e.Key = consumer.Key{Origin: "file", Source: file, ID: e.Email} }
}

// follows tells what became of a file: address, account, state and users of each row.
func (b *book) follows(file string) string {
	b.t.Helper()
	all, err := b.Follow(b.t.Context(), "file", file)
	if err != nil {
		b.t.Fatal(err)
	}
	var lines []string
	for _, f := range all {
		line := fmt.Sprint(f.ID, " ", f.Entry.Account, " ", f.Entry.State)
		if f.Hold != 0 {
			line += fmt.Sprint(" ", f.Hold)
		}
		for _, u := range f.Users {
			line += fmt.Sprintf(" [%s %s %s]", u.ID, u.Outcome, u.Reason)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func TestFollow(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*book)
		want string
	}{
		"waiting": {func(*book) {}, "ann@acme.com  waiting"},
		"due in two accounts": {func(b *book) { b.becomeDue(b.now, "a", "b") },
			"ann@acme.com a due; ann@acme.com b due"},
		"closed in one, held in the other": {func(b *book) {
			b.becomeDue(b.now, "a", "b")
			b.closeIn("a", "ann")
			_, _ = b.MakeHold(b.t.Context(), "b", []Kind{Protected}, "", false, b.dueIn("b", b.now))
		}, "ann@acme.com a closed [id-ann closed ]; ann@acme.com b held 1"},
		"skipped": {func(b *book) { _, _, _ = b.Reject(b.t.Context(), b.word(b.hold(b.due(b.now), Limit).ID, "ana", "no")) },
			"ann@acme.com acc skipped"},
		"refused": {func(b *book) { b.answer(b.submit(b.due(b.now)...), map[string]Result{"id-ann": {Reason: "NO"}}) },
			"ann@acme.com acc due [id-ann  NO]"},
		"refused for a reason we know": {func(b *book) {
			b.answer(b.submit(b.due(b.now)...), map[string]Result{"id-ann": {Reason: "NO", Note: "managed_by_scim"}})
		}, "ann@acme.com acc due [id-ann  managed_by_scim]"},
		"the last word": {func(b *book) {
			b.becomeDue(b.now, "a", "b")
			b.closeIn("a", "ann")
			b.record(b.left("ann", b.said(time.Minute)))
			b.becomeDue(b.now, "a", "b")
		}, "ann@acme.com a due; ann@acme.com b due"},
		"another of the same leaving gave way": {func(b *book) {
			b.becomeDue(b.now, "a", "b")
			b.closeIn("a", "ann")
			b.record(b.left("ann", b.said(time.Minute)))
			b.mustReturn(b.entries("ann")[0])
			b.becomeDue(b.now, "a", "b")
		}, "ann@acme.com a closed [id-ann closed ]; ann@acme.com b due"},
		"sent again, and not answered": {func(b *book) {
			r := with(b.due(b.now)[0].Entry, "u", "v")
			b.answer(b.submit(r), map[string]Result{"u": {Closed: true, Note: "kept"}, "v": {Reason: "NO"}})
			b.submit(with(b.due(b.now.Add(time.Hour))[0].Entry, "u", "v"))
		}, "ann@acme.com acc submitted [u  ] [v  ]"},
		"another leaver's": {func(b *book) { b.record(b.left("bob")); b.becomeDue(b.now, "a") }, "ann@acme.com a due"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, func(c *Config) { c.Watch = week })
			b.record(b.left("ann", inFile("f1")))
			tt.do(b)
			if got := b.follows("f1"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := b.follows("f2"); got != "" {
				t.Errorf("another file: %q", got)
			}
		})
	}
}

// A second file of the same people is followed through the entries that are
// there already, and through those that it makes.
func TestFollowASecondFile(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", inFile("f1")))
	b.becomeDue(b.now, "a", "b")
	b.closeIn("a", "ann")
	b.record(b.left("ann", b.said(time.Minute), inFile("f2")))
	b.becomeDue(b.now, "a", "b")
	b.settle(b.dueIn("a", b.now)[0].Entry, AlreadyClosed)
	if got, want := b.follows("f2"), "ann@acme.com a already_closed; ann@acme.com b due"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What the watch finds later is no more a matter of the file.
func TestFollowEndsWithTheOutcome(t *testing.T) {
	b := newBook(t, func(c *Config) { c.Watch = week })
	b.record(b.left("ann", inFile("f1")))
	b.closeIn(b.due(b.now)[0].Entry.Account, "ann")
	b.mustReturn(b.entry("ann"))
	if got, want := b.follows("f1"), "ann@acme.com acc closed [id-ann closed ]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A row whose entry gave way leads to the one that took its place.
func TestFollowWhatGaveWay(t *testing.T) {
	b := newBook(t, func(c *Config) { c.Watch = week })
	b.toState(Closed)
	b.record(b.left("ann", b.said(time.Minute), b.leaving(time.Hour), inFile("f1")))
	b.mustReturn(b.entries("ann")[0])
	b.becomeDue(b.now.Add(2*time.Hour), account)
	if got, want := b.follows("f1"), "ann@acme.com acc due"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFollowedUser(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", inFile("f1")))
	r := b.due(b.now)[0]
	r.Users[0].SCIM = true
	b.answer(b.submit(r), map[string]Result{"id-ann": {Closed: true, Note: "signing_groups_kept"}})
	all, err := b.Follow(t.Context(), "file", "f1")
	if err != nil || len(all) != 1 || len(all[0].Users) != 1 {
		t.Fatalf("got %+v (%v)", all, err)
	}
	got := all[0].Users[0]
	want := FollowedUser{User: User{ID: "id-ann", Email: "ann@acme.com", SCIM: true}, Outcome: "closed",
		Reason: "signing_groups_kept", Trace: "trace", SettledAt: all[0].Entry.SettledAt}
	if got != want || got.SettledAt.IsZero() {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
