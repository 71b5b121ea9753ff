package artifactorytest

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// call is one request on its way through the server.
type call struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	sw    Switches // as they were when it came in
	id    identity
	start time.Time // by the server's clock
	class string
	port  string // key of the repository that the port belongs to

	// Of docker paths.
	prefix string // what the client must put before /v2-relative paths
	direct bool   // came in through api/docker or api/oci
	key    string
	target dockerTarget
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) { s.serveCall(w, r, "") }

func (s *Server) serveCall(w http.ResponseWriter, r *http.Request, port string) {
	m := &meter{ResponseWriter: w, counts: &s.counts}
	c := &call{s: s, w: m, r: r, sw: s.snapshot(), start: s.clock.now(), port: port, class: ClassOther}
	h := m.Header()
	h.Set("Date", c.start.UTC().Format(http.TimeFormat))
	if c.sw.Router {
		h.Set("X-JFrog-Version", "Artifactory/"+c.sw.Version+" "+c.sw.Revision)
	} else {
		h.Set("Server", "Artifactory/"+c.sw.Version)
	}
	h.Set("X-Artifactory-Id", s.nodeID)
	h.Set("X-Artifactory-Node-Id", s.nodeID)
	handle := c.route()
	m.class, m.bytes = c.class, c.class
	r.Body = &body{ReadCloser: r.Body, counts: &s.counts, class: c.class}
	defer s.counts.begin(c.class, credentialOf(r).kind == "")()
	if s.faults.meet(c) {
		return
	}
	handle()
}

// base is the address of the REST API that answers name.
func (c *call) base() string {
	for _, h := range []string{"X-JFrog-Override-Base-Url", "X-Artifactory-Override-Base-Url"} {
		if u := c.r.Header.Get(h); u != "" {
			return strings.TrimSuffix(u, "/") + c.sw.Context
		}
	}
	if c.sw.CustomBaseURL != "" {
		return c.sw.CustomBaseURL + c.sw.Context
	}
	return c.scheme() + "://" + c.r.Host + c.sw.Context
}

func (c *call) scheme() string {
	if p := c.r.Header.Get("X-Forwarded-Proto"); p == "http" || p == "https" {
		return p
	}
	return c.s.scheme()
}

// signIn authenticates and answers the refusal itself.
func (c *call) signIn() bool {
	id, no := c.s.authenticate(c.r, &c.sw, false)
	if no != nil {
		c.refuse(no, basicChallenge)
		return false
	}
	c.id = id
	return true
}

// signInAdmin is signIn for what only administrators may do.
func (c *call) signInAdmin() bool {
	if !c.signIn() {
		return false
	}
	if !c.id.admin {
		c.status(http.StatusForbidden, "Forbidden")
		return false
	}
	return true
}

func (c *call) refuse(no *refusal, challenge string) {
	if no.status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", challenge)
	}
	c.status(no.status, no.message)
}

// status answers in the REST shape of errors.
func (c *call) status(code int, message string) {
	type one struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
	}
	c.json(code, "application/json;charset=ISO-8859-1", map[string]any{"errors": []one{{code, message}}})
}

// json answers with pretty JSON, the way Artifactory spaces it.
func (c *call) json(code int, contentType string, v any) {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(c.w, err.Error(), http.StatusInternalServerError)
		return
	}
	c.bytes(code, contentType, raw)
}

func (c *call) text(code int, message string) { c.bytes(code, "text/plain", []byte(message)) }

func (c *call) html(code int, page string) { c.bytes(code, "text/html;charset=UTF-8", []byte(page)) }

func (c *call) bytes(code int, contentType string, raw []byte) {
	h := c.w.Header()
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	h.Set("Content-Length", strconv.Itoa(len(raw)))
	c.w.WriteHeader(code)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(raw) // the client may be gone
	}
}

// stamp writes a time in the server's zone.
func (c *call) stamp(ms int64) string { return stamp(ms, c.sw.Zone) }

// readAll reads the request's body up to a limit.
func (c *call) readAll(limit int64) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, limit))
	if err != nil {
		return nil, fmt.Errorf("read the body of %s %s: %w", c.r.Method, c.r.URL.Path, err)
	}
	return raw, nil
}

// allow answers 405 unless the method is one of these.
func (c *call) allow(methods ...string) bool {
	for _, m := range methods {
		if c.r.Method == m {
			return true
		}
	}
	c.w.Header().Set("Allow", strings.Join(methods, ", "))
	c.status(http.StatusMethodNotAllowed, "Method Not Allowed")
	return false
}

// quiet is a log that says nothing: a cut connection is a switch here, not news.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
