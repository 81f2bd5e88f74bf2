package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"signoff/consumer"
)

// Auth says who may send: in the configuration either the word `none` or a
// mapping with one of the other kinds. The zero value is none of them, and not
// valid, so that nobody opens an endpoint by forgetting about it.
type Auth struct {
	None       bool   `yaml:"-"`
	BearerFile string `yaml:"bearer_file"` // one token per line
	HMAC       HMAC   `yaml:"hmac"`        // how bodies are signed; needs SecretFile
	SecretFile string `yaml:"secret_file"` // one secret per line
	OktaFile   string `yaml:"okta_file"`   // one value of the header Authorization per line, as Okta's event hooks send it
}

// UnmarshalText reads the scalar form of Auth, which is `none`.
func (a *Auth) UnmarshalText(text []byte) error {
	if string(text) != "none" { // it may be a token: not quoted
		return errors.New("neither none nor a mapping with bearer_file, hmac and secret_file, or okta_file")
	}
	*a = Auth{None: true}
	return nil
}

func (a Auth) validate(at string) error {
	kinds := 0
	for _, set := range []bool{a.None, a.BearerFile != "", a.HMAC != HMAC{}, a.OktaFile != ""} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds == 0 && a.SecretFile != "":
		return fmt.Errorf("%s.hmac: not set, but %s.secret_file is", at, at)
	case kinds == 0:
		return fmt.Errorf("%s: not set: give it a bearer_file, an hmac with secret_file or an okta_file, or say none", at)
	case kinds > 1 || a.SecretFile != "" && a.HMAC == HMAC{}:
		return fmt.Errorf("%s: of several kinds: one of none, bearer_file, hmac with secret_file, okta_file", at)
	case a.HMAC == HMAC{}:
		return nil
	case a.SecretFile == "":
		return fmt.Errorf("%s.secret_file: not set, but %s.hmac is", at, at)
	}
	_, err := a.HMAC.scheme(at + ".hmac")
	return err
}

// gate is an Auth at work; all fields are nil where anybody may send.
type gate struct {
	bearers *consumer.Kept[[]digest]
	okta    *consumer.Kept[[]digest]
	signed  *verifier
}

// open reads the secrets. An error names the key.
func (a Auth) open(at string, log *zap.Logger) (g gate, err error) {
	switch {
	case a.BearerFile != "":
		at += ".bearer_file"
		g.bearers, err = keepLines("bearer tokens", a.BearerFile, readToken, log)
	case a.OktaFile != "":
		at += ".okta_file"
		g.okta, err = keepLines("Okta's authorization", a.OktaFile, readValue, log)
	case a.HMAC != HMAC{}:
		at += ".secret_file"
		g.signed, err = a.verifier(log)
	}
	if err != nil {
		return gate{}, fmt.Errorf("%s: %w", at, err)
	}
	return g, nil
}

func (a Auth) verifier(log *zap.Logger) (*verifier, error) {
	s, err := a.HMAC.scheme("hmac")
	if err != nil {
		return nil, err
	}
	v := &verifier{scheme: s}
	if s.timestamp != "" { // as long as one of its signatures may be good, be it ahead of us or behind
		v.recorded = newReplays(2 * s.tolerance)
	}
	v.secrets, err = keepLines("webhook secrets", a.SecretFile, s.secret, log)
	return v, err
}

// admit says whether whoever sent the request may send here, as far as its
// head tells; where bodies are signed, the claim is about the rest.
func (g gate) admit(r *http.Request, now time.Time) (*claim, *refusal) {
	switch {
	case g.bearers != nil && !knows(g.bearers.Get(), bearer(r)):
		return nil, &refusal{status: http.StatusUnauthorized, detail: "no bearer token, or one that is not known", challenge: "Bearer"}
	case g.okta != nil && !knows(g.okta.Get(), strings.TrimSpace(r.Header.Get("Authorization"))):
		return nil, &refusal{status: http.StatusUnauthorized, detail: "no authorization, or one that is not known"}
	case g.signed != nil:
		c, err := g.signed.scheme.claim(r.Header, now)
		if err != nil {
			return nil, &refusal{status: http.StatusUnauthorized, detail: err.Error()}
		}
		return c, nil
	}
	return nil, nil
}
