package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

type (
	// Account is somebody who may sign in.
	Account = inventory.Account
	// NewAccount asks for an account.
	NewAccount = inventory.NewAccount
	// AccountChange changes an account.
	AccountChange = inventory.AccountChange
	// Session is a browser that is signed in.
	Session = inventory.Session
	// AuditEntry is one change that somebody made.
	AuditEntry = inventory.AuditEntry
	// AuditFilter narrows the log of changes.
	AuditFilter = inventory.AuditFilter
	// AuditPage is a page of the log of changes.
	AuditPage = inventory.AuditPage
)

func oneUser(name string) string { return "/api/v1/users/" + url.PathEscape(name) }

// Users answers everybody who may sign in, by name.
func (c *Client) Users(ctx context.Context) ([]Account, error) {
	return get[[]Account](ctx, c, "/api/v1/users", nil)
}

// AddUser adds somebody who may sign in; ErrConflict when the name is taken.
func (c *Client) AddUser(ctx context.Context, want NewAccount) (Account, error) {
	return call[Account](ctx, c, http.MethodPost, "/api/v1/users", want)
}

// ChangeUser sets the role, the password or both, and ends the sessions of the user.
func (c *Client) ChangeUser(ctx context.Context, name string, change AccountChange) (Account, error) {
	return call[Account](ctx, c, http.MethodPut, oneUser(name), change)
}

// RemoveUser removes a user; ErrConflict for the last administrator.
func (c *Client) RemoveUser(ctx context.Context, name string) error {
	return c.drop(ctx, oneUser(name))
}

// Sessions answers the browsers that a user is signed in with.
func (c *Client) Sessions(ctx context.Context, user string) ([]Session, error) {
	return get[[]Session](ctx, c, oneUser(user)+"/sessions", nil)
}

// EndSessions signs a user out everywhere, or ends the session that id names, and
// answers how many ended.
func (c *Client) EndSessions(ctx context.Context, user, id string) (int, error) {
	path := oneUser(user) + "/sessions"
	if id != "" {
		path += "?" + url.Values{"id": {id}}.Encode()
	}
	ended, err := call[inventory.Ended](ctx, c, http.MethodDelete, path, nil)
	return ended.Sessions, err
}

// Audit answers a page of the log of changes, the newest first; set After of the filter
// to Next of the page before.
func (c *Client) Audit(ctx context.Context, f AuditFilter) (AuditPage, error) {
	q := url.Values{}
	for name, value := range map[string]string{"actor": f.Actor, "subject": f.Subject, "action": f.Action} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.After > 0 {
		q.Set("after", strconv.FormatInt(f.After, 10))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return get[AuditPage](ctx, c, "/api/v1/audit", q)
}
