package console

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

const (
	checksASecond = 4                           // of the usual cost, for all
	mostAtOnce    = 1 << (mostCost - usualCost) // so that one of the highest cost is possible
	triesAtOnce   = 10                          // of one network
	tryAgainAfter = 6 * time.Second             // of one network
	mostNetworks  = 1000                        // that are remembered
	sayGuessing   = time.Minute                 // between two lines of the log
)

// errGuessing is that of a check which was not made.
var errGuessing = errors.New("too many passwords were tried: wait a minute")

// tries are of strangers who say a password, or sign in by a token that is none: there are
// so many for each network, and for all together.
type tries struct {
	log *zap.Logger

	mu   sync.Mutex
	by   map[netip.Prefix]*rate.Limiter
	all  *rate.Limiter
	said time.Time // that somebody guesses
}

func newTries(log *zap.Logger) *tries {
	return &tries{log: log, by: make(map[netip.Prefix]*rate.Limiter), all: rate.NewLimiter(checksASecond, mostAtOnce)}
}

// may says whether a check of this cost, as bcrypt counts it, may be made now, and counts
// it.
func (t *tries) may(from string, cost int, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if by := t.of(network(from), now); by != nil && by.AllowN(now, 1) && t.all.AllowN(now, 1<<max(0, cost-usualCost)) {
		return true
	}
	if now.Sub(t.said) >= sayGuessing {
		t.said = now
		t.log.Warn("passwords or tokens are tried too often: some passwords are refused without a look", zap.Stringer("last_from", network(from)))
	}
	return false
}

// of is nil where more networks try than can be remembered.
func (t *tries) of(from netip.Prefix, now time.Time) *rate.Limiter {
	if by, ok := t.by[from]; ok {
		return by
	}
	if len(t.by) >= mostNetworks {
		maps.DeleteFunc(t.by, func(_ netip.Prefix, l *rate.Limiter) bool { return l.TokensAt(now) >= triesAtOnce })
		if len(t.by) >= mostNetworks {
			return nil
		}
	}
	t.by[from] = rate.NewLimiter(rate.Every(tryAgainAfter), triesAtOnce)
	return t.by[from]
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
