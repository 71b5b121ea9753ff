package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	mathrand "math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Defaults of a Handler.
const (
	DefaultTimeout     = 10 * time.Minute
	DefaultMaxAttempts = 15
)

// How long Run waits for running jobs when it is asked to stop, before it cancels them
// (they go back to the queue), and then for them to notice.
const (
	stopGrace  = 5 * time.Second
	stopCancel = 10 * time.Second
)

// How long finished jobs stay to be looked at.
const (
	keepDone   = 15 * time.Minute
	keepFailed = 7 * 24 * time.Hour
)

// Handler does the jobs of one kind.
type Handler struct {
	// Do does one job. An error of kind inventory.ErrUnavailable is retried with backoff,
	// as is running into Timeout; any other is final. Do must stand being called again
	// for work that was done already.
	Do func(ctx context.Context, w Work) error
	// Failed is told once when a job is given up, with the error of its last attempt. If
	// it fails itself, it is called again later. May be nil.
	Failed func(ctx context.Context, w Work, cause error) error
	// Timeout bounds one attempt; 0 = DefaultTimeout.
	Timeout time.Duration
	// MaxAttempts is how often a job is tried; 0 = DefaultMaxAttempts.
	MaxAttempts int
	// Workers is how many jobs of this kind run at once in this process; 0 = what Run was given.
	Workers int
	// Again lets a job be inserted while one with the same key runs: it waits behind it.
	// Without it the insert is dropped, for work that is never needed twice.
	Again bool
}

// Handlers are the handlers by kind of job.
type Handlers map[string]Handler

// Run works jobs until ctx ends, then stops gracefully: running jobs get a few seconds
// to finish and go back to the queue otherwise. workers is how many jobs of each kind
// run at once. On SQLite the caller must hold Lock for the data directory.
func (q *Queue) Run(ctx context.Context, handlers Handlers, workers int) error {
	if workers < 1 || len(handlers) == 0 {
		return inventory.Errorf(inventory.ErrInvalid, "no workers to run jobs with").WithRemedy("give at least one worker")
	}
	id := workerID()
	if err := q.engine.beat(ctx, id); err != nil {
		return fmt.Errorf("register worker: %w", err)
	}
	if err := q.recoverJobs(ctx, id); err != nil {
		return err
	}
	cfg := &river.Config{
		ID: id, Logger: quietLogger(q.log), Queues: map[string]river.QueueConfig{}, Workers: river.NewWorkers(),
		JobTimeout: -1, RescueStuckJobsAfter: 10000 * time.Hour, // time-outs are the handlers', rescue is ours
		CompletedJobRetentionPeriod: keepDone, CancelledJobRetentionPeriod: keepFailed, DiscardedJobRetentionPeriod: keepFailed,
		RetryPolicy: retryPolicy{},
	}
	q.engine.tune(cfg)
	crews := map[string]*worker{}
	for kind, h := range handlers {
		if h.Workers < 1 {
			h.Workers = workers
		}
		crews[kind] = &worker{handler: h, queue: q}
		cfg.Queues[kind] = river.QueueConfig{MaxWorkers: h.Workers}
		river.AddWorkerArgs(cfg.Workers, envelope{kind: kind}, crews[kind])
	}
	// Not ctx: its end must not cancel the jobs before they had their grace.
	base := context.WithoutCancel(ctx)
	client, err := q.engine.start(base, cfg, func(kind string) bool { return int(crews[kind].busy.Load()) < crews[kind].handler.Workers })
	if err != nil {
		return fmt.Errorf("work jobs: %w", err)
	}
	q.keepAlive(ctx, id)
	return q.stop(base, client, id)
}

// keepAlive says that this worker lives and returns the jobs of those that do not, until ctx ends.
func (q *Queue) keepAlive(ctx context.Context, id string) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	var strays map[int64]bool
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var err error
		if q.engine.shared() { // else there is nobody to tell, and what runs is ours
			if err = q.engine.beat(ctx, id); err == nil {
				err = q.recoverJobs(ctx, id)
			}
		}
		if err == nil {
			strays, err = q.returnStrays(ctx, id, strays)
		}
		if err != nil && ctx.Err() == nil {
			q.log.WarnContext(ctx, "job queue heartbeat failed", slog.Any("error", err))
		}
	}
}

func (q *Queue) recoverJobs(ctx context.Context, id string) error {
	n, err := q.engine.recoverJobs(ctx, id)
	if err != nil {
		return fmt.Errorf("return the jobs of dead workers: %w", err)
	}
	if n > 0 {
		q.log.InfoContext(ctx, "returned the jobs of a dead worker", slog.Int64("jobs", n))
	}
	return nil
}

func (q *Queue) stop(ctx context.Context, client runner, id string) error {
	soft, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if err := client.Stop(soft); err != nil {
		hard, cancel := context.WithTimeout(ctx, stopCancel)
		defer cancel()
		if err := client.StopAndCancel(hard); err != nil {
			return fmt.Errorf("stop working jobs: %w", err)
		}
	}
	if err := q.engine.leave(ctx, id); err != nil {
		return fmt.Errorf("sign off worker: %w", err)
	}
	return nil
}

// workerID is unique, and tells nothing about the host it runs on.
func workerID() string { return "tallyman-" + rand.Text() }

// retryPolicy doubles the wait from one second to five minutes and spreads it by a
// fifth either way, so that what failed together does not come back together.
type retryPolicy struct{}

func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	wait := 5 * time.Minute
	if job.Attempt < 10 {
		wait = min(wait, time.Second*time.Duration(math.Exp2(float64(max(job.Attempt-1, 0)))))
	}
	return time.Now().Add(time.Duration(float64(wait) * (0.8 + 0.4*mathrand.Float64())))
}

// worker is the crew of one kind.
type worker struct {
	river.WorkerDefaults[envelope]
	handler Handler
	queue   *Queue
	busy    atomic.Int64
}

func (w *worker) Timeout(*river.Job[envelope]) time.Duration { return -1 }

// Work runs one attempt and turns its outcome into River's words.
func (w *worker) Work(ctx context.Context, job *river.Job[envelope]) error {
	w.busy.Add(1)
	defer w.busy.Add(-1)
	w.queue.held.begin(job.ID)
	defer w.queue.held.end(job.ID)
	work := Work{ID: job.ID, Kind: job.Kind, Attempt: job.Attempt, Args: job.Args.Args}
	limit := w.handler.MaxAttempts
	if limit < 1 {
		limit = DefaultMaxAttempts
	}
	if work.Attempt > limit {
		// Only an attempt whose process died leaves no verdict: too many of them are one.
		return w.giveUp(ctx, work, inventory.Errorf(inventory.ErrUnavailable, "given up after %d attempts, the last of which killed or lost their worker", limit))
	}
	if w.handler.Again {
		if err := w.queue.engine.release(ctx, job.ID); err != nil {
			return fmt.Errorf("start job %s: %w", work.Kind, err)
		}
	}
	err := w.attempt(ctx, work)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return river.JobSnooze(0) // stopping: the attempt does not count
	case errors.Is(err, inventory.ErrUnavailable) && work.Attempt < limit:
		return err
	}
	return w.giveUp(ctx, work, err)
}

// attempt calls the handler within its time, and makes errors of panics and time-outs.
func (w *worker) attempt(ctx context.Context, work Work) (err error) {
	timeout := w.handler.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	inner, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			w.queue.log.ErrorContext(ctx, "job panicked", slog.String("kind", work.Kind), slog.Int64("job", work.ID),
				slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("%s job panicked: %v", work.Kind, v)
		}
	}()
	err = w.handler.Do(inner, work)
	if err != nil && ctx.Err() == nil && inner.Err() != nil {
		return inventory.Errorf(inventory.ErrUnavailable, "%s job took longer than %s: %w", work.Kind, timeout, err)
	}
	return err
}

func (w *worker) giveUp(ctx context.Context, work Work, cause error) error {
	if w.handler.Failed != nil {
		if err := w.handler.Failed(ctx, work, cause); err != nil {
			return fmt.Errorf("record the failure of job %s: %w", work.Kind, err)
		}
	}
	return river.JobCancel(cause)
}
