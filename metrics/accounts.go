package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// MaxAccounts is how many accounts have series of their own.
const MaxAccounts = 50

// Other is the account label of all further accounts. Counters add them up,
// gauges show the worst of them.
const Other = "other"

// Accounts keeps the values of the label `account` to a bounded set. It is safe
// for concurrent use.
type Accounts struct {
	mu   sync.Mutex
	seen map[string]bool
	more bool // there are others
}

// NewAccounts gives the first of these accounts a label of their own; those
// that turn up later get one as long as there is room.
func NewAccounts(ids []string) *Accounts {
	a := &Accounts{seen: make(map[string]bool)}
	for _, id := range ids {
		a.Label(id)
	}
	return a
}

// None is the account label of what came to its end before it was in any account.
const None = "none"

// Label is the label value of an account.
func (a *Accounts) Label(id string) string {
	if id == "" {
		return None
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.seen[id] && len(a.seen) >= MaxAccounts {
		a.more = true
		return Other
	}
	a.seen[id] = true
	return id
}

// labels are the values so far, sorted, Other last.
func (a *Accounts) labels() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Sorted(maps.Keys(a.seen))
	if a.more {
		all = append(all, Other)
	}
	return all
}

// accountGauge is a gauge by account: of those that share a label it shows the
// worst, which is the one that worse picks of two.
type accountGauge struct {
	vec      *prometheus.GaugeVec
	accounts *Accounts
	worse    func(a, b float64) float64

	mu     sync.Mutex
	others map[string]map[string]float64 // by the other labels, by account
}

func newAccountGauge(vec *prometheus.GaugeVec, accounts *Accounts, worse func(a, b float64) float64) *accountGauge {
	return &accountGauge{vec: vec, accounts: accounts, worse: worse, others: make(map[string]map[string]float64)}
}

func lowest(a, b float64) float64  { return min(a, b) }
func highest(a, b float64) float64 { return max(a, b) }

// set sets the value of an account; rest are the labels after `account`.
func (g *accountGauge) set(id string, value float64, rest ...string) {
	label := g.accounts.Label(id)
	if label == Other {
		value = g.worst(id, value, strings.Join(rest, "\x00"))
	}
	g.vec.WithLabelValues(append([]string{label}, rest...)...).Set(value)
}

func (g *accountGauge) worst(id string, value float64, rest string) float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.others[rest] == nil {
		g.others[rest] = make(map[string]float64)
	}
	g.others[rest][id] = value
	for _, other := range g.others[rest] {
		value = g.worse(value, other)
	}
	return value
}

// forget removes what was set for a value of the only label after `account`.
func (g *accountGauge) forget(label, value string) {
	g.vec.DeletePartialMatch(prometheus.Labels{label: value})
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.others, value)
}
