package artifactory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// longestWait is how long a retry waits at most; a server that asks for more
// gets its answer passed on, and the caller comes back later.
const longestWait = 30 * time.Second

// wire sends requests as they are: it limits how many are in flight to one
// host, counts them, retries what may pass, and stops when a server says that
// the account is locked. It knows nothing of credentials.
type wire struct {
	next     http.RoundTripper
	opts     Options
	meter    meter
	answered atomic.Bool // somebody has answered before: a failed connection may pass
	locks    lockState
	pace     *pace

	mu    sync.Mutex
	hosts map[string]chan struct{}
}

func newWire(next http.RoundTripper, o Options) *wire {
	return &wire{next: next, opts: o, hosts: map[string]chan struct{}{}, locks: lockState{now: o.Now}, pace: newPace(o.Bandwidth)}
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	class := classOf(req)
	for try := 0; ; try++ {
		if err := w.locks.check(req.URL.Host); err != nil {
			return nil, err
		}
		resp, err := w.once(req, class)
		wait, again := w.again(req, resp, err, try)
		if !again {
			return resp, err
		}
		w.opts.Logger.DebugContext(req.Context(), "request is tried again",
			"class", class, "try", try+1, "wait", wait, "status", statusOf(resp), "error", err)
		if resp != nil {
			drain(resp)
		}
		if err := sleep(req.Context(), wait); err != nil {
			return nil, err
		}
		if req, err = replay(req); err != nil {
			return nil, err
		}
	}
}

// once makes one try. The place among those in flight is kept until the body is
// closed, so that streams count too.
func (w *wire) once(req *http.Request, class string) (*http.Response, error) {
	place := w.place(req.URL.Host)
	select {
	case place <- struct{}{}:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", w.opts.UserAgent)
	}
	w.meter.request(class)
	ctx, cancel := context.WithCancelCause(req.Context())
	resp, err := w.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		<-place
		return nil, err
	}
	w.answered.Store(true)
	resp.Request = req
	resp.Body = &countedBody{
		ReadCloser: resp.Body, ctx: ctx, stop: cancel, patience: w.opts.Timeout, pace: w.pace, meter: &w.meter, class: class,
		done: sync.OnceFunc(func() { cancel(nil); <-place }),
	}
	if err := w.locks.observe(req.URL.Host, resp); err != nil {
		drain(resp)
		return nil, err
	}
	return resp, nil
}

func (w *wire) place(host string) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	place, ok := w.hosts[host]
	if !ok {
		place = make(chan struct{}, w.opts.InFlight)
		w.hosts[host] = place
	}
	return place
}

// again says whether a try failed in a way that may pass, and how long to wait.
func (w *wire) again(req *http.Request, resp *http.Response, err error, try int) (time.Duration, bool) {
	most := w.opts.Retries
	switch class := classOf(req); {
	case class == inventory.RequestPing:
		most = min(most, 1) // somebody waits for the answer
	case class == inventory.RequestAQL && statusOf(resp) == http.StatusRequestTimeout:
		most = min(most, 1) // it asks too much at once: the caller asks for less
	}
	if try >= most || req.Context().Err() != nil || (req.Body != nil && req.GetBody == nil) {
		return 0, false
	}
	if err != nil {
		return w.backoff(try), w.answered.Load() && passing(err)
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return 0, false
	}
	asked, ok := retryAfter(resp.Header, w.opts.Now())
	if !ok {
		return w.backoff(try), true
	}
	return max(asked, w.backoff(0)), asked <= longestWait
}

// backoff doubles from try to try; a random half of it keeps many clients from
// coming back at the same instant.
func (w *wire) backoff(try int) time.Duration {
	d := min(w.opts.Backoff<<try, longestWait)
	return d/2 + rand.N(d/2+1)
}

// passing says whether a failed connection may succeed on another try.
func passing(err error) bool {
	var lock *lockedError
	return !errors.As(err, &lock) && !isCertificate(err) && !errors.Is(err, context.Canceled)
}

// retryAfter reads both forms of the header: seconds and a date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := textproto.TrimString(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	if s, err := strconv.Atoi(v); err == nil && s >= 0 {
		return time.Duration(min(s, 24*3600)) * time.Second, true
	}
	if t, err := http.ParseTime(v); err == nil {
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date // the server's own clock
		}
		return max(0, t.Sub(now)), true
	}
	return 0, false
}

func replay(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, fmt.Errorf("send the request again: %w", err)
		}
		again.Body = body
	}
	return again, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// drain reads a little so that the connection can be used again, and closes.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // only for reuse: an error changes nothing
	_ = resp.Body.Close()
}

func statusOf(resp *http.Response) int {
	if resp == nil {
		return 0
	}
	return resp.StatusCode
}

// classOf tells what a request is for: as its context says, else by its path.
func classOf(req *http.Request) string {
	if class := inventory.RequestClass(req.Context()); class != "" {
		return class
	}
	if req.Response != nil {
		return inventory.RequestOther // the second leg of a redirect
	}
	p := req.URL.Path
	switch {
	case strings.HasSuffix(p, "/api/search/aql"):
		return inventory.RequestAQL
	case strings.Contains(p, "/api/system/"), strings.HasSuffix(p, "/v2/"):
		return inventory.RequestPing
	case strings.HasSuffix(p, "/tags/list"):
		return inventory.RequestTags
	case strings.HasSuffix(p, "/_catalog"):
		return inventory.RequestCatalog
	case strings.Contains(p, "/manifests/"):
		return inventory.RequestManifest
	case strings.Contains(p, "/blobs/"):
		return inventory.RequestBlob
	case strings.Contains(p, "/api/repositories"):
		return inventory.RequestRepositories
	case strings.HasSuffix(p, "/token"):
		return inventory.RequestToken
	}
	return inventory.RequestOther
}

// meter counts requests and bytes by class.
type meter struct {
	mu       sync.Mutex
	requests map[string]int64
	bytes    map[string]int64
}

func (m *meter) request(class string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.requests == nil {
		m.requests = map[string]int64{}
	}
	m.requests[class]++
}

func (m *meter) read(class string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bytes == nil {
		m.bytes = map[string]int64{}
	}
	m.bytes[class] += int64(n)
}

func (m *meter) take() Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := Usage{Requests: m.requests, Bytes: m.bytes}
	m.requests, m.bytes = nil, nil
	return u
}

// countedBody counts what is read, keeps to the bandwidth that is allowed, gives
// up a body that stopped coming, and frees the request's place when closed.
type countedBody struct {
	io.ReadCloser
	ctx      context.Context //nolint:containedctx // the life of this one answer
	stop     context.CancelCauseFunc
	patience time.Duration
	pace     *pace
	meter    *meter
	class    string
	done     func()
}

func (b *countedBody) Read(p []byte) (int, error) {
	if b.class == inventory.RequestBlob || b.class == inventory.RequestOther {
		p = b.pace.piece(p)
	}
	late := time.AfterFunc(b.patience, func() { b.stop(errStalled) })
	n, err := b.ReadCloser.Read(p)
	late.Stop()
	if n > 0 {
		b.meter.read(b.class, n)
		if b.class == inventory.RequestBlob || b.class == inventory.RequestOther {
			b.pace.spend(b.ctx, n)
		}
	}
	if err != nil && errors.Is(context.Cause(b.ctx), errStalled) {
		err = inventory.Errorf(inventory.ErrUnavailable, "%w for %s", errStalled, b.patience)
	}
	return n, err
}

var errStalled = errors.New("the answer stopped coming")

func (b *countedBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}
