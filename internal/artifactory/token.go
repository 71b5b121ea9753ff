package artifactory

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// dockerTokens are the tokens that registries handed out, by what they are for.
type dockerTokens struct {
	mu     sync.Mutex
	tokens map[string]dockerToken
}

type dockerToken struct {
	value   string
	expires time.Time
	now     func() time.Time
}

// slot is what a token is good for: the host and the scope that a path needs.
func slot(u *url.URL) string { return u.Host + " " + scopeOf(u) }

func (d *dockerTokens) known(u *url.URL) string {
	if !strings.Contains(u.Path, "/v2/") {
		return ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.tokens[slot(u)]
	if !ok || !t.now().Before(t.expires) {
		return ""
	}
	return t.value
}

func (d *dockerTokens) keep(u *url.URL, t dockerToken) {
	d.mu.Lock()
	defer d.mu.Unlock()
	const most = 4096
	if len(d.tokens) >= most {
		clear(d.tokens)
	}
	d.tokens[slot(u)] = t
}

func (d *dockerTokens) forget(u *url.URL) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tokens, slot(u))
}

// scopeOf is the docker scope that a path needs; "" for the /v2/ ping.
func scopeOf(u *url.URL) string {
	_, rest, _ := strings.Cut(u.Path, "/v2/")
	if strings.HasPrefix(rest, "_catalog") {
		return "registry:catalog:*"
	}
	for _, part := range []string{"/manifests/", "/blobs/", "/tags/list", "/referrers/"} {
		if at := strings.LastIndex(rest, part); at > 0 {
			return "repository:" + rest[:at] + ":pull"
		}
	}
	return ""
}

// challenge is a "WWW-Authenticate: Bearer" header.
type challenge struct{ realm, service, scope string }

// readChallenge finds the Bearer challenge among a refusal's headers.
func readChallenge(h http.Header) (challenge, bool) {
	for _, v := range h.Values("WWW-Authenticate") {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(v), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		p := parameters(rest)
		if p["realm"] != "" {
			return challenge{realm: p["realm"], service: p["service"], scope: p["scope"]}, true
		}
	}
	return challenge{}, false
}

// parameters reads key="value" pairs; a value in quotes may hold commas.
func parameters(s string) map[string]string {
	out := map[string]string{}
	for s != "" {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			break
		}
		key = strings.ToLower(strings.Trim(key, " ,\t"))
		var value string
		if quoted, isQuoted := strings.CutPrefix(rest, `"`); isQuoted {
			value, rest, _ = strings.Cut(quoted, `"`)
		} else {
			value, rest, _ = strings.Cut(rest, ",")
			value = strings.TrimSpace(value)
		}
		if _, twice := out[key]; !twice && key != "" {
			out[key] = value
		}
		s = rest
	}
	return out
}

// dockerToken gets a token for a path by the way that a registry told.
func (c *Client) dockerToken(ctx context.Context, ch challenge, forPath *url.URL) (string, error) {
	realm, err := c.realm(ch)
	if err != nil {
		return "", err
	}
	q := realm.Query()
	if ch.service != "" {
		q.Set("service", ch.service)
	}
	if scope := cmp.Or(ch.scope, scopeOf(forPath)); scope != "" {
		q.Set("scope", scope)
	}
	if c.cred.user != "" {
		q.Set("account", c.cred.user)
	}
	realm.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(inventory.WithRequestClass(ctx, inventory.RequestToken), http.MethodGet, realm.String(), nil)
	if err != nil {
		return "", fmt.Errorf("get a token from %s: %w", realm.Host, err)
	}
	req.Header.Set("Accept", "application/json")
	if auth := c.cred.basic(); auth != "" {
		req.Header.Set("Authorization", auth)
	} else {
		c.cred.authorize(req.Header)
	}
	t, err := c.askToken(req)
	if err != nil {
		return "", err
	}
	c.docs.keep(forPath, t)
	return t.value, nil
}

// realm is where to get a token. A realm on a host that the user did not name
// is refused; one on our own host is asked in our own scheme, because a proxy
// that does not say "X-Forwarded-Proto" makes Artifactory name the wrong one.
func (c *Client) realm(ch challenge) (*url.URL, error) {
	realm, err := url.Parse(ch.realm)
	if err != nil || realm.Host == "" {
		return nil, inventory.Errorf(inventory.ErrUnavailable, "%s names an unusable token address", c.addr.Host).
			WithRemedy("check the reverse proxy's X-Forwarded-Proto and base URL settings")
	}
	scheme, _, _ := strings.Cut(c.addr.URL, "://")
	if strings.EqualFold(realm.Host, c.addr.Host) || strings.EqualFold(realm.Host, c.opts.Registry) {
		realm.Scheme = scheme
	}
	if c.cred.kind != noSecret && !c.trusted(realm) {
		return nil, inventory.Errorf(inventory.ErrUnauthorized,
			"%s wants the credential to be sent to %s, which was not named", c.addr.Host, shown(realm.Host)).
			WithRemedy("if that host is right, allow it with --auth-host %s", shown(realm.Host))
	}
	return realm, nil
}

func (c *Client) askToken(req *http.Request) (dockerToken, error) {
	hc := &http.Client{Transport: sameHost{c.wire, req.URL.Host}, CheckRedirect: checkRedirect}
	resp, err := hc.Do(req)
	if err != nil {
		return dockerToken{}, c.transportProblem(err)
	}
	defer drain(resp)
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		return dockerToken{}, c.refusal(resp.StatusCode, peek(resp))
	}
	if resp.StatusCode != http.StatusOK {
		return dockerToken{}, c.answerProblem(resp, peek(resp), "get a token from "+req.URL.Host)
	}
	var body struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 256<<10)).Decode(&body); err != nil {
		return dockerToken{}, inventory.Errorf(inventory.ErrUnavailable, "%s gave no readable token: %w", req.URL.Host, err)
	}
	value := cmp.Or(body.Token, body.AccessToken)
	if value == "" || strings.ContainsAny(value, "\r\n") {
		return dockerToken{}, inventory.Errorf(inventory.ErrUnavailable, "%s gave no token", req.URL.Host)
	}
	life := time.Duration(min(max(body.ExpiresIn, 60), 24*3600)) * time.Second
	return dockerToken{value: value, expires: c.opts.Now().Add(life * 3 / 4), now: c.opts.Now}, nil
}

// sameHost lets headers that were set by hand go to one host only.
type sameHost struct {
	next http.RoundTripper
	host string
}

// RoundTrip implements http.RoundTripper.
func (s sameHost) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	if !strings.EqualFold(req.URL.Host, s.host) {
		out.Header.Del("Authorization")
	}
	return s.next.RoundTrip(out)
}
