package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// PackagesNamed returns the packages of a name, whatever their version, by purl. A name
// that none has is looked for as the last part of longer names: "log4j-core" in
// "org.apache.logging.log4j:log4j-core".
func (s *Store) PackagesNamed(ctx context.Context, q inventory.PackageQuery) (all []inventory.Package, err error) {
	err = s.view(ctx, "find packages", func(r reader) error {
		found, err := packagesNamed(ctx, r, q)
		if err != nil {
			return err
		}
		all = sorted(found)
		return nil
	})
	return all, err
}

func packagesNamed(ctx context.Context, r reader, q inventory.PackageQuery) (map[string]inventory.Package, error) {
	found := map[string]inventory.Package{}
	take := func(rows *sql.Rows) error {
		_, p, err := scanPackage(rows)
		found[p.PURL] = p
		return err
	}
	const from = `SELECT ` + packageColumns + ` FROM package p WHERE `
	if q.PURL != "" {
		// "@" and "?" are the only characters that may follow a purl's name here.
		for _, end := range [...][2]string{{"@", "A"}, {"?", "@"}} {
			if err := r.each(ctx, from+`p.purl >= ? AND p.purl < ?`, []any{q.PURL + end[0], q.PURL + end[1]}, take); err != nil {
				return nil, err
			}
		}
		err := r.each(ctx, from+`p.purl = ?`, []any{q.PURL}, take)
		return found, err
	}
	for _, column := range [...]string{"name", "source_name"} {
		if err := eachIn(ctx, r, from+`p.`+column+` IN ({in})`, nil, q.Names, take); err != nil {
			return nil, err
		}
	}
	for _, key := range q.Keys {
		err := r.each(ctx, `SELECT `+packageColumns+` FROM package_key k JOIN package p ON p.id = k.package_id WHERE k.ecosystem = ? AND k.name = ?`,
			[]any{key.Ecosystem, key.Name}, take)
		if err != nil {
			return nil, err
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
	for _, name := range q.Names {
		tail := "%" + escape.Replace(name)
		err := r.each(ctx, from+`p.name LIKE ? ESCAPE '\' AND (p.name LIKE ? ESCAPE '\' OR p.name LIKE ? ESCAPE '\')`,
			[]any{tail, "%:" + tail[1:], "%/" + tail[1:]}, take)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// PackagesWithFlaw returns the packages that have a flaw, which may be given by its id,
// an alias or an advisory of it, by purl.
func (s *Store) PackagesWithFlaw(ctx context.Context, id string) (all []inventory.Package, err error) {
	err = s.view(ctx, "find packages with "+id, func(r reader) error {
		ids := []string{id}
		err := r.each(ctx, `SELECT parsed FROM advisory WHERE name = ?`, []any{id}, func(rows *sql.Rows) error {
			var packed []byte
			if err := rows.Scan(&packed); err != nil {
				return err
			}
			var adv inventory.Advisory
			err := unpackJSON(packed, &adv)
			ids = slices.Concat(ids, adv.Aliases, adv.Upstream)
			return err
		})
		if err != nil {
			return err
		}
		found := map[string]inventory.Package{}
		err = eachIn(ctx, r, `SELECT `+packageColumns+`, v.flaw, v.advisory, v.aliases FROM verdict v JOIN package p ON p.id = v.package_id
			WHERE v.flaw IN ({in})`, nil, slices.Compact(slices.Sorted(slices.Values(ids))), func(rows *sql.Rows) error {
			var flaw, advisory, aliases string
			_, p, err := scanPackage(rows, &flaw, &advisory, &aliases)
			if err == nil && (flaw == id || advisory == id || slices.Contains(fromList(aliases), id)) {
				found[p.PURL] = p
			}
			return err
		})
		all = sorted(found)
		return err
	})
	return all, err
}

// held is a platform image that holds what is asked for, and since which layer.
type held struct {
	image int64
	layer int
}

// downwards walks from the stacks that brought something to those that stand on them,
// as far as it was not taken away. It never meets a stack twice: where something is
// brought it was not there before. The order of the tables is that of the walk: left to
// itself SQLite may read every image instead.
const downwards = `
	WITH RECURSIVE down (id, layer) AS (
		SELECT a.chain_id, k.depth FROM {table} a CROSS JOIN chain k WHERE k.id = a.chain_id AND {key} AND a.removed = 0
		UNION ALL
		SELECT c.id, down.layer FROM down CROSS JOIN chain c
		WHERE c.parent_id = down.id AND NOT EXISTS (SELECT 1 FROM {table} a WHERE a.chain_id = c.id AND {key} AND a.removed = 1))
	SELECT i.id, down.layer FROM down CROSS JOIN image i WHERE i.chain_id = down.id`

func holdersOf(ctx context.Context, r reader, table, key string, args ...any) ([]held, error) {
	var all []held
	query := strings.NewReplacer("{table}", table, "{key}", key).Replace(downwards)
	err := r.each(ctx, query, slices.Concat(args, args), func(rows *sql.Rows) error {
		var h held
		err := rows.Scan(&h.image, &h.layer)
		all = append(all, h)
		return err
	})
	return all, err
}

// subject is one thing that is looked for: a package version, or a file at a path.
type subject struct {
	purl, version, path string
	holders             []held
}

// subjects finds what holds each thing that is asked for.
func (s *Store) subjects(ctx context.Context, r reader, q inventory.HolderQuery) ([]subject, error) {
	if q.File != "" {
		return fileSubjects(ctx, r, q.File)
	}
	var all []subject
	var ids []int64
	err := eachIn(ctx, r, `SELECT id, purl, version FROM package WHERE purl IN ({in}) ORDER BY purl`, nil, slices.Sorted(slices.Values(q.PURLs)), func(rows *sql.Rows) error {
		var id int64
		var one subject
		err := rows.Scan(&id, &one.purl, &one.version)
		all, ids = append(all, one), append(ids, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].holders, err = holdersOf(ctx, r, "chain_package", "a.package_id = ?", ids[i]); err != nil {
			return nil, err
		}
		if q.Free {
			if all[i].holders, err = s.freeHolders(ctx, r, ids[i], all[i].holders); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// freeHolders leaves out images where a package only repeats what a distribution's
// package owns. Few packages are owned anywhere: the others cost one question.
func (s *Store) freeHolders(ctx context.Context, r reader, pkg int64, all []held) ([]held, error) {
	owned, err := s.everOwned(ctx, r, pkg)
	if err != nil || !owned {
		return all, err
	}
	chains := make(map[int64]int64, len(all))
	ids := make([]int64, len(all))
	for i, h := range all {
		ids[i] = h.image
	}
	err = eachIn(ctx, r, `SELECT id, chain_id FROM image WHERE id IN ({in})`, nil, ids, func(rows *sql.Rows) error {
		var image, chain int64
		err := rows.Scan(&image, &chain)
		chains[image] = chain
		return err
	})
	if err != nil {
		return nil, err
	}
	free := map[int64]bool{}
	kept := all[:0]
	for _, h := range all {
		chain := chains[h.image]
		is, known := free[chain]
		if !known {
			st, err := s.stackOf(ctx, r, chain)
			if err != nil {
				return nil, err
			}
			_, is = slices.BinarySearch(st.free(), pkg)
			free[chain] = is
		}
		if is {
			kept = append(kept, h)
		}
	}
	return kept, nil
}

// everOwned says whether any stack that brought a package had a distribution's package own it.
func (s *Store) everOwned(ctx context.Context, r reader, pkg int64) (bool, error) {
	var chains []int64
	err := r.each(ctx, `SELECT chain_id FROM chain_package WHERE package_id = ? AND removed = 0`, []any{pkg}, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		chains = append(chains, id)
		return err
	})
	if err != nil {
		return false, err
	}
	for piece := range pieces(chains, inSize) {
		deltas, err := s.loadDeltas(ctx, r, piece)
		if err != nil {
			return false, err
		}
		s.keepDeltas(deltas)
		for _, d := range deltas {
			if slices.ContainsFunc(d.added, func(o occurrence) bool { return o.pkg == pkg && o.ownedBy != "" }) {
				return true, nil
			}
		}
	}
	return false, nil
}

func fileSubjects(ctx context.Context, r reader, sum string) ([]subject, error) {
	raw, err := hex.DecodeString(sum)
	if err != nil || len(raw) != 32 {
		return nil, inventory.Errorf(inventory.ErrInvalid, "%.80q is not the SHA-256 of a file", sum).WithRemedy("give sha256: and 64 hexadecimal digits")
	}
	var all []subject
	err = r.each(ctx, `SELECT DISTINCT path FROM chain_file WHERE sha256 = ? ORDER BY path`, []any{raw}, func(rows *sql.Rows) error {
		var one subject
		err := rows.Scan(&one.path)
		all = append(all, one)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].holders, err = holdersOf(ctx, r, "chain_file", "a.sha256 = ? AND a.path = ?", raw, all[i].path); err != nil {
			return nil, err
		}
	}
	return all, nil
}
