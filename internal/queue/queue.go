// Package queue runs durable jobs on the store's own database: River on SQLite or
// PostgreSQL behind one small API. In go jobs (a kind, JSON arguments, a key that
// keeps doubles out), inserted inside the store's own transactions; out come calls
// of the handlers, retried with backoff while the error is inventory.ErrUnavailable.
//
// It must never know what a job means, and never open a transaction of its own
// while the store holds the one writer connection of SQLite.
package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Priorities of a job: lower goes first.
const (
	Urgent = 1
	Soon   = 2
	Normal = 3
	Later  = 4
)

// riverAttempts bounds what River itself retries. Handlers give up earlier, in words
// (Handler.MaxAttempts); this only catches a job whose Failed handler keeps failing.
const riverAttempts = 40

// Job is work to be done once by somebody.
type Job struct {
	Kind     string
	Args     any    // encoded as JSON
	Unique   string // while a job of this kind and key waits or runs, another is not inserted; empty = always insert
	Priority int    // Urgent to Later; 0 = Normal
	At       time.Time
	// Sooner brings a job that already waits under the same key forward to At.
	Sooner bool
}

// Work is one attempt at a job.
type Work struct {
	ID      int64
	Kind    string
	Attempt int // 1 for the first
	Args    json.RawMessage
}

// Queue inserts, lists and works jobs of one database.
type Queue struct {
	engine engine
	log    *slog.Logger
	held   *held
}

// engine is the part of River that differs between SQLite and PostgreSQL, and the few
// statements that River has no call for.
type engine interface {
	migrate(ctx context.Context) error
	insert(ctx context.Context, tx Tx, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
	forward(ctx context.Context, tx Tx, id int64, at time.Time) error
	release(ctx context.Context, id int64) error
	// running are the jobs that run by their rows under a worker.
	running(ctx context.Context, worker string) ([]int64, error)
	// giveBack makes a running job available again.
	giveBack(ctx context.Context, id int64) error
	recoverJobs(ctx context.Context, worker string) (int64, error)
	beat(ctx context.Context, worker string) error
	leave(ctx context.Context, worker string) error
	// shared says that other processes may work jobs too, and die.
	shared() bool
	// start begins to work; idle says whether a kind has hands free.
	start(ctx context.Context, cfg *river.Config, idle func(kind string) bool) (runner, error)
	list(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error)
	retry(ctx context.Context, id int64) (*rivertype.JobRow, error)
	counts(ctx context.Context) (*sql.Rows, error)
	tune(cfg *river.Config)
}

type runner interface {
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
}

// Tx is a transaction of the store, which jobs join. On PostgreSQL Conn is the
// connection that SQL runs on.
type Tx struct {
	SQL  *sql.Tx
	Conn *sql.Conn
}

// NewSQLite makes a queue in the database that write and read reach. write must be the
// only writing pool of this process, with one connection.
func NewSQLite(write, read *sql.DB, log *slog.Logger) (*Queue, error) {
	e, err := newSQLiteEngine(write, read, log)
	if err != nil {
		return nil, fmt.Errorf("open the job queue: %w", err)
	}
	return &Queue{engine: e, log: log, held: &held{jobs: map[int64]time.Time{}}}, nil
}

// NewPostgres makes a queue in the database of pool; db must be the same pool through
// database/sql.
func NewPostgres(pool *pgxpool.Pool, db *sql.DB, log *slog.Logger) (*Queue, error) {
	e, err := newPostgresEngine(pool, db, log)
	if err != nil {
		return nil, fmt.Errorf("open the job queue: %w", err)
	}
	return &Queue{engine: e, log: log, held: &held{jobs: map[int64]time.Time{}}}, nil
}

// Migrate makes or updates the queue's tables. The caller keeps other processes out.
func (q *Queue) Migrate(ctx context.Context) error {
	if err := q.engine.migrate(ctx); err != nil {
		return fmt.Errorf("migrate the job queue: %w", err)
	}
	return nil
}

// envelope is how a job's arguments are stored: the key beside them, so that River's
// uniqueness looks at the key alone.
type envelope struct {
	kind   string
	Unique string          `json:"unique,omitempty" river:"unique"`
	Args   json.RawMessage `json:"args"`
}

// Kind is what River asks of arguments.
func (e envelope) Kind() string { return e.kind }

// InsertTx inserts jobs as part of tx: they exist if and only if tx commits. It returns
// how many were not there already.
func (q *Queue) InsertTx(ctx context.Context, tx Tx, jobs ...Job) (int, error) {
	jobs = distinct(jobs)
	if len(jobs) == 0 {
		return 0, nil
	}
	params := make([]river.InsertManyParams, 0, len(jobs))
	for _, job := range jobs {
		p, err := param(job)
		if err != nil {
			return 0, err
		}
		params = append(params, p)
	}
	results, err := q.engine.insert(ctx, tx, params)
	if err != nil {
		return 0, fmt.Errorf("queue %d jobs: %w", len(jobs), err)
	}
	inserted := 0
	for i, res := range results {
		if !res.UniqueSkippedAsDuplicate {
			inserted++
			continue
		}
		if !jobs[i].Sooner {
			continue
		}
		if err := q.engine.forward(ctx, tx, res.Job.ID, jobs[i].At); err != nil {
			return 0, fmt.Errorf("bring job %s %s forward: %w", jobs[i].Kind, jobs[i].Unique, err)
		}
	}
	return inserted, nil
}

// distinct drops doubles among the jobs themselves, the first and most eager stays:
// PostgreSQL refuses to meet one key twice in a statement.
func distinct(jobs []Job) []Job {
	type key struct{ kind, unique string }
	at := make(map[key]int, len(jobs))
	out := make([]Job, 0, len(jobs))
	for _, job := range jobs {
		k := key{job.Kind, job.Unique}
		i, double := at[k]
		if !double || job.Unique == "" {
			at[k] = len(out)
			out = append(out, job)
			continue
		}
		if job.At.Before(out[i].At) {
			out[i].At = job.At
		}
		out[i].Sooner = out[i].Sooner || job.Sooner
	}
	return out
}

func param(job Job) (river.InsertManyParams, error) {
	raw, err := json.Marshal(job.Args)
	if err != nil {
		return river.InsertManyParams{}, fmt.Errorf("encode the arguments of job %s: %w", job.Kind, err)
	}
	opts := &river.InsertOpts{Queue: job.Kind, Priority: job.Priority, MaxAttempts: riverAttempts}
	if job.At.After(time.Now()) {
		opts.ScheduledAt = job.At // River lets whatever has a time, past or not, wait for its scheduler
	}
	if opts.Priority == 0 {
		opts.Priority = Normal
	}
	if job.Unique != "" {
		// River's default also blocks on completed jobs: a second push of one digest would be lost.
		opts.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
			rivertype.JobStateRetryable, rivertype.JobStateScheduled,
		}}
	}
	return river.InsertManyParams{Args: envelope{kind: job.Kind, Unique: job.Unique, Args: raw}, InsertOpts: opts}, nil
}

// Row is one job, for people.
type Row struct {
	ID        int64           `json:"id"`
	Kind      string          `json:"kind"`
	State     string          `json:"state"` // waiting, running, retrying, done, failed
	Attempt   int             `json:"attempt"`
	Args      json.RawMessage `json:"args"`
	Error     string          `json:"error,omitempty"` // of the last attempt
	Created   time.Time       `json:"created"`
	Scheduled time.Time       `json:"scheduled"`
	Attempted *time.Time      `json:"attempted,omitempty"`
	Finished  *time.Time      `json:"finished,omitempty"`
}

// States of a Row.
const (
	StateWaiting  = "waiting"
	StateRunning  = "running"
	StateRetrying = "retrying" // failed, and will be tried again
	StateDone     = "done"
	StateFailed   = "failed" // given up
)

func riverStates(state string) []rivertype.JobState {
	switch state {
	case StateWaiting:
		return []rivertype.JobState{rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateScheduled}
	case StateRunning:
		return []rivertype.JobState{rivertype.JobStateRunning}
	case StateRetrying:
		return []rivertype.JobState{rivertype.JobStateRetryable}
	case StateDone:
		return []rivertype.JobState{rivertype.JobStateCompleted}
	case StateFailed:
		return []rivertype.JobState{rivertype.JobStateCancelled, rivertype.JobStateDiscarded}
	}
	return nil
}

func stateOf(job *rivertype.JobRow) string {
	for _, state := range []string{StateWaiting, StateRunning, StateRetrying, StateDone} {
		for _, s := range riverStates(state) {
			if s != job.State {
				continue
			}
			// A retry that is due soon is already available: it still is one.
			if state == StateWaiting && job.Attempt > 0 && len(job.Errors) > 0 {
				return StateRetrying
			}
			return state
		}
	}
	return StateFailed
}

// List returns jobs, the newest first. Empty kind or state is all of them; limit is at
// most 1,000.
func (q *Queue) List(ctx context.Context, kind, state string, limit int) ([]Row, error) {
	params := river.NewJobListParams().First(min(max(limit, 1), 1000)).OrderBy(river.JobListOrderByID, river.SortOrderDesc)
	if kind != "" {
		params = params.Kinds(kind)
	}
	if state != "" {
		states := riverStates(state)
		if states == nil {
			return nil, inventory.Errorf(inventory.ErrInvalid, "there is no job state %q", state).
				WithRemedy("use waiting, running, retrying, done or failed")
		}
		params = params.States(states...)
	}
	res, err := q.engine.list(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	rows := make([]Row, 0, len(res.Jobs))
	for _, job := range res.Jobs {
		if job.Kind != wakeKind {
			rows = append(rows, rowOf(job))
		}
	}
	return rows, nil
}

func rowOf(job *rivertype.JobRow) Row {
	row := Row{
		ID: job.ID, Kind: job.Kind, State: stateOf(job), Attempt: job.Attempt,
		Created: job.CreatedAt.UTC(), Scheduled: job.ScheduledAt.UTC(), Attempted: job.AttemptedAt, Finished: job.FinalizedAt,
	}
	var e envelope
	if err := json.Unmarshal(job.EncodedArgs, &e); err == nil {
		row.Args = e.Args
	}
	if n := len(job.Errors); n > 0 {
		row.Error = job.Errors[n-1].Error
	}
	return row
}

// Retry makes a failed or waiting job available now.
func (q *Queue) Retry(ctx context.Context, id int64) error {
	_, err := q.engine.retry(ctx, id)
	if errors.Is(err, river.ErrNotFound) {
		return inventory.Errorf(inventory.ErrNotFound, "there is no job %d (finished ones are cleaned away)", id)
	}
	if err != nil {
		return fmt.Errorf("retry job %d: %w", id, err)
	}
	return nil
}

// Stats counts the jobs of one kind.
type Stats struct {
	Kind     string `json:"kind"`
	Waiting  int    `json:"waiting"` // due now
	Planned  int    `json:"planned"` // due later
	Running  int    `json:"running"`
	Retrying int    `json:"retrying"`
	Done     int    `json:"done"` // of late; finished jobs are cleaned away
	Failed   int    `json:"failed"`
}

// Stats counts jobs by kind, in the order of the kinds' names.
func (q *Queue) Stats(ctx context.Context) (all []Stats, err error) {
	rows, err := q.engine.counts(ctx)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	defer func() {
		if closeErr := rows.Close(); err == nil {
			err = closeErr
		}
	}()
	all = []Stats{}
	for rows.Next() {
		var kind, state string
		var n int
		if err := rows.Scan(&kind, &state, &n); err != nil {
			return nil, fmt.Errorf("count jobs: %w", err)
		}
		if len(all) == 0 || all[len(all)-1].Kind != kind {
			all = append(all, Stats{Kind: kind})
		}
		all[len(all)-1].add(rivertype.JobState(state), n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return all, nil
}

func (s *Stats) add(state rivertype.JobState, n int) {
	switch state {
	case rivertype.JobStateAvailable, rivertype.JobStatePending:
		s.Waiting += n
	case rivertype.JobStateScheduled:
		s.Planned += n
	case rivertype.JobStateRunning:
		s.Running += n
	case rivertype.JobStateRetryable:
		s.Retrying += n
	case rivertype.JobStateCompleted:
		s.Done += n
	case rivertype.JobStateCancelled, rivertype.JobStateDiscarded:
		s.Failed += n
	}
}
