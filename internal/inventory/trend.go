package inventory

import (
	"slices"
	"time"
)

// TrendPoint is what the fleet had at one moment, and what happened since the point
// before. A flaw counts once, however many images have it.
type TrendPoint struct {
	At time.Time `json:"at"`
	Counts
	FixableBy [len(Severities)]int `json:"fixable_by"` // in the order of Severities
	KEV       int                  `json:"kev"`
	Tags      int                  `json:"tags"` // that exist
	Analysed  int                  `json:"analysed"`
	TrendNews
}

// TrendNews is what happened between two points.
type TrendNews struct {
	Appeared   int      `json:"appeared"` // findings that advisories brought to what was known
	Fixed      int      `json:"became_fixable"`
	Withdrawn  int      `json:"withdrawn"`
	Exploited  int      `json:"entered_kev"`
	Indexed    int      `json:"images_indexed"`
	Advisories []string `json:"advisories"` // feeds that were taken in
}

// FleetEvent is something that changed, as pages show it. What is empty does not apply.
type FleetEvent struct {
	Kind      string
	At        time.Time
	Reference string
	Digest    string
	Flaw      string
	PURL      string
	Severity  string
	Was       string // severity before
	Problem   string
	Advisory  string
}

// Plus is what happened in two stretches together.
func (n TrendNews) Plus(o TrendNews) TrendNews {
	sum := TrendNews{
		Appeared: n.Appeared + o.Appeared, Fixed: n.Fixed + o.Fixed, Withdrawn: n.Withdrawn + o.Withdrawn,
		Exploited: n.Exploited + o.Exploited, Indexed: n.Indexed + o.Indexed,
		Advisories: append(slices.Clone(n.Advisories), o.Advisories...),
	}
	slices.Sort(sum.Advisories)
	sum.Advisories = slices.Compact(sum.Advisories)
	return sum
}
