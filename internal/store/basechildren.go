package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// BaseChildren returns the tags whose images stand on what a tag points to, or stand on
// something that it pointed to before and not on that: these are stale and come first.
// At most limit rows are returned; the counts are of all. They are as of the newest census.
func (s *Store) BaseChildren(ctx context.Context, integration string, repo inventory.Repository, tag string, limit int) (all inventory.BaseChildren, err error) {
	all.Rows = []inventory.BaseChild{}
	c, err := s.census(ctx)
	if err != nil {
		return all, err
	}
	err = s.view(ctx, "list what stands on "+repo.Key+"/"+repo.Image+":"+tag, func(r reader) error {
		now, before, err := basePointers(ctx, r, integration, repo, tag)
		if err != nil {
			return err
		}
		below, err := c.carriers(ctx, r)
		if err != nil {
			return err
		}
		stale := map[int64]bool{} // image -> it is stale
		for _, image := range before {
			c.eachIn(below[image], func(id int64) { stale[id] = true })
		}
		c.eachIn(below[now], func(id int64) { stale[id] = false })
		listed, err := listings(ctx, r)
		if err != nil {
			return err
		}
		for _, id := range slices.Collect(maps.Keys(stale)) {
			for _, index := range listed[id] {
				stale[index] = stale[id] || stale[index]
			}
		}
		return childTags(ctx, r, stale, &all)
	})
	slices.SortFunc(all.Rows, func(a, b inventory.BaseChild) int {
		return cmp.Or(-cmp.Compare(flag(a.Stale), flag(b.Stale)), cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.Integration, b.Integration))
	})
	if limit > 0 && len(all.Rows) > limit {
		all.Rows = all.Rows[:limit]
	}
	return all, err
}

// basePointers answers what a tag points to, and what it pointed to before.
func basePointers(ctx context.Context, r reader, integration string, repo inventory.Repository, tag string) (now int64, before []int64, err error) {
	err = r.each(ctx, `
		SELECT t.image_id, COALESCE(m.image_id, 0) FROM tag t
		JOIN repository p ON p.id = t.repository_id JOIN integration n ON n.id = p.integration_id
		LEFT JOIN tag_move m ON m.tag_id = t.id AND m.image_id <> t.image_id
		WHERE n.name = ? AND p.key = ? AND p.image = ? AND t.name = ?`, []any{integration, repo.Key, repo.Image, tag}, func(rows *sql.Rows) error {
		var old int64
		err := rows.Scan(&now, &old)
		if old != 0 {
			before = append(before, old)
		}
		return err
	})
	if err == nil && now == 0 {
		err = inventory.Errorf(inventory.ErrNotFound, "there is no tag %s/%s:%s in %s", repo.Key, repo.Image, tag, integration)
	}
	return now, before, err
}

// eachIn calls do for every image in some stretches.
func (c *census) eachIn(where []stretch, do func(id int64)) {
	for _, s := range where {
		for _, im := range c.images[c.first[s.from]:c.first[s.to]] {
			do(im.id)
		}
	}
}

func childTags(ctx context.Context, r reader, stale map[int64]bool, into *inventory.BaseChildren) error {
	return eachIn(ctx, r, `
		SELECT t.image_id, t.name, t.pushed, n.name, n.registry, n.subdomain_mode, p.key, p.image
		FROM tag t JOIN repository p ON p.id = t.repository_id JOIN integration n ON n.id = p.integration_id
		WHERE t.gone = 0 AND t.image_id IN ({in})`, nil, slices.Sorted(maps.Keys(stale)), func(rows *sql.Rows) error {
		var image, pushed int64
		var registry string
		var subdomain int
		var child inventory.BaseChild
		err := rows.Scan(&image, &child.Tag, &pushed, &child.Integration, &registry, &subdomain, &child.Key, &child.Image)
		child.Reference, child.Pushed = repositoryReference(registry, subdomain != 0, child.Repository)+":"+child.Tag, timeOf(pushed)
		if child.Stale = stale[image]; child.Stale {
			into.Stale++
		} else {
			into.Children++
		}
		into.Rows = append(into.Rows, child)
		return err
	})
}
