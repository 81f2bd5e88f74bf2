package webhook

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"signoff/consumer"
	"signoff/consumer/mapping"
)

// Config is the section `webhook` of the configuration. The zero value stands
// for a daemon without webhooks; New refuses it.
type Config struct {
	Listen    string     `yaml:"listen"` // host:port; port 0 takes a free one
	TLS       *TLS       `yaml:"tls"`    // nil: what comes in is not encrypted
	Endpoints []Endpoint `yaml:"endpoints"`
}

// Endpoint is a path that events are posted to.
type Endpoint struct {
	Path    string   `yaml:"path"` // compared as it is: no patterns, no redirects
	Auth    Auth     `yaml:"auth"`
	Mapping string   `yaml:"mapping"` // name of a mapping, for what is no CloudEvent of ours; "": there is nothing else
	Success int      `yaml:"success"` // status of a recorded event: 200, 202 or 204; 0: 202, with a mapping 200
	Origins []string `yaml:"origins"` // to whom the handshake consents, and nobody else
}

// Paths are those of the endpoints.
func (c Config) Paths() []string {
	paths := make([]string, 0, len(c.Endpoints))
	for _, e := range c.Endpoints {
		paths = append(paths, e.Path)
	}
	return paths
}

// FindMappings returns an error that names the first mapping of an endpoint that is
// not among them.
func (c Config) FindMappings(all *mapping.Set) error {
	_, err := c.mappers(all)
	return err
}

// mappers are the mappings of the endpoints that have one, by path.
func (c Config) mappers(all *mapping.Set) (map[string]consumer.Mapper, error) {
	found := make(map[string]consumer.Mapper)
	for i, e := range c.Endpoints {
		if e.Mapping == "" {
			continue
		}
		m, err := all.Find(e.Mapping)
		if err != nil {
			return nil, fmt.Errorf("webhook.endpoints[%d].mapping: %w", i, err)
		}
		found[e.Path] = m
	}
	return found, nil
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
	if c.TLS != nil {
		if err := c.TLS.validate(); err != nil {
			return err
		}
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
	if err := e.Auth.validate(at + ".auth"); err != nil {
		return err
	}
	for i, origin := range e.Origins {
		if origin == "" || strings.ContainsAny(origin, "/* \t") || slices.Contains(e.Origins[:i], origin) {
			return fmt.Errorf("%s.origins: %q: not the name of one host, or named twice", at, origin)
		}
	}
	switch e.SuccessStatus() {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return nil
	}
	return fmt.Errorf("%s.success: %d: not 200, 202 or 204", at, e.Success)
}

// SuccessStatus is what a recorded event is answered with: 200 for what comes
// through a mapping, since some vendors take nothing else for one.
func (e Endpoint) SuccessStatus() int {
	if e.Mapping != "" {
		return cmp.Or(e.Success, http.StatusOK)
	}
	return cmp.Or(e.Success, http.StatusAccepted)
}
