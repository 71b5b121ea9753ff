package index

import (
	"sort"
	"strings"

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
	var declared []inventory.Occurrence
	for path, f := range s.files {
		owner := owners[path]
		for _, p := range f.Pkgs {
			if owner != "" && (p.Type == "generic" || p.Declared) {
				continue // its package is listed; the program in it is no other
			}
			if p.Type == "deb" && p.Licenses == nil {
				p.Licenses = s.debianLicenses(p.Name)
			}
			o := inventory.Occurrence{Package: identify(p, d), Location: "/" + path, OwnedBy: owner, Declared: p.Declared}
			if p.Inside != "" {
				o.Location += "!/" + p.Inside
			}
			if p.Declared {
				declared = append(declared, o)
			} else {
				out[keyOf(o)] = o
			}
		}
	}
	addDeclared(out, declared)
	return out
}

// addDeclared adds what lock files name and nobody installed.
func addDeclared(out map[occurrenceKey]inventory.Occurrence, declared []inventory.Occurrence) {
	if len(declared) == 0 {
		return
	}
	installed := make(map[string]bool, len(out))
	for _, o := range out {
		installed[sameness(o.PURL)] = true
	}
	for _, o := range declared {
		if !installed[sameness(o.PURL)] {
			out[keyOf(o)] = o
		}
	}
}

// sameness is a purl without what a lock file and an installation write
// differently: qualifiers, case, and Python's free choice of separators.
func sameness(purl string) string {
	p, _, _ := strings.Cut(strings.ToLower(purl), "?")
	if rest, ok := strings.CutPrefix(p, "pkg:pypi/"); ok {
		name, version, _ := strings.Cut(rest, "@")
		p = "pkg:pypi/" + strings.NewReplacer(".", "-", "_", "-").Replace(name) + "@" + version
	}
	return p
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
		if len(f.Pkgs) == 0 || isSystem(f.Pkgs[0].Type) || s.taken[path] {
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
	switch purlType {
	case "deb", "apk", "rpm", "opkg", "alpm", "ebuild":
		return true
	}
	return false
}

// difference is what now has that before had not, in a stable order.
func difference(now, before map[occurrenceKey]inventory.Occurrence) []inventory.Occurrence {
	added := 0
	for k := range now {
		if _, ok := before[k]; !ok {
			added++
		}
	}
	out := make([]inventory.Occurrence, 0, added)
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
		if a.OwnedBy != b.OwnedBy {
			return a.OwnedBy < b.OwnedBy
		}
		return !a.Declared && b.Declared
	})
	return out
}
