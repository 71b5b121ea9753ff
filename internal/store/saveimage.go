package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

// SaveImage records what an image or index is, the stacks of layers that were not known
// yet, and queues its match, in one transaction; or finishes it when every package of
// it is matched already. Members of an index that nobody indexed are queued. A parent
// stack that is neither given nor known is ErrUnavailable: index the image again.
func (s *Store) SaveImage(ctx context.Context, img inventory.Image, chains []inventory.ChainRecord) error {
	if err := digest(img.Digest).check(); err != nil {
		return fmt.Errorf("save image: %w", err)
	}
	body, err := packJSON(img)
	if err != nil {
		return fmt.Errorf("save image %s: %w", img.Digest, err)
	}
	return s.update(ctx, "save image "+img.Digest, func(tx *tx) error {
		if img.Kind == inventory.IndexKind {
			if err := tx.lock(ctx, lockSettle, 0); err != nil {
				return err
			}
		}
		sv := &saver{s: s, tx: tx, img: img, body: body}
		return sv.save(ctx, chains)
	})
}

// saver is one image on its way into the tables.
type saver struct {
	s    *Store
	tx   *tx
	img  inventory.Image
	body []byte
	id   int64 // of the image's row
	old  knownImage
	// voucher is who vouched for the image before.
	voucher string
}

func (sv *saver) save(ctx context.Context, chains []inventory.ChainRecord) error {
	if err := sv.row(ctx); err != nil {
		return err
	}
	if int64(sv.img.Indexer) < sv.old.indexer {
		return nil // an older indexer has nothing to add
	}
	if sv.img.State == inventory.StateFailed && sv.old.state == inventory.StateAnalysed {
		return nil // what was learned of content stays true when it cannot be fetched again
	}
	if sv.img.Voucher != "" && sv.img.Voucher != sv.voucher && sv.old.indexer > 0 && sv.old.state != inventory.StateFailed {
		return nil // what somebody else vouched for is not overwritten
	}
	chain, err := sv.chains(ctx, chains)
	if err != nil {
		return err
	}
	if err := sv.write(ctx, chain); err != nil {
		return err
	}
	if sv.img.Kind == inventory.IndexKind {
		return sv.members(ctx)
	}
	return sv.settle(ctx, chain)
}

// row makes sure that the image has a row, and holds it until the transaction ends. It
// looks first: PostgreSQL spends a number on every row that it then does not insert.
func (sv *saver) row(ctx context.Context) error {
	d := digest(sv.img.Digest)
	read := func() error {
		return sv.tx.row(ctx, `SELECT id, state, indexer, voucher FROM image WHERE digest = ?`+sv.tx.forUpdate(), d).
			Scan(&sv.id, &sv.old.state, &sv.old.indexer, &sv.voucher)
	}
	err := read()
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	err = sv.tx.exec(ctx, `INSERT INTO image (digest, state, first_seen) VALUES (?,?,?) ON CONFLICT (digest) DO NOTHING`,
		d, inventory.StateWaiting, sv.s.nowMS())
	if err != nil {
		return err
	}
	return read()
}

// forUpdate holds the rows of a SELECT; SQLite's one writer holds everything.
func (t *tx) forUpdate() string {
	if t.d == postgres {
		return " FOR UPDATE"
	}
	return ""
}

// chains records new chains and returns the row of the image's own (0 = none).
func (sv *saver) chains(ctx context.Context, records []inventory.ChainRecord) (int64, error) {
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b inventory.ChainRecord) int { return cmp.Compare(a.Depth, b.Depth) })
	known, err := sv.knownChains(ctx, records)
	if err != nil {
		return 0, err
	}
	packages := map[string]inventory.Package{}
	lacking := false
	for _, rec := range records {
		if known[chainKey{rec.ChainID, rec.Indexer}] == 0 {
			lacking = true
			for _, o := range slices.Concat(rec.Added, rec.Removed) {
				packages[o.PURL] = o.Package
			}
		}
	}
	if lacking {
		if err := sv.tx.lockShared(ctx, lockChains); err != nil {
			return 0, err
		}
	}
	ids, err := sv.s.savePackages(ctx, sv.tx, packages, sv.img.Indexer)
	if err != nil {
		return 0, err
	}
	for _, rec := range records {
		key := chainKey{rec.ChainID, rec.Indexer}
		if known[key] != 0 {
			continue
		}
		parent := known[chainKey{rec.Parent, rec.Indexer}]
		if rec.Parent != "" && parent == 0 {
			return 0, unknownParent(sv.img.Digest, rec.Parent)
		}
		if known[key], err = sv.saveChain(ctx, rec, parent, ids); err != nil {
			return 0, err
		}
	}
	own := known[chainKey{sv.img.ChainID, sv.img.Indexer}]
	if sv.img.ChainID != "" && own == 0 {
		return 0, unknownParent(sv.img.Digest, sv.img.ChainID)
	}
	return own, nil
}

func unknownParent(image, chain string) error {
	return inventory.Errorf(inventory.ErrUnavailable, "image %s stands on layers %s that are not known (any more)", image, chain).
		WithRemedy("it is indexed again")
}

type chainKey struct {
	id      string
	indexer int
}

func (sv *saver) knownChains(ctx context.Context, records []inventory.ChainRecord) (map[chainKey]int64, error) {
	byIndexer := map[int][]digest{}
	if sv.img.ChainID != "" {
		byIndexer[sv.img.Indexer] = append(byIndexer[sv.img.Indexer], digest(sv.img.ChainID))
	}
	for _, rec := range records {
		byIndexer[rec.Indexer] = append(byIndexer[rec.Indexer], digest(rec.ChainID))
		if rec.Parent != "" {
			byIndexer[rec.Indexer] = append(byIndexer[rec.Indexer], digest(rec.Parent))
		}
	}
	known := map[chainKey]int64{}
	for _, indexer := range slices.Sorted(maps.Keys(byIndexer)) {
		err := eachIn(ctx, sv.tx.reader, `SELECT chain_id, id FROM chain WHERE indexer = ? AND chain_id IN ({in})`, []any{indexer}, byIndexer[indexer],
			func(rows *sql.Rows) error {
				var d digest
				var id int64
				err := rows.Scan(&d, &id)
				known[chainKey{string(d), indexer}] = id
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return known, nil
}

func (sv *saver) saveChain(ctx context.Context, rec inventory.ChainRecord, parent int64, ids map[string]int64) (int64, error) {
	d := delta{added: occurrences(rec.Added, ids), removed: occurrences(rec.Removed, ids)}
	body, err := d.encode()
	if err != nil {
		return 0, err
	}
	var id int64
	err = sv.tx.each(ctx, `
		INSERT INTO chain (chain_id, indexer, parent_id, diff_id, depth, body, voucher) VALUES (?,?,?,?,?,?,?)
		ON CONFLICT (chain_id, indexer) DO NOTHING RETURNING id`,
		[]any{digest(rec.ChainID), rec.Indexer, parent, digest(rec.DiffID), rec.Depth, body, sv.img.Voucher}, func(rows *sql.Rows) error { return rows.Scan(&id) })
	if err != nil {
		return 0, err
	}
	if id == 0 { // another worker recorded it meanwhile
		return chainRow(ctx, sv.tx.reader, rec.ChainID, rec.Indexer)
	}
	sv.tx.fresh[id] = true
	rows, err := sv.presence(ctx, id, parent, d)
	if err != nil {
		return 0, err
	}
	if err := sv.tx.insert(ctx, `INSERT INTO chain_package (package_id, chain_id, removed)`, "", rows); err != nil {
		return 0, err
	}
	return id, sv.saveFiles(ctx, id, rec)
}

func occurrences(list []inventory.Occurrence, ids map[string]int64) []occurrence {
	out := make([]occurrence, len(list))
	for i, o := range list {
		out[i] = occurrence{ids[o.PURL], o.Location, o.OwnedBy, o.Declared}
	}
	slices.SortFunc(out, func(a, b occurrence) int {
		return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.location, b.location))
	})
	return slices.CompactFunc(out, func(a, b occurrence) bool { return a.place() == b.place() })
}

// presence tells what a chain says of packages that its parent does not: a package that
// loses one of two places is still there.
func (sv *saver) presence(ctx context.Context, id, parent int64, d delta) ([][]any, error) {
	st := stack{}
	if parent != 0 && len(d.added)+len(d.removed) > 0 {
		var err error
		if st, err = sv.s.stackOf(ctx, sv.tx.reader, parent); err != nil {
			return nil, err
		}
	}
	about := touched(d)
	before := st.presence(about)
	st.apply(&d, link{})
	after := st.presence(about)
	var rows [][]any
	for pkg := range about {
		if before[pkg] != after[pkg] {
			rows = append(rows, []any{pkg, id, after[pkg]})
		}
	}
	slices.SortFunc(rows, func(a, b []any) int { return cmp.Compare(a[0].(int64), b[0].(int64)) }) //nolint:forcetypeassert // made above
	return rows, nil
}

func touched(d delta) map[int64]bool {
	ids := map[int64]bool{}
	for _, o := range slices.Concat(d.added, d.removed) {
		ids[o.pkg] = true
	}
	return ids
}

// presence says of each of some packages whether it is there.
func (st stack) presence(about map[int64]bool) map[int64]int {
	is := make(map[int64]int, len(about))
	for pkg := range about {
		is[pkg] = presenceGone
	}
	for p, o := range st {
		if !about[p.pkg] {
			continue
		}
		if o.ownedBy == "" {
			is[p.pkg] = presenceFree
		} else if is[p.pkg] == presenceGone {
			is[p.pkg] = presenceOwned
		}
	}
	return is
}

func (sv *saver) write(ctx context.Context, chain int64) error {
	img := sv.img
	state := inventory.StateWaiting
	if img.State == inventory.StateFailed || img.State == inventory.StateUnsupported {
		state = img.State
	}
	err := sv.tx.exec(ctx, `
		UPDATE image SET kind = ?, media_type = ?, size = ?, platform = ?, state = ?, problem = ?, retry = ?, indexer = ?,
			chain_id = ?, created = ?, source = ?, revision = ?, base_name = ?, body = ?, voucher = ? WHERE id = ?`,
		img.Kind, img.MediaType, img.Size, img.Platform, state, img.Problem, flag(img.Retry), img.Indexer,
		chain, millisOf(img.Created), img.Origin.Source, img.Origin.Revision, img.Origin.BaseName, sv.body, img.Voucher, sv.id)
	sv.tx.touch(sv.id)
	return err
}

// members records what an index lists, queues what nobody looked at, and settles it.
func (sv *saver) members(ctx context.Context) error {
	if err := sv.tx.exec(ctx, `DELETE FROM index_member WHERE index_id = ?`, sv.id); err != nil {
		return err
	}
	var rows [][]any
	var order []digest
	for i, m := range sv.img.Members {
		rows = append(rows, []any{sv.id, i, digest(m.Digest), m.Kind, m.Platform})
		if m.Kind == inventory.ImageKind || m.Kind == "" {
			order = append(order, digest(m.Digest))
		}
	}
	slices.Sort(order)
	if err := sv.tx.insert(ctx, `INSERT INTO index_member (index_id, position, digest, kind, platform)`, "", rows); err != nil {
		return err
	}
	known, err := ensureImages(ctx, sv.tx, slices.Compact(order), func(d digest) []any {
		return []any{d, "", 0, inventory.StateWaiting, sv.s.nowMS()}
	})
	if err != nil {
		return err
	}
	var jobs []queue.Job
	for _, d := range slices.Sorted(maps.Keys(known)) {
		if im := known[d]; im.state == inventory.StateWaiting && im.indexer == 0 {
			jobs = append(jobs, indexJob(string(d), queue.Normal))
		}
	}
	if _, err := sv.tx.enqueue(ctx, jobs...); err != nil {
		return err
	}
	if sv.img.State == inventory.StateFailed || sv.img.State == inventory.StateUnsupported {
		return sv.s.failureEvent(ctx, sv.tx, sv.img.Digest, sv.img.State, sv.img.Problem)
	}
	return sv.s.settleIndex(ctx, sv.tx, sv.id)
}

// settle queues the match of a platform image, or finishes it.
func (sv *saver) settle(ctx context.Context, chain int64) error {
	if sv.img.State == inventory.StateFailed || sv.img.State == inventory.StateUnsupported {
		if err := sv.s.failureEvent(ctx, sv.tx, sv.img.Digest, sv.img.State, sv.img.Problem); err != nil {
			return err
		}
		return sv.s.settleIndexesOf(ctx, sv.tx, sv.img.Digest)
	}
	return sv.s.finish(ctx, sv.tx, finishing{id: sv.id, digest: sv.img.Digest, chain: chain})
}

// FailImage records that an image could not be indexed. retry says that it may pass:
// the next reconcile tries again. What was learned of an image before stays.
func (s *Store) FailImage(ctx context.Context, d, problem string, retry bool) error {
	if err := digest(d).check(); err != nil {
		return fmt.Errorf("record a failure: %w", err)
	}
	return s.update(ctx, "record the failure of "+d, func(tx *tx) error {
		n := 0
		err := tx.each(ctx, `UPDATE image SET state = ?, problem = ?, retry = ? WHERE digest = ? AND state <> ? RETURNING id`,
			[]any{inventory.StateFailed, problem, flag(retry), digest(d), inventory.StateAnalysed}, func(rows *sql.Rows) error {
				var id int64
				err := rows.Scan(&id)
				tx.touch(id)
				n++
				return err
			})
		if err != nil || n == 0 {
			return err
		}
		if err := s.failureEvent(ctx, tx, d, inventory.StateFailed, problem); err != nil {
			return err
		}
		return s.settleIndexesOf(ctx, tx, d)
	})
}

func (s *Store) failureEvent(ctx context.Context, tx *tx, d, state, problem string) error {
	if state != inventory.StateFailed {
		return nil
	}
	return addEvent(ctx, tx, event{kind: EventImageFailed, subject: d, at: s.nowMS(), body: EventBody{Digest: d, Problem: problem}})
}

// linux says that an index stands or falls with a member of this platform.
func linux(platform string) bool { return platform == "" || strings.HasPrefix(platform, "linux/") }
