package dashboard

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Accounts is where people, their sessions and the log of changes are kept.
type Accounts interface {
	NeedsSetup(ctx context.Context) (bool, error)
	CheckSetupLink(ctx context.Context, secret string) error
	SetUp(ctx context.Context, secret, name, password string, from inventory.Visitor) (session string, err error)
	SignIn(ctx context.Context, name, password string, from inventory.Visitor) (session string, err error)
	SignInExternal(ctx context.Context, ext inventory.External, from inventory.Visitor) (session string, err error)
	UseSigninLink(ctx context.Context, secret string, from inventory.Visitor) (session string, err error)
	CreateSigninLink(ctx context.Context, user string, expires time.Time) (secret string, err error)

	Session(ctx context.Context, secret string) (inventory.User, error)
	SessionID(secret string) string
	EndSession(ctx context.Context, secret string) error
	Sessions(ctx context.Context, name string) ([]inventory.Session, error)
	EndSessions(ctx context.Context, name, id, keep string) (int, error)

	Account(ctx context.Context, name string) (inventory.Account, error)
	Accounts(ctx context.Context) ([]inventory.Account, error)
	AddAccount(ctx context.Context, want inventory.NewAccount) (inventory.Account, error)
	ChangeAccount(ctx context.Context, name string, change inventory.AccountChange, keep string) (inventory.Account, error)
	RemoveAccount(ctx context.Context, name string) error

	Tokens(ctx context.Context) ([]inventory.Token, error)
	CreateToken(ctx context.Context, name, scope string, expires *time.Time) (secret string, err error)
	RevokeToken(ctx context.Context, name string) error
	BindToken(ctx context.Context, token string, integrations []string) error
	TokenBindings(ctx context.Context) (map[string][]string, error)
	// Requeue has everything indexed again that only a token vouched for.
	Requeue(ctx context.Context, token string) (images int, err error)

	Audit(ctx context.Context, action, subject string, what any) error
	AuditLog(ctx context.Context, f inventory.AuditFilter) (inventory.AuditPage, error)
}

// OpenID signs people in at a provider elsewhere.
type OpenID interface {
	// Name is what the button says: "Sign in with NAME".
	Name() string
	// Begin answers where to send the browser, and what to keep of it until it is back.
	Begin(ctx context.Context) (location string, flow inventory.SigninFlow, err error)
	// Finish answers who came back with the query of the provider's redirect;
	// ErrUnauthorized when it does not belong to the flow or the provider refuses,
	// ErrForbidden when no role is theirs.
	Finish(ctx context.Context, flow inventory.SigninFlow, query map[string][]string) (inventory.External, error)
}

// sessionOf is the secret of the session that a request brings, if any.
func sessionOf(r *http.Request) string {
	c, err := r.Cookie(sessionCookie)
	if err != nil || len(c.Value) > 512 {
		return ""
	}
	return c.Value
}

// visitor is where a request comes from.
func visitor(r *http.Request) inventory.Visitor {
	v := inventory.Visitor{Agent: r.UserAgent()}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		v.Address = host
	}
	return v
}
