package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Teller keeps the channels of notifications and reaches them.
type Teller interface {
	Channels(ctx context.Context) ([]inventory.Channel, error)
	Channel(ctx context.Context, name string) (inventory.Channel, error)
	// host is what of the address may be shown.
	AddChannel(ctx context.Context, c inventory.ChannelChange, host string) error
	UpdateChannel(ctx context.Context, c inventory.ChannelChange, host string) error
	RemoveChannel(ctx context.Context, name string) error
	TestChannel(ctx context.Context, name string) (inventory.NoticeTest, error)
	Preview(ctx context.Context, name, event string) (inventory.NoticePreview, error)
	Deliveries(ctx context.Context, f inventory.DeliveryFilter) ([]inventory.Delivery, error)
	Replay(ctx context.Context, f inventory.DeliveryFilter) (int, error)
}

const (
	maxRules      = 20
	maxRecipients = 50
	leastSecret   = 16 // characters that a webhook's secret must have
)

func channelRoutes() []route {
	const one = "/api/v1/channels/{name}"
	return []route{
		{
			method: "GET", path: "/api/v1/channels", need: Admin, summary: "Where notifications go, without addresses and secrets",
			status: 200, reply: []inventory.Channel{}, serve: told((*API).listChannels),
		},
		{
			method: "POST", path: "/api/v1/channels", need: Admin, summary: "Add a channel; it is told what happens from now on",
			body: inventory.ChannelChange{}, status: 201, reply: inventory.Channel{}, serve: told((*API).addChannel),
		},
		{
			method: "PUT", path: one, need: Admin, summary: "Change a channel; a blank URL or secret keeps the saved one",
			body: inventory.ChannelChange{}, status: 200, reply: inventory.Channel{}, serve: told((*API).updateChannel),
		},
		{
			method: "DELETE", path: one, need: Admin, summary: "Remove a channel with its messages",
			status: 204, serve: told((*API).removeChannel),
		},
		{
			method: "POST", path: one + "/test", need: Admin, summary: "Send a test message now and answer what the receiver said",
			status: 200, reply: inventory.NoticeTest{}, serve: told((*API).testChannel),
		},
		{
			method: "GET", path: one + "/preview", need: Admin, summary: "What the channel would be sent, with made-up news",
			query:  []parameter{{"event", "string", false, "kind of news: new (default), fixable, kev, …"}},
			status: 200, reply: inventory.NoticePreview{}, serve: told((*API).previewChannel),
		},
		{
			method: "GET", path: "/api/v1/messages", need: Admin, summary: "Messages and how they fared, newest first",
			query: []parameter{
				{"channel", "string", false, "name of a channel"},
				{"state", "string", false, "waiting, sent or dead"},
				{"id", "string", false, "one message"},
				{"limit", "integer", false, "at most 1000 (default 100)"},
			},
			status: 200, reply: []inventory.Delivery{}, serve: told((*API).listMessages),
		},
		{
			method: "POST", path: "/api/v1/messages/replay", need: Admin,
			summary: "Send messages again, under the ids they have: one, or those of a channel in a state (default dead)",
			body:    inventory.DeliveryFilter{}, status: 200, reply: inventory.Replayed{}, serve: told((*API).replayMessages),
		},
	}
}

type handlerOf = func(*API, http.ResponseWriter, *http.Request) error

// told refuses where there are no notifications.
func told(h handlerOf) handlerOf {
	return func(a *API, w http.ResponseWriter, r *http.Request) error {
		if a.teller == nil {
			return inventory.Errorf(inventory.ErrUnsupported, "this server sends no notifications")
		}
		return h(a, w, r)
	}
}

func (a *API) listChannels(w http.ResponseWriter, r *http.Request) error {
	all, err := a.teller.Channels(r.Context())
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, all)
}

func (a *API) addChannel(w http.ResponseWriter, r *http.Request) error {
	var c inventory.ChannelChange
	if err := readJSON(w, r, &c); err != nil {
		return err
	}
	c, host, err := a.checkedChannel(r.Context(), c, nil)
	if err != nil {
		return err
	}
	if err := a.teller.AddChannel(r.Context(), c, host); err != nil {
		return err
	}
	made, err := a.teller.Channel(r.Context(), c.Name)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, made)
}

func (a *API) updateChannel(w http.ResponseWriter, r *http.Request) error {
	var c inventory.ChannelChange
	if err := readJSON(w, r, &c); err != nil {
		return err
	}
	old, err := a.teller.Channel(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	c.Name = old.Name
	c, host, err := a.checkedChannel(r.Context(), c, &old)
	if err != nil {
		return err
	}
	if err := a.teller.UpdateChannel(r.Context(), c, host); err != nil {
		return err
	}
	changed, err := a.teller.Channel(r.Context(), c.Name)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, changed)
}

func (a *API) removeChannel(w http.ResponseWriter, r *http.Request) error {
	if err := a.teller.RemoveChannel(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) testChannel(w http.ResponseWriter, r *http.Request) error {
	result, err := a.teller.TestChannel(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, result)
}

func (a *API) previewChannel(w http.ResponseWriter, r *http.Request) error {
	event := r.URL.Query().Get("event")
	if event == "" {
		event = inventory.NewsNew
	}
	if event != inventory.NewsTest && !slices.Contains(inventory.NewsKinds[:], event) {
		return invalidEvent(event)
	}
	p, err := a.teller.Preview(r.Context(), r.PathValue("name"), event)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, p)
}

func (a *API) listMessages(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := inventory.DeliveryFilter{ID: q.Get("id"), Channel: q.Get("channel"), State: q.Get("state")}
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return invalid("limit is not a number of messages").WithRemedy("give 1 to 1000")
		}
		f.Limit = n
	}
	if err := checkDelivery(f); err != nil {
		return err
	}
	all, err := a.teller.Deliveries(r.Context(), f)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, all)
}

func (a *API) replayMessages(w http.ResponseWriter, r *http.Request) error {
	var f inventory.DeliveryFilter
	if err := readJSON(w, r, &f); err != nil {
		return err
	}
	if f.ID == "" && f.Channel == "" {
		return invalid("nothing is chosen to be sent again").WithRemedy("give the id of a message, or a channel")
	}
	if f.ID == "" && f.State == "" {
		f.State = inventory.DeliveryDead
	}
	if err := checkDelivery(f); err != nil {
		return err
	}
	n, err := a.teller.Replay(r.Context(), f)
	if err != nil {
		return err
	}
	if n == 0 && f.ID != "" {
		return inventory.Errorf(inventory.ErrNotFound, "there is no message %s", shorten(f.ID)).WithRemedy("see: tallyman notify list CHANNEL")
	}
	return reply(w, r, http.StatusOK, inventory.Replayed{Messages: n})
}

func checkDelivery(f inventory.DeliveryFilter) error {
	switch f.State {
	case "", inventory.DeliveryWaiting, inventory.DeliverySent, inventory.DeliveryDead:
		return nil
	}
	return invalid("%q is not a state of a message", shorten(f.State)).WithRemedy("use waiting, sent or dead")
}

func invalidEvent(event string) error {
	return invalid("%q is not a kind of news", shorten(event)).WithRemedy("use %s", strings.Join(inventory.NewsKinds[:], ", "))
}

// checkedChannel tidies what was typed about a channel and refuses what cannot work.
// No error repeats an address: it is a secret.
func (a *API) checkedChannel(ctx context.Context, c inventory.ChannelChange, old *inventory.Channel) (inventory.ChannelChange, string, error) {
	c.Name, c.URL, c.Secret = strings.TrimSpace(c.Name), strings.TrimSpace(c.URL), strings.TrimSpace(c.Secret)
	if !validName(c.Name) {
		return c, "", invalid("%q is not a name for a channel", shorten(c.Name)).
			WithRemedy("use letters, digits, '-', '_' and '.', at most %d, beginning with a letter or digit", maxName)
	}
	if old != nil && old.Kind != c.Kind {
		return c, "", invalid("channel %s is of kind %s", c.Name, old.Kind).WithRemedy("remove it and add it anew")
	}
	if err := checkRules(c.Rules); err != nil {
		return c, "", err
	}
	switch c.Kind {
	case inventory.ChannelMail:
		host, err := a.checkMail(ctx, c, old)
		return c, host, err
	case inventory.ChannelSlack, inventory.ChannelWebhook:
		c.Mail = nil
		host, err := a.checkReceiver(ctx, c, old)
		return c, host, err
	}
	return c, "", invalid("%q is not a kind of channel", shorten(c.Kind)).WithRemedy("use slack, webhook or mail")
}

func checkRules(rules []inventory.Rule) error {
	if len(rules) == 0 || len(rules) > maxRules {
		return invalid("a channel has 1 to %d rules", maxRules).WithRemedy("say what it is to be told of")
	}
	for _, r := range rules {
		if len(r.Events) == 0 {
			return invalid("a rule names no kind of news").WithRemedy("use %s", strings.Join(inventory.NewsKinds[:], ", "))
		}
		for _, event := range r.Events {
			if !slices.Contains(inventory.NewsKinds[:], event) {
				return invalidEvent(event)
			}
		}
		if r.Severity != "" && !slices.Contains(inventory.Severities[:], r.Severity) {
			return invalid("%q is not a severity", shorten(r.Severity)).WithRemedy("use %s", strings.Join(inventory.Severities[:], ", "))
		}
		if len(r.Repository) > maxPattern || !doublestar.ValidatePattern(r.Repository) {
			return invalid("%q is not a pattern for repositories", shorten(r.Repository)).WithRemedy("use KEY, KEY/team/* or **/app")
		}
	}
	return nil
}

// checkReceiver checks the address of a Slack or generic webhook.
func (a *API) checkReceiver(ctx context.Context, c inventory.ChannelChange, old *inventory.Channel) (host string, err error) {
	if c.Kind == inventory.ChannelWebhook && (old == nil || c.Secret != "") && len(c.Secret) < leastSecret {
		return "", invalid("the secret of a webhook has at least %d characters", leastSecret).
			WithRemedy("what is sent is signed with it; `openssl rand -hex 32` makes one")
	}
	if c.URL == "" && old != nil {
		return old.Host, nil
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || u.User != nil || len(c.URL) > 2048 || (u.Scheme != "https" && u.Scheme != "http") {
		return "", invalid("the URL of the channel is not one").WithRemedy("give https://HOST/…, as the receiver shows it")
	}
	if err := a.refuseChannelHost(ctx, u.Hostname()); err != nil {
		return "", err
	}
	return u.Host, nil
}

func (a *API) checkMail(ctx context.Context, c inventory.ChannelChange, old *inventory.Channel) (string, error) {
	if c.Mail == nil {
		return "", invalid("a mail channel needs a server, a sender and recipients")
	}
	host, port, err := net.SplitHostPort(c.Mail.Server)
	if err != nil || host == "" || port == "" {
		return "", invalid("%q is not a mail server", shorten(c.Mail.Server)).WithRemedy("write HOST:PORT, as in smtp.example.com:587")
	}
	if len(c.Mail.To) == 0 || len(c.Mail.To) > maxRecipients {
		return "", invalid("a mail channel has 1 to %d recipients", maxRecipients)
	}
	for _, one := range append([]string{c.Mail.From}, c.Mail.To...) {
		if _, err := mail.ParseAddress(one); err != nil || strings.ContainsAny(one, "\r\n") {
			return "", invalid("%q is not a mail address", shorten(one)).WithRemedy("write somebody@example.com")
		}
	}
	moved := old != nil && old.HasSecret && old.Mail != nil && (old.Mail.Server != c.Mail.Server || old.Mail.Plain != c.Mail.Plain)
	if moved && c.Mail.Username != "" && c.Secret == "" {
		return "", invalid("the saved password is not sent to another server").WithRemedy("give the password again")
	}
	return c.Mail.Server, a.refuseChannelHost(ctx, host)
}

// refuseChannelHost keeps channels off link-local addresses, as integrations are.
func (a *API) refuseChannelHost(ctx context.Context, host string) error {
	if err := refuseHost(ctx, host); err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	return nil
}
