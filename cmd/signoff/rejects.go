package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
)

func rejectsCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("rejects", flag.ContinueOnError)
	way := wayFlags(flags)
	state := flags.String("state", string(ledger.RejectOpen), "`STATE` to list: open, replayed, discarded or all")
	reason := flags.String("reason", "", "`REASON` to list, or to replay --all of, such as no_email; to discard: why, for the audit")
	source := flags.String("source", "", "`WAY` in to list, or to replay --all of: kafka or webhook")
	origin := flags.String("origin", "", "`TOPIC` or endpoint to list, or to replay --all of")
	all := flags.Bool("all", false, "replay all that are open")
	words, err := parse(flags, out, args)
	if err != nil {
		return err
	}
	c := rejectsCall{out: out, reason: strings.TrimSpace(*reason), all: *all, filter: ledger.RejectFilter{
		State: ledger.RejectState(*state), Reason: consumer.Reason(*reason), Via: consumer.Source(*source), Origin: *origin}}
	if *state == "all" {
		c.filter.State = ""
	}
	if c.json, err = way.json(); err != nil {
		return err
	}
	do, err := c.command(words)
	if err != nil {
		return err
	}
	client, l, err := way.reach(ctx)
	if err != nil {
		return err
	}
	c.rejects = client
	if l != nil {
		defer func() { _ = l.Close() }()
		c.rejects = fileRejects{l}
	}
	return do(c, ctx)
}

// rejectsCall is one call of `signoff rejects`.
type rejectsCall struct {
	rejects rejects
	out     io.Writer
	json    bool
	filter  ledger.RejectFilter
	all     bool
	ids     []int64
	reason  string
}

// rejects is a way to the rejects of a ledger.
type rejects interface {
	Rejects(ctx context.Context, f ledger.RejectFilter) (console.Rejects, error)
	ShowReject(ctx context.Context, id int64) (console.Reject, error)
	ReplayRejects(ctx context.Context, which console.Replay) (console.Replayed, error)
	DiscardReject(ctx context.Context, id int64, reason string) (console.Reject, error)
}

// command finds what the words ask for, and refuses what cannot be meant.
func (c *rejectsCall) command(words []string) (func(rejectsCall, context.Context) error, error) {
	usage := usageError{errors.New("list | show ID | replay ID… | replay --all | discard ID… --reason …")}
	if len(words) == 0 {
		return nil, usage
	}
	for _, word := range words[1:] {
		id, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, usageError{fmt.Errorf("%q: not the id of a reject", word)}
		}
		c.ids = append(c.ids, id)
	}
	narrowed := c.filter.Reason != "" || c.filter.Via != "" || c.filter.Origin != ""
	switch do := words[0]; {
	case c.all && (do != "replay" || len(c.ids) > 0), do == "replay" && !c.all && narrowed:
		return nil, usageError{errors.New("--all, and what narrows it down, goes with replay and without ids")}
	case do == "list" && len(c.ids) == 0:
		return rejectsCall.list, c.validFilter()
	case do == "show" && len(c.ids) == 1:
		return rejectsCall.show, nil
	case do == "replay" && (c.all || len(c.ids) > 0):
		return rejectsCall.replay, c.validFilter()
	case do == "discard" && len(c.ids) > 0 && c.reason == "":
		return nil, usageError{errors.New("--reason: is needed: somebody may have left, and will stay able to sign")}
	case do == "discard" && len(c.ids) > 0:
		return rejectsCall.discard, nil
	}
	return nil, usage
}

func (c *rejectsCall) validFilter() error {
	if s := c.filter.State; s != "" && !slices.Contains(ledger.RejectStates(), s) { // which do not have our word for all of them
		return usageError{fmt.Errorf("--state: %q: none of open, replayed, discarded, all", string(s))}
	}
	if err := c.filter.Validate(); err != nil {
		return usageError{fmt.Errorf("--%w", err)}
	}
	return nil
}

func (c rejectsCall) list(ctx context.Context) error {
	all := []console.Reject{}
	f := c.filter
	for f.Limit = console.MostRejects; ; {
		page, err := c.rejects.Rejects(ctx, f)
		if err != nil {
			return err
		}
		all = append(all, page.Rejects...)
		if page.Next == 0 {
			break
		}
		f.Before = page.Next
	}
	if c.json {
		return printJSON(c.out, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(c.out, "no such rejects")
		return nil
	}
	w := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tRECEIVED\tSTATE\tREASON\tFROM\tEVENT\tTRIED\tWHY")
	for _, r := range all {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", r.ID, r.ReceivedAt.Format(time.RFC3339), r.State, r.Reason,
			oneLine(r.Source+" "+r.Origin), oneLine(r.EventSource+" "+r.EventID), r.Attempts, oneLine(r.Detail))
	}
	return w.Flush()
}

func (c rejectsCall) show(ctx context.Context) error {
	r, err := c.rejects.ShowReject(ctx, c.ids[0])
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, r)
	}
	fmt.Fprintf(c.out, "reject %d: %s, received %s, tried %d times, last %s\nwhy: %s: %s\nfrom: %s %s\nevent: %s %s\n",
		r.ID, r.State, r.ReceivedAt.Format(time.RFC3339), r.Attempts, r.LastAt.Format(time.RFC3339), r.Reason, oneLine(r.Detail),
		r.Source, oneLine(r.Origin), oneLine(r.EventSource), oneLine(r.EventID))
	if r.Position != "" {
		fmt.Fprintf(c.out, "position: %s\n", oneLine(r.Position))
	}
	if s := r.Settled; s != nil {
		fmt.Fprintf(c.out, "settled: by %s, %s %s\n", oneLine(s.By), s.At.Format(time.RFC3339), oneLine(s.Reason))
	}
	fmt.Fprintf(c.out, "payload: %d bytes, SHA-256 %s\n", r.Size, r.SHA256)
	switch {
	case len(r.Payload) == 0 && r.Size > 0:
		fmt.Fprintln(c.out, "(not shown: it takes an operator, and is wiped 30 days after the reject was settled)")
	case len(r.Payload) < r.Size:
		fmt.Fprintf(c.out, "%s\n(cut: only the first %d bytes were kept)\n", console.Printable(r.Payload), len(r.Payload))
	default:
		fmt.Fprintln(c.out, console.Printable(r.Payload))
	}
	return nil
}

// replayTogether is how many ids go in one request.
const replayTogether = 100

// replay replays page by page, and goes on after those that fail again.
func (c rejectsCall) replay(ctx context.Context) error {
	var results []console.ReplayResult
	var failed int
	err := c.replayPages(ctx, func(done console.Replayed) {
		results = append(results, done.Results...)
		for _, r := range done.Results {
			if r.State != string(ledger.RejectReplayed) {
				failed++
			}
			if !c.json {
				c.printResult(r)
			}
		}
	})
	if c.json {
		if err := printJSON(c.out, append([]console.ReplayResult{}, results...)); err != nil {
			return err
		}
	} else if len(results) > 1 || c.all && err == nil {
		fmt.Fprintf(c.out, "%d replayed, %d not\n", len(results)-failed, failed)
	}
	switch {
	case err != nil && len(results) > failed:
		return partlyError{err}
	case err == nil && failed > 0:
		return partlyError{fmt.Errorf("%d of %d were not replayed", failed, len(results))}
	}
	return err
}

func (c rejectsCall) printResult(r console.ReplayResult) {
	switch {
	case r.Error != "":
		fmt.Fprintln(c.out, oneLine(r.Error))
	case r.State == string(ledger.RejectOpen):
		fmt.Fprintf(c.out, "reject %d: fails again: %s: %s\n", r.ID, r.Reason, oneLine(r.Detail))
	case !c.all:
		fmt.Fprintf(c.out, "reject %d: replayed\n", r.ID)
	}
}

// replayPages hands over what became of each page.
func (c rejectsCall) replayPages(ctx context.Context, done func(console.Replayed)) error {
	var pages []console.Replay
	for ids := range slices.Chunk(c.ids, replayTogether) {
		pages = append(pages, console.Replay{IDs: ids})
	}
	if c.all {
		pages = []console.Replay{{All: true, Reason: string(c.filter.Reason), Source: string(c.filter.Via), Origin: c.filter.Origin}}
	}
	for len(pages) > 0 {
		page, err := c.rejects.ReplayRejects(ctx, pages[0])
		if err != nil {
			return err
		}
		done(page)
		if page.Stopped != "" {
			return errors.New(page.Stopped)
		}
		pages = pages[1:]
		if page.Next != nil {
			pages = append(pages, *page.Next)
		}
	}
	return nil
}

func (c rejectsCall) discard(ctx context.Context) error {
	var discarded []console.Reject
	var errs []error
	for _, id := range c.ids {
		r, err := c.rejects.DiscardReject(ctx, id, c.reason)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		discarded = append(discarded, r)
		if !c.json {
			fmt.Fprintf(c.out, "reject %d: discarded\n", id)
		}
	}
	if c.json {
		errs = append(errs, printJSON(c.out, append([]console.Reject{}, discarded...)))
	}
	err := errors.Join(errs...)
	if err != nil && len(discarded) > 0 {
		return partlyError{err}
	}
	return err
}

// fileRejects looks into the ledger itself.
type fileRejects struct{ ledger *ledger.Ledger }

func (f fileRejects) Rejects(ctx context.Context, filter ledger.RejectFilter) (console.Rejects, error) {
	filter.Limit = 0
	found, err := f.ledger.Rejects(ctx, filter)
	var all console.Rejects
	for _, r := range found {
		all.Rejects = append(all.Rejects, console.ShowReject(r, true))
	}
	return all, err
}

func (f fileRejects) ShowReject(ctx context.Context, id int64) (console.Reject, error) {
	r, err := f.ledger.FindReject(ctx, id)
	return console.ShowReject(r, true), err
}

func (f fileRejects) ReplayRejects(context.Context, console.Replay) (console.Replayed, error) {
	return console.Replayed{}, errOnlyLooks
}

func (f fileRejects) DiscardReject(context.Context, int64, string) (console.Reject, error) {
	return console.Reject{}, errOnlyLooks
}
