package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"signoff/closer/console"
	"signoff/closer/docusign"
	"signoff/closer/ledger"
)

// templateCommand writes the file that Docusign's own page "Close users" takes
// from an organization's administrator. Its column APIUserName wants the user's
// id, which none of Docusign's lists of users has.
func templateCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("template", flag.ContinueOnError)
	from := leaversFlags(flags)
	path := flags.String("out", "", "`FILE` to write; standard output if left out")
	columns := flags.String("columns", strings.Join(docusign.DefaultColumns, ","), "`COLUMNS` of the file")
	held := flags.Bool("held", false, "also those whom signoff would not close without a person's word")
	words, err := parse(flags, out, args)
	if err != nil {
		return err
	}
	names := strings.Split(*columns, ",")
	if i := slices.IndexFunc(names, func(n string) bool { return !slices.Contains(docusign.KnownColumns(), n) }); i >= 0 {
		return usageError{fmt.Errorf("--columns: %q: none of %s", names[i], strings.Join(docusign.KnownColumns(), ", "))}
	}
	people, err := from.read(words)
	if err != nil {
		return err
	}
	way, err := from.reach(ctx, people)
	if err != nil {
		return err
	}
	plan, err := way.Preview(ctx, closeCall{people: people}.emails())
	if err := errors.Join(err, way.close()); err != nil {
		return err
	}
	rows, without := templateRows(plan, *held)
	if err := writeTemplate(*path, out, rows, names); err != nil {
		return err
	}
	if len(without) > 0 {
		return partlyError{fmt.Errorf("%d users written; not among them:\n  %s", len(rows), strings.Join(without, "\n  "))}
	}
	return nil
}

// templateRows are the users to upload, and a line for each person who has none
// or is left out.
func templateRows(plan []console.Planned, held bool) (rows []docusign.ImportRow, without []string) {
	found := make(map[string]bool)
	for _, p := range plan {
		found[p.Email] = found[p.Email] || len(p.Users) > 0
	}
	said := make(map[string]bool)
	for _, p := range plan {
		switch {
		case !found[p.Email] && !said[p.Email]:
			said[p.Email] = true
			without = append(without, p.Email+": no open user"+whyNot(p))
		case len(p.Users) > 0 && personal(p) && !held:
			without = append(without, fmt.Sprintf("%s: left out in account %s: %s (--held takes them in)", p.Email, p.Account, p.Why))
		default:
			for _, u := range p.Users {
				rows = append(rows, docusign.ImportRow{AccountID: p.Account, UserID: u.UserID, Email: u.Email})
			}
		}
	}
	return rows, without
}

func whyNot(p console.Planned) string {
	switch {
	case p.Why != "":
		return ": " + p.Why
	case p.Outcome == string(ledger.AlreadyClosed):
		return ": closed already"
	}
	return ""
}

// personal says whether it is the person that would be held, not the plan.
func personal(p console.Planned) bool {
	return slices.ContainsFunc(p.Kinds, func(k string) bool { return k != string(ledger.FirstRun) && k != string(ledger.Limit) })
}

func writeTemplate(path string, out io.Writer, rows []docusign.ImportRow, columns []string) error {
	if path != "" {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		defer file.Close()
		out = file
	}
	text, err := docusign.Upload{Rows: rows, Columns: columns}.File()
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}
