package artifactorytest

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// FaultKind is what goes wrong.
type FaultKind string

// The faults. Those that are not an answer of their own (slow, cut, corrupt)
// let the request go on.
const (
	FaultBadGateway  FaultKind = "bad-gateway"  // 502, HTML of the proxy
	FaultUnavailable FaultKind = "unavailable"  // 503, HTML of the proxy
	FaultStarting    FaultKind = "starting"     // 503, JSON of the router
	FaultOffline     FaultKind = "offline"      // 503, text of Artifactory
	FaultMaintenance FaultKind = "maintenance"  // 200, a login page
	FaultRedirect    FaultKind = "sso-redirect" // 302 to an identity provider
	FaultTooMany     FaultKind = "too-many"     // 429, with RetryAfter where set
	FaultServerError FaultKind = "server-error" // 500 without a body
	FaultNotFound    FaultKind = "not-found"    // 404 of the docker path, though it is there
	FaultSlow        FaultKind = "slow"         // waits Delay
	FaultCut         FaultKind = "cut"          // the connection dies after After bytes of the body
	FaultCorrupt     FaultKind = "corrupt"      // the byte at After is another
	FaultEOF         FaultKind = "eof"          // the connection dies before any answer
)

// Fault is something that goes wrong with the requests it names.
type Fault struct {
	Kind       FaultKind
	Classes    []string // of requests; none is all
	Path       string   // part of the URL's path; "" is any
	Times      int      // how many requests it hits; 0 is all until it is removed
	Delay      time.Duration
	RetryAfter string
	After      int64
}

type faults struct {
	mu   sync.Mutex
	list []*fault
}

type fault struct {
	Fault
	left int
}

// Inject makes requests go wrong and returns what undoes it.
func (s *Server) Inject(f Fault) (remove func()) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	one := &fault{Fault: f, left: f.Times}
	s.faults.list = append(s.faults.list, one)
	return func() {
		s.faults.mu.Lock()
		defer s.faults.mu.Unlock()
		s.faults.list = slices.DeleteFunc(s.faults.list, func(x *fault) bool { return x == one })
	}
}

// ClearFaults undoes every Inject.
func (s *Server) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = nil
}

// take returns the faults that hit a request and counts them down.
func (f *faults) take(class, path string) []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var hit []Fault
	f.list = slices.DeleteFunc(f.list, func(x *fault) bool {
		if len(x.Classes) > 0 && !slices.Contains(x.Classes, class) || !strings.Contains(path, x.Path) {
			return false
		}
		hit = append(hit, x.Fault)
		x.left--
		return x.Times > 0 && x.left <= 0
	})
	return hit
}

// meet applies faults to a call and tells whether one of them was the answer.
func (f *faults) meet(c *call) bool {
	for _, x := range f.take(c.class, c.r.URL.Path) {
		switch x.Kind {
		case FaultSlow:
			if !pause(c.r, x.Delay) {
				return true
			}
		case FaultCut, FaultCorrupt:
			c.w = &spoiler{ResponseWriter: c.w, at: x.After, cut: x.Kind == FaultCut}
		default:
			x.answer(c)
			return true
		}
	}
	return false
}

func (f *Fault) answer(c *call) {
	const page = "<html><head><title>%</title></head><body><center><h1>%</h1></center><hr><center>nginx</center></body></html>\n"
	say := func(code int, words string) { c.html(code, strings.ReplaceAll(page, "%", words)) }
	switch f.Kind {
	case FaultBadGateway:
		say(http.StatusBadGateway, "502 Bad Gateway")
	case FaultUnavailable:
		say(http.StatusServiceUnavailable, "503 Service Temporarily Unavailable")
	case FaultStarting:
		c.json(http.StatusServiceUnavailable, "application/json",
			routerState(c.s.nodeID, "STARTING", "Service is starting"))
	case FaultOffline:
		c.text(http.StatusServiceUnavailable, "Server state is offline")
	case FaultMaintenance:
		c.loginPage()
	case FaultRedirect:
		c.w.Header().Set("Location", "https://sso.example.com/login?next="+c.r.URL.Path)
		c.html(http.StatusFound, "")
	case FaultTooMany:
		if f.RetryAfter != "" {
			c.w.Header().Set("Retry-After", f.RetryAfter)
		}
		c.status(http.StatusTooManyRequests, "Too Many Requests")
	case FaultNotFound:
		c.code(http.StatusNotFound, "MANIFEST_UNKNOWN", "The named manifest is not known to the registry.",
			map[string]string{"manifest": c.target.ref})
	case FaultEOF:
		panic(http.ErrAbortHandler)
	default:
		c.w.WriteHeader(http.StatusInternalServerError)
	}
}

// pause waits unless the client goes away, which it reports as false.
func pause(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// spoiler cuts or corrupts a body at one byte.
type spoiler struct {
	http.ResponseWriter
	at, done int64
	cut      bool
}

func (s *spoiler) Write(p []byte) (int, error) {
	if s.at >= s.done && s.at < s.done+int64(len(p)) {
		i := s.at - s.done
		if s.cut {
			n, _ := s.ResponseWriter.Write(p[:i])
			s.done += int64(n)
			_ = http.NewResponseController(s.ResponseWriter).Flush() // what was sent should arrive
			panic(http.ErrAbortHandler)
		}
		p = append([]byte(nil), p...)
		p[i] ^= 0x20
	}
	n, err := s.ResponseWriter.Write(p)
	s.done += int64(n)
	return n, err // a writer passes on what it wraps
}

// Unwrap lets http.ResponseController reach the connection.
func (s *spoiler) Unwrap() http.ResponseWriter { return s.ResponseWriter }
