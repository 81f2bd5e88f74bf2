package docusign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

const (
	maxAnswer = 16 << 20        // bytes
	maxSkew   = 2 * time.Minute // beyond it, nobody is closed
)

// newTransport has sockets for some 16 look-ups at a time, and notices a dead
// HTTP/2 connection before every request on it has timed out.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxConnsPerHost:        32,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 10 * time.Second},
	}
}

// answer is a whole answer. The zero value is none.
type answer struct {
	status int
	header http.Header
	body   []byte
	trace  string
}

func (a answer) ok() bool { return a.status >= 200 && a.status < 300 }

// send sends req and makes an error of every answer that is not a success.
func (c *Client) send(req *http.Request, op Operation) (answer, *Error) {
	a, failed := c.exchange(req, op)
	if failed == nil && !a.ok() {
		failed = newError(op, a)
		if wait := retryAfter(a.header, c.theirNow()); wait > 0 {
			failed.RetryAt = time.Now().Add(wait)
		}
	}
	return a, failed
}

// exchange sends req and reads the answer, whatever its status, to its end.
func (c *Client) exchange(req *http.Request, op Operation) (answer, *Error) {
	ctx, cancel := context.WithTimeout(req.Context(), RequestTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return answer{}, noAnswer(op, true, err)
	}
	// Without a connection nothing was sent. A transport that does not trace has
	// not asked for one either, and gets no such benefit of the doubt.
	var asked, got atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { got.Store(true) },
	})
	req = req.WithContext(ctx)
	req.Header.Set("User-Agent", c.cfg.UserAgent)

	start := time.Now()
	// The bare transport: an http.Client would follow redirects, and put the URL
	// with the email in it into its errors.
	resp, err := c.transport.RoundTrip(req)
	var a answer
	if err == nil {
		a, err = readAnswer(resp)
		c.compareClocks(resp.Header, start, time.Now())
	}
	if c.observe.Request != nil {
		c.observe.Request(op, a.status, time.Since(start))
	}
	switch {
	case errors.Is(err, errUnreadable):
		return answer{}, unreadable(op, a)
	case err != nil:
		return answer{}, noAnswer(op, asked.Load() && !got.Load(), err)
	}
	return a, nil
}

// readAnswer returns the zero answer, but for a status where it is too long,
// unless all of it was read.
func readAnswer(resp *http.Response) (answer, error) {
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header, trace: plain(resp.Header.Get("X-DocuSign-TraceToken"))}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, fmt.Errorf("read answer: %w", err)
	case len(body) > maxAnswer:
		return a, errUnreadable
	}
	a.body = body
	return a, nil
}

// Skew is how far Docusign's clock was ahead of ours at the last answer;
// negative if it was behind. Every call measures it anew. What the Date header's whole seconds and the time
// on the way can explain is 0.
func (c *Client) Skew() time.Duration { return time.Duration(c.skew.Load()) }

// CheckClock returns an error of class Park while our clock is so far off that
// nobody may be closed by it, as the last answer showed.
func (c *Client) CheckClock() error {
	if c.clockIsOff() {
		return refuse(OpCloseUsers, verdict{Park, reasonClock, adviceClock}, errClock)
	}
	return nil
}

func (c *Client) clockIsOff() bool { return c.Skew().Abs() > maxSkew }

// theirNow is the time by Docusign's clock, and ours turns it back.
func (c *Client) theirNow() time.Time { return time.Now().Add(c.Skew()) }

func (c *Client) ours(theirs time.Time) time.Time { return theirs.Add(-c.Skew()) }

// compareClocks keeps the skew that the Date of an answer shows.
func (c *Client) compareClocks(h http.Header, sent, received time.Time) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	middle := sent.Add(received.Sub(sent) / 2)
	var skew time.Duration
	switch { // Date is cut off to the second
	case middle.Before(date):
		skew = date.Sub(middle)
	case middle.After(date.Add(time.Second)):
		skew = date.Add(time.Second).Sub(middle)
	}
	c.skew.Store(int64(skew))
}
