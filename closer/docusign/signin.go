package docusign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	assertionLife = 10 * time.Minute // of the signed request for a token
	renewEarly    = 5 * time.Minute  // before a token's end
	renewAgain    = time.Minute      // after a renewal that came to nothing, while the old token lasts
	assumedLife   = 10 * time.Minute // of a token that does not say
)

// scopes are what consent was given for; signature is the eSignature API,
// impersonation is acting for a user who is not there.
var scopes = []string{"signature", "impersonation"}

// scopes are all that we need consent for: asked for together, since consent is
// given to a set of scopes.
func (c *Client) scopes() []string {
	if c.cfg.Organization == "" {
		return scopes
	}
	return slices.Concat(scopes, adminScopes)
}

// session is a token and how long it is good for, by our clock.
type session struct {
	token   string
	renewAt time.Time
	endsAt  time.Time
}

// token returns a token to send, signing in if there is none that lasts. Those
// who ask at the same time share one sign-in.
func (c *Client) token(ctx context.Context) (string, error) {
	s := c.current()
	if time.Now().Before(s.renewAt) {
		return s.token, nil
	}
	// The sign-in is everybody's: it ends by RequestTimeout, not with the first
	// who wanted it.
	done := c.signIns.DoChan("", func() (any, error) { return c.renew() })
	select {
	case <-ctx.Done():
		return "", noAnswer(OpSignIn, true, ctx.Err())
	case r := <-done:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(string), nil
	}
}

func (c *Client) current() session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// renew signs in, unless somebody has done so by now. While the sign-in server
// is out of order, a token that has not ended is as good as ever.
func (c *Client) renew() (string, error) {
	old := c.current()
	if time.Now().Before(old.renewAt) {
		return old.token, nil
	}
	s, err := c.signIn()
	now := time.Now()
	switch {
	case err == nil:
	case ClassOf(err) == SignIn && now.Before(old.endsAt):
		s = old
		s.renewAt = now.Add(min(renewAgain, old.endsAt.Sub(now)))
	default:
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	return s.token, nil
}

// drop forgets a token that was refused, unless it has been replaced already.
func (c *Client) drop(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.token == token {
		c.session = session{}
	}
}

// signIn asks for a token by a JWT that our key has signed. The claims are those
// of Docusign's own clients, and no others.
func (c *Client) signIn() (session, error) {
	key, err := readKey(c.cfg.PrivateKeyFile)
	if err != nil {
		return session{}, refuse(OpSignIn, verdict{Park, reasonPrivateKey, adviceKeyFile}, err)
	}
	now := time.Now()
	assertion, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss":   c.cfg.IntegrationKey,
		"sub":   c.cfg.UserID,
		"aud":   c.auth.Host, // without https://, as Docusign wants it
		"iat":   now.Unix(),
		"exp":   now.Add(assertionLife).Unix(),
		"scope": strings.Join(c.scopes(), " "),
	}).SignedString(key)
	if err != nil {
		return session{}, refuse(OpSignIn, verdict{Park, reasonPrivateKey, adviceKeyFile}, fmt.Errorf("sign: %w", err))
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	// Everybody's, so no context of one of them: send bounds it by RequestTimeout.
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.auth.String()+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return session{}, refuse(OpSignIn, verdict{Park, reasonGrant, adviceIssuer}, errors.New("no request can be made of it"))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	a, failed := c.send(req, OpSignIn)
	if failed != nil {
		return session{}, c.advised(failed)
	}
	var token struct {
		Access    string  `json:"access_token"`
		ExpiresIn float64 `json:"expires_in"` // seconds
	}
	if json.Unmarshal(a.body, &token) != nil || token.Access == "" {
		return session{}, unreadable(OpSignIn, a)
	}
	return newSession(token.Access, time.Duration(token.ExpiresIn*float64(time.Second)), time.Now()), nil
}

// newSession is a session of a token that lasts for life, if that is said.
func newSession(token string, life time.Duration, now time.Time) session {
	if life <= 0 {
		life = assumedLife
	}
	return session{token: token, renewAt: now.Add(life - min(renewEarly, life/4)), endsAt: now.Add(life)}
}

// advised completes what a person has to do by what only the client knows.
func (c *Client) advised(e *Error) *Error {
	switch {
	case e.verdict.reason == reasonConsent:
		e.verdict.advice = "as the user of docusign.user_id, open " + c.consentURL() + " once and accept; REGISTERED is a redirect URI of the integration key"
	case e.verdict.reason == reasonGrant && c.clockIsOff():
		e.verdict = verdict{Park, reasonClock, adviceClock}
	}
	return e
}

// consentURL is where a person allows the integration key to act for them. The
// space between the scopes must be %20: Docusign takes no +.
func (c *Client) consentURL() string {
	return c.auth.String() + "/oauth/auth?response_type=code&scope=" + url.PathEscape(strings.Join(c.scopes(), " ")) +
		"&client_id=" + url.QueryEscape(c.cfg.IntegrationKey) + "&redirect_uri=REGISTERED"
}

// UserInfo is whom we are signed in as, and where they are a member.
type UserInfo struct {
	UserID   string // `sub`
	Email    string // "" if Docusign does not say
	Accounts []AccountInfo
}

// AccountInfo says where an account lives.
type AccountInfo struct {
	ID             string
	Name           string
	BaseURI        string // e.g. https://eu.docusign.net
	Default        bool
	OrganizationID string // "" outside of an organization
}

// UserInfo asks who we are. It costs nothing of any account's quota.
func (c *Client) UserInfo(ctx context.Context) (UserInfo, error) {
	a, err := c.do(ctx, request{op: OpUserInfo, method: http.MethodGet, url: c.auth.String() + "/oauth/userinfo"})
	if err != nil {
		return UserInfo{}, err
	}
	var wire struct {
		Sub      string `json:"sub"`
		Email    string `json:"email"`
		Accounts []struct {
			ID           string `json:"account_id"`
			Name         string `json:"account_name"`
			BaseURI      string `json:"base_uri"`
			Default      flag   `json:"is_default"`
			Organization struct {
				ID string `json:"organization_id"`
			} `json:"organization"`
		} `json:"accounts"`
	}
	if json.Unmarshal(a.body, &wire) != nil || wire.Sub == "" {
		return UserInfo{}, unreadable(OpUserInfo, a)
	}
	info := UserInfo{UserID: wire.Sub, Email: wire.Email}
	for _, w := range wire.Accounts {
		base, err := parseBase(w.BaseURI)
		if err != nil || w.ID == "" {
			failed := unreadable(OpUserInfo, a)
			failed.cause = errors.New("base_uri of an account: https, or http for a loopback address")
			return UserInfo{}, failed
		}
		info.Accounts = append(info.Accounts, AccountInfo{
			ID: w.ID, Name: w.Name, BaseURI: base.String(), Default: bool(w.Default), OrganizationID: w.Organization.ID,
		})
	}
	return info, nil
}
