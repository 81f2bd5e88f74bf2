// Package docusign asks Docusign who its users are, closes them and opens them again.
//
// It promises, of every call:
//
//   - Nothing is taken for done that Docusign did not say. A close whose answer
//     did not come whole, or makes no sense, is Unknown; CloseUsers answers user
//     by user, and says nothing of those whom the answer does not mention.
//   - "No such user" is Docusign's own word (ErrNoMember), never a bare 404, a
//     proxy's page or an empty answer.
//   - A close, or a reopening, is sent again only after an answer that says it was
//     refused: the token had ended, or a burst was used up.
//   - Nothing is sent into a window of the quota that is known to be used up. A
//     burst is waited for; an hour is returned as Exhausted, with the time.
//   - No email, userId, token or key is in an error. Only https is spoken, except
//     to this machine, and redirects are not followed.
//
// It does not decide whom to close, how much of the quota to leave to others,
// or when to try again: ClassOf tells a caller what may be done about an error.
//
// The APIs are eSignature REST v2.1 and, for an organization, Admin v2; what is
// known of their behavior, beyond their specifications, stands where it is relied on.
package docusign

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// RequestTimeout is the longest that one request may take, to the end of its
// answer. A close has taken effect by then, or never will.
const RequestTimeout = 30 * time.Second

// maxBursts is how often a request that was refused for its burst is sent again.
const maxBursts = 3

// A request that only reads is sent again so often, after so long at first and
// twice as long at each further time: a whole plan rests on all of its pages.
const (
	maxLost   = 2
	readAgain = 250 * time.Millisecond
)

// Operation is what Docusign is asked; a value of the metric label `operation`.
type Operation string

// The operations.
const (
	OpSignIn        Operation = "sign_in"
	OpUserInfo      Operation = "userinfo"
	OpListUsers     Operation = "list_users"
	OpGetUser       Operation = "get_user"
	OpCloseUsers    Operation = "close_users"
	OpReopenUser    Operation = "reopen_user"
	OpImportUsers   Operation = "import_users"
	OpListImports   Operation = "list_imports"
	OpGetImport     Operation = "get_import"
	OpImportResults Operation = "import_results"
	OpProfile       Operation = "get_profile"
)

// Operations lists every Operation.
func Operations() []Operation {
	return []Operation{
		OpSignIn, OpUserInfo, OpListUsers, OpGetUser, OpCloseUsers, OpReopenUser,
		OpImportUsers, OpListImports, OpGetImport, OpImportResults, OpProfile,
	}
}

// Observe is told what goes on; any function may be nil. They are called
// from many goroutines.
type Observe struct {
	Request func(op Operation, status int, took time.Duration) // status 0: no whole answer came
	Quota   func(account string, q Quota)                      // after each answer
	Waiting func(account, window string, requests int)         // requests that wait for a window now; 0: none any more
}

// Client speaks to Docusign as one user. It is safe for concurrent use and
// needs no closing.
type Client struct {
	cfg       Config
	auth      *url.URL
	transport http.RoundTripper
	observe   Observe
	skew      atomic.Int64 // nanoseconds
	signIns   singleflight.Group

	mu      sync.Mutex
	session session
	meters  map[string]*meter // by account id
}

// UserID is whom it signs in as, by the config.
func (c *Client) UserID() string { return c.cfg.UserID }

// New makes a client; it reads the private key once, to tell early that it
// cannot be used, and sends nothing. rt nil means a transport of its own.
func New(cfg Config, rt http.RoundTripper, observe Observe) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if _, err := readKey(cfg.PrivateKeyFile); err != nil {
		return nil, fmt.Errorf("docusign.private_key_file: %w", err)
	}
	auth, err := parseBase(cfg.AuthServer)
	if err != nil {
		return nil, err
	}
	if rt == nil {
		rt = newTransport()
	}
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "signoff")
	return &Client{cfg: cfg, auth: auth, transport: rt, observe: observe, meters: map[string]*meter{}}, nil
}

// request is what to send, as often as it takes. account is nil where no quota
// is kept.
type request struct {
	op      Operation
	method  string
	url     string
	body    []byte      // JSON unless header says otherwise; nil for none
	header  http.Header // in place of what is sent otherwise; may be nil
	account *Account
	sending func() error // called before it goes out, each time; nil for none
}

// do sends r and, where Docusign says that it did nothing, once more: after
// 401 with a fresh token, after a burst when that is over. What only reads is
// sent again as well when its answer was lost on the way.
func (c *Client) do(ctx context.Context, r request) (answer, error) {
	for renewed, bursts, lost := false, 0, 0; ; {
		token, err := c.token(ctx)
		if err != nil {
			return answer{}, err
		}
		a, failed := c.attempt(ctx, r, token)
		if failed == nil && r.wantsJSON() && !json.Valid(a.body) { // a proxy's page
			failed = unreadable(r.op, a)
		}
		switch {
		case failed == nil:
			return a, nil
		case failed.Status == http.StatusUnauthorized && !renewed:
			c.drop(token)
			renewed = true
		case failed.Status != 0 && failed.verdict.reason == reasonBurstQuota && r.account != nil && bursts < maxBursts:
			bursts++
		case r.method == http.MethodGet && failed.verdict.class == Passing && failed.RetryAt.IsZero() && lost < maxLost && ctx.Err() == nil:
			pause(ctx, readAgain<<lost)
			lost++
		default:
			return answer{}, failed
		}
	}
}

// wantsJSON says whether r only reads, and JSON.
func (r request) wantsJSON() bool {
	return r.method == http.MethodGet && r.header.Get("Accept") == ""
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// attempt sends r once, within the account's quota.
func (c *Client) attempt(ctx context.Context, r request, token string) (answer, *Error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return answer{}, refuse(r.op, verdict{class: Permanent, reason: reasonOther}, errors.New("no request can be made of it"))
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(req.Header, r.header)
	if r.account == nil {
		return c.send(req, r.op)
	}
	return r.account.send(req, r.op, r.sending)
}
