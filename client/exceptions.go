package client

import (
	"context"
	"net/http"
	"strconv"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

type (
	// Exception is a decision that findings do not count.
	Exception = inventory.Exception
	// ExceptionChange is what somebody wants to except.
	ExceptionChange = inventory.ExceptionChange
	// ExceptionResult is what was saved, and what it hides.
	ExceptionResult = inventory.ExceptionResult
)

// Exceptions lists every exception, expired ones too.
func (c *Client) Exceptions(ctx context.Context) ([]Exception, error) {
	return get[[]Exception](ctx, c, "/api/v1/exceptions", nil)
}

// AddExceptions saves exceptions, at most 1000, and tells what they hide; with DryRun it
// only tells.
func (c *Client) AddExceptions(ctx context.Context, change ExceptionChange) (ExceptionResult, error) {
	return call[ExceptionResult](ctx, c, http.MethodPost, "/api/v1/exceptions", change)
}

// RemoveException lets the findings of an exception count again.
func (c *Client) RemoveException(ctx context.Context, id int64) error {
	return c.drop(ctx, "/api/v1/exceptions/"+strconv.FormatInt(id, 10))
}
