package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"signoff/closer/console"
)

func deferCommand(ctx context.Context, args []string, out io.Writer) error {
	return byHandCommand(ctx, "defer", args, out, (*console.Client).Defer)
}

func urgentCommand(ctx context.Context, args []string, out io.Writer) error {
	return byHandCommand(ctx, "urgent", args, out, (*console.Client).Urgent)
}

func skipCommand(ctx context.Context, args []string, out io.Writer) error {
	return byHandCommand(ctx, "skip", args, out, (*console.Client).Skip)
}

func retryCommand(ctx context.Context, args []string, out io.Writer) error {
	return byHandCommand(ctx, "retry", args, out, (*console.Client).Retry)
}

// byHandCommand says a person's word about one leaver to a daemon.
func byHandCommand(ctx context.Context, name string, args []string, out io.Writer, say func(*console.Client, context.Context, console.ByHand) (console.Moved, error)) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	way := wayFlags(flags)
	reason := flags.String("reason", "", "why, for the audit")
	until := new(string)
	if name == "defer" {
		until = flags.String("until", "", "`TIME` (RFC 3339) or length of time, such as 14d, before which the leaver is not closed")
	}
	words, err := parse(flags, out, args)
	if err != nil {
		return err
	}
	if len(words) != 1 {
		return usageError{errors.New("EMAIL --reason …: one address of the leaver is needed")}
	}
	said := console.ByHand{Email: words[0], Reason: strings.TrimSpace(*reason)}
	if said.Reason == "" {
		return usageError{errors.New("--reason: is needed: it says for the audit why this leaver is not treated as the others are")}
	}
	if name == "defer" {
		if said.Until, err = parseUntil(*until, time.Now()); err != nil {
			return usageError{fmt.Errorf("--until: %w", err)}
		}
	}
	asJSON, err := way.json()
	if err != nil {
		return err
	}
	if *way.configFile != "" {
		return errOnlyLooks
	}
	client, _, err := way.reach(ctx)
	if err != nil {
		return err
	}
	moved, err := say(client, ctx, said)
	if err != nil {
		return err
	}
	return printMoved(out, moved, asJSON)
}

// printMoved prints what became of each entry. What stays as it was makes it a
// thing done in part.
func printMoved(out io.Writer, moved console.Moved, asJSON bool) error {
	stay := 0
	for _, m := range moved.Entries {
		if m.Why != "" {
			stay++
		}
	}
	if asJSON {
		if err := printJSON(out, moved); err != nil {
			return err
		}
	} else if err := printMovedTable(out, moved); err != nil {
		return err
	}
	if stay > 0 {
		return partlyError{fmt.Errorf("%d of %d entries stay as they were", stay, len(moved.Entries))}
	}
	return nil
}

func printMovedTable(out io.Writer, moved console.Moved) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ENTRY\tACCOUNT\tWAS\tIS\tDUE\tWHY")
	for _, m := range moved.Entries {
		account := m.Account
		if account == "" {
			account = "(none yet)"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", m.Entry, account, m.Before, m.After, m.DueAt.Format(time.RFC3339), m.Why)
	}
	return w.Flush()
}
