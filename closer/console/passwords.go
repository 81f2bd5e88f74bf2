package console

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/time/rate"
)

// A check of a password takes 70 ms or so where the cost is 10, and twice as long for
// each more. Strangers must not have all of a processor by guessing: all checks
// together take less than a third of one, and no address more than a few.
const (
	usualCost = 10
	mostCost  = 15

	checksASecond = 4                           // of the usual cost, for all
	mostAtOnce    = 1 << (mostCost - usualCost) // so that one of the highest cost is possible
	triesAtOnce   = 10                          // of one address
	tryAgainAfter = 6 * time.Second             // of one address
	mostAddresses = 1000                        // that are remembered
	sayGuessing   = time.Minute                 // between two lines of the log
	bcryptReads   = 72                          // bytes of a password: what is behind them makes no difference
)

// errGuessing is that of a check which was not made.
var errGuessing = errors.New("too many passwords were tried: wait a minute")

// passwords checks the passwords of basic_auth_users. One that was right is remembered,
// by a digest that only this process can make, and costs nothing any more: a scraper
// brings it each time.
type passwords struct {
	log *zap.Logger
	key [sha256.Size]byte // of the digests
	one chan struct{}     // is taken during a check: there is one at a time

	mu    sync.Mutex
	right map[string][]byte // name -> digest of hash and password
	tries map[netip.Prefix]*rate.Limiter
	all   *rate.Limiter
	said  time.Time // that somebody guesses
}

func newPasswords(log *zap.Logger) *passwords {
	p := &passwords{log: log, one: make(chan struct{}, 1), right: make(map[string][]byte), tries: make(map[netip.Prefix]*rate.Limiter),
		all: rate.NewLimiter(checksASecond, mostAtOnce)}
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
	if !p.may(from, string(hash), time.Now()) {
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

// may says whether a password may be checked now, at the cost of this hash, and counts
// it.
func (p *passwords) may(from, hash string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	cost, _ := bcrypt.Cost([]byte(hash))
	if tries := p.triesOf(network(from), now); tries != nil && tries.AllowN(now, 1) && p.all.AllowN(now, 1<<max(0, cost-usualCost)) {
		return true
	}
	if now.Sub(p.said) >= sayGuessing {
		p.said = now
		p.log.Warn("passwords are tried too often: some are refused without a look", zap.Stringer("last_from", network(from)))
	}
	return false
}

// triesOf is nil where more addresses try than can be remembered.
func (p *passwords) triesOf(from netip.Prefix, now time.Time) *rate.Limiter {
	if tries, ok := p.tries[from]; ok {
		return tries
	}
	if len(p.tries) >= mostAddresses {
		maps.DeleteFunc(p.tries, func(_ netip.Prefix, l *rate.Limiter) bool { return l.TokensAt(now) >= triesAtOnce })
		if len(p.tries) >= mostAddresses {
			return nil
		}
	}
	p.tries[from] = rate.NewLimiter(rate.Every(tryAgainAfter), triesAtOnce)
	return p.tries[from]
}

// network is what one sender has of addresses: of IPv6 a /64.
func network(from string) netip.Prefix {
	host, _, _ := net.SplitHostPort(from)
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	prefix, _ := addr.Prefix(min(64, addr.BitLen()))
	return prefix
}
