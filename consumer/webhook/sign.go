package webhook

import (
	"crypto/hmac"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Sign makes a request, whose body this is, one that the endpoint admits: with the first
// secret of its file, under this id where messages have one. A header that is part of what is signed and not
// set yet becomes the id as well. Errors name the key, and quote no secret.
func (e Endpoint) Sign(r *http.Request, body []byte, id string, now time.Time) error {
	if len(e.Origins) > 0 {
		r.Header.Set("WebHook-Request-Origin", e.Origins[0])
	}
	key, file := e.Auth.secrets()
	if key == "" {
		return nil
	}
	var err error
	switch key {
	case "bearer_file":
		var tokens []string
		if tokens, err = readLines(file, asWritten(readToken)); err == nil {
			r.Header.Set("Authorization", "Bearer "+tokens[0])
		}
	case "okta_file":
		var values []string
		if values, err = readLines(file, asWritten(readValue)); err == nil {
			r.Header.Set("Authorization", values[0])
		}
	default:
		err = e.Auth.HMAC.sign(r, body, file, id, now)
	}
	if err != nil {
		return errors.New("auth." + key + ": " + err.Error())
	}
	return nil
}

// secrets is the key that names the endpoint's secrets, and their file; "" where
// anybody may send.
func (a Auth) secrets() (key, file string) {
	switch {
	case a.BearerFile != "":
		return "bearer_file", a.BearerFile
	case a.OktaFile != "":
		return "okta_file", a.OktaFile
	case a.SecretFile != "":
		return "secret_file", a.SecretFile
	}
	return "", ""
}

// SecretsFile is the file with the secrets of the endpoint; "" where anybody may send.
func (a Auth) SecretsFile() string {
	_, file := a.secrets()
	return file
}

// asWritten has a line checked as a daemon does that only keeps its hash.
func asWritten(check func(line string) (digest, error)) func(line string) (string, error) {
	return func(line string) (string, error) {
		_, err := check(line)
		return line, err
	}
}

func (h HMAC) sign(r *http.Request, body []byte, file, id string, now time.Time) error {
	s, err := h.scheme("hmac")
	if err != nil {
		return err
	}
	secrets, err := readLines(file, s.secret)
	if err != nil {
		return err
	}
	for _, name := range s.headers()[1:] {
		switch {
		case name == s.timestamp:
			r.Header.Set(name, strconv.FormatInt(now.Unix(), 10))
		case name == s.id, r.Header.Get(name) == "":
			r.Header.Set(name, id)
		}
	}
	r.Header.Set(s.header, s.prefix+s.encode(s.sum(secrets[0], r.Header, r.Method, body)))
	return nil
}

// sum is the signature of a request by one secret.
func (s *scheme) sum(secret []byte, header http.Header, method string, body []byte) []byte {
	mac := hmac.New(s.hash, secret)
	for _, p := range s.content {
		switch p.kind {
		case literal:
			mac.Write([]byte(p.text))
		case fromHeader:
			mac.Write([]byte(header.Get(p.text)))
		case theBody:
			mac.Write(body)
		case theMethod:
			mac.Write([]byte(method))
		}
	}
	return mac.Sum(nil)
}
