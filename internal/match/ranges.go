package match

import (
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// outcome is what one entry of an advisory says of a version.
type outcome struct {
	hit    bool
	listed bool   // by the list of versions, not by a range
	span   span   // the range that matched, or the first that did not
	missed bool   // span is a range that did not match
	fixed  string // the version that ends the range that matched; "" = none known
	err    error  // a range could not be judged
}

// words writes what matched for people: the range, or the listed version.
func (o *outcome) words(version string) string {
	if o.listed {
		return "=" + version
	}
	return o.span.words()
}

// judge holds a version to an entry: it is affected when its list names it or one of
// its ranges holds it.
func judge(v *version, entry *inventory.Affected) outcome {
	var out outcome
	for i := range entry.Ranges {
		span, err := place(v, entry.Ranges[i].Events)
		switch {
		case err != nil:
			out.err = err
		case span.in && !otherStream(v, span.end()):
			return outcome{hit: true, span: span, fixed: span.fixed}
		case !span.in && !out.missed:
			out.span, out.missed = span, true
		}
		if span.next != "" && (out.fixed == "" || lessThan(v.order, span.next, out.fixed)) {
			out.fixed = span.next
		}
	}
	if listed(v, entry.Versions) {
		out.hit, out.listed, out.err = true, true, nil
		return out
	}
	out.fixed = ""
	return out
}

// span is where a version stands in the events of a range.
type span struct {
	in    bool
	from  string // the interval's start; "" or "0" = from the first version
	fixed string // the interval's end, when that is a fix
	last  string // the interval's end, when that is the last affected version
	limit string
	next  string // the lowest fix above the version, whether it is in or not
}

func (s span) end() string {
	if s.fixed != "" {
		return s.fixed
	}
	return s.last
}

// words writes the interval for people.
func (s span) words() string {
	var part []string
	if s.from != "" && s.from != "0" {
		part = append(part, ">="+s.from)
	}
	switch {
	case s.fixed != "":
		part = append(part, "<"+s.fixed)
	case s.last != "":
		part = append(part, "<="+s.last)
	case s.limit != "" && s.limit != "*":
		part = append(part, "<"+s.limit)
	}
	if len(part) == 0 {
		return "all versions"
	}
	return strings.Join(part, ", ")
}

// place finds the interval of a version. The version is affected when the greatest
// event that it has reached is an "introduced"; of equal events the later written
// counts, so that "introduced 0, fixed 0" is never affected.
func place(v *version, events []inventory.Event) (span, error) {
	var reached, above edge
	var s span
	limits, within := false, false
	for _, e := range events {
		if e.Limit != "" {
			limits = true
			below, err := below(v, e.Limit)
			if err != nil {
				return s, err
			}
			if below {
				within, s.limit = true, e.Limit
			}
			continue
		}
		at := edgeOf(e)
		c, err := at.versus(v)
		if err != nil {
			return s, err
		}
		if c <= 0 {
			err = reached.raise(at, v.order)
		} else {
			err = above.lower(at, v.order)
			if at.kind == fixed && err == nil && (s.next == "" || lessThan(v.order, at.text, s.next)) {
				s.next = at.text
			}
		}
		if err != nil {
			return s, err
		}
	}
	s.in = reached.kind == introduced && (!limits || within)
	s.from = reached.text
	if reached.kind != introduced {
		s.from = above.start(events)
	}
	switch above.kind {
	case fixed:
		s.fixed = above.text
	case lastAffected:
		s.last = above.text
	default:
		if !s.in {
			s.fixed, s.last = closing(reached)
			if s.from = ""; reached.kind == none {
				s.from = reached.start(events)
			}
		}
	}
	return s, nil
}

// closing names the end that a version has passed.
func closing(at edge) (fix, last string) {
	switch at.kind {
	case fixed:
		return at.text, ""
	case lastAffected:
		return "", at.text
	}
	return "", ""
}

func below(v *version, limit string) (bool, error) {
	if limit == "*" {
		return true, nil
	}
	c, err := v.compare(limit)
	return c < 0, err
}

func lessThan(o order, a, b string) bool {
	c, err := o.compare(a, b)
	return err == nil && c < 0
}

// Kinds of edge.
const (
	none = iota
	introduced
	fixed
	lastAffected
)

// edge is one event of a range.
type edge struct {
	kind int
	text string
}

func edgeOf(e inventory.Event) edge {
	switch {
	case e.Introduced != "":
		return edge{introduced, e.Introduced}
	case e.Fixed != "":
		return edge{fixed, e.Fixed}
	case e.LastAffected != "":
		return edge{lastAffected, e.LastAffected}
	}
	return edge{}
}

// versus is -1 or 0 when v has reached the edge, 1 when it is still above v.
func (at edge) versus(v *version) (int, error) {
	if at.kind == introduced && at.text == "0" {
		return -1, nil
	}
	c, err := v.compare(at.text)
	if at.kind == lastAffected && c == 0 {
		return 1, err // the last affected version is itself affected
	}
	return -c, err
}

// raise keeps the greater of two reached edges, the later of equal ones.
func (at *edge) raise(other edge, o order) error {
	c, err := at.against(other, o)
	if err == nil && c <= 0 {
		*at = other
	}
	return err
}

// lower keeps the lesser of two edges above, the earlier of equal ones. A further
// "introduced" inside an open interval ends nothing.
func (at *edge) lower(other edge, o order) error {
	if other.kind == introduced || other.kind == none {
		return nil
	}
	if at.kind == none {
		*at = other
		return nil
	}
	c, err := at.against(other, o)
	if err == nil && c > 0 {
		*at = other
	}
	return err
}

func (at edge) against(other edge, o order) (int, error) {
	switch {
	case at.kind == none, at.kind == introduced && at.text == "0":
		return -1, nil
	case other.kind == introduced && other.text == "0":
		return 1, nil
	case at.text == other.text:
		return 0, nil
	}
	return o.compare(at.text, other.text)
}

// start is the "introduced" that stands before this edge as it is written.
func (at edge) start(events []inventory.Event) string {
	from := ""
	for _, e := range events {
		if e.Introduced != "" {
			from = e.Introduced
		}
		if edgeOf(e) == at {
			break
		}
	}
	return from
}

// listed looks a version up as it is written, with its letters' case and a leading "v"
// left out of account; where an ecosystem holds 1.0 and 1.0.0 to be one version, so too.
func listed(v *version, versions []string) bool {
	for _, one := range versions {
		if sameText(v.text, one) {
			return true
		}
	}
	switch v.order.name {
	case "PEP 440", "RubyGems", "NuGet", "Packagist", "Maven":
	default:
		return false
	}
	for _, one := range versions {
		if c, ok := quickNumbers(v.text, one); ok && c == 0 {
			return true
		}
	}
	return false
}

func sameText(a, b string) bool {
	return strings.EqualFold(strings.TrimPrefix(a, "v"), strings.TrimPrefix(b, "v"))
}

// otherStream tells whether a fix was made for another module stream than the package
// comes from. Red Hat builds several versions of one name side by side as modules;
// an update of one says nothing of the others.
func otherStream(v *version, end string) bool {
	if v.order.name != rpmOrder || end == "" {
		return false
	}
	ours, theirs := strings.Contains(v.text, ".module"), strings.Contains(end, ".module")
	if ours != theirs {
		return true
	}
	return ours && majorOf(v.text) != majorOf(end)
}

// majorOf is the first number of an RPM version, its epoch left out.
func majorOf(text string) string {
	if _, rest, ok := strings.Cut(text, ":"); ok {
		text = rest
	}
	return text[:digitRun(text)]
}
