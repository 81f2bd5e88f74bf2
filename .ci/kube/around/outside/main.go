// Command outside is what is around signoff on a node, outside of its pod:
//
//	outside company -count N -url URL -public-key FILE        the config of a simulated Docusign
//	outside serve -address IP -cert FILE -key FILE …          Kafka, and TLS before that Docusign
//	outside send -webhook URL -token FILE -kafka HOST:PORT …  an HR system
//	outside press -webhook URL -token FILE                    somebody who sends too much
//
// Leaver n is the same for all of them. `serve` notes the userId of each leaver
// whom a close request names, and `send` of each whose termination was taken, a
// line each: nothing is lost if they end up the same, and nobody was closed twice
// if no line is there twice.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const topic = "hr.employee"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "outside:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, []string) error{"company": companyCommand, "serve": serveCommand, "send": sendCommand, "press": pressCommand}
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("company | serve | send | press")
	}
	return commands[args[0]](ctx, args[1:])
}

// userID is leaver n's at Docusign, and email the address that HR knows.
func userID(n int) string { return fmt.Sprintf("1ea4e000-0000-4000-8000-%012d", n) }
func email(n int) string  { return fmt.Sprintf("leaver.%d@example.com", n) }

// notes is a file that lines are put behind. What was noted is there even if we
// are killed.
type notes struct{ file *os.File }

func noteTo(name string) (notes, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return notes{file}, err
}

// add is one write, so that lines of several goroutines stay whole.
func (n notes) add(line string) error {
	_, err := n.file.WriteString(line + "\n")
	return err
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s: unknown argument %q", flags.Name(), flags.Arg(0))
	}
	return nil
}
