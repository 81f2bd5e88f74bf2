package main

import (
	"strings"

	"signoff/closer/console"
)

// oneLine is what came from outside as a terminal may be shown it, in a line and a
// column of its own.
func oneLine(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(console.Printable([]byte(strings.TrimSpace(text))))
}
