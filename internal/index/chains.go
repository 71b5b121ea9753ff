package index

import (
	"context"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// squash puts an image's layers on top of each other. It fills in what only the
// whole stack tells, and gives the chains that the ledger does not know yet.
func (x *Indexer) squash(ctx context.Context, img *inventory.Image, fresh map[string]*record) ([]inventory.ChainRecord, error) {
	recs, err := x.records(ctx, img.Layers, fresh)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(img.Layers))
	for _, l := range img.Layers {
		ids = append(ids, l.ChainID)
	}
	known := map[string]bool{}
	if len(ids) > 0 {
		if known, err = x.ledger.KnownChains(ctx, ids, Version); err != nil {
			return nil, err
		}
	}
	stack := newState()
	var (
		chains []inventory.ChainRecord
		before map[occurrenceKey]inventory.Occurrence
	)
	for i, l := range img.Layers {
		if !known[l.ChainID] && before == nil {
			before = stack.occurrences() // of the parent, which is known or empty
		}
		stack.apply(recs[l.DiffID])
		img.Problems = append(img.Problems, problemsOf(i, recs[l.DiffID].Problems)...)
		img.Problems = append(img.Problems, problemsOf(i, stack.problems)...)
		if before == nil {
			continue
		}
		now := stack.occurrences()
		if !known[l.ChainID] {
			c := inventory.ChainRecord{ChainID: l.ChainID, DiffID: l.DiffID, Depth: i, Indexer: Version, Added: difference(now, before), Removed: difference(before, now)}
			if i > 0 {
				c.Parent = img.Layers[i-1].ChainID
			}
			chains = append(chains, c)
		}
		before = now
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	img.Distro = stack.distro()
	return chains, nil
}

func problemsOf(layer int, in []problem) []inventory.LayerProblem {
	var out []inventory.LayerProblem
	for _, p := range in {
		out = append(out, inventory.LayerProblem{Layer: layer, Path: p.Path, Problem: p.Text})
	}
	return out
}
