package artifactory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Options say how to reach one registry. The zero value of everything but URL
// has a sensible meaning.
type Options struct {
	Kind      string // inventory.KindArtifactory (default) or inventory.KindOCI
	URL       string
	Username  string
	Secret    string   // access token, reference token, API key or password; empty = anonymous
	Registry  string   // host[:port] of references; may be sent credentials
	AuthHosts []string // further hosts that may be sent credentials; without a port: any port
	CAFile    string   // PEM file of further certificate authorities
	Proxy     string   // URL; "" = as the environment says, "none" = no proxy
	Timeout   time.Duration
	Backoff   time.Duration // first wait before a retry; 500 ms
	Retries   int           // tries after the first; 4. Negative = none
	InFlight  int           // requests at once to one host; 6
	Bandwidth int64         // bytes of blobs a second, of all downloads together; 0 = as fast as it goes
	UserAgent string
	Now       func() time.Time
	Logger    *slog.Logger
}

// OptionsFor are the options of a saved integration.
func OptionsFor(in inventory.Integration, s inventory.Secrets) Options {
	return Options{
		Kind: in.Kind, URL: in.URL, Username: in.Username, Secret: s.Password, Registry: in.Registry,
		AuthHosts: in.AuthHosts, CAFile: in.CAFile, Proxy: in.Proxy,
	}
}

// Client speaks to one registry with one credential. It is safe for concurrent
// use, and everything it sends goes through one RoundTripper that retries,
// limits, counts and guards the credential.
type Client struct {
	opts Options
	addr Address
	cred credential
	wire *wire
	http *http.Client
	base baseState
	aql  chan struct{} // one query at a time
	docs dockerTokens

	mu       sync.Mutex
	owners   map[string]string // physical repository -> key that it is counted under
	doubtful map[tagName]bool  // tags whose listing does not tell the digest: asked one by one
	etags    map[tagName]headMemo
	noAQL    bool            // queries are refused
	didAQL   bool            // queries were answered
	dockerOf map[string]bool // oci keys that are only served under /api/docker
}

// tagName is a tag in its place.
type tagName struct{ key, image, tag string }

// New makes a client. It reads the CA file and sends nothing.
func New(o Options) (*Client, error) {
	addr, err := ParseAddress(o.URL)
	if err != nil {
		return nil, err
	}
	fill(&o)
	transport, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	c := &Client{
		opts: o, addr: addr, cred: newCredential(o.Username, o.Secret), aql: make(chan struct{}, 1),
		owners: map[string]string{}, doubtful: map[tagName]bool{}, etags: map[tagName]headMemo{}, dockerOf: map[string]bool{},
	}
	c.wire = newWire(transport, o)
	c.docs.tokens = map[string]dockerToken{}
	c.http = &http.Client{Transport: session{c}, CheckRedirect: checkRedirect}
	return c, nil
}

func fill(o *Options) {
	if o.Kind == "" {
		o.Kind = inventory.KindArtifactory
	}
	if o.Timeout <= 0 {
		o.Timeout = 90 * time.Second
	}
	if o.Backoff <= 0 {
		o.Backoff = 500 * time.Millisecond
	}
	if o.Retries == 0 {
		o.Retries = 4
	}
	if o.InFlight <= 0 {
		o.InFlight = 6
	}
	if o.UserAgent == "" {
		o.UserAgent = "tallyman"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func newTransport(o Options) (*http.Transport, error) {
	roots, err := readRoots(o.CAFile)
	if err != nil {
		return nil, err
	}
	proxy := http.ProxyFromEnvironment
	switch o.Proxy {
	case "":
	case "none":
		proxy = nil
	default:
		u, err := url.Parse(o.Proxy)
		if err != nil || u.Host == "" {
			return nil, inventory.Errorf(inventory.ErrInvalid, "the proxy is not a URL").
				WithRemedy("give it as http://proxy.example:3128, or none")
		}
		proxy = http.ProxyURL(u)
	}
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second, Control: inventory.RefuseLinkLocal}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  o.Timeout,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    o.InFlight,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}, nil
}

// readRoots adds the authorities of a PEM file to the system's. No file: nil,
// which is the system's alone.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrInvalid, "read the CA file: %w", err).
			WithRemedy("check --ca-file")
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, inventory.Errorf(inventory.ErrInvalid, "the CA file %s holds no PEM certificate", file).
			WithRemedy("give the authority's certificate as PEM (-----BEGIN CERTIFICATE-----)")
	}
	return roots, nil
}

// checkRedirect ends circles. Credentials need no care here: they are added per
// request, and only for hosts that the user named.
func checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) >= 6 {
		return fmt.Errorf("stopped after %d redirects", len(via))
	}
	return nil
}

// named says whether u is on a host that the user named as the registry.
func (c *Client) named(u *url.URL) bool {
	base, err := url.Parse(c.addr.URL)
	if err != nil || (u.Scheme != "https" && u.Scheme != base.Scheme) {
		return false
	}
	host := withPort(u.Scheme, u.Host)
	if host == withPort(base.Scheme, base.Host) {
		return true
	}
	if u.Scheme == "https" && base.Scheme == "http" && base.Port() == "" && host == withPort("https", base.Host) {
		return true // the server insists on https
	}
	return c.opts.Registry != "" && host == withPort(base.Scheme, c.opts.Registry)
}

// trusted says whether u may be sent credentials: a host that the user named, or
// allowed besides.
func (c *Client) trusted(u *url.URL) bool {
	if c.named(u) {
		return true
	}
	if u.Scheme != "https" && !c.addr.Insecure {
		return false
	}
	host := withPort(u.Scheme, u.Host)
	for _, allowed := range c.opts.AuthHosts {
		allowed = strings.ToLower(strings.TrimSpace(allowed))
		if allowed == strings.ToLower(u.Hostname()) || allowed == strings.ToLower(u.Host) || allowed == host {
			return true
		}
	}
	return false
}

// Usage is what was asked since the last Take.
type Usage struct {
	Requests map[string]int64 // by class
	Bytes    map[string]int64 // of answers, by class
}

// Take returns what was asked since the last Take, and starts anew.
func (c *Client) Take() Usage { return c.wire.meter.take() }

// Secure says whether the address is https.
func (c *Client) Secure() bool { return !c.addr.Insecure }

// Address is what was typed, understood.
func (c *Client) Address() Address { return c.addr }

// Revalidate forgets that the credential was accepted and asks again.
func (c *Client) Revalidate(ctx context.Context) error {
	c.base.forget()
	_, err := c.ready(ctx)
	return err
}
