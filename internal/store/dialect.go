package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/internal/queue"
)

type dialect int

const (
	sqlite dialect = iota
	postgres
)

// rebind writes the ? of our SQL the way the database wants its parameters. ($N on
// SQLite would be quadratic in their number.)
func (d dialect) rebind(query string) string {
	if d == sqlite {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 32)
	n := 0
	for i := range len(query) {
		if query[i] != '?' {
			b.WriteByte(query[i])
			continue
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// runner is what *sql.DB and *sql.Tx have in common.
type runner interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// reader asks questions, in a snapshot or in a transaction that writes.
type reader struct {
	run runner
	d   dialect
	// fresh are chains that this transaction wrote: nothing may remember them before it
	// has committed, for their numbers are given again if it does not.
	fresh map[int64]bool
}

func (r reader) row(ctx context.Context, query string, args ...any) *sql.Row {
	return r.run.QueryRowContext(ctx, r.d.rebind(query), args...)
}

// each calls scan for every row of the answer.
func (r reader) each(ctx context.Context, query string, args []any, scan func(rows *sql.Rows) error) (err error) {
	rows, err := r.run.QueryContext(ctx, r.d.rebind(query), args...)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := rows.Close(); err == nil {
			err = closeErr
		}
	}()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// eachIn is each over a list: query has ({in}) for a piece of it, after the other parameters.
func eachIn[T any](ctx context.Context, r reader, query string, before []any, list []T, scan func(rows *sql.Rows) error) error {
	return inPieces(r.d, query, before, list, func(query string, args []any) error { return r.each(ctx, query, args, scan) })
}

// eachNear is eachIn over sorted ids: query has {near} after the column. Where they lie
// close together the whole stretch is read, which is far cheaper than to look up each:
// scan asks wanted which of the ids it was given.
func eachNear(ctx context.Context, r reader, query string, before []any, ids []int64, scan func(rows *sql.Rows, wanted func(int64) bool) error) error {
	const few, gap = 256, 4
	if n := len(ids); n >= few && ids[n-1]-ids[0] < int64(gap*n) {
		wanted := func(id int64) bool { _, is := slices.BinarySearch(ids, id); return is }
		return r.each(ctx, strings.Replace(query, "{near}", "BETWEEN ? AND ?", 1), append(slices.Clone(before), ids[0], ids[n-1]),
			func(rows *sql.Rows) error { return scan(rows, wanted) })
	}
	all := func(int64) bool { return true }
	return eachIn(ctx, r, strings.Replace(query, "{near}", "IN ({in})", 1), before, ids, func(rows *sql.Rows) error { return scan(rows, all) })
}

// execIn is exec over a list, as eachIn is each.
func execIn[T any](ctx context.Context, t *tx, query string, before []any, list []T) error {
	return inPieces(t.d, query, before, list, func(query string, args []any) error { return t.exec(ctx, query, args...) })
}

// inPieces writes a list into a question. SQLite reads numbers and texts from one JSON
// text: hundreds of parameters cost it more than their answer does.
func inPieces[T any](d dialect, query string, before []any, list []T, ask func(query string, args []any) error) error {
	asJSON := false
	switch list := any(list).(type) {
	case []int64:
		asJSON = d == sqlite
	case []string:
		asJSON = d == sqlite && !slices.ContainsFunc(list, func(s string) bool { return !utf8.ValidString(s) })
	}
	for piece := range pieces(list, inSize) {
		args := make([]any, 0, len(before)+len(piece))
		args = append(args, before...)
		in := "SELECT value FROM json_each(?)"
		if asJSON && len(piece) > 1 {
			text, err := json.Marshal(piece)
			if err != nil {
				return err
			}
			args = append(args, string(text))
		} else {
			in = marks(len(piece))
			for _, v := range piece {
				args = append(args, v)
			}
		}
		if err := ask(strings.Replace(query, "{in}", in, 1), args); err != nil {
			return err
		}
	}
	return nil
}

// tx is a transaction that writes.
type tx struct {
	reader
	sql   *sql.Tx
	conn  *sql.Conn // PostgreSQL only
	queue *queue.Queue
	// touched are the images that go into the log of the fleet.
	touched map[int64]bool
}

func (t *tx) exec(ctx context.Context, query string, args ...any) error {
	_, err := t.sql.ExecContext(ctx, t.d.rebind(query), args...)
	return err
}

// changed is exec that tells how many rows it touched.
func (t *tx) changed(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.sql.ExecContext(ctx, t.d.rebind(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// insert writes rows in few statements: head is "INSERT INTO t (a, b)", tail what
// follows the values.
func (t *tx) insert(ctx context.Context, head, tail string, rows [][]any) error {
	return inRows(head, tail, rows, func(query string, args []any) error { return t.exec(ctx, query, args...) })
}

// inserted is insert whose tail is RETURNING something: scan is called for every row of it.
func (t *tx) inserted(ctx context.Context, head, tail string, rows [][]any, scan func(rows *sql.Rows) error) error {
	return inRows(head, tail, rows, func(query string, args []any) error { return t.each(ctx, query, args, scan) })
}

// inRows writes rows into statements of at most 1000 values.
func inRows(head, tail string, rows [][]any, write func(query string, args []any) error) error {
	if len(rows) == 0 {
		return nil
	}
	one := "(" + marks(len(rows[0])) + ")"
	for piece := range pieces(rows, max(1, 1000/len(rows[0]))) {
		args := make([]any, 0, len(piece)*len(rows[0]))
		for _, row := range piece {
			args = append(args, row...)
		}
		if err := write(head+" VALUES "+one+strings.Repeat(","+one, len(piece)-1)+" "+tail, args); err != nil {
			return err
		}
	}
	return nil
}

// lock keeps other writers of the same thing waiting until the transaction ends.
// SQLite has one writer anyway.
func (t *tx) lock(ctx context.Context, area lockArea, id int64) error {
	if t.d == sqlite {
		return nil
	}
	return t.exec(ctx, `SELECT pg_advisory_xact_lock(?, ?)`, int32(area), int32(id&0x7fffffff)) //nolint:gosec // the mask keeps it in range
}

// lockShared is lock that lets others share, but not lock.
func (t *tx) lockShared(ctx context.Context, area lockArea) error {
	if t.d == sqlite {
		return nil
	}
	return t.exec(ctx, `SELECT pg_advisory_xact_lock_shared(?, 0)`, int32(area))
}

type lockArea int32

const (
	lockIntegration lockArea = 0x7a11_0001 + iota
	lockAdvisories
	lockCounts
	lockAuth
	lockNotices
	// lockSettle is held while an index takes the state of its members: a member that is
	// finished at the same time must either be seen or see the index. It is taken before
	// the row of an index is.
	lockSettle
	lockTrend
	// lockChains is shared by all that write chains, and held alone by who must know that
	// none is on its way.
	lockChains
)

func (t *tx) enqueue(ctx context.Context, jobs ...queue.Job) (int, error) {
	return t.queue.InsertTx(ctx, queue.Tx{SQL: t.sql, Conn: t.conn}, jobs...)
}

// update runs fn in a transaction that writes, again when PostgreSQL chose it as the
// victim of a deadlock.
func (s *Store) update(ctx context.Context, act string, fn func(tx *tx) error) error {
	var err error
	for try := range 5 {
		if err = s.updateOnce(ctx, fn); err == nil || !isDeadlock(err) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try+1) * 20 * time.Millisecond):
		}
	}
	return s.failed(act, err)
}

func (s *Store) updateOnce(ctx context.Context, fn func(tx *tx) error) (err error) {
	t := &tx{queue: s.queue, touched: map[int64]bool{}}
	if s.d == postgres {
		conn, err := s.write.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // gives the connection back to the pool, cannot lose anything
		t.conn = conn
		t.sql, err = conn.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
	} else if t.sql, err = s.write.BeginTx(ctx, nil); err != nil {
		return err
	}
	t.reader = reader{t.sql, s.d, map[int64]bool{}}
	defer t.sql.Rollback() // after Commit it does nothing; before, the first error counts
	if err := fn(t); err != nil {
		return err
	}
	if err := t.logTouched(ctx); err != nil {
		return err
	}
	return t.sql.Commit()
}

// paced is update for one of many pieces: it leaves the writer to others for a moment
// afterwards. SQLite's lock is not fair, and who writes without a pause starves the rest.
func (s *Store) paced(ctx context.Context, act string, fn func(tx *tx) error) error {
	start := time.Now()
	err := s.update(ctx, act, fn)
	if err == nil && s.d == sqlite {
		time.Sleep(max(time.Since(start)/10, 500*time.Microsecond))
	}
	return err
}

// view runs fn on one snapshot.
func (s *Store) view(ctx context.Context, act string, fn func(r reader) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if s.d == postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	snapshot, err := s.read.BeginTx(ctx, opts)
	if err != nil {
		return s.failed(act, err)
	}
	defer snapshot.Rollback() // nothing was written
	return s.failed(act, fn(reader{snapshot, s.d, nil}))
}

// inSize is how many values one question lists.
const inSize = 500

// pieces cuts a list.
func pieces[T any](list []T, size int) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(list) > 0 {
			n := min(size, len(list))
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}

// marks is "?,?,?".
func marks(n int) string {
	if n == 0 {
		return "NULL"
	}
	return "?" + strings.Repeat(",?", n-1)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func millisOf(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return millis(*t)
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func timeOf(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := time.UnixMilli(ms).UTC()
	return &t
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// list writes strings as a JSON array, never null.
func list(values []string) string {
	if len(values) == 0 {
		return "[]"
	}
	text, err := json.Marshal(values)
	if err != nil {
		return "[]" // strings always encode
	}
	return string(text)
}

func fromList(text string) []string {
	values := []string{}
	if text == "" || text == "[]" {
		return values
	}
	if err := json.Unmarshal([]byte(text), &values); err != nil || values == nil {
		return []string{}
	}
	return values
}
