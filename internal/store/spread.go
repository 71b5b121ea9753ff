package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

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
		for _, id := range slices.Sorted(maps.Keys(packages)) {
			if err := s.imagesWith(ctx, r, id, packages[id], images); err != nil {
				return err
			}
		}
		sp, err = tagged(ctx, r, images, within)
		return err
	})
	return sp, err
}

func packagesOf(ctx context.Context, r reader, flaws, purls []string) (map[int64]string, error) {
	packages := map[int64]string{}
	scan := func(rows *sql.Rows) error {
		var id int64
		var purl string
		err := rows.Scan(&id, &purl)
		packages[id] = purl
		return err
	}
	if err := eachIn(ctx, r, `SELECT p.id, p.purl FROM verdict v JOIN package p ON p.id = v.package_id WHERE v.flaw IN ({in})`, nil, flaws, scan); err != nil {
		return nil, err
	}
	return packages, eachIn(ctx, r, `SELECT id, purl FROM package WHERE purl IN ({in})`, nil, purls, scan)
}

// imagesWith adds the images that have a package: those of the stacks that brought it,
// and of what stands on them until it is removed.
func (s *Store) imagesWith(ctx context.Context, r reader, pkg int64, purl string, images map[int64]struct{}) error {
	var starts []int64
	err := r.each(ctx, `SELECT chain_id FROM chain_package WHERE package_id = ? AND removed = 0 ORDER BY chain_id`, []any{pkg}, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		starts = append(starts, id)
		return err
	})
	if err != nil {
		return err
	}
	if !fromDistribution(purl) {
		if starts, err = s.whereFree(ctx, r, pkg, starts); err != nil {
			return err
		}
	}
	return eachIn(ctx, r, `
		WITH RECURSIVE what (id) AS (SELECT id FROM package WHERE id = ?),
		down (id) AS (
			SELECT id FROM chain WHERE id IN ({in})
			UNION ALL
			SELECT c.id FROM down JOIN chain c ON c.parent_id = down.id WHERE NOT EXISTS (
				SELECT 1 FROM chain_package a WHERE a.package_id = (SELECT id FROM what) AND a.chain_id = c.id AND a.removed = 1))
		SELECT i.id FROM down JOIN image i ON i.chain_id = down.id WHERE i.state = '`+inventory.StateAnalysed+`'`,
		[]any{pkg}, starts, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			images[id] = struct{}{}
			return err
		})
}

// fromDistribution says that a package is a distribution's own, which nothing owns.
func fromDistribution(purl string) bool {
	for _, kind := range []string{"pkg:deb/", "pkg:rpm/", "pkg:apk/"} {
		if strings.HasPrefix(purl, kind) {
			return true
		}
	}
	return false
}

// whereFree keeps the stacks that brought a package as more than a part of a
// distribution's package.
func (s *Store) whereFree(ctx context.Context, r reader, pkg int64, chains []int64) ([]int64, error) {
	free := make([]int64, 0, len(chains))
	for piece := range pieces(chains, inSize) {
		deltas, err := s.loadDeltas(ctx, r, piece)
		if err != nil {
			return nil, err
		}
		for _, id := range piece {
			d := deltas[id]
			if d != nil && slices.ContainsFunc(d.added, func(o occurrence) bool { return o.pkg == pkg && o.ownedBy == "" }) {
				free = append(free, id)
			}
		}
	}
	return free, nil
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
