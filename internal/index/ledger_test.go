package index_test

import (
	"context"
	"slices"
	"sync"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// ledger keeps everything in memory, as the store would.
type ledger struct {
	mu       sync.Mutex
	bodies   map[string][]byte
	verified map[string]string
	leases   map[string]string
	chains   map[string]inventory.ChainRecord
	images   map[string]inventory.Image
}

func newLedger() *ledger {
	return &ledger{bodies: map[string][]byte{}, verified: map[string]string{}, leases: map[string]string{}, chains: map[string]inventory.ChainRecord{}, images: map[string]inventory.Image{}}
}

func (l *ledger) MissingLayers(_ context.Context, ids []string, _ int, holder string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, id := range ids {
		if l.bodies[id] == nil && (l.leases[id] == "" || l.leases[id] == holder) {
			l.leases[id] = holder
			out = append(out, id)
		}
	}
	return out, nil
}

func (l *ledger) LayerBodies(_ context.Context, ids []string, _ int) (map[string][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string][]byte{}
	for _, id := range ids {
		if b := l.bodies[id]; b != nil {
			out[id] = b
		}
	}
	return out, nil
}

func (l *ledger) SaveLayer(_ context.Context, r inventory.LayerRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bodies[r.DiffID], l.verified[r.Digest] = r.Body, r.DiffID
	delete(l.leases, r.DiffID)
	return nil
}

func (l *ledger) VerifiedDiffID(_ context.Context, digests []string) (map[string]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]string{}
	for _, d := range digests {
		if v, ok := l.verified[d]; ok {
			out[d] = v
		}
	}
	return out, nil
}

func (l *ledger) KnownChains(_ context.Context, ids []string, _ int) (map[string]bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]bool{}
	for _, id := range ids {
		if _, ok := l.chains[id]; ok {
			out[id] = true
		}
	}
	return out, nil
}

func (l *ledger) SaveImage(_ context.Context, img inventory.Image, chains []inventory.ChainRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.images[img.Digest] = img
	for _, c := range chains {
		l.chains[c.ChainID] = c
	}
	return nil
}

// packages lists what the ledger says is in a stack, "purl location layer".
func (l *ledger) stack(img inventory.Image) []inventory.ChainRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []inventory.ChainRecord
	for _, layer := range img.Layers {
		if c, ok := l.chains[layer.ChainID]; ok {
			out = append(out, c)
		}
	}
	return slices.Clip(out)
}
