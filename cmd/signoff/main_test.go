package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// daemonConfig names the config file of a daemon that a test wants to kill:
// with it set, this binary is that daemon.
const daemonConfig = "SIGNOFF_TEST_DAEMON"

func TestMain(m *testing.M) {
	if file := os.Getenv(daemonConfig); file != "" {
		os.Args = append([]string{"signoff", "run", "--config", file}, os.Args[1:]...)
		main()
	}
	os.Exit(m.Run())
}

// signoff runs a command line.
func signoff(args ...string) (status int, out, errOut string) {
	var stdout, stderr bytes.Buffer
	status = dispatch(context.Background(), args, &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

func TestExitStatus(t *testing.T) {
	for name, c := range map[string]struct {
		args        []string
		status      int
		out, errOut string // a part of it
	}{
		"no command":                {nil, 2, "", "signoff demo"},
		"a command there is not":    {[]string{"frobnicate"}, 2, "", `"frobnicate": no such command`},
		"help":                      {[]string{"help"}, 0, "signoff holds", ""},
		"help by flag":              {[]string{"--help"}, 0, "Exit status: 0 done", ""},
		"help of a command":         {[]string{"run", "-h"}, 0, "-config FILE", ""},
		"help with a command":       {[]string{"help", "rejects"}, 0, "-output table", ""},
		"help with no command":      {[]string{"help", "rejcts"}, 2, "", `"rejcts": no such command`},
		"help after a word":         {[]string{"holds", "list", "--help"}, 0, "-token-file", ""},
		"version":                   {[]string{"version"}, 0, "signoff " + version, ""},
		"a flag there is not":       {[]string{"run", "--verbose"}, 2, "", "signoff run: flag provided but not defined: -verbose"},
		"a word too many":           {[]string{"version", "now"}, 2, "", `"now": unexpected argument`},
		"no config":                 {[]string{"run"}, 2, "", "--config FILE is needed"},
		"a config there is not":     {[]string{"check", "--config", "/nowhere/signoff.yaml"}, 2, "", "/nowhere/signoff.yaml"},
		"from neither place":        {[]string{"run", "--from", "latest"}, 2, "", `--from: "latest"`},
		"no way to a ledger":        {[]string{"holds", "list"}, 2, "", "--url of a daemon, or --config FILE"},
		"two ways to a ledger":      {[]string{"holds", "list", "--url", "http://127.0.0.1:1", "--config", "x"}, 2, "", "one of the two"},
		"a daemon that is not up":   {[]string{"holds", "list", "--url", "http://127.0.0.1:1"}, 1, "", "signoff holds:"},
		"an output there is not":    {[]string{"holds", "--output", "xml", "list"}, 2, "", `--output: "xml"`},
		"not the id of a hold":      {[]string{"holds", "show", "seven", "--url", "http://127.0.0.1:1"}, 2, "", `"seven": not the id of a hold`},
		"a demo of too few":         {[]string{"demo", "--leavers", "3"}, 2, "", "--leavers: 3"},
		"a simulation of nothing":   {[]string{"simulate", "--config", "/nowhere/sim.yaml"}, 2, "", "/nowhere/sim.yaml"},
		"an address taken by chars": {[]string{"simulate", "--listen", "nonsense"}, 1, "", "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SIGNOFF_URL", "")
			status, out, errOut := signoff(c.args...)
			if status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			if !strings.Contains(out, c.out) || !strings.Contains(errOut, c.errOut) {
				t.Errorf("out %q, errors %q; want %q in the one, %q in the other", out, errOut, c.out, c.errOut)
			}
		})
	}
}

func TestStatusOfErrors(t *testing.T) {
	failed := errors.New("it failed")
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"done":              {nil, 0},
		"failed":            {failed, 1},
		"wrong usage":       {usageError{failed}, 2},
		"wrong usage below": {fmt.Errorf("run: %w", usageError{failed}), 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := status(c.err); got != c.want {
				t.Errorf("status %d, want %d", got, c.want)
			}
		})
	}
}

func TestFlagsStandBeforeAndAfterWords(t *testing.T) {
	for name, args := range map[string][]string{
		"before":  {"--reason", "why", "reject", "7"},
		"after":   {"reject", "7", "--reason", "why"},
		"between": {"reject", "--reason=why", "7"},
	} {
		t.Run(name, func(t *testing.T) {
			flags := flag.NewFlagSet("holds", flag.ContinueOnError)
			reason := flags.String("reason", "", "")
			words, err := parse(flags, io.Discard, args)
			if err != nil || *reason != "why" || !slices.Equal(words, []string{"reject", "7"}) {
				t.Errorf("words %q, reason %q, %v", words, *reason, err)
			}
		})
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	_, out, _ := signoff("help")
	for _, c := range commands() {
		if !strings.Contains(out, "  signoff "+c.usage) || !strings.Contains(out, c.summary) {
			t.Errorf("help does not show %q", c.name)
		}
	}
}
