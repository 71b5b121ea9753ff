package inventory

import "time"

// Flaw is one vulnerability across the whole fleet: what is known of it, and how far it
// reaches among the tags that exist now.
type Flaw struct {
	ID             string
	Severity       string // the worst that any advisory gives it
	SeveritySource string
	CVSS           *CVSS
	EPSS           *EPSS
	KEV            bool
	KEVDue         *time.Time
	Fixable        bool // some package that has it has a version without it
	Packages       []string
	Images         int // platform images that a tag leads to
	Repositories   int
	FirstSeen      *time.Time
	Summary        string
}

// FlawFilter narrows a listing of flaws. The zero value is every flaw that an image has now.
type FlawFilter struct {
	Severity string
	Fixable  bool
	KEV      bool
	Text     string // part of an id, an alias or a package's name
	Sort     string // "severity" (default), "images", "since"
	After    string // cursor: Next of the page before
	Limit    int    // 0 = all
}

// FlawPage is one page of flaws.
type FlawPage struct {
	Rows     []Flaw
	Total    int
	Severity Counts // of the flaws that the filter leaves, whatever its severity says
	KEV      int    // of those under the whole filter
	Next     string
}

// FlawDetail is everything that is known of one flaw.
type FlawDetail struct {
	Flaw
	Aliases   []string
	Published *time.Time
	Modified  *time.Time
	Details   string
	Links     []string
	KEVAdded  *time.Time
	Affected  []FlawPackage
}

// FlawPackage is one package version that has a flaw, and why.
type FlawPackage struct {
	Package
	Severity       string
	SeveritySource string
	CVSS           *CVSS
	Fixed          []string
	Advisory       AdvisoryRef
	Why            Why
	FirstSeen      *time.Time
	Images         int
}

// FlawPlaces are the repositories that have a flaw now, by page.
type FlawPlaces struct {
	Rows  []FlawRepository
	Total int
	Next  string
}

// FlawRepository is one repository and its tags that have a flaw, the newest first.
type FlawRepository struct {
	Integration string
	Repository
	Tags []FlawTag
}

// FlawTag is one tag that has a flaw, and where in its image the flaw lies.
type FlawTag struct {
	Name      string
	Reference string
	Layer     int
	Origin    string // base or own
	Pushed    *time.Time
	Since     time.Time // when the tag began to point there
}

// PackageFilter narrows a listing of packages.
type PackageFilter struct {
	Text      string // part of the name
	Ecosystem string // without its release: "Debian"
	License   string // part of a licence
	After     string
	Limit     int // 0 = all
}

// PackageRow is one package of one ecosystem in all its versions.
type PackageRow struct {
	Name      string
	Ecosystem string // with its release
	Versions  []PackageVersion
	Licenses  []string
	Images    int // platform images that a tag leads to, now
}

// PackageVersion is one version of a package.
type PackageVersion struct {
	Version string
	PURL    string
	Images  int
}

// PackagePage is one page of packages.
type PackagePage struct {
	Rows  []PackageRow
	Total int
	Next  string
}

// BaseRow is a tag that other images stand on.
type BaseRow struct {
	Integration string
	Repository
	Tag       string
	Reference string
	Pushed    *time.Time
	Children  int // images that tags lead to and that stand on what the tag points to
	Stale     int // those that stand on something the tag pointed to before, and not on that
}

// BaseChild is one tag whose image stands on a base.
type BaseChild struct {
	Integration string
	Repository
	Tag       string
	Reference string
	Pushed    *time.Time
	Stale     bool // on something that the base's tag pointed to before
}

// BaseChildren are the tags that stand on a base.
type BaseChildren struct {
	Rows     []BaseChild // the stale ones first
	Children int         // tags that stand on what the base's tag points to now
	Stale    int
}

// Place is one tag that points, or pointed, to a digest.
type Place struct {
	Integration string
	Repository
	Tag       string
	Reference string
	From      time.Time
	To        *time.Time // nil = still
}
