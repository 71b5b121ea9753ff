package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"
)

// unrecorded marks the images that were counted before their ecosystems were kept.
const unrecorded = "?"

// ecosystemsOf lists the ecosystems of packages, one a line; what no feed could ever
// name counts as an ecosystem of its own.
func ecosystemsOf(ctx context.Context, r reader, packages map[int64]bool) (string, error) {
	seen := map[string]bool{}
	err := eachIn(ctx, r, `SELECT DISTINCT ecosystem FROM package WHERE id IN ({in})`, nil, sortedKeys(packages), func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		if name == "" {
			name = "none"
		}
		seen[name] = true
		return err
	})
	return strings.Join(sortedKeys(seen), "\n"), err
}

// assessRows makes unknown the counts of images that have no finding because no
// advisories are kept for anything in them: that is not zero.
func (s *Store) assessRows(ctx context.Context, r reader, rows []found) error {
	if s.covers == nil {
		return nil
	}
	var covered func(string) bool
	for i := range rows {
		f := &rows[i]
		if f.Findings == nil || f.Findings.Total() > 0 || f.Packages == 0 || f.ecosystems == "" {
			continue
		}
		if covered == nil {
			names, err := advisoryEcosystems(ctx, r)
			if err != nil {
				return err
			}
			one := s.covers(names)
			covered = func(name string) bool { return name == unrecorded && len(names) > 0 || one(name) }
		}
		if !slices.ContainsFunc(strings.Split(f.ecosystems, "\n"), covered) {
			f.Findings = nil
		}
	}
	return nil
}
