package index

import (
	"slices"
	"sort"
)

// finish settles what the layer wrote more than once and sorts the record, so
// that the same layer always gives the same bytes.
func (p *pass) finish() *record {
	// A copy: a pointer into the pass would keep all of it in memory.
	r := new(record)
	*r = p.rec
	dirs := 0
	for _, m := range p.order {
		if m.dir {
			dirs++
		}
	}
	r.Dirs, r.Written = make([]uint64, 0, dirs), make([]uint64, 0, len(p.order)-dirs)
	for _, m := range p.order {
		if m.dir {
			r.Dirs = append(r.Dirs, m.hash)
		} else {
			r.Written = append(r.Written, m.hash)
		}
	}
	written := len(r.Written)
	r.Written, r.Dirs = sortedHashes(r.Written), sortedHashes(r.Dirs)
	twice := len(r.Written) != written
	// In the order of the layer: through links below, two names may be one file,
	// and the later one wins.
	sort.SliceStable(p.files, func(i, j int) bool { return p.files[i].seq < p.files[j].seq })
	r.Files = make([]file, 0, len(p.files))
	for i := range p.files {
		f := &p.files[i]
		if !p.overwritten(r, f, twice) {
			r.Files = append(r.Files, f.file)
		}
	}
	for from, to := range p.links {
		if maybeDir(p.links, r, from, to) {
			r.Links = append(r.Links, link{from, to})
		}
	}
	byPath := func(ls []link) func(i, j int) bool { return func(i, j int) bool { return ls[i].Path < ls[j].Path } }
	sort.Slice(r.Links, byPath(r.Links))
	sort.SliceStable(r.Hard, byPath(r.Hard))
	sort.Strings(r.Whiteouts)
	sort.Strings(r.Opaque)
	r.Whiteouts, r.Opaque = slices.Compact(r.Whiteouts), slices.Compact(r.Opaque)
	return r
}

// overwritten says whether the same layer wrote something over a file after it.
// Only where the sorted hashes show a conflict is the order looked through.
func (p *pass) overwritten(r *record, f *pending, twice bool) bool {
	h := pathHash(f.Path)
	if (twice || contains(r.Dirs, h)) && p.later(f.seq, func(m mark) bool { return m.hash == h }) {
		return true
	}
	return ancestors(f.Path, func(d string) bool {
		dh := pathHash(d)
		return contains(r.Written, dh) && p.later(f.seq, func(m mark) bool { return m.hash == dh && !m.dir })
	})
}

func (p *pass) later(seq int, is func(mark) bool) bool {
	return seq <= len(p.order) && slices.ContainsFunc(p.order[seq:], is)
}

// maybeDir drops links that lead to a file of the same layer: nothing lies below
// them.
func maybeDir(ls links, r *record, from, to string) bool {
	end := ls.follow(joinLink(from, to))
	return !contains(r.Written, pathHash(end))
}

// joinLink is where a link at from leads before anything else is resolved.
func joinLink(from, to string) string {
	if len(to) > 0 && to[0] == '/' {
		return to
	}
	return parentDir(from) + "/" + to
}
