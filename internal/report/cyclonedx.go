package report

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// writeCycloneDX writes CycloneDX 1.6 with vulnerabilities. Without a bill of materials
// the components are only the packages that have findings or are not assessed.
func writeCycloneDX(w io.Writer, r inventory.Report, o Options) error {
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: o.time().Format(time.RFC3339),
		Component: &cdx.Component{BOMRef: r.Digest, Type: cdx.ComponentTypeContainer, Name: r.Reference, Version: r.Digest},
		Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{
			{Type: cdx.ComponentTypeApplication, Name: "tallyman", Version: o.Version},
		}},
	}
	components := cdxComponents(r, o)
	bom.Components = &components
	vulnerabilities := cdxVulnerabilities(r)
	bom.Vulnerabilities = &vulnerabilities
	enc := cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := enc.EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return fmt.Errorf("write CycloneDX: %w", err)
	}
	return nil
}

func cdxComponents(r inventory.Report, o Options) []cdx.Component {
	out := []cdx.Component{}
	seen := map[string]bool{}
	unknown := map[string]string{}
	for _, u := range r.Unknown {
		unknown[u.PURL] = u.Reason
	}
	add := func(purl, name, version string, layer int, diffID string, locations []string) {
		if purl == "" || seen[purl] {
			return
		}
		seen[purl] = true
		properties := []cdx.Property{}
		if layer >= 0 {
			properties = append(properties, cdx.Property{Name: "tallyman:layer", Value: itoa(layer)})
		}
		if reason := unknown[purl]; reason != "" {
			properties = append(properties, cdx.Property{Name: "tallyman:not_assessed", Value: strings.TrimPrefix(reason, "not assessed: ")})
		}
		if diffID != "" {
			properties = append(properties, cdx.Property{Name: "tallyman:layer_diff_id", Value: diffID})
		}
		for _, path := range locations {
			properties = append(properties, cdx.Property{Name: "tallyman:location", Value: path})
		}
		out = append(out, cdx.Component{
			BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: name, Version: version, PackageURL: purl, Properties: &properties,
		})
	}
	if o.SBOM != nil {
		for _, p := range o.SBOM.Packages {
			add(p.PURL, p.Name, p.Version, p.Layer, p.LayerDiffID, p.Locations)
		}
	}
	for _, f := range r.Findings {
		add(f.PURL, f.Package, f.Version, f.Layer, f.LayerDiffID, f.Locations)
	}
	for _, u := range r.Unknown {
		add(u.PURL, u.PURL, "", -1, "", nil)
	}
	slices.SortFunc(out, func(a, b cdx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	return out
}

// cdxVulnerabilities is one vulnerability a flaw, with all packages that it affects.
func cdxVulnerabilities(r inventory.Report) []cdx.Vulnerability {
	out := []cdx.Vulnerability{}
	at := map[string]int{}
	for _, f := range bySeverity(r.Findings) {
		i, ok := at[f.ID]
		if !ok {
			i = len(out)
			at[f.ID] = i
			out = append(out, cdxVulnerability(f))
		}
		affected := cdx.Affects{Ref: f.PURL, Range: &[]cdx.AffectedVersions{{Version: f.Version, Status: cdx.VulnerabilityStatusAffected}}}
		*out[i].Affects = append(*out[i].Affects, affected)
		if len(f.FixedVersions) > 0 {
			advice := "Upgrade " + f.Package + " to " + f.FixedVersions[0]
			if out[i].Recommendation != "" {
				advice = out[i].Recommendation + "; " + advice
			}
			out[i].Recommendation = advice
		}
	}
	return out
}

func cdxVulnerability(f inventory.Finding) cdx.Vulnerability {
	v := cdx.Vulnerability{
		BOMRef: f.ID, ID: f.ID, Source: &cdx.Source{Name: f.Advisory.ID, URL: link(url.PathEscape(f.ID))},
		Description: f.Summary, Affects: &[]cdx.Affects{},
		Ratings: &[]cdx.VulnerabilityRating{cdxRating(f)},
	}
	if f.Published != nil {
		v.Published = f.Published.UTC().Format(time.RFC3339)
	}
	if f.Modified != nil {
		v.Updated = f.Modified.UTC().Format(time.RFC3339)
	}
	if len(f.Aliases) > 0 {
		references := make([]cdx.VulnerabilityReference, 0, len(f.Aliases))
		for _, id := range f.Aliases {
			references = append(references, cdx.VulnerabilityReference{ID: id, Source: &cdx.Source{URL: link(url.PathEscape(id))}})
		}
		v.References = &references
	}
	if f.Exception != nil {
		v.Analysis = &cdx.VulnerabilityAnalysis{State: analysisState(f.Exception.Status), Detail: f.Exception.Reason}
	}
	properties := []cdx.Property{{Name: "tallyman:range", Value: f.Why.Range}, {Name: "tallyman:comparator", Value: f.Why.Comparator}}
	if f.KEV {
		properties = append(properties, cdx.Property{Name: "tallyman:kev", Value: "true"})
	}
	if f.KEVDue != nil {
		properties = append(properties, cdx.Property{Name: "tallyman:kev_due", Value: day(f.KEVDue)})
	}
	if f.EPSS != nil {
		properties = append(properties, cdx.Property{Name: "tallyman:epss", Value: decimal(f.EPSS.Score)},
			cdx.Property{Name: "tallyman:epss_percentile", Value: decimal(f.EPSS.Percentile)})
	}
	v.Properties = &properties
	return v
}

func cdxRating(f inventory.Finding) cdx.VulnerabilityRating {
	rating := cdx.VulnerabilityRating{Severity: cdx.Severity(f.Severity)}
	if f.Severity == inventory.Unspecified {
		rating.Severity = cdx.SeverityUnknown
	}
	if f.SeveritySource != "" {
		rating.Source = &cdx.Source{Name: f.SeveritySource}
	}
	if f.CVSS != nil {
		rating.Score, rating.Vector = &f.CVSS.Score, f.CVSS.Vector
		rating.Method = scoringMethod(f.CVSS.Vector)
	}
	return rating
}

func scoringMethod(vector string) cdx.ScoringMethod {
	switch {
	case strings.HasPrefix(vector, "CVSS:4"):
		return cdx.ScoringMethodCVSSv4
	case strings.HasPrefix(vector, "CVSS:3.1"):
		return cdx.ScoringMethodCVSSv31
	case strings.HasPrefix(vector, "CVSS:3"):
		return cdx.ScoringMethodCVSSv3
	case vector != "":
		return cdx.ScoringMethodCVSSv2
	}
	return cdx.ScoringMethodOther
}

// analysisState is CycloneDX's word for a status of VEX.
func analysisState(status string) cdx.ImpactAnalysisState {
	switch status {
	case "not_affected":
		return cdx.IASNotAffected
	case "fixed":
		return cdx.IASResolved
	case "affected":
		return cdx.IASExploitable
	}
	return cdx.IASInTriage
}
