// Package ledgertest fills a ledger with many leavers, for tests of how fast it is read.
package ledgertest

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"time"
)

//go:embed fill.sql
var fill string

// Accounts are those that the leavers are in.
var Accounts = []string{"11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222", "33333333-3333-3333-3333-333333333333"}

// Fill adds leavers to the ledger of this file, which has none: most of them closed in
// the last 30 days, and some in every other state, a twentieth in one hold. What there is
// of each is as it would be had they come and gone one after the other, but for the
// audit: its chain does not hold.
func Fill(ctx context.Context, path string, leavers int, now time.Time) (err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	for _, statement := range []struct {
		text string
		args []any
	}{
		{`CREATE TEMP TABLE fill (n BIGINT NOT NULL, now BIGINT NOT NULL)`, nil},
		{`INSERT INTO fill VALUES ($1, $2)`, []any{leavers, now.UnixMicro()}},
		{fill, nil},
	} {
		if _, err := db.ExecContext(ctx, statement.text, statement.args...); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	return nil
}
