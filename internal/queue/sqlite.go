package queue

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// sqliteTime is how the SQLite driver of River writes times; they compare as text.
const sqliteTime = "2006-01-02 15:04:05.999"

type sqliteEngine struct {
	write, read *sql.DB
	client      *river.Client[*sql.Tx]
	log         *slog.Logger
}

func newSQLiteEngine(write, read *sql.DB, log *slog.Logger) (*sqliteEngine, error) {
	client, err := river.NewClient(riversqlite.New(write), &river.Config{Logger: log, FetchCooldown: river.FetchCooldownMin})
	if err != nil {
		return nil, err
	}
	return &sqliteEngine{write: write, read: read, client: client, log: log}, nil
}

func (e *sqliteEngine) migrate(ctx context.Context) error {
	m, err := rivermigrate.New(riversqlite.New(e.write), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func (e *sqliteEngine) insert(ctx context.Context, tx Tx, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error) {
	return e.client.InsertManyTx(ctx, tx.SQL, params)
}

func (e *sqliteEngine) forward(ctx context.Context, tx Tx, id int64, at time.Time) error {
	now := time.Now()
	if at.Before(now) {
		at = now
	}
	text := at.UTC().Round(time.Millisecond).Format(sqliteTime)
	state := stateAt(at, now)
	_, err := tx.SQL.ExecContext(ctx, `
		UPDATE river_job SET scheduled_at = ?, state = ?
		WHERE id = ? AND state IN ('available', 'scheduled', 'retryable') AND scheduled_at > ?`,
		text, state, id, text)
	return err
}

// stateAt is the state a job waits in until at.
func stateAt(at, now time.Time) string {
	if at.After(now) {
		return string(rivertype.JobStateScheduled)
	}
	return string(rivertype.JobStateAvailable)
}

func (e *sqliteEngine) release(ctx context.Context, id int64) error {
	_, err := e.write.ExecContext(ctx, `UPDATE river_job SET unique_key = NULL WHERE id = ? AND unique_key IS NOT NULL`, id)
	return err
}

// running asks for all of them: one process works jobs on SQLite.
func (e *sqliteEngine) running(ctx context.Context, _ string) ([]int64, error) {
	rows, err := e.read.QueryContext(ctx, `SELECT id FROM river_job WHERE state = 'running'`)
	return idsOf(rows, err)
}

func (e *sqliteEngine) giveBack(ctx context.Context, id int64) error {
	// Without its unique key: a double may wait already, and it is idempotent.
	_, err := e.write.ExecContext(ctx, `UPDATE river_job SET state = 'available', scheduled_at = ?, unique_key = NULL WHERE id = ? AND state = 'running'`,
		time.Now().UTC().Format(sqliteTime), id)
	return err
}

// idsOf reads a column of ids to its end.
func idsOf(rows *sql.Rows, err error) ([]int64, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// recoverJobs runs before any work: whoever holds the lock of the data directory is the
// only worker, so whatever runs was left by one that died.
func (e *sqliteEngine) recoverJobs(ctx context.Context, _ string) (int64, error) {
	if _, err := e.write.ExecContext(ctx, `DELETE FROM river_leader`); err != nil {
		return 0, err
	}
	// A job that comes back while its double waits would break the unique index: the
	// double does its work.
	if _, err := e.write.ExecContext(ctx, `
		UPDATE river_job SET unique_key = NULL
		WHERE state = 'running' AND unique_key IN (SELECT unique_key FROM river_job
			WHERE state IN ('available', 'pending', 'scheduled', 'retryable') AND unique_key IS NOT NULL)`); err != nil {
		return 0, err
	}
	res, err := e.write.ExecContext(ctx, `UPDATE river_job SET state = 'available', scheduled_at = ? WHERE state = 'running'`,
		time.Now().UTC().Format(sqliteTime))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// One process works jobs on SQLite, so there is nobody to tell that it lives.
func (e *sqliteEngine) beat(context.Context, string) error  { return nil }
func (e *sqliteEngine) leave(context.Context, string) error { return nil }
func (e *sqliteEngine) shared() bool                        { return false }

func (e *sqliteEngine) tune(cfg *river.Config) {
	cfg.FetchCooldown, cfg.FetchPollInterval = 10*time.Millisecond, pollSQLite
	// The working client inserts nothing but what wakes it, and has no handler for that.
	cfg.SkipUnknownJobCheck = true
}

func (e *sqliteEngine) start(ctx context.Context, cfg *river.Config, idle func(kind string) bool) (runner, error) {
	client, err := river.NewClient(riversqlite.New(e.write), cfg)
	if err != nil {
		return nil, err
	}
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("start working: %w", err)
	}
	kinds := make([]string, 0, len(cfg.Queues))
	for kind := range cfg.Queues {
		kinds = append(kinds, kind)
	}
	return wakingRunner{client, startWaker(ctx, waker{read: e.read, client: client, kinds: kinds, idle: idle, log: e.log})}, nil
}

func (e *sqliteEngine) list(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error) {
	return e.client.JobList(ctx, params)
}

func (e *sqliteEngine) retry(ctx context.Context, id int64) (*rivertype.JobRow, error) {
	return e.client.JobRetry(ctx, id)
}

func (e *sqliteEngine) counts(ctx context.Context) (*sql.Rows, error) {
	return e.read.QueryContext(ctx, `SELECT kind, state, count(*) FROM river_job WHERE kind <> ? GROUP BY kind, state ORDER BY kind, state`, wakeKind)
}
