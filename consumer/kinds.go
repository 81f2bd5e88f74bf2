package consumer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a container image may have no zones of its own
)

// The canonical CloudEvents types, always understood.
const (
	TypeTerminated = "dev.signoff.employee.terminated.v1"
	TypeRescinded  = "dev.signoff.employee.termination.rescinded.v1"
	TypeRehired    = "dev.signoff.employee.rehired.v1"
)

// Config is the section `events` of the configuration. The zero value takes
// the canonical types, and no date without a time.
type Config struct {
	Types    Types         `yaml:"types"`
	TimeZone string        `yaml:"time_zone"` // IANA name; "": an event with a date only is a reject
	MaxAge   time.Duration `yaml:"max_age"`   // 0: no limit

	// Expected are the sources that should be heard from, also by what is ignored.
	Expected []string `yaml:"-"`
}

// Types names the CloudEvents types that are accepted besides the canonical
// ones. In a name, `*` stands for any run of characters, dots too; nothing else
// is special. An exact name goes before a glob; of a type that globs of several
// kinds match, the kind is the one that closes nobody.
type Types struct {
	Terminated []string `yaml:"terminated"`
	Rescinded  []string `yaml:"rescinded"`
	Rehired    []string `yaml:"rehired"`
}

// kindNames is the accepted names of one kind and its key in the config.
type kindNames struct {
	kind  Kind
	key   string
	names []string
}

// byKind lists the kind that closes people last: globs are tried in this order.
func (t Types) byKind() []kindNames {
	return []kindNames{
		{Rescinded, "rescinded", t.Rescinded},
		{Rehired, "rehired", t.Rehired},
		{Terminated, "terminated", t.Terminated},
	}
}

var canonical = map[string]Kind{
	TypeTerminated: Terminated,
	TypeRescinded:  Rescinded,
	TypeRehired:    Rehired,
}

// Validate says which key has which wrong value.
func (c Config) Validate() error {
	named := maps.Clone(canonical)
	for _, k := range c.Types.byKind() {
		for _, name := range k.names {
			fault := nameFault(name)
			if other, ok := named[name]; ok && other != k.kind {
				fault = "already means " + string(other)
			}
			if fault != "" {
				return fmt.Errorf("events.types.%s: %q: %s", k.key, name, fault)
			}
			named[name] = k.kind
		}
	}
	if _, err := c.location(); err != nil {
		return err
	}
	if c.MaxAge < 0 {
		return fmt.Errorf("events.max_age: %s: negative", c.MaxAge)
	}
	return nil
}

func nameFault(name string) string {
	switch {
	case name == "":
		return "empty"
	case strings.ContainsFunc(name, invisible):
		return "has a space or an invisible character"
	case strings.Trim(name, "*") == "":
		return "matches every type"
	}
	return ""
}

// location is nil where no time zone is configured.
func (c Config) location() (*time.Location, error) {
	if c.TimeZone == "" {
		return nil, nil
	}
	zone, err := Location(c.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("events.time_zone: %s: not the name of a time zone", c.TimeZone)
	}
	return zone, nil
}

// Location knows zones by their IANA names, and none that this machine has made
// its own.
func Location(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, errors.New("not the name of a time zone")
	}
	return time.LoadLocation(name)
}

// glob is a name with stars: the texts between them, at least two.
type glob struct {
	kind  Kind
	parts []string
}

func (g glob) matches(s string) bool {
	first, last := g.parts[0], g.parts[len(g.parts)-1]
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	for _, part := range g.parts[1 : len(g.parts)-1] {
		if _, s, ok = strings.Cut(s, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(s, last)
}

// kinds tells the kind of event from its type. A topic repeats few types many
// times, so what the globs said of a type is remembered.
type kinds struct {
	exact map[string]Kind
	globs []glob

	mu   sync.RWMutex
	seen map[string]Kind // "": none of ours
}

const (
	maxSeen     = 1024 // types
	maxSeenType = 256  // bytes of a type
)

func newKinds(t Types) *kinds {
	k := &kinds{exact: maps.Clone(canonical), seen: make(map[string]Kind)}
	for _, of := range t.byKind() {
		for _, name := range of.names {
			if strings.Contains(name, "*") {
				k.globs = append(k.globs, glob{of.kind, strings.Split(name, "*")})
			} else {
				k.exact[name] = of.kind
			}
		}
	}
	return k
}

func (k *kinds) of(ceType string) (Kind, bool) {
	if kind, ok := k.exact[ceType]; ok {
		return kind, true
	}
	if len(k.globs) == 0 {
		return "", false
	}
	k.mu.RLock()
	kind, ok := k.seen[ceType]
	k.mu.RUnlock()
	if !ok {
		kind = k.match(ceType)
	}
	return kind, kind != ""
}

func (k *kinds) match(ceType string) Kind {
	var kind Kind
	i := slices.IndexFunc(k.globs, func(g glob) bool { return g.matches(ceType) })
	if i >= 0 {
		kind = k.globs[i].kind
	}
	if len(ceType) > maxSeenType {
		return kind
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.seen) >= maxSeen { // a sender that makes up types must not fill the memory
		clear(k.seen)
	}
	k.seen[strings.Clone(ceType)] = kind // the caller's string may be part of a larger buffer
	return kind
}
