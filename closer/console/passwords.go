package console

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// A check of a password takes 70 ms or so where the cost is 10, and twice as long for
// each more. Strangers must not have all of a processor by guessing: all checks
// together take less than a third of one, and no address more than a few.
const (
	usualCost = 10
	mostCost  = 15

	bcryptReads = 72 // bytes of a password: what is behind them makes no difference
)

// passwords checks the passwords of basic_auth_users. One that was right is remembered,
// by a digest that only this process can make, and costs nothing any more: a scraper
// brings it each time.
type passwords struct {
	tries *tries
	key   [sha256.Size]byte // of the digests
	one   chan struct{}     // is taken during a check: there is one at a time

	mu    sync.Mutex
	right map[string][]byte // name -> digest of hash and password
}

func newPasswords(tries *tries) *passwords {
	p := &passwords{tries: tries, one: make(chan struct{}, 1), right: make(map[string][]byte)}
	_, _ = rand.Read(p.key[:]) // never fails
	return p
}

// are says whether this is the password of a user by the web config; errGuessing if it
// was not looked at. A name that is none takes as long as one that is.
func (p *passwords) are(ctx context.Context, in *webFile, from, name, password string) (bool, error) {
	password = password[:min(bcryptReads, len(password))]
	hash, known := in.config.Users[name]
	if !known {
		hash = in.config.Users[p.standIn(in, name)]
	}
	digest := p.digest(string(hash), password)
	if known && p.remembered(name, digest) {
		return true, nil
	}
	if cost, _ := bcrypt.Cost([]byte(hash)); !p.tries.may(from, cost, time.Now()) {
		return false, errGuessing
	}
	select {
	case p.one <- struct{}{}:
		defer func() { <-p.one }()
	case <-ctx.Done():
		return false, errGuessing
	}
	if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)); err != nil || !known {
		return false, nil //nolint:nilerr // a wrong one
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.right, func(name string, _ []byte) bool { _, there := in.config.Users[name]; return !there })
	p.right[name] = digest
	return true, nil
}

// standIn is the user whose hash is compared in place of that of a name that is none:
// always the same one for the same name, so that hashes of different cost tell nothing
// either.
func (p *passwords) standIn(in *webFile, name string) string {
	names := slices.Sorted(maps.Keys(in.config.Users))
	return names[binary.BigEndian.Uint64(p.digest("", name))%uint64(len(names))]
}

func (p *passwords) digest(hash, password string) []byte {
	sum := hmac.New(sha256.New, p.key[:])
	_, _ = sum.Write([]byte(hash + "\n" + password)) // a hash has no line's end
	return sum.Sum(nil)
}

func (p *passwords) remembered(name string, digest []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return hmac.Equal(p.right[name], digest)
}
