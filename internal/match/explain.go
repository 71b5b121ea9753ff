package match

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Explanation is why an advisory hits a package, or does not.
type Explanation struct {
	PURL       string    `json:"purl"`
	Advisory   string    `json:"advisory"`
	Modified   time.Time `json:"modified"` // revision of the advisory
	Affected   bool      `json:"affected"`
	Known      bool      `json:"known"` // false: it could not be judged
	Reason     string    `json:"reason"`
	Ecosystem  string    `json:"ecosystem,omitempty"` // of the entry that decided
	Name       string    `json:"name,omitempty"`      // the package that the entry names
	Version    string    `json:"version,omitempty"`   // the version held against it
	Range      string    `json:"range,omitempty"`
	Fixed      string    `json:"fixed,omitempty"`
	Comparator string    `json:"comparator,omitempty"`
}

// Explain says in words why an advisory hits a package, or why it does not.
func Explain(p inventory.Package, a inventory.Advisory) Explanation {
	e := Explanation{PURL: p.PURL, Advisory: a.ID, Modified: a.Modified, Known: true}
	s := newSubject(p)
	if s == nil {
		e.Known, e.Reason = false, fmt.Sprintf("not assessed: the order of versions of %q is not known", clip(p.Ecosystem))
		return e
	}
	e.Comparator = s.order.name
	if a.Withdrawn != nil {
		e.Reason = "not affected: " + a.ID + " was withdrawn on " + a.Withdrawn.Format(time.DateOnly)
		return e
	}
	entry, out, ok := s.best(&a)
	if !ok {
		e.Reason = "not affected: " + s.whyNoEntry(&a)
		return e
	}
	e.Ecosystem, e.Name, e.Version = entry.Ecosystem, entry.Name, s.version(entry)
	e.decide(out)
	return e
}

func (e *Explanation) decide(out outcome) {
	subject := fmt.Sprintf("%s %s", e.Name, e.Version)
	switch {
	case out.hit && out.listed:
		e.Affected, e.Range, e.Fixed = true, out.words(e.Version), out.fixed
		e.Reason = fmt.Sprintf("affected: %s lists version %s of %s (%s)", e.Advisory, e.Version, e.Name, e.Ecosystem)
	case out.hit:
		e.Affected, e.Range, e.Fixed = true, out.words(e.Version), out.fixed
		e.Reason = fmt.Sprintf("affected: %s is in %s of %s (%s), by the %s order of versions",
			subject, e.Range, e.Advisory, e.Ecosystem, e.Comparator)
	case out.err != nil:
		e.Known = false
		e.Reason = fmt.Sprintf("not assessed: %s cannot be held to %s: %v", subject, e.Advisory, out.err)
	case out.missed:
		e.Range = out.span.words()
		e.Reason = fmt.Sprintf("not affected because %s is outside of %s of %s (%s), by the %s order of versions",
			subject, e.Range, e.Advisory, e.Ecosystem, e.Comparator)
	default:
		e.Reason = fmt.Sprintf("not affected because %s does not list version %s of %s (%s)", e.Advisory, e.Version, e.Name, e.Ecosystem)
	}
}

// whyNoEntry tells an advisory that names another package from one that names the
// package in other releases.
func (s *subject) whyNoEntry(a *inventory.Advisory) string {
	var releases, names []string
	for i := range a.Affected {
		entry := &a.Affected[i]
		list, word := &names, entry.Name+" ("+entry.Ecosystem+")"
		if s.named(entry) {
			list, word = &releases, entry.Ecosystem
		}
		if !slices.Contains(*list, word) {
			*list = append(*list, word)
		}
	}
	if len(releases) > 0 {
		return fmt.Sprintf("%s speaks of %s, not of %s", a.ID, some(releases), s.pkg.Ecosystem)
	}
	if len(names) == 0 {
		return a.ID + " names no package"
	}
	return fmt.Sprintf("%s names %s, not %s (%s)", a.ID, some(names), s.keys[0].Name, s.pkg.Ecosystem)
}

func some(words []string) string {
	if len(words) > 5 {
		return strings.Join(words[:5], ", ") + fmt.Sprintf(" and %d more", len(words)-5)
	}
	return strings.Join(words, ", ")
}
