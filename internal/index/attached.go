package index

import (
	"context"
	"errors"
	"sort"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
)

// maxAttached bounds the documents that are looked at beside one image.
const maxAttached = 20

// attached reads what lies beside an image: attestations of the same index, and
// what was attached later. It only adds; trouble with it is a problem of the
// image, unless it may pass.
func (x *Indexer) attached(ctx context.Context, src oci.Source, img *inventory.Image, inIndex []oci.Descriptor) error {
	docs := inIndex
	if !x.opts.NoReferrers {
		more, err := src.Referrers(ctx, img.Digest)
		if err := x.shrug(img, "list what is attached", err); err != nil {
			return err
		}
		docs = append(docs[:len(docs):len(docs)], more...)
	}
	ours := ownPackages{}
	for i, d := range docs {
		if i == maxAttached {
			img.Problems = append(img.Problems, inventory.LayerProblem{Layer: -1, Problem: "more documents are attached than are read"})
			break
		}
		err := x.document(ctx, src, img, d, &ours)
		if err := x.shrug(img, "read attached document "+d.Digest, err); err != nil {
			return err
		}
	}
	sort.Slice(img.Attached, func(i, j int) bool {
		a, b := img.Attached[i], img.Attached[j]
		return a.Digest < b.Digest || a.Digest == b.Digest && a.PredicateType < b.PredicateType
	})
	return nil
}

// shrug makes an error a problem of the image, unless a retry is worth it.
func (x *Indexer) shrug(img *inventory.Image, act string, err error) error {
	if err == nil || errors.Is(err, inventory.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return err
	}
	img.Problems = append(img.Problems, inventory.LayerProblem{Layer: -1, Problem: act + ": " + err.Error()})
	return nil
}

// document reads one manifest of attestations or of an SBOM.
func (x *Indexer) document(ctx context.Context, src oci.Source, img *inventory.Image, d oci.Descriptor, ours *ownPackages) error {
	m, err := src.Manifest(ctx, d.Digest)
	if err != nil {
		return err
	}
	if m.Kind == inventory.IndexKind || len(m.Layers) == 0 {
		return nil
	}
	for _, l := range m.Layers {
		a := inventory.Attached{Digest: l.Digest, PredicateType: clipText(firstOf(l.Annotations["in-toto.io/predicate-type"], m.ArtifactType, l.MediaType), 200)}
		err := x.content(ctx, src, img, l, &a, ours)
		img.Attached = append(img.Attached, a)
		if err != nil {
			return err
		}
	}
	return nil
}

// content reads one document: provenance into the image's origin, a bill of
// materials into what it says beside ours. Others are only known to be there.
func (x *Indexer) content(ctx context.Context, src oci.Source, img *inventory.Image, l oci.Descriptor, a *inventory.Attached, ours *ownPackages) error {
	kind := l.Annotations["in-toto.io/predicate-type"]
	switch {
	case oci.IsSBOM(l.MediaType):
		raw, err := oci.ReadDocument(ctx, src, l)
		if err != nil {
			return err
		}
		return x.bom(ctx, img, raw, a, ours)
	case !oci.IsStatement(l.MediaType), kind != "" && !oci.IsProvenance(kind) && !oci.IsSBOM(kind):
		return nil
	}
	raw, err := oci.ReadDocument(ctx, src, l)
	if err != nil {
		return err
	}
	st, err := oci.ParseStatement(raw)
	if err != nil || !st.About(img.Digest) {
		return err
	}
	if kind == "" && st.PredicateType != "" {
		a.PredicateType = clipText(st.PredicateType, 200)
	}
	if o, ok := st.Origin(); ok {
		mergeOrigin(&img.Origin, o)
	}
	if doc := st.SBOM(); doc != nil {
		return x.bom(ctx, img, doc, a, ours)
	}
	return nil
}

// mergeOrigin fills what labels left open with what provenance says.
func mergeOrigin(into *inventory.Origin, o inventory.Origin) {
	used := false
	fill := func(dst *string, v string) {
		if *dst == "" && v != "" {
			*dst, used = v, true
		}
	}
	if into.Source == "" {
		// Source and revision belong together: never one of each.
		fill(&into.Source, o.Source)
		into.Revision = ""
		fill(&into.Revision, o.Revision)
	}
	fill(&into.Builder, o.Builder)
	fill(&into.Dockerfile, o.Dockerfile)
	fill(&into.Instructions, o.Instructions)
	if into.BaseName == "" {
		fill(&into.BaseName, o.BaseName)
		into.BaseDigest = ""
		fill(&into.BaseDigest, o.BaseDigest)
	}
	if into.Created == nil && o.Created != nil {
		into.Created, used = o.Created, true
	}
	switch {
	case used && into.Evidence == "":
		into.Evidence = o.Evidence
	case used && into.Evidence != o.Evidence:
		into.Evidence += ", " + o.Evidence
	}
}
