//go:build !race

package closer_test

// underRace says that the race detector is on, which slows all down.
const underRace = false
