package inventory

import (
	"strings"
	"time"
)

// Severities, worst first.
const (
	Critical    = "critical"
	High        = "high"
	Medium      = "medium"
	Low         = "low"
	Unspecified = "unspecified"
)

// Severities lists them worst first.
var Severities = [...]string{Critical, High, Medium, Low, Unspecified}

// SeverityRank is 0 for critical to 4 for unspecified (and anything unknown).
func SeverityRank(s string) int {
	for i, name := range Severities {
		if strings.EqualFold(s, name) {
			return i
		}
	}
	return len(Severities) - 1
}

// Verdict is a finding as it is kept: a package version and a flaw, for the whole
// world, whatever images hold the package. A record that names several CVEs gives
// one verdict for each.
type Verdict struct {
	PURL           string // the package
	ID             string // the flaw: CVE id first, else the advisory's own id
	Aliases        []string
	AdvisoryID     string
	Modified       time.Time // revision of the advisory that decided
	Published      *time.Time
	Summary        string
	Severity       string
	SeveritySource string
	CVSSVector     string
	CVSSScore      float64 // 0 = none
	Fixed          []string
	Range          string // the range that matched, in words: ">=1.0.2, <3.0.12"
	Comparator     string // version order used: "Debian", "SemVer"
}

// Finding is a verdict in its place in an image, as `cves --format json` prints it.
type Finding struct {
	ID             string      `json:"id"`
	Aliases        []string    `json:"aliases"`
	PURL           string      `json:"purl"`
	Package        string      `json:"package"`
	Version        string      `json:"version"`
	FixedVersions  []string    `json:"fixed_versions"`
	Severity       string      `json:"severity"`
	SeveritySource string      `json:"severity_source,omitempty"`
	CVSS           *CVSS       `json:"cvss,omitempty"`
	EPSS           *EPSS       `json:"epss,omitempty"`
	KEV            bool        `json:"kev"`
	KEVDue         *time.Time  `json:"kev_due,omitempty"`
	Layer          int         `json:"layer"`
	LayerDiffID    string      `json:"layer_diff_id,omitempty"`
	Locations      []string    `json:"locations"`
	Origin         string      `json:"origin,omitempty"` // base or own
	FirstSeen      *time.Time  `json:"first_seen,omitempty"`
	Published      *time.Time  `json:"published,omitempty"`
	Modified       *time.Time  `json:"modified,omitempty"`
	Summary        string      `json:"summary,omitempty"`
	Advisory       AdvisoryRef `json:"advisory"`
	Why            Why         `json:"why"`
	Exception      *Exception  `json:"exception,omitempty"`
}

// CVSS is a vector and its base score.
type CVSS struct {
	Vector string  `json:"vector"`
	Score  float64 `json:"score"`
}

// AdvisoryRef names the advisory and its revision that decided.
type AdvisoryRef struct {
	ID       string    `json:"id"`
	Modified time.Time `json:"modified"`
}

// Why is what decided: the range and the order of versions used.
type Why struct {
	Range      string `json:"range"`
	Comparator string `json:"comparator"`
}

// Unknown is a package that could not be assessed, and why. It is never counted clean.
type Unknown struct {
	PURL      string `json:"purl"`
	Ecosystem string `json:"ecosystem"`
	Reason    string `json:"reason"`
}

// Report is what `cves --format json` prints for one image.
type Report struct {
	Reference      string     `json:"reference"`
	Digest         string     `json:"digest"`
	Platform       string     `json:"platform,omitempty"`
	AdvisoriesAsOf *time.Time `json:"advisories_as_of,omitempty"`
	Summary        Counts     `json:"summary"`
	Findings       []Finding  `json:"findings"`
	Unknown        []Unknown  `json:"unknown"`
}

// Count tallies findings: each flaw once, at its highest severity, fixable if any of
// its findings is. Excepted findings do not count.
func Count(findings []Finding) Counts {
	type flaw struct {
		rank    int
		fixable bool
	}
	flaws := map[string]flaw{}
	for _, f := range findings {
		if f.Exception != nil {
			continue
		}
		rank, fixable := SeverityRank(f.Severity), len(f.FixedVersions) > 0
		if old, ok := flaws[f.ID]; ok {
			rank, fixable = min(rank, old.rank), fixable || old.fixable
		}
		flaws[f.ID] = flaw{rank, fixable}
	}
	var c Counts
	for _, f := range flaws {
		*[...]*int{&c.Critical, &c.High, &c.Medium, &c.Low, &c.Unspecified}[f.rank]++
		if f.fixable {
			c.Fixable++
			c.FixableBy[f.rank]++
		}
	}
	return c
}
