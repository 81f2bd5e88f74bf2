package ledger

import (
	"context"
	"fmt"
	"time"
)

// Subscribe returns how far a sink has published. One that has never published
// begins behind all that is there: what happened before anybody asked for it is
// not news.
func (l *Ledger) Subscribe(ctx context.Context, sink string) (after int64, err error) {
	err = l.write(ctx, func(t *tx) error {
		head, err := readHead(t.ctx, t.conn)
		if err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO cursors (sink, seq, moved_at) VALUES ($1, $2, $3) ON CONFLICT (sink) DO NOTHING`,
			sink, head.Seq, micros(t.now)); err != nil {
			return err
		}
		return t.one(`SELECT seq FROM cursors WHERE sink = $1`, []any{sink}, &after)
	})
	return after, err
}

// Published notes that a sink has published everything up to a row.
func (l *Ledger) Published(ctx context.Context, sink string, upTo int64) error {
	return l.write(ctx, func(t *tx) error {
		n, err := t.changed(`UPDATE cursors SET seq = $2, moved_at = $3 WHERE sink = $1 AND seq <= $2`, sink, upTo, micros(t.now))
		if err == nil && n == 0 {
			err = fmt.Errorf("sink %s: it has published more than row %d, or never subscribed", sink, upTo)
		}
		return err
	})
}

// Unpublished is what a sink has not published yet.
type Unpublished struct {
	Rows   int       // a few of which may turn out to be nobody's business
	Oldest time.Time // when the oldest was written; zero: there is none
}

// unpublished counts for every sink that has ever published.
func (l *Ledger) unpublished(ctx context.Context) (map[string]Unpublished, error) {
	all := make(map[string]Unpublished)
	rows, err := l.read.QueryContext(ctx, `SELECT c.sink, (SELECT COUNT(*) FROM audit WHERE seq > c.seq AND `+outcomeActions+`),
		COALESCE((SELECT at FROM audit WHERE seq > c.seq AND `+outcomeActions+` ORDER BY seq LIMIT 1), 0) FROM cursors c`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var sink string
		var u Unpublished
		var oldest int64
		if err := rows.Scan(&sink, &u.Rows, &oldest); err != nil {
			return nil, err
		}
		u.Oldest = fromMicros(oldest)
		all[sink] = u
	}
	return all, rows.Err()
}
