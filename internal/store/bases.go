package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// BaseImages returns the tags that other images stand on, most first: how many stand on
// what a tag points to, and how many still stand on something it pointed to before. The
// counts are as of the newest census.
func (s *Store) BaseImages(ctx context.Context) ([]inventory.BaseRow, error) {
	rows := []inventory.BaseRow{}
	c, err := s.census(ctx)
	if err != nil {
		return rows, err
	}
	err = s.view(ctx, "list base images", func(r reader) error {
		below, err := c.carriers(ctx, r)
		if err != nil {
			return err
		}
		before := map[int64][]stretch{} // tag -> what stands on its older images
		err = r.each(ctx, `SELECT m.tag_id, m.image_id FROM tag_move m JOIN tag t ON t.id = m.tag_id WHERE t.gone = 0 AND m.image_id <> t.image_id`, nil, func(rs *sql.Rows) error {
			var tag, image int64
			err := rs.Scan(&tag, &image)
			if where := below[image]; where != nil {
				before[tag] = append(before[tag], where...)
			}
			return err
		})
		if err != nil {
			return err
		}
		rows, err = c.baseRows(ctx, r, below, before)
		return err
	})
	return rows, err
}

// carriers finds where in the walk something stands on an image, for every image (or
// index) under which an image that is tagged now stands.
func (c *census) carriers(ctx context.Context, r reader) (map[int64][]stretch, error) {
	below := map[int64][]stretch{}
	add := func(id, chain int64) {
		place, ok := c.at[chain]
		if !ok {
			return
		}
		if from, to := place+1, c.end[place]; from < to && c.first[from] < c.first[to] {
			below[id] = append(below[id], stretch{from: from, to: to})
		}
	}
	for _, question := range []string{
		`SELECT id, chain_id FROM image WHERE chain_id > 0`,
		`SELECT m.index_id, i.chain_id FROM index_member m JOIN image i ON i.digest = m.digest WHERE i.chain_id > 0 AND m.kind IN ('', 'image')`,
	} {
		err := r.each(ctx, question, nil, func(rows *sql.Rows) error {
			var id, chain int64
			err := rows.Scan(&id, &chain)
			add(id, chain)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return below, nil
}

// baseRows makes the rows of the tags that point, or pointed, to a carrier.
func (c *census) baseRows(ctx context.Context, r reader, below, before map[int64][]stretch) ([]inventory.BaseRow, error) {
	n := c.counter()
	counts := map[int64]int{}
	rows := []inventory.BaseRow{}
	scan := func(rs *sql.Rows) error {
		var tag, image, pushed int64
		var registry string
		var subdomain int
		var b inventory.BaseRow
		if err := rs.Scan(&tag, &b.Tag, &image, &pushed, &b.Integration, &registry, &subdomain, &b.Key, &b.Image); err != nil {
			return err
		}
		children, known := counts[image]
		if !known {
			children, _ = n.count(below[image])
			counts[image] = children
		}
		b.Children = children
		if older := before[tag]; older != nil {
			all, _ := n.count(append(slices.Clone(older), below[image]...))
			b.Stale = all - b.Children
		}
		if b.Children+b.Stale == 0 {
			return nil
		}
		b.Reference, b.Pushed = repositoryReference(registry, subdomain != 0, b.Repository)+":"+b.Tag, timeOf(pushed)
		rows = append(rows, b)
		return nil
	}
	const tags = `SELECT t.id, t.name, t.image_id, t.pushed, n.name, n.registry, n.subdomain_mode, r.key, r.image
		FROM tag t JOIN repository r ON r.id = t.repository_id JOIN integration n ON n.id = r.integration_id WHERE t.gone = 0 AND `
	if err := eachIn(ctx, r, tags+`t.image_id IN ({in})`, nil, slices.Sorted(maps.Keys(below)), scan); err != nil {
		return nil, err
	}
	if err := eachIn(ctx, r, tags+`t.id IN ({in})`, nil, slices.Sorted(maps.Keys(before)), scan); err != nil {
		return nil, err
	}
	kept := rows[:0] // a tag may be found both ways
	again := map[string]bool{}
	for _, b := range rows {
		key := b.Integration + " " + b.Reference
		if !again[key] {
			again[key] = true
			kept = append(kept, b)
		}
	}
	slices.SortFunc(kept, func(a, b inventory.BaseRow) int {
		return cmp.Or(cmp.Compare(b.Children+b.Stale, a.Children+a.Stale), cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.Integration, b.Integration))
	})
	return kept, nil
}
