package client

import (
	"context"
	"net/url"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// TrendPoint is what the fleet had at one moment, and what happened since the point before.
type TrendPoint = inventory.TrendPoint

// Trend answers what the fleet had from a time on, the oldest first; the last point is
// now. The zero time stands for 90 days ago.
func (c *Client) Trend(ctx context.Context, since time.Time) ([]TrendPoint, error) {
	q := url.Values{}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339))
	}
	return get[[]TrendPoint](ctx, c, "/api/v1/trend", q)
}
