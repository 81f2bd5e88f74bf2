package console

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Report returns what became of everybody whose leaving took effect from since
// until, without, until.
func (c *Client) Report(ctx context.Context, since, until time.Time) (Report, error) {
	var r Report
	query := url.Values{"since": {since.Format(time.RFC3339Nano)}, "until": {until.Format(time.RFC3339Nano)}}
	err := c.do(ctx, http.MethodGet, "/api/v1/report?"+query.Encode(), nil, &r)
	return r, err
}
