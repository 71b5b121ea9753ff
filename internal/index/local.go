package index

import (
	"context"
	"sort"
	"sync"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
)

// Result is an image that was indexed for itself.
type Result struct {
	Image    inventory.Image
	Packages []inventory.Placed
}

// Local indexes one image without a ledger, for an image named on the command
// line. Of an index it takes the given platform ("linux/arm64"); an empty
// platform is the only Linux image, or linux/amd64.
func Local(ctx context.Context, src oci.Source, ref, platform string, opts Options) (Result, error) {
	m, err := src.Manifest(ctx, ref)
	if err != nil {
		return Result{}, err
	}
	var attested []oci.Descriptor
	for depth := 0; m.Kind == inventory.IndexKind; depth++ {
		if depth == maxNesting {
			return Result{}, inventory.Errorf(inventory.ErrUnsupported, "index %s lies in indexes deeper than %d", m.Digest, maxNesting)
		}
		d, err := pickPlatform(m, platform)
		if err != nil {
			return Result{}, err
		}
		for _, a := range m.Members {
			if a.IsAttestationMember() && a.Annotations["vnd.docker.reference.digest"] == d.Digest {
				attested = append(attested, a)
			}
		}
		if m, err = src.Manifest(ctx, d.Digest); err != nil {
			return Result{}, err
		}
	}
	if m.Kind != inventory.ImageKind {
		return Result{}, inventory.Errorf(inventory.ErrUnsupported, "%s is %s", m.Digest, m.Reason)
	}
	ledger := &memoryLedger{}
	x := New(ledger, opts)
	img, chains, err := x.build(ctx, src, m)
	if err == nil {
		err = x.attached(ctx, src, &img, attested)
	}
	if err != nil {
		return Result{}, err
	}
	img.State = inventory.StateAnalysed
	fillEmpty(&img)
	return Result{Image: img, Packages: Place(img.Layers, chains)}, nil
}

func pickPlatform(m oci.Manifest, platform string) (oci.Descriptor, error) {
	var linux []oci.Descriptor
	names := ""
	for _, d := range m.Members {
		if d.IsAttestationMember() {
			continue
		}
		name := d.Platform.String()
		names += " " + name
		if platform != "" && (name == platform || name == platform+"/v8" && platform == "linux/arm64") {
			return d, nil
		}
		if platform == "" && (name == "" || d.Platform.OS == "linux") {
			linux = append(linux, d)
		}
	}
	for _, d := range linux {
		if len(linux) == 1 || d.Platform.String() == "linux/amd64" {
			return d, nil
		}
	}
	return oci.Descriptor{}, inventory.Errorf(inventory.ErrNotFound, "index %s has no image for %s", m.Digest, firstOf(platform, "linux/amd64")).
		WithRemedy("--platform takes one of:%s", names)
}

// Place tells for each package of a stack the layer that introduced it: the
// lowest from which on it was always there.
func Place(layers []inventory.ImageLayer, chains []inventory.ChainRecord) []inventory.Placed {
	byID := map[string]inventory.ChainRecord{}
	for _, c := range chains {
		byID[c.ChainID] = c
	}
	type held struct {
		inventory.Occurrence
		layer int
	}
	live := map[occurrenceKey]held{}
	for i, l := range layers {
		c := byID[l.ChainID]
		for _, o := range c.Removed {
			delete(live, keyOf(o))
		}
		for _, o := range c.Added {
			live[keyOf(o)] = held{o, i}
		}
	}
	// One entry a package, layer and owner, with all its locations.
	type placeKey struct {
		purl, owner string
		layer       int
		declared    bool
	}
	placed := map[placeKey]*inventory.Placed{}
	for _, h := range live {
		k := placeKey{h.PURL, h.OwnedBy, h.layer, h.Declared}
		if placed[k] == nil {
			placed[k] = &inventory.Placed{Package: h.Package, Layer: h.layer, LayerDiffID: layers[h.layer].DiffID, OwnedBy: h.OwnedBy, Declared: h.Declared}
		}
		placed[k].Locations = append(placed[k].Locations, h.Location)
	}
	out := make([]inventory.Placed, 0, len(placed))
	for _, p := range placed {
		sort.Strings(p.Locations)
		out = append(out, *p)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.PURL != b.PURL {
			return a.PURL < b.PURL
		}
		if a.Layer != b.Layer {
			return a.Layer < b.Layer
		}
		if a.OwnedBy != b.OwnedBy {
			return a.OwnedBy < b.OwnedBy
		}
		return !a.Declared && b.Declared
	})
	return out
}

// memoryLedger keeps nothing beyond one image: every layer is read.
type memoryLedger struct {
	mu     sync.Mutex
	bodies map[string][]byte
}

func (l *memoryLedger) MissingLayers(_ context.Context, diffIDs []string, _ int, _ string) ([]string, error) {
	return diffIDs, nil
}

func (l *memoryLedger) LayerBodies(_ context.Context, diffIDs []string, _ int) (map[string][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string][]byte{}
	for _, id := range diffIDs {
		if b, ok := l.bodies[id]; ok {
			out[id] = b
		}
	}
	return out, nil
}

func (l *memoryLedger) SaveLayer(_ context.Context, rec inventory.LayerRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bodies == nil {
		l.bodies = map[string][]byte{}
	}
	l.bodies[rec.DiffID] = rec.Body
	return nil
}

func (l *memoryLedger) VerifiedDiffID(context.Context, []string) (map[string]string, error) {
	return map[string]string{}, nil
}

func (l *memoryLedger) KnownChains(context.Context, []string, int) (map[string]bool, error) {
	return map[string]bool{}, nil
}

func (l *memoryLedger) SaveImage(context.Context, inventory.Image, []inventory.ChainRecord) error {
	return nil
}
