//go:build race

package closer_test

const underRace = true
