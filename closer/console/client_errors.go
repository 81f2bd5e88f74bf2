package console

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
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
		return &AnswerError{resp.StatusCode, p.Detail, c.advice(resp.StatusCode, p.Detail)}
	case resp.StatusCode == http.StatusBadRequest && strings.Contains(string(text), "HTTP request to an HTTPS server"):
		return fmt.Errorf("--url: %s: https is spoken there: use https://", c.shown)
	}
	return fmt.Errorf("--url: %s%s: %s: not the answer of a signoff", c.shown, path, resp.Status)
}

func (c *Client) advice(status int, detail string) string {
	switch {
	case c.inside:
		return ""
	case detail == needsCertificate && !c.cert:
		return "--cert-file and --key-file: none is given: "
	case status == http.StatusUnauthorized && c.token != "":
		return "--token-file: the daemon does not know this token: "
	case status == http.StatusUnauthorized && c.password:
		return "--url: the daemon does not know this user with this password: "
	case status == http.StatusUnauthorized:
		return "--token-file: none is given: "
	case status == http.StatusForbidden && c.token != "" && detail != needsCertificate:
		return "--token-file: this token may not do it: "
	}
	return ""
}

// unreached says what to do about an answer that did not come.
func (c *Client) unreached(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	cause := err
	if inner, ok := errors.AsType[*url.Error](err); ok { // which says again what was called
		cause = inner.Err
	}
	if advice := c.adviceUnreached(cause); advice != "" {
		return fmt.Errorf("--url: %s: %w: %s", c.shown, cause, advice)
	}
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("--url: %s: https is not spoken there: use http://", c.shown)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("--url: %s: %w: is the daemon running?", c.shown, syscall.ECONNREFUSED)
	}
	return fmt.Errorf("--url: %w", err)
}

// adviceUnreached is about certificates; "" if they are not the trouble.
func (c *Client) adviceUnreached(cause error) string {
	if name, ok := errors.AsType[x509.HostnameError](cause); ok {
		return "call it by a name that is in its certificate: " + namesIn(name.Certificate)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](cause); ok {
		return "name who vouches for its certificate by --ca-file FILE (or SIGNOFF_CA_FILE)"
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](cause); ok {
		return "renew the certificate that admin.web_config_file of the daemon names, or look at the clock here"
	}
	remote, ok := errors.AsType[*net.OpError](cause)
	alert := ok && remote.Op == "remote error"                                                 // of TLS
	cut := c.cert && (errors.Is(cause, syscall.ECONNRESET) || errors.Is(cause, syscall.EPIPE)) // before the alert was read
	if alert || cut {
		if c.cert {
			return "does the daemon trust who signed --cert-file (client_ca_file), is its name allowed (client_allowed_sans), and has it not expired?"
		}
		return "it may want a certificate: --cert-file and --key-file"
	}
	return ""
}

func namesIn(cert *x509.Certificate) string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "it has none"
	}
	return strings.Join(names, ", ")
}
