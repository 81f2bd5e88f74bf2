package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

// evidence is what there is of a period.
func (b *book) evidence(p Period) (leavings []EntryEvidence, rows []ChainRow) {
	b.t.Helper()
	e, err := b.Evidence(b.t.Context(), p)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := e.Leavings(func(l EntryEvidence) error { leavings = append(leavings, l); return nil }); err != nil {
		b.t.Fatal(err)
	}
	if err := e.Rows(func(r ChainRow) error { rows = append(rows, r); return nil }); err != nil {
		b.t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		b.t.Fatal(err)
	}
	return leavings, rows
}

func TestEvidenceTellsTheWholeOfALeaving(t *testing.T) {
	b := newBook(t, func(c *Config) { c.Watch = 30 * 24 * time.Hour })
	b.record(b.left("ann", employee("E-1"), b.said(2*time.Hour)))
	b.record(b.left("ann", b.said(time.Hour)))
	h := b.hold(b.due(b.now), Protected, Stale)
	for name, reason := range map[string]string{"ben": "seen, too", "ana": "seen"} {
		if _, err := b.Approve(t.Context(), b.word(h.ID, name, reason), Terms{People: 2, Expires: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	batch := b.submit(b.dueIn(account, b.now)...)
	b.answer(batch, map[string]Result{"id-ann": {Closed: true}})
	b.raw(`UPDATE memberships SET last_login = 5000000`)
	looked := b.now.Add(time.Minute)
	if err := b.Looked(t.Context(), []Entry{b.entry("ann")}, looked); err != nil {
		t.Fatal(err)
	}
	b.mustReturn(b.entry("ann"))

	leavings, rows := b.evidence(Period{})
	if len(leavings) != 2 {
		t.Fatalf("%d leavings", len(leavings))
	}
	l, back := leavings[0], leavings[1]
	if l.Entry != 1 || l.Account != account || l.State != Closed || !slices.Equal(l.Emails, []string{"ann@acme.com"}) || l.EmployeeID != "E-1" ||
		l.HoursToClose == nil || *l.HoursToClose > 0.1 || !l.DueAt.Equal(b.now) || l.AuditRow == 0 {
		t.Errorf("got %+v", l)
	}
	if len(l.Events) != 2 || l.Events[0].What != "received" || l.Events[0].ID != "e1" || l.Events[1].What != "confirmed" || l.Events[1].Source != "hr" {
		t.Errorf("events %+v", l.Events)
	}
	if len(l.Holds) != 1 || l.Holds[0].Digest != h.Digest || strings.Join(l.Holds[0].Kinds, ",") != "protected,stale" || len(l.Holds[0].People) != 2 {
		t.Fatalf("holds %+v", l.Holds)
	}
	people := l.Holds[0].People
	slices.SortFunc(people, func(a, b WordEvidence) int { return strings.Compare(a.By, b.By) })
	if people[0].By != "ana" || people[0].Reason != "seen" || people[0].What != "approved" || people[1].Reason != "seen, too" || people[1].At.IsZero() {
		t.Errorf("people %+v", people)
	}
	if len(l.Users) != 1 {
		t.Fatalf("users %+v", l.Users)
	}
	if u := l.Users[0]; u.UserID != "id-ann" || u.Outcome != "closed" || u.Batch != batch.ID || u.TraceToken != "trace" || u.SentAt.IsZero() ||
		u.AnsweredAt.IsZero() || !u.LastLogin.Equal(time.UnixMicro(5000000)) {
		t.Errorf("user %+v", u)
	}
	if w := l.Watch; w == nil || !w.Until.Equal(l.SettledAt.Add(30*24*time.Hour)) || !w.LastLook.Equal(looked) || w.ReturnedEntry != 2 || w.ReturnedAt.IsZero() || !w.Over {
		t.Errorf("watch %+v", w)
	}
	if back.Previous != 1 || back.State != Due || back.HoursToClose != nil || back.Watch != nil {
		t.Errorf("the return %+v", back)
	}
	if a := b.verify(); len(rows) != int(a.Rows) || rows[len(rows)-1].Hash != a.Head {
		t.Errorf("%d rows of %d", len(rows), a.Rows)
	}
}

// Whoever had left a hold before it was decided was not decided on.
func TestEvidenceOfWhoHadLeftAHold(t *testing.T) {
	b := newBook(t)
	h := b.hold(b.plan("ann", "bob", "eve"), Limit)
	some := b.word(h.ID, "ana", "checked")
	some.Only = []string{"id-ann"}
	if _, err := b.Approve(t.Context(), some, aDay); err != nil {
		t.Fatal(err)
	}
	b.record(b.left("bob", b.said(time.Minute), b.leaving(time.Hour))) // moved away
	if _, _, err := b.Reject(t.Context(), b.word(h.ID, "ben", "wrong file")); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"ann": "ended, approved by ana", "bob": "ended", "eve": "rejected by ben"}
	leavings, _ := b.evidence(Period{})
	for name, want := range want {
		var got []string
		for _, l := range leavings {
			if l.Entry != b.entry(name).ID {
				continue
			}
			for _, h := range l.Holds {
				word := string(h.State)
				for _, p := range h.People {
					word += " by " + p.By
				}
				got = append(got, word)
			}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestEvidenceOfWords(t *testing.T) {
	b := newBook(t)
	plan := b.plan("ann", "bob", "eve")
	if _, _, err := b.Reject(t.Context(), b.word(b.hold(plan[:1], Limit).ID, "ana", "stays")); err != nil {
		t.Fatal(err)
	}
	b.settleAs(Settlement{Entry: plan[1].Entry, Outcome: AlreadyClosed, Users: []User{{ID: "u1"}, {ID: "u2"}}})
	if err := b.write(t.Context(), func(t *tx) error {
		return t.audit(row{action: "deferred", entry: 3, actor: "ben", facts: map[string]any{"until": "2026-12-01T00:00:00Z"},
			personal: map[string]string{"reason": "handover"}})
	}); err != nil {
		t.Fatal(err)
	}
	leavings, _ := b.evidence(Period{})
	if p := leavings[0].Holds[0].People; len(p) != 1 || p[0].What != "rejected" || p[0].Reason != "stays" || leavings[0].AuditRow == 0 {
		t.Errorf("rejected: %+v", p)
	}
	if u := leavings[1].Users; len(u) != 2 || u[0].UserID != "u1" || u[0].Outcome != "already_closed" {
		t.Errorf("already closed: %+v", u)
	}
	if w := leavings[2].Words; len(w) != 1 || w[0].What != "deferred" || w[0].By != "ben" || w[0].Reason != "handover" || w[0].Until != "2026-12-01T00:00:00Z" {
		t.Errorf("words: %+v", w)
	}
}

// A copy of an entry in another account has the events of the first.
func TestEvidenceInSeveralAccounts(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"))
	b.becomeDue(b.now, account, "other")
	leavings, _ := b.evidence(Period{})
	if len(leavings) != 2 || len(leavings[1].Events) != 1 || leavings[1].Events[0].ID != "e1" || leavings[1].Account != "other" {
		t.Errorf("got %+v", leavings)
	}
}

// Of a period there is who left in it, and nobody else by name.
func TestEvidenceOfAPeriod(t *testing.T) {
	b := newBook(t)
	events := []consumer.Event{b.left("ann", b.leaving(-3*time.Hour)), b.left("bob", b.leaving(-2*time.Hour)), b.left("eve", b.leaving(-time.Hour))}
	for i := range leavingsTogether { // more than a page
		events = append(events, b.left(fmt.Sprint("many", i), b.leaving(-time.Hour)))
	}
	b.record(events...)
	for name, tt := range map[string]struct {
		p      Period
		want   int
		first  string
		values string // emails in rows about others
	}{
		"all":           {Period{}, leavingsTogether + 3, "ann@acme.com", ""},
		"from then on":  {Period{Since: b.now.Add(-2 * time.Hour)}, leavingsTogether + 2, "bob@acme.com", "ann@acme.com"},
		"before then":   {Period{Until: b.now.Add(-time.Hour)}, 2, "ann@acme.com", "eve@acme.com"},
		"between":       {Period{b.now.Add(-2 * time.Hour), b.now.Add(-time.Hour)}, 1, "bob@acme.com", "ann@acme.com"},
		"in which none": {Period{b.now.Add(-week), b.now.Add(-week + time.Hour)}, 0, "", "ann@acme.com"},
	} {
		t.Run(name, func(t *testing.T) {
			leavings, rows := b.evidence(tt.p)
			if len(leavings) != tt.want || tt.want > 0 && leavings[0].Emails[0] != tt.first {
				t.Errorf("%d leavings, want %d", len(leavings), tt.want)
			}
			for i, r := range rows {
				if i > 0 && r.Seq != rows[i-1].Seq+1 {
					t.Errorf("row %d after %d", r.Seq, rows[i-1].Seq)
				}
				for _, v := range r.Values {
					if v.Value == tt.values {
						t.Errorf("row %d names %s", r.Seq, v.Value)
					}
				}
			}
		})
	}
}

func TestEvidenceOfTheErased(t *testing.T) {
	b := life(t)
	b.erase(b.now.Add(eraseAfter + time.Hour))
	leavings, rows := b.evidence(Period{})
	if len(leavings) != 3 || leavings[0].ErasedAt.IsZero() || len(leavings[0].Emails) > 0 || leavings[0].Users[0].UserID != "id-ann" {
		t.Errorf("got %+v", leavings)
	}
	chain := NewChain(Head{}, nil)
	for _, r := range rows {
		chain.Next(r)
		if len(r.Values) > 0 {
			t.Errorf("row %d has %v", r.Seq, r.Values)
		}
	}
	if len(chain.Texts) > 0 {
		t.Errorf("defects %v", chain.Texts)
	}
	if got := fmt.Sprintf("%+v", leavings); strings.Contains(got, "@") {
		t.Error("an address: ", got)
	}
}

func TestConfigIsPutOnRecord(t *testing.T) {
	b := newBook(t)
	set := func(digest string, settings map[string]Setting) []Change {
		t.Helper()
		changed, err := b.SetConfigured(t.Context(), Configured{Version: "1", Mode: "close", Digest: digest, Settings: settings,
			Defaults: map[string]Setting{"mode": {Told: "dry-run"}, "log.level": {Told: "info"}}})
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	first := map[string]Setting{"mode": {Told: "close"}, "log.level": {Told: "info"}, "guard.protected.emails": {Told: "1 value", Hidden: "ceo@acme.com"}}
	if got := set("a", first); !slices.Equal(got, []Change{{"guard.protected.emails", "", "1 value"}, {"mode", "dry-run", "close"}}) {
		t.Errorf("the first: %v", got)
	}
	if got := set("a", first); len(got) != 0 {
		t.Errorf("the same again: %v", got)
	}
	second := map[string]Setting{"mode": {Told: "close"}, "guard.protected.emails": {Told: "1 value", Hidden: "cfo@acme.com"}}
	if got := set("b", second); !slices.Equal(got, []Change{{"guard.protected.emails", "1 value", "1 value, but not the same"}, {"log.level", "info", ""}}) {
		t.Errorf("another: %v", got)
	}
	if got := b.text(`SELECT COUNT(*) FROM audit WHERE action = 'config'`); got != "3" {
		t.Errorf("%s rows", got)
	}
	if got := b.text(`SELECT facts FROM audit WHERE seq = 3`); got != `{"changed":[{"key":"guard.protected.emails","from":"1 value","to":"1 value, but not the same"},{"key":"log.level","from":"info","to":""}],"digest":"b","mode":"close","version":"1"}` {
		t.Errorf("row 3 says %s", got)
	}
	if found := b.traces("acme.com"); len(found) > 0 {
		t.Errorf("traces: %v", found)
	}
	many := make(map[string]Setting)
	for i := range mostChanges + 5 {
		many[fmt.Sprint("k", i)] = Setting{Told: "x"}
	}
	set("c", many)
	if got := b.text(`SELECT json_array_length(facts, '$.changed') || ' ' || json_extract(facts, '$.more') FROM audit WHERE seq = 4`); got != "200 7" {
		t.Errorf("changed and more are %s", got)
	}
	b.verify()
}

// An event's id that is an address can be erased.
func TestAddressAsAnIDIsBesideTheChain(t *testing.T) {
	b := newBook(t)
	b.record(consumer.LeaverEvent("file-1", "eve@acme.com", "ana", b.now, false))
	b.reject("x@acme.com", "{}")
	if n := b.text(`SELECT COUNT(*) FROM audit WHERE facts LIKE '%@%'`); n != "0" {
		t.Errorf("%s rows with an address in the clear", n)
	}
	if got := b.text(`SELECT group_concat(value, ' ') FROM audit_personal WHERE field = 'id'`); got != "eve@acme.com x@acme.com" {
		t.Errorf("ids are %s", got)
	}
	leavings, _ := b.evidence(Period{})
	if leavings[0].Events[0].ID != "eve@acme.com" || leavings[0].Events[0].By != "ana" {
		t.Errorf("got %+v", leavings[0].Events)
	}
}
