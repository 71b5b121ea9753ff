package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// heldFor is how long a job that was worked is still ours: its outcome is written
// behind it, and an outage may delay that.
const heldFor = 30 * time.Second

// held are the jobs that this process works, or worked a moment ago. While a database
// cannot be reached, outcomes get lost: such a job runs by its row, and nobody works it.
type held struct {
	mu   sync.Mutex
	jobs map[int64]time.Time // when its work ended; zero while it goes on. Guarded by mu
}

func (h *held) begin(id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.jobs[id] = time.Time{}
}

func (h *held) end(id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.jobs[id] = time.Now()
}

// has says whether a job is held, and forgets those that have not been for long.
func (h *held) has(id int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	ended, ok := h.jobs[id]
	if ok && !ended.IsZero() && time.Since(ended) > heldFor {
		delete(h.jobs, id)
		return false
	}
	return ok
}

// prune forgets the jobs whose outcome is long written.
func (h *held) prune() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, ended := range h.jobs {
		if !ended.IsZero() && time.Since(ended) > 2*heldFor {
			delete(h.jobs, id)
		}
	}
}

// returnStrays makes available the jobs that run by their rows and that this worker does
// not hold, if they did so at the last look too.
func (q *Queue) returnStrays(ctx context.Context, worker string, before map[int64]bool) (map[int64]bool, error) {
	ids, err := q.engine.running(ctx, worker)
	if err != nil {
		return nil, fmt.Errorf("list running jobs: %w", err)
	}
	now := map[int64]bool{}
	for _, id := range ids {
		switch {
		case q.held.has(id):
		case !before[id]:
			now[id] = true
		default:
			if err := q.engine.giveBack(ctx, id); err != nil {
				return nil, fmt.Errorf("return job %d: %w", id, err)
			}
			q.log.InfoContext(ctx, "returned a job whose outcome was lost", slog.Int64("job", id))
		}
	}
	q.held.prune()
	return now, nil
}
