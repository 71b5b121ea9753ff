// Package demo makes what `tallyman demo` shows: a small company's images, and a
// small set of advisories that concern them. In flow the embedded tables of real
// package names and versions; out flow images pushed to a registry over HTTP, and
// advisory records in OSV form with a few KEV entries.
//
// The images are small but true in form: package databases, manifests, jars and
// build information as the real tools write them, layers shared as real builds
// share them. The secrets in them are made up, and are there to be redacted.
//
// NOTICE: the facts in advisories/ come from the GitHub Advisory Database, the Go
// vulnerability database and the Python advisory database (each CC BY 4.0), the
// Debian security tracker, Alpine's secdb, the CVE list and the NVD, and the KEV
// catalogue of CISA (CC0 1.0); the summaries are the project's own.
//
// It is content only: it must never be imported by anything but the command and
// tests, must never reach a host other than the one it was given, and must never
// know how the images are indexed.
package demo
