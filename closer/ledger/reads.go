package ledger

import (
	"context"
	"database/sql"
	"sync"
)

// reads is the readers' connections. It keeps what it has prepared: a query is parsed
// once for each connection, not each time that a loop turns.
type reads struct {
	*sql.DB
	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

// mostKept is how many statements are kept. The ledger has fewer queries than that,
// but for those that are made of how many things are asked for.
const mostKept = 300

func newReads(db *sql.DB) *reads { return &reads{DB: db, stmts: make(map[string]*sql.Stmt)} }

// QueryContext is that of sql.DB.
func (r *reads) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := r.prepared(ctx, query) //nolint:sqlclosecheck // it is kept
	if err != nil {
		return nil, err
	}
	if s == nil {
		return r.DB.QueryContext(ctx, query, args...)
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext is that of sql.DB.
func (r *reads) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := r.prepared(ctx, query) //nolint:sqlclosecheck // it is kept
	if err != nil || s == nil {      // which says what is wrong
		return r.DB.QueryRowContext(ctx, query, args...)
	}
	return s.QueryRowContext(ctx, args...)
}

// eachRow hands over each row of a query.
func eachRow(ctx context.Context, q querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// prepared is the query's statement; nil if no more are kept.
func (r *reads) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	r.mu.Lock()
	s, ok := r.stmts[query]
	full := len(r.stmts) >= mostKept
	r.mu.Unlock()
	if ok || full {
		return s, nil
	}
	s, err := r.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first, ok := r.stmts[query]; ok { // somebody was quicker
		return first, s.Close()
	}
	r.stmts[query] = s
	return s, nil
}
