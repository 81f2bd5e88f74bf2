package pages_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
	"signoff/consumer"
)

func TestLeaverInEachState(t *testing.T) {
	r := open(t, true)
	cast := r.cast(t)
	for state, want := range map[ledger.State][]string{
		ledger.Waiting:       {"waits: not due before <time", "the user is looked up, judged and closed"},
		ledger.Due:           {"due since <time"},
		ledger.Held:          {`<a href="/holds/1">hold 1</a>`, "Decide on hold 1", "<li><bdi>a person decides about all ", `<li class="warn">`},
		ledger.Submitted:     {"sent to Docusign <time", `<li class="busy">`},
		ledger.WouldClose:    {"a dry run: would be closed"},
		ledger.Closed:        {"closed <time", `<li class="good">`, "trace token a-trace", "<bdi>Carla Costa</bdi>"},
		ledger.AlreadyClosed: {"was closed already"},
		ledger.NotFound:      {"not found <time"},
		ledger.Skipped:       {"left open by a person", "“stays as a &lt;b&gt;contractor&lt;/b&gt;”"},
		ledger.Failed:        {"failed: Docusign refuses: USER_LACKS_PERMISSIONS", `<li class="bad">`},
	} {
		t.Run(string(state), func(t *testing.T) {
			path := "/leavers/" + number(cast[state])
			p := r.get(t, operator, path)
			p.shows(t, append(want, `<span class="chip`, `<ol class="timeline"><li>`), []string{"<code>signoff "}) // there are buttons for it
			for _, word := range []string{"defer", "urgent", "skip", "retry"} {
				if got := strings.Contains(p.text, `action="`+path+`/`+word+`"`); got != strings.Contains(" "+saysIn[state]+" ", " "+word+" ") {
					t.Errorf("offers to %s: %v", word, got)
				}
			}
			r.get(t, viewer, path).shows(t, nil, []string{`action="/leavers`})
		})
	}
}

// saysIn are the words that make sense of a leaver in a state.
var saysIn = map[ledger.State]string{
	ledger.Waiting: "defer urgent skip", ledger.Due: "defer urgent skip", ledger.Held: "defer urgent skip", ledger.WouldClose: "defer skip",
	ledger.Failed: "defer urgent skip retry", ledger.NotFound: "retry", ledger.Skipped: "retry",
}

func TestSayingsByPage(t *testing.T) {
	r := open(t, true)
	cast := r.cast(t)
	until := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	reason := url.Values{"reason": {"asked by HR"}}
	for _, tt := range []struct {
		state ledger.State
		word  string
		form  url.Values
		done  string
		after ledger.State
	}{
		{ledger.Held, "defer", url.Values{"reason": {"on call"}, "until": {"2001-01-01T00:00"}, "until_utc": {until.Format(time.RFC3339)}}, "deferred", ledger.Waiting},
		{ledger.Waiting, "urgent", reason, "urgent", ledger.Waiting}, // in no account yet
		{ledger.Due, "skip", reason, "skipped", ledger.Skipped},
		{ledger.Failed, "retry", reason, "retried", ledger.Due},
	} {
		path := "/leavers/" + number(cast[tt.state])
		if p := r.post(t, viewer, path+"/"+tt.word, tt.form); p.status != http.StatusForbidden || !strings.Contains(p.text, `role="alert"`) {
			t.Errorf("a viewer says %s: %d", tt.word, p.status)
		}
		p := r.post(t, operator, path+"/"+tt.word, tt.form)
		if to := p.header.Get("Location"); p.status != http.StatusSeeOther || to != path+"?done="+tt.done {
			t.Errorf("%s: %d to %q: %s", tt.word, p.status, to, p.text)
			continue
		}
		r.get(t, operator, p.header.Get("Location")).shows(t, []string{`<p class="banner good" role="status">`, "by alice", tt.form.Get("reason"), ">" + string(tt.after) + "</span>"}, nil)
	}
	entries, err := r.ledger.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.ID == cast[ledger.Held] && !e.DueAt.Equal(until) {
			t.Errorf("deferred until %v, want %v, which the script has worked out", e.DueAt, until)
		}
	}
}

func TestSayingRefused(t *testing.T) {
	r := open(t, true)
	cast := r.cast(t)
	held := "/leavers/" + number(cast[ledger.Held])
	for _, tt := range []struct {
		path   string
		form   url.Values
		status int
		want   []string
	}{
		{held + "/skip", url.Values{"reason": {" "}}, http.StatusBadRequest, []string{"a reason is needed", "<details id=\"say-skip\" open><summary>Skip"}},
		{held + "/defer", url.Values{"reason": {"<i>later"}, "until": {"soon"}}, http.StatusBadRequest, []string{"That is no time", "&lt;i&gt;later</textarea>", `value="soon"`}},
		{held + "/defer", url.Values{"reason": {"x"}, "until": {"2020-01-01T00:00"}}, http.StatusBadRequest, []string{"not within a year from now"}},
		{held + "/retry", url.Values{"reason": {"x"}}, http.StatusConflict, []string{"nothing was changed", "hold 1 waits for a person"}},
		{"/leavers/" + number(cast[ledger.Submitted]) + "/skip", url.Values{"reason": {"x"}}, http.StatusConflict, []string{"a close is on its way"}},
		{held + "/burn", url.Values{"reason": {"x"}}, http.StatusNotFound, []string{"no such page"}},
		{"/leavers/999/skip", url.Values{"reason": {"x"}}, http.StatusNotFound, nil},
		{"/leavers/x/skip", url.Values{"reason": {"x"}}, http.StatusNotFound, nil},
	} {
		p := r.post(t, operator, tt.path, tt.form)
		if p.status != tt.status {
			t.Errorf("%s: %d, want %d", tt.path, p.status, tt.status)
		}
		p.shows(t, tt.want, nil)
	}
}

// TestSayingInPart is of a leaver who is due in one account, and submitted in another.
func TestSayingInPart(t *testing.T) {
	r := open(t, true)
	e := person("ann", "Ann", "Lee")
	e.Key.ID, e.Key.Origin, e.Key.Source, e.Kind, e.Hash = "1", "/events", "hr", consumer.Terminated, "1"
	e.OccurredAt, e.ReceivedAt, e.EffectiveAt = time.Now().UTC(), time.Now().UTC(), time.Now().UTC()
	if err := r.ledger.Record(t.Context(), consumer.Intake{Source: consumer.Webhook, Events: []consumer.Event{e}}); err != nil {
		t.Fatal(err)
	}
	if err := r.ledger.BecomeDue(t.Context(), []string{account, "another"}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	due, err := r.ledger.Due(t.Context(), account, time.Now().Add(time.Second), false)
	if err != nil || len(due) != 1 {
		t.Fatal(due, err)
	}
	if _, err := r.ledger.Submit(t.Context(), account, []ledger.Resolved{{Entry: due[0], Users: []ledger.User{{ID: "u", Email: e.Email}}}}, time.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	path := "/leavers/" + number(due[0].ID)
	r.get(t, operator, path).shows(t, []string{`<span class="mono">an-account</span>`, `<span class="mono">another</span>`}, nil)
	p := r.post(t, operator, path+"/skip", url.Values{"reason": {"stays"}})
	p.shows(t, []string{"skipped, in part", "stays submitted: <bdi>a close is on its way", "due, now skipped"}, nil)
	if p.status != http.StatusOK {
		t.Errorf("%d", p.status)
	}
}

// TestLeaverWhoLeavesAgain has a leaving of before, and one that was taken back.
func TestLeaverWhoLeavesAgain(t *testing.T) {
	r := open(t, true)
	cast := r.cast(t)
	again := person("carla", "Carla", "Costa")
	again.Key.ID, again.OtherEmails = "again", []string{"cc@example.org"}
	second := r.leave(t, again)
	id := second[len(second)-1].ID
	for entry, want := range map[int64][]string{
		id:                  {"<details id=\"leaving-1\"><summary>Left <time", "also <bdi>cc@example.org</bdi>"},
		cast[ledger.Closed]: {`<details id="leaving-1" open>`, `is of an <a href="#older">earlier leaving</a>`},
	} {
		r.get(t, viewer, "/leavers/"+number(entry)).shows(t, append(want, "Earlier leavings", ">due</span>"), nil)
	}
}

func TestErasedLeaver(t *testing.T) {
	r := open(t, true)
	cast := r.cast(t)
	if n, err := r.ledger.Erase(t.Context(), time.Now().Add(time.Hour)); err != nil || n == 0 {
		t.Fatal(n, err)
	}
	path := "/leavers/" + number(cast[ledger.NotFound])
	r.get(t, operator, path).shows(t, []string{"A leaver whose address was erased", "Their addresses were erased"}, []string{"nora@", "/retry"})
	if p := r.post(t, operator, path+"/retry", url.Values{"reason": {"x"}}); p.status != http.StatusBadRequest || !strings.Contains(p.text, "were erased") {
		t.Errorf("%d %s", p.status, p.text)
	}
	r.get(t, operator, "/leavers/"+number(cast[ledger.Closed])).shows(t, []string{"emails and names were erased"}, []string{"Costa", "<bdi>carla@"})
	r.get(t, operator, "/leavers?state=not_found").shows(t, []string{">Entry " + number(cast[ledger.NotFound]) + "</a>", "erased"}, nil)
}

func TestLeaverToStrangers(t *testing.T) {
	r := open(t, false)
	cast := r.cast(t)
	if p := r.get(t, "", "/leavers/"+number(cast[ledger.Closed])); p.status != http.StatusForbidden || !strings.Contains(p.text, "needs a named person") {
		t.Errorf("%d %s", p.status, p.text)
	}
}
