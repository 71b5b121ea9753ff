package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Limits of Slack's Block Kit, in characters as they are sent.
const (
	slackHeader  = 150
	slackSection = 3000
	slackText    = 3000
	slackFlaws   = 10 // of one message; the rest is a number
)

type slackMessage struct {
	Text        string       `json:"text"` // for what shows no blocks: notifications, screen readers
	Blocks      []slackBlock `json:"blocks"`
	UnfurlLinks bool         `json:"unfurl_links"`
	UnfurlMedia bool         `json:"unfurl_media"`
}

type slackBlock struct {
	Type     string          `json:"type"`
	Text     *slackTextObj   `json:"text,omitempty"`
	Elements []*slackTextObj `json:"elements,omitempty"`
}

type slackTextObj struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji,omitempty"`    // of plain text
	Verbatim bool   `json:"verbatim,omitempty"` // of mrkdwn: names and addresses are not made links
}

// renderSlack lays a message out for an incoming webhook.
func renderSlack(n inventory.Notice) ([]byte, error) {
	no := false
	m := slackMessage{Text: escapeSlack(n.Title, slackText), Blocks: []slackBlock{
		{Type: "header", Text: &slackTextObj{Type: "plain_text", Text: plainSlack(n.Title, slackHeader), Emoji: &no}},
	}}
	section := func(text string) {
		m.Blocks = append(m.Blocks, slackBlock{Type: "section", Text: &slackTextObj{Type: "mrkdwn", Text: text, Verbatim: true}})
	}
	if n.Problem != "" {
		text := escapeSlack(n.Problem, slackSection/2)
		if n.Remedy != "" {
			text += "\n*What to do:* " + escapeSlack(n.Remedy, slackSection/3)
		}
		section(text)
	}
	for _, f := range n.Findings[:min(len(n.Findings), slackFlaws)] {
		section(slackFlaw(f))
	}
	if rest := len(n.Findings) + n.More - slackFlaws; rest > 0 {
		section(fmt.Sprintf("… and %s more", thousands(rest)))
	}
	if len(n.References) > 0 {
		section(slackImages(n))
	}
	if n.Event == inventory.NewsTest {
		section("This is a test. What this channel is told of is listed by `tallyman notify list`.")
	}
	m.Blocks = append(m.Blocks, slackBlock{Type: "context", Elements: []*slackTextObj{{
		Type: "mrkdwn", Verbatim: true,
		Text: "Tallyman · " + strings.ReplaceAll(n.Event, "_", " ") + " · " + n.At.Format(time.RFC3339) + " · `" + n.ID + "`",
	}}})
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode message %s: %w", n.ID, err)
	}
	return body, nil
}

// slackFlaw is a mark, a word, and the facts: never colour alone.
func slackFlaw(f inventory.NoticeFlaw) string {
	mark := map[string]string{
		inventory.Critical: ":red_circle:", inventory.High: ":large_orange_circle:",
		inventory.Medium: ":large_yellow_circle:", inventory.Low: ":large_blue_circle:",
	}[f.Severity]
	if mark == "" {
		mark = ":white_circle:"
	}
	text := fmt.Sprintf("%s *%s* %s", mark, escapeSlack(f.Severity, 40), codeSlack(f.ID))
	if f.Was != "" {
		text += " (was " + escapeSlack(f.Was, 40) + ")"
	}
	if more := facts(f, codeSlack); more != "" {
		text += "\n" + more
	}
	if f.Summary != "" {
		text += "\n" + escapeSlack(f.Summary, 600)
	}
	return text
}

func slackImages(n inventory.Notice) string {
	var b strings.Builder
	for _, ref := range n.References {
		b.WriteString("\n• " + codeSlack(ref))
	}
	if rest := n.Images - len(n.References); rest > 0 && n.Images > 1 {
		fmt.Fprintf(&b, "\n… of %s", count(n.Images, "image", "images"))
	}
	return "*Images*" + b.String()
}

// escapeSlack makes text from outside inert in mrkdwn: the three characters that begin
// all of Slack's commands (<!channel>, <@U1>, <https://…|text>) are written as entities,
// and marks that format, or name people, are kept from it by an invisible character
// after them. It is cut to so many characters as they are sent.
func escapeSlack(s string, most int) string {
	return cutSlack(s, most, map[rune]string{'*': "*\u2060", '_': "_\u2060", '~': "~\u2060", '@': "@\u2060"})
}

// codeSlack shows text as code, in which nothing is markup.
func codeSlack(s string) string { return "`" + cutSlack(s, 150, nil) + "`" }

func cutSlack(s string, most int, change map[rune]string) string {
	var b strings.Builder
	n := 0
	for _, r := range inventory.Printable(s) {
		piece, ok := change[r]
		switch {
		case r == '&':
			piece = "&amp;"
		case r == '<':
			piece = "&lt;"
		case r == '>':
			piece = "&gt;"
		case r == '`':
			piece = "ʼ"
		case !ok:
			piece = string(r)
		}
		n += utf8.RuneCountInString(piece)
		if n >= most {
			b.WriteString("…")
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}

// plainSlack is for plain text objects, which know no markup but emoji, and those are off.
func plainSlack(s string, most int) string { return short(inventory.Printable(s), most) }
