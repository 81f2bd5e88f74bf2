package console

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// Report returns what became of everybody whose leaving took effect from since
// until, without, until.
func (c *Client) Report(ctx context.Context, since, until time.Time) (Report, error) {
	return c.ShortReport(ctx, since, until, 0)
}

// ShortReport returns a report that has, of each of its lists, no more than so many rows;
// 0: all of them.
func (c *Client) ShortReport(ctx context.Context, since, until time.Time, rows int) (Report, error) {
	var r Report
	query := url.Values{"since": {since.Format(time.RFC3339Nano)}, "until": {until.Format(time.RFC3339Nano)}}
	if rows > 0 {
		query.Set("rows", strconv.Itoa(rows))
	}
	err := c.get(ctx, "/api/v1/report", query, &r)
	return r, err
}
