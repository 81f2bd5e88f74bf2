// Command signoff closes the Docusign users of people who left: it reads
// employee-terminated events from Kafka and from webhooks, finds the users and
// closes them in batches, under a guard and on the record.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// command is one subcommand. run gets its arguments and where to write; its
// context ends with SIGTERM or SIGINT.
type command struct {
	name, usage, summary string
	run                  func(ctx context.Context, args []string, out io.Writer) error
}

func commands() []command {
	return []command{
		{"run", "run --config FILE [--from earliest|committed] [--shutdown-delay 5s]", "the daemon", runCommand},
		{"demo", "demo [--leavers N] [--for 1m] [--stay]", "the daemon with everything it needs inside one process", demoCommand},
		{"check", "check --config FILE", "config, ledger, Kafka, sign-in, the account: ok, or why not", checkCommand},
		{"close", "close LEAVERS.csv --config FILE | --url URL [--yes]", "close the people in a CSV: shows the plan, --yes carries it out", closeCommand},
		{"template", "template LEAVERS.csv --config FILE | --url URL", "the file for Docusign's own page “Close users”", templateCommand},
		{"holds", "holds list | show ID | approve ID | reject ID --digest …", "what waits for a person", holdsCommand},
		{"hold", "hold --until TIME [--account ID] --reason … | list | end ID", "a freeze: nothing is closed without a person's word", holdCommand},
		{"plan", "plan [--at TIME] [--account ID] | approve --digest …", "what would be closed then; approve: lets it go without being held", planCommand},
		{"defer", "defer EMAIL --until TIME --reason …", "close one leaver not before a time", deferCommand},
		{"urgent", "urgent EMAIL --reason …", "close one leaver at once, ahead of the leaving day as well", urgentCommand},
		{"skip", "skip EMAIL --reason …", "leave one leaver open", skipCommand},
		{"retry", "retry EMAIL --reason …", "try one leaver again who was not closed", retryCommand},
		{"explain", "explain EMAIL|EVENT-ID [--source SOURCE]", "what became of one leaver or event, why, and what happens next", explainCommand},
		{"audit", "audit verify | export --out DIR | report [--since TIME] …", "whether the record is whole, evidence, and a report", auditCommand},
		{"reconcile", "reconcile --leavers FILE [--roster FILE] [--missing FILE]", "HR's own list against the ledger against Docusign", reconcileCommand},
		{"map", "map --mapping FILE|PRESET PAYLOAD.json|- [--config FILE]", "what a mapping makes of a payload", mapCommand},
		{"rejects", "rejects list | show ID | replay ID…|--all | discard ID…", "what could not be understood", rejectsCommand},
		{"simulate", "simulate [--listen 127.0.0.1:8081] [--config FILE]", "the simulated Docusign alone", simulateCommand},
		{"version", "version", "which signoff this is", versionCommand},
	}
}

// Exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
	exitPartly = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func dispatch(ctx context.Context, args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		help(errOut)
		return exitUsage
	}
	if args[0] == "help" && len(args) == 2 {
		args = []string{args[1], "-h"}
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		help(out)
		return 0
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		err := c.run(ctx, args[1:], out)
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		if err != nil {
			fmt.Fprintln(errOut, "signoff "+c.name+":", err)
		}
		return status(err)
	}
	fmt.Fprintf(errOut, "signoff: %q: no such command\n\n", args[0])
	help(errOut)
	return exitUsage
}

// partlyError is something that was done in part, or waits for a person: exit
// status 3.
type partlyError struct{ error }

func status(err error) int {
	var usage usageError
	var partly partlyError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &partly):
		return exitPartly
	}
	return exitFailed
}

func help(w io.Writer) {
	fmt.Fprint(w, "signoff closes the Docusign users of people who left.\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  signoff %-60s %s\n", c.usage, c.summary)
	}
	fmt.Fprint(w, "\nsignoff help COMMAND shows its flags.\nExit status: 0 done, 1 failed, 2 wrong usage or config, 3 done in part or held.\n")
}

// parse reads the flags of a subcommand, which may stand before and after its
// words, and returns the words.
func parse(flags *flag.FlagSet, out io.Writer, args []string) ([]string, error) {
	flags.SetOutput(io.Discard) // errors are returned, not printed twice
	flags.Usage = func() {}
	var words []string
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				fmt.Fprintln(out, "flags of signoff "+flags.Name()+":")
				flags.SetOutput(out)
				flags.PrintDefaults()
				return nil, err
			}
			return nil, usageError{err}
		}
		if flags.NArg() == 0 {
			break
		}
		words = append(words, flags.Arg(0))
		args = flags.Args()[1:]
	}
	return words, nil
}

// parseFlags is parse for a subcommand without words.
func parseFlags(flags *flag.FlagSet, out io.Writer, args []string) error {
	words, err := parse(flags, out, args)
	if err == nil && len(words) > 0 {
		return usageError{fmt.Errorf("%q: unexpected argument", words[0])}
	}
	return err
}
