package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
)

const (
	// foldFrom is how many chains must speak of a package before they are kept as bitmaps too.
	foldFrom = 512
	// foldEvery is how many new chains, at least, come before packages are looked through
	// again; and of a large fleet a fiftieth.
	foldEvery = 5000
)

// Tidy keeps what is derived from chains in step with them, if enough has changed: it
// costs nothing otherwise. One process at a time needs to call it, now and then.
func (s *Store) Tidy(ctx context.Context) error {
	s.tended.Store(true)
	if err := s.trimFleetLog(ctx); err != nil {
		return err
	}
	var newest, folded int64
	err := s.view(ctx, "measure the chains", func(r reader) error {
		return r.row(ctx, `SELECT COALESCE(max(id), 0), (SELECT value FROM counter WHERE name = 'folded') FROM chain`).Scan(&newest, &folded)
	})
	if err != nil || newest-folded < max(foldEvery, folded/50) {
		return err
	}
	return s.Fold(ctx, foldFrom)
}

// Fold keeps, for every package of which at least from chains speak, these chains as
// bitmaps beside their rows: who holds it is then known without reading so many rows.
func (s *Store) Fold(ctx context.Context, from int) error {
	upto, err := s.settledChain(ctx)
	if err != nil {
		return err
	}
	var due []int64
	err = s.view(ctx, "find packages of many chains", func(r reader) error {
		return r.each(ctx, `
			SELECT a.package_id, a.n, COALESCE(f.named, 0)
			FROM (SELECT package_id, count(*) AS n FROM chain_package WHERE chain_id <= ? GROUP BY package_id HAVING count(*) >= ?) a
			LEFT JOIN package_chains f ON f.package_id = a.package_id`, []any{upto, from}, func(rows *sql.Rows) error {
			var pkg, n, named int64
			err := rows.Scan(&pkg, &n, &named)
			if n >= named+named/20+int64(from)/2 {
				due = append(due, pkg)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	for _, pkg := range due {
		if err := s.foldPackage(ctx, pkg, upto); err != nil {
			return err
		}
	}
	return s.update(ctx, "remember what is folded", func(tx *tx) error {
		return tx.exec(ctx, `UPDATE counter SET value = ? WHERE name = 'folded' AND value < ?`, upto, upto)
	})
}

// settledChain is a chain up to which all that were ever numbered are there, or never will be.
func (s *Store) settledChain(ctx context.Context) (id int64, err error) {
	err = s.update(ctx, "find the newest chain", func(tx *tx) error {
		if err := tx.lock(ctx, lockChains, 0); err != nil { // waits for whoever is writing chains
			return err
		}
		return tx.row(ctx, `SELECT COALESCE(max(id), 0) FROM chain`).Scan(&id)
	})
	return id, err
}

func (s *Store) foldPackage(ctx context.Context, pkg, upto int64) error {
	var chains [3]*roaring.Bitmap
	for i := range chains {
		chains[i] = roaring.New()
	}
	n := 0
	err := s.view(ctx, "read the chains of a package", func(r reader) error {
		return r.each(ctx, `SELECT chain_id, removed FROM chain_package WHERE package_id = ? AND chain_id <= ? ORDER BY chain_id`, []any{pkg, upto}, func(rows *sql.Rows) error {
			var chain uint32
			var presence int
			if err := rows.Scan(&chain, &presence); err != nil {
				return err
			}
			if presence < 0 || presence >= len(chains) {
				return fmt.Errorf("chain %d says %d of package %d", chain, presence, pkg)
			}
			chains[presence].Add(chain)
			n++
			return nil
		})
	})
	if err != nil {
		return err
	}
	args := []any{pkg, upto, n}
	for _, presence := range [...]int{presenceFree, presenceOwned, presenceGone} {
		chains[presence].RunOptimize()
		packed, err := chains[presence].ToBytes()
		if err != nil {
			return fmt.Errorf("pack the chains of package %d: %w", pkg, err)
		}
		args = append(args, packed)
	}
	return s.paced(ctx, "save the chains of a package", func(tx *tx) error {
		return tx.exec(ctx, `
			INSERT INTO package_chains (package_id, upto, named, here, owned, gone) SELECT ?,?,?,?,?,?
			WHERE EXISTS (SELECT 1 FROM package WHERE id = ?)
			ON CONFLICT (package_id) DO UPDATE SET upto = excluded.upto, named = excluded.named,
				here = excluded.here, owned = excluded.owned, gone = excluded.gone`, append(args, pkg)...)
	})
}
