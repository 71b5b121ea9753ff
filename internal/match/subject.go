package match

import (
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// subject is a package made ready to be held to advisories.
type subject struct {
	pkg      inventory.Package
	base     string
	release  release
	order    order
	keys     []inventory.AffectedKey
	versions map[string]*version   // by name
	entries  []*inventory.Affected // used again for each advisory
}

// newSubject answers nil when no order is known for the package's ecosystem.
func newSubject(p inventory.Package) *subject {
	o, ok := orderOf(p.Ecosystem)
	keys := KeysOf(p)
	if !ok || len(keys) == 0 {
		return nil
	}
	return &subject{pkg: p, base: keys[0].Ecosystem, release: releaseOf(p.Ecosystem), order: o, keys: keys}
}

// named tells whether an entry names the package, whatever release it speaks of.
func (s *subject) named(entry *inventory.Affected) bool {
	rest, ok := strings.CutPrefix(entry.Ecosystem, s.base)
	if !ok || rest != "" && rest[0] != ':' {
		return false
	}
	for i := range s.keys {
		if s.keys[i].Name == entry.Name || s.keys[i].Name == fold(s.base, entry.Name) {
			return true
		}
	}
	return false
}

// version is the version of the package that an entry speaks of.
func (s *subject) version(entry *inventory.Affected) string {
	return versionFor(s.pkg, s.base, fold(s.base, entry.Name))
}

// judge holds the package to one entry.
func (s *subject) judge(entry *inventory.Affected) outcome {
	name := fold(s.base, entry.Name)
	v := s.versions[name]
	if v == nil {
		text := versionFor(s.pkg, s.base, name)
		if problem := versionProblem(s.pkg.Ecosystem, text); problem != "" {
			if text != "" && slices.Contains(entry.Versions, text) { // listed, whatever it means
				return outcome{hit: true, listed: true}
			}
			return outcome{err: inventory.Errorf(inventory.ErrInvalid, "%s", problem)}
		}
		var err error
		if v, err = s.order.parse(text); err != nil {
			return outcome{err: err}
		}
		if s.versions == nil {
			s.versions = make(map[string]*version, 1)
		}
		s.versions[name] = v
	}
	return judge(v, entry)
}

// best is what an advisory says of the package: the outcome of the entry that hits by a
// range, else of one that lists the version, else of the last that does not hit.
func (s *subject) best(a *inventory.Advisory) (*inventory.Affected, outcome, bool) {
	var entry *inventory.Affected
	var found outcome
	for _, e := range entriesFor(s, a) {
		out := s.judge(e)
		switch {
		case out.hit && !out.listed:
			return e, out, true
		case entry == nil, out.hit, !found.hit && (!found.missed || out.err != nil):
			entry, found = e, out
		}
	}
	return entry, found, entry != nil
}

// versionProblem says why a version cannot be judged, "" when it can.
func versionProblem(ecosystem, text string) string {
	switch {
	case text == "" || strings.EqualFold(text, "unknown"):
		return "its version is not known"
	case text == "(devel)":
		return "its version is not known: built from a working copy, (devel)"
	case !strings.ContainsAny(text, "0123456789"):
		return "its version is not a version: " + clip(text)
	}
	o, ok := orderOf(ecosystem)
	if !ok {
		return "the order of versions of " + clip(ecosystem) + " is not known"
	}
	v, err := o.parse(text)
	if err == nil {
		_, err = v.compare("0")
	}
	if err != nil {
		return "its version is not a version: " + clip(text)
	}
	return ""
}

func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
