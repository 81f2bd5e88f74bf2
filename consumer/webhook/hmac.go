package webhook

import (
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// HMAC says how a sender signs what it posts: in the configuration the name of
// a preset, or its parts.
type HMAC struct {
	Preset          string        `yaml:"-"`
	Algorithm       string        `yaml:"algorithm"`        // sha256, also where it is not set, or sha512
	Encoding        string        `yaml:"encoding"`         // of the signature: hex or base64, of either alphabet, padded or not
	Header          string        `yaml:"header"`           // has the signature, or several with spaces between them
	Prefix          string        `yaml:"prefix"`           // of a signature; those without it don't count
	Content         string        `yaml:"content"`          // what is signed: {body}, {method}, {NAME-OF-A-HEADER} and text between them
	SecretEncoding  string        `yaml:"secret_encoding"`  // of a line of the file: plain, also where it is not set, base64 or hex
	TimestampHeader string        `yaml:"timestamp_header"` // Unix time in s or ms, part of the content; "": replays are told by what they say
	Tolerance       time.Duration `yaml:"tolerance"`        // of the timestamp, both ways; 0: 5m
	IDHeader        string        `yaml:"id_header"`        // the same each time that a message is sent, part of the content
}

// UnmarshalText reads the scalar form of HMAC, the name of a preset.
func (h *HMAC) UnmarshalText(text []byte) error {
	*h = HMAC{Preset: string(text)}
	return nil
}

// minStandardSecret is the least that Standard Webhooks asks for, in bytes.
const minStandardSecret = 24

// presets are the senders whose way of signing is known. For BambooHR, Gusto and
// Merge it is not said in so many words by the vendor itself.
var presets = map[string]HMAC{
	"standard-webhooks": {
		Encoding: inBase64, Header: "Webhook-Signature", Prefix: "v1,", Content: "{webhook-id}.{webhook-timestamp}.{body}",
		SecretEncoding: inBase64, TimestampHeader: "Webhook-Timestamp", IDHeader: "Webhook-Id",
	},
	"finch": {
		Encoding: inBase64, Header: "Finch-Signature", Prefix: "v1,", Content: "{finch-event-id}.{finch-timestamp}.{body}",
		SecretEncoding: inBase64, TimestampHeader: "Finch-Timestamp", IDHeader: "Finch-Event-Id",
	},
	"bamboohr": {
		Encoding: inHex, Header: "X-BambooHR-Signature", Content: "{body}{x-bamboohr-timestamp}", TimestampHeader: "X-BambooHR-Timestamp",
	},
	"hibob": {Algorithm: sha512Name, Encoding: inBase64, Header: "Bob-Signature", Content: "{body}"},
	"gusto": {Encoding: inHex, Header: "X-Gusto-Signature", Content: "{body}"},
	"deel":  {Encoding: inHex, Header: "X-Deel-Signature", Content: "{method}{body}"},
	"merge": {Encoding: inBase64, Header: "X-Merge-Webhook-Signature", Content: "{body}"},
}

const (
	sha256Name = "sha256"
	sha512Name = "sha512"
	inHex      = "hex"
	inBase64   = "base64"
	asItIs     = "plain"

	defaultTolerance = 5 * time.Minute
	maxTolerance     = time.Hour
)

// scheme is an HMAC in the form in which signatures are looked at.
type scheme struct {
	hash      func() hash.Hash
	decode    func(string) ([]byte, error) // a signature
	encode    func([]byte) string
	secret    func(line string) ([]byte, error)
	header    string // header names are canonical
	prefix    string
	content   []part
	timestamp string
	tolerance time.Duration
	id        string
}

// part is a piece of the signed content: what a header or the request has, or
// text.
type part struct {
	kind partKind
	text string // of a header its name
}

type partKind int

const (
	literal partKind = iota
	fromHeader
	theBody
	theMethod
)

// scheme is that of the preset or of the parts. An error names the key and its
// value.
func (h HMAC) scheme(at string) (*scheme, error) {
	least := minSecret
	if h.Preset != "" {
		preset, ok := presets[h.Preset]
		if !ok {
			return nil, fmt.Errorf("%s: none of %s, and not a mapping with header, encoding and content", at, // it may be a secret: not quoted
				strings.Join(slices.Sorted(maps.Keys(presets)), ", "))
		}
		if preset.SecretEncoding == inBase64 {
			least = minStandardSecret
		}
		h = preset
	}
	s := &scheme{prefix: h.Prefix, tolerance: h.Tolerance}
	for _, step := range []func(string, HMAC) error{s.setHash, s.setEncoding, s.setHeaders, s.setContent, s.setTolerance} {
		if err := step(at, h); err != nil {
			return nil, err
		}
	}
	if strings.ContainsAny(h.Prefix, " \t") {
		return nil, fmt.Errorf("%s.prefix: %q: has a space, which stands between signatures", at, h.Prefix)
	}
	decode, err := decoderOf(at+".secret_encoding", cmp.Or(h.SecretEncoding, asItIs), asItIs, inBase64, inHex)
	if err != nil {
		return nil, err
	}
	if h.SecretEncoding == inBase64 {
		decode = func(line string) ([]byte, error) { return decodeBase64(strings.TrimPrefix(line, "whsec_")) }
	}
	s.secret = func(line string) ([]byte, error) { return readSecret(line, decode, least) }
	return s, nil
}

func (s *scheme) setHash(at string, h HMAC) error {
	switch cmp.Or(h.Algorithm, sha256Name) {
	case sha256Name:
		s.hash = sha256.New
	case sha512Name:
		s.hash = sha512.New
	default:
		return fmt.Errorf("%s.algorithm: %q: neither sha256 nor sha512", at, h.Algorithm)
	}
	return nil
}

func (s *scheme) setEncoding(at string, h HMAC) (err error) {
	s.decode, err = decoderOf(at+".encoding", h.Encoding, inHex, inBase64)
	s.encode = hex.EncodeToString
	if h.Encoding == inBase64 {
		s.encode = base64.StdEncoding.EncodeToString
	}
	return err
}

func (s *scheme) setHeaders(at string, h HMAC) error {
	if h.Header == "" {
		return fmt.Errorf("%s.header: not set: which one has the signature", at)
	}
	for _, key := range []struct {
		name, value string
		into        *string
	}{
		{"header", h.Header, &s.header}, {"timestamp_header", h.TimestampHeader, &s.timestamp}, {"id_header", h.IDHeader, &s.id},
	} {
		if key.value != "" && !headerName.MatchString(key.value) {
			return fmt.Errorf("%s.%s: %q: not the name of a header", at, key.name, key.value)
		}
		*key.into = http.CanonicalHeaderKey(key.value)
	}
	return nil
}

var (
	headerName  = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	placeholder = regexp.MustCompile(`\{[^{}]*\}`)
)

// setContent asks that the signature is one of the body, and of the time and the
// id that we go by.
func (s *scheme) setContent(at string, h HMAC) error {
	rest, bodies := h.Content, 0
	for rest != "" {
		found := placeholder.FindStringIndex(rest)
		if found == nil {
			found = []int{len(rest), len(rest)}
		}
		text, name := rest[:found[0]], strings.Trim(rest[found[0]:found[1]], "{}")
		if text != "" {
			s.content = append(s.content, part{literal, text})
		}
		switch rest = rest[found[1]:]; {
		case found[0] == found[1]:
		case name == "body":
			bodies++
			s.content = append(s.content, part{kind: theBody})
		case name == "method":
			s.content = append(s.content, part{kind: theMethod})
		case headerName.MatchString(name):
			s.content = append(s.content, part{fromHeader, http.CanonicalHeaderKey(name)})
		default:
			return fmt.Errorf("%s.content: %q: {%s} is neither {body} nor {method} nor the name of a header", at, h.Content, name)
		}
	}
	if bodies != 1 {
		return fmt.Errorf("%s.content: %q: must have {body}, once", at, h.Content)
	}
	for _, of := range []struct{ key, header string }{{"timestamp_header", s.timestamp}, {"id_header", s.id}} {
		if of.header != "" && !slices.Contains(s.content, part{fromHeader, of.header}) {
			return fmt.Errorf("%s.content: %q: lacks {%s}, the %s: anybody could change what is not signed", at, h.Content,
				strings.ToLower(of.header), of.key)
		}
	}
	return nil
}

func (s *scheme) setTolerance(at string, h HMAC) error {
	switch {
	case h.TimestampHeader == "" && h.Tolerance != 0:
		return fmt.Errorf("%s.tolerance: %v: of no timestamp_header", at, h.Tolerance)
	case h.TimestampHeader == "" && h.IDHeader != "":
		return fmt.Errorf("%s.timestamp_header: not set, but id_header is: an id would have to be remembered for ever", at)
	case h.Tolerance < 0 || h.Tolerance > maxTolerance:
		return fmt.Errorf("%s.tolerance: %v: not between 0s and %v", at, h.Tolerance, maxTolerance)
	}
	s.tolerance = cmp.Or(h.Tolerance, defaultTolerance)
	return nil
}

// decoderOf returns what reads an encoding, which must be one of those.
func decoderOf(at, encoding string, those ...string) (func(string) ([]byte, error), error) {
	if !slices.Contains(those, encoding) {
		return nil, fmt.Errorf("%s: %q: none of %s", at, encoding, strings.Join(those, ", "))
	}
	switch encoding {
	case inHex:
		return hex.DecodeString, nil
	case inBase64:
		return decodeBase64, nil
	}
	return func(text string) ([]byte, error) { return []byte(text), nil }, nil
}

var oneAlphabet = strings.NewReplacer("-", "+", "_", "/")

// decodeBase64 takes either alphabet, padded or not: vendors differ, and some
// change their minds.
func decodeBase64(text string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(oneAlphabet.Replace(strings.TrimRight(text, "=")))
}

// readSecret reads a line of a secret file. No error quotes it.
func readSecret(line string, decode func(string) ([]byte, error), least int) ([]byte, error) {
	secret, err := decode(line)
	if err != nil {
		return nil, errors.New("not in the encoding that the secret should have")
	}
	if len(secret) < least {
		return nil, fmt.Errorf("not a secret of at least %d bytes", least)
	}
	return secret, nil
}
