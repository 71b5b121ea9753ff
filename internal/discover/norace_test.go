//go:build !race

package discover_test

const underRace = false
