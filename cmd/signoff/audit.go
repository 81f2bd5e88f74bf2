package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/closer/console"
	"signoff/closer/ledger"
)

// auditCommand is what can be proven from the record.
func auditCommand(ctx context.Context, args []string, out io.Writer) error {
	usage := usageError{errors.New("verify | export --out DIR | report [--since TIME] [--until TIME]; flags come after the word")}
	if len(args) == 0 {
		return usage
	}
	switch args[0] {
	case "verify":
		return auditVerify(ctx, args[1:], out)
	case "export":
		return auditExport(ctx, args[1:], out)
	case "report":
		return auditReport(ctx, args[1:], out)
	case "-h", "-help", "--help":
		for _, call := range []func(context.Context, []string, io.Writer) error{auditVerify, auditExport, auditReport} {
			if err := call(ctx, []string{"-h"}, out); !errors.Is(err, flag.ErrHelp) {
				return err
			}
		}
		return flag.ErrHelp
	}
	return usage
}

// auditVerify checks a ledger, or an export, by itself: no daemon is asked.
func auditVerify(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("audit verify", flag.ContinueOnError)
	configFile := flags.String("config", "", "`FILE` of the daemon's config, which names the ledger")
	url := flags.String("ledger", "", "`URL` of the ledger, instead: sqlite:///path/to/ledger.db")
	export := flags.String("export", "", "`DIR` with an export, instead")
	heads := flags.String("checkpoints", "", "`FILE` with log lines or outcomes, in which heads of the audit went out")
	keyFile := flags.String("public-key", "", "`FILE` with the key by which heads and exports are signed")
	if err := parseFlags(flags, out, args); err != nil {
		return err
	}
	given := 0
	for _, where := range []string{*configFile, *url, *export} {
		if where != "" {
			given++
		}
	}
	if given != 1 {
		return usageError{errors.New("one of --config FILE, --ledger URL and --export DIR is needed")}
	}
	if *url != "" && !strings.HasPrefix(*url, "sqlite://") { // not quoted: a database's URL may hold a password
		return usageError{errors.New("--ledger: not a URL such as sqlite:///path/to/ledger.db")}
	}
	key, err := readPublicKey(*keyFile)
	if err != nil {
		return err
	}
	sent, err := readHeads(*heads)
	if err != nil {
		return err
	}
	v := verification{out: out, key: key, sent: sent}
	if *export != "" {
		return v.export(*export)
	}
	cfg := config{Ledger: *url}
	if *configFile != "" {
		if cfg, err = loadConfig(*configFile); err != nil {
			return err
		}
	}
	return v.ledger(ctx, cfg)
}

// readHeads reads heads that went out; none for no file.
func readHeads(file string) ([]ledger.Checkpoint, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, usageError{fmt.Errorf("--checkpoints: %w", err)}
	}
	defer f.Close()
	sent, err := ledger.ReadCheckpoints(f)
	if err == nil && len(sent) == 0 {
		err = errors.New("no head of an audit is in it: heads go out in log lines with audit_seq and audit_hash, and in outcomes")
	}
	if err != nil {
		return nil, fmt.Errorf("--checkpoints: %s: %w", file, err)
	}
	return sent, nil
}

// verification is one call of `signoff audit verify`.
type verification struct {
	out  io.Writer
	key  ed25519.PublicKey   // nil: signatures are not checked
	sent []ledger.Checkpoint // heads that went out
}

func (v verification) ledger(ctx context.Context, cfg config) error {
	l, err := ledger.OpenReadOnly(ctx, cfg.ledgerConfig())
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	id, err := l.ID(ctx)
	if err != nil {
		return err
	}
	own, signed, err := v.ownHeads(id)
	if err != nil {
		return err
	}
	found, err := l.Verify(ctx, own)
	if err != nil {
		return err
	}
	if err := v.failed(found.Defects); err != nil {
		return err
	}
	switch {
	case found.Rows == 0:
		fmt.Fprintln(v.out, "the audit is empty")
	case found.After.Seq > 0:
		fmt.Fprintf(v.out, "the audit is whole: %d rows, from %d on, as those before were pruned\n", found.Rows, found.First)
	default:
		fmt.Fprintf(v.out, "the audit is whole: %d rows\n", found.Rows)
	}
	if found.Rows > 0 {
		fmt.Fprintf(v.out, "head: %d %s of %s\n", found.Seq, found.Head, found.At.Format(time.RFC3339))
	}
	v.tellHeads(found.Heads, signed)
	return nil
}

// ownHeads are the heads of this ledger, and how many of them the key has signed. A
// signature by another key is an error.
func (v verification) ownHeads(id string) (own []ledger.Checkpoint, signed int, err error) {
	for _, s := range v.sent {
		if s.Ledger != "" && s.Ledger != id {
			continue
		}
		if v.key != nil && len(s.Signature) > 0 {
			if !s.SignedBy(v.key) {
				return nil, 0, fmt.Errorf("the head of row %d in --checkpoints is signed, and not by this key", s.Seq)
			}
			signed++
		}
		own = append(own, s)
	}
	if len(v.sent) > 0 && len(own) == 0 {
		return nil, 0, fmt.Errorf("all %d heads in --checkpoints are of other ledgers: this one is %s", len(v.sent), id)
	}
	return own, signed, nil
}

func (v verification) tellHeads(compared, signed int) {
	if len(v.sent) == 0 {
		fmt.Fprintln(v.out, "a chain that was cut at its end, or made anew, is whole in itself: --checkpoints FILE compares it with heads that went out")
		return
	}
	fmt.Fprintf(v.out, "heads that went out: %d found, %d compared", len(v.sent), compared)
	if v.key != nil {
		fmt.Fprintf(v.out, ", %d signed by the key", signed)
	}
	fmt.Fprintln(v.out)
}

// failed prints what was found to be wrong.
func (v verification) failed(d ledger.Defects) error {
	if len(d.Texts) == 0 {
		return nil
	}
	for _, text := range d.Texts[1:] {
		fmt.Fprintln(v.out, text)
	}
	if d.More > 0 {
		fmt.Fprintf(v.out, "and %d more\n", d.More)
	}
	return errors.New(d.Texts[0])
}

func (v verification) export(dir string) error {
	c, err := console.CheckExport(os.DirFS(dir), v.key, v.sent)
	if err != nil {
		return err
	}
	_, signed, err := v.ownHeads(c.Ledger)
	if err != nil {
		return err
	}
	if err := v.failed(c.Defects); err != nil {
		return err
	}
	fmt.Fprintf(v.out, "the export is whole: %d leavings, audit rows %d to %d, of ledger %s\n", c.Leavings, c.Chain.FirstSeq, c.Chain.LastSeq, c.Ledger)
	switch {
	case !c.Signed:
		fmt.Fprintln(v.out, "nobody has signed it: whoever had it may have made it anew")
	case v.key == nil:
		fmt.Fprintln(v.out, "it is signed; by whom was not checked: --public-key FILE does")
	default:
		fmt.Fprintln(v.out, "it is signed by the key")
	}
	if len(v.sent) > 0 {
		v.tellHeads(c.Heads, signed)
	}
	return nil
}

func auditExport(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("audit export", flag.ContinueOnError)
	way := wayFlags(flags)
	since := flags.String("since", "", "`time` or date (its midnight, UTC) from which on the leavings took effect; left out: from the first")
	until := flags.String("until", "", "`time` or date before which they did; left out: to the last")
	format := flags.String("format", "", "of the leavers: `csv` or jsonl; left out: both")
	dir := flags.String("out", "", "`DIR` to write to, new or empty")
	if err := parseFlags(flags, out, args); err != nil {
		return err
	}
	asJSON, err := way.json()
	if err != nil {
		return err
	}
	period, err := console.ReadPeriod(*since, *until)
	if err = errors.Join(err, console.CheckFormat(*format)); err != nil {
		return usageError{fmt.Errorf("--%w", err)}
	}
	if *dir == "" {
		return usageError{errors.New("--out DIR: is needed")}
	}
	client, l, err := way.reach(ctx)
	if err != nil {
		return err
	}
	into, err := newExportDir(*dir)
	if err != nil {
		return errors.Join(err, closeIf(l))
	}
	if l != nil {
		err = errors.Join(exportItself(ctx, l, *way.configFile, console.Export{Period: period, Format: *format, Version: version}, into), l.Close())
	} else {
		err = exportByDaemon(ctx, client, *since, *until, *format, into)
	}
	if err := errors.Join(err, into.end()); err != nil {
		return err
	}
	return tellExport(out, *dir, asJSON)
}

func closeIf(l *ledger.Ledger) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

func exportItself(ctx context.Context, l *ledger.Ledger, configFile string, x console.Export, into *exportDir) error {
	cfg, err := loadConfig(configFile)
	if err != nil {
		return err
	}
	sign, err := cfg.Audit.signer(zap.NewNop())
	if err != nil {
		return usageError{err}
	}
	x.Sign = sign
	_, err = x.Write(ctx, l, into.create)
	return err
}

// exportByDaemon keeps the daemon's answer beside the files until it is unpacked.
func exportByDaemon(ctx context.Context, client *console.Client, since, until, format string, into *exportDir) (err error) {
	packed, err := os.CreateTemp(into.path, ".packed-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, packed.Close(), os.Remove(packed.Name())) }()
	return client.Export(ctx, since, until, format, packed, into.create)
}

// tellExport says what was exported.
func tellExport(out io.Writer, dir string, asJSON bool) error {
	text, err := os.ReadFile(filepath.Join(dir, console.ManifestFile))
	if err != nil {
		return err
	}
	if asJSON {
		_, err := out.Write(text)
		return err
	}
	var m console.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %d leavings, audit rows %d to %d\n", dir, m.Leavings, m.Chain.FirstSeq, m.Chain.LastSeq)
	for _, f := range m.Files {
		fmt.Fprintf(out, "  %-14s %d rows\n", f.Name, f.Rows)
	}
	if _, err := os.Stat(filepath.Join(dir, console.SignatureOf)); err != nil {
		fmt.Fprintln(out, "it is not signed: audit.signing_key_file names no key")
	} else {
		fmt.Fprintln(out, "signed: manifest.json.sig")
	}
	return nil
}

// exportDir is a folder that an export is written to, a file after the other.
type exportDir struct {
	path string
	file *os.File // nil: none is open
	to   *bufio.Writer
}

// newExportDir makes the folder. One with something in it is refused: what was
// exported before must not be mixed with what is exported now.
func newExportDir(path string) (*exportDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, usageError{fmt.Errorf("--out: %w", err)}
	}
	found, err := os.ReadDir(path)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%s: not empty", path)
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("--out: %w", err)}
	}
	return &exportDir{path: path}, nil
}

func (d *exportDir) create(name string) (io.Writer, error) {
	if err := d.end(); err != nil {
		return nil, err
	}
	var err error
	if d.file, err = os.OpenFile(filepath.Join(d.path, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, err
	}
	d.to = bufio.NewWriterSize(d.file, 64<<10)
	return d.to, nil
}

// end completes the file that is open.
func (d *exportDir) end() error {
	if d.file == nil {
		return nil
	}
	err := errors.Join(d.to.Flush(), d.file.Close())
	d.file = nil
	return err
}
