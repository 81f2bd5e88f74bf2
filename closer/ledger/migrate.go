package ledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// Migrations only add: tables, columns with a default, indexes. So a ledger
// that a newer signoff has used is still understood by one that is a minor
// version older, and an upgrade can be taken back.
//
//go:embed migrations/*.sql
var migrations embed.FS

// minor is the minor version of signoff that these migrations belong to. Each
// migration is stored with it, and a signoff older by more than one refuses
// the ledger.
const minor = 6

type migration struct {
	version int
	name    string
	sql     string
}

func known() ([]migration, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql") // sorted by name
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, f := range files {
		text, err := migrations.ReadFile(f)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(f, "migrations/"), ".sql")
		all = append(all, migration{i + 1, name, string(text)})
	}
	return all, nil
}

// ErrOlder refuses to look into a ledger that lacks what this version looks at.
var ErrOlder = errors.New("made by an older signoff, and not brought up to date yet: that is done when signoff run starts")

func upToDate(ctx context.Context, q querier) error {
	all, err := known()
	if err != nil {
		return err
	}
	var applied int
	if err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM migrations`).Scan(&applied); err != nil {
		return err
	}
	if applied < len(all) {
		return ErrOlder
	}
	return nil
}

// migrate brings the schema up to date, each step in a transaction of its own.
func migrate(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (
		version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, minor INTEGER NOT NULL, applied_at BIGINT NOT NULL)`); err != nil {
		return err
	}
	if err := checkSchema(ctx, conn); err != nil {
		return err
	}
	all, err := known()
	if err != nil {
		return err
	}
	var applied int
	if err := conn.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM migrations`).Scan(&applied); err != nil {
		return err
	}
	for _, m := range all[min(applied, len(all)):] {
		if err := m.apply(ctx, conn); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
	}
	// The ledger's own id: what belongs to this ledger and to no other is told by it.
	_, err = conn.ExecContext(ctx, `INSERT INTO facts (name, value) VALUES ('ledger', $1) ON CONFLICT (name) DO NOTHING`,
		strings.ToLower(rand.Text()))
	return err
}

func (m migration) apply(ctx context.Context, conn *sql.Conn) error {
	t, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, m.sql); err != nil {
		return errors.Join(err, t.Rollback())
	}
	if _, err := t.ExecContext(ctx, `INSERT INTO migrations (version, name, minor, applied_at) VALUES ($1, $2, $3, $4)`,
		m.version, m.name, minor, time.Now().UnixMicro()); err != nil {
		return errors.Join(err, t.Rollback())
	}
	return t.Commit()
}

// checkSchema refuses a ledger that a signoff more than one minor version newer
// has changed.
func checkSchema(ctx context.Context, q querier) error {
	var newest int
	if err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(minor), 0) FROM migrations`).Scan(&newest); err != nil {
		return err
	}
	if newest > minor+1 {
		return fmt.Errorf("schema: changed by signoff 0.%d, and this is 0.%d, which understands the ledgers of up to 0.%d: use a newer signoff",
			newest, minor, minor+1)
	}
	return nil
}
