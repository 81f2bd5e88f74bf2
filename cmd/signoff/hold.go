package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"signoff/closer/console"
)

// holdCommand is a freeze: nothing is closed for a while without a person's word.
func holdCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("hold", flag.ContinueOnError)
	way := wayFlags(flags)
	until := flags.String("until", "", "`TIME` (RFC 3339) or length of time, such as 48h, until which nothing is closed")
	account := flags.String("account", "", "`ID` of the account; without it: all of them")
	reason := flags.String("reason", "", "why, for the audit")
	words, err := parse(flags, out, args)
	if err != nil {
		return err
	}
	f := freezeCall{out: out}
	if f.json, err = way.json(); err != nil {
		return err
	}
	now := time.Now()
	n := console.NewFreeze{Account: strings.ToLower(strings.TrimSpace(*account)), Reason: strings.TrimSpace(*reason)}
	changes := len(words) != 1 || words[0] != "list"
	switch {
	case changes && n.Reason == "":
		return usageError{errors.New("--reason: is needed: it says why nobody is closed, or why that is over")}
	case len(words) == 0:
		if n.Until, err = parseUntil(*until, now); err != nil {
			return usageError{fmt.Errorf("--until: %w", err)}
		}
	}
	client, l, err := way.reach(ctx)
	if err != nil {
		return err
	}
	if l != nil {
		defer func() { _ = l.Close() }()
		if changes {
			return errOnlyLooks
		}
		freezes, err := l.Freezes(ctx, now)
		if err != nil {
			return err
		}
		var list []console.Freeze
		for _, one := range freezes {
			list = append(list, console.ShowFreeze(one, true))
		}
		return f.print(list)
	}
	f.client = client
	return f.carryOut(ctx, words, n)
}

// freezeCall is one call of `signoff hold` to a daemon.
type freezeCall struct {
	client *console.Client
	out    io.Writer
	json   bool
}

func (f freezeCall) carryOut(ctx context.Context, words []string, n console.NewFreeze) error {
	switch {
	case len(words) == 0:
		made, err := f.client.Freeze(ctx, n)
		if err != nil {
			return err
		}
		return f.print([]console.Freeze{made})
	case len(words) == 1 && words[0] == "list":
		list, err := f.client.Freezes(ctx)
		if err != nil {
			return err
		}
		return f.print(list)
	case len(words) == 2 && words[0] == "end":
		id, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return usageError{fmt.Errorf("%q: not the id of a freeze", words[1])}
		}
		if err := f.client.EndFreeze(ctx, id, n.Reason); err != nil {
			return err
		}
		fmt.Fprintf(f.out, "freeze %d is over: what it held is judged anew at the next run\n", id)
		return nil
	}
	return usageError{errors.New("--until TIME [--account ID] --reason … | list | end ID --reason …")}
}

func (f freezeCall) print(list []console.Freeze) error {
	if f.json {
		return printJSON(f.out, list)
	}
	if len(list) == 0 {
		fmt.Fprintln(f.out, "nothing is frozen")
		return nil
	}
	w := tabwriter.NewWriter(f.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tUNTIL\tACCOUNT\tBY\tSINCE\tWHY")
	for _, one := range list {
		account := one.Account
		if account == "" {
			account = "all"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", one.ID, one.Until.Format(time.RFC3339), account, oneLine(one.By), one.Since.Format(time.RFC3339), oneLine(one.Reason))
	}
	return w.Flush()
}

// parseUntil reads a moment to come: a time, or how long from now.
func parseUntil(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, errors.New("is needed: a time such as 2026-12-27T08:00:00Z, or a length of time such as 48h")
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		length, failed := parseDuration(text)
		if failed != nil {
			return time.Time{}, fmt.Errorf("%q: neither a time such as 2026-12-27T08:00:00Z nor a length of time such as 48h", text)
		}
		at = now.Add(length + time.Second - 1).Truncate(time.Second) // a time that can be said again
	}
	if !at.After(now) {
		return time.Time{}, fmt.Errorf("%q: not in the future", text)
	}
	return at.UTC(), nil
}
