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
		p.Ecosystem = distroEcosystem(u.Namespace, q["distro"], q["distro_name"])
		p.SourceName, p.SourceVersion, _ = strings.Cut(strings.TrimSuffix(q["upstream"], ".src.rpm"), "@")
		if u.Type == "rpm" {
			p.SourceName, p.SourceVersion = "", "" // advisories name the binary package
			if e := q["epoch"]; e != "" && e != "0" && !strings.Contains(p.Version, ":") {
				p.Version = e + ":" + p.Version
			}
			break
		}
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
// "redhat-8.7") into OSV's name; "" where it does not say enough.
func distroEcosystem(namespace, distro, distroName string) string {
	id, version, ok := cutLast(distro)
	if !ok {
		id, version = namespace, distro
	}
	if id == "" {
		id, _, _ = cutLast(distroName)
	}
	switch id = strings.ToLower(id); id {
	case "wolfi":
		return "Wolfi"
	case "chainguard":
		return "Chainguard"
	}
	if version == "" && (namespace == "wolfi" || namespace == "chainguard") {
		return strings.ToUpper(namespace[:1]) + namespace[1:]
	}
	if version == "" || strings.Trim(version, "0123456789.") != "" {
		return ""
	}
	parts := strings.Split(version, ".")
	switch id {
	case "debian":
		return "Debian:" + parts[0]
	case "ubuntu":
		if len(parts) > 1 && parts[1] == "04" && len(parts[0]) == 2 && (parts[0][1]-'0')%2 == 0 {
			return "Ubuntu:" + version + ":LTS"
		}
		return "Ubuntu:" + version
	case "alpine":
		if len(parts) < 2 {
			return ""
		}
		return "Alpine:v" + parts[0] + "." + parts[1]
	case "almalinux", "alma":
		return "AlmaLinux:" + parts[0]
	case "rocky":
		return "Rocky Linux:" + parts[0]
	case "rhel", "redhat":
		return "Red Hat:enterprise_linux:" + parts[0]
	case "mageia":
		return "Mageia:" + parts[0]
	case "azurelinux", "mariner":
		return "Azure Linux:" + parts[0]
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
