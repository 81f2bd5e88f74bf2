package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"signoff/closer/console"
)

// auditReport is `signoff audit report`: what became of everybody who left in a
// period.
func auditReport(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("audit report", flag.ContinueOnError)
	way := reachFlags(flags)
	since := flags.String("since", "", "`TIME` from which on leavings count, by when they took effect: a date (from midnight UTC) or RFC 3339; 90 days before the end if left out")
	until := flags.String("until", "", "`TIME` before which they count; now if left out")
	format := flags.String("format", "table", "`FORMAT`: table, csv (all rows), html (a page to print) or json")
	path := flags.String("out", "", "`FILE` to write; standard output if left out")
	if err := parseFlags(flags, out, args); err != nil {
		return err
	}
	write, ok := reportFormats[*format]
	if !ok {
		return usageError{fmt.Errorf("--format: %q: none of table, csv, html, json", *format)}
	}
	from, to, err := console.Period(*since, *until, time.Now())
	if err != nil {
		return usageError{fmt.Errorf("--%w", err)}
	}
	report, err := reportBy(ctx, way, from, to)
	if err != nil {
		return err
	}
	if *format == "csv" && len(report.Rows) == 0 && report.Totals.Leavers > 0 {
		return errors.New("the rows name people: they need a token, by --token-file")
	}
	return toFile(*path, out, func(w io.Writer) error { return write(report, w) })
}

var reportFormats = map[string]func(console.Report, io.Writer) error{
	"table": printReport,
	"csv":   console.Report.WriteCSV,
	"html":  console.Report.WriteHTML,
	"json":  func(r console.Report, out io.Writer) error { return printJSON(out, r) },
}

func reportBy(ctx context.Context, way way, since, until time.Time) (console.Report, error) {
	client, l, err := way.reach(ctx)
	if err != nil {
		return console.Report{}, err
	}
	if client != nil {
		return client.Report(ctx, since, until)
	}
	defer func() { _ = l.Close() }()
	cfg, err := loadConfig(*way.configFile)
	if err != nil {
		return console.Report{}, err
	}
	report, err := l.Report(ctx, since, until, cfg.Batch.Deadline)
	return console.ShowReport(report, cfg.about(), true), err
}

// about is what a report says of this signoff.
func (c config) about() console.About {
	return console.About{Version: version, Mode: c.Mode, Deadline: c.Batch.Deadline}
}

// toFile writes to a file that only we can read, or to out if path is "".
func toFile(path string, out io.Writer, write func(io.Writer) error) error {
	if path == "" {
		return write(out)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// printReport prints the totals, and the rows of those who need a look.
func printReport(r console.Report, out io.Writer) error {
	fmt.Fprintf(out, "left from %s until %s, by when it took effect\nmade %s by signoff %s, audit row %d %s\n", r.Since.Format(time.RFC3339),
		r.Until.Format(time.RFC3339), r.Made.Format(time.RFC3339), r.Version, r.Audit.Seq, r.Audit.Hash)
	if r.DryRun() {
		fmt.Fprintln(out, "DRY RUN: nobody is closed until the config says mode: close")
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	t := r.Totals
	line := func(what string, n int, share string) { fmt.Fprintf(w, "%s\t%d\t%s\n", what, n, share) }
	fmt.Fprintf(w, "\n\tLEAVERS\tOF %d WITH A USER\n", t.WithUser)
	line("closed within "+r.Deadline+" of being due", t.ClosedInTime, t.Share(t.ClosedInTime))
	line("closed later", t.ClosedLate, t.Share(t.ClosedLate))
	line("still open", t.Open, t.Share(t.Open))
	for _, c := range t.OpenBy {
		line("  "+c.State, c.Leavers, t.Share(c.Leavers))
	}
	line("left open by a person", t.Skipped, t.Share(t.Skipped))
	if t.WouldClose > 0 || r.DryRun() {
		line("would be closed, but for the dry run", t.WouldClose, t.Share(t.WouldClose))
	}
	line("had no open user", t.NoUser, "")
	line("leaving taken back", t.TakenBack, "")
	line("all", t.Leavers, "")
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nof those still open, past the deadline: %d\nlogged in after leaving: %d (the last login of %d leavers is known)\n",
		t.Overdue, t.LoggedIn, t.LoginsKnown)
	if len(r.Accounts) > 1 {
		printAccounts(r, w)
	}
	printLeavings(w, "logged in after leaving", r.LoggedInRows())
	printLeavings(w, "still open", r.OpenRows())
	printLeavings(w, "left open by a person", r.SkippedRows())
	if len(r.Rows) > 0 {
		fmt.Fprintf(w, "\nall %d rows: --format csv or html\n", len(r.Rows))
	}
	return w.Flush()
}

func printAccounts(r console.Report, w io.Writer) {
	fmt.Fprintln(w, "\nACCOUNT\tIN TIME\tLATER\tOPEN\tLEFT OPEN\tWOULD CLOSE\tNO USER\tTAKEN BACK\tALL")
	for _, a := range r.Accounts {
		name := a.Account
		if name == "" {
			name = "in none"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", name, a.ClosedInTime, a.ClosedLate, a.Open, a.Skipped, a.WouldClose,
			a.NoUser, a.TakenBack, a.Leavers)
	}
}

func printLeavings(w io.Writer, what string, rows []console.LeavingRow) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\nEMAIL\tACCOUNT\tLEFT\tHOURS\tIS\tLAST LOGIN\tWHO DECIDED\n", what)
	for _, l := range rows {
		is := l.Outcome
		if l.Reason != "" {
			is += ": " + oneLine(l.Reason)
		}
		if l.Hold != 0 {
			is += fmt.Sprintf(", hold %d", l.Hold)
		}
		said := make([]string, 0, len(l.Decisions))
		for _, d := range l.Decisions {
			said = append(said, oneLine(d.String()))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%s\t%s\t%s\n", oneLine(l.Email), l.Account, l.EffectiveAt.Format(time.RFC3339), l.Hours, is, rfc3339(l.LastLogin),
			strings.Join(said, "; "))
	}
}
