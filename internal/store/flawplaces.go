package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// FlawPlaces returns the repositories that have a flaw now, by name, with their tags.
// After is the cursor of the page before.
func (s *Store) FlawPlaces(ctx context.Context, id, after string, limit int) (page inventory.FlawPlaces, err error) {
	page.Rows = []inventory.FlawRepository{}
	c, err := s.census(ctx)
	if err != nil {
		return page, err
	}
	f := c.byFlaw[id]
	if f == nil || f.Images == 0 {
		return page, nil
	}
	images, repos := c.under(f.where)
	page.Total = len(repos)
	err = s.view(ctx, "find who has "+id, func(r reader) error {
		all, err := sites(ctx, r, slices.Sorted(maps.Keys(repos)))
		if err != nil {
			return err
		}
		if after != "" {
			from, err := parseCursor(after, "places", 1)
			if err != nil {
				return err
			}
			last, ok := from.At[0].(int64)
			if at := slices.IndexFunc(all, func(one placedSite) bool { return one.id == last }); ok && at >= 0 {
				all = all[at+1:]
			}
		}
		if limit > 0 && len(all) > limit {
			all = all[:limit]
			page.Next = cursor{Sort: "places", At: []any{all[limit-1].id}, Total: page.Total}.String()
		}
		page.Rows, err = c.tagsAt(ctx, r, all, images)
		return err
	})
	return page, err
}

// under finds the images in stretches, each with the layer that brought it there, and
// the repositories that name them.
func (c *census) under(all []stretch) (map[int32]int32, map[int64]bool) {
	images, repos := map[int32]int32{}, map[int64]bool{}
	for _, s := range all {
		for i := c.first[s.from]; i < c.first[s.to]; i++ {
			if layer, again := images[i]; again && layer <= s.depth {
				continue
			}
			images[i] = s.depth
			for _, repo := range c.images[i].repos {
				repos[c.repos[repo]] = true
			}
		}
	}
	return images, repos
}

type placedSite struct {
	id          int64
	integration string
	site
}

func sites(ctx context.Context, r reader, ids []int64) ([]placedSite, error) {
	all := make([]placedSite, 0, len(ids))
	err := eachIn(ctx, r, `
		SELECT r.id, n.name, n.registry, n.subdomain_mode, r.key, r.image FROM repository r JOIN integration n ON n.id = r.integration_id
		WHERE r.id IN ({in})`, nil, ids, func(rows *sql.Rows) error {
		var one placedSite
		var subdomain int
		err := rows.Scan(&one.id, &one.integration, &one.registry, &subdomain, &one.repo.Key, &one.repo.Image)
		one.subdomain = subdomain != 0
		all = append(all, one)
		return err
	})
	slices.SortFunc(all, func(a, b placedSite) int {
		return cmp.Or(cmp.Compare(a.repo.Key, b.repo.Key), cmp.Compare(a.repo.Image, b.repo.Image), cmp.Compare(a.integration, b.integration))
	})
	return all, err
}

// tagsAt lists the tags of repositories that lead to one of images.
func (c *census) tagsAt(ctx context.Context, r reader, all []placedSite, images map[int32]int32) ([]inventory.FlawRepository, error) {
	rows := make([]inventory.FlawRepository, len(all))
	at := make(map[int64]int, len(all))
	ids := make([]int64, len(all))
	for i, one := range all {
		rows[i] = inventory.FlawRepository{Integration: one.integration, Repository: one.repo}
		at[one.id], ids[i] = i, one.id
	}
	err := eachIn(ctx, r, `SELECT repository_id, name, image_id, pushed, since FROM tag WHERE gone = 0 AND repository_id IN ({in}) ORDER BY pushed DESC, id DESC`,
		nil, ids, func(rs *sql.Rows) error {
			var repo, image, pushed, since int64
			var t inventory.FlawTag
			if err := rs.Scan(&repo, &t.Name, &image, &pushed, &since); err != nil {
				return err
			}
			i := at[repo]
			for _, member := range c.members[image] {
				layer, has := images[member]
				if !has {
					continue
				}
				place := c.images[member].place
				t.Layer, t.Origin = int(layer), "own"
				if layer < c.baseDepth(place) {
					t.Origin = "base"
				}
				t.Reference = repositoryReference(all[i].registry, all[i].subdomain, all[i].repo) + ":" + t.Name
				t.Pushed, t.Since = timeOf(pushed), fromMillis(since)
				rows[i].Tags = append(rows[i].Tags, t)
				break // the platforms of an index share the tag
			}
			return nil
		})
	return rows, err
}
