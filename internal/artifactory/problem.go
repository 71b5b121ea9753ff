package artifactory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// AuthenticationFailed is the sentence that people search for.
const AuthenticationFailed = "authentication failed: invalid credentials or insufficient permissions"

// xraySays is what a refusal says when a policy blocks the download.
const xraySays = "download blocking policy configured in xray"

// refusal turns a 401 or 403 to the credential itself into the sentence and what
// to try, from what the server says and what the secret looks like.
func (c *Client) refusal(status int, body string) error {
	return inventory.Errorf(inventory.ErrUnauthorized, "%s", AuthenticationFailed).
		WithRemedy("%s", c.refusalRemedy(status, strings.ToLower(serverMessage(body))))
}

func (c *Client) refusalRemedy(status int, says string) string {
	cred := c.cred
	expired := !cred.claims.Expires.IsZero() && cred.claims.Expires.Before(c.opts.Now())
	switch {
	case expired:
		return fmt.Sprintf("the token expired on %s: issue a new one", cred.claims.Expires.Format(time.DateTime+" MST"))
	case strings.Contains(says, "expired"):
		return "the token has expired: issue a new one"
	case strings.Contains(says, "revoked"):
		return "the token was revoked: issue a new one"
	case cred.kind == noSecret:
		return "this server does not let anonymous users in: give an access token"
	case cred.kind == jwtSecret && cred.user != "" && cred.owner() != "" && cred.owner() != cred.user:
		return fmt.Sprintf("the token belongs to %q (its subject), not to %q: leave the user name empty or use %q",
			shown(cred.owner()), shown(cred.user), shown(cred.owner()))
	case strings.Contains(says, "principal mismatch"):
		return fmt.Sprintf("the token does not belong to %q: leave the user name empty or use the user that it was created for", shown(cred.user))
	case cred.user == "" && cred.kind == apiKeySecret:
		return "an API key needs its user name: give it with --username"
	case cred.user == "" && cred.kind == otherSecret:
		return "this kind of secret (API key or password) needs its user name: give it with --username"
	case cred.user == "" && cred.kind == referenceSecret:
		return "check that the token has not expired; some tokens need the name of the user they were created for (--username)"
	case cred.kind == jwtSecret:
		return "check that the token was issued by this server and was not revoked"
	case status == http.StatusForbidden:
		return "the user may not use the API: ask for Read on the repositories"
	}
	return "check the user name and the secret; where single sign-on is in force, use an access token instead of the password"
}

// strangeError says that something answered that is not the API of Artifactory.
type strangeError struct{ problem *inventory.Error }

func (e *strangeError) Error() string { return e.problem.Error() }

// Unwrap keeps the kind and the sentence.
func (e *strangeError) Unwrap() error { return e.problem }

func (c *Client) strange(resp *http.Response, body string, at *url.URL) error {
	what := "HTTP " + resp.Status
	remedy := "check the URL: it is the address of the platform, or ends in /artifactory; a proxy may use another context path"
	if isHTML(resp.Header, body) {
		what = "HTML instead of JSON"
		remedy = "the base path is probably wrong, or a sign-in page or proxy is in the way: " + remedy
	}
	if at != nil && !strings.EqualFold(at.Host, c.addr.Host) {
		what += ", redirected to " + shown(at.Host)
	}
	name := "Artifactory's API"
	if c.opts.Kind == inventory.KindOCI {
		name = "a registry"
		remedy = "check the URL: a registry answers below /v2/"
	}
	return &strangeError{inventory.Errorf(inventory.ErrInvalid, "%s does not answer as %s (%s)", c.addr.Host, name, what).WithRemedy("%s", remedy)}
}

// transportError says that nobody answered.
type transportError struct{ problem *inventory.Error }

func (e *transportError) Error() string { return e.problem.Error() }

// Unwrap keeps the kind and the sentence.
func (e *transportError) Unwrap() error { return e.problem }

func isTransport(err error) bool {
	var e *transportError
	return errors.As(err, &e)
}

func isLocked(err error) bool {
	var e *lockedError
	return errors.As(err, &e)
}

// transportProblem names why nobody answered. Errors of our own pass through.
func (c *Client) transportProblem(err error) error {
	var own *inventory.Error
	var lock *lockedError
	switch {
	case errors.As(err, &lock):
		return inventory.Errorf(inventory.ErrUnavailable, "%w", lock).
			WithRemedy("wait %d seconds and try once with the right credential", lock.seconds())
	case isTransport(err):
		return err
	case errors.As(err, &own):
		return own
	case errors.Is(err, context.Canceled):
		return err
	}
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err // the address may hold a signed query
	}
	msg, remedy := c.explain(err)
	return &transportError{inventory.Errorf(inventory.ErrUnavailable, "cannot reach %s: %s: %w", c.addr.Host, msg, err).WithRemedy("%s", remedy)}
}

func (c *Client) explain(err error) (msg, remedy string) {
	var dns *net.DNSError
	var notTLS tls.RecordHeaderError
	var timeout interface{ Timeout() bool }
	switch {
	case isCertificate(err):
		return "certificate problem", "give your authority's certificate with --ca-file, or correct the server's certificate or host name"
	case errors.As(err, &notTLS), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "it does not speak TLS", "write http:// in front of the URL (not recommended), or use the TLS port"
	case errors.As(err, &dns):
		return "unknown host", "check the spelling of the host and the resolver"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "connection timed out", "check that the address can be reached from here: firewall, proxy (--proxy), VPN, and that the service runs"
	}
	return "connection failed", "check the host, the port and that the service runs"
}

func isCertificate(err error) bool {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &verify)
}

// answerProblem turns an unwelcome answer into a kind of error.
func (c *Client) answerProblem(resp *http.Response, body, act string) error {
	msg := serverMessage(body)
	says := act + ": HTTP " + fmt.Sprint(resp.StatusCode)
	if isHTML(resp.Header, body) {
		says += ": HTML instead of JSON"
	} else if msg != "" {
		// What the server says goes to the log alone: an editor who may name any address
		// must not read through us what answers there.
		c.opts.Logger.Debug("refused", "act", act, "status", resp.StatusCode, "said", msg)
	}
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized:
		return inventory.Errorf(inventory.ErrUnauthorized, "%s", says).WithRemedy("%s", c.refusalRemedy(code, strings.ToLower(msg)))
	case code == http.StatusForbidden && strings.Contains(strings.ToLower(body), xraySays):
		return inventory.Errorf(inventory.ErrForbidden, "blocked by Xray: %s", says).
			WithRemedy("a download blocking policy or Curation refuses this image; the credential is fine")
	case code == http.StatusForbidden, code == http.StatusUnavailableForLegalReasons:
		return inventory.Errorf(inventory.ErrForbidden, "%s", says).WithRemedy("give the user Read on the repository")
	case code == http.StatusNotFound || code == http.StatusGone:
		return inventory.Errorf(inventory.ErrNotFound, "%s", says)
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return inventory.Errorf(inventory.ErrUnavailable, "%s", says).WithRemedy("the server is busy or down; it is tried again")
	case code < 400:
		return inventory.Errorf(inventory.ErrUnavailable, "%s", says).
			WithRemedy("a maintenance or sign-in page is in the way, or the base path is wrong")
	}
	return inventory.Errorf(inventory.ErrInvalid, "%s", says)
}

// serverMessage takes the sentence out of either shape of error, or of plain text.
func serverMessage(body string) string {
	var v struct {
		Errors []struct {
			Message string `json:"message"`
			Code    string `json:"code"`
		} `json:"errors"`
	}
	if lenient(json.Unmarshal([]byte(body), &v)) == nil && len(v.Errors) > 0 {
		e := v.Errors[0]
		if e.Message == "" {
			return shown(e.Code)
		}
		return shown(e.Message)
	}
	if strings.HasPrefix(strings.TrimSpace(body), "{") {
		return ""
	}
	return shown(body)
}

func isHTML(h http.Header, body string) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err == nil && kind == "text/html" {
		return true
	}
	head := strings.ToLower(strings.TrimSpace(body))
	return strings.HasPrefix(head, "<!doctype") || strings.HasPrefix(head, "<html")
}

// getJSON reads one JSON answer of at most limit bytes into v.
func (c *Client) getJSON(ctx context.Context, path, act string, limit int64, v any) error {
	base, err := c.ready(ctx)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	req.Header.Set("Accept", "application/json, */*")
	resp, err := c.http.Do(req)
	if err != nil {
		return c.transportProblem(err)
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusOK || isHTML(resp.Header, "") {
		return c.answerProblem(resp, peek(resp), act)
	}
	lr := &io.LimitedReader{R: resp.Body, N: limit}
	if err := json.NewDecoder(lr).Decode(v); err != nil {
		if lr.N <= 0 {
			return inventory.Errorf(inventory.ErrInvalid, "%s: the answer is longer than %d bytes", act, limit)
		}
		return inventory.Errorf(inventory.ErrUnavailable, "%s: not JSON, or cut off: %w", act, err)
	}
	return nil
}
