package pages_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
	"signoff/consumer"
)

func number(n int64) string { return strconv.FormatInt(n, 10) }

func people(names ...string) (events []consumer.Event) {
	for _, n := range names {
		events = append(events, consumer.Event{Email: n + "@example.com"})
	}
	return events
}

func verdict(h ledger.Hold, reason string, users ...string) url.Values {
	return url.Values{"digest": {h.Digest}, "reason": {reason}, "boxes": {"1"}, "page": {"1"}, "user": users}
}

func TestApproveByPage(t *testing.T) {
	r := open(t, true)
	h := r.hold(t, ledger.Limit, people("ann", "ben", "eve")...)
	path := "/holds/" + number(h.ID)
	shown := r.get(t, operator, path).text
	for _, part := range []string{"ann@example.com", `name="user" value="user-2" checked`, h.Digest, "closes these 3 users", "3 leavers in an hour", "/leavers/" + number(h.Users[0].Entry)} {
		if !strings.Contains(shown, part) {
			t.Errorf("does not show %q", part)
		}
	}
	if p := r.post(t, viewer, path+"/approve", verdict(h, "checked", "user-0", "user-1", "user-2")); p.status != http.StatusForbidden {
		t.Errorf("a viewer approves: %d", p.status)
	}
	if p := r.post(t, operator, path+"/approve", verdict(h, " \r\n", "user-0", "user-1", "user-2")); p.status != http.StatusBadRequest || !strings.Contains(p.text, "A reason is needed") {
		t.Errorf("without a reason: %d %s", p.status, p.text)
	}
	p := r.post(t, operator, path+"/approve", verdict(h, "checked", "user-0", "user-1", "user-2"))
	if p.status != http.StatusSeeOther || p.header.Get("Location") != path+"?done=approved" {
		t.Fatalf("%d to %q: %s", p.status, p.header.Get("Location"), p.text)
	}
	r.get(t, operator, p.header.Get("Location")).shows(t, []string{"Approved. What follows", "<bdi>alice</bdi>", `How they stand: <a href="#users">3 due</a>`, `id="users" data-live`}, nil)
	if p := r.post(t, operator, path+"/approve", verdict(h, "again", "user-0")); p.status != http.StatusConflict || !strings.Contains(p.text, "The hold was approved by alice meanwhile: nothing was done now.") {
		t.Errorf("approved twice: %d %s", p.status, p.text)
	}
}

func TestApproveThoseTicked(t *testing.T) {
	r := open(t, true)
	h := r.hold(t, ledger.Limit, people("ann", "ben", "eve")...)
	path := "/holds/" + number(h.ID)
	if p := r.post(t, operator, path+"/approve", verdict(h, "checked")); p.status != http.StatusBadRequest || !strings.Contains(p.text, "Nobody is ticked") {
		t.Errorf("nobody ticked: %d %s", p.status, p.text)
	} else if strings.Contains(p.text, `value="user-0" checked`) {
		t.Error("the page ticks again those who were unticked")
	}
	p := r.post(t, operator, path+"/approve", verdict(h, "checked", "user-0", "user-2"))
	if p.status != http.StatusSeeOther {
		t.Fatalf("%d: %s", p.status, p.text)
	}
	left, err := r.ledger.Hold(t.Context(), h.ID)
	if err != nil || left.State != ledger.HoldOpen || len(left.Users) != 1 || left.Users[0].ID != "user-1" {
		t.Errorf("left to decide: %+v, %v", left, err)
	}
	// Another window that was opened before has all three ticked still.
	stale := r.post(t, operator, path+"/approve", verdict(h, "all of them", "user-0", "user-1", "user-2"))
	if stale.status != http.StatusConflict || !strings.Contains(stale.text, "nothing was done now") {
		t.Errorf("whom one has left out, another window has approved: %d", stale.status)
	}
}

func TestDecisionOfAnotherPlan(t *testing.T) {
	r := open(t, true)
	h := r.hold(t, ledger.Limit, people("ann", "ben")...)
	form := verdict(h, "my <b>reason</b>", "user-0")
	form.Set("digest", strings.Repeat("0", 64))
	p := r.post(t, operator, "/holds/"+number(h.ID)+"/approve", form)
	for _, part := range []string{"A part of this hold was decided since you opened it: nothing was done now.", "my &lt;b&gt;reason&lt;/b&gt;", `value="user-0" checked`, `value="user-1" aria-label`} {
		if p.status != http.StatusConflict || !strings.Contains(p.text, part) {
			t.Errorf("%d, want the page again with %q: %s", p.status, part, p.text)
		}
	}
}

func TestRejectByPage(t *testing.T) {
	r := open(t, true)
	h := r.hold(t, ledger.Self, people("sue")...)
	path := "/holds/" + number(h.ID)
	if shown := r.get(t, operator, path).text; strings.Contains(shown, ">Approve") || !strings.Contains(shown, "can't be approved") {
		t.Errorf("offers to approve the user of signoff: %s", shown)
	}
	if p := r.post(t, operator, path+"/reject", url.Values{"digest": {h.Digest}, "reason": {"  "}}); p.status != http.StatusBadRequest || !strings.Contains(p.text, "a reason is needed") {
		t.Errorf("without a reason: %d %s", p.status, p.text)
	}
	if p := r.post(t, operator, path+"/reject", url.Values{"digest": {h.Digest}, "reason": {"she stays"}}); p.status != http.StatusSeeOther {
		t.Errorf("%d: %s", p.status, p.text)
	}
	if shown := r.get(t, viewer, "/holds?state=decided").text; !strings.Contains(shown, `href="`+path+`"`) || !strings.Contains(shown, "rejected by <bdi>alice</bdi>") {
		t.Errorf("is not among the decided: %s", shown)
	}
}

func TestManyUsersOfAHold(t *testing.T) {
	r := open(t, true)
	var names []string
	for i := range 1203 {
		names = append(names, fmt.Sprintf("leaver-%04d", i))
	}
	h := r.hold(t, ledger.Limit, people(names...)...)
	path := "/holds/" + number(h.ID)
	for page, rows := range map[string]int{"": 500, "?page=2": 500, "?page=3": 203, "?page=9": 203, "?page=x": 500} {
		if shown := r.get(t, operator, path+page).text; strings.Count(shown, `name="user"`) != rows {
			t.Errorf("%q has %d rows, want %d", page, strings.Count(shown, `name="user"`), rows)
		}
	}
	form := verdict(h, "checked")
	for i := 1000; i < 1202; i++ { // all of the last page but one
		form.Add("user", fmt.Sprintf("user-%d", i))
	}
	form.Set("page", "3")
	if p := r.post(t, operator, path+"/approve", form); p.status != http.StatusSeeOther {
		t.Fatalf("%d: %s", p.status, p.text)
	}
	if left, err := r.ledger.Hold(t.Context(), h.ID); err != nil || len(left.Users) != 1 || left.Users[0].ID != "user-1202" {
		t.Errorf("left to decide: %d users, %v", len(left.Users), err)
	}
}

func TestFreezeByPage(t *testing.T) {
	r := open(t, true)
	if err := r.ledger.SetAccount(t.Context(), ledger.Account{ID: account, PassedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"account": {account}, "until": {"2020-01-01T00:00"}, "reason": {"change freeze"}}
	if p := r.post(t, operator, "/freezes", form); p.status != http.StatusBadRequest || !strings.Contains(p.text, "change freeze</textarea>") {
		t.Errorf("over already: %d %s", p.status, p.text)
	}
	form.Set("until", "soon")
	if p := r.post(t, operator, "/freezes", form); p.status != http.StatusBadRequest || !strings.Contains(p.text, "That is no time") {
		t.Errorf("no time: %d %s", p.status, p.text)
	}
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	form.Set("until_utc", until.Format(time.RFC3339)) // which the script has worked out: it counts
	if p := r.post(t, viewer, "/freezes", form); p.status != http.StatusForbidden {
		t.Errorf("a viewer freezes: %d", p.status)
	}
	if p := r.post(t, operator, "/freezes", form); p.status != http.StatusSeeOther {
		t.Fatalf("%d: %s", p.status, p.text)
	}
	all, err := r.ledger.Freezes(t.Context(), time.Now())
	if err != nil || len(all) != 1 || !all[0].Until.Equal(until) || all[0].By != "alice" {
		t.Fatalf("%+v, %v", all, err)
	}
	r.get(t, viewer, "/").shows(t, []string{"<b>Frozen</b> in account"}, []string{"Nothing: what comes in"})
	if p := r.post(t, operator, fmt.Sprintf("/freezes/%d/end", all[0].ID), url.Values{"reason": {"done"}}); p.status != http.StatusSeeOther {
		t.Errorf("%d: %s", p.status, p.text)
	}
	if p := r.post(t, operator, fmt.Sprintf("/freezes/%d/end", all[0].ID), url.Values{"reason": {"done"}}); p.status != http.StatusNotFound {
		t.Errorf("ended twice: %d", p.status)
	}
}

// An address may hold what turns round or hides what is shown beside it: nobody is to
// approve somebody else than they see.
func TestAddressesAreShownAsTheyAre(t *testing.T) {
	r := open(t, true)
	h := r.hold(t, ledger.Limit, consumer.Event{Email: "ann" + bidi + "moc.elpmaxe@x.example.com", GivenName: "A\u200bnn" + bidi})
	for _, path := range []string{"/holds/" + number(h.ID), "/leavers", "/leavers/" + number(h.Users[0].Entry)} {
		p := r.get(t, operator, path)
		if strings.Contains(p.text, bidi) || strings.Contains(p.text, "\u200b") || !strings.Contains(p.text, `ann\u202emoc`) {
			t.Errorf("%s: an address turns round what is beside it", path)
		}
	}
}

// Whom one page leaves out, the others do, too: an approval is of what is ticked on all
// of them.
func TestTicksOfOtherPages(t *testing.T) {
	r := open(t, true)
	var names []string
	for i := range 1203 {
		names = append(names, fmt.Sprintf("leaver-%04d", i))
	}
	h := r.hold(t, ledger.Limit, people(names...)...)
	path := "/holds/" + number(h.ID)
	form := verdict(h, "half a reason")
	for i := range 499 { // all of the first page but one
		form.Add("user", fmt.Sprintf("user-%d", i))
	}
	form.Set("page", "1")
	form.Set("to", "2")
	p := r.post(t, operator, path+"/users", form)
	p.shows(t, []string{"half a reason</textarea>", `name="out" value="user-499"`, "On other pages 1 is left out", `data-here="` + path + `?page=2"`, `value="user-500" checked`}, []string{`value="user-0"`})

	form.Del("user")
	for i := 500; i < 999; i++ {
		form.Add("user", fmt.Sprintf("user-%d", i))
	}
	form.Set("page", "2")
	form.Set("out", "user-499")
	form.Add("out", "user-500") // which this page has, ticked
	form.Add("out", "nobody")
	form.Set("to", "1")
	p = r.post(t, operator, path+"/users", form)
	p.shows(t, []string{`name="out" value="user-999"`, `value="user-499" aria-label`, `value="user-0" checked`, "1 is left out"}, []string{"user-500", "nobody"})

	form.Set("to", "")
	if p := r.post(t, operator, path+"/approve", form); p.status != http.StatusSeeOther {
		t.Fatalf("%d: %s", p.status, p.text)
	}
	left, err := r.ledger.Hold(t.Context(), h.ID)
	if err != nil || len(left.Users) != 2 || left.Users[0].ID != "user-499" || left.Users[1].ID != "user-999" {
		t.Errorf("left to decide: %+v, %v", left.Users, err)
	}
	holds, err := r.ledger.ListHolds(t.Context(), ledger.HoldFilter{States: []ledger.HoldState{ledger.HoldApproved}})
	if err != nil || len(holds) != 1 {
		t.Fatalf("%+v, %v", holds, err)
	}
	if part := r.get(t, viewer, "/holds/"+number(holds[0].ID)).text; !strings.Contains(part, ">hold "+number(h.ID)+"</a>, which holds 2 users still") {
		t.Errorf("the part does not say what is left: %s", part)
	}
	if p := r.post(t, operator, "/holds/99/users", form); p.status != http.StatusNotFound {
		t.Errorf("of no hold: %d", p.status)
	}
}
