package console

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// PlanAt says what would be closed at a time, in all accounts or in one.
func (c *Client) PlanAt(ctx context.Context, at time.Time, account string) ([]Plan, error) {
	var said struct {
		Plans []Plan `json:"plans"`
	}
	body, err := json.Marshal(map[string]any{"at": at, "account": account})
	if err == nil {
		err = c.do(ctx, http.MethodPost, "/api/v1/plan", body, &said)
	}
	return said.Plans, err
}

// ApprovePlan is a yes to the plan of a time to come, in the name of the token's
// owner: a hold, open still if others must approve it, too.
func (c *Client) ApprovePlan(ctx context.Context, a PlanApproval) (h Hold, err error) {
	asked := struct {
		PlanApproval
		For string `json:"for,omitempty"`
	}{PlanApproval: a}
	if a.For > 0 {
		asked.For = a.For.String()
	}
	body, err := json.Marshal(asked)
	if err == nil {
		err = c.do(ctx, http.MethodPost, "/api/v1/plan/approve", body, &h)
	}
	return h, err
}
