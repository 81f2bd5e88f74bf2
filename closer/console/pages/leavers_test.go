package pages_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
	"signoff/consumer"
)

// shows says of each part that the page lacks, or has of those that it must not have.
func (p page) shows(t *testing.T, parts, never []string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(p.text, part) {
			t.Errorf("%d, without %q: %s", p.status, part, p.text)
		}
	}
	for _, part := range never {
		if strings.Contains(p.text, part) {
			t.Errorf("%d, with %q", p.status, part)
		}
	}
}

func TestLeaversByState(t *testing.T) {
	r := open(t, true)
	cast := r.cast(t)
	if len(cast) != len(ledger.States())-1 { // nobody's leaving was taken back
		t.Fatalf("entries in %d states", len(cast))
	}
	for state, entry := range cast {
		p := r.get(t, viewer, "/leavers?state="+string(state))
		p.shows(t, []string{`href="/leavers/` + number(entry) + `"`, `aria-current="true" title="` + strings.ReplaceAll(meansOf[state], "'", "&#39;")}, nil)
		if n := strings.Count(p.text, `<th scope="row">`); n != map[ledger.State]int{ledger.Closed: 3, ledger.Held: 2}[state]+flag(state != ledger.Closed && state != ledger.Held) {
			t.Errorf("%s: %d rows", state, n)
		}
	}
	r.get(t, operator, "/leavers").shows(t, []string{
		"13 leavings, those heard of last at the top", `>closed <span class="tally">3</span>`, "<bdi>Cem Çelik</bdi>", "<bdi>Sales</bdi>", ">hold 1</a>: ",
		"stays as a &lt;b&gt;contractor", "USER_LACKS_PERMISSIONS", "in a real run", "after due"}, []string{"Next page", "Account</th>"})
}

// meansOf are what the chips of states say of them.
var meansOf = map[ledger.State]string{
	ledger.Waiting: "not due yet", ledger.Due: "goes with", ledger.Held: "waits for a person", ledger.Submitted: "the close is sent", ledger.WouldClose: "would be",
	ledger.Closed: "can't sign", ledger.AlreadyClosed: "was closed", ledger.NotFound: "Docusign has no", ledger.Skipped: "left open", ledger.Failed: "Docusign refuses",
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestLeaversNarrowed(t *testing.T) {
	r := open(t, true)
	r.cast(t)
	for path, want := range map[string][]string{
		"/leavers?state=held&state=closed":                                           {"5 leavings", `href="/leavers?state=held" data-keep aria-current="true"`},
		"/leavers?settled_from=2020-01-01T00:00:00Z&settled_to=2100-01-01T00:00:00Z": {"6 leavings", "Only those settled from <b", `href="/leavers" data-keep>show others, too`},
		"/leavers?took_from=3600&state=closed":                                       {"Only those that took 1 h or more from due", `href="/leavers?state=closed" data-keep>show others`, "Nobody like that"},
		"/leavers?took_to=3600&settled_from=2020-01-01T00:00:00Z":                    {"less than 1 h", `href="/leavers?settled_from=2020-01-01T00%3A00%3A00Z" data-keep>show`},
		"/leavers?took_from=60&took_to=3600":                                         {"1 min or more, but less than 1 h,"},
		"/leavers?received_to=2020-01-01T00:00:00Z":                                  {"Only those heard of before <b", "Nobody like that"},
		"/leavers?effective_from=" + stamp(time.Now().Add(time.Hour)):                {"1 leaving,", "walt@example.com", "Only those who left from"},
		"/leavers?account=another":                                                   {`in account <span class="mono">another</span>`, "Nobody like that"},
		"/leavers?account=an-account&open=true":                                      {"6 leavings", `in account <span class="mono">an-account</span>`},
		"/leavers?overdue=true":                                                      {"Nobody like that", `href="/leavers" data-keep aria-current="true"`},
		"/leavers?sort=due":                                                          {"those due first at the top"},
	} {
		t.Run(path, func(t *testing.T) { r.get(t, operator, path).shows(t, want, nil) })
	}
	for _, wrong := range []string{"state=x", "sort=x", "took_from=x", "settled_from=yesterday", "after=x", "overdue=x", "limit=0", "limit=100000"} {
		if p := r.get(t, operator, "/leavers?"+wrong); p.status != http.StatusBadRequest || !strings.Contains(p.text, "<h1>") {
			t.Errorf("%s: %d %.300s", wrong, p.status, p.text)
		}
	}
}

func stamp(t time.Time) string { return url.QueryEscape(t.UTC().Format(time.RFC3339)) }

var nextPage = regexp.MustCompile(`rel="next" href="([^"]*)"`)

func TestLeaversInPages(t *testing.T) {
	r := open(t, true)
	var events []consumer.Event
	for _, n := range []string{"ann", "ben", "cal", "dan", "eve"} {
		events = append(events, person(n, "Same", n))
	}
	r.leave(t, events...)
	for _, sort := range []string{"", "&sort=due"} {
		seen, path := make(map[string]bool), "/leavers?limit=2"+sort
		for path != "" {
			p := r.get(t, viewer, path)
			for _, link := range regexp.MustCompile(`href="(/leavers/\d+)"`).FindAllStringSubmatch(p.text, -1) {
				if seen[link[1]] {
					t.Errorf("%s is shown twice", link[1])
				}
				seen[link[1]] = true
			}
			if path = ""; nextPage.MatchString(p.text) {
				path = strings.ReplaceAll(nextPage.FindStringSubmatch(p.text)[1], "&amp;", "&")
			}
		}
		if len(seen) != 5 {
			t.Errorf("%q: %d leavers seen, want 5", sort, len(seen))
		}
	}
	// What is searched for is posted from page to page.
	p := r.post(t, viewer, "/leavers", url.Values{"text": {"same"}, "limit": {"2"}})
	p.shows(t, []string{"5 leavings found", `<input type="hidden" name="after"`, `name="text" value="same"`, `data-here="/leavers?limit=2"`}, []string{`rel="next"`})
	after := regexp.MustCompile(`name="after" value="([^"]*)"`).FindStringSubmatch(p.text)[1]
	r.post(t, viewer, "/leavers", url.Values{"text": {"same"}, "limit": {"2"}, "after": {after}}).
		shows(t, []string{"5 leavings found", "a later page", "First page", "Next page", "cal@example.com"}, []string{"eve@example.com"})
}

func TestSearchOfLeavers(t *testing.T) {
	r := open(t, true)
	cast := r.cast(t)
	for text, want := range map[string]string{
		"carla@": "carla@example.com", "ÇELIK": "cem@example.com", "li, chen": "chen@example.com", " id-of-carla@example.com ": "carla@example.com",
		"#" + number(cast[ledger.Due]): "dora@example.com",
	} {
		p := r.post(t, viewer, "/leavers", url.Values{"text": {text}})
		p.shows(t, []string{"1 leaving found", "<bdi>" + want + "</bdi>", `value="` + strings.TrimSpace(text) + `"`}, nil)
	}
	r.post(t, viewer, "/leavers", url.Values{"text": {"c"}, "state": {"held"}}).shows(t, []string{"Nobody was found among those chosen above", `name="state" value="held"`}, []string{"tally"})
	r.post(t, viewer, "/leavers", url.Values{"text": {`"><script>x`}}).shows(t, []string{"Nobody was found", "&lt;script&gt;x", `href="/rejects"`}, []string{"<script>x"})
	if p := r.post(t, viewer, "/leavers", url.Values{"text": {strings.Repeat("x", 300)}}); p.status != http.StatusBadRequest || !strings.Contains(p.text, "text: longer than 200") {
		t.Errorf("a long text: %d %s", p.status, p.text)
	}
}

func TestNobodyHasLeft(t *testing.T) {
	r := open(t, true)
	r.get(t, viewer, "/leavers").shows(t, []string{"Nobody has left yet", "signoff check --send-test"}, []string{"<table"})
	r.get(t, viewer, "/leavers?state=held").shows(t, []string{"Nobody like that", `href="/leavers"`}, nil)
}

func TestLeaversToStrangers(t *testing.T) {
	r := open(t, false)
	cast := r.cast(t)
	r.get(t, "", "/leavers").shows(t, []string{"13 leavings", ">Entry " + number(cast[ledger.Closed]), "admin.tokens_file"},
		[]string{"@", "Costa", "Sales", "contractor", `name="text"`, "erased"})
	if p := r.post(t, "", "/leavers", url.Values{"text": {"carla"}}); p.status != http.StatusForbidden || strings.Contains(p.text, "@example") {
		t.Errorf("strangers search: %d %s", p.status, p.text)
	}
}

// TestHostileNames has markup, and what turns round what is beside it, in every field
// of an event.
func TestHostileNames(t *testing.T) {
	r := open(t, true)
	const bad = `"><img src=x onerror=alert(1)>` + bidi
	h := r.hold(t, ledger.Limit, consumer.Event{Email: "a'<b>\"@example.com", OtherEmails: []string{`<script>o</script>@example.com`}, GivenName: bad, FamilyName: bad, Department: bad,
		LegalEntity: bad, EmployeeID: bad, Key: consumer.Key{ID: bad, Source: "https://" + bad}, TerminationID: bad})
	path := "/leavers/" + number(h.Users[0].Entry)
	for _, p := range []page{r.get(t, operator, "/leavers"), r.get(t, operator, path), r.get(t, operator, "/report"),
		r.post(t, operator, "/leavers", url.Values{"text": {bad}}), r.post(t, operator, path+"/skip", url.Values{"reason": {" "}})} {
		p.shows(t, nil, []string{"<img src=x", "<script>o", "<b>\""})
	}
}
