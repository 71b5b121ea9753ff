package report

import (
	"regexp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Filter narrows a report: a finding stays when it meets every condition that is set.
// The zero value keeps everything.
type Filter struct {
	Severities []string       // --only-severity
	Fixed      bool           // --only-fixed: a fixed version is known
	Unfixed    bool           // --only-unfixed
	Package    *regexp.Regexp // --only-package: on the name
	Types      []string       // --only-package-type: of purls, "deb", "npm"
	IDs        []string       // --only-cve-id: the id or an alias
	KEV        bool           // --only-cisa-kev
	OnlyBase   bool           // --only-base: what the base image brought
	IgnoreBase bool           // --ignore-base
	Layer      *int           // --layer: its index
	EPSS       float64        // --epss-score: at least this
	Percentile float64        // --epss-percentile: at least this
	Excepted   bool           // excepted findings stay in the list; they never count
}

// Validate says which condition cannot be meant.
func (f *Filter) Validate() error {
	for i, s := range f.Severities {
		f.Severities[i] = strings.ToLower(strings.TrimSpace(s))
		if !slices.Contains(inventory.Severities[:], f.Severities[i]) {
			return inventory.Errorf(inventory.ErrInvalid, "unknown severity %q", s).
				WithRemedy("choose of %s", strings.Join(inventory.Severities[:], ", "))
		}
	}
	switch {
	case f.Fixed && f.Unfixed:
		return inventory.Errorf(inventory.ErrInvalid, "--only-fixed and --only-unfixed leave nothing").WithRemedy("give one of them")
	case f.OnlyBase && f.IgnoreBase:
		return inventory.Errorf(inventory.ErrInvalid, "--only-base and --ignore-base leave nothing").WithRemedy("give one of them")
	case !(f.EPSS >= 0 && f.EPSS <= 1 && f.Percentile >= 0 && f.Percentile <= 1):
		return inventory.Errorf(inventory.ErrInvalid, "exploit prediction scores lie between 0 and 1")
	case f.Layer != nil && *f.Layer < 0:
		return inventory.Errorf(inventory.ErrInvalid, "layers are counted from 0")
	}
	return nil
}

// Apply answers the report that is left, with its summary counted anew. What is not
// assessed stays: a filter cannot make it known.
func (f *Filter) Apply(r inventory.Report) inventory.Report {
	kept := make([]inventory.Finding, 0, len(r.Findings))
	for i := range r.Findings {
		if f.Keep(&r.Findings[i]) {
			kept = append(kept, r.Findings[i])
		}
	}
	r.Findings = kept
	r.Summary = inventory.Count(kept)
	return r
}

// Keep tells whether a finding meets every condition.
func (f *Filter) Keep(one *inventory.Finding) bool {
	hasFix := len(one.FixedVersions) > 0
	switch {
	case len(f.Severities) > 0 && !slices.Contains(f.Severities, one.Severity),
		f.Fixed && !hasFix, f.Unfixed && hasFix,
		f.Package != nil && !f.Package.MatchString(one.Package),
		len(f.Types) > 0 && !slices.ContainsFunc(f.Types, func(t string) bool { return sameType(t, one.PURL) }),
		len(f.IDs) > 0 && !slices.ContainsFunc(f.IDs, func(id string) bool { return hasID(one, id) }),
		f.KEV && !one.KEV,
		f.OnlyBase && one.Origin != "base", f.IgnoreBase && one.Origin == "base",
		f.Layer != nil && one.Layer != *f.Layer:
		return false
	}
	return f.likely(one)
}

func (f *Filter) likely(one *inventory.Finding) bool {
	if f.EPSS == 0 && f.Percentile == 0 {
		return true
	}
	return one.EPSS != nil && one.EPSS.Score >= f.EPSS && one.EPSS.Percentile >= f.Percentile
}

func hasID(f *inventory.Finding, id string) bool {
	same := func(other string) bool { return strings.EqualFold(strings.TrimSpace(id), other) }
	return same(f.ID) || same(f.Advisory.ID) || slices.ContainsFunc(f.Aliases, same)
}

// sameType compares a purl's type, by its own name or the name of its language.
func sameType(want, purl string) bool {
	kind, _, _ := strings.Cut(strings.TrimPrefix(purl, "pkg:"), "/")
	want = strings.ToLower(strings.TrimSpace(want))
	other := map[string]string{
		"python": "pypi", "go": "golang", "java": "maven", "ruby": "gem", "rust": "cargo", "php": "composer",
		"dotnet": "nuget", "node": "npm", "javascript": "npm", "dpkg": "deb", "debian": "deb", "alpine": "apk",
	}[want]
	return kind == want || other != "" && kind == other
}
