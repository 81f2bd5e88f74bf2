// Package ledger is the durable record of every termination received and of
// what became of it. It is signoff's only memory, and the only place where its
// loops meet: sources write rows, the closer moves rows, people mark rows.
//
// What was recorded survives kill -9 at any instruction. An entry is written
// before its source is acknowledged, and moves by the rules of its states:
//
//	waiting → due → submitted → closed | already_closed | not_found | failed, by way of held if guard says so
//
// An intent is written before the deed: an entry is submitted in the ledger
// before Docusign hears of it, so that after a crash its outcome is looked up
// and never blindly sent again.
//
// Every step is appended to a hash chain, in the transaction that takes it. Emails,
// names and the words of people stand beside it, where they are erased in time.
package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"signoff/consumer"
)

// Config says where the ledger is and how it dates what it records.
type Config struct {
	URL    string        // sqlite:///var/lib/signoff/ledger.db
	Grace  time.Duration // from the effective time until an entry is due
	MaxAge time.Duration // older news than this is stale; 0: none is
	Watch  time.Duration // how long a closed leaver is looked for again; 0: never

	// Rescinders says whether one source may take back what another announced; of
	// the keys only Origin and Source count. A source may always take back what it
	// announced itself. Nil: no other may.
	Rescinders func(announced, by consumer.Key) bool

	Sources []string // that should be heard from, by their CloudEvents source
}

// Observe is told what was recorded and how the ledger fared. Nil functions
// are not called.
type Observe struct {
	Received func(source consumer.Source, result string, n int) // result: recorded, duplicate or rejected
	Rejected func(reason consumer.Reason)
	Notice   func(delay time.Duration, traceID string) // from effective to received, of a leaving not known before
	Write    func(took time.Duration)                  // a transaction was written
	Failed   func(err error)                           // a transaction was not

	// An event was recorded; entry is 0 for one that speaks of nobody who is known.
	Heard func(kind consumer.Kind, entry int64, traceID string)

	// A reject was made of what came in.
	Kept func(reject int64, r consumer.Reject)

	// An entry of the account, "" if it was in none yet, was cancelled. What is
	// cancelled once its close has come to nothing is returned by SettleBatch.
	Cancelled func(account string)

	// A termination takes effect so much later that its date may be a slip.
	FarAhead func(entry int64, effectiveAt time.Time)

	// A rescind or rehire from this topic or endpoint speaks of nobody who is known:
	// the termination is still to come, or somebody mistyped whom it is about.
	Unmatched func(kind consumer.Kind, origin string, auditRow int64)
}

// Ledger is an open ledger. Its methods may be called from many goroutines.
type Ledger struct {
	cfg     Config
	observe Observe
	read    *reads    // many readers, who never wait for the writer
	db      *sql.DB   // of the writer's connection
	conn    *sql.Conn // the writer's own
	stmts   map[string]*sql.Stmt
	lock    *lock // nil in a ledger opened for reading
	writes  chan *write
	stop    chan struct{}
	stopped sync.WaitGroup
	closed  sync.Once
	hearing sync.Mutex
	heard   map[string]time.Time // the sources of the config and when they were heard from
}

var _ consumer.Recorder = (*Ledger)(nil)

var (
	// ErrReadOnly refuses a change to a ledger that was opened for reading.
	ErrReadOnly = errors.New("the ledger is open for reading only")

	errClosed = errors.New("the ledger is closed")
)

// A write waits for the writer, which carries out all that wait in one
// transaction: what they pay together is one fsync.
type write struct {
	do   func(*tx) error
	done chan error
}

const maxWritesTogether = 256

// Open opens the ledger for writing, alone: a second process is refused. It
// makes the file if there is none, and brings its schema up to date.
func Open(ctx context.Context, cfg Config, observe Observe) (*Ledger, error) {
	path, err := sqlitePath(cfg.URL)
	if err != nil {
		return nil, err
	}
	if err := refuseNetwork(path); err != nil {
		return nil, err
	}
	held, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	l, err := open(ctx, cfg, observe, path)
	if err != nil {
		return nil, errors.Join(err, held.release())
	}
	l.lock = held
	return l, nil
}

// OpenReadOnly opens a ledger to look at, also while a daemon writes it. ErrOlder
// refuses one that no daemon of this version has opened yet.
func OpenReadOnly(ctx context.Context, cfg Config) (*Ledger, error) {
	path, err := sqlitePath(cfg.URL)
	if err != nil {
		return nil, err
	}
	read, err := openSQLite(ctx, path, readers)
	if err != nil {
		return nil, err
	}
	l := &Ledger{cfg: cfg, read: newReads(read)}
	err = checkSchema(ctx, read)
	if err == nil {
		err = upToDate(ctx, read)
	}
	if err != nil {
		return nil, errors.Join(err, read.Close())
	}
	return l, nil
}

func open(ctx context.Context, cfg Config, observe Observe, path string) (*Ledger, error) {
	db, err := openSQLite(ctx, path, writer)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ledger %s: %w", path, err), db.Close())
	}
	l := &Ledger{
		cfg: cfg, observe: observe, db: db, conn: conn, stmts: make(map[string]*sql.Stmt),
		writes: make(chan *write, maxWritesTogether), stop: make(chan struct{}),
	}
	if err := migrate(ctx, conn); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger %s: %w", path, err), conn.Close(), db.Close())
	}
	read, err := openSQLite(ctx, path, readers)
	if err != nil {
		return nil, errors.Join(err, conn.Close(), db.Close())
	}
	l.read = newReads(read)
	l.stopped.Go(l.writer)
	for _, step := range []func(context.Context) error{l.nameLeavers, l.nameSources} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("ledger %s: %w", path, err), l.shut())
		}
	}
	return l, nil
}

// Close waits for the writes that were begun, and closes the ledger. Once more
// is no error.
func (l *Ledger) Close() error {
	var err error
	l.closed.Do(func() { err = l.shut() })
	return err
}

func (l *Ledger) shut() error {
	if l.conn == nil {
		return l.read.Close()
	}
	close(l.stop)
	l.stopped.Wait()
	errs := []error{l.read.Close()}
	for _, s := range l.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, l.conn.Close(), l.db.Close(), l.lock.release())...)
}

// write carries do out in a transaction that others may share, and returns nil
// once it is on disk. An error of do undoes what do wrote and nothing else.
func (l *Ledger) write(ctx context.Context, do func(*tx) error) error {
	if l.conn == nil {
		return ErrReadOnly
	}
	w := &write{do: do, done: make(chan error, 1)}
	select {
	case l.writes <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.stop:
		return errClosed
	}
	select {
	case err := <-w.done: // not ctx: what was handed over may be on disk, and the caller must know
		return err
	case <-l.stop:
	}
	l.stopped.Wait()
	select {
	case err := <-w.done:
		return err
	default:
		return errClosed
	}
}

func (l *Ledger) writer() {
	for {
		select {
		case <-l.stop:
			return
		case w := <-l.writes:
			together := []*write{w}
			for len(together) < maxWritesTogether && len(l.writes) > 0 {
				together = append(together, <-l.writes)
			}
			l.commit(together)
		}
	}
}

// commit carries the writes out in one transaction. Each has a savepoint of
// its own: what one of them may not do leaves the others alone.
func (l *Ledger) commit(together []*write) {
	began := time.Now()
	results := make([]error, len(together))
	err := l.transaction(func(t *tx) error {
		for i, w := range together {
			before, later := t.head, len(t.after)
			if err := t.exec(`SAVEPOINT one`); err != nil {
				return err
			}
			results[i] = w.do(t)
			if results[i] != nil {
				t.head, t.after = before, t.after[:later]
				if err := t.exec(`ROLLBACK TO SAVEPOINT one`); err != nil {
					return errors.Join(results[i], err) // the database gave the transaction up itself
				}
			}
			if err := t.exec(`RELEASE SAVEPOINT one`); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		if l.observe.Failed != nil {
			l.observe.Failed(err)
		}
	} else if l.observe.Write != nil {
		l.observe.Write(time.Since(began))
	}
	for i, w := range together {
		if err != nil {
			results[i] = fmt.Errorf("ledger: %w", err)
		}
		w.done <- results[i]
	}
}

func (l *Ledger) transaction(do func(*tx) error) error {
	// A transaction is not ended by the context of one of those who share it.
	ctx := context.Background()
	t := &tx{ctx: ctx, ledger: l, conn: l.conn, now: time.Now().UTC()}
	if err := t.exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	err := do(t)
	if err == nil {
		if err = t.exec(`COMMIT`); err == nil {
			for _, do := range t.after {
				do()
			}
			return nil
		}
	}
	return errors.Join(err, t.exec(`ROLLBACK`))
}

// tx is a transaction under way.
type tx struct {
	ctx    context.Context
	ledger *Ledger
	conn   *sql.Conn
	now    time.Time // when the transaction began, for rows that say when they were written
	head   *Head     // end of the audit chain, nil until read
	after  []func()  // to be done once it is on disk
}

func (t *tx) afterwards(do func()) { t.after = append(t.after, do) }

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func (t *tx) prepared(query string) (*sql.Stmt, error) {
	if s, ok := t.ledger.stmts[query]; ok {
		return s, nil
	}
	s, err := t.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare %.40q: %w", query, err)
	}
	t.ledger.stmts[query] = s
	return s, nil
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.changed(query, args...)
	return err
}

// changed executes a statement and returns how many rows it changed.
func (t *tx) changed(query string, args ...any) (int64, error) {
	s, err := t.prepared(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// one scans the only row of a query; sql.ErrNoRows if there is none.
func (t *tx) one(query string, args []any, into ...any) error {
	s, err := t.prepared(query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(t.ctx, args...).Scan(into...)
}

// nextID is the id for a new row of a table that numbers its rows.
func (t *tx) nextID(table string) (int64, error) {
	var id int64
	err := t.one(`SELECT COALESCE(MAX(id), 0) + 1 FROM `+table, nil, &id)
	return id, err
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
