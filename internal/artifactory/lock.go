package artifactory

import (
	"bytes"
	"errors"
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

var lockMessage = regexp.MustCompile(`(?i)(?:blocked|locked) due to recurrent (?:request|log\s?-?(?:in|on)) (?:failures|errors)(?:\W+please try again in (\d+)\s*(minute|hour)?)?`)

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

// observe looks into a refusal for the lock message. The body can be read anew.
func (l *lockState) observe(host string, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusLocked:
	default:
		return nil
	}
	m := lockMessage.FindStringSubmatch(peek(resp))
	if m == nil {
		return nil
	}
	d := lockTime(m[1], strings.ToLower(m[2]))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil {
		l.until = map[string]time.Time{}
	}
	until := l.now().Add(d)
	l.until[host] = until
	return &lockedError{until: until, left: d}
}

// lockTime reads "9" and "minute"; a second is added, because theirs are rounded.
func lockTime(number, unit string) time.Duration {
	n, err := strconv.Atoi(number)
	if err != nil {
		return defaultLock
	}
	d := time.Second
	switch unit {
	case "minute":
		d = time.Minute
	case "hour":
		d = time.Hour
	}
	const longest = 24 * time.Hour
	if n > int(longest/d) {
		return longest
	}
	return time.Duration(n)*d + time.Second
}

// LockedFor says for how long a server that refused with err wants to hear
// nothing; false if it did not say so.
func LockedFor(err error) (time.Duration, bool) {
	var lock *lockedError
	if !errors.As(err, &lock) {
		return 0, false
	}
	return lock.left, true
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
