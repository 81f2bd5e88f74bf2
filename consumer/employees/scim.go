package employees

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"signoff/consumer"
)

const (
	findTimeout = 2 * time.Second // of a look-up: some vendors take their webhook back after three
	maxAnswer   = 1 << 20         // bytes
	maxWait     = time.Minute     // for a server that says when to ask again
)

// The attributes that may hold the id, by RFC 7643, in the order they are tried.
var usualAttributes = []string{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber", "externalId"}

var attributeName = regexp.MustCompile(`^(urn:[A-Za-z0-9:._-]+:)?[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_-]*)?$`)

// server is a SCIM 2.0 service provider (RFC 7644).
type server struct {
	base       *url.URL
	tokenFile  string
	attributes []string
	client     *http.Client
	timeout    time.Duration
	log        *zap.Logger

	until atomic.Int64 // Unix nanoseconds: asked to be left alone until then
	said  sync.Map     // warnings that were logged: each is said once

	recent recent
}

func newServer(cfg Config, log *zap.Logger) (*server, error) {
	base, err := parseBase(cfg.SCIM)
	if err != nil {
		return nil, err
	}
	attributes := usualAttributes
	if cfg.SCIMAttribute != "" {
		attributes = []string{cfg.SCIMAttribute}
	}
	return &server{
		base: base, tokenFile: cfg.TokenFile, attributes: attributes, timeout: findTimeout, log: log,
		// The token goes to nobody whom the config does not name.
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// errFilter is a server's refusal of a filter: it may know another attribute.
var errFilter = errors.New("the filter was refused")

// Find asks for the user whose attribute is the id, active or not. Whom it found
// is not asked for again in the next minutes.
func (s *server) Find(ctx context.Context, employeeID string) (consumer.Person, error) {
	employeeID = strings.TrimSpace(employeeID)
	if p, ok := s.recent.find(employeeID, time.Now()); ok {
		return p, nil
	}
	p, err := s.ask(ctx, employeeID)
	if err == nil {
		s.recent.add(employeeID, p, time.Now())
	}
	return p, err
}

func (s *server) ask(ctx context.Context, employeeID string) (consumer.Person, error) {
	if wait := time.Until(time.Unix(0, s.until.Load())); wait > 0 {
		return consumer.Person{}, fmt.Errorf("the server asked to wait for %v more", wait.Round(time.Second))
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for _, attribute := range s.attributes {
		users, more, err := s.users(ctx, attribute, employeeID)
		if errors.Is(err, errFilter) {
			s.warn("the SCIM server refuses a filter by this attribute", attribute)
			continue
		}
		if err != nil && s.answersOthers(ctx, attribute, err) {
			s.warn("the SCIM server answers, but not when it is asked for some of the ids by this attribute: they are nobody", attribute)
			continue
		}
		if err != nil {
			return consumer.Person{}, err
		}
		var found []map[string]any
		for _, u := range users {
			if valueOf(u, attribute) == employeeID {
				found = append(found, u)
			}
		}
		switch {
		case len(found) == 0 && len(users) == 0:
			continue
		case len(found) == 0:
			s.warn("the SCIM server answers with others than those who were asked for by this attribute", attribute)
			continue
		case len(found) > 1 || more:
			s.warn("the SCIM server has several users, or pages of them, for one value of this attribute: they are nobody", attribute)
			return consumer.Person{}, consumer.ErrNoPerson
		}
		if p := personOf(found[0]); p.Email != "" {
			return p, nil
		}
		return consumer.Person{}, consumer.ErrNoPerson
	}
	return consumer.Person{}, consumer.ErrNoPerson
}

// oddAnswerError is an answer that is of no use, of a server that is there.
type oddAnswerError struct{ error }

func (o oddAnswerError) Unwrap() error { return o.error }

// harmless is an id that no server stumbles over.
const harmless = "0"

// answersOthers says whether the answer is one to this id alone, such as one that
// the server or a firewall before it stumbles over: asked again for ever, it would
// hold up all who come after it.
func (s *server) answersOthers(ctx context.Context, attribute string, err error) bool {
	if _, odd := errors.AsType[oddAnswerError](err); !odd {
		return false
	}
	_, _, err = s.users(ctx, attribute, harmless)
	return err == nil
}

// warn says a thing once, since it may be so for every leaver.
func (s *server) warn(what, attribute string) {
	if _, known := s.said.LoadOrStore(what+attribute, true); !known {
		s.log.Warn(what, zap.String("attribute", attribute))
	}
}

// users returns those whom the server answers with, and whether there are more.
func (s *server) users(ctx context.Context, attribute, id string) (users []map[string]any, more bool, err error) {
	token, err := s.token()
	if err != nil {
		return nil, false, err
	}
	query := "filter=" + escape(attribute+" eq "+quoted(id)) + "&count=20"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base.String()+"/Users?"+query, nil)
	if err != nil {
		return nil, false, errors.New("scim: no request can be made of the address")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/scim+json, application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) { // whose text has the whole URL, and so the id
			err = wrapped.Err
		}
		return nil, false, fmt.Errorf("scim: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("scim: the answer broke off: %w", err)
	case resp.StatusCode != http.StatusOK:
		return nil, false, s.refusal(resp)
	case len(body) > maxAnswer:
		return nil, false, oddAnswerError{fmt.Errorf("scim: an answer larger than %d KiB", maxAnswer>>10)}
	}
	if users, more, err = listed(body); err != nil {
		return nil, false, oddAnswerError{err}
	}
	return users, more, nil
}

// refusal is nil for a server that says so that there is nobody.
func (s *server) refusal(resp *http.Response) error {
	switch code := resp.StatusCode; code {
	case http.StatusNotFound:
		s.warn("the SCIM server answers 404: nobody, or events.directory.scim is not its address", "")
		return nil
	case http.StatusBadRequest, http.StatusNotImplemented:
		return errFilter
	case http.StatusUnauthorized, http.StatusForbidden:
		return oddAnswerError{fmt.Errorf("scim: %d: the token of events.directory.token_file may not read users", code)}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		now := time.Now()
		if wait := retryAfter(resp.Header.Get("Retry-After"), now); wait > 0 {
			s.until.Store(now.Add(wait).UnixNano())
		}
		return fmt.Errorf("scim: %d", code)
	default:
		if code/100 == 3 {
			return fmt.Errorf("scim: %d: redirects are not followed: give events.directory.scim the address it leads to", code)
		}
		return oddAnswerError{fmt.Errorf("scim: %d", code)}
	}
}

// retryAfter reads seconds or a date; 0 if it is neither, or past.
func retryAfter(value string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(value); err == nil {
		wait = time.Duration(min(seconds, 3600)) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, maxWait))
}

// token reads the file each time, so that it may be replaced at any time.
func (s *server) token() (string, error) {
	text, err := os.ReadFile(s.tokenFile)
	if err != nil {
		return "", fmt.Errorf("events.directory.token_file: %w", err)
	}
	token := string(bytes.TrimSpace(text))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("events.directory.token_file: %s: not one token", s.tokenFile)
	}
	return token, nil
}

// quoted is a text in a filter, which is written as in JSON (RFC 7644, 3.4.2.2).
func quoted(text string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(text) != nil {
		panic("text that JSON cannot hold") // there is none
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// escape writes a space as %20: not every server takes a plus for one.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
