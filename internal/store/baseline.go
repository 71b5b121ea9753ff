package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Baseline returns what was there when watching an integration began and was not
// sighted since, in the order of the tags.
func (s *Store) Baseline(ctx context.Context, integration int64) ([]inventory.LiveTag, error) {
	tags := []inventory.LiveTag{}
	err := s.view(ctx, fmt.Sprintf("read the baseline of integration %d", integration), func(r reader) error {
		return r.each(ctx, `SELECT key, image, tag, digest FROM baseline WHERE integration_id = ? ORDER BY key, image, tag`, []any{integration},
			func(rows *sql.Rows) error {
				var t inventory.LiveTag
				err := rows.Scan(&t.Key, &t.Image, &t.Tag, (*digest)(&t.Digest))
				tags = append(tags, t)
				return err
			})
	})
	return tags, err
}

// settle keeps the baseline in step with a look: what is sighted is tracked from now
// on, what the look found there before is left.
func (l *ledger) settle(ctx context.Context, sightings []inventory.Sighting) error {
	if err := l.track(ctx, sightings); err != nil {
		return err
	}
	before, err := newest(l.look.Baseline)
	if err != nil {
		return err
	}
	rows := make([][]any, len(before))
	for i, sg := range before {
		rows[i] = []any{l.look.Integration, sg.Key, sg.Image, sg.Tag, digest(sg.Digest)}
	}
	return l.tx.insert(ctx, `INSERT INTO baseline (integration_id, key, image, tag, digest)`,
		`ON CONFLICT (integration_id, key, image, tag) DO UPDATE SET digest = excluded.digest`, rows)
}

// track takes sighted tags out of the baseline; sightings are in the order of their tags.
func (l *ledger) track(ctx context.Context, sightings []inventory.Sighting) error {
	var n int
	if err := l.tx.row(ctx, `SELECT count(*) FROM (SELECT 1 FROM baseline WHERE integration_id = ? LIMIT 1) b`, l.look.Integration).Scan(&n); err != nil || n == 0 {
		return err
	}
	for len(sightings) > 0 {
		first, same := sightings[0], 0
		var names []string
		for same < len(sightings) && sightings[same].Key == first.Key && sightings[same].Image == first.Image {
			names = append(names, sightings[same].Tag)
			same++
		}
		if err := execIn(ctx, l.tx, `DELETE FROM baseline WHERE integration_id = ? AND key = ? AND image = ? AND tag IN ({in})`,
			[]any{l.look.Integration, first.Key, first.Image}, names); err != nil {
			return err
		}
		sightings = sightings[same:]
	}
	return nil
}
