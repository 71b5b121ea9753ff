package client

import (
	"context"
	"errors"
	"net/http"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// MissingLayers says which of these layers this watcher should read, and leases them to
// it for 45 seconds; asking again prolongs that. The holder is this watcher, whatever is
// given.
func (w *Watcher) MissingLayers(ctx context.Context, diffIDs []string, indexer int, _ string) ([]string, error) {
	return send[[]string](ctx, w, http.MethodPost, w.path("/layers/missing"), inventory.LayersAsked{Digests: diffIDs, Indexer: indexer})
}

// LayerBodies gives the records that are there; missing ones are left out.
func (w *Watcher) LayerBodies(ctx context.Context, diffIDs []string, indexer int) (map[string][]byte, error) {
	out, need := map[string][]byte{}, []string{}
	for _, id := range diffIDs {
		if body := w.bodies.get(id); body != nil && indexer == w.opts.Indexer {
			out[id] = body
		} else {
			need = append(need, id)
		}
	}
	if len(need) == 0 {
		return out, nil
	}
	got, err := send[map[string][]byte](ctx, w, http.MethodPost, w.path("/layers/bodies"), inventory.LayersAsked{Digests: need, Indexer: indexer})
	for id, body := range got {
		out[id] = body
		if indexer == w.opts.Indexer {
			w.bodies.put(id, body)
		}
	}
	return out, err
}

// SaveLayer records what a layer holds. A lease that was lost meanwhile is asked for
// again; ErrUnavailable says that another watcher has it now.
func (w *Watcher) SaveLayer(ctx context.Context, rec inventory.LayerRecord) error {
	err := w.tell(ctx, http.MethodPost, w.path("/layers"), rec)
	if errors.Is(err, ErrConflict) {
		mine, leased := w.MissingLayers(ctx, []string{rec.DiffID}, rec.Indexer, "")
		if leased != nil {
			return leased
		}
		if len(mine) == 0 {
			return inventory.Errorf(inventory.ErrUnavailable, "layer %s is being read by another watcher", rec.DiffID)
		}
		err = w.tell(ctx, http.MethodPost, w.path("/layers"), rec)
	}
	if err == nil && rec.Indexer == w.opts.Indexer {
		w.bodies.put(rec.DiffID, rec.Body)
	}
	return err
}

// VerifiedDiffID says which diff ID somebody found in a blob.
func (w *Watcher) VerifiedDiffID(ctx context.Context, blobDigests []string) (map[string]string, error) {
	return send[map[string]string](ctx, w, http.MethodPost, w.path("/blobs"), inventory.LayersAsked{Digests: blobDigests, Indexer: w.opts.Indexer})
}

// KnownChains says which of these stacks of layers the server knows.
func (w *Watcher) KnownChains(ctx context.Context, chainIDs []string, indexer int) (map[string]bool, error) {
	return send[map[string]bool](ctx, w, http.MethodPost, w.path("/chains"), inventory.LayersAsked{Digests: chainIDs, Indexer: indexer})
}

// SaveImage keeps an image and the stacks that were not known. ErrUnavailable says that
// what it stands on is not known any more: index it again.
func (w *Watcher) SaveImage(ctx context.Context, img inventory.Image, chains []inventory.ChainRecord) error {
	for i := range chains {
		c := &chains[i]
		c.Added, c.Removed, c.Files, c.FilesGone = some(c.Added), some(c.Removed), some(c.Files), some(c.FilesGone)
	}
	err := w.tell(ctx, http.MethodPost, w.path("/images"), inventory.ImageReport{Image: img, Retry: img.Retry, Chains: some(chains)})
	var told *inventory.Error
	if errors.Is(err, ErrConflict) && errors.As(err, &told) {
		w.bodies.forget()
		return &inventory.Error{Kind: ErrUnavailable, Msg: told.Msg, Remedy: told.Remedy}
	}
	return err
}

// some makes nil an empty list: arrays are never null.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Errands asks for images to index, but for those that are held already.
func (w *Watcher) Errands(ctx context.Context, held []string, limit int) ([]inventory.Errand, error) {
	list, err := send[[]inventory.Errand](ctx, w, http.MethodPost, w.path("/errands"), inventory.ErrandsAsked{Held: some(held), Limit: limit})
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range list {
		for k := range list[i].Sources {
			list[i].Sources[k].Integration = w.ids[list[i].Sources[k].Name]
		}
	}
	return list, nil
}

// Outcome tells what became of an image, with what was asked of registries since the
// last report, and answers how many images still wait.
func (w *Watcher) Outcome(ctx context.Context, o inventory.Outcome) (waiting int, err error) {
	o.Requests = w.takeCounts()
	taken, err := send[inventory.OutcomeTaken](ctx, w, http.MethodPost, w.path("/outcomes"), o)
	if err != nil {
		return 0, w.returnCounts(o.Requests, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = taken.Waiting
	return taken.Waiting, nil
}
