package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Watch is a question to who-has that is asked of every image that comes later.
type Watch = inventory.Watch

// Watches lists the watches by name.
func (c *Client) Watches(ctx context.Context) ([]Watch, error) {
	return get[[]Watch](ctx, c, "/api/v1/watches", nil)
}

// AddWatch saves a question: of w its name, query and ecosystem count.
func (c *Client) AddWatch(ctx context.Context, w Watch) (Watch, error) {
	return call[Watch](ctx, c, http.MethodPost, "/api/v1/watches", w)
}

// RemoveWatch forgets a question.
func (c *Client) RemoveWatch(ctx context.Context, name string) error {
	return c.drop(ctx, "/api/v1/watches/"+url.PathEscape(name))
}
