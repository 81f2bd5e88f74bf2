package console

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Client speaks to the admin API of a daemon.
type Client struct {
	base  string
	shown string // base, as errors show it
	token string
	http  *http.Client

	password bool // base has a user
	cert     bool // a certificate is shown where one is asked for
	inside   bool // it is a page's: there are no flags to give advice on
}

// NewClient makes a client for the admin listener at base; token may be "".
// Only https is spoken with a token or a password, except to this machine.
func NewClient(base, token string) (*Client, error) { return NewTLSClient(base, token, nil) }

// NewTLSClient is NewClient with whom to trust, and the certificate to show; nil: whom
// the system trusts, and none.
func NewTLSClient(base, token string, by *tls.Config) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("--url: not a URL such as http://127.0.0.1:9090") // not quoted: it may have a password
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && (token != "" || u.User != nil) && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("--url: %q: a token or a password goes over https, or to this machine", u.Redacted())
	}
	client := &http.Client{Timeout: planAtMost, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // it may lead the token away from https
	}}
	if by != nil {
		transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
		transport.TLSClientConfig = by
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetHTTP1(true) // over HTTP/2, why a certificate is refused gets lost
		client.Transport = transport
	}
	return &Client{base: strings.TrimRight(base, "/"), shown: strings.TrimRight(u.Redacted(), "/"), token: token,
		password: u.User != nil, cert: by != nil && len(by.Certificates) > 0, http: client}, nil
}

// Holds returns the open holds, the oldest first.
func (c *Client) Holds(ctx context.Context) ([]Hold, error) {
	page, err := c.ListHolds(ctx, HoldFilter{})
	return page.Holds, err
}

// Hold returns one hold.
func (c *Client) Hold(ctx context.Context, id int64) (Hold, error) {
	var h Hold
	err := c.do(ctx, http.MethodGet, fmt.Sprintf("/api/v1/holds/%d", id), nil, &h)
	return h, err
}

// Approve is a yes to a hold, in the name of the token's owner. What it is about
// is returned: the hold or, if only a part of it is meant, what became of that.
func (c *Client) Approve(ctx context.Context, id int64, v Verdict) (Hold, error) {
	return c.decide(ctx, id, "approve", v)
}

// Reject leaves the people of a hold open, for a reason.
func (c *Client) Reject(ctx context.Context, id int64, v Verdict) (Hold, error) {
	return c.decide(ctx, id, "reject", v)
}

func (c *Client) decide(ctx context.Context, id int64, what string, v Verdict) (h Hold, err error) {
	body, err := json.Marshal(v)
	if err == nil {
		err = c.do(ctx, http.MethodPost, fmt.Sprintf("/api/v1/holds/%d/%s", id, what), body, &h)
	}
	return h, err
}

// Freezes returns the freezes in force.
func (c *Client) Freezes(ctx context.Context) ([]Freeze, error) {
	var list struct {
		Freezes []Freeze `json:"freezes"`
	}
	err := c.do(ctx, http.MethodGet, "/api/v1/freezes", nil, &list)
	return list.Freezes, err
}

// Freeze begins a freeze, in the name of the token's owner.
func (c *Client) Freeze(ctx context.Context, n NewFreeze) (f Freeze, err error) {
	body, err := json.Marshal(n)
	if err == nil {
		err = c.do(ctx, http.MethodPost, "/api/v1/freezes", body, &f)
	}
	return f, err
}

// EndFreeze ends a freeze before its time.
func (c *Client) EndFreeze(ctx context.Context, id int64, reason string) error {
	body, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, fmt.Sprintf("/api/v1/freezes/%d/end", id), body, &struct{}{})
}

// Preview says what would become of these people, and changes nothing.
func (c *Client) Preview(ctx context.Context, emails []string) ([]Planned, error) {
	var said struct {
		Plan []Planned `json:"plan"`
	}
	body, err := json.Marshal(map[string]any{"emails": emails})
	if err == nil {
		err = c.do(ctx, http.MethodPost, "/api/v1/leavers/plan", body, &said)
	}
	return said.Plan, err
}

// Take has the daemon record that these people left; ErrMode if nobody is
// closed by it.
func (c *Client) Take(ctx context.Context, t Take) error {
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	err = c.do(ctx, http.MethodPost, "/api/v1/leavers", body, &struct{}{})
	if refused, ok := errors.AsType[*AnswerError](err); ok && refused.Detail == ErrMode.Error() {
		return ErrMode
	}
	return err
}

// Follow says how far the people of a file are.
func (c *Client) Follow(ctx context.Context, file string) (Progress, error) {
	var p Progress
	err := c.do(ctx, http.MethodGet, "/api/v1/leavers/"+url.PathEscape(file), nil, &p)
	return p, err
}

func (c *Client) get(ctx context.Context, path string, q url.Values, into any) error {
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, into)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreached(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 256<<20))
	if err != nil {
		return c.unreached(err)
	}
	if resp.StatusCode != http.StatusOK {
		return c.refused(path, resp, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("--url: %s%s: not the answer of a signoff: %w", c.shown, path, err)
	}
	return nil
}
