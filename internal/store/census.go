package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"sync"
	"time"
)

// census is the fleet at one moment, laid out so that "how many images have this" is
// quick for everything at once: the tree of chains in the order of a walk, where what
// stands on a chain is one stretch, and the images that tags lead to along it.
type census struct {
	made time.Time
	took time.Duration

	at     map[int64]int32 // chain -> its place in the walk
	end    []int32         // place -> the first place that does not stand on it
	depth  []int32
	parent []int32 // -1 = none
	stands []bool  // an image is just this stack
	first  []int32 // place -> first of its images; one more than places
	images []censusImage

	members map[int64][]int32 // image or index -> those of images that it stands for
	repos   []int64           // the repositories that images name
	flaws   []*censusFlaw     // the worst first
	byFlaw  map[string]*censusFlaw
	where   map[int64][]stretch // packages that have a flaw
}

// censusImage is a platform image that some tag leads to.
type censusImage struct {
	id    int64
	place int32
	repos []int32
}

// censusKeeper holds the newest census.
type censusKeeper struct {
	mu     sync.Mutex
	newest *census
	making sync.Mutex
}

// censusRest is how many times as long as it took to make a census serves: counting
// takes a fiftieth of the time at most, however large the fleet is.
const censusRest = 50

// census answers the newest census, and makes one when that is too old. While one is
// made the others are served the one before.
func (s *Store) census(ctx context.Context) (*census, error) {
	k := &s.counted
	k.mu.Lock()
	now := k.newest
	k.mu.Unlock()
	switch {
	case now == nil:
		k.making.Lock()
	case time.Since(now.made) < censusRest*now.took || !k.making.TryLock():
		return now, nil
	}
	defer k.making.Unlock()
	k.mu.Lock()
	other := k.newest
	k.mu.Unlock()
	if other != now {
		return other, nil
	}
	fresh := &census{made: time.Now()}
	if err := s.view(ctx, "count the fleet", func(r reader) error { return s.take(ctx, r, fresh) }); err != nil {
		return nil, err
	}
	fresh.took = time.Since(fresh.made)
	k.mu.Lock()
	k.newest = fresh
	k.mu.Unlock()
	return fresh, nil
}

func (s *Store) take(ctx context.Context, r reader, c *census) error {
	if err := c.walk(ctx, r); err != nil {
		return err
	}
	if err := c.settle(ctx, r); err != nil {
		return err
	}
	return s.takeFlaws(ctx, r, c)
}

// walk lays out the tree of chains.
func (c *census) walk(ctx context.Context, r reader) error {
	type node struct{ id, parent int64 }
	var all []node
	err := r.each(ctx, `SELECT id, parent_id FROM chain`, nil, func(rows *sql.Rows) error {
		var n node
		err := rows.Scan(&n.id, &n.parent)
		all = append(all, n)
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b node) int { return cmp.Or(cmp.Compare(a.parent, b.parent), cmp.Compare(a.id, b.id)) })
	under := make(map[int64][2]int, len(all)) // parent -> its stretch of all
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].parent == all[i].parent {
			j++
		}
		under[all[i].parent] = [2]int{i, j}
		i = j
	}
	c.at = make(map[int64]int32, len(all))
	type step struct {
		next, last    int
		place, deeper int32
	}
	top := under[0]
	open := []step{{top[0], top[1], -1, 0}}
	for len(open) > 0 {
		now := &open[len(open)-1]
		if now.next == now.last {
			if now.place >= 0 {
				c.end[now.place] = int32(len(c.end)) //nolint:gosec // fewer chains than 2^31
			}
			open = open[:len(open)-1]
			continue
		}
		n, place := all[now.next], int32(len(c.end)) //nolint:gosec // as above
		now.next++
		c.at[n.id] = place
		c.end, c.depth, c.parent = append(c.end, 0), append(c.depth, now.deeper), append(c.parent, now.place)
		below := under[n.id]
		open = append(open, step{below[0], below[1], place, now.deeper + 1})
	}
	c.stands = make([]bool, len(c.end))
	return nil
}

// settle puts the images that tags lead to into the tree.
func (c *census) settle(ctx context.Context, r reader) error {
	repos := map[int64][]int32{} // image or index -> where tags point to it
	number := map[int64]int32{}
	err := r.each(ctx, `SELECT DISTINCT image_id, repository_id FROM tag WHERE gone = 0`, nil, func(rows *sql.Rows) error {
		var image, repo int64
		if err := rows.Scan(&image, &repo); err != nil {
			return err
		}
		n, known := number[repo]
		if !known {
			n = int32(len(c.repos)) //nolint:gosec // fewer repositories than 2^31
			number[repo] = n
			c.repos = append(c.repos, repo)
		}
		repos[image] = append(repos[image], n)
		return nil
	})
	if err != nil {
		return err
	}
	listed, err := listings(ctx, r)
	if err != nil {
		return err
	}
	owners := map[int64][]int64{}
	err = r.each(ctx, `SELECT id, chain_id FROM image WHERE chain_id > 0`, nil, func(rows *sql.Rows) error {
		var id, chain int64
		if err := rows.Scan(&id, &chain); err != nil {
			return err
		}
		place, ok := c.at[chain]
		if !ok {
			return nil
		}
		c.stands[place] = true
		im := censusImage{id: id, place: place, repos: slices.Clone(repos[id])}
		owners[id] = []int64{id}
		for _, index := range listed[id] {
			im.repos = append(im.repos, repos[index]...)
			owners[id] = append(owners[id], index)
		}
		if len(im.repos) > 0 {
			slices.Sort(im.repos)
			im.repos = slices.Compact(im.repos)
			c.images = append(c.images, im)
		}
		return nil
	})
	slices.SortFunc(c.images, func(a, b censusImage) int { return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.id, b.id)) })
	c.first = make([]int32, len(c.end)+1)
	c.members = map[int64][]int32{}
	for i, im := range c.images {
		c.first[im.place+1]++
		for _, id := range owners[im.id] {
			c.members[id] = append(c.members[id], int32(i)) //nolint:gosec // fewer images than 2^31
		}
	}
	for i := range c.end {
		c.first[i+1] += c.first[i]
	}
	return err
}

// listings finds the indexes that list each image.
func listings(ctx context.Context, r reader) (map[int64][]int64, error) {
	listed := map[int64][]int64{}
	err := r.each(ctx, `SELECT m.index_id, i.id FROM index_member m JOIN image i ON i.digest = m.digest WHERE m.kind IN ('', 'image')`, nil, func(rows *sql.Rows) error {
		var index, image int64
		err := rows.Scan(&index, &image)
		listed[image] = append(listed[image], index)
		return err
	})
	return listed, err
}

// stretch is a part of the walk where something is, and the depth of the chain that
// brought it.
type stretch struct{ from, to, depth int32 }

// stretches turns what chains brought and took away into where it is. What a chain
// takes away is gone from all that stands on it, until one brings it again.
func (c *census) stretches(brought, taken []int64) []stretch {
	type edge struct {
		place int32
		here  bool
	}
	edges := make([]edge, 0, len(brought)+len(taken))
	for i, list := range [][]int64{brought, taken} {
		for _, chain := range list {
			if place, ok := c.at[chain]; ok {
				edges = append(edges, edge{place, i == 0})
			}
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.place, b.place) })
	var out []stretch
	var open []edge
	now := int32(0)
	upTo := func(place int32) {
		if n := len(open); n > 0 && open[n-1].here && now < place {
			out = append(out, stretch{now, place, c.depth[open[n-1].place]})
		}
		now = place
	}
	for _, e := range edges {
		for len(open) > 0 && c.end[open[len(open)-1].place] <= e.place {
			upTo(c.end[open[len(open)-1].place])
			open = open[:len(open)-1]
		}
		upTo(e.place)
		open = append(open, e)
	}
	for len(open) > 0 {
		upTo(c.end[open[len(open)-1].place])
		open = open[:len(open)-1]
	}
	return out
}

// counter counts images and repositories once each, over any stretches.
type counter struct {
	c           *census
	round       int32
	image, repo []int32
}

func (c *census) counter() *counter {
	return &counter{c: c, image: make([]int32, len(c.images)), repo: make([]int32, len(c.repos))}
}

func (n *counter) count(all []stretch) (images, repositories int) {
	n.round++
	for _, s := range all {
		for i := n.c.first[s.from]; i < n.c.first[s.to]; i++ {
			if n.image[i] == n.round {
				continue
			}
			n.image[i] = n.round
			images++
			for _, repo := range n.c.images[i].repos {
				if n.repo[repo] != n.round {
					n.repo[repo] = n.round
					repositories++
				}
			}
		}
	}
	return images, repositories
}

// moved is which chains brought a package, and which took it away.
type moved struct{ brought, taken []int64 }

// marksOf reads where packages come and go; which is a list of their ids, or a question.
// free says that what is only a part of a distribution's package is not there.
func marksOf(ctx context.Context, r reader, free bool, which string, args []any) (map[int64]moved, error) {
	all := map[int64]moved{}
	err := r.each(ctx, `SELECT package_id, chain_id, removed FROM chain_package WHERE package_id IN (`+which+`)`, args, func(rows *sql.Rows) error {
		var pkg, chain int64
		var removed int
		err := rows.Scan(&pkg, &chain, &removed)
		m := all[pkg]
		if removed == presenceGone || free && removed == presenceOwned {
			m.taken = append(m.taken, chain)
		} else {
			m.brought = append(m.brought, chain)
		}
		all[pkg] = m
		return err
	})
	return all, err
}

// baseDepth is how many layers of the stack at a place belong to a known image below it.
func (c *census) baseDepth(place int32) int32 {
	for at := c.parent[place]; at >= 0; at = c.parent[at] {
		if c.stands[at] {
			return c.depth[at] + 1
		}
	}
	return 0
}
