package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Image returns what an image or index is. While it waits, only its digest, media type
// and state are known. Layers of its nearest known base are marked.
func (s *Store) Image(ctx context.Context, d string) (img inventory.Image, err error) {
	err = s.view(ctx, "read image "+d, func(r reader) error {
		var body []byte
		var chain int64
		var mediaType, kind, state, problem string
		var retry int
		err := r.row(ctx, `SELECT media_type, kind, state, problem, retry, chain_id, body FROM image WHERE digest = ?`, digest(d)).
			Scan(&mediaType, &kind, &state, &problem, &retry, &chain, &body)
		if err != nil {
			return err
		}
		if len(body) > 0 {
			if err := unpackJSON(body, &img); err != nil {
				return err
			}
		}
		img.Digest, img.State, img.Problem, img.Retry = d, state, problem, retry != 0
		if img.MediaType == "" {
			img.MediaType, img.Kind = mediaType, kind
		}
		complete(&img)
		layers, err := baseLayers(ctx, r, chain)
		if err != nil {
			return err
		}
		for i := range img.Layers {
			img.Layers[i].Base = img.Layers[i].Index < layers
		}
		return nil
	})
	return img, err
}

// complete makes every list of an image one.
func complete(img *inventory.Image) {
	img.Layers, img.Members, img.Problems, img.Attached = some(img.Layers), some(img.Members), some(img.Problems), some(img.Attached)
	c := &img.Config
	c.Env, c.Entrypoint, c.Cmd, c.Ports, c.Volumes, c.History = some(c.Env), some(c.Entrypoint), some(c.Cmd), some(c.Ports), some(c.Volumes), some(c.History)
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
}

// baseLayers is how many layers of a stack belong to its nearest known base.
func baseLayers(ctx context.Context, r reader, chain int64) (int, error) {
	if chain == 0 {
		return 0, nil
	}
	below, err := ancestors(ctx, r, []int64{chain})
	if err != nil || len(below[chain]) == 0 {
		return 0, err
	}
	return below[chain][0].depth + 1, nil
}

// Findings returns the verdicts on the packages of one platform image in their places,
// the worst first. Packages that only repeat what a distribution's package owns are left
// out: their owner is matched instead.
func (s *Store) Findings(ctx context.Context, d string) (all []inventory.Finding, err error) {
	all = []inventory.Finding{}
	err = s.view(ctx, "read the findings of "+d, func(r reader) error {
		var chain int64
		if err := r.row(ctx, `SELECT chain_id FROM image WHERE digest = ?`, digest(d)).Scan(&chain); err != nil {
			return err
		}
		if chain == 0 {
			return nil
		}
		st, err := s.stackOf(ctx, r, chain)
		if err != nil {
			return err
		}
		layers, err := baseLayers(ctx, r, chain)
		if err != nil {
			return err
		}
		all, err = findings(ctx, r, st, layers)
		return err
	})
	return all, err
}

func findings(ctx context.Context, r reader, st stack, baseLayers int) ([]inventory.Finding, error) {
	byID, err := packagesByID(ctx, r, st.packages())
	if err != nil {
		return nil, err
	}
	placedByID := make(map[int64]inventory.Placed, len(byID))
	for _, group := range st.groups() {
		placedByID[group[0].pkg] = placed(byID[group[0].pkg], group)
	}
	all := []inventory.Finding{}
	err = eachIn(ctx, r, `
		SELECT `+verdictColumns+`, COALESCE(e.score, -1), COALESCE(e.percentile, 0), COALESCE(k.added, -1), COALESCE(k.due, 0)
		FROM verdict v LEFT JOIN epss e ON e.cve = v.flaw LEFT JOIN kev k ON k.cve = v.flaw
		WHERE v.package_id IN ({in})`, nil, st.free(), func(rows *sql.Rows) error {
		var score, percentile float64
		var added, due int64
		pkg, k, err := scanVerdict(rows, &score, &percentile, &added, &due)
		if err != nil {
			return err
		}
		f := findingOf(k, placedByID[pkg], baseLayers)
		if score >= 0 {
			f.EPSS = &inventory.EPSS{CVE: k.ID, Score: score, Percentile: percentile}
		}
		if f.KEV = added >= 0; f.KEV {
			f.KEVDue = timeOf(due)
		}
		all = append(all, f)
		return nil
	})
	slices.SortFunc(all, func(a, b inventory.Finding) int {
		return cmp.Or(cmp.Compare(inventory.SeverityRank(a.Severity), inventory.SeverityRank(b.Severity)), cmp.Compare(b.ID, a.ID), cmp.Compare(a.PURL, b.PURL))
	})
	return all, err
}

func findingOf(k kept, p inventory.Placed, baseLayers int) inventory.Finding {
	f := inventory.Finding{
		ID: k.ID, Aliases: k.Aliases, PURL: p.PURL, Package: p.Name, Version: p.Version, FixedVersions: k.Fixed,
		Severity: k.Severity, SeveritySource: k.SeveritySource, Layer: p.Layer, LayerDiffID: p.LayerDiffID, Locations: p.Locations,
		Origin: "own", FirstSeen: timeOf(k.firstSeen), Published: k.Published, Modified: timeOf(millis(k.Modified)), Summary: k.Summary,
		Advisory: inventory.AdvisoryRef{ID: k.AdvisoryID, Modified: k.Modified}, Why: inventory.Why{Range: k.Range, Comparator: k.Comparator},
	}
	if p.Layer < baseLayers {
		f.Origin = "base"
	}
	if k.CVSSVector != "" || k.CVSSScore != 0 {
		f.CVSS = &inventory.CVSS{Vector: k.CVSSVector, Score: k.CVSSScore}
	}
	return f
}
