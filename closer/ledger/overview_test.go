package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

func (b *book) overview(late time.Time) Overview {
	b.t.Helper()
	o, err := b.Overview(b.t.Context(), b.now, late, []string{account})
	if err != nil {
		b.t.Fatal(err)
	}
	return o
}

func TestOverviewCounts(t *testing.T) {
	b := crowd(t)
	o := b.overview(b.now.Add(time.Minute))
	want := map[State]int{Closed: 1, NotFound: 1, Due: 2, Held: 1, Waiting: 2}
	o.Entries = maps.Collect(func(yield func(State, int) bool) {
		for s, n := range o.Entries {
			if n != 0 && !yield(s, n) {
				return
			}
		}
	})
	if !maps.Equal(o.Entries, want) || o.ByOpen[account] != 3 || o.ByOpen[""] != 2 {
		t.Errorf("%v, open %v; want %v", o.Entries, o.ByOpen, want)
	}
	if o.Late != 4 || !o.LateFrom.Equal(b.entry("held").DueAt) || o.Ready != 3 || o.Urgent != 1 || o.UrgentAt.IsZero() || o.Free == 0 {
		t.Errorf("%+v", o)
	}
	if len(o.Holds) != 1 || o.Holds[0].Kind != Protected || o.Holds[0].Users != 1 || o.Holds[0].Open != 1 {
		t.Errorf("holds %+v", o.Holds)
	}
	if head, err := readHead(t.Context(), b.read); err != nil || o.Head != head.Seq || o.Hash != head.Hash {
		t.Errorf("%d %s, %v", o.Head, o.Hash, err)
	}
	if none := b.overview(time.Time{}); none.Late != 0 {
		t.Errorf("%d are late by no deadline", none.Late)
	}
}

func TestWhatClosedLeaversLately(t *testing.T) {
	b := crowd(t)
	spans, err := b.Settled(t.Context(), b.now.Add(-time.Hour), 30*time.Minute, 4)
	if err != nil || len(spans) != 4 {
		t.Fatal(spans, err)
	}
	for i, s := range spans {
		want := Closes{From: b.now.Add(time.Duration(i-2) * 30 * time.Minute), To: b.now.Add(time.Duration(i-1) * 30 * time.Minute)}
		if i == 2 {
			want.Closed, want.Other = 1, 1
		}
		if s != want {
			t.Errorf("span %d: %+v, want %+v", i, s, want)
		}
	}
	took, err := b.Took(t.Context(), b.now, b.now.Add(time.Hour))
	if err != nil || len(took) != 1 || took[0] > time.Hour {
		t.Errorf("took %v, %v", took, err)
	}
}

func TestFailuresAreCountedOnce(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"))
	at := b.now
	for range 4 { // refused twice it fails, and then daily for the same reason
		for _, r := range b.due(at) {
			b.answer(b.submit(r), map[string]Result{userOf(r.Entry): {Reason: "no"}})
		}
		at = at.Add(25 * time.Hour)
	}
	b.is("ann", Failed)
	spans, err := b.Settled(t.Context(), b.now.Add(-time.Hour), 24*time.Hour, 2)
	if err != nil || spans[0].Failed != 1 {
		t.Errorf("%+v, %v; want one failure", spans, err)
	}
	if o := b.overview(time.Time{}); o.Entries[Failed] != 1 || o.Failed.IsZero() {
		t.Errorf("%+v", o)
	}
}

func TestPulseChangesWithWhatIsShown(t *testing.T) {
	b := newBook(t, func(c *Config) { c.Sources = []string{"hr"} })
	last := ""
	pulse := func() string {
		p, err := b.Pulse(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	is := func(what string, changes bool) {
		t.Helper()
		if now := pulse(); (now != last) != changes {
			t.Errorf("%s: another pulse is %t, want %t", what, !changes, changes)
		}
		last = pulse()
	}
	is("the first", true)
	is("nothing", false)
	if err := b.Writable(t.Context()); err != nil {
		t.Fatal(err)
	}
	is("a probe", false)
	b.record(b.left("ann"))
	is("news", true)
	due := b.due(b.now)
	is("due", true)
	if err := b.SetAccount(t.Context(), Account{ID: account, PassedAt: b.now}); err != nil {
		t.Fatal(err)
	}
	is("a run", true)
	if kept, err := b.SetNext(t.Context(), account, b.now.Add(time.Minute)); err != nil || !kept {
		t.Fatal(kept, err)
	}
	is("the next run", true)
	if _, err := b.MakeHold(t.Context(), account, []Kind{Limit}, "", false, due); err != nil {
		t.Fatal(err)
	}
	is("a hold", true)
	if _, err := b.Ledger.Freeze(t.Context(), Freeze{Until: b.now.Add(time.Hour), Reason: "r", By: "ann"}); err != nil {
		t.Fatal(err)
	}
	is("a freeze", true)
	if err := b.SetReading(t.Context(), "up_to_date", ""); err != nil {
		t.Fatal(err)
	}
	is("reading", true)
	b.subscribe("kafka")
	is("a sink", true)
	if err := b.Record(t.Context(), consumer.Intake{Source: consumer.Kafka, Rejects: []consumer.Reject{{Key: consumer.Key{Origin: "hr", ID: "x"}, Reason: consumer.NoEmail}}}); err != nil {
		t.Fatal(err)
	}
	is("a reject", true)
	is("nothing more", false)
}

func TestNextRunOfAnAccount(t *testing.T) {
	b := newBook(t)
	if kept, err := b.SetNext(t.Context(), account, b.now); err != nil || kept {
		t.Errorf("of an account that is not known: %t, %v", kept, err)
	}
	if all, err := b.Accounts(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("it makes one: %v, %v", all, err)
	}
	if err := b.SetAccount(t.Context(), Account{ID: account, PassedAt: b.now}); err != nil {
		t.Fatal(err)
	}
	next := b.now.Add(time.Minute)
	if kept, err := b.SetNext(t.Context(), account, next); err != nil || !kept {
		t.Error(kept, err)
	}
	if err := b.SetAccount(t.Context(), Account{ID: account, PassedAt: b.now.Add(time.Second)}); err != nil { // as before, by whoever read it earlier
		t.Fatal(err)
	}
	if a, err := b.Account(t.Context(), account); err != nil || !a.NextAt.Equal(next) || !a.PassedAt.Equal(b.now.Add(time.Second)) {
		t.Errorf("%+v, %v", a, err)
	}
}

// What pages ask walks no table, and no index but those that are small or hold nothing
// else.
func TestPagesReadIndexesAlone(t *testing.T) {
	b := newBook(t)
	queries := map[string]string{
		closesIn: "entries_settled (settled_at>? AND settled_at<?)", tookIn: "COVERING INDEX entries_settled (settled_at>? AND settled_at<?)",
		refusedIn: "audit_failed (at>? AND at<?)", entryStates: "COVERING INDEX entries_counts (state=?)", entriesLate: "COVERING INDEX entries_state (state=? AND due_at<?)",
		entriesReady: "entries_state", entriesUrgent: "entries_urgent", entriesFailed: "COVERING INDEX entries_state", entriesSent: "entries_state", holdsCounted: "entries_held",
	}
	for _, f := range []LeaverFilter{
		{}, {States: []State{Closed, Due}}, {Account: "a", Urgent: true, Returned: true, ReceivedFrom: b.now, SettledTo: b.now, TookFrom: time.Hour}, {Late: b.now, Urgent: true},
	} {
		f.Limit, f.After = 50, Cursor{7, b.now}
		q := newListing(f, found{})
		if len(q.states) > 0 {
			queries[q.page(f)] = "COVERING INDEX entries_list (state=? AND id<?)"
		}
	}
	for query, index := range queries {
		got := b.steps(query)
		if strings.Contains(got, "SCAN entries") && !strings.Contains(got, "SCAN entries USING COVERING INDEX sqlite_autoindex_entries_1") || strings.Contains(got, "SCAN audit") {
			t.Errorf("%s walks: %s", query, got)
		}
		if !strings.Contains(got, index) {
			t.Errorf("%s does not use %s: %s", query, index, got)
		}
	}
}

// steps are how a query is carried out.
func (b *book) steps(query string) string {
	b.t.Helper()
	args := slices.Repeat([]any{int64(1)}, 60)
	n := 0
	for strings.Contains(query, fmt.Sprint("$", n+1)) {
		n++
	}
	rows, err := b.read.DB.QueryContext(b.t.Context(), `EXPLAIN QUERY PLAN `+query, args[:n]...)
	if err != nil {
		b.t.Fatalf("%v: %s", err, query)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int64
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			b.t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(steps, "; ")
}
