package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func likePart(s string) string {
	escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
	return "%" + escape.Replace(strings.ToLower(s)) + "%"
}

func packageWhere(f inventory.PackageFilter) (where string, args []any) {
	where = " WHERE 1 = 1"
	if f.Text != "" {
		where, args = where+` AND lower(name) LIKE ? ESCAPE '\'`, append(args, likePart(f.Text))
	}
	if f.License != "" {
		where, args = where+` AND lower(licenses) LIKE ? ESCAPE '\'`, append(args, likePart(f.License))
	}
	if f.Ecosystem != "" {
		// ":" and ";" follow each other: what lies between has a release after the name.
		where, args = where+` AND (ecosystem = ? OR ecosystem >= ? AND ecosystem < ?)`, append(args, f.Ecosystem, f.Ecosystem+":", f.Ecosystem+";")
	}
	return where, args
}

type packageKey struct{ name, ecosystem string }

// FleetPackages returns one page of the packages that were ever found, by name, with
// how many images have them now. The counts are as of the newest census.
func (s *Store) FleetPackages(ctx context.Context, f inventory.PackageFilter) (page inventory.PackagePage, err error) {
	page.Rows = []inventory.PackageRow{}
	var from cursor
	if f.After != "" {
		if from, err = parseCursor(f.After, "packages", 2); err != nil {
			return page, err
		}
	}
	c, err := s.census(ctx)
	if err != nil {
		return page, err
	}
	where, args := packageWhere(f)
	err = s.view(ctx, "list packages", func(r reader) error {
		if f.After == "" {
			from.Total, err = remembered(ctx, s, r, "packages"+where, args, func() (n int, err error) {
				err = r.row(ctx, `SELECT count(*) FROM (SELECT DISTINCT name, ecosystem FROM package`+where+`) x`, args...).Scan(&n)
				return n, err
			})
			if err != nil {
				return err
			}
		}
		page.Total = from.Total
		query, values := `SELECT DISTINCT name, ecosystem FROM package`+where, slices.Clone(args)
		if f.After != "" {
			query, values = query+` AND (name, ecosystem) > (?, ?)`, append(values, from.At...)
		}
		query += ` ORDER BY name, ecosystem`
		if f.Limit > 0 {
			query, values = query+` LIMIT ?`, append(values, f.Limit+1)
		}
		var keys []packageKey
		err := r.each(ctx, query, values, func(rows *sql.Rows) error {
			var k packageKey
			err := rows.Scan(&k.name, &k.ecosystem)
			keys = append(keys, k)
			return err
		})
		if err != nil {
			return err
		}
		if f.Limit > 0 && len(keys) > f.Limit {
			keys = keys[:f.Limit]
			last := keys[f.Limit-1]
			page.Next = cursor{Sort: "packages", At: []any{last.name, last.ecosystem}, Total: from.Total}.String()
		}
		page.Rows, err = s.packageRows(ctx, r, c, keys)
		return err
	})
	return page, err
}

// packageRows reads the versions of packages and counts who has them.
func (s *Store) packageRows(ctx context.Context, r reader, c *census, keys []packageKey) ([]inventory.PackageRow, error) {
	at := make(map[packageKey]int, len(keys))
	names := map[string]bool{}
	for i, k := range keys {
		at[k], names[k.name] = i, true
	}
	rows := make([]inventory.PackageRow, len(keys))
	versions := make([][]int64, len(keys))
	var ids []int64
	err := eachIn(ctx, r, `SELECT `+packageColumns+` FROM package p WHERE p.name IN ({in})`, nil, slices.Sorted(maps.Keys(names)), func(rs *sql.Rows) error {
		id, p, err := scanPackage(rs)
		i, wanted := at[packageKey{p.Name, p.Ecosystem}]
		if err != nil || !wanted {
			return err
		}
		row := &rows[i]
		row.Name, row.Ecosystem = p.Name, p.Ecosystem
		row.Versions = append(row.Versions, inventory.PackageVersion{Version: p.Version, PURL: p.PURL})
		row.Licenses = append(row.Licenses, p.Licenses...)
		versions[i] = append(versions[i], id)
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	moves := map[int64]moved{}
	for piece := range pieces(ids, inSize) {
		args := make([]any, len(piece))
		for i, id := range piece {
			args[i] = id
		}
		some, err := marksOf(ctx, r, false, marks(len(piece)), args)
		if err != nil {
			return nil, err
		}
		maps.Copy(moves, some)
	}
	n := c.counter()
	for i := range rows {
		row := &rows[i]
		var all []stretch
		for j, id := range versions[i] {
			where := c.stretches(moves[id].brought, moves[id].taken)
			row.Versions[j].Images, _ = n.count(where)
			all = append(all, where...)
		}
		row.Images, _ = n.count(all)
		slices.Sort(row.Licenses)
		row.Licenses = slices.Compact(row.Licenses)
		slices.SortFunc(row.Versions, func(a, b inventory.PackageVersion) int {
			return cmp.Or(cmp.Compare(b.Images, a.Images), cmp.Compare(b.Version, a.Version), cmp.Compare(a.PURL, b.PURL))
		})
	}
	return rows, nil
}

// PackageEcosystems returns the ecosystems of the packages that were found, without
// their releases.
func (s *Store) PackageEcosystems(ctx context.Context) (all []string, err error) {
	err = s.view(ctx, "list ecosystems", func(r reader) error {
		return r.each(ctx, `SELECT DISTINCT ecosystem FROM package_key ORDER BY ecosystem`, nil, func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			all = append(all, name)
			return err
		})
	})
	return all, err
}
