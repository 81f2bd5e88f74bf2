package ledger

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// listed are the names of all files in a folder.
func listed(t *testing.T, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range found {
		names = append(names, f.Name())
	}
	return names
}

// TestBackupBesideAWriter copies a ledger while another process writes it, which goes
// on meanwhile.
func TestBackupBesideAWriter(t *testing.T) {
	path, dir := filepath.Join(t.TempDir(), "ledger.db"), t.TempDir()
	cmd, out := startChild(t, path)
	var said []string
	next := func(n int) {
		for range n {
			if !out.Scan() || strings.HasPrefix(out.Text(), "error") {
				t.Errorf("the writer: %s", out.Text())
				return
			}
			said = append(said, out.Text())
		}
	}
	next(50)
	for i := range 3 {
		before := len(said)
		written := make(chan struct{})
		go func() { next(100); close(written) }()
		c, err := Backup(t.Context(), "sqlite://"+path, filepath.Join(dir, string(rune('a'+i))+".db"))
		if err != nil {
			t.Fatal(err)
		}
		<-written
		restored := openLedger(t, Config{URL: "sqlite://" + c.File})
		entries, err := restored.Entries(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(entries)) != c.Entries || len(entries) < before {
			t.Errorf("%d entries in the copy, which says %d, want the %d that had been acknowledged and more", len(entries), c.Entries, before)
		}
		for _, name := range said[:before] {
			if !slices.ContainsFunc(entries, func(e Entry) bool { return e.Leaver == name+"@acme.com" }) {
				t.Errorf("%s is not in the copy", name)
			}
		}
		v, err := restored.Verify(t.Context(), []Checkpoint{{Head: c.Head, Ledger: c.Ledger}})
		if err != nil || len(v.Texts) > 0 || v.Heads != 1 || v.Seq != c.Head.Seq || v.Rows != c.Rows || !v.At.Equal(c.At) {
			t.Errorf("%+v, %v; the copy says %+v", v, err, c)
		}
		if err := restored.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
}

func TestBackupIsOneFileForItsOwner(t *testing.T) {
	b, dir := newBook(t), t.TempDir()
	b.record(b.left("jane"))
	c, err := Backup(t.Context(), "sqlite://"+b.path, filepath.Join(dir, "copy.db"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(c.File)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 || info.Size() != c.Bytes {
		t.Errorf("%v, %d bytes; the copy says %d", info.Mode(), info.Size(), c.Bytes)
	}
	l, err := OpenReadOnly(t.Context(), Config{URL: "sqlite://" + c.File}) // also where nothing can be made beside it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.VerifyAudit(t.Context()); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if got := listed(t, dir); !slices.Equal(got, []string{"copy.db"}) {
		t.Errorf("in the folder are %v, want the copy alone", got)
	}
}

func TestBackupOfAnOlderLedger(t *testing.T) {
	b := newBook(t)
	b.record(b.left("jane"))
	b.raw(`DELETE FROM migrations WHERE version = (SELECT MAX(version) FROM migrations)`)
	if _, err := OpenReadOnly(t.Context(), Config{URL: "sqlite://" + b.path}); !errors.Is(err, ErrOlder) {
		t.Fatalf("got %v, want a ledger that is older", err)
	}
	if c, err := Backup(t.Context(), "sqlite://"+b.path, filepath.Join(t.TempDir(), "copy.db")); err != nil || c.Entries != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestBackupRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(t *testing.T, b *book, dir string) (ledger, file string)
		want    string
	}{
		"a file that is there": {func(t *testing.T, b *book, dir string) (string, string) {
			file := filepath.Join(dir, "copy.db")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return b.path, file
		}, "copy.db: is there already"},
		"what is left of a ledger of that name": {func(t *testing.T, b *book, dir string) (string, string) {
			if err := os.WriteFile(filepath.Join(dir, "copy.db-wal"), []byte("of another"), 0o600); err != nil {
				t.Fatal(err)
			}
			return b.path, filepath.Join(dir, "copy.db")
		}, "copy.db-wal: is there already"},
		"the ledger itself": {func(_ *testing.T, b *book, _ string) (string, string) { return b.path, b.path }, "ledger.db: is there already"},
		"a link to nowhere": {func(t *testing.T, b *book, dir string) (string, string) {
			if err := os.Symlink("/nowhere", filepath.Join(dir, "copy.db")); err != nil {
				t.Fatal(err)
			}
			return b.path, filepath.Join(dir, "copy.db")
		}, "copy.db: is there already"},
		"no ledger": {func(_ *testing.T, b *book, dir string) (string, string) {
			return b.path + ".none", filepath.Join(dir, "copy.db")
		}, "nothing to back up: stat "},
		"another database": {func(t *testing.T, _ *book, dir string) (string, string) {
			path := filepath.Join(t.TempDir(), "other.db")
			db, err := openSQLite(t.Context(), path, writer)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(`CREATE TABLE people (name TEXT)`); err != nil {
				t.Fatal(err)
			}
			return path, filepath.Join(dir, "copy.db")
		}, "not a ledger: "},
		"a folder there is not": {func(_ *testing.T, b *book, dir string) (string, string) {
			return b.path, filepath.Join(dir, "deeper", "copy.db")
		}, "deeper: no such file"},
		"a folder that another backup is written to": {func(t *testing.T, b *book, dir string) (string, string) {
			held, err := lockFolder(dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = held.Close() })
			return b.path, filepath.Join(dir, "copy.db")
		}, "another backup is being written there"},
	} {
		t.Run(name, func(t *testing.T) {
			b, dir := newBook(t), t.TempDir()
			path, file := c.arrange(t, b, dir)
			before := listed(t, dir)
			_, err := Backup(t.Context(), "sqlite://"+path, file)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if got := listed(t, dir); !slices.Equal(got, before) {
				t.Errorf("it leaves %v, before there were %v", got, before)
			}
		})
	}
}

// TestBackupCutOff leaves nothing, and what one that was killed has left goes with the
// next one.
func TestBackupCutOff(t *testing.T) {
	b, dir := newBook(t), t.TempDir()
	b.record(b.left("jane"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Backup(ctx, "sqlite://"+b.path, filepath.Join(dir, "copy.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := listed(t, dir); len(got) != 0 {
		t.Errorf("it leaves %v", got)
	}
	others := []string{".other.db.partial", "ledger-20261126T000000Z.db", "notes"}
	for _, name := range slices.Concat(others, []string{
		".copy.db.partial", ".copy.db.partial-journal", ".ledger-20261127T000000Z.db.partial", ".ledger-20261127T000000Z.db.partial-journal",
	}) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Backup(t.Context(), "sqlite://"+b.path, filepath.Join(dir, "copy.db")); err != nil {
		t.Fatal(err)
	}
	if got, want := listed(t, dir), slices.Sorted(slices.Values(append(others, "copy.db"))); !slices.Equal(got, want) {
		t.Errorf("in the folder are %v, want %v", got, want)
	}
}

// TestCopyFollows compares a copy's head with the ledger's rows.
func TestCopyFollows(t *testing.T) {
	b := newBook(t)
	b.record(b.left("jane"), b.left("max"))
	head, err := b.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		head, before Head
		want         string // "": it does
	}{
		"the same":           {head, head, ""},
		"a later one":        {head, Head{Seq: 1}, ""},
		"none of either":     {Head{}, Head{}, ""},
		"an earlier one":     {Head{Seq: 1}, head, "its audit ends with row 1, and that of the ledger had row 2 already"},
		"of another hash":    {Head{head.Seq, "00"}, head, "of another hash than the ledger's"},
		"the ledger has not": {Head{9, "00"}, head, "audit row 9 of the ledger"},
	} {
		err := Copy{Head: c.head}.follows(t.Context(), b.read, c.before)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestPruneBackups(t *testing.T) {
	at := time.Date(2026, 11, 27, 22, 0, 0, 0, time.FixedZone("", 3600))
	day := func(n int) string { return DatedBackup(at.AddDate(0, 0, n)) }
	if day(0) != "ledger-20261127T210000Z.db" {
		t.Fatalf("named %s", day(0))
	}
	others := []string{"ledger.db", "ledger-20261127.db", "ledger-20261127T210000Z.db-wal", ".ledger-20261127T210000Z.db.partial", "copy.db"}
	for name, c := range map[string]struct {
		keep int
		made string // just now
		live string // under which name a ledger is in use
		want []string
	}{
		"keep two":                             {2, day(3), "", []string{day(0), day(1)}},
		"keep more than there are":             {9, day(3), "", nil},
		"keep all":                             {4, day(3), "", nil},
		"keep one, the oldest in use":          {1, day(3), day(0), []string{day(1), day(2)}},
		"keep one, made after a clock was set": {1, day(0), "", []string{day(1), day(2), day(3)}},
		"keep two, made after a clock was set": {2, day(1), "", []string{day(0), day(2)}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			all := make(map[string]bool)
			for _, name := range append([]string{day(0), day(1), day(2), day(3)}, others...) {
				all[name] = true
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			live := c.live
			if live == "" {
				live = "ledger.db"
			}
			got, err := PruneBackups(dir, "sqlite://"+filepath.Join(dir, live), Copy{File: filepath.Join(dir, c.made)}, c.keep)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("deleted %v, %v; want %v", got, err, c.want)
			}
			for _, name := range c.want {
				delete(all, name)
			}
			if left := listed(t, dir); !slices.Equal(left, slices.Sorted(maps.Keys(all))) {
				t.Errorf("left are %v", left)
			}
		})
	}
}
