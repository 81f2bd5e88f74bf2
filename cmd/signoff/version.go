package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// version is the version of signoff. Its minor number is the ledger's as well.
const version = "0.6.0"

func versionCommand(_ context.Context, args []string, out io.Writer) error {
	if err := parseFlags(flag.NewFlagSet("version", flag.ContinueOnError), out, args); err != nil {
		return err
	}
	fmt.Fprintf(out, "signoff %s%s %s %s/%s\n", version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// revision is the commit that was built, where the build knows it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return " " + s.Value
		}
	}
	return ""
}
