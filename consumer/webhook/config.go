package webhook

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// Config is the section `webhook` of the configuration. The zero value stands
// for a daemon without webhooks; New refuses it.
type Config struct {
	Listen    string     `yaml:"listen"` // host:port; port 0 takes a free one
	Endpoints []Endpoint `yaml:"endpoints"`
}

// Endpoint is a path that events are posted to.
type Endpoint struct {
	Path    string `yaml:"path"` // compared as it is: no patterns, no redirects
	Auth    Auth   `yaml:"auth"`
	Success int    `yaml:"success"` // status of a recorded event: 200, 202 or 204; 0: 202
}

// Auth says who may send: in the configuration either the word `none` or a
// mapping. The zero value is neither, and not valid, so that nobody opens an
// endpoint by forgetting about it.
type Auth struct {
	None       bool   `yaml:"-"`
	BearerFile string `yaml:"bearer_file"` // one token per line; read again when it changes
}

// UnmarshalText reads the scalar form of Auth, which is `none`.
func (a *Auth) UnmarshalText(text []byte) error {
	if string(text) != "none" {
		return errors.New("neither none nor a mapping with bearer_file") // it may be a token: not quoted
	}
	*a = Auth{None: true}
	return nil
}

// Validate says which key has which wrong value.
func (c Config) Validate() error {
	if c.Listen == "" && len(c.Endpoints) == 0 {
		return nil
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("webhook.listen: %q: not host:port", c.Listen)
	}
	if len(c.Endpoints) == 0 {
		return errors.New("webhook.endpoints: none, but webhook.listen is set")
	}
	paths := make(map[string]bool)
	for i, e := range c.Endpoints {
		if err := e.validate(fmt.Sprintf("webhook.endpoints[%d]", i)); err != nil {
			return err
		}
		if paths[e.Path] {
			return fmt.Errorf("webhook.endpoints[%d].path: %q: has an endpoint already", i, e.Path)
		}
		paths[e.Path] = true
	}
	return nil
}

func (e Endpoint) validate(at string) error {
	if !strings.HasPrefix(e.Path, "/") || strings.ContainsAny(e.Path, "?# ") {
		return fmt.Errorf("%s.path: %q: not a path that begins with /", at, e.Path)
	}
	if !e.Auth.None && e.Auth.BearerFile == "" {
		return fmt.Errorf("%s.auth: not set: give it a bearer_file, or say none", at)
	}
	if e.Auth.None && e.Auth.BearerFile != "" {
		return fmt.Errorf("%s.auth: %q: none and a bearer_file", at, e.Auth.BearerFile)
	}
	switch e.success() {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return nil
	}
	return fmt.Errorf("%s.success: %d: not 200, 202 or 204", at, e.Success)
}

func (e Endpoint) success() int { return cmp.Or(e.Success, http.StatusAccepted) }
