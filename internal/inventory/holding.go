package inventory

import "time"

// Whether what was found somewhere is still there.
const (
	HoldingPresent = "present"
	HoldingGone    = "gone"
)

// Holding is one package in one tag, as `who-has --format json` prints it.
type Holding struct {
	Reference string    `json:"reference"`
	Digest    string    `json:"digest"` // what the tag points (or pointed) to
	Platform  string    `json:"platform,omitempty"`
	PURL      string    `json:"purl"`
	Version   string    `json:"version"`
	Layer     int       `json:"layer"` // index of the layer that introduced it
	Location  string    `json:"location,omitempty"`
	State     string    `json:"state"` // gone: the tag was deleted, or points elsewhere since
	Since     time.Time `json:"since"` // when the tag began to point there
}

// Reach is how far something goes: exact counts, known before the first row.
type Reach struct {
	Packages int `json:"packages"` // package versions, or files
	Images   int `json:"images"`
	Tags     int `json:"tags"`
}

// WhoHas asks which tags hold something.
type WhoHas struct {
	Query     string     // NAME RANGE, purl, CVE id or sha256 of a file
	Ecosystem string     // narrows names: "Debian", "npm"
	AsOf      *time.Time // the tags as they were then; nil = now
	Gone      bool       // without AsOf: tags that held it and are gone or moved, too
}

// Holders is the answer to WhoHas: how far it reaches, and its first rows.
type Holders struct {
	Query string     `json:"query"`
	AsOf  *time.Time `json:"as_of,omitempty"`
	Note  string     `json:"note,omitempty"` // what the answer rests on
	Reach
	Holders []Holding `json:"holders"`
}

// PackageQuery says which packages are meant, before their versions are looked at.
type PackageQuery struct {
	Names []string      // spellings of one name, of packages or of source packages
	Keys  []AffectedKey // or found under these
	PURL  string        // or a purl without its version
}

// HolderQuery says whose holders are looked for.
type HolderQuery struct {
	PURLs []string
	// Free leaves out places where a package only repeats what a distribution's package
	// owns: there its flaws do not count.
	Free bool
	File string     // sha256 of a file, 64 hex; instead of PURLs
	AsOf *time.Time // nil = now
	Gone bool
}
