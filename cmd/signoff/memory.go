package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// What the daemon keeps is small beside what it reads and drops. So garbage is
// collected seldom until the process has grown to memoryLimit, and as often as
// it takes from there on: a soft limit, which a large plan may pass.
const (
	gcPercent   = 400
	memoryLimit = 96 << 20 // bytes

	// ofContainer is how much of a container's limit may be used before garbage is
	// collected as often as it takes: the rest is for what Go does not count.
	ofContainer = 0.8
)

// limitMemory sets both, unless the environment says otherwise. cgroups is where the
// system shows the limits of containers.
func limitMemory(cgroups string) {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
		debug.SetMemoryLimit(softLimit(cgroups))
	}
}

// softLimit is memoryLimit or, where the container has less, what it has room for.
func softLimit(cgroups string) int64 {
	for _, file := range []string{"memory.max", "memory/memory.limit_in_bytes"} { // of version 2, and 1
		text, err := os.ReadFile(filepath.Join(cgroups, file))
		if err != nil {
			continue
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err == nil && limit > 0 { // and not the word max
			return min(memoryLimit, int64(ofContainer*float64(limit)))
		}
	}
	return memoryLimit
}
