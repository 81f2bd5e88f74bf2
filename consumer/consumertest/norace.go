//go:build !race

package consumertest

const raceDetector = false
