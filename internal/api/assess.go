package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// AssessStore is what packages that the ledger does not hold are assessed with.
type AssessStore interface {
	AdvisoryStore
	Scores(ctx context.Context, flaws []string) (map[string]inventory.Score, error)
	// BasesAmong are the known images that any of these stacks of layers is, highest first.
	BasesAmong(ctx context.Context, chainIDs []string) ([]inventory.Base, error)
}

const (
	maxBOM    = 256 << 20 // bytes of a bill of materials that is sent
	assessing = 100       // packages whose advisories are in memory at once
)

func assessRoutes() []route {
	return []route{{
		method: "POST", path: "/api/v1/assess", need: Read, summary: "The findings of a bill of materials that the ledger does not hold; nothing of it is kept",
		body: inventory.SBOM{}, status: 200, reply: inventory.Assessment{}, serve: (*API).assess,
	}}
}

func (a *API) assess(w http.ResponseWriter, r *http.Request) error {
	if kind := r.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		return invalid("the body is not JSON").WithRemedy("send Content-Type: application/json")
	}
	var bom inventory.SBOM
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBOM)).Decode(&bom); err != nil {
		return badJSON(err)
	}
	out, err := a.reader.assess(r.Context(), a.store, a.judge, bom)
	if err != nil {
		return fmt.Errorf("assess %s: %w", shorten(bom.Reference), err)
	}
	return reply(w, r, http.StatusOK, out)
}

// assess answers for a bill of materials what fill answers for an image of the ledger.
func (rd *Reader) assess(ctx context.Context, st AssessStore, judge Judge, bom inventory.SBOM) (out inventory.Assessment, err error) {
	bom.Packages = merged(bom.Packages)
	if out.Base, err = basesOf(ctx, st, bom.Layers); err != nil {
		return out, err
	}
	baseLayers := 0
	for _, b := range out.Base {
		baseLayers = max(baseLayers, b.Layers)
	}
	findings, err := find(ctx, st, judge, bom.Packages, baseLayers)
	if err != nil {
		return out, err
	}
	d := inventory.Dossier{Tag: inventory.TagRow{Reference: bom.Reference, Digest: bom.Digest}, SBOM: bom}
	d.Tag.RepositoryKey, d.Tag.Image = placeOf(bom.Reference)
	d.Image.Digest = bom.Digest
	d.Report = inventory.Report{Reference: bom.Reference, Digest: bom.Digest, Platform: bom.Platform, Findings: findings, Summary: inventory.Count(findings)}
	if err := rd.except(ctx, &d); err != nil {
		return out, err
	}
	if d.Report.Unknown, err = rd.unknown(ctx, bom.Packages); err != nil {
		return out, err
	}
	d.Report.AdvisoriesAsOf, err = rd.advisoriesAsOf(ctx)
	out.Report = d.Report
	return out, err
}

// merged makes one of the entries of each package, as the ledger keeps it: in the lowest
// layer, in all its files, owned if it is so everywhere.
func merged(packages []inventory.Placed) []inventory.Placed {
	at := map[string]int{}
	out := make([]inventory.Placed, 0, len(packages))
	for _, p := range packages {
		i, ok := at[p.PURL]
		if !ok {
			at[p.PURL] = len(out)
			p.Locations = slices.Clone(p.Locations)
			out = append(out, p)
			continue
		}
		have := &out[i]
		have.Locations = append(have.Locations, p.Locations...)
		if p.Layer < have.Layer {
			have.Layer, have.LayerDiffID = p.Layer, p.LayerDiffID
		}
		if p.OwnedBy == "" {
			have.OwnedBy = ""
		}
	}
	return out
}

// basesOf finds the known images that stand below the topmost layer.
func basesOf(ctx context.Context, st AssessStore, layers []inventory.ImageLayer) ([]inventory.Base, error) {
	var chains []string
	for i, l := range layers {
		if i < len(layers)-1 && isDigest(l.ChainID) {
			chains = append(chains, l.ChainID)
		}
	}
	bases, err := st.BasesAmong(ctx, chains)
	if err != nil {
		return nil, fmt.Errorf("bases: %w", err)
	}
	return orNone(bases), nil
}

// find holds packages to the advisories, some at a time.
func find(ctx context.Context, st AssessStore, judge Judge, packages []inventory.Placed, baseLayers int) ([]inventory.Finding, error) {
	byPURL := map[string]inventory.Placed{}
	var free []inventory.Package
	for _, p := range packages {
		if p.OwnedBy == "" && p.PURL != "" {
			byPURL[p.PURL] = p
			free = append(free, p.Package)
		}
	}
	var verdicts []inventory.Verdict
	for chunk := range slices.Chunk(free, assessing) {
		seen := map[inventory.AffectedKey]bool{}
		for _, p := range chunk {
			for _, key := range judge.KeysOf(p) {
				seen[key] = true
			}
		}
		candidates, err := st.Candidates(ctx, slices.Collect(maps.Keys(seen)))
		if err != nil {
			return nil, fmt.Errorf("advisories: %w", err)
		}
		verdicts = append(verdicts, judge.Verdicts(chunk, candidates)...)
	}
	flaws := map[string]bool{}
	for _, v := range verdicts {
		flaws[v.ID] = true
	}
	scores, err := st.Scores(ctx, slices.Sorted(maps.Keys(flaws)))
	if err != nil {
		return nil, fmt.Errorf("scores: %w", err)
	}
	findings := make([]inventory.Finding, 0, len(verdicts))
	for _, v := range verdicts {
		findings = append(findings, findingOf(v, byPURL[v.PURL], scores[v.ID], baseLayers))
	}
	slices.SortFunc(findings, func(a, b inventory.Finding) int {
		return cmp.Or(cmp.Compare(inventory.SeverityRank(a.Severity), inventory.SeverityRank(b.Severity)), cmp.Compare(b.ID, a.ID), cmp.Compare(a.PURL, b.PURL))
	})
	return findings, nil
}

func findingOf(v inventory.Verdict, p inventory.Placed, s inventory.Score, baseLayers int) inventory.Finding {
	f := inventory.Finding{
		ID: v.ID, Aliases: v.Aliases, PURL: p.PURL, Package: p.Name, Version: p.Version, FixedVersions: v.Fixed,
		Severity: v.Severity, SeveritySource: v.SeveritySource, EPSS: s.EPSS, KEV: s.KEV, KEVDue: s.KEVDue,
		Layer: p.Layer, LayerDiffID: p.LayerDiffID, Locations: p.Locations, Published: v.Published, Summary: v.Summary,
		Advisory: inventory.AdvisoryRef{ID: v.AdvisoryID, Modified: v.Modified}, Why: inventory.Why{Range: v.Range, Comparator: v.Comparator},
	}
	if !v.Modified.IsZero() {
		f.Modified = &v.Modified
	}
	if p.LayerDiffID != "" {
		f.Origin = "own"
		if p.Layer < baseLayers {
			f.Origin = "base"
		}
	}
	if v.CVSSVector != "" || v.CVSSScore != 0 {
		f.CVSS = &inventory.CVSS{Vector: v.CVSSVector, Score: v.CVSSScore}
	}
	return f
}

// placeOf is the repository of a reference, as exceptions name it: HOST/KEY/IMAGE:TAG.
func placeOf(ref string) (key, image string) {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	if host, path, ok := strings.Cut(ref, "/"); ok && strings.ContainsAny(host, ".:") {
		ref = path
	}
	if key, image, ok := strings.Cut(ref, "/"); ok {
		return key, image
	}
	return "", ref
}
