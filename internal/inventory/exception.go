package inventory

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// What an exception says of a flaw, in VEX's words.
const (
	VEXNotAffected = "not_affected"
	VEXFixed       = "fixed"    // by a patch that versions do not show
	VEXAffected    = "affected" // and the risk is accepted
)

// VEXStatuses are the statuses that let a finding not count.
var VEXStatuses = [...]string{VEXNotAffected, VEXFixed, VEXAffected}

// VEXJustifications are OpenVEX's reasons for not_affected.
var VEXJustifications = [...]string{
	"component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
	"vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist",
}

// Exception is a decision that findings do not count: a flaw, a package or a flaw of a
// package, in one image, in repositories, or everywhere.
type Exception struct {
	ID         int64    `json:"id"`
	CVE        string   `json:"cve,omitempty"`        // any id of the flaw; empty = every flaw of Package
	Aliases    []string `json:"aliases,omitempty"`    // other ids of the flaw
	Package    string   `json:"package,omitempty"`    // name, or purl with or without version; empty = every package
	Product    string   `json:"product,omitempty"`    // purl of a package that has to be in the same place
	Repository string   `json:"repository,omitempty"` // KEY, KEY/image or image; "*" stands for anything
	Image      string   `json:"image,omitempty"`      // digest of an image or index
	All        bool     `json:"all,omitempty"`        // everywhere
	// Status, and for not_affected its justification, in OpenVEX's words.
	Status        string     `json:"status"`
	Justification string     `json:"justification,omitempty"`
	Reason        string     `json:"reason,omitempty"`
	Author        string     `json:"author,omitempty"`
	Source        string     `json:"source,omitempty"` // the document it came with
	Created       *time.Time `json:"created,omitempty"`
	Expires       *time.Time `json:"expires,omitempty"`
	Expired       bool       `json:"expired,omitempty"`
}

// ExceptionChange is what somebody wants to except. With DryRun nothing is saved.
type ExceptionChange struct {
	Exceptions []Exception `json:"exceptions"`
	DryRun     bool        `json:"dry_run"`
}

// ExceptionResult is what was saved, and what it hides.
type ExceptionResult struct {
	Hides Hides       `json:"hides"`
	Saved []Exception `json:"saved"` // empty on a dry run
}

// Hides is what exceptions let not count.
type Hides struct {
	Findings int `json:"findings"` // flaws x packages x images
	Flaws    int `json:"flaws"`
	Images   int `json:"images"`
	KEV      int `json:"kev"` // findings known to be exploited, among them
}

// Where is the place of a finding, for exceptions that are narrow.
type Where struct {
	Digests    []string // of the image, and of the index that it was reached by
	Repository Repository
}

// HitsFlaw tells whether e speaks of a flaw, known by any of these ids.
func (e *Exception) HitsFlaw(ids ...string) bool {
	if e.CVE == "" {
		return true
	}
	for _, id := range ids {
		if strings.EqualFold(id, e.CVE) || slices.ContainsFunc(e.Aliases, func(a string) bool { return strings.EqualFold(a, id) }) {
			return true
		}
	}
	return false
}

// HitsPackage tells whether e speaks of a package.
func (e *Exception) HitsPackage(purl, name string) bool {
	return e.Package == "" || e.Package == name || SamePackage(e.Package, purl)
}

// HitsPlace tells whether e speaks of a place.
func (e *Exception) HitsPlace(at Where) bool {
	switch {
	case e.Image != "":
		return slices.Contains(at.Digests, e.Image)
	case e.Repository != "":
		return e.Repository == at.Repository.Key || glob(e.Repository, at.Repository.Image) ||
			glob(e.Repository, at.Repository.Key+"/"+at.Repository.Image)
	}
	return e.All
}

// SamePackage tells whether a purl is the one that pattern names: of the same type and
// name, of the same version if the pattern has one, with the qualifiers that it has.
func SamePackage(pattern, purl string) bool {
	want, ok := takePURL(pattern)
	have, ok2 := takePURL(purl)
	if !ok || !ok2 || want.name != have.name || want.version != "" && want.version != have.version {
		return false
	}
	for key, values := range want.qualifiers {
		if !slices.Equal(values, have.qualifiers[key]) {
			return false
		}
	}
	return true
}

type purlParts struct {
	name, version string // name: with type and namespace
	qualifiers    url.Values
}

func takePURL(s string) (p purlParts, ok bool) {
	s, ok = strings.CutPrefix(s, "pkg:")
	s, _, _ = strings.Cut(s, "#")
	s, query, _ := strings.Cut(s, "?")
	if i := strings.LastIndexByte(s, '@'); i > 0 && s[i-1] != '/' {
		s, p.version = s[:i], s[i+1:]
	}
	var errs [3]error
	p.qualifiers, errs[0] = url.ParseQuery(query)
	p.version, errs[1] = url.PathUnescape(p.version)
	p.name, errs[2] = url.PathUnescape(s)
	kind, rest, slash := strings.Cut(p.name, "/")
	kind = strings.ToLower(kind)
	switch kind {
	case "golang":
		p.version = strings.TrimPrefix(p.version, "v")
	case "pypi":
		rest = strings.ReplaceAll(strings.ToLower(rest), "_", "-")
	}
	p.name = kind + "/" + rest
	return p, ok && slash && errs == [3]error{}
}

// glob matches "*" with anything.
func glob(pattern, s string) bool {
	head, tail, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	rest, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	parts := strings.Split(tail, "*")
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, last)
}
