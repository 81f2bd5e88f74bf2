package console

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"signoff/closer/ledger"
)

// About is what a report says of the daemon that it is about.
type About struct {
	Version  string
	Mode     string        // dry-run or close
	Deadline time.Duration // from due to closed
}

// Report says of everybody whose leaving took effect in a period what became of
// it.
type Report struct {
	Since    time.Time    `json:"since"`
	Until    time.Time    `json:"until"` // not in it
	Made     time.Time    `json:"made"`
	Version  string       `json:"version"`
	Mode     string       `json:"mode"`
	Deadline string       `json:"deadline"` // a duration, such as 24h
	Audit    AuditHead    `json:"audit"`
	Totals   Totals       `json:"totals"`
	Accounts []OfAccount  `json:"accounts"`
	Rows     []LeavingRow `json:"rows,omitempty"` // none for those who have not signed in

	RowCounts *RowCounts `json:"rowCounts,omitempty"` // of each list, where Rows has only the first ones of each; nil: it has all
}

// RowCounts are how many rows the lists of a report have.
type RowCounts struct {
	All      int `json:"all"`
	LoggedIn int `json:"loggedIn"`
	Open     int `json:"open"`
	Skipped  int `json:"skipped"`
}

// AuditHead is the end of the audit's chain when a report was made.
type AuditHead struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

// Totals count leavers, each once: the classes add up to Leavers.
type Totals struct {
	Leavers      int `json:"leavers"`
	WithUser     int `json:"withUser"` // all but noUser and takenBack: what shares are of
	ClosedInTime int `json:"closedInTime"`
	ClosedLate   int `json:"closedLate"`
	Open         int `json:"open"`
	WouldClose   int `json:"wouldClose"`
	Skipped      int `json:"skipped"`
	NoUser       int `json:"noUser"`
	TakenBack    int `json:"takenBack"`

	OpenBy      []Count `json:"openBy"`      // those who are open, by state
	Overdue     int     `json:"overdue"`     // of them, those past the deadline
	LoggedIn    int     `json:"loggedIn"`    // after leaving, as far as is known
	LoginsKnown int     `json:"loginsKnown"` // leavers of whom the last login is known
}

// Count is how many leavers are in a state.
type Count struct {
	State   string `json:"state"`
	Leavers int    `json:"leavers"`
}

// Share is n in percent of those with a user to close; "" if there is nobody.
func (t Totals) Share(n int) string {
	if t.WithUser == 0 {
		return ""
	}
	return strconv.FormatFloat(100*float64(n)/float64(t.WithUser), 'f', 1, 64) + " %"
}

// OfAccount are the totals of one account: a leaver counts in each of theirs. ""
// are those who are in none.
type OfAccount struct {
	Account string `json:"account"`
	Totals  `json:"totals"`
}

// LeavingRow is one leaving of a leaver in one account.
type LeavingRow struct {
	Entry       int64     `json:"entry"`
	Email       string    `json:"email"` // "" once it was erased
	Account     string    `json:"account"`
	EventOrigin string    `json:"eventOrigin"`
	EventSource string    `json:"eventSource"`
	EventID     string    `json:"eventId"`
	EffectiveAt time.Time `json:"effectiveAt"`
	ReceivedAt  time.Time `json:"receivedAt"`
	DueAt       time.Time `json:"dueAt"`
	SettledAt   time.Time `json:"settledAt,omitzero"`
	Hours       float64   `json:"hours"` // from due until settled or, if it is open, until the report was made
	Class       string    `json:"class"`
	Outcome     string    `json:"outcome"` // the state it is in
	Reason      string    `json:"reason"`
	Hold        int64     `json:"hold,omitempty"` // that it waits in
	Returned    bool      `json:"returned"`       // was closed before, and was open again
	UserIDs     []string  `json:"userIds"`
	TraceTokens []string  `json:"traceTokens"`
	LastLogin   time.Time `json:"lastLogin,omitzero"` // zero: never, or not known
	LoggedIn    bool      `json:"loggedInAfterLeaving"`
	DecidedBy   []string  `json:"decidedBy"`
	Decisions   []Said    `json:"decisions"`
}

// Said is what a person said of an entry.
type Said struct {
	By   string    `json:"by"`
	What string    `json:"what"`
	At   time.Time `json:"at"`
	Why  string    `json:"why"`
	Hold int64     `json:"hold,omitempty"`
}

// String is the same in a line.
func (s Said) String() string {
	line := s.What + " by " + s.By + ", " + s.At.UTC().Format(time.RFC3339)
	if s.Hold != 0 {
		line += fmt.Sprint(" (hold ", s.Hold, ")")
	}
	if s.Why != "" {
		line += ": " + s.Why
	}
	return line
}

// ShowReport is a report as the API shows it, with its rows or with the counts alone.
func ShowReport(r ledger.Report, about About, people bool) Report {
	shown := Report{Since: r.Since, Until: r.Until, Made: r.At, Version: about.Version, Mode: about.Mode, Deadline: inHours(r.Deadline),
		Audit: AuditHead{r.Head, r.Hash}, Totals: totals(r.All), Accounts: []OfAccount{}}
	for _, a := range r.Accounts {
		shown.Accounts = append(shown.Accounts, OfAccount{a.Account, totals(a.Tally)})
	}
	if !people {
		return shown
	}
	for _, l := range r.Leavings {
		shown.Rows = append(shown.Rows, leavingRow(l))
	}
	return shown
}

func totals(t ledger.Tally) Totals {
	shown := Totals{Leavers: t.Leavers, WithUser: t.WithUser(), ClosedInTime: t.Of[ledger.ClosedSoon], ClosedLate: t.Of[ledger.ClosedLate],
		Open: t.Of[ledger.StillOpen], WouldClose: t.Of[ledger.Rehearsed], Skipped: t.Of[ledger.LeftOpen], NoUser: t.Of[ledger.NoUser],
		TakenBack: t.Of[ledger.TakenBack], OpenBy: []Count{}, Overdue: t.Overdue, LoggedIn: t.LoggedIn, LoginsKnown: t.LoginsKnown}
	for state, n := range t.Open {
		shown.OpenBy = append(shown.OpenBy, Count{string(state), n})
	}
	slices.SortFunc(shown.OpenBy, func(a, b Count) int { return strings.Compare(a.State, b.State) })
	return shown
}

func leavingRow(l ledger.Leaving) LeavingRow {
	row := LeavingRow{Entry: l.Entry, Email: l.Email, Account: l.Account, EventOrigin: l.Origin, EventSource: l.Source, EventID: l.EventID,
		EffectiveAt: l.EffectiveAt, ReceivedAt: l.ReceivedAt, DueAt: l.DueAt, SettledAt: l.SettledAt,
		Hours: l.Took.Hours(), Class: string(l.Class), Outcome: string(l.State), Reason: l.Reason, Hold: l.Hold, Returned: l.Returned,
		LastLogin: l.LastLogin(), LoggedIn: l.LoggedIn(), UserIDs: []string{}, TraceTokens: []string{}, DecidedBy: []string{}, Decisions: []Said{}}
	for _, u := range l.Users {
		row.UserIDs = append(row.UserIDs, u.ID)
		if u.Trace != "" && !slices.Contains(row.TraceTokens, u.Trace) {
			row.TraceTokens = append(row.TraceTokens, u.Trace)
		}
	}
	for _, d := range l.Decisions {
		if !slices.Contains(row.DecidedBy, d.By) {
			row.DecidedBy = append(row.DecidedBy, d.By)
		}
		row.Decisions = append(row.Decisions, Said{By: d.By, What: d.What, At: d.At, Why: d.Why, Hold: d.Hold})
	}
	return row
}

// inHours is a duration in hours where it is whole ones, such as a deadline.
func inHours(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}

// AllRows are the rows of everybody.
func (r Report) AllRows() []LeavingRow { return r.Rows }

// LoggedInRows are the rows of those who logged in after leaving.
func (r Report) LoggedInRows() []LeavingRow {
	return r.rows(func(l LeavingRow) bool { return l.LoggedIn })
}

// OpenRows are the rows of those who are open still.
func (r Report) OpenRows() []LeavingRow {
	return r.rows(func(l LeavingRow) bool { return l.Class == string(ledger.StillOpen) })
}

// SkippedRows are the rows of those whom a person left open.
func (r Report) SkippedRows() []LeavingRow {
	return r.rows(func(l LeavingRow) bool { return l.Class == string(ledger.LeftOpen) })
}

// cut leaves no more rows than it takes for the first n of each list.
func (r Report) cut(n int) Report {
	lists := [][]LeavingRow{r.Rows, r.LoggedInRows(), r.OpenRows(), r.SkippedRows()}
	if len(r.Rows) <= n {
		return r
	}
	r.RowCounts = &RowCounts{len(lists[0]), len(lists[1]), len(lists[2]), len(lists[3])}
	kept := make(map[int64]bool)
	for _, list := range lists {
		for _, l := range list[:min(n, len(list))] {
			kept[l.Entry] = true
		}
	}
	r.Rows = r.rows(func(l LeavingRow) bool { return kept[l.Entry] })
	return r
}

func (r Report) rows(which func(LeavingRow) bool) []LeavingRow {
	return slices.DeleteFunc(slices.Clone(r.Rows), func(l LeavingRow) bool { return !which(l) })
}

// DryRun says whether the daemon closes nobody.
func (r Report) DryRun() bool { return r.Mode != "close" }

var reportColumns = []string{"email", "account", "class", "outcome", "reason", "effective_at", "received_at", "due_at", "settled_at",
	"hours", "decided_by", "decisions", "hold", "last_login", "logged_in_after_leaving", "returned", "user_ids", "trace_tokens",
	"event_origin", "event_source", "event_id", "entry"}

// WriteCSV writes all rows, with a header.
func (r Report) WriteCSV(out io.Writer) error {
	w := csv.NewWriter(out)
	_ = w.Write(reportColumns)
	for _, l := range r.Rows {
		said := make([]string, 0, len(l.Decisions))
		for _, s := range l.Decisions {
			said = append(said, s.String())
		}
		hold := ""
		if l.Hold != 0 {
			hold = strconv.FormatInt(l.Hold, 10)
		}
		cells := []string{l.Email, l.Account, l.Class, l.Outcome, l.Reason, rfc3339(l.EffectiveAt), rfc3339(l.ReceivedAt), rfc3339(l.DueAt),
			rfc3339(l.SettledAt), strconv.FormatFloat(l.Hours, 'f', 2, 64), strings.Join(l.DecidedBy, " "), strings.Join(said, "; "), hold,
			rfc3339(l.LastLogin), yesNo(l.LoggedIn), yesNo(l.Returned), strings.Join(l.UserIDs, " "), strings.Join(l.TraceTokens, " "),
			l.EventOrigin, l.EventSource, l.EventID, strconv.FormatInt(l.Entry, 10)}
		_ = w.Write(SafeCells(cells))
	}
	w.Flush()
	return w.Error()
}

// SafeCells are cells that a spreadsheet takes for text: one that it would carry
// out as a formula has a quote before it.
func SafeCells(cells []string) []string {
	safe := slices.Clone(cells)
	for i, c := range safe {
		if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
			safe[i] = "'" + c
		}
	}
	return safe
}

func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

var (
	//go:embed report.html
	reportFile string

	// ReportBody is what is in a report, as templates: "report" is of a Report. Of the
	// functions that it asks for, ReportFunctions has those of a file that needs nothing
	// beside it; a page may have others in their place.
	//go:embed report_body.html
	ReportBody string

	// What a report looks like, beside what it has in common with all pages.
	//go:embed pages/assets/report.css
	reportStyle string
)

var reportTemplate = template.Must(template.Must(template.New("body").Funcs(ReportFunctions()).Parse(ReportBody)).
	New("file").Parse(strings.Replace(reportFile, "/* report.css */\n", reportStyle, 1)))

// ReportFunctions are those that ReportBody asks for.
func ReportFunctions() template.FuncMap {
	return template.FuncMap{
		"when":   minute,
		"day":    func(t time.Time) string { return strings.TrimSuffix(minute(t), " 00:00") },
		"hours":  func(h float64) string { return strconv.FormatFloat(h, 'f', 1, 64) },
		"words":  func(word string) string { return strings.ReplaceAll(word, "_", " ") },
		"zone":   func() string { return "All times are UTC." },
		"leaver": func(l LeavingRow) string { return Printable([]byte(cmp.Or(l.Email, "erased"))) },
		"hold":   func(id int64) string { return fmt.Sprint("hold ", id) },
		// How many there are of a class, a state or "all", in an account or in whichever.
		"rows": func(_ any, _, _ string, n int) int { return n },
		// Where the heading of a list can be found, and what is not in the list.
		"anchor": func(string) template.HTMLAttr { return "" },
		"cut":    func(any, string) string { return "" },
	}
}

// minute is a time as a page shows it, in UTC.
func minute(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// WriteHTML writes the report as a page to print, which needs nothing beside it.
func (r Report) WriteHTML(out io.Writer) error { return reportTemplate.Execute(out, r) }

// Period reads the bounds of a period: each an RFC 3339 date-time, or a date, which
// begins at midnight UTC. Without until it lasts until now, without since for 90 days.
func Period(since, until string, now time.Time) (from, to time.Time, err error) {
	to = now
	if until != "" {
		if to, err = moment("until", until); err != nil {
			return from, to, err
		}
	}
	from = to.AddDate(0, 0, -90)
	if since != "" {
		if from, err = moment("since", since); err != nil {
			return from, to, err
		}
	}
	if !from.Before(to) {
		return from, to, errors.New("until: is not after since")
	}
	return from, to, nil
}

func moment(name, text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s: %q: neither a date such as 2026-07-01 nor an RFC 3339 date-time", name, text)
}

// reportAtMost is how long a report may take to be read and sent.
const reportAtMost = 5 * time.Minute

// few lets a few do at a time what takes much memory for as long as somebody reads it.
type few chan struct{}

const reportsAtOnce = 3 // some 45 MiB each where 50,000 have left

// begin waits until one more may. It is false if that was given up.
func (f few) begin(ctx context.Context) bool {
	select {
	case f <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f few) end() { <-f }

func (s *Server) report(w http.ResponseWriter, r *http.Request, who principal) {
	query := r.URL.Query()
	format := query.Get("format")
	since, until, err := Period(query.Get("since"), query.Get("until"), time.Now())
	var most int
	wrong := read(query, "rows", &most, positive, "not a number from 1 on")
	if most > 0 && format != "" && format != "json" {
		wrong = errors.New("rows: goes with json alone: a document has them all")
	}
	switch {
	case err != nil:
		problem(w, http.StatusBadRequest, err.Error())
		return
	case format != "" && format != "json" && format != "csv" && format != "html":
		problem(w, http.StatusBadRequest, fmt.Sprintf("format: %q: none of json, csv, html", format))
		return
	case wrong != nil:
		problem(w, http.StatusBadRequest, wrong.Error())
		return
	case format == "csv" && who.name == "":
		problem(w, http.StatusForbidden, "the rows name people: they need a token, see admin.tokens_file; json and html have the counts")
		return
	}
	if !s.reports.begin(r.Context()) {
		return
	}
	defer s.reports.end()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(reportAtMost))
	found, err := s.ledger.Report(r.Context(), since, until, s.daemon.About.Deadline)
	if err != nil {
		s.fail(w, err)
		return
	}
	shown := ShowReport(found, s.daemon.About, who.name != "")
	switch format {
	case "csv":
		document(w, "text/csv; charset=utf-8")
		_ = shown.WriteCSV(w)
	case "html":
		document(w, "text/html; charset=utf-8")
		_ = shown.WriteHTML(w)
	default:
		if most > 0 {
			shown = shown.cut(most)
		}
		answer(w, shown)
	}
}

// document begins an answer that is no JSON, and runs nothing.
func document(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
}
