package api

import (
	"context"
	"errors"
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
)

// Roles of people.
const (
	RoleViewer = "viewer"
	RoleEditor = "editor"
	RoleAdmin  = "admin"
)

// identity is who calls, and how far that reaches.
type identity struct {
	name    string
	reach   Permission
	session bool // a browser sent it by itself, so the request's origin must be checked
}

type identityKey struct{}

// AsLocal serves every request as the administrator of this machine. It is for the
// commands that call the handler in the same process, never for a listener.
func AsLocal(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), identityKey{}, identity{name: "local", reach: Admin})
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
	return identity{name: user.Name, reach: reachOfRole(user.Role), session: true}, nil
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
	return identity{name: "token " + token.Name, reach: reachOfScope(token.Scope)}, nil
}

func badToken() error {
	return inventory.Errorf(inventory.ErrUnauthorized, "the token is unknown, revoked or expired").
		WithRemedy("create one: tallyman token create NAME --scope read")
}

func reachOfRole(role string) Permission {
	switch role {
	case RoleAdmin:
		return Admin
	case RoleEditor:
		return Edit
	case RoleViewer:
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

// allow answers nil when the caller may use a route that needs need.
func (a *API) allow(r *http.Request, need Permission) error {
	if need == Open {
		return nil
	}
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	if id.reach == Open {
		return inventory.Errorf(inventory.ErrUnauthorized, "not signed in").
			WithRemedy("send a token (Authorization: Bearer …) or sign in to the dashboard")
	}
	if id.session {
		if err := a.crossOrigin.Check(r); err != nil {
			return inventory.Errorf(inventory.ErrForbidden, "the request comes from another site")
		}
	}
	if id.reach < need {
		return inventory.Errorf(inventory.ErrForbidden, "%s may not do this", id.name).
			WithRemedy("%s", needs(need))
	}
	return nil
}

func needs(p Permission) string {
	switch p {
	case Admin:
		return "it needs an administrator, or a token of scope admin"
	case Edit:
		return "it needs an editor, or a token of scope admin"
	default:
		return "it needs a viewer, or a token of scope read"
	}
}
