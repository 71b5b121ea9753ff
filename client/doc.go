// Package client is the Go client of Tallyman's HTTP API. The commands use nothing
// else: over HTTP with New, and through the handler in the same process with Local,
// so that there is one way and it is always walked.
//
// In go requests, out come the nouns under the names of this package, and errors
// whose kind (ErrNotFound and so on) errors.Is finds, with the same sentence and
// remedy that the server gave.
//
// It must never print, never send its token to another host than the one it was made for,
// and never retry a change by itself, but for those of a Watcher, which may be made twice.
package client
