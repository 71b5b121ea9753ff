package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

// flaw is what counts of a finding.
type flaw struct {
	rank         int
	fixable, kev bool
}

// tally is what the counts of an image are made of, so that an index can join them.
type tally struct {
	packages map[int64]bool
	flaws    map[string]flaw
}

func newTally() tally { return tally{map[int64]bool{}, map[string]flaw{}} }

func (t tally) add(id string, f flaw) {
	if old, ok := t.flaws[id]; ok {
		f = flaw{min(f.rank, old.rank), f.fixable || old.fixable, f.kev || old.kev}
	}
	t.flaws[id] = f
}

func (t tally) counts() inventory.Counts {
	var c inventory.Counts
	for _, f := range t.flaws {
		*[...]*int{&c.Critical, &c.High, &c.Medium, &c.Low, &c.Unspecified}[f.rank]++
		if f.fixable {
			c.Fixable++
			c.FixableBy[f.rank]++
		}
	}
	return c
}

// exploited is how many of the flaws are known to be.
func (t tally) exploited() (n int) {
	for _, f := range t.flaws {
		n += flag(f.kev)
	}
	return n
}

// score orders images by what they have of the worst severity, then of the next.
func score(c inventory.Counts) int64 {
	return int64(min(c.Critical, 8191))<<39 | int64(min(c.High, 8191))<<26 | int64(min(c.Medium, 8191))<<13 | int64(min(c.Low, 8191))
}

// tallyChain counts what a stack of layers has, as the image that it is: exceptions may
// speak of one image only.
func (s *Store) tallyChain(ctx context.Context, r reader, chain int64, image string, into tally) error {
	if chain == 0 {
		return nil
	}
	st, err := s.stackOf(ctx, r, chain)
	if err != nil {
		return err
	}
	for _, id := range st.packages() {
		into.packages[id] = true
	}
	rules, err := s.rulesFor(ctx, r, image)
	if err != nil {
		return err
	}
	if len(rules) > 0 {
		return (&excuser{r: r, rules: rules, st: st}).tally(ctx, into)
	}
	return eachIn(ctx, r, `
		SELECT v.flaw, v.severity, v.fixed, CASE WHEN k.cve IS NULL THEN 0 ELSE 1 END
		FROM verdict v LEFT JOIN kev k ON k.cve = v.flaw WHERE v.package_id IN ({in})`, nil, st.free(), func(rows *sql.Rows) error {
		var id, fixed string
		var rank, kev int
		if err := rows.Scan(&id, &rank, &fixed, &kev); err != nil {
			return err
		}
		into.add(id, flaw{min(max(rank, 0), len(inventory.Severities)-1), fixed != "[]", kev != 0})
		return nil
	})
}

func saveCounts(ctx context.Context, tx *tx, id int64, t tally) error {
	c, ecosystems := t.counts(), ""
	if c.Total() == 0 {
		var err error
		if ecosystems, err = ecosystemsOf(ctx, tx.reader, t.packages); err != nil {
			return err
		}
	}
	tx.touch(id)
	return tx.exec(ctx, `
		UPDATE image SET packages = ?, critical = ?, high = ?, medium = ?, low = ?, unspecified = ?,
			fix_critical = ?, fix_high = ?, fix_medium = ?, fix_low = ?, fix_unspecified = ?, kev = ?, score = ?, ecosystems = ? WHERE id = ?`,
		len(t.packages), c.Critical, c.High, c.Medium, c.Low, c.Unspecified,
		c.FixableBy[0], c.FixableBy[1], c.FixableBy[2], c.FixableBy[3], c.FixableBy[4], t.exploited(), score(c), ecosystems, id)
}

// finishing is a platform image that may be done.
type finishing struct {
	id     int64
	digest string
	chain  int64
}

// finish counts an image and calls it analysed, or queues its match while a package
// of it is not matched.
func (s *Store) finish(ctx context.Context, tx *tx, f finishing) error {
	var unmatched int
	if f.chain != 0 {
		st, err := s.stackOf(ctx, tx.reader, f.chain)
		if err != nil {
			return err
		}
		err = eachIn(ctx, tx.reader, `SELECT count(*) FROM package WHERE matched = 0 AND id IN ({in})`, nil, st.packages(), func(rows *sql.Rows) error {
			var n int
			err := rows.Scan(&n)
			unmatched += n
			return err
		})
		if err != nil {
			return err
		}
	}
	if unmatched > 0 {
		_, err := tx.enqueue(ctx, queue.Job{Kind: JobMatch, Args: DigestArgs{f.digest}, Unique: f.digest, Priority: queue.Soon})
		if err != nil {
			return err
		}
		return s.settleIndexesOf(ctx, tx, f.digest)
	}
	t := newTally()
	if err := s.tallyChain(ctx, tx.reader, f.chain, f.digest, t); err != nil {
		return err
	}
	if err := saveCounts(ctx, tx, f.id, t); err != nil {
		return err
	}
	if err := askWatches(ctx, tx, f); err != nil {
		return err
	}
	err := tx.exec(ctx, `UPDATE image SET state = ?, problem = '', retry = 0, analysed_at = CASE WHEN analysed_at = 0 THEN ? ELSE analysed_at END WHERE id = ?`,
		inventory.StateAnalysed, s.nowMS(), f.id)
	if err != nil {
		return err
	}
	err = addEvent(ctx, tx, event{kind: EventImageIndexed, subject: f.digest, at: s.nowMS(), body: EventBody{Digest: f.digest}})
	if err != nil {
		return err
	}
	return s.settleIndexesOf(ctx, tx, f.digest)
}

// FinishImage calls an image analysed if no package of it is unmatched, with its
// indexes; otherwise its match is queued (again). Of an index, every member.
func (s *Store) FinishImage(ctx context.Context, d string) error {
	return s.update(ctx, "finish image "+d, func(tx *tx) error {
		var all []finishing
		err := tx.each(ctx, `
			SELECT id, digest, chain_id FROM image WHERE kind <> ? AND chain_id > 0 AND state IN (?, ?) AND (digest = ? OR digest IN (
				SELECT m.digest FROM index_member m JOIN image x ON x.id = m.index_id WHERE x.digest = ?)) ORDER BY id`,
			[]any{inventory.IndexKind, inventory.StateWaiting, inventory.StateAnalysed, digest(d), digest(d)}, func(rows *sql.Rows) error {
				var f finishing
				err := rows.Scan(&f.id, (*digest)(&f.digest), &f.chain)
				all = append(all, f)
				return err
			})
		if err != nil {
			return err
		}
		for _, f := range all {
			if err := s.finish(ctx, tx, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// settleIndexesOf settles every index that lists an image.
func (s *Store) settleIndexesOf(ctx context.Context, tx *tx, member string) error {
	if err := tx.lock(ctx, lockSettle, 0); err != nil {
		return err
	}
	var ids []int64
	err := tx.each(ctx, `SELECT DISTINCT index_id FROM index_member WHERE digest = ? ORDER BY index_id`, []any{digest(member)}, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.settleIndex(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}

type memberState struct {
	digest, platform, state, problem string
	chain                            int64
	retry                            int
}

// settleIndex gives an index the state of its Linux members and the union of their
// counts. While one waits it waits: what it will be is not known. Nor is it while its own
// job is still to come: the members that it had may not be the ones that it has.
func (s *Store) settleIndex(ctx context.Context, tx *tx, id int64) error {
	var state string
	var indexer int64
	if err := tx.row(ctx, `SELECT state, indexer FROM image WHERE id = ?`+tx.forUpdate(), id).Scan(&state, &indexer); err != nil {
		return err
	}
	if state == inventory.StateWaiting && indexer == 0 {
		return nil
	}
	var members []memberState
	err := tx.each(ctx, `
		SELECT i.digest, m.platform, i.state, i.problem, i.chain_id, i.retry FROM index_member m JOIN image i ON i.digest = m.digest
		WHERE m.index_id = ? AND m.kind IN ('', ?) ORDER BY m.position`, []any{id, inventory.ImageKind}, func(rows *sql.Rows) error {
		var m memberState
		err := rows.Scan((*digest)(&m.digest), &m.platform, &m.state, &m.problem, &m.chain, &m.retry)
		if linux(m.platform) {
			members = append(members, m)
		}
		return err
	})
	if err != nil {
		return err
	}
	worst := worstOf(members)
	t := newTally()
	if worst.state == inventory.StateAnalysed {
		for _, m := range members {
			if err := s.tallyChain(ctx, tx.reader, m.chain, m.digest, t); err != nil {
				return err
			}
		}
	}
	if err := saveCounts(ctx, tx, id, t); err != nil {
		return err
	}
	err = tx.exec(ctx, `UPDATE image SET state = ?, problem = ?, retry = ? WHERE id = ?`, worst.state, worst.problem, worst.retry, id)
	if err != nil || worst.state != inventory.StateAnalysed {
		return err
	}
	return tx.exec(ctx, `UPDATE image SET analysed_at = ? WHERE id = ? AND analysed_at = 0`, s.nowMS(), id)
}

func worstOf(members []memberState) memberState {
	order := []string{inventory.StateWaiting, inventory.StateFailed, inventory.StateUnsupported, inventory.StateAnalysed}
	for _, state := range order {
		i := slices.IndexFunc(members, func(m memberState) bool { return m.state == state })
		if i < 0 {
			continue
		}
		worst := members[i]
		if worst.platform != "" && worst.problem != "" {
			worst.problem = worst.platform + ": " + worst.problem
		}
		return worst
	}
	return memberState{state: inventory.StateUnsupported, problem: "no Linux platform in this index"}
}

// RefreshCounts counts again what changed verdicts touched, at most limit stacks of
// layers, and says whether there is more. It is cheap when there is nothing to do, and
// holds the writer only for a few images at a time.
func (s *Store) RefreshCounts(ctx context.Context, limit int) (more bool, err error) {
	if err := s.endExceptions(ctx); err != nil {
		return false, err
	}
	const step = 20
	for done := 0; done < limit; done += step {
		n, err := s.refreshStep(ctx, min(step, limit-done))
		if err != nil || n == 0 {
			return false, err
		}
	}
	return true, nil
}

type staleChain struct{ id, mark int64 }

func (s *Store) refreshStep(ctx context.Context, limit int) (int, error) {
	stale, err := s.stale(ctx, limit)
	if err != nil || len(stale) == 0 {
		return 0, err
	}
	return len(stale), s.update(ctx, "count findings", func(tx *tx) error {
		if err := tx.lock(ctx, lockCounts, 0); err != nil {
			return err
		}
		for _, c := range stale {
			if err := s.refreshChain(ctx, tx, c); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) stale(ctx context.Context, limit int) (stale []staleChain, err error) {
	err = s.view(ctx, "find counts to refresh", func(r reader) error {
		return r.each(ctx, `SELECT chain_id, mark FROM stale_chain ORDER BY chain_id LIMIT ?`, []any{limit}, func(rows *sql.Rows) error {
			var c staleChain
			err := rows.Scan(&c.id, &c.mark)
			stale = append(stale, c)
			return err
		})
	})
	return stale, err
}

// refreshChain counts the images of one chain again and passes the mark on to the
// chains that stand on it: the work is walked down the tree in small steps, each durable.
func (s *Store) refreshChain(ctx context.Context, tx *tx, c staleChain) error {
	var images []finishing
	err := tx.each(ctx, `SELECT id, digest FROM image WHERE chain_id = ? AND state = ? ORDER BY id`, []any{c.id, inventory.StateAnalysed},
		func(rows *sql.Rows) error {
			f := finishing{chain: c.id}
			err := rows.Scan(&f.id, (*digest)(&f.digest))
			images = append(images, f)
			return err
		})
	if err != nil {
		return err
	}
	for _, im := range images {
		t := newTally()
		if err := s.tallyChain(ctx, tx.reader, c.id, im.digest, t); err != nil {
			return err
		}
		if err := saveCounts(ctx, tx, im.id, t); err != nil {
			return err
		}
		if err := s.settleIndexesOf(ctx, tx, im.digest); err != nil {
			return err
		}
	}
	err = tx.exec(ctx, `
		INSERT INTO stale_chain (chain_id, mark) SELECT id, 1 FROM chain WHERE parent_id = ?
		ON CONFLICT (chain_id) DO UPDATE SET mark = stale_chain.mark + 1`, c.id)
	if err != nil {
		return err
	}
	return tx.exec(ctx, `DELETE FROM stale_chain WHERE chain_id = ? AND mark = ?`, c.id, c.mark)
}

// markStale says that the counts of whatever holds these packages are to be made again.
func markStale(ctx context.Context, tx *tx, packages []int64) error {
	for piece := range pieces(packages, inSize) {
		args := make([]any, len(piece))
		for i, id := range piece {
			args[i] = id
		}
		err := tx.exec(ctx, fmt.Sprintf(`
			INSERT INTO stale_chain (chain_id, mark)
			SELECT DISTINCT chain_id, 1 FROM chain_package WHERE package_id IN (%s) AND removed <> 1
			ON CONFLICT (chain_id) DO UPDATE SET mark = stale_chain.mark + 1`, marks(len(piece))), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// markExploited says that the counts of whatever has one of these flaws are to be made
// again: the catalogue of the exploited ones has changed.
func markExploited(ctx context.Context, tx *tx, all []inventory.KEV) error {
	changed := make(map[string]bool, len(all))
	for _, k := range all {
		changed[k.CVE] = true
	}
	err := tx.each(ctx, `SELECT cve FROM kev`, nil, func(rows *sql.Rows) error {
		var cve string
		err := rows.Scan(&cve)
		if changed[cve] {
			delete(changed, cve)
		} else {
			changed[cve] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	var packages []int64
	err = eachIn(ctx, tx.reader, `SELECT DISTINCT package_id FROM verdict WHERE flaw IN ({in})`, nil, sortedKeys(changed), func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		packages = append(packages, id)
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(packages)
	return markStale(ctx, tx, slices.Compact(packages))
}
