package store

import (
	"context"
	"database/sql"
)

// Feed returns what was remembered of an advisory feed, nil if nothing was.
func (s *Store) Feed(ctx context.Context, name string) (body []byte, err error) {
	err = s.view(ctx, "read the state of feed "+name, func(r reader) error {
		return r.each(ctx, `SELECT body FROM feed_state WHERE name = ?`, []any{name}, func(rows *sql.Rows) error {
			var text string
			err := rows.Scan(&text)
			body = []byte(text)
			return err
		})
	})
	return body, err
}

// SaveFeed remembers body until the next synchronisation of the feed.
func (s *Store) SaveFeed(ctx context.Context, name string, body []byte) error {
	return s.update(ctx, "save the state of feed "+name, func(tx *tx) error {
		return tx.exec(ctx, `INSERT INTO feed_state (name, body) VALUES (?,?) ON CONFLICT (name) DO UPDATE SET body = excluded.body`,
			name, string(body))
	})
}

// HeldEcosystems returns the ecosystems, without their releases, that packages in the
// ledger are of: the feeds worth having.
func (s *Store) HeldEcosystems(ctx context.Context) ([]string, error) {
	all := []string{}
	err := s.view(ctx, "list the ecosystems of packages", func(r reader) error {
		return r.each(ctx, `SELECT DISTINCT ecosystem FROM package_key ORDER BY ecosystem`, nil, func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			all = append(all, name)
			return err
		})
	})
	return all, err
}
