package match

import (
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Coverage is which ecosystems, and which releases of them, advisories are there for.
type Coverage struct {
	releases map[string]map[string]bool // base -> releases as they are compared; "" = all
}

// NewCoverage reads the ecosystems that the advisories at hand name, as they write them
// ("Debian:12", "npm").
func NewCoverage(ecosystems []string) Coverage {
	c := Coverage{releases: map[string]map[string]bool{}}
	for _, one := range ecosystems {
		base, text := split(one)
		if c.releases[base] == nil {
			c.releases[base] = map[string]bool{}
		}
		if text != "" && familyOf(base).distro {
			text = normalRelease(base, text)
		}
		c.releases[base][text] = true
	}
	return c
}

// Covers tells whether advisories are there for packages of an ecosystem, which is
// written with its release.
func (c Coverage) Covers(ecosystem string) bool {
	base, text := split(ecosystem)
	return c.releases[base] != nil && (!familyOf(base).distro || c.covers(base, text))
}

// Why is the reason of Unknown, "" for a package that can be assessed.
func (c Coverage) Why(p inventory.Package) string {
	unknown, _ := c.Unknown(p)
	return unknown.Reason
}

// Unknown says why a package cannot be assessed; ok is false when it can. A package
// that is unknown is never to be counted clean.
func (c Coverage) Unknown(p inventory.Package) (unknown inventory.Unknown, ok bool) {
	unknown = inventory.Unknown{PURL: p.PURL, Ecosystem: p.Ecosystem}
	base, text := split(p.Ecosystem)
	kind := familyOf(base)
	switch {
	case base == "":
		unknown.Reason = "not assessed: no advisories for packages of type " + clip(typeOf(p.PURL))
	case c.releases[base] == nil:
		unknown.Reason = "not assessed: no advisories for " + base
	case kind.distro && !c.covers(base, text):
		unknown.Reason = "not assessed: no advisories for " + p.Ecosystem
		if text == "" && !c.releases[base][""] {
			unknown.Reason = "not assessed: the release of " + base + " is not known"
		}
	default:
		version := versionFor(p, base, KeysOf(p)[0].Name)
		if problem := versionProblem(p.Ecosystem, version); problem != "" {
			unknown.Reason = "not assessed: " + problem
		}
	}
	return unknown, unknown.Reason != ""
}

func (c Coverage) covers(base, text string) bool {
	known := c.releases[base]
	if known[""] {
		return true
	}
	if base == "Alpine" && text == "edge" {
		return true // judged by the newest branch
	}
	return text != "" && known[normalRelease(base, text)]
}

func typeOf(purl string) string {
	rest, ok := strings.CutPrefix(purl, "pkg:")
	kind, _, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || kind == "" {
		return "unknown"
	}
	return kind
}
