package artifactory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// verdict is what one candidate for the base address answered.
type verdict int

const (
	notHere  verdict = iota // something else is there
	accepted                // the API, and the credential is good
	refused                 // the API, and the credential is not
)

// probe finds where the API is and checks the credential, with as few requests
// as there can be: one where the address is known. A failure is told in full.
func (c *Client) probe(ctx context.Context, known string) (string, error) {
	if c.opts.Kind == inventory.KindOCI {
		return c.addr.URL, c.probeRegistry(ctx)
	}
	candidates := []string{known}
	if known == "" {
		candidates = c.candidates()
	}
	var first error
	for _, base := range candidates {
		v, found, err := c.probeBase(ctx, base)
		switch {
		case v == accepted:
			return found, nil
		case v == refused, isTransport(err), isLocked(err):
			return "", err
		case first == nil, errors.Is(err, inventory.ErrUnavailable) && !errors.Is(first, inventory.ErrUnavailable):
			first = err // a server that is down says more than an address where nothing is
		}
	}
	return "", first
}

// candidates are the places where the API may be: below /artifactory, or where
// the address points if a proxy strips that path; then the same at the host's root.
func (c *Client) candidates() []string {
	if c.addr.Exact {
		return []string{c.addr.URL}
	}
	out := []string{c.addr.URL + "/artifactory", c.addr.URL}
	if root := c.root(); root != c.addr.URL {
		out = append(out, root+"/artifactory")
	}
	return out
}

func (c *Client) root() string {
	scheme, _, _ := strings.Cut(c.addr.URL, "://")
	return scheme + "://" + c.addr.Host
}

// probeBase asks one candidate for its version, which needs a valid credential.
// Where that is not served to this user, the ping decides.
func (c *Client) probeBase(ctx context.Context, base string) (verdict, string, error) {
	v, found, err := c.ask(ctx, base+"/api/system/version")
	if v != notHere || isTransport(err) || isLocked(err) {
		return v, found, err
	}
	var odd *strangeError
	if !errors.As(err, &odd) {
		return v, found, err
	}
	if v, found, pinged := c.ask(ctx, base+"/api/system/ping"); v != notHere || isLocked(pinged) {
		return v, found, pinged
	}
	return v, found, err
}

// ask sends one probe and judges the answer.
func (c *Client) ask(ctx context.Context, address string) (verdict, string, error) {
	req, err := http.NewRequestWithContext(inventory.WithRequestClass(ctx, inventory.RequestPing), http.MethodGet, address, nil)
	if err != nil {
		return notHere, "", fmt.Errorf("probe %s: %w", c.addr.Host, err)
	}
	req.Header.Set("Accept", "application/json, text/plain, */*")
	resp, err := (&http.Client{Transport: prober{c}, CheckRedirect: checkRedirect}).Do(req)
	if err != nil {
		return notHere, "", c.transportProblem(err)
	}
	defer drain(resp)
	body := peek(resp)
	last := resp.Request.URL
	found := strings.TrimSuffix(strings.TrimSuffix(last.String(), "/api/system/version"), "/api/system/ping")
	switch {
	case resp.StatusCode == http.StatusOK && isProof(body) && c.trusted(last) && found != last.String():
		return accepted, found, nil
	case resp.StatusCode == http.StatusUnauthorized && c.trusted(last):
		return refused, "", c.refusal(resp.StatusCode, body)
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return notHere, "", c.answerProblem(resp, body, "connect to "+c.addr.Host)
	}
	return notHere, "", c.strange(resp, body, last)
}

// isProof recognises what only Artifactory says: its version, or the ping's OK.
func isProof(body string) bool {
	if strings.TrimSpace(body) == "OK" {
		return true
	}
	var v struct {
		Version string `json:"version"`
	}
	return json.Unmarshal([]byte(body), &v) == nil && v.Version != ""
}

// prober adds the credential for trusted hosts, without waiting for the probe
// that it is itself.
type prober struct{ c *Client }

// RoundTrip implements http.RoundTripper.
func (p prober) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.Header.Del("Authorization")
	if p.c.trusted(req.URL) {
		p.c.cred.authorize(out.Header)
	}
	return p.c.wire.RoundTrip(out)
}

// probeRegistry checks a plain registry by its /v2/, with a token where it
// wants one.
func (c *Client) probeRegistry(ctx context.Context) error {
	u, err := url.Parse(c.addr.URL + "/v2/")
	if err != nil {
		return fmt.Errorf("probe %s: %w", c.addr.Host, err)
	}
	req, err := http.NewRequestWithContext(inventory.WithRequestClass(ctx, inventory.RequestPing), http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("probe %s: %w", c.addr.Host, err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := (&http.Client{Transport: prober{c}, CheckRedirect: checkRedirect}).Do(req)
	if err != nil {
		return c.transportProblem(err)
	}
	defer drain(resp)
	body := peek(resp)
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		ch, ok := readChallenge(resp.Header)
		if !ok {
			return c.refusal(resp.StatusCode, body)
		}
		_, err := c.dockerToken(ctx, ch, u)
		return err
	}
	return c.strange(resp, body, resp.Request.URL)
}
