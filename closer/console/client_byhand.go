package console

import (
	"context"
	"encoding/json"
	"net/http"
)

// Defer closes a leaver not before said.Until, in the name of the token's owner.
func (c *Client) Defer(ctx context.Context, said ByHand) (Moved, error) {
	return c.byHand(ctx, "defer", said)
}

// Urgent closes a leaver at once, ahead of the leaving day as well.
func (c *Client) Urgent(ctx context.Context, said ByHand) (Moved, error) {
	return c.byHand(ctx, "urgent", said)
}

// Skip leaves a leaver open.
func (c *Client) Skip(ctx context.Context, said ByHand) (Moved, error) {
	return c.byHand(ctx, "skip", said)
}

// Retry tries a leaver again who was not closed.
func (c *Client) Retry(ctx context.Context, said ByHand) (Moved, error) {
	return c.byHand(ctx, "retry", said)
}

func (c *Client) byHand(ctx context.Context, what string, said ByHand) (Moved, error) {
	var m Moved
	body, err := json.Marshal(said)
	if err == nil {
		err = c.do(ctx, http.MethodPost, "/api/v1/leavers/"+what, body, &m)
	}
	return m, err
}
