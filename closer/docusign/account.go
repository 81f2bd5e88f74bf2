package docusign

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var errClock = errors.New("not sent, since our clock is off")

// Account is an account of Docusign's as our user sees it, with its quota.
type Account struct {
	client *Client
	id     string
	users  string // URL of its users
	meter  *meter

	priority Priority
}

// Account prepares calls to the account of info, which UserInfo gave, for
// Closes. All Accounts of one id share one quota.
func (c *Client) Account(info AccountInfo) *Account {
	id := strings.ToLower(info.ID)
	base := strings.TrimRight(info.BaseURI, "/")
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.meters[id]
	if !ok {
		var waiting func(int)
		if c.observe.Waiting != nil {
			waiting = func(n int) { c.observe.Waiting(id, "burst", n) }
		}
		m = newMeter(defaultBurst(base), c.theirNow, c.cfg.Reserve, waiting)
		c.meters[id] = m
	}
	users := base + "/restapi/v2.1/accounts/" + url.PathEscape(info.ID) + "/users"
	return &Account{client: c, id: id, users: users, meter: m, priority: Closes}
}

// ID is the account's id in lower case: Docusign, and people, spell it either way.
func (a *Account) ID() string { return a.id }

// send sends req when the quota has room for it, and a change only while the
// clocks agree: events are judged by our clock, and a wrong one closes people
// before their time. sending, if not nil, has the last word.
func (a *Account) send(req *http.Request, op Operation, sending func() error) (answer, *Error) {
	s, err := a.meter.enter(req.Context(), a.priority)
	switch {
	case err != nil:
		return answer{}, noAnswer(op, true, err)
	case s.over != "":
		failed := refuse(op, verdict{class: Exhausted, reason: s.over}, errQuotaOver)
		failed.RetryAt = a.client.ours(s.until)
		return answer{}, failed
	case op.changes() && a.client.clockIsOff():
		a.meter.release()
		return answer{}, refuse(op, verdict{Park, reasonClock, adviceClock}, errClock)
	}
	if sending != nil {
		if err := sending(); err != nil {
			a.meter.release()
			return answer{}, refuse(op, verdict{class: Passing, reason: reasonOther}, fmt.Errorf("not sent: %w", err))
		}
	}

	ans, failed := a.client.send(req, op)
	if failed != nil && failed.unsent {
		a.meter.release()
		return answer{}, failed
	}
	l := readLimits(ans, a.client.theirNow())
	if failed != nil && failed.verdict.class == Exhausted {
		l.over = failed.verdict.reason
	}
	q := a.meter.settle(s.number, l)
	if a.client.observe.Quota != nil {
		a.client.observe.Quota(a.id, q)
	}
	switch l.over {
	case reasonHourQuota:
		failed.RetryAt = a.client.ours(q.Hour.Reset.Add(resetMargin))
	case reasonBurstQuota:
		failed.RetryAt = a.client.ours(q.Burst.Reset)
	}
	return ans, failed
}

// number is an integer that Docusign writes as a string, or not.
type number int

// UnmarshalJSON takes both ways.
func (n *number) UnmarshalJSON(text []byte) error {
	var v json.Number // takes a string as well, if it is a number
	if err := json.Unmarshal(text, &v); err != nil {
		return errUnreadable
	}
	i, err := v.Int64()
	if err != nil && v != "" {
		return errUnreadable
	}
	*n = number(i)
	return nil
}

// flag is a boolean that Docusign writes as "True" or "False", or not.
type flag bool

// UnmarshalJSON takes all ways; what is none of them is false.
func (f *flag) UnmarshalJSON(text []byte) error {
	*f = flag(strings.EqualFold(strings.Trim(string(text), `"`), "true"))
	return nil
}

// stamp is a time; what Docusign writes for none, or what we can't read, is zero.
type stamp struct{ time.Time }

// UnmarshalJSON takes a time without zone for UTC, as Docusign means it.
func (s *stamp) UnmarshalJSON(text []byte) error {
	word := strings.Trim(string(text), `"`)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, word); err == nil && t.Year() > 1 {
			s.Time = t.UTC()
		}
	}
	return nil
}
