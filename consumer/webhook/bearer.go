package webhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	minToken   = 16 // characters
	statTokens = time.Second
)

// bearers is the tokens of a file that may change while we run. While a new
// version of the file is missing or wrong, the tokens of the last good one
// stand: an edit half done must not turn the senders away.
type bearers struct {
	file string
	log  *zap.Logger

	mu      sync.Mutex
	hashes  [][sha256.Size]byte
	info    os.FileInfo // of the version last looked at
	checked time.Time
}

// readBearers reads a file with a token per line; blank lines and those that
// begin with # do not count.
func readBearers(file string, log *zap.Logger) (*bearers, error) {
	b := &bearers{file: file, log: log, checked: time.Now()}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	b.info = info
	b.hashes, err = readTokens(file)
	return b, err
}

func readTokens(file string) ([][sha256.Size]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var hashes [][sha256.Size]byte
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(line) < minToken || strings.ContainsAny(line, " \t") {
			return nil, fmt.Errorf("%s: line %d: not one token of at least %d characters", file, n, minToken)
		}
		hashes = append(hashes, sha256.Sum256([]byte(line)))
	}
	if len(hashes) == 0 {
		return nil, errors.New(file + ": no token in it")
	}
	return hashes, nil
}

// knows compares with every token, each by its hash, so that the time it takes
// says nothing of how much was right.
func (b *bearers) knows(token string) bool {
	hash := sha256.Sum256([]byte(token))
	known := 0
	for _, h := range b.current() {
		known |= subtle.ConstantTimeCompare(h[:], hash[:])
	}
	return known == 1
}

// current reads the file again if it has changed, looking once a second at most.
func (b *bearers) current() [][sha256.Size]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.checked) < statTokens {
		return b.hashes
	}
	b.checked = now
	info, err := os.Stat(b.file)
	if err == nil && b.info != nil && os.SameFile(info, b.info) &&
		info.ModTime().Equal(b.info.ModTime()) && info.Size() == b.info.Size() {
		return b.hashes
	}
	if err != nil && b.info == nil { // still away, and said so
		return b.hashes
	}
	b.info = info // nil if it is away
	var hashes [][sha256.Size]byte
	if err == nil {
		hashes, err = readTokens(b.file)
	}
	if err != nil {
		b.log.Error("bearer tokens could not be read again, those of before stand", zap.Error(err))
		return b.hashes
	}
	b.hashes = hashes
	b.log.Info("bearer tokens read again", zap.String("file", b.file), zap.Int("tokens", len(hashes)))
	return b.hashes
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
