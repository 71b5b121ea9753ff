package artifactory

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// session adds the credential to requests to trusted hosts, after one probe has
// shown that it is accepted. Requests to other hosts (storage behind a
// redirect) leave without any.
type session struct{ c *Client }

// RoundTrip implements http.RoundTripper.
func (s session) RoundTrip(req *http.Request) (*http.Response, error) {
	c := s.c
	out := req.Clone(req.Context())
	// What a redirect points to is storage, not the registry: a signed address
	// there is refused if a credential comes with it.
	if !c.named(req.URL) && (req.Response != nil || !c.trusted(req.URL)) {
		out.Header.Del("Authorization")
		out.Header.Del("X-Jfrog-Art-Api")
		out.Header.Del("Cookie")
		return c.wire.RoundTrip(out)
	}
	base, err := c.ready(req.Context())
	if err != nil {
		return nil, err
	}
	c.rebase(out, base)
	resp, err := c.send(out)
	if err != nil || resp.StatusCode != http.StatusNotFound {
		return resp, err
	}
	return c.sendAsDocker(out, resp)
}

// send sends with the credential, and by way of a docker token where only that
// is accepted.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	token := c.docs.known(req.URL)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	} else {
		c.cred.authorize(req.Header)
	}
	resp, err := c.wire.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusUnauthorized && token != "" {
		// The token ended early, or is not taken here: some tag lists want the
		// credential itself.
		c.docs.forget(req.URL)
		drain(resp)
		if req, err = replay(req); err != nil {
			return nil, err
		}
		req.Header.Del("Authorization")
		c.cred.authorize(req.Header)
		resp, err = c.wire.RoundTrip(req)
	}
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	resp, err = c.refusedOnce(req, resp)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		c.base.doubt()
		return c.judge401(req, resp)
	}
	return resp, err
}

// judge401 asks whether the credential is still good. If it is, the 401 meant
// what other versions say with a 403: no permission on this path.
func (c *Client) judge401(req *http.Request, resp *http.Response) (*http.Response, error) {
	said := peek(resp)
	drain(resp) // it must not keep a place among those in flight while the probe waits for one
	resp.Body = io.NopCloser(strings.NewReader(said))
	switch _, err := c.ready(req.Context()); {
	case isLocked(err), req.Context().Err() != nil:
		return nil, err
	case err == nil && c.cred.kind != noSecret && !strings.Contains(req.URL.Path, "/api/system/"):
		resp.StatusCode, resp.Status = http.StatusForbidden, "403 Forbidden"
	}
	c.opts.Logger.DebugContext(req.Context(), "401", "path", req.URL.Path, "judged", resp.StatusCode, "said", shown(serverMessage(said)))
	return resp, nil
}

// refusedOnce handles a 401: a docker token may help; otherwise the next request
// probes the credential anew before anything else is sent.
func (c *Client) refusedOnce(req *http.Request, resp *http.Response) (*http.Response, error) {
	ch, ok := readChallenge(resp.Header)
	if !ok || !strings.Contains(req.URL.Path, "/v2/") {
		return resp, nil
	}
	drain(resp) // else all places may be taken by those who wait for a token
	token, err := c.dockerToken(req.Context(), ch, req.URL)
	if err != nil {
		return nil, err
	}
	again, err := replay(req)
	if err != nil {
		return nil, err
	}
	again.Header.Set("Authorization", "Bearer "+token)
	resp, err = c.wire.RoundTrip(again)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		c.docs.forget(req.URL)
	}
	return resp, err
}

// sendAsDocker tries an oci repository under /api/docker, which some versions
// serve it under, and remembers when that is where it is.
func (c *Client) sendAsDocker(req *http.Request, resp *http.Response) (*http.Response, error) {
	head, tail, found := strings.Cut(req.URL.Path, "/api/oci/")
	key, _, _ := strings.Cut(tail, "/")
	if !found || (req.Method != http.MethodGet && req.Method != http.MethodHead) || strings.Contains(peek(resp), `"code"`) ||
		(req.Method == http.MethodHead && resp.Header.Get("Docker-Distribution-Api-Version") != "") {
		return resp, nil
	}
	again := req.Clone(req.Context())
	again.URL.Path, again.URL.RawPath = head+"/api/docker/"+tail, ""
	other, err := c.send(again)
	if err != nil || other.StatusCode >= 400 {
		if other != nil {
			drain(other)
		}
		return resp, nil // the first answer stands
	}
	drain(resp)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dockerOf[key] = true
	return other, nil
}

// rebase moves a request that was made for the typed address to the address
// that the probe found.
func (c *Client) rebase(req *http.Request, base string) {
	c.mu.Lock()
	asDocker := len(c.dockerOf) > 0
	c.mu.Unlock()
	if typed := c.guess(); typed != base {
		if rest, ok := strings.CutPrefix(req.URL.String(), typed); ok {
			if u, err := url.Parse(base + rest); err == nil {
				req.URL, req.Host = u, u.Host
			}
		}
	}
	if head, tail, found := strings.Cut(req.URL.Path, "/api/oci/"); asDocker && found {
		key, _, _ := strings.Cut(tail, "/")
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.dockerOf[key] {
			req.URL.Path, req.URL.RawPath = head+"/api/docker/"+tail, ""
		}
	}
}

// guess is the base before anybody was asked.
func (c *Client) guess() string {
	if c.opts.Kind == inventory.KindOCI || c.addr.Exact {
		return c.addr.URL
	}
	return c.addr.URL + "/artifactory"
}

// baseState is what the probe found: where the API is, and whether the
// credential is accepted there.
type baseState struct {
	probing sync.Mutex // held while one probe runs; nobody sends meanwhile

	mu      sync.Mutex
	url     string
	ok      bool
	failed  error // of the last probe
	retryAt time.Time
	fails   int
}

func (b *baseState) get(now time.Time) (base string, known bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ok:
		return b.url, true, nil
	case b.failed != nil && now.Before(b.retryAt):
		return "", true, b.failed
	}
	return b.url, false, nil
}

// settle records a probe. A refused credential is not sent again for a while,
// each time longer: repeating it would lock the account.
func (b *baseState) settle(now time.Time, base string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.url, b.ok, b.failed, b.fails = base, true, nil, 0
		return
	}
	b.ok, b.failed = false, err
	b.retryAt = now
	if errors.Is(err, inventory.ErrUnauthorized) {
		b.retryAt = now.Add(min(15*time.Second<<min(b.fails, 6), 10*time.Minute))
		b.fails++
	}
}

// doubt makes the next request probe first.
func (b *baseState) doubt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ok = false
}

// forget asks the server anew even if it refused a moment ago: somebody asked for it.
func (b *baseState) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ok, b.failed = false, nil
}

// ready returns the base address of the API once one probe has shown that it is
// there and that the credential is accepted. Whoever comes meanwhile waits.
func (c *Client) ready(ctx context.Context) (string, error) {
	if base, known, err := c.base.get(c.opts.Now()); known {
		return base, err
	}
	c.base.probing.Lock()
	defer c.base.probing.Unlock()
	base, known, err := c.base.get(c.opts.Now())
	if known {
		return base, err
	}
	base, err = c.probe(ctx, base)
	if ctx.Err() != nil {
		return "", ctx.Err() // says nothing about the server
	}
	c.base.settle(c.opts.Now(), base, err)
	return base, err
}
