package artifactorytest

import (
	"io"
	"maps"
	"net/http"
	"sync"
)

// A Request class, as counted.
const (
	ClassPing          = "ping"          // api/system/ping, readiness, router health
	ClassVersion       = "version"       // api/system/version
	ClassRepositories  = "repositories"  // repository list and configuration
	ClassStorage       = "storage"       // api/storage, files, copies and moves
	ClassAQL           = "aql"           // api/search/aql
	ClassDocker        = "docker"        // the /v2/ check itself, promote
	ClassToken         = "token"         // docker and access tokens
	ClassCatalog       = "catalog"       // _catalog
	ClassTags          = "tags"          // tags/list
	ClassManifestHead  = "manifest-head" // HEAD of a manifest
	ClassManifestGet   = "manifest-get"  // GET of a manifest
	ClassConfig        = "config"        // a config blob
	ClassLayer         = "layer"         // any other blob
	ClassBlobHost      = "blob-host"     // requests at the second host; its bytes count as config or layer
	ClassReferrers     = "referrers"     // referrers
	ClassPush          = "push"          // uploads, manifest PUT and DELETE
	ClassSubscriptions = "subscriptions" // webhook administration
	ClassWebhook       = "webhook"       // deliveries, going out
	ClassOther         = "other"         // everything else
	ClassUpstream      = "upstream"      // what remotes fetched from what they proxy
)

// Count is what was asked of one class. Requests answered with an error count too.
type Count struct {
	Requests int64
	Refused  int64 // of them, answered with a status of 400 or more
	Bare     int64 // of them, brought no credentials
	Peak     int64 // most of them at the same time
	In, Out  int64 // bytes of bodies
}

// counter counts requests by class, at the moment things happen: whoever has
// an answer finds it counted.
type counter struct {
	mu      sync.Mutex
	by      map[string]Count
	running map[string]int64
	all     int64 // running requests of every class
	peak    int64
}

func (c *counter) add(class string, n Count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]Count{}
	}
	have := c.by[class]
	have.Requests += n.Requests
	have.Refused += n.Refused
	have.Bare += n.Bare
	have.In += n.In
	have.Out += n.Out
	have.Peak = max(have.Peak, n.Peak)
	c.by[class] = have
}

// begin counts a request and returns what ends it.
func (c *counter) begin(class string, bare bool) (end func()) {
	c.mu.Lock()
	if c.running == nil {
		c.running = map[string]int64{}
	}
	c.running[class]++
	c.all++
	c.peak = max(c.peak, c.all)
	n := Count{Requests: 1, Peak: c.running[class]}
	if bare {
		n.Bare = 1
	}
	c.mu.Unlock()
	c.add(class, n)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running[class]--
		c.all--
	}
}

// Counts returns what was asked since the start or the last ResetCounts.
// A class that nobody asked for is absent, which reads as zero.
func (s *Server) Counts() map[string]Count {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	return maps.Clone(s.counts.by)
}

// Peak is how many requests of all classes ran at the same time at most.
func (s *Server) Peak() int64 {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	return s.counts.peak
}

// ResetCounts sets all counts to zero.
func (s *Server) ResetCounts() {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	s.counts.by, s.counts.peak = nil, 0
}

// meter counts what is written through it: refusals for one class, bytes for
// the same or another.
type meter struct {
	http.ResponseWriter
	counts *counter
	class  string
	bytes  string
	wrote  bool
}

func (m *meter) WriteHeader(status int) {
	if !m.wrote {
		m.wrote = true
		if status >= http.StatusBadRequest {
			m.counts.add(m.class, Count{Refused: 1})
		}
	}
	m.ResponseWriter.WriteHeader(status)
}

func (m *meter) Write(p []byte) (int, error) {
	m.wrote = true
	m.counts.add(m.bytes, Count{Out: int64(len(p))})
	return m.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (m *meter) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// body counts what is read of a request.
type body struct {
	io.ReadCloser
	counts *counter
	class  string
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.counts.add(b.class, Count{In: int64(n)})
	}
	return n, err // io.EOF as it is
}
