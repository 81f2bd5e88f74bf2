package pages

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// rowsOfReport are the rows that a page has of each list of a report. Documents have all.
const rowsOfReport = 500

// reportPage is a report, with the ways to another period and to the whole of it.
type reportPage struct {
	console.Report
	From, To string // of the form: dates or, from a link, date-times
	Periods  []choice
	Alert    string // why there is no report
}

func (p *Pages) report(w http.ResponseWriter, r *http.Request) error {
	now, q := time.Now().UTC(), r.URL.Query()
	all := periods(now)
	body := reportPage{From: strings.TrimSpace(q.Get("since")), To: strings.TrimSpace(q.Get("until"))}
	if body.From == "" && body.To == "" {
		body.From, body.To = all[0].since, all[0].until
	}
	for _, one := range all {
		body.Periods = append(body.Periods, choice{Text: one.name, Path: "/report?" + one.query().Encode(), Count: -1, Chosen: body.From == one.since && body.To == one.until})
	}
	v := view{Template: "report", Title: "Report", Room: "report"}
	since, until, err := console.Period(body.From, body.To, now)
	if err != nil {
		body.Alert = err.Error()
		v.Body = body
		p.show(w, r, http.StatusBadRequest, v)
		return nil
	}
	if body.Report, err = console.ClientOf(r.Context()).ShortReport(r.Context(), since, until, rowsOfReport); err != nil {
		return err
	}
	body.From, body.To = cmp.Or(body.From, bound(since)), cmp.Or(body.To, bound(until))
	v.Body = body
	p.show(w, r, http.StatusOK, v)
	return nil
}

// spell is a period that reports are made of often; until is not in it.
type spell struct{ name, since, until string }

func (s spell) query() url.Values { return url.Values{"since": {s.since}, "until": {s.until}} }

// periods are those to choose from. The first one is that of a report which is asked for
// no period: what `signoff audit report` is about, by whole days.
func periods(now time.Time) []spell {
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	quarter := time.Date(now.Year(), (now.Month()-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC)
	year := time.Date(now.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	tomorrow := today.AddDate(0, 0, 1) // no period ends later: who is yet to leave is no matter of a report
	var all []spell
	for _, one := range []struct {
		name         string
		since, until time.Time
	}{
		{"last 90 days", tomorrow.AddDate(0, 0, -90), tomorrow}, {"last 30 days", tomorrow.AddDate(0, 0, -30), tomorrow},
		{"this quarter", quarter, tomorrow}, {"last quarter", quarter.AddDate(0, -3, 0), quarter},
		{"this year", year, tomorrow}, {"last year", year.AddDate(-1, 0, 0), year},
	} {
		all = append(all, spell{one.name, one.since.Format(time.DateOnly), one.until.Format(time.DateOnly)})
	}
	return all
}

// bound is an end of a period as a form or a link has it: a date where it is one.
func bound(t time.Time) string {
	if t = t.UTC(); t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

// FromDate and ToDate are what the fields of the form have.
func (b reportPage) FromDate() string { return dateOf(b.From) }

// ToDate is the other end.
func (b reportPage) ToDate() string { return dateOf(b.To) }

func dateOf(text string) string {
	day, _, _ := strings.Cut(text, "T")
	return day
}

// Shown says whether there is a report.
func (b reportPage) Shown() bool { return b.Alert == "" }

// Whole is where the API has the whole of it, in a format.
func (b reportPage) Whole(format string) string {
	return "/api/v1/report?" + url.Values{"format": {format}, "since": {b.From}, "until": {b.To}}.Encode()
}

// Evidence is where the API has a bundle that can be checked offline.
func (b reportPage) Evidence() string {
	return "/api/v1/audit/export?" + url.Values{"since": {b.From}, "until": {b.To}}.Encode()
}

// AllRows and those below are the first rows of each list.
func (b reportPage) AllRows() []console.LeavingRow { return some(b.Report.AllRows()) }

// LoggedInRows are of those who logged in after leaving.
func (b reportPage) LoggedInRows() []console.LeavingRow { return some(b.Report.LoggedInRows()) }

// OpenRows are of those who are open still.
func (b reportPage) OpenRows() []console.LeavingRow { return some(b.Report.OpenRows()) }

// SkippedRows are of those whom a person left open.
func (b reportPage) SkippedRows() []console.LeavingRow { return some(b.Report.SkippedRows()) }

func some(rows []console.LeavingRow) []console.LeavingRow { return rows[:min(len(rows), rowsOfReport)] }

// reportFunctions are those of a report within a page: its times are the reader's, until
// it is printed, and what it counts and names is a link.
var reportFunctions = func() template.FuncMap {
	all := console.ReportFunctions()
	maps.Copy(all, template.FuncMap{
		"when": inReport,
		"zone": func() template.HTML { return `<span class="printed">All times are UTC.</span>` },
		"leaver": func(l console.LeavingRow) template.HTML {
			return template.HTML(fmt.Sprintf(`<a href="/leavers/%d"><bdi>%s</bdi></a>`, l.Entry, template.HTMLEscapeString(console.Printable([]byte(cmp.Or(l.Email, "erased")))))) //nolint:gosec // escaped
		},
		"hold": func(id int64) template.HTML {
			return template.HTML(fmt.Sprintf(`<a href="/holds/%d">hold %d</a>`, id, id)) //nolint:gosec // a number has no markup
		},
		"rows":   rowsBehind,
		"anchor": func(list string) template.HTMLAttr { return template.HTMLAttr(` id="` + list + `"`) }, //nolint:gosec // a word of the template
		"cut":    whatIsCut,
	})
	return all
}()

// inReport is a time of a report: until the script makes it the reader's, as on paper.
func inReport(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	return timeElement(t, t.UTC().Format("2006-01-02 15:04"))
}

// rowsBehind is a number of leavers of a class, or of those who are open in a state, as a
// link to their leavings. An account "-" is of those who are in none.
func rowsBehind(b reportPage, account, what string, n int) template.HTML {
	number := template.HTML(count(n)) //nolint:gosec // a number has no markup
	var path string
	switch {
	case n == 0 || account == "-":
	case what != "logged_in":
		path = listPath(leavingsOf(b.Report, account, what))
	case account == "" && len(b.Rows) > 0:
		path = "#logged_in"
	}
	if path == "" {
		return number
	}
	return template.HTML(`<a href="`+template.HTMLEscapeString(path)+`">`) + number + `</a>` //nolint:gosec // escaped
}

// leavingsOf is a list of those that a report counts.
func leavingsOf(r console.Report, account, what string) console.LeaverFilter {
	f := console.LeaverFilter{Account: account, EffectiveFrom: r.Since, EffectiveTo: r.Until}
	deadline, _ := time.ParseDuration(r.Deadline)
	switch what {
	case "all":
	case "overdue":
		f.Overdue = true
	case string(ledger.ClosedSoon):
		f.States, f.TookTo = []string{string(ledger.Closed)}, int(deadline.Seconds())
	case string(ledger.ClosedLate):
		f.States, f.TookFrom = []string{string(ledger.Closed)}, int(deadline.Seconds())
	default:
		if f.States = classStates[what]; f.States == nil {
			f.States = []string{what}
		}
	}
	return f
}

// classStates are the states of the classes that have others than their own name.
var classStates = map[string][]string{
	string(ledger.StillOpen): {"waiting", "due", "held", "submitted", "failed"},
	string(ledger.Deferred):  {"waiting"},
	string(ledger.NoUser):    {"already_closed", "not_found"},
	string(ledger.TakenBack): {"cancelled"},
	"with_user":              {"waiting", "due", "held", "submitted", "failed", "would_close", "skipped", "closed"},
}

// whatIsCut says of a list that not all of it is on the page.
func whatIsCut(b reportPage, list string) template.HTML {
	if b.RowCounts == nil {
		return ""
	}
	n := map[string]int{"all": b.RowCounts.All, "logged_in": b.RowCounts.LoggedIn, "open": b.RowCounts.Open, "skipped": b.RowCounts.Skipped}[list]
	if n <= rowsOfReport {
		return ""
	}
	link := func(format, name string) string {
		return `<a href="` + template.HTMLEscapeString(b.Whole(format)) + `">` + name + `</a>`
	}
	return template.HTML(`<p class="warn">The first ` + count(rowsOfReport) + ` of ` + count(n) + `. All are in the ` + //nolint:gosec // escaped
		link("csv", "CSV") + ` and in the ` + link("html", "page to print") + `.</p>`)
}
