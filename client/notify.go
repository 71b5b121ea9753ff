package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

type (
	// Channel is where notifications go.
	Channel = inventory.Channel
	// ChannelChange is what somebody types about a channel.
	ChannelChange = inventory.ChannelChange
	// Rule says what a channel is told.
	Rule = inventory.Rule
	// Mail is how a mail channel sends.
	Mail = inventory.Mail
	// Notice is one message.
	Notice = inventory.Notice
	// NoticeTest is what came of a test message.
	NoticeTest = inventory.NoticeTest
	// NoticePreview is what a channel would be sent.
	NoticePreview = inventory.NoticePreview
	// Delivery is one message to one channel, and how it fared.
	Delivery = inventory.Delivery
	// DeliveryFilter narrows a list of deliveries.
	DeliveryFilter = inventory.DeliveryFilter
)

func oneChannel(name string) string { return "/api/v1/channels/" + url.PathEscape(name) }

// Channels answers where notifications go, without addresses and secrets.
func (c *Client) Channels(ctx context.Context) ([]Channel, error) {
	return get[[]Channel](ctx, c, "/api/v1/channels", nil)
}

// AddChannel saves a channel; ErrConflict when the name is taken.
func (c *Client) AddChannel(ctx context.Context, change ChannelChange) (Channel, error) {
	return call[Channel](ctx, c, http.MethodPost, "/api/v1/channels", change)
}

// UpdateChannel changes a channel; a blank URL or secret is kept.
func (c *Client) UpdateChannel(ctx context.Context, name string, change ChannelChange) (Channel, error) {
	return call[Channel](ctx, c, http.MethodPut, oneChannel(name), change)
}

// RemoveChannel removes a channel with its messages.
func (c *Client) RemoveChannel(ctx context.Context, name string) error {
	return c.drop(ctx, oneChannel(name))
}

// TestChannel sends a test message and answers what the receiver said.
func (c *Client) TestChannel(ctx context.Context, name string) (NoticeTest, error) {
	return call[NoticeTest](ctx, c, http.MethodPost, oneChannel(name)+"/test", nil)
}

// PreviewChannel answers what the channel would be sent for a kind of news, with
// made-up contents.
func (c *Client) PreviewChannel(ctx context.Context, name, event string) (NoticePreview, error) {
	return get[NoticePreview](ctx, c, oneChannel(name)+"/preview", url.Values{"event": {event}})
}

// Messages answers messages and how they fared, the newest first.
func (c *Client) Messages(ctx context.Context, f DeliveryFilter) ([]Delivery, error) {
	q := url.Values{}
	for name, value := range map[string]string{"id": f.ID, "channel": f.Channel, "state": f.State} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return get[[]Delivery](ctx, c, "/api/v1/messages", q)
}

// ReplayMessages sends messages again, under the ids they have, and answers how many:
// one by its id, or those of a channel in a state (the dead, when none is given).
func (c *Client) ReplayMessages(ctx context.Context, f DeliveryFilter) (int, error) {
	r, err := call[inventory.Replayed](ctx, c, http.MethodPost, "/api/v1/messages/replay", f)
	return r.Messages, err
}
