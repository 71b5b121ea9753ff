package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const (
	// maxAsked bounds how many layers, blobs or stacks one call asks for: an image has
	// at most a few hundred.
	maxAsked = 5000
	// maxErrands bounds how many images a watcher takes at a time.
	maxErrands = 100
)

// errands gives a watcher images to index.
func (g *ingest) errands(s session, w http.ResponseWriter, r *http.Request) error {
	var asked inventory.ErrandsAsked
	if err := readFar(w, r, &asked); err != nil {
		return err
	}
	if asked.Limit < 1 || asked.Limit > maxErrands || len(asked.Held) > maxAsked {
		return invalid("the limit is not 1 to %d", maxErrands)
	}
	list, err := g.Store.TakeErrands(r.Context(), s.watcher, asked.Held, asked.Limit)
	if err != nil {
		return err
	}
	return farReply(w, r, list)
}

// outcome takes what became of an errand.
func (g *ingest) outcome(s session, w http.ResponseWriter, r *http.Request) error {
	var o inventory.Outcome
	if err := readFar(w, r, &o); err != nil {
		return err
	}
	if err := g.has(r.Context(), s, o.Digest); err != nil {
		return err
	}
	if err := g.countAll(r.Context(), s, o.Requests); err != nil {
		return err
	}
	var taken inventory.OutcomeTaken
	err := g.settle(r.Context(), s, o)
	if err == nil {
		_, taken.Waiting, err = g.Store.Errands(r.Context(), s.watcher)
	}
	if err != nil {
		return err
	}
	return farReply(w, r, taken)
}

func (g *ingest) settle(ctx context.Context, s session, o inventory.Outcome) error {
	if o.AgainS > 0 {
		return g.Store.PutOffErrand(ctx, s.watcher, o.Digest, time.Now().Add(time.Duration(min(o.AgainS, 24*3600))*time.Second))
	}
	if o.Problem != "" {
		if err := g.Store.FailImage(ctx, o.Digest, oneLine(o.Problem), o.Retry); err != nil {
			return err
		}
	}
	return g.Store.EndErrand(ctx, s.watcher, o.Digest)
}

// has refuses a watcher that speaks of another's images.
func (g *ingest) has(ctx context.Context, s session, digest string) error {
	has, err := g.Store.WatcherHas(ctx, s.watcher, digest)
	if err == nil && !has {
		return inventory.Errorf(inventory.ErrForbidden, "image %s is in none of the integrations of watcher %s", shorten(digest), s.watcher).
			WithRemedy("record the look that saw it first")
	}
	return err
}

// asked reads a call that names layers.
func (g *ingest) asked(w http.ResponseWriter, r *http.Request) (inventory.LayersAsked, error) {
	var asked inventory.LayersAsked
	if err := readFar(w, r, &asked); err != nil {
		return asked, err
	}
	if len(asked.Digests) > maxAsked {
		return asked, invalid("more than %d digests are asked for at once", maxAsked)
	}
	return asked, g.version(asked.Indexer)
}

func (g *ingest) missingLayers(s session, w http.ResponseWriter, r *http.Request) error {
	asked, err := g.asked(w, r)
	if err != nil {
		return err
	}
	missing, err := g.Store.MissingLayers(r.Context(), asked.Digests, asked.Indexer, g.leaseHolder(s))
	if err != nil {
		return err
	}
	return farReply(w, r, missing)
}

func (g *ingest) layerBodies(_ session, w http.ResponseWriter, r *http.Request) error {
	asked, err := g.asked(w, r)
	if err != nil {
		return err
	}
	bodies, err := g.Store.LayerBodies(r.Context(), asked.Digests, asked.Indexer)
	if err != nil {
		return err
	}
	return farReply(w, r, bodies)
}

func (g *ingest) verified(_ session, w http.ResponseWriter, r *http.Request) error {
	asked, err := g.asked(w, r)
	if err != nil {
		return err
	}
	known, err := g.Store.VerifiedDiffID(r.Context(), asked.Digests)
	if err != nil {
		return err
	}
	return farReply(w, r, known)
}

func (g *ingest) knownChains(_ session, w http.ResponseWriter, r *http.Request) error {
	asked, err := g.asked(w, r)
	if err != nil {
		return err
	}
	known, err := g.Store.KnownChains(r.Context(), asked.Digests, asked.Indexer)
	if err != nil {
		return err
	}
	return farReply(w, r, known)
}

// saveLayer takes the record of a layer that the watcher was told to read.
func (g *ingest) saveLayer(s session, w http.ResponseWriter, r *http.Request) error {
	release, err := g.big(r.Context())
	if err != nil {
		return err
	}
	defer release()
	var rec inventory.LayerRecord
	if err := readFar(w, r, &rec); err != nil {
		return err
	}
	if err := g.version(rec.Indexer); err != nil {
		return err
	}
	if rec.Size < 0 || rec.Digest == "" || len(rec.Body) == 0 {
		return invalid("the record of layer %s lacks its blob, its size or what was found", shorten(rec.DiffID))
	}
	rec.Voucher, rec.Holder = s.token, g.leaseHolder(s)
	return g.Store.SaveLayer(r.Context(), rec)
}

// saveImage takes an image and the stacks of layers that were not known.
func (g *ingest) saveImage(s session, w http.ResponseWriter, r *http.Request) error {
	release, err := g.big(r.Context())
	if err != nil {
		return err
	}
	defer release()
	var report inventory.ImageReport
	if err := readFar(w, r, &report); err != nil {
		return err
	}
	img := report.Image
	if err := g.version(img.Indexer); err != nil {
		return err
	}
	if err := checkImage(img, report.Chains); err != nil {
		return err
	}
	if err := g.has(r.Context(), s, img.Digest); err != nil {
		return err
	}
	if err := g.stands(r.Context(), img, report.Chains); err != nil {
		return err
	}
	img.Retry, img.Voucher, img.Problem = report.Retry, s.token, oneLine(img.Problem)
	return g.Store.SaveImage(r.Context(), img, report.Chains)
}

// checkImage refuses stacks that are not the image's, and chain IDs that lie.
func checkImage(img inventory.Image, chains []inventory.ChainRecord) error {
	switch img.State {
	case inventory.StateWaiting, inventory.StateFailed, inventory.StateUnsupported:
	default:
		return invalid("%q is not a state of an image that was just indexed", shorten(img.State))
	}
	switch img.Kind {
	case inventory.ImageKind, inventory.IndexKind, inventory.AttestationKind, inventory.ArtifactKind:
	default:
		return invalid("%q is not a kind of image", shorten(img.Kind))
	}
	if img.State != inventory.StateWaiting {
		if len(chains) > 0 || img.ChainID != "" {
			return invalid("image %s is not analysed and has stacks of layers", shorten(img.Digest))
		}
		return nil
	}
	stack, parent := map[string]inventory.ChainRecord{}, ""
	for i, l := range img.Layers {
		one := inventory.ChainRecord{ChainID: chainOf(parent, l.DiffID), Parent: parent, DiffID: l.DiffID, Depth: i}
		if l.ChainID != one.ChainID {
			return invalid("layer %d of image %s has chain ID %s; its layers give %s", i, shorten(img.Digest), shorten(l.ChainID), one.ChainID)
		}
		stack[one.ChainID], parent = one, one.ChainID
	}
	if img.ChainID != parent {
		return invalid("image %s has chain ID %s; its layers give %s", shorten(img.Digest), shorten(img.ChainID), parent)
	}
	for _, c := range chains {
		want, ok := stack[c.ChainID]
		if !ok || c.Parent != want.Parent || c.DiffID != want.DiffID || c.Depth != want.Depth || c.Indexer != img.Indexer {
			return invalid("stack %s is none of image %s", shorten(c.ChainID), shorten(img.Digest))
		}
	}
	return nil
}

// chainOf is the identity of a stack of layers, as OCI defines it.
func chainOf(parent, diffID string) string {
	if parent == "" {
		return diffID
	}
	sum := sha256.Sum256([]byte(parent + " " + diffID))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// stands makes sure that the image stands on layers that somebody read and on stacks
// that are known or come with it.
func (g *ingest) stands(ctx context.Context, img inventory.Image, chains []inventory.ChainRecord) error {
	if img.ChainID == "" {
		return nil
	}
	var ids, diffs []string
	for _, l := range img.Layers {
		ids = append(ids, l.ChainID)
	}
	brought := map[string]bool{}
	for _, c := range chains {
		brought[c.ChainID] = true
		diffs = append(diffs, c.DiffID)
	}
	known, err := g.Store.KnownChains(ctx, ids, img.Indexer)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !known[id] && !brought[id] {
			return again("the stack %s of image %s is not known (any more)", id, img.Digest)
		}
	}
	layers, err := g.Store.KnownLayers(ctx, diffs, img.Indexer)
	if err != nil {
		return err
	}
	for _, d := range diffs {
		if !layers[d] {
			return again("layer %s of image %s was recorded by nobody (any more)", shorten(d), img.Digest)
		}
	}
	return nil
}

func again(format string, args ...any) error {
	return inventory.Errorf(inventory.ErrConflict, format, args...).WithRemedy("index the image again")
}
