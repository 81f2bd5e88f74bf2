package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// way says how a command that lists, shows or decides reaches a ledger, and how it
// prints what it finds.
type way struct{ url, tokenFile, configFile, output *string }

func wayFlags(flags *flag.FlagSet) way {
	w := reachFlags(flags)
	w.output = flags.String("output", "table", "`table` or json")
	return w
}

// reachFlags are those of a command that prints in formats of its own.
func reachFlags(flags *flag.FlagSet) way {
	return way{
		url:        flags.String("url", os.Getenv("SIGNOFF_URL"), "`URL` of the daemon's admin listener (or SIGNOFF_URL)"),
		tokenFile:  flags.String("token-file", os.Getenv("SIGNOFF_TOKEN_FILE"), "`FILE` with your token (or SIGNOFF_TOKEN_FILE)"),
		configFile: flags.String("config", "", "`FILE` of the daemon's config: looks into the ledger itself, and changes nothing"),
	}
}

func (w way) json() (bool, error) {
	if *w.output != "table" && *w.output != "json" {
		return false, usageError{fmt.Errorf("--output: %q: neither table nor json", *w.output)}
	}
	return *w.output == "json", nil
}

// reach returns a client of the daemon or, by --config, the ledger itself, open for
// reading.
func (w way) reach(ctx context.Context) (*console.Client, *ledger.Ledger, error) {
	switch {
	case *w.url != "" && *w.configFile != "":
		return nil, nil, usageError{errors.New("--url (or SIGNOFF_URL) and --config: one of the two")}
	case *w.configFile != "":
		cfg, err := loadConfig(*w.configFile)
		if err != nil {
			return nil, nil, err
		}
		l, err := ledger.OpenReadOnly(ctx, cfg.ledgerConfig())
		return nil, l, err
	case *w.url == "":
		return nil, nil, usageError{errors.New("--url of a daemon, or --config FILE to look into the ledger itself, is needed")}
	}
	client, err := newConsoleClient(*w.url, *w.tokenFile)
	return client, nil, err
}

// errOnlyLooks refuses to decide anything without a daemon.
var errOnlyLooks = usageError{errors.New("--config only looks: a decision needs a named person, through --url and --token-file")}

// newConsoleClient makes a client for a daemon's admin listener.
func newConsoleClient(url, tokenFile string) (*console.Client, error) {
	token, err := readToken(tokenFile)
	if err != nil {
		return nil, usageError{err}
	}
	client, err := console.NewClient(url, token)
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

func readToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	return strings.TrimSpace(string(text)), err
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
