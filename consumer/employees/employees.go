// Package employees leads from the id of an employee to the person, for events
// that carry no email. It asks a CSV file, which is read again when it changes, or
// a SCIM 2.0 server.
//
// It never guesses: an id that several people have, or an answer that is not
// about the id that was asked for, is nobody. It remembers nobody, and no error
// or log line of its has an id or an email in it.
package employees

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"signoff/consumer"
)

// Config is the section `events.directory`: csv, or scim with token_file. The
// zero value is no directory.
type Config struct {
	CSV           string `yaml:"csv"`            // file
	SCIM          string `yaml:"scim"`           // base URL, below which there is /Users
	TokenFile     string `yaml:"token_file"`     // bearer token for it; read at every request
	SCIMAttribute string `yaml:"scim_attribute"` // that holds the id; "": employeeNumber, else externalId
}

// Validate says which key has which wrong value. It reads no file.
func (c Config) Validate() error {
	switch {
	case c.CSV != "" && c.SCIM != "":
		return errors.New("events.directory: csv and scim: one of the two")
	case c.SCIM == "" && c.TokenFile != "":
		return errors.New("events.directory.token_file: only for scim")
	case c.SCIM == "" && c.SCIMAttribute != "":
		return errors.New("events.directory.scim_attribute: only for scim")
	case c.SCIM == "":
		return nil
	case c.TokenFile == "":
		return errors.New("events.directory.token_file: not set: the bearer token that scim asks for")
	}
	if _, err := parseBase(c.SCIM); err != nil {
		return fmt.Errorf("events.directory.scim: %w", err)
	}
	if c.SCIMAttribute != "" && !attributeName.MatchString(c.SCIMAttribute) {
		return fmt.Errorf("events.directory.scim_attribute: %q: not the name of a SCIM attribute, such as externalId", c.SCIMAttribute)
	}
	return nil
}

// New returns the directory, nil if none is configured, or what is wrong with
// cfg. A file must be there; a server need not answer yet.
func New(cfg Config, log *zap.Logger) (consumer.Directory, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	switch {
	case cfg.CSV != "":
		f, err := openFile(cfg.CSV, log)
		if err != nil {
			return nil, fmt.Errorf("events.directory.csv: %w", err)
		}
		return f, nil
	case cfg.SCIM != "":
		return newServer(cfg, log)
	}
	return nil, nil
}

// parseBase takes https, and http for loopback addresses. Its errors do not
// quote the URL, which might hold a password.
func parseBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return nil, errors.New("not a URL such as https://idp.example.com/scim/v2")
	case u.User != nil:
		return nil, errors.New("has a user in it: the token goes into token_file")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("has a query: only the part before /Users is wanted")
	case u.Scheme == "http" && loopback(u.Hostname()), u.Scheme == "https":
	default:
		return nil, errors.New("neither https nor a loopback address")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
