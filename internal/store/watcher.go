package store

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// HoldWatcher makes holder the one live watcher of a name for a while, or lets it be so
// for longer. It is ErrConflict while another holds the name.
func (s *Store) HoldWatcher(ctx context.Context, name, holder string, lasts time.Duration) error {
	return s.update(ctx, "hold the name of watcher "+name, func(tx *tx) error {
		now := s.nowMS()
		n, err := tx.changed(ctx, `
			INSERT INTO watcher (name, holder, until) VALUES (?,?,?)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE watcher.holder = excluded.holder OR watcher.until <= ?`, name, holder, now+lasts.Milliseconds(), now)
		if err != nil || n > 0 {
			return err
		}
		var until int64
		if err := tx.row(ctx, `SELECT until FROM watcher WHERE name = ?`, name).Scan(&until); err != nil {
			return err
		}
		return inventory.Errorf(inventory.ErrConflict, "a watcher named %s is alive already", name).
			WithRemedy("stop that one, or give this one a name of its own; if it is dead, its name is free at %s", fromMillis(until).Format(time.RFC3339))
	})
}

// HoldsWatcher says whether holder is the live watcher of a name.
func (s *Store) HoldsWatcher(ctx context.Context, name, holder string) (holds bool, err error) {
	err = s.view(ctx, "read watcher "+name, func(r reader) error {
		var n int
		err := r.row(ctx, `SELECT count(*) FROM watcher WHERE name = ? AND holder = ?`, name, holder).Scan(&n)
		holds = n > 0
		return err
	})
	return holds, err
}

// FreeWatcher lets go of a name, if holder has it.
func (s *Store) FreeWatcher(ctx context.Context, name, holder string) error {
	return s.update(ctx, "free the name of watcher "+name, func(tx *tx) error {
		return tx.exec(ctx, `DELETE FROM watcher WHERE name = ? AND holder = ?`, name, holder)
	})
}
