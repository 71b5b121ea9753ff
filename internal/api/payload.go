package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Example shows what far watchers send, by an image that the ledger has.
type Example struct {
	Reader *Reader
	// Bodies gives the records of layers, Describe takes one apart.
	Bodies   func(ctx context.Context, diffIDs []string, indexer int) (map[string][]byte, error)
	Describe func(body []byte) (any, error)
}

// Payload answers what a far watcher would send of an image to a server that knows
// nothing of it; platform chooses among the images of an index and may be empty.
func (e *Example) Payload(ctx context.Context, ref, platform string) (inventory.Payload, error) {
	var p inventory.Payload
	d, err := e.Reader.Open(ctx, ref, platform)
	if err != nil {
		return p, err
	}
	p.Sighting = inventory.Sighting{
		Key: d.Tag.RepositoryKey, Image: d.Tag.Image, Tag: d.Tag.Tag, Digest: d.Tag.Digest, MediaType: d.Tag.MediaType, At: d.Tag.LastSeen,
	}
	if d.Tag.Pushed != nil {
		p.Sighting.Pushed = *d.Tag.Pushed
	}
	if d.Tag.Created != nil {
		p.Sighting.Created = *d.Tag.Created
	}
	p.Image = inventory.ImageReport{Image: d.Image, Chains: chainsOf(d)}
	diffIDs := make([]string, 0, len(d.Image.Layers))
	for _, l := range d.Image.Layers {
		diffIDs = append(diffIDs, l.DiffID)
	}
	bodies, err := e.Bodies(ctx, diffIDs, d.Image.Indexer)
	if err != nil {
		return p, fmt.Errorf("records of the layers of %s: %w", ref, err)
	}
	for _, l := range d.Image.Layers {
		one := inventory.PayloadLayer{DiffID: l.DiffID, Digest: l.Digest, Size: l.Size, Bytes: len(bodies[l.DiffID])}
		if body := bodies[l.DiffID]; body != nil {
			if one.Record, err = e.Describe(body); err != nil {
				return p, fmt.Errorf("record of layer %s: %w", l.DiffID, err)
			}
		}
		p.Layers = append(p.Layers, one)
	}
	return p, nil
}

// chainsOf are the stacks of an image with what each layer brought that is still there.
func chainsOf(d inventory.Dossier) []inventory.ChainRecord {
	chains, parent := make([]inventory.ChainRecord, len(d.Image.Layers)), ""
	for i, l := range d.Image.Layers {
		chains[i] = inventory.ChainRecord{ChainID: l.ChainID, Parent: parent, DiffID: l.DiffID, Depth: i, Indexer: d.Image.Indexer}
		parent = l.ChainID
	}
	for _, p := range d.SBOM.Packages {
		if p.Layer < 0 || p.Layer >= len(chains) {
			continue
		}
		for _, location := range p.Locations {
			c := &chains[p.Layer]
			c.Added = append(c.Added, inventory.Occurrence{Package: p.Package, Location: location, OwnedBy: p.OwnedBy, Declared: p.Declared})
		}
	}
	return chains
}

func (a *API) getPayload(w http.ResponseWriter, r *http.Request) error {
	if a.example == nil {
		return inventory.Errorf(inventory.ErrUnsupported, "this server shows no examples of what watchers send")
	}
	q := r.URL.Query()
	p, err := a.example.Payload(r.Context(), q.Get("ref"), q.Get("platform"))
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, p)
}
