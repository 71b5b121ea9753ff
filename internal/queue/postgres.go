package queue

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// A worker says every beatEvery that it lives. One that was silent for deadAfter is
// dead, and its jobs go back: within a minute, the time between two looks included.
const (
	beatEvery = 10 * time.Second
	deadAfter = 40 * time.Second
)

type postgresEngine struct {
	pool   *pgxpool.Pool
	db     *sql.DB
	client *river.Client[pgx.Tx]
	log    *slog.Logger
}

func newPostgresEngine(pool *pgxpool.Pool, db *sql.DB, log *slog.Logger) (*postgresEngine, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: log, FetchCooldown: river.FetchCooldownMin})
	if err != nil {
		return nil, err
	}
	return &postgresEngine{pool: pool, db: db, client: client, log: log}, nil
}

func (e *postgresEngine) migrate(ctx context.Context) error {
	m, err := rivermigrate.New(riverpgxv5.New(e.pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if _, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	_, err = e.db.ExecContext(ctx, `
		CREATE TABLE IF NOT EXISTS queue_worker (id TEXT PRIMARY KEY, beat_at TIMESTAMPTZ NOT NULL)`)
	return err
}

// insert gives River the store's transaction: the same connection, inside database/sql.
func (e *postgresEngine) insert(ctx context.Context, tx Tx, params []river.InsertManyParams) (res []*rivertype.JobInsertResult, err error) {
	err = tx.Conn.Raw(func(driverConn any) error {
		conn, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("connection is a %T, not pgx", driverConn)
		}
		res, err = e.client.InsertManyTx(ctx, borrowedTx{conn: conn.Conn()}, params)
		return err
	})
	return res, err
}

func (e *postgresEngine) forward(ctx context.Context, tx Tx, id int64, at time.Time) error {
	now := time.Now()
	if at.Before(now) {
		at = now
	}
	_, err := tx.SQL.ExecContext(ctx, `
		UPDATE river_job SET scheduled_at = $1, state = $2::river_job_state
		WHERE id = $3 AND state IN ('available', 'scheduled', 'retryable') AND scheduled_at > $1`,
		at.UTC(), stateAt(at, now), id)
	if err != nil {
		return err
	}
	_, err = tx.SQL.ExecContext(ctx, `SELECT pg_notify(current_schema() || '.river_insert', json_build_object('queue', queue)::text) FROM river_job WHERE id = $1`, id)
	return err
}

func (e *postgresEngine) release(ctx context.Context, id int64) error {
	_, err := e.db.ExecContext(ctx, `UPDATE river_job SET unique_key = NULL WHERE id = $1 AND unique_key IS NOT NULL`, id)
	return err
}

func (e *postgresEngine) running(ctx context.Context, worker string) ([]int64, error) {
	rows, err := e.db.QueryContext(ctx,
		`SELECT id FROM river_job WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $1`, worker)
	return idsOf(rows, err)
}

func (e *postgresEngine) giveBack(ctx context.Context, id int64) error {
	// Without its unique key: a double may wait already, and it is idempotent.
	_, err := e.db.ExecContext(ctx,
		`UPDATE river_job SET state = 'available', scheduled_at = now(), unique_key = NULL WHERE id = $1 AND state = 'running'`, id)
	return err
}

// orphans are the running jobs of workers that are not known to live.
const orphans = `
	state = 'running' AND NOT EXISTS (
		SELECT 1 FROM queue_worker w
		WHERE w.id = river_job.attempted_by[array_upper(river_job.attempted_by, 1)] AND w.beat_at > now() - make_interval(secs => $1))`

func (e *postgresEngine) recoverJobs(ctx context.Context, _ string) (int64, error) {
	secs := deadAfter.Seconds()
	// A job that comes back while its double waits would break the unique index: the
	// double does its work.
	if _, err := e.db.ExecContext(ctx, `
		UPDATE river_job SET unique_key = NULL
		WHERE unique_key IN (SELECT unique_key FROM river_job
			WHERE state IN ('available', 'pending', 'scheduled', 'retryable') AND unique_key IS NOT NULL) AND `+orphans, secs); err != nil {
		return 0, err
	}
	res, err := e.db.ExecContext(ctx, `UPDATE river_job SET state = 'available', scheduled_at = now() WHERE `+orphans, secs)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (e *postgresEngine) beat(ctx context.Context, worker string) error {
	_, err := e.db.ExecContext(ctx, `
		INSERT INTO queue_worker (id, beat_at) VALUES ($1, now())
		ON CONFLICT (id) DO UPDATE SET beat_at = now()`, worker)
	if err != nil {
		return err
	}
	_, err = e.db.ExecContext(ctx, `DELETE FROM queue_worker WHERE beat_at < now() - interval '1 hour'`)
	return err
}

func (e *postgresEngine) leave(ctx context.Context, worker string) error {
	_, err := e.db.ExecContext(ctx, `DELETE FROM queue_worker WHERE id = $1`, worker)
	return err
}

func (e *postgresEngine) tune(cfg *river.Config) {
	// LISTEN/NOTIFY wakes the workers; the poll is for what was scheduled.
	cfg.FetchCooldown, cfg.FetchPollInterval = 10*time.Millisecond, time.Second
}

func (e *postgresEngine) shared() bool { return true }

func (e *postgresEngine) start(ctx context.Context, cfg *river.Config, _ func(kind string) bool) (runner, error) {
	client, err := river.NewClient(riverpgxv5.New(e.pool), cfg)
	if err != nil {
		return nil, err
	}
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("start working: %w", err)
	}
	return client, nil
}

func (e *postgresEngine) list(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error) {
	return e.client.JobList(ctx, params)
}

func (e *postgresEngine) retry(ctx context.Context, id int64) (*rivertype.JobRow, error) {
	return e.client.JobRetry(ctx, id)
}

func (e *postgresEngine) counts(ctx context.Context) (*sql.Rows, error) {
	return e.db.QueryContext(ctx, `SELECT kind, state::text, count(*) FROM river_job GROUP BY kind, state ORDER BY kind COLLATE "C", state::text`)
}
