package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Headers of what is sent.
const (
	HeaderEvent     = "X-Tallyman-Event"     // id of the message, the same on every attempt
	HeaderTimestamp = "X-Tallyman-Timestamp" // unix seconds, of this attempt
	HeaderSignature = "X-Tallyman-Signature" // hex of HMAC-SHA256 over timestamp, ".", body
)

// NewClient makes a client that cannot reach link-local addresses, whatever a name
// resolves to by the time it is called.
func NewClient() *http.Client {
	d := dialer()
	return &http.Client{Timeout: 2 * sendTime, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: d.DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: sendTime, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2,
	}}
}

func dialer() *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, Control: inventory.RefuseLinkLocal}
}

// render is a message as a channel is sent it.
func render(ch inventory.Channel, n inventory.Notice) (contentType string, body []byte, err error) {
	switch ch.Kind {
	case inventory.ChannelSlack:
		body, err = renderSlack(n)
		return "application/json", body, err
	case inventory.ChannelMail:
		body, err = renderMail(ch, n)
		return "message/rfc822", body, err
	case inventory.ChannelWebhook:
		if body, err = json.Marshal(n); err != nil {
			err = fmt.Errorf("encode message %s: %w", n.ID, err)
		}
		return "application/json", body, err
	}
	return "", nil, inventory.Errorf(inventory.ErrInvalid, "channel %s is of an unknown kind", ch.Name)
}

// deliver makes one attempt and returns what the receiver said.
func (n *Notifier) deliver(ctx context.Context, ch inventory.Channel, s inventory.ChannelSecrets, notice inventory.Notice) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	contentType, body, err := render(ch, notice)
	if err != nil {
		return "", err
	}
	if ch.Kind == inventory.ChannelMail {
		return n.mail(ctx, ch, s, body)
	}
	return n.post(ctx, ch, s, notice.ID, contentType, body)
}

func (n *Notifier) post(ctx context.Context, ch inventory.Channel, s inventory.ChannelSecrets, id, contentType string, body []byte) (string, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", inventory.Errorf(inventory.ErrInvalid, "channel %s has no address that can be used", ch.Name).
			WithRemedy("give it again: tallyman notify add %s --replace --url-stdin", ch.Name)
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && inventory.LinkLocal(addr) {
		return "", inventory.Errorf(inventory.ErrForbidden, "a channel cannot lead to a link-local address")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return "", inventory.Errorf(inventory.ErrInvalid, "channel %s has no address that can be used", ch.Name)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "Tallyman")
	req.Header.Set(HeaderEvent, id)
	if ch.Kind == inventory.ChannelWebhook {
		at := strconv.FormatInt(n.now().Unix(), 10)
		req.Header.Set(HeaderTimestamp, at)
		if s.Secret != "" {
			req.Header.Set(HeaderSignature, Sign(s.Secret, at, body))
		}
	}
	res, err := n.client.Do(req)
	if err != nil {
		return "", unreachable(ch, err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return "HTTP " + strconv.Itoa(res.StatusCode), nil // it has it, whatever became of the rest of its answer
	}
	if err != nil {
		said = nil
	}
	return "", refused(ch, res.StatusCode, said)
}

// Sign is the signature of a body that was sent at a time, in unix seconds.
func Sign(secret, at string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// unreachable tells why there was no answer. The error of net/http begins with the
// address, which is a secret: only what lies below it is told.
func unreachable(ch inventory.Channel, err error) error {
	var told *inventory.Error
	if errors.As(err, &told) {
		return told
	}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	why := "no answer"
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		why = "its name is not known"
	case errors.As(err, &op):
		why = op.Op + ": " + op.Err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		why = "no answer in time"
	}
	return inventory.Errorf(inventory.ErrUnavailable, "%s cannot be reached: %s", ch.Host, why).
		WithRemedy("see that the server may connect there")
}

// slackCode is how Slack says what is wrong.
func slackCode(said []byte) string {
	code := strings.TrimSpace(string(said))
	if !regexp.MustCompile(`^[a-z_]{2,60}$`).MatchString(code) {
		return ""
	}
	return ": " + code
}

// refused tells what an answer other than success means. Of the body only Slack's own
// codes are repeated: a receiver inside the network may say what nobody else may read.
func refused(ch inventory.Channel, status int, said []byte) error {
	kind, code := inventory.ErrUnavailable, ""
	if ch.Kind == inventory.ChannelSlack {
		code = slackCode(said)
		if status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout {
			kind = inventory.ErrInvalid // such as no_service: it will not pass
		}
	}
	remedy := "see what the receiver logged"
	switch {
	case status >= 300 && status < 400:
		kind, remedy = inventory.ErrInvalid, "it redirects, which is not followed: give the address that it leads to"
	case status == http.StatusGone:
		kind = inventory.ErrInvalid
	case ch.Kind == inventory.ChannelSlack && !errors.Is(kind, inventory.ErrUnavailable):
		remedy = "make a new incoming webhook in Slack and give its address: tallyman notify add " + ch.Name + " --replace --url-stdin"
	}
	return inventory.Errorf(kind, "%s answered %d%s", ch.Host, status, code).WithRemedy("%s", remedy)
}
