package guard

import (
	"fmt"

	"signoff/closer/ledger"
)

// passedBy says whether the plan, with so many more, passes the limit, and how.
// A leaver for whom a close was sent within the window is counted once, however
// often it is tried.
func (l Limit) passedBy(plan []Candidate, f Facts, more int) (detail string, over bool) {
	allowed := l.allowed(f.ActiveUsers)
	leavers := l.inWindow(f)
	fresh := make(map[string]int) // source -> new leavers that nobody has approved yet
	for _, p := range plan {
		source := l.key(p.Entry.Source)
		if leavers[source] == nil {
			leavers[source] = make(map[string]bool)
		}
		if leavers[source][p.Entry.Leaver] {
			continue
		}
		leavers[source][p.Entry.Leaver] = true
		if !p.Entry.Approved(ledger.Limit, p.users()) {
			fresh[source]++
		}
	}
	for source, n := range fresh {
		if total := len(leavers[source]) + more; total > allowed {
			who := "new leavers make"
			if n == 1 {
				who = "new leaver makes"
			}
			return fmt.Sprintf("%d %s %d within %v, allowed are %d", n, who, total, l.Window, allowed), true
		}
	}
	return "", false
}

// allowed is how many leavers the limit allows in an account of so many active
// users.
func (l Limit) allowed(activeUsers int) int {
	const rounding = 1e-9 // 0.29 of 100 is 29, and not the 28.999… that it is in binary
	return max(l.Max, int(l.MaxShare*float64(activeUsers)+rounding))
}

// Headroom is how many more leavers each window lets through once these have gone:
// of the limits of the same window, and of the sources, the one that has come
// closest to it.
func (c Config) Headroom(f Facts, gone []Candidate) map[string]int {
	f = f.After(gone)
	all := make(map[string]int)
	least := func(window string, left int) {
		if before, ok := all[window]; !ok || left < before {
			all[window] = left
		}
	}
	for _, l := range c.Limits {
		least(l.name(), l.headroom(f))
	}
	for _, l := range c.UrgentLimits {
		least(urgentName(l), l.headroom(urgentOf(f)))
	}
	return all
}

// Windows are the names of all windows, as Headroom has them.
func (c Config) Windows() []string {
	var names []string
	for _, l := range c.Limits {
		names = append(names, l.name())
	}
	for _, l := range c.UrgentLimits {
		names = append(names, urgentName(l))
	}
	return names
}

func (l Limit) name() string { return l.Window.String() }

func urgentName(l Limit) string { return "urgent " + l.name() }

// headroom is how many more leavers the limit lets through now, of the source
// that has come closest to it.
func (l Limit) headroom(f Facts) int {
	least := l.allowed(f.ActiveUsers)
	for _, leavers := range l.inWindow(f) {
		least = min(least, l.allowed(f.ActiveUsers)-len(leavers))
	}
	return max(0, least)
}

// inWindow are the leavers sent within the window, by source if that counts.
func (l Limit) inWindow(f Facts) map[string]map[string]bool {
	leavers := make(map[string]map[string]bool)
	for _, s := range f.Sent {
		if f.Now.Sub(s.At) >= l.Window || s.Account != f.Account && l.Scope != "all" {
			continue
		}
		source := l.key(s.Source)
		if leavers[source] == nil {
			leavers[source] = make(map[string]bool)
		}
		leavers[source][s.Leaver] = true
	}
	return leavers
}

func (l Limit) key(source string) string {
	if l.By == "source" {
		return source
	}
	return ""
}
