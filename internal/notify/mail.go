package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// renderMail is a message in plain text.
func renderMail(ch inventory.Channel, n inventory.Notice) ([]byte, error) {
	if ch.Mail == nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "channel %s has no mail settings", ch.Name)
	}
	var b bytes.Buffer
	header := func(name, value string) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, strings.NewReplacer("\r", " ", "\n", " ").Replace(value))
	}
	from, err := address(ch.Mail.From)
	if err != nil {
		return nil, err
	}
	header("From", from.String())
	to := make([]string, 0, len(ch.Mail.To))
	for _, one := range ch.Mail.To {
		a, err := address(one)
		if err != nil {
			return nil, err
		}
		to = append(to, a.String())
	}
	header("To", strings.Join(to, ", "))
	header("Subject", mime.QEncoding.Encode("utf-8", "Tallyman: "+short(inventory.Printable(n.Title), 200)))
	header("Date", n.At.UTC().Format(time.RFC1123Z))
	_, domain, _ := strings.Cut(from.Address, "@")
	header("Message-ID", "<"+n.ID+"@"+domain+">")
	header(HeaderEvent, n.ID)
	header("Auto-Submitted", "auto-generated")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(mailText(n))); err != nil {
		return nil, fmt.Errorf("encode message %s: %w", n.ID, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encode message %s: %w", n.ID, err)
	}
	return b.Bytes(), nil
}

func address(s string) (*mail.Address, error) {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "%q is not a mail address", short(s, 80))
	}
	return a, nil
}

func mailText(n inventory.Notice) string {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(inventory.Printable(fmt.Sprintf(format, args...)) + "\r\n")
	}
	line("%s", n.Title)
	if n.Problem != "" {
		line("")
		line("%s", n.Problem)
	}
	if n.Remedy != "" {
		line("What to do: %s", n.Remedy)
	}
	for _, f := range n.Findings {
		line("")
		line("%s  %s", strings.ToUpper(f.Severity), f.ID)
		if more := facts(f, inventory.Printable); more != "" {
			line("  %s", more)
		}
		if f.Summary != "" {
			line("  %s", short(f.Summary, 600))
		}
	}
	if n.More > 0 {
		line("… and %s more", thousands(n.More))
	}
	if len(n.References) > 0 {
		line("")
		line("Images")
		for _, ref := range n.References {
			line("  %s", ref)
		}
		if n.Images > len(n.References) && n.Images > 1 {
			line("  … of %s", count(n.Images, "image", "images"))
		}
	}
	line("")
	line("-- ")
	line("Tallyman, event %s", n.ID)
	return b.String()
}

// mail hands a message to the mail server.
func (n *Notifier) mail(ctx context.Context, ch inventory.Channel, s inventory.ChannelSecrets, message []byte) (string, error) {
	host, port, err := net.SplitHostPort(ch.Mail.Server)
	if err != nil {
		return "", inventory.Errorf(inventory.ErrInvalid, "the mail server is not HOST:PORT")
	}
	conn, err := dialer().DialContext(ctx, "tcp", ch.Mail.Server)
	if err != nil {
		return "", unreachable(ch, err)
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", unreachable(ch, err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	settings := &tls.Config{ServerName: host, RootCAs: n.roots, MinVersion: tls.VersionTLS12}
	if port == "465" {
		conn = tls.Client(conn, settings)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return "", mailFailed(ch, "greet", err)
	}
	defer func() { _ = c.Close() }()
	if err := secure(c, ch, port == "465", settings); err != nil {
		return "", err
	}
	if ch.Mail.Username != "" {
		if err := c.Auth(smtp.PlainAuth("", ch.Mail.Username, s.Secret, host)); err != nil {
			return "", mailFailed(ch, "sign in", err)
		}
	}
	if err := hand(c, ch, message); err != nil {
		return "", err
	}
	return "accepted by " + ch.Mail.Server, nil
}

// secure turns encryption on, or refuses to go on without.
func secure(c *smtp.Client, ch inventory.Channel, encrypted bool, settings *tls.Config) error {
	if encrypted {
		return nil
	}
	if ok, _ := c.Extension("STARTTLS"); ok {
		if err := c.StartTLS(settings); err != nil {
			return mailFailed(ch, "encrypt", err)
		}
		return nil
	}
	switch {
	case ch.Mail.Username != "":
		return inventory.Errorf(inventory.ErrInvalid, "%s offers no encryption: the password is not sent to it", ch.Mail.Server).
			WithRemedy("use a server with STARTTLS, or one that needs no password")
	case !ch.Mail.Plain:
		return inventory.Errorf(inventory.ErrInvalid, "%s offers no encryption", ch.Mail.Server).
			WithRemedy("use a server with STARTTLS, or allow this one with --smtp-plain")
	}
	return nil
}

func hand(c *smtp.Client, ch inventory.Channel, message []byte) error {
	from, err := address(ch.Mail.From)
	if err != nil {
		return err
	}
	if err := c.Mail(from.Address); err != nil {
		return mailFailed(ch, "say who sends", err)
	}
	for _, one := range ch.Mail.To {
		to, err := address(one)
		if err != nil {
			return err
		}
		if err := c.Rcpt(to.Address); err != nil {
			return mailFailed(ch, "say who receives", err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return mailFailed(ch, "send", err)
	}
	if _, err := w.Write(message); err != nil {
		return mailFailed(ch, "send", err)
	}
	if err := w.Close(); err != nil {
		return mailFailed(ch, "send", err)
	}
	_ = c.Quit() // it has the message
	return nil
}

// mailFailed tells what a mail server refused: for good (5xx) or for now.
func mailFailed(ch inventory.Channel, act string, err error) error {
	var code *textproto.Error
	if !errors.As(err, &code) {
		var cert *tls.CertificateVerificationError
		if errors.As(err, &cert) {
			return inventory.Errorf(inventory.ErrInvalid, "%s: its certificate is not trusted", ch.Mail.Server)
		}
		return inventory.Errorf(inventory.ErrUnavailable, "%s: the conversation broke off (%s)", ch.Mail.Server, act)
	}
	kind := inventory.ErrUnavailable
	if code.Code >= 500 {
		kind = inventory.ErrInvalid
	}
	return inventory.Errorf(kind, "%s refused to %s: %d", ch.Mail.Server, act, code.Code).
		WithRemedy("see what the mail server logged")
}
