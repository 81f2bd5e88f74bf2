package console_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

func TestOverviewAndListsAgree(t *testing.T) {
	r := open(t, setup{})
	r.hold(t, ledger.Limit, "ann", "ben")
	r.hold(t, ledger.Protected, "eve")
	r.reject(t, "x")
	client, err := console.NewClient(r.url, viewer)
	if err != nil {
		t.Fatal(err)
	}
	for _, rng := range append(console.Ranges(), "") {
		o, err := client.Overview(t.Context(), rng)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range o.States {
			page, err := client.Leavers(t.Context(), console.LeaverFilter{States: []string{s.State}})
			if err != nil || page.Total != s.Entries || len(page.Leavers) != s.Entries {
				t.Errorf("%s: %d in the overview, %d of %d in the list, %v", s.State, s.Entries, len(page.Leavers), page.Total, err)
			}
		}
	}
}

// Every number leads to the rows behind it.
func TestNeedsLeadToTheirRows(t *testing.T) {
	r := open(t, setup{deadline: time.Nanosecond})
	r.hold(t, ledger.Limit, "ann", "ben")
	r.hold(t, ledger.Protected, "eve")
	r.hold(t, ledger.Self, "sue")
	r.reject(t, "x")
	if err := r.ledger.KeepAccounts(t.Context(), []string{"another"}); err != nil {
		t.Fatal(err)
	}
	client, err := console.NewClient(r.url, viewer)
	if err != nil {
		t.Fatal(err)
	}
	o, err := client.Overview(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, n := range o.Needs {
		all = append(all, n.What)
		var list struct {
			Total          int
			Holds, Rejects []any
		}
		a := r.ask(t, "GET", "/api/v1"+n.Path, viewer, "")
		if err := json.Unmarshal([]byte(a.body), &list); err != nil {
			t.Fatal(err)
		}
		if rows := list.Total + len(list.Holds) + len(list.Rejects); a.status != 200 || rows != n.Count {
			t.Errorf("%+v leads to %d rows: %d", n, rows, a.status)
		}
	}
	if want := "outside self_leaving overdue hold hold reject"; strings.Join(all, " ") != want {
		t.Errorf("%v, want %s", all, want)
	}
	if o.Overdue.Entries != 4 {
		t.Errorf("%+v are overdue", o.Overdue)
	}
	page, err := client.Leavers(t.Context(), console.LeaverFilter{Overdue: true})
	if err != nil || page.Total != 4 || !page.Leavers[0].Overdue || page.Leavers[0].DeadlineAt.IsZero() || page.Leavers[0].Email != "sue@example.com" {
		t.Errorf("%+v, %v", page, err)
	}
}

// All who look are shown what was read once; who has decided, what came of it.
func TestOverviewsAreReadOnceForAll(t *testing.T) {
	r := open(t, setup{})
	overview := func() (o console.Overview) {
		t.Helper()
		a := r.ask(t, "GET", "/api/v1/overview", viewer, "")
		if err := json.Unmarshal([]byte(a.body), &o); err != nil {
			t.Error(a.status, a.body, err)
		}
		return o
	}
	shared := false
	for range 20 { // on a busy machine, more than a second may be between two
		shared = shared || overview().At.Equal(overview().At)
	}
	if !shared {
		t.Error("each reads the ledger anew, though nothing has changed")
	}
	var others sync.WaitGroup
	done := make(chan struct{})
	defer others.Wait()
	defer close(done)
	for range 4 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					overview()
				}
			}
		})
	}
	for i := range 10 {
		id := r.hold(t, ledger.Limit, fmt.Sprintf("leaver%d", i))
		if o := overview(); len(o.Holds) != 1 {
			t.Errorf("a hold is made, and there are %+v", o.Holds)
		}
		if a := r.ask(t, "POST", holdPath(id)+"/reject", operator, r.word(t, id)); a.status != 200 {
			t.Fatal(a.status, a.body)
		}
		if o := overview(); len(o.Holds) != 0 || o.States[slices.IndexFunc(o.States, func(s console.InState) bool { return s.State == "skipped" })].Entries != i+1 {
			t.Errorf("who has decided is shown %+v %+v", o.Holds, o.States)
		}
	}
}

func TestWatchersHearOfChanges(t *testing.T) {
	r := open(t, setup{})
	header := http.Header{"Authorization": {"Bearer " + viewer}}
	first, second := r.watch(t, header), r.watch(t, header)
	event, id := first.next()
	if event != "beat" || id == "" {
		t.Fatalf("the first event is %q %q", event, id)
	}
	second.until(t, "beat")
	r.hold(t, ledger.Limit, "ann")
	now := first.until(t, "change")
	if now == id {
		t.Error("another state has the same id")
	}
	second.until(t, "change")
	for last, want := range map[string]string{id: "change", now: "beat"} {
		again := r.watch(t, http.Header{"Authorization": {"Bearer " + viewer}, "Last-Event-ID": {last}})
		if event, _ := again.next(); event != want {
			t.Errorf("whoever comes back is told %q, want %q", event, want)
		}
		_ = again.body.Close()
	}
	_, _ = first.body.Close(), second.body.Close()
	again := r.watch(t, header) // once nobody has watched for a while
	r.hold(t, ledger.Limit, "ben")
	again.until(t, "change")
}

func TestWatchingEndsWithTheDaemon(t *testing.T) {
	r := open(t, setup{})
	w := r.watch(t, http.Header{"Authorization": {"Bearer " + viewer}})
	w.until(t, "beat")
	r.stop()
	for {
		if event, _ := w.next(); event == "" {
			return
		}
	}
}

func TestStrangersSeeNobody(t *testing.T) {
	r := open(t, setup{noTokens: true})
	r.hold(t, ledger.Limit, "ann")
	for _, path := range []string{"/api/v1/leavers", "/api/v1/overview", "/api/v1/holds?state=open", "/api/v1/holds?brief=true"} {
		a := r.ask(t, "GET", path, "", "")
		if a.status != 200 || strings.Contains(a.body, "@") || strings.Contains(a.body, "id-of") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := r.ask(t, "GET", "/api/v1/leavers", "", ""); !strings.Contains(a.body, `"total":1`) || !strings.Contains(a.body, `"state":"held"`) {
		t.Errorf("the rows are not there: %s", a.body)
	}
	for body, want := range map[string]int{`{"text": "ann"}`: 403, `{"text": "  "}`: 200, `{}`: 200} {
		if a := r.ask(t, "POST", "/api/v1/leavers/search", "", body); a.status != want || strings.Contains(a.body, "@") {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

func TestLeaverFiltersComeThrough(t *testing.T) {
	r := open(t, setup{})
	r.hold(t, ledger.Limit, "ann", "ben")
	client, err := console.NewClient(r.url, viewer)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, c := range map[string]struct {
		filter console.LeaverFilter
		want   int
	}{
		"all":               {console.LeaverFilter{}, 2},
		"a text":            {console.LeaverFilter{Text: " ANN@"}, 1},
		"a text and states": {console.LeaverFilter{Text: "ann", States: []string{"closed", "due"}}, 0},
		"states":            {console.LeaverFilter{States: []string{"held", "due"}}, 2},
		"account":           {console.LeaverFilter{Account: "another"}, 0},
		"open":              {console.LeaverFilter{Open: true}, 2},
		"overdue":           {console.LeaverFilter{Overdue: true}, 0},
		"ready":             {console.LeaverFilter{Ready: true}, 0},
		"returned":          {console.LeaverFilter{Returned: true}, 0},
		"urgent":            {console.LeaverFilter{Urgent: true}, 0},
		"received":          {console.LeaverFilter{ReceivedFrom: now.Add(-time.Hour), ReceivedTo: now.Add(time.Hour)}, 2},
		"received later":    {console.LeaverFilter{ReceivedFrom: now.Add(time.Hour)}, 0},
		"settled":           {console.LeaverFilter{SettledFrom: now.Add(-time.Hour), SettledTo: now}, 0},
		"took":              {console.LeaverFilter{TookFrom: 60, TookTo: 3600}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := client.Leavers(t.Context(), c.filter)
			if err != nil || page.Total != c.want || len(page.Leavers) != c.want || page.Next != "" {
				t.Errorf("%+v, %v; want %d", page, err, c.want)
			}
		})
	}
	var found []int64
	for _, f := range []console.LeaverFilter{{Limit: 1}, {Limit: 1, Sort: "due"}, {Limit: 1, Text: "id-of-", Sort: "new"}, {Limit: 1, Open: true, Sort: "due"}} {
		for found = nil; ; {
			page, err := client.Leavers(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range page.Leavers {
				found = append(found, l.Entry)
			}
			if f.After = page.Next; page.Next == "" {
				break
			}
		}
		if f.Text == "" && len(found) != 2 {
			t.Errorf("%+v: pages of %v", f, found)
		}
	}
}

func TestListsRefuseWhatCannotBeMeant(t *testing.T) {
	r := open(t, setup{})
	for query, want := range map[string]string{
		"leavers?state=lost": `state: \"lost\"`, "leavers?sort=up": "sort: ", "leavers?limit=0": "limit: ", "leavers?limit=1001": "limit: ", "leavers?limit=x": "limit: ",
		"leavers?urgent=maybe": "urgent: neither", "leavers?received_from=today": "received_from: not a time", "leavers?took_from=-1": "tookFrom, tookTo: ",
		"leavers?took_to=99999999999": "tookFrom, tookTo: ", "leavers?after=x": "after: not the next", "leavers?after=1.-5": "after: ", "leavers?after=1.2.3": "after: ",
		"holds?state=lost": "state: ", "holds?kind=odd": "kind: ", "holds?before=0": "before: ", "holds?before=x": "before: ", "holds?limit=0": "limit: ",
		"holds?limit=1001": "limit: ", "holds?brief=x": "brief: ", "holds?ahead=x": "ahead: ", "overview?range=1y": "range: ",
	} {
		if a := r.ask(t, "GET", "/api/v1/"+query, viewer, ""); a.status != 400 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s, want %q", query, a.status, a.body, want)
		}
	}
	for body, want := range map[string]string{
		`{"text": "` + strings.Repeat("é", 201) + `"}`: "text: longer than 200", `{"limit": -1}`: "limit: ", `{"took_from": 1}`: "unknown field", `{"states": ["x"]}`: "state: ",
	} {
		if a := r.ask(t, "POST", "/api/v1/leavers/search", viewer, body); a.status != 400 || !strings.Contains(a.body, want) {
			t.Errorf("%.40s: %d %s, want %q", body, a.status, a.body, want)
		}
	}
	if a := r.ask(t, "POST", "/api/v1/leavers/search", viewer, `{"text": "`+strings.Repeat("é", 200)+`\u0000"}`); a.status != 400 {
		t.Errorf("NUL beyond the length: %d", a.status)
	}
	if a := r.ask(t, "POST", "/api/v1/leavers/search", viewer, `{"text": "a\u0000\ud800%_'"}`); a.status != 200 {
		t.Errorf("odd text: %d %s", a.status, a.body)
	}
}

func TestHoldsInPages(t *testing.T) {
	r := open(t, setup{})
	for _, name := range []string{"ann", "ben", "eve"} {
		r.hold(t, ledger.Protected, name)
	}
	last := r.hold(t, ledger.Limit, "kim", "lea")
	client, err := console.NewClient(r.url, operator)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Approve(t.Context(), last, r.verdict(t, last, "")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		filter console.HoldFilter
		want   string
	}{
		"open":         {console.HoldFilter{}, "1 2 3 next 0"},
		"a page":       {console.HoldFilter{Limit: 2}, "3 2 next 2"},
		"another page": {console.HoldFilter{Limit: 2, Before: 2}, "1 next 0"},
		"decided":      {console.HoldFilter{State: "decided"}, "4 next 0"},
		"rejected":     {console.HoldFilter{State: "rejected"}, "next 0"},
		"of a kind":    {console.HoldFilter{Kind: "limit"}, "next 0"},
		"brief":        {console.HoldFilter{Brief: true, Kind: "protected", Ahead: "false"}, "1 2 3 next 0"},
		"ahead":        {console.HoldFilter{Ahead: "true"}, "next 0"},
	} {
		page, err := client.ListHolds(t.Context(), c.filter)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, h := range page.Holds {
			got += fmt.Sprint(h.ID, " ")
			if h.Count == 0 || c.filter.Brief == (len(h.Users) > 0) {
				t.Errorf("%s: %d users, %d shown", name, h.Count, len(h.Users))
			}
		}
		if got += fmt.Sprint("next ", page.Next); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// watchAll takes every place that there is for those who watch, until the test ends.
func (r *room) watchAll(t *testing.T) {
	t.Helper()
	for range 200 {
		r.watch(t, http.Header{})
	}
}

// watcher reads a stream of changes.
type watcher struct {
	body  io.Closer
	lines *bufio.Scanner
}

func (r *room) watch(t *testing.T, header http.Header) *watcher {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/api/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("watching is answered with %s", resp.Status)
	}
	return &watcher{resp.Body, bufio.NewScanner(resp.Body)}
}

// next is the next event and its id; "" at the end of the stream.
func (w *watcher) next() (event, id string) {
	for w.lines.Scan() {
		line := w.lines.Text()
		if word, ok := strings.CutPrefix(line, "event: "); ok {
			event = word
		}
		if word, ok := strings.CutPrefix(line, "id: "); ok {
			id = word
		}
		if line == "" {
			return event, id
		}
	}
	return "", ""
}

// until skips events but this one.
func (w *watcher) until(t *testing.T, want string) (id string) {
	t.Helper()
	for {
		event, id := w.next()
		switch event {
		case want:
			return id
		case "":
			t.Fatalf("the stream ended without %q", want)
		}
	}
}
