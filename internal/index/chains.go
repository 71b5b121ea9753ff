package index

import (
	"context"
	"slices"
	"sync"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// squash puts an image's layers on top of each other. It fills in what only the
// whole stack tells, and gives the chains that the ledger does not know yet.
func (x *Indexer) squash(ctx context.Context, img *inventory.Image, fresh map[string]*record) ([]inventory.ChainRecord, error) {
	known, err := x.knownChains(ctx, img.Layers)
	if err != nil {
		return nil, err
	}
	if s, ok := x.stacks.get(img.ChainID); ok && known[img.ChainID] {
		img.Distro, img.Problems = s.distro, slices.Clone(s.problems)
		return nil, nil
	}
	recs, err := x.records(ctx, img.Layers, fresh)
	if err != nil {
		return nil, err
	}
	stack := newState()
	var (
		chains []inventory.ChainRecord
		before map[occurrenceKey]inventory.Occurrence
		held   map[fileKey]int64
	)
	for i, l := range img.Layers {
		if !known[l.ChainID] && before == nil {
			before, held = stack.occurrences(), stack.held() // of the parent, which is known or empty
		}
		stack.apply(recs[l.DiffID])
		img.Problems = append(img.Problems, problemsOf(i, recs[l.DiffID].Problems)...)
		img.Problems = append(img.Problems, problemsOf(i, stack.problems)...)
		if before == nil {
			continue
		}
		now, holds := stack.occurrences(), stack.held()
		if !known[l.ChainID] {
			c := inventory.ChainRecord{ChainID: l.ChainID, DiffID: l.DiffID, Depth: i, Indexer: Version, Added: difference(now, before), Removed: difference(before, now)}
			c.Files, c.FilesGone = fileDifference(holds, held), fileDifference(held, holds)
			if i > 0 {
				c.Parent = img.Layers[i-1].ChainID
			}
			chains = append(chains, c)
		}
		before, held = now, holds
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	img.Distro = stack.distro()
	x.stacks.put(img.ChainID, seenStack{img.Distro, slices.Clone(img.Problems)})
	return chains, nil
}

func (x *Indexer) knownChains(ctx context.Context, layers []inventory.ImageLayer) (map[string]bool, error) {
	if len(layers) == 0 {
		return map[string]bool{}, nil
	}
	ids := make([]string, 0, len(layers))
	for _, l := range layers {
		ids = append(ids, l.ChainID)
	}
	return x.ledger.KnownChains(ctx, ids, Version)
}

// seenStack is what an image takes over from a stack besides its chains.
type seenStack struct {
	distro   inventory.Distro
	problems []inventory.LayerProblem
}

// stackCache remembers stacks that were squashed lately: an image that differs
// from a known one only in its config then needs no layer record at all.
type stackCache struct {
	mu   sync.Mutex
	byID map[string]seenStack
}

// maxStacks bounds the memory of the cache; a full one starts anew.
const maxStacks = 4096

func (c *stackCache) get(id string) (seenStack, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.byID[id]
	return s, ok
}

func (c *stackCache) put(id string, s seenStack) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil || len(c.byID) >= maxStacks {
		c.byID = map[string]seenStack{}
	}
	c.byID[id] = s
}

func problemsOf(layer int, in []problem) []inventory.LayerProblem {
	var out []inventory.LayerProblem
	for _, p := range in {
		out = append(out, inventory.LayerProblem{Layer: layer, Path: p.Path, Problem: p.Text})
	}
	return out
}
