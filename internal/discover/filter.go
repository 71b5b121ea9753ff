package discover

import (
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Filter says which tags of an integration are wanted. A glob matches the name
// of an image or KEY/name.
type Filter struct {
	include, exclude []string
	tags             []*regexp.Regexp
}

// Decision is whether a tag is wanted, and which rule said so.
type Decision struct {
	Selected bool
	Rule     string
}

// NewFilter reads the filters of an integration and names the one that is no
// pattern.
func NewFilter(in inventory.Integration) (*Filter, error) {
	f := &Filter{include: clean(in.Include), exclude: clean(in.Exclude)}
	for _, glob := range append(append([]string{}, f.include...), f.exclude...) {
		if !doublestar.ValidatePattern(glob) {
			return nil, inventory.Errorf(inventory.ErrInvalid, "the image filter %q is no pattern", glob).
				WithRemedy("* stands for any part of a name between slashes, ** for any number of them")
		}
	}
	for _, expr := range clean(in.Tags) {
		re, err := regexp.Compile(expr)
		if err != nil {
			return nil, inventory.Errorf(inventory.ErrInvalid, "the tag filter %q is no regular expression: %w", expr, err)
		}
		f.tags = append(f.tags, re)
	}
	return f, nil
}

func clean(in []string) []string {
	var out []string
	for _, s := range in {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// Decide says whether a tag is wanted. Excluding beats including.
func (f *Filter) Decide(key, image, tag string) Decision {
	if d := f.decideImage(key, image); !d.Selected || len(f.tags) == 0 {
		return d
	}
	for _, re := range f.tags {
		if re.MatchString(tag) {
			return Decision{true, "tag " + re.String()}
		}
	}
	return Decision{false, "no tag expression matches"}
}

func (f *Filter) decideImage(key, image string) Decision {
	if glob, ok := match(f.exclude, key, image); ok {
		return Decision{false, "exclude " + glob}
	}
	if len(f.include) == 0 {
		return Decision{true, "no include is given: everything"}
	}
	if glob, ok := match(f.include, key, image); ok {
		return Decision{true, "include " + glob}
	}
	return Decision{false, "no include matches"}
}

func (f *Filter) wantsImage(key, image string) bool { return f.decideImage(key, image).Selected }

// exactImages are the names that all of the includes are, if none is a pattern:
// a registry without catalogue can be asked for them.
func (f *Filter) exactImages() []string {
	var names []string
	for _, glob := range f.include {
		if strings.ContainsAny(glob, `*?[]{}\`) {
			return nil
		}
		names = append(names, glob)
	}
	return names
}

func match(globs []string, key, image string) (string, bool) {
	for _, glob := range globs {
		if doublestar.MatchUnvalidated(glob, image) || key != "" && doublestar.MatchUnvalidated(glob, key+"/"+image) {
			return glob, true
		}
	}
	return "", false
}

// keep splits sightings into those wanted and the number of the others. Where
// nothing is left out it returns tags themselves: there may be very many.
func (f *Filter) keep(tags []inventory.Sighting) (kept []inventory.Sighting, left int) {
	if !slices.ContainsFunc(tags, func(s inventory.Sighting) bool { return !f.Decide(s.Key, s.Image, s.Tag).Selected }) {
		return slices.Clip(tags), 0
	}
	kept = make([]inventory.Sighting, 0, len(tags))
	for _, s := range tags {
		if f.Decide(s.Key, s.Image, s.Tag).Selected {
			kept = append(kept, s)
		} else {
			left++
		}
	}
	return kept, left
}
