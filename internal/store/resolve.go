package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Resolve finds the tag that a reference names: as Tags prints it, KEY/image:tag or
// image:tag where that is one image only, or any of them with @sha256:… for the digest.
// A digest alone is enough. Without a tag it is "latest", as for docker pull. Tags that
// are gone are found when nothing else is. Several meanings are ErrInvalid, naming them.
func (s *Store) Resolve(ctx context.Context, ref string) (row inventory.TagRow, err error) {
	name, tag, d := splitReference(ref)
	if d != "" {
		if err := digest(d).check(); err != nil {
			return row, err
		}
	}
	if name == "" && d == "" {
		return row, inventory.Errorf(inventory.ErrInvalid, "the reference is empty").WithRemedy("give one as docker pull takes it")
	}
	s.freshen(ctx)
	err = s.view(ctx, "find "+ref, func(r reader) error {
		repos, err := repositoriesNamed(ctx, r, name)
		if err != nil {
			return err
		}
		all, err := tagsOf(ctx, r, repos, name == "", tag, d)
		if err != nil {
			return err
		}
		one, err := choose(ref, all, d != "")
		if err != nil {
			return err
		}
		rows, err := s.complete(ctx, r, []found{one})
		if err != nil {
			return err
		}
		row = rows[0]
		return s.memberRow(ctx, r, &row, d)
	})
	return row, err
}

// splitReference takes a reference apart. A colon before a slash belongs to a port.
func splitReference(ref string) (name, tag, d string) {
	ref = strings.TrimPrefix(strings.TrimPrefix(ref, "registry://"), "docker://")
	if strings.HasPrefix(ref, "sha256:") || strings.HasPrefix(ref, "sha512:") {
		return "", "", ref
	}
	name, d, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i+1:]
	}
	if tag == "" && d == "" {
		tag = "latest"
	}
	return name, tag, d
}

// repositoriesNamed finds the repositories that a name may mean: in full as references
// are printed, else KEY/image, else image.
func repositoriesNamed(ctx context.Context, r reader, name string) ([]int64, error) {
	if name == "" {
		return nil, nil
	}
	var full []int64
	tails := pathTails(name)
	err := eachIn(ctx, r, `
		SELECT r.id, r.key, r.image, n.registry, n.subdomain_mode FROM repository r JOIN integration n ON n.id = r.integration_id
		WHERE r.image IN ({in}) ORDER BY r.id`, nil, tails, func(rows *sql.Rows) error {
		var id int64
		var repo inventory.Repository
		var registry string
		var subdomain int
		err := rows.Scan(&id, &repo.Key, &repo.Image, &registry, &subdomain)
		if name == repositoryReference(registry, subdomain != 0, repo) || name == repositoryReference(registry, false, repo) {
			full = append(full, id)
		}
		return err
	})
	if err != nil || len(full) > 0 {
		return full, err
	}
	var short []int64
	key, image, _ := strings.Cut(name, "/")
	err = r.each(ctx, `SELECT id FROM repository WHERE image = ? OR (image = ? AND key = ?) ORDER BY id`, []any{name, image, key}, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		short = append(short, id)
		return err
	})
	return short, err
}

// pathTails are the image names that a full name may end with: "h/k/a/b" gives all of
// it, "k/a/b", "a/b" and "b".
func pathTails(name string) []string {
	tails := []string{name}
	for {
		_, rest, ok := strings.Cut(name, "/")
		if !ok {
			return tails
		}
		tails, name = append(tails, rest), rest
	}
}

// tagsOf finds the tags of repositories (or of all) with a name, a digest or both.
func tagsOf(ctx context.Context, r reader, repos []int64, anywhere bool, tag, d string) ([]found, error) {
	where, args := "", []any{}
	if tag != "" {
		where, args = where+` AND t.name = ?`, append(args, tag)
	}
	if d != "" {
		where += ` AND t.image_id IN (SELECT id FROM image WHERE digest = ? UNION SELECT index_id FROM index_member WHERE digest = ?)`
		args = append(args, digest(d), digest(d))
	}
	order := ` ORDER BY t.gone = 0 DESC, n.name, r.key, r.image, t.name`
	if anywhere {
		return findTags(ctx, r, tagColumns+tagTables+where+order+` LIMIT 100`, args)
	}
	var all []found
	err := eachIn(ctx, r, tagColumns+tagTables+where+` AND r.id IN ({in})`+order, args, repos, func(rows *sql.Rows) error {
		f, err := scanTag(rows)
		all = append(all, f)
		return err
	})
	return all, err
}

// choose picks the one tag that is meant. With a digest all candidates are the same
// image and the first will do.
func choose(ref string, all []found, byDigest bool) (found, error) {
	live := slices.DeleteFunc(slices.Clone(all), func(f found) bool { return f.Gone != nil })
	if len(live) > 0 {
		all = live
	}
	if len(all) == 0 {
		return found{}, inventory.Errorf(inventory.ErrNotFound, "%s is not in the inventory", ref).
			WithRemedy("see: tallyman images")
	}
	if len(all) == 1 || byDigest {
		return all[0], nil
	}
	names := make([]string, 0, len(all))
	for _, f := range all[:min(len(all), 10)] {
		names = append(names, f.Reference)
	}
	slices.Sort(names)
	if same := slices.Compact(slices.Clone(names)); len(same) == 1 { // one registry, two integrations
		return all[0], nil
	}
	return found{}, inventory.Errorf(inventory.ErrInvalid, "%s may be any of %s", ref, strings.Join(names, ", ")).
		WithRemedy("give one of them in full")
}

// memberRow makes the row of an index's tag that of its member d, where d is one.
func (s *Store) memberRow(ctx context.Context, r reader, row *inventory.TagRow, d string) error {
	if d == "" || d == row.Digest {
		return nil
	}
	f := found{TagRow: *row}
	var c inventory.Counts
	err := r.row(ctx, `
		SELECT i.media_type, m.platform, i.state, i.problem, i.packages, i.critical, i.high, i.medium, i.low, i.unspecified,
			i.fix_critical, i.fix_high, i.fix_medium, i.fix_low, i.fix_unspecified,
			i.ecosystems
		FROM image i JOIN index_member m ON m.digest = i.digest JOIN image x ON x.id = m.index_id
		WHERE i.digest = ? AND x.digest = ? ORDER BY m.position LIMIT 1`, digest(d), digest(row.Digest)).
		Scan(&f.MediaType, &f.platform, &f.State, &f.Problem, &f.Packages, &c.Critical, &c.High, &c.Medium, &c.Low, &c.Unspecified,
			&c.FixableBy[0], &c.FixableBy[1], &c.FixableBy[2], &c.FixableBy[3], &c.FixableBy[4], &f.ecosystems)
	if err != nil {
		return fmt.Errorf("member %s: %w", d, err)
	}
	f.Digest, f.Platforms, f.Findings = d, []string{f.platform}, nil
	if f.State == inventory.StateAnalysed {
		for _, n := range c.FixableBy {
			c.Fixable += n
		}
		f.Findings = &c
	}
	one := []found{f}
	if err := s.assessRows(ctx, r, one); err != nil {
		return err
	}
	*row = one[0].TagRow
	return nil
}
