package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
type way struct {
	daemon             daemonFlags
	configFile, output *string
}

func wayFlags(flags *flag.FlagSet) way {
	w := reachFlags(flags)
	w.output = flags.String("output", "table", "`table` or json")
	return w
}

// reachFlags are those of a command that prints in formats of its own.
func reachFlags(flags *flag.FlagSet) way {
	return way{
		daemon:     newDaemonFlags(flags, "`URL` of the daemon's admin listener (or SIGNOFF_URL)"),
		configFile: flags.String("config", "", "`FILE` of the daemon's config: looks into the ledger itself, and changes nothing"),
	}
}

// daemonFlags say where a daemon's admin listener is, and who calls it.
type daemonFlags struct{ url, tokenFile, caFile, certFile, keyFile *string }

func newDaemonFlags(flags *flag.FlagSet, url string) daemonFlags {
	return daemonFlags{
		url:       flags.String("url", os.Getenv("SIGNOFF_URL"), url),
		tokenFile: flags.String("token-file", os.Getenv("SIGNOFF_TOKEN_FILE"), "`FILE` with your token (or SIGNOFF_TOKEN_FILE)"),
		caFile: flags.String("ca-file", os.Getenv("SIGNOFF_CA_FILE"),
			"`FILE` with who vouches for the daemon's certificate (or SIGNOFF_CA_FILE); left out: whom the system trusts"),
		certFile: flags.String("cert-file", os.Getenv("SIGNOFF_CERT_FILE"), "`FILE` with your certificate, if the daemon wants one (or SIGNOFF_CERT_FILE)"),
		keyFile:  flags.String("key-file", os.Getenv("SIGNOFF_KEY_FILE"), "`FILE` with its key (or SIGNOFF_KEY_FILE)"),
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
	case *w.daemon.url != "" && *w.configFile != "":
		return nil, nil, usageError{errors.New("--url (or SIGNOFF_URL) and --config: one of the two")}
	case *w.configFile != "":
		cfg, err := loadConfig(*w.configFile)
		if err != nil {
			return nil, nil, err
		}
		l, err := ledger.OpenReadOnly(ctx, cfg.ledgerConfig())
		return nil, l, err
	case *w.daemon.url == "":
		return nil, nil, usageError{errors.New("--url of a daemon, or --config FILE to look into the ledger itself, is needed")}
	}
	client, err := w.daemon.client()
	return client, nil, err
}

// errOnlyLooks refuses to decide anything without a daemon.
var errOnlyLooks = usageError{errors.New("--config only looks: a decision needs a named person, through --url and --token-file")}

// client makes a client for the daemon's admin listener.
func (f daemonFlags) client() (*console.Client, error) {
	token, err := readToken(*f.tokenFile)
	if err != nil {
		return nil, usageError{err}
	}
	by, err := f.tls()
	if err != nil {
		return nil, usageError{err}
	}
	client, err := console.NewTLSClient(*f.url, token, by)
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

// tls is nil where no flag says anything about it.
func (f daemonFlags) tls() (*tls.Config, error) {
	if *f.caFile == "" && *f.certFile == "" && *f.keyFile == "" {
		return nil, nil //nolint:nilnil // what the system has
	}
	by := &tls.Config{MinVersion: tls.VersionTLS12}
	if *f.caFile != "" {
		var err error
		if by.RootCAs, err = readRoots(*f.caFile); err != nil {
			return nil, err
		}
	}
	if (*f.certFile == "") != (*f.keyFile == "") {
		return nil, errors.New("--cert-file and --key-file (or SIGNOFF_CERT_FILE and SIGNOFF_KEY_FILE): one is of no use without the other")
	}
	if *f.certFile != "" {
		pair, err := tls.LoadX509KeyPair(*f.certFile, *f.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--cert-file %s and --key-file %s: %w", *f.certFile, *f.keyFile, err)
		}
		by.Certificates = []tls.Certificate{pair}
	}
	return by, nil
}

// readRoots reads who vouches for a server, as --ca-file names it.
func readRoots(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--ca-file: %s: no certificate in PEM", file)
	}
	return roots, nil
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
