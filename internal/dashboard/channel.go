package dashboard

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// channelPage is the form of a channel, with what it would be sent.
type channelPage struct {
	New      bool
	Saved    inventory.Channel
	Form     inventory.ChannelChange // without secrets
	To       string                  // recipients of mail, one a line
	Rules    []ruleForm
	Problem  string
	Remedy   string
	Test     *inventory.NoticeTest
	Preview  *noticePreview
	Previews []choice
	Action   string
}

// ruleForm is one rule as the form shows it.
type ruleForm struct {
	N          int
	Events     []choice // Link is the kind
	Severities []choice // Link is the severity
	Repository string
	Blank      bool // for one more
}

// noticePreview is a message as it is sent, and how it reads.
type noticePreview struct {
	Event string
	Type  string
	Body  string
	Lines []string
	Head  string
}

const maxRules = 20

func (d *Dashboard) newChannelPage(w http.ResponseWriter, r *http.Request, v visit) error {
	kind := one(r.URL.Query().Get("kind"), inventory.ChannelSlack, inventory.ChannelWebhook, inventory.ChannelMail)
	if kind == "" {
		kind = inventory.ChannelSlack
	}
	p := channelPage{New: true, Form: inventory.ChannelChange{Kind: kind, Rules: []inventory.Rule{{
		Events:   []string{inventory.NewsNew, inventory.NewsKEV, inventory.NewsImageFailed, inventory.NewsIntegrationBroken, inventory.NewsFeedStale, inventory.NewsWatch},
		Severity: inventory.High,
	}}}}
	return d.showChannel(w, r, v, http.StatusOK, p)
}

func (d *Dashboard) channelPage(w http.ResponseWriter, r *http.Request, v visit) error {
	c, err := d.channelOf(r)
	if err != nil {
		return err
	}
	p := channelPage{Saved: c, Form: inventory.ChannelChange{Name: c.Name, Kind: c.Kind, Mail: c.Mail, Rules: c.Rules}}
	if event := one(r.URL.Query().Get("event"), inventory.NewsKinds[:]...); event != "" {
		if p.Preview, err = d.preview(r, c.Name, event); err != nil {
			return err
		}
	}
	return d.showChannel(w, r, v, http.StatusOK, p)
}

func (d *Dashboard) channelOf(r *http.Request) (inventory.Channel, error) {
	list, err := d.Teller.Channels(r.Context())
	if err != nil {
		return inventory.Channel{}, err
	}
	name := r.PathValue("name")
	i := slices.IndexFunc(list, func(c inventory.Channel) bool { return c.Name == name })
	if i < 0 {
		return inventory.Channel{}, inventory.Errorf(inventory.ErrNotFound, "there is no channel %q", name)
	}
	return list[i], nil
}

func (d *Dashboard) preview(r *http.Request, name, event string) (*noticePreview, error) {
	got, err := d.Teller.PreviewChannel(r.Context(), name, event)
	if err != nil {
		return nil, err
	}
	p := &noticePreview{Event: event, Type: got.ContentType, Body: got.Body}
	var indented bytes.Buffer
	if json.Indent(&indented, []byte(got.Body), "", "  ") == nil {
		p.Body = indented.String()
	}
	p.Head, p.Lines = slackReads(got.Body)
	return p, nil
}

// slackReads is a Block Kit message as lines of text; none when it is no such message.
func slackReads(body string) (head string, lines []string) {
	type text struct{ Text string }
	var m struct {
		Blocks []struct {
			Type     string
			Text     text
			Elements []text
		}
	}
	if json.Unmarshal([]byte(body), &m) != nil {
		return "", nil
	}
	// What was escaped for Slack is text again here; the template escapes it for pages.
	plain := strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "\u2060", "", "*", "", "`", "",
		":red_circle:", "●", ":large_orange_circle:", "●", ":large_yellow_circle:", "●", ":large_blue_circle:", "●", ":white_circle:", "○")
	for _, b := range m.Blocks {
		if b.Type == "header" {
			head = b.Text.Text
			continue
		}
		for _, one := range append([]text{b.Text}, b.Elements...) {
			if one.Text != "" {
				lines = append(lines, plain.Replace(one.Text))
			}
		}
	}
	return head, lines
}

func readChannel(w http.ResponseWriter, r *http.Request) (inventory.ChannelChange, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return inventory.ChannelChange{}, inventory.Errorf(inventory.ErrInvalid, "the form could not be read")
	}
	get := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	c := inventory.ChannelChange{Name: get("name"), Kind: get("kind"), URL: get("url"), Secret: get("secret")}
	if c.Kind == inventory.ChannelMail {
		c.Mail = &inventory.Mail{Server: get("server"), Username: get("username"), From: get("from"), To: list(get("to")), Plain: get("plain") != ""}
	}
	for n := range maxRules {
		at := string(rune('a' + n))
		events := r.PostForm["on-"+at]
		if len(events) == 0 {
			continue
		}
		c.Rules = append(c.Rules, inventory.Rule{Events: events, Repository: get("in-" + at), Severity: get("least-" + at)})
	}
	return c, nil
}

// saveChannel adds a channel, or changes the one that the path names.
func (d *Dashboard) saveChannel(w http.ResponseWriter, r *http.Request, v visit) error {
	change, err := readChannel(w, r)
	if err != nil {
		return err
	}
	p, done := channelPage{New: true, Form: change}, "added"
	if r.PathValue("name") == "" {
		_, err = d.Teller.AddChannel(r.Context(), change)
	} else {
		if p.Saved, err = d.channelOf(r); err != nil {
			return err
		}
		p.New, done = false, "saved"
		change.Kind = p.Saved.Kind
		_, err = d.Teller.UpdateChannel(r.Context(), p.Saved.Name, change)
	}
	var told *inventory.Error
	if errors.As(err, &told) && !errors.Is(err, inventory.ErrUnavailable) {
		p.Problem, p.Remedy = told.Msg, told.Remedy
		return d.showChannel(w, r, v, http.StatusUnprocessableEntity, p)
	}
	if err != nil {
		return err
	}
	return d.to(w, r, "/settings/notifications?done="+done)
}

// testChannel sends a message that says it is a test, and shows the answer.
func (d *Dashboard) testChannel(w http.ResponseWriter, r *http.Request, v visit) error {
	c, err := d.channelOf(r)
	if err != nil {
		return err
	}
	result, err := d.Teller.TestChannel(r.Context(), c.Name)
	if err != nil {
		return err
	}
	return d.showChannel(w, r, v, http.StatusOK, channelPage{
		Saved: c, Form: inventory.ChannelChange{Name: c.Name, Kind: c.Kind, Mail: c.Mail, Rules: c.Rules}, Test: &result,
	})
}

func (d *Dashboard) removeChannel(w http.ResponseWriter, r *http.Request, _ visit) error {
	if err := d.Teller.RemoveChannel(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	return d.to(w, r, "/settings/notifications?done=removed")
}

func (d *Dashboard) showChannel(w http.ResponseWriter, r *http.Request, v visit, status int, p channelPage) error {
	title := "Add a channel"
	p.Action = d.Base + "/settings/notifications/new"
	if !p.New {
		title, p.Action = p.Saved.Name, d.channelLink(p.Saved.Name)
		for _, kind := range inventory.NewsKinds {
			p.Previews = append(p.Previews, choice{Word: newsWord(kind), Link: p.Action + "?" + url.Values{"event": {kind}}.Encode() + "#preview", On: p.Preview != nil && p.Preview.Event == kind})
		}
	}
	if p.Form.Mail != nil {
		p.To = strings.Join(p.Form.Mail.To, "\n")
	}
	for n, rule := range append(slices.Clone(p.Form.Rules), inventory.Rule{}) {
		if n == maxRules {
			break
		}
		p.Rules = append(p.Rules, formOfRule(n, rule, n == len(p.Form.Rules) && n > 0))
	}
	return d.show(w, r, v, status, "channel", frame{Title: title, Menu: "settings", Tab: "notifications"}, p)
}

func formOfRule(n int, rule inventory.Rule, blank bool) ruleForm {
	f := ruleForm{N: n, Repository: rule.Repository, Blank: blank}
	for _, kind := range inventory.NewsKinds {
		f.Events = append(f.Events, choice{Word: newsWord(kind), Link: kind, On: slices.Contains(rule.Events, kind)})
	}
	least := rule.Severity
	if least == "" {
		least = inventory.High
	}
	for _, s := range inventory.Severities {
		f.Severities = append(f.Severities, choice{Word: leastWord(s), Link: s, On: s == least})
	}
	return f
}

// Letter names the fields of the rule.
func (f ruleForm) Letter() string { return string(rune('a' + f.N)) }
