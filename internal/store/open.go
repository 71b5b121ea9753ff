package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

// FileName is the SQLite file inside the data directory.
const FileName = "tallyman.db"

// openTimeout bounds how long opening waits for the database or another starter.
const openTimeout = 30 * time.Second

func (s *Store) openSQLite(ctx context.Context, o Options) error {
	s.d = sqlite
	if o.Dir == "" {
		return inventory.Errorf(inventory.ErrInvalid, "no data directory is given").WithRemedy("give one with --data")
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return inventory.Errorf(inventory.ErrForbidden, "make the data directory %s: %w", o.Dir, err).
			WithRemedy("give a directory this user may write to with --data")
	}
	// Journal mode and tables are changed by one starter at a time.
	release, err := lockFile(ctx, filepath.Join(o.Dir, FileName+".lock"))
	if err != nil {
		return err
	}
	defer release() //nolint:errcheck // nothing was written to it
	path := filepath.Join(o.Dir, FileName)
	if err := private(path); err != nil {
		return err
	}
	if s.write, err = sql.Open("sqlite", sqliteDSN(path, "_txlock=immediate")); err == nil {
		s.write.SetMaxOpenConns(1)
		s.read, err = sql.Open("sqlite", sqliteDSN(path, "_pragma=query_only(1)"))
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	s.read.SetMaxOpenConns(max(4, runtime.NumCPU()))
	s.read.SetMaxIdleConns(max(4, runtime.NumCPU()))
	if s.queue, err = queue.NewSQLite(s.write, s.read, s.log); err != nil {
		return err
	}
	return s.failed("open "+path, s.migrate(ctx, path))
}

// private makes the file, if there is none, so that only this user may read it; SQLite
// gives the files beside it the same mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return inventory.Errorf(inventory.ErrForbidden, "open %s: %w", path, err).
			WithRemedy("let this user write to the data directory and the files in it")
	}
	return f.Close()
}

// sqliteDSN says how every connection is opened. NORMAL in WAL mode keeps the file whole
// whatever happens; what a power cut may lose is found again by the next look.
func sqliteDSN(path, extra string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	u.RawQuery = "_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)" +
		"&_pragma=cache_size(-16384)&_pragma=temp_store(MEMORY)&_pragma=journal_size_limit(67108864)&" + extra
	return u.String()
}

// lockFile waits its turn; the kernel lets go when the process ends.
func lockFile(ctx context.Context, path string) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, inventory.Errorf(inventory.ErrForbidden, "open %s: %w", path, err).
			WithRemedy("let this user write to the data directory, or give another with --data")
	}
	deadline := time.Now().Add(openTimeout)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || ctx.Err() != nil || time.Now().After(deadline) {
			return nil, errors.Join(inventory.Errorf(inventory.ErrUnavailable, "wait for %s: %w", path, err).
				WithRemedy("another process is opening the database; try again when it is done"), f.Close())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// migrationLock is the advisory lock that starters of one PostgreSQL database take turns by.
const migrationLock = 0x7a11_7a11

func (s *Store) openPostgres(ctx context.Context, o Options) error {
	s.d = postgres
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		// pgx's words may repeat the password.
		return inventory.Errorf(inventory.ErrInvalid, "the database URL cannot be read").
			WithRemedy("give --database as postgres://user:password@host:port/name")
	}
	cfg.MaxConns = max(cfg.MaxConns, 16)
	cfg.ConnConfig.RuntimeParams["application_name"] = "tallyman"
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	if s.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return s.failed("open the database", err)
	}
	s.write = stdlib.OpenDBFromPool(s.pool)
	s.read = s.write
	if s.queue, err = queue.NewPostgres(s.pool, s.write, s.log); err != nil {
		return err
	}
	return s.failed("open the database "+where(cfg.ConnConfig), s.migrateLocked(ctx))
}

// where names a server without its credentials.
func where(cfg *pgx.ConnConfig) string {
	return fmt.Sprintf("%s on %s:%d", cfg.Database, cfg.Host, cfg.Port)
}

func (s *Store) migrateLocked(ctx context.Context) error {
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // gives the connection back
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	err = s.migrate(ctx, "the database")
	_, unlockErr := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(migrationLock))
	return errors.Join(err, unlockErr)
}
