package store

import (
	"context"
	"database/sql"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

// BindToken says which integrations a token may write to, in place of what was said
// before. Without any it may write to those of the watcher that has its name.
func (s *Store) BindToken(ctx context.Context, token string, integrations []string) error {
	names := slices.Compact(slices.Sorted(slices.Values(integrations)))
	rows := make([][]any, len(names))
	for i, name := range names {
		rows[i] = []any{token, name}
	}
	return s.update(ctx, "bind token "+token, func(tx *tx) error {
		if err := tx.exec(ctx, `DELETE FROM token_integration WHERE token = ?`, token); err != nil {
			return err
		}
		if err := tx.insert(ctx, `INSERT INTO token_integration (token, integration)`, "", rows); err != nil || len(names) == 0 {
			return err
		}
		return tx.note(ctx, s.nowMS(), "token bound", token, nil, map[string][]string{"integrations": names})
	})
}

// TokenBindings are the integrations that tokens are bound to, by token.
func (s *Store) TokenBindings(ctx context.Context) (bound map[string][]string, err error) {
	err = s.view(ctx, "read what tokens are bound to", func(r reader) error {
		bound = map[string][]string{}
		return r.each(ctx, `SELECT token, integration FROM token_integration ORDER BY token, integration`, nil, func(rows *sql.Rows) error {
			var token, name string
			err := rows.Scan(&token, &name)
			bound[token] = append(bound[token], name)
			return err
		})
	})
	return bound, err
}

// Requeue has everything indexed again that only a token vouched for: layers, stacks of
// layers and what stands on them, images. What was known stays to be seen until it is.
// It answers how many images that are.
func (s *Store) Requeue(ctx context.Context, token string) (n int, err error) {
	if token == "" {
		return 0, inventory.Errorf(inventory.ErrInvalid, "no token is named")
	}
	err = s.update(ctx, "queue again what token "+token+" vouched for", func(tx *tx) error {
		rq := &requeue{tx: tx, token: token}
		for _, step := range []func(context.Context) error{rq.layers, rq.chains, rq.images, rq.queue} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		n = len(rq.found)
		return tx.note(ctx, s.nowMS(), "queued again what a token vouched for", token, nil, inventory.Requeued{Images: n})
	})
	return n, err
}

type requeue struct {
	tx    *tx
	token string
	found map[int64]digest // images
}

func (q *requeue) layers(ctx context.Context) error {
	for _, table := range []string{"layer", "layer_blob"} {
		if err := q.tx.exec(ctx, `DELETE FROM `+table+` WHERE voucher = ?`, q.token); err != nil {
			return err
		}
	}
	return nil
}

// chains puts stacks aside: they stay for the images on them, and no new image finds
// them any more. Images on them are found on the way.
func (q *requeue) chains(ctx context.Context) error {
	var ids []int64
	err := q.tx.each(ctx, `
		WITH RECURSIVE up(id) AS (
			SELECT id FROM chain WHERE voucher = ?
			UNION SELECT c.id FROM up JOIN chain c ON c.parent_id = up.id)
		SELECT id FROM up`, []any{q.token}, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return err
	}
	q.found = map[int64]digest{}
	if err := eachIn(ctx, q.tx.reader, `SELECT id, digest FROM image WHERE chain_id IN ({in})`, nil, ids, q.scan); err != nil {
		return err
	}
	return execIn(ctx, q.tx, `UPDATE chain SET indexer = -id, voucher = '' WHERE id IN ({in})`, nil, ids)
}

func (q *requeue) scan(rows *sql.Rows) error {
	var id int64
	var d digest
	err := rows.Scan(&id, &d)
	q.found[id] = d
	return err
}

// images forgets which indexer read them, and that they failed.
func (q *requeue) images(ctx context.Context) error {
	if err := q.tx.each(ctx, `SELECT id, digest FROM image WHERE voucher = ?`, []any{q.token}, q.scan); err != nil {
		return err
	}
	ids := sortedKeys(q.found)
	q.tx.touch(ids...)
	if err := execIn(ctx, q.tx, `UPDATE image SET indexer = 0, voucher = '' WHERE id IN ({in})`, nil, ids); err != nil {
		return err
	}
	return execIn(ctx, q.tx, `UPDATE image SET state = ?, problem = '' WHERE state IN ('failed', 'unsupported') AND id IN ({in})`,
		[]any{inventory.StateWaiting}, ids)
}

// queue asks whoever can reach an image to index it.
func (q *requeue) queue(ctx context.Context) error {
	list := make([]digest, 0, len(q.found))
	for _, id := range sortedKeys(q.found) {
		list = append(list, q.found[id])
	}
	var jobs []queue.Job
	var errands [][]any
	err := eachIn(ctx, q.tx.reader, `
		SELECT n.watcher, n.id, x.digest, max(t.pushed)
		FROM (SELECT id AS holds, digest FROM image UNION SELECT index_id, digest FROM index_member) x
		JOIN tag t ON t.image_id = x.holds JOIN repository r ON r.id = t.repository_id JOIN integration n ON n.id = r.integration_id
		WHERE t.gone = 0 AND x.digest IN ({in}) GROUP BY n.watcher, n.id, x.digest`, nil, list, func(rows *sql.Rows) error {
		var watcher string
		var integration, pushed int64
		var d digest
		if err := rows.Scan(&watcher, &integration, &d, &pushed); err != nil {
			return err
		}
		if watcher == "" {
			jobs = append(jobs, indexJob(string(d), queue.Later))
		} else {
			errands = append(errands, []any{integration, d, pushed})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := q.tx.enqueue(ctx, jobs...); err != nil {
		return err
	}
	return q.tx.insert(ctx, `INSERT INTO errand (integration_id, digest, pushed)`, `ON CONFLICT (integration_id, digest) DO UPDATE SET due = 0, attempt = 0`, errands)
}
