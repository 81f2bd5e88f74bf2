package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"signoff/consumer"
)

const (
	maxSignatures = 16   // in a header: while a secret changes there are two
	maxSignedID   = 1024 // bytes of a message's id
)

// verifier tells whether a body was signed with one of our secrets.
type verifier struct {
	scheme   *scheme
	secrets  *consumer.Kept[[][]byte]
	recorded *replays // nil where the time is not signed
}

// claim is what the head of a request says of its body.
type claim struct {
	signatures [][]byte
	header     http.Header
	message    string // tells this message from others; "" where nothing but its body does
}

// claim reads the headers, which anybody may have written. An error is for the
// sender, and quotes none of them.
func (s *scheme) claim(h http.Header, now time.Time) (*claim, error) {
	for _, name := range s.headers() {
		switch len(h[name]) {
		case 0:
			return nil, fmt.Errorf("the header %s is missing", name)
		case 1:
		default: // others on the way might have looked at another one
			return nil, fmt.Errorf("the header %s is there for the second time", name)
		}
	}
	c := &claim{header: h}
	for _, text := range strings.Fields(h.Get(s.header)) {
		encoded, ok := strings.CutPrefix(text, s.prefix)
		if !ok {
			continue // of a kind that we don't know
		}
		signature, err := s.decode(encoded)
		if err != nil || len(signature) != s.hash().Size() {
			continue // next to others, it may be of a kind to come
		}
		if c.signatures = append(c.signatures, signature); len(c.signatures) > maxSignatures {
			return nil, fmt.Errorf("the header %s has more than %d signatures", s.header, maxSignatures)
		}
	}
	if len(c.signatures) == 0 {
		return nil, fmt.Errorf("the header %s has no signature such as this endpoint asks for", s.header)
	}
	if s.timestamp == "" {
		return c, nil
	}
	c.message = h.Get(s.timestamp)
	if s.id != "" {
		c.message = h.Get(s.id)
	}
	if c.message == "" || len(c.message) > maxSignedID {
		return nil, fmt.Errorf("the id of the message is empty or longer than %d bytes", maxSignedID)
	}
	return c, s.inTime(h.Get(s.timestamp), now)
}

// headers are those that a signed request must have.
func (s *scheme) headers() []string {
	names := []string{s.header}
	for _, p := range s.content { // those of the time and of the id are among them
		if p.kind == fromHeader {
			names = append(names, p.text)
		}
	}
	return names
}

// inTime takes a Unix time in seconds or, since nobody means the year 5000, in
// milliseconds.
func (s *scheme) inTime(timestamp string, now time.Time) error {
	const firstInMilliseconds, digits = 100_000_000_000, 13
	n, err := strconv.ParseUint(timestamp, 10, 63)
	if err != nil || len(timestamp) > digits {
		return fmt.Errorf("the header %s is no Unix time", s.timestamp)
	}
	at := time.Unix(int64(n), 0)
	if n >= firstInMilliseconds {
		at = time.UnixMilli(int64(n))
	}
	if now.Sub(at).Abs() > s.tolerance {
		return fmt.Errorf("the time in the header %s is more than %v off our clock", s.timestamp, s.tolerance)
	}
	return nil
}

var errNotSigned = errors.New("no signature that was made with a secret of this endpoint, of this body as it came")

// holds says whether one of the signatures was made of this very body, with one
// of our secrets. Every signature is compared with each, so that the time it
// takes says nothing of how much was right.
func (v *verifier) holds(c *claim, method string, body []byte) error {
	good := false
	for _, secret := range v.secrets.Get() {
		sum := v.scheme.sum(secret, c.header, method, body)
		for _, signature := range c.signatures {
			good = hmac.Equal(signature, sum) || good
		}
	}
	if !good {
		return errNotSigned
	}
	return nil
}

// messageOf is the same for a message that is sent again, and for no other: one
// that says something else under the same id is not passed over.
func (c *claim) messageOf(body []byte) digest {
	of := sha256.New()
	of.Write([]byte(c.message))
	of.Write([]byte{0})
	of.Write(body)
	return digest(of.Sum(nil))
}
