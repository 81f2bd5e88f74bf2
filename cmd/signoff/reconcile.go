package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"signoff/closer"
	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
)

func reconcileCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("reconcile", flag.ContinueOnError)
	way := reachFlags(flags)
	r := reconcileCall{out: out}
	flags.StringVar(&r.leavers, "leavers", "", "`FILE` of those who left by HR's own list, a CSV; a column effectiveAt or left may say when")
	flags.StringVar(&r.roster, "roster", "", "`FILE` of those who are there, a CSV: finds open users who are on neither list, for which all are read")
	flags.StringVar(&r.column, "column", "", "`NAME` of the column with the emails of --leavers, where it cannot be told")
	flags.StringVar(&r.dateColumn, "date-column", "", "`NAME` of its column with the dates, such as 2026-11-30, if it is called otherwise")
	flags.StringVar(&r.rosterColumn, "roster-column", "", "`NAME` of the column with the emails of --roster")
	flags.BoolVar(&r.skipBad, "skip-bad", false, "go on without the lines of --leavers that are bad")
	flags.StringVar(&r.output, "output", "table", "`FORMAT`: table, json or csv")
	flags.StringVar(&r.missing, "missing", "", "`FILE` to write those to of whom no event ever came and who have an open user, for signoff close")
	if err := parseFlags(flags, out, args); err != nil {
		return err
	}
	if !slices.Contains([]string{"table", "json", "csv"}, r.output) {
		return usageError{fmt.Errorf("--output: %q: none of table, json, csv", r.output)}
	}
	if r.leavers == "" {
		return usageError{errors.New("--leavers FILE, a CSV, is needed")}
	}
	lists, err := r.read()
	if err != nil {
		return err
	}
	reconciler, end, err := reachReconciler(ctx, way)
	if err != nil {
		return err
	}
	found, err := reconciler.Reconcile(ctx, lists)
	if err := errors.Join(err, end()); err != nil {
		return err
	}
	return r.tell(found)
}

// reachReconciler finds the way: through a daemon, or over the ledger itself, open
// for reading.
func reachReconciler(ctx context.Context, way way) (console.Reconciler, func() error, error) {
	client, l, err := way.reach(ctx)
	if err != nil {
		return nil, nil, err
	}
	if client != nil {
		return client, func() error { return nil }, nil
	}
	r, err := reconcilerOver(ctx, *way.configFile, l)
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return r, l.Close, nil
}

func reconcilerOver(ctx context.Context, configFile string, l *ledger.Ledger) (console.Reconciler, error) {
	cfg, client, err := openDocusign(ctx, configFile)
	if err != nil {
		return nil, err
	}
	return reconciler{leavers{cfg.itself, l, client, newLog(logConfig{Level: "error", Format: "console"})}}, nil
}

// reconciler reconciles over a ledger, with a closer of its own.
type reconciler struct{ leavers }

// Reconcile implements console.Reconciler.
func (r reconciler) Reconcile(ctx context.Context, asked console.Lists) (console.Reconciliation, error) {
	people := make([]closer.Left, 0, len(asked.People))
	for _, p := range asked.People {
		people = append(people, closer.Left{Email: p.Email, At: p.LeftAt})
	}
	found, err := r.closer(nil).Reconcile(ctx, people, asked.Roster)
	if err != nil {
		return console.Reconciliation{}, advised(err)
	}
	stats, err := r.ledger.Stats(ctx)
	if err != nil {
		return console.Reconciliation{}, err
	}
	shown := showReconciliation(found, time.Now().UTC())
	shown.Rejects = stats.Rejects
	return shown, nil
}

// showReconciliation is what was found, as the API shows it.
func showReconciliation(found closer.Reconciliation, now time.Time) console.Reconciliation {
	r := console.Reconciliation{Made: now, People: make([]console.Reconciled, 0, len(found.People)), NoList: []console.Stray{}}
	sums := make(map[closer.Verdict]int)
	for _, p := range found.People {
		sums[p.Verdict]++
		shown := console.Reconciled{Left: console.Left{Email: p.Email, LeftAt: p.At}, Verdict: string(p.Verdict), Accounts: []console.InAccount{}}
		shown.HeardAt, shown.Source = p.Heard()
		for _, a := range p.Accounts {
			shown.Accounts = append(shown.Accounts, inAccount(a, now))
		}
		r.People = append(r.People, shown)
	}
	for _, v := range closer.Verdicts() {
		r.Totals = append(r.Totals, console.VerdictSum{Verdict: string(v), People: sums[v]})
	}
	if !found.Roster {
		return r
	}
	r.Users = &console.UserSums{Open: len(found.Open)}
	for _, u := range found.Open {
		switch u.On {
		case closer.OnRoster:
			r.Users.OnRoster++
		case closer.OnLeavers:
			r.Users.Leavers++
		default:
			r.Users.OnNoList++
			r.NoList = append(r.NoList, console.Stray{Account: u.Account, UserSeen: seen(u.User), Status: string(u.Status), Marks: texts(u.Marks...)})
		}
	}
	return r
}

func inAccount(a closer.InAccount, now time.Time) console.InAccount {
	shown := console.InAccount{Account: a.Account, Docusign: string(a.Standing), Users: []console.UserSeen{}}
	for _, u := range a.Users {
		shown.Users = append(shown.Users, seen(u))
	}
	if a.Known.ID == 0 {
		return shown
	}
	shown.State, shown.Reason, shown.Hold = string(a.Known.State), a.Known.Reason, a.Known.Hold
	shown.DueAt, shown.SettledAt = a.Known.DueAt, a.Known.SettledAt
	end := cmp.Or(a.Known.SettledAt, now)
	shown.Hours = max(0, end.Sub(a.Known.DueAt)).Hours()
	return shown
}

func seen(u ledger.User) console.UserSeen {
	return console.UserSeen{UserID: u.ID, Email: u.Email, LastLogin: u.LastLogin}
}

// reconcileCall is one call of `signoff reconcile`.
type reconcileCall struct {
	leavers, roster                  string // files
	column, dateColumn, rosterColumn string
	skipBad                          bool
	output, missing                  string
	out                              io.Writer

	notes []string // what there is to say of the files
}

// read reads the files. A bad line of those who left stops everything; on a roster
// there are people without an email.
func (r *reconcileCall) read() (lists console.Lists, err error) {
	people, err := readList(r.leavers, func(file io.Reader) (consumer.Leavers, error) {
		return consumer.ReadLeft(file, r.column, r.dateColumn)
	})
	if err != nil {
		return lists, err
	}
	if len(people.Bad) > 0 && !r.skipBad {
		return lists, badLines(fmt.Sprintf("%s: %d bad lines: mend them, or leave them out with --skip-bad", r.leavers, len(people.Bad)), people.Bad)
	}
	for _, p := range people.Rows {
		lists.People = append(lists.People, console.Left{Email: p.Email, LeftAt: p.LeftAt})
	}
	r.note(r.leavers, people)
	if r.roster == "" {
		return lists, nil
	}
	roster, err := readList(r.roster, func(file io.Reader) (consumer.Leavers, error) { return consumer.ReadLeavers(file, r.rosterColumn) })
	for _, p := range roster.Rows {
		lists.Roster = append(lists.Roster, p.Email)
	}
	r.note(r.roster, roster)
	return lists, err
}

func readList(path string, read func(io.Reader) (consumer.Leavers, error)) (consumer.Leavers, error) {
	file, err := os.Open(path)
	if err != nil {
		return consumer.Leavers{}, usageError{err}
	}
	list, err := read(file)
	if err = errors.Join(err, file.Close()); err == nil && len(list.Rows) == 0 && len(list.Bad) == 0 {
		err = errors.New("nobody is in it")
	}
	if err != nil {
		return list, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

func (r *reconcileCall) note(path string, list consumer.Leavers) {
	note := fmt.Sprintf("%s: %d people", path, len(list.Rows))
	if list.Repeated > 0 {
		note += fmt.Sprintf("; %d lines name somebody once more", list.Repeated)
	}
	if bad := len(list.Bad); bad > 0 {
		note += fmt.Sprintf("; %d bad lines are left out, the first is line %d: %s", bad, list.Bad[0].Line, list.Bad[0].Reason)
	}
	r.notes = append(r.notes, note)
}

// tell prints what was found, and says so by the exit status if somebody is open
// who should not be.
func (r *reconcileCall) tell(found console.Reconciliation) error {
	if r.missing != "" {
		if err := toFile(r.missing, r.out, func(w io.Writer) error { return writeMissing(found, w) }); err != nil {
			return fmt.Errorf("--missing: %w", err)
		}
	}
	var err error
	switch r.output {
	case "json":
		err = printJSON(r.out, found)
	case "csv":
		err = writeReconciled(found, r.out)
	default:
		err = r.print(found)
	}
	if err != nil {
		return err
	}
	never, open, unknown := found.Sum(string(closer.NoEventOpen)), found.Sum(string(closer.OpenInDocusign)), found.Sum(string(closer.NotKnown))
	if never+open+unknown == 0 {
		return nil
	}
	return partlyError{fmt.Errorf("of %d people %d have an open user and no event ever came of them, %d have one although it came, %d could not be looked up",
		len(found.People), never, open, unknown)}
}

// writeMissing writes what signoff close takes. No cell is quoted for spreadsheets:
// it would be another address.
func writeMissing(found console.Reconciliation, out io.Writer) error {
	w := csv.NewWriter(out)
	_ = w.Write([]string{"email"})
	for _, p := range found.People {
		if p.Verdict == string(closer.NoEventOpen) {
			_ = w.Write([]string{p.Email})
		}
	}
	w.Flush()
	return w.Error()
}

// onNoList stands in the CSV where people have their verdict.
const onNoList = "on_no_list"

// writeReconciled writes a line for each person in each account, and for each open
// user who is on no list.
func writeReconciled(found console.Reconciliation, out io.Writer) error {
	w := csv.NewWriter(out)
	_ = w.Write([]string{"email", "verdict", "left_at", "heard_at", "source", "account", "state", "reason", "hold", "due_at", "settled_at", "hours",
		"docusign", "user_ids", "last_login", "marks"})
	for _, p := range found.People {
		for _, a := range p.Accounts {
			hold, hours := "", ""
			if a.Hold != 0 {
				hold = strconv.FormatInt(a.Hold, 10)
			}
			if a.State != "" {
				hours = strconv.FormatFloat(a.Hours, 'f', 2, 64)
			}
			_ = w.Write(console.SafeCells([]string{p.Email, p.Verdict, rfc3339(p.LeftAt), rfc3339(p.HeardAt), p.Source, a.Account, a.State, a.Reason,
				hold, rfc3339(a.DueAt), rfc3339(a.SettledAt), hours, a.Docusign, userIDsOf(a.Users), rfc3339(lastLogin(a.Users)), ""}))
		}
	}
	for _, u := range found.NoList {
		_ = w.Write(console.SafeCells([]string{u.Email, onNoList, "", "", "", u.Account, "", "", "", "", "", "", u.Status, u.UserID, rfc3339(u.LastLogin),
			strings.Join(u.Marks, " ")}))
	}
	w.Flush()
	return w.Error()
}

func userIDsOf(users []console.UserSeen) string {
	ids := make([]string, 0, len(users))
	for _, u := range users {
		ids = append(ids, u.UserID)
	}
	return strings.Join(ids, " ")
}

func lastLogin(users []console.UserSeen) (last time.Time) {
	for _, u := range users {
		if u.LastLogin.After(last) {
			last = u.LastLogin
		}
	}
	return last
}

func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// print prints everybody, those whom somebody must see to last: beside the totals.
func (r *reconcileCall) print(found console.Reconciliation) error {
	people := slices.Clone(found.People)
	gravity := func(p console.Reconciled) int { return slices.Index(closer.Verdicts(), closer.Verdict(p.Verdict)) }
	slices.SortStableFunc(people, func(a, b console.Reconciled) int { return gravity(b) - gravity(a) })
	w := tabwriter.NewWriter(r.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "EMAIL\tVERDICT\tEVENT CAME\tACCOUNT\tIN THE LEDGER\tHOURS\tDOCUSIGN\tUSER\tLAST LOGIN")
	for _, p := range people {
		for _, a := range p.Accounts {
			hours := ""
			if a.State != "" {
				hours = fmt.Sprintf("%.1f", a.Hours)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(p.Email), p.Verdict, cmp.Or(rfc3339(p.HeardAt), "never"), a.Account, standsIn(a),
				hours, a.Docusign, userIDsOf(a.Users), rfc3339(lastLogin(a.Users)))
		}
	}
	if len(found.NoList) > 0 {
		fmt.Fprintln(w, "\nopen users who are on no list:\nEMAIL\tSTATUS\tACCOUNT\tUSER\tLAST LOGIN\tMARKS")
	}
	for _, u := range found.NoList {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(u.Email), u.Status, u.Account, u.UserID, rfc3339(u.LastLogin), strings.Join(u.Marks, ", "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	r.printSums(found)
	return nil
}

// standsIn says where a person stands in the ledger, and until when.
func standsIn(a console.InAccount) string {
	switch {
	case a.State == "":
		return "nothing"
	case a.State == string(ledger.Waiting):
		return a.State + " until " + rfc3339(a.DueAt)
	case a.Hold != 0:
		return fmt.Sprintf("%s: %s, hold %d", a.State, oneLine(a.Reason), a.Hold)
	case a.Reason != "":
		return a.State + ": " + oneLine(a.Reason)
	}
	return a.State
}

func (r *reconcileCall) printSums(found console.Reconciliation) {
	fmt.Fprintln(r.out)
	for _, note := range r.notes {
		fmt.Fprintln(r.out, note)
	}
	sums := make([]string, 0, len(found.Totals))
	for _, t := range found.Totals {
		sums = append(sums, fmt.Sprintf("%d %s", t.People, t.Verdict))
	}
	fmt.Fprintf(r.out, "%d people: %s\n", len(found.People), strings.Join(sums, " + "))
	if u := found.Users; u != nil {
		fmt.Fprintf(r.out, "%d open users: %d on the roster + %d of those who left + %d on no list\n", u.Open, u.OnRoster, u.Leavers, u.OnNoList)
	}
	if never := found.Sum(string(closer.NoEventOpen), string(closer.NoEvent)); never > 0 && found.Rejects > 0 {
		fmt.Fprintf(r.out, "%d events could not be understood and are open rejects, which may be theirs: signoff rejects list\n", found.Rejects)
	}
	if never := found.Sum(string(closer.NoEventOpen)); never > 0 && r.missing != "" {
		fmt.Fprintf(r.out, "the %d of whom no event ever came are in %s: signoff close %s shows what would become of them\n", never, r.missing, r.missing)
	} else if never > 0 {
		fmt.Fprintln(r.out, "--missing FILE writes those of whom no event ever came, and who are open, for signoff close")
	}
}
