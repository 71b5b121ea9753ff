package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/api"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// tellerBook is a teller in memory.
type tellerBook struct {
	channels map[string]inventory.Channel
	changes  []inventory.ChannelChange
	replayed []inventory.DeliveryFilter
}

func (b *tellerBook) Channels(context.Context) (all []inventory.Channel, err error) {
	for _, c := range b.channels {
		all = append(all, c)
	}
	return all, nil
}

func (b *tellerBook) Channel(_ context.Context, name string) (inventory.Channel, error) {
	c, ok := b.channels[name]
	if !ok {
		return c, inventory.Errorf(inventory.ErrNotFound, "there is no channel %s", name)
	}
	return c, nil
}

func (b *tellerBook) AddChannel(_ context.Context, c inventory.ChannelChange, host string) error {
	if _, ok := b.channels[c.Name]; ok {
		return inventory.Errorf(inventory.ErrConflict, "there is a channel named %s already", c.Name)
	}
	return b.UpdateChannel(context.Background(), c, host)
}

func (b *tellerBook) UpdateChannel(_ context.Context, c inventory.ChannelChange, host string) error {
	b.changes = append(b.changes, c)
	b.channels[c.Name] = inventory.Channel{Name: c.Name, Kind: c.Kind, Host: host, HasSecret: c.Secret != "" || b.channels[c.Name].HasSecret, Mail: c.Mail, Rules: c.Rules}
	return nil
}

func (b *tellerBook) RemoveChannel(_ context.Context, name string) error {
	delete(b.channels, name)
	return nil
}

func (b *tellerBook) TestChannel(context.Context, string) (inventory.NoticeTest, error) {
	return inventory.NoticeTest{OK: true, ID: "evt_1", Receipt: "HTTP 200"}, nil
}

func (b *tellerBook) Preview(_ context.Context, name, event string) (inventory.NoticePreview, error) {
	return inventory.NoticePreview{ContentType: "application/json", Body: name + " " + event}, nil
}

func (b *tellerBook) Deliveries(_ context.Context, f inventory.DeliveryFilter) ([]inventory.Delivery, error) {
	return []inventory.Delivery{{Channel: f.Channel, State: f.State}}, nil
}

func (b *tellerBook) Replay(_ context.Context, f inventory.DeliveryFilter) (int, error) {
	b.replayed = append(b.replayed, f)
	if f.ID == "evt_0" {
		return 0, nil
	}
	return 2, nil
}

func telling(t *testing.T) (*tellerBook, *httptest.Server, *client.Client) {
	t.Helper()
	b := &tellerBook{channels: map[string]inventory.Channel{}}
	o := newLedger().options(t)
	o.Teller = b
	h := api.New(o)
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return b, srv, client.Local(api.AsLocal(h, "local"))
}

func TestChannelsByTheClient(t *testing.T) {
	b, _, c := telling(t)
	ctx := t.Context()
	rules := []client.Rule{{Events: []string{"new", "kev"}, Severity: "critical", Repository: "docker-prod/**"}}
	made, err := c.AddChannel(ctx, client.ChannelChange{Name: "team", Kind: "slack", URL: " https://hooks.slack.example/services/T0/secret ", Rules: rules})
	if err != nil || made.Host != "hooks.slack.example" || b.changes[0].URL != "https://hooks.slack.example/services/T0/secret" {
		t.Fatalf("%+v %v", made, err)
	}
	if _, err := c.AddChannel(ctx, client.ChannelChange{Name: "team", Kind: "slack", URL: "https://x.example", Rules: rules}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("twice: %v", err)
	}
	made, err = c.UpdateChannel(ctx, "team", client.ChannelChange{Kind: "slack", Rules: rules})
	if err != nil || made.Host != "hooks.slack.example" {
		t.Errorf("%+v %v", made, err)
	}
	all, err := c.Channels(ctx)
	if err != nil || len(all) != 1 {
		t.Errorf("%+v %v", all, err)
	}
	res, err := c.TestChannel(ctx, "team")
	if err != nil || !res.OK {
		t.Errorf("%+v %v", res, err)
	}
	p, err := c.PreviewChannel(ctx, "team", "kev")
	if err != nil || p.Body != "team kev" {
		t.Errorf("%+v %v", p, err)
	}
	if _, err := c.PreviewChannel(ctx, "team", "gossip"); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("an unknown kind: %v", err)
	}
	messages, err := c.Messages(ctx, client.DeliveryFilter{Channel: "team", State: "dead", Limit: 5})
	if err != nil || messages[0].Channel != "team" || messages[0].State != "dead" {
		t.Errorf("%+v %v", messages, err)
	}
	n, err := c.ReplayMessages(ctx, client.DeliveryFilter{Channel: "team"})
	if err != nil || n != 2 || b.replayed[0].State != "dead" {
		t.Errorf("%d %v %+v", n, err, b.replayed)
	}
	if _, err := c.ReplayMessages(ctx, client.DeliveryFilter{ID: "evt_0"}); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("an unknown message: %v", err)
	}
	for _, f := range []client.DeliveryFilter{{}, {Channel: "team", State: "lost"}} {
		if _, err := c.ReplayMessages(ctx, f); !errors.Is(err, client.ErrInvalid) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	if err := c.RemoveChannel(ctx, "team"); err != nil || len(b.channels) != 0 {
		t.Error(err)
	}
}

func TestChannelsThatCannotWork(t *testing.T) {
	const rules = `"rules":[{"events":["new"]}]`
	b, srv, _ := telling(t)
	b.channels["post"] = inventory.Channel{Name: "post", Kind: "mail", HasSecret: true, Mail: &inventory.Mail{Server: "smtp.example:587", Username: "u"}}
	b.channels["hook"] = inventory.Channel{Name: "hook", Kind: "webhook", HasSecret: true, Host: "h.example"}
	for _, c := range []struct {
		method, path, body string
		status             int
		words              string
	}{
		{"POST", "", `{"name":"a b","kind":"slack","url":"https://x.example/secret-path",` + rules + `}`, 400, "not a name"},
		{"POST", "", `{"name":"a","kind":"pigeon",` + rules + `}`, 400, "slack, webhook or mail"},
		{"POST", "", `{"name":"a","kind":"slack","url":"x.example/secret-path",` + rules + `}`, 400, "URL of the channel"},
		{"POST", "", `{"name":"a","kind":"slack","url":"https://u:secret-path@x.example",` + rules + `}`, 400, "URL of the channel"},
		{"POST", "", `{"name":"a","kind":"slack",` + rules + `}`, 400, "URL of the channel"},
		{"POST", "", `{"name":"a","kind":"slack","url":"http://169.254.169.254/secret-path",` + rules + `}`, 403, "link-local"},
		{"POST", "", `{"name":"a","kind":"slack","url":"https://x.example/secret-path","rules":[]}`, 400, "1 to 20 rules"},
		{"POST", "", `{"name":"a","kind":"slack","url":"https://x.example/secret-path","rules":[{"events":[]}]}`, 400, "no kind of news"},
		{"POST", "", `{"name":"a","kind":"slack","url":"https://x.example/secret-path","rules":[{"events":["gossip"]}]}`, 400, "gossip"},
		{"POST", "", `{"name":"a","kind":"slack","url":"https://x.example/secret-path","rules":[{"events":["new"],"severity":"bad"}]}`, 400, "not a severity"},
		{"POST", "", `{"name":"a","kind":"slack","url":"https://x.example/secret-path","rules":[{"events":["new"],"repository":"[a"}]}`, 400, "not a pattern"},
		{"POST", "", `{"name":"a","kind":"webhook","url":"https://x.example/secret-path","secret":"short",` + rules + `}`, 400, "at least 16"},
		{"POST", "", `{"name":"a","kind":"mail",` + rules + `}`, 400, "a server, a sender"},
		{"POST", "", `{"name":"a","kind":"mail","mail":{"server":"smtp.example","from":"a@b.example","to":["a@b.example"]},` + rules + `}`, 400, "HOST:PORT"},
		{"POST", "", `{"name":"a","kind":"mail","mail":{"server":"169.254.1.1:25","from":"a@b.example","to":["a@b.example"]},` + rules + `}`, 403, "link-local"},
		{"POST", "", `{"name":"a","kind":"mail","mail":{"server":"smtp.example:25","from":"a@b.example","to":[]},` + rules + `}`, 400, "recipients"},
		{"POST", "", `{"name":"a","kind":"mail","mail":{"server":"smtp.example:25","from":"a@b.example\nBcc: x@y.example","to":["a@b.example"]},` + rules + `}`, 400, "not a mail address"},
		{"PUT", "/post", `{"kind":"mail","mail":{"server":"evil.example:25","username":"u","from":"a@b.example","to":["a@b.example"]},` + rules + `}`, 400, "not sent to another server"},
		{"PUT", "/post", `{"kind":"slack","url":"https://x.example/secret-path",` + rules + `}`, 400, "is of kind mail"},
		{"PUT", "/hook", `{"kind":"webhook",` + rules + `}`, 200, "h.example"},
		{"PUT", "/nobody", `{"kind":"webhook",` + rules + `}`, 404, "no channel"},
	} {
		status, _, body := call(t, srv, administrator, c.method, "/api/v1/channels"+c.path, c.body)
		if status != c.status || !strings.Contains(body, c.words) || strings.Contains(body, "secret-path") {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, status, body)
		}
	}
	if len(b.changes) != 1 {
		t.Errorf("%d changes were saved", len(b.changes))
	}
	for _, query := range []string{"limit=x", "limit=0", "state=lost"} {
		if status, _, body := call(t, srv, administrator, "GET", "/api/v1/messages?"+query, ""); status != 400 {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
	bare := serve(t, newLedger())
	if status, _, body := call(t, bare, administrator, "GET", "/api/v1/channels", ""); status != 422 {
		t.Error(fmt.Sprint(status), body)
	}
}
