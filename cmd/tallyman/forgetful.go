package main

import (
	"context"
	"sync"

	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// forgetful is a ledger that knows no layer but those that this process read: with it
// an image is analysed anew, layers and all.
type forgetful struct {
	index.Ledger

	mu   sync.Mutex
	read map[string]bool // diff IDs; guarded by mu
}

// MissingLayers implements index.Ledger.
func (f *forgetful) MissingLayers(_ context.Context, diffIDs []string, _ int, _ string) ([]string, error) {
	return f.split(diffIDs, false), nil
}

// LayerBodies implements index.Ledger.
func (f *forgetful) LayerBodies(ctx context.Context, diffIDs []string, indexer int) (map[string][]byte, error) {
	return f.Ledger.LayerBodies(ctx, f.split(diffIDs, true), indexer)
}

// KnownChains implements index.Ledger.
func (f *forgetful) KnownChains(context.Context, []string, int) (map[string]bool, error) {
	return map[string]bool{}, nil
}

// SaveLayer implements index.Ledger.
func (f *forgetful) SaveLayer(ctx context.Context, rec inventory.LayerRecord) error {
	err := f.Ledger.SaveLayer(ctx, rec)
	if err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.read == nil {
			f.read = map[string]bool{}
		}
		f.read[rec.DiffID] = true
	}
	return err
}

// split gives those of the layers that were read by this process, or those that were not.
func (f *forgetful) split(diffIDs []string, read bool) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []string{}
	for _, id := range diffIDs {
		if f.read[id] == read {
			out = append(out, id)
		}
	}
	return out
}
