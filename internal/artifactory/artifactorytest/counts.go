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
	In, Out  int64 // bytes of bodies
}

// counter counts requests by class.
type counter struct {
	mu sync.Mutex
	by map[string]Count
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
	have.In += n.In
	have.Out += n.Out
	c.by[class] = have
}

// Counts returns what was asked since the start or the last ResetCounts.
// A class that nobody asked for is absent, which reads as zero.
func (s *Server) Counts() map[string]Count {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	return maps.Clone(s.counts.by)
}

// ResetCounts sets all counts to zero.
func (s *Server) ResetCounts() {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	s.counts.by = nil
}

// meter counts what is written through it.
type meter struct {
	http.ResponseWriter
	status int
	out    int64
}

func (m *meter) WriteHeader(status int) {
	if m.status == 0 {
		m.status = status
	}
	m.ResponseWriter.WriteHeader(status)
}

func (m *meter) Write(p []byte) (int, error) {
	if m.status == 0 {
		m.status = http.StatusOK
	}
	n, err := m.ResponseWriter.Write(p)
	m.out += int64(n)
	return n, err //nolint:wrapcheck // a writer passes on what it wraps
}

// Unwrap lets http.ResponseController reach the connection.
func (m *meter) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// body counts what is read of a request.
type body struct {
	io.ReadCloser
	in int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.in += int64(n)
	return n, err //nolint:wrapcheck // a reader passes on io.EOF as it is
}
