package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"signoff/closer/docusign/docusigntest"
)

func simulateCommand(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:8081", "`host:port` to listen on")
	file := flags.String("config", "", "`FILE` with users, latency, quotas and faults (YAML)")
	if err := parseFlags(flags, out, args); err != nil {
		return err
	}
	var cfg docusigntest.Config
	if *file != "" {
		if err := decodeYAML(*file, &cfg, nil); err != nil {
			return usageError{err}
		}
	}
	simulated, err := docusigntest.New(cfg)
	if err != nil {
		return usageError{err}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "a simulated Docusign listens on http://%s\n", listener.Addr())
	if err := serve(ctx, listener, simulated); err != nil {
		return err
	}
	stats := simulated.Stats()
	fmt.Fprintf(out, "asked: %v, refused for the quota: %d\n", stats.Operations, stats.Exhausted)
	return nil
}

// serve answers until ctx ends.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
