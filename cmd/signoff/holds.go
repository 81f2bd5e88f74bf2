package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
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
	digest := flags.String("digest", "", "the `digest` of the plan that you have seen, or its first 8 characters: approve and reject need it")
	only := flags.String("only", "", "`FILE` of addresses or userIds, one to a line: approves these alone")
	except := flags.String("except", "", "`FILE` likewise: approves all but these")
	words, err := parse(flags, out, args)
	if err != nil {
		return err
	}
	h := holdsCall{out: out, verdict: console.Verdict{Reason: strings.TrimSpace(*reason), Digest: strings.ToLower(strings.TrimSpace(*digest))}}
	if h.json, err = way.json(); err != nil {
		return err
	}
	if h.verdict.Only, err = readNames("--only", *only); err != nil {
		return err
	}
	if h.verdict.Except, err = readNames("--except", *except); err != nil {
		return err
	}
	client, l, err := way.reach(ctx)
	if err != nil {
		return err
	}
	h.holds, h.client = apiHolds{client}, client
	if l != nil {
		cfg, err := loadConfig(*way.configFile)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		h.holds = fileHolds{l, cfg.Guard.Approvals}
	}
	defer h.holds.close()
	return h.carryOut(ctx, words)
}

// readNames reads addresses or userIds, one to a line; # begins a comment.
func readNames(flag, file string) ([]string, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	var names []string
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			names = append(names, line)
		}
	}
	if len(names) == 0 {
		return nil, usageError{fmt.Errorf("%s: %s: names nobody", flag, file)}
	}
	return names, nil
}

// holdsCall is one call of `signoff holds`.
type holdsCall struct {
	holds   holds
	client  *console.Client // nil with --config, by which nothing is decided
	out     io.Writer
	verdict console.Verdict
	json    bool
}

func (h holdsCall) carryOut(ctx context.Context, words []string) error {
	usage := usageError{errors.New("list | show ID | approve ID --digest DIGEST | reject ID --digest DIGEST --reason …")}
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
	if words[0] == "reject" && h.verdict.Reason == "" {
		return usageError{errors.New("--reason: is needed: it says why these people are left as they are")}
	}
	switch words[0] {
	case "show":
		hold, err := h.holds.show(ctx, id)
		if err != nil {
			return err
		}
		return h.print(hold)
	case "approve", "reject":
		return h.decide(ctx, id, words[0])
	}
	return usage
}

// shortDigest is how much of a digest has to be named at least, and is enough to
// tell one plan from another.
const shortDigest = 8

// decide carries a decision out on the plan that the caller has seen. Without its
// digest it shows the plan, and how to decide on it.
func (h holdsCall) decide(ctx context.Context, id int64, word string) error {
	if h.client == nil {
		return errOnlyLooks
	}
	hold, err := h.holds.show(ctx, id)
	if err != nil {
		return err
	}
	if h.verdict.Digest == "" {
		if err := h.print(hold); err != nil {
			return err
		}
		return usageError{fmt.Errorf("--digest: is needed: it says which plan you have seen; if it is the one above: signoff holds %s %d --digest %s",
			word, id, hold.Digest[:shortDigest])}
	}
	if len(h.verdict.Digest) < shortDigest {
		return usageError{fmt.Errorf("--digest: at least %d characters of it", shortDigest)}
	}
	if strings.HasPrefix(hold.Digest, h.verdict.Digest) {
		h.verdict.Digest = hold.Digest
	}
	say := h.client.Approve
	if word == "reject" {
		say = h.client.Reject
	}
	if hold, err = say(ctx, id, h.verdict); err != nil {
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
	fmt.Fprintln(w, "ID\tSINCE\tKIND\tUSERS\tDIGEST\tACCOUNT\tWHY")
	for _, hold := range list {
		why := hold.Detail
		if hold.Ahead {
			why = "ahead of " + hold.From.Format(time.RFC3339) + ": " + why
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%.*s\t%s\t%s\n", hold.ID, hold.Since.Format(time.RFC3339), strings.Join(hold.Kinds, ","),
			hold.Count, shortDigest, hold.Digest, hold.Account, why)
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
	if hold.Parent != 0 {
		fmt.Fprintf(h.out, "taken out of: hold %d\n", hold.Parent)
	}
	if hold.Ahead {
		fmt.Fprintf(h.out, "ahead: its people are not due yet; an approval is good from %s to %s\n", hold.From.Format(time.RFC3339), hold.ExpiresAt.Format(time.RFC3339))
	}
	for _, a := range hold.Approvals {
		fmt.Fprintf(h.out, "approved by %s, %s %s\n", oneLine(a.By), a.At.Format(time.RFC3339), oneLine(a.Reason))
	}
	if missing := hold.Needed - len(hold.Approvals); hold.State == string(ledger.HoldOpen) && len(hold.Approvals) > 0 && missing > 0 {
		fmt.Fprintf(h.out, "waits for %d more, of %d people who must approve\n", missing, hold.Needed)
	}
	if d := hold.Decided; d != nil {
		fmt.Fprintf(h.out, "decided: by %s, %s %s\n", oneLine(d.By), d.At.Format(time.RFC3339), oneLine(d.Reason))
	}
	if hold.State == string(ledger.HoldApproved) && !hold.Ahead && !hold.ExpiresAt.IsZero() {
		fmt.Fprintf(h.out, "good until: %s; who is not closed by then is held anew\n", hold.ExpiresAt.Format(time.RFC3339))
	}
	if hold.Note != "" {
		fmt.Fprintln(h.out, "approving:", hold.Note)
	}
	if len(hold.Reopens) > 0 {
		for _, r := range hold.Reopens {
			fmt.Fprintf(h.out, "  %s %s: %s\n", oneLine(r.UserID), oneLine(r.Email), oneLine(r.What))
		}
		return nil
	}
	for _, u := range hold.Users {
		scim := ""
		if u.SCIM {
			scim = " (managed by an identity provider: close them there, too)"
		}
		fmt.Fprintf(h.out, "  %s %s%s\n", oneLine(u.UserID), oneLine(u.Email), scim)
	}
	return nil
}

// holds is a way to the holds of a ledger.
type holds interface {
	list(ctx context.Context) ([]console.Hold, error)
	show(ctx context.Context, id int64) (console.Hold, error)
	close()
}

type apiHolds struct{ client *console.Client }

func (a apiHolds) list(ctx context.Context) ([]console.Hold, error) { return a.client.Holds(ctx) }

func (a apiHolds) show(ctx context.Context, id int64) (console.Hold, error) {
	return a.client.Hold(ctx, id)
}

func (a apiHolds) close() {}

type fileHolds struct {
	ledger *ledger.Ledger
	needed int // people who must approve
}

func (f fileHolds) list(ctx context.Context) ([]console.Hold, error) {
	open, err := f.ledger.OpenHolds(ctx)
	list := make([]console.Hold, 0, len(open))
	for _, h := range open {
		list = append(list, console.Show(h, f.needed, true))
	}
	return list, err
}

func (f fileHolds) show(ctx context.Context, id int64) (console.Hold, error) {
	h, err := f.ledger.Hold(ctx, id)
	return console.Show(h, f.needed, true), err
}

func (f fileHolds) close() { _ = f.ledger.Close() }
