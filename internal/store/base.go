package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// ancestor is a stack below another that is a known image by itself.
type ancestor struct {
	chain digest
	depth int
}

// ancestors finds, for each chain row, the stacks below it that are known images,
// nearest first.
func ancestors(ctx context.Context, r reader, tops []int64) (map[int64][]ancestor, error) {
	below := map[int64][]ancestor{}
	tops = slices.Compact(slices.Sorted(slices.Values(tops)))
	// An image may have been indexed by another indexer than the stack above it: the
	// stack's digest joins them, not its row.
	err := eachIn(ctx, r, `
		WITH RECURSIVE up (start, id, parent_id, depth, chain_id) AS (
			SELECT id, id, parent_id, depth, chain_id FROM chain WHERE id IN ({in})
			UNION ALL
			SELECT up.start, c.id, c.parent_id, c.depth, c.chain_id FROM up JOIN chain c ON c.id = up.parent_id)
		SELECT up.start, up.chain_id, up.depth FROM up
		WHERE up.id <> up.start AND EXISTS (SELECT 1 FROM chain k JOIN image i ON i.chain_id = k.id WHERE k.chain_id = up.chain_id)
		ORDER BY up.start, up.depth DESC`, nil, tops, func(rows *sql.Rows) error {
		var start int64
		var a ancestor
		err := rows.Scan(&start, &a.chain, &a.depth)
		below[start] = append(below[start], a)
		return err
	})
	return below, err
}

// Bases returns the known images whose layers are a proper prefix of a stack, the
// nearest first, one for each stack of layers: the one that is tagged now and was
// pushed last.
func (s *Store) Bases(ctx context.Context, chainID string) ([]inventory.Base, error) {
	bases := []inventory.Base{}
	err := s.view(ctx, "find bases of "+chainID, func(r reader) error {
		var id int64
		err := r.each(ctx, `SELECT id FROM chain WHERE chain_id = ? ORDER BY indexer DESC LIMIT 1`, []any{digest(chainID)},
			func(rows *sql.Rows) error { return rows.Scan(&id) })
		if err != nil || id == 0 {
			return err
		}
		below, err := ancestors(ctx, r, []int64{id})
		if err != nil {
			return err
		}
		for _, a := range below[id] {
			base, err := baseOf(ctx, r, a)
			if err != nil {
				return err
			}
			bases = append(bases, base)
		}
		return nil
	})
	return bases, err
}

// nearestBases returns the nearest base of each chain row that has one.
func nearestBases(ctx context.Context, r reader, tops []int64) (map[int64]inventory.Base, error) {
	below, err := ancestors(ctx, r, tops)
	if err != nil {
		return nil, err
	}
	named := map[digest]inventory.Base{}
	nearest := make(map[int64]inventory.Base, len(below))
	for _, top := range slices.Sorted(maps.Keys(below)) {
		a := below[top][0]
		if _, ok := named[a.chain]; !ok {
			if named[a.chain], err = baseOf(ctx, r, a); err != nil {
				return nil, err
			}
		}
		nearest[top] = named[a.chain]
	}
	return nearest, nil
}

// baseOf names the image of a stack.
func baseOf(ctx context.Context, r reader, a ancestor) (inventory.Base, error) {
	base := inventory.Base{Layers: a.depth + 1, ChainID: string(a.chain)}
	type candidate struct {
		reference, digest string
		gone              bool
		pushed            int64
	}
	var all []candidate
	err := r.each(ctx, `
		SELECT i.digest, n.registry, n.subdomain_mode, r.key, r.image, t.name, t.gone, t.pushed
		FROM chain k JOIN image i ON i.chain_id = k.id
		JOIN tag t ON t.image_id = i.id OR t.image_id IN (SELECT m.index_id FROM index_member m WHERE m.digest = i.digest)
		JOIN repository r ON r.id = t.repository_id JOIN integration n ON n.id = r.integration_id
		WHERE k.chain_id = ?`, []any{a.chain}, func(rows *sql.Rows) error {
		var c candidate
		var registry, tag string
		var repo inventory.Repository
		var subdomain int
		var gone int64
		err := rows.Scan((*digest)(&c.digest), &registry, &subdomain, &repo.Key, &repo.Image, &tag, &gone, &c.pushed)
		c.reference, c.gone = repositoryReference(registry, subdomain != 0, repo)+":"+tag, gone != 0
		all = append(all, c)
		return err
	})
	if err != nil {
		return base, err
	}
	if len(all) > 0 {
		best := slices.MinFunc(all, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(flag(a.gone), flag(b.gone)), cmp.Compare(b.pushed, a.pushed), cmp.Compare(a.reference, b.reference))
		})
		base.Reference, base.Digest = best.reference, best.digest
		return base, nil
	}
	err = r.each(ctx, `SELECT i.digest FROM chain k JOIN image i ON i.chain_id = k.id WHERE k.chain_id = ? ORDER BY i.id LIMIT 1`, []any{a.chain},
		func(rows *sql.Rows) error { return rows.Scan((*digest)(&base.Digest)) })
	return base, err
}
