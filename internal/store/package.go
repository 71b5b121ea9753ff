package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const packageColumns = `p.id, p.purl, p.name, p.version, p.ecosystem, p.source_name, p.source_version, p.arch, p.licenses`

func scanPackage(rows *sql.Rows, more ...any) (id int64, p inventory.Package, err error) {
	var licenses string
	err = rows.Scan(append([]any{&id, &p.PURL, &p.Name, &p.Version, &p.Ecosystem, &p.SourceName, &p.SourceVersion, &p.Arch, &licenses}, more...)...)
	p.Licenses = fromList(licenses)
	return id, p, err
}

func packagesByID(ctx context.Context, r reader, ids []int64) (map[int64]inventory.Package, error) {
	byID := make(map[int64]inventory.Package, len(ids))
	err := eachIn(ctx, r, `SELECT `+packageColumns+` FROM package p WHERE p.id IN ({in})`, nil, ids, func(rows *sql.Rows) error {
		id, p, err := scanPackage(rows)
		byID[id] = p
		return err
	})
	return byID, err
}

// savePackages makes sure that packages are known and returns their ids by purl. What
// is known of a package already stays, but for blanks that are filled, and what decides
// its match when a newer indexer says otherwise.
func (s *Store) savePackages(ctx context.Context, tx *tx, byPURL map[string]inventory.Package, indexer int) (map[string]int64, error) {
	purls := slices.Sorted(maps.Keys(byPURL)) // one order for all writers: no deadlocks
	ids, err := s.knownPackages(ctx, tx, purls, byPURL, indexer)
	if err != nil {
		return nil, err
	}
	var fresh []string
	var rows [][]any
	for _, purl := range purls {
		if _, ok := ids[purl]; ok {
			continue
		}
		p := byPURL[purl]
		if purl == "" {
			return nil, inventory.Errorf(inventory.ErrInvalid, "package %s %s has no purl", p.Name, p.Version)
		}
		fresh = append(fresh, purl)
		rows = append(rows, []any{purl, p.Name, p.Version, p.Ecosystem, p.SourceName, p.SourceVersion, p.Arch, list(p.Licenses), indexer, flag(s.matchless(p))})
	}
	if len(fresh) == 0 {
		return ids, nil
	}
	if err := tx.insert(ctx, `INSERT INTO package (purl, name, version, ecosystem, source_name, source_version, arch, licenses, indexer, matched)`,
		`ON CONFLICT (purl) DO NOTHING`, rows); err != nil {
		return nil, err
	}
	var keys [][]any
	err = eachIn(ctx, tx.reader, `SELECT id, purl FROM package WHERE purl IN ({in})`, nil, fresh, func(rows *sql.Rows) error {
		var id int64
		var purl string
		err := rows.Scan(&id, &purl)
		ids[purl] = id
		keys = append(keys, s.keyRows(id, byPURL[purl])...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ids, tx.insert(ctx, `INSERT INTO package_key (ecosystem, name, package_id)`, `ON CONFLICT DO NOTHING`, keys)
}

// matchless says that no advisory can ever name p.
func (s *Store) matchless(p inventory.Package) bool {
	return s.keysOf != nil && len(s.keysOf(p)) == 0
}

func (s *Store) keyRows(id int64, p inventory.Package) [][]any {
	if s.keysOf == nil {
		return nil
	}
	var rows [][]any
	for _, key := range s.keysOf(p) {
		rows = append(rows, []any{key.Ecosystem, key.Name, id})
	}
	return rows
}

func (s *Store) knownPackages(ctx context.Context, tx *tx, purls []string, byPURL map[string]inventory.Package, indexer int) (map[string]int64, error) {
	ids := make(map[string]int64, len(purls))
	type change struct {
		id       int64
		old, now inventory.Package
	}
	var changes []change
	err := eachIn(ctx, tx.reader, `SELECT `+packageColumns+`, p.indexer FROM package p WHERE p.purl IN ({in})`, nil, purls, func(rows *sql.Rows) error {
		var by int
		id, old, err := scanPackage(rows, &by)
		if err != nil {
			return err
		}
		ids[old.PURL] = id
		if now := merged(old, byPURL[old.PURL], indexer > by); !same(old, now) {
			changes = append(changes, change{id, old, now})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if err := s.changePackage(ctx, tx, c.id, c.old, c.now, indexer); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func (s *Store) changePackage(ctx context.Context, tx *tx, id int64, old, now inventory.Package, indexer int) error {
	err := tx.exec(ctx, `UPDATE package SET ecosystem = ?, source_name = ?, source_version = ?, arch = ?, licenses = ?, indexer = ? WHERE id = ?`,
		now.Ecosystem, now.SourceName, now.SourceVersion, now.Arch, list(now.Licenses), indexer, id)
	if err != nil || old.Ecosystem == now.Ecosystem && old.SourceName == now.SourceName && old.SourceVersion == now.SourceVersion {
		return err
	}
	if err := tx.exec(ctx, `UPDATE package SET matched = ? WHERE id = ?`, flag(s.matchless(now)), id); err != nil {
		return err
	}
	if err := tx.exec(ctx, `DELETE FROM package_key WHERE package_id = ?`, id); err != nil {
		return err
	}
	return tx.insert(ctx, `INSERT INTO package_key (ecosystem, name, package_id)`, `ON CONFLICT DO NOTHING`, s.keyRows(id, now))
}

// merged fills the blanks of old from now, and takes what decides a match from now if
// its indexer is newer.
func merged(old, now inventory.Package, newer bool) inventory.Package {
	out := old
	for _, f := range []struct{ to, from *string }{
		{&out.Ecosystem, &now.Ecosystem}, {&out.SourceName, &now.SourceName}, {&out.SourceVersion, &now.SourceVersion}, {&out.Arch, &now.Arch},
	} {
		if *f.from != "" && (newer || *f.to == "") {
			*f.to = *f.from
		}
	}
	if len(now.Licenses) > 0 && (newer || len(old.Licenses) == 0) {
		out.Licenses = now.Licenses
	}
	return out
}

func same(a, b inventory.Package) bool {
	return a.Ecosystem == b.Ecosystem && a.SourceName == b.SourceName && a.SourceVersion == b.SourceVersion && a.Arch == b.Arch &&
		slices.Equal(a.Licenses, b.Licenses)
}

// UnmatchedPackages returns the packages of an image, or of the members of an index,
// that were not matched against the present advisories, by purl.
func (s *Store) UnmatchedPackages(ctx context.Context, d string) (all []inventory.Package, err error) {
	err = s.view(ctx, "find unmatched packages of "+d, func(r reader) error {
		chains, err := chainsOf(ctx, r, d)
		if err != nil {
			return err
		}
		found := map[string]inventory.Package{}
		for _, chain := range chains {
			st, err := s.stackOf(ctx, r, chain)
			if err != nil {
				return err
			}
			err = eachIn(ctx, r, `SELECT `+packageColumns+` FROM package p WHERE p.matched = 0 AND p.id IN ({in})`, nil, st.packages(),
				func(rows *sql.Rows) error {
					_, p, err := scanPackage(rows)
					found[p.PURL] = p
					return err
				})
			if err != nil {
				return err
			}
		}
		all = sorted(found)
		return nil
	})
	return all, err
}

// chainsOf are the chain rows of an image, or of the members of an index.
func chainsOf(ctx context.Context, r reader, d string) ([]int64, error) {
	var chains []int64
	err := r.each(ctx, `
		SELECT DISTINCT chain_id FROM image WHERE chain_id > 0 AND (digest = ? OR digest IN (
			SELECT m.digest FROM index_member m JOIN image x ON x.id = m.index_id WHERE x.digest = ?)) ORDER BY chain_id`,
		[]any{digest(d), digest(d)}, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			chains = append(chains, id)
			return err
		})
	return chains, err
}

// Unmatched returns packages of any image that were not matched against the present
// advisories, at most limit: what an interrupted import left behind.
func (s *Store) Unmatched(ctx context.Context, limit int) (all []inventory.Package, err error) {
	all = []inventory.Package{}
	err = s.view(ctx, "find unmatched packages", func(r reader) error {
		return r.each(ctx, `SELECT `+packageColumns+` FROM package p WHERE p.matched = 0 ORDER BY p.id LIMIT ?`, []any{limit}, func(rows *sql.Rows) error {
			_, p, err := scanPackage(rows)
			all = append(all, p)
			return err
		})
	})
	return all, err
}

// PackagesByKeys returns the packages that advisories under these keys may name, by purl.
func (s *Store) PackagesByKeys(ctx context.Context, keys []inventory.AffectedKey) (all []inventory.Package, err error) {
	byEcosystem := map[string][]string{}
	for _, key := range keys {
		byEcosystem[key.Ecosystem] = append(byEcosystem[key.Ecosystem], key.Name)
	}
	found := map[string]inventory.Package{}
	err = s.view(ctx, fmt.Sprintf("find packages of %d keys", len(keys)), func(r reader) error {
		for _, ecosystem := range slices.Sorted(maps.Keys(byEcosystem)) {
			err := eachIn(ctx, r, `
				SELECT `+packageColumns+` FROM package_key k JOIN package p ON p.id = k.package_id
				WHERE k.ecosystem = ? AND k.name IN ({in})`, []any{ecosystem}, byEcosystem[ecosystem], func(rows *sql.Rows) error {
				_, p, err := scanPackage(rows)
				found[p.PURL] = p
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return sorted(found), err
}

func sorted(byPURL map[string]inventory.Package) []inventory.Package {
	all := make([]inventory.Package, 0, len(byPURL))
	for _, purl := range slices.Sorted(maps.Keys(byPURL)) {
		all = append(all, byPURL[purl])
	}
	return all
}
