package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver "sqlite": pure Go, so that signoff stays one static binary
)

// sqlitePath is the file of a ledger URL, with its links resolved: two names of
// one file are one ledger.
func sqlitePath(ledger string) (string, error) {
	path, ok := strings.CutPrefix(ledger, "sqlite://")
	if !ok || path == "" {
		return "", fmt.Errorf("ledger: %q: not supported yet, only sqlite:///path/to/ledger.db", ledger)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("ledger: %w", err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("ledger: the folder of the file must exist: %w", err)
	}
	path = filepath.Join(dir, filepath.Base(path))
	file, err := filepath.EvalSymlinks(path)
	if err == nil {
		return file, nil
	}
	if _, err := os.Lstat(path); err == nil { // the file it would make has another name
		return "", fmt.Errorf("ledger %s: a link that leads to no file", path)
	}
	return path, nil
}

type role string

const (
	writer  role = "writer"
	readers role = "readers"
	copier  role = "copier" // a reader that writes another file
)

// busyTimeout is how long one connection waits for another.
const busyTimeout = 10 * time.Second

func openSQLite(ctx context.Context, path string, as role) (*sql.DB, error) {
	q := url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "foreign_keys(0)"}}
	if as == writer {
		// FULL: a commit is on the disk before it returns, also through a power cut.
		// secure_delete: what is erased is not left in the pages of the file.
		q["_pragma"] = append(q["_pragma"], "journal_mode(WAL)", "synchronous(FULL)", "secure_delete(1)")
	} else {
		q.Set("mode", "ro")
	}
	if as == readers { // to a copier it would refuse the copy as well
		q["_pragma"] = append(q["_pragma"], "query_only(1)")
	}
	if as == writer { // which has emails in it: for nobody else to read
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	if as == writer {
		db.SetMaxOpenConns(1)
	} else {
		db.SetMaxOpenConns(4)
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger %s: %w", path, err), db.Close())
	}
	return db, nil
}

// lock is held by the one process that may write the ledger. It stands beside
// the file and not on it, since closing any descriptor of the file itself
// would drop SQLite's own locks.
type lock struct{ file *os.File }

func takeLock(path string) (*lock, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := f.ReadAt(holder, 0)
		_ = f.Close()
		return nil, fmt.Errorf("ledger %s: in use by another signoff (process %s): stop it first, or speak to it with --url",
			path, strings.TrimSpace(string(holder[:n])))
	}
	// Who holds it is a help to people; the lock itself is the kernel's.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(fmt.Sprintf("%d\n", os.Getpid())), 0)
	}
	return &lock{f}, nil
}

func (l *lock) release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// networks are the file systems on which SQLite's write-ahead log is not safe,
// since their clients do not share memory or do not keep locks; by the type
// that statfs(2) names.
var networks = map[int64]string{
	0x6969:     "nfs",
	0xff534d42: "cifs",
	0xfe534d42: "smb2",
	0x517b:     "smb",
	0x01021997: "9p",
	0x00c36400: "ceph",
	0x5346414f: "afs",
	0x6b414653: "afs",
	0x73757245: "coda",
	0x0bd00bd0: "lustre",
	0x47504653: "gpfs",
	0x01161970: "gfs2",
	0x7461636f: "ocfs2",
	0x19830326: "beegfs",
	0x65735546: "fuse",
	0x786f4256: "vboxsf",
}

// refuseNetwork returns an error that names the file system if the ledger's
// folder is on a network one.
func refuseNetwork(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &st); err != nil {
		return fmt.Errorf("ledger %s: %w", path, err)
	}
	return refuseType(path, int64(st.Type)&0xffffffff) //nolint:unconvert // an int32 on other platforms
}

func refuseType(path string, magic int64) error {
	if name, ok := networks[magic]; ok {
		return fmt.Errorf("ledger %s: on a network file system (%s), where SQLite can lose what it wrote: use a local disk or a block volume",
			path, name)
	}
	return nil
}
