package store

import (
	"context"
	"database/sql"
	"slices"
	"sync"
)

// fleet is the tree of chains with the images on it and how many tags lead to these, in
// memory: who holds a package is a walk over a few arrays. It takes about 30 bytes a
// chain and 12 an image. Every transaction that changes one of the three, or what else is
// known of an image, writes the image into fleet_log, and whoever asks reads first what was
// written since it last asked: what it answers is never older than the question, whichever
// process wrote.
type fleet struct {
	mu     sync.RWMutex
	loaded bool
	from   int64 // where the log goes on: a seq on SQLite, a transaction on PostgreSQL

	// By chain id; 0 = none.
	parent []int32 // onRoot = it stands on nothing
	child  []int32 // the newest chain that stands on it
	next   []int32 // the next older one that stands on the same parent
	first  []int32 // one of the images that are just this stack

	// By image id.
	chain  []int32
	beside []int32 // the next image on the same chain
	tags   []int32 // live tags that point straight to it
	member []bool  // an index lists it

	lists  map[int32][]int32 // index -> its images, in its order
	listed map[int32][]int32 // image -> indexes
}

const onRoot = -1

// logKept is how many changes stay in the log: a process that asks less often reads all anew.
const logKept = 100_000

// useFleet runs fn on the fleet as it is now, which fn must not keep.
func (s *Store) useFleet(ctx context.Context, r reader, fn func(f *fleet) error) error {
	f := &s.fleet
	if err := f.catchUp(ctx, r); err != nil {
		return err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return fn(f)
}

func (f *fleet) catchUp(ctx context.Context, r reader) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	to, changed, whole, err := f.changes(ctx, r)
	if err != nil {
		return err
	}
	if whole {
		err = f.load(ctx, r)
	} else {
		err = f.apply(ctx, r, changed)
	}
	if err != nil {
		f.loaded = false // half a change is none
		return err
	}
	f.loaded, f.from = true, max(f.from, to)
	return nil
}

// changes reads the log. On PostgreSQL a number is taken before it is committed, and a
// smaller one may appear later: there all that transactions wrote which were not over
// at the last look is read again.
func (f *fleet) changes(ctx context.Context, r reader) (to int64, images []int64, whole bool, err error) {
	position := `SELECT COALESCE((SELECT max(seq) FROM fleet_log), 0), COALESCE((SELECT min(seq) FROM fleet_log), 0)`
	since := `SELECT image_id FROM fleet_log WHERE seq > ?`
	if r.d == postgres {
		position = `SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, COALESCE((SELECT xid FROM fleet_log ORDER BY seq LIMIT 1), 0)`
		since = `SELECT image_id FROM fleet_log WHERE xid >= ?`
	}
	var oldest int64
	if err := r.row(ctx, position).Scan(&to, &oldest); err != nil {
		return 0, nil, false, err
	}
	if !f.loaded || oldest > f.from+int64(flag(r.d == sqlite)) {
		return to, nil, true, nil
	}
	if r.d == sqlite && to <= f.from {
		return to, nil, false, nil
	}
	err = r.each(ctx, since, []any{f.from}, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		images = append(images, id)
		return err
	})
	slices.Sort(images)
	return to, slices.Compact(images), false, err
}

func (f *fleet) load(ctx context.Context, r reader) error {
	f.parent, f.child, f.next, f.first = nil, nil, nil, nil
	f.chain, f.beside, f.tags, f.member = nil, nil, nil, nil
	f.lists, f.listed = map[int32][]int32{}, map[int32][]int32{}
	err := r.each(ctx, `SELECT id, parent_id FROM chain`, nil, f.scanChain)
	if err != nil {
		return err
	}
	if err := r.each(ctx, `SELECT id, chain_id FROM image WHERE chain_id > 0`, nil, f.scanImage); err != nil {
		return err
	}
	if err := r.each(ctx, `SELECT image_id, count(*) FROM tag WHERE gone = 0 GROUP BY image_id`, nil, f.scanTags); err != nil {
		return err
	}
	return r.each(ctx, listing+`ORDER BY m.index_id, m.position`, nil, f.scanMember)
}

const listing = `SELECT m.index_id, i.id FROM index_member m JOIN image i ON i.digest = m.digest WHERE m.kind IN ('', 'image') `

// apply reads again what is known of some images.
func (f *fleet) apply(ctx context.Context, r reader, images []int64) error {
	if len(images) == 0 {
		return nil
	}
	for _, id := range images {
		f.forget(int32(id)) //nolint:gosec // fewer images than 2^31
	}
	if err := eachIn(ctx, r, `SELECT id, chain_id FROM image WHERE chain_id > 0 AND id IN ({in})`, nil, images, f.scanImage); err != nil {
		return err
	}
	if err := f.addChains(ctx, r, images); err != nil {
		return err
	}
	if err := eachIn(ctx, r, `SELECT image_id, count(*) FROM tag WHERE gone = 0 AND image_id IN ({in}) GROUP BY image_id`, nil, images, f.scanTags); err != nil {
		return err
	}
	return eachIn(ctx, r, listing+`AND m.index_id IN ({in}) ORDER BY m.index_id, m.position`, nil, images, f.scanMember)
}

// addChains reads the chains that images stand on, down to what is known.
func (f *fleet) addChains(ctx context.Context, r reader, images []int64) error {
	var lacking []int64
	for _, id := range images {
		if c := f.chainOf(int32(id)); c != 0 && f.parent[c] == 0 { //nolint:gosec // fewer images than 2^31
			lacking = append(lacking, int64(c))
		}
	}
	for len(lacking) > 0 {
		slices.Sort(lacking)
		var below []int64
		err := eachIn(ctx, r, `SELECT id, parent_id FROM chain WHERE id IN ({in})`, nil, slices.Compact(lacking), func(rows *sql.Rows) error {
			var id, parent int64
			err := rows.Scan(&id, &parent)
			f.stand(int32(id), int32(parent))                       //nolint:gosec // fewer chains than 2^31
			if err == nil && parent != 0 && f.parent[parent] == 0 { // grown by stand
				below = append(below, parent)
			}
			return err
		})
		if err != nil {
			return err
		}
		lacking = below
	}
	return nil
}

func (f *fleet) scanChain(rows *sql.Rows) error {
	var id, parent int32
	err := rows.Scan(&id, &parent)
	f.stand(id, parent)
	return err
}

// stand puts a chain on its parent.
func (f *fleet) stand(id, parent int32) {
	f.growChains(max(id, parent))
	if f.parent[id] != 0 {
		return
	}
	f.parent[id] = onRoot
	if parent != 0 {
		f.parent[id] = parent
		f.next[id], f.child[parent] = f.child[parent], id
	}
}

func (f *fleet) scanImage(rows *sql.Rows) error {
	var id, chain int32
	err := rows.Scan(&id, &chain)
	f.growImages(id)
	f.growChains(chain)
	f.chain[id] = chain
	f.beside[id], f.first[chain] = f.first[chain], id
	return err
}

func (f *fleet) scanTags(rows *sql.Rows) error {
	var id, n int32
	err := rows.Scan(&id, &n)
	f.growImages(id)
	f.tags[id] = n
	return err
}

func (f *fleet) scanMember(rows *sql.Rows) error {
	var index, image int32
	err := rows.Scan(&index, &image)
	f.growImages(max(index, image))
	f.lists[index] = append(f.lists[index], image)
	f.listed[image] = append(f.listed[image], index)
	f.member[image] = true
	return err
}

// forget takes an image out of the tree, with its tags and what it lists.
func (f *fleet) forget(id int32) {
	f.growImages(id)
	if c := f.chain[id]; c != 0 {
		at := &f.first[c]
		for *at != id && *at != 0 {
			at = &f.beside[*at]
		}
		if *at == id {
			*at = f.beside[id]
		}
	}
	f.chain[id], f.beside[id], f.tags[id] = 0, 0, 0
	for _, image := range f.lists[id] {
		f.listed[image] = slices.DeleteFunc(f.listed[image], func(index int32) bool { return index == id })
		f.member[image] = len(f.listed[image]) > 0
	}
	delete(f.lists, id)
}

// indexes are those that list an image.
func (f *fleet) indexes(image int32) []int32 {
	if int(image) >= len(f.member) || !f.member[image] {
		return nil
	}
	return f.listed[image]
}

func (f *fleet) chainOf(image int32) int32 {
	if int(image) >= len(f.chain) {
		return 0
	}
	return f.chain[image]
}

func (f *fleet) growChains(id int32) {
	f.parent, f.child, f.next, f.first = grown(f.parent, id), grown(f.child, id), grown(f.next, id), grown(f.first, id)
}

func (f *fleet) growImages(id int32) {
	f.chain, f.beside, f.tags, f.member = grown(f.chain, id), grown(f.beside, id), grown(f.tags, id), grown(f.member, id)
}

// grown makes sure that a list has an element.
func grown[T any](list []T, at int32) []T {
	if n := int(at) + 1; n > len(list) {
		return append(list, make([]T, n-len(list))...)
	}
	return list
}

// touch says, when the transaction ends, in the log that images changed their place, their
// state, their counts, their tags or what they list.
func (t *tx) touch(images ...int64) {
	for _, id := range images {
		t.touched[id] = true
	}
}

func (t *tx) logTouched(ctx context.Context) error {
	rows := make([][]any, 0, len(t.touched))
	for _, id := range sortedKeys(t.touched) {
		rows = append(rows, []any{id})
	}
	return t.insert(ctx, `INSERT INTO fleet_log (image_id)`, "", rows)
}

// trimFleetLog forgets what every process that still asks has read.
func (s *Store) trimFleetLog(ctx context.Context) error {
	var first, last int64
	err := s.view(ctx, "measure the log of the fleet", func(r reader) error {
		return r.row(ctx, `SELECT COALESCE((SELECT min(seq) FROM fleet_log), 0), COALESCE((SELECT max(seq) FROM fleet_log), 0)`).Scan(&first, &last)
	})
	if err != nil || last-first < 2*logKept {
		return err
	}
	const step = 10_000
	for at := first + step; at <= last-logKept; at += step {
		err := s.paced(ctx, "trim the log of the fleet", func(tx *tx) error {
			return tx.exec(ctx, `DELETE FROM fleet_log WHERE seq <= ?`, at)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
