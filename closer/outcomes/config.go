package outcomes

import (
	"errors"
	"fmt"
	"net"
	"net/url"
)

// Config is the section `outcomes` of the config file. The topic for outcomes is
// in the section `kafka`.
type Config struct {
	Webhook *Webhook `yaml:"webhook"` // nil: no webhook is told
}

// Webhook says where events are posted to.
type Webhook struct {
	URL        string `yaml:"url"`         // https, or http for a loopback address
	SecretFile string `yaml:"secret_file"` // a line for each secret: whsec_ and base64 of at least 24 bytes; read anew for every event
}

// Validate returns an error that names the key with a value that cannot be
// meant. Of the address it quotes no more than the host: the rest may be secret.
func (c Config) Validate() error {
	if c.Webhook == nil {
		return nil
	}
	u, err := url.Parse(c.Webhook.URL)
	switch {
	case c.Webhook.URL == "":
		return errors.New("outcomes.webhook.url: not set")
	case err != nil:
		return errors.New("outcomes.webhook.url: not a URL")
	case u.Hostname() == "":
		return errors.New("outcomes.webhook.url: no host in it")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return fmt.Errorf("outcomes.webhook.url: %q: https, or http for a loopback address", u.Scheme+"://"+u.Host)
	case u.User != nil:
		return errors.New("outcomes.webhook.url: a user in it: what is posted is signed, by outcomes.webhook.secret_file")
	case u.Fragment != "":
		return errors.New("outcomes.webhook.url: a # in it, of which no receiver would hear")
	case c.Webhook.SecretFile == "":
		return errors.New("outcomes.webhook.secret_file: not set")
	}
	return nil
}

// Host is the receiver's host and port, which may be shown.
func (w Webhook) Host() string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
