package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSoftLimit(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       int64
	}{
		"no container":                {"", "", memoryLimit},
		"a container without a limit": {"memory.max", "max\n", memoryLimit},
		"a large one":                 {"memory.max", "1073741824\n", memoryLimit},
		"a small one":                 {"memory.max", "67108864\n", 53687091},
		"a small one, in version 1":   {"memory/memory.limit_in_bytes", "67108864\n", 53687091},
		"none, as version 1 has it":   {"memory/memory.limit_in_bytes", "9223372036854771712\n", memoryLimit},
		"something that is no number": {"memory.max", "much\n", memoryLimit},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.file != "" {
				path := filepath.Join(dir, c.file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := softLimit(dir); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
