package artifactory

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// lockState remembers which hosts locked us out after failed sign-ins, so that
// nothing is sent to them until they said they listen again. Each request
// during a lock would make it longer.
type lockState struct {
	now func() time.Time

	mu    sync.Mutex
	until map[string]time.Time
}

// lockedError says that an account is locked, and until when.
type lockedError struct {
	until time.Time
	left  time.Duration
}

func (e *lockedError) Error() string {
	return fmt.Sprintf("Artifactory locked this account after repeated failed sign-ins, for another %d seconds", e.seconds())
}

func (e *lockedError) seconds() int { return int(e.left.Round(time.Second) / time.Second) }

// Unwrap makes a lock something that passes.
func (e *lockedError) Unwrap() error { return inventory.ErrUnavailable }

var lockMessage = regexp.MustCompile(`(?:blocked|locked) due to recurrent (?:request failures|log(?:in| on) (?:failures|errors))(?:, please try again in (\d+))?`)

// defaultLock is assumed where the server does not say how long.
const defaultLock = 60 * time.Second

func (l *lockState) check(host string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.until[host]
	if !ok {
		return nil
	}
	if left := until.Sub(l.now()); left > 0 {
		return &lockedError{until: until, left: left}
	}
	delete(l.until, host)
	return nil
}

// observe looks into a 403 for the lock message. The body can be read anew.
func (l *lockState) observe(host string, resp *http.Response) error {
	if resp.StatusCode != http.StatusForbidden {
		return nil
	}
	m := lockMessage.FindStringSubmatch(peek(resp))
	if m == nil {
		return nil
	}
	d := defaultLock
	if s, err := strconv.Atoi(m[1]); err == nil && s >= 0 && s < 24*3600 {
		d = time.Duration(s+1) * time.Second
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil {
		l.until = map[string]time.Time{}
	}
	until := l.now().Add(d)
	l.until[host] = until
	return &lockedError{until: until, left: d}
}

// peek reads the beginning of a refusal and puts it back.
func peek(resp *http.Response) string {
	const most = 8 << 10
	head, _ := io.ReadAll(io.LimitReader(resp.Body, most)) // a cut body says as much as it says
	resp.Body = &rereadBody{Reader: io.MultiReader(bytes.NewReader(head), resp.Body), Closer: resp.Body}
	return strings.ToValidUTF8(string(head), "�")
}

type rereadBody struct {
	io.Reader
	io.Closer
}
