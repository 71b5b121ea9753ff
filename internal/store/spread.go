package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// mostReferences is how many images a message names.
const mostReferences = 5

// Spread tells how many images have one of these flaws, or one of these packages, and
// are in repositories (KEY/image) that within accepts, of integrations that are not
// disconnected; and names the newest few.
func (s *Store) Spread(ctx context.Context, flaws, purls []string, within func(repository string) bool) (sp inventory.Spread, err error) {
	err = s.view(ctx, "find the images of a flaw", func(r reader) error {
		packages, err := packagesOf(ctx, r, flaws, purls)
		if err != nil {
			return err
		}
		images := map[int64]struct{}{}
		for _, id := range packages {
			holders, err := s.packageHolders(ctx, r, id)
			if err != nil {
				return err
			}
			for _, image := range holders {
				images[image] = struct{}{}
			}
		}
		sp, err = tagged(ctx, r, images, within)
		return err
	})
	return sp, err
}

func packagesOf(ctx context.Context, r reader, flaws, purls []string) ([]int64, error) {
	packages := map[int64]bool{}
	scan := func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		packages[id] = true
		return err
	}
	if err := eachIn(ctx, r, `SELECT DISTINCT package_id FROM verdict WHERE flaw IN ({in})`, nil, flaws, scan); err != nil {
		return nil, err
	}
	err := eachIn(ctx, r, `SELECT id FROM package WHERE purl IN ({in})`, nil, purls, scan)
	return sortedKeys(packages), err
}

type taggedImage struct {
	pushed    int64
	reference string
}

// tagged counts what tags point to, among images and the indexes that list them.
func tagged(ctx context.Context, r reader, images map[int64]struct{}, within func(string) bool) (inventory.Spread, error) {
	ids := slices.Collect(maps.Keys(images))
	err := eachIn(ctx, r, `SELECT m.index_id FROM image i JOIN index_member m ON m.digest = i.digest WHERE i.id IN ({in})`, nil, slices.Clone(ids), func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		images[id] = struct{}{}
		return err
	})
	if err != nil {
		return inventory.Spread{}, err
	}
	counted := map[int64]struct{}{}
	var first []taggedImage
	err = eachIn(ctx, r, `
		SELECT t.image_id, t.name, t.pushed, r.key, r.image, n.registry, n.subdomain_mode
		FROM tag t JOIN repository r ON r.id = t.repository_id JOIN integration n ON n.id = r.integration_id
		WHERE t.gone = 0 AND n.state <> ? AND t.image_id IN ({in})`, []any{inventory.IntegrationDisconnected}, slices.Sorted(maps.Keys(images)),
		func(rows *sql.Rows) error {
			var image, pushed int64
			var tag, registry string
			var repo inventory.Repository
			var subdomain int
			if err := rows.Scan(&image, &tag, &pushed, &repo.Key, &repo.Image, &registry, &subdomain); err != nil {
				return err
			}
			if !within(repo.Key + "/" + repo.Image) {
				return nil
			}
			if _, again := counted[image]; !again {
				counted[image] = struct{}{}
				first = newestFew(first, taggedImage{pushed, repositoryReference(registry, subdomain != 0, repo) + ":" + tag})
			}
			return nil
		})
	sp := inventory.Spread{Images: len(counted), References: make([]string, 0, len(first))}
	for _, t := range first {
		sp.References = append(sp.References, t.reference)
	}
	return sp, err
}

// newestFew keeps the newest images in order.
func newestFew(list []taggedImage, one taggedImage) []taggedImage {
	at := slices.IndexFunc(list, func(t taggedImage) bool {
		return one.pushed > t.pushed || one.pushed == t.pushed && one.reference < t.reference
	})
	if at < 0 {
		at = len(list)
	}
	list = slices.Insert(list, at, one)
	return list[:min(len(list), mostReferences)]
}
