package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signoff/consumer"
)

func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	cmd, out := startChild(t, path)
	if !out.Scan() {
		t.Fatal("the first process says nothing")
	}
	_, err := Open(t.Context(), Config{URL: "sqlite://" + path}, Observe{})
	if want := fmt.Sprintf("process %d", cmd.Process.Pid); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want it to name the %s", err, want)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for out.Scan() { // what it still said
		continue
	}
	_ = cmd.Wait()
	l := openLedger(t, Config{URL: "sqlite://" + path}) // the lock went with its holder
	if entries, err := l.Entries(t.Context()); err != nil || len(entries) == 0 {
		t.Errorf("%d entries (%v), want what the first process recorded", len(entries), err)
	}
}

func TestOpenTwice(t *testing.T) {
	b := newBook(t)
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "link.db"), filepath.Join(dir, "folder")
	if err := errors.Join(os.Symlink(b.path, file), os.Symlink(filepath.Dir(b.path), folder)); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"by the same name":      b.path,
		"by a name with dots":   filepath.Dir(b.path) + "/../" + filepath.Base(filepath.Dir(b.path)) + "/ledger.db",
		"by a link to the file": file,
		"through a linked room": filepath.Join(folder, "ledger.db"),
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Open(t.Context(), Config{URL: "sqlite://" + path}, Observe{})
			if err == nil {
				_ = l.Close()
				t.Fatal("opened twice")
			}
			if want := fmt.Sprintf("process %d", os.Getpid()); !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want it to name the %s", err, want)
			}
		})
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	openLedger(t, Config{URL: "sqlite://" + file})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	text, dangling := filepath.Join(dir, "text.db"), filepath.Join(dir, "dangling.db")
	if err := errors.Join(
		os.WriteFile(text, []byte(strings.Repeat("no database at all\n", 100)), 0o600),
		os.Symlink(filepath.Join(dir, "nowhere.db"), dangling),
	); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ url, want string }{
		"another database":          {"postgres://signoff@db/ledger", "not supported yet"},
		"no file":                   {"sqlite://", "not supported yet"},
		"a path alone":              {"/var/lib/signoff/ledger.db", "not supported yet"},
		"a folder that is not":      {"sqlite://" + dir + "/none/ledger.db", "folder of the file must exist"},
		"a folder":                  {"sqlite://" + dir, dir},
		"a file of another kind":    {"sqlite://" + text, "text.db: file is not a database"},
		"a link that leads nowhere": {"sqlite://" + dangling, "a link that leads to no file"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Open(t.Context(), Config{URL: tt.url}, Observe{})
			if err == nil {
				_ = l.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestOpenOfAnEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a ledger? 100%#.db") // a name that a URL would read otherwise
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := openLedger(t, Config{URL: "sqlite://" + path})
	if err := l.Writable(t.Context()); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Errorf("%v (%v), want the ledger to be in this file", info, err)
	}
}

func TestNetworkFileSystems(t *testing.T) {
	for name, magic := range map[string]int64{
		"nfs": 0x6969, "cifs": 0xff534d42, "smb2": 0xfe534d42, "9p": 0x01021997, "ceph": 0x00c36400, "lustre": 0x0bd00bd0,
		"fuse": 0x65735546, "gpfs": 0x47504653,
	} {
		if err := refuseType("/l.db", magic); err == nil || !strings.Contains(err.Error(), "("+name+")") {
			t.Errorf("%s: got %v, want it refused by name", name, err)
		}
	}
	for name, magic := range map[string]int64{
		"ext4": 0xef53, "xfs": 0x58465342, "btrfs": 0x9123683e, "tmpfs": 0x01021994, "overlayfs": 0x794c7630, "zfs": 0x2fc12fc1,
	} {
		if err := refuseType("/l.db", magic); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadOnlyBesideAWriter(t *testing.T) {
	b := newBook(t)
	b.record(b.left("ann"))
	reader, err := OpenReadOnly(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	b.record(b.left("bob"))
	if entries, err := reader.Entries(t.Context()); err != nil || len(entries) != 2 {
		t.Errorf("%d entries (%v), want both", len(entries), err)
	}
	if a, err := reader.VerifyAudit(t.Context()); err != nil || a.Rows != 2 {
		t.Errorf("chain %+v (%v)", a, err)
	}
	if _, err := reader.Stats(t.Context()); err != nil {
		t.Error(err)
	}
	h := b.hold(b.due(b.now), Limit)
	for name, change := range map[string]func(context.Context) error{
		"record": func(ctx context.Context) error {
			return reader.Record(ctx, consumer.Intake{Source: consumer.CSV, Events: []consumer.Event{b.left("eve")}})
		},
		"approve": func(ctx context.Context) error {
			_, err := reader.Approve(ctx, b.word(h.ID, "ana", ""), aDay)
			return err
		},
		"renew":    func(ctx context.Context) error { return reader.Renew(ctx, false, "") },
		"writable": reader.Writable,
		"by itself": func(ctx context.Context) error {
			_, err := reader.read.ExecContext(ctx, `DELETE FROM audit`)
			return err
		},
	} {
		if err := change(t.Context()); err == nil || name != "by itself" && !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
	b.is("ann", Held)
}

func TestReadOnlyMakesNoLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if l, err := OpenReadOnly(t.Context(), Config{URL: "sqlite://" + path}); err == nil {
		_ = l.Close()
		t.Fatal("opened what is not there")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a file was made: %v", err)
	}
}

func TestWriteAfterClose(t *testing.T) {
	b := newBook(t)
	e := b.left("ann")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Record(t.Context(), consumer.Intake{Source: consumer.Kafka, Events: []consumer.Event{e}}); err == nil {
		t.Error("recorded in a closed ledger")
	}
}

// Whatever a write was told when the ledger closed under it is what the file says.
func TestCloseWhileWriting(t *testing.T) {
	b := newBook(t)
	said := make(chan string, 1000)
	var events []consumer.Event
	for i := range cap(said) {
		events = append(events, b.left(fmt.Sprint("p", i)))
	}
	for _, e := range events {
		go func() {
			if err := b.Record(context.Background(), consumer.Intake{Source: consumer.Kafka, Events: []consumer.Event{e}}); err != nil {
				said <- ""
				return
			}
			said <- e.Email
		}()
	}
	first := <-said
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	recorded := []string{first}
	for range cap(said) - 1 {
		recorded = append(recorded, <-said)
	}
	reader, err := OpenReadOnly(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	entries, err := reader.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, e := range entries {
		there[e.Leaver] = true
	}
	n := 0
	for _, email := range recorded {
		if email != "" {
			n++
			if !there[email] {
				t.Error("acknowledged, and not there")
			}
		}
	}
	if n != len(entries) {
		t.Errorf("%d acknowledged, %d are there", n, len(entries))
	}
}

// newer makes of the ledger one that a signoff so many minor versions later has
// used: with tables and columns that this one does not know.
func (b *book) newer(minors int) {
	b.t.Helper()
	if err := b.Close(); err != nil {
		b.t.Fatal(err)
	}
	for _, table := range []string{"keys", "entries", "memberships", "batches", "imports", "holds", "hold_users", "rejects", "watermarks",
		"accounts", "facts", "audit", "audit_personal", "cursors"} {
		b.raw(`ALTER TABLE ` + table + ` ADD COLUMN later TEXT NOT NULL DEFAULT ''`)
	}
	b.raw(`CREATE TABLE later (id BIGINT NOT NULL PRIMARY KEY)`)
	b.raw(`INSERT INTO migrations (version, name, minor, applied_at) VALUES (99, '0099_later', $1, 0)`, minor+minors)
}

// The ledger of the version before is brought up to date with all that is in it.
func TestLedgerOfOneMinorEarlier(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	first, err := migrations.ReadFile("migrations/0001_the_first.sql")
	if err != nil {
		t.Fatal(err)
	}
	db := rawDB(t, path)
	for _, query := range []string{
		`CREATE TABLE migrations (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, minor INTEGER NOT NULL, applied_at BIGINT NOT NULL)`,
		string(first), `INSERT INTO migrations VALUES (1, '0001_the_first', 1, 0)`,
		`INSERT INTO entries (id, leaver, account, state, emails, word_at, effective_at, due_at, received_at, settled_at)
			SELECT value, CASE value WHEN 3 THEN 'bob@acme.com' ELSE 'ann@acme.com' END, 'acc', 'closed', '["ann@acme.com"]', 1, 1, 1, 1, ` +
			fmt.Sprint(time.Now().UnixMicro()) + ` FROM (SELECT 1 AS value UNION SELECT 2 UNION SELECT 3)`,
		`INSERT INTO entries (id, leaver, account, state, emails, employee_id, termination_id, source, word_at, effective_at, due_at, received_at)
			VALUES (4, 'dan@acme.com', 'acc', 'due', '["dan@acme.com","d2@acme.com"]', 'E4', '', 'hr', 1, 1, 1, 1),
			(5, 'fay@acme.com', 'acc', 'due', '["fay@acme.com"]', 'E5', 'T5', 'hr', 1, 1, 1, 1),
			(6, 'gus@acme.com', 'acc', 'due', '["gus@acme.com"]', 'E6', '', 'hr', 1, 1, 1, 1)`,
		`INSERT INTO keys (origin, source, id, hash, entry, received_at) VALUES ('hr.employee', 'hr', 'k4', '', 4, 1),
			('hr.employee', 'hr', 'k5', '', 5, 1), ('hr.employee', 'hr', 'k6', '', 6, 1)`,
	} {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := Config{URL: "sqlite://" + path, Watch: week}
	if l, err := OpenReadOnly(t.Context(), cfg); !errors.Is(err, ErrOlder) {
		t.Errorf("looked into before it was brought up to date: %v, %v", l, err)
	}
	b := &book{t: t, Ledger: openLedger(t, cfg), path: path, now: time.Now()}
	watched, err := b.Watched(t.Context(), account, b.now.Add(time.Minute))
	if err != nil || len(watched) != 2 || watched[0].ID != 2 || watched[1].ID != 3 {
		t.Errorf("watched %+v (%v), want the newest of each leaver", watched, err)
	}
	for name, by := range map[string]func(*consumer.Event){
		"dan": goingBy("d2@acme.com"), "fay": both(goingBy("new@acme.com"), termination("T5")), "gus": both(goingBy(""), employee("E6")),
	} {
		b.record(b.left(name, rescind, by))
		b.is(name, Cancelled)
	}
	b.record(b.left("eve"))
	b.submit(b.due(b.now)...)
	b.is("eve", Submitted)
}

func TestLedgerOfOneMinorLater(t *testing.T) {
	b := newBook(t)
	b.record(b.left("before"))
	b.newer(1)
	b.Ledger = openLedger(t, b.cfg)
	b.record(b.left("ann", also("a2@acme.com")), b.left("bob", b.rehired(0)))
	if err := b.Record(t.Context(), consumer.Intake{Source: consumer.Kafka, Spans: []consumer.Span{span(0, 5)}}); err != nil {
		t.Fatal(err)
	}
	b.approve(b.hold(b.due(b.now), Limit).ID)
	plan := b.due(b.now)
	if len(plan) != 2 {
		t.Fatalf("plan %+v, want both", plan)
	}
	b.answer(b.submit(plan...), map[string]Result{"id-ann": {Closed: true}, "id-before": {Reason: "NO"}})
	b.is("ann", Closed)
	b.is("before", Due)
	if err := b.SetAccount(t.Context(), Account{ID: account, PassedAt: time.Now()}); err != nil {
		t.Error(err)
	}
	if _, err := b.Stats(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := b.CountDeadlines(t.Context(), b.now, time.Hour); err != nil {
		t.Error(err)
	}
	b.verify()
}

func TestLedgerOfTwoMinorsLater(t *testing.T) {
	b := newBook(t)
	b.newer(2)
	_, err := Open(t.Context(), b.cfg, Observe{})
	_, errReading := OpenReadOnly(t.Context(), b.cfg)
	for _, err := range []error{err, errReading} {
		if err == nil || !strings.Contains(err.Error(), "use a newer signoff") || !strings.Contains(err.Error(), fmt.Sprintf("0.%d", minor)) {
			t.Errorf("got %v, want it to name the version and say what to do", err)
		}
	}
}

func TestLedgerKeepsItsID(t *testing.T) {
	b := newBook(t)
	id, err := b.ID(t.Context())
	if err != nil || id == "" {
		t.Fatalf("id %q (%v)", id, err)
	}
	if other, _ := newBook(t).ID(t.Context()); other == id {
		t.Error("two ledgers have one id")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if again, err := openLedger(t, b.cfg).ID(t.Context()); err != nil || again != id {
		t.Errorf("id %q (%v), was %q", again, err, id)
	}
}
