package store

import (
	"context"
	"database/sql"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

// RetryImage lets an image that failed or was not supported wait again and queues its
// index, now; of an index every member that failed. It returns how many are tried again.
func (s *Store) RetryImage(ctx context.Context, d string) (n int, err error) {
	err = s.update(ctx, "try image "+d+" again", func(tx *tx) error {
		var again []string
		err := tx.each(ctx, `
			SELECT id, digest FROM image WHERE state IN (?, ?) AND (digest = ? OR digest IN (
				SELECT m.digest FROM index_member m JOIN image x ON x.id = m.index_id WHERE x.digest = ? AND m.kind IN ('', ?))) ORDER BY id`,
			[]any{inventory.StateFailed, inventory.StateUnsupported, digest(d), digest(d), inventory.ImageKind}, func(rows *sql.Rows) error {
				var id int64
				var one string
				err := rows.Scan(&id, (*digest)(&one))
				tx.touch(id)
				again = append(again, one)
				return err
			})
		if err != nil {
			return err
		}
		if n = len(again); n == 0 {
			return inventory.Errorf(inventory.ErrConflict, "nothing of image %.80s has failed", d)
		}
		jobs := make([]queue.Job, n)
		for i, one := range again {
			jobs[i] = queue.Job{Kind: JobIndex, Args: DigestArgs{one}, Unique: one, Priority: queue.Soon, At: s.now(), Sooner: true}
			err := tx.exec(ctx, `UPDATE image SET state = ?, problem = '', retry = 0 WHERE digest = ?`, inventory.StateWaiting, digest(one))
			if err != nil {
				return err
			}
		}
		for _, one := range again {
			if err := s.settleIndexesOf(ctx, tx, one); err != nil {
				return err
			}
		}
		if _, err = tx.enqueue(ctx, jobs...); err != nil {
			return err
		}
		return tx.note(ctx, s.nowMS(), "image tried again", d, nil, map[string]int{"images": n})
	})
	return n, err
}
