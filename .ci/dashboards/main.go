// Command dashboards writes the Grafana dashboards of the chart, and tries them.
//
//	dashboards write DIR                          writes them into DIR
//	dashboards diff DIR                           says whether DIR has what write would write
//	dashboards try DIR SIGNOFF PROMETHEUS         runs every query of them on a PROMETHEUS that scrapes `SIGNOFF demo`
//
// Exit status: 0 all well, 1 not, 2 wrong usage.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(status(err))
	}
}

var errUsage = errors.New("usage: dashboards write DIR | diff DIR | try DIR SIGNOFF PROMETHEUS")

func status(err error) int {
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "write":
		return write(args[1])
	case len(args) == 2 && args[0] == "diff":
		return diff(args[1])
	case len(args) == 4 && args[0] == "try":
		return try(ctx, args[1], args[2], args[3])
	}
	return errUsage
}

// files is every dashboard by the name of its file.
func files() map[string]dashboard {
	return map[string]dashboard{
		"overview.json":     overview(),
		"pipeline.json":     pipeline(),
		"safety.json":       safety(),
		"kafka-ledger.json": kafkaAndLedger(),
	}
}

func text(d dashboard) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it is read by people
	e.SetIndent("", "  ")
	err := e.Encode(d)
	return b.Bytes(), err
}

func write(dir string) error {
	for name, d := range files() {
		b, err := text(d)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func diff(dir string) error {
	var wrong []error
	for name, d := range files() {
		want, err := text(d)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(dir, name))
		switch {
		case err != nil:
			wrong = append(wrong, err)
		case !bytes.Equal(got, want):
			wrong = append(wrong, fmt.Errorf("%s is not what .ci/dashboards writes: change it there, then `go -C .ci/dashboards run . write ../../charts/signoff/dashboards`", name))
		}
	}
	return errors.Join(wrong...)
}
