package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

// JobSpot asks the watches of an image that was analysed: DigestArgs.
const JobSpot = "spot"

// mostWatches bounds what every new image costs.
const mostWatches = 1000

// Watches lists the watches by name, with how many images each met.
func (s *Store) Watches(ctx context.Context) (all []inventory.Watch, err error) {
	err = s.view(ctx, "list watches", func(r reader) error {
		all, err = watches(ctx, r, "")
		return err
	})
	return all, err
}

func watches(ctx context.Context, r reader, where string, args ...any) ([]inventory.Watch, error) {
	all := []inventory.Watch{}
	err := r.each(ctx, `
		SELECT w.id, w.name, w.query, w.ecosystem, w.author, w.created_at,
			(SELECT count(*) FROM who_watch_hit h WHERE h.watch_id = w.id), (SELECT COALESCE(max(h.at), 0) FROM who_watch_hit h WHERE h.watch_id = w.id)
		FROM who_watch w `+where+` ORDER BY w.name`, args, func(rows *sql.Rows) error {
		var w inventory.Watch
		var created, last int64
		err := rows.Scan(&w.ID, &w.Name, &w.Query, &w.Ecosystem, &w.Author, &created, &w.Images, &last)
		w.Created, w.Last = fromMillis(created), timeOf(last)
		all = append(all, w)
		return err
	})
	return all, err
}

// AddWatch saves a question. Images that were analysed before are not asked.
func (s *Store) AddWatch(ctx context.Context, w inventory.Watch) (inventory.Watch, error) {
	err := s.update(ctx, "save watch "+w.Name, func(tx *tx) error {
		var n, same int
		if err := tx.row(ctx, `SELECT count(*), COALESCE(sum(CASE WHEN name = ? THEN 1 ELSE 0 END), 0) FROM who_watch`, w.Name).Scan(&n, &same); err != nil {
			return err
		}
		switch {
		case same > 0:
			return inventory.Errorf(inventory.ErrConflict, "there is a watch %s already", w.Name).WithRemedy("choose another name, or remove it: tallyman who-has --unwatch %s", w.Name)
		case n >= mostWatches:
			return inventory.Errorf(inventory.ErrConflict, "there are %d watches already", n).WithRemedy("remove some: tallyman who-has --watches lists them")
		}
		now := s.nowMS()
		err := tx.each(ctx, `INSERT INTO who_watch (name, query, ecosystem, author, created_at) VALUES (?,?,?,?,?) RETURNING id`,
			[]any{w.Name, w.Query, w.Ecosystem, w.Author, now}, func(rows *sql.Rows) error { return rows.Scan(&w.ID) })
		if err != nil {
			return err
		}
		w.Created, w.Images, w.Last = fromMillis(now), 0, nil
		return tx.note(ctx, now, "watch saved", w.Name, nil, w)
	})
	return w, err
}

// RemoveWatch forgets a question and which images had it.
func (s *Store) RemoveWatch(ctx context.Context, name string) error {
	return s.update(ctx, "remove watch "+name, func(tx *tx) error {
		found, err := watches(ctx, tx.reader, `WHERE w.name = ?`, name)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return inventory.Errorf(inventory.ErrNotFound, "there is no watch %q", name).WithRemedy("see: tallyman who-has --watches")
		}
		for _, text := range []string{`DELETE FROM who_watch_hit WHERE watch_id = ?`, `DELETE FROM who_watch WHERE id = ?`} {
			if err := tx.exec(ctx, text, found[0].ID); err != nil {
				return err
			}
		}
		return tx.note(ctx, s.nowMS(), "watch removed", name, found[0], nil)
	})
}

// askWatches queues the questions about an image that is analysed for the first time.
func askWatches(ctx context.Context, tx *tx, f finishing) error {
	var n int
	err := tx.row(ctx, `SELECT count(*) FROM (SELECT 1 FROM who_watch LIMIT 1) AS saved WHERE (SELECT analysed_at FROM image WHERE id = ?) = 0`, f.id).Scan(&n)
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.enqueue(ctx, queue.Job{Kind: JobSpot, Args: DigestArgs{f.digest}, Unique: f.digest, Priority: queue.Soon})
	return err
}

// Content reads what an image holds, and which of the files (64 hex) are in it.
func (s *Store) Content(ctx context.Context, d string, files []string) (c inventory.ImageContent, err error) {
	c = inventory.ImageContent{Digest: d, Flaws: map[string]bool{}, Files: map[string]bool{}}
	err = s.view(ctx, "read the content of "+d, func(r reader) error {
		var chain, analysed int64
		err := r.each(ctx, `SELECT chain_id, analysed_at FROM image WHERE digest = ?`, []any{digest(d)},
			func(rows *sql.Rows) error { return rows.Scan(&chain, &analysed) })
		if err != nil || chain == 0 || analysed == 0 {
			return err
		}
		c.Analysed = fromMillis(analysed)
		st, err := s.stackOf(ctx, r, chain)
		if err != nil {
			return err
		}
		byID, err := packagesByID(ctx, r, st.packages())
		if err != nil {
			return err
		}
		for _, id := range sortedKeys(byID) {
			c.Packages = append(c.Packages, byID[id])
		}
		if err := flawIDs(ctx, r, st.free(), c.Flaws); err != nil {
			return err
		}
		links, err := s.path(ctx, r, chain)
		if err != nil {
			return err
		}
		return filesOf(ctx, r, links, files, c.Files)
	})
	return c, err
}

func flawIDs(ctx context.Context, r reader, packages []int64, into map[string]bool) error {
	return eachIn(ctx, r, `SELECT flaw, advisory, aliases FROM verdict WHERE package_id IN ({in})`, nil, packages, func(rows *sql.Rows) error {
		var flaw, advisory, aliases string
		err := rows.Scan(&flaw, &advisory, &aliases)
		into[flaw], into[advisory] = true, true
		for _, id := range fromList(aliases) {
			into[id] = true
		}
		return err
	})
}

// filesOf finds which files are in a stack: the last layer that says something of a path
// has its way.
func filesOf(ctx context.Context, r reader, links []link, files []string, into map[string]bool) error {
	depth := make(map[int64]int, len(links))
	ids := make([]int64, len(links))
	for i, l := range links {
		depth[l.id], ids[i] = i, l.id
	}
	for _, sum := range files {
		raw, err := hex.DecodeString(sum)
		if err != nil {
			return fmt.Errorf("%.80q is not the SHA-256 of a file: %w", sum, err)
		}
		last, there := map[string]int{}, map[string]bool{}
		err = eachIn(ctx, r, `SELECT chain_id, path, removed FROM chain_file WHERE sha256 = ? AND chain_id IN ({in})`, []any{raw}, ids, func(rows *sql.Rows) error {
			var chain int64
			var at string
			var removed int
			err := rows.Scan(&chain, &at, &removed)
			if before, ok := last[at]; !ok || depth[chain] > before {
				last[at], there[at] = depth[chain], removed == 0
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, is := range there {
			into[sum] = into[sum] || is
		}
	}
	return nil
}

// Spotted records that a later image has what a watch looks for, once, and tells who
// listens.
func (s *Store) Spotted(ctx context.Context, w inventory.Watch, d string) error {
	return s.update(ctx, "record what watch "+w.Name+" met", func(tx *tx) error {
		var id int64
		err := tx.each(ctx, `SELECT id FROM who_watch WHERE id = ?`, []any{w.ID}, func(rows *sql.Rows) error { return rows.Scan(&id) })
		if err != nil || id == 0 { // somebody removed it meanwhile
			return err
		}
		now := s.nowMS()
		n, err := tx.changed(ctx, `INSERT INTO who_watch_hit (watch_id, digest, at) VALUES (?,?,?) ON CONFLICT (watch_id, digest) DO NOTHING`, w.ID, digest(d), now)
		if err != nil || n == 0 {
			return err
		}
		return addEvent(ctx, tx, event{
			kind: EventWatchHit, subject: fmt.Sprintf("%d|%s", w.ID, d), at: now,
			body: EventBody{Digest: d, Watch: w.Name, Query: w.Query},
		})
	})
}
