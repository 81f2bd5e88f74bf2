package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"signoff/closer/ledger"
)

// TestBackupBesideTheDaemon makes backups by config and by URL, and checks them with
// what was printed of them.
func TestBackupBesideTheDaemon(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(2)})
	file := s.config(t, nil)
	r := s.start(t, file)
	r.post(t, 0)
	r.await(t, ledger.Closed, 1)
	dir := t.TempDir()
	copied := filepath.Join(dir, "copy.db")
	status, out, errOut := signoff("ledger", "backup", copied, "--config", file)
	form := regexp.MustCompile(`^\S+/copy\.db: 0\.\d MiB, 1 entries, audit rows: \d+\nhead: \{"audit_ledger": "[a-z2-7]{26}", "audit_seq": \d+, "audit_hash": "[0-9a-f]{64}"\} of 2\S+Z\n$`)
	if status != 0 || !form.MatchString(out) {
		t.Fatalf("%d %s%s", status, out, errOut)
	}
	noLeak(t, "ledger backup", strings.ReplaceAll(out, dir, ""))
	r.post(t, 1)
	r.await(t, ledger.Closed, 2)
	kept := s.write(t, "kept", out)
	verify := func(ledger string, want int, parts ...string) {
		t.Helper()
		status, said, errOut := signoff("audit", "verify", "--ledger", "sqlite://"+ledger, "--checkpoints", kept)
		for _, part := range parts {
			if status != want || !strings.Contains(said+errOut, part) {
				t.Errorf("%d %s%s, want %q", status, said, errOut, part)
			}
		}
	}
	verify(copied, 0, "the audit is whole", "heads that went out: 1 found, 1 compared")
	verify(filepath.Join(s.dir, "ledger.db"), 0, "the audit is whole", "1 compared")

	var report backupReport
	status, out, errOut = signoff("ledger", "backup", "--output", "json", "--ledger", "sqlite://"+filepath.Join(s.dir, "ledger.db"), dir)
	if err := json.Unmarshal([]byte(out), &report); status != 0 || err != nil || report.Entries != 2 || report.Seq == 0 {
		t.Fatalf("%d %s%s %v", status, out, errOut, err)
	}
	kept = s.write(t, "kept", out)
	verify(report.File, 0, "1 compared")
	verify(copied, 1, "the end was cut off, for a later head went out")
}

func TestBackupsOfAFolder(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true})
	file := s.config(t, nil)
	r := s.start(t, file)
	shows(t, r.admin()+"/readyz?verbose", "docusign: account "+demoAccount+": ok")
	r.end(t)
	dir := t.TempDir()
	for _, name := range []string{"ledger-20261125T000000Z.db", "ledger-20261126T000000Z.db", "other.db"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Beside the daemon the files are not there that its config names.
	bare := s.write(t, "bare.yaml", strings.NewReplacer(filepath.Join(s.dir, "tokens"), "/nowhere/tokens", demoKey, "${NOT_SET_HERE}").Replace(read(t, file)))
	status, out, errOut := signoff("ledger", "backup", dir, "--keep", "2", "--config", bare)
	if status != 0 || !strings.Contains(out, "\ndeleted: ledger-20261125T000000Z.db\n") {
		t.Errorf("%d %s%s", status, out, errOut)
	}
	found, err := os.ReadDir(dir)
	if err != nil || len(found) != 3 || slices.ContainsFunc(found, func(f os.DirEntry) bool { return f.Name() == "ledger-20261125T000000Z.db" }) {
		t.Errorf("in the folder are %v, %v", found, err)
	}
}

func TestBackupUsage(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true})
	file, dir := s.config(t, nil), t.TempDir()
	there := s.write(t, "there", "")
	s.write(t, "ledger.db", "")
	for name, c := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"no word":                  {nil, exitUsage, "backup FILE|DIR"},
		"another word":             {[]string{"restore"}, exitUsage, "backup FILE|DIR"},
		"no file":                  {[]string{"backup", "--config", file}, exitUsage, "one FILE to write to"},
		"two files":                {[]string{"backup", "a", "b", "--config", file}, exitUsage, "one FILE to write to"},
		"no ledger named":          {[]string{"backup", dir}, exitUsage, "one of --config FILE and --ledger URL"},
		"a ledger named twice":     {[]string{"backup", dir, "--config", file, "--ledger", "sqlite:///x"}, exitUsage, "one of --config FILE and --ledger URL"},
		"a URL of something else":  {[]string{"backup", dir, "--ledger", "postgres://user:geheim@host/db"}, exitUsage, "--ledger: not a URL such as"},
		"a file that is there":     {[]string{"backup", there, "--config", file}, exitUsage, "is there already"},
		"keep of a file":           {[]string{"backup", filepath.Join(dir, "x.db"), "--keep", "3", "--config", file}, exitUsage, "--keep: is about a folder"},
		"keep none":                {[]string{"backup", dir, "--keep", "0", "--config", file}, exitUsage, "--keep: 0: not 1 or more"},
		"an output there is not":   {[]string{"backup", dir, "--output", "xml", "--config", file}, exitUsage, `--output: "xml"`},
		"a ledger there is not":    {[]string{"backup", dir, "--ledger", "sqlite://" + dir + "/none.db"}, exitFailed, "nothing to back up"},
		"a config that is no YAML": {[]string{"backup", dir, "--config", s.write(t, "no.yaml", "ledger: [geheim\n")}, exitUsage, "not YAML in which ledger is a text"},
		"a config without ledger":  {[]string{"backup", dir, "--config", s.write(t, "none.yaml", "mode: close\n")}, exitUsage, "none.yaml: ledger: not a URL such as"},
		"a ledger of no variable":  {[]string{"backup", dir, "--config", s.write(t, "env.yaml", "ledger: ${NO_SUCH_LEDGER}\n")}, exitUsage, "${NO_SUCH_LEDGER}: not set"},
		"no config there":          {[]string{"backup", dir, "--config", "/nowhere/signoff.yaml"}, exitUsage, "/nowhere/signoff.yaml"},
		"help":                     {[]string{"--help"}, 0, "-keep N"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errOut := signoff(append([]string{"ledger"}, c.args...)...)
			if status != c.status || !strings.Contains(out+errOut, c.want) || strings.Contains(out+errOut, "geheim") {
				t.Errorf("%d %s%s, want %d and %q", status, out, errOut, c.status, c.want)
			}
		})
	}
}
