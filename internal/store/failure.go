package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	sqlitedriver "modernc.org/sqlite"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Primary result codes of SQLite.
const (
	sqliteBusy     = 5
	sqliteLocked   = 6
	sqliteReadOnly = 8
	sqliteIOErr    = 10
	sqliteCorrupt  = 11
	sqliteFull     = 13
	sqliteCantOpen = 14
	sqliteNotADB   = 26
)

// pgDiskFull is PostgreSQL's code for a disk without room.
const pgDiskFull = "53100"

// failed translates what a database said into our kinds, once. Errors that are ours
// already only get the act in front.
func (s *Store) failed(act string, err error) error {
	if err == nil {
		return nil
	}
	var ours *inventory.Error
	if errors.As(err, &ours) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", act, err)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return inventory.Errorf(inventory.ErrNotFound, "%s: not found", act)
	}
	var lite *sqlitedriver.Error
	if errors.As(err, &lite) {
		return sqliteFailed(act, lite)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return postgresFailed(act, pg)
	}
	var netErr net.Error
	var connErr *pgconn.ConnectError
	if errors.As(err, &netErr) || errors.As(err, &connErr) || pgconn.SafeToRetry(err) || errors.Is(err, sql.ErrConnDone) {
		// The cause may hold the connection string: leave it out of the sentence.
		return &inventory.Error{
			Kind: inventory.ErrUnavailable, Msg: act + ": PostgreSQL cannot be reached", Err: err,
			Remedy: "check that the server runs, and the host, port, user and password of --database",
		}
	}
	return fmt.Errorf("%s: %w", act, err)
}

// IsFull says whether err is a database that has no room left to write.
func IsFull(err error) bool {
	var lite *sqlitedriver.Error
	var pg *pgconn.PgError
	return errors.As(err, &lite) && lite.Code()&0xff == sqliteFull || errors.As(err, &pg) && pg.Code == pgDiskFull
}

func sqliteFailed(act string, err *sqlitedriver.Error) error {
	switch err.Code() & 0xff {
	case sqliteFull:
		return inventory.Errorf(inventory.ErrUnavailable, "%s: the disk is full: %w", act, err).
			WithRemedy("make room on the disk of the data directory; nothing recorded so far is lost")
	case sqliteReadOnly, sqliteCantOpen:
		return inventory.Errorf(inventory.ErrForbidden, "%s: the database cannot be written: %w", act, err).
			WithRemedy("let this user write to the data directory and the files in it")
	case sqliteCorrupt, sqliteNotADB:
		return inventory.Errorf(inventory.ErrInvalid, "%s: the database file is damaged or none: %w", act, err).
			WithRemedy("bring it back from a backup, or give an empty data directory and let everything be indexed again")
	case sqliteBusy, sqliteLocked:
		return inventory.Errorf(inventory.ErrUnavailable, "%s: the database is held by another process: %w", act, err).
			WithRemedy("try again; stop a process that keeps it")
	case sqliteIOErr:
		return inventory.Errorf(inventory.ErrUnavailable, "%s: the disk cannot be read or written: %w", act, err).
			WithRemedy("check the disk of the data directory")
	}
	return fmt.Errorf("%s: %w", act, err)
}

func postgresFailed(act string, err *pgconn.PgError) error {
	switch {
	case err.Code == pgDiskFull:
		return inventory.Errorf(inventory.ErrUnavailable, "%s: the disk of PostgreSQL is full: %w", act, err).
			WithRemedy("make room on the server; nothing recorded so far is lost")
	case err.Code == "28P01" || err.Code == "28000":
		return inventory.Errorf(inventory.ErrUnauthorized, "%s: PostgreSQL refuses the user or password: %w", act, err).
			WithRemedy("correct them in --database")
	case err.Code == "3D000":
		return inventory.Errorf(inventory.ErrNotFound, "%s: the PostgreSQL database does not exist: %w", act, err).
			WithRemedy("create it, or correct its name in --database")
	case err.Code == "42501" || err.Code == "25006":
		return inventory.Errorf(inventory.ErrForbidden, "%s: PostgreSQL refuses to write: %w", act, err).
			WithRemedy("give the user of --database the right to create and write tables; connect to the primary")
	case len(err.Code) == 5 && (err.Code[:2] == "08" || err.Code[:2] == "53" || err.Code[:3] == "57P" || err.Code[:2] == "40"):
		return inventory.Errorf(inventory.ErrUnavailable, "%s: PostgreSQL is not available: %w", act, err).
			WithRemedy("check the server; it is tried again")
	}
	return fmt.Errorf("%s: %w", act, err)
}

func isDeadlock(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001")
}
