package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// Overview returns how things stand; rng is one of Ranges, "" is that of a day.
func (c *Client) Overview(ctx context.Context, rng string) (Overview, error) {
	var o Overview
	q := url.Values{}
	if rng != "" {
		q.Set("range", rng)
	}
	err := c.get(ctx, "/api/v1/overview", q, &o)
	return o, err
}

// Leavers returns a page of leavers. A text goes in a body: it may be an address.
func (c *Client) Leavers(ctx context.Context, f LeaverFilter) (Leavers, error) {
	var page Leavers
	if f.Text == "" {
		err := c.get(ctx, "/api/v1/leavers", f.Query(), &page)
		return page, err
	}
	body, err := json.Marshal(f)
	if err == nil {
		err = c.do(ctx, http.MethodPost, "/api/v1/leavers/search", body, &page)
	}
	return page, err
}

// ListHolds returns a page of holds.
func (c *Client) ListHolds(ctx context.Context, f HoldFilter) (HoldsPage, error) {
	var page HoldsPage
	err := c.get(ctx, "/api/v1/holds", f.Query(), &page)
	return page, err
}

// Query is the filter as a query has it.
func (f HoldFilter) Query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"state": f.State, "kind": f.Kind, "ahead": f.Ahead} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Brief {
		q.Set("brief", "true")
	}
	if f.Before != 0 {
		q.Set("before", strconv.FormatInt(f.Before, 10))
	}
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}
