package artifactorytest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// AdminName and AdminPassword are the credentials of the administrator that
// every server starts with.
const (
	AdminName     = "admin"
	AdminPassword = "password"
)

// Options is what has to be known before the start. The zero value is a
// self-hosted 7.x over plain HTTP.
type Options struct {
	Profile  Profile
	TLS      bool     // with a private authority, see CA
	Hosts    []string // more names for the certificate, "*.artifactory.test" say
	BlobHost string   // name under which the second host is addressed; "" is localhost
}

// Server is one simulated Artifactory. Its methods may be called at any time
// from any goroutine.
type Server struct {
	opts   Options
	clock  clock
	counts counter
	gate   gate
	lanes  lanes
	locks  locks
	faults faults
	hooks  hooks
	nodeID string

	mu        sync.RWMutex // guards all below
	switches  Switches
	repos     map[string]*repository
	contents  map[string]*content
	configs   map[string]bool // hex of blobs that some manifest calls its config
	users     map[string]*user
	tokens    map[string]*token
	uploads   map[string]*upload
	xray      map[string]bool // hex of blocked manifests
	downloads map[string]int64
	seq       int64
	withdrawn map[grant]bool

	listeners []net.Listener
	servers   []*http.Server
	url       string
	blobURL   string
	blobKey   []byte
	cert      tls.Certificate
	authority []byte
	running   sync.WaitGroup
}

// New returns a server with an administrator and no repositories.
func New(opts Options) *Server {
	if opts.BlobHost == "" {
		opts.BlobHost = "localhost"
	}
	s := &Server{
		opts:      opts,
		switches:  opts.Profile.Switches(),
		nodeID:    "artifactory-0",
		repos:     map[string]*repository{},
		contents:  map[string]*content{},
		configs:   map[string]bool{},
		users:     map[string]*user{},
		tokens:    map[string]*token{},
		uploads:   map[string]*upload{},
		xray:      map[string]bool{},
		downloads: map[string]int64{},
		withdrawn: map[grant]bool{},
		blobKey:   []byte(randomHex(16)),
	}
	s.hooks.counts = &s.counts
	s.hooks.classOf = s.classOf
	s.AddUser(User{Name: AdminName, Password: AdminPassword, Admin: true})
	s.AddUser(User{Name: anonymousName, Rules: []Rule{{Repo: AllRepos}}})
	return s
}

// Change changes switches of a running server.
func (s *Server) Change(change func(*Switches)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.switches)
}

func (s *Server) snapshot() Switches {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.switches
}

// Start listens on addr ("" is a free port of 127.0.0.1) and on a second
// address for redirected blobs.
func (s *Server) Start(addr string) error {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	if s.opts.TLS {
		var err error
		s.cert, s.authority, err = certificates(append(s.opts.Hosts, s.opts.BlobHost))
		if err != nil {
			return fmt.Errorf("start the simulator: %w", err)
		}
	}
	s.hooks.start()
	main, err := s.listen(addr, http.HandlerFunc(s.serve))
	if err != nil {
		return err
	}
	blobs, err := s.listen("127.0.0.1:0", http.HandlerFunc(s.serveRedirected))
	if err != nil {
		return errors.Join(err, s.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url = s.scheme() + "://" + main
	_, port, err := net.SplitHostPort(blobs)
	if err != nil {
		return fmt.Errorf("start the simulator: %w", err)
	}
	s.blobURL = s.scheme() + "://" + net.JoinHostPort(s.opts.BlobHost, port)
	return nil
}

// StartPort opens one more port on which every docker path belongs to one
// repository, and returns its host and port.
func (s *Server) StartPort(key string) (string, error) {
	return s.listen("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serveCall(w, r, key)
	}))
}

func (s *Server) listen(addr string, h http.Handler) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listen on %s: %w", addr, err)
	}
	bound := l.Addr().String()
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: nil, MaxHeaderBytes: 64 << 10,
	}
	if s.opts.TLS {
		l = tls.NewListener(l, &tls.Config{
			Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		})
	}
	srv.ErrorLog = quiet()
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.servers = append(s.servers, srv)
	s.mu.Unlock()
	s.running.Go(func() {
		_ = srv.Serve(l) // always an error: the listener was closed
	})
	return bound, nil
}

// Close stops listening, drops connections and undelivered webhooks.
func (s *Server) Close() error {
	s.mu.Lock()
	servers := s.servers
	s.servers, s.listeners = nil, nil
	s.mu.Unlock()
	var errs []error
	for _, srv := range servers {
		if err := srv.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the simulator: %w", err))
		}
	}
	s.hooks.stop()
	s.running.Wait()
	return errors.Join(errs...)
}

// URL is the platform's address, without context path or slash at the end.
func (s *Server) URL() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.url
}

// BaseURL is the address of the REST API: URL and context path.
func (s *Server) BaseURL() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.url + s.switches.Context
}

// BlobURL is the address of the second host, which redirected blobs come from.
func (s *Server) BlobURL() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.blobURL
}

// Host is host and port of URL: the registry part of image references.
func (s *Server) Host() string {
	_, host, _ := strings.Cut(s.URL(), "://")
	return host
}

// CA is the authority's certificate as PEM; nil without TLS.
func (s *Server) CA() []byte { return s.authority }

// Dial connects to the server whatever the address says: with it a transport
// reaches KEY.artifactory.test without a name server.
func (s *Server) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, s.Host())
	if err != nil {
		return nil, fmt.Errorf("dial the simulator: %w", err)
	}
	return c, nil
}

func (s *Server) classOf(physical string) Class {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.repo(physical); r != nil {
		return r.Class
	}
	return ""
}

func (s *Server) scheme() string {
	if s.opts.TLS {
		return "https"
	}
	return "http"
}
