package console

import (
	"context"
	"encoding/json"
	"net/http"
)

// Explain tells the story of a leaver or an event.
func (c *Client) Explain(ctx context.Context, ask Question) (Story, error) {
	var s Story
	body, err := json.Marshal(ask)
	if err == nil {
		err = c.do(ctx, http.MethodPost, "/api/v1/explain", body, &s)
	}
	return s, err
}
