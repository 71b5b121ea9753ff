package inventory

import "time"

// Advisory is one OSV record, reduced to what matching and showing need. Raw is
// the record as it came.
type Advisory struct {
	ID        string     `json:"id"`
	Modified  time.Time  `json:"modified"`
	Published *time.Time `json:"published,omitempty"`
	Withdrawn *time.Time `json:"withdrawn,omitempty"`
	Aliases   []string   `json:"aliases"`
	Upstream  []string   `json:"upstream"`
	Related   []string   `json:"related"`
	Summary   string     `json:"summary,omitempty"`
	Details   string     `json:"details,omitempty"`
	Severity  []Severity `json:"severity"` // of the record as a whole
	Affected  []Affected `json:"affected"`
	Links     []string   `json:"links"`
	Raw       []byte     `json:"-"`
}

// Severity is one rating: a CVSS vector, or a source's own word.
type Severity struct {
	Type   string `json:"type"`  // CVSS_V2, CVSS_V3, CVSS_V4, Ubuntu, or "word"
	Score  string `json:"score"` // vector, or word
	Source string `json:"source,omitempty"`
}

// Affected is one package an advisory names.
type Affected struct {
	Ecosystem string     `json:"ecosystem"` // with its release, as the record writes it
	Name      string     `json:"name"`
	Ranges    []Range    `json:"ranges"`
	Versions  []string   `json:"versions"`
	Severity  []Severity `json:"severity"`
	Urgency   string     `json:"urgency,omitempty"` // ecosystem_specific.urgency and the like
}

// Range is one OSV range: SEMVER or ECOSYSTEM (GIT ranges are not kept).
type Range struct {
	Type   string  `json:"type"`
	Events []Event `json:"events"`
}

// Event is one edge of a range; exactly one field is set.
type Event struct {
	Introduced   string `json:"introduced,omitempty"`
	Fixed        string `json:"fixed,omitempty"`
	LastAffected string `json:"last_affected,omitempty"`
	Limit        string `json:"limit,omitempty"`
}

// AffectedKey is how advisories are looked up: base ecosystem and folded name.
type AffectedKey struct {
	Ecosystem string // without release: "Debian", "PyPI"
	Name      string // folded as the ecosystem folds names
}

// KEV is one entry of CISA's catalogue of known exploited vulnerabilities.
type KEV struct {
	CVE   string     `json:"cve"`
	Added *time.Time `json:"added,omitempty"`
	Due   *time.Time `json:"due,omitempty"`
}

// EPSS is one exploit prediction score.
type EPSS struct {
	CVE        string  `json:"-"`
	Score      float64 `json:"score"`
	Percentile float64 `json:"percentile"`
}
