package index

import "slices"

// contents gives what is at the paths that a layer writes, as it was before. A
// layer of a package manager takes nothing from it and needs none.
func (s *state) contents(r *record, byManager bool) map[string][32]byte {
	if len(s.below) == 0 || byManager {
		return nil
	}
	out := map[string][32]byte{}
	for _, f := range r.Files {
		at := s.links.parent(f.Path)
		if old, ok := s.files[at]; ok {
			out[at] = old.SHA256
		}
	}
	return out
}

// own settles who may own a file that a layer brings. A package's list of files
// names paths, and says nothing of who wrote there last. The layers do: what was
// written over a lower layer's file, with other content, while no package database
// changed, was not written by the package manager, and its package is one of its
// own. The same bytes again (a change of mode or owner) change nothing. Within one
// layer nobody can tell, and the package keeps its file.
func (s *state) own(f *file, byManager bool, before map[string][32]byte) {
	if byManager {
		delete(s.taken, f.Path)
		return
	}
	old, read := before[f.Path]
	switch {
	case read && old == f.SHA256:
	case read, s.wroteBelow(f.Path):
		s.taken[f.Path] = true
	default:
		delete(s.taken, f.Path)
	}
}

// managed says whether a package database changed in this layer.
func managed(r *record) bool {
	return slices.ContainsFunc(r.Files, func(f file) bool {
		return len(f.Owns) > 0 || len(f.Pkgs) > 0 && isSystem(f.Pkgs[0].Type)
	})
}

func (s *state) wroteBelow(p string) bool {
	h := s.hash(p)
	return slices.ContainsFunc(s.below, func(r *record) bool { return contains(r.Written, h) })
}
