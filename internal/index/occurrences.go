package index

import (
	"sort"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// occurrenceKey is what makes two occurrences the same one.
type occurrenceKey struct {
	purl, location, owner string
	declared              bool
}

// occurrences renders a stack: every package under its identity, with its owner.
func (s *state) occurrences() map[occurrenceKey]inventory.Occurrence {
	d := s.distro()
	owners := s.owners(d)
	out := map[occurrenceKey]inventory.Occurrence{}
	for path, f := range s.files {
		owner := owners[path]
		for _, p := range f.Pkgs {
			if p.Type == "generic" && owner != "" {
				continue // its package is listed; the program in it is no other
			}
			o := inventory.Occurrence{Package: identify(p, d), Location: "/" + path, OwnedBy: owner, Declared: p.Declared}
			if p.Inside != "" {
				o.Location += "!/" + p.Inside
			}
			out[keyOf(o)] = o
		}
	}
	return out
}

func keyOf(o inventory.Occurrence) occurrenceKey {
	return occurrenceKey{o.PURL, o.Location, o.OwnedBy, o.Declared}
}

// owners says which distribution package owns a file with language packages. A
// distribution names paths as it installed them, perhaps through a link.
func (s *state) owners(d inventory.Distro) map[string]string {
	wanted := map[uint64]string{}
	table := s.aliasTable(func(string) bool { return true })
	for path, f := range s.files {
		if len(f.Pkgs) == 0 || isSystem(f.Pkgs[0].Type) {
			continue
		}
		wanted[s.hash(path)] = path
		for _, a := range table.of(path) {
			wanted[pathHash(a)] = path
		}
	}
	out := map[string]string{}
	if len(wanted) == 0 {
		return out
	}
	installed := s.installed(d)
	for _, f := range s.files {
		for _, o := range f.Owns {
			purl := installed[nameArch{o.Name, o.Arch}]
			for _, h := range o.Hashes {
				// Two owners happen (diversions); the same one must win each time.
				if path, ok := wanted[h]; ok && purl != "" && (out[path] == "" || purl < out[path]) {
					out[path] = purl
				}
			}
		}
	}
	return out
}

type nameArch struct{ name, arch string }

// installed gives the purl of each distribution package, with and without its
// architecture: Debian's file lists name it only where there are several.
func (s *state) installed(d inventory.Distro) map[nameArch]string {
	out := map[nameArch]string{}
	for _, f := range s.files {
		for _, p := range f.Pkgs {
			if !isSystem(p.Type) {
				continue
			}
			purl := identify(p, d).PURL
			out[nameArch{p.Name, p.Arch}] = purl
			if old := out[nameArch{p.Name, ""}]; old == "" || purl < old {
				out[nameArch{p.Name, ""}] = purl
			}
		}
	}
	return out
}

func isSystem(purlType string) bool {
	return purlType == "deb" || purlType == "apk" || purlType == "rpm" || purlType == "opkg"
}

// difference is what now has that before had not, in a stable order.
func difference(now, before map[occurrenceKey]inventory.Occurrence) []inventory.Occurrence {
	out := []inventory.Occurrence{}
	for k, o := range now {
		if _, ok := before[k]; !ok {
			out = append(out, o)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.PURL != b.PURL {
			return a.PURL < b.PURL
		}
		if a.Location != b.Location {
			return a.Location < b.Location
		}
		return a.OwnedBy < b.OwnedBy
	})
	return out
}
