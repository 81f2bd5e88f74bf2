package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
)

// AnswerError is a refusal by a daemon, as against a failure to reach one.
type AnswerError struct {
	Status int    // HTTP status
	Detail string // in the daemon's words
	advice string // what to do about it; "": Detail says it
}

func (e *AnswerError) Error() string { return e.advice + e.Detail }

// refused makes an error of an answer other than 200: of the daemon, or of
// whoever answers in its place.
func (c *Client) refused(path string, resp *http.Response, text []byte) error {
	var p struct {
		Detail string `json:"detail"`
	}
	switch {
	case json.Unmarshal(text, &p) == nil && p.Detail != "":
		return &AnswerError{resp.StatusCode, p.Detail, c.advice(resp.StatusCode)}
	case resp.StatusCode == http.StatusBadRequest && strings.Contains(string(text), "HTTP request to an HTTPS server"):
		return fmt.Errorf("--url: %s: https is spoken there: use https://", c.shown)
	}
	return fmt.Errorf("--url: %s%s: %s: not the answer of a signoff", c.shown, path, resp.Status)
}

func (c *Client) advice(status int) string {
	switch {
	case status == http.StatusUnauthorized && c.token == "":
		return "--token-file: none is given: "
	case status == http.StatusUnauthorized:
		return "--token-file: the daemon does not know this token: "
	case status == http.StatusForbidden && c.token != "":
		return "--token-file: this token may not do it: "
	}
	return ""
}

// unreached says what to do about an answer that did not come.
func (c *Client) unreached(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("--url: %s: https is not spoken there: use http://", c.shown)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("--url: %s: %w: is the daemon running?", c.shown, syscall.ECONNREFUSED)
	}
	return fmt.Errorf("--url: %w", err)
}
