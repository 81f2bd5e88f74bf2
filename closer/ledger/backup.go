package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Copy is what a backup holds: the ledger as it was at one moment.
type Copy struct {
	File    string
	Bytes   int64
	Ledger  string // whose copy it is
	Entries int64
	Rows    int64     // of the audit
	Head    Head      // of the audit; the zero Head if it is empty
	At      time.Time // of that row
}

// ErrExists refuses to write a backup over a file.
var ErrExists = errors.New("is there already: nothing is written over, move it aside")

// Backup copies the ledger, as it is at one moment, to a file that is not there yet,
// also while a daemon writes it, in whichever container: to SQLite it is one more
// reader, and the daemon is not held up. Its write-ahead log grows meanwhile. The
// ledger is only read, and may be one that an older signoff has made. Neither what was
// erased nor unused room is in the copy, which takes as much disk as what is in use.
//
// The file is for its owner alone. It gets its name when it is whole, checked and on
// disk; until then it is .NAME.partial beside it, which is removed when that fails, or
// by the next backup there when the process was killed.
func Backup(ctx context.Context, ledger, file string) (_ Copy, err error) {
	path, err := sqlitePath(ledger)
	if err != nil {
		return Copy{}, err
	}
	if _, err := os.Stat(path); err != nil {
		return Copy{}, fmt.Errorf("ledger: nothing to back up: %w", err)
	}
	dir, err := lockFolder(filepath.Dir(file))
	if err != nil {
		return Copy{}, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	for _, name := range []string{file, file + "-wal", file + "-shm", file + "-journal"} { // of another ledger SQLite would take them for the copy's
		if _, err := os.Lstat(name); err == nil {
			return Copy{}, fmt.Errorf("%s: %w", name, ErrExists)
		}
	}
	partial := partialOf(file)
	if err := removePartials(partial); err != nil {
		return Copy{}, err
	}
	c, err := copyLedger(ctx, path, partial)
	if err == nil {
		err = os.Rename(partial, file)
	}
	if err == nil {
		err = dir.Sync()
	}
	if err != nil {
		return Copy{}, errors.Join(fmt.Errorf("back up %s: %w", path, err), removePartial(partial))
	}
	c.File = file
	return c, nil
}

// lockFolder keeps a second backup out of the folder: it would take what the first one
// is writing for left behind. Where the file system has no such lock, nothing does.
func lockFolder(path string) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("%s: another backup is being written there", path), dir.Close())
	}
	return dir, nil
}

func partialOf(file string) string {
	return filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".partial")
}

// removePartials removes what backups that were killed have left: of this file and,
// in the same folder, of those that are named by their time.
func removePartials(partial string) error {
	found, err := os.ReadDir(filepath.Dir(partial))
	if err != nil {
		return err
	}
	for _, f := range found {
		name := f.Name()
		if name == filepath.Base(partial) || datedPartial.MatchString(name) {
			if err := removePartial(filepath.Join(filepath.Dir(partial), name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// removePartial removes the journal as well, which SQLite has of what it writes.
func removePartial(path string) error {
	var errs []error
	for _, name := range []string{path, path + "-journal"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// copyLedger writes a copy, checks it and has it on disk.
func copyLedger(ctx context.Context, path, to string) (Copy, error) {
	from, err := openSQLite(ctx, path, copier)
	if err != nil && unix.Access(filepath.Dir(path), unix.W_OK) != nil {
		err = fmt.Errorf("%w: its folder cannot be written here, and while no daemon has the ledger open, SQLite makes files beside it: mount the volume for writing", err)
	}
	if err != nil {
		return Copy{}, err
	}
	defer func() { _ = from.Close() }()
	before, err := readHead(ctx, from)
	if err != nil {
		return Copy{}, fmt.Errorf("not a ledger: %w", err)
	}
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // SQLite would make it for everybody to read
	if err != nil {
		return Copy{}, err
	}
	if err := f.Close(); err != nil { // before SQLite takes its locks on it, which closing it would drop
		return Copy{}, err
	}
	if _, err := from.ExecContext(ctx, `VACUUM INTO $1`, to); err != nil {
		return Copy{}, roomNeeded(ctx, from, to, err)
	}
	if err := syncFile(to); err != nil {
		return Copy{}, err
	}
	c, err := checkCopy(ctx, to)
	if err != nil {
		return Copy{}, fmt.Errorf("the copy is not whole: %w", err)
	}
	return c, c.follows(ctx, from, before)
}

// roomNeeded adds to an error how much room the copy takes, if there is less.
func roomNeeded(ctx context.Context, from *sql.DB, to string, err error) error {
	var used int64
	var disk unix.Statfs_t
	if failed := from.QueryRowContext(ctx, `SELECT (pages.page_count - free.freelist_count) * size.page_size
		FROM pragma_page_count pages, pragma_freelist_count free, pragma_page_size size`).Scan(&used); failed != nil {
		return err
	}
	written, failed := os.Stat(to)
	if failed != nil || unix.Statfs(to, &disk) != nil {
		return err
	}
	if room := written.Size() + int64(disk.Bavail)*disk.Bsize; room < used {
		return fmt.Errorf("%w: %s has room for %d MiB, and the copy takes up to %d MiB: make room, or name another folder",
			err, filepath.Dir(to), room>>20, used>>20+1)
	}
	return err
}

// syncFile has on disk what SQLite wrote, which does not see to that for a copy.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// checkCopy reads all of a copy, and says what is in it.
func checkCopy(ctx context.Context, path string) (Copy, error) {
	var c Copy
	db, err := openSQLite(ctx, path, readers)
	if err != nil {
		return c, err
	}
	defer func() { _ = db.Close() }()
	var found string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&found); err != nil {
		return c, err
	}
	if found != "ok" {
		return c, errors.New(found)
	}
	var at int64
	if err := db.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM entries), (SELECT COUNT(*) FROM audit),
		COALESCE((SELECT value FROM facts WHERE name = 'ledger'), ''), COALESCE((SELECT at FROM audit ORDER BY seq DESC LIMIT 1), 0)`).
		Scan(&c.Entries, &c.Rows, &c.Ledger, &at); err != nil {
		return c, err
	}
	c.At = fromMicros(at)
	if c.Head, err = readHead(ctx, db); err != nil {
		return c, err
	}
	info, err := os.Stat(path)
	if err == nil {
		c.Bytes = info.Size()
	}
	return c, err
}

// follows says whether the copy's head is a row of the ledger, and not before the one
// that was its head when the copy was begun.
func (c Copy) follows(ctx context.Context, from querier, before Head) error {
	if c.Head.Seq < before.Seq {
		return fmt.Errorf("the copy is not whole: its audit ends with row %d, and that of the ledger had row %d already", c.Head.Seq, before.Seq)
	}
	if c.Head.Seq == 0 {
		return nil
	}
	var hash string
	err := from.QueryRowContext(ctx, `SELECT hash FROM audit WHERE seq = $1`, c.Head.Seq).Scan(&hash)
	switch {
	case err != nil:
		return fmt.Errorf("audit row %d of the ledger, which the copy ends with: %w", c.Head.Seq, err)
	case hash != c.Head.Hash:
		return fmt.Errorf("the copy is not whole: its audit ends with row %d of another hash than the ledger's", c.Head.Seq)
	}
	return nil
}

const datedName = "ledger-20060102T150405Z.db"

var (
	dated        = regexp.MustCompile(`^ledger-\d{8}T\d{6}Z\.db$`)
	datedPartial = regexp.MustCompile(`^\.ledger-\d{8}T\d{6}Z\.db\.partial(-journal)?$`)
)

// DatedBackup is the name of a backup that was begun at a time.
func DatedBackup(at time.Time) string { return at.UTC().Format(datedName) }

// PruneBackups deletes all but so many of the backups in a folder that are named by
// their time: c, which was just made there, and the newest of the others by name. It
// returns the names of those it deleted. A ledger that is in use under such a name stays.
func PruneBackups(dir, ledger string, c Copy, keep int) ([]string, error) {
	path, err := sqlitePath(ledger)
	if err != nil {
		return nil, err
	}
	live, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	found, err := os.ReadDir(dir) // by name, which is by age
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range found {
		info, err := f.Info()
		if err == nil && info.Mode().IsRegular() && dated.MatchString(f.Name()) && !os.SameFile(info, live) && f.Name() != filepath.Base(c.File) { // c may have another clock's time
			names = append(names, f.Name())
		}
	}
	names = names[:max(0, len(names)-(keep-1))]
	for i, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return slices.Clip(names[:i]), err
		}
	}
	return names, nil
}
