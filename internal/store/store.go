// Package store is the ledger: all SQL, on SQLite or PostgreSQL, one file a noun.
// Sightings, layers, images, advisories and verdicts go in; tags, findings, events and
// the work still to do come out. Jobs are queued in the same transaction as the
// knowledge that calls for them.
//
// Everything is idempotent: recording what is known already changes nothing. It must
// never reach the network (but for PostgreSQL itself), open an image, or decide what
// matches; and no secret leaves it but through Secrets.
//
// The shape is a tree of chains: a chain is a stack of layers, its row holds what its
// one layer added and removed against its parent, an image is a chain with a
// configuration. Packages and verdicts exist once for the whole world.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
	"github.com/tallyman-dev/tallyman/internal/seal"
)

// Options say where the ledger is.
type Options struct {
	Dir    string   // data directory: holds the SQLite file
	URL    string   // postgres://…; empty = SQLite in Dir
	Key    seal.Key // seals credentials; without one integrations with secrets cannot be saved or used
	Now    func() time.Time
	Logger *slog.Logger
	// KeysOf tells under which keys advisories for a package are found (match.Keys). A
	// package without keys is never unmatched: no advisory can name it.
	KeysOf func(inventory.Package) []inventory.AffectedKey
	// Covers tells, of the ecosystems that advisories name, which of packages they can
	// judge (match.Coverage); nil = all.
	Covers func(advisories []string) func(ecosystem string) bool
}

// Store is the ledger. It may be used by many goroutines, and one database by many
// processes.
type Store struct {
	write   *sql.DB // SQLite: one connection, the only writer of this process
	read    *sql.DB
	pool    *pgxpool.Pool // PostgreSQL only
	d       dialect
	key     seal.Key
	now     func() time.Time
	log     *slog.Logger
	keysOf  func(inventory.Package) []inventory.AffectedKey
	covers  func([]string) func(string) bool
	queue   *queue.Queue
	deltas  *deltaCache
	counted censusKeeper
	fleet   fleet
	totals  totals
	tended  atomic.Bool   // a worker of this process counts findings and tidies behind
	hashing chan struct{} // holds as many as passwords are hashed at a time
}

// Kinds of job that the store queues.
const (
	JobLook  = "look"  // LookArgs
	JobIndex = "index" // DigestArgs
	JobMatch = "match" // DigestArgs
)

// LookArgs are the arguments of a look job.
type LookArgs struct {
	Integration int64 `json:"integration"`
}

// DigestArgs are the arguments of an index or match job.
type DigestArgs struct {
	Digest string `json:"digest"`
}

// LookJob is the job that looks at an integration at the given time, or sooner if it
// is planned for later.
func LookJob(integration int64, at time.Time) queue.Job {
	return queue.Job{
		Kind: JobLook, Args: LookArgs{integration}, Unique: fmt.Sprint(integration),
		Priority: queue.Urgent, At: at, Sooner: true,
	}
}

// Open opens the ledger, making or updating its tables. Its errors name the file or
// server and what to do; a database of a newer Tallyman is refused untouched.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{key: o.Key, now: o.Now, log: o.Logger, keysOf: o.KeysOf, covers: o.Covers, deltas: newDeltaCache(), hashing: make(chan struct{}, 2)}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	open := s.openSQLite
	if o.URL != "" {
		open = s.openPostgres
	}
	if err := open(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close lets go of the database.
func (s *Store) Close() error {
	var errs []error
	if s.read != nil && s.read != s.write {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	if s.pool != nil {
		s.pool.Close()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}

// Queue is the job queue on the same database.
func (s *Store) Queue() *queue.Queue { return s.queue }

// Enqueue queues jobs in a transaction of their own.
func (s *Store) Enqueue(ctx context.Context, jobs ...queue.Job) error {
	return s.update(ctx, "queue jobs", func(tx *tx) error {
		_, err := tx.enqueue(ctx, jobs...)
		return err
	})
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.failed("reach the database", s.read.PingContext(ctx))
}

// Writable says whether the database can be written, by writing what is there already.
func (s *Store) Writable(ctx context.Context) error {
	return s.update(ctx, "write to the database", func(tx *tx) error {
		return tx.exec(ctx, `UPDATE counter SET value = value WHERE name = 'advisories'`)
	})
}

func (s *Store) nowMS() int64 { return s.now().UnixMilli() }
