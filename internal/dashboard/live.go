package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	mostStreams = 256
	beat        = time.Second // how soon an open page hears of a change
	heartbeat   = 20 * beat   // keeps proxies from closing a quiet stream
)

type streams struct{ open atomic.Int64 }

// live tells an open page when something that it may show has changed. It says
// nothing else: the page asks for itself again.
func (d *Dashboard) live(w http.ResponseWriter, r *http.Request, _ visit) error {
	known := r.URL.Query().Get("mark")
	return d.stream(w, r, func(ctx context.Context, last string) (message, now string, err error) {
		if last == "" {
			last = known
		}
		_, mark, err := d.status(ctx)
		if err != nil || mark == last {
			return "", last, err
		}
		return fmt.Sprintf("id: %s\nevent: change\ndata: %s\n\n", mark, mark), mark, nil
	})
}

// stream sends what say says, once a beat, until the page is closed. say is given what
// it answered last; what it cannot answer for a moment it is asked again.
func (d *Dashboard) stream(w http.ResponseWriter, r *http.Request, say func(ctx context.Context, last string) (message, now string, err error)) error {
	if d.streams.open.Add(1) > mostStreams {
		d.streams.open.Add(-1)
		return inventory.Errorf(inventory.ErrUnavailable, "too many pages are open")
	}
	defer d.streams.open.Add(-1)
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{})
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	last, quiet := "", time.Duration(0)
	for first := true; ; first = false {
		message, now, err := say(r.Context(), last)
		if err != nil && first {
			return err
		}
		if first {
			h := w.Header()
			h.Set("Content-Type", "text/event-stream")
			h.Set("X-Accel-Buffering", "no")
		}
		switch {
		case err != nil: // the store is away for a moment; the next beat asks again
		case message != "":
			last, quiet = now, 0
		case first || quiet >= heartbeat:
			message, quiet = ": here\n\n", 0
		}
		if message != "" {
			if _, err := fmt.Fprint(w, message); err != nil {
				return nil // the page was closed
			}
			_ = control.Flush()
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-d.done:
			return nil
		case <-ticker.C:
			quiet += beat
		}
	}
}
