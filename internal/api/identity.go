package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Permission is what a route asks of whoever calls it. Each level includes the ones
// below it, except Ingest, which is for watchers alone.
type Permission int

// Permissions, weakest first.
const (
	Open     Permission = iota // health, and the webhook receiver, which checks its own secret
	SignedIn                   // anybody who is known, watchers too
	Read                       // viewers and read tokens
	Edit                       // editors
	Admin                      // administrators and admin tokens
	Ingest                     // ingest tokens alone: what they write carries their name
)

// identity is who calls, and how far that reaches.
type identity struct {
	name    string
	via     string // inventory.ViaSession: a browser sent it by itself, so the request's origin must be checked
	reach   Permission
	watcher string // name of the ingest token, if it is one
}

type identityKey struct{}

// AsLocal serves every request as the administrator of this machine, under the name of
// whoever calls the command. It is for the commands that call the handler in the same
// process, never for a listener.
func AsLocal(h http.Handler, name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), identityKey{}, identity{name: name, via: inventory.ViaCommand, reach: Admin})
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// identify says who calls. Nobody is an identity that reaches nothing but Open.
func (a *API) identify(r *http.Request) (identity, error) {
	if id, ok := r.Context().Value(identityKey{}).(identity); ok {
		return id, nil
	}
	if header := r.Header.Get("Authorization"); header != "" {
		return a.bearer(r.Context(), header)
	}
	if a.signedIn == nil {
		return identity{}, nil
	}
	user, err := a.signedIn(r)
	if errors.Is(err, inventory.ErrUnauthorized) || errors.Is(err, inventory.ErrNotFound) {
		return identity{}, nil
	}
	if err != nil {
		return identity{}, err
	}
	return identity{name: user.Name, via: inventory.ViaSession, reach: reachOfRole(user.Role)}, nil
}

// bearer checks a token. The store compares hashes, so time tells nothing.
func (a *API) bearer(ctx context.Context, header string) (identity, error) {
	secret, ok := strings.CutPrefix(header, "Bearer ")
	if !ok || secret == "" || len(secret) > 512 {
		return identity{}, badToken()
	}
	token, err := a.store.Token(ctx, secret)
	if errors.Is(err, inventory.ErrNotFound) || errors.Is(err, inventory.ErrUnauthorized) {
		return identity{}, badToken()
	}
	if err != nil {
		return identity{}, err
	}
	id := identity{name: token.Name, via: inventory.ViaToken, reach: reachOfScope(token.Scope)}
	if token.Scope == inventory.ScopeIngest {
		id.watcher = token.Name
	}
	return id, nil
}

func badToken() error {
	return inventory.Errorf(inventory.ErrUnauthorized, "the token is unknown, revoked or expired").
		WithRemedy("create one: tallyman token create NAME --scope read")
}

func reachOfRole(role string) Permission {
	switch role {
	case inventory.RoleAdmin:
		return Admin
	case inventory.RoleEditor:
		return Edit
	case inventory.RoleViewer:
		return Read
	}
	return Open
}

func reachOfScope(scope string) Permission {
	switch scope {
	case inventory.ScopeAdmin:
		return Admin
	case inventory.ScopeRead:
		return Read
	case inventory.ScopeIngest:
		return SignedIn
	}
	return Open
}

// allow answers who calls when they may use a route that needs need.
func (a *API) allow(r *http.Request, need Permission) (identity, error) {
	id, err := a.identify(r)
	if err != nil {
		return id, err
	}
	if id.reach == Open {
		return id, inventory.Errorf(inventory.ErrUnauthorized, "not signed in").
			WithRemedy("send a token (Authorization: Bearer …) or sign in to the dashboard")
	}
	if id.via == inventory.ViaSession {
		if err := a.crossOrigin.Check(r); err != nil {
			return id, inventory.Errorf(inventory.ErrForbidden, "the request comes from another site")
		}
	}
	if need == Ingest && id.watcher != "" {
		return id, nil
	}
	if id.reach < need {
		return id, inventory.Errorf(inventory.ErrForbidden, "%s may not do this", id).
			WithRemedy("%s", needs(need))
	}
	return id, nil
}

// String names the caller in sentences.
func (id identity) String() string {
	if id.via == inventory.ViaToken {
		return "token " + id.name
	}
	return id.name
}

// acting is the request as an act of the caller: whatever it changes is noted under
// their name. A page that asks in the same process acts for whoever looks at it.
func (id identity) acting(r *http.Request) (*http.Request, *inventory.Actor) {
	if actor := inventory.ActorOf(r.Context()); actor != nil && id.via == inventory.ViaCommand {
		return r, actor
	}
	actor := &inventory.Actor{Name: id.name, Via: id.via}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		actor.Address = host
	}
	ctx := context.WithValue(r.Context(), identityKey{}, id)
	return r.WithContext(inventory.WithActor(ctx, actor)), actor
}

func needs(p Permission) string {
	switch p {
	case Ingest:
		return "it needs a token of scope ingest: what a watcher sends carries the token's name"
	case Admin:
		return "it needs an administrator, or a token of scope admin"
	case Edit:
		return "it needs an editor, or a token of scope admin"
	default:
		return "it needs a viewer, or a token of scope read"
	}
}
