package webhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"go.uber.org/zap"

	"signoff/consumer"
)

// minSecret is how many characters a token has at least, and how many bytes a
// secret: whoever has seen one signed body can try out shorter ones at home.
const minSecret = 16

// readLines reads a file with a secret per line, so that the old one and the new
// one are both good while a sender changes over. Blank lines and those that
// begin with # do not count.
func readLines[T any](file string, parse func(line string) (T, error)) ([]T, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []T
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		one, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", file, n, err)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, errors.New(file + ": no secret in it")
	}
	return all, nil
}

// keepLines keeps what readLines reads.
func keepLines[T any](what, file string, parse func(line string) (T, error), log *zap.Logger) (*consumer.Kept[[]T], error) {
	return consumer.Keep(what, log, func() ([]T, error) { return readLines(file, parse) }, file)
}

type digest = [sha256.Size]byte

// readToken reads a line with a bearer token.
func readToken(line string) (digest, error) {
	if len(line) < minSecret || strings.ContainsAny(line, " \t") {
		return digest{}, fmt.Errorf("not one token of at least %d characters", minSecret)
	}
	return sha256.Sum256([]byte(line)), nil
}

// readValue reads a line with the whole value of a header.
func readValue(line string) (digest, error) {
	if len(line) < minSecret {
		return digest{}, fmt.Errorf("not a value of at least %d characters", minSecret)
	}
	return sha256.Sum256([]byte(line)), nil
}

// knows compares with every secret, each by its hash, so that the time it takes
// says nothing of how much was right.
func knows(secrets []digest, said string) bool {
	sum := sha256.Sum256([]byte(said))
	known := 0
	for _, s := range secrets {
		known |= subtle.ConstantTimeCompare(s[:], sum[:])
	}
	return known == 1
}

// bearer returns the token of a request, from its header or, as the CloudEvents
// webhook specification has it, from its query; "" if there is none.
func bearer(r *http.Request) string {
	header := r.Header.Get("Authorization")
	if header == "" {
		return r.URL.Query().Get("access_token")
	}
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
