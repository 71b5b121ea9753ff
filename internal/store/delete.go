package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// deleteStep is how many tags go in one transaction.
const deleteStep = 100

// DeleteIntegration removes an integration and what only it brought: tags, and the
// images, layers, packages and verdicts that no other integration holds. It is done in
// pieces; an interrupted one is taken up by calling it again.
func (s *Store) DeleteIntegration(ctx context.Context, name string) error {
	if err := s.Disconnect(ctx, name); err != nil { // no look may bring back what goes
		return err
	}
	in, err := s.Integration(ctx, name)
	if err != nil {
		return err
	}
	for more := true; more; {
		err := s.update(ctx, "delete tags of "+name, func(tx *tx) error {
			var err error
			more, err = s.deleteTags(ctx, tx, in.ID)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.update(ctx, "delete integration "+name, func(tx *tx) error {
		for _, table := range []string{"repository", "repository_key", "request", "watermark", "hint", "baseline", "errand"} {
			if err := tx.exec(ctx, `DELETE FROM `+table+` WHERE integration_id = ?`, in.ID); err != nil {
				return err
			}
		}
		if err := tx.exec(ctx, `DELETE FROM integration WHERE id = ?`, in.ID); err != nil {
			return err
		}
		in.Keys = nil
		return tx.note(ctx, s.nowMS(), "integration deleted", name, in, nil)
	})
}

func (s *Store) deleteTags(ctx context.Context, tx *tx, integration int64) (more bool, err error) {
	var tags []int64
	images := map[int64]bool{}
	err = tx.each(ctx, `
		SELECT t.id, t.image_id FROM tag t JOIN repository r ON r.id = t.repository_id WHERE r.integration_id = ? ORDER BY t.id LIMIT ?`,
		[]any{integration, deleteStep}, func(rows *sql.Rows) error {
			var tag, image int64
			err := rows.Scan(&tag, &image)
			tags, images[image] = append(tags, tag), true
			return err
		})
	if err != nil || len(tags) == 0 {
		return false, err
	}
	err = eachIn(ctx, tx.reader, `SELECT DISTINCT image_id FROM tag_move WHERE tag_id IN ({in})`, nil, tags, func(rows *sql.Rows) error {
		var image int64
		err := rows.Scan(&image)
		images[image] = true
		return err
	})
	if err != nil {
		return false, err
	}
	err = errors.Join(
		execIn(ctx, tx, `DELETE FROM tag_move WHERE tag_id IN ({in})`, nil, tags),
		execIn(ctx, tx, `DELETE FROM tag WHERE id IN ({in})`, nil, tags))
	tx.touch(sortedKeys(images)...)
	if err != nil {
		return false, err
	}
	return true, s.deleteOrphans(ctx, tx, sortedKeys(images))
}

// deleteOrphans deletes those of the images that nothing holds any more, and what
// stood on them alone.
func (s *Store) deleteOrphans(ctx context.Context, tx *tx, images []int64) error {
	for len(images) > 0 {
		orphans, chains, err := orphanImages(ctx, tx, images)
		if err != nil || len(orphans) == 0 {
			return err
		}
		members, err := membersOf(ctx, tx, orphans)
		if err != nil {
			return err
		}
		err = errors.Join(
			execIn(ctx, tx, `DELETE FROM index_member WHERE index_id IN ({in})`, nil, orphans),
			execIn(ctx, tx, `DELETE FROM image WHERE id IN ({in})`, nil, orphans))
		tx.touch(orphans...)
		if err != nil {
			return err
		}
		if err := deleteChains(ctx, tx, chains); err != nil {
			return err
		}
		images = members
	}
	return nil
}

func orphanImages(ctx context.Context, tx *tx, images []int64) (orphans, chains []int64, err error) {
	err = eachIn(ctx, tx.reader, `
		SELECT i.id, i.chain_id FROM image i WHERE i.id IN ({in})
			AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.image_id = i.id)
			AND NOT EXISTS (SELECT 1 FROM tag_move m WHERE m.image_id = i.id)
			AND NOT EXISTS (SELECT 1 FROM index_member m WHERE m.digest = i.digest) ORDER BY i.id`, nil, images, func(rows *sql.Rows) error {
		var id, chain int64
		err := rows.Scan(&id, &chain)
		orphans = append(orphans, id)
		if chain != 0 {
			chains = append(chains, chain)
		}
		return err
	})
	return orphans, chains, err
}

func membersOf(ctx context.Context, tx *tx, indexes []int64) (members []int64, err error) {
	err = eachIn(ctx, tx.reader, `SELECT DISTINCT i.id FROM index_member m JOIN image i ON i.digest = m.digest WHERE m.index_id IN ({in})`, nil, indexes,
		func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			members = append(members, id)
			return err
		})
	slices.Sort(members)
	return members, err
}

// deleteChains deletes stacks of layers that no image is and no other stands on, from
// the top down.
func deleteChains(ctx context.Context, tx *tx, chains []int64) error {
	for len(chains) > 0 {
		chains = slices.Compact(slices.Sorted(slices.Values(chains)))
		var free, parents []int64
		var diffs []digest
		err := eachIn(ctx, tx.reader, `
			SELECT c.id, c.parent_id, c.diff_id FROM chain c WHERE c.id IN ({in})
				AND NOT EXISTS (SELECT 1 FROM image i WHERE i.chain_id = c.id)
				AND NOT EXISTS (SELECT 1 FROM chain k WHERE k.parent_id = c.id) ORDER BY c.id`, nil, chains, func(rows *sql.Rows) error {
			var id, parent int64
			var diff digest
			err := rows.Scan(&id, &parent, &diff)
			free, diffs = append(free, id), append(diffs, diff)
			if parent != 0 {
				parents = append(parents, parent)
			}
			return err
		})
		if err != nil || len(free) == 0 {
			return err
		}
		if err := deleteChainRows(ctx, tx, free, diffs); err != nil {
			return err
		}
		chains = parents
	}
	return nil
}

func deleteChainRows(ctx context.Context, tx *tx, chains []int64, diffs []digest) error {
	packages := map[int64]bool{}
	err := eachIn(ctx, tx.reader, `SELECT DISTINCT package_id FROM chain_package WHERE chain_id IN ({in})`, nil, chains, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		packages[id] = true
		return err
	})
	if err != nil {
		return err
	}
	err = errors.Join(
		execIn(ctx, tx, `DELETE FROM chain_package WHERE chain_id IN ({in})`, nil, chains),
		execIn(ctx, tx, `DELETE FROM chain_file WHERE chain_id IN ({in})`, nil, chains),
		execIn(ctx, tx, `DELETE FROM stale_chain WHERE chain_id IN ({in})`, nil, chains),
		execIn(ctx, tx, `DELETE FROM chain WHERE id IN ({in})`, nil, chains),
		execIn(ctx, tx, `DELETE FROM layer WHERE diff_id IN ({in}) AND NOT EXISTS (SELECT 1 FROM chain c WHERE c.diff_id = layer.diff_id)`, nil, diffs),
		execIn(ctx, tx, `DELETE FROM layer_blob WHERE diff_id IN ({in}) AND NOT EXISTS (SELECT 1 FROM chain c WHERE c.diff_id = layer_blob.diff_id)`, nil, diffs))
	if err != nil {
		return err
	}
	return deletePackages(ctx, tx, sortedKeys(packages))
}

func deletePackages(ctx context.Context, tx *tx, packages []int64) error {
	var orphans []int64
	err := eachIn(ctx, tx.reader, `SELECT p.id FROM package p WHERE p.id IN ({in}) AND NOT EXISTS (SELECT 1 FROM chain_package c WHERE c.package_id = p.id)`,
		nil, packages, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			orphans = append(orphans, id)
			return err
		})
	if err != nil {
		return err
	}
	for _, table := range []string{"verdict", "package_key", "package_chains"} {
		if err := execIn(ctx, tx, `DELETE FROM `+table+` WHERE package_id IN ({in})`, nil, orphans); err != nil {
			return err
		}
	}
	return execIn(ctx, tx, `DELETE FROM package WHERE id IN ({in})`, nil, orphans)
}

// Size counts what the ledger holds, by table: for the status of the store itself, and
// for tests that nothing stays behind.
func (s *Store) Size(ctx context.Context) (map[string]int64, error) {
	size := map[string]int64{}
	err := s.view(ctx, "measure the store", func(r reader) error {
		for _, table := range []string{
			"integration", "repository", "tag", "tag_move", "image", "index_member", "layer", "layer_blob", "chain", "chain_package",
			"package", "package_key", "verdict", "advisory", "advisory_key", "event", "hint",
		} {
			var n int64
			if err := r.row(ctx, `SELECT count(*) FROM `+table).Scan(&n); err != nil {
				return fmt.Errorf("table %s: %w", table, err)
			}
			size[table] = n
		}
		return nil
	})
	return size, err
}
