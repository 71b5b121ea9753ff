package inventory

import "time"

// Assessment is what is known of the packages of a bill of materials that the ledger
// does not hold.
type Assessment struct {
	Report Report `json:"report"`
	Base   []Base `json:"base"` // known images whose layers are a proper prefix, nearest first
}

// Score is how likely a flaw is used.
type Score struct {
	EPSS   *EPSS
	KEV    bool
	KEVDue *time.Time
}

// Advice is what a base image could be replaced by, among the images that are known.
type Advice struct {
	Reference string      `json:"reference"` // the image that stands on the base
	Digest    string      `json:"digest"`
	Base      *BaseImage  `json:"base,omitempty"`    // absent: no known image is its base
	Refresh   *BaseImage  `json:"refresh,omitempty"` // what the base's own tag points to now
	Updates   []BaseImage `json:"updates"`           // other tags of its repository, best first
}

// BaseImage is a base image, or what could stand in its place.
type BaseImage struct {
	Reference string     `json:"reference"`
	Digest    string     `json:"digest"`
	Platform  string     `json:"platform,omitempty"`
	Created   *time.Time `json:"created,omitempty"`
	Pushed    *time.Time `json:"pushed,omitempty"`
	AgeDays   *int       `json:"age_days,omitempty"`
	Size      int64      `json:"size"` // compressed bytes
	Packages  int        `json:"packages"`
	Findings  Counts     `json:"findings"`
	// Against the base as it is: negative is fewer, and smaller.
	Delta     *Counts `json:"delta,omitempty"`
	SizeDelta *int64  `json:"size_delta,omitempty"`

	Tag  string `json:"-"`
	Same bool   `json:"-"` // the tag is one that the base had
}

// Against sets what b changes in the place of base.
func (b *BaseImage) Against(base BaseImage) {
	x, y := b.Findings, base.Findings
	size := b.Size - base.Size
	b.SizeDelta = &size
	b.Delta = &Counts{
		Critical: x.Critical - y.Critical, High: x.High - y.High, Medium: x.Medium - y.Medium, Low: x.Low - y.Low,
		Unspecified: x.Unspecified - y.Unspecified, Fixable: x.Fixable - y.Fixable,
	}
}
