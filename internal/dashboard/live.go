package dashboard

import (
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
	if d.streams.open.Add(1) > mostStreams {
		d.streams.open.Add(-1)
		return inventory.Errorf(inventory.ErrUnavailable, "too many pages are open")
	}
	defer d.streams.open.Add(-1)
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{})
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	last, quiet := r.URL.Query().Get("mark"), time.Duration(0)
	for first := true; ; first = false {
		_, mark, err := d.status(r.Context())
		if err != nil && first {
			return err
		}
		message := ""
		switch {
		case err != nil: // the store is away for a moment; the next beat asks again
		case mark != last:
			message, last, quiet = fmt.Sprintf("id: %s\nevent: change\ndata: %s\n\n", mark, mark), mark, 0
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
