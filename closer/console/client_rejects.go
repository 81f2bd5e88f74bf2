package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"signoff/closer/ledger"
)

// Rejects returns a page of rejects, the newest first.
func (c *Client) Rejects(ctx context.Context, f ledger.RejectFilter) (Rejects, error) {
	q := url.Values{}
	for name, value := range map[string]string{
		"state": string(f.State), "reason": string(f.Reason), "source": string(f.Via), "origin": f.Origin,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Before != 0 {
		q.Set("before", strconv.FormatInt(f.Before, 10))
	}
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	var page Rejects
	err := c.get(ctx, "/api/v1/rejects", q, &page)
	return page, err
}

// ShowReject returns one reject, with its payload if the token is an operator's.
func (c *Client) ShowReject(ctx context.Context, id int64) (Reject, error) {
	var r Reject
	err := c.do(ctx, http.MethodGet, fmt.Sprintf("/api/v1/rejects/%d", id), nil, &r)
	return r, err
}

// ReplayRejects has the daemon read rejects anew, in the name of the token's owner.
// The answer says how to go on if these were not all.
func (c *Client) ReplayRejects(ctx context.Context, which Replay) (Replayed, error) {
	var done Replayed
	body, err := json.Marshal(which)
	if err == nil {
		err = c.do(ctx, http.MethodPost, "/api/v1/rejects/replay", body, &done)
	}
	return done, err
}

// DiscardReject settles a reject of which nothing is to come, for a reason.
func (c *Client) DiscardReject(ctx context.Context, id int64, reason string) (Reject, error) {
	var r Reject
	body, err := json.Marshal(map[string]string{"reason": reason})
	if err == nil {
		err = c.do(ctx, http.MethodPost, fmt.Sprintf("/api/v1/rejects/%d/discard", id), body, &r)
	}
	return r, err
}

// ReplayReject has the daemon read one reject anew, in the name of the token's owner.
// What is returned is open still if it was not understood this time either.
func (c *Client) ReplayReject(ctx context.Context, id int64) (Reject, error) {
	var r Reject
	err := c.do(ctx, http.MethodPost, fmt.Sprintf("/api/v1/rejects/%d/replay", id), nil, &r)
	return r, err
}
