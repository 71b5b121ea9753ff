package match

import (
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// family is how advisories of an ecosystem name packages and releases.
type family struct {
	distro bool // a distribution: its advisories speak of releases
	source bool // advisories name source packages
	binary bool // advisories name installed packages
}

func familyOf(base string) family {
	switch base {
	case "Debian", "Ubuntu", "Alpine", "Echo", "Alpaquita", "BellSoft Hardened Containers", "MinimOS":
		return family{distro: true, source: true}
	case "Wolfi", "Chainguard", "SUSE", "openSUSE", "Mageia", "openEuler", "Azure Linux", "Photon OS", "Rocky Linux":
		// Their advisories name source packages, and some of them installed ones as well.
		return family{distro: true, source: true, binary: true}
	case "Red Hat", "AlmaLinux", "Oracle Linux", "Amazon Linux", "Fedora", "CentOS":
		return family{distro: true, binary: true}
	}
	return family{binary: true}
}

// split parts an ecosystem into its base and its release: "Debian:12" into "Debian"
// and "12", "Red Hat:enterprise_linux:9::baseos" into "Red Hat" and the rest.
func split(ecosystem string) (base, release string) {
	base, release, _ = strings.Cut(ecosystem, ":")
	return base, release
}

// KeysOf is under which keys advisories that name p are found: its source package in
// one distribution, the installed package in another, the name folded as its ecosystem
// folds names. A package of no known ecosystem has none.
func KeysOf(p inventory.Package) []inventory.AffectedKey {
	base, _ := split(p.Ecosystem)
	if base == "" {
		return nil
	}
	kind := familyOf(base)
	var keys []inventory.AffectedKey
	if kind.source {
		source, _ := sourceOf(p)
		keys = append(keys, inventory.AffectedKey{Ecosystem: base, Name: fold(base, source)})
	}
	if kind.binary {
		key := inventory.AffectedKey{Ecosystem: base, Name: fold(base, p.Name)}
		if len(keys) == 0 || keys[0] != key {
			keys = append(keys, key)
		}
	}
	return keys
}

// AdvisoryKeys is which keys an advisory is found under, each once.
func AdvisoryKeys(a inventory.Advisory) []inventory.AffectedKey {
	keys := make([]inventory.AffectedKey, 0, 1)
	seen := make(map[inventory.AffectedKey]bool, 1)
	for i := range a.Affected {
		if key := affectedKey(&a.Affected[i]); !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	return keys
}

func affectedKey(entry *inventory.Affected) inventory.AffectedKey {
	base, _ := split(entry.Ecosystem)
	return inventory.AffectedKey{Ecosystem: base, Name: fold(base, entry.Name)}
}

// sourceOf is the source package and its version. Debian signs kernels in source
// packages of their own, whose flaws are kept under the unsigned one.
func sourceOf(p inventory.Package) (name, version string) {
	name, version = p.SourceName, p.SourceVersion
	if name == "" {
		name = p.Name
	}
	if version == "" || strings.HasPrefix(name, "linux-signed-") {
		version = p.Version
	}
	if strings.HasPrefix(name, "linux-signed-") {
		name = "linux"
	}
	return name, withEpoch(version, p)
}

// withEpoch gives an RPM's source version the epoch of the package that was built from
// it: the name of a source package's file, where the version comes from, has none.
func withEpoch(version string, p inventory.Package) string {
	if o, ok := orderOf(p.Ecosystem); !ok || o.name != rpmOrder || strings.Contains(version, ":") {
		return version
	}
	base, _ := split(p.Ecosystem)
	epoch, _, ok := strings.Cut(installedVersion(p, base), ":")
	if !ok {
		return version
	}
	return epoch + ":" + version
}

// fold writes a name as its ecosystem compares names.
func fold(base, name string) string {
	switch base {
	case "PyPI":
		return foldPyPI(name)
	case "NuGet", "Packagist", "GitHub Actions", "SwiftURL", "VSCode":
		return strings.ToLower(name)
	case "Maven":
		if group, artifact, ok := strings.Cut(name, "/"); ok && !strings.Contains(name, ":") {
			return group + ":" + artifact
		}
	case "Go":
		if name == "go" || name == "std" {
			return "stdlib"
		}
	}
	return name
}

// foldPyPI lowers a name and makes each run of "-", "_" and "." one "-".
func foldPyPI(name string) string {
	plain := true
	for i := 0; i < len(name) && plain; i++ {
		c := name[i]
		plain = c >= 'a' && c <= 'z' || digit(c) || c == '-' && i > 0 && name[i-1] != '-'
	}
	if plain {
		return name
	}
	var out strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c != '-' && c != '_' && c != '.':
			out.WriteByte(c)
		case i == 0 || !strings.ContainsRune("-_.", rune(name[i-1])):
			out.WriteByte('-')
		}
	}
	return strings.ToLower(out.String())
}

// versionFor is the version of p that an entry of name speaks of.
func versionFor(p inventory.Package, base, name string) string {
	kind := familyOf(base)
	if !kind.source {
		return installedVersion(p, base)
	}
	if source, v := sourceOf(p); fold(base, source) == name {
		return v
	}
	return installedVersion(p, base)
}

// installedVersion is the package's own version as its ecosystem's advisories write it.
func installedVersion(p inventory.Package, base string) string {
	switch base {
	case "Go":
		if fold(base, p.Name) == "stdlib" {
			return goRelease(p.Version)
		}
	case "RubyGems":
		return gemVersion(p.Version)
	case "PyPI":
		// "2.1.0+cu118" is a build of 2.1.0.
		v, _, _ := strings.Cut(p.Version, "+")
		return v
	case "Bitnami":
		return withoutRevision(p.Version)
	}
	if o, ok := orderOf(base); ok && o.name == rpmOrder && !strings.Contains(p.Version, ":") {
		if epoch := qualifier(p.PURL, "epoch"); epoch != "" && epoch != "0" {
			return epoch + ":" + p.Version
		}
	}
	return p.Version
}

// goRelease writes Go's own version as modules are written: "go1.22.1 X:boringcrypto"
// is 1.22.1, and "go1.21rc2" is 1.21.0-rc.2.
func goRelease(text string) string {
	v, _, _ := strings.Cut(strings.TrimPrefix(text, "go"), " ")
	for _, stage := range [...]string{"rc", "beta"} {
		number, n, ok := strings.Cut(v, stage)
		if !ok || !plainNumbers(number) || !digits(n) {
			continue
		}
		for strings.Count(number, ".") < 2 {
			number += ".0"
		}
		return number + "-" + stage + "." + n
	}
	return v
}

// gemVersion leaves out the platform that a gem was built for: "1.18.2-x86_64-linux" is
// 1.18.2. Gems write their pre-releases with dots.
func gemVersion(text string) string {
	v, platform, ok := strings.Cut(text, "-")
	if !ok || platform == "" || !letter(platform[0]) || !plainNumbers(v) {
		return text
	}
	for _, pre := range [...]string{"pre", "rc", "alpha", "beta", "dev"} {
		if strings.HasPrefix(platform, pre) {
			return text
		}
	}
	return v
}

// withoutRevision leaves out how often Bitnami packed a version: "1.24.0-2" is 1.24.0.
func withoutRevision(text string) string {
	v, revision, ok := strings.Cut(text, "-")
	if !ok || !digits(revision) || !plainNumbers(v) {
		return text
	}
	return v
}

// qualifier is the value of a purl's qualifier, "" when it has none. Values that need
// unescaping are none of those that are asked for.
func qualifier(purl, key string) string {
	_, query, _ := strings.Cut(purl, "?")
	query, _, _ = strings.Cut(query, "#")
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if k, v, ok := strings.Cut(pair, "="); ok && k == key {
			return v
		}
	}
	return ""
}
