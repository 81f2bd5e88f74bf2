package console

import (
	"context"
	"encoding/json"
	"net/http"
)

// Reconcile holds lists of HR against the ledger and Docusign, and changes nothing.
func (c *Client) Reconcile(ctx context.Context, asked Lists) (Reconciliation, error) {
	var r Reconciliation
	body, err := json.Marshal(asked)
	if err == nil {
		err = c.do(ctx, http.MethodPost, "/api/v1/reconcile", body, &r)
	}
	return r, err
}
