package demo

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// debianPackage is one package of a Debian image.
type debianPackage struct {
	name, version         string
	arch, section         string
	source, sourceVersion string
	licence               string
}

// debianSets reads sets of packages as a release of Debian 12 had them.
func debianSets(arch string, release age, sets ...string) ([]debianPackage, error) {
	var packages []debianPackage
	for _, set := range sets {
		rows, err := table("debian-12.txt", set, 9)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			p := debianPackage{name: r[0], arch: r[1], section: r[2], licence: r[3], source: r[4]}
			if p.arch == "any" {
				p.arch = arch
			}
			version := r[7]
			for when := middle; when >= release; when-- {
				if r[5+when] != "" {
					version = r[5+when]
				}
			}
			p.version, p.sourceVersion = version, version
			if binary, source, ok := strings.Cut(version, " ("); ok {
				p.version, p.sourceVersion = binary, strings.TrimSuffix(source, ")")
			}
			packages = append(packages, p)
		}
	}
	return packages, nil
}

// upgradeTo gives packages the versions that newer ones of the same source have.
func upgradeTo(packages, newer []debianPackage, sources ...string) []debianPackage {
	found := map[string]debianPackage{}
	for _, p := range newer {
		for _, s := range sources {
			if p.source == s {
				found[p.name] = p
			}
		}
	}
	out := make([]debianPackage, len(packages))
	for i, p := range packages {
		out[i] = p
		if n, ok := found[p.name]; ok {
			out[i] = n
		}
	}
	return out
}

// dpkgStatus writes the packages as dpkg's database.
func dpkgStatus(packages []debianPackage) string {
	var out strings.Builder
	for _, p := range packages {
		fmt.Fprintf(&out, "Package: %s\nStatus: install ok installed\nPriority: optional\nSection: %s\n", p.name, p.section)
		fmt.Fprintf(&out, "Installed-Size: %d\nMaintainer: Debian Developers <debian-devel@lists.debian.org>\n", 40+17*len(p.name))
		fmt.Fprintf(&out, "Architecture: %s\nMulti-Arch: foreign\n", p.arch)
		switch {
		case p.sourceVersion != p.version:
			fmt.Fprintf(&out, "Source: %s (%s)\n", p.source, p.sourceVersion)
		case p.source != p.name:
			fmt.Fprintf(&out, "Source: %s\n", p.source)
		}
		fmt.Fprintf(&out, "Version: %s\nDescription: %s as Debian packages it\n This text stands for the long description.\n\n", p.version, p.name)
	}
	return out.String()
}

// copyrights writes the machine-readable copyright files of those packages whose
// licence the table knows.
func copyrights(packages []debianPackage) []file {
	const form = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: %s\n\nFiles: *\nCopyright: the authors of %[1]s\nLicense: %s\n"
	var files []file
	for _, p := range packages {
		if p.licence != "" {
			files = append(files, file{path: "usr/share/doc/" + p.name + "/copyright", body: fmt.Sprintf(form, p.source, p.licence)})
		}
	}
	return files
}

func debianRelease(release age) string {
	point := [...]string{"12.0", "12.5", "12.15"}[release]
	return point + "\n"
}

// osReleaseDebian is what Debian 12 says of itself.
const osReleaseDebian = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
SUPPORT_URL="https://www.debian.org/support"
BUG_REPORT_URL="https://bugs.debian.org/"
`

// debianRoot is the layer of a minimal Debian.
func debianRoot(packages []debianPackage, release age) (*layer, error) {
	files := []file{
		{path: "usr/lib/os-release", body: osReleaseDebian},
		{path: "etc/os-release", link: "../usr/lib/os-release"},
		{path: "etc/debian_version", body: debianRelease(release)},
		{path: "bin", link: "usr/bin"},
		{path: "lib", link: "usr/lib"},
		{path: "var/lib/dpkg/status", body: dpkgStatus(packages)},
	}
	return newLayer(types.DockerLayer, append(files, copyrights(packages)...)...)
}

// debianChange is the layer of an apt-get that leaves these packages behind: the
// database is written anew, as dpkg does.
func debianChange(packages []debianPackage, extra ...file) (*layer, error) {
	files := append([]file{{path: "var/lib/dpkg/status", body: dpkgStatus(packages)}}, extra...)
	return newLayer(types.DockerLayer, files...)
}
