package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"signoff/closer/ledger"
)

// ledgerCommand is what is done to a ledger's file, beside the daemon that writes it.
func ledgerCommand(ctx context.Context, args []string, out io.Writer) error {
	usage := usageError{errors.New("backup FILE|DIR --config FILE | --ledger URL [--keep N]; flags come after the word")}
	if len(args) == 0 {
		return usage
	}
	switch args[0] {
	case "backup":
		return ledgerBackup(ctx, args[1:], out)
	case "-h", "-help", "--help":
		return ledgerBackup(ctx, []string{"-h"}, out)
	}
	return usage
}

// ledgerBackup copies a ledger to a file, or to one named by the time in a folder.
func ledgerBackup(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("ledger backup", flag.ContinueOnError)
	configFile := flags.String("config", "", "`FILE` of the daemon's config, which names the ledger")
	url := flags.String("ledger", "", "`URL` of the ledger, instead: sqlite:///path/to/ledger.db")
	keep := flags.Int("keep", 0, "in a folder: delete all but the newest `N` backups that are named by their time; left out: none")
	asOutput := flags.String("output", "table", "`table` or json")
	words, err := parse(flags, out, args)
	if err != nil {
		return err
	}
	asJSON, err := way{output: asOutput}.json()
	if err != nil {
		return err
	}
	if len(words) != 1 {
		return usageError{errors.New("one FILE to write to, or the folder for it, is needed")}
	}
	into := words[0]
	info, err := os.Stat(into)
	inFolder := err == nil && info.IsDir()
	keepSet := false
	flags.Visit(func(f *flag.Flag) { keepSet = keepSet || f.Name == "keep" })
	switch {
	case keepSet && !inFolder:
		return usageError{fmt.Errorf("--keep: is about a folder, and %s is none", into)}
	case keepSet && *keep < 1:
		return usageError{fmt.Errorf("--keep: %d: not 1 or more", *keep)}
	}
	cfg, err := ledgerNamed(*configFile, *url)
	if err != nil {
		return err
	}
	file := into
	if inFolder {
		file = filepath.Join(into, ledger.DatedBackup(time.Now()))
	}
	c, err := ledger.Backup(ctx, cfg.Ledger, file)
	if errors.Is(err, ledger.ErrExists) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	var deleted []string
	if keepSet {
		if deleted, err = ledger.PruneBackups(into, cfg.Ledger, c, *keep); err != nil {
			err = fmt.Errorf("the backup is written, but older ones were not deleted: %w", err)
		}
	}
	return errors.Join(tellBackup(out, c, deleted, asJSON), err)
}

// ledgerNamed is a config of nothing but a ledger: the daemon's, or one by its URL. What
// else is in the daemon's config need not be right, nor the files there that it names,
// where the ledger alone is looked at.
func ledgerNamed(configFile, url string) (config, error) {
	if (configFile == "") == (url == "") {
		return config{}, usageError{errors.New("one of --config FILE and --ledger URL is needed")}
	}
	at := "--ledger"
	if configFile != "" {
		text, err := os.ReadFile(configFile)
		if err != nil {
			return config{}, usageError{err}
		}
		var only struct{ Ledger string }
		if err := yaml.Unmarshal(text, &only); err != nil {
			return config{}, usageError{fmt.Errorf("%s: not YAML in which ledger is a text", configFile)} // which may be secret: not quoted
		}
		at = configFile + ": ledger"
		if url, err = fromEnvironment(only.Ledger); err != nil {
			return config{}, usageError{fmt.Errorf("%s: %w", at, err)}
		}
	}
	if !strings.HasPrefix(url, "sqlite://") { // not quoted: a database's URL may hold a password
		return config{}, usageError{errors.New(at + ": not a URL such as sqlite:///path/to/ledger.db")}
	}
	return config{Ledger: url}, nil
}

// backupReport is a backup as JSON. Its head has the names by which `signoff audit
// verify --checkpoints` finds it.
type backupReport struct {
	File    string   `json:"file"`
	Bytes   int64    `json:"bytes"`
	Entries int64    `json:"entries"`
	Rows    int64    `json:"audit_rows"`
	Ledger  string   `json:"audit_ledger"`
	Seq     int64    `json:"audit_seq"`
	Hash    string   `json:"audit_hash"`
	At      string   `json:"audit_at,omitempty"`
	Deleted []string `json:"deleted,omitempty"`
}

// tellBackup says what was written. The head is printed so that these lines, kept
// elsewhere, show later whether the backup is the one that was made.
func tellBackup(out io.Writer, c ledger.Copy, deleted []string, asJSON bool) error {
	if asJSON {
		r := backupReport{File: c.File, Bytes: c.Bytes, Entries: c.Entries, Rows: c.Rows,
			Ledger: c.Ledger, Seq: c.Head.Seq, Hash: c.Head.Hash, Deleted: deleted}
		if !c.At.IsZero() {
			r.At = c.At.Format(time.RFC3339)
		}
		return printJSON(out, r)
	}
	fmt.Fprintf(out, "%s: %.1f MiB, %d entries, audit rows: %d\n", c.File, float64(c.Bytes)/(1<<20), c.Entries, c.Rows)
	if c.Head.Seq == 0 {
		fmt.Fprintln(out, "its audit is empty")
	} else {
		names := ledger.LogFields
		fmt.Fprintf(out, "head: {%q: %q, %q: %d, %q: %q} of %s\n", names.Ledger, c.Ledger, names.Seq, c.Head.Seq, names.Hash, c.Head.Hash, c.At.Format(time.RFC3339))
	}
	for _, name := range deleted {
		fmt.Fprintf(out, "deleted: %s\n", name)
	}
	return nil
}
