package docusign

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
)

// Config says as whom to sign in, and where: the part of the section
// `docusign` that this package needs. The zero value is not valid.
type Config struct {
	AuthServer     string  `yaml:"auth_server"`      // https://account.docusign.com, or account-d for the developer environment
	IntegrationKey string  `yaml:"integration_key"`  // client id of the app that Docusign knows us as
	UserID         string  `yaml:"user_id"`          // the administrator whom we act for: a GUID, not an email
	PrivateKeyFile string  `yaml:"private_key_file"` // PEM, RSA, PKCS #1 or PKCS #8; read again at each sign-in
	Organization   string  `yaml:"organization"`     // "" unless leavers are closed through it: the sign-in then asks for its scopes as well
	Reserve        float64 `yaml:"reserve"`          // share of each hour's calls left to the account's other apps, 0..1
	UserAgent      string  `yaml:"-"`                // e.g. "signoff/1.2.0"; "signoff" if empty
}

// Validate names every key that is wrong, and what is wrong with it. It does
// not open the private key.
func (c Config) Validate() error {
	var errs []error
	if _, err := parseBase(c.AuthServer); err != nil {
		value := c.AuthServer
		if _, host, ok := strings.Cut(value, "@"); ok { // what stands before it may be a password
			value = "…@" + host
		}
		errs = append(errs, fmt.Errorf("docusign.auth_server: %q: %w", value, err))
	}
	for _, key := range []struct{ name, value string }{
		{"integration_key", c.IntegrationKey},
		{"user_id", c.UserID},
		{"private_key_file", c.PrivateKeyFile},
	} {
		if strings.TrimSpace(key.value) == "" {
			errs = append(errs, fmt.Errorf("docusign.%s: %q: must be set", key.name, key.value))
		}
	}
	if !(c.Reserve >= 0 && c.Reserve < 1) { // also catches NaN
		errs = append(errs, fmt.Errorf("docusign.reserve: %v: not in 0..1", c.Reserve))
	}
	if strings.Contains(c.UserID, "@") { // the usual slip; not echoed, since it is an email
		errs = append(errs, errors.New("docusign.user_id: an email: the user's API username, a GUID, is needed"))
	}
	return errors.Join(errs...)
}

// parseBase accepts the base of a server that may be shown a token: https, or
// http that does not leave this machine.
func parseBase(base string) (*url.URL, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return nil, errors.New("https, or http for a loopback address")
	case u.Hostname() == "":
		return nil, errors.New("no host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return nil, errors.New("scheme and host only")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// readKey reads the private key, PKCS #1 or PKCS #8 in PEM. Errors name the file
// and never quote from it.
func readKey(file string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err // names the file already
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		switch block.Type {
		case "RSA PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, fmt.Errorf("%s: the key has a passphrase, which is not supported", file)
			}
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, fmt.Errorf("%s: the key has a passphrase, which is not supported", file)
		default: // a certificate or public key beside it
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: the private key in it cannot be read", file)
		}
		private, ok := key.(*rsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("%s: not an RSA key, and Docusign takes no other", file)
		}
		return private, nil
	}
	return nil, fmt.Errorf("%s: no private key in PEM", file)
}
