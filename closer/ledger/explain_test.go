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

func (b *book) explain(ask Question) Story {
	b.t.Helper()
	s, err := b.Explain(b.t.Context(), ask)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// chain is a story in short: for each leaving its entries and its actions.
func chain(s Story) string {
	var lines []string
	for _, l := range s.Leavers {
		for _, leaving := range l.Leavings {
			var entries, actions []string
			for _, e := range leaving.Entries {
				entries = append(entries, fmt.Sprint(e.ID))
			}
			for _, step := range leaving.Steps {
				actions = append(actions, step.Action)
			}
			lines = append(lines, strings.Join(entries, " ")+": "+strings.Join(actions, " "))
		}
	}
	return strings.Join(lines, "\n")
}

func TestStoriesOfLeavers(t *testing.T) {
	ann := Question{Email: "ann@acme.com"}
	for name, tt := range map[string]struct {
		history func(*book)
		ask     Question
		want    string
	}{
		"waits":  {func(b *book) { b.record(b.left("ann", b.leaving(week))) }, ann, "1: received"},
		"closed": {func(b *book) { b.toState(Closed) }, ann, "1: received due submitted closed"},
		"by an address of before": {func(b *book) {
			b.record(b.left("ann", b.leaving(week), also("old@acme.com")))
		}, Question{Email: "old@acme.com"}, "1: received"},
		"by an address in the entry alone": {func(b *book) {
			b.record(b.left("ann", b.leaving(week)))
			b.raw(`UPDATE entries SET emails = '["ann@acme.com","a3@acme.com"]'`)
		}, Question{Email: "a3@acme.com"}, "1: received"},
		"by an event": {func(b *book) { b.toState(Closed) }, Question{Event: "e1"}, "1: received due submitted closed"},
		"held, and approved by a person": {func(b *book) {
			b.approve(b.hold(b.plan("ann", "bob"), Limit).ID)
			b.submit(b.dueIn(account, b.now)...)
		}, ann, "1: received due held hold_approved approved submitted"},
		"in two accounts": {func(b *book) {
			b.record(b.left("ann"))
			b.becomeDue(b.now, account, "other")
			b.hold(b.dueIn("other", b.now), Protected)
		}, ann, "1 2: received due due held"},
		"returned goes on with the leaving": {func(b *book) {
			b.toState(Closed)
			b.mustReturn(b.entry("ann"))
		}, ann, "1 2: received due submitted closed returned"},
		"two leavings": {func(b *book) {
			b.toState(Closed)
			b.record(b.left("ann"))
		}, ann, "1: received due submitted closed\n2: received"},
		"another try by hand is of the same leaving": {func(b *book) {
			b.settle(b.plan("ann")[0].Entry, NotFound)
			b.must(b.Retry(b.t.Context(), byAna("ann")))
		}, ann, "1 2: received due not_found retry_asked due"},
		"parked while due": {func(b *book) {
			b.park("", "before")
			b.plan("ann")
			b.park("consent", "grant consent")
			b.park("", "")
		}, ann, "1: received due account_parked account_resumed"},
		"parked before and after": {func(b *book) {
			b.park("consent", "grant consent")
			b.park("", "")
			b.toState(Closed)
			b.raw(`UPDATE entries SET settled_at = settled_at - 1000000, due_at = due_at - 2000000`)
			b.park("consent", "grant consent")
		}, ann, "1: received due submitted closed"},
		"erased, by its event": {func(b *book) {
			b.toState(Closed)
			b.erase(b.now.Add(eraseAfter + time.Hour))
		}, Question{Event: "e1"}, "1: received due submitted closed erased"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			tt.history(b)
			if got := chain(b.explain(tt.ask)); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// park parks the account for a reason, or lets it go on ("").
func (b *book) park(reason, advice string) {
	b.t.Helper()
	if err := b.SetAccount(b.t.Context(), Account{ID: account, Parked: reason, Advice: advice}); err != nil {
		b.t.Fatal(err)
	}
}

func TestStoriesOfEvents(t *testing.T) {
	of := func(s Story) string {
		var all []string
		for _, e := range s.Events {
			line := fmt.Sprintf("%s %s→%d", e.Kind, e.Key.Source, e.Entry)
			if e.Reject != nil {
				line = fmt.Sprintf("reject %d %s", e.Reject.ID, e.Reject.State)
			}
			all = append(all, line)
		}
		return strings.Join(all, ", ")
	}
	same := func(e *consumer.Event) { e.Key.ID = "same" }
	for name, tt := range map[string]struct {
		history func(*book)
		ask     Question
		want    string
	}{
		"a termination":        {func(b *book) { b.record(b.left("ann")) }, Question{Event: "e1"}, "terminated hr→1"},
		"a rescind of nobody":  {func(b *book) { b.record(b.left("ann", rescind)) }, Question{Event: "e1"}, "rescinded hr→0"},
		"the same, by address": {func(b *book) { b.record(b.left("ann", rescind)) }, Question{Email: "ann@acme.com"}, "rescinded hr→0"},
		"a rescind of somebody": {func(b *book) {
			b.record(b.left("ann", b.leaving(week)), b.left("ann", rescind))
		}, Question{Event: "e2"}, "rescinded hr→1"},
		"a reject": {func(b *book) { b.reject("r1", "{}") }, Question{Event: "r1"}, "reject 1 open"},
		"an id of two sources": {func(b *book) {
			b.record(b.left("ann", same), b.left("bob", same, from("other")))
		}, Question{Event: "same"}, "terminated hr→1, terminated other→2"},
		"of one of them": {func(b *book) {
			b.record(b.left("ann", same), b.left("bob", same, from("other")))
		}, Question{Event: "same", Source: "other"}, "terminated other→2"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			tt.history(b)
			if got := of(b.explain(tt.ask)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestNoStoryOfWhatIsNotKnown(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"))
	for ask, want := range map[Question]error{
		{Email: "zoe@acme.com"}:          ErrNobodyBy,
		{Event: "e9"}:                    ErrNeverHeard,
		{Event: "e1", Source: "another"}: ErrNeverHeard,
	} {
		if _, err := b.Explain(t.Context(), ask); !errors.Is(err, want) {
			t.Errorf("%+v: %v, want %v", ask, err, want)
		}
	}
}

func TestReplayedEventTellsOfItsReject(t *testing.T) {
	b := newBook(t)
	r := b.reject("r1", "{}")
	e := b.left("ann")
	e.Key = r.Key
	b.replay(r.ID, []consumer.Event{e})
	l := b.explain(Question{Email: "ann@acme.com"}).Leavers[0].Leavings[0]
	if len(l.Rejects) != 1 || l.Rejects[0].State != RejectReplayed {
		t.Errorf("rejects: %+v", l.Rejects)
	}
}

func TestRescindThatCameFirstIsTold(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann", rescind), b.left("ann", b.said(2*time.Hour)))
	l := b.explain(Question{Email: "ann@acme.com"}).Leavers[0].Leavings[0]
	if len(l.Cancels) != 1 || l.Cancels[1].Key.ID != "e1" {
		t.Errorf("cancels: %+v of %s", l.Cancels, chain(b.explain(Question{Email: "ann@acme.com"})))
	}
}

func TestFreezesWhileDueAreTold(t *testing.T) {
	b := newBook(t)
	b.plan("ann")
	for _, f := range []Freeze{{Account: account}, {Account: "other"}, {}} {
		f.Until, f.By = b.now.Add(time.Hour), "ana"
		if _, err := b.Freeze(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	s := b.explain(Question{Email: "ann@acme.com"})
	var of []string
	for _, f := range s.Leavers[0].Leavings[0].Freezes {
		of = append(of, f.Account)
	}
	if !slices.Equal(of, []string{account, ""}) || len(s.Freezes) != 3 {
		t.Errorf("freezes of %q, %d in force", of, len(s.Freezes))
	}
}

// A history is cut in the middle: how it began and how it stands are told.
func TestLongHistoriesAreCut(t *testing.T) {
	const many = 2000
	b := newBook(t)
	b.toState(Due)
	b.raw(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		INSERT INTO audit (seq, at, action, entry, actor, facts, personal, prev, hash) SELECT 100 + i, 0, 'retry', 1, '', '{}', '{}', '', '' FROM n`, many)
	l := b.explain(Question{Email: "ann@acme.com"}).Leavers[0].Leavings[0]
	if len(l.Steps) != storyFirst+storyLast || l.More != many+2-storyFirst-storyLast || l.Steps[0].Action != "received" || l.Steps[storyFirst].Seq != l.Gap {
		t.Errorf("%d steps from %s, %d left out before row %d", len(l.Steps), l.Steps[0].Action, l.More, l.Gap)
	}
}

func TestAnAddressOfVeryManyIsCut(t *testing.T) {
	b := newBook(t)
	for i := range storyLeavers + 3 {
		b.record(b.left(fmt.Sprint("p", i), also("info@acme.com")))
	}
	if s := b.explain(Question{Email: "info@acme.com"}); len(s.Leavers) != storyLeavers || s.More != 3 {
		t.Errorf("%d leavers, %d left out", len(s.Leavers), s.More)
	}
}

// The indexes serve, or a story would walk tables of years.
func TestStoriesAreReadByIndexes(t *testing.T) {
	b := newBook(t)
	for query, index := range map[string]string{
		storyKeys: "keys_id", storyRejects: "rejects_event", storyCancels: "cancels_event", storyBy: "(value=?", storyNobody: "(value=?",
		storyOpenBy: "entries_state", storyEntries: "entries_leaver", storyWork: "entries_leaver", storySteps + ` ORDER BY seq DESC LIMIT $2`: "audit_entry",
		storyShared: "audit_shared (seq>?)", storyHolds: "hold_users_entry",
	} {
		rows, err := b.read.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query, "1", "2", "3", "4")
		if err != nil {
			t.Fatalf("%v: %s", err, query)
		}
		var steps []string
		for rows.Next() {
			var id, parent, unused int64
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			steps = append(steps, step)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(steps, "; ")
		for _, table := range []string{"keys", "rejects", "cancels", "identities", "entries", "audit", "hold_users"} {
			if strings.Contains(got, "SCAN "+table) {
				t.Errorf("%s walks all %s: %s", query, table, got)
			}
		}
		if !strings.Contains(got, index) {
			t.Errorf("%s does not use %s: %s", query, index, got)
		}
	}
}
