package sbom

import (
	"net/url"
	"strings"

	packageurl "github.com/package-url/packageurl-go"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// fromPURL fills a package from its purl, and from name and version where the
// purl cannot be read. The purl itself stays as it is.
func fromPURL(purl, name, version string) inventory.Package {
	p := inventory.Package{PURL: purl, Name: name, Version: version}
	u, err := packageurl.FromString(purl)
	if err != nil {
		return p
	}
	q := u.Qualifiers.Map()
	p.Name, p.Arch = fullName(u), q["arch"]
	if u.Version != "" {
		p.Version = u.Version
	}
	switch u.Type {
	case "deb", "apk", "rpm":
		p.Ecosystem = distroEcosystem(u.Namespace, distroOf(q))
		p.SourceName, p.SourceVersion = sourceOf(q["upstream"])
		if e := q["epoch"]; e != "" && e != "0" && !strings.Contains(p.Version, ":") {
			p.Version = e + ":" + p.Version // Trivy keeps it apart
		}
		if p.SourceName == "" {
			p.SourceName = p.Name
		}
		if p.SourceVersion == "" {
			p.SourceVersion = p.Version
		}
	case "golang":
		p.Name = goModule(purl, p.Name)
		p.Version = strings.TrimPrefix(strings.TrimPrefix(p.Version, "go"), "v")
		if p.Name == "go" {
			p.Name = "stdlib"
		}
		p.Ecosystem = "Go"
	default:
		p.Ecosystem = languageEcosystem(u.Type)
	}
	return p
}

// sourceOf reads the qualifier upstream: "openssl", "glibc@2.36-9", or an RPM's source
// file "openssl-3.0.7-24.el9.src.rpm", cut from the right.
func sourceOf(upstream string) (name, version string) {
	file, ok := strings.CutSuffix(strings.TrimSuffix(upstream, ".nosrc.rpm"), ".src.rpm")
	if !ok && file == upstream {
		name, version, _ = strings.Cut(upstream, "@")
		return name, version
	}
	rest, release, ok := cutLast(file)
	name, number, ok2 := cutLast(rest)
	if !ok || !ok2 {
		return "", ""
	}
	return name, number + "-" + release
}

// distroOf is the distribution that a purl's qualifiers name, as "debian-12". Docker
// Scout keeps name and version apart.
func distroOf(q map[string]string) string {
	switch {
	case q["distro"] != "":
		return q["distro"]
	case q["os_name"] != "" && q["os_version"] != "":
		return q["os_name"] + "-" + q["os_version"]
	}
	return q["distro_name"]
}

func fullName(u packageurl.PackageURL) string {
	switch {
	case u.Namespace == "":
		return u.Name
	case u.Type == "maven":
		return u.Namespace + ":" + u.Name
	case u.Type == "npm", u.Type == "golang", u.Type == "composer", u.Type == "swift":
		return u.Namespace + "/" + u.Name
	}
	return u.Name
}

// goModule takes a module's path from the purl as it was written: the parser
// folds its case, which advisories do not.
func goModule(purl, folded string) string {
	path, ok := strings.CutPrefix(purl, "pkg:golang/")
	if !ok {
		return folded
	}
	if i := strings.IndexAny(path, "@?#"); i >= 0 {
		path = path[:i]
	}
	path, err := url.PathUnescape(path)
	if err != nil || !strings.EqualFold(path, folded) {
		return folded
	}
	return path
}

func languageEcosystem(purlType string) string {
	return map[string]string{
		"npm": "npm", "pypi": "PyPI", "maven": "Maven", "gem": "RubyGems", "cargo": "crates.io", "composer": "Packagist",
		"nuget": "NuGet", "hex": "Hex", "pub": "Pub", "cran": "CRAN", "conan": "ConanCenter", "hackage": "Hackage",
		"swift": "SwiftURL", "bitnami": "Bitnami", "julia": "Julia", "opam": "opam",
	}[purlType]
}

// distroEcosystem turns what tools write ("debian-12", "debian-12.5", "3.18.4",
// "redhat-8.7", "opensuse-leap-15.5") into OSV's name; "" where it does not say enough.
func distroEcosystem(namespace, distro string) string {
	id, version, ok := cutLast(strings.ToLower(distro))
	if !ok {
		id, version = namespace, strings.ToLower(distro)
	}
	switch {
	case id == "wolfi" || version == "wolfi" || version == "" && namespace == "wolfi":
		return "Wolfi"
	case id == "chainguard" || version == "chainguard" || version == "" && namespace == "chainguard":
		return "Chainguard"
	case id == "alpine" && (version == "edge" || strings.Contains(version, "_alpha")):
		return "Alpine:edge"
	case strings.HasPrefix(version, "tumbleweed") || strings.HasSuffix(id, "tumbleweed"):
		return "openSUSE:Tumbleweed"
	case version == "" || strings.Trim(version, "0123456789.") != "":
		return ""
	}
	major, minor, _ := strings.Cut(version, ".")
	minor, _, _ = strings.Cut(minor, ".")
	switch id {
	case "ubuntu":
		if minor == "04" && len(major) == 2 && (major[1]-'0')%2 == 0 {
			return "Ubuntu:" + major + "." + minor + ":LTS"
		}
		return "Ubuntu:" + version
	case "alpine":
		if minor == "" {
			return ""
		}
		return "Alpine:v" + major + "." + minor
	case "opensuse-leap", "opensuse.leap":
		return "openSUSE:Leap " + version
	case "sles", "sled", "suse linux enterprise server", "suse.linux.enterprise.server":
		if minor == "" || minor == "0" {
			return "SUSE:Linux Enterprise Server " + major
		}
		return "SUSE:Linux Enterprise Server " + major + " SP" + minor
	}
	if prefix := byMajor(id); prefix != "" {
		return prefix + major
	}
	return ""
}

// byMajor is the name of a distribution whose advisories are kept by major release.
func byMajor(id string) string {
	switch id {
	case "debian":
		return "Debian:"
	case "almalinux", "alma":
		return "AlmaLinux:"
	case "rocky":
		return "Rocky Linux:"
	case "rhel", "redhat":
		return "Red Hat:enterprise_linux:"
	case "mageia":
		return "Mageia:"
	case "azurelinux", "mariner", "cbl-mariner":
		return "Azure Linux:"
	}
	return ""
}

// cutLast cuts "opensuse-leap-15.5" at its last hyphen.
func cutLast(s string) (before, after string, ok bool) {
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return "", "", false
}
