package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// AddHint keeps a hint until a look answers it (Look.HintsUpTo) and makes the next look
// happen now. The same hint that still waits is not kept twice.
func (s *Store) AddHint(ctx context.Context, integration int64, h inventory.Hint) error {
	return s.update(ctx, fmt.Sprintf("keep a hint for integration %d", integration), func(tx *tx) error {
		var watcher string
		err := tx.row(ctx, `SELECT watcher FROM integration WHERE id = ?`, integration).Scan(&watcher)
		if errors.Is(err, sql.ErrNoRows) {
			return inventory.Errorf(inventory.ErrNotFound, "there is no integration %d", integration)
		}
		if err != nil {
			return err
		}
		// A hint is never merged into an older row: a look that runs may have read that one already.
		if err := tx.exec(ctx, `INSERT INTO hint (integration_id, key, image, tag, at) VALUES (?,?,?,?,?)`,
			integration, h.Key, h.Image, h.Tag, s.nowMS()); err != nil {
			return err
		}
		if watcher != "" {
			return nil // it is told with the answer to its next call
		}
		_, err = tx.enqueue(ctx, LookJob(integration, s.now()))
		return err
	})
}

// Hints returns the hints that no look has answered, oldest first, at most 10,000.
func (s *Store) Hints(ctx context.Context, integration int64) ([]inventory.Hint, error) {
	hints := []inventory.Hint{}
	err := s.view(ctx, fmt.Sprintf("read the hints of integration %d", integration), func(r reader) error {
		return r.each(ctx, `SELECT id, key, image, tag FROM hint WHERE integration_id = ? ORDER BY id LIMIT 10000`, []any{integration},
			func(rows *sql.Rows) error {
				var h inventory.Hint
				err := rows.Scan(&h.ID, &h.Key, &h.Image, &h.Tag)
				hints = append(hints, h)
				return err
			})
	})
	return hints, err
}

// Cursor returns a value that a look saved, or "".
func (s *Store) Cursor(ctx context.Context, integration int64, name string) (value string, err error) {
	err = s.view(ctx, "read cursor "+name, func(r reader) error {
		return r.each(ctx, `SELECT value FROM watermark WHERE integration_id = ? AND name = ?`, []any{integration, name},
			func(rows *sql.Rows) error { return rows.Scan(&value) })
	})
	return value, err
}

// Cursors returns all that looks saved, by name.
func (s *Store) Cursors(ctx context.Context, integration int64) (all map[string]string, err error) {
	err = s.view(ctx, "read cursors", func(r reader) error {
		all = map[string]string{}
		return r.each(ctx, `SELECT name, value FROM watermark WHERE integration_id = ?`, []any{integration}, func(rows *sql.Rows) error {
			var name, value string
			err := rows.Scan(&name, &value)
			all[name] = value
			return err
		})
	})
	return all, err
}

// AddRequests adds to the counts of what was asked of a registry.
func (s *Store) AddRequests(ctx context.Context, integration int64, byClass map[string]int64, layerBytes, layersRead int64) error {
	rows := make([][]any, 0, len(byClass))
	for _, class := range slices.Sorted(maps.Keys(byClass)) {
		if byClass[class] != 0 {
			rows = append(rows, []any{integration, class, byClass[class]})
		}
	}
	if len(rows) == 0 && layerBytes == 0 && layersRead == 0 {
		return nil
	}
	return s.update(ctx, fmt.Sprintf("count requests of integration %d", integration), func(tx *tx) error {
		if err := tx.insert(ctx, `INSERT INTO request (integration_id, class, n)`,
			`ON CONFLICT (integration_id, class) DO UPDATE SET n = request.n + excluded.n`, rows); err != nil {
			return err
		}
		return tx.exec(ctx, `UPDATE integration SET layer_bytes = layer_bytes + ?, layers_read = layers_read + ? WHERE id = ?`,
			layerBytes, layersRead, integration)
	})
}
