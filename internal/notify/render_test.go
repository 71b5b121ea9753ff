package notify

import (
	"encoding/json"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// texts collects every string of a Slack message.
func texts(t *testing.T, body []byte) (all []string, blocks int) {
	t.Helper()
	var m slackMessage
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	all = append(all, m.Text)
	for _, b := range m.Blocks {
		if b.Text != nil {
			all = append(all, b.Text.Text)
		}
		for _, e := range b.Elements {
			all = append(all, e.Text)
		}
	}
	return all, len(m.Blocks)
}

// hostile is a notice whose every text an attacker wrote.
func hostile(s string) inventory.Notice {
	f := inventory.NoticeFlaw{ID: s, Severity: s, Was: s, Summary: s, Packages: []string{s, s}, Fixed: []string{s}}
	return inventory.Notice{
		ID: "evt_1", Event: inventory.NewsNew, Title: s, Problem: s, Remedy: s, References: []string{s, s}, Images: 10000,
		Findings: slices.Repeat([]inventory.NoticeFlaw{f}, 50), More: 9000, At: time.Unix(1, 0).UTC(),
	}
}

func checkSlack(t *testing.T, s string) {
	t.Helper()
	body, err := renderSlack(hostile(s))
	if err != nil {
		t.Fatal(err)
	}
	all, blocks := texts(t, body)
	if blocks > 50 {
		t.Errorf("%d blocks", blocks)
	}
	for i, text := range all {
		if len([]rune(text)) > 3000 || text == "" {
			t.Errorf("a text of %d characters", len([]rune(text)))
		}
		if i == 1 { // the header is plain text, in which nothing is markup
			if len([]rune(text)) > 150 {
				t.Errorf("a header of %d characters", len([]rune(text)))
			}
			continue
		}
		if strings.ContainsAny(text, "<>") {
			t.Errorf("markup in %q", text)
		}
		if i > 1 && strings.Count(text, "`")%2 != 0 {
			t.Errorf("a quote is open in %q", text)
		}
	}
}

func TestSlackMarkupIsInert(t *testing.T) {
	for _, s := range []string{
		"<!channel> <!here> <@U123> <#C1> <https://evil.example|click>", "`<!channel>`", "*bold* _it_ ~no~ @channel &lt;!channel&gt;",
		strings.Repeat("<", 5000), strings.Repeat("&", 5000), strings.Repeat("é`", 3000), "line\nbreak\r\u202eevil\x00",
	} {
		checkSlack(t, s)
	}
	body, err := renderSlack(hostile("<!channel> @here *x*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<!channel>", "\\u003c!channel", "@here", "*x*"} {
		all, _ := texts(t, body)
		for i, text := range all {
			// Header and code are shown as they are.
			if i != 1 && strings.Contains(strings.ReplaceAll(text, "`&lt;!channel&gt; @here *x*`", ""), bad) {
				t.Errorf("%q stands in %q", bad, text)
			}
		}
	}
}

func FuzzSlack(f *testing.F) {
	f.Add("<!channel>")
	f.Add("`a` &amp; \u2028")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.TrimSpace(s) != "" {
			checkSlack(t, s)
		}
	})
}

func TestSlackSaysWhatMatters(t *testing.T) {
	n := sample(inventory.NewsNew, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	n.Images = 10000
	n.Title = flawTitle(n.Event, n.Findings, n.Images)
	body, err := renderSlack(n)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := texts(t, body)
	joined := strings.Join(all, "\n")
	for _, want := range []string{
		"CVE-2021-44228 (critical) is in 10,000 images", ":red_circle: *critical* `CVE-2021-44228`", "`log4j-core 2.14.1`", "fixed in `2.17.1`",
		"known to be exploited", "EPSS 94 %", "registry.example/docker-local/shop/storefront:1.14.0", "… of 10,000 images", n.ID,
	} {
		if !strings.Contains(joined, want) {
			t.Errorf("lacks %q:\n%s", want, joined)
		}
	}
}

func TestEveryKindRenders(t *testing.T) {
	mailTo := &inventory.Mail{Server: "smtp.example:587", From: "Tallyman <t@example.com>", To: []string{"a@example.com", "Bé <b@example.com>"}}
	for _, kind := range append(inventory.NewsKinds[:], inventory.NewsTest) {
		n := sample(kind, time.Now())
		if n.Title == "" || strings.Contains(n.Title, "%!") {
			t.Errorf("%s: %q", kind, n.Title)
		}
		for _, ch := range []inventory.Channel{{Kind: inventory.ChannelSlack}, {Kind: inventory.ChannelWebhook}, {Kind: inventory.ChannelMail, Mail: mailTo}} {
			p, err := preview(ch, n)
			if err != nil || !strings.Contains(p.Body, n.ID) {
				t.Errorf("%s to %s: %v\n%s", kind, ch.Kind, err, p.Body)
			}
		}
		many := flawTitle(kind, slices.Repeat([]inventory.NoticeFlaw{{ID: "CVE-1", Severity: "high"}}, 1234), 5678)
		if len(n.Findings) > 0 && !strings.Contains(many, "1,234 flaws") {
			t.Errorf("%s: %q", kind, many)
		}
	}
}

func TestMailHeadersHold(t *testing.T) {
	n := hostile("evil\r\nBcc: everybody@example.com\r\n\r\nbody é")
	body, err := renderMail(inventory.Channel{Mail: &inventory.Mail{From: "t@example.com", To: []string{"a@example.com"}}}, n)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || m.Header.Get("Bcc") != "" || m.Header.Get("To") != "<a@example.com>" || m.Header.Get(HeaderEvent) != "evt_1" ||
		m.Header.Get("Message-Id") != "<evt_1@example.com>" || !strings.HasPrefix(subject, "Tallyman: evil") {
		t.Errorf("%v %q %+v", err, subject, m.Header)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || !strings.Contains(string(text), "… and 9,000 more") || strings.Contains(string(text), "\r\nBcc") {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err := renderMail(inventory.Channel{Mail: &inventory.Mail{From: "no address", To: []string{"a@example.com"}}}, n); err == nil {
		t.Error("a sender that is none")
	}
}

func TestWords(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for _, c := range []struct {
		rule inventory.Rule
		repo string
		want bool
	}{
		{inventory.Rule{}, "a/b", true},
		{inventory.Rule{Repository: "docker-prod"}, "docker-prod/team/app", true},
		{inventory.Rule{Repository: "docker-*"}, "docker-prod/team/app", true},
		{inventory.Rule{Repository: "docker-prod/**"}, "docker-prod/team/app", true},
		{inventory.Rule{Repository: "**/app"}, "docker-prod/team/app", true},
		{inventory.Rule{Repository: "docker-prod/*"}, "docker-prod/team/app", false},
		{inventory.Rule{Repository: "docker-dev"}, "docker-prod/team/app", false},
	} {
		if got := matches(c.rule, c.repo); got != c.want {
			t.Errorf("%q on %s: %t", c.rule.Repository, c.repo, got)
		}
	}
}
