package index

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
)

// renewEvery is well inside the time that a lease lasts.
const renewEvery = 15 * time.Second

// wanted is one layer that has to be downloaded.
type wanted struct {
	index  int
	blob   oci.Descriptor
	diffID string
}

// readLayers downloads the layers that the ledger lacks, each once, several at a
// time, and saves each as soon as it is done. It gives back what it read, and says
// whether a blob is left whose layer another holder reads: what that blob holds is
// only known when that one is done and readLayers is called again.
func (x *Indexer) readLayers(ctx context.Context, src oci.Source, blobs []oci.Descriptor, diffIDs []string) (_ map[string]*record, left bool, _ error) {
	missing, left, err := x.missing(ctx, blobs, diffIDs)
	if err != nil || len(missing) == 0 {
		return nil, left, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go x.renew(ctx, missing)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		fresh = map[string]*record{}
	)
	for _, w := range missing {
		wg.Go(func() {
			select {
			case x.slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			defer func() { <-x.slots }()
			rec, err := x.readOnce(ctx, src, w)
			if err != nil {
				cancel(err)
				return
			}
			mu.Lock()
			fresh[w.diffID] = rec
			mu.Unlock()
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	return fresh, left, nil
}

// missing says which layers to download: those that the ledger lacks and nobody
// else reads, and those whose diff ID is only claimed for this blob. left says that
// another holder reads a layer whose blob here is not verified yet.
func (x *Indexer) missing(ctx context.Context, blobs []oci.Descriptor, diffIDs []string) (out []wanted, left bool, err error) {
	if len(blobs) == 0 {
		return nil, false, nil
	}
	digests := make([]string, 0, len(blobs))
	for _, b := range blobs {
		digests = append(digests, b.Digest)
	}
	verified, err := x.ledger.VerifiedDiffID(ctx, digests)
	if err != nil {
		return nil, false, err
	}
	ids := slices.Compact(slices.Sorted(slices.Values(diffIDs)))
	mine, err := x.ledger.MissingLayers(ctx, ids, Version, x.opts.Holder)
	if err != nil {
		return nil, false, err
	}
	recorded, err := x.recorded(ctx, blobs, diffIDs, verified)
	if err != nil {
		return nil, false, err
	}
	seen := map[string]string{}
	for i, b := range blobs {
		holds, known := verified[b.Digest]
		if earlier, twice := seen[b.Digest]; twice && earlier != diffIDs[i] || known && holds != diffIDs[i] {
			return nil, false, inventory.Errorf(inventory.ErrInvalid, "layer %d: the config claims diff ID %s, but blob %s holds another", i, diffIDs[i], b.Digest)
		}
		// Neither mine nor recorded: another holder reads it, and is waited for.
		if _, twice := seen[b.Digest]; !twice {
			if slices.Contains(mine, diffIDs[i]) || !known && recorded[diffIDs[i]] {
				out = append(out, wanted{i, b, diffIDs[i]})
			} else {
				left = left || !known
			}
		}
		seen[b.Digest] = diffIDs[i]
	}
	return out, left, nil
}

// recorded says which layers of unverified blobs have a record, brought by another
// blob: the claim that this one holds the same has to be verified once.
func (x *Indexer) recorded(ctx context.Context, blobs []oci.Descriptor, diffIDs []string, verified map[string]string) (map[string]bool, error) {
	var doubted []string
	for i, b := range blobs {
		if _, known := verified[b.Digest]; !known {
			doubted = append(doubted, diffIDs[i])
		}
	}
	recorded := map[string]bool{}
	if len(doubted) == 0 {
		return recorded, nil
	}
	bodies, err := x.ledger.LayerBodies(ctx, doubted, Version)
	for id := range bodies {
		recorded[id] = true
	}
	return recorded, err
}

// readOnce reads a layer unless this process does already, or did a moment ago: the
// images of one push share their layers and are indexed side by side.
func (x *Indexer) readOnce(ctx context.Context, src oci.Source, w wanted) (*record, error) {
	for {
		rec, err, shared := x.flights.Do(w.blob.Digest+w.diffID, func() (any, error) {
			if rec, err := x.known(ctx, w); rec != nil || err != nil {
				return rec, err
			}
			return x.readLayer(ctx, src, w)
		})
		if err == nil {
			return rec.(*record), nil
		}
		if !shared || !errors.Is(err, context.Canceled) || ctx.Err() != nil {
			return nil, err
		}
		// Whoever read it was stopped; that is no reason to stop here.
	}
}

// known is the record of a layer whose blob was verified meanwhile; nil if it was not.
func (x *Indexer) known(ctx context.Context, w wanted) (*record, error) {
	verified, err := x.ledger.VerifiedDiffID(ctx, []string{w.blob.Digest})
	if err != nil || verified[w.blob.Digest] != w.diffID {
		return nil, err
	}
	bodies, err := x.ledger.LayerBodies(ctx, []string{w.diffID}, Version)
	if err != nil || bodies[w.diffID] == nil {
		return nil, err
	}
	return x.codec.decode(bodies[w.diffID])
}

// renew keeps the leases while layers are being read.
func (x *Indexer) renew(ctx context.Context, ws []wanted) {
	ids := make([]string, 0, len(ws))
	for _, w := range ws {
		ids = append(ids, w.diffID)
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := x.ledger.MissingLayers(ctx, ids, Version, x.opts.Holder); err != nil && ctx.Err() == nil {
				x.log.WarnContext(ctx, "leases on layers not renewed", "error", err)
			}
		}
	}
}

// readLayer downloads, reads and saves one layer.
func (x *Indexer) readLayer(ctx context.Context, src oci.Source, w wanted) (*record, error) {
	var read int64
	open := func() (io.ReadCloser, error) {
		rc, err := src.Blob(ctx, w.blob)
		if err != nil && w.blob.Foreign() && errors.Is(err, inventory.ErrNotFound) {
			return nil, inventory.Errorf(inventory.ErrUnsupported, "layer %d is a foreign layer that this registry does not hold; addresses in a manifest are never followed", w.index)
		}
		if err != nil {
			return nil, err
		}
		return countReader{rc, &read}, nil
	}
	rec, diffID, err := x.reader.read(ctx, open)
	if x.opts.OnLayer != nil {
		x.opts.OnLayer(w.diffID, read)
	}
	if err != nil {
		var known *inventory.Error
		if errors.As(err, &known) {
			return nil, inventory.Errorf(known.Kind, "layer %d (%s): %w", w.index, w.blob.Digest, err)
		}
		return nil, err
	}
	if diffID != w.diffID {
		return nil, inventory.Errorf(inventory.ErrInvalid, "layer %d (%s) has diff ID %s; the config claims %s", w.index, w.blob.Digest, diffID, w.diffID)
	}
	err = x.ledger.SaveLayer(ctx, inventory.LayerRecord{DiffID: diffID, Digest: w.blob.Digest, Size: w.blob.Size, Indexer: Version, Body: x.codec.encode(rec)})
	return rec, err
}

// countReader counts what came over the wire.
type countReader struct {
	io.ReadCloser
	n *int64
}

func (c countReader) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	*c.n += int64(n)
	return n, err
}

// records gives all records of an image: fresh ones, and the ledger's. What
// another holder reads just now is waited for; when its lease ends without a
// record, the error says to come again.
func (x *Indexer) records(ctx context.Context, layers []inventory.ImageLayer, fresh map[string]*record) (map[string]*record, error) {
	out := map[string]*record{}
	var need []string
	for _, l := range layers {
		if rec, ok := fresh[l.DiffID]; ok {
			out[l.DiffID] = rec
		} else if !slices.Contains(need, l.DiffID) {
			need = append(need, l.DiffID)
		}
	}
	for wait := 100 * time.Millisecond; len(need) > 0; wait = min(2*wait, 5*time.Second) {
		bodies, err := x.ledger.LayerBodies(ctx, need, Version)
		if err != nil {
			return nil, err
		}
		for id, body := range bodies {
			rec, err := x.codec.decode(body)
			if err != nil {
				return nil, inventory.Errorf(inventory.ErrInvalid, "record of layer %s: %w", id, err)
			}
			out[id] = rec
		}
		need = slices.DeleteFunc(need, func(id string) bool { return out[id] != nil })
		if len(need) == 0 {
			break
		}
		if wait >= 5*time.Second {
			return nil, inventory.Errorf(inventory.ErrUnavailable, "layer %s is being read by another watcher", need[0])
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
	return out, nil
}
