package index

import (
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// state is a stack of layers: what an extraction of them would leave, as far as
// records know it.
type state struct {
	files  map[string]*file // by path, all links in it resolved; they are the records' own
	links  links
	hashes map[string]uint64
	// taken are files that were written over what a lower layer had at their path,
	// in a layer without a package manager: no distribution package owns them.
	taken map[string]bool
	below []*record
	// problems of squashing, by the layer that brought them.
	problems []problem
}

func newState() *state {
	return &state{files: map[string]*file{}, links: links{}, hashes: map[string]uint64{}, taken: map[string]bool{}}
}

// apply puts a layer on top: first what it deletes below, then what it covers,
// then what it brings.
func (s *state) apply(r *record) {
	s.problems = nil
	linked := s.hardLinks(r)
	byManager := managed(r)
	before := s.contents(r, byManager)
	s.whiteouts(r)
	s.cover(r)
	for _, l := range r.Links {
		s.links[s.links.parent(l.Path)] = l.Target
	}
	inWay := cover{state: s, rec: r, above: map[string]bool{}}
	files := append(r.Files[:len(r.Files):len(r.Files)], linked...)
	for i := range files {
		f := &files[i]
		at := s.links.parent(f.Path)
		if at != f.Path && inWay.replaced(parentDir(at)) {
			continue // written through a link, and then its directory was replaced
		}
		if at != f.Path {
			moved := *f
			moved.Path = at
			f = &moved
		}
		s.files[at] = f
		s.own(f, byManager, before)
	}
	s.below = append(s.below, r)
}

// hardLinks finds what the new names of lower files hold.
func (s *state) hardLinks(r *record) []file {
	var out []file
	list := extractors()
	for _, h := range r.Hard {
		e := choose(list, newCandidate(h.Path, 1<<10, 0o755))
		target := s.links.parent(h.Target)
		f, ok := s.files[target]
		if ok && e != nil && f.Reader == e.name {
			named := *f
			named.Path = h.Path
			out = append(out, named)
			continue
		}
		if t := choose(list, newCandidate(target, 1<<10, 0o755)); e != nil && (t == nil || t.name != e.name) {
			s.problems = append(s.problems, problem{h.Path, "it is a hard link to " + clipText(h.Target, 200) + " of a lower layer, which was not read under that name"})
		}
	}
	return out
}

// whiteouts removes what the layer deletes, with all below it.
func (s *state) whiteouts(r *record) {
	if len(r.Whiteouts)+len(r.Opaque) == 0 {
		return
	}
	gone, opaque := map[string]bool{}, map[string]bool{}
	for _, w := range r.Whiteouts {
		gone[s.links.parent(w)] = true
	}
	all := false
	for _, o := range r.Opaque {
		at := s.links.follow(o)
		opaque[at] = true
		all = all || at == ""
	}
	deleted := func(p string) bool {
		return all || gone[p] || ancestors(p, func(d string) bool { return gone[d] || opaque[d] })
	}
	for p := range s.files {
		if deleted(p) {
			delete(s.files, p)
		}
	}
	for p := range s.links {
		if deleted(p) {
			delete(s.links, p)
		}
	}
}

// cover removes what the layer wrote something else over: the same path, or
// anything but a directory where one was above it. A layer may name a path
// through links of the layers below, so all its names are asked for.
func (s *state) cover(r *record) {
	if len(r.Written)+len(r.Dirs) == 0 {
		return
	}
	c := cover{state: s, rec: r, above: map[string]bool{}}
	c.aliases = s.aliasTable(func(l string) bool { return !c.named(l) })
	var files, gone []string
	for p := range s.files {
		if c.covered(p) {
			files = append(files, p)
		}
	}
	for p := range s.links {
		if c.covered(p) {
			gone = append(gone, p)
		}
	}
	for _, p := range files {
		delete(s.files, p)
	}
	for _, p := range gone {
		delete(s.links, p)
	}
}

type cover struct {
	*state
	rec     *record
	aliases aliasTable
	above   map[string]bool // directory -> it or one above it was written as something else
}

func (c *cover) covered(p string) bool {
	if c.named(p) {
		return true
	}
	for _, a := range c.aliases.of(p) {
		if c.named(a) {
			return true
		}
	}
	return false
}

// named says whether the layer covers exactly this name.
func (c *cover) named(p string) bool {
	h := c.hash(p)
	return contains(c.rec.Written, h) || contains(c.rec.Dirs, h) || c.replaced(parentDir(p))
}

func (c *cover) replaced(d string) bool {
	if d == "" {
		return false
	}
	if v, ok := c.above[d]; ok {
		return v
	}
	v := contains(c.rec.Written, c.hash(d)) || c.replaced(parentDir(d))
	c.above[d] = v
	return v
}

func (s *state) hash(p string) uint64 {
	h, ok := s.hashes[p]
	if !ok {
		h = pathHash(p)
		s.hashes[p] = h
	}
	return h
}

// aliasTable says by which links a directory can be reached.
type aliasTable map[string][]string

// aliasTable lists the links that keep wants, by the directory they lead to.
func (s *state) aliasTable(keep func(link string) bool) aliasTable {
	t := aliasTable{}
	for from, to := range s.links {
		if end := s.links.follow(joinLink(from, to)); end != "" && end != from && keep(from) {
			t[end] = append(t[end], from)
		}
	}
	return t
}

// maxAliases bounds the names of one path: links can be nested to make very many.
const maxAliases = 64

// of gives the other names of a path, through one or more links.
func (t aliasTable) of(p string) []string {
	if len(t) == 0 {
		return nil
	}
	var out []string
	seen := map[string]bool{p: true}
	for next := []string{p}; len(next) > 0 && len(out) < maxAliases; next = next[1:] {
		name := next[0]
		ancestors(name, func(d string) bool {
			for _, from := range t[d] {
				alias := from + name[len(d):]
				if len(seen) <= maxAliases && !seen[alias] {
					seen[alias] = true
					out, next = append(out, alias), append(next, alias)
				}
			}
			return false
		})
	}
	return out
}

// distro is what the stack calls itself.
func (s *state) distro() inventory.Distro {
	for _, p := range []string{s.links.follow("etc/os-release"), "etc/os-release", "usr/lib/os-release"} {
		if f, ok := s.files[p]; ok {
			if d := parseOSRelease(f.Text); d.ID != "" {
				return d
			}
		}
	}
	for _, p := range []string{"etc/redhat-release", "etc/centos-release"} {
		if f, ok := s.files[p]; ok {
			if d := parseReleaseFile(f.Text); d.ID != "" {
				return d
			}
		}
	}
	return inventory.Distro{}
}
