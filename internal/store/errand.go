package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// An errand is an image that a far watcher has to index: only it can reach the registry.
// Errands are to it what index jobs are to the workers of this server.

// sendOut queues errands for the watcher of the look's integration. One that waits
// already stays as it is.
func (l *ledger) sendOut(ctx context.Context, wanted []inventory.Sighting) error {
	for piece := range pieces(wanted, 200) {
		rows := make([][]any, len(piece))
		list := make([]digest, len(piece))
		for i, sg := range piece {
			rows[i] = []any{l.look.Integration, digest(sg.Digest), millis(sg.Pushed)}
			list[i] = digest(sg.Digest)
		}
		waiting := 0
		err := eachIn(ctx, l.tx.reader, `SELECT digest FROM errand WHERE integration_id = ? AND digest IN ({in})`, []any{l.look.Integration}, list,
			func(*sql.Rows) error { waiting++; return nil })
		if err != nil {
			return err
		}
		l.res.Queued += len(piece) - waiting
		if err := l.tx.insert(ctx, `INSERT INTO errand (integration_id, digest, pushed)`, `ON CONFLICT DO NOTHING`, rows); err != nil {
			return err
		}
	}
	return nil
}

// errandsOf finds errands: those of a watcher's integrations that are looked at.
const errandsOf = ` FROM errand e JOIN integration n ON n.id = e.integration_id
	WHERE n.watcher = ? AND n.state NOT IN ('paused', 'disconnected')`

// TakeErrands gives a watcher what is due, the newest pushed first, but for the digests
// that it holds already. Each taking counts as an attempt.
func (s *Store) TakeErrands(ctx context.Context, watcher string, held []string, limit int) (taken []inventory.Errand, err error) {
	err = s.update(ctx, "take errands of "+watcher, func(tx *tx) error {
		taken = []inventory.Errand{}
		err := tx.each(ctx, `SELECT e.digest, max(e.attempt)`+errandsOf+` AND e.due <= ?
			GROUP BY e.digest ORDER BY max(e.pushed) DESC, e.digest LIMIT ?`, []any{watcher, s.nowMS(), limit + len(held)},
			func(rows *sql.Rows) error {
				var e inventory.Errand
				err := rows.Scan((*digest)(&e.Digest), &e.Attempt)
				if e.Attempt++; len(taken) < limit && !slices.Contains(held, e.Digest) {
					taken = append(taken, e)
				}
				return err
			})
		if err != nil {
			return err
		}
		for i := range taken {
			e := &taken[i]
			if e.Sources, err = sources(ctx, tx.reader, watcher, e.Digest); err != nil {
				return err
			}
			if err := tx.exec(ctx, `UPDATE errand SET attempt = ? WHERE digest = ? AND `+ofWatcher, e.Attempt, digest(e.Digest), watcher); err != nil {
				return err
			}
		}
		return nil
	})
	return taken, err
}

const ofWatcher = `integration_id IN (SELECT id FROM integration WHERE watcher = ?)`

// EndErrand takes an image off a watcher's list. One that is not on it is no error.
func (s *Store) EndErrand(ctx context.Context, watcher, d string) error {
	return s.update(ctx, "end the errand for "+d, func(tx *tx) error {
		return tx.exec(ctx, `DELETE FROM errand WHERE digest = ? AND `+ofWatcher, digest(d), watcher)
	})
}

// PutOffErrand makes an image due again later.
func (s *Store) PutOffErrand(ctx context.Context, watcher, d string, due time.Time) error {
	return s.update(ctx, "put off the errand for "+d, func(tx *tx) error {
		return tx.exec(ctx, `UPDATE errand SET due = ? WHERE digest = ? AND `+ofWatcher, millis(due), digest(d), watcher)
	})
}

// Errands counts what is due for a watcher now, and all that waits for it.
func (s *Store) Errands(ctx context.Context, watcher string) (due, all int, err error) {
	err = s.view(ctx, "count the errands of "+watcher, func(r reader) error {
		return r.row(ctx, `SELECT COALESCE(sum(CASE WHEN due <= ? THEN 1 ELSE 0 END), 0), count(*) FROM (SELECT e.digest, min(e.due) AS due`+errandsOf+` GROUP BY e.digest) x`,
			s.nowMS(), watcher).Scan(&due, &all)
	})
	return due, all, err
}

// WatcherHas says whether a watcher may speak of an image: one that some tag of its
// integrations has pointed to, itself or by an index, or that no tag at all has.
func (s *Store) WatcherHas(ctx context.Context, watcher, d string) (has bool, err error) {
	err = s.view(ctx, "find the places of "+d, func(r reader) error {
		mine, others := 0, 0
		err := r.each(ctx, `
			SELECT DISTINCT n.watcher FROM tag t JOIN repository r ON r.id = t.repository_id JOIN integration n ON n.id = r.integration_id
			WHERE t.image_id IN (SELECT id FROM image WHERE digest = ? UNION SELECT index_id FROM index_member WHERE digest = ?)
			UNION SELECT DISTINCT n.watcher FROM tag_move m JOIN tag t ON t.id = m.tag_id JOIN repository r ON r.id = t.repository_id
				JOIN integration n ON n.id = r.integration_id WHERE m.image_id IN (SELECT id FROM image WHERE digest = ?)`,
			[]any{digest(d), digest(d), digest(d)}, func(rows *sql.Rows) error {
				var name string
				err := rows.Scan(&name)
				if name == watcher {
					mine++
				} else {
					others++
				}
				return err
			})
		has = mine > 0 || others == 0
		return err
	})
	return has, err
}
