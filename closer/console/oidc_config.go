package console

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"unicode/utf8"
)

// OIDC is the section `admin.oidc` of the config file: people sign in to the pages by an
// issuer of OpenID Connect.
type OIDC struct {
	Issuer           string `yaml:"issuer"` // as it calls itself, to the letter
	ClientID         string `yaml:"client_id"`
	ClientSecretFile string `yaml:"client_secret_file"` // read anew at every sign-in; "": a public client, that has none
	RedirectURL      string `yaml:"redirect_url"`       // where browsers find us: its path is /sign-in/callback

	CAFile string `yaml:"ca_file"` // who may vouch for the issuer, read once; "": whom the system trusts

	Name       string   `yaml:"name"` // what the button says
	Scopes     []string `yaml:"scopes"`
	NameClaim  string   `yaml:"name_claim"`  // by which people are named on record
	RolesClaim string   `yaml:"roles_claim"` // a text or a list; a.b: b of the object a
	Viewers    []string `yaml:"viewers"`     // of these is in it who may look
	Operators  []string `yaml:"operators"`   // and of these who may decide, too
}

// withDefaults is o with what is left out.
func (o OIDC) withDefaults() OIDC {
	for value, otherwise := range map[*string]string{&o.Name: "Single sign-on", &o.NameClaim: "email", &o.RolesClaim: "groups"} {
		if *value == "" {
			*value = otherwise
		}
	}
	if len(o.Scopes) == 0 {
		o.Scopes = []string{"openid", "profile", "email"}
	}
	return o
}

// Check asks the issuer whether people could be sent to it. It takes 10 s at most.
func (o OIDC) Check(ctx context.Context) error {
	i, err := newIssuer(&o)
	if err == nil {
		_, err = i.discover(ctx)
	}
	if err != nil {
		return errors.New(toldBy(err))
	}
	return nil
}

const longestButton = 60 // characters

// validate returns an error that names the key below admin.oidc.
func (o OIDC) validate() error {
	if err := secureURL(o.Issuer); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if o.ClientID == "" {
		return errors.New("client_id: not set")
	}
	if o.ClientSecretFile != "" {
		if _, err := os.ReadFile(o.ClientSecretFile); err != nil { // what is in it is for each sign-in
			return fmt.Errorf("client_secret_file: %w", err)
		}
	}
	if o.CAFile != "" {
		if _, err := readRoots(o.CAFile); err != nil {
			return fmt.Errorf("ca_file: %w", err)
		}
	}
	if err := secureURL(o.RedirectURL); err != nil {
		return fmt.Errorf("redirect_url: %w", err)
	}
	if u, err := url.Parse(o.RedirectURL); err != nil || u.Path != callbackPath {
		return fmt.Errorf("redirect_url: its path is not %s", callbackPath)
	}
	if utf8.RuneCountInString(o.Name) > longestButton {
		return fmt.Errorf("name: longer than %d characters", longestButton)
	}
	if len(o.Scopes) > 0 && !slices.Contains(o.Scopes, "openid") {
		return errors.New("scopes: openid is not among them: without it nobody is told who signs in")
	}
	if len(o.Viewers)+len(o.Operators) == 0 {
		return errors.New("operators: neither these nor viewers are set: nobody could sign in")
	}
	for key, all := range map[string][]string{"viewers": o.Viewers, "operators": o.Operators} {
		if slices.Contains(all, "") {
			return fmt.Errorf("%s: one is empty", key)
		}
	}
	return nil
}

// secureURL refuses what anybody on the way could read or change. It is not quoted: a
// password may be in it.
func secureURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return errors.New("not set")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("not a URL such as https://login.example.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("a user, a query or a fragment does not belong in it")
	case u.Scheme == "http" && !toLoopback(u.Host):
		return errors.New("http is for this machine alone: use https")
	}
	return nil
}

// readRoots reads who may vouch for others, from a file in PEM.
func readRoots(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return roots, nil
}

// readSecret reads a file that has one secret in it.
func readSecret(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return "", fmt.Errorf("%s: empty", file)
	}
	return string(text), nil
}
