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

// lists is what a filter lists, as names with a space between them, and the total.
func (b *book) lists(f LeaverFilter) string {
	b.t.Helper()
	if f.Limit == 0 {
		f.Limit = 1000
	}
	page, total, err := b.List(b.t.Context(), f)
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, l := range page {
		name, _, _ := strings.Cut(l.Leaver, "@")
		if l.Account != "" && l.Account != account {
			name += "/" + l.Account
		}
		names = append(names, name)
	}
	return fmt.Sprintf("%s: %d", strings.Join(names, " "), total)
}

// crowd is a ledger with a leaver in each state that a list is asked about.
func crowd(t *testing.T) *book {
	t.Helper()
	b := newBook(t)
	b.record(b.left("closed"), b.left("absent"), b.left("failed"), b.left("held", urgent), b.left("old", b.leaving(-48*time.Hour), b.said(time.Hour)))
	people := b.due(b.now)
	byName := func(name string) Resolved {
		return people[slices.IndexFunc(people, func(r Resolved) bool { return r.Entry.Leaver == name+"@acme.com" })]
	}
	b.closeIn(account, "closed")
	if _, err := b.Settle(t.Context(), []Settlement{{Entry: byName("absent").Entry, Outcome: NotFound}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.MakeHold(t.Context(), account, []Kind{Protected}, "", false, []Resolved{byName("held")}); err != nil {
		t.Fatal(err)
	}
	b.record(b.left("waits", b.leaving(time.Hour)), b.left("late"))
	return b
}

func TestListsByFilter(t *testing.T) {
	b := crowd(t)
	hour := time.Hour
	for name, c := range map[string]struct {
		filter LeaverFilter
		want   string
	}{
		"all, the newest first":    {LeaverFilter{}, "late waits old held failed absent closed: 7"},
		"by when they are due":     {LeaverFilter{Order: ByDue, Open: true}, "failed held old late waits: 5"},
		"one state":                {LeaverFilter{States: []State{Closed}}, "closed: 1"},
		"a state twice":            {LeaverFilter{States: []State{Closed, Closed}}, "closed: 1"},
		"several states":           {LeaverFilter{States: []State{NotFound, Held, WouldClose}}, "held absent: 2"},
		"an account":               {LeaverFilter{Account: account}, "old held failed absent closed: 5"},
		"another account":          {LeaverFilter{Account: "other"}, ": 0"},
		"open":                     {LeaverFilter{Open: true}, "late waits old held failed: 5"},
		"open and closed":          {LeaverFilter{Open: true, States: []State{Closed}}, ": 0"},
		"late":                     {LeaverFilter{Late: b.now.Add(time.Minute)}, "late old held failed: 4"},
		"late by an hour":          {LeaverFilter{Late: b.now.Add(-hour)}, ": 0"},
		"ready":                    {LeaverFilter{Ready: b.now}, "late old failed: 3"},
		"ready in two hours":       {LeaverFilter{Ready: b.now.Add(2 * hour)}, "late waits old failed: 4"},
		"urgent":                   {LeaverFilter{Urgent: true}, "held: 1"},
		"returned":                 {LeaverFilter{Returned: true}, ": 0"},
		"left before now":          {LeaverFilter{EffectiveTo: b.now.Add(-24 * hour)}, "old: 1"},
		"left since":               {LeaverFilter{EffectiveFrom: b.now.Add(-24 * hour), EffectiveTo: b.now.Add(time.Second)}, "late held failed absent closed: 5"},
		"leave from then on":       {LeaverFilter{EffectiveFrom: b.now.Add(time.Second)}, "waits: 1"},
		"received by now":          {LeaverFilter{ReceivedTo: b.now.Add(time.Second)}, "late waits old held failed absent closed: 7"},
		"received before that":     {LeaverFilter{ReceivedTo: b.now}, ": 0"},
		"received from then on":    {LeaverFilter{ReceivedFrom: b.now.Add(time.Second)}, ": 0"},
		"settled at any time":      {LeaverFilter{SettledFrom: time.UnixMicro(1)}, "absent closed: 2"},
		"settled before the epoch": {LeaverFilter{SettledTo: time.UnixMicro(1)}, ": 0"},
		"settled by tomorrow":      {LeaverFilter{SettledTo: b.now.Add(24 * hour)}, "absent closed: 2"},
		"took less than an hour":   {LeaverFilter{TookTo: hour}, "absent closed: 2"},
		"took more than that":      {LeaverFilter{TookFrom: hour}, ": 0"},
		"all of it":                {LeaverFilter{Text: "he", States: []State{Held, Due}, Account: account, Urgent: true, Open: true}, "held: 1"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := b.lists(c.filter); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestListsInPages(t *testing.T) {
	b := newBook(t)
	const n = 25
	for i := range n { // several are due at once
		b.record(b.left(fmt.Sprintf("leaver%02d", i), b.leaving(time.Duration(i/4)*time.Hour)))
	}
	b.due(b.now)
	for _, f := range []LeaverFilter{{}, {Order: ByDue}, {Text: "leaver"}, {Text: "leaver", Order: ByDue}, {States: []State{Waiting}}, {Urgent: false, Open: true, Order: ByDue}} {
		f.Limit = 1000
		whole, total, err := b.List(t.Context(), f)
		if err != nil || len(whole) != total {
			t.Fatalf("%d of %d, %v", len(whole), total, err)
		}
		for _, f.Limit = range []int{1, 3, 4, n} {
			var pages []Listed
			f.After = Cursor{}
			for {
				page, again, err := b.List(t.Context(), f)
				if err != nil || again != total || len(page) > f.Limit {
					t.Fatalf("%d of %d, %v", len(page), again, err)
				}
				if len(page) == 0 {
					break
				}
				pages = append(pages, page...)
				f.After = page[len(page)-1].Cursor()
			}
			if !slices.EqualFunc(pages, whole, func(a, b Listed) bool { return a.ID == b.ID }) {
				t.Errorf("%+v: by pages %v, at once %v", f, idsIn(pages), idsIn(whole))
			}
		}
	}
}

func idsIn(all []Listed) (ids []int64) {
	for _, l := range all {
		ids = append(ids, l.ID)
	}
	return ids
}

// named sets what people are called.
func named(given, family string) func(*consumer.Event) {
	return func(e *consumer.Event) { e.GivenName, e.FamilyName = given, family }
}

func TestFindsPeople(t *testing.T) {
	b := newBook(t)
	b.record(
		b.left("ana", named("Ana", "Silva"), also("as@other.org"), employee("E-1")),
		b.left("anabel", named("Anabel", "van der Berg")),
		b.left("elo", named("Élodie", "Ångström")),
		b.left("percent", named("%percent", "under_score")),
		b.left("o'neil", named(`Quo"te`, "O'Neil")),
		b.left("li", named("李", "小龙")),
		b.left("zoe", named("ZOË", "LÓPEZ")))
	b.due(b.now)
	b.record(b.left("silvana", employee("E-1"))) // the same person under another address
	if _, err := b.MakeHold(t.Context(), account, []Kind{Ambiguous}, "", false, []Resolved{with(b.entry("li"), "USER-of-Li")}); err != nil {
		t.Fatal(err)
	}
	ana := b.entry("ana")
	long := strings.Repeat("x", 100_000)
	for text, want := range map[string]string{
		"ana": "anabel ana: 2", "ANA@": "ana: 1", "ana@acme.com": "ana: 1", "as@other": "ana: 1", "silvana@acme.com": "ana: 1",
		"sil": "ana: 1", "Silva": "ana: 1", "ana silva": "ana: 1", "Silva, Ana": "ana: 1", "silva an": "ana: 1", "ana berg": ": 0",
		"van der": "anabel: 1", "anabel van der": "anabel: 1", "der": ": 0",
		"élo": "elo: 1", "ÉLO": "elo: 1", "ångström élodie": "elo: 1", "elodie": ": 0", "zoë": "zoe: 1", "zOË lóp": "zoe: 1",
		"%perc": "percent: 1", "%x": ": 0", "%": "percent: 1", "p_r": ": 0", "_": ": 0", "under_": "percent: 1", "underXscore": ": 0",
		"o'n": "o'neil: 1", `quo"`: "o'neil: 1", `"`: ": 0", "'": ": 0", `\`: ": 0", "') OR 1=1 --": ": 0", "*": ": 0",
		"李": "li: 1", "小龙": "li: 1", "USER-of-Li": "li: 1", "user-of": ": 0",
		"E-1": "ana: 1", "e-1": ": 0", "E-": ": 0", ana.Emails[0]: "ana: 1", fmt.Sprint(ana.ID): "ana: 1", fmt.Sprint("#", ana.ID): "ana: 1", "99": ": 0", "-1": ": 0",
		"e2": "anabel: 1", "e": "elo: 1", "ana\x00": ": 0", "\x00": ": 0", "\xff": ": 0", long: ": 0", strings.Repeat("a ", 10_000): ": 0",
		"  ana  silva ": "ana: 1", "99999999999999999999": ": 0",
	} {
		if got := b.lists(LeaverFilter{Text: text}); got != want {
			t.Errorf("%.40q finds %s, want %s", text, got, want)
		}
	}
}

func TestFindsWhoWasErasedByIDsAlone(t *testing.T) {
	b := newBook(t)
	b.record(b.left("gone", named("Gone", "Girl"), employee("E-9")))
	b.due(b.now)
	id := b.entry("gone").ID
	b.closeIn(account, "gone")
	before := LeaverFilter{Text: "girl"}
	if got := b.lists(before); got != "gone: 1" {
		t.Fatal(got)
	}
	b.erase(b.now.Add(eraseAfter + time.Hour))
	for text, want := range map[string]int{"girl": 0, "gone": 0, "gone@acme.com": 0, "E-9": 1, "e1": 1, fmt.Sprint(id): 1, "erased": 0} {
		page, total, err := b.List(t.Context(), LeaverFilter{Text: text, Limit: 10})
		if err != nil || total != want || len(page) != want {
			t.Errorf("%q finds %d, want %d, %v", text, total, want, err)
		}
		for _, l := range page {
			if len(l.Emails) > 0 || l.GivenName+l.FamilyName != "" {
				t.Errorf("%q shows %+v", text, l)
			}
		}
	}
	if s := b.explain(Question{Entry: id}); len(s.Leavers) != 1 || len(s.Leavers[0].Leavings) != 1 || len(s.Leavers[0].Emails) != 0 {
		t.Errorf("the story of who was erased: %+v", s.Leavers)
	}
	if _, err := b.Explain(t.Context(), Question{Entry: 99}); !errors.Is(err, ErrNoEntry) {
		t.Errorf("an entry that there is not: %v", err)
	}
}

// A text that very many go by is not counted, and finds the same.
func TestFindsVeryMany(t *testing.T) {
	b := newBook(t)
	var events []consumer.Event
	for i := range mostHits/2 + 10 {
		events = append(events, b.left(fmt.Sprint("many", i), named("Many", "Manyson")))
	}
	events = append(events, b.left("one", named("One", "Only"), urgent))
	b.record(events...)
	if got := b.lists(LeaverFilter{Text: "many", Limit: 2}); got != fmt.Sprintf("many%d many%d: -1", mostHits/2+9, mostHits/2+8) {
		t.Error(got)
	}
	if got := b.lists(LeaverFilter{Text: "many", Limit: 2, Order: ByDue}); !strings.HasPrefix(got, "many0 many1: ") {
		t.Error(got)
	}
	if got := b.lists(LeaverFilter{Text: "manyson many", Limit: 1, Urgent: true}); got != ": -1" && got != ": 0" {
		t.Error(got)
	}
	if got := b.lists(LeaverFilter{Text: "on", Limit: 5}); got != "one: 1" {
		t.Error(got)
	}
}

func TestListRefusesWordsThatThereAreNot(t *testing.T) {
	for want, f := range map[string]LeaverFilter{"state: \"lost\"": {States: []State{"lost"}}, "sort: \"up\"": {Order: "up"}} {
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

func TestListsHolds(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"), b.left("ben"), b.left("cleo"), b.left("dan"))
	var ids []int64
	for i, r := range b.due(b.now) {
		h, err := b.MakeHold(t.Context(), account, []Kind{Kinds()[1+i%2], Limit}, "", false, []Resolved{r})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, h.ID)
	}
	b.rejectHold(ids[0])
	yes, no := true, false
	for name, c := range map[string]struct {
		filter HoldFilter
		want   []int64
	}{
		"all":            {HoldFilter{}, []int64{ids[3], ids[2], ids[1], ids[0]}},
		"open":           {HoldFilter{States: []HoldState{HoldOpen}}, []int64{ids[3], ids[2], ids[1]}},
		"decided":        {HoldFilter{States: []HoldState{HoldApproved, HoldRejected}}, []int64{ids[0]}},
		"a kind":         {HoldFilter{Kind: Kinds()[1]}, []int64{ids[2], ids[0]}},
		"not the first":  {HoldFilter{Kind: Limit}, nil},
		"a page":         {HoldFilter{Limit: 2}, []int64{ids[3], ids[2]}},
		"another page":   {HoldFilter{Limit: 2, Before: ids[2]}, []int64{ids[1], ids[0]}},
		"ahead":          {HoldFilter{Ahead: &yes}, nil},
		"not ahead":      {HoldFilter{Ahead: &no, Limit: 1}, []int64{ids[3]}},
		"not who it was": {HoldFilter{Brief: true}, []int64{ids[3], ids[2], ids[1], ids[0]}},
	} {
		all, err := b.ListHolds(t.Context(), c.filter)
		var got []int64
		for _, h := range all {
			got = append(got, h.ID)
			if len(h.Users)+h.Named != 1 || c.filter.Brief != (h.Named == 1) {
				t.Errorf("%s: hold %d names %d, and has %d users", name, h.ID, h.Named, len(h.Users))
			}
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v, %v", name, got, c.want, err)
		}
	}
}
