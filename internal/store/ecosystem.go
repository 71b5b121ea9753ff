package store

import (
	"context"
	"database/sql"
)

// Ecosystems returns which ecosystems, with their releases, the advisories at hand
// name, as they write them: what they do not name cannot be assessed.
func (s *Store) Ecosystems(ctx context.Context) ([]string, error) {
	var all []string
	err := s.view(ctx, "list the ecosystems of advisories", func(r reader) (err error) {
		all, err = advisoryEcosystems(ctx, r)
		return err
	})
	return all, err
}

func advisoryEcosystems(ctx context.Context, r reader) ([]string, error) {
	all := []string{}
	err := r.each(ctx, `SELECT name FROM advisory_ecosystem ORDER BY name`, nil, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		all = append(all, name)
		return err
	})
	return all, err
}

// saveEcosystems notes what advisories speak of.
func saveEcosystems(ctx context.Context, tx *tx, recs []prepared) error {
	names := map[string]bool{}
	for _, rec := range recs {
		for _, name := range rec.ecosystems {
			names[name] = true
		}
	}
	rows := [][]any{}
	for _, name := range sortedKeys(names) {
		rows = append(rows, []any{name})
	}
	return tx.insert(ctx, `INSERT INTO advisory_ecosystem (name)`, `ON CONFLICT DO NOTHING`, rows)
}
