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
	"signoff/closer/ledger"
)

func holdsCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("holds", flag.ContinueOnError)
	way := wayFlags(flags)
	reason := flags.String("reason", "", "why, for the audit")
	words, err := parse(flags, out, args)
	if err != nil {
		return err
	}
	h := holdsCall{out: out, reason: strings.TrimSpace(*reason)}
	if h.json, err = way.json(); err != nil {
		return err
	}
	client, l, err := way.reach(ctx)
	if err != nil {
		return err
	}
	h.holds = apiHolds{client}
	if l != nil {
		h.holds = fileHolds{l}
	}
	defer h.holds.close()
	return h.carryOut(ctx, words)
}

// holdsCall is one call of `signoff holds`.
type holdsCall struct {
	holds  holds
	out    io.Writer
	reason string
	json   bool
}

func (h holdsCall) carryOut(ctx context.Context, words []string) error {
	usage := usageError{errors.New("list | show ID | approve ID | reject ID --reason …")}
	if len(words) == 1 && words[0] == "list" {
		return h.list(ctx)
	}
	if len(words) != 2 {
		return usage
	}
	id, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil {
		return usageError{fmt.Errorf("%q: not the id of a hold", words[1])}
	}
	var hold console.Hold
	switch words[0] {
	case "show":
		hold, err = h.holds.show(ctx, id)
	case "approve":
		hold, err = h.holds.decide(ctx, id, true, h.reason)
	case "reject":
		if h.reason == "" {
			return usageError{errors.New("--reason: is needed: it says why these people are left as they are")}
		}
		hold, err = h.holds.decide(ctx, id, false, h.reason)
	default:
		return usage
	}
	if err != nil {
		return err
	}
	return h.print(hold)
}

func (h holdsCall) list(ctx context.Context) error {
	list, err := h.holds.list(ctx)
	if err != nil {
		return err
	}
	if h.json {
		return printJSON(h.out, list)
	}
	if len(list) == 0 {
		fmt.Fprintln(h.out, "nothing is held")
		return nil
	}
	w := tabwriter.NewWriter(h.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSINCE\tKIND\tUSERS\tACCOUNT\tWHY")
	for _, hold := range list {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\n", hold.ID, hold.Since.Format(time.RFC3339), strings.Join(hold.Kinds, ","),
			hold.Count, hold.Account, hold.Detail)
	}
	return w.Flush()
}

func (h holdsCall) print(hold console.Hold) error {
	if h.json {
		return printJSON(h.out, hold)
	}
	fmt.Fprintf(h.out, "hold %d: %s, since %s\nwhy: %s\naccount: %s\ndigest: %s\n",
		hold.ID, hold.State, hold.Since.Format(time.RFC3339), hold.Detail, hold.Account, hold.Digest)
	if hold.DryRun {
		fmt.Fprintln(h.out, "made in a dry run: nothing is closed whatever is decided")
	}
	if d := hold.Decided; d != nil {
		fmt.Fprintf(h.out, "decided: by %s, %s %s\n", d.By, d.At.Format(time.RFC3339), d.Reason)
	}
	if hold.Note != "" {
		fmt.Fprintln(h.out, "approving:", hold.Note)
	}
	if len(hold.Reopens) > 0 {
		for _, r := range hold.Reopens {
			fmt.Fprintf(h.out, "  %s %s: %s\n", r.UserID, r.Email, r.What)
		}
		return nil
	}
	for _, u := range hold.Users {
		scim := ""
		if u.SCIM {
			scim = " (managed by an identity provider: close them there, too)"
		}
		fmt.Fprintf(h.out, "  %s %s%s\n", u.UserID, u.Email, scim)
	}
	return nil
}

// holds is a way to the holds of a ledger.
type holds interface {
	list(ctx context.Context) ([]console.Hold, error)
	show(ctx context.Context, id int64) (console.Hold, error)
	decide(ctx context.Context, id int64, approve bool, reason string) (console.Hold, error)
	close()
}

type apiHolds struct{ client *console.Client }

func (a apiHolds) list(ctx context.Context) ([]console.Hold, error) { return a.client.Holds(ctx) }

func (a apiHolds) show(ctx context.Context, id int64) (console.Hold, error) {
	return a.client.Hold(ctx, id)
}

func (a apiHolds) decide(ctx context.Context, id int64, approve bool, reason string) (console.Hold, error) {
	if approve {
		return a.client.Approve(ctx, id, reason)
	}
	return a.client.Reject(ctx, id, reason)
}

func (a apiHolds) close() {}

type fileHolds struct{ ledger *ledger.Ledger }

func (f fileHolds) list(ctx context.Context) ([]console.Hold, error) {
	open, err := f.ledger.OpenHolds(ctx)
	list := make([]console.Hold, 0, len(open))
	for _, h := range open {
		list = append(list, console.Show(h, true))
	}
	return list, err
}

func (f fileHolds) show(ctx context.Context, id int64) (console.Hold, error) {
	h, err := f.ledger.Hold(ctx, id)
	return console.Show(h, true), err
}

func (f fileHolds) decide(context.Context, int64, bool, string) (console.Hold, error) {
	return console.Hold{}, errOnlyLooks
}

func (f fileHolds) close() { _ = f.ledger.Close() }
