package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/bits-and-blooms/bitset"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Holders tells how far something reaches, exactly, and then which tags hold it, row by
// row: package by package, in the order in which their images came. reach is called
// first; an error of either ends it.
func (s *Store) Holders(ctx context.Context, q inventory.HolderQuery, reach func(inventory.Reach) error, each func(inventory.Holding) error) error {
	return s.view(ctx, "find holders", func(r reader) error {
		all, err := subjects(ctx, r, q)
		if err != nil {
			return err
		}
		f := finder{s: s, r: r, q: q, named: map[int64]site{}}
		n, first, err := f.count(ctx, all)
		if err != nil {
			return err
		}
		if err := reach(n); err != nil {
			return err
		}
		for i, one := range all {
			found := first
			if i > 0 {
				if found, err = f.find(ctx, one); err != nil {
					return err
				}
			}
			if err := f.rows(ctx, one, found, each); err != nil {
				return err
			}
		}
		return nil
	})
}

// site is a repository as references name it.
type site struct {
	registry  string
	subdomain bool
	repo      inventory.Repository
}

type finder struct {
	s     *Store
	r     reader
	q     inventory.HolderQuery
	named map[int64]site // repositories met
}

// pointing is one tag that points (or pointed) to an image.
type pointing struct {
	tag, repo, image int64
	name             string
	since, until     int64 // until 0 = still
}

// pointings finds the tags of images, at the time that is asked for.
func (f *finder) pointings(ctx context.Context, images []int64) ([]pointing, error) {
	const now = `SELECT t.id, t.repository_id, t.image_id, t.name, t.since, t.gone FROM tag t WHERE `
	const then = `SELECT t.id, t.repository_id, m.image_id, t.name, m.from_at, m.to_at FROM tag_move m JOIN tag t ON t.id = m.tag_id WHERE `
	type question struct {
		text string
		args []any
	}
	questions := []question{{now + `t.gone = 0 AND t.image_id {near}`, nil}}
	if f.q.Gone {
		questions = []question{{now + `t.image_id {near}`, nil}, {then + `m.image_id {near}`, nil}}
	}
	if f.q.AsOf != nil {
		at := millis(*f.q.AsOf)
		questions = []question{
			{now + `t.since <= ? AND (t.gone = 0 OR t.gone > ?) AND t.image_id {near}`, []any{at, at}},
			{then + `m.from_at <= ? AND m.to_at > ? AND m.image_id {near}`, []any{at, at}},
		}
	}
	all := make([]pointing, 0, len(images))
	for _, q := range questions {
		err := eachNear(ctx, f.r, q.text, q.args, slices.Sorted(slices.Values(images)), func(rows *sql.Rows, wanted func(int64) bool) error {
			var p pointing
			err := rows.Scan(&p.tag, &p.repo, &p.image, &p.name, &p.since, &p.until)
			if wanted(p.image) {
				all = append(all, p)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// indexesOf finds the indexes that list images: index -> its members among them, the
// first listed first.
func (f *finder) indexesOf(ctx context.Context, images []int64) (out map[int64][]int64, err error) {
	out = map[int64][]int64{}
	err = f.s.useFleet(ctx, f.r, func(fl *fleet) error {
		among := make(map[int32]bool, len(images))
		for _, id := range images {
			among[int32(id)] = true //nolint:gosec // fewer images than 2^31
		}
		for image := range among {
			for _, index := range fl.indexes(image) {
				if out[int64(index)] != nil {
					continue
				}
				for _, member := range fl.lists[index] {
					if among[member] {
						out[int64(index)] = append(out[int64(index)], int64(member))
					}
				}
			}
		}
		return nil
	})
	return out, err
}

// whereabouts is where one thing comes and goes, and the images that have it.
type whereabouts struct {
	posting posting
	images  *bitset.BitSet
}

func (f *finder) find(ctx context.Context, one subject) (whereabouts, error) {
	p, err := one.read()
	if err != nil {
		return whereabouts{}, err
	}
	got := whereabouts{posting: p}
	return got, f.s.useFleet(ctx, f.r, func(fl *fleet) error {
		got.images = bitset.New(uint(len(fl.chain)))
		fl.holders(p, got.images)
		return nil
	})
}

// count counts exactly: images once, tags once, whatever number of packages they hold.
// What it found for the first is given back: a page seldom needs more.
func (f *finder) count(ctx context.Context, all []subject) (n inventory.Reach, first whereabouts, err error) {
	images := bitset.New(0)
	packages := 0
	for i, one := range all {
		got, err := f.find(ctx, one)
		if err != nil {
			return n, first, err
		}
		if got.images.Any() {
			packages++
		}
		if i == 0 {
			first = got
		}
		images.InPlaceUnion(got.images)
	}
	if f.past() {
		n, err = f.countPast(ctx, images)
	} else {
		err = f.s.useFleet(ctx, f.r, func(fl *fleet) error { n = fl.reach(images); return nil })
	}
	n.Packages = packages
	return n, first, err
}

// past says that more is asked for than what is there now.
func (f *finder) past() bool { return f.q.Gone || f.q.AsOf != nil }

// countPast counts the images and tags of another time: the fleet in memory is of now.
func (f *finder) countPast(ctx context.Context, images *bitset.BitSet) (n inventory.Reach, err error) {
	tags, held := map[int64]struct{}{}, map[int64]struct{}{}
	done := map[int64]bool{} // indexes whose tags are counted
	for piece := range batches(images) {
		indexes, err := f.indexesOf(ctx, piece)
		if err != nil {
			return n, err
		}
		fresh := piece
		for _, index := range slices.Sorted(maps.Keys(indexes)) {
			if !done[index] {
				done[index] = true
				fresh = append(fresh[:len(fresh):len(fresh)], index)
			}
		}
		points, err := f.pointings(ctx, fresh)
		if err != nil {
			return n, err
		}
		pointed := map[int64]bool{}
		for _, p := range points {
			tags[p.tag] = struct{}{}
			pointed[p.image] = true
		}
		live(held, piece, indexes, pointed)
	}
	n.Images, n.Tags = len(held), len(tags)
	return n, nil
}

// batches cuts a set into lists: a short one first, for most who ask want a page.
func batches(images *bitset.BitSet) func(yield func([]int64) bool) {
	const short, long = 128, 4096
	return func(yield func([]int64) bool) {
		size := short
		batch := make([]int64, 0, size)
		for i := range images.EachSet() {
			if batch = append(batch, int64(i)); len(batch) == size { //nolint:gosec // ids are positive
				if !yield(batch) {
					return
				}
				size = long
				batch = make([]int64, 0, size)
			}
		}
		if len(batch) > 0 {
			yield(batch)
		}
	}
}

// live notes which images a tag leads to, straight or by way of an index.
func live(held map[int64]struct{}, images []int64, indexes map[int64][]int64, pointed map[int64]bool) {
	for _, id := range images {
		if pointed[id] {
			held[id] = struct{}{}
		}
	}
	for index, members := range indexes {
		for _, id := range members {
			if pointed[index] {
				held[id] = struct{}{}
			}
		}
	}
}

// rows gives the tags that hold one thing, each once.
func (f *finder) rows(ctx context.Context, one subject, got whereabouts, each func(inventory.Holding) error) error {
	byIndex := map[pairOf]bool{} // tags of indexes that were given: their members share them
	for ids := range batches(got.images) {
		indexes, err := f.indexesOf(ctx, ids)
		if err != nil {
			return err
		}
		layers := f.layers(got.posting, ids)
		for index, members := range indexes {
			layers[index] = layers[members[0]]
			ids = append(ids, index)
		}
		points, err := f.pointings(ctx, ids)
		if err != nil {
			return err
		}
		facts, err := f.facts(ctx, points, indexes)
		if err != nil {
			return err
		}
		slices.SortFunc(points, func(a, b pointing) int { return cmp.Or(cmp.Compare(a.tag, b.tag), cmp.Compare(a.since, b.since)) })
		for _, p := range points {
			if indexes[p.image] != nil {
				if byIndex[pairOf{p.tag, p.since}] {
					continue
				}
				byIndex[pairOf{p.tag, p.since}] = true
			}
			if err := each(f.holding(one, p, layers[p.image], facts[p.image])); err != nil {
				return err
			}
		}
	}
	return nil
}

// layers are the layers that brought something to images.
func (f *finder) layers(p posting, images []int64) map[int64]int {
	fl := &f.s.fleet
	fl.mu.RLock()
	defer fl.mu.RUnlock()
	layers := make(map[int64]int, len(images))
	for _, id := range images {
		layers[id] = fl.layer(p, int32(id)) //nolint:gosec // fewer images than 2^31
	}
	return layers
}

type pairOf struct{ tag, since int64 }

// fact is what a row says of an image.
type fact struct {
	digest   digest
	platform string
}

// facts reads the digests of what tags point to, and the names of repositories not met yet.
func (f *finder) facts(ctx context.Context, found []pointing, indexes map[int64][]int64) (map[int64]fact, error) {
	images, repos := map[int64]bool{}, map[int64]bool{}
	for _, p := range found {
		images[p.image] = true
		if members := indexes[p.image]; members != nil {
			images[members[0]] = true
		}
		if _, ok := f.named[p.repo]; !ok {
			repos[p.repo] = true
		}
	}
	facts := make(map[int64]fact, len(images))
	err := eachNear(ctx, f.r, `SELECT id, digest, platform FROM image WHERE id {near}`, nil, slices.Sorted(maps.Keys(images)), func(rows *sql.Rows, _ func(int64) bool) error {
		var id int64
		var one fact
		err := rows.Scan(&id, &one.digest, &one.platform)
		facts[id] = one
		return err
	})
	if err != nil {
		return nil, err
	}
	for index, members := range indexes {
		if one, ok := facts[index]; ok {
			facts[index] = fact{one.digest, facts[members[0]].platform}
		}
	}
	err = eachIn(ctx, f.r, `
		SELECT r.id, n.registry, n.subdomain_mode, r.key, r.image FROM repository r JOIN integration n ON n.id = r.integration_id
		WHERE r.id IN ({in})`, nil, slices.Sorted(maps.Keys(repos)), func(rows *sql.Rows) error {
		var id int64
		var at site
		var subdomain int
		err := rows.Scan(&id, &at.registry, &subdomain, &at.repo.Key, &at.repo.Image)
		at.subdomain = subdomain != 0
		f.named[id] = at
		return err
	})
	return facts, err
}

func (f *finder) holding(one subject, p pointing, layer int, image fact) inventory.Holding {
	at := f.named[p.repo]
	h := inventory.Holding{
		Reference: repositoryReference(at.registry, at.subdomain, at.repo) + ":" + p.name,
		Digest:    string(image.digest), Platform: image.platform, PURL: one.purl, Version: one.version, Layer: layer,
		Location: one.path, State: inventory.HoldingPresent, Since: fromMillis(p.since),
	}
	if p.until != 0 {
		h.State = inventory.HoldingGone
	}
	return h
}
