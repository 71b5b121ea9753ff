package store

import (
	"context"
	"database/sql"
	"slices"
	"strconv"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// BasesAmong returns the known images that any of these stacks is, the highest first,
// named as Bases names them.
func (s *Store) BasesAmong(ctx context.Context, chainIDs []string) ([]inventory.Base, error) {
	bases := []inventory.Base{}
	err := s.view(ctx, "find bases", func(r reader) error {
		seen := map[digest]int{}
		err := eachIn(ctx, r, `SELECT c.chain_id, c.depth FROM chain c JOIN image i ON i.chain_id = c.id WHERE c.chain_id IN ({in})`, nil, digests(chainIDs),
			func(rows *sql.Rows) error {
				var a ancestor
				err := rows.Scan(&a.chain, &a.depth)
				seen[a.chain] = a.depth
				return err
			})
		if err != nil {
			return err
		}
		order := sortedKeys(seen)
		slices.SortStableFunc(order, func(a, b digest) int { return seen[b] - seen[a] })
		for _, chain := range order {
			base, err := baseOf(ctx, r, ancestor{chain, seen[chain]})
			if err != nil {
				return err
			}
			bases = append(bases, base)
		}
		return nil
	})
	return bases, err
}

// Scores returns what is known of how likely flaws are used; those of which nothing is
// known are left out.
func (s *Store) Scores(ctx context.Context, flaws []string) (map[string]inventory.Score, error) {
	out := map[string]inventory.Score{}
	err := s.view(ctx, "read scores", func(r reader) error {
		err := eachIn(ctx, r, `SELECT cve, score, percentile FROM epss WHERE cve IN ({in})`, nil, flaws, func(rows *sql.Rows) error {
			var e inventory.EPSS
			err := rows.Scan(&e.CVE, &e.Score, &e.Percentile)
			out[e.CVE] = inventory.Score{EPSS: &e}
			return err
		})
		if err != nil {
			return err
		}
		return eachIn(ctx, r, `SELECT cve, due FROM kev WHERE cve IN ({in})`, nil, flaws, func(rows *sql.Rows) error {
			var cve string
			var due int64
			err := rows.Scan(&cve, &due)
			one := out[cve]
			one.KEV, one.KEVDue = true, timeOf(due)
			out[cve] = one
			return err
		})
	})
	return out, err
}

// mostSiblings bounds how many tags of a base's repositories are looked at, the newest first.
const mostSiblings = 2000

// Siblings returns the base image d itself, first, and the analysed images of the same
// platform that tags of its repositories point to now. Same is set where the tag is one
// that d has or had.
func (s *Store) Siblings(ctx context.Context, d string) ([]inventory.BaseImage, error) {
	var all []inventory.BaseImage
	err := s.view(ctx, "find siblings of "+d, func(r reader) error {
		base, ids, err := baseImage(ctx, r, d)
		if err != nil {
			return err
		}
		repos, tags, err := homes(ctx, r, ids)
		if err != nil {
			return err
		}
		all, err = siblings(ctx, r, repos, tags, base)
		return err
	})
	return all, err
}

// baseImage reads an image, and the rows that lead to it: its own and its indexes'.
func baseImage(ctx context.Context, r reader, d string) (b inventory.BaseImage, ids []int64, err error) {
	var id int64
	err = r.each(ctx, `SELECT i.id, `+baseColumns+` FROM image i WHERE i.digest = ?`, []any{digest(d)}, func(rows *sql.Rows) (err error) {
		b, err = scanBase(rows, &id)
		return err
	})
	if err == nil && id == 0 {
		err = sql.ErrNoRows
	}
	if err != nil {
		return b, nil, err
	}
	ids = []int64{id}
	err = r.each(ctx, `SELECT DISTINCT index_id FROM index_member WHERE digest = ?`, []any{digest(d)}, func(rows *sql.Rows) error {
		var index int64
		err := rows.Scan(&index)
		ids = append(ids, index)
		return err
	})
	return b, ids, err
}

// homes are the repositories where images are or were tagged, and those tags.
func homes(ctx context.Context, r reader, images []int64) (repos []int64, tags map[int64]bool, err error) {
	tags = map[int64]bool{}
	seen := map[int64]bool{}
	take := func(rows *sql.Rows) error {
		var tag, repo int64
		err := rows.Scan(&tag, &repo)
		tags[tag], seen[repo] = true, true
		return err
	}
	if err := eachIn(ctx, r, `SELECT t.id, t.repository_id FROM tag t WHERE t.image_id IN ({in})`, nil, images, take); err != nil {
		return nil, nil, err
	}
	err = eachIn(ctx, r, `SELECT t.id, t.repository_id FROM tag_move m JOIN tag t ON t.id = m.tag_id WHERE m.image_id IN ({in})`, nil, images, take)
	return sortedKeys(seen), tags, err
}

const baseColumns = `i.digest, i.platform, i.created, i.size, i.packages,
	i.critical, i.high, i.medium, i.low, i.unspecified, i.fix_critical, i.fix_high, i.fix_medium, i.fix_low, i.fix_unspecified`

func scanBase(rows *sql.Rows, before ...any) (b inventory.BaseImage, err error) {
	var created int64
	c := &b.Findings
	fix := &c.FixableBy
	err = rows.Scan(append(before, (*digest)(&b.Digest), &b.Platform, &created, &b.Size, &b.Packages,
		&c.Critical, &c.High, &c.Medium, &c.Low, &c.Unspecified, &fix[0], &fix[1], &fix[2], &fix[3], &fix[4])...)
	for _, n := range fix {
		c.Fixable += n
	}
	b.Created = timeOf(created)
	return b, err
}

// sibling is a tag and what it points to.
type sibling struct {
	inventory.BaseImage
	tag, top int64
	index    bool
}

func siblings(ctx context.Context, r reader, repos []int64, own map[int64]bool, base inventory.BaseImage) ([]inventory.BaseImage, error) {
	var tags []sibling
	var indexes []int64
	err := eachIn(ctx, r, `
		SELECT t.id, t.image_id, i.kind, n.registry, n.subdomain_mode, r.key, r.image, t.name, t.pushed, `+baseColumns+`
		FROM tag t JOIN repository r ON r.id = t.repository_id JOIN integration n ON n.id = r.integration_id JOIN image i ON i.id = t.image_id
		WHERE t.gone = 0 AND i.state = 'analysed' AND t.repository_id IN ({in})
		ORDER BY t.pushed DESC, t.id LIMIT `+strconv.Itoa(mostSiblings), nil, repos, func(rows *sql.Rows) error {
		var one sibling
		var kind, registry, name string
		var subdomain int
		var pushed int64
		var repo inventory.Repository
		var err error
		one.BaseImage, err = scanBase(rows, &one.tag, &one.top, &kind, &registry, &subdomain, &repo.Key, &repo.Image, &name, &pushed)
		one.Reference = repositoryReference(registry, subdomain != 0, repo) + ":" + name
		one.Tag, one.Pushed, one.index = name, timeOf(pushed), kind == inventory.IndexKind
		if one.index {
			indexes = append(indexes, one.top)
		}
		tags = append(tags, one)
		return err
	})
	if err != nil {
		return nil, err
	}
	members, err := membersFor(ctx, r, indexes, base.Platform)
	if err != nil {
		return nil, err
	}
	all := []inventory.BaseImage{base}
	for _, one := range tags {
		b := one.BaseImage
		if one.index {
			m, ok := members[one.top]
			if !ok {
				continue
			}
			m.Reference, m.Tag, m.Pushed = b.Reference, b.Tag, b.Pushed
			b = m
		}
		switch b.Same = own[one.tag]; {
		case b.Digest == base.Digest && all[0].Reference == "":
			all[0].Reference, all[0].Tag, all[0].Pushed, all[0].Same = b.Reference, b.Tag, b.Pushed, true
		case b.Digest != base.Digest && b.Platform == base.Platform:
			all = append(all, b)
		}
	}
	return all, nil
}

// membersFor are the analysed members of indexes for one platform.
func membersFor(ctx context.Context, r reader, indexes []int64, platform string) (map[int64]inventory.BaseImage, error) {
	members := map[int64]inventory.BaseImage{}
	err := eachIn(ctx, r, `
		SELECT m.index_id, `+baseColumns+` FROM index_member m JOIN image i ON i.digest = m.digest
		WHERE i.state = 'analysed' AND i.chain_id > 0 AND m.index_id IN ({in})`, nil, indexes, func(rows *sql.Rows) error {
		var index int64
		b, err := scanBase(rows, &index)
		if b.Platform == platform {
			members[index] = b
		}
		return err
	})
	return members, err
}
