package queue

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// SQLite cannot notify, and River's own poll is a write: thirty a second would cost
// several percent of a core. Asking SQLite whether anybody committed anything costs
// next to nothing, so that is what is asked often, and River polls seldom.
const (
	watchEvery = 40 * time.Millisecond
	pollSQLite = time.Second
)

// wakeKind marks the jobs that wake: one a queue, never due. River lets a producer fetch
// when a job is inserted for its queue, also when that job turns out to be there already.
const wakeKind = "wake"

// farAway is when they would be due.
var farAway = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant that Go cannot write as one

// waker looks for commits and wakes the queues that have work and hands free.
type waker struct {
	read   *sql.DB
	client *river.Client[*sql.Tx]
	kinds  []string
	idle   func(kind string) bool
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{}
}

func startWaker(ctx context.Context, w waker) *waker {
	ctx, w.cancel = context.WithCancel(ctx)
	w.done = make(chan struct{})
	slices.Sort(w.kinds)
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			if err := w.watch(ctx); err != nil && ctx.Err() == nil {
				w.log.WarnContext(ctx, "job queue cannot see what is queued; it polls", slog.Any("error", err))
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Second):
				}
			}
		}
	}()
	return &w
}

// watch needs a connection of its own: data_version counts what others than it commit.
func (w *waker) watch(ctx context.Context) (err error) {
	conn, err := w.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	version, err := conn.PrepareContext(ctx, `PRAGMA data_version`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, version.Close()) }()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last := int64(-1)
	quick := context.WithoutCancel(ctx) // a context that can end costs more to watch than the question
	for {
		var now int64
		if err := version.QueryRowContext(quick).Scan(&now); err != nil {
			return err
		}
		if now != last {
			last = now
			if err := w.wake(ctx, conn); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *waker) wake(ctx context.Context, conn *sql.Conn) error {
	for _, kind := range w.kinds {
		if !w.idle(kind) {
			continue // it fetches by itself when a hand is free
		}
		var due bool
		err := conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM river_job WHERE state = 'available' AND queue = ? AND scheduled_at <= ?)`,
			kind, time.Now().UTC().Format(sqliteTime)).Scan(&due)
		if err != nil {
			return err
		}
		if !due {
			continue
		}
		_, err = w.client.Insert(ctx, envelope{kind: wakeKind, Unique: kind, Args: []byte("null")}, &river.InsertOpts{
			Queue: kind, ScheduledAt: farAway, MaxAttempts: 1, Priority: Later,
			UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
				rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
				rivertype.JobStateRetryable, rivertype.JobStateScheduled,
			}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *waker) stop() {
	w.cancel()
	<-w.done
}

// wakingRunner is River's client with the waker beside it.
type wakingRunner struct {
	runner
	waker *waker
}

// Stop implements runner.
func (r wakingRunner) Stop(ctx context.Context) error {
	r.waker.stop()
	return r.runner.Stop(ctx)
}
