package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// leaseTime is how long a holder may take to read a layer before another may begin.
const leaseTime = 45 * time.Second

// MissingLayers returns those of diffIDs that nobody has read with this indexer and
// nobody else is reading, in the order given, and leases them to holder for 45 seconds.
// Asking again prolongs the lease.
func (s *Store) MissingLayers(ctx context.Context, diffIDs []string, indexer int, holder string) (missing []string, err error) {
	err = s.update(ctx, "lease layers", func(tx *tx) error {
		missing = []string{}
		known, leased, err := s.layerState(ctx, tx.reader, diffIDs, indexer, holder)
		if err != nil {
			return err
		}
		asked := map[string]bool{}
		for _, id := range diffIDs {
			if known[digest(id)] || leased[digest(id)] || asked[id] {
				continue
			}
			asked[id] = true
			n, err := tx.changed(ctx, `
				INSERT INTO lease (diff_id, indexer, holder, until) VALUES (?,?,?,?)
				ON CONFLICT (diff_id, indexer) DO UPDATE SET holder = excluded.holder, until = excluded.until
				WHERE lease.holder = excluded.holder OR lease.until <= ?`,
				digest(id), indexer, holder, s.nowMS()+leaseTime.Milliseconds(), s.nowMS())
			if err != nil {
				return err
			}
			if n > 0 { // else another process was quicker
				missing = append(missing, id)
			}
		}
		return nil
	})
	return missing, err
}

// FarHolder begins the names of holders that work elsewhere, as far watchers do.
const FarHolder = "far:"

// DropLeases ends every lease but those of far watchers. It is for the only worker of a
// data directory when it starts: whoever held one is gone.
func (s *Store) DropLeases(ctx context.Context) error {
	return s.update(ctx, "drop leases", func(tx *tx) error { return tx.exec(ctx, `DELETE FROM lease WHERE holder NOT LIKE ?`, FarHolder+"%") })
}

// Leased returns those of diffIDs that another holder is reading now.
func (s *Store) Leased(ctx context.Context, diffIDs []string, indexer int, holder string) (leased []string, err error) {
	err = s.view(ctx, "read leases", func(r reader) error {
		leased = []string{}
		known, held, err := s.layerState(ctx, r, diffIDs, indexer, holder)
		if err != nil {
			return err
		}
		for _, id := range diffIDs {
			if held[digest(id)] && !known[digest(id)] {
				leased = append(leased, id)
			}
		}
		return nil
	})
	return leased, err
}

// ReleaseLayers gives up leases that holder has no more use for.
func (s *Store) ReleaseLayers(ctx context.Context, diffIDs []string, indexer int, holder string) error {
	if len(diffIDs) == 0 {
		return nil
	}
	return s.update(ctx, "release layers", func(tx *tx) error {
		return execIn(ctx, tx, `DELETE FROM lease WHERE indexer = ? AND holder = ? AND diff_id IN ({in})`, []any{indexer, holder}, digests(diffIDs))
	})
}

func (s *Store) layerState(ctx context.Context, r reader, diffIDs []string, indexer int, holder string) (known, leased map[digest]bool, err error) {
	known, leased = map[digest]bool{}, map[digest]bool{}
	into := func(set map[digest]bool) func(rows *sql.Rows) error {
		return func(rows *sql.Rows) error {
			var d digest
			err := rows.Scan(&d)
			set[d] = true
			return err
		}
	}
	err = eachIn(ctx, r, `SELECT diff_id FROM layer WHERE indexer = ? AND diff_id IN ({in})`, []any{indexer}, digests(diffIDs), into(known))
	if err != nil {
		return nil, nil, err
	}
	err = eachIn(ctx, r, `SELECT diff_id FROM lease WHERE indexer = ? AND holder <> ? AND until > ? AND diff_id IN ({in})`,
		[]any{indexer, holder, s.nowMS()}, digests(diffIDs), into(leased))
	return known, leased, err
}

// LayerBodies returns what passes over layers with this indexer found; a diff ID that
// is not in the answer is not known.
func (s *Store) LayerBodies(ctx context.Context, diffIDs []string, indexer int) (map[string][]byte, error) {
	bodies := make(map[string][]byte, len(diffIDs))
	err := s.view(ctx, "read layers", func(r reader) error {
		return eachIn(ctx, r, `SELECT diff_id, body FROM layer WHERE indexer = ? AND diff_id IN ({in})`, []any{indexer}, digests(diffIDs),
			func(rows *sql.Rows) error {
				var d digest
				var packed []byte
				if err := rows.Scan(&d, &packed); err != nil {
					return err
				}
				body, err := unpack(packed)
				bodies[string(d)] = body
				return err
			})
	})
	return bodies, err
}

// SaveLayer records what one pass over a layer found, that its blob holds it, and ends
// the lease. A layer that is known already stays as it is. With a Holder it is
// ErrConflict unless that one leased the layer, or it is known.
func (s *Store) SaveLayer(ctx context.Context, rec inventory.LayerRecord) error {
	if err := digest(rec.DiffID).check(); err != nil {
		return fmt.Errorf("save layer: %w", err)
	}
	body, err := pack(rec.Body)
	if err != nil {
		return fmt.Errorf("save layer %s: %w", rec.DiffID, err)
	}
	return s.update(ctx, "save layer "+rec.DiffID, func(tx *tx) error {
		if err := mayRecord(ctx, tx, rec); err != nil {
			return err
		}
		err := tx.exec(ctx, `INSERT INTO layer (diff_id, indexer, size, body, voucher) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING`,
			digest(rec.DiffID), rec.Indexer, rec.Size, body, rec.Voucher)
		if err != nil {
			return err
		}
		if rec.Digest != "" {
			err := tx.exec(ctx, `INSERT INTO layer_blob (digest, diff_id, voucher) VALUES (?,?,?) ON CONFLICT DO NOTHING`,
				digest(rec.Digest), digest(rec.DiffID), rec.Voucher)
			if err != nil {
				return err
			}
		}
		return tx.exec(ctx, `DELETE FROM lease WHERE diff_id = ? AND indexer = ?`, digest(rec.DiffID), rec.Indexer)
	})
}

// mayRecord refuses a record of somebody who was not told to read the layer.
func mayRecord(ctx context.Context, tx *tx, rec inventory.LayerRecord) error {
	if rec.Holder == "" {
		return nil
	}
	var n int
	err := tx.row(ctx, `
		SELECT (SELECT count(*) FROM layer WHERE diff_id = ? AND indexer = ?) + (SELECT count(*) FROM lease WHERE diff_id = ? AND indexer = ? AND holder = ?)`,
		digest(rec.DiffID), rec.Indexer, digest(rec.DiffID), rec.Indexer, rec.Holder).Scan(&n)
	if err == nil && n == 0 {
		return inventory.Errorf(inventory.ErrConflict, "layer %s is not leased to this watcher", rec.DiffID).
			WithRemedy("ask which layers are missing first, and send records of those")
	}
	return err
}

// VerifiedDiffID returns the diff ID of each blob that somebody unpacked and verified.
func (s *Store) VerifiedDiffID(ctx context.Context, blobDigests []string) (map[string]string, error) {
	known := make(map[string]string, len(blobDigests))
	err := s.view(ctx, "read blobs", func(r reader) error {
		return eachIn(ctx, r, `SELECT digest, diff_id FROM layer_blob WHERE digest IN ({in})`, nil, digests(blobDigests), func(rows *sql.Rows) error {
			var blob, diff digest
			err := rows.Scan(&blob, &diff)
			known[string(blob)] = string(diff)
			return err
		})
	})
	return known, err
}

// KnownLayers tells which layers somebody read with this indexer.
func (s *Store) KnownLayers(ctx context.Context, diffIDs []string, indexer int) (map[string]bool, error) {
	out := make(map[string]bool, len(diffIDs))
	err := s.view(ctx, "read layers", func(r reader) error {
		known, _, err := s.layerState(ctx, r, diffIDs, indexer, "")
		for d := range known {
			out[string(d)] = true
		}
		return err
	})
	return out, err
}

// KnownChains tells which stacks of layers are known for this indexer.
func (s *Store) KnownChains(ctx context.Context, chainIDs []string, indexer int) (map[string]bool, error) {
	known := make(map[string]bool, len(chainIDs))
	err := s.view(ctx, "read chains", func(r reader) error {
		return eachIn(ctx, r, `SELECT chain_id FROM chain WHERE indexer = ? AND chain_id IN ({in})`, []any{indexer}, digests(chainIDs), func(rows *sql.Rows) error {
			var d digest
			err := rows.Scan(&d)
			known[string(d)] = true
			return err
		})
	})
	return known, err
}

// Sources returns where a digest can be pulled from now: tags that are there and point
// to it or to an index that lists it, the newest first, of integrations that this server looks at.
func (s *Store) Sources(ctx context.Context, d string) ([]inventory.Source, error) {
	var found []inventory.Source
	err := s.view(ctx, "find sources of "+d, func(r reader) (err error) {
		found, err = sources(ctx, r, "", d)
		return err
	})
	return found, err
}

// sources are those that one watcher can reach; "" is this server.
func sources(ctx context.Context, r reader, watcher, d string) ([]inventory.Source, error) {
	found := []inventory.Source{}
	err := r.each(ctx, `
		SELECT r.integration_id, n.name, r.key, r.image, t.name, t.pushed
		FROM tag t JOIN repository r ON r.id = t.repository_id JOIN integration n ON n.id = r.integration_id
		WHERE t.gone = 0 AND n.watcher = ? AND n.state NOT IN ('paused', 'disconnected') AND t.image_id IN (
			SELECT id FROM image WHERE digest = ?
			UNION SELECT index_id FROM index_member WHERE digest = ?)
		ORDER BY t.pushed DESC, t.last_seen DESC, t.id DESC LIMIT 100`, []any{watcher, digest(d), digest(d)}, func(rows *sql.Rows) error {
		var src inventory.Source
		var pushed int64
		err := rows.Scan(&src.Integration, &src.Name, &src.Key, &src.Image, &src.Tag, &pushed)
		src.Pushed = fromMillis(pushed)
		found = append(found, src)
		return err
	})
	return found, err
}
