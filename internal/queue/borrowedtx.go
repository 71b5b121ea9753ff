package queue

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// borrowedTx is a pgx.Tx over a connection that is inside a transaction already: the
// store's. Its own Commit and Rollback end only savepoints; the transaction itself is
// ended by whoever began it.
type borrowedTx struct {
	conn  *pgx.Conn
	depth int // 0 = the borrowed transaction, else a savepoint
}

func (t borrowedTx) savepoint() string { return fmt.Sprintf("queue_%d", t.depth) }

func (t borrowedTx) Begin(ctx context.Context) (pgx.Tx, error) {
	inner := borrowedTx{conn: t.conn, depth: t.depth + 1}
	_, err := t.conn.Exec(ctx, "SAVEPOINT "+inner.savepoint())
	return inner, err
}

func (t borrowedTx) Commit(ctx context.Context) error {
	if t.depth == 0 {
		return nil
	}
	_, err := t.conn.Exec(ctx, "RELEASE SAVEPOINT "+t.savepoint())
	return err
}

func (t borrowedTx) Rollback(ctx context.Context) error {
	if t.depth == 0 {
		return nil
	}
	_, err := t.conn.Exec(ctx, "ROLLBACK TO SAVEPOINT "+t.savepoint())
	return err
}

func (t borrowedTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return t.conn.CopyFrom(ctx, table, columns, rows)
}

func (t borrowedTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return t.conn.SendBatch(ctx, b)
}

// LargeObjects is never asked for: River stores none.
func (t borrowedTx) LargeObjects() pgx.LargeObjects { return pgx.LargeObjects{} }

func (t borrowedTx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	return t.conn.Prepare(ctx, name, sql)
}

func (t borrowedTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return t.conn.Exec(ctx, sql, args...)
}

func (t borrowedTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return t.conn.Query(ctx, sql, args...)
}

func (t borrowedTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return t.conn.QueryRow(ctx, sql, args...)
}

func (t borrowedTx) Conn() *pgx.Conn { return t.conn }
