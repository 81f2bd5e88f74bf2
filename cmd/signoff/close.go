package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"signoff/closer"
	"signoff/closer/console"
	"signoff/closer/ledger"
	"signoff/consumer"
)

func closeCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("close", flag.ContinueOnError)
	from := leaversFlags(flags)
	yes := flags.Bool("yes", false, "carry the plan out; without it, it is only shown")
	again := flags.Bool("again", false, "close the people of a file anew that was carried out before")
	urgent := flags.Bool("urgent", false, "let them go into what docusign.reserve leaves to others")
	results := flags.String("results", "results.csv", "`FILE` to write the outcomes to")
	words, err := parse(flags, out, args)
	if err != nil {
		return err
	}
	people, err := from.read(words)
	if err != nil {
		return err
	}
	way, err := from.reach(ctx, people)
	if err != nil {
		return err
	}
	c := closeCall{closing: way, out: out, people: people, results: *results, urgent: *urgent, file: people.Digest}
	if *again {
		c.file += "-" + time.Now().UTC().Format("20060102T150405Z")
	}
	return errors.Join(c.run(ctx, *yes), way.close())
}

// leaversFrom says where people come from, and by which way they are closed.
type leaversFrom struct {
	daemon             daemonFlags
	configFile, column *string
	skipBad            *bool
}

func leaversFlags(flags *flag.FlagSet) leaversFrom {
	return leaversFrom{
		configFile: flags.String("config", "", "`FILE` of the config: works on the ledger itself, while no daemon does"),
		daemon:     newDaemonFlags(flags, "`URL` of a daemon's admin listener, to have it do the work (or SIGNOFF_URL)"),
		column:     flags.String("column", "", "`NAME` of the column with the emails, where it cannot be told"),
		skipBad:    flags.Bool("skip-bad", false, "go on without the lines that are bad"),
	}
}

// read reads the file of leavers. A bad line stops everything, before anything
// is sent.
func (f leaversFrom) read(words []string) (consumer.Leavers, error) {
	if len(words) != 1 {
		return consumer.Leavers{}, usageError{errors.New("one FILE of leavers, a CSV, is needed")}
	}
	file, err := os.Open(words[0])
	if err != nil {
		return consumer.Leavers{}, usageError{err}
	}
	people, err := consumer.ReadLeavers(file, *f.column)
	if err = errors.Join(err, file.Close()); err != nil {
		return people, fmt.Errorf("%s: %w", words[0], err)
	}
	if len(people.Bad) > 0 && !*f.skipBad {
		return people, badLines(fmt.Sprintf("%s: %d bad lines, nothing was sent: mend them, or leave them out with --skip-bad",
			words[0], len(people.Bad)), people.Bad)
	}
	if len(people.Rows) == 0 {
		return people, fmt.Errorf("%s: nobody is in it", words[0])
	}
	return people, nil
}

// badLines is an error of this text, and of what is wrong with the first of them.
func badLines(text string, bad []consumer.BadLine) error {
	const shown = 20
	for _, b := range bad[:min(shown, len(bad))] {
		text += fmt.Sprintf("\n  line %d: %s", b.Line, b.Reason)
	}
	if more := len(bad) - shown; more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return errors.New(text)
}

// closing is a way by which people are closed.
type closing interface {
	console.Taker
	step(ctx context.Context) error // does what can be done now
	close() error
}

// reach finds the way: through a daemon, or over the ledger itself.
func (f leaversFrom) reach(ctx context.Context, people consumer.Leavers) (closing, error) {
	switch {
	case *f.daemon.url != "" && *f.configFile != "":
		return nil, usageError{errors.New("--url (or SIGNOFF_URL) and --config: one of the two")}
	case *f.configFile != "":
		return openClosing(ctx, *f.configFile, people)
	case *f.daemon.url == "":
		return nil, usageError{errors.New("--url of a daemon, or --config FILE where none runs, is needed")}
	}
	client, err := f.daemon.client()
	if err != nil {
		return nil, err
	}
	return throughDaemon{client}, nil
}

// throughDaemon has a daemon do the work.
type throughDaemon struct{ *console.Client }

func (throughDaemon) step(context.Context) error { return nil }
func (throughDaemon) close() error               { return nil }

// overLedger does the work in this process, which holds the ledger meanwhile.
type overLedger struct {
	leavers
	closer *closer.Closer
}

// openClosing opens the ledger, and prepares a closer for these people alone.
func openClosing(ctx context.Context, configFile string, people consumer.Leavers) (closing, error) {
	cfg, client, err := openDocusign(ctx, configFile)
	if err != nil {
		return nil, err
	}
	l, err := ledger.Open(ctx, cfg.ledgerConfig(), ledger.Observe{})
	if err != nil {
		return nil, fmt.Errorf("%w; a daemon that runs does the same by --url", err)
	}
	log := newLog(logConfig{Level: "error", Format: "console"}) // the rest is in what follow shows
	o := overLedger{leavers: leavers{cfg.itself, l, client, log}}
	who := make(map[string]bool, len(people.Rows))
	for _, r := range people.Rows {
		who[r.Email] = true
	}
	o.closer = o.leavers.closer(func(c *closer.Config) {
		c.Only = func(e ledger.Entry) bool { // by whatever email the ledger has known them first
			return slices.ContainsFunc(e.Emails, func(address string) bool { return who[address] })
		}
	})
	return o, nil
}

// Take puts on record by which config these people are closed, as a daemon's start does.
func (o overLedger) Take(ctx context.Context, t console.Take) error {
	if err := o.leavers.Take(ctx, t); err != nil {
		return err
	}
	return startConfig(ctx, o.ledger, o.config(), o.log)
}

func (o overLedger) step(ctx context.Context) error {
	_, err := o.closer.CloseDue(ctx, time.Now(), false)
	return err
}

func (o overLedger) close() error { return o.ledger.Close() }

// closeCall is one call of `signoff close`.
type closeCall struct {
	closing
	out     io.Writer
	people  consumer.Leavers
	file    string // id of the file in the ledger
	results string
	urgent  bool
}

func (c closeCall) emails() []string {
	all := make([]string, 0, len(c.people.Rows))
	for _, r := range c.people.Rows {
		all = append(all, r.Email)
	}
	return all
}

// run shows the plan and, with yes, carries it out. What the same file has
// begun before is gone on with, and not planned anew.
func (c closeCall) run(ctx context.Context, yes bool) error {
	before, err := c.Follow(ctx, c.file)
	if err != nil {
		return err
	}
	if len(before.Rows) > 0 {
		fmt.Fprintf(c.out, "this file was begun before: %d of its people are in the ledger; it goes on from there (--again closes them anew)\n", len(c.people.Rows))
	} else if err := c.show(ctx); err != nil {
		return err
	}
	if !yes {
		fmt.Fprintln(c.out, "\nnothing was sent: --yes carries it out")
		return nil
	}
	if err := c.Take(ctx, console.Take{File: c.file, Emails: c.emails(), Urgent: c.urgent}); errors.Is(err, console.ErrMode) {
		return usageError{err}
	} else if err != nil {
		return err
	}
	last, err := c.follow(ctx)
	if err != nil {
		return err
	}
	if err := writeResults(c.results, last.Rows); err != nil {
		return err
	}
	return c.verdict(ctx, last)
}

// show prints the plan: who, which user, in which account, and why not.
func (c closeCall) show(ctx context.Context) error {
	plan, err := c.Preview(ctx, c.emails())
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "EMAIL\tACCOUNT\tUSER\tWOULD BE\tWHY")
	counts, accounts := make(map[string]int), make(map[string]bool)
	for _, p := range plan {
		accounts[p.Account] = true
		outcome := p.Outcome
		if outcome == "" {
			outcome = "tried again"
		}
		counts[outcome]++
		users := make([]string, 0, len(p.Users))
		for _, u := range p.Users {
			text := u.UserID
			if u.SCIM {
				text += " (SCIM)"
			}
			users = append(users, text)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Email, p.Account, strings.Join(users, " "), outcome, p.Why)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\n%d people in %d accounts would be: %s\n", len(c.people.Rows), len(accounts), summary(counts))
	if bad := len(c.people.Bad); bad > 0 {
		fmt.Fprintf(c.out, "%d bad lines are left out\n", bad)
	}
	return nil
}

// summary is the counts in words, such as "3 closed, 1 held".
func summary(counts map[string]int) string {
	words := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	parts := make([]string, 0, len(words))
	for _, w := range words {
		parts = append(parts, fmt.Sprintf("%d %s", counts[w], w))
	}
	return strings.Join(parts, ", ")
}

// followEvery is how often it is looked how far the people are.
const followEvery = time.Second

// follow works, or has the daemon work, until nothing is left that goes on by
// itself, and returns how it stands then.
func (c closeCall) follow(ctx context.Context) (console.Progress, error) {
	shown := newProgressBar(c.out)
	defer shown.end()
	for {
		if err := c.step(ctx); err != nil && ctx.Err() == nil {
			return console.Progress{}, err
		}
		p, err := c.Follow(context.WithoutCancel(ctx), c.file)
		if err != nil {
			return p, err
		}
		shown.show(p)
		if ctx.Err() != nil || !slices.ContainsFunc(p.Rows, underWay) {
			return p, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(followEvery):
		}
	}
}

// underWay says whether a row goes on without anybody's word.
func underWay(r console.Row) bool {
	switch ledger.State(r.State) {
	case ledger.Waiting, ledger.Due, ledger.Submitted:
		return true
	}
	return false
}

// verdict says how it ended.
func (c closeCall) verdict(ctx context.Context, p console.Progress) error {
	counts := make(map[string]int)
	holds := make(map[int64]int)
	open := 0
	for _, r := range p.Rows {
		counts[r.State]++
		if r.Hold != 0 && r.State == string(ledger.Held) {
			holds[r.Hold]++
		}
		if ledger.State(r.State).Open() {
			open++
		}
	}
	fmt.Fprintf(c.out, "%s; see %s\n", summary(counts), c.results)
	for _, r := range p.Rows {
		if r.Hold != 0 && r.State == string(ledger.Held) {
			fmt.Fprintf(c.out, "held: %s in hold %d: %s in account %s\n", r.Email, r.Hold, r.Reason, r.Account)
		}
	}
	if len(holds) > 0 {
		fmt.Fprintln(c.out, "a named person decides on them: signoff holds show ID, then approve ID or reject ID; the same command then goes on")
	}
	if ctx.Err() != nil && slices.ContainsFunc(p.Rows, underWay) {
		fmt.Fprintln(c.out, "stopped: the batch under way was finished; the same command goes on where this one stopped")
	}
	if open > 0 {
		return partlyError{fmt.Errorf("%d of %d are not closed yet", open, len(p.Rows))}
	}
	return nil
}
