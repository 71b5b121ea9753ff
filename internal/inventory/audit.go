package inventory

import (
	"context"
	"sync/atomic"
	"time"
)

// How an actor came in.
const (
	ViaSession = "session"
	ViaToken   = "token"
	ViaCommand = "command" // on this machine, past the sign-in
	ViaSignin  = "sign-in" // while signing in
)

// Actor is who asks for a change. It travels in the context of a request, so that
// whatever is changed on its behalf is recorded under its name.
type Actor struct {
	Name    string
	Via     string
	Address string
	noted   atomic.Bool
}

// Note remembers that something was recorded of what the actor does.
func (a *Actor) Note() { a.noted.Store(true) }

// Noted says whether anything was.
func (a *Actor) Noted() bool { return a.noted.Load() }

type actorKey struct{}

// WithActor makes whatever is done with the context the act of a.
func WithActor(ctx context.Context, a *Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf is who acts; nil when nobody does, as when a worker goes about its work.
func ActorOf(ctx context.Context) *Actor {
	a, _ := ctx.Value(actorKey{}).(*Actor)
	return a
}

// AuditEntry is one change that somebody made: who, when, what. Before and After hold the
// fields that differ and never a secret; of a secret they tell that it was replaced.
type AuditEntry struct {
	ID      int64          `json:"id"`
	At      time.Time      `json:"at"`
	Actor   string         `json:"actor"`
	Via     string         `json:"via"` // session, token, command, sign-in
	Address string         `json:"address,omitempty"`
	Action  string         `json:"action"`  // "integration updated", "user added", …
	Subject string         `json:"subject"` // the name of what was changed
	Before  map[string]any `json:"before,omitempty"`
	After   map[string]any `json:"after,omitempty"`
}

// AuditFilter narrows the log of changes.
type AuditFilter struct {
	Actor   string // exact
	Subject string // exact
	Action  string // beginning
	After   int64  // entries older than this one; 0 = from the newest
	Limit   int    // at most 1000; 0 = 100
}

// AuditPage is a page of the log of changes, the newest first.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`
	Next    int64        `json:"next,omitempty"` // After of the next page
}
