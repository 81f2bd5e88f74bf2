package console_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

const period = "/api/v1/report?since=2020-01-01&until=2100-01-01"

// leavings records that ann is held, and that bob was closed after he had logged in
// once more.
func leavings(t *testing.T, r *room) {
	t.Helper()
	r.hold(t, ledger.Protected, "ann")
	r.hold(t, ledger.Limit, "bob")
	h, err := r.ledger.Hold(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	yes := ledger.Decision{Hold: h.ID, Digest: h.Digest, By: ledger.Person{Name: "alice"}, Reason: "=checked with HR"}
	if _, err := r.ledger.Approve(t.Context(), yes, ledger.Terms{People: 1, Expires: time.Hour}); err != nil {
		t.Fatal(err)
	}
	due, err := r.ledger.Due(t.Context(), account, time.Now().Add(time.Second), false)
	if err != nil || len(due) != 1 {
		t.Fatalf("%d due, %v", len(due), err)
	}
	time.Sleep(time.Until(due[0].DueAt)) // some microseconds
	batch, err := r.ledger.Submit(t.Context(), account, []ledger.Resolved{{Entry: due[0],
		Users: []ledger.User{{ID: "id-of-bob", Email: "bob@example.com", LastLogin: time.Now().Add(time.Hour)}}}}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ledger.SettleBatch(t.Context(), batch.ID, map[string]ledger.Result{"id-of-bob": {Closed: true}}, "a-trace", true, ledger.Retry{}); err != nil {
		t.Fatal(err)
	}
}

func TestReport(t *testing.T) {
	r := open(t, setup{})
	leavings(t, r)
	a := r.ask(t, http.MethodGet, period, viewer, "")
	var got console.Report
	if err := json.Unmarshal([]byte(a.body), &got); a.status != http.StatusOK || err != nil {
		t.Fatalf("%d %s, %v", a.status, a.body, err)
	}
	audit, err := r.ledger.VerifyAudit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := got.Totals
	if c.Leavers != 2 || c.WithUser != 2 || c.ClosedInTime != 1 || c.Open != 1 || c.LoggedIn != 1 || c.Share(c.Open) != "50.0 %" ||
		len(c.OpenBy) != 1 || c.OpenBy[0] != (console.Count{State: "held", Leavers: 1}) {
		t.Errorf("totals %+v", c)
	}
	if got.Version != "0.0.1" || got.Mode != "close" || got.Deadline != "24h" || got.Audit != (console.AuditHead{Seq: audit.Rows, Hash: audit.Head}) {
		t.Errorf("about %+v", got)
	}
	if len(got.Rows) != 2 || len(got.OpenRows()) != 1 || got.OpenRows()[0].Email != "ann@example.com" || got.LoggedInRows()[0].Email != "bob@example.com" ||
		got.LoggedInRows()[0].DecidedBy[0] != "alice" || got.LoggedInRows()[0].TraceTokens[0] != "a-trace" {
		t.Errorf("rows %+v", got.Rows)
	}
}

// TestReportOfFewRows has of each list the first ones, and says how many there are.
func TestReportOfFewRows(t *testing.T) {
	r := open(t, setup{})
	leavings(t, r)
	r.hold(t, ledger.Protected, "cem", "dan", "eve")
	var got console.Report
	if a := r.ask(t, http.MethodGet, period+"&rows=2", viewer, ""); json.Unmarshal([]byte(a.body), &got) != nil || a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got.RowCounts == nil || *got.RowCounts != (console.RowCounts{All: 5, LoggedIn: 1, Open: 4}) || got.Totals.Leavers != 5 {
		t.Errorf("counts %+v of %+v", got.RowCounts, got.Totals)
	}
	var emails []string
	for _, l := range got.AllRows() {
		emails = append(emails, l.Email)
	}
	if all := strings.Join(emails, " "); all != "ann@example.com bob@example.com cem@example.com" {
		t.Errorf("rows %s, want the first two of all, of those who logged in and of those who are open", all)
	}
	got = console.Report{}
	if a := r.ask(t, http.MethodGet, period+"&rows=5", viewer, ""); json.Unmarshal([]byte(a.body), &got) != nil || got.RowCounts != nil || len(got.Rows) != 5 {
		t.Errorf("all of them: %s", a.body)
	}
}

func TestReportAsCSV(t *testing.T) {
	r := open(t, setup{})
	leavings(t, r)
	a := r.ask(t, http.MethodGet, period+"&format=csv", viewer, "")
	lines, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	if err != nil || len(lines) != 3 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") {
		t.Fatalf("%d lines, %v: %s", len(lines), err, a.body)
	}
	for i, column := range lines[0] {
		switch got := lines[2][i]; {
		case column == "email" && got != "bob@example.com", column == "outcome" && got != "closed", column == "logged_in_after_leaving" && got != "yes",
			column == "decided_by" && got != "alice", column == "trace_tokens" && got != "a-trace", column == "event_id" && got != "bob":
			t.Errorf("%s is %q", column, got)
		}
	}
}

func TestSafeCells(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "ana": "ana", "a=b": "a=b", "=HYPERLINK(1)": "'=HYPERLINK(1)", "+1": "'+1", "-1": "'-1", "@SUM(1)": "'@SUM(1)", "\t=1": "'\t=1",
	} {
		if got := console.SafeCells([]string{cell})[0]; got != want {
			t.Errorf("%q becomes %q, want %q", cell, got, want)
		}
	}
}

// TestReportPage is what must be on the page, and that it runs nothing and loads
// nothing.
func TestReportPage(t *testing.T) {
	r := open(t, setup{})
	leavings(t, r)
	r.hold(t, ledger.Protected, "<script>x")
	a := r.ask(t, http.MethodGet, period+"&format=html", viewer, "")
	for _, part := range []string{"Who left from 2020-01-01", "Closed within 24h of being due", "33.3 %", "signoff 0.0.1", "ann@example.com", "after leaving",
		"approved by alice", "a-trace", "&lt;script&gt;x@example.com"} {
		if !strings.Contains(a.body, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	for _, part := range []string{"<script", "<link", "src=", "href=", "url(", "@import", "DRY RUN"} {
		if strings.Contains(a.body, part) {
			t.Errorf("the page has %q", part)
		}
	}
	if !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("Content-Security-Policy: %q", a.header.Get("Content-Security-Policy"))
	}
}

func TestReportPageOfADryRun(t *testing.T) {
	var page strings.Builder
	if err := console.ShowReport(ledger.Report{}, console.About{Mode: "dry-run"}, true).WriteHTML(&page); err != nil || !strings.Contains(page.String(), "DRY RUN") {
		t.Errorf("%v\n%s", err, page.String())
	}
}

func TestReportNamesNobodyToStrangers(t *testing.T) {
	r := open(t, setup{noTokens: true})
	leavings(t, r)
	for _, format := range []string{"json", "html"} {
		a := r.ask(t, http.MethodGet, period+"&format="+format, "", "")
		if a.status != http.StatusOK || strings.Contains(a.body, "example.com") || strings.Contains(a.body, "id-of") || strings.Contains(a.body, "checked with HR") {
			t.Errorf("%s: %d %s", format, a.status, a.body)
		}
	}
	if a := r.ask(t, http.MethodGet, period+"&format=csv", "", ""); a.status != http.StatusForbidden {
		t.Errorf("csv: %d %s", a.status, a.body)
	}
}

func TestReportIsRefused(t *testing.T) {
	r := open(t, setup{})
	for query, want := range map[string]string{
		"since=yesterday":                   "since: ",
		"since=2026-02-30":                  "since: ",
		"since=2026-01-01&until=later":      "until: ",
		"since=2026-01-02&until=2026-01-02": "until: is not after since",
		"since=2026-01-02&until=2026-01-01": "until: is not after since",
		"since=9000-01-01":                  "until: is not after since",
		"since=2026-01-01&format=pdf":       "format: ",
		"rows=few":                          "rows: ",
		"rows=0":                            "rows: ",
		"rows=1&format=html":                "rows: goes with json alone",
	} {
		if a := r.ask(t, http.MethodGet, "/api/v1/report?"+query, viewer, ""); a.status != http.StatusBadRequest || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s, want %s", query, a.status, a.body, want)
		}
	}
	if a := r.ask(t, http.MethodGet, period, "", ""); a.status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", a.status)
	}
}

func TestPeriod(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct{ since, until, want string }{
		"dates":          {"2026-07-01", "2026-10-01", "2026-07-01T00:00:00Z 2026-10-01T00:00:00Z"},
		"until now":      {"2026-07-01", "", "2026-07-01T00:00:00Z 2026-11-27T12:00:00Z"},
		"no bounds":      {"", "", "2026-08-29T12:00:00Z 2026-11-27T12:00:00Z"},
		"90 days":        {"", "2026-04-01", "2026-01-01T00:00:00Z 2026-04-01T00:00:00Z"},
		"with an offset": {"2026-07-01T00:00:00+02:00", "2026-10-01", "2026-06-30T22:00:00Z 2026-10-01T00:00:00Z"},
	} {
		from, to, err := console.Period(tt.since, tt.until, now)
		if got := from.Format(time.RFC3339) + " " + to.Format(time.RFC3339); err != nil || got != tt.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, tt.want)
		}
	}
}
