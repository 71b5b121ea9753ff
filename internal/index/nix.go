package index

import (
	"regexp"
	"strings"
)

const nixReader = "nix"

// nixName is "<hash>-name-version", with the output where it is not the main one.
var nixName = regexp.MustCompile(`^[0-9a-z]{32}-(.+?)-([0-9][0-9A-Za-z.+_]*(?:-p[0-9]+)?)(?:-(?:bin|dev|doc|lib|man|info|out|static))?$`)

// nixPackage reads a package off the name of its directory in the Nix store: there
// is no database that an image would have to carry.
func nixPackage(p string) (file, bool) {
	base, ok := strings.CutPrefix(p, "nix/store/")
	if !ok || strings.Contains(base, "/") {
		return file{}, false
	}
	m := nixName.FindStringSubmatch(base)
	if m == nil || !plainWord(m[1]) || !plainVersion(m[2]) {
		return file{}, false
	}
	return file{Path: p, Reader: nixReader, Pkgs: []pkg{{Type: "nix", Name: m[1], Version: m[2]}}}, true
}
