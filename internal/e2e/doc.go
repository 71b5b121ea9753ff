// Package e2e holds only tests: the real program, built and run as a process of its
// own, against real input. In flow packages of Debian, of the npm registry and of
// the Go module cache, made into images; out flows nothing. What the program
// records must be what dpkg-query, npm ls and go version -m say of the same files:
// none missing, none invented.
//
// The tests need root, mmdebstrap, npm and Go with its network; without them they
// say so and skip, but where CI=true a missing tool fails. They must never name a
// package registry: they use whatever the machine is set up with.
package e2e
