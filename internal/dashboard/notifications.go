package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Teller keeps the channels of notifications and reaches them.
type Teller interface {
	Channels(ctx context.Context) ([]inventory.Channel, error)
	AddChannel(ctx context.Context, change inventory.ChannelChange) (inventory.Channel, error)
	UpdateChannel(ctx context.Context, name string, change inventory.ChannelChange) (inventory.Channel, error)
	RemoveChannel(ctx context.Context, name string) error
	TestChannel(ctx context.Context, name string) (inventory.NoticeTest, error)
	PreviewChannel(ctx context.Context, name, event string) (inventory.NoticePreview, error)
	Messages(ctx context.Context, f inventory.DeliveryFilter) ([]inventory.Delivery, error)
	ReplayMessages(ctx context.Context, f inventory.DeliveryFilter) (int, error)
}

type notificationsPage struct {
	Channels []channelRow
	Messages []inventory.Delivery
	Filter   inventory.DeliveryFilter
	States   []choice
	Told     string
	Here     string // the address of the filter, to come back to
}

type channelRow struct {
	inventory.Channel
	Edit    string
	Dead    string // the list of those given up
	Waiting string
	Rules   []string
}

// messagesShown is how many messages the page lists.
const messagesShown = 40

// notifications lists the channels, and the messages with how they fared.
func (d *Dashboard) notifications(w http.ResponseWriter, r *http.Request, v visit) error {
	q := r.URL.Query()
	p := notificationsPage{Filter: inventory.DeliveryFilter{
		Channel: q.Get("channel"), State: one(q.Get("state"), inventory.DeliveryWaiting, inventory.DeliverySent, inventory.DeliveryDead), Limit: messagesShown,
	}}
	list, err := d.Teller.Channels(r.Context())
	if err != nil {
		return err
	}
	const path = "/settings/notifications"
	for _, c := range list {
		row := channelRow{Channel: c, Edit: d.channelLink(c.Name), Rules: ruleWords(c.Rules)}
		row.Dead = d.with(path, url.Values{"channel": {c.Name}}, "state", inventory.DeliveryDead)
		row.Waiting = d.with(path, url.Values{"channel": {c.Name}}, "state", inventory.DeliveryWaiting)
		p.Channels = append(p.Channels, row)
	}
	if p.Messages, err = d.Teller.Messages(r.Context(), p.Filter); err != nil {
		return err
	}
	here := url.Values{}
	if p.Filter.Channel != "" {
		here.Set("channel", p.Filter.Channel)
	}
	for _, state := range []string{"", inventory.DeliveryWaiting, inventory.DeliverySent, inventory.DeliveryDead} {
		word := deliveryWord(state)
		if state == "" {
			word = "All"
		}
		p.States = append(p.States, choice{Word: word, Link: d.with(path, here, "state", state), On: state == p.Filter.State})
	}
	p.Told = map[string]string{
		"added":   "The channel is saved. It is told what happens from now on; send a test to see it arrive.",
		"saved":   "The channel is saved.",
		"removed": "The channel and its messages are removed.",
		"replay":  "It is sent again now, under the id it has.",
	}[q.Get("done")]
	return d.show(w, r, v, http.StatusOK, "notifications", frame{Title: "Notifications", Menu: "settings", Tab: "notifications"}, p)
}

func (d *Dashboard) channelLink(name string) string {
	return d.Base + "/settings/notifications/" + url.PathEscape(name)
}

// ruleWords says in a line what a rule asks for.
func ruleWords(rules []inventory.Rule) (out []string) {
	for _, r := range rules {
		var kinds []string
		for _, kind := range r.Events {
			kinds = append(kinds, newsWord(kind))
		}
		line := strings.Join(kinds, ", ")
		line += "; " + leastWord(r.Severity)
		if r.Repository != "" {
			line += "; in " + r.Repository
		}
		out = append(out, line)
	}
	return out
}

func leastWord(severity string) string {
	switch severity {
	case inventory.Critical:
		return "critical only"
	case inventory.Unspecified:
		return "any severity"
	case "":
		return "high and worse"
	}
	return severity + " and worse"
}

// newsWord is a kind of news as people call it.
func newsWord(kind string) string {
	return map[string]string{
		inventory.NewsNew: "new flaw", inventory.NewsFixable: "became fixable", inventory.NewsKEV: "known exploited",
		inventory.NewsWithdrawn: "withdrawn", inventory.NewsSeverity: "rated differently", inventory.NewsImageFailed: "image failed",
		inventory.NewsIntegrationBroken: "integration broken", inventory.NewsFeedStale: "advisories stale", inventory.NewsTest: "test",
		inventory.NewsWatch: "watch met",
	}[kind]
}

// deliveryWord is a state of a message in a word.
func deliveryWord(state string) string {
	return map[string]string{
		inventory.DeliveryWaiting: "Waiting", inventory.DeliverySent: "Sent", inventory.DeliveryDead: "Given up",
	}[state]
}

// deliveryClass is the shape of a state.
func deliveryClass(state string) string {
	return map[string]string{inventory.DeliverySent: "is-ok", inventory.DeliveryDead: "is-err"}[state]
}

// replay sends messages again: one, or those of a channel that were given up.
func (d *Dashboard) replay(w http.ResponseWriter, r *http.Request, _ visit) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	f := inventory.DeliveryFilter{ID: r.PostFormValue("id"), Channel: r.PostFormValue("channel")}
	if _, err := d.Teller.ReplayMessages(r.Context(), f); err != nil {
		return err
	}
	back := url.Values{"done": {"replay"}}
	if name := r.PostFormValue("of"); name != "" {
		back.Set("channel", name)
	}
	return d.to(w, r, "/settings/notifications?"+back.Encode())
}
