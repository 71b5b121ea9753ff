package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// The nouns, as the server sends them.
type (
	// Integration is one connection to one registry.
	Integration = inventory.Integration
	// IntegrationChange is what somebody types about an integration, with its secrets.
	IntegrationChange = inventory.IntegrationChange
	// ConnectionTest asks whether an integration that need not be saved would work.
	ConnectionTest = inventory.ConnectionTest
	// TestResult is what a test of a connection found, by repository key.
	TestResult = inventory.TestResult
	// TagRow is a tag and what is known of its image.
	TagRow = inventory.TagRow
	// TagFilter narrows a listing of tags.
	TagFilter = inventory.TagFilter
	// TagPage is one page of tags.
	TagPage = inventory.TagPage
	// TagMove is one entry of a tag's history.
	TagMove = inventory.TagMove
	// Image is one manifest: a platform image, or an index of them.
	Image = inventory.Image
	// SBOM is an image's bill of materials.
	SBOM = inventory.SBOM
	// Report is an image's findings.
	Report = inventory.Report
	// Status is the coverage ledger.
	Status = inventory.Status
	// AdvisoryStatus is what is known of advisories.
	AdvisoryStatus = inventory.AdvisoryStatus
	// Token is a machine's credential, without its secret.
	Token = inventory.Token
	// NewToken asks for a token.
	NewToken = inventory.NewToken
	// TokenSecret is a new token: the only time that its secret is seen.
	TokenSecret = inventory.TokenSecret
	// Payload is what a far watcher sends of an image.
	Payload = inventory.Payload
	// Requeued says how many images are indexed again.
	Requeued = inventory.Requeued
	// SigninLink is a one-time way into the dashboard.
	SigninLink = inventory.SigninLink
	// Caller is who the server takes a client for.
	Caller = inventory.Caller
	// Version is what runs on a server.
	Version = inventory.Version
	// Error is a sentence for people, with its kind and what to do about it.
	Error = inventory.Error
)

// The kinds of error, for errors.Is.
var (
	ErrNotFound     = inventory.ErrNotFound
	ErrInvalid      = inventory.ErrInvalid
	ErrConflict     = inventory.ErrConflict
	ErrUnauthorized = inventory.ErrUnauthorized
	ErrForbidden    = inventory.ErrForbidden
	ErrUnavailable  = inventory.ErrUnavailable
	ErrUnsupported  = inventory.ErrUnsupported
)

// maxAnswer bounds what is read of one answer: a bill of materials of a large image
// is a few megabytes.
const maxAnswer = 512 << 20

// Client calls one server. It is safe for use by several goroutines.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New makes a client of the server at base ("https://tallyman.example.com", with the
// path that a proxy puts before it). The token may be empty; nothing but version needs
// none. A nil transport means one of the standard library's, with its own connections.
func New(base, token string, transport http.RoundTripper) (*Client, error) {
	u, err := url.Parse(strings.TrimRight(base, "/"))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, inventory.Errorf(inventory.ErrInvalid, "the server's address is not one").
			WithRemedy("write https://HOST, with a port or path where there is one")
	}
	if transport == nil {
		transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: 15 * time.Second, MaxIdleConnsPerHost: 8,
		}
	}
	return &Client{base: u.String(), token: strings.TrimSpace(token), http: &http.Client{
		Transport: transport,
		// A redirect could carry the token elsewhere, and the API has none.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Local makes a client that calls a handler in the same process. Answers stream.
func Local(h http.Handler) *Client {
	return &Client{base: "http://tallyman.local", http: &http.Client{Transport: inProcess{h}}}
}

// get reads one JSON value.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (T, error) {
	var v T
	res, err := c.do(ctx, http.MethodGet, path, query, nil, "")
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	err = decode(res.Body, path, &v)
	return v, err
}

// call sends a value as JSON, when there is one, and reads the answer.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var v T
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return v, fmt.Errorf("encode the request to %s: %w", path, err)
		}
		sent = bytes.NewReader(b)
	}
	res, err := c.do(ctx, method, path, nil, sent, "application/json")
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	err = decode(res.Body, path, &v)
	return v, err
}

// drop deletes what is at path.
func (c *Client) drop(ctx context.Context, path string) error {
	res, err := c.do(ctx, http.MethodDelete, path, nil, nil, "")
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func decode(body io.Reader, path string, into any) error {
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(into); err != nil {
		return unreadable(path, err)
	}
	return nil
}

// do sends a request and answers a response of success, whose body the caller closes.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body io.Reader, kind string) (*http.Response, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	header := http.Header{}
	if body != nil {
		header.Set("Content-Type", kind)
	}
	return c.request(ctx, method, path, body, header)
}

func (c *Client) request(ctx context.Context, method, path string, body io.Reader, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", path, err)
	}
	req.Header = header
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, context.Cause(ctx))
		}
		return nil, inventory.Errorf(inventory.ErrUnavailable, "cannot reach the server at %s: %w", c.base, bare(err)).
			WithRemedy("check --server, and that tallyman serve runs there")
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		defer res.Body.Close()
		return nil, problem(res)
	}
	return res, nil
}

// bare takes off what net/http puts around an error: method and URL are told already.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func unreadable(path string, err error) error {
	return inventory.Errorf(inventory.ErrUnavailable, "the answer to %s cannot be read: %w", path, err).
		WithRemedy("check that --server names a Tallyman of this version")
}
