package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/bits-and-blooms/bitset"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// What a chain says of a package against its parent; a chain without a row says what its
// parent says. Kept in chain_package.removed.
const (
	presenceFree  = 0 // it is there
	presenceGone  = 1 // it is not there any more
	presenceOwned = 2 // it is there, but only as a part of what a distribution's package owns
)

// posting is which chains say something of one thing: a package, or a file at a path.
type posting struct {
	starts []int32        // chains from which it is there, and counts
	there  *bitset.BitSet // chains from which it is there, whatever it counts
	named  *bitset.BitSet // chains that say anything: what stands on them asks no further
}

func newPosting() posting { return posting{there: bitset.New(0), named: bitset.New(0)} }

func (p *posting) say(chain int32, presence int, free bool) {
	p.named.Set(uint(chain)) //nolint:gosec // ids are positive
	if presence != presenceGone {
		p.there.Set(uint(chain)) //nolint:gosec // ids are positive
	}
	if presence == presenceFree || presence == presenceOwned && !free {
		p.starts = append(p.starts, chain)
	}
}

// packagePosting reads where a package comes and goes. free leaves out where it only
// repeats what a distribution's package owns.
func packagePosting(ctx context.Context, r reader, pkg int64, free bool) (posting, error) {
	p := newPosting()
	var upto int64
	err := r.each(ctx, `SELECT upto, here, owned, gone FROM package_chains WHERE package_id = ?`, []any{pkg}, func(rows *sql.Rows) error {
		var packed [3]sql.RawBytes
		if err := rows.Scan(&upto, &packed[0], &packed[1], &packed[2]); err != nil {
			return err
		}
		for i, presence := range [...]int{presenceFree, presenceOwned, presenceGone} {
			chains := roaring.New()
			if err := chains.UnmarshalBinary(packed[i]); err != nil {
				return fmt.Errorf("the chains of package %d: %w", pkg, err)
			}
			chains.Iterate(func(chain uint32) bool { p.say(int32(chain), presence, free); return true }) //nolint:gosec // written from an id
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	return p, r.each(ctx, `SELECT chain_id, removed FROM chain_package WHERE package_id = ? AND chain_id > ?`, []any{pkg, upto}, func(rows *sql.Rows) error {
		var chain int32
		var presence int
		err := rows.Scan(&chain, &presence)
		p.say(chain, presence, free)
		return err
	})
}

// filePosting reads where a file of this content comes to a path, and goes.
func filePosting(ctx context.Context, r reader, sum []byte, path string) (posting, error) {
	p := newPosting()
	return p, r.each(ctx, `SELECT chain_id, removed FROM chain_file WHERE sha256 = ? AND path = ?`, []any{sum, path}, func(rows *sql.Rows) error {
		var chain int32
		var presence int
		err := rows.Scan(&chain, &presence)
		p.say(chain, presence, false)
		return err
	})
}

// holders adds to images those that are or stand on a chain from which something is there,
// as far as no chain between says otherwise.
func (f *fleet) holders(p posting, images *bitset.BitSet) {
	open := make([]int32, 0, 64)
	for _, start := range p.starts {
		if int(start) >= len(f.parent) {
			continue // newer than the fleet that was read
		}
		open = append(open, start)
		for len(open) > 0 {
			c := open[len(open)-1]
			open = open[:len(open)-1]
			for image := f.first[c]; image != 0; image = f.beside[image] {
				images.Set(uint(image)) //nolint:gosec // ids are positive
			}
			for k := f.child[c]; k != 0; k = f.next[k] {
				if !p.named.Test(uint(k)) { //nolint:gosec // ids are positive
					open = append(open, k)
				}
			}
		}
	}
}

// layer is the number of the layer that brought something to an image that has it.
func (f *fleet) layer(p posting, image int32) int {
	at := f.saysOf(p, f.chainOf(image))
	if at <= 0 {
		return 0
	}
	// Who says again that it is there did not bring it: somebody else owns it from then on.
	for {
		below := f.saysOf(p, f.parent[at])
		if below <= 0 || !p.there.Test(uint(below)) {
			break
		}
		at = below
	}
	depth := -1
	for ; at > 0; at = f.parent[at] {
		depth++
	}
	return depth
}

// saysOf is the nearest chain, from one downwards, that says anything; 0 or less = none.
func (f *fleet) saysOf(p posting, chain int32) int32 {
	for chain > 0 && !p.named.Test(uint(chain)) {
		chain = f.parent[chain]
	}
	return chain
}

// reach counts images that a tag leads to, straight or by way of an index, and those tags.
func (f *fleet) reach(images *bitset.BitSet) (n inventory.Reach) {
	counted := map[int32]bool{} // indexes
	for i := range images.EachSet() {
		image := int32(i) //nolint:gosec // fewer images than 2^31
		live := f.tags[image] > 0
		n.Tags += int(f.tags[image])
		for _, index := range f.indexes(image) {
			live = live || f.tags[index] > 0
			if !counted[index] {
				counted[index] = true
				n.Tags += int(f.tags[index])
			}
		}
		if live {
			n.Images++
		}
	}
	return n
}
