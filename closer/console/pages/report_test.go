package pages_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"signoff/closer/ledger"
	"signoff/consumer"
)

const longPeriod = "/report?since=2020-01-01&until=2100-01-01"

func TestReportByPage(t *testing.T) {
	r := open(t, true)
	cast := r.cast(t)
	r.get(t, viewer, longPeriod).shows(t, []string{
		"<h1>Who left from 2020-01-01 until 2100-01-01", "Closed within 24h of being due", `value="2020-01-01"`, "signoff 0.0.1", `<h2 id="open">`, "stays as a &lt;b&gt;",
		`<a href="/leavers/` + number(cast[ledger.Closed]) + `"><bdi>carla@example.com</bdi></a>`, `<a href="/holds/1">hold 1</a>`, `<span class="printed">All times are UTC.</span>`,
		`href="/api/v1/report?format=csv&amp;since=2020-01-01&amp;until=2100-01-01"`, `href="/api/v1/audit/export?since=2020-01-01&amp;until=2100-01-01"`,
		`<link rel="stylesheet" href="/assets/report.css`,
	}, []string{"DRY RUN", "The first 500", "<style"})
	r.get(t, viewer, "/").shows(t, nil, []string{"report.css"})
}

// TestReportLeadsToItsRows follows the numbers of a report: a list has as many rows.
func TestReportLeadsToItsRows(t *testing.T) {
	r := open(t, true)
	r.cast(t)
	report := r.get(t, viewer, longPeriod)
	followed := 0
	for _, link := range regexp.MustCompile(`<a href="(/leavers\?[^"]*)">(\d+)</a>`).FindAllStringSubmatch(report.text, -1) {
		followed++
		want := link[2] + " leaving"
		if list := r.get(t, viewer, html.UnescapeString(link[1])); list.status != http.StatusOK || !strings.Contains(list.text, want) {
			t.Errorf("%s: %d, without %q", link[1], list.status, want)
		}
	}
	if followed < 10 {
		t.Errorf("%d numbers lead anywhere: %s", followed, report.text)
	}
}

func TestPeriodsOfAReport(t *testing.T) {
	r := open(t, true)
	tomorrow := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	r.get(t, viewer, "/report").shows(t, []string{`value="` + tomorrow.Format(time.DateOnly) + `"`, `value="` + tomorrow.AddDate(0, 0, -90).Format(time.DateOnly) + `"`,
		`aria-current="true">last 90 days`, "last quarter</a>", "Nobody left in this period"}, nil)
	r.get(t, viewer, "/report?since=2026-01-01").shows(t, []string{"<h1>Who left from 2026-01-01 until "}, nil)
	for query, want := range map[string]string{"since=yesterday": "since: ", "since=2026-01-02&until=2026-01-01": "until: is not after since", "until=<b>": "until: &#34;&lt;b&gt;"} {
		if p := r.get(t, viewer, "/report?"+query); p.status != http.StatusBadRequest || !strings.Contains(p.text, want) || !strings.Contains(p.text, `name="since"`) {
			t.Errorf("%s: %d %s", query, p.status, p.text)
		}
	}
}

func TestLongReport(t *testing.T) {
	r := open(t, true)
	var events []consumer.Event
	for i := range 510 {
		events = append(events, person(fmt.Sprintf("leaver-%03d", i), "", ""))
	}
	r.leave(t, events...)
	p := r.get(t, viewer, longPeriod)
	if n := strings.Count(p.text, "<bdi>leaver-"); n != 1000 {
		t.Errorf("%d rows, want 500 of those who are open and of everybody", n)
	}
	if n := strings.Count(p.text, "The first 500 of 510."); n != 2 {
		t.Errorf("says %d times that not all is there", n)
	}
}

func TestReportOfADryRun(t *testing.T) {
	r := openIn(t, "dry-run", true)
	r.get(t, viewer, longPeriod).shows(t, []string{`<div class="dry">DRY RUN`}, nil)
}

func TestReportToStrangers(t *testing.T) {
	r := open(t, false)
	r.cast(t)
	r.get(t, "", longPeriod).shows(t, []string{"Closed within 24h", "Who they are is shown to those who have signed in", "format=html"}, []string{"@", "contractor", "format=csv", "audit/export"})
}
