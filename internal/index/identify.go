package index

import (
	"sort"
	"strconv"
	"strings"

	packageurl "github.com/package-url/packageurl-go"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// ecosystems names OSV's ecosystem for a purl type. Types that are not here have
// none.
func ecosystemOf(purlType string) string {
	return map[string]string{
		"npm": "npm", "pypi": "PyPI", "golang": "Go", "maven": "Maven", "gem": "RubyGems", "cargo": "crates.io",
		"composer": "Packagist", "nuget": "NuGet", "hex": "Hex", "pub": "Pub", "cran": "CRAN", "conan": "ConanCenter",
		"hackage": "Hackage", "swift": "SwiftURL", "bitnami": "Bitnami", "julia": "Julia", "opam": "opam",
	}[purlType]
}

// identify gives a package its identity in an image of this distribution.
func identify(p pkg, d inventory.Distro) inventory.Package {
	out := inventory.Package{Name: p.Name, Version: p.Version, SourceName: p.SourceName, SourceVersion: p.SourceVersion, Arch: p.Arch, Licenses: licenses(p.Licenses)}
	switch p.Type {
	case "deb", "apk", "rpm", "opkg", "alpm":
		return systemPackage(p, d, out)
	}
	out.Ecosystem = ecosystemOf(p.Type)
	ns, name := "", p.Name
	version := p.Version
	switch p.Type {
	case "npm", "composer", "golang", "swift", "ebuild":
		if i := strings.LastIndex(name, "/"); i >= 0 {
			ns, name = name[:i], name[i+1:]
		}
		if p.Type == "golang" && p.Name != "stdlib" {
			version = "v" + version
		}
	case "maven":
		ns, name, _ = strings.Cut(name, ":")
	case "pypi": // as the purl specification has it
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	}
	var q packageurl.Qualifiers
	if p.Type == "gem" && p.Extra != "" {
		q = packageurl.QualifiersFromMap(map[string]string{"platform": p.Extra})
	}
	out.PURL = packageurl.NewPackageURL(p.Type, ns, name, version, q, "").ToString()
	return out
}

// systemPackage adds the distribution, without which a version says little.
func systemPackage(p pkg, d inventory.Distro, out inventory.Package) inventory.Package {
	q := map[string]string{}
	if p.Arch != "" {
		q["arch"] = p.Arch
	}
	if d.ID != "" {
		q["distro"] = d.ID
		if r := release(d); r != "" {
			q["distro"] += "-" + r
		}
	}
	if p.SourceName != "" && (p.SourceName != p.Name || p.SourceVersion != p.Version) {
		q["upstream"] = p.SourceName
		if p.SourceVersion != "" && p.SourceVersion != p.Version {
			q["upstream"] += "@" + p.SourceVersion
		}
	}
	if p.Epoch > 0 {
		q["epoch"] = strconv.Itoa(p.Epoch)
		out.Version = q["epoch"] + ":" + p.Version
	}
	if p.Type == "rpm" && p.Extra != "" {
		q["rpmmod"] = p.Extra
	}
	if p.Type == "deb" || p.Type == "apk" || p.Type == "rpm" {
		out.Ecosystem = ecosystem(d)
	}
	out.PURL = packageurl.NewPackageURL(p.Type, namespace(d), p.Name, p.Version, packageurl.QualifiersFromMap(q), "").ToString()
	return out
}

func licenses(in []string) []string {
	out := make([]string, 0, len(in))
	seen := map[string]bool{}
	for _, l := range in {
		l = clipText(strings.Join(strings.Fields(l), " "), 200)
		if l != "" && !seen[l] {
			seen[l] = true
			out = append(out, l)
		}
	}
	sort.Strings(out)
	return out
}
